package zodiac_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac"
)

// allModes returns every Mode without Nested.
func allModes() []zodiac.Mode {
	var all []zodiac.Mode
	for bits := range 8 {
		all = append(all, zodiac.Mode{NoRead: bits&1 != 0, NoWrite: bits&2 != 0, NoFetch: bits&4 != 0})
	}
	return all
}

func both(a, b zodiac.Mode) zodiac.Mode {
	return zodiac.Mode{NoRead: a.NoRead || b.NoRead, NoWrite: a.NoWrite || b.NoWrite, NoFetch: a.NoFetch || b.NoFetch}
}

// reads is every method that modes govern, except Refresh.
func reads(l *zodiac.Loader[string, int]) map[string]func(context.Context) (int, error) {
	return map[string]func(context.Context) (int, error){
		"Get":        func(ctx context.Context) (int, error) { return l.Get(ctx, "k") },
		"GetOrFetch": func(ctx context.Context) (int, error) { return l.GetOrFetch(ctx, "k", l.Fetch) },
		"GetMany": func(ctx context.Context) (int, error) {
			m, err := l.GetMany(ctx, []string{"k"})
			if v, ok := m["k"]; ok || err != nil {
				return v, err
			}
			return 0, zodiac.ErrMiss
		},
	}
}

// checkMode compares a read under m with what its flags say: the value 7 was stored before, the
// function brings 1.
func checkMode(t *testing.T, m zodiac.Mode, read string, present bool, with func(context.Context) context.Context) {
	t.Helper()
	fetch, calls := numbered()
	l := zodiac.NewLoader(fetch)
	if present {
		mustSet(t, l.Cache, "k", 7)
	}
	v, err := reads(l)[read](with(t.Context()))
	stored, ok, _ := l.Peek(t.Context(), "k")

	wantV, wantErr, wantCalls := 1, error(nil), int64(1)
	wantStored, wantOK := 1, true
	switch {
	case present && !m.NoRead:
		wantV, wantCalls, wantStored = 7, 0, 7
	case m.NoFetch:
		wantV, wantErr, wantCalls = 0, zodiac.ErrMiss, 0
	}
	if (wantCalls == 0 || m.NoWrite) && wantStored == 1 {
		wantStored, wantOK = 0, false
		if present {
			wantStored, wantOK = 7, true
		}
	}
	if v != wantV || !errors.Is(err, wantErr) || calls.Load() != wantCalls || stored != wantStored || ok != wantOK {
		t.Errorf("%s under %+v, present=%v: %v, %v, %d calls, then %v, %v; want %v, %v, %d calls, then %v, %v",
			read, m, present, v, err, calls.Load(), stored, ok, wantV, wantErr, wantCalls, wantStored, wantOK)
	}
}

func TestEveryModeDoesWhatItsFlagsSay(t *testing.T) {
	for _, m := range allModes() {
		for read := range reads(nil) {
			for _, present := range []bool{true, false} {
				checkMode(t, m, read, present, func(ctx context.Context) context.Context { return zodiac.WithMode(ctx, m) })
			}
		}
	}
}

func TestNestedModesRestrictTogether(t *testing.T) {
	for _, outer := range allModes() {
		for _, inner := range allModes() {
			for _, present := range []bool{true, false} {
				checkMode(t, both(outer, inner), "Get", present, func(ctx context.Context) context.Context {
					return zodiac.WithMode(zodiac.WithMode(ctx, outer), inner)
				})
			}
		}
	}
}

func TestNamedModesAreTheirFlags(t *testing.T) {
	for name, mode := range map[string]struct {
		with func(context.Context, ...zodiac.Target) context.Context
		m    zodiac.Mode
	}{
		"Bypass":    {zodiac.Bypass, zodiac.Mode{NoRead: true, NoWrite: true}},
		"Overwrite": {zodiac.Overwrite, zodiac.Mode{NoRead: true}},
		"ReadOnly":  {zodiac.ReadOnly, zodiac.Mode{NoWrite: true, NoFetch: true}},
		"NoWrite":   {zodiac.NoWrite, zodiac.Mode{NoWrite: true}},
	} {
		t.Run(name, func(t *testing.T) {
			for read := range reads(nil) {
				for _, present := range []bool{true, false} {
					checkMode(t, mode.m, read, present, func(ctx context.Context) context.Context { return mode.with(ctx) })
				}
			}
		})
	}
}

