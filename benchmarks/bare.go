package main

import (
	"context"
	"sync"

	"github.com/puzpuzpuz/xsync/v4"
)

// bareFlight is the least that can be called sharing a fetch between callers who may each leave: a goroutine, a context
// with the caller's values but not its end, a channel to wait on and a map to find each other in. It stores nothing.
// A cache that runs its fetches so cannot miss for less.
type bareFlight struct {
	fetch  func(context.Context, int64) (Value, error)
	values *xsync.Map[int64, Value] // what SetAll stored: for Get, which the question cold uses

	mu      sync.Mutex
	flights map[int64]*flight
}

type flight struct {
	done  chan struct{}
	value Value
	err   error
}

func newBareFlight(s setup[int64]) Cache[int64] {
	return &bareFlight{fetch: s.fetch, values: xsync.NewMap[int64, Value](), flights: map[int64]*flight{}}
}

// GetAll goes by flights alone, without looking for the keys among the values.
func (c *bareFlight) GetAll(ctx context.Context, keys []int64) (sum uint64) {
	for _, k := range keys {
		v, _ := c.fly(ctx, k)
		sum += v.One
	}
	return sum
}

func (c *bareFlight) Get(ctx context.Context, k int64) (Value, error) {
	if v, ok := c.values.Load(k); ok {
		return v, nil
	}
	return c.fly(ctx, k)
}

func (c *bareFlight) fly(ctx context.Context, k int64) (Value, error) {
	c.mu.Lock()
	f, ok := c.flights[k]
	if !ok {
		f = &flight{done: make(chan struct{})}
		c.flights[k] = f
		ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		go c.run(ctx, cancel, k, f)
	}
	c.mu.Unlock()
	<-f.done
	return f.value, f.err
}

func (c *bareFlight) run(ctx context.Context, cancel context.CancelFunc, k int64, f *flight) {
	f.value, f.err = c.fetch(ctx, k)
	cancel()
	c.mu.Lock()
	delete(c.flights, k)
	c.mu.Unlock()
	close(f.done)
}

func (c *bareFlight) SetAll(_ context.Context, keys []int64, v Value) int {
	for _, k := range keys {
		c.values.Store(k, v)
	}
	return 0
}

func (c *bareFlight) Settle() {}

func (c *bareFlight) Len() int { return c.values.Size() }

func (c *bareFlight) Close() {}
