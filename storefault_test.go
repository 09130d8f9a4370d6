package zodiac_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac"
	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/record"
	"github.com/zodiac-go/zodiac/memstore"
	"github.com/zodiac-go/zodiac/storetest/chaos"
)

var errDown = errors.New("the store is down")

// faulty returns a loader of o's rows over a store whose faults the test decides.
func faulty(t *testing.T, o *origin, opts ...zodiac.Option) (*zodiac.Loader[string, string], *chaos.Injector) {
	t.Helper()
	store := memstore.New()
	faults := chaos.New(store)
	l := zodiac.NewLoader(o.read, append([]zodiac.Option{zodiac.WithName("rows"), zodiac.WithTTL(60), zodiac.WithStore(faults.Store())}, opts...)...)
	t.Cleanup(func() {
		faults.Heal()
		if err := l.Close(context.Background()); err != nil {
			t.Errorf("Close: %v", err)
		}
		store.Close()
	})
	return l, faults
}

// witness is an Observer that keeps the events.
type witness struct {
	mu     sync.Mutex
	events []zodiac.Event
}

func (r *witness) Observe(_ context.Context, e zodiac.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

func (r *witness) faults() (all []error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		if e.Kind == zodiac.EventFault {
			all = append(all, e.Err)
		}
	}
	return all
}

func TestGetFetchesWhileTheStoreIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, seen := &origin{took: 20 * time.Millisecond}, new(witness)
		o.write("k", "v")
		l, faults := faulty(t, o, zodiac.WithObserver(seen))
		faults.Fail(errDown)
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if v, err := l.Get(t.Context(), "k"); v != "v" || err != nil {
					t.Errorf("Get = %q, %v", v, err)
				}
			})
		}
		wg.Wait()
		if n := o.n.Load(); n != 1 {
			t.Errorf("%d fetches; want 1 at a time", n)
		}
		for _, err := range seen.faults() {
			if bad, ok := errors.AsType[*zodiac.StoreError](err); !ok || !errors.Is(err, errDown) || bad.Loader != "rows" || bad.Op == "" {
				t.Errorf("the Observer was told %v; want a StoreError that says which operation of which loader", err)
			}
		}
		if len(seen.faults()) == 0 {
			t.Error("the Observer was told nothing")
		}
		faults.Heal()
		time.Sleep(3 * time.Second)
		l.Get(t.Context(), "k") // the probe
		synctest.Wait()
		l.Get(t.Context(), "k")
		if s := l.Stats(); s.Stored != 1 {
			t.Errorf("%+v; want a value stored once the store is back", s)
		}
	})
}

// A caller that joined late, and finds the store down too, takes the result it waited for. It does
// not wait for the next fetch.
func TestLateJoinerWaitsForOneFetchWhileTheStoreIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origin{took: 10 * time.Second}
		o.write("k", "v")
		l, faults := faulty(t, o)
		faults.Fail(errDown)
		var wg sync.WaitGroup
		get := func() {
			wg.Go(func() {
				began := time.Now()
				v, err := l.Get(t.Context(), "k")
				if took := time.Since(began); v != "v" || err != nil || took > o.took {
					t.Errorf("Get = %q, %v after %v", v, err, took)
				}
			})
			time.Sleep(time.Second)
		}
		get()
		get() // joins it
		if _, err := l.Delete(t.Context(), "k"); !errors.Is(err, errDown) {
			t.Errorf("Delete: %v", err)
		}
		get() // begins another, which runs when the first two callers have their value
		wg.Wait()
		if s := l.Stats(); o.n.Load() != 2 || s.Fetched != 2 || s.Shared != 1 {
			t.Errorf("%d fetches, %+v; want two, one of them shared", o.n.Load(), s)
		}
	})
}

// A codec that cannot decode its own encoding fails no caller that shares a fetch, not even those that
// get it because the store did not answer.
func TestShareThatCannotBeDecodedIsTheValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origin{took: 10 * time.Second}
		o.write("k", "v")
		l, faults := faulty(t, o, zodiac.WithCodec(mute{zodiac.JSON}))
		faults.Fail(errDown)
		go l.Get(t.Context(), "k")
		time.Sleep(time.Second)
		if v, err := l.Get(t.Context(), "k"); v != "v" || err != nil {
			t.Errorf("Get = %q, %v; want the value", v, err)
		}
		synctest.Wait()
		if s := l.Stats(); s.Failed != 0 || s.Fetched != 1 || s.Shared != 1 {
			t.Errorf("%+v; want one shared", s)
		}
	})
}

// mute is a codec that decodes nothing.
type mute struct{ zodiac.Codec }

func (mute) Unmarshal([]byte, any) error { return errDown }

func TestFailClosedReturnsTheStoresFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origin{}
		l, faults := faulty(t, o, zodiac.FailClosed())
		for _, op := range []chaos.Op{chaos.Get, chaos.Acquire} {
			faults.Fail(errDown, op)
			_, err := l.Get(t.Context(), "k")
			if bad, ok := errors.AsType[*zodiac.StoreError](err); !ok || bad.Op != string(op) || !errors.Is(err, errDown) {
				t.Errorf("Get while %s fails: %v; want its StoreError", op, err)
			}
			faults.Heal()
		}
		if o.n.Load() != 0 {
			t.Error("the function was called")
		}
		if s := l.Stats(); s.Failed != 2 || s.Gets != 2 {
			t.Errorf("%+v; want two failed", s)
		}
	})
}

func TestWritesReturnTheStoresFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		for op, call := range map[chaos.Op]func(l *zodiac.Loader[string, string]) error{
			chaos.Set:     func(l *zodiac.Loader[string, string]) error { return l.Set(ctx, "k", "v") },
			chaos.Add:     func(l *zodiac.Loader[string, string]) error { _, err := l.SetIfAbsent(ctx, "k", "v"); return err },
			chaos.Delete:  func(l *zodiac.Loader[string, string]) error { _, err := l.Delete(ctx, "k"); return err },
			chaos.Clear:   func(l *zodiac.Loader[string, string]) error { _, err := l.Clear(ctx); return err },
			chaos.Acquire: func(l *zodiac.Loader[string, string]) error { return update(ctx, l) },
			chaos.Commit:  func(l *zodiac.Loader[string, string]) error { return update(ctx, l) },
			chaos.Get:     func(l *zodiac.Loader[string, string]) error { _, err := l.Touch(ctx, "k"); return err },
		} {
			l, faults := faulty(t, &origin{})
			faults.Fail(errDown, op)
			err := call(l)
			if bad, ok := errors.AsType[*zodiac.StoreError](err); !ok || bad.Op != string(op) || !errors.Is(err, errDown) {
				t.Errorf("while %s fails: %v; want its StoreError", op, err)
			}
			faults.Heal()
			if err := l.Close(ctx); err != nil {
				t.Error(err)
			}
		}
	})
}

func update(ctx context.Context, l *zodiac.Loader[string, string]) error {
	_, err := l.Update(ctx, "k", func(string, bool) (string, error) { return "v", nil })
	return err
}

func TestStalledStoreHoldsACallerNoLongerThanItsTimeoutAllows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origin{took: 20 * time.Millisecond}
		o.write("k", "v")
		l, faults := faulty(t, o, zodiac.WithStoreTimeout(time.Second))
		faults.Stall()
		for i := range 10 {
			began := time.Now()
			if v, err := l.Get(context.Background(), "k"); v != "v" || err != nil {
				t.Fatalf("Get = %q, %v", v, err)
			}
			took := time.Since(began)
			if limit := 2*time.Second + 100*time.Millisecond; took > limit {
				t.Errorf("call %d took %v; want at most %v", i, took, limit)
			}
			if i > 6 && took > 25*time.Millisecond {
				t.Errorf("call %d took %v; want little more than the fetch, once the store is left alone", i, took)
			}
		}
	})
}

func TestCallerWhoLeavesIsNotHeldByAStalledStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, faults := faulty(t, &origin{})
		faults.Stall()
		for range 8 {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(30*time.Millisecond, cancel)
			began := time.Now()
			if _, err := l.Get(ctx, "k"); !errors.Is(err, context.Canceled) {
				t.Errorf("Get = %v; want that its context ended", err)
			}
			if d := time.Since(began); d != 30*time.Millisecond {
				t.Errorf("it came back after %v; want 30ms", d)
			}
		}
	})
}

func TestWhatCannotBeStoredIsReturnedAndReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := new(witness)
		store := memstore.New()
		defer store.Close()
		fetch := func(_ context.Context, key string) (any, error) {
			if key == "large" {
				return strings.Repeat("x", 1000), nil
			}
			return func() {}, nil // no JSON
		}
		l := zodiac.NewLoader(fetch, zodiac.WithName("odd"), zodiac.WithStore(store), zodiac.WithMaxBytes(500), zodiac.WithObserver(seen))
		defer l.Close(t.Context())
		for key, want := range map[string]error{"large": zodiac.ErrTooLarge, "func": nil} {
			v, err := l.Get(t.Context(), key)
			if v == nil || err != nil {
				t.Errorf("Get(%s) = %v, %v; want the value", key, v, err)
			}
			synctest.Wait() // the Observer is told after the callers have their value
			faults := seen.faults()
			last := faults[len(faults)-1]
			if _, coded := errors.AsType[*zodiac.CodecError](last); !errors.Is(last, want) && !coded {
				t.Errorf("Get(%s): the Observer was told %v", key, last)
			}
			err = l.Set(t.Context(), key, v)
			if _, coded := errors.AsType[*zodiac.CodecError](err); !errors.Is(err, want) && !coded || err == nil {
				t.Errorf("Set(%s): %v", key, err)
			}
		}
		if s := l.Stats(); s.Uncached != 2 || s.Stored != 0 {
			t.Errorf("%+v; want two results that could not be stored", s)
		}
	})
}

