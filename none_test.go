package zodiac_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac"
)

// wantStoredOnce fails the test unless two Gets run the function once and both return v.
func wantStoredOnce[V any](t *testing.T, v V, equal func(V) bool, opts ...zodiac.Option) {
	t.Helper()
	calls := 0
	l := zodiac.NewLoader(func(context.Context, string) (V, error) { calls++; return v, nil }, opts...)
	for range 2 {
		if got, err := l.Get(t.Context(), "k"); !equal(got) || err != nil {
			t.Errorf("Get = %#v, %v; want %#v, nil", got, err, v)
		}
	}
	if calls != 1 || l.Len() != 1 {
		t.Errorf("%#v: %d calls, %d entries; want 1 and 1", v, calls, l.Len())
	}
}

func is[V comparable](want V) func(V) bool { return func(got V) bool { return got == want } }

func TestZeroValuesAreStored(t *testing.T) {
	wantStoredOnce(t, 0, is(0))
	wantStoredOnce(t, "", is(""))
	wantStoredOnce(t, user{}, is(user{}))
	wantStoredOnce(t, []string(nil), func(v []string) bool { return v == nil })
	wantStoredOnce(t, []string{}, func(v []string) bool { return v != nil && len(v) == 0 })
}

func TestNilInsideAnInterfaceIsAValue(t *testing.T) {
	wantStoredOnce[any](t, (*user)(nil), func(v any) bool { return v != nil && v == (*user)(nil) })
	wantStoredOnce[error](t, (*zodiac.KeyError)(nil), func(v error) bool { return v != nil })
}

func TestNilIsFetchedAgain(t *testing.T) {
	calls := 0
	l := zodiac.NewLoader(func(context.Context, string) (*user, error) { calls++; return nil, nil })
	i := zodiac.NewLoader(func(context.Context, string) (error, error) { calls++; return nil, nil })
	for range 2 {
		if v, err := l.Get(t.Context(), "k"); v != nil || err != nil {
			t.Errorf("Get = %v, %v; want nil, nil", v, err)
		}
		if v, err := i.Get(t.Context(), "k"); v != nil || err != nil {
			t.Errorf("Get = %v, %v; want nil, nil", v, err)
		}
	}
	if s := l.Stats(); calls != 4 || l.Len() != 0 || i.Len() != 0 || s.Skipped != 2 {
		t.Errorf("%d calls, %d and %d entries, %d skipped; want 4, 0, 0, 2", calls, l.Len(), i.Len(), s.Skipped)
	}
}

func TestNilIsStoredWithCacheNil(t *testing.T) {
	wantStoredOnce(t, (*user)(nil), is[*user](nil), zodiac.CacheNil())
	wantStoredOnce(t, error(nil), is[error](nil), zodiac.CacheNil())
}

func TestNilIsStoredWithASkipIfOfOnesOwn(t *testing.T) {
	wantStoredOnce(t, (*user)(nil), is[*user](nil), zodiac.SkipIf(func(u *user) bool { return u != nil }))
}

func TestNilIsStoredByACache(t *testing.T) {
	c := zodiac.NewCache[string, *user]()
	calls := 0
	for range 2 {
		v, err := c.GetOrFetch(t.Context(), "k", func(context.Context, string) (*user, error) { calls++; return nil, nil })
		if v != nil || err != nil {
			t.Errorf("GetOrFetch = %v, %v; want nil, nil", v, err)
		}
	}
	if calls != 1 {
		t.Errorf("%d calls; want 1: the default SkipIf is a Loader's", calls)
	}
}

func TestNilFetchedByGetOrFetchOfALoaderIsNotStored(t *testing.T) {
	nothing := func(context.Context, string) (*user, error) { return nil, nil }
	l := zodiac.NewLoader(nothing)
	_, err := l.GetOrFetch(t.Context(), "k", nothing)
	must(t, err)
	wantAbsent(t, l.Cache, "k")
}

func TestSkipIfAppliesToGetOrFetchOfACache(t *testing.T) {
	fetch, calls := numbered()
	c := zodiac.NewCache[string, int](zodiac.SkipIf(func(v int) bool { return v < 3 }))
	for _, want := range []int{1, 2, 3, 3} {
		if v, err := c.GetOrFetch(t.Context(), "k", fetch); v != want || err != nil {
			t.Errorf("GetOrFetch = %v, %v; want %v, nil", v, err, want)
		}
	}
	wantCalls(t, calls, 3)
}

