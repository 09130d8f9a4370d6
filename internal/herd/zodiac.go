package herd

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/redis/go-redis/v9"

	"github.com/zodiac-go/zodiac"
	"github.com/zodiac-go/zodiac/redisstore"
)

func init() {
	modes["zodiac"] = func(s *Scenario, addr string, fetch fetcher) (cache, error) {
		return newLoader(s, addr, fetch)
	}
	modes["zodiac-memory"] = func(s *Scenario, addr string, fetch fetcher) (cache, error) {
		return newLoader(s, addr, fetch, zodiac.WithMemory(s.keep()))
	}
}

// loader is a zodiac Loader over Redis, set up as a program would.
type loader struct {
	client *redis.Client
	store  *redisstore.Store
	loader *zodiac.Loader[uint32, Value]
}

func newLoader(s *Scenario, addr string, fetch fetcher, more ...zodiac.Option) (cache, error) {
	l := &loader{client: newClient(addr)}
	l.store = redisstore.New(l.client)
	options := []zodiac.Option{
		zodiac.WithName("rows"),
		zodiac.WithStore(l.store),
		zodiac.WithTTL(s.ttl()),
		zodiac.WithLease(s.lease()),
		zodiac.WithStoreTimeout(s.storeTimeout()),
	}
	if s.Refreshes != 0 {
		options = append(options, zodiac.WithTags("row"))
	}
	var err error
	l.loader, err = zodiac.TryNewLoader(fetch, append(options, more...)...)
	return l, err
}

func (l *loader) Get(ctx context.Context, key uint32) (Value, error) { return l.loader.Get(ctx, key) }

// Refresh implements refresher.
func (l *loader) Refresh(ctx context.Context, key uint32) (Value, error) {
	return l.loader.Refresh(ctx, key)
}

// Remove implements refresher.
func (l *loader) Remove(ctx context.Context, key uint32) {
	switch rand.IntN(10) {
	case 0:
		_, _ = l.loader.Clear(ctx)
	case 1:
		_ = l.loader.DeleteTags(ctx, "row")
	default:
		l.client.Del(ctx, fmt.Sprint("zodiac::rows:", key))
	}
}

func (l *loader) Delete(ctx context.Context, key uint32) error {
	_, err := l.loader.Delete(ctx, key)
	return err
}

func (l *loader) Close(ctx context.Context) error {
	return errors.Join(l.loader.Close(ctx), l.store.Close(), l.client.Close())
}
