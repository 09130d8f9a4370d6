package main

import (
	"context"

	"github.com/dgraph-io/ristretto/v2"
	"golang.org/x/sync/singleflight"
)

// ristrettoCache is ristretto with a singleflight.Group, since ristretto does not load.
type ristrettoCache[K Key] struct {
	cache *ristretto.Cache[K, Value]
	setup[K]
	group singleflight.Group
}

func newRistretto[K Key](s setup[K]) Cache[K] {
	config := &ristretto.Config[K, Value]{
		NumCounters: 10 * int64(s.capacity), // ten times the entries, as its documentation advises
		MaxCost:     int64(s.capacity),
		BufferItems: 64,
		// Otherwise each entry costs 56 more than the 1 given here, and fewer fit.
		IgnoreInternalCost: true,
	}
	return &ristrettoCache[K]{cache: must(ristretto.NewCache(config)), setup: s}
}

func (c *ristrettoCache[K]) GetAll(ctx context.Context, keys []K) (sum uint64) {
	for _, k := range keys {
		v, ok := c.cache.Get(k)
		if !ok {
			v, _ = c.load(ctx, k)
		}
		sum += v.One
	}
	return sum
}

func (c *ristrettoCache[K]) load(ctx context.Context, k K) (Value, error) {
	v, err, _ := c.group.Do(c.text(k), func() (any, error) {
		if v, ok := c.cache.Get(k); ok {
			return v, nil // another flight ended after the caller's lookup and before this one began
		}
		v, err := c.fetch(ctx, k)
		if err == nil {
			c.cache.SetWithTTL(k, v, 1, c.ttl)
		}
		return v, err
	})
	return v.(Value), err
}

func (c *ristrettoCache[K]) SetAll(_ context.Context, keys []K, v Value) (refused int) {
	for _, k := range keys {
		if !c.cache.SetWithTTL(k, v, 1, c.ttl) {
			refused++
		}
	}
	return refused
}

func (c *ristrettoCache[K]) Get(ctx context.Context, k K) (Value, error) {
	if v, ok := c.cache.Get(k); ok {
		return v, nil
	}
	return c.load(ctx, k)
}

func (c *ristrettoCache[K]) Drain() { c.cache.Wait() }

func (c *ristrettoCache[K]) Len() int {
	return int(c.cache.MaxCost() - c.cache.RemainingCost()) // each entry costs 1
}

func (c *ristrettoCache[K]) Close() { c.cache.Close() }
