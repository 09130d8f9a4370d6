package records_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac"
	"github.com/zodiac-go/zodiac/memstore"
	"github.com/zodiac-go/zodiac/storetest/chaos"
)

// account1 and account2 are the values of two releases of a program, which has renamed a field.
type (
	account1 struct {
		ID   int
		Name string
	}
	account2 struct {
		ID       int
		FullName string
	}
)

// releases are two releases of a program that run side by side over one store. The second is newer.
type releases struct {
	older   *zodiac.Loader[string, account1]
	newer   *zodiac.Loader[string, account2]
	fetched struct{ older, newer atomic.Int32 }
	took    time.Duration // by each fetch
}

func newReleases(t *testing.T, store zodiac.Store, opts ...zodiac.Option) *releases {
	t.Helper()
	r := &releases{}
	over := func(s zodiac.Store) zodiac.Option {
		return zodiac.Options{zodiac.WithName("accounts"), zodiac.WithStore(s), zodiac.Options(opts)}
	}
	another := chaos.New(store).Store() // as another process opens it
	r.older = zodiac.NewLoader(func(context.Context, string) (account1, error) {
		r.fetched.older.Add(1)
		time.Sleep(r.took)
		return account1{7, "Ada"}, nil
	}, over(store))
	r.newer = zodiac.NewLoader(func(context.Context, string) (account2, error) {
		r.fetched.newer.Add(1)
		time.Sleep(r.took)
		return account2{7, "Ada"}, nil
	}, over(another))
	t.Cleanup(func() {
		_ = r.older.Close(context.Background())
		_ = r.newer.Close(context.Background())
	})
	return r
}

// get returns an error unless the value is whole.
func (r *releases) get(older bool, key string) error {
	if older {
		if v, err := r.older.Get(context.Background(), key); v != (account1{7, "Ada"}) || err != nil {
			return fmt.Errorf("Get of the older release = %+v, %w", v, err)
		}
		return nil
	}
	if v, err := r.newer.Get(context.Background(), key); v != (account2{7, "Ada"}) || err != nil {
		return fmt.Errorf("Get of the newer release = %+v, %w", v, err)
	}
	return nil
}

// wantFetches checks how often each release has fetched since the last call.
func (r *releases) wantFetches(t *testing.T, what string, older, newer int32) {
	t.Helper()
	if o, n := r.fetched.older.Swap(0), r.fetched.newer.Swap(0); o != older || n != newer {
		t.Errorf("%s: fetches of the older and the newer release = %d, %d; want %d, %d", what, o, n, older, newer)
	}
}

func (r *releases) gets(t *testing.T, olders ...bool) {
	t.Helper()
	for _, older := range olders {
		if err := r.get(older, "k"); err != nil {
			t.Error(err)
		}
	}
}

// overStores runs a test over a store that lends leases and one that does not.
func overStores(t *testing.T, test func(t *testing.T, store zodiac.Store)) {
	for name, bare := range map[string]bool{"leases": false, "bare": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var store zodiac.Store = memstore.New()
				t.Cleanup(func() { _ = store.Close() })
				if bare {
					store = chaos.Bare(store)
				}
				test(t, store)
			})
		})
	}
}

const older, newer = true, false

// A field that a release had renamed came back empty: {ID:7 FullName:}.
func TestRecordOfAnotherReleaseIsAMiss(t *testing.T) {
	overStores(t, func(t *testing.T, store zodiac.Store) {
		r := newReleases(t, store)
		r.gets(t, older, older)
		r.wantFetches(t, "the older release alone", 1, 0)
		r.gets(t, newer, newer, newer)
		r.wantFetches(t, "the newer release replaces the record", 0, 1)
		r.gets(t, older, older, newer)
		r.wantFetches(t, "the newer release's record stays", 2, 0)
		if s := r.older.Stats(); s.Stored != 1 || s.Uncached != 2 || s.Corrupt != 0 || s.Invalid != 2 {
			t.Errorf("Stats of the older release = %+v; want 1 stored, 2 uncached, 2 invalid", s)
		}
		if s := r.newer.Stats(); s.Stored != 1 || s.HitStore != 3 {
			t.Errorf("Stats of the newer release = %+v; want 1 stored and 3 hits", s)
		}
	})
}

