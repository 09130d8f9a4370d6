package zodiac_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac"
	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/memstore"
)

// A logbook keeps the records of a logger.
type logbook struct {
	mu      sync.Mutex // guards the field below
	records []slog.Record
}

func (b *logbook) Enabled(context.Context, slog.Level) bool { return true }
func (b *logbook) WithAttrs([]slog.Attr) slog.Handler       { return b }
func (b *logbook) WithGroup(string) slog.Handler            { return b }

func (b *logbook) Handle(_ context.Context, r slog.Record) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.records = append(b.records, r)
	return nil
}

// take returns the records since the last take.
func (b *logbook) take() []slog.Record {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := b.records
	b.records = nil
	return all
}

// attrs returns the attributes of a record.
func attrs(r slog.Record) map[string]string {
	m := make(map[string]string)
	r.Attrs(func(a slog.Attr) bool { m[a.Key] = a.Value.String(); return true })
	return m
}

// wantOneRecord fails the test unless one panic of loader "bad" was logged.
func wantOneRecord(t *testing.T, b *logbook, in string) {
	t.Helper()
	synctest.Wait()
	records := b.take()
	if len(records) != 1 {
		t.Errorf("%d records; want 1: %v", len(records), records)
		return
	}
	a := attrs(records[0])
	if records[0].Level != slog.LevelError || a["loader"] != "bad" || a["in"] != in || !strings.Contains(a["stack"], "panic_test.go") {
		t.Errorf("the record is %v %q %q with a stack of %d bytes; want an error of \"bad\" in %q with the panic's stack",
			records[0].Level, a["loader"], a["in"], len(a["stack"]), in)
	}
}

// wantPanicError fails the test unless err is the callers' error for a crash of in.
func wantPanicError(t *testing.T, call string, err error, in, crash string) {
	t.Helper()
	e, ok := errors.AsType[*zodiac.PanicError](err)
	if !ok {
		t.Errorf("%s: error %v; want a *PanicError", call, err)
		return
	}
	if e.In != in || e.Loader != "bad" || e.Goexit != (crash == "Goexit") || (e.Value == "boom") == e.Goexit {
		t.Errorf("%s: %+v; want a %s of %s in loader \"bad\"", call, e, crash, in)
	}
	if !strings.Contains(string(e.Stack), "panic_test.go") {
		t.Errorf("%s: the stack does not show where it happened: %s", call, e.Stack)
	}
}

// crashes is the ways in which a function may end without returning.
var crashes = map[string]func(){
	"panic":  func() { panic("boom") },
	"Goexit": runtime.Goexit,
}

// A touchy error crashes in its Is method.
type touchy struct{ crash func() }

func (e *touchy) Error() string { return "touchy" }

func (e *touchy) Is(error) bool {
	e.crash()
	return false
}

// A bad has functions for all options. The one called in crashes while broken is set.
type bad struct {
	in     string
	broken atomic.Bool
	crash  func()
	log    logbook
	opts   zodiac.Options
}

func newBad(in, crash string) *bad {
	b := &bad{in: in, crash: crashes[crash]}
	b.broken.Store(true)
	b.opts = zodiac.Options{
		zodiac.WithName("bad"), zodiac.WithLogger(slog.New(&b.log)), zodiac.NoneIf(io.EOF),
		zodiac.SkipIf(func(*list) bool { b.run("SkipIf"); return false }),
		zodiac.WithTTLFunc(func(string, *list) time.Duration { b.run("WithTTLFunc"); return time.Hour }),
		zodiac.WithTagsFunc(func(string, *list) []string { b.run("WithTagsFunc"); return nil }),
		zodiac.WithClone(func(l *list) *list { b.run("WithClone"); return l.clone() }),
		zodiac.ValidIf(func(string, zodiac.Entry[*list]) bool { b.run("ValidIf"); return true }),
		zodiac.WithKey(func(key string) string { b.run("WithKey"); return key }),
		zodiac.WithObserver(observer(func(context.Context, zodiac.Event) { b.run("WithObserver") })),
	}
	return b
}

func (b *bad) run(in string) {
	if b.broken.Load() && b.in == in {
		b.crash()
	}
}

func (b *bad) fetch(context.Context, string) (*list, error) {
	if b.broken.Load() && b.in == "NoneIf" {
		return nil, &touchy{b.crash}
	}
	time.Sleep(time.Second)
	b.run("the fetch")
	return &list{[]int{1}}, nil
}

