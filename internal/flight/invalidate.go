package flight

// Change calls do with the lock of key held, so no flight of key is sealed meanwhile. do reports
// whether it invalidates the key. If it does, the flights of the key are discarded.
func (g *Group[K, J]) Change(key K, hash uint64, do func() (invalidates bool)) {
	s := g.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !do() {
		return
	}
	if l := s.find(key, hash); l != nil {
		s.discard(l)
	}
}

// DiscardAll invalidates all keys: it discards their flights. It locks one shard after the other.
func (g *Group[K, J]) DiscardAll() {
	for i := range g.shards {
		s := &g.shards[i]
		s.mu.Lock()
		for _, l := range s.lines {
			for l != nil {
				next := l.chain // read first: discard may forget the line
				s.discard(l)
				l = next
			}
		}
		s.mu.Unlock()
	}
}

// A Watch sees whether a key is invalidated. It is for a caller that computes a value without a
// flight.
type Watch struct{ invalidated bool }

// Invalidated reports whether the key was invalidated since the watch began. Only a function that
// Change calls for the key may call it: it needs the lock of the key.
func (w *Watch) Invalidated() bool { return w.invalidated }

// Watch begins a watch of key, which [Group.Unwatch] ends. A key has one watch at a time: the
// caller must see to it that nobody else watches the key meanwhile.
func (g *Group[K, J]) Watch(key K, hash uint64) *Watch {
	s := g.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.find(key, hash)
	if l == nil {
		l = s.newLine(key, hash)
	}
	l.watch = new(Watch)
	return l.watch
}

// Unwatch ends the watch of key. There must be one.
func (g *Group[K, J]) Unwatch(key K, hash uint64) {
	s := g.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.find(key, hash) // not nil: a line lives while it is watched
	l.watch = nil
	s.tidy(l)
}

// Sync returns when every function given to Change, and every write between Seal and Unseal, that
// ran when it was called is over. It must not be called by one of them.
func (g *Group[K, J]) Sync() {
	for i := range g.shards {
		s := &g.shards[i]
		s.mu.Lock()
		s.mu.Unlock() //nolint:staticcheck // the wait for the lock is all
	}
}
