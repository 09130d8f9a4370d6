package redisstore_test

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/redistest"
)

func TestStalledServerHoldsNoCallerPastItsDeadline(t *testing.T) {
	for name, wrap := range map[string]func(*redis.Client) redis.UniversalClient{
		"Default":  func(c *redis.Client) redis.UniversalClient { return c },
		"Embedded": func(c *redis.Client) redis.UniversalClient { return &embedded{c} },
		"WithDeadlines": func(c *redis.Client) redis.UniversalClient {
			o := *c.Options()
			o.ContextTimeoutEnabled = true
			c = redis.NewClient(&o)
			t.Cleanup(func() { _ = c.Close() })
			return c
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t)
			s := store(t, wrap(client(t, server, nil)))
			must(t, s.Set(t.Context(), key, minute("v")))
			must(t, server.Stop())
			for what, f := range map[string]func(context.Context) error{
				"Get":     func(ctx context.Context) error { _, err := s.Get(ctx, key); return err },
				"GetData": func(ctx context.Context) error { _, err := s.GetData(ctx, key); return err },
				"GetMany": func(ctx context.Context) error { _, errs := s.GetMany(ctx, []string{key}); return errs[0] },
				"Set":     func(ctx context.Context) error { return s.Set(ctx, key, minute("w")) },
				"SetMany": func(ctx context.Context) error {
					return s.SetMany(ctx, map[string]driver.Record{key: minute("w"), "other": minute("w")})
				},
				"Clear": func(ctx context.Context) error { _, err := s.Clear(ctx, "zodiac::"); return err },
			} {
				ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
				start := time.Now()
				err := f(ctx)
				cancel()
				if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took > 500*time.Millisecond {
					t.Errorf("%s = %v after %v; want DeadlineExceeded after 50ms", what, err, took)
				}
			}
			must(t, server.Cont())
			if r, err := s.Get(t.Context(), key); err != nil || len(r.Data) != 1 {
				t.Errorf("Get after the server goes on = %q, %v; want v or w", r.Data, err)
			}
		})
	}
}

// An embedded client is not a *redis.Client, so the Store cannot make it obey deadlines.
type embedded struct{ *redis.Client }

func TestCancelledCallWithoutADeadlineReturnsSoon(t *testing.T) {
	server := redistest.Start(t)
	s := store(t, client(t, server, func(o *redis.Options) { o.ContextTimeoutEnabled = true }))
	must(t, s.Set(t.Context(), key, minute("v")))
	must(t, server.Stop())
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	start := time.Now()
	_, err := s.Get(ctx, key)
	if took := time.Since(start); !errors.Is(err, context.Canceled) || took > time.Second {
		t.Errorf("Get = %v after %v; want Canceled soon after 50ms", err, took)
	}
	must(t, server.Cont())
}

// The Store makes the commands it sends through a default client obey deadlines, without
// goroutines. It does not change the client's options, and uses its hooks and connections.
func TestDefaultClientObeysDeadlinesAndIsNotChanged(t *testing.T) {
	server := redistest.Start(t)
	c := client(t, server, func(o *redis.Options) { o.ReadTimeout, o.WriteTimeout = 4*time.Second, 3*time.Second })
	h := &counter{}
	c.AddHook(h)
	before := *c.Options()
	s := store(t, c)
	h.trips = 0
	must(t, s.Set(t.Context(), key, minute("v"))) // INFO, EVALSHA, EVAL
	_, err := s.GetData(t.Context(), key)
	must(t, err)
	if h.trips != 4 {
		t.Errorf("a hook of the client saw %d commands; want 4", h.trips)
	}
	_, err = s.Get(t.Context(), key)
	must(t, err)
	if h.trips != 5 {
		t.Errorf("a hook of the client saw %d commands and pipelines; want 5", h.trips)
	}
	after := *c.Options()
	if after.ContextTimeoutEnabled || after.ReadTimeout != before.ReadTimeout || after.WriteTimeout != before.WriteTimeout {
		t.Errorf("the client's options are now %+v; want no change", after)
	}
	if n := c.PoolStats().TotalConns; n > 2 {
		t.Errorf("the client has %d connections; want at most 2", n)
	}
	must(t, server.Stop())
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.GetData(ctx, key); !errors.Is(err, context.DeadlineExceeded) || s.Stats().Stuck > 0 {
		t.Errorf("GetData = %v, %d commands stuck; want DeadlineExceeded and none", err, s.Stats().Stuck)
	}
	must(t, server.Cont())
	must(t, s.Close())
	must(t, c.Ping(t.Context()).Err())
}

func TestCommandFailsAtOnceWhile64AreStuck(t *testing.T) {
	server := redistest.Start(t)
	s := store(t, &embedded{client(t, server, func(o *redis.Options) { o.PoolSize = 200 })})
	must(t, s.Set(t.Context(), key, minute("v")))
	must(t, server.Stop())
	for begun := time.Now(); s.Stats().Stuck < 64; {
		if time.Since(begun) > 2*time.Second {
			t.Fatalf("%d commands are stuck; want 64", s.Stats().Stuck)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		var callers sync.WaitGroup
		for range 64 {
			callers.Go(func() { _, _ = s.GetData(ctx, key) })
		}
		callers.Wait()
		cancel()
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	start := time.Now()
	_, err := s.GetData(ctx, key)
	const want = "redisstore: 64 commands still wait for the server after their callers have returned; " +
		"set ContextTimeoutEnabled in the client's options, and check the server"
	if err == nil || err.Error() != want || time.Since(start) > time.Second {
		t.Errorf("the 65th GetData = %v after %v; want at once %s", err, time.Since(start), want)
	}
	must(t, server.Cont())
	for deadline := time.Now().Add(5 * time.Second); s.Stats().Stuck > 0; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d commands are still stuck", s.Stats().Stuck)
		}
	}
	_, err = s.GetData(ctx, key)
	must(t, err)
}

