package zodiac_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac"
	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/memstore"
	"github.com/zodiac-go/zodiac/storetest/chaos"
)

func TestLogHandlerHoldsNoCallerOfAFailingStore(t *testing.T) {
	for name, tt := range map[string]struct {
		fault func(*chaos.Injector)
		took  time.Duration // of a Get, at most
	}{
		"Fails":  {func(f *chaos.Injector) { f.Fail(errDown) }, 0},
		"Stalls": {func(f *chaos.Injector) { f.Stall() }, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &origin{}
				o.write("k", "v")
				slow := &handler{handle: func(context.Context) { time.Sleep(3 * time.Second) }}
				l, faults := faulty(t, o, zodiac.WithLogger(slog.New(slow)))
				tt.fault(faults)
				for i := range 10 {
					began := time.Now()
					v, err := l.Get(context.Background(), "k")
					if d := time.Since(began); v != "v" || err != nil || d > tt.took {
						t.Errorf("Get %d = %q, %v after %v; want v after at most %v", i, v, err, d, tt.took)
					}
				}
			})
		})
	}
}

func TestLogHandlerMayUseTheLoaderWhoseStoreKeepsFailing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origin{}
		o.write("k", "v")
		var l *zodiac.Loader[string, string]
		var lines atomic.Int32
		asks := &handler{handle: func(context.Context) {
			lines.Add(1)
			l.Get(context.Background(), "k")
			l.Set(context.Background(), "k", "w")
			l.Delete(context.Background(), "k")
		}}
		l, faults := faulty(t, o, zodiac.WithLogger(slog.New(asks)))
		_ = faults
		faults.Fail(errDown)
		for range 10 {
			l.Get(context.Background(), "k")
		}
		synctest.Wait()
		if n := lines.Load(); n != 2 {
			t.Errorf("%d lines; want 2: the first fault, and that the store is left alone", n)
		}
	})
}

// A sleepyObserver is an Observer that takes its time.
type sleepyObserver struct {
	witness
	d time.Duration
}

func (o *sleepyObserver) Observe(ctx context.Context, e zodiac.Event) {
	time.Sleep(o.d)
	o.witness.Observe(ctx, e)
}

func TestSlowObserverDelaysNoGetOfAFailingStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, seen := &origin{}, &sleepyObserver{d: time.Second}
		o.write("k", "v")
		store := memstore.New()
		defer store.Close()
		faults := chaos.New(store)
		l := zodiac.NewLoader(o.read, zodiac.WithName("rows"), zodiac.WithStore(faults.Store()), zodiac.WithObserver(seen))
		faults.Fail(errDown)
		began := time.Now()
		for range 4 {
			if v, err := l.Get(t.Context(), "k"); v != "v" || err != nil {
				t.Errorf("Get = %q, %v", v, err)
			}
		}
		if d := time.Since(began); d != 0 {
			t.Errorf("four Gets took %v", d)
		}
		must(t, l.Close(t.Context()))
		if n := len(seen.faults()); n < 4 {
			t.Errorf("after Close the Observer has been told of %d faults; want all of them, at least 4", n)
		}
	})
}

func TestFaultsThatAnObserverIsTooSlowForAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := &sleepyObserver{d: time.Second}
		l := zodiac.NewLoader(func(context.Context, float64) (int, error) { return 1, nil }, zodiac.WithObserver(seen))
		for range 3000 {
			wantGet(t, l, nan(), 1)
		}
		must(t, l.Close(t.Context()))
		s := l.Stats()
		if s.Unreported == 0 || s.Unreported > 6000 {
			t.Errorf("%d were dropped; want some", s.Unreported)
		}
		if n := len(seen.faults()); n < 500 || n > 1100 {
			t.Errorf("the Observer was told of %d faults; want about as many as may wait", n)
		}
	})
}

// A tally is a log's handler that counts lines by level and text.
type tally struct {
	logbook

	mu    sync.Mutex
	lines []string
}

