package herd

import (
	"context"
	"errors"

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
	var err error
	l.loader, err = zodiac.TryNewLoader(fetch, append(options, more...)...)
	return l, err
}

func (l *loader) Get(ctx context.Context, key uint32) (Value, error) { return l.loader.Get(ctx, key) }

func (l *loader) Delete(ctx context.Context, key uint32) error {
	_, err := l.loader.Delete(ctx, key)
	return err
}

func (l *loader) Close(ctx context.Context) error {
	return errors.Join(l.loader.Close(ctx), l.store.Close(), l.client.Close())
}
