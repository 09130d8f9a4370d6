package remote

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/record"
)

// A shardedStore keeps the keys that end with a letter in the shard of that letter.
type shardedStore struct {
	*fakeStore
	mu   sync.Mutex
	dead map[string]bool
}

func newShardedStore(t *testing.T) *shardedStore {
	s := &shardedStore{fakeStore: newStore(t), dead: make(map[string]bool)}
	s.setBefore(func(_ context.Context, op, key string) error {
		if op != "GetMany" && s.isDead(key) {
			return errDown
		}
		return nil
	})
	return s
}

func (s *shardedStore) Shard(key string) string { return key[len(key)-1:] }

func (s *shardedStore) isDead(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dead[s.Shard(key)]
}

func (s *shardedStore) kill(shard string, dead bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dead[shard] = dead
}

// GetMany fails for the keys of dead shards only.
func (s *shardedStore) GetMany(ctx context.Context, keys []string) ([]driver.Record, []error) {
	records, errs := s.fakeStore.GetMany(ctx, keys)
	for i, key := range keys {
		if s.isDead(key) {
			records[i], errs[i] = driver.Record{}, errDown
		}
	}
	return records, errs
}

func (s *shardedStore) GetManyData(ctx context.Context, keys []string) ([]driver.Record, []error) {
	return s.GetMany(ctx, keys)
}

func sharded(s *shardedStore) func(*Config) { return func(cfg *Config) { cfg.Store = s } }

func readOne(t *testing.T, c *Client, key string) error {
	t.Helper()
	b := c.NewBudget()
	_, err := c.Read(t.Context(), &b, key)
	return err
}

func TestDeadShardKeepsNoOtherFromBeingAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShardedStore(t)
		var mu sync.Mutex
		var logged []string
		c := newClient(t, s.fakeStore, sharded(s), func(cfg *Config) {
			cfg.Log = func(_ slog.Level, msg string, args ...any) {
				mu.Lock()
				defer mu.Unlock()
				logged = append(logged, fmt.Sprint(msg, args))
			}
		})
		s.kill("a", true)
		for range 20 {
			readOne(t, c, "1a")
			if err := readOne(t, c, "1b"); !errors.Is(err, driver.ErrMiss) {
				t.Fatalf("a read of a shard that is well = %v", err)
			}
		}
		if n := s.count("Get"); n != breakAfter+20 {
			t.Errorf("%d commands were sent; want %d", n, breakAfter+20)
		}
		time.Sleep(breakFor + 1)
		readOne(t, c, "1b") // begins a probe of the other shard
		synctest.Wait()
		cmds := s.commands("Get")
		probed := false
		for _, cmd := range cmds[breakAfter+20:] {
			probed = probed || cmd.key == "1a"
		}
		if !probed {
			t.Errorf("sent: %v; want a probe by the last key that failed", cmds[breakAfter+20:])
		}
		s.kill("a", false)
		time.Sleep(breakFor + 1)
		readOne(t, c, "2a")
		synctest.Wait()
		if err := readOne(t, c, "2a"); !errors.Is(err, driver.ErrMiss) || c.backend.failing.Load() != 0 {
			t.Errorf("a read after the probe = %v", err)
		}
		if len(logged) != 2 || !strings.Contains(logged[0], "shard a") {
			t.Errorf("logged %q; want two lines about shard a", logged)
		}
	})
}

func TestLoadersOverOneStoreFindOutTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		var clients []*Client
		lines := make([]int, 5)
		for i := range 5 {
			prefix := fmt.Sprint("test", i)
			if !Reserve(s, prefix) {
				t.Fatal("Reserve = false")
			}
			defer backendOf(s).release(prefix)
			clients = append(clients, newClient(t, s, func(cfg *Config) {
				cfg.Log = func(slog.Level, string, ...any) { lines[i]++ }
			}))
		}
		s.fail()
		for _, c := range clients { // one fault each
			reads(t, c, 1)
		}
		for i, c := range clients {
			if err := reads(t, c, 1); !skipped(err) {
				t.Errorf("a read of loader %d = %v; want it skipped", i, err)
			}
			if lines[i] != 1 {
				t.Errorf("loader %d has logged %d lines; want that the store is left alone", i, lines[i])
			}
		}
		if n := s.total(); n != breakAfter {
			t.Errorf("%d commands were sent; want %d", n, breakAfter)
		}
	})
}

func TestRefusedWritesDoNotOpenTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		c := newClient(t, s, bare(s)) // nothing is published in between
		s.setBefore(func(_ context.Context, op, _ string) error {
			if op == "Set" {
				return fmt.Errorf("a record of 1000000 bytes: %w", driver.ErrRefused)
			}
			return nil
		})
		for range 3 * breakAfter {
			if err := newWrite(c, &writeOwner{}, value("1")).Set(t.Context()); !errors.Is(err, driver.ErrRefused) {
				t.Errorf("Set = %v", err)
			}
		}
		if err := reads(t, c, 1); !errors.Is(err, driver.ErrMiss) {
			t.Errorf("a read = %v; want it sent", err)
		}
	})
}

