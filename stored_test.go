package zodiac_test

import (
	"context"
	"errors"
	"fmt"
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

// An origin has the rows that processes fetch.
type origin struct {
	mu   sync.Mutex
	rows map[string]string
	took time.Duration // of a fetch, after the row was read
	n    atomic.Int32  // fetches that began
	now  atomic.Int32  // fetches that run
	most atomic.Int32
}

func (o *origin) write(key, value string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.rows == nil {
		o.rows = make(map[string]string)
	}
	o.rows[key] = value
}

func (o *origin) read(ctx context.Context, key string) (string, error) {
	o.n.Add(1)
	if now := o.now.Add(1); now > o.most.Load() {
		o.most.Store(now)
	}
	defer o.now.Add(-1)
	o.mu.Lock()
	v, ok := o.rows[key]
	took := o.took
	o.mu.Unlock()
	select {
	case <-time.After(took):
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if !ok {
		return "", errNotThere
	}
	return v, nil
}

var errNotThere = errors.New("not there")

// twin hides that two loaders are over one store. A name can be used once per Store.
type twin struct{ *memstore.Store }

// processes returns n loaders over one memstore, each as in a process of its own.
func processes(t *testing.T, o *origin, n int, opts ...zodiac.Option) []*zodiac.Loader[string, string] {
	t.Helper()
	store := memstore.New()
	all := make([]*zodiac.Loader[string, string], n)
	for i := range all {
		all[i] = zodiac.NewLoader(o.read, append([]zodiac.Option{zodiac.WithName("rows"), zodiac.WithTTL(60), zodiac.WithStore(&twin{store})}, opts...)...)
	}
	t.Cleanup(func() {
		for _, l := range all {
			if err := l.Close(context.Background()); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
		store.Close()
	})
	return all
}

func TestProcessesShareOneFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origin{took: 20 * time.Millisecond}
		o.write("k", "v")
		all := processes(t, o, 8)
		began := time.Now()
		var last atomic.Int64
		var wg sync.WaitGroup
		for _, l := range all {
			for range 25 {
				wg.Go(func() {
					if v, err := l.Get(t.Context(), "k"); v != "v" || err != nil {
						t.Errorf("Get = %q, %v", v, err)
					}
					last.Store(max(last.Load(), int64(time.Since(began))))
				})
			}
		}
		wg.Wait()
		if n := o.n.Load(); n != 1 {
			t.Errorf("%d fetches; want 1", n)
		}
		if d := time.Duration(last.Load()); d != 20*time.Millisecond {
			t.Errorf("the last of all had its value after %v; want 20ms", d)
		}
	})
}

func TestStoredValueIsReadByOtherProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origin{}
		o.write("k", "v")
		all := processes(t, o, 2)
		for _, l := range all {
			if v, err := l.Get(t.Context(), "k"); v != "v" || err != nil {
				t.Fatalf("Get = %q, %v", v, err)
			}
		}
		if s := all[1].Stats(); s.HitStore != 1 || s.Fetches != 0 || s.Gets != 1 {
			t.Errorf("%+v; want one hit in the store", s)
		}
	})
}

func TestNoProcessReadsAValueOlderThanADelete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origin{took: 50 * time.Millisecond}
		o.write("k", "old")
		all := processes(t, o, 2)
		var wg sync.WaitGroup
		wg.Go(func() { all[0].Get(t.Context(), "k") })
		time.Sleep(20 * time.Millisecond) // it has read the old row
		o.write("k", "new")
		if _, err := all[1].Delete(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		for _, l := range all {
			if v, err := l.Get(t.Context(), "k"); v != "new" || err != nil {
				t.Errorf("Get after Delete = %q, %v; want new", v, err)
			}
		}
		wg.Wait()
		for _, l := range all {
			if v, err := l.Get(t.Context(), "k"); v != "new" || err != nil {
				t.Errorf("Get after the old fetch = %q, %v; want new", v, err)
			}
		}
	})
}