func TestSetStoresNil(t *testing.T) {
	l := zodiac.NewLoader(func(context.Context, string) (*user, error) { t.Error("fetched"); return nil, nil })
	mustSet(t, l.Cache, "k", nil)
	wantGet(t, l, "k", nil)
	wantPeek(t, l.Cache, "k", nil)
}

func TestKindsAreToldApart(t *testing.T) {
	c := zodiac.NewCache[string, *int]()
	mustSet(t, c, "value", new(0))
	mustSet(t, c, "nil", nil)
	must(t, c.SetNone(t.Context(), "none"))
	for key, want := range map[string]zodiac.Kind{"value": zodiac.KindValue, "nil": zodiac.KindNil, "none": zodiac.KindNone} {
		e, ok, err := c.Entry(t.Context(), key)
		if e.Kind != want || !ok || errors.Is(err, zodiac.ErrNone) != (want == zodiac.KindNone) || e.Kind.String() != key {
			t.Errorf("Entry(%s) is a %v, %v, %v; want %v", key, e.Kind, ok, err, want)
		}
	}
	if _, ok, err := c.Peek(t.Context(), "absent"); ok || err != nil {
		t.Errorf("Peek of an absent key = %v, %v; want false, nil", ok, err)
	}
}

func TestErrorsAreNeverStored(t *testing.T) {
	fetch, calls := failing(errOrigin)
	l := zodiac.NewLoader(fetch, zodiac.NoneIf(sql.ErrNoRows))
	for range 3 {
		if _, err := l.Get(t.Context(), "k"); !same(err, errOrigin) {
			t.Errorf("Get = %v; want %v", err, errOrigin)
		}
		wantAbsent(t, l.Cache, "k")
	}
	wantCalls(t, calls, 3)
}

func TestNoneIfRemembersThatAKeyDoesNotExist(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, err := range map[string]error{
			"itself":  sql.ErrNoRows,
			"wrapped": fmt.Errorf("user 42: %w", sql.ErrNoRows),
			"joined":  errors.Join(errOrigin, sql.ErrNoRows),
		} {
			failed, calls := failing(err)
			l := zodiac.NewLoader(func(ctx context.Context, key string) (int, error) {
				time.Sleep(time.Second)
				return failed(ctx, key)
			}, zodiac.NoneIf(io.EOF), zodiac.NoneIf(io.ErrUnexpectedEOF, sql.ErrNoRows))
			first, waiter := getLater(t.Context(), l, "k"), getLater(t.Context(), l, "k")
			checkNone(t, name+", first", (<-first).err)
			checkNone(t, name+", waiter", (<-waiter).err)
			_, err := l.Get(t.Context(), "k")
			checkNone(t, name+", later", err)
			_, ok, err := l.Peek(t.Context(), "k")
			checkNone(t, name+", Peek", err)
			if !ok {
				t.Error("Peek of a None is not ok")
			}
			wantCalls(t, calls, 1)
		}
	})
}

// checkNone fails the test unless err is a None of sql.ErrNoRows and of nothing else.
func checkNone(t *testing.T, call string, err error) {
	t.Helper()
	wantError(t, call, err, zodiac.ErrNone)
	wantError(t, call, err, sql.ErrNoRows)
	wantText(t, call, err, sql.ErrNoRows.Error())
	for _, other := range []error{io.EOF, io.ErrUnexpectedEOF, errOrigin, zodiac.ErrMiss} {
		if errors.Is(err, other) {
			t.Errorf("%s: the error is %v, too", call, other)
		}
	}
}

func TestFunctionMayReturnErrNoneItself(t *testing.T) {
	for _, err := range []error{zodiac.ErrNone, fmt.Errorf("user 42: %w", zodiac.ErrNone)} {
		fetch, calls := failing(err)
		l := zodiac.NewLoader(fetch)
		for range 2 {
			_, err := l.Get(t.Context(), "k")
			wantError(t, "Get", err, zodiac.ErrNone)
		}
		wantCalls(t, calls, 1)
	}
}