func TestBatchReadOverADeadShardHasTheOthersKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShardedStore(t)
		var reported []error
		c := newClient(t, s.fakeStore, sharded(s), func(cfg *Config) {
			cfg.Report = func(_ context.Context, err error) { reported = append(reported, err) }
		})
		keys := []string{"1a", "1b", "1c"}
		for _, key := range keys {
			s.Store.Set(t.Context(), key, value("v"))
		}
		s.kill("b", true)
		for i := range 3 * breakAfter {
			b := c.NewBudget()
			r, err := c.ReadMany(t.Context(), &b, keys)
			if err != nil || !r.Has(0) || r.Has(1) || !r.Has(2) || r.Err(0) != nil || r.Err(1) == nil {
				t.Fatalf("read %d = %v; %v %v %v, %v; want all but the second", i, err, r.Has(0), r.Has(1), r.Has(2), r.Err(1))
			}
			if skip := i >= breakAfter; skipped(r.Err(1)) != skip {
				t.Errorf("the dead shard's key of read %d = %v; want it skipped: %v", i, r.Err(1), skip)
			}
		}
		if len(reported) != breakAfter {
			t.Errorf("reported %d times; want %d: once for each read that was sent", len(reported), breakAfter)
		}
	})
}

func TestEntryWhoseTagCannotBeReadIsAMissByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShardedStore(t)
		c := newClient(t, s.fakeStore, sharded(s), withTags(true))
		for _, tag := range []string{"tag-a", "tag-b"} {
			s.Store.Set(t.Context(), c.Names.Tag(tag), driver.Record{Data: []byte("gen"), TTL: time.Hour})
		}
		s.Store.Set(t.Context(), "1c", value("v", record.Tag{Name: "tag-a", Gen: "gen"}))
		s.Store.Set(t.Context(), "2c", value("v", record.Tag{Name: "tag-b", Gen: "gen"}))
		s.Store.Set(t.Context(), "3c", value("v"))
		s.kill("a", true)
		b := c.NewBudget()
		r, err := c.ReadMany(t.Context(), &b, []string{"1c", "2c", "3c"})
		if err != nil || r.Has(0) || !r.Has(1) || !r.Has(2) {
			t.Fatalf("ReadMany = %v; %v %v %v; want all but the first", err, r.Has(0), r.Has(1), r.Has(2))
		}
		if e := r.Entry(1); e.Invalid || e.Bad != nil {
			t.Errorf("the second = %+v; want it valid", e)
		}
	})
}

func TestFaultsTooFewToOpenAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShardedStore(t)
		c := newClient(t, s.fakeStore, sharded(s))
		s.kill("a", true)
		readOne(t, c, "1a")
		time.Sleep(10*time.Second + 1)
		if readOne(t, c, "1b"); c.backend.failing.Load() != 0 {
			t.Error("a fault of a shard that nobody asks any more is remembered")
		}
	})
}

// Everything that the Client does on goroutines of its own survives a store that panics.
func TestBackgroundCommandsSurviveAPanicOfTheStore(t *testing.T) {
	for name, do := range map[string]func(t *testing.T, c *Client, s *fakeStore){
		"ExpireLater": func(t *testing.T, c *Client, s *fakeStore) { c.ExpireLater(t.Context(), key, nil, time.Minute) },
		"Abort": func(t *testing.T, c *Client, _ *fakeStore) {
			l := &lease{c: c, key: key, values: t.Context()}
			l.abort("token")
		},
		"Renew": func(t *testing.T, c *Client, _ *fakeStore) {
			l := &lease{c: c, key: key, values: t.Context()}
			l.grant("token", time.Now(), time.Second)
			time.Sleep(2 * time.Second)
			l.close()
		},
		"Probe": func(t *testing.T, c *Client, _ *fakeStore) {
			reads(t, c, breakAfter)
			time.Sleep(breakFor + 1)
			reads(t, c, 1)
		},
		"Subscribe": func(t *testing.T, c *Client, _ *fakeStore) {
			c.hub.parts[0].trySubscribe(t.Context(), 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t)
				c := newClient(t, s)
				s.setBefore(func(context.Context, string, string) error { panic("ouch") })
				do(t, c, s)
				synctest.Wait()
			})
		})
	}
}

func TestSharedReadThatExitsLeavesNoWaiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		c := newClient(t, s)
		n := 0
		s.setBefore(func(context.Context, string, string) error {
			if n++; n == 2 {
				runtime.Goexit()
			}
			time.Sleep(time.Second / 2)
			return nil
		})
		errs := make(chan error, 3)
		for range cap(errs) {
			go func() {
				b := c.NewBudget()
				_, err := c.Read(context.Background(), &b, key)
				errs <- err
			}()
			time.Sleep(time.Millisecond)
		}
		if err := <-errs; !errors.Is(err, driver.ErrMiss) {
			t.Errorf("the first read = %v; want ErrMiss", err)
		}
		for range cap(errs) - 1 {
			if err := <-errs; !errors.Is(err, errExited) {
				t.Errorf("a read that shared one which exited = %v; want an error", err)
			}
		}
	})
}

func TestDetachedCommandThatExitsLeavesNoWaiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		c := newClient(t, s)
		s.fail()
		reads(t, c, 1)
		s.setBefore(func(context.Context, string, string) error {
			runtime.Goexit()
			return nil
		})
		if err := reads(t, c, 1); !errors.Is(err, errExited) {
			t.Errorf("a read = %v; want an error", err)
		}
	})
}
