package flight

// Seal gives f the right to write, and from then on no caller joins f. It returns false, and
// nothing may be written, if f is discarded or over. It returns false after Close too, unless the
// Group is shared.
//
// If Seal returns true, the lock of the key is held. The caller writes the value, which must not
// panic, and calls [Group.Unseal] at once. In a shared Group the owner may write to its store
// after Unseal, because the store decides whether the result is stored.
//
// Seal is called at most once for a flight, from its fetch, and never for one of Kind Aside.
//
// A function argument, called under the lock, would be safer than a pair of methods. But it takes
// two more calls, and the stack of a fetch's new goroutine has no room for them before it must
// grow.
func (g *Group[K, J]) Seal(f *Flight[K, J]) bool {
	s := f.shard
	s.mu.Lock()
	if f.state&(discarded|abandoned|over) != 0 || s.closed && !g.shared {
		s.mu.Unlock()
		return false
	}
	f.state |= sealed
	l := f.line
	l.open = nil // f was there: it has started, may write, and was not sealed before
	if f.Kind == Forced {
		// The new value may be evicted before an Aside caller looks for it. That caller must not
		// join an aside fetch that began before this one, and get an older value.
		l.discardAside()
	} else {
		f.line = nil
		s.tidy(l)
	}
	return true
}

// Unseal releases the lock of the key that a successful [Group.Seal] of f holds.
func (g *Group[K, J]) Unseal(f *Flight[K, J]) { f.shard.mu.Unlock() }

// Finish gives the outcome to the callers of f: err, or the Job if err is nil. If f is over, its
// callers keep the outcome that they have. If next is not nil, its fetch must start now.
func (g *Group[K, J]) Finish(f *Flight[K, J], err error) (next *Flight[K, J]) {
	s := f.shard
	s.mu.Lock()
	defer s.mu.Unlock()
	next = g.end(s, f, err)
	// Uncount f before the lock is released: a caller that has its outcome, and tries again, must
	// not find this fetch among those that run.
	s.uncount(f)
	return next
}

// Returned reports that the goroutine of f's fetch is about to end. Drain waits for that. It is
// called once for every flight that had to start, after Finish.
func (g *Group[K, J]) Returned(f *Flight[K, J]) {
	s := f.shard
	s.mu.Lock()
	defer s.mu.Unlock()
	g.returned(f)
}

func (g *Group[K, J]) returned(f *Flight[K, J]) {
	s := f.shard
	s.uncount(f)
	if s.running--; s.running == 0 && s.idle != nil {
		close(s.idle)
		s.idle = nil
	}
}

// Fail gives err to the callers of f without waiting for its fetch. From then on the fetch runs
// for nobody. If f is over, its callers keep the outcome that they have. If next is not nil, its
// fetch must start now.
func (g *Group[K, J]) Fail(f *Flight[K, J], err error) (next *Flight[K, J]) {
	s := f.shard
	s.mu.Lock()
	defer s.mu.Unlock()
	f.state |= abandoned
	return g.end(s, f, err)
}

// FailAll is [Group.Fail] for every flight that is not over. It includes the waiting flights,
// whose fetches then never start. It calls each for every one of these flights, once the flight
// is over.
func (g *Group[K, J]) FailAll(err error, each func(*Flight[K, J])) {
	for i := range g.shards {
		s := &g.shards[i]
		s.mu.Lock()
		for s.all.next != &s.all {
			f := s.all.next
			f.state |= abandoned
			if next := g.end(s, f, err); next != nil {
				// end has counted the fetch of next, which nobody starts. The loop comes to next
				// later, since it began after f.
				g.returned(next)
			}
			each(f)
		}
		s.mu.Unlock()
	}
}

// end gives the outcome to the callers of f and takes f out of its slot. If a flight waited for
// that, end puts it into its slots and returns it: its fetch must start. Only the first end of a
// flight has an effect.
func (g *Group[K, J]) end(s *shard[K, J], f *Flight[K, J], err error) (next *Flight[K, J]) {
	if f.state&over != 0 {
		return nil
	}
	f.state |= over
	f.err = err
	close(f.done)
	f.prev.next, f.next.prev = f.next, f.prev
	f.next, f.prev = nil, nil

	l := f.line
	if l == nil {
		return nil
	}
	f.line = nil
	switch f {
	case l.waiting:
		l.waiting = nil
		forget(f, l.forced)
	case l.aside:
		l.aside = nil
	case l.forced:
		l.forced = nil
		if l.open == f {
			l.open = nil
		}
		if next = l.waiting; next != nil {
			l.waiting = nil
			forget(next, f)
			g.start(l, next)
		}
	default:
		l.open = nil
	}
	s.tidy(l)
	return next
}