func TestRefreshUnderAModeIsGetUnderOverwriteToo(t *testing.T) {
	for _, m := range allModes() {
		fetch, calls := numbered()
		l := zodiac.NewLoader(fetch)
		mustSet(t, l.Cache, "k", 7)
		v, err := l.Refresh(zodiac.WithMode(t.Context(), m), "k")
		if m.NoFetch {
			wantError(t, "Refresh", err, zodiac.ErrMiss)
			wantCalls(t, calls, 0)
		} else if v != 1 || err != nil {
			t.Errorf("Refresh under %+v = %v, %v; want 1, nil", m, v, err)
		}
		if m.NoFetch || m.NoWrite {
			wantPeek(t, l.Cache, "k", 7)
		} else {
			wantPeek(t, l.Cache, "k", 1)
		}
	}
}

func TestModesDoNotGovernOtherMethods(t *testing.T) {
	fetch, _ := numbered()
	l := zodiac.NewLoader(fetch)
	ctx := zodiac.WithMode(t.Context(), zodiac.Mode{NoRead: true, NoWrite: true, NoFetch: true, Nested: true})
	must(t, l.Set(ctx, "k", 7))
	if v, ok, err := l.Peek(ctx, "k"); v != 7 || !ok || err != nil {
		t.Errorf("Peek = %v, %v, %v; want 7, true, nil", v, ok, err)
	}
	if e, ok, err := l.Entry(ctx, "k"); e.Value != 7 || !ok || err != nil {
		t.Errorf("Entry = %v, %v, %v; want 7, true, nil", e.Value, ok, err)
	}
	if v, err := l.Update(ctx, "k", plusOne); v != 8 || err != nil {
		t.Errorf("Update = %v, %v; want 8, nil", v, err)
	}
	if v, err := zodiac.Add(ctx, l.Cache, "k", 1); v != 9 || err != nil {
		t.Errorf("Add = %v, %v; want 9, nil", v, err)
	}
	if ok, err := l.SetIfAbsent(ctx, "k", 1); ok || err != nil {
		t.Errorf("SetIfAbsent = %v, %v; want false, nil", ok, err)
	}
	if ok, err := l.Touch(ctx, "k"); !ok || err != nil {
		t.Errorf("Touch = %v, %v; want true, nil", ok, err)
	}
	if v, err := l.Fetch(ctx, "k"); v != 1 || err != nil {
		t.Errorf("Fetch = %v, %v; want 1, nil", v, err)
	}
	if n, err := l.Delete(ctx, "k"); n != 1 || err != nil {
		t.Errorf("Delete = %v, %v; want 1, nil", n, err)
	}
	must(t, l.SetMany(ctx, map[string]int{"a": 1}))
	must(t, l.SetNone(ctx, "b"))
	if n, err := l.Clear(ctx); n != 2 || err != nil {
		t.Errorf("Clear = %v, %v; want 2, nil", n, err)
	}
}

func TestBypassRunsOnTheCallersGoroutineWithItsContext(t *testing.T) {
	type name struct{}
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), name{}, "mine"))
	l := zodiac.NewLoader(func(in context.Context, _ string) (int, error) {
		cancel()
		if in.Value(name{}) != "mine" || in.Err() == nil {
			t.Error("the function has not got the caller's context")
		}
		return 1, nil
	})
	wantGetWith(zodiac.Bypass(ctx), t, l, "k", 1)
	wantCallersPanic(t, func() { zodiac.NewLoader(panics).Get(zodiac.Bypass(t.Context()), "k") })
}

func panics(context.Context, string) (int, error) { panic("boom") }

// wantCallersPanic fails the test unless the panic of panics passes through.
func wantCallersPanic(t *testing.T, call func()) {
	t.Helper()
	if v := panicOf(call); v != "boom" {
		t.Errorf("the caller's own goroutine panics with %v; want boom", v)
	}
}

func TestBypassSharesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, calls := slow()
		l := zodiac.NewLoader(fetch)
		plain := getLater(t.Context(), l, "k")
		a := getLater(zodiac.Bypass(t.Context()), l, "k")
		b := getLater(zodiac.Bypass(t.Context()), l, "k")
		wantReply(t, "Get", plain, 1)
		wantReply(t, "Get under Bypass", a, 2)
		wantReply(t, "Get under Bypass", b, 3)
		wantCalls(t, calls, 3)
		wantPeek(t, l.Cache, "k", 1)
	})
}

func TestReadOnlyNeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, _ := slow()
		l := zodiac.NewLoader(fetch)
		getting := getLater(t.Context(), l, "k")
		began := time.Now()
		_, err := l.Get(zodiac.ReadOnly(t.Context()), "k")
		wantError(t, "Get under ReadOnly", err, zodiac.ErrMiss)
		if d := time.Since(began); d != 0 {
			t.Errorf("Get under ReadOnly waited %v", d)
		}
		wantReply(t, "Get", getting, 1)
		wantGetWith(zodiac.ReadOnly(t.Context()), t, l, "k", 1)
	})
}

func TestNoWriteJoinsAnyFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, calls := slow()
		l := zodiac.NewLoader(fetch)
		plain := getLater(t.Context(), l, "k")
		wantGetWith(zodiac.NoWrite(t.Context()), t, l, "k", 1)
		wantReply(t, "Get", plain, 1)
		wantCalls(t, calls, 1)
		wantPeek(t, l.Cache, "k", 1)
	})
}

func TestOnlyNoWriteCallersJoinWhatNoWriteBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, calls := slow()
		l := zodiac.NewLoader(fetch)
		a := getLater(zodiac.NoWrite(t.Context()), l, "k")
		b := getLater(zodiac.NoWrite(t.Context()), l, "k")
		time.Sleep(time.Millisecond)
		plain := getLater(t.Context(), l, "k")
		wantReply(t, "Get under NoWrite", a, 1)
		wantReply(t, "Get under NoWrite", b, 1)
		wantAbsent(t, l.Cache, "k")
		wantReply(t, "Get", plain, 2)
		wantPeek(t, l.Cache, "k", 2)
		wantCalls(t, calls, 2)
		if s := l.Stats(); s.Uncached != 1 || s.Stored != 1 {
			t.Errorf("%d uncached, %d stored; want 1 and 1", s.Uncached, s.Stored)
		}
	})
}

func TestNoWriteCallerNeverGetsWhatIsOlderThanARefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, _ := slow()
		l := zodiac.NewLoader(fetch)
		old := getLater(zodiac.NoWrite(t.Context()), l, "k")
		time.Sleep(500 * time.Millisecond)
		mustSet(t, l.Cache, "k", 7)
		l.Delete(t.Context(), "k")
		wantGetWith(zodiac.NoWrite(t.Context()), t, l, "k", 2)
		wantReply(t, "Get that began before", old, 1)
	})
}

// A tower is three loaders, each over the next. The value says how often each function ran.
type tower struct {
	top, middle, bottom *zodiac.Loader[string, string]
}

func newTower() tower {
	var t tower
	var b, m, top int
	t.bottom = zodiac.NewLoader(func(context.Context, string) (string, error) { b++; return fmt.Sprint(b), nil })
	t.middle = zodiac.NewLoader(func(ctx context.Context, k string) (string, error) {
		m++
		v, err := t.bottom.Get(ctx, k)
		return fmt.Sprint(m, ".", v), err
	})
	t.top = zodiac.NewLoader(func(ctx context.Context, k string) (string, error) {
		top++
		v, err := t.middle.Get(ctx, k)
		return fmt.Sprint(top, ".", v), err
	})
	return t
}

