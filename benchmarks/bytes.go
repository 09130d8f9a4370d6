package main

import (
	"context"
	"fmt"
	"math"
	"runtime"
)

// bytes measures the heap per entry: an int64 key, a 64-byte value, its expiry, and its share of
// everything else that the cache allocates.
func (b *bench) bytes() error {
	n := b.size(1_000_000, 5_000)
	cs := append(loaders[int64](), limit[int64]())
	var held []string
	var costs []figure
	for _, c := range cs {
		var found bytesFound
		if err := b.child("bytes", bytesArgs{Name: c.name, Entries: n}, &found); err != nil {
			return err
		}
		held = append(held, fmt.Sprint(found.Held))
		costs = append(costs, figure{Value: float64(found.Bytes) / float64(found.Held)})
	}
	otter := costs[indexOf(cs, base)].Value
	for i := range costs {
		costs[i].Ratio = costs[i].Value / otter
	}
	t := table{
		title: fmt.Sprintf("bytes: heap per entry (ratio to otter), "+
			"%d entries written to a cache of that capacity", n),
		first: "contestant",
	}
	for _, c := range cs {
		t.rows = append(t.rows, c.name)
	}
	t.column("bytes per entry", "B", costs)
	t.texts("entries held", held)
	t.notes = []string{
		"The growth of the live heap divided by the entries held, measured once, in a process for each cache. " +
			"72 B are the key and the value themselves.",
		"Some caches with shards hold a little less than their capacity, and some evict in blocks.",
	}
	return b.show("bytes", t)
}

type bytesArgs struct {
	Name    string
	Entries int
}

type bytesFound struct {
	Held  int
	Bytes int64
}

// bytesChild measures one contestant, in a process of its own.
func bytesChild(args bytesArgs) (bytesFound, error) {
	cs := append(loaders[int64](), limit[int64]())
	at := indexOf(cs, args.Name)
	if at < 0 {
		return bytesFound{}, fmt.Errorf("no contestant %q", args.Name)
	}
	before := liveHeap()
	var fetches counter
	c := cs[at].make(setup[int64]{
		capacity: args.Entries, ttl: lifetime, fetch: countingFetch[int64](&fetches), text: int64Text,
	})
	for i := range args.Entries {
		c.SetAll(context.Background(), []int64{int64(i)}, Value{One: 1})
		if i%batch == 0 {
			c.Drain()
		}
	}
	c.Drain()
	found := bytesFound{Bytes: liveHeap() - before, Held: c.Len()}
	runtime.KeepAlive(c)
	if found.Held == 0 || found.Bytes <= 0 || found.Held > math.MaxInt32 {
		return found, fmt.Errorf("%s holds %d entries in %d bytes", args.Name, found.Held, found.Bytes)
	}
	return found, nil
}

// liveHeap returns the bytes of live heap objects. It runs the garbage collector twice, because the
// contents of a sync.Pool survive one run.
func liveHeap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
