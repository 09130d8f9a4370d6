package main

import (
	"context"
	"runtime"
	"time"

	"github.com/Yiling-J/theine-go"
	"github.com/dgraph-io/ristretto/v2"
	"github.com/hashicorp/golang-lru/v2/expirable"
	"github.com/jellydator/ttlcache/v3"
	"github.com/maypok86/otter/v2"
	"github.com/puzpuzpuz/xsync/v4"
	"github.com/viccon/sturdyc"
	"golang.org/x/sync/singleflight"
)

// Each peer is set up as its own documentation recommends for get-or-load, bounded by the same number of entries and
// with the same lifetime since the write.

// otterCache is otter with a Loader, which has it share loads of one key.
type otterCache[K comparable] struct {
	cache  *otter.Cache[K, Value]
	loader otter.Loader[K, Value]
	stop   func() // of its clock
}

func newOtter[K comparable](s setup[K]) Cache[K] {
	return &otterCache[K]{
		cache:  otter.Must(otterOptions(s)),
		loader: otter.LoaderFunc[K, Value](s.fetch),
		stop:   func() {},
	}
}

// newOtterCoarse is otter with its optional coarse clock, which its documentation offers to those who want cheaper
// reads and can bear entries that live up to a tick too long. zodiac has a coarse clock always, with exact expiry, so
// both settings of otter stand beside it where hits are timed.
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

// newOtterInline is otter with its maintenance run on the caller, for judging what its policy keeps.
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

func (c *otterCache[K]) Settle() { c.cache.CleanUp() }

func (c *otterCache[K]) Len() int { return c.cache.EstimatedSize() }

func (c *otterCache[K]) Close() {
	c.cache.StopAllGoroutines()
	c.stop()
}

// theineCache is theine's loading cache.
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

func (c *theineCache[K]) Settle() { c.cache.Wait() }

func (c *theineCache[K]) Len() int { return c.cache.Len() }

func (c *theineCache[K]) Close() { c.cache.Close() }

// ristrettoCache is ristretto with a singleflight.Group beside it, since it shares no loads itself.
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
		// Else each entry would cost 56 more than the 1 given to it and the capacity were another.
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
			return v, nil // from a flight that landed between the caller's look and this one's start
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

func (c *ristrettoCache[K]) Settle() { c.cache.Wait() }

func (c *ristrettoCache[K]) Len() int {
	return int(c.cache.MaxCost() - c.cache.RemainingCost()) // every entry costs 1
}

func (c *ristrettoCache[K]) Close() { c.cache.Close() }

// golangLRU is golang-lru's expirable LRU, likewise with a singleflight.Group.
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
			return v, nil // from a flight that landed between the caller's look and this one's start
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

func (c *golangLRU[K]) Settle() {}

func (c *golangLRU[K]) Len() int { return c.cache.Len() }

// Close empties the cache. Its goroutine cannot be ended; it wakes a hundred times per lifetime and finds nothing.
func (c *golangLRU[K]) Close() { c.cache.Purge() }

// sturdycCache is sturdyc's GetOrFetch with the shards and the eviction percentage of its README. Its keys are
// strings: with any other K, making the string is part of the call.
type sturdycCache[K comparable] struct {
	cache *sturdyc.Client[Value]
	setup[K]
}

func newSturdyc[K comparable](s setup[K]) Cache[K] {
	const shards, evictionPercentage = 10, 10
	// Nothing expires within a run, and the goroutine that looks for what has expired cannot be ended.
	client := sturdyc.New[Value](s.capacity, shards, s.ttl, evictionPercentage, sturdyc.WithNoContinuousEvictions())
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

func (c *sturdycCache[K]) Settle() {}

func (c *sturdycCache[K]) Len() int { return c.cache.Size() }

func (c *sturdycCache[K]) Close() {}

// ttlCache is ttlcache with a loader that shares loads. Touching on hits is off, since a lifetime counts from the
// write for everyone here.
type ttlCache[K comparable] struct {
	cache *ttlcache.Cache[K, Value]
	ended chan struct{} // closed when the goroutine that expires entries has returned
}

func newTTLCache[K comparable](s setup[K]) Cache[K] {
	// Its loaders get no context and cannot return an error; nil is its "no value".
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

func (c *ttlCache[K]) Settle() {}

func (c *ttlCache[K]) Len() int { return c.cache.Len() }

// Close asks until it is heard: Stop does nothing while Start has not begun.
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

// xsyncMap is the map alone.
type xsyncMap[K comparable] struct {
	values *xsync.Map[K, Value]
}

func newXsync[K comparable](setup[K]) Cache[K] {
	return &xsyncMap[K]{values: xsync.NewMap[K, Value]()}
}

func (c *xsyncMap[K]) GetAll(_ context.Context, keys []K) (sum uint64) {
	for _, k := range keys {
		v, _ := c.values.Load(k)
		sum += v.One
	}
	return sum
}

func (c *xsyncMap[K]) SetAll(_ context.Context, keys []K, v Value) int {
	for _, k := range keys {
		c.values.Store(k, v)
	}
	return 0
}

func (c *xsyncMap[K]) Get(_ context.Context, k K) (Value, error) {
	v, _ := c.values.Load(k)
	return v, nil
}

func (c *xsyncMap[K]) Settle() {}

func (c *xsyncMap[K]) Len() int { return c.values.Size() }

func (c *xsyncMap[K]) Close() {}

// must is for constructors whose only errors are wrong settings.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
