package main

import (
	"context"

	"github.com/hashicorp/golang-lru/v2/expirable"
	"golang.org/x/sync/singleflight"
)

// golangLRU is the expirable LRU of golang-lru with a singleflight.Group, since golang-lru does not
// load.
type golangLRU[K comparable] struct {
	cache *expirable.LRU[K, Value]
	setup[K]
	group singleflight.Group
}

func newGolangLRU[K comparable](s setup[K]) Cache[K] {
	return &golangLRU[K]{cache: expirable.NewLRU[K, Value](s.capacity, nil, s.ttl), setup: s}
}

func (c *golangLRU[K]) GetAll(ctx context.Context, keys []K) (sum uint64) {
	for _, k := range keys {
		v, ok := c.cache.Get(k)
		if !ok {
			v, _ = c.load(ctx, k)
		}
		sum += v.One
	}
	return sum
}

func (c *golangLRU[K]) load(ctx context.Context, k K) (Value, error) {
	v, err, _ := c.group.Do(c.text(k), func() (any, error) {
		if v, ok := c.cache.Get(k); ok {
			return v, nil // another flight ended after the caller's lookup and before this one began
		}
		v, err := c.fetch(ctx, k)
		if err == nil {
			c.cache.Add(k, v)
		}
		return v, err
	})
	return v.(Value), err
}

func (c *golangLRU[K]) SetAll(_ context.Context, keys []K, v Value) int {
	for _, k := range keys {
		c.cache.Add(k, v)
	}
	return 0
}

func (c *golangLRU[K]) Get(ctx context.Context, k K) (Value, error) {
	if v, ok := c.cache.Get(k); ok {
		return v, nil
	}
	return c.load(ctx, k)
}

func (c *golangLRU[K]) Drain() {}

func (c *golangLRU[K]) Len() int { return c.cache.Len() }

// Close empties the cache. The library cannot end its goroutine, which wakes a hundred times per
// lifetime and finds nothing.
func (c *golangLRU[K]) Close() { c.cache.Purge() }