func (l *tally) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := r.Level.String() + " " + r.Message
	r.Attrs(func(a slog.Attr) bool {
		text += " " + a.String()
		return true
	})
	l.lines = append(l.lines, text)
	return nil
}

func (l *tally) take() []string {
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := l.lines
	l.lines = nil
	return lines
}

// A store that answers nothing is said once, and then counted.
func TestBlackHoledStoreIsLoggedThreeTimesAMinute(t *testing.T) {
	for name, opts := range map[string][]zodiac.Option{
		"Plain":  nil,
		"Memory": {zodiac.WithMemory(30)},
		"Tags":   {zodiac.WithTags("a"), zodiac.WithTagsFunc(func(k, _ string) []string { return []string{"b"} })},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o, log := &origin{}, new(tally)
				o.write("k", "v")
				l, faults := faulty(t, o, append(opts, zodiac.WithLogger(slog.New(log)))...)
				faults.Stall()
				var wg sync.WaitGroup
				end := time.Now().Add(5*time.Minute - time.Second)
				for range 8 {
					wg.Go(func() {
						for i := 0; time.Now().Before(end); i++ {
							l.Get(context.Background(), "k")
							if i%50 == 0 {
								l.Set(context.Background(), "k", "v")
								l.Delete(context.Background(), "k")
								l.DeleteTags(context.Background(), "a")
							}
							time.Sleep(100 * time.Millisecond)
						}
					})
				}
				for minute := range 5 {
					time.Sleep(time.Minute - time.Nanosecond)
					lines := log.take()
					if len(lines) > 3 || len(lines) == 0 {
						t.Errorf("minute %d: %d lines; want 1 to 3:\n%s", minute, len(lines), strings.Join(lines, "\n"))
					}
				}
				wg.Wait()
			})
		})
	}
}

// What is not stored must be said by default, once for each cause.
func TestWhatKeepsValuesOutOfTheCacheIsLogged(t *testing.T) {
	for name, tt := range map[string]struct {
		opts []zodiac.Option
		do   func(l *zodiac.Loader[string, string], s zodiac.Store)
		want string
	}{
		"TooManyTags": {
			opts: []zodiac.Option{zodiac.WithTagsFunc(func(string, string) []string { return tagNames(65) })},
			want: "65 tags",
		},
		"ValueThatCannotBeEncoded": {opts: []zodiac.Option{zodiac.WithCodec(brokenCodec{})}, want: "no bytes"},
		"Corrupt": {
			do: func(_ *zodiac.Loader[string, string], s zodiac.Store) {
				s.Set(context.Background(), "zodiac::rows:k", driver.Record{Data: []byte("garbage"), TTL: time.Hour})
			},
			want: "unusable record",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o, log := &origin{}, new(tally)
				o.write("k", "v")
				store := memstore.New()
				defer store.Close()
				before := slog.Default()
				defer slog.SetDefault(before)
				slog.SetDefault(slog.New(log))
				l := zodiac.NewLoader(o.read, append(tt.opts, zodiac.WithName("rows"), zodiac.WithStore(store))...)
				for range 3 {
					if tt.do != nil {
						tt.do(l, store)
					}
					if v, err := l.Get(t.Context(), "k"); v != "v" || err != nil {
						t.Errorf("Get = %q, %v", v, err)
					}
				}
				lines := log.take()
				if len(lines) != 1 || !strings.Contains(lines[0], tt.want) || !strings.Contains(lines[0], "loader=rows") {
					t.Errorf("logged %q; want one line with %q", lines, tt.want)
				}
				must(t, l.Close(t.Context()))
			})
		})
	}
}

// A brokenCodec encodes nothing.
type brokenCodec struct{}

func (brokenCodec) Name() string                { return "broken" }
func (brokenCodec) Marshal(any) ([]byte, error) { return nil, errors.New("no bytes") }
func (brokenCodec) Unmarshal([]byte, any) error { return errors.New("no value") }