func TestModesReachTheLoadersTheyAreAimedAt(t *testing.T) {
	tower := newTower()
	wantGet(t, tower.top, "k", "1.1.1")
	ctx := t.Context()
	overwriteNested := zodiac.WithMode(ctx, zodiac.Mode{NoRead: true, Nested: true})
	for _, step := range []struct {
		with string
		ctx  context.Context
		want string
	}{
		{"Overwrite", zodiac.Overwrite(ctx), "2.1.1"},
		{"Overwrite again", zodiac.Overwrite(ctx), "3.1.1"},
		{"Overwrite of the middle, top cached", zodiac.Overwrite(ctx, tower.middle), "3.1.1"},
		{"Overwrite of top and bottom, middle cached", zodiac.Overwrite(ctx, tower.top, tower.bottom), "4.1.1"},
		{"Overwrite of top and middle", zodiac.Overwrite(ctx, tower.top, tower.middle), "5.2.1"},
		{"Overwrite of all by their Caches", zodiac.Overwrite(ctx, tower.top.Cache, tower.middle.Cache, tower.bottom.Cache), "6.3.2"},
		{"Overwrite, Nested", overwriteNested, "7.4.3"},
		{"Overwrite of top, Bypass of the rest at any depth", zodiac.Bypass(zodiac.Overwrite(ctx), tower.middle, tower.bottom), "8.5.4"},
		{"ReadOnly", zodiac.ReadOnly(ctx), "8.5.4"},
		{"Bypass of top", zodiac.Bypass(ctx, tower.top), "9.4.3"},
		{"Overwrite of the bottom from above a cached value", zodiac.Overwrite(ctx, tower.bottom), "8.5.4"},
		{"Overwrite of another", zodiac.Overwrite(ctx, newTower().top), "8.5.4"},
		{"Bypass of all", zodiac.WithMode(ctx, zodiac.Mode{NoRead: true, NoWrite: true, Nested: true}), "10.6.5"},
		{"nothing", ctx, "8.5.4"},
	} {
		if v, err := tower.top.Get(step.ctx, "k"); v != step.want || err != nil {
			t.Errorf("Get under %s = %q, %v; want %q, nil", step.with, v, err, step.want)
		}
	}
}

func TestReadOnlyAimedAtAnInnerLoaderFailsTheOuterFetch(t *testing.T) {
	tower := newTower()
	_, err := tower.top.Get(zodiac.ReadOnly(t.Context(), tower.bottom), "k")
	wantError(t, "Get", err, zodiac.ErrMiss)
	wantAbsent(t, tower.top.Cache, "k")
	wantGet(t, tower.top, "k", "2.2.1")
}

func TestNoWriteAimedAtAnInnerLoaderStoresInTheOthers(t *testing.T) {
	tower := newTower()
	wantGetWith(zodiac.NoWrite(t.Context(), tower.middle), t, tower.top, "k", "1.1.1")
	wantPeek(t, tower.top.Cache, "k", "1.1.1")
	wantAbsent(t, tower.middle.Cache, "k")
	wantPeek(t, tower.bottom.Cache, "k", "1")
}

func TestFetchSeesNoFlagsOfItsOwnLoader(t *testing.T) {
	fetch, calls := numbered()
	inner := zodiac.NewLoader(fetch)
	outer := zodiac.NewLoader(inner.Get)
	calls2 := int64(0)
	for name, ctx := range map[string]context.Context{
		"NoWrite":   zodiac.NoWrite(t.Context()),
		"Overwrite": zodiac.Overwrite(t.Context()),
		"Bypass":    zodiac.Bypass(t.Context()), // on the caller's goroutine
	} {
		calls2++
		inner.Delete(t.Context(), "k")
		for range 3 {
			outer.Delete(t.Context(), "k")
			wantGetWith(ctx, t, outer, "k", int(calls2))
		}
		wantPeek(t, inner.Cache, "k", int(calls2)) // stored, and read again
		wantCalls(t, calls, calls2)
		if t.Failed() {
			t.Fatal(name)
		}
	}
	inner.Delete(t.Context(), "k")
	v, err := outer.Fetch(zodiac.ReadOnly(t.Context()), "k")
	if v != 4 || err != nil {
		t.Errorf("Fetch = %v, %v; want 4, nil", v, err)
	}
	inner.Delete(t.Context(), "k")
	uncached := zodiac.NewLoader(func(ctx context.Context, _ float64) (int, error) { return inner.Get(ctx, "k") })
	wantGetWith(zodiac.NoWrite(t.Context()), t, uncached, nan(), 5)
	wantPeek(t, inner.Cache, "k", 5)
}

