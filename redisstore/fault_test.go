package redisstore_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
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
	"github.com/zodiac-go/zodiac/redisstore"
)

func TestStalledServerHoldsNobodyPastTheirContext(t *testing.T) {
	for name, wrap := range map[string]func(*redis.Client) redis.UniversalClient{
		"Default":  func(c *redis.Client) redis.UniversalClient { return c },
		"Embedded": func(c *redis.Client) redis.UniversalClient { return &embedded{c} },
		"Heeding": func(c *redis.Client) redis.UniversalClient {
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
					t.Errorf("%s = %v after %v; want the context's error after 50ms", what, err, took)
				}
			}
			must(t, server.Cont())
			if r, err := s.Get(t.Context(), key); err != nil || len(r.Data) != 1 {
				t.Errorf("Get of the server that goes on = %q, %v", r.Data, err)
			}
		})
	}
}

// An embedded client is not one whose timeouts can be changed.
type embedded struct{ *redis.Client }

func TestCancelledCallReturnsSoon(t *testing.T) {
	server := redistest.Start(t)
	s := store(t, client(t, server, func(o *redis.Options) { o.ContextTimeoutEnabled = true }))
	must(t, s.Set(t.Context(), key, minute("v")))
	must(t, server.Stop())
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	start := time.Now()
	_, err := s.Get(ctx, key)
	if took := time.Since(start); !errors.Is(err, context.Canceled) || took > time.Second {
		t.Errorf("Get = %v after %v; its context was cancelled after 50ms", err, took)
	}
	must(t, server.Cont())
}

// Commands of a default client end with their contexts, without goroutines; the client notices nothing but its hooks.
func TestDefaultClientStaysAsItIs(t *testing.T) {
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
		t.Errorf("a hook of the client has seen %d commands; want 4", h.trips)
	}
	_, err = s.Get(t.Context(), key)
	must(t, err)
	if h.trips != 5 {
		t.Errorf("a hook of the client has seen %d commands and pipelines; want 5", h.trips)
	}
	after := *c.Options()
	if after.ContextTimeoutEnabled || after.ReadTimeout != before.ReadTimeout || after.WriteTimeout != before.WriteTimeout {
		t.Errorf("the client's options are %+v; want them as they were", after)
	}
	if n := c.PoolStats().TotalConns; n > 2 {
		t.Errorf("%d connections; want those of the client", n)
	}
	must(t, server.Stop())
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.GetData(ctx, key); !errors.Is(err, context.DeadlineExceeded) || s.Stats().Stuck > 0 {
		t.Errorf("GetData = %v, %d stuck; want the context's error, and nothing left behind", err, s.Stats().Stuck)
	}
	must(t, server.Cont())
	must(t, s.Close())
	must(t, c.Ping(t.Context()).Err())
}