func (b *bad) loader() *zodiac.Loader[string, *list] { return zodiac.NewLoader(b.fetch, b.opts) }

func forEachCrash(t *testing.T, ins []string, f func(t *testing.T, in, crash string)) {
	for _, in := range ins {
		for crash := range crashes {
			t.Run(in+"/"+crash, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { f(t, in, crash) })
			})
		}
	}
}

func TestCrashWithinAFetchIsReturnedToEveryCallerAndLoggedOnce(t *testing.T) {
	ins := []string{"the fetch", "NoneIf", "SkipIf", "WithTTLFunc", "WithTagsFunc", "WithClone"}
	forEachCrash(t, ins, func(t *testing.T, in, crash string) {
		b := newBad(in, crash)
		l := b.loader()
		first, second := getLater(t.Context(), l, "k"), getLater(t.Context(), l, "k")
		wantPanicError(t, "first Get", (<-first).err, in, crash)
		if in != "NoneIf" { // it does not take a second, so that no caller can join
			wantPanicError(t, "second Get", (<-second).err, in, crash)
			wantOneRecord(t, &b.log, in)
		}
		b.broken.Store(false)
		wantAbsent(t, l.Cache, "k")
		if v, err := l.Get(t.Context(), "k"); err != nil || v.items[0] != 1 {
			t.Errorf("Get after a crash = %v, %v; want a value", v, err)
		}
		must(t, l.Close(t.Context()))
	})
}

// A crashingGuard is a Guard that crashes when it is asked.
type crashingGuard struct{ crash func() }

func (g crashingGuard) TryAcquire(context.Context, string, time.Duration) (driver.Held, bool, error) {
	g.crash()
	return nil, false, nil
}

func TestCrashBeforeAFetchIsReturnedAndLoggedOnce(t *testing.T) {
	for crash, f := range crashes {
		t.Run(crash, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log logbook
				store := memstore.New()
				defer store.Close()
				fetch := func(context.Context, int) (int, error) { return 0, errors.New("the function was called") }
				l := zodiac.NewLoader(fetch, zodiac.WithName("bad"), zodiac.WithStore(store),
					zodiac.WithGuard(crashingGuard{f}), zodiac.WithLogger(slog.New(&log)))
				defer l.Close(t.Context())
				_, err := l.Get(t.Context(), 1)
				wantPanicError(t, "Get", err, "the store", crash)
				wantOneRecord(t, &log, "the store")
			})
		})
	}
}

func TestCrashOfARefreshKeepsTheOldEntry(t *testing.T) {
	ins := []string{"the fetch", "SkipIf", "WithTTLFunc", "WithTagsFunc", "WithClone"}
	forEachCrash(t, ins, func(t *testing.T, in, crash string) {
		b := newBad(in, crash)
		l := b.loader()
		b.broken.Store(false)
		mustSet(t, l.Cache, "k", &list{[]int{7}})
		b.broken.Store(true)
		first := later(func() (*list, error) { return l.Refresh(t.Context(), "k") })
		waiting := later(func() (*list, error) { return l.Refresh(t.Context(), "k") })
		wantPanicError(t, "Refresh", (<-first).err, in, crash)
		wantPanicError(t, "Refresh that waited", (<-waiting).err, in, crash)
		b.broken.Store(false)
		if v, err := l.Get(t.Context(), "k"); err != nil || v.items[0] != 7 {
			t.Errorf("Get after a crash = %v, %v; want the old value", v, err)
		}
	})
}

// badReads is every method that looks at an entry.
func badReads(ctx context.Context, l *zodiac.Loader[string, *list]) map[string]func() error {
	return map[string]func() error{
		"Get":        func() error { _, err := l.Get(ctx, "k"); return err },
		"GetOrFetch": func() error { _, err := l.GetOrFetch(ctx, "k", l.Fetch); return err },
		"GetNoWrite": func() error { _, err := l.Get(zodiac.NoWrite(ctx), "k"); return err },
		"GetMany":    func() error { _, err := l.GetMany(ctx, []string{"k"}); return err },
		"Peek":       func() error { _, _, err := l.Peek(ctx, "k"); return err },
		"Entry":      func() error { _, _, err := l.Entry(ctx, "k"); return err },
	}
}

