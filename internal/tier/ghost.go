package tier

import "math/bits"

// A ghostList names the ring that an evicted entry left.
type ghostList uint64

const (
	ghostWindow ghostList = 0
	ghostMain   ghostList = 1
	noGhost     ghostList = 2
)

// ghosts remembers the hashes of what was evicted lately, the last keep from either ring: meeting one of them
// again says which ring was too small (as ARC's ghost lists do: Megiddo and Modha, 2003). It is a table of
// fingerprints in buckets of four, without lists or pointers: a fingerprint carries the number of its eviction,
// and is a ghost while no more than keep others of its list followed. The zero ghosts remembers nothing.
type ghosts struct {
	slots []uint64 // hash<<32 | number<<1 | list; 0 = empty
	seq   [2]uint32
	keep  uint32
}

func newGhosts(capacity int) ghosts {
	keep := max(1, capacity/5)
	n := max(4, 1<<bits.Len(uint(keep*5/2-1)))
	return ghosts{slots: make([]uint64, n), keep: uint32(keep)}
}

func (g *ghosts) bucket(hash uint32) []uint64 {
	i := int(spread(hash)&uint64(len(g.slots)/4-1)) * 4
	return g.slots[i : i+4 : i+4]
}

// age returns how many evictions from the slot's list came after it.
func (g *ghosts) age(slot uint64) uint32 {
	return (g.seq[slot&1] - uint32(slot)>>1) & (1<<31 - 1)
}

// peek reads the bucket of hash.
func (g *ghosts) peek(hash uint32) uint64 {
	if g.slots == nil {
		return 0
	}
	return g.bucket(hash)[0]
}

// put remembers that hash was evicted from list.
func (g *ghosts) put(hash uint32, list ghostList) {
	g.seq[list] = (g.seq[list] + 1) & (1<<31 - 1)
	b := g.bucket(hash)
	oldest := 0
	for i, slot := range b {
		if slot == 0 {
			oldest = i
			break
		}
		if g.age(slot) > g.age(b[oldest]) {
			oldest = i
		}
	}
	b[oldest] = uint64(hash)<<32 | uint64(g.seq[list])<<1 | uint64(list)
}

// take forgets hash and returns the list it was evicted from, or noGhost.
func (g *ghosts) take(hash uint32) ghostList {
	if g.slots == nil {
		return noGhost
	}
	b := g.bucket(hash)
	for i, slot := range b {
		if slot != 0 && uint32(slot>>32) == hash {
			b[i] = 0
			if g.age(slot) <= g.keep {
				return ghostList(slot & 1)
			}
			return noGhost
		}
	}
	return noGhost
}