func TestManyStuckCommandsFailAtOnce(t *testing.T) {
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
	if err == nil || !strings.Contains(err.Error(), "ContextTimeoutEnabled") || time.Since(start) > time.Second {
		t.Errorf("the 65th = %v after %v; want at once what to do", err, time.Since(start))
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

func TestErrorsSayWhatToDo(t *testing.T) {
	full := func(t *testing.T) *redisstore.Store {
		s := store(t, client(t, redistest.Start(t), nil))
		must(t, s.Client().ConfigSet(t.Context(), "maxmemory", "1").Err())
		return s
	}
	replica := func(t *testing.T) *redisstore.Store {
		s := store(t, client(t, redistest.Start(t), nil))
		must(t, s.Client().Do(t.Context(), "replicaof", "127.0.0.1", "1").Err())
		return s
	}
	limited := func(t *testing.T) *redisstore.Store {
		server := redistest.Start(t)
		must(t, client(t, server, nil).Do(t.Context(), "acl", "setuser", "u", "on", ">p", "~other:*", "&*", "+@all").Err())
		return redisstore.New(client(t, server, func(o *redis.Options) { o.Username, o.Password = "u", "p" }))
	}
	stranger := func(t *testing.T) *redisstore.Store {
		return redisstore.New(client(t, redistest.Start(t, "--requirepass", "p"), nil))
	}
	mistaken := func(t *testing.T) *redisstore.Store {
		return redisstore.New(client(t, redistest.Start(t, "--requirepass", "p"), func(o *redis.Options) { o.Password = "q" }))
	}
	node := func(t *testing.T) *redisstore.Store {
		return redisstore.New(client(t, redistest.Start(t, "--cluster-enabled", "yes"), nil))
	}
	for _, tt := range []struct {
		name string
		open func(*testing.T) *redisstore.Store
		want string
	}{
		{"full", full, "maxmemory-policy"},
		{"replica", replica, "address of the master"},
		{"limited", limited, "zodiac:*"},
		{"stranger", stranger, "user name and password"},
		{"mistaken", mistaken, "are wrong"},
		{"node", node, "no node serves"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := tt.open(t)
			err := s.Set(t.Context(), key, minute("v"))
			if _, said := errors.AsType[redis.Error](err); !said || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Set = %v; want the server's error with %q", err, tt.want)
			}
		})
	}
	t.Run("full/deletes", func(t *testing.T) {
		s := store(t, client(t, redistest.Start(t), nil))
		must(t, s.Set(t.Context(), key, minute("v")))
		must(t, s.Client().ConfigSet(t.Context(), "maxmemory", "1").Err())
		if n, err := s.Delete(t.Context(), key); n != 1 || err != nil {
			t.Errorf("Delete on a full server = %d, %v; want 1", n, err)
		}
	})
}

// gaps subscribes and returns a channel that receives when the gap comes.
func gaps(t *testing.T, s *redisstore.Store) <-chan time.Time {
	t.Helper()
	gap := make(chan time.Time, 1)
	stop, err := s.Subscribe(t.Context(), func(a driver.Invalidation) {
		if a.Gap {
			gap <- time.Now()
		}
	})
	must(t, err)
	t.Cleanup(stop)
	return gap
}

func within(t *testing.T, limit time.Duration, what string, happened <-chan time.Time) {
	t.Helper()
	select {
	case <-happened:
	case <-time.After(limit):
		t.Errorf("no %s within %v", what, limit)
	}
}

func TestLostSubscriptionIsAGap(t *testing.T) {
	server := redistest.Start(t)
	for name, lose := range map[string]func(*redisstore.Store) error{
		"killed": func(s *redisstore.Store) error {
			return s.Client().Do(t.Context(), "client", "kill", "type", "pubsub").Err()
		},
		"silent":    func(*redisstore.Store) error { return server.Stop() },
		"restarted": func(*redisstore.Store) error { return server.Restart() },
		"gone":      func(*redisstore.Store) error { server.Kill(); return nil },
		"closed":    func(s *redisstore.Store) error { return s.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			must(t, server.Restart())
			s := store(t, client(t, server, nil))
			gap := gaps(t, s)
			must(t, lose(s))
			within(t, 2*time.Second, "gap", gap)
		})
	}
}

func TestSubscriptionLivesWhileNothingIsSaid(t *testing.T) {
	s := store(t, client(t, redistest.Start(t), nil))
	gap := gaps(t, s)
	select {
	case <-gap:
		t.Error("a gap without a loss")
	case <-time.After(2500 * time.Millisecond):
	}
}

func TestWaitersAreWokenByALossAndServedAgain(t *testing.T) {
	s := store(t, client(t, redistest.Start(t), nil))
	ctx := t.Context()
	woken, stop := s.Wake(ctx, key)
	defer stop()
	wake := func(why string) {
		t.Helper()
		select {
		case <-woken:
		case <-time.After(5 * time.Second):
			t.Fatalf("not woken by %s", why)
		}
	}
	wake("the confirmed subscription")
	must(t, s.Client().Do(ctx, "client", "kill", "type", "pubsub").Err())
	wake("the loss")
	wake("the subscription made anew")
	c := acquire(t, s, driver.Ask{})
	if busy := acquire(t, s, driver.Ask{Token: asked + "2"}); busy.State != driver.Busy {
		t.Fatalf("Acquire = %v; want busy", busy.State)
	}
	if ok, err := s.Commit(ctx, key, c.Token, minute("v")); !ok {
		t.Fatal(err)
	}
	wake("the commit")
}

