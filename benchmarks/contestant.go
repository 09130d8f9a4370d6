package main

import (
	"context"
	"strconv"
	"sync/atomic"
	"time"
)

// Value is what every contestant caches: 64 bytes, about the size of a small record.
type Value struct {
	One  uint64 // always 1, so that the sum over a batch of reads is the number of reads
	Rest [7]uint64
}

// Key is a key every contestant can take. ristretto has a closed list of key types, which sets this limit.
type Key interface{ int64 | string }

// Cache is a contestant doing whole get-or-load calls.
//
// The methods that are timed take batches and loop inside, each over its own library's concrete type: no contestant
// pays an interface call or a closure per operation, so the loop costs all of them the same nanosecond or less.
type Cache[K comparable] interface {
	// GetAll reads keys in order, loading what is absent, and returns the sum of Value.One. An error leaves its
	// value zero and so shows in the sum.
	GetAll(ctx context.Context, keys []K) uint64
	// SetAll stores v under each key and returns how many of the writes the cache itself says it refused.
	SetAll(ctx context.Context, keys []K, v Value) (refused int)
	// Get is one call of the kind GetAll makes, for questions about waiting rather than nanoseconds.
	Get(ctx context.Context, key K) (Value, error)
	// Settle returns when the writes so far have reached the eviction policy of a cache that evicts in the
	// background; elsewhere it does nothing.
	Settle()
	// Len is the number of entries held.
	Len() int
	// Close ends the cache's goroutines where the library has a way to.
	Close()
}

// setup is what every contestant of one comparison is built from.
type setup[K comparable] struct {
	capacity int
	ttl      time.Duration
	fetch    func(context.Context, K) (Value, error)
	text     func(K) string // for libraries whose caches or flights take only strings
}

// contestant names a way to build a Cache.
type contestant[K comparable] struct {
	name string
	make func(setup[K]) Cache[K]
}

// base is the contestant all ratios are taken to.
const base = "otter"

// loaders returns the contestants that do the whole get-or-load call. The order is that of the tables.
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

// limit is the bare lock-free map: no expiry, no bound, no loading. Nothing built on it can be faster.
func limit[K Key]() contestant[K] {
	return contestant[K]{"xsync.Map", newXsync[K]}
}

// counter counts fetches.
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
