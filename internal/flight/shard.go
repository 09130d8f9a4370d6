package flight

import "sync"

// shards is the number of locks the keys are spread over.
const shards = 32

type shard[K comparable, J any] struct {
	mu      sync.Mutex             // guards the fields below, and the state of the shard's flights
	lines   map[uint64]*line[K, J] // by hash of the key; keys of one hash are chained
	spare   *line[K, J]            // the last one forgotten, for the next key
	all     Flight[K, J]           // root of a ring of the flights whose callers wait
	running int                    // functions that have started and not returned
	closed  bool
	idle    chan struct{} // closed when running falls to zero after Close
	_       [64]byte      // keeps a neighbour's mutex off this cache line
}

// uncount takes the function of f off those that run.
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

// drained returns a channel that is closed once no function of a closed shard runs.
func (s *shard[K, J]) drained() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.idle != nil {
		return s.idle
	}
	idle := make(chan struct{})
	if s.running == 0 {
		close(idle)
	} else {
		s.idle = idle
	}
	return idle
}

// void makes the flights of a line that could be joined ones that cannot. One that waits has not started: it will see
// what came after the invalidation.
func (s *shard[K, J]) void(l *line[K, J]) {
	l.voidOpen()
	l.voidAside()
	if l.watch != nil {
		l.watch.void = true
	}
	s.tidy(l)
}

func (s *shard[K, J]) find(key K, hash uint64) *line[K, J] {
	l := s.lines[hash]
	for l != nil && l.key != key {
		l = l.chain
	}
	return l
}

func (s *shard[K, J]) newLine(key K, hash uint64) *line[K, J] {
	l := s.spare
	if s.spare = nil; l == nil {
		l = new(line[K, J])
	}
	l.key, l.hash, l.chain = key, hash, s.lines[hash]
	s.lines[hash] = l
	return l
}

// tidy forgets a line in which nothing goes on.
func (s *shard[K, J]) tidy(l *line[K, J]) {
	if l.open != nil || l.aside != nil || l.forced != nil || l.waiting != nil || l.watch != nil || l.running > 0 {
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

func (s *shard[K, J]) track(f *Flight[K, J]) {
	f.prev, f.next = s.all.prev, &s.all
	f.prev.next, f.next.prev = f, f
}
