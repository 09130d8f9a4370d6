package main

import (
	"context"
	"runtime"

	"github.com/jellydator/ttlcache/v3"
)

// ttlCache is ttlcache with a loader that shares loads. A hit does not extend the lifetime, since
// lifetimes of all contestants count from the write.
type ttlCache[K comparable] struct {
	cache *ttlcache.Cache[K, Value]
	ended chan struct{} // closed when the goroutine that removes expired entries has ended
}

func newTTLCache[K comparable](s setup[K]) Cache[K] {
	// Loaders of ttlcache get no context and cannot return an error. A nil item means no value.
	load := ttlcache.LoaderFunc[K, Value](func(c *ttlcache.Cache[K, Value], k K) *ttlcache.Item[K, Value] {
		v, err := s.fetch(context.Background(), k)
		if err != nil {
			return nil
		}
		return c.Set(k, v, ttlcache.DefaultTTL)
	})
	c := &ttlCache[K]{
		cache: ttlcache.New(
			ttlcache.WithTTL[K, Value](s.ttl),
			ttlcache.WithCapacity[K, Value](uint64(s.capacity)),
			ttlcache.WithDisableTouchOnHit[K, Value](),
			ttlcache.WithLoader(ttlcache.NewSuppressedLoader(load, nil)),
		),
		ended: make(chan struct{}),
	}
	go func() {
		defer close(c.ended)
		c.cache.Start()
	}()
	return c
}

func (c *ttlCache[K]) GetAll(_ context.Context, keys []K) (sum uint64) {
	for _, k := range keys {
		if item := c.cache.Get(k); item != nil {
			sum += item.Value().One
		}
	}
	return sum
}

func (c *ttlCache[K]) SetAll(_ context.Context, keys []K, v Value) int {
	for _, k := range keys {
		c.cache.Set(k, v, ttlcache.DefaultTTL)
	}
	return 0
}

func (c *ttlCache[K]) Get(_ context.Context, k K) (Value, error) {
	return c.cache.Get(k).Value(), nil
}

func (c *ttlCache[K]) Drain() {}

func (c *ttlCache[K]) Len() int { return c.cache.Len() }

// Close calls Stop until the goroutine has ended, because Stop does nothing before Start has begun.
func (c *ttlCache[K]) Close() {
	for {
		c.cache.Stop()
		select {
		case <-c.ended:
			return
		default:
			runtime.Gosched()
		}
	}
}
