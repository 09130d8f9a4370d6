package redisstore_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gojson "github.com/goccy/go-json"
	"github.com/redis/go-redis/v9"

	"github.com/zodiac-go/zodiac"
	"github.com/zodiac-go/zodiac/internal/redistest"
	"github.com/zodiac-go/zodiac/redisstore"
)

type row struct {
	ID    int64
	Name  string
	Email string
}

// A rivalry is a Loader over Redis, and the same values as bare JSON there.
type rivalry struct {
	client *redis.Client
	loader *zodiac.Loader[string, row]
	keys   []string
	bare   []string
}

// rivals returns a rivalry of n keys on a client that heeds contexts, or a default one.
func rivals(b *testing.B, server *redistest.Server, n int, heeds bool) *rivalry {
	b.Helper()
	c := client(b, server, func(o *redis.Options) { o.ContextTimeoutEnabled, o.PoolSize = heeds, 64 })
	fetch := func(_ context.Context, key string) (row, error) { return row{7, key, key + "@example.com"}, nil }
	r := &rivalry{client: c, loader: zodiac.NewLoader(fetch, zodiac.WithName(b.Name()), zodiac.WithTTL(3600),
		zodiac.WithStore(redisstore.New(c)))}
	ctx := context.Background()
	b.Cleanup(func() { _ = r.loader.Close(ctx) })
	for i := range n {
		r.keys = append(r.keys, fmt.Sprintf("user-%d", i))
		r.bare = append(r.bare, "bare:"+r.keys[i])
		v, err := r.loader.Get(ctx, r.keys[i])
		if err != nil {
			b.Fatal(err)
		}
		data, _ := json.Marshal(v)
		c.Set(ctx, r.bare[i], data, time.Hour)
	}
	return r
}

// turns measures two ways of doing the same in turns, and reports the median of the ratios.
func turns(b *testing.B, ours, bare func() time.Duration) {
	var ratios []float64
	for b.Loop() {
		one := bare()
		ratios = append(ratios, float64(ours())/float64(one))
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "×bare")
}

// BenchmarkLoaderHit measures a Get that hits in Redis beside a bare GET and the decoding of the same JSON.
func BenchmarkLoaderHit(b *testing.B) {
	server := redistest.Start(b)
	for _, callers := range []int{1, 64} {
		for _, cancels := range []bool{false, true} {
			b.Run(fmt.Sprintf("callers=%d/cancels=%v", callers, cancels), func(b *testing.B) {
				both(b, func(b *testing.B, heeds bool) { loaderHit(b, rivals(b, server, 1000, heeds), callers, cancels) })
			})
		}
	}
}

func loaderHit(b *testing.B, r *rivalry, callers int, cancels bool) {
	ctx := context.Background()
	if cancels {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
	}
	bare := func(i int) {
		var v row
		if data, err := r.client.Get(ctx, r.bare[i]).Bytes(); err != nil || gojson.Unmarshal(data, &v) != nil {
			b.Error(err)
		}
	}
	get := func(i int) {
		if _, err := r.loader.Get(ctx, r.keys[i]); err != nil {
			b.Error(err)
		}
	}
	turns(b, func() time.Duration { return timed(callers, len(r.keys), get) },
		func() time.Duration { return timed(callers, len(r.keys), bare) })
}

// timed returns how long callers take to ask for some hundred keys: turns are short, so that what else the machine does falls on both.
func timed(callers, keys int, do func(int)) time.Duration {
	began := time.Now()
	var wg sync.WaitGroup
	for g := range callers {
		wg.Go(func() {
			for i := g; i < max(200, 10*callers); i += callers {
				do(i % keys)
			}
		})
	}
	wg.Wait()
	return time.Since(began)
}

// BenchmarkLoaderGetMany measures a GetMany that hits in Redis beside a bare pipeline of GETs and the decoding of the same JSON.
func BenchmarkLoaderGetMany(b *testing.B) {
	server := redistest.Start(b)
	both(b, func(b *testing.B, heeds bool) {
		r := rivals(b, server, 1000, heeds)
		ctx := context.Background()
		turns(b, func() time.Duration {
			began := time.Now()
			if got, err := r.loader.GetMany(ctx, r.keys); err != nil || len(got) != len(r.keys) {
				b.Fatal(len(got), err)
			}
			return time.Since(began)
		}, func() time.Duration {
			began := time.Now()
			r.pipelined(ctx, b)
			return time.Since(began)
		})
	})
}