func TestPanicOfAReadIsReturnedAndLoggedOnceAndChangesNothing(t *testing.T) {
	for _, in := range []string{"ValidIf", "WithClone"} {
		for name := range badReads(nil, nil) { //nolint:staticcheck // for the names
			t.Run(in+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := newBad(in, "panic")
					l := b.loader()
					b.broken.Store(false)
					mustSet(t, l.Cache, "k", &list{[]int{7}})
					b.broken.Store(true)
					wantPanicError(t, name, badReads(t.Context(), l)[name](), in, "panic")
					wantOneRecord(t, &b.log, in)
					if s := l.Stats(); s.Failed != 1 || s.Gets != 1 || s.Fetches != 0 {
						t.Errorf("Stats: %d failed of %d Gets, %d fetches; want 1 of 1 and 0", s.Failed, s.Gets, s.Fetches)
					}
					b.broken.Store(false)
					if v, err := l.Get(t.Context(), "k"); err != nil || v.items[0] != 7 {
						t.Errorf("Get afterwards = %v, %v; want 7", v, err)
					}
				})
			})
		}
	}
}

func TestPanicOfARead(t *testing.T) {
	b := newBad("ValidIf", "panic")
	l := b.loader()
	b.broken.Store(false)
	mustSet(t, l.Cache, "k", &list{[]int{7}})
	b.broken.Store(true)
	if v, ok, err := l.Peek(t.Context(), "k"); v != nil || ok || err == nil {
		t.Errorf("Peek = %v, %v, %v; want nothing and an error", v, ok, err)
	}
}

func TestGoexitOfAReadEndsOnlyItsCaller(t *testing.T) {
	for _, in := range []string{"ValidIf", "WithClone", "WithKey"} {
		synctest.Test(t, func(t *testing.T) {
			b := newBad(in, "Goexit")
			l := b.loader()
			b.broken.Store(false)
			mustSet(t, l.Cache, "k", &list{[]int{7}})
			b.broken.Store(true)
			for _, read := range badReads(t.Context(), l) {
				go func() {
					read()
					t.Error("the caller goes on")
				}()
			}
			synctest.Wait()
			b.broken.Store(false)
			if v, err := l.Get(t.Context(), "k"); err != nil || v.items[0] != 7 {
				t.Errorf("Get afterwards = %v, %v; want 7", v, err)
			}
			must(t, l.Close(t.Context()))
		})
	}
}

// badWrites is every method that asks functions of options about a value.
func badWrites(ctx context.Context, c *zodiac.Cache[string, *list]) map[string]func() error {
	v := &list{[]int{8}}
	return map[string]func() error{
		"Set":         func() error { return c.Set(ctx, "k", v) },
		"SetMany":     func() error { return c.SetMany(ctx, map[string]*list{"k": v}) },
		"SetIfAbsent": func() error { _, err := c.SetIfAbsent(ctx, "new", v); return err },
		"Update": func() error {
			_, err := c.Update(ctx, "new", func(*list, bool) (*list, error) { return v, nil })
			return err
		},
		"Touch": func() error { _, err := c.Touch(ctx, "k"); return err },
	}
}

func TestPanicOfAWriteIsReturnedAndLoggedOnceAndChangesNothing(t *testing.T) {
	for _, in := range []string{"WithTTLFunc", "WithTagsFunc", "WithClone"} {
		for name := range badWrites(nil, nil) { //nolint:staticcheck // for the names
			if name == "Touch" && in != "WithTTLFunc" {
				continue // the write does not call it
			}
			t.Run(in+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { checkBadWrite(t, in, name) })
			})
		}
	}
}

func checkBadWrite(t *testing.T, in, name string) {
	b := newBad(in, "panic")
	l := b.loader()
	b.broken.Store(false)
	mustSet(t, l.Cache, "k", &list{[]int{7}})
	time.Sleep(time.Minute)
	getting := getLater(t.Context(), l, "new")
	b.broken.Store(true)
	wantPanicError(t, name, badWrites(t.Context(), l.Cache)[name](), in, "panic")
	wantOneRecord(t, &b.log, in)
	b.broken.Store(false)
	if r := <-getting; r.err != nil {
		t.Errorf("Get(new) = %v", r.err)
	}
	if v, ok, err := l.Peek(t.Context(), "new"); !ok || err != nil || v.items[0] != 1 {
		t.Errorf("Peek(new) = %v, %v, %v; want the fetched value: nothing was discarded", v, ok, err)
	}
	if v, ok, err := l.Peek(t.Context(), "k"); !ok || err != nil || v.items[0] != 7 {
		t.Errorf("Peek(k) = %v, %v, %v; want 7 as before", v, ok, err)
	}
	wantLeft(t, l.Cache, "k", 59*time.Minute-time.Second)
}

