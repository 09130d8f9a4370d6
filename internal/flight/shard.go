package flight

import "sync"

// shards is the number of locks that the keys of a Group are spread over.
const shards = 32

// A shard holds the lines of its share of the keys, under one mutex.
type shard[K comparable, J any] struct {
	mu      sync.Mutex             // guards the fields below, their lines and flights, and watches
	lines   map[uint64]*line[K, J] // by hash of the key; lines with the same hash are chained
	spare   *line[K, J]            // the last line that was forgotten, zeroed, for reuse; or nil
	all     Flight[K, J]           // root of the ring of flights that are not over, oldest first
	running int                    // fetches that have started and not returned
	closed  bool
	idle    chan struct{} // closed when running reaches 0; nil while nobody waits for that
	_       [64]byte      // keeps the mutex of the next shard off this cache line
}

// uncount takes the fetch of f off those that its line counts, if it is one of them. A line lives
// while it counts any, so f.counted is never a line that was forgotten.
func (s *shard[K, J]) uncount(f *Flight[K, J]) {
	l := f.counted
	if l == nil {
		return
	}
	f.counted = nil
	if l.running--; l.last == f {
		l.last = nil
	}
	s.tidy(l)
}

// discard discards the flights of l that callers could join, and tells the watch. The waiting
// flight stays: its fetch has not started, so it will see what came after the invalidation.
func (s *shard[K, J]) discard(l *line[K, J]) {
	l.discardOpen()
	l.discardAside()
	if l.watch != nil {
		l.watch.invalidated = true
	}
	s.tidy(l)
}

// find returns the line of key, or nil.
func (s *shard[K, J]) find(key K, hash uint64) *line[K, J] {
	l := s.lines[hash]
	for l != nil && l.key != key {
		l = l.chain
	}
	return l
}

// newLine adds a line for key, which has none.
func (s *shard[K, J]) newLine(key K, hash uint64) *line[K, J] {
	l := s.spare
	if s.spare = nil; l == nil {
		l = new(line[K, J])
	}
	l.key, l.hash, l.chain = key, hash, s.lines[hash]
	s.lines[hash] = l
	return l
}

// tidy forgets l if nothing goes on in it. The zeroed line is kept as the spare one.
func (s *shard[K, J]) tidy(l *line[K, J]) {
	if l.open != nil || l.aside != nil || l.forced != nil || l.waiting != nil ||
		l.watch != nil || l.running > 0 {
		return
	}
	if first := s.lines[l.hash]; first != l {
		for first.chain != l {
			first = first.chain
		}
		first.chain = l.chain
	} else if l.chain != nil {
		s.lines[l.hash] = l.chain
	} else {
		delete(s.lines, l.hash)
	}
	*l = line[K, J]{}
	s.spare = l
}

// track adds f to the end of the ring.
func (s *shard[K, J]) track(f *Flight[K, J]) {
	f.prev, f.next = s.all.prev, &s.all
	f.prev.next, f.next.prev = f, f
}
