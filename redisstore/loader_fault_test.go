package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zodiac-go/zodiac"
	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/redistest"
	"github.com/zodiac-go/zodiac/redisstore"
)

const (
	fetchTime    = 20 * time.Millisecond
	storeTimeout = 200 * time.Millisecond
	busyMachine  = 150 * time.Millisecond // allowed beyond a limit, since the machine may be busy
)

// A trouble is something wrong with a server, and what the callers of a Loader notice.
type trouble struct {
	// begin starts the trouble. It returns the address for clients, and a change of their options.
	begin func(t *testing.T, server *redistest.Server) (addr string, change func(*redis.Options))

	silent  bool // commands get no reply, so the breaker opens; if not, they fail at once
	deletes bool // Delete succeeds
	sets    bool // Set succeeds
	mute    bool // wake-ups and invalidations are not published
	long    bool // takes seconds, and is left out of a short run
}

func none(*redis.Options) {}

// troubles are the kinds of trouble, by name. They last until the end of the test, except that
// Loading ends by itself after some seconds.
var troubles = map[string]trouble{
	"Replica": {long: true, begin: func(t *testing.T, server *redistest.Server) (string, func(*redis.Options)) {
		must(t, client(t, server, nil).Do(t.Context(), "replicaof", "127.0.0.1", "1").Err())
		return server.Addr(), none
	}},
	"NoRightToKeys":    {begin: withRights("~other:*", "&*", "+@all")},
	"NoRightToScripts": {begin: withRights("~*", "&*", "+@all", "-@scripting")},
	"NoRightToChannels": {
		deletes: true, sets: true, mute: true,
		begin: withRights("~*", "resetchannels", "+@all"),
	},
	"Full": {deletes: true, begin: func(t *testing.T, server *redistest.Server) (string, func(*redis.Options)) {
		must(t, client(t, server, nil).ConfigSet(t.Context(), "maxmemory", "1").Err())
		return server.Addr(), none
	}},
	"Loading": {long: true, begin: func(t *testing.T, server *redistest.Server) (string, func(*redis.Options)) {
		load(t, server)
		return server.Addr(), none
	}},
	"Down": {silent: true, begin: func(_ *testing.T, server *redistest.Server) (string, func(*redis.Options)) {
		server.Kill()
		return server.Addr(), none
	}},
	"Stopped": {long: true, silent: true, begin: func(t *testing.T, server *redistest.Server) (string, func(*redis.Options)) {
		must(t, server.Stop())
		t.Cleanup(func() { _ = server.Cont() })
		return server.Addr(), none
	}},
	"BlackHole": {silent: true, begin: func(t *testing.T, _ *redistest.Server) (string, func(*redis.Options)) {
		return blackHole(t), none
	}},
}

// withRights returns the begin of a trouble in which clients have a user with some rights only.
func withRights(rights ...any) func(t *testing.T, server *redistest.Server) (string, func(*redis.Options)) {
	return func(t *testing.T, server *redistest.Server) (string, func(*redis.Options)) {
		args := append([]any{"acl", "setuser", "u", "on", ">p"}, rights...)
		must(t, client(t, server, nil).Do(t.Context(), args...).Err())
		return server.Addr(), func(o *redis.Options) { o.Username, o.Password = "u", "p" }
	}
}

