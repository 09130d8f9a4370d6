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
	busyMachine  = 150 * time.Millisecond // what a test grants one
)

// A trouble is something wrong with a server, and what a Loader's users see of it.
type trouble struct {
	begin   func(t *testing.T, server *redistest.Server) (addr string, change func(*redis.Options))
	silent  bool // no answer comes, and the breaker opens; otherwise it is an error at once
	deletes bool
	sets    bool
	mute    bool // nobody hears of wake-ups and announcements
}

func none(*redis.Options) {}

// troubles are all kinds, by name. Those that are not silent last until the end of the test.
var troubles = map[string]trouble{
	"Replica": {begin: func(t *testing.T, server *redistest.Server) (string, func(*redis.Options)) {
		must(t, client(t, server, nil).Do(t.Context(), "replicaof", "127.0.0.1", "1").Err())
		return server.Addr(), none
	}},
	"NoRightToKeys": {begin: func(t *testing.T, server *redistest.Server) (string, func(*redis.Options)) {
		must(t, client(t, server, nil).Do(t.Context(), "acl", "setuser", "u", "on", ">p", "~other:*", "&*", "+@all").Err())
		return server.Addr(), func(o *redis.Options) { o.Username, o.Password = "u", "p" }
	}},
	"NoRightToScripts": {begin: func(t *testing.T, server *redistest.Server) (string, func(*redis.Options)) {
		must(t, client(t, server, nil).Do(t.Context(), "acl", "setuser", "u", "on", ">p", "~*", "&*", "+@all", "-@scripting").Err())
		return server.Addr(), func(o *redis.Options) { o.Username, o.Password = "u", "p" }
	}},
	"NoRightToChannels": {
		deletes: true, sets: true, mute: true,
		begin: func(t *testing.T, server *redistest.Server) (string, func(*redis.Options)) {
			must(t, client(t, server, nil).Do(t.Context(), "acl", "setuser", "u", "on", ">p", "~*", "resetchannels", "+@all").Err())
			return server.Addr(), func(o *redis.Options) { o.Username, o.Password = "u", "p" }
		},
	},
	"Full": {deletes: true, begin: func(t *testing.T, server *redistest.Server) (string, func(*redis.Options)) {
		must(t, client(t, server, nil).ConfigSet(t.Context(), "maxmemory", "1").Err())
		return server.Addr(), none
	}},
	"Loading": {begin: func(t *testing.T, server *redistest.Server) (string, func(*redis.Options)) {
		load(t, server)
		return server.Addr(), none
	}},
	"Down": {silent: true, begin: func(_ *testing.T, server *redistest.Server) (string, func(*redis.Options)) {
		server.Kill()
		return server.Addr(), none
	}},
	"Stopped": {silent: true, begin: func(t *testing.T, server *redistest.Server) (string, func(*redis.Options)) {
		must(t, server.Stop())
		t.Cleanup(func() { _ = server.Cont() })
		return server.Addr(), none
	}},
	"BlackHole": {silent: true, begin: func(t *testing.T, _ *redistest.Server) (string, func(*redis.Options)) {
		return blackHole(t), none
	}},
}

// blackHole returns an address where connections are accepted and nothing is answered.
func blackHole(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") // the system accepts connections without a call of Accept
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

// load has a server read its data for some seconds, in which it refuses all else.
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
	_ = reload.Do(ctx, "debug", "reload").Err() // its answer would come when all is read
	for {
		err := c.Get(ctx, key).Err()
		if err != nil && !errors.Is(err, redis.Nil) {
			return
		}
	}
}

// A witness is an Observer that keeps the faults.
type witness struct {
	mu     sync.Mutex
	faults []error
}

func (w *witness) Observe(_ context.Context, e zodiac.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if e.Kind == zodiac.EventFault {
		w.faults = append(w.faults, e.Err)
	}
}

func TestNoTroubleOfTheServerReachesCallers(t *testing.T) {
	for name, tr := range troubles {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t, "--enable-debug-command", "yes")
			addr, change := tr.begin(t, server)
			before := runtime.NumGoroutine()
			// A default client: its own timeouts are seconds.
			o := &redis.Options{Addr: addr}
			change(o)
			c := redis.NewClient(o)
			s := redisstore.New(c)
			seen := &witness{}
			open := users(s, "open", zodiac.WithObserver(seen))
			closed := users(s, "closed", zodiac.FailClosed())

			tr.gets(t, open)
			tr.writes(t, open)
			if trouble := !tr.sets || tr.mute; trouble != (len(seen.faults) > 0) {
				t.Errorf("the Observer was told %v; want to be told of trouble: %v", seen.faults, trouble)
			}
			for _, err := range seen.faults {
				if _, ok := errors.AsType[*zodiac.StoreError](err); !ok {
					t.Errorf("the Observer was told %v; want StoreErrors", err)
				}
			}
			_, err := closed.Get(t.Context(), "k")
			if _, ok := errors.AsType[*zodiac.StoreError](err); ok == tr.sets {
				t.Errorf("Get with FailClosed = %v; want a StoreError: %v", err, !tr.sets)
			}

			must(t, open.Close(context.Background()))
			must(t, closed.Close(context.Background()))
			must(t, s.Close())
			must(t, c.Close())
			for deadline := time.Now().Add(6 * time.Second); runtime.NumGoroutine() > before; time.Sleep(5 * time.Millisecond) {
				if time.Now().After(deadline) {
					stacks := make([]byte, 1<<16)
					t.Fatalf("%d goroutines; want %d as before\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
				}
			}
		})
	}
}

// users returns a loader over s whose fetches take fetchTime.
func users(s driver.Store, name string, opts ...zodiac.Option) *zodiac.Loader[string, string] {
	return zodiac.NewLoader(func(_ context.Context, k string) (string, error) {
		time.Sleep(fetchTime)
		return "user " + k, nil
	}, append([]zodiac.Option{
		zodiac.WithName(name), zodiac.WithTTL(60), zodiac.WithStore(s),
		zodiac.WithStoreTimeout(storeTimeout),
	}, opts...)...)
}

// gets has one caller after another get a key of his own: the value, soon, and sooner once the store is left alone.
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
	t.Logf("beyond the fetch: at most %v for the first ten, %v for others, median %v", first[9], later[9], later[4])
	if most := max(first[9], later[9]); most > 2*storeTimeout+busyMachine {
		t.Errorf("Get took %v beyond the fetch; want at most twice WithStoreTimeout", most)
	}
	if tr.silent && later[4] > 5*time.Millisecond+busyMachine/5 {
		t.Errorf("Get took %v beyond the fetch, the median; want at most 5ms with the breaker open", later[4])
	}
}

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

func TestLoaderDoesNotNoticeScriptFlush(t *testing.T) {
	s := store(t, client(t, redistest.Start(t), nil))
	seen := &witness{}
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
		t.Errorf("%d stored, faults %v; want 3, and none", n, seen.faults)
	}
}
