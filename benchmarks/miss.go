package main

import (
	"context"
	"fmt"
)

// missBatch is smaller than batch: a miss takes about fifty times as long as a hit.
const missBatch = 512 // misses between two reads of the clock

// miss measures get-or-load calls that find nothing, without the time of a fetch: each key is
// new, and the fetch returns at once.
func (b *bench) miss() error {
	full := b.size(10_000, 500)
	t := table{
		title: "miss: ns per op (ratio to otter), new keys, a fetch that costs nothing",
		first: "contestant",
	}
	cs := append(loaders[int64](), contestant[int64]{"bare flight", newBareFlight})
	for _, c := range cs {
		t.rows = append(t.rows, c.name)
	}
	for _, cores := range []int{1, 2} {
		t.addMisses(b.misses(cs, cores, full, full), cs, fmt.Sprintf("full at %d, %s", full, plural(cores, "core")))
	}
	for _, cores := range []int{1, 2} {
		t.addMisses(b.misses(cs, cores, 1<<20, 0), cs, "never full, "+plural(cores, "core"))
	}
	t.notes = []string{
		"An op includes drawing the key and one fetch, which adds to a counter and allocates nothing. " +
			"A full cache also evicts an entry for each that it stores. " +
			"In a cache that is never full, the map grows.",
		"Caches that write in the background get time to catch up at the end. That time counts.",
		"zodiac runs a fetch on a goroutine and a context of its own, so that a caller can leave " +
			"without ending the fetch for the others. So does the bare flight, which stores nothing; " +
			"× bare is the ratio to it. The peers run a fetch on the first caller's goroutine and " +
			"context, which is cheaper.",
	}
	return b.show("miss", t)
}

// addMisses adds the columns of one measurement: the time, the ratio to the bare flight, and the
// allocations.
func (t *table) addMisses(found [][]speed, cs []contestant[int64], name string) {
	ns := func(s speed) float64 { return s.ns }
	t.column(name, "ns", figures(found, indexOf(cs, base), ns))
	var bare []string
	for _, f := range figures(found, indexOf(cs, "bare flight"), ns) {
		bare = append(bare, fmt.Sprintf("%.2f", f.Ratio))
	}
	t.texts("× bare", bare)
	t.plain("allocs", figures(found, 0, func(s speed) float64 { return s.allocs }))
}

// misses measures misses in caches that hold filled keys at the start. It makes new ones for each
// round, since a cache that must not get full cannot be used for long.
func (b *bench) misses(cs []contestant[int64], cores, capacity, filled int) (found [][]speed) {
	workers := newWorkers(cores, missBatch)
	_ = onCores(cores, func() error {
		found = inTurn(b.rounds, len(cs), func(i int) speed {
			var fetches counter
			c := cs[i].make(setup[int64]{
				capacity: capacity, ttl: lifetime, fetch: countingFetch[int64](&fetches), text: int64Text,
			})
			defer c.Close()
			overfill(c, filled)
			miss := func(worker, _ int) int {
				keys := workers[worker].batch()
				if sum := c.GetAll(context.Background(), keys); sum != uint64(len(keys)) {
					panic(fmt.Sprintf("%s: %d reads gave %d values", cs[i].name, len(keys), sum))
				}
				return len(keys)
			}
			miss(0, 0) // warms up
			return timed(cores, b.cell, miss, c.Drain)
		})
		return nil
	})
	return found
}

// newWorkers returns keys for each of the goroutines. No two of them get the same key.
func newWorkers(cores, batch int) (workers []*newKeys) {
	for w := range cores {
		workers = append(workers, newNewKeys(w, batch))
	}
	return workers
}

// overfill writes a tenth more keys than n, so that every shard of a cache with capacity n is full
// and evicts.
func overfill(c Cache[int64], n int) {
	source := newNewKeys(255, batch)
	for written := 0; written < n+n/10; written += batch {
		store(c, source.batch())
	}
}
