package main

import (
	"context"
	"time"

	"github.com/maypok86/otter/v2"
)

// otterCache is otter with a Loader. Concurrent calls for one key share a load.
type otterCache[K comparable] struct {
	cache  *otter.Cache[K, Value]
	loader otter.Loader[K, Value]
	stop   func() // stops the coarse clock, if there is one
}

func newOtter[K comparable](s setup[K]) Cache[K] {
	return &otterCache[K]{
		cache:  otter.Must(otterOptions(s)),
		loader: otter.LoaderFunc[K, Value](s.fetch),
		stop:   func() {},
	}
}

// newOtterCoarse returns otter with its optional coarse clock. Its documentation offers this clock
// to programs that want cheaper reads and accept entries which live up to a tick too long. zodiac
// always has a coarse clock, but its expiry is exact. So the question hit compares it with both
// settings of otter.
func newOtterCoarse[K comparable](s setup[K]) Cache[K] {
	clock := otter.NewCoarseClock(20 * time.Millisecond)
	o := otterOptions(s)
	o.Clock = clock
	return &otterCache[K]{
		cache:  otter.Must(o),
		loader: otter.LoaderFunc[K, Value](s.fetch),
		stop:   clock.Stop,
	}
}

// newOtterInline returns otter with its maintenance on the caller's goroutine. The question ratio
// uses it.
func newOtterInline[K comparable](s setup[K]) Cache[K] {
	o := otterOptions(s)
	o.Executor = func(fn func()) { fn() }
	return &otterCache[K]{
		cache:  otter.Must(o),
		loader: otter.LoaderFunc[K, Value](s.fetch),
		stop:   func() {},
	}
}

func otterOptions[K comparable](s setup[K]) *otter.Options[K, Value] {
	return &otter.Options[K, Value]{
		MaximumSize:      s.capacity,
		ExpiryCalculator: otter.ExpiryWriting[K, Value](s.ttl),
	}
}

func (c *otterCache[K]) GetAll(ctx context.Context, keys []K) (sum uint64) {
	for _, k := range keys {
		v, _ := c.cache.Get(ctx, k, c.loader)
		sum += v.One
	}
	return sum
}

func (c *otterCache[K]) SetAll(_ context.Context, keys []K, v Value) int {
	for _, k := range keys {
		c.cache.Set(k, v)
	}
	return 0
}

func (c *otterCache[K]) Get(ctx context.Context, k K) (Value, error) {
	return c.cache.Get(ctx, k, c.loader)
}

func (c *otterCache[K]) Drain() { c.cache.CleanUp() }

func (c *otterCache[K]) Len() int { return c.cache.EstimatedSize() }

func (c *otterCache[K]) Close() {
	c.cache.StopAllGoroutines()
	c.stop()
}
