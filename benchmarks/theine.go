package main

import (
	"context"
	"time"

	"github.com/Yiling-J/theine-go"
)

// theineCache is the loading cache of theine.
type theineCache[K comparable] struct {
	cache *theine.LoadingCache[K, Value]
	ttl   time.Duration
}

func newTheine[K comparable](s setup[K]) Cache[K] {
	load := func(ctx context.Context, k K) (theine.Loaded[Value], error) {
		v, err := s.fetch(ctx, k)
		return theine.Loaded[Value]{Value: v, Cost: 1, TTL: s.ttl}, err
	}
	return &theineCache[K]{
		cache: must(theine.NewBuilder[K, Value](int64(s.capacity)).Loading(load).Build()),
		ttl:   s.ttl,
	}
}

func (c *theineCache[K]) GetAll(ctx context.Context, keys []K) (sum uint64) {
	for _, k := range keys {
		v, _ := c.cache.Get(ctx, k)
		sum += v.One
	}
	return sum
}

func (c *theineCache[K]) SetAll(_ context.Context, keys []K, v Value) (refused int) {
	for _, k := range keys {
		if !c.cache.SetWithTTL(k, v, 1, c.ttl) {
			refused++
		}
	}
	return refused
}

func (c *theineCache[K]) Get(ctx context.Context, k K) (Value, error) { return c.cache.Get(ctx, k) }

func (c *theineCache[K]) Drain() { c.cache.Wait() }

func (c *theineCache[K]) Len() int { return c.cache.Len() }

func (c *theineCache[K]) Close() { c.cache.Close() }