func TestNonePassesThroughALoaderOverALoader(t *testing.T) {
	fetch, calls := failing(sql.ErrNoRows)
	inner := zodiac.NewLoader(fetch, zodiac.NoneIf(sql.ErrNoRows))
	outer := zodiac.NewLoader(inner.Get)
	for range 2 {
		_, err := outer.Get(t.Context(), "k")
		wantError(t, "Get", err, zodiac.ErrNone)
		wantError(t, "Get", err, sql.ErrNoRows)
	}
	wantCalls(t, calls, 1)
	if n := outer.Len(); n != 1 {
		t.Errorf("the outer loader has %d entries; want 1", n)
	}
}

func TestNoneIsAnEntryLikeAnyOther(t *testing.T) {
	c := zodiac.NewCache[string, int]()
	ctx := t.Context()
	must(t, c.SetNone(ctx, "k", zodiac.WithTags("tag")))
	if n := c.Len(); n != 1 {
		t.Errorf("Len = %d; want 1", n)
	}
	if ok, err := c.SetIfAbsent(ctx, "k", 1); ok || err != nil {
		t.Errorf("SetIfAbsent = %v, %v; want false, nil", ok, err)
	}
	wantTouch(t, c, true)
	wantDeleted(t, c, 1, "k")
	must(t, c.SetNone(ctx, "k"))
	if n, err := c.Clear(ctx); n != 1 || err != nil {
		t.Errorf("Clear = %v, %v; want 1, nil", n, err)
	}
	must(t, c.SetNone(ctx, "k", zodiac.WithTags("tag")))
	must(t, c.DeleteTags(ctx, "tag"))
	wantAbsent(t, c, "k")
	must(t, c.SetNone(ctx, "k"))
	mustSet(t, c, "k", 7)
	wantPeek(t, c, "k", 7)
}

func TestNoneIsRemovedByDelete(t *testing.T) {
	exists := false
	l := zodiac.NewLoader(func(context.Context, string) (int, error) {
		if exists {
			return 7, nil
		}
		return 0, sql.ErrNoRows
	}, zodiac.NoneIf(sql.ErrNoRows))
	_, err := l.Get(t.Context(), "k")
	wantError(t, "Get", err, zodiac.ErrNone)
	exists = true
	wantDeleted(t, l.Cache, 1, "k")
	wantGet(t, l, "k", 7)
}

func TestNoneIsAskedByValidIf(t *testing.T) {
	fetch, calls := failing(sql.ErrNoRows)
	l := zodiac.NewLoader(fetch, zodiac.NoneIf(sql.ErrNoRows),
		zodiac.ValidIf(func(_ string, e zodiac.Entry[int]) bool { return e.Kind != zodiac.KindNone }))
	for range 2 {
		_, err := l.Get(t.Context(), "k")
		wantError(t, "Get", err, sql.ErrNoRows)
	}
	wantCalls(t, calls, 2)
}

func TestNoneReplacesAnOldValueUnderRefresh(t *testing.T) {
	fetch, _ := failing(zodiac.ErrNone)
	l := zodiac.NewLoader(fetch)
	mustSet(t, l.Cache, "k", 7)
	_, err := l.Refresh(t.Context(), "k")
	wantError(t, "Refresh", err, zodiac.ErrNone)
	_, err = l.Get(t.Context(), "k")
	wantError(t, "Get", err, zodiac.ErrNone)
}

func TestNoneOfADeletedTagIsNotServed(t *testing.T) {
	fetch, calls := failing(zodiac.ErrNone)
	l := zodiac.NewLoader(fetch, zodiac.WithTags("tag"))
	l.Get(t.Context(), "k")
	must(t, l.DeleteTags(t.Context(), "tag"))
	l.Get(t.Context(), "k")
	wantCalls(t, calls, 2)
}

func TestPanicOfALoaderWithinIsNoNone(t *testing.T) {
	calls := 0
	inner := zodiac.NewLoader(func(context.Context, string) (int, error) { calls++; panic(sql.ErrNoRows) })
	outer := zodiac.NewLoader(inner.Get, zodiac.NoneIf(sql.ErrNoRows))
	for range 2 {
		_, err := outer.Get(t.Context(), "k")
		if _, ok := errors.AsType[*zodiac.PanicError](err); !ok || errors.Is(err, zodiac.ErrNone) {
			t.Errorf("Get: error %v; want the *PanicError", err)
		}
	}
	if calls != 2 || outer.Len() != 0 {
		t.Errorf("%d calls, %d entries; want 2 and 0", calls, outer.Len())
	}
}