func TestCorruptRecordsAreMissesThatGetOverwritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origin{}
		o.write("k", "v")
		l, faults := faulty(t, o)
		ctx := t.Context()
		var key string
		faults.Observe(func(c chaos.Call) {
			if c.Op == chaos.Get {
				key = c.Keys[0]
			}
		})
		l.Get(ctx, "k")
		whole, err := faults.Store().Get(ctx, key)
		if err != nil {
			t.Fatal(err)
		}
		bad := [][]byte{nil, []byte("foreign"), whole.Data[:len(whole.Data)-1], append([]byte{whole.Data[0], 99}, whole.Data[2:]...)}
		for i, data := range bad {
			before := l.Stats()
			if err := faults.Store().Set(ctx, key, driver.Record{Data: data, TTL: time.Minute}); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if v, err := l.Get(ctx, "k"); v != "v" || err != nil {
					t.Errorf("Get over %q = %q, %v", data, v, err)
				}
			}
			after := l.Stats()
			if after.Corrupt <= before.Corrupt || after.Fetches != before.Fetches+1 || after.HitStore != before.HitStore+1 {
				t.Errorf("bad record %d: %+v; want it counted, and fetched once", i, after)
			}
		}
	})
}

// A useless record that appears between the read and the ask for the lease is overwritten all the
// same.
func TestUselessRecordFoundByAskingIsOverwritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origin{}
		o.write("k", "v")
		store := memstore.New()
		defer store.Close()
		faults := chaos.New(store)
		l := zodiac.NewLoader(o.read, zodiac.WithName("rows"), zodiac.WithTTL(60), zodiac.WithStore(faults.Store()))
		defer l.Close(t.Context())
		asks := 0
		faults.Observe(func(c chaos.Call) {
			if c.Op != chaos.Acquire {
				return
			}
			switch asks++; asks {
			case 1:
				if err := store.Set(context.Background(), c.Keys[0], driver.Record{Data: []byte("foreign"), TTL: time.Minute}); err != nil {
					t.Error(err)
				}
			case 10:
				faults.Fail(errDown)
			}
		})
		if v, err := l.Get(t.Context(), "k"); v != "v" || err != nil {
			t.Errorf("Get = %q, %v", v, err)
		}
		if s := l.Stats(); asks != 2 || s.Corrupt != 1 || s.Stored != 1 {
			t.Errorf("%d asks, %+v; want two, one corrupt record, and one stored", asks, s)
		}
	})
}

func TestWaitingForAnotherProcessEnds(t *testing.T) {
	for name, c := range map[string]struct {
		opt   zodiac.Option
		after time.Duration
		err   error
		n     int32
	}{
		"ThenFetch": {zodiac.WithWait(0.5, zodiac.ThenFetch), 500*time.Millisecond + 2*time.Second, nil, 2},
		"ThenFail":  {zodiac.WithWait(0.5, zodiac.ThenFail), 500 * time.Millisecond, zodiac.ErrBusy, 1},
		"NoWait":    {zodiac.NoWait(), 0, zodiac.ErrBusy, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &origin{took: 2 * time.Second}
				o.write("k", "v")
				all := processes(t, o, 2, c.opt)
				var wg sync.WaitGroup
				defer wg.Wait()
				wg.Go(func() { all[0].Get(t.Context(), "k") })
				synctest.Wait()
				began := time.Now()
				_, err := all[1].Get(t.Context(), "k")
				if d := time.Since(began); !errors.Is(err, c.err) || d < c.after || d > c.after+100*time.Millisecond {
					t.Errorf("Get = %v after %v; want %v after %v", err, d, c.err, c.after)
				}
				if n := o.n.Load(); n != c.n {
					t.Errorf("%d fetches; want %d", n, c.n)
				}
			})
		})
	}
}

func TestErrorIsRememberedForAllProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origin{}
		all := processes(t, o, 2, zodiac.WithErrorTTL(5))
		if _, err := all[0].Get(t.Context(), "k"); !same(err, errNotThere) {
			t.Fatalf("Get = %v", err)
		}
		_, err := all[1].Get(t.Context(), "k")
		if remembered, ok := errors.AsType[*zodiac.RememberedError](err); !ok || !errors.Is(err, zodiac.ErrRemembered) || !strings.Contains(remembered.Error(), "not there") {
			t.Errorf("Get elsewhere = %v; want the remembered error", err)
		}
		if n := o.n.Load(); n != 1 {
			t.Errorf("%d fetches; want 1", n)
		}
		o.write("k", "v")
		all[1].Delete(t.Context(), "k")
		if v, err := all[0].Get(t.Context(), "k"); v != "v" || err != nil {
			t.Errorf("Get after Delete = %q, %v", v, err)
		}
	})
}

// An error is remembered in the process if the store cannot remember it: a tombstone would take the
// place of a record that others may still use.
func TestErrorIsRememberedThoughTheKeyHasARecord(t *testing.T) {
	for name, fail := range map[string]func(ctx context.Context, l *zodiac.Loader[string, string]) error{
		"InvalidRecord": func(ctx context.Context, l *zodiac.Loader[string, string]) error {
			must(t, l.Set(ctx, "k", "old"))
			must(t, l.DeleteTags(ctx, "tag"))
			_, err := l.Get(ctx, "k")
			return err
		},
		"Refresh": func(ctx context.Context, l *zodiac.Loader[string, string]) error {
			_, err := l.Refresh(ctx, "k")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &origin{}
				l := processes(t, o, 1, zodiac.WithErrorTTL(5), zodiac.WithTags("tag"))[0]
				if err := fail(t.Context(), l); !same(err, errNotThere) {
					t.Fatalf("the fetch returned %v", err)
				}
				_, err := l.Get(t.Context(), "k")
				wantError(t, "Get", err, zodiac.ErrRemembered)
				if n := o.n.Load(); n != 1 {
					t.Errorf("%d fetches; want 1", n)
				}
				must(t, l.Set(t.Context(), "k", "new"))
				if v, err := l.Get(t.Context(), "k"); v != "new" || err != nil {
					t.Errorf("Get after Set = %q, %v", v, err)
				}
			})
		})
	}
}

func TestSkippedResultsAreNotFetchedOneProcessAfterAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origin{took: 100 * time.Millisecond}
		o.write("k", "v")
		all := processes(t, o, 8, zodiac.SkipIf(func(string) bool { return true }))
		began := time.Now()
		var wg sync.WaitGroup
		for _, l := range all {
			wg.Go(func() {
				if v, err := l.Get(t.Context(), "k"); v != "v" || err != nil {
					t.Errorf("Get = %q, %v", v, err)
				}
			})
		}
		wg.Wait()
		if d := time.Since(began); d > 250*time.Millisecond {
			t.Errorf("the last had its value after %v; want two fetches' time", d)
		}
	})
}

func TestBareStoreIsFetchedOncePerProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origin{took: 20 * time.Millisecond}
		o.write("k", "old")
		store := memstore.New()
		defer store.Close()
		l := zodiac.NewLoader(o.read, zodiac.WithName("rows"), zodiac.WithStore(chaos.Bare(store)), zodiac.WithMemory(10))
		defer l.Close(context.Background())
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() { l.Get(t.Context(), "k") })
		}
		time.Sleep(10 * time.Millisecond)
		o.write("k", "new")
		l.Delete(t.Context(), "k")
		for range 3 {
			if v, err := l.Get(t.Context(), "k"); v != "new" || err != nil {
				t.Errorf("Get after Delete = %q, %v", v, err)
			}
			wg.Wait()
		}
		if n := o.n.Load(); n != 2 {
			t.Errorf("%d fetches; want 2", n)
		}
		time.Sleep(time.Second)
		if s := l.Stats(); s.HitMemory == 0 {
			t.Errorf("%+v; want hits in memory", s)
		}
		if _, err := store.Clear(t.Context(), ""); err != nil { // without a publish
			t.Fatal(err)
		}
		if v, err := l.Get(t.Context(), "k"); v != "new" || err != nil || o.n.Load() != 3 {
			t.Errorf("Get = %q, %v, %d fetches; want that memory kept the entry no longer than a second", v, err, o.n.Load())
		}
	})
}

func TestAbandonedFetchLetsAnotherProcessFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origin{took: time.Hour}
		o.write("k", "v")
		all := processes(t, o, 2)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { all[0].Get(ctx, "k") })
		synctest.Wait()
		o.mu.Lock()
		o.took = 0
		o.mu.Unlock()
		var value atomic.Value
		wg.Go(func() {
			v, _ := all[1].Get(t.Context(), "k")
			value.Store(v)
		})
		synctest.Wait()
		if value.Load() != nil {
			t.Fatal("it did not wait for the other process")
		}
		cancel()
		synctest.Wait()
		if value.Load() != "v" {
			t.Errorf("Get = %v; want the value as soon as the other process has given up", value.Load())
		}
		wg.Wait()
	})
}