// pipelined gets all the bare values into a map.
func (r *rivalry) pipelined(ctx context.Context, b *testing.B) {
	p := r.client.Pipeline()
	cmds := make([]*redis.StringCmd, len(r.bare))
	for i, key := range r.bare {
		cmds[i] = p.Get(ctx, key)
	}
	if _, err := p.Exec(ctx); err != nil {
		b.Fatal(err)
	}
	got := make(map[string]row, len(cmds))
	for i, cmd := range cmds {
		var v row
		if data, err := cmd.Bytes(); err != nil || gojson.Unmarshal(data, &v) != nil {
			b.Fatal(err)
		}
		got[r.keys[i]] = v
	}
}

// BenchmarkLoaderMemoryHit measures a hit in memory in front of Redis beside one in memory alone.
func BenchmarkLoaderMemoryHit(b *testing.B) {
	server := redistest.Start(b)
	ctx := context.Background()
	c := client(b, server, nil)
	fetch := func(_ context.Context, id int64) (row, error) { return row{ID: id}, nil }
	opts := zodiac.Options{zodiac.WithName("hits"), zodiac.WithTTL(3600)}
	alone := zodiac.NewLoader(fetch, opts)
	front := zodiac.NewLoader(fetch, opts, zodiac.WithStore(store(b, c)), zodiac.WithMemory(1800))
	defer alone.Close(ctx)
	defer front.Close(ctx)
	for front.Stats().HitMemory == 0 { // until what others invalidate is heard
		if _, err := front.Get(ctx, 0); err != nil {
			b.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
	hits := func(l *zodiac.Loader[int64, row]) time.Duration {
		began := time.Now()
		for i := range int64(100_000) {
			if _, err := l.Get(ctx, i%1000); err != nil {
				b.Error(err)
			}
		}
		return time.Since(began)
	}
	hits(alone)
	hits(front)
	turns(b, func() time.Duration { return hits(front) }, func() time.Duration { return hits(alone) })
}

// BenchmarkLoaderMiss measures Gets that miss, whose function returns at once, beside the three commands that each costs at least,
// bare: a GET, a SET of a lock, and a SET of the value.
func BenchmarkLoaderMiss(b *testing.B) {
	server := redistest.Start(b)
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			r, next := rivals(b, server, 0, true), new(atomic.Int64)
			next.Store(int64(callers) << 32) // other keys than the others have
			ctx := context.Background()
			turns(b, func() time.Duration {
				return timed(callers, 1, func(int) {
					if _, err := r.loader.Get(ctx, fmt.Sprintf("ours-%d", next.Add(1))); err != nil {
						b.Error(err)
					}
				})
			}, func() time.Duration {
				return timed(callers, 1, func(int) { r.miss(ctx, b, fmt.Sprintf("bare-%d", next.Add(1))) })
			})
		})
	}
}

// BenchmarkLoaderGetManyMiss is BenchmarkLoaderMiss for GetMany of 1,000 keys, and the bare commands in three pipelines.
func BenchmarkLoaderGetManyMiss(b *testing.B) {
	server := redistest.Start(b)
	r, round := rivals(b, server, 0, true), 0
	ctx := context.Background()
	names := func(prefix string) []string {
		all := make([]string, 1000)
		for i := range all {
			all[i] = fmt.Sprintf("%s-%d-%d", prefix, round, i)
		}
		return all
	}
	turns(b, func() time.Duration {
		round++
		keys := names("ours")
		began := time.Now()
		if got, err := r.loader.GetMany(ctx, keys); err != nil || len(got) != len(keys) {
			b.Fatal(len(got), err)
		}
		return time.Since(began)
	}, func() time.Duration {
		keys := names("bare")
		began := time.Now()
		for _, add := range []func(redis.Pipeliner, string){
			func(p redis.Pipeliner, key string) { p.Get(ctx, key) },
			func(p redis.Pipeliner, key string) { p.SetNX(ctx, key+":lock", "me", time.Second) },
			func(p redis.Pipeliner, key string) { p.Set(ctx, key, `{"ID":7}`, time.Hour) },
		} {
			p := r.client.Pipeline()
			for _, key := range keys {
				add(p, key)
			}
			if _, err := p.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
				b.Fatal(err)
			}
		}
		return time.Since(began)
	})
}

func (r *rivalry) miss(ctx context.Context, b *testing.B, key string) {
	if err := r.client.Get(ctx, key).Err(); !errors.Is(err, redis.Nil) {
		b.Error(err)
	}
	if err := r.client.Set(ctx, key+":lock", "me", time.Second).Err(); err != nil {
		b.Error(err)
	}
	if err := r.client.Set(ctx, key, `{"ID":7}`, time.Hour).Err(); err != nil {
		b.Error(err)
	}
}