func TestPanicOfWithKeyIsAKeyError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBad("WithKey", "panic")
		l := b.loader()
		for name, call := range badWrites(t.Context(), l.Cache) {
			err := call()
			if _, ok := errors.AsType[*zodiac.KeyError](err); !ok {
				t.Errorf("%s: error %v; want a *KeyError", name, err)
			}
			wantPanicError(t, name, err, "WithKey", "panic")
		}
		if v, err := l.Get(t.Context(), "k"); err != nil || v.items[0] != 1 { // fetched, not cached
			t.Errorf("Get = %v, %v; want a value", v, err)
		}
		wantOneRecord(t, &b.log, "WithKey") // the first of them
		if n := l.Len(); n != 0 {
			t.Errorf("Len = %d; want 0", n)
		}
	})
}

func TestCrashOfTheObserverHarmsNobody(t *testing.T) {
	forEachCrash(t, []string{"WithObserver"}, func(t *testing.T, in, crash string) {
		b := newBad(in, crash)
		l := b.loader()
		for range 2 {
			if v, err := l.Refresh(t.Context(), "k"); err != nil || v.items[0] != 1 {
				t.Errorf("Refresh = %v, %v; want a value", v, err)
			}
		}
		if crash == "panic" {
			wantOneRecord(t, &b.log, in)
		}
		if v, err := l.Get(t.Context(), "k"); err != nil || v.items[0] != 1 {
			t.Errorf("Get = %v, %v; want a value", v, err)
		}
		must(t, l.Close(t.Context()))
	})
}

func TestLogHandlerHoldsUpNobody(t *testing.T) {
	var l *zodiac.Loader[string, int]
	var once atomic.Bool
	for name, handle := range map[string]func(context.Context){
		"sleeps": func(context.Context) { time.Sleep(time.Hour) },
		"exits":  func(context.Context) { runtime.Goexit() },
		"panics": func(context.Context) { panic("in the handler") },
		"asks": func(ctx context.Context) {
			if !once.Swap(true) {
				l.Get(ctx, "k")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l = zodiac.NewLoader(panics, zodiac.WithLogger(slog.New(&handler{handle: handle})))
				for range 2 {
					began := time.Now()
					_, err := l.Get(t.Context(), "k")
					if e, ok := errors.AsType[*zodiac.PanicError](err); !ok || e.Value != "boom" {
						t.Errorf("Get: error %v; want the *PanicError of the fetch", err)
					}
					if d := time.Since(began); d != 0 {
						t.Errorf("Get waited %v for the log", d)
					}
				}
				must(t, l.Close(t.Context()))
			})
		})
	}
}

// A handler is a slog.Handler that is a function.
type handler struct {
	logbook

	handle func(context.Context)
}

func (h *handler) Handle(ctx context.Context, _ slog.Record) error {
	h.handle(ctx)
	return nil
}

func TestPanicWithErrNoneIsAPanic(t *testing.T) {
	l := zodiac.NewLoader(func(context.Context, string) (int, error) { panic(zodiac.ErrNone) })
	_, err := l.Get(t.Context(), "k")
	if _, ok := errors.AsType[*zodiac.PanicError](err); !ok {
		t.Errorf("Get: error %v; want a *PanicError", err)
	}
	_, err = l.GetMany(t.Context(), []string{"k"})
	if _, ok := errors.AsType[*zodiac.PanicError](err); !ok {
		t.Errorf("GetMany: error %v; want a *PanicError", err)
	}
	wantStats(t, l.Stats(), zodiac.Stats{Failed: 2, FetchErrors: 2})
}

func TestPanicOnTheCallersOwnGoroutinePassesThrough(t *testing.T) {
	l := zodiac.NewLoader(panics)
	ctx := t.Context()
	wantCallersPanic(t, func() { l.Fetch(ctx, "k") })
	wantCallersPanic(t, func() { l.Get(zodiac.Bypass(ctx), "k") })
	wantCallersPanic(t, func() { l.GetOrFetch(zodiac.Bypass(ctx), "k", panics) })
	wantCallersPanic(t, func() { l.GetMany(zodiac.Bypass(ctx), []string{"k"}) })
	wantCallersPanic(t, func() { l.Refresh(zodiac.Bypass(ctx), "k") })
}