func TestKilledProcessIsReplacedWhenItsLeaseEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origin{took: 10 * time.Second}
		o.write("k", "v")
		store := memstore.New()
		defer store.Close()
		faults := chaos.New(store)
		killed := zodiac.NewLoader(o.read, zodiac.WithName("rows"), zodiac.WithStore(faults.Store()))
		other := zodiac.NewLoader(o.read, zodiac.WithName("rows"), zodiac.WithStore(store))
		var wg sync.WaitGroup
		wg.Go(func() { killed.Get(t.Context(), "k") })
		time.Sleep(5 * time.Second) // renewed meanwhile
		faults.Fail(errDown)
		o.mu.Lock()
		o.took = 0
		o.mu.Unlock()
		began := time.Now()
		if v, err := other.Get(t.Context(), "k"); v != "v" || err != nil {
			t.Errorf("Get = %q, %v", v, err)
		}
		if d := time.Since(began); d > 2*time.Second+50*time.Millisecond || d < time.Second {
			t.Errorf("it took over after %v; want the remaining lease", d)
		}
		wg.Wait()
		killed.Close(t.Context())
		other.Close(t.Context())
	})
}

func TestNamesAreUniqueOverAStore(t *testing.T) {
	store := memstore.New()
	defer store.Close()
	fetch, _ := numbered()
	l := zodiac.NewLoader(fetch, zodiac.WithName("a"), zodiac.WithStore(store))
	if _, err := zodiac.TryNewLoader(fetch, zodiac.WithName("a"), zodiac.WithStore(store)); err == nil {
		t.Error("two open loaders of one name over one store")
	} else if !strings.Contains(err.Error(), "WithName") {
		t.Errorf("%v; want an instruction", err)
	}
	for _, opt := range []zodiac.Option{zodiac.WithName("b"), zodiac.Options{zodiac.WithName("a"), zodiac.WithVersion(2)}} {
		other, err := zodiac.TryNewLoader(fetch, opt, zodiac.WithStore(store))
		if err != nil {
			t.Error(err)
		} else {
			other.Close(t.Context())
		}
	}
	l.Close(t.Context())
	again, err := zodiac.TryNewLoader(fetch, zodiac.WithName("a"), zodiac.WithStore(store))
	if err != nil {
		t.Fatalf("after Close: %v", err)
	}
	again.Close(t.Context())
	if _, err := zodiac.TryNewLoader(fetch, zodiac.WithStore(store)); err == nil || !strings.Contains(err.Error(), "closure") {
		t.Errorf("a closure without a name: %v; want an error", err)
	}
	if _, err := zodiac.TryNewCache[int, int](zodiac.WithStore(store)); err == nil {
		t.Error("a Cache without a name")
	}
}

func TestStoreOptionsThatContradictEachOtherAreReported(t *testing.T) {
	store := memstore.New()
	defer store.Close()
	fetch, _ := numbered()
	over := []zodiac.Option{zodiac.WithName("a"), zodiac.WithStore(store), zodiac.WithTTL(10)}
	for want, opts := range map[string][]zodiac.Option{
		"WithLease":        {zodiac.WithLease(1)},
		"WithWait":         {zodiac.NoWait()},
		"WithCodec":        {zodiac.WithCodec(zodiac.JSON)},
		"WithStoreTimeout": {zodiac.WithStoreTimeout(1)},
		"FailClosed":       {zodiac.FailClosed()},
		"WithMaxBytes":     {zodiac.WithMaxBytes(1)},
		"WithMemory":       {zodiac.WithMemory(1)},
		"WithStore":        {zodiac.WithStore(nil)},
		"WithMemory: 20s":  append([]zodiac.Option{zodiac.WithMemory(20)}, over...),
		"WithSliding":      append([]zodiac.Option{zodiac.WithMemory(1), zodiac.WithSliding()}, over...),
		"WithCapacity":     append([]zodiac.Option{zodiac.WithCapacity(1)}, over...),
		"WithMaxBytes: -1": append([]zodiac.Option{zodiac.WithMaxBytes(-1)}, over...),
		"no good":          append([]zodiac.Option{zodiac.WithCodec(oddCodec{})}, over...),
		"neither":          append([]zodiac.Option{zodiac.WithWait(1, 7)}, over...),
	} {
		l, err := zodiac.TryNewLoader(fetch, opts...)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want an error that says %q", err, want)
		}
		if l != nil {
			l.Close(t.Context())
		}
	}
}