func TestEveryReadTakesTheRecordOfANewerReleaseForAMiss(t *testing.T) {
	overStores(t, func(t *testing.T, store zodiac.Store) {
		r, ctx := newReleases(t, store), context.Background()
		r.gets(t, newer)
		if v, ok, err := r.older.Peek(ctx, "k"); ok || err != nil {
			t.Errorf("Peek = %+v, %v, %v; want nothing", v, ok, err)
		}
		if e, ok, err := r.older.Entry(ctx, "k"); ok || err != nil {
			t.Errorf("Entry = %+v, %v, %v; want nothing", e, ok, err)
		}
		if ok, err := r.older.Touch(ctx, "k"); ok || err != nil {
			t.Errorf("Touch = %v, %v; want false", ok, err)
		}
		if m, err := r.older.GetMany(ctx, []string{"k", "other"}); len(m) != 2 || m["k"].Name != "Ada" || err != nil {
			t.Errorf("GetMany = %+v, %v", m, err)
		}
		r.wantFetches(t, "GetMany", 2, 1)
		if s := r.older.Stats(); s.Stored != 1 || s.Uncached != 1 {
			t.Errorf("Stats after GetMany = %+v; want one stored, one not", s)
		}
		r.gets(t, newer)
		r.wantFetches(t, "the record is still there", 0, 0)
	})
}

// Each release replaced what the other had stored, at every read.
func TestReleasesSideBySideDoNotReplaceRecordsInTurn(t *testing.T) {
	overStores(t, func(t *testing.T, store zodiac.Store) {
		r := newReleases(t, store)
		r.took = time.Millisecond
		const keys, callers, calls = 4, 4, 50
		var wg sync.WaitGroup
		for i := range 2 * callers {
			wg.Go(func() {
				for n := range calls {
					if err := r.get(i%2 == 0, fmt.Sprint(n%keys)); err != nil {
						t.Error(err)
					}
					time.Sleep(time.Millisecond)
				}
			})
		}
		wg.Wait()
		o, n := r.older.Stats(), r.newer.Stats()
		if o.Stored > keys || n.Stored > keys {
			t.Errorf("stored by the older and the newer release: %d, %d; want each key once at most", o.Stored, n.Stored)
		}
		if n.Fetches > 2*keys || n.HitStore == 0 {
			t.Errorf("the newer release has fetched %d times, with %d hits", n.Fetches, n.HitStore)
		}
	})
}

func TestWriteOfEitherReleaseIsForBoth(t *testing.T) {
	overStores(t, func(t *testing.T, store zodiac.Store) {
		r, ctx := newReleases(t, store), context.Background()
		r.gets(t, newer)
		if n, err := r.older.Delete(ctx, "k"); n != 1 || err != nil {
			t.Errorf("Delete by the older release = %d, %v; want 1", n, err)
		}
		r.wantFetches(t, "before", 0, 1)
		r.gets(t, newer, older)
		r.wantFetches(t, "after the Delete", 1, 1)
		if err := r.older.Set(ctx, "k", account1{7, "Ada"}); err != nil {
			t.Error(err)
		}
		r.gets(t, older, newer, newer)
		r.wantFetches(t, "after a Set by the older release", 0, 1)
		if _, err := r.older.Refresh(ctx, "k"); err != nil {
			t.Error(err)
		}
		r.gets(t, newer)
		r.wantFetches(t, "after a Refresh by the older release", 1, 1)
	})
}

