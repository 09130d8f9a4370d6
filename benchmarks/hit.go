package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// hit asks what a get-or-load call costs that finds its value.
//
// The default of 10,000 keys fits into a core's cache, so that the call shows and not the memory; -keys=1000000 shows
// the memory.
func (b *bench) hit() error {
	n := b.keys
	t := table{
		title: "hit: ns per op (ratio to otter), everything present",
		first: "contestant",
	}
	var allocsInt, allocsString []figure
	for _, cores := range []int{1, 2} {
		for _, distribution := range []string{"zipf", "uniform"} {
			ints, allocs, err := hits(b, cores, hitters[int64](), b.int64Keys(n, distribution), int64Text)
			if err != nil {
				return err
			}
			allocsInt = allocs
			t.column(fmt.Sprintf("int64 %s, %s", distribution, plural(cores, "core")), "ns", ints)
			strings, allocs, err := hits(b, cores, hitters[string](), b.stringKeys(n, distribution), stringText)
			if err != nil {
				return err
			}
			allocsString = allocs
			t.column(fmt.Sprintf("string %s, %s", distribution, plural(cores, "core")), "ns", strings)
		}
	}
	for _, c := range hitters[int64]() {
		t.rows = append(t.rows, c.name)
	}
	t.plain("allocs/op int64", allocsInt)
	t.plain("allocs/op string", allocsString)
	t.notes = append(t.notes,
		fmt.Sprintf("%d keys of %d the cache has room for; zipf of exponent 1. On two cores two goroutines read, and ns is wall time by all their ops.", n, roomFor(n)),
		"sturdyc's keys are strings: with int64 keys, making one is part of the call.",
		"xsync.Map is the lock-free map alone, without expiry, bound or loading.")
	return b.show("hit", t)
}

// hitters adds to the loaders otter's other clock and the limit.
func hitters[K Key]() []contestant[K] {
	all := loaders[K]()
	return append(all, contestant[K]{"otter, coarse clock", newOtterCoarse[K]}, limit[K]())
}

// roomFor is the capacity that holds n keys in caches whose shards fill unevenly, while theirs is fairly full: an empty
// cache may spare itself the bookkeeping.
func roomFor(n int) int { return n + n/4 }

// hits measures reads of ks on that many cores.
func hits[K comparable](b *bench, cores int, cs []contestant[K], ks keySet[K], text func(K) string) (ns, allocs []figure, err error) {
	err = onCores(cores, func() error {
		var fetches counter
		s := setup[K]{capacity: roomFor(len(ks.stored)), ttl: lifetime, fetch: countingFetch[K](&fetches), text: text}
		caches, err := buildFull(cs, s, ks.stored, &fetches)
		defer closeAll(caches)
		if err != nil {
			return err
		}
		fetches.n.Store(0)
		found := inTurn(b.rounds, len(cs), func(i int) speed {
			return readSpeed(context.Background(), b, cores, caches[i], ks)
		})
		if n := fetches.n.Load(); n > 0 {
			return fmt.Errorf("%d of the reads were no hits", n)
		}
		at := indexOf(cs, base)
		ns = figures(found, at, func(s speed) float64 { return s.ns })
		allocs = figures(found, at, func(s speed) float64 { return s.allocs })
		return nil
	})
	return ns, allocs, err
}

// readSpeed measures reads of ks in batches.
func readSpeed[K comparable](ctx context.Context, b *bench, cores int, c Cache[K], ks keySet[K]) speed {
	read := func(worker, turn int) int {
		keys := ks.turn(worker, turn)
		if sum := c.GetAll(ctx, keys); sum != uint64(len(keys)) {
			panic(fmt.Sprintf("%d reads gave %d values", len(keys), sum))
		}
		return len(keys)
	}
	read(0, 0) // warms up
	return timed(cores, b.cell, read, nil)
}

// buildFull builds the contestants' caches with keys in all of them.
func buildFull[K comparable](cs []contestant[K], s setup[K], keys []K, fetches *counter) (caches []Cache[K], err error) {
	for _, c := range cs {
		cache := c.make(s)
		caches = append(caches, cache)
		if err := fill(cache, keys, fetches); err != nil {
			return caches, fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return caches, nil
}

func closeAll[K comparable](caches []Cache[K]) {
	for _, c := range caches {
		c.Close()
	}
}

var errNotKept = errors.New("does not keep the keys it has room for")

// fill has keys loaded, as they are in a program, until every read is a hit: a cache that takes writes in the background
// may drop some. The limit, which loads nothing, gets them stored.
func fill[K comparable](c Cache[K], keys []K, fetches *counter) error {
	if c.GetAll(context.Background(), keys[:1]) == 0 {
		c.SetAll(context.Background(), keys, Value{One: 1})
	}
	for range 10 {
		before := fetches.n.Load()
		for some := range slices.Chunk(keys, batch) {
			c.GetAll(context.Background(), some)
			c.Settle()
		}
		if fetches.n.Load() == before {
			return nil
		}
	}
	return errNotKept
}

// store writes keys in batches small enough for any write buffer.
func store[K comparable](c Cache[K], keys []K) {
	for some := range slices.Chunk(keys, batch) {
		c.SetAll(context.Background(), some, Value{One: 1})
		c.Settle()
	}
}