type oddCodec struct{ zodiac.Codec }

func (oddCodec) Name() string { return "no good" }

func TestGetManyAsksAStoreOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origin{}
		keys := make([]string, 100)
		for i := range keys {
			keys[i] = fmt.Sprint(i)
			o.write(keys[i], "v")
		}
		l, faults := faulty(t, o)
		if got, err := l.GetMany(t.Context(), keys); len(got) != 100 || err != nil {
			t.Errorf("GetMany = %d values, %v", len(got), err)
		}
		asked := faults.Calls()
		if got, err := l.GetMany(t.Context(), keys); len(got) != 100 || err != nil {
			t.Errorf("GetMany = %d values, %v", len(got), err)
		}
		if n := faults.Calls() - asked; n != 1 {
			t.Errorf("%d commands for 100 hits; want 1", n)
		}
		if s := l.Stats(); s.HitStore != 100 || s.Fetched != 100 {
			t.Errorf("%+v", s)
		}
	})
}

func TestMemoryInFrontOfAStoreIsNotUsedWhileDisconnected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origin{}
		o.write("k", "old")
		l, faults := faulty(t, o, zodiac.WithMemory(30))
		ctx := t.Context()
		l.Get(ctx, "k")
		synctest.Wait()
		l.Get(ctx, "k")
		l.Get(ctx, "k")
		if s := l.Stats(); s.HitMemory == 0 {
			t.Fatalf("%+v; want hits in memory", s)
		}
		faults.Fail(errDown, chaos.Subscribe)
		faults.Cut()
		before := l.Stats()
		for range 3 {
			l.Get(ctx, "k")
		}
		if s := l.Stats(); s.HitMemory != before.HitMemory || s.HitStore != before.HitStore+3 {
			t.Errorf("%+v; want no use of memory while disconnected", s)
		}
		faults.Heal()
		time.Sleep(time.Second)
		l.Get(ctx, "k")
		l.Get(ctx, "k")
		if s := l.Stats(); s.HitMemory == before.HitMemory {
			t.Errorf("%+v; want that memory is used again", s)
		}
	})
}

func TestStoreIsLeftAloneAfterFiveFaultsInARow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		seen := new(witness)
		l, faults := faulty(t, &origin{}, zodiac.WithObserver(seen), zodiac.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		asks := func(peeks, want int) {
			t.Helper()
			before := faults.Calls(chaos.Get)
			for range peeks {
				l.Peek(context.Background(), "k")
			}
			synctest.Wait()
			if n := faults.Calls(chaos.Get) - before; n != want {
				t.Errorf("%d calls sent %d reads; want %d", peeks, n, want)
			}
		}
		asks(10, 10) // misses are no faults
		for range 3 {
			faults.Fail(errDown)
			asks(4, 4)
			faults.Heal()
			asks(1, 1)
		}
		faults.Fail(errDown)
		asks(5, 5)
		asks(5, 0)
		time.Sleep(time.Second - time.Millisecond)
		asks(1, 0)
		time.Sleep(2 * time.Millisecond)
		asks(3, 1) // the probe, which fails
		faults.Heal()
		faults.Stall()
		for range 2 {
			time.Sleep(time.Second + time.Millisecond)
			asks(3, 1) // one that hangs, and that no caller waits for
			time.Sleep(time.Second)
			asks(1, 0)
		}
		faults.Heal()
		time.Sleep(time.Second + time.Millisecond)
		asks(1, 1)
		asks(5, 5)
		if n := len(seen.faults()); n != 3*4+5 {
			t.Errorf("the Observer was told of %d faults; want only those of commands that were sent", n)
		}
		if left, again := strings.Count(log.String(), "not using it for now"), strings.Count(log.String(), "answers again"); left != 1 || again != 1 {
			t.Errorf("it was logged %d times that the store is not used, and %d times that it answers again; want once each", left, again)
		}
	})
}

// Once the store has failed, a command goes on when its caller has gone. Its success counts.
func TestCallersWithLittleTimeDoNotMakeAStoreFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := new(witness)
		l, faults := faulty(t, &origin{}, zodiac.WithObserver(seen))
		faults.Delay(20 * time.Millisecond)
		for i := range 20 {
			before := faults.Calls(chaos.Get)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			l.Peek(ctx, "k")
			cancel()
			if faults.Calls(chaos.Get) == before {
				t.Fatalf("after %d callers that gave up the store is not asked any more", i)
			}
			time.Sleep(30 * time.Millisecond)
		}
		if all := seen.faults(); len(all) != 0 {
			t.Errorf("the Observer was told %v; want nothing", all)
		}
	})
}

// An inert store is one whose reads end only at their deadline, as those of some clients do.
type inert struct{ zodiac.Store }

