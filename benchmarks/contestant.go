package main

import (
	"context"
	"strconv"
	"sync/atomic"
	"time"
)

// A Value is what every contestant caches: 64 bytes, about the size of a small record.
type Value struct {
	One  uint64 // always 1, so that the sum over a batch of reads is the number of reads
	Rest [7]uint64
}

// Key is the types of keys that every contestant accepts. ristretto accepts a fixed list of types.
type Key interface{ int64 | string }

// A Cache is a library under test, behind an adapter. Each adapter has a file of its own, named for
// the library.
//
// The methods that are timed take batches of keys. They loop over the batch with calls of their
// library's concrete type. So no contestant pays an interface call or a closure per operation, and
// the loop costs each of them the same: a nanosecond or less per operation.
type Cache[K comparable] interface {
	// GetAll makes a get-or-load call for each key, in order, and returns the sum of the
	// values' One. A call that fails adds nothing, so the caller notices it in the sum.
	GetAll(ctx context.Context, keys []K) uint64
	// SetAll stores v under each key. It returns how many of the writes the library reports to
	// have refused.
	SetAll(ctx context.Context, keys []K, v Value) (refused int)
	// Get makes one get-or-load call. It is for questions about waiting.
	Get(ctx context.Context, key K) (Value, error)
	// Drain waits until the eviction policy has processed all writes so far, if the library
	// evicts in the background. Otherwise it does nothing.
	Drain()
	// Len returns the number of entries held.
	Len() int
	// Close ends the goroutines of the cache, if the library can.
	Close()
}

// A setup is what a contestant is built from. All contestants of a comparison get the same one.
type setup[K comparable] struct {
	capacity int           // in entries
	ttl      time.Duration // from the write
	fetch    func(context.Context, K) (Value, error)
	text     func(K) string // for libraries whose caches or flights accept only strings
}

// A contestant is a name and a way to build a Cache.
type contestant[K comparable] struct {
	name string
	make func(setup[K]) Cache[K]
}

// base is the contestant to which the ratios are taken.
const base = "otter"

// loaders returns the contestants that load, in the order of the tables. Each is set up as its own
// documentation recommends for get-or-load calls.
func loaders[K Key]() []contestant[K] {
	return []contestant[K]{
		{"zodiac", newZodiac[K]},
		{base, newOtter[K]},
		{"theine", newTheine[K]},
		{"ristretto", newRistretto[K]},
		{"golang-lru", newGolangLRU[K]},
		{"sturdyc", newSturdyc[K]},
		{"ttlcache", newTTLCache[K]},
	}
}

// limit returns a lock-free map without expiry, bound or loading. No cache built on it can be
// faster.
func limit[K Key]() contestant[K] {
	return contestant[K]{"xsync.Map", newXsync[K]}
}

// A counter counts fetches.
type counter struct{ n atomic.Int64 }

// countingFetch returns a fetch function that costs next to nothing and counts its calls.
func countingFetch[K comparable](c *counter) func(context.Context, K) (Value, error) {
	return func(context.Context, K) (Value, error) {
		c.n.Add(1)
		return Value{One: 1}, nil
	}
}

func int64Text(k int64) string   { return strconv.FormatInt(k, 10) }
func stringText(k string) string { return k }

// must returns v and panics if err is not nil. It is for constructors that fail on wrong settings
// only.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
