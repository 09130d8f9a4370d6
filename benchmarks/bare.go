package main

import (
	"context"
	"sync"

	"github.com/puzpuzpuz/xsync/v4"
)

// bareFlight is the least with which callers can share a fetch and each still be free to leave: a
// goroutine for the fetch, a context with the first caller's values but without its end, a channel
// to wait on, and a map of the fetches under way. It does not store what it fetches. No cache that
// runs its fetches in this way can have a cheaper miss.
type bareFlight struct {
	fetch  func(context.Context, int64) (Value, error)
	values *xsync.Map[int64, Value] // what SetAll has stored; for Get, which the question cold uses

	mu      sync.Mutex // guards flights
	flights map[int64]*flight
}

// A flight is a fetch under way.
type flight struct {
	done  chan struct{} // closed when the fields below are set
	value Value
	err   error
}

func newBareFlight(s setup[int64]) Cache[int64] {
	return &bareFlight{fetch: s.fetch, values: xsync.NewMap[int64, Value](), flights: map[int64]*flight{}}
}

// GetAll starts or joins a flight for each key. It does not look up the values that SetAll stored.
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

// fly joins the flight of k, or starts one, and waits for its result.
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

// run is the goroutine of a flight. It ends with the fetch.
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

func (c *bareFlight) Drain() {}

func (c *bareFlight) Len() int { return c.values.Size() }

func (c *bareFlight) Close() {}
