package redisstore_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/redistest"
	"github.com/zodiac-go/zodiac/redisstore"
)

// filled returns a Store on a server with n records of some 200 bytes, the keys of the records, and
// other keys that have the same bytes without a frame.
func filled(b *testing.B, n int, deadlines bool) (s *redisstore.Store, keys, bare []string) {
	b.Helper()
	s = store(b, client(b, redistest.Start(b), func(o *redis.Options) { o.ContextTimeoutEnabled = deadlines }))
	ctx := b.Context()
	records := map[string]driver.Record{}
	p := s.Client().Pipeline()
	for i := range n {
		keys = append(keys, "zodiac::users:"+strconv.Itoa(i))
		bare = append(bare, "bare:users:12:"+strconv.Itoa(i))
		records[keys[i]] = driver.Record{Data: encoded, TTL: time.Hour}
		p.Set(ctx, bare[i], encoded, time.Hour)
	}
	if _, err := p.Exec(ctx); err != nil {
		b.Fatal(err)
	}
	if err := s.SetMany(ctx, records); err != nil {
		b.Fatal(err)
	}
	return s, keys, bare
}

// compare runs two ways of doing the same thing in turns, and reports how many times longer the
// first takes: the median of many turns.
func compare(b *testing.B, ours, bare func(context.Context)) {
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	var took [2]time.Duration
	var ratios []float64
	const turn = 20
	for i := 0; b.Loop(); i++ {
		for j, f := range []func(context.Context){ours, bare} {
			start := time.Now()
			f(ctx)
			took[j] += time.Since(start)
		}
		if i%turn == turn-1 {
			ratios = append(ratios, float64(took[0])/float64(took[1]))
			took = [2]time.Duration{}
		}
	}
	if len(ratios) > 0 {
		slices.Sort(ratios)
		b.ReportMetric(ratios[len(ratios)/2], "x-bare")
	}
}

// both runs a benchmark with a client that obeys deadlines, as the clients of Open do, and with a
// default client.
func both(b *testing.B, run func(b *testing.B, deadlines bool)) {
	b.Run("client=deadlines", func(b *testing.B) { run(b, true) })
	b.Run("client=default", func(b *testing.B) { run(b, false) })
}

// A value is what the data of a record is decoded to.
type value struct {
	ID    int64
	Name  string
	Roles []string
}

var encoded, _ = json.Marshal(value{42, strings.Repeat("name", 30), []string{"reader", "writer", "owner"}})

func decode(b *testing.B, data []byte, err error) {
	var v value
	if err = errors.Join(err, json.Unmarshal(data, &v)); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkGetData(b *testing.B) {
	both(b, func(b *testing.B, deadlines bool) {
		s, keys, bare := filled(b, 1, deadlines)
		compare(b, func(ctx context.Context) {
			r, err := s.GetData(ctx, keys[0])
			decode(b, r.Data, err)
		}, func(ctx context.Context) {
			data, err := s.Client().Get(ctx, bare[0]).Bytes()
			decode(b, data, err)
		})
	})
}

func BenchmarkGet(b *testing.B) {
	both(b, func(b *testing.B, deadlines bool) {
		s, keys, bare := filled(b, 1, deadlines)
		compare(b, func(ctx context.Context) {
			r, err := s.Get(ctx, keys[0])
			decode(b, r.Data, err)
		}, func(ctx context.Context) {
			data, err := s.Client().Get(ctx, bare[0]).Bytes()
			decode(b, data, err)
		})
	})
}

func BenchmarkGetManyData(b *testing.B) {
	both(b, func(b *testing.B, deadlines bool) {
		s, keys, bare := filled(b, 1000, deadlines)
		compare(b, func(ctx context.Context) {
			if _, errs := s.GetManyData(ctx, keys); errs[0] != nil {
				b.Fatal(errs[0])
			}
		}, func(ctx context.Context) { pipelined(ctx, b, s.Client(), bare) })
	})
}

func BenchmarkGetMany(b *testing.B) {
	both(b, func(b *testing.B, deadlines bool) {
		s, keys, bare := filled(b, 1000, deadlines)
		compare(b, func(ctx context.Context) {
			if _, errs := s.GetMany(ctx, keys); errs[0] != nil {
				b.Fatal(errs[0])
			}
		}, func(ctx context.Context) { pipelined(ctx, b, s.Client(), bare) })
	})
}

// pipelined reads keys in a pipeline of GETs, as a program without a Store would.
func pipelined(ctx context.Context, b *testing.B, c redis.UniversalClient, keys []string) {
	cmds := make([]*redis.StringCmd, len(keys))
	p := c.Pipeline()
	for i, key := range keys {
		cmds[i] = p.Get(ctx, key)
	}
	if _, err := p.Exec(ctx); err != nil {
		b.Fatal(err)
	}
	for _, cmd := range cmds {
		if _, err := cmd.Bytes(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAllocs measures the allocations of a read, which BenchmarkGet and BenchmarkGetData do
// not report: they measure two reads together.
func BenchmarkAllocs(b *testing.B) {
	s, keys, bare := filled(b, 1, true)
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	for name, f := range map[string]func(){
		"bare":    func() { _, _ = s.Client().Get(ctx, bare[0]).Bytes() },
		"getdata": func() { _, _ = s.GetData(ctx, keys[0]) },
		"get":     func() { _, _ = s.Get(ctx, keys[0]) },
	} {
		b.Run("op="+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f()
			}
		})
	}
}