func TestModeOfAContextIsNotForItsParentsOrSiblings(t *testing.T) {
	fetch, _ := numbered()
	l := zodiac.NewLoader(fetch)
	other := zodiac.NewLoader(fetch)
	parent := zodiac.NoWrite(t.Context(), other)
	for range 5 { // so that rules have room to spare
		parent = zodiac.NoWrite(parent, other)
		readOnly := zodiac.ReadOnly(parent)
		overwrite := zodiac.Overwrite(parent)
		mustSet(t, l.Cache, "k", -1)
		wantGetWith(readOnly, t, l, "k", -1)
		v, err := l.Get(overwrite, "k")
		if v < 1 || err != nil {
			t.Errorf("Get under Overwrite = %v, %v; want a new value", v, err)
		}
		wantGetWith(parent, t, l, "k", v)
		wantGet(t, l, "k", v)
		l.Delete(t.Context(), "k")
		_, err = l.Get(readOnly, "k")
		wantError(t, "Get under ReadOnly", err, zodiac.ErrMiss)
		wantGetWith(parent, t, l, "k", v+1)
	}
}

func TestModesOfConcurrentCallersDoNotMix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, calls := slow()
		l := zodiac.NewLoader(fetch)
		noWrite := getLater(zodiac.NoWrite(t.Context()), l, "k")
		plain := getLater(t.Context(), l, "k")
		bypass := getLater(zodiac.Bypass(t.Context()), l, "k")
		wantReply(t, "NoWrite", noWrite, 1)
		wantReply(t, "plain", plain, 2)
		wantReply(t, "Bypass", bypass, 3)
		wantPeek(t, l.Cache, "k", 2)
		wantCalls(t, calls, 3)
	})
}

func TestZeroModeRestrictsNothing(t *testing.T) {
	fetch, _ := numbered()
	l := zodiac.NewLoader(fetch)
	ctx := zodiac.WithMode(t.Context(), zodiac.Mode{})
	wantGetWith(ctx, t, l, "k", 1)
	wantGetWith(ctx, t, l, "k", 1)
	wantGetWith(zodiac.WithMode(ctx, zodiac.Mode{Nested: true}), t, l, "k", 1)
}

func TestNilTargetPanics(t *testing.T) {
	for name, target := range map[string]zodiac.Target{
		"nil": nil, "Loader": (*zodiac.Loader[string, int])(nil), "Cache": (*zodiac.Cache[string, int])(nil),
	} {
		if panicOf(func() { zodiac.Bypass(t.Context(), target) }) == nil {
			t.Errorf("Bypass of a nil %s does not panic", name)
		}
	}
}

// slowOver returns a loader whose function takes a second and then asks inner, and the number of
// its calls.
func slowOver(inner *zodiac.Loader[string, int]) (outer *zodiac.Loader[string, int], calls *atomic.Int64) {
	calls = new(atomic.Int64)
	return zodiac.NewLoader(func(ctx context.Context, key string) (int, error) {
		calls.Add(1)
		time.Sleep(time.Second)
		return inner.Get(ctx, key)
	}), calls
}

func TestReadOnlyOfOneCallerDoesNotReachOthersOfItsFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, _ := numbered()
		inner := zodiac.NewLoader(fetch)
		outer, calls := slowOver(inner)
		readOnly := getLater(zodiac.ReadOnly(t.Context(), inner), outer, "k")
		var plain []<-chan reply[int]
		for range 10 {
			plain = append(plain, getLater(t.Context(), outer, "k"))
		}
		wantError(t, "Get under ReadOnly of the inner loader", (<-readOnly).err, zodiac.ErrMiss)
		for _, p := range plain {
			wantReply(t, "plain Get", p, 1)
		}
		wantCalls(t, calls, 2)
	})
}

func TestOverwriteOfAnInnerLoaderSharesNoOlderFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, _ := numbered()
		inner := zodiac.NewLoader(fetch)
		mustSet(t, inner.Cache, "k", -1)
		outer, _ := slowOver(inner)
		plain := getLater(t.Context(), outer, "k")
		time.Sleep(time.Millisecond)
		overwrite := getLater(zodiac.Overwrite(t.Context(), inner), outer, "k")
		wantReply(t, "plain Get", plain, -1)
		wantReply(t, "Get under Overwrite of the inner loader", overwrite, 1)
		wantPeek(t, inner.Cache, "k", 1)
	})
}