func TestSetIfAbsentLeavesTheRecordOfANewerRelease(t *testing.T) {
	overStores(t, func(t *testing.T, store zodiac.Store) {
		r, ctx := newReleases(t, store), context.Background()
		if ok, err := r.older.SetIfAbsent(ctx, "k", account1{7, "Ada"}); !ok || err != nil {
			t.Errorf("SetIfAbsent of the older release = %v, %v; want true", ok, err)
		}
		if ok, err := r.newer.SetIfAbsent(ctx, "k", account2{7, "Ada"}); !ok || err != nil {
			t.Errorf("SetIfAbsent of the newer release = %v, %v; want true", ok, err)
		}
		if ok, err := r.older.SetIfAbsent(ctx, "k", account1{7, "Ada"}); ok || err != nil {
			t.Errorf("SetIfAbsent of the older release = %v, %v; want false", ok, err)
		}
		r.gets(t, newer)
		r.wantFetches(t, "the newer release's record is there", 0, 0)
	})
}

// After a release was taken back, its records must not keep the older one from caching.
func TestRecordOfANewerReleaseStaysForAMinute(t *testing.T) {
	overStores(t, func(t *testing.T, store zodiac.Store) {
		r := newReleases(t, store)
		r.gets(t, newer)
		time.Sleep(time.Minute - 1)
		r.gets(t, older, older)
		r.wantFetches(t, "within a minute", 2, 1)
		time.Sleep(time.Nanosecond)
		r.gets(t, older, older)
		r.wantFetches(t, "after a minute", 1, 0)
	})
}

// The record of the newer release comes while the older one waits for its fetch.
func TestRecordOfANewerReleaseStaysIfItComesLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		t.Cleanup(func() { _ = store.Close() })
		r := newReleases(t, store)
		r.took = time.Second
		var wg sync.WaitGroup
		wg.Go(func() { r.gets(t, newer) })
		synctest.Wait()
		wg.Go(func() { r.gets(t, older) })
		wg.Wait()
		if s := r.older.Stats(); s.Stored != 0 || s.Uncached != 1 {
			t.Errorf("Stats of the older release = %+v; want nothing stored", s)
		}
		r.gets(t, newer)
		r.wantFetches(t, "both at once", 1, 1)
	})
}

func TestIgnoreShapeReadsRecordsOfAnotherRelease(t *testing.T) {
	overStores(t, func(t *testing.T, store zodiac.Store) {
		r, ctx := newReleases(t, store, zodiac.IgnoreShape()), context.Background()
		if v, err := r.older.Get(ctx, "k"); v.Name != "Ada" || err != nil {
			t.Errorf("Get = %+v, %v", v, err)
		}
		if v, err := r.newer.Get(ctx, "k"); v != (account2{ID: 7}) || err != nil {
			t.Errorf("Get of the newer release = %+v, %v; want what both have", v, err)
		}
		r.wantFetches(t, "one for both", 1, 0)
	})
}

// Two releases with codecs of different names wrote a key in turn.
func TestReleasesOfDifferentCodecsDoNotReplaceRecordsInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		t.Cleanup(func() { _ = store.Close() })
		load := func(s zodiac.Store, codec zodiac.Codec) *zodiac.Loader[string, account1] {
			l := zodiac.NewLoader(func(context.Context, string) (account1, error) { return account1{7, "Ada"}, nil },
				zodiac.WithName("accounts"), zodiac.WithStore(s), zodiac.WithCodec(codec))
			t.Cleanup(func() { _ = l.Close(context.Background()) })
			return l
		}
		first := load(store, zodiac.JSON)
		second := load(chaos.New(store).Store(), renamedCodec{zodiac.JSON})
		for range 5 {
			for _, l := range []*zodiac.Loader[string, account1]{first, second} {
				if v, err := l.Get(context.Background(), "k"); v.Name != "Ada" || err != nil {
					t.Errorf("Get = %+v, %v", v, err)
				}
			}
		}
		if a, b := first.Stats(), second.Stats(); a.Stored != 1 || b.Stored != 1 || b.HitStore != 4 {
			t.Errorf("Stats of the older and the newer release = %+v, %+v; want one stored by each", a, b)
		}
	})
}

// renamedCodec is a codec of another name.
type renamedCodec struct{ zodiac.Codec }

func (renamedCodec) Name() string { return "json2" }