// On a full server, whatever frees memory or needs none still works: leases are renewed and end,
// and records are removed or get another time to live.
func TestFullServerRefusesOnlyNewRecordsAndLeases(t *testing.T) {
	s := store(t, client(t, redistest.Start(t), nil))
	ctx := t.Context()
	const second = key + "2"
	forever := driver.Record{Data: []byte("v"), TTL: driver.Forever}
	for name, r := range map[string]driver.Record{"Placeholder": {}, "Record": minute("v"), "RecordForEver": forever} {
		t.Run(name, func(t *testing.T) {
			must(t, s.Client().ConfigSet(ctx, "maxmemory", "0").Err())
			must(t, s.Client().FlushDB(ctx).Err())
			if r.TTL > 0 {
				must(t, s.Set(ctx, key, r))
			}
			seen, _ := s.Get(ctx, key)
			c := acquire(t, s, driver.Ask{Seen: seen.Version})
			must(t, s.Client().ConfigSet(ctx, "maxmemory", "1").Err())

			if _, err := s.Acquire(ctx, second, driver.Ask{Token: asked, Lease: time.Second}); err == nil {
				t.Fatal("the server is not full")
			}
			if b := acquire(t, s, driver.Ask{Token: asked + "2", Seen: seen.Version}); b.State != driver.Busy {
				t.Errorf("Acquire = %v; want busy", b.State)
			}
			if ok, err := s.Renew(ctx, key, c.Token, time.Hour); !ok || err != nil {
				t.Errorf("Renew = %v, %v; want true", ok, err)
			}
			if ok, err := s.Expire(ctx, key, time.Minute); ok != (r.TTL > 0) || err != nil {
				t.Errorf("Expire = %v, %v; want %v", ok, err, r.TTL > 0)
			}
			if ok, err := s.Commit(ctx, key, c.Token, minute("w")); ok || err == nil {
				t.Errorf("Commit = %v, %v; want the server's error", ok, err)
			}
			if ok, err := s.Abort(ctx, key, c.Token); !ok || err != nil {
				t.Errorf("Abort = %v, %v; want true", ok, err)
			}
			if _, err := s.Get(ctx, key); (err == nil) != (r.TTL > 0) {
				t.Errorf("Get after Abort = %v", err)
			}
			if n, err := s.Delete(ctx, key); (n == 1) != (r.TTL > 0) || err != nil {
				t.Errorf("Delete = %d, %v", n, err)
			}
		})
	}
	t.Run("Clear", func(t *testing.T) {
		must(t, s.Client().ConfigSet(ctx, "maxmemory", "0").Err())
		must(t, s.Set(ctx, key, minute("v")))
		r, _ := s.Get(ctx, key)
		c := acquire(t, s, driver.Ask{Seen: r.Version})
		_, err := s.Acquire(ctx, second, driver.Ask{Token: asked, Lease: time.Second})
		must(t, err)
		must(t, s.Client().ConfigSet(ctx, "maxmemory", "1").Err())
		if n, err := s.Clear(ctx, "zodiac::"); n != 1 || err != nil {
			t.Errorf("Clear = %d, %v; want 1", n, err)
		}
		if ok, err := s.Commit(ctx, key, c.Token, minute("w")); ok || err != nil {
			t.Errorf("Commit after Clear = %v, %v; want false", ok, err)
		}
	})
}

// A cut is a connection that is lost between a command and its reply, once armed is set.
type cut struct {
	net.Conn
	armed *atomic.Bool
}

func (c cut) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err == nil && c.armed.Swap(false) {
		_ = c.Close()
		return 0, io.EOF
	}
	return n, err
}

// The client sends a command again if it gets no reply. A late copy of an Add must not be carried
// out after a Delete, since it would bring the deleted record back.
func TestClientDoesNotSendAnAddAgain(t *testing.T) {
	server := redistest.Start(t)
	var armed atomic.Bool
	s := store(t, client(t, server, func(o *redis.Options) {
		o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			return cut{c, &armed}, err
		}
	}))
	ctx := t.Context()
	sent := func(f func() error) (int64, error) {
		must(t, f()) // the server knows the script now
		must(t, s.Client().Del(ctx, key).Err())
		must(t, s.Client().ConfigResetStat(ctx).Err())
		armed.Store(true)
		err := f()
		if armed.Load() {
			t.Fatal("the connection was not cut")
		}
		stats := s.Client().Info(ctx, "commandstats").Val()
		_, rest, _ := strings.Cut(stats, "cmdstat_evalsha:calls=")
		n, _, _ := strings.Cut(rest, ",")
		calls, _ := strconv.ParseInt(n, 10, 64)
		return calls, err
	}
	if n, err := sent(func() error { _, err := s.Add(ctx, key, minute("v")); return err }); n != 1 || err == nil {
		t.Errorf("Add was sent %d times, and returned %v; want once, and an error", n, err)
	}
	if n, err := sent(func() error { return s.Set(ctx, key, minute("v")) }); n != 2 || err != nil {
		t.Errorf("Set was sent %d times, and returned %v; want twice, and nil", n, err)
	}
}
