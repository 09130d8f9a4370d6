package tier

import (
	"math/bits"
	"sync/atomic"
)

// lanes is the number of entries in a bucket. With the tags and the link, they fill a cache line
// of 64 bytes.
const lanes = 6

// A table is a hash table. One writer at a time changes it, under the mutex of its stripe, while
// any number of readers search it without a lock. It has the layout of a cache-line hash table
// (CLHT; David, Guerraoui, Trigonakis, ASPLOS 2015): a lookup touches one line of the table, and
// the entry.
//
// A reader never misses a key that is there, because an entry never changes its lane while it is
// in the table. A table that has become too small is not changed; a larger one takes its place. A
// reader that still searches the old table began before the change, so it may see the state of
// that moment.
type table[K comparable, V any] struct {
	mask    uint64 // the number of buckets minus one
	buckets []bucket[K, V]
	n       int // the number of entries; the mutex of the stripe guards it
}

// A bucket holds entries whose hashes have the same low bits. Its overflow bucket holds more of
// them.
type bucket[K comparable, V any] struct {
	tags  atomic.Uint64 // a byte for each lane: 0 if empty, else 0x80 | seven bits of the hash
	entry [lanes]atomic.Pointer[Entry[K, V]]
	more  atomic.Pointer[bucket[K, V]] // the overflow bucket; once made, it stays
}

// newTable returns an empty table of so many buckets, a power of two.
func newTable[K comparable, V any](buckets int) *table[K, V] {
	return &table[K, V]{mask: uint64(buckets - 1), buckets: make([]bucket[K, V], buckets)}
}

const (
	ones    = 0x0101010101010101 // the lowest bit of every byte
	highs   = 0x8080808080808080 // the highest bit of every byte
	laneSet = 1<<(8*lanes) - 1   // the bytes of the lanes
)

// tagOf returns the tag of a hash: its highest seven bits, and a bit that no empty lane has.
func tagOf(hash uint64) uint64 { return 0x80 | hash>>57 }

// match returns the set of lanes whose byte may equal tag: the high bit of each. It misses none.
// It may return one too many, which is harmless, because the key is compared afterwards.
func match(tags, tag uint64) uint64 {
	x := tags ^ tag*ones
	return (x - ones) &^ x & highs & laneSet
}

// laneOf returns the lowest lane in a set like that of match.
func laneOf(set uint64) int { return bits.TrailingZeros64(set) >> 3 }

// find returns the entry of a K, or nil. Any goroutine may call it.
func (t *table[K, V]) find(hash uint64, key K) *Entry[K, V] {
	tag := tagOf(hash)
	for b := &t.buckets[hash&t.mask]; b != nil; b = b.more.Load() {
		for set := match(b.tags.Load(), tag); set != 0; set &= set - 1 {
			if e := b.entry[laneOf(set)].Load(); e != nil && e.Key == key {
				return e
			}
		}
	}
	return nil
}

// place returns the entry of key, with its bucket and lane, or nil. Any goroutine may call it.
func (t *table[K, V]) place(key *Key[K]) (*bucket[K, V], int, *Entry[K, V]) {
	tag := tagOf(key.Hash)
	for b := &t.buckets[key.Hash&t.mask]; b != nil; b = b.more.Load() {
		for set := match(b.tags.Load(), tag); set != 0; set &= set - 1 {
			if e := b.entry[laneOf(set)].Load(); e != nil && e.is(key) {
				return b, laneOf(set), e
			}
		}
	}
	return nil, 0, nil
}

// insert adds e, whose key is not in the table.
func (t *table[K, V]) insert(e *Entry[K, V], tag uint64) {
	t.n++
	b := &t.buckets[uint64(e.hash)&t.mask]
	for {
		if free := ^b.tags.Load() & highs & laneSet; free != 0 {
			lane := laneOf(free)
			b.entry[lane].Store(e) // before its tag: a reader that sees the tag finds the entry
			b.tags.Store(b.tags.Load() | tag<<(8*lane))
			return
		}
		more := b.more.Load()
		if more == nil {
			more = new(bucket[K, V])
			b.more.Store(more)
		}
		b = more
	}
}

// remove takes e out of the table. It returns false if e is not there: it was replaced or removed
// before.
func (t *table[K, V]) remove(e *Entry[K, V]) bool {
	for b := &t.buckets[uint64(e.hash)&t.mask]; b != nil; b = b.more.Load() {
		for lane := range lanes {
			if b.entry[lane].Load() == e {
				b.tags.Store(b.tags.Load() &^ (0xff << (8 * lane)))
				b.entry[lane].Store(nil)
				t.n--
				return true
			}
		}
	}
	return false
}

// tagOf returns the tag of e, or 0 if e is not in the table.
func (t *table[K, V]) tagOf(e *Entry[K, V]) uint64 {
	for b := &t.buckets[uint64(e.hash)&t.mask]; b != nil; b = b.more.Load() {
		for lane := range lanes {
			if b.entry[lane].Load() == e {
				return b.tags.Load() >> (8 * lane) & 0xff
			}
		}
	}
	return 0
}

// crowded reports whether one more entry would fill more than three quarters of the lanes.
func (t *table[K, V]) crowded() bool { return (t.n+1)*4 > len(t.buckets)*lanes*3 }

// resized returns a table with the same entries and another number of buckets, a power of two.
func (t *table[K, V]) resized(buckets int) *table[K, V] {
	to := newTable[K, V](buckets)
	t.each(func(e *Entry[K, V], tag uint64) { to.insert(e, tag) })
	return to
}

// each calls f for every entry, with its tag. Only the writer may call it, unless the table is
// out of use.
func (t *table[K, V]) each(f func(e *Entry[K, V], tag uint64)) {
	for i := range t.buckets {
		for b := &t.buckets[i]; b != nil; b = b.more.Load() {
			tags := b.tags.Load()
			for lane := range lanes {
				if tag := tags >> (8 * lane) & 0xff; tag != 0 {
					f(b.entry[lane].Load(), tag)
				}
			}
		}
	}
}