func TestPanicValueThatIsAnErrorCanBeFound(t *testing.T) {
	for _, value := range []error{io.EOF, fmt.Errorf("wrapped: %w", io.EOF)} {
		l := zodiac.NewLoader(func(context.Context, string) (int, error) { panic(value) })
		_, err := l.Get(t.Context(), "k")
		wantError(t, "Get", err, io.EOF)
	}
	l := zodiac.NewLoader(func(context.Context, string) (int, error) {
		var p *user
		return len(p.Name), nil
	})
	_, err := l.Get(t.Context(), "k")
	if _, ok := errors.AsType[runtime.Error](err); !ok {
		t.Errorf("Get: error %v; want the runtime's", err)
	}
}

func TestPanicOfNilIsNoGoexit(t *testing.T) {
	l := zodiac.NewLoader(func(context.Context, string) (int, error) { panic(nil) })
	_, err := l.Get(t.Context(), "k")
	if e, ok := errors.AsType[*zodiac.PanicError](err); !ok || e.Goexit {
		t.Errorf("Get: error %v; want a *PanicError that is no Goexit", err)
	}
}

func TestPanicInOneFetchDoesNotReachOtherKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := zodiac.NewLoader(func(_ context.Context, key string) (string, error) {
			time.Sleep(time.Second)
			if key == "bad" {
				panic("boom")
			}
			return key, nil
		})
		good, bad := getLater(t.Context(), l, "good"), getLater(t.Context(), l, "bad")
		wantReply(t, "Get(good)", good, "good")
		if _, ok := errors.AsType[*zodiac.PanicError]((<-bad).err); !ok {
			t.Error("Get(bad) did not return a *PanicError")
		}
	})
}

func TestNothingIsLoggedOfWhatGoesWell(t *testing.T) {
	var log logbook
	fetch, _ := numbered()
	l := zodiac.NewLoader(fetch, zodiac.WithLogger(slog.New(&log)), zodiac.WithTTL(60))
	wantGet(t, l, "k", 1)
	wantGet(t, l, "k", 1)
	fails, _ := failing(errOrigin)
	l.GetOrFetch(t.Context(), "fails", fails)
	l.Get(zodiac.ReadOnly(t.Context()), "absent")
	must(t, l.Close(t.Context()))
	if records := log.take(); len(records) != 0 {
		t.Errorf("%d records: %v; want none", len(records), records)
	}
}

func TestFaultsAreLoggedAsWarnings(t *testing.T) {
	var log logbook
	l := zodiac.NewLoader(func(context.Context, float64) (int, error) { return 1, nil },
		zodiac.WithLogger(slog.New(&log)), zodiac.WithName("bad"), zodiac.WithTags(tagNames(64)...),
		zodiac.WithTagsFunc(func(float64, int) []string { return []string{"one more"} }))
	for _, key := range []float64{nan(), 1} {
		wantGet(t, l, key, 1)
	}
	must(t, l.Close(t.Context()))
	records := log.take()
	if len(records) != 2 {
		t.Fatalf("%d records; want 2", len(records))
	}
	for i, want := range []string{"NaN", "65 tags"} {
		a := attrs(records[i])
		if records[i].Level != slog.LevelWarn || a["loader"] != "bad" || !strings.Contains(a["error"], want) {
			t.Errorf("record %d is %v %v; want a warning that says %q", i, records[i].Level, a, want)
		}
	}
}

func TestTooManyTagsAreLoggedOnceAndObservedEachTime(t *testing.T) {
	var log logbook
	var seen recorder
	l := zodiac.NewLoader(func(context.Context, float64) (int, error) { return 1, nil }, zodiac.WithObserver(&seen),
		zodiac.WithLogger(slog.New(&log)), zodiac.WithTagsFunc(func(float64, int) []string { return tagNames(65) }))
	for range 3 {
		wantGet(t, l, 1, 1)
	}
	must(t, l.Close(t.Context()))
	if records := log.take(); len(records) != 1 || !strings.Contains(attrs(records[0])["error"], "65 tags") {
		t.Errorf("the log has %v; want the fault once", records)
	}
	faults := 0
	for _, e := range seen.all() {
		if e.Kind == zodiac.EventFault {
			faults++
		}
	}
	if faults != 3 {
		t.Errorf("the Observer was told %d faults; want 3", faults)
	}
}
