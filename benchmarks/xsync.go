package main

import (
	"context"

	"github.com/puzpuzpuz/xsync/v4"
)

// xsyncMap is the map of xsync alone: no expiry, no bound, no loading.
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

func (c *xsyncMap[K]) Drain() {}

func (c *xsyncMap[K]) Len() int { return c.values.Size() }

func (c *xsyncMap[K]) Close() {}
