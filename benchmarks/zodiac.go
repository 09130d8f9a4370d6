package main

import (
	"context"

	"github.com/zodiac-go/zodiac"
)

// zodiacCache is a zodiac Loader.
type zodiacCache[K comparable] struct {
	loader *zodiac.Loader[K, Value]
}

func newZodiac[K comparable](s setup[K]) Cache[K] {
	return newZodiacWith(s)
}

// newZodiacWith builds a Loader with opts in addition to those of s.
func newZodiacWith[K comparable](s setup[K], opts ...zodiac.Option) Cache[K] {
	opts = append([]zodiac.Option{zodiac.WithTTL(s.ttl), zodiac.WithCapacity(s.capacity)}, opts...)
	return &zodiacCache[K]{loader: zodiac.NewLoader(s.fetch, opts...)}
}

func (c *zodiacCache[K]) GetAll(ctx context.Context, keys []K) (sum uint64) {
	for _, k := range keys {
		v, _ := c.loader.Get(ctx, k)
		sum += v.One
	}
	return sum
}

func (c *zodiacCache[K]) SetAll(ctx context.Context, keys []K, v Value) (refused int) {
	for _, k := range keys {
		if c.loader.Set(ctx, k, v) != nil {
			refused++
		}
	}
	return refused
}

func (c *zodiacCache[K]) Get(ctx context.Context, k K) (Value, error) { return c.loader.Get(ctx, k) }

func (c *zodiacCache[K]) Drain() {}

func (c *zodiacCache[K]) Len() int { return c.loader.Len() }

func (c *zodiacCache[K]) Close() { _ = c.loader.Close(context.Background()) }