func (s inert) Get(ctx context.Context, _ string) (driver.Record, error) {
	end, ok := ctx.Deadline()
	if !ok {
		end = time.Now().Add(time.Hour)
	}
	time.Sleep(time.Until(end))
	return driver.Record{}, context.DeadlineExceeded
}

func TestInertStoreHoldsNobodyOnceItHasFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		defer store.Close()
		l := zodiac.NewCache[string, string](zodiac.WithName("n"), zodiac.WithStore(&inert{store}))
		defer l.Close(t.Context())
		l.Peek(t.Context(), "k")
		for range 3 {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(30*time.Millisecond, cancel)
			began := time.Now()
			if _, _, err := l.Peek(ctx, "k"); !errors.Is(err, context.Canceled) || time.Since(began) != 30*time.Millisecond {
				t.Errorf("Peek = %v after %v; want that its context ended after 30ms", err, time.Since(began))
			}
		}
	})
}

// A late store is one whose reads fail long after their time is over, as they do in a process that
// was stopped.
type late struct {
	zodiac.Store
	by time.Duration
	n  int
}

func (s *late) Get(ctx context.Context, _ string) (driver.Record, error) {
	s.n++
	<-ctx.Done()
	time.Sleep(s.by)
	return driver.Record{}, ctx.Err()
}

func TestProcessThatWasStoppedDoesNotBlameTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		defer store.Close()
		s := &late{store, time.Minute, 0}
		l := zodiac.NewCache[string, string](zodiac.WithName("n"), zodiac.WithStore(s))
		defer l.Close(t.Context())
		for range 10 {
			l.Peek(t.Context(), "k")
		}
		if s.n != 10 {
			t.Errorf("the store was asked %d times; want 10", s.n)
		}
	})
}

// A broken store is one whose reads panic.
type broken struct{ zodiac.Store }

func (broken) Get(context.Context, string) (driver.Record, error) { panic("boom") }

func TestStoreThatPanicsIsOneThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		defer store.Close()
		seen := new(witness)
		o := &origin{}
		o.write("k", "v")
		l := zodiac.NewLoader(o.read, zodiac.WithName("n"), zodiac.WithStore(&broken{store}), zodiac.WithObserver(seen))
		defer l.Close(t.Context())
		if v, err := l.Get(t.Context(), "k"); v != "v" || err != nil {
			t.Errorf("Get = %q, %v", v, err)
		}
		synctest.Wait()
		if all := seen.faults(); len(all) == 0 || !strings.Contains(all[0].Error(), "boom") {
			t.Errorf("the Observer was told %v", all)
		}
	})
}

func TestStoreTimeoutIsForAllCommandsOfACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origin{}
		o.write("k", "v")
		l, faults := faulty(t, o, zodiac.WithStoreTimeout(time.Second))
		ctx := context.Background()
		get := func(want time.Duration) {
			t.Helper()
			began := time.Now()
			if v, err := l.Get(ctx, "k"); v != "v" || err != nil {
				t.Errorf("Get = %q, %v", v, err)
			}
			if d := time.Since(began); d > want || d < want-20*time.Millisecond {
				t.Errorf("Get took %v; want %v", d, want)
			}
		}
		faults.Delay(600*time.Millisecond, chaos.Get)
		faults.Stall(chaos.Acquire)
		go func() {
			time.Sleep(590 * time.Millisecond)
			l.Set(ctx, "other", "v") // it has a limit of its own
		}()
		get(time.Second)
		faults.Heal()

		faults.Stall(chaos.Get)
		before := faults.Calls(chaos.Acquire)
		get(time.Second)
		if n := faults.Calls(chaos.Acquire) - before; n != 0 {
			t.Errorf("%d leases asked for when the time was over; want none", n)
		}
		synctest.Wait()
	})
}

// Commands that are sent at about the same time share a timer. It is too short by 20 ms at most,
// and exact if the limit is short.
func TestStoreTimeoutIsHardlyTooShort(t *testing.T) {
	for timeout, early := range map[time.Duration]time.Duration{50 * time.Millisecond: 0, time.Second: 20 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			l, faults := faulty(t, &origin{}, zodiac.WithStoreTimeout(timeout))
			ctx := context.Background()
			if err := l.Set(ctx, "k", "v"); err != nil {
				t.Fatal(err)
			}
			for _, after := range []time.Duration{0, 15 * time.Millisecond, 19 * time.Millisecond, 21 * time.Millisecond} {
				time.Sleep(after)
				faults.Delay(timeout-early-time.Millisecond, chaos.Get)
				if v, ok, err := l.Peek(ctx, "k"); v != "v" || !ok || err != nil {
					t.Errorf("Peek of a store that answers after %v, %v after another = %q, %v, %v", timeout-early-time.Millisecond, after, v, ok, err)
				}
				faults.Heal()
				l.Peek(ctx, "k") // takes no time
			}
		})
	}
}