// blackHole returns an address that accepts connections and sends nothing.
func blackHole(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts connections without Accept
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

// load makes the server load its data for some seconds. It refuses all commands meanwhile.
func load(t *testing.T, server *redistest.Server) {
	t.Helper()
	ctx := t.Context()
	c := client(t, server, nil)
	p := c.Pipeline()
	for i := range 10_000 {
		p.Set(ctx, "other:"+strconv.Itoa(i), "v", 0)
	}
	_, err := p.Exec(ctx)
	must(t, err)
	must(t, c.ConfigSet(ctx, "key-load-delay", "1000").Err())
	must(t, c.ConfigSet(ctx, "loading-process-events-interval-bytes", "1024").Err())
	reload := client(t, server, func(o *redis.Options) { o.MaxRetries, o.ReadTimeout = -1, 50*time.Millisecond })
	_ = reload.Do(ctx, "debug", "reload").Err() // the reply would come at the end
	for {
		err := c.Get(ctx, key).Err()
		if err != nil && !errors.Is(err, redis.Nil) {
			return
		}
	}
}

// A recorder is an Observer that keeps the faults.
type recorder struct {
	mu     sync.Mutex
	faults []error
}

func (w *recorder) Observe(_ context.Context, e zodiac.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if e.Kind == zodiac.EventFault {
		w.faults = append(w.faults, e.Err)
	}
}

func TestGetSucceedsWhateverIsWrongWithTheServer(t *testing.T) {
	for name, tr := range troubles {
		t.Run(name, func(t *testing.T) {
			if tr.long && testing.Short() {
				t.Skip("takes seconds")
			}
			server := redistest.Start(t, "--enable-debug-command", "yes")
			addr, change := tr.begin(t, server)
			before := runtime.NumGoroutine()
			// The timeouts of a default client are seconds.
			o := &redis.Options{Addr: addr}
			change(o)
			c := redis.NewClient(o)
			s := redisstore.New(c)
			seen := &recorder{}
			open := users(s, "open", zodiac.WithObserver(seen))
			closed := users(s, "closed", zodiac.FailClosed())

			tr.gets(t, open)
			tr.writes(t, open)
			_, err := closed.Get(t.Context(), "k")
			if _, ok := errors.AsType[*zodiac.StoreError](err); ok == tr.sets {
				t.Errorf("Get with FailClosed = %v; want a StoreError: %v", err, !tr.sets)
			}

			must(t, open.Close(context.Background())) // the Observer has been told
			if want := !tr.sets || tr.mute; want != (len(seen.faults) > 0) {
				t.Errorf("the Observer has seen the faults %v; want any: %v", seen.faults, want)
			}
			for _, err := range seen.faults {
				if _, ok := errors.AsType[*zodiac.StoreError](err); !ok {
					t.Errorf("the Observer has seen %v; want a StoreError", err)
				}
			}
			must(t, closed.Close(context.Background()))
			must(t, s.Close())
			must(t, c.Close())
			for deadline := time.Now().Add(6 * time.Second); runtime.NumGoroutine() > before; time.Sleep(5 * time.Millisecond) {
				if time.Now().After(deadline) {
					stacks := make([]byte, 1<<16)
					t.Fatalf("%d goroutines; want at most %d, as before\n%s",
						runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
				}
			}
		})
	}
}

// users returns a Loader over s whose fetches take fetchTime.
func users(s driver.Store, name string, opts ...zodiac.Option) *zodiac.Loader[string, string] {
	return zodiac.NewLoader(func(_ context.Context, k string) (string, error) {
		time.Sleep(fetchTime)
		return "user " + k, nil
	}, append([]zodiac.Option{
		zodiac.WithName(name), zodiac.WithTTL(60), zodiac.WithStore(s),
		zodiac.WithStoreTimeout(storeTimeout),
	}, opts...)...)
}

// gets calls Get for twenty keys, one after the other. Each must return the value in time. If the
// server is silent, most of the last ten must be fast, since the breaker has opened.
func (tr *trouble) gets(t *testing.T, l *zodiac.Loader[string, string]) {
	t.Helper()
	var took []time.Duration
	for i := range 20 {
		k := fmt.Sprint(i)
		began := time.Now()
		v, err := l.Get(t.Context(), k)
		took = append(took, time.Since(began)-fetchTime)
		if v != "user "+k || err != nil {
			t.Errorf("Get(%s) = %q, %v; want the user", k, v, err)
		}
	}
	first, later := took[:10], took[10:]
	slices.Sort(first)
	slices.Sort(later)
	t.Logf("beyond the fetch: at most %v for the first ten, %v for the others, median %v", first[9], later[9], later[4])
	if most := max(first[9], later[9]); most > 2*storeTimeout+busyMachine {
		t.Errorf("Get took %v beyond the fetch; want at most twice WithStoreTimeout", most)
	}
	if tr.silent && later[4] > 5*time.Millisecond+busyMachine/5 {
		t.Errorf("Get took a median of %v beyond the fetch; want at most 5ms while the breaker is open", later[4])
	}
}

// writes calls Set and Delete. Each must succeed, or return a StoreError.
func (tr *trouble) writes(t *testing.T, l *zodiac.Loader[string, string]) {
	t.Helper()
	_, deleted := l.Delete(t.Context(), "1")
	for what, tt := range map[string]struct {
		err  error
		want bool
	}{
		"Set":    {l.Set(t.Context(), "set", "v"), tr.sets},
		"Delete": {deleted, tr.deletes},
	} {
		_, ok := errors.AsType[*zodiac.StoreError](tt.err)
		if (tt.err == nil) != tt.want || ok == tt.want {
			t.Errorf("%s = %v; want a StoreError: %v", what, tt.err, !tt.want)
		}
	}
}

func TestScriptFlushIsNotNoticedByALoader(t *testing.T) {
	s := store(t, client(t, redistest.Start(t), nil))
	seen := &recorder{}
	l := users(s, "flushed", zodiac.WithObserver(seen))
	defer l.Close(t.Context())
	for i := range 3 {
		k := fmt.Sprint(i)
		must(t, s.Client().ScriptFlush(t.Context()).Err())
		if v, err := l.Get(t.Context(), k); v != "user "+k || err != nil {
			t.Errorf("Get(%s) = %q, %v; want the user", k, v, err)
		}
		must(t, s.Client().ScriptFlush(t.Context()).Err())
		must(t, l.Set(t.Context(), k, "v"))
		must(t, s.Client().ScriptFlush(t.Context()).Err())
		if n, err := l.Delete(t.Context(), k); n != 1 || err != nil {
			t.Errorf("Delete(%s) = %d, %v; want 1", k, n, err)
		}
	}
	if n := l.Stats().Stored; n != 3 || len(seen.faults) > 0 {
		t.Errorf("%d values stored, faults %v; want 3, and none", n, seen.faults)
	}
}
