package tier

import (
	"math/rand/v2"
	"testing"
)

func TestSketchCountsUpToFifteen(t *testing.T) {
	s := newSketch(1000)
	for n := range 40 {
		if got, want := s.get(7), uint64(min(n, 15)); got != want {
			t.Fatalf("get = %d after %d additions; want %d", got, n, want)
		}
		s.add(7)
	}
	if got := s.get(8); got != 0 {
		t.Errorf("get of another hash = %d; want 0", got)
	}
}

// Full counters do not overflow into their neighbours in the word.
func TestSketchIsNeverTooLow(t *testing.T) {
	for _, capacity := range []int{1, 2, 8, 100, 1000} {
		s := newSketch(capacity)
		s.limit = 1 << 30
		counts := map[uint32]int{}
		for range 20 * capacity {
			h := uint32(rand.IntN(2*capacity)) * 0x9e3779b9
			s.add(h)
			counts[h]++
		}
		for h, n := range counts {
			if got := s.get(h); got < uint64(min(n, 15)) || got > 15 {
				t.Errorf("capacity %d: get = %d after %d additions", capacity, got, n)
			}
		}
	}
}

func TestSketchIsRarelyTooHigh(t *testing.T) {
	const capacity = 1 << 14
	s := newSketch(capacity)
	for i := range uint32(capacity) {
		s.add(i * 2654435761)
	}
	wrong := 0
	for i := range uint32(capacity) {
		if s.get(i*2654435761) > 1 {
			wrong++
		}
	}
	if wrong > capacity/20 {
		t.Errorf("%d of %d estimates are too high", wrong, capacity)
	}
}

// Every sketch has at least one line, and hashes reach all its counters.
func TestSketchUsesAllItsCounters(t *testing.T) {
	for _, capacity := range []int{1, 9, 64, 1000} {
		s := newSketch(capacity)
		s.limit = 1 << 30
		if n := len(s.words); n < 8 || n < capacity || n > max(8, 2*capacity) || n&(n-1) != 0 {
			t.Errorf("a sketch for %d entries has %d words; want a power of two, not too small or large",
				capacity, n)
		}
		for range 200 * len(s.words) {
			s.add(rand.Uint32())
		}
		for i, w := range s.words {
			for shift := 0; shift < 64; shift += 4 {
				if w>>shift&15 == 0 {
					t.Fatalf("capacity %d: counter %d of word %d is never used",
						capacity, shift/4, i)
				}
			}
		}
	}
}

func TestSketchHalvesAllCounters(t *testing.T) {
	s := newSketch(100)
	for n := range uint32(15) {
		for range n + 1 {
			s.add(n * 0x10001)
		}
	}
	before := map[uint32]uint64{}
	for n := range uint32(15) {
		before[n] = s.get(n * 0x10001)
	}
	counted := s.n
	s.halve()
	for n, was := range before {
		if got := s.get(n * 0x10001); got != was/2 {
			t.Errorf("a counter of %d is %d after halving", was, got)
		}
	}
	if s.n != counted/2 {
		t.Errorf("n = %[2]d after halving; before, it was %[1]d", counted, s.n)
	}
}

func TestSketchAgesAfterTenTimesTheCapacity(t *testing.T) {
	const capacity = 100
	s := newSketch(capacity)
	for range 15 {
		s.add(1)
	}
	for i := range uint32(10*capacity - 15 - 1) {
		s.add(1_000_000 + i*2654435761)
	}
	if got := s.get(1); got != 15 {
		t.Errorf("get = %d one addition before the counters halve; want 15", got)
	}
	s.add(2)
	if got := s.get(1); got != 7 {
		t.Errorf("get = %d after the counters halved; want 7", got)
	}
	if s.n != 5*capacity {
		t.Errorf("%d additions are left until the counters halve again; want 500", s.limit-s.n)
	}
}

func TestZeroSketchCountsNothing(t *testing.T) {
	var s sketch
	s.add(1)
	if got := s.get(1); got != 0 {
		t.Errorf("get = %d; want 0", got)
	}
}
