package main

import (
	"context"
	"fmt"
)

const setBatch = 1024 // writes between two reads of the clock

// set measures writes of new keys into a full cache, which evicts an entry for each.
func (b *bench) set() error {
	t := table{title: "set: ns per op (ratio to otter), new keys into a full cache", first: "contestant"}
	cs := loaders[int64]()
	for _, c := range cs {
		t.rows = append(t.rows, c.name)
	}
	var last [][]write
	for _, size := range []int{b.size(10_000, 500), b.size(1_000_000, 5_000)} {
		for _, cores := range []int{1, 2} {
			last = b.writes(cs, cores, size)
			t.column(fmt.Sprintf("%d entries, %s", size, plural(cores, "core")), "ns",
				figures(last, indexOf(cs, base), func(w write) float64 { return w.ns }))
		}
	}
	t.plain("allocs/op", figures(last, 0, func(w write) float64 { return w.allocs }))
	var refused []string
	for _, f := range figures(last, 0, func(w write) float64 { return w.refused }) {
		refused = append(refused, fmt.Sprintf("%.0f %%", 100*f.Value))
	}
	t.texts("refused", refused)
	t.notes = []string{
		"An op includes drawing the key and evicting an entry. " +
			"Caches that write in the background get time to catch up at the end. That time counts.",
		"Refused: the share of writes that the cache dropped at once, because its buffer was full, and reported. " +
			"Such writes cost next to nothing, so they make a cache look faster than it is.",
	}
	return b.show("set", t)
}

// A write is the speed of writes and the share of them that was refused, from 0 to 1.
type write struct {
	speed
	refused float64
}

// writes measures writes into full caches. All rounds use the same caches, since filling a large
// one takes longer than measuring it.
func (b *bench) writes(cs []contestant[int64], cores, size int) (found [][]write) {
	_ = onCores(cores, func() error {
		var fetches counter
		var caches []Cache[int64]
		for _, c := range cs {
			cache := c.make(setup[int64]{
				capacity: size, ttl: lifetime, fetch: countingFetch[int64](&fetches), text: int64Text,
			})
			overfill(cache, size)
			caches = append(caches, cache)
		}
		defer closeAll(caches)
		workers := newWorkers(cores, setBatch)
		found = inTurn(b.rounds, len(cs), func(i int) write { return b.writeSpeed(cores, caches[i], workers) })
		return nil
	})
	return found
}

// writeSpeed measures writes into one cache.
func (b *bench) writeSpeed(cores int, c Cache[int64], workers []*newKeys) write {
	refused, total := make([]int, cores), make([]int, cores)
	s := timed(cores, b.cell, func(worker, _ int) int {
		keys := workers[worker].batch()
		refused[worker] += c.SetAll(context.Background(), keys, Value{One: 1})
		total[worker] += len(keys)
		return len(keys)
	}, c.Drain)
	var r, n int
	for w := range cores {
		r, n = r+refused[w], n+total[w]
	}
	return write{speed: s, refused: float64(r) / float64(n)}
}
