package tier

import "math/bits"

// A ghostList names the ring that an evicted entry left.
type ghostList uint64

const (
	ghostWindow ghostList = 0
	ghostMain   ghostList = 1
	noGhost     ghostList = 2
)

// ghosts remembers the hashes of the entries that were evicted lately, up to keep+1 from either
// ring. If such a key comes back, the ring that it left was too small. ARC has ghost lists for
// the same purpose (Megiddo and Modha, 2003).
//
// ghosts is a hash table of fingerprints, in buckets of four. It has no lists and no pointers. A
// fingerprint holds the number of its eviction. It is a ghost as long as at most keep evictions
// from the same ring have followed. A full bucket forgets its oldest fingerprint early. The zero
// ghosts remembers nothing.
type ghosts struct {
	slots []uint64  // hash<<32 | number of the eviction<<1 | list; 0 = empty
	seq   [2]uint32 // by list: the number of the last eviction, 31 bits
	keep  uint32
}

// newGhosts returns ghosts that keep a fifth of the capacity, at least one, for either ring.
func newGhosts(capacity int) ghosts {
	keep := max(1, capacity/5)
	n := max(4, 1<<bits.Len(uint(keep*5/2-1)))
	return ghosts{slots: make([]uint64, n), keep: uint32(keep)}
}

// bucket returns the four slots for hash.
func (g *ghosts) bucket(hash uint32) []uint64 {
	i := int(spread(hash)&uint64(len(g.slots)/4-1)) * 4
	return g.slots[i : i+4 : i+4]
}

// age returns how many evictions from the same ring came after that of slot.
func (g *ghosts) age(slot uint64) uint32 {
	return (g.seq[slot&1] - uint32(slot)>>1) & (1<<31 - 1)
}

// peek reads the bucket of hash: see policy.warm.
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