func TestRefusedChannelIsCountedAndReportedOnce(t *testing.T) {
	server := redistest.Start(t)
	ctx := t.Context()
	must(t, client(t, server, nil).Do(ctx, "acl", "setuser", "u", "on", ">p", "~*", "resetchannels", "+@all").Err())
	var log strings.Builder
	s := redisstore.New(client(t, server, func(o *redis.Options) { o.Username, o.Password = "u", "p" }),
		redisstore.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	defer s.Close()
	for range 2 {
		c := acquire(t, s, driver.Ask{})
		acquire(t, s, driver.Ask{Token: asked + "2"})
		if ok, err := s.Commit(ctx, key, c.Token, minute("v")); !ok || err != nil {
			t.Fatalf("Commit = %v, %v; want true: only the wake-up is refused", ok, err)
		}
		_, err := s.Delete(ctx, key)
		must(t, err)
	}
	if n := s.Stats().WakesRefused; n != 2 || strings.Count(log.String(), "wake-ups") != 1 {
		t.Errorf("WakesRefused = %d; want 2. Log: %s; want one line", n, log.String())
	}
	if _, err := s.Subscribe(ctx, func(driver.Invalidation) {}); err == nil || !strings.Contains(err.Error(), "NOPERM") {
		t.Errorf("Subscribe = %v; want NOPERM", err)
	}
	if err := s.Publish(ctx, driver.Invalidation{Prefix: "a"}); err == nil || !strings.Contains(err.Error(), "NOPERM") {
		t.Errorf("Announce = %v; want NOPERM", err)
	}
}

func TestNobodyWaitingNothingIsPublished(t *testing.T) {
	s := store(t, client(t, redistest.Start(t), nil))
	ctx := t.Context()
	got, _ := spent(t, s, func() {
		c := acquire(t, s, driver.Ask{})
		_, err := s.Commit(ctx, key, c.Token, minute("v"))
		must(t, err)
		_, err = s.Delete(ctx, key)
		must(t, err)
	})
	if got["publish"] != 0 {
		t.Errorf("%d messages for nobody", got["publish"])
	}
}

func TestSubscriptionEndsWhenNobodyIsInterested(t *testing.T) {
	s := store(t, client(t, redistest.Start(t), nil))
	ctx := t.Context()
	for range 3 {
		_, stop := s.Wake(ctx, key)
		unsubscribe, err := s.Subscribe(ctx, func(driver.Invalidation) {})
		must(t, err)
		stop()
		unsubscribe()
	}
	channels := func() int { return len(s.Client().PubSubChannels(ctx, "*").Val()) }
	if n := channels(); n != 1 {
		t.Errorf("%d channels; want one", n)
	}
	for deadline := time.Now().Add(4 * time.Second); channels() > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the subscription stays")
		}
	}
}

// What frees memory, or needs none, works on a full server: leases end and are renewed, records go.
func TestFullServerRefusesOnlyWhatIsStored(t *testing.T) {
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

// A cut is a connection that is lost, when armed, after a command was sent and before the answer has come.
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

// A copy of Acquire, Commit or Abort does no harm; but one of Add, coming after a Delete, would bring back what was deleted.
func TestAddIsNotSentAgainAndOthersAre(t *testing.T) {
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
		must(t, f()) // the server knows the script
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
		t.Errorf("Add was sent %d times, %v; want once, and an error", n, err)
	}
	if n, err := sent(func() error { return s.Set(ctx, key, minute("v")) }); n != 2 || err != nil {
		t.Errorf("Set was sent %d times, %v; want twice", n, err)
	}
}