func TestCloseWaitsForAStalledStoreNoLongerThanItsTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origin{took: time.Hour}
		l, faults := faulty(t, o, zodiac.WithStoreTimeout(time.Second))
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { l.Get(ctx, "k") })
		synctest.Wait()
		faults.Stall(chaos.Abort)
		cancel()
		wg.Wait()
		began := time.Now()
		if err := l.Close(t.Context()); err != nil {
			t.Errorf("Close = %v", err)
		}
		if d := time.Since(began); d != time.Second {
			t.Errorf("Close took %v; want a second", d)
		}
	})
}

func TestCommitThatFailsIsReported(t *testing.T) {
	for name, fetched := range map[string]error{"value": nil, "error": errNotThere} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o, seen := &origin{}, new(witness)
				if fetched == nil {
					o.write("k", "v")
				}
				l, faults := faulty(t, o, zodiac.WithErrorTTL(5), zodiac.WithObserver(seen))
				faults.Fail(errDown, chaos.Commit)
				if _, err := l.Get(t.Context(), "k"); !errors.Is(err, fetched) {
					t.Errorf("Get = %v; want %v", err, fetched)
				}
				synctest.Wait()
				all := seen.faults()
				if len(all) != 1 {
					t.Fatalf("the Observer was told %v; want one fault", all)
				}
				if bad, ok := errors.AsType[*zodiac.StoreError](all[0]); !ok || bad.Op != "Commit" || !errors.Is(bad, errDown) {
					t.Errorf("the Observer was told %v", bad)
				}
			})
		})
	}
}

// A loader without WithErrorTTL does not use the errors that other loaders remember.
func TestErrorRememberedForOthersIsNotForALoaderWithoutErrorTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origin{}
		store := memstore.New()
		defer store.Close()
		a := zodiac.NewLoader(o.read, zodiac.WithName("rows"), zodiac.WithStore(&twin{store}), zodiac.WithErrorTTL(5))
		b := zodiac.NewLoader(o.read, zodiac.WithName("rows"), zodiac.WithStore(&twin{store}))
		defer a.Close(t.Context())
		defer b.Close(t.Context())
		for _, l := range []*zodiac.Loader[string, string]{a, b} {
			if _, err := l.Get(t.Context(), "k"); !same(err, errNotThere) {
				t.Errorf("Get = %v; want the function's error", err)
			}
		}
		if n := o.n.Load(); n != 2 {
			t.Errorf("%d fetches; want 2", n)
		}
	})
}

// A babblingStore answers each read and each ask with another record, which no codec can decode.
type babblingStore struct {
	*memstore.Store
	n atomic.Int64
}

func (s *babblingStore) record() driver.Record {
	rec := record.Record{Codec: "json", Created: time.Now(), Payload: []byte("{")}
	return driver.Record{Data: rec.AppendTo(nil), TTL: time.Hour, Version: fmt.Sprint(s.n.Add(1))}
}

func (s *babblingStore) Get(context.Context, string) (driver.Record, error) { return s.record(), nil }

func (s *babblingStore) GetMany(_ context.Context, keys []string) ([]driver.Record, []error) {
	records := make([]driver.Record, len(keys))
	for i := range records {
		records[i] = s.record()
	}
	return records, make([]error, len(keys))
}

func (s *babblingStore) Acquire(context.Context, string, driver.Ask) (driver.Claim, error) {
	return driver.Claim{State: driver.Hit, Record: s.record(), Whole: true}, nil
}

func TestGetOfRecordsThatNobodyCanDecodeEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := new(origin)
		o.write("k", "v")
		s := &babblingStore{Store: memstore.New()}
		defer s.Close()
		l := zodiac.NewLoader(o.read, zodiac.WithName("rows"), zodiac.WithTTL(60), zodiac.WithStore(s), zodiac.WithLogger(slog.New(slog.DiscardHandler)))
		defer l.Close(context.Background())
		for range 3 {
			before := s.n.Load()
			if v, err := l.Get(t.Context(), "k"); v != "v" || err != nil {
				t.Errorf("Get = %q, %v; want v", v, err)
			}
			if n := s.n.Load() - before; n > 10 {
				t.Errorf("Get has read %d records; want 10 at most", n)
			}
		}
		if vs, err := l.GetMany(t.Context(), []string{"k"}); vs["k"] != "v" || err != nil {
			t.Errorf("GetMany = %v, %v; want v", vs, err)
		}
	})
}
