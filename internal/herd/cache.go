package herd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/go-redsync/redsync/v4"
	"github.com/go-redsync/redsync/v4/redis/goredis/v9"
	"github.com/redis/go-redis/v9"
)

// A cache is what a worker reads through.
type cache interface {
	Get(ctx context.Context, key uint32) (Value, error)
	Delete(ctx context.Context, key uint32) error
	Close(ctx context.Context) error
}

// A fetcher is the slow function.
type fetcher func(ctx context.Context, key uint32) (Value, error)

// modes make the caches, over a Redis at an address, that workers can have.
var modes = map[string]func(s *Scenario, addr string, fetch fetcher) (cache, error){
	"direct": func(_ *Scenario, _ string, fetch fetcher) (cache, error) { return direct{fetch}, nil },
	"none":   func(s *Scenario, addr string, fetch fetcher) (cache, error) { return newAside(s, addr, fetch), nil },
	"flight": func(s *Scenario, addr string, fetch fetcher) (cache, error) {
		return &flights{aside: newAside(s, addr, fetch)}, nil
	},
	"redsync": func(s *Scenario, addr string, fetch fetcher) (cache, error) {
		a := newAside(s, addr, fetch)
		a.locks = redsync.New(goredis.NewPool(a.client))
		return &flights{aside: a}, nil
	},
}

// direct has no cache at all.
type direct struct{ fetch fetcher }

func (d direct) Get(ctx context.Context, key uint32) (Value, error) { return d.fetch(ctx, key) }
func (d direct) Delete(context.Context, uint32) error               { return nil }
func (d direct) Close(context.Context) error                        { return nil }

// aside is how most programs cache: look, fetch, put it there. Without locks nobody knows of anybody else's fetch.
type aside struct {
	client *redis.Client
	fetch  fetcher
	ttl    time.Duration
	locks  *redsync.Redsync // or nil
}

func newAside(s *Scenario, addr string, fetch fetcher) *aside {
	return &aside{client: newClient(addr), fetch: fetch, ttl: s.ttl()}
}

// newClient returns a client whose calls end with their contexts.
func newClient(addr string) *redis.Client {
	return redis.NewClient(&redis.Options{Addr: addr, ContextTimeoutEnabled: true})
}

func (a *aside) Get(ctx context.Context, key uint32) (Value, error) {
	if v, err := a.look(ctx, key); err != redis.Nil { //nolint:errorlint // as it is documented
		return v, err
	}
	return a.load(ctx, key)
}

func (a *aside) look(ctx context.Context, key uint32) (v Value, err error) {
	data, err := a.client.Get(ctx, name(key)).Bytes()
	if err != nil {
		return v, err
	}
	return v, json.Unmarshal(data, &v)
}

func name(key uint32) string { return "herd:" + strconv.Itoa(int(key)) }

// load fetches and stores, under the lock if there is one; with the lock, others may have been first.
func (a *aside) load(ctx context.Context, key uint32) (v Value, err error) {
	if a.locks == nil {
		return a.produce(ctx, key)
	}
	mutex := a.locks.NewMutex("lock:" + name(key))
	if err := mutex.LockContext(ctx); err != nil {
		return v, fmt.Errorf("lock: %w", err)
	}
	defer mutex.UnlockContext(context.WithoutCancel(ctx)) //nolint:errcheck // it has an end of its own
	if v, err := a.look(ctx, key); err != redis.Nil {     //nolint:errorlint // as it is documented
		return v, err
	}
	return a.produce(ctx, key)
}

func (a *aside) produce(ctx context.Context, key uint32) (Value, error) {
	v, err := a.fetch(ctx, key)
	if err != nil {
		return v, err
	}
	data, err := json.Marshal(v)
	if err != nil {
		return v, err
	}
	return v, a.client.Set(ctx, name(key), data, a.ttl).Err()
}

func (a *aside) Delete(ctx context.Context, key uint32) error {
	return a.client.Del(ctx, name(key)).Err()
}

func (a *aside) Close(context.Context) error { return a.client.Close() }

// flights is aside with the misses of the process shared, as golang.org/x/sync/singleflight shares them.
type flights struct {
	*aside
	mu   sync.Mutex // guards runs
	runs map[uint32]*run
}

type run struct {
	done  chan struct{} // closed when what is below is there
	value Value
	err   error
}

func (f *flights) Get(ctx context.Context, key uint32) (Value, error) {
	if v, err := f.look(ctx, key); err != redis.Nil { //nolint:errorlint // as it is documented
		return v, err
	}
	r, first := f.join(key)
	if first {
		r.value, r.err = f.load(ctx, key)
		f.end(key, r)
	}
	<-r.done
	return r.value, r.err
}

func (f *flights) join(key uint32) (r *run, first bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r := f.runs[key]; r != nil {
		return r, false
	}
	if f.runs == nil {
		f.runs = map[uint32]*run{}
	}
	r = &run{done: make(chan struct{})}
	f.runs[key] = r
	return r, true
}

func (f *flights) end(key uint32, r *run) {
	f.mu.Lock()
	delete(f.runs, key)
	f.mu.Unlock()
	close(r.done)
}

// open makes the cache of a mode.
func open(mode string, s *Scenario, addr string, fetch fetcher) (cache, error) {
	m := modes[mode]
	if m == nil {
		return nil, errors.New("herd: there is no mode " + strconv.Quote(mode))
	}
	return m(s, addr, fetch)
}
