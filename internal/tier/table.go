package tier

import (
	"math/bits"
	"sync/atomic"
)

// lanes is the number of entries in a bucket: with the tags and the link they fill a cache line of 64 bytes.
const lanes = 6

// A table is a hash table that one writer at a time changes, under its stripe's mutex, while any number of
// readers look things up without a lock. The layout is that of a cache-line hash table (CLHT; David,
// Guerraoui, Trigonakis, ASPLOS 2015): a lookup touches one line of the table, and the entry.
//
// Why a reader never misses a key that is there: an entry never changes its lane while it is in the table. A
// table that has become too small is left as it is and a larger one takes its place; who still reads the old
// one began before the change, and may rightly see the state of that moment.
type table[K comparable, V any] struct {
	mask    uint64
	buckets []bucket[K, V]
	n       int // entries; under the stripe's mutex
}

type bucket[K comparable, V any] struct {
	tags  atomic.Uint64 // a byte per lane: 0 = empty, else 0x80 | seven bits of the hash
	entry [lanes]atomic.Pointer[Entry[K, V]]
	more  atomic.Pointer[bucket[K, V]] // overflow; stays until the table is replaced
}

func newTable[K comparable, V any](buckets int) *table[K, V] {
	return &table[K, V]{mask: uint64(buckets - 1), buckets: make([]bucket[K, V], buckets)}
}

const (
	ones    = 0x0101010101010101
	highs   = 0x8080808080808080
	laneSet = 1<<(8*lanes) - 1
)

func tagOf(hash uint64) uint64 { return 0x80 | hash>>57 }

// match returns a set high bit for every lane whose byte may equal tag (never too few; the key is compared
// after, so one too many is harmless).
func match(tags, tag uint64) uint64 {
	x := tags ^ tag*ones
	return (x - ones) &^ x & highs & laneSet
}

// laneOf returns the number of the lowest lane in a set made by match.
func laneOf(set uint64) int { return bits.TrailingZeros64(set) >> 3 }

// find returns the entry of a plain key, or nil. Any goroutine may call it.
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

// place returns where the entry for key is, and the entry; or nil.
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
			b.entry[lane].Store(e)
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

// remove takes e out. It reports false if e is not in the table: it was replaced or removed before.
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

// tagOf returns the tag of an entry in the table.
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

// crowded reports whether one more entry would fill the table beyond three quarters.
func (t *table[K, V]) crowded() bool { return (t.n+1)*4 > len(t.buckets)*lanes*3 }

// resized returns a table of the same entries with another number of buckets, a power of two.
func (t *table[K, V]) resized(buckets int) *table[K, V] {
	to := newTable[K, V](buckets)
	t.each(func(e *Entry[K, V], tag uint64) { to.insert(e, tag) })
	return to
}

// each calls f for every entry with its tag. Other than by the writer, it may be called on a table that has been
// taken out of use.
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
