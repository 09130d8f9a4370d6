package tier

import "math/bits"

// A sketch estimates how often a hash was added lately. It is a count-min sketch (Cormode and
// Muthukrishnan, 2005) of 4-bit counters. All counters are halved from time to time, as in
// TinyLFU (Einziger, Friedman, Manes, 2017). The four counters of a hash lie in one cache line.
// The zero sketch counts nothing.
type sketch struct {
	words []uint64 // 16 counters each; a power of two of them, at least 8
	n     int      // additions, halved together with the counters
	limit int      // the counters are halved when n reaches it
}

// newSketch returns a sketch for a stripe of so many entries. It has at least one word for each.
func newSketch(capacity int) sketch {
	n := max(8, 1<<bits.Len(uint(capacity-1)))
	return sketch{words: make([]uint64, n), limit: 10 * capacity}
}

// spread makes 64 well-mixed bits of a 32-bit hash. The low ones choose the line of the sketch,
// and the high ones the counters in it.
func spread(hash uint32) uint64 {
	x := uint64(hash) * 0x9e3779b97f4a7c15
	return x ^ x>>32
}

// counter returns the word that holds the counter of x in one of the four rows, and the position
// of the counter in that word. base is the first word of the line.
func (s *sketch) counter(x uint64, base, row int) (*uint64, uint) {
	bits := x >> (32 + 8*row)
	return &s.words[base+2*row+int(bits&1)], uint(bits>>1&15) * 4
}

// base returns the number of the first word of the line of x.
func (s *sketch) base(x uint64) int { return int(x&uint64(len(s.words)/8-1)) * 8 }

// peek reads the line of hash: see policy.warm.
func (s *sketch) peek(hash uint32) uint64 {
	if s.words == nil {
		return 0
	}
	return s.words[s.base(spread(hash))]
}

// add counts hash once.
func (s *sketch) add(hash uint32) {
	if s.words == nil {
		return
	}
	x := spread(hash)
	base := s.base(x)
	for row := range 4 {
		if w, shift := s.counter(x, base, row); *w>>shift&15 < 15 {
			*w += 1 << shift
		}
	}
	if s.n++; s.n >= s.limit {
		s.halve()
	}
}

// halve halves all counters in one go. If the work were spread over the additions, a part of the
// counters would be halved before the others, and ties between residents and new entries would be
// broken at random. That was measured: it costs 16 points of hit ratio on a trace with loops.
func (s *sketch) halve() {
	for i, w := range s.words {
		s.words[i] = w >> 1 & 0x7777777777777777
	}
	s.n /= 2
}

// get returns an estimate of how often hash was added, at most 15. The estimate is too high on
// rare occasions. It is too low only because the counters are halved.
func (s *sketch) get(hash uint32) uint64 {
	if s.words == nil {
		return 0
	}
	x := spread(hash)
	base := s.base(x)
	least := uint64(15)
	for row := range 4 {
		w, shift := s.counter(x, base, row)
		least = min(least, *w>>shift&15)
	}
	return least
}
