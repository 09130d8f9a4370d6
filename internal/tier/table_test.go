package tier

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"
)

// hashed returns a Key with a hash that the test chooses.
func hashed(key int, hash uint64) Key[int] { return Key[int]{K: key, Hash: hash} }

func tableEntry(k Key[int]) *intEntry { return &intEntry{Key: k.K, hash: uint32(k.Hash), Value: k.K} }

// The law: a table behaves like a map, however the hashes collide.
func TestTableAgreesWithAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table := newTable[int, int](minBuckets)
		want := map[Key[int]]*intEntry{}
		// The hashes choose few buckets and fewer tags. Some keys have the same hash.
		hashes := rapid.SampledFrom([]uint64{0, 1, 5, 1 << 31, 1 << 57, 1<<57 | 1, 1<<63 | 1<<57, ^uint64(0)})
		key := func(t *rapid.T) Key[int] {
			h := hashes.Draw(t, "hash")
			return hashed(rapid.IntRange(0, 7).Draw(t, "key")*1000+int(h%997), h)
		}
		t.Repeat(map[string]func(*rapid.T){
			"insert": func(t *rapid.T) {
				k := key(t)
				if want[k] != nil {
					t.Skip("the key is in the table")
				}
				want[k] = tableEntry(k)
				table.insert(want[k], tagOf(k.Hash))
			},
			"remove": func(t *rapid.T) {
				k := key(t)
				if e := want[k]; e != nil {
					if !table.remove(e) {
						t.Fatalf("remove(%v) = false", k)
					}
					delete(want, k)
				} else if table.remove(tableEntry(k)) {
					t.Fatalf("remove(%v) = true for an entry that is not in the table", k)
				}
			},
			"resize": func(t *rapid.T) {
				table = table.resized(minBuckets << rapid.IntRange(0, 5).Draw(t, "size"))
			},
			"": func(t *rapid.T) {
				if err := sameTable(table, want); err != "" {
					t.Fatal(err)
				}
			},
		})
	})
}

// sameTable returns how the table differs from want, or "".
func sameTable(table *table[int, int], want map[Key[int]]*intEntry) string {
	for k, e := range want {
		if table.find(k.Hash, k.K) != e {
			return "find misses a key"
		}
		b, lane, found := table.place(&k)
		if found != e || b.entry[lane].Load() != e {
			return "place misses a key"
		}
		other := hashed(k.K+1_000_000, k.Hash) // the same bucket and tag
		if _, _, e := table.place(&other); e != nil || table.find(other.Hash, other.K) != nil {
			return "find or place returns an entry for a key that is not in the table"
		}
	}
	n := 0
	table.each(func(e *intEntry, tag uint64) {
		for k, w := range want {
			if w == e && tag == tagOf(k.Hash) {
				n++
			}
		}
	})
	if n != len(want) || table.n != n {
		return "each or n disagrees with the map"
	}
	return ""
}

func TestMatchFindsEveryLane(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		tags := r.Uint64() | highs*uint64(r.IntN(2)) // with every lane taken, or any
		if r.IntN(2) == 0 {
			tags &= laneSet
		}
		tag := tagOf(r.Uint64())
		if r.IntN(2) == 0 {
			at := r.IntN(lanes) * 8
			tags = tags&^(0xff<<at) | tag<<at
		}
		set := match(tags, tag)
		if set&^(highs&laneSet) != 0 {
			t.Fatalf("match(%x, %x) = %x; want only the high bits of lanes", tags, tag, set)
		}
		for lane := range lanes {
			if tags>>(8*lane)&0xff == tag && set>>(8*lane)&0x80 == 0 {
				t.Fatalf("match(%x, %x) = %x misses lane %d", tags, tag, set, lane)
			}
		}
	}
}

func TestTagIsNeverThatOfAnEmptyLane(t *testing.T) {
	for _, hash := range []uint64{0, 1, 1 << 57, 1<<57 - 1, ^uint64(0)} {
		if tag := tagOf(hash); tag < 0x80 || tag > 0xff {
			t.Errorf("tagOf(%x) = %x; want a byte with its high bit set", hash, tag)
		}
	}
}

// A chain of buckets is as long as its entries need. Free lanes are used again, so it does not
// grow when entries come and go.
func TestChurnDoesNotLengthenAChain(t *testing.T) {
	table := newTable[int, int](minBuckets)
	var there []*intEntry
	for i := range 10_000 {
		k := hashed(i, 3)
		e := tableEntry(k)
		table.insert(e, tagOf(k.Hash))
		if there = append(there, e); len(there) == 3*lanes {
			at := rand.IntN(len(there))
			table.remove(there[at])
			there[at] = there[len(there)-1]
			there = there[:len(there)-1]
		}
	}
	n := 0
	for b := &table.buckets[3]; b != nil; b = b.more.Load() {
		n++
	}
	if n != 3 {
		t.Errorf("%d entries in a chain of %d buckets; want 3 buckets", len(there), n)
	}
}

func TestTableThatFillsDoubles(t *testing.T) {
	tier := newTier(2000)
	for i := range 2000 {
		put(tier, i, i)
		table := tier.tables[0].Load()
		if places := len(table.buckets) * lanes; table.n*4 > places*3 {
			t.Fatalf("%d entries in a table of %d lanes; want at most three quarters",
				table.n, places)
		}
		if most := 2 * minBuckets * lanes; table.n*4 < len(table.buckets)*lanes && len(table.buckets)*lanes > most {
			t.Fatalf("%d entries in a table of %d buckets; want fewer buckets",
				table.n, len(table.buckets))
		}
	}
}

// Readers look for keys that stay in one bucket, while the writer adds and removes other keys of
// the same bucket, which reuse each other's lanes.
func TestReadersOfACrowdedBucketMissNoKey(t *testing.T) {
	var current atomic.Pointer[table[int, int]]
	current.Store(newTable[int, int](minBuckets))
	const stay = 4
	at := func(i int) Key[int] { return hashed(i, uint64(i%2)<<63) } // one bucket, two tags
	for i := range stay {
		current.Load().insert(tableEntry(at(i)), tagOf(at(i).Hash))
	}
	var done atomic.Bool
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for n := 0; !done.Load(); n++ {
				k := at(n % stay)
				if e := current.Load().find(k.Hash, k.K); e == nil || e.Value != k.K {
					t.Errorf("find(%d) = %v", k.K, e)
					return
				}
				k = at(stay + n%10)
				if e := current.Load().find(k.Hash, k.K); e != nil && e.Value != k.K {
					t.Errorf("find(%d) = %v", k.K, e)
					return
				}
			}
		})
	}
	var there []*intEntry
	for n := range 20_000 {
		table := current.Load()
		if k := at(stay + n%10); table.find(k.Hash, k.K) == nil {
			e := tableEntry(k)
			table.insert(e, tagOf(k.Hash))
			there = append(there, e)
		}
		if n%3 != 0 {
			i := rand.IntN(len(there))
			table.remove(there[i])
			there[i] = there[len(there)-1]
			there = there[:len(there)-1]
		}
		if len(there) == 0 {
			k := at(stay)
			there = append(there, tableEntry(k))
			table.insert(there[0], tagOf(k.Hash))
		}
		if n%1000 == 999 {
			current.Store(table.resized(minBuckets << (n / 1000 % 3)))
		}
	}
	done.Store(true)
	readers.Wait()
}
