package zodiac_test

import (
	"context"
	"errors"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac"
	"github.com/zodiac-go/zodiac/memstore"
	"github.com/zodiac-go/zodiac/storetest/chaos"
)

// A gauge counts the functions that run.
type gauge struct{ now, most, calls atomic.Int64 }

func (g *gauge) run(f func() (int, error)) (int, error) {
	g.calls.Add(1)
	for now := g.now.Add(1); ; {
		if most := g.most.Load(); now <= most || g.most.CompareAndSwap(most, now) {
			break
		}
	}
	defer g.now.Add(-1)
	return f()
}

// aSecond is a fetch function that takes a second, less if its context ends.
func (g *gauge) aSecond(ctx context.Context, _ string) (int, error) {
	return g.run(func() (int, error) {
		select {
		case <-time.After(time.Second):
			return 7, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	})
}

func (g *gauge) want(t *testing.T, most, calls int64) {
	t.Helper()
	if g.most.Load() != most || g.calls.Load() != calls {
		t.Errorf("%d calls, at most %d at once; want %d and %d", g.calls.Load(), g.most.Load(), calls, most)
	}
}

func TestNoMoreFetchesThanTheLimitRunAtOnce(t *testing.T) {
	inEveryTier(t, func(t *testing.T, opts ...zodiac.Option) {
		var g gauge
		l := zodiac.NewLoader(g.aSecond, append(opts, zodiac.WithFetchLimit(3))...)
		defer l.Close(t.Context())
		began := time.Now()
		var wg sync.WaitGroup
		keys := make([]string, 10)
		for i := range keys {
			keys[i] = strconv.Itoa(i)
			wg.Go(func() { wantGet(t, l, keys[i], 7) })
		}
		wg.Go(func() {
			if m, err := l.GetMany(t.Context(), []string{"a", "b"}); len(m) != 2 || err != nil {
				t.Errorf("GetMany = %v, %v", m, err)
			}
		})
		wg.Wait()
		if d := time.Since(began); d != 4*time.Second {
			t.Errorf("twelve fetches of a second, three at a time, took %v", d)
		}
		g.want(t, 3, 12)
		if s := l.Stats(); s.Fetches != 12 || s.Stored != 12 {
			t.Errorf("Stats: %+v", s)
		}
	})
}

func TestFetchThatWaitsForAnotherDoesNotKeepItFromRunning(t *testing.T) {
	for name, get := range map[string]func(context.Context, *zodiac.Loader[string, int], string) (int, error){
		"Get": func(ctx context.Context, l *zodiac.Loader[string, int], key string) (int, error) {
			return l.Get(ctx, key)
		},
		"GetMany": func(ctx context.Context, l *zodiac.Loader[string, int], key string) (int, error) {
			m, err := l.GetMany(ctx, []string{key, key + "a", key + "b"})
			return m[key], err
		},
		"Refresh": func(ctx context.Context, l *zodiac.Loader[string, int], key string) (int, error) {
			return l.Refresh(ctx, key)
		},
		"ThroughAnother": func(ctx context.Context, l *zodiac.Loader[string, int], key string) (int, error) {
			outer := zodiac.NewLoader(l.Get, zodiac.WithName("outer"), zodiac.WithFetchLimit(1))
			defer outer.Close(ctx)
			return outer.Get(ctx, key)
		},
		"BehindAnUpdate": func(ctx context.Context, l *zodiac.Loader[string, int], key string) (int, error) {
			return l.Update(ctx, "shared", func(int, bool) (int, error) { return l.Get(ctx, key+"xxx") })
		},
	} {
		t.Run(name, func(t *testing.T) {
			inEveryTier(t, func(t *testing.T, opts ...zodiac.Option) {
				var g gauge // of the innermost
				var l *zodiac.Loader[string, int]
				l = zodiac.NewLoader(func(ctx context.Context, key string) (int, error) {
					if len(key) > 3 {
						return g.aSecond(ctx, key)
					}
					v, err := get(ctx, l, key+"x")
					return v, err
				}, append(opts, zodiac.WithFetchLimit(1))...)
				defer l.Close(t.Context())
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				var wg sync.WaitGroup
				for _, key := range []string{"p", "q"} {
					wg.Go(func() { wantGetWith(ctx, t, l, key, 7) })
				}
				wg.Wait()
				if most := g.most.Load(); most != 1 {
					t.Errorf("%d fetches ran at once; want 1", most)
				}
			})
		})
	}
}

func TestCallerLeavesTheQueueOfTheLimit(t *testing.T) {
	inEveryTier(t, func(t *testing.T, opts ...zodiac.Option) {
		var g gauge
		l := zodiac.NewLoader(g.aSecond, append(opts, zodiac.WithFetchLimit(1), zodiac.WithErrorTTL(10))...)
		defer l.Close(t.Context())
		first := getLater(t.Context(), l, "a")
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		_, err := l.Get(ctx, "b")
		wantError(t, "Get", err, context.DeadlineExceeded)
		wantReply(t, "the first Get", first, 7)
		synctest.Wait()
		g.want(t, 1, 1)
		if s := l.Stats(); s.Fetches != 1 || s.Canceled != 1 || s.FetchErrors != 0 {
			t.Errorf("Stats: %+v; want one fetch, and one caller who left", s)
		}
		wantGet(t, l, "b", 7)
	})
}

func TestTurnOfTheLimitIsFreeAfterACrash(t *testing.T) {
	for name, crash := range map[string]func() (int, error){
		"error": func() (int, error) { return 0, errOrigin }, "panic": func() (int, error) { panic("boom") },
		"Goexit": func() (int, error) { runtime.Goexit(); return 0, nil },
	} {
		t.Run(name, func(t *testing.T) {
			inEveryTier(t, func(t *testing.T, opts ...zodiac.Option) {
				l := zodiac.NewLoader(func(_ context.Context, key string) (int, error) {
					if key == "bad" {
						return crash()
					}
					return 7, nil
				}, append(opts, zodiac.WithFetchLimit(1))...)
				defer l.Close(t.Context())
				for range 3 {
					if _, err := l.Get(t.Context(), "bad"); err == nil {
						t.Error("Get of a fetch that crashes returned nil")
					}
				}
				wantGet(t, l, "k", 7)
			})
		})
	}
}

func TestFetchTimeoutDoesNotCountTheWaitForTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gauge
		l := zodiac.NewLoader(g.aSecond, zodiac.WithFetchLimit(1), zodiac.WithFetchTimeout(1500*time.Millisecond))
		defer l.Close(t.Context())
		var wg sync.WaitGroup
		for _, key := range []string{"a", "b", "c"} {
			wg.Go(func() { wantGet(t, l, key, 7) })
		}
		wg.Wait()
	})
}

func TestCloseEndsTheWaitForTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, calls := uncancelable()
		l := zodiac.NewLoader(fetch, zodiac.WithFetchLimit(1))
		first, second := getLater(t.Context(), l, "a"), getLater(t.Context(), l, "b")
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		wantError(t, "Close", l.Close(ctx), context.DeadlineExceeded)
		wantError(t, "the first Get", (<-first).err, zodiac.ErrClosed)
		wantError(t, "the second Get", (<-second).err, zodiac.ErrClosed)
		must(t, l.Close(t.Context()))
		wantCalls(t, calls, 1)
	})
}

// A process that waits for its turn has no lease, and one that waits for the lease has no turn.
func TestWaitForTheLimitKeepsNoOtherProcessWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		defer store.Close()
		var g, h gauge
		load := func(g *gauge) *zodiac.Loader[string, int] {
			return zodiac.NewLoader(g.aSecond, zodiac.WithName("rows"), zodiac.WithTTL(60),
				zodiac.WithStore(&twin{store}), zodiac.WithFetchLimit(1))
		}
		a, b := load(&g), load(&h)
		defer a.Close(t.Context())
		defer b.Close(t.Context())
		began := time.Now()
		busy := getLater(t.Context(), a, "busy") // its fetch has the turn of a
		queued := getLater(t.Context(), a, "k")
		wantGet(t, b, "k", 7)
		if d := time.Since(began); d != time.Second {
			t.Errorf("another process waited %v for a process that waits; want 1s", d)
		}
		wantReply(t, "Get of the busy key", busy, 7)
		wantReply(t, "Get of the key in the queue", queued, 7)
		g.want(t, 1, 1)

		foreign := getLater(t.Context(), b, "next") // b has the lease
		waits := getLater(t.Context(), a, "next")
		began = time.Now()
		wantGet(t, a, "own", 7)
		if d := time.Since(began); d != time.Second {
			t.Errorf("a fetch waited for one that waits for another process: %v; want 1s", d)
		}
		wantReply(t, "Get of the other process", foreign, 7)
		wantReply(t, "Get that waits for it", waits, 7)
	})
}

func TestStalledStoreLetsNoMoreFetchesThanTheLimitRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		defer store.Close()
		faults := chaos.New(store)
		var g gauge
		l := zodiac.NewLoader(g.aSecond, zodiac.WithName("rows"), zodiac.WithTTL(60), zodiac.WithStore(faults.Store()),
			zodiac.WithFetchLimit(4))
		defer l.Close(context.Background())
		defer faults.Heal()
		faults.Stall()
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() { wantGet(t, l, strconv.Itoa(i), 7) })
		}
		wg.Wait()
		g.want(t, 4, 100)
	})
}

func TestLimitBelowOneIsAnError(t *testing.T) {
	for _, n := range []int{0, -1} {
		_, err := zodiac.TryNewLoader(new(gauge).aSecond, zodiac.WithFetchLimit(n))
		if _, ok := errors.AsType[*zodiac.SettingError](err); !ok {
			t.Errorf("WithFetchLimit(%d): %v; want a SettingError", n, err)
		}
		wantText(t, "TryNewLoader", err, "WithFetchLimit", "at least 1")
	}
}
