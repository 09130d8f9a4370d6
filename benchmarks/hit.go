package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// hit measures get-or-load calls that find their value.
//
// The default of 10,000 keys fits into a core's cache, so the time is that of the call. With
// -keys=1000000 it is mostly that of the main memory.
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
		fmt.Sprintf("%d keys in a cache with room for %d. zipf has the exponent 1. "+
			"On two cores two goroutines read, and ns is the wall time divided by the ops of both.",
			n, roomFor(n)),
		"sturdyc has string keys only: with int64 keys, an op includes making the string.",
		"xsync.Map is a lock-free map without expiry, bound or loading.")
	return b.show("hit", t)
}

// hitters returns the loaders, otter with its coarse clock, and the limit.
func hitters[K Key]() []contestant[K] {
	all := loaders[K]()
	return append(all, contestant[K]{"otter, coarse clock", newOtterCoarse[K]}, limit[K]())
}

// roomFor returns the capacity for n keys. It is larger than n, because the shards of a cache fill
// unevenly and each must have room. It is not much larger, because a cache that is nearly empty may
// save itself the bookkeeping.
func roomFor(n int) int { return n + n/4 }

// hits measures reads of ks on that many cores. It fails if one of the reads is no hit.
func hits[K comparable](
	b *bench, cores int, cs []contestant[K], ks keySet[K], text func(K) string,
) (ns, allocs []figure, err error) {
	err = onCores(cores, func() error {
		var fetches counter
		s := setup[K]{
			capacity: roomFor(len(ks.stored)), ttl: lifetime, fetch: countingFetch[K](&fetches), text: text,
		}
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
			return fmt.Errorf("%d of the reads were misses", n)
		}
		at := indexOf(cs, base)
		ns = figures(found, at, func(s speed) float64 { return s.ns })
		allocs = figures(found, at, func(s speed) float64 { return s.allocs })
		return nil
	})
	return ns, allocs, err
}

// readSpeed measures reads of ks in batches. It panics if a read fails.
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

// buildFull builds the caches of the contestants and fills them with keys. If it fails, it returns
// the caches built so far, which the caller must close.
func buildFull[K comparable](
	cs []contestant[K], s setup[K], keys []K, fetches *counter,
) (caches []Cache[K], err error) {
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

var errNotKept = errors.New("does not keep the keys that it has room for")

// fill reads keys, so that the cache loads them as in a program, until every read is a hit. Several
// passes may be needed, since a cache that writes in the background may drop writes. The limit does
// not load, so fill stores the keys in it.
func fill[K comparable](c Cache[K], keys []K, fetches *counter) error {
	if c.GetAll(context.Background(), keys[:1]) == 0 {
		c.SetAll(context.Background(), keys, Value{One: 1})
	}
	for range 10 {
		before := fetches.n.Load()
		for some := range slices.Chunk(keys, batch) {
			c.GetAll(context.Background(), some)
			c.Drain()
		}
		if fetches.n.Load() == before {
			return nil
		}
	}
	return errNotKept
}

// store writes keys in batches that fit into the write buffer of any contestant.
func store[K comparable](c Cache[K], keys []K) {
	for some := range slices.Chunk(keys, batch) {
		c.SetAll(context.Background(), some, Value{One: 1})
		c.Drain()
	}
}
