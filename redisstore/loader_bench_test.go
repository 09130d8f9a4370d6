package redisstore_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
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

// BenchmarkLoaderHit measures a Get that hits in Redis beside a bare GET and the decoding of the same JSON, in turns, and reports the
// median of the ratios. A caller whose context can end costs a goroutine more.
func BenchmarkLoaderHit(b *testing.B) {
	server := redistest.Start(b)
	for _, callers := range []int{1, 64} {
		for _, cancels := range []bool{false, true} {
			b.Run(fmt.Sprintf("callers=%d/cancels=%v", callers, cancels), func(b *testing.B) {
				c := redis.NewClient(&redis.Options{Addr: server.Addr(), ContextTimeoutEnabled: true, PoolSize: 64})
				defer c.Close()
				ctx := context.Background()
				if cancels {
					var cancel context.CancelFunc
					ctx, cancel = context.WithCancel(ctx)
					defer cancel()
				}
				keys := make([]string, 1000)
				fetch := func(_ context.Context, key string) (row, error) { return row{7, key, key + "@example.com"}, nil }
				l := zodiac.NewLoader(fetch, zodiac.WithName(b.Name()), zodiac.WithTTL(3600), zodiac.WithStore(redisstore.New(c)))
				defer l.Close(ctx)
				for i := range keys {
					keys[i] = fmt.Sprintf("user-%d", i)
					v, err := l.Get(ctx, keys[i])
					if err != nil {
						b.Fatal(err)
					}
					data, _ := json.Marshal(v)
					c.Set(ctx, "bare:"+keys[i], data, time.Hour)
				}
				bare := func(key string) {
					var v row
					if data, err := c.Get(ctx, "bare:"+key).Bytes(); err != nil || gojson.Unmarshal(data, &v) != nil {
						b.Error(err)
					}
				}
				get := func(key string) {
					if _, err := l.Get(ctx, key); err != nil {
						b.Error(err)
					}
				}
				var ratios []float64
				for b.Loop() {
					one := timed(callers, keys, bare)
					two := timed(callers, keys, get)
					ratios = append(ratios, float64(two)/float64(one))
				}
				slices.Sort(ratios)
				b.ReportMetric(ratios[len(ratios)/2], "×bare")
			})
		}
	}
}

// timed returns how long callers take to ask for all keys several times over.
func timed(callers int, keys []string, do func(string)) time.Duration {
	began := time.Now()
	var wg sync.WaitGroup
	for g := range callers {
		wg.Go(func() {
			for i := g; i < 2*len(keys); i += callers {
				do(keys[i%len(keys)])
			}
		})
	}
	wg.Wait()
	return time.Since(began)
}
