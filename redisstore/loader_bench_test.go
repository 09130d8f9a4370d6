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

// A comparison is a Loader over Redis, and the same values in Redis as bare JSON.
type comparison struct {
	client *redis.Client
	loader *zodiac.Loader[string, row]
	keys   []string
	bare   []string
}

// newComparison returns a comparison of n keys. Its client obeys deadlines, or is a default one.
func newComparison(b *testing.B, server *redistest.Server, n int, deadlines bool) *comparison {
	b.Helper()
	c := client(b, server, func(o *redis.Options) { o.ContextTimeoutEnabled, o.PoolSize = deadlines, 64 })
	fetch := func(_ context.Context, key string) (row, error) { return row{7, key, key + "@example.com"}, nil }
	r := &comparison{client: c, loader: zodiac.NewLoader(fetch, zodiac.WithName(b.Name()), zodiac.WithTTL(3600),
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

// turns measures two ways of doing the same thing in turns, and reports the median of the ratios.
func turns(b *testing.B, ours, bare func() time.Duration) {
	var ratios []float64
	for b.Loop() {
		one := bare()
		ratios = append(ratios, float64(ours())/float64(one))
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "×bare")
}

// BenchmarkLoaderHit compares a Get that hits in Redis with a bare GET that decodes the same JSON.
func BenchmarkLoaderHit(b *testing.B) {
	server := redistest.Start(b)
	for _, callers := range []int{1, 64} {
		for _, cancels := range []bool{false, true} {
			b.Run(fmt.Sprintf("callers=%d/cancels=%v", callers, cancels), func(b *testing.B) {
				both(b, func(b *testing.B, deadlines bool) {
					loaderHit(b, newComparison(b, server, 1000, deadlines), callers, cancels)
				})
			})
		}
	}
}

func loaderHit(b *testing.B, r *comparison, callers int, cancels bool) {
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

// timed returns how long callers take together for some hundred calls of do. The turns are short,
// so that other work of the machine slows both ways.
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

// BenchmarkLoaderGetMany compares a GetMany that hits in Redis with a bare pipeline of GETs that
// decodes the same JSON.
func BenchmarkLoaderGetMany(b *testing.B) {
	server := redistest.Start(b)
	both(b, func(b *testing.B, deadlines bool) {
		r := newComparison(b, server, 1000, deadlines)
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

// pipelined reads all bare values into a map.
func (r *comparison) pipelined(ctx context.Context, b *testing.B) {
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

// BenchmarkLoaderSetMany compares a SetMany with one bare pipeline of as many SETs of the same JSON.
func BenchmarkLoaderSetMany(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		b.Run(fmt.Sprint("n=", n), func(b *testing.B) {
			r := newComparison(b, redistest.Start(b), 0, true)
			ctx := context.Background()
			values := make(map[string]row, n)
			for i := range n {
				key := fmt.Sprintf("user-%d", i)
				values[key] = row{7, key, key + "@example.com"}
			}
			turns(b, func() time.Duration {
				began := time.Now()
				if err := r.loader.SetMany(ctx, values); err != nil {
					b.Fatal(err)
				}
				return time.Since(began)
			}, func() time.Duration {
				began := time.Now()
				p := r.client.Pipeline()
				for key, v := range values {
					data, err := json.Marshal(v)
					if err != nil {
						b.Fatal(err)
					}
					p.Set(ctx, "bare:"+key, data, time.Hour)
				}
				if _, err := p.Exec(ctx); err != nil {
					b.Fatal(err)
				}
				return time.Since(began)
			})
		})
	}
}

// BenchmarkLoaderMemoryHit compares a hit in memory in front of Redis with one in a Loader that has
// only memory.
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
	for front.Stats().HitMemory == 0 { // until the subscription to invalidations is confirmed
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

// BenchmarkLoaderMiss compares Gets that miss, whose fetches return at once, with the three bare
// commands that a miss costs at least: a GET, a SET of a lock, and a SET of the value.
func BenchmarkLoaderMiss(b *testing.B) {
	server := redistest.Start(b)
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			r, next := newComparison(b, server, 0, true), new(atomic.Int64)
			next.Store(int64(callers) << 32) // other keys than the other runs have
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

// BenchmarkLoaderGetManyMiss is BenchmarkLoaderMiss for a GetMany of 1,000 keys. The bare commands
// go in three pipelines.
func BenchmarkLoaderGetManyMiss(b *testing.B) {
	server := redistest.Start(b)
	r, round := newComparison(b, server, 0, true), 0
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

// miss sends the bare commands for one key.
func (r *comparison) miss(ctx context.Context, b *testing.B, key string) {
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
