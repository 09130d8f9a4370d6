package tier

import (
	"math/rand/v2"
	"testing"
)

func TestGhostIsTakenOnce(t *testing.T) {
	g := newGhosts(1000)
	g.put(1, ghostWindow)
	g.put(2, ghostMain)
	for hash, want := range map[uint32]ghostList{1: ghostWindow, 2: ghostMain, 3: noGhost} {
		if got := g.take(hash); got != want {
			t.Errorf("take(%d) = %d; want %d", hash, got, want)
		}
		if got := g.take(hash); got != noGhost {
			t.Errorf("a second take(%d) = %d; want none", hash, got)
		}
	}
}

// A ghost counts as long as no more evictions from its own ring have followed than a fifth of the
// capacity.
func TestGhostsAgeByEvictionsFromTheirOwnRing(t *testing.T) {
	for _, start := range []uint32{0, 1<<31 - 20} { // from the second, the numbers of evictions overflow
		g := newGhosts(100)
		g.seq = [2]uint32{start, start}
		keep := int(g.keep)
		if keep != 20 {
			t.Fatalf("newGhosts(100).keep = %d; want 20", keep)
		}
		for _, followers := range []int{keep, keep + 1} {
			g.put(7, ghostMain)
			for i := range followers {
				g.seq[ghostMain] = (g.seq[ghostMain] + 1) & (1<<31 - 1) // as put does, but without a slot
				g.put(uint32(1000+i), ghostWindow)
				g.take(uint32(1000 + i))
			}
			got, want := g.take(7), ghostMain
			if followers > keep {
				want = noGhost
			}
			if got != want {
				t.Errorf("take after %d evictions from its ring = %d; want %d",
					followers, got, want)
			}
		}
	}
}

func TestFullBucketForgetsTheOldestGhost(t *testing.T) {
	g := newGhosts(2) // one bucket
	g.keep = 100
	if len(g.slots) != 4 {
		t.Fatalf("%d slots; want 4", len(g.slots))
	}
	for h := range uint32(6) {
		g.put(h, ghostList(h&1))
	}
	for h := range uint32(6) {
		want := ghostList(h & 1)
		if h < 2 {
			want = noGhost
		}
		if got := g.take(h); got != want {
			t.Errorf("take(%d) = %d; want %d", h, got, want)
		}
	}
}

// Nearly all ghosts that count are remembered, at their usual number. Hashes choose their
// buckets, so that holds on average.
func TestGhostsAreRarelyForgotten(t *testing.T) {
	for _, capacity := range []int{1, 4, 50, 1000, 10_000} {
		rounds := 1 + 10_000/capacity
		lost, limit := 0, 0
		for range rounds {
			g := newGhosts(capacity)
			hashes := make([]uint32, 2*g.keep)
			for i := range hashes {
				hashes[i] = rand.Uint32()
				g.put(hashes[i], ghostList(i&1))
			}
			for i, h := range hashes {
				if g.take(h) != ghostList(i&1) {
					lost++
				}
			}
			limit += max(1, len(hashes)/5)
		}
		if lost > limit {
			t.Errorf("capacity %d: %d ghosts were forgotten in %d rounds; want at most %d",
				capacity, lost, rounds, limit)
		}
	}
}

func TestZeroGhostsRememberNothing(t *testing.T) {
	var g ghosts
	if got := g.take(0); got != noGhost {
		t.Errorf("take = %d; want none", got)
	}
}

func TestHashThatWasNotPutIsNoGhost(t *testing.T) {
	g := newGhosts(10)
	for _, hash := range []uint32{0, 1, 1 << 31} {
		if got := g.take(hash); got != noGhost {
			t.Errorf("take(%d) = %d; want none", hash, got)
		}
		g.put(hash, ghostWindow)
		if got := g.take(hash); got != ghostWindow {
			t.Errorf("take(%d) = %d; want the window", hash, got)
		}
	}
}
