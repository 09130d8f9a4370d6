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

// A cache is what a worker reads through. The methods but Close are safe for concurrent use.
type cache interface {
	Get(ctx context.Context, key uint32) (Value, error)
	Delete(ctx context.Context, key uint32) error
	Close(ctx context.Context) error
}

// A fetcher is the fetch function of a cache: it reads the origin.
type fetcher func(ctx context.Context, key uint32) (Value, error)

// modes has a constructor for each mode. addr is the address of Redis.
var modes = map[string]func(s *Scenario, addr string, fetch fetcher) (cache, error){
	"direct": func(_ *Scenario, _ string, fetch fetcher) (cache, error) { return direct{fetch}, nil },
	"none": func(s *Scenario, addr string, fetch fetcher) (cache, error) {
		return newAside(s, addr, fetch), nil
	},
	"flight": func(s *Scenario, addr string, fetch fetcher) (cache, error) {
		return &flights{aside: newAside(s, addr, fetch)}, nil
	},
	"redsync": func(s *Scenario, addr string, fetch fetcher) (cache, error) {
		a := newAside(s, addr, fetch)
		a.locks = redsync.New(goredis.NewPool(a.client))
		return &flights{aside: a}, nil
	},
}

// direct is no cache: each Get calls the fetch function.
type direct struct{ fetch fetcher }

func (d direct) Get(ctx context.Context, key uint32) (Value, error) { return d.fetch(ctx, key) }
func (d direct) Delete(context.Context, uint32) error               { return nil }
func (d direct) Close(context.Context) error                        { return nil }

// aside caches as most programs do: a Get looks into Redis, fetches if the key is absent, and
// stores the value. Without locks, concurrent Gets of an absent key all fetch.
type aside struct {
	client *redis.Client
	fetch  fetcher
	ttl    time.Duration
	locks  *redsync.Redsync // a lock in Redis for each key; or nil
}

func newAside(s *Scenario, addr string, fetch fetcher) *aside {
	return &aside{client: newClient(addr), fetch: fetch, ttl: s.ttl()}
}

// newClient returns a client whose calls end with their contexts.
func newClient(addr string) *redis.Client {
	return redis.NewClient(&redis.Options{Addr: addr, ContextTimeoutEnabled: true})
}

func (a *aside) Get(ctx context.Context, key uint32) (Value, error) {
	if v, err := a.lookup(ctx, key); err != redis.Nil { //nolint:errorlint // as go-redis documents
		return v, err
	}
	return a.load(ctx, key)
}

// lookup returns the value in Redis, or redis.Nil.
func (a *aside) lookup(ctx context.Context, key uint32) (v Value, err error) {
	data, err := a.client.Get(ctx, name(key)).Bytes()
	if err != nil {
		return v, err
	}
	return v, json.Unmarshal(data, &v)
}

// name returns the name of key in Redis.
func name(key uint32) string { return "herd:" + strconv.Itoa(int(key)) }

// load fetches and stores the value. If there are locks, it holds the one of the key meanwhile. It
// looks into Redis again when it has the lock, because the last holder may have stored the value.
func (a *aside) load(ctx context.Context, key uint32) (v Value, err error) {
	if a.locks == nil {
		return a.fetchAndSet(ctx, key)
	}
	mutex := a.locks.NewMutex("lock:" + name(key))
	if err := mutex.LockContext(ctx); err != nil {
		return v, fmt.Errorf("lock: %w", err)
	}
	defer mutex.UnlockContext(context.WithoutCancel(ctx)) //nolint:errcheck // the lock expires by itself
	if v, err := a.lookup(ctx, key); err != redis.Nil {   //nolint:errorlint // as go-redis documents
		return v, err
	}
	return a.fetchAndSet(ctx, key)
}

func (a *aside) fetchAndSet(ctx context.Context, key uint32) (Value, error) {
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

// flights is aside with one load per key and process at a time. Other Gets of the key wait for it
// and share its result, as with golang.org/x/sync/singleflight.
type flights struct {
	*aside
	mu   sync.Mutex // guards runs
	runs map[uint32]*run
}

// A run is a load under way.
type run struct {
	done  chan struct{} // closed when the fields below are set
	value Value
	err   error
}

func (f *flights) Get(ctx context.Context, key uint32) (Value, error) {
	if v, err := f.lookup(ctx, key); err != redis.Nil { //nolint:errorlint // as go-redis documents
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

// join returns the run of key, and whether the caller is the first and must end it.
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

// end releases the waiters of r. The run leaves the map first, so that a Get which comes after the
// end looks into Redis itself.
func (f *flights) end(key uint32, r *run) {
	f.mu.Lock()
	delete(f.runs, key)
	f.mu.Unlock()
	close(r.done)
}

// open makes the cache of a mode. It reaches Redis at addr.
func open(mode string, s *Scenario, addr string, fetch fetcher) (cache, error) {
	m := modes[mode]
	if m == nil {
		return nil, errors.New("herd: no mode " + strconv.Quote(mode))
	}
	return m(s, addr, fetch)
}