func TestMutationsOverAStore(t *testing.T) {
	for _, opts := range [][]zodiac.Option{nil, {zodiac.WithMemory(10)}} {
		synctest.Test(t, func(t *testing.T) {
			o := &origin{}
			o.write("k", "v")
			all := processes(t, o, 2, opts...)
			a, b := all[0], all[1]
			ctx := t.Context()
			want := func(l *zodiac.Loader[string, string], key, want string) {
				t.Helper()
				if v, ok, err := l.Peek(ctx, key); v != want || ok != (want != "") || err != nil {
					t.Errorf("Peek = %q, %v, %v; want %q", v, ok, err, want)
				}
			}
			if err := a.Set(ctx, "s", "1"); err != nil {
				t.Fatal(err)
			}
			want(a, "s", "1")
			want(b, "s", "1")
			if err := b.Set(ctx, "s", "2"); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			want(a, "s", "2")
			if ok, err := a.SetIfAbsent(ctx, "s", "3"); ok || err != nil {
				t.Errorf("SetIfAbsent of a present key = %v, %v", ok, err)
			}
			if ok, err := a.SetIfAbsent(ctx, "t", "3"); !ok || err != nil {
				t.Errorf("SetIfAbsent = %v, %v", ok, err)
			}
			want(b, "t", "3")
			if v, err := b.Update(ctx, "t", func(old string, ok bool) (string, error) { return fmt.Sprint(old, ok), nil }); v != "3true" || err != nil {
				t.Errorf("Update = %q, %v", v, err)
			}
			synctest.Wait()
			want(a, "t", "3true")
			if ok, err := a.Touch(ctx, "t", zodiac.WithTTL(5)); !ok || err != nil {
				t.Errorf("Touch = %v, %v", ok, err)
			}
			if e, ok, err := b.Entry(ctx, "t"); !ok || err != nil || e.Left != 5*time.Second {
				t.Errorf("Entry = %+v, %v, %v; want 5 s left", e, ok, err)
			}
			if err := a.SetNone(ctx, "n"); err != nil {
				t.Fatal(err)
			}
			if _, err := b.Get(ctx, "n"); !errors.Is(err, zodiac.ErrNone) {
				t.Errorf("Get of a None: %v", err)
			}
			if got, err := b.GetMany(ctx, []string{"k", "s", "t", "n", "k"}); len(got) != 3 || got["k"] != "v" || got["s"] != "2" || err != nil {
				t.Errorf("GetMany = %v, %v", got, err)
			}
			if n, err := b.Delete(ctx, "s", "nothing"); n != 1 || err != nil {
				t.Errorf("Delete = %d, %v; want 1", n, err)
			}
			synctest.Wait()
			want(a, "s", "")
			if n, err := a.Clear(ctx); n != 3 || err != nil {
				t.Errorf("Clear = %d, %v; want 3", n, err)
			}
			synctest.Wait()
			want(b, "t", "")
		})
	}
}

func TestTagsOverAStore(t *testing.T) {
	for _, opts := range [][]zodiac.Option{nil, {zodiac.WithMemory(10)}} {
		synctest.Test(t, func(t *testing.T) {
			o := &origin{}
			o.write("k", "v")
			all := processes(t, o, 2, append(opts, zodiac.WithTags("all"),
				zodiac.WithTagsFunc(func(_, v string) []string { return []string{"is-" + v} }))...)
			ctx := t.Context()
			get := func(l *zodiac.Loader[string, string], fetches int32) {
				t.Helper()
				if v, err := l.Get(ctx, "k"); v != "v" || err != nil {
					t.Errorf("Get = %q, %v", v, err)
				}
				if n := o.n.Load(); n != fetches {
					t.Errorf("%d fetches; want %d", n, fetches)
				}
			}
			get(all[0], 1)
			get(all[1], 1)
			get(all[1], 1)
			for i, tag := range []string{"all", "is-v"} {
				if err := all[0].DeleteTags(ctx, tag); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				get(all[1], int32(i+2))
				get(all[0], int32(i+2))
			}
			if err := all[0].DeleteTags(ctx, "unknown"); err != nil {
				t.Fatal(err)
			}
			get(all[0], 3)
			if err := all[0].DeleteTags(ctx, "is-v"); err != nil {
				t.Fatal(err)
			}
			for _, absent := range []bool{true, false} {
				if ok, err := all[1].SetIfAbsent(ctx, "k", "w"); ok != absent || err != nil {
					t.Errorf("SetIfAbsent beside a record whose tag was deleted = %v, %v; want %v", ok, err, absent)
				}
			}
		})
	}
}

