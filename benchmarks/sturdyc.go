package main

import (
	"context"

	"github.com/viccon/sturdyc"
)

// sturdycCache is sturdyc's GetOrFetch with the number of shards and the eviction percentage of its
// README. Its keys are strings. With another K, a call includes making the string.
type sturdycCache[K comparable] struct {
	cache *sturdyc.Client[Value]
	setup[K]
}

func newSturdyc[K comparable](s setup[K]) Cache[K] {
	const shards, evictionPercentage = 10, 10
	// No entry expires within a run, and the goroutine that removes expired entries cannot be
	// ended.
	client := sturdyc.New[Value](s.capacity, shards, s.ttl, evictionPercentage,
		sturdyc.WithNoContinuousEvictions())
	return &sturdycCache[K]{cache: client, setup: s}
}

func (c *sturdycCache[K]) GetAll(ctx context.Context, keys []K) (sum uint64) {
	for _, k := range keys {
		v, _ := c.Get(ctx, k)
		sum += v.One
	}
	return sum
}

func (c *sturdycCache[K]) SetAll(_ context.Context, keys []K, v Value) int {
	for _, k := range keys {
		c.cache.Set(c.text(k), v)
	}
	return 0
}

func (c *sturdycCache[K]) Get(ctx context.Context, k K) (Value, error) {
	return c.cache.GetOrFetch(ctx, c.text(k), func(ctx context.Context) (Value, error) {
		return c.fetch(ctx, k)
	})
}

func (c *sturdycCache[K]) Drain() {}

func (c *sturdycCache[K]) Len() int { return c.cache.Size() }

func (c *sturdycCache[K]) Close() {}
