package tier

import "math/bits"

// A sketch estimates how often hashes were added lately: a count-min sketch of 4-bit counters that all halve
// from time to time (Cormode and Muthukrishnan, 2005; the ageing is TinyLFU's: Einziger, Friedman, Manes, 2017).
// The four counters of a hash lie in one cache line. The zero sketch counts nothing.
type sketch struct {
	words []uint64 // a power of two, at least 8; 16 counters each
	n     int      // additions since the counters were last halved
	limit int
}

func newSketch(capacity int) sketch {
	n := max(8, 1<<bits.Len(uint(capacity-1)))
	return sketch{words: make([]uint64, n), limit: 10 * capacity}
}

// spread makes 64 well-mixed bits of a 32-bit hash: the low ones choose the line, the high ones the counters.
func spread(hash uint32) uint64 {
	x := uint64(hash) * 0x9e3779b97f4a7c15
	return x ^ x>>32
}

// counter returns the word and the shift of the counter of x in one of four rows; base is its line.
func (s *sketch) counter(x uint64, base, row int) (*uint64, uint) {
	bits := x >> (32 + 8*row)
	return &s.words[base+2*row+int(bits&1)], uint(bits>>1&15) * 4
}

func (s *sketch) base(x uint64) int { return int(x&uint64(len(s.words)/8-1)) * 8 }

// peek reads the line of hash.
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

// halve ages all counters at a stroke. Spread over the additions instead, half-aged counters would break ties
// between residents and newcomers at random: measured at -16 points of hit ratio on a trace with loops.
func (s *sketch) halve() {
	for i, w := range s.words {
		s.words[i] = w >> 1 & 0x7777777777777777
	}
	s.n /= 2
}

// get returns an estimate of how often hash was added, at most 15; rarely too high, never too low but for ageing.
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