// A use extends a sliding life to the life given to the entry, not to the loader's. An Add keeps
// it, a Touch replaces it.
func TestSlidingLifeIsTheEntrysOwn(t *testing.T) {
	for name, store := range map[string]func() zodiac.Store{
		"memory":       func() zodiac.Store { return nil },
		"memstore":     func() zodiac.Store { return memstore.New() },
		"a bare store": func() zodiac.Store { return chaos.Bare(memstore.New()) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opts := []zodiac.Option{zodiac.WithName("hits"), zodiac.WithTTL(8), zodiac.WithSliding()}
				if s := store(); s != nil {
					defer s.Close()
					opts = append(opts, zodiac.WithStore(s))
				}
				ctx := t.Context()
				c := zodiac.NewCache[string, int64](opts...)
				defer c.Close(ctx)
				if err := c.Set(ctx, "k", 1, zodiac.WithTTL(4)); err != nil {
					t.Fatal(err)
				}
				time.Sleep(3 * time.Second)
				if n, err := zodiac.Add(ctx, c, "k", 1); n != 2 || err != nil {
					t.Fatalf("Add = %d, %v", n, err)
				}
				left(t, c, "after an Add", time.Second)
				use(t, c)
				left(t, c, "after an Add and a use", 4*time.Second)
				if ok, err := c.Touch(ctx, "k", zodiac.WithTTL(2)); !ok || err != nil {
					t.Fatalf("Touch = %v, %v", ok, err)
				}
				left(t, c, "after a Touch", 2*time.Second)
				time.Sleep(time.Second)
				use(t, c)
				left(t, c, "after a Touch and a use", 2*time.Second)
			})
		})
	}
}

func use(t *testing.T, c *zodiac.Cache[string, int64]) {
	t.Helper()
	if n, err := c.GetOrFetch(t.Context(), "k", func(context.Context, string) (int64, error) { return 0, errNotThere }); n != 2 || err != nil {
		t.Fatalf("GetOrFetch = %d, %v", n, err)
	}
	synctest.Wait()
}

func left(t *testing.T, c *zodiac.Cache[string, int64], when string, want time.Duration) {
	t.Helper()
	if e, ok, err := c.Entry(t.Context(), "k"); !ok || err != nil || e.Left != want {
		t.Errorf("%s: Entry = %+v, %v, %v; want %v left", when, e, ok, err, want)
	}
}

// A Touch discards no fetch. While one runs, the record that it will replace only lives longer.
func TestTouchOfASlidingLifeDiscardsNoFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		store := memstore.New()
		defer store.Close()
		fetch := func(context.Context, string) (int64, error) {
			time.Sleep(time.Second)
			return 2, nil
		}
		l := zodiac.NewLoader(fetch, zodiac.WithName("hits"), zodiac.WithTTL(8), zodiac.WithSliding(), zodiac.WithStore(store))
		defer l.Close(ctx)
		if err := l.Set(ctx, "k", 1); err != nil {
			t.Fatal(err)
		}
		refreshed := make(chan error)
		go func() {
			_, err := l.Refresh(ctx, "k")
			refreshed <- err
		}()
		synctest.Wait()
		if ok, err := l.Touch(ctx, "k", zodiac.WithTTL(4)); !ok || err != nil {
			t.Errorf("Touch = %v, %v", ok, err)
		}
		left(t, l.Cache, "after a Touch", 4*time.Second)
		if err := <-refreshed; err != nil {
			t.Error(err)
		}
		use(t, l.Cache)
		if s := l.Stats(); s.Stored != 1 {
			t.Errorf("%+v; want one fetch, stored", s)
		}
	})
}

// slidingNumber returns a cache of numbers that slide by eight seconds, over a store whose faults
// the test decides. It has a 1 under "k", which lives for four seconds.
func slidingNumber(t *testing.T, wrap func(zodiac.Store) zodiac.Store) (*zodiac.Cache[string, int64], *memstore.Store, *chaos.Injector) {
	t.Helper()
	store := memstore.New()
	faults := chaos.New(wrap(store))
	c := zodiac.NewCache[string, int64](zodiac.WithName("hits"), zodiac.WithTTL(8), zodiac.WithSliding(), zodiac.WithStore(faults.Store()))
	t.Cleanup(func() {
		if err := c.Close(context.Background()); err != nil {
			t.Error(err)
		}
		store.Close()
	})
	if err := c.Set(t.Context(), "k", 1, zodiac.WithTTL(4)); err != nil {
		t.Fatal(err)
	}
	return c, store, faults
}