func TestCallersUnderEqualRulesShareFetches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, innerCalls := numbered()
		inner := zodiac.NewLoader(fetch)
		for name, ctx := range map[string]context.Context{
			"Overwrite of the inner": zodiac.Overwrite(t.Context(), inner),
			"Overwrite, Nested":      zodiac.WithMode(t.Context(), zodiac.Mode{NoRead: true, Nested: true}),
			"NoWrite of the inner":   zodiac.NoWrite(t.Context(), inner),
			"ReadOnly of the inner":  zodiac.ReadOnly(t.Context(), inner),
			"CollectStats alone":     collecting(t.Context()),
		} {
			inner.Clear(t.Context())
			innerCalls.Store(0)
			outer, calls := slowOver(inner)
			var getting []<-chan reply[int]
			for range 10 {
				getting = append(getting, getLater(ctx, outer, "k"))
			}
			for _, g := range getting {
				<-g
			}
			if n := calls.Load(); n > 2 { // one that runs, and one that waits for its end
				t.Errorf("%s: ten callers ran the function %d times", name, n)
			}
		}
	})
}

func collecting(ctx context.Context) context.Context {
	ctx, _ = zodiac.CollectStats(ctx)
	return ctx
}

func TestOverwriteAimedAtTheLoaderItselfIsOverwrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, calls := slow()
		l := zodiac.NewLoader(fetch)
		ctx := zodiac.Overwrite(t.Context(), l)
		var getting []<-chan reply[int]
		for range 10 {
			getting = append(getting, getLater(ctx, l, "k"))
		}
		for i, g := range getting {
			wantReply(t, "Get", g, min(i+1, 2))
		}
		wantCalls(t, calls, 2)
		wantPeek(t, l.Cache, "k", 2)
	})
}

func TestNoneThatComesFromReadOnlyWithinIsNotStored(t *testing.T) {
	fetch, _ := numbered()
	inner := zodiac.NewLoader(fetch)
	outer := zodiac.NewLoader(inner.Get, zodiac.NoneIf(zodiac.ErrMiss), zodiac.WithErrorTTL(60))
	_, err := outer.Get(zodiac.ReadOnly(t.Context(), inner), "k")
	wantError(t, "Get", err, zodiac.ErrNone)
	wantAbsent(t, outer.Cache, "k")
	wantGet(t, outer, "k", 1)
}

func TestOverwriteThatSharesNothingDiscardsEarlierFetches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, _ := numbered()
		inner, other := zodiac.NewLoader(fetch), zodiac.NewLoader(fetch)
		outer, calls := slowOver(inner)
		same := zodiac.Overwrite(t.Context(), inner)
		runs := getLater(same, outer, "k")
		waits := getLater(same, outer, "k")
		time.Sleep(time.Millisecond)
		alone := getLater(zodiac.Overwrite(same, other), outer, "k")
		wantCalls(t, calls, 2)
		wantReply(t, "Get that ran", runs, 1)
		wantAbsent(t, outer.Cache, "k") // it is older than the result of the fetch that ran alone
		wantReply(t, "Get that ran alone", alone, 2)
		wantReply(t, "Get that waited", waits, 3)
		wantGet(t, outer, "k", 3)
	})
}

// A hit under NoWrite leaves the cache as it was. It does not count as a use for the choice of
// evicted entries.
func TestHitUnderNoWriteKeepsNothingFromEviction(t *testing.T) {
	const old = 50
	kept := func(ctx context.Context) (n int) {
		l := zodiac.NewLoader(square, zodiac.WithCapacity(100))
		defer l.Close(t.Context())
		get := func(ctx context.Context, key int) {
			if _, err := l.Get(ctx, key); err != nil {
				t.Fatal(err)
			}
		}
		for key := range old {
			get(t.Context(), key)
		}
		for key := old; key < 1000; key++ {
			for range 3 {
				get(t.Context(), key)
			}
			for key := range old {
				if _, ok, _ := l.Peek(t.Context(), key); ok {
					get(ctx, key)
				}
			}
		}
		for key := range old {
			if _, ok, _ := l.Peek(t.Context(), key); ok {
				n++
			}
		}
		return n
	}
	used, looked := kept(t.Context()), kept(zodiac.NoWrite(t.Context()))
	if used < old*9/10 || looked > old/10 {
		t.Errorf("of %d entries %d were kept that were used, and %d that were read under NoWrite; want most, and few", old, used, looked)
	}
}