func leasing(s zodiac.Store) zodiac.Store { return s }

// Touch never revives an expired entry, including one that expires during the Touch.
func TestTouchOfASlidingLifeRevivesNothing(t *testing.T) {
	for name, s := range map[string]struct {
		wrap func(zodiac.Store) zodiac.Store
		late chaos.Op
	}{
		"memstore":     {leasing, chaos.Commit},
		"a bare store": {chaos.Bare, chaos.Expire},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				c, _, faults := slidingNumber(t, s.wrap)
				time.Sleep(4*time.Second - 100*time.Millisecond)
				faults.Delay(200*time.Millisecond, s.late)
				if ok, err := c.Touch(ctx, "k", zodiac.WithTTL(8)); ok || err != nil {
					t.Errorf("Touch = %v, %v; want false: it has expired meanwhile", ok, err)
				}
				if v, ok, err := c.Peek(ctx, "k"); ok || err != nil {
					t.Errorf("Peek = %v, %v, %v; want nothing", v, ok, err)
				}
			})
		})
	}
}

// The record that a Touch writes again over a bare store lives as long as it was given. It does not
// bring back an entry that would have ended before the write arrives.
func TestTouchOverABareStoreGivesTheLifeFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c, _, faults := slidingNumber(t, chaos.Bare)
		time.Sleep(4*time.Second - 100*time.Millisecond)
		faults.Delay(200*time.Millisecond, chaos.Set)
		go c.Touch(ctx, "k", zodiac.WithTTL(8))
		for range 30 {
			time.Sleep(10 * time.Millisecond)
			if _, ok, err := c.Peek(ctx, "k"); !ok || err != nil {
				t.Fatalf("Peek = %v, %v while a Touch is under way that has read it", ok, err)
			}
		}
	})
}

// An Add also holds the lease of the key, but not for long. A Touch that meets it is not lost.
func TestTouchBesideAnAddIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c, _, faults := slidingNumber(t, leasing)
		faults.Delay(5*time.Millisecond, chaos.Commit)
		added := make(chan error)
		go func() {
			_, err := zodiac.Add(ctx, c, "k", 1)
			added <- err
		}()
		synctest.Wait()
		if ok, err := c.Touch(ctx, "k", zodiac.WithTTL(2)); !ok || err != nil {
			t.Errorf("Touch = %v, %v", ok, err)
		}
		if err := <-added; err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		use(t, c)
		left(t, c, "after a Touch and a use", 2*time.Second)
	})
}

// A write whose commit fails leaves no lease that other callers would wait for.
func TestWriteThatFailsLeavesNoLease(t *testing.T) {
	for name, write := range map[string]func(context.Context, *zodiac.Cache[string, int64]) error{
		"Touch": func(ctx context.Context, c *zodiac.Cache[string, int64]) error {
			_, err := c.Touch(ctx, "k", zodiac.WithTTL(2))
			return err
		},
		"Add": func(ctx context.Context, c *zodiac.Cache[string, int64]) error {
			_, err := zodiac.Add(ctx, c, "k", 1)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				c, store, faults := slidingNumber(t, leasing)
				var key string
				faults.Observe(func(call chaos.Call) {
					if call.Op == chaos.Acquire {
						key = call.Keys[0]
					}
				})
				faults.Fail(errDown, chaos.Commit)
				if err := write(ctx, c); !errors.Is(err, errDown) {
					t.Errorf("it returned %v", err)
				}
				synctest.Wait()
				r, err := store.Get(ctx, key)
				if err != nil {
					t.Fatal(err)
				}
				claim, err := store.Acquire(ctx, key, driver.Ask{Token: "0123456789abcdef", Lease: time.Second, Seen: r.Version})
				if claim.State != driver.Won || err != nil {
					t.Errorf("then Acquire = %v, %v; want the lease", claim.State, err)
				}
			})
		})
	}
}
