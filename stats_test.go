package zodiac_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac"
)

// checkSums fails the test unless every Get and every fetch counts once.
func checkSums(t *testing.T, s zodiac.Stats) {
	t.Helper()
	if sum := s.HitMemory + s.HitStore + s.Shared + s.Fetched + s.Failed + s.Missed + s.Bypassed + s.Canceled; s.Gets != sum {
		t.Errorf("Gets = %d, but its parts add up to %d: %+v", s.Gets, sum, s)
	}
	if sum := s.Stored + s.Discarded + s.Skipped + s.Uncached + s.FetchErrors; s.Fetches != sum {
		t.Errorf("Fetches = %d, but its parts add up to %d: %+v", s.Fetches, sum, s)
	}
}

// wantStats compares all counts; the sums of want may be left out.
func wantStats(t *testing.T, got, want zodiac.Stats) {
	t.Helper()
	checkSums(t, got)
	want.Gets, want.Fetches = got.Gets, got.Fetches
	if got != want {
		t.Errorf("Stats = %+v;\nwant    %+v", got, want)
	}
}

// ends is a function with a key for every way in which a fetch can end.
func ends(ctx context.Context, l *zodiac.Loader[string, int], key string) (int, error) {
	switch key {
	case "cycle":
		return l.Get(ctx, key)
	case "fails":
		return 0, errOrigin
	case "panics":
		panic("boom")
	case "none":
		return 0, zodiac.ErrNone
	case "skipped":
		return -1, nil
	case "slow", "discarded":
		time.Sleep(time.Second)
	case "endless":
		return untilEnd(ctx, key)
	}
	return 1, nil
}

// outcomes has a Get for every way in which one can end.
func outcomes(ctx context.Context, t *testing.T) (*zodiac.Loader[string, int], zodiac.Stats) {
	var l *zodiac.Loader[string, int]
	l = zodiac.NewLoader(func(ctx context.Context, key string) (int, error) { return ends(ctx, l, key) },
		zodiac.WithErrorTTL(60), zodiac.SkipIf(func(v int) bool { return v < 0 }))
	l.Get(ctx, "k")                                    // Fetched, Stored
	l.Get(ctx, "k")                                    // HitMemory
	l.GetMany(ctx, []string{"k", "k", "none", "none"}) // HitMemory; Fetched, Stored
	l.GetOrFetch(ctx, "none", l.Fetch)                 // HitMemory
	l.Peek(ctx, "k")                                   // HitMemory
	l.Entry(ctx, "absent")                             // Missed
	l.Get(zodiac.ReadOnly(ctx), "absent")              // Missed
	l.Get(zodiac.Bypass(ctx), "fails")                 // Bypassed
	l.Get(zodiac.NoWrite(ctx), "unstored")             // Fetched, Uncached
	l.Get(ctx, "fails")                                // Failed, FetchErrors
	l.Get(ctx, "fails")                                // Failed: remembered
	l.Get(ctx, "panics")                               // Failed, FetchErrors
	l.Get(ctx, "cycle")                                // Failed, FetchErrors; Failed: ErrCycle
	l.Get(ctx, "skipped")                              // Fetched, Skipped
	l.Refresh(ctx, "k")                                // Fetched, Stored
	a, b := getLater(ctx, l, "slow"), getLater(ctx, l, "slow")
	<-a // Fetched, Stored
	<-b // Shared
	discarded := getLater(ctx, l, "discarded")
	l.Delete(ctx, "discarded")
	<-discarded // Fetched, Discarded
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	l.Get(short, "endless") // Canceled, FetchErrors
	l.Get(short, "absent")  // Canceled
	synctest.Wait()
	must(t, l.Close(t.Context()))
	l.Get(ctx, "k")                // nowhere
	l.Get(zodiac.Bypass(ctx), "k") // Bypassed
	return l, zodiac.Stats{
		HitMemory: 4, Shared: 1, Fetched: 7, Failed: 5, Missed: 2, Bypassed: 2, Canceled: 2,
		Stored: 4, Discarded: 1, Skipped: 1, Uncached: 1, FetchErrors: 4,
	}
}

func TestStatsArePartitionsOfGetsAndFetches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, want := outcomes(t.Context(), t)
		wantStats(t, l.Stats(), want)
	})
}

func TestCollectStatsCountsTheCallsOfItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outer, outerStats := zodiac.CollectStats(t.Context())
		inner, innerStats := zodiac.CollectStats(outer)
		_, want := outcomes(inner, t)
		wantStats(t, innerStats(), want)
		wantStats(t, outerStats(), want) // nested ones both count
		fetch, _ := numbered()
		l := zodiac.NewLoader(fetch)
		wantGetWith(outer, t, l, "k", 1)
		wantGet(t, l, "k", 1)
		wantStats(t, innerStats(), want)
		want.Fetched++
		want.Stored++
		wantStats(t, outerStats(), want)
		if s := l.Stats(); s.Gets != 2 {
			t.Errorf("the loader counted %d Gets; want all 2", s.Gets)
		}
	})
}

func TestCollectStatsCountsCallsOfTheFunctionsToo(t *testing.T) {
	tower := newTower()
	for name, ctx := range map[string]context.Context{"plain": t.Context(), "Bypass": zodiac.Bypass(t.Context()), "Overwrite": zodiac.Overwrite(t.Context())} {
		tower.middle.Clear(t.Context())
		tower.top.Clear(t.Context())
		tower.bottom.Clear(t.Context())
		ctx, stats := zodiac.CollectStats(ctx)
		if _, err := tower.top.Get(ctx, "k"); err != nil {
			t.Error(err)
		}
		if s := stats(); s.Gets != 3 {
			t.Errorf("%s: %d Gets; want those of three loaders", name, s.Gets)
		}
	}
	ctx, stats := zodiac.CollectStats(t.Context())
	if _, err := tower.top.Fetch(ctx, "k"); err != nil {
		t.Error(err)
	}
	if s := stats(); s.Gets != 1 {
		t.Errorf("Fetch: %d Gets; want the one of its function", s.Gets)
	}
}

func TestCollectStatsCountsForEachCallerWhatItDid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, _ := slow()
		l := zodiac.NewLoader(fetch)
		a, aStats := zodiac.CollectStats(t.Context())
		b, bStats := zodiac.CollectStats(t.Context())
		first, second := getLater(a, l, "k"), getLater(b, l, "k")
		<-first
		<-second
		wantStats(t, aStats(), zodiac.Stats{Fetched: 1, Stored: 1})
		wantStats(t, bStats(), zodiac.Stats{Shared: 1})
	})
}

func TestCollectStatsWorksBesideModes(t *testing.T) {
	fetch, _ := numbered()
	l := zodiac.NewLoader(fetch)
	ctx, stats := zodiac.CollectStats(zodiac.ReadOnly(t.Context()))
	_, err := l.Get(ctx, "k")
	wantError(t, "Get", err, zodiac.ErrMiss)
	wantGetWith(zodiac.Bypass(t.Context()), t, l, "k", 1)
	wantStats(t, stats(), zodiac.Stats{Missed: 1})
}

func TestStatsTellSizeEvictionAndExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := zodiac.NewCache[int, int](zodiac.WithCapacity(10))
		for i := range 15 {
			mustSet(t, c, i, i)
		}
		s := c.Stats()
		wantStats(t, s, zodiac.Stats{Evicted: 5, Size: 10})
		c.Clear(t.Context())
		mustSet(t, c, 1, 1, zodiac.WithTTL(1))
		time.Sleep(time.Second)
		mustSet(t, c, 1, 1) // in place of an expired entry
		s = c.Stats()
		wantStats(t, s, zodiac.Stats{Evicted: 5, Expired: 1, Size: 1})
	})
}

func TestStatsAddUpAfterAStorm(t *testing.T) {
	var gets, fetches sync.Map
	count := func(m *sync.Map) { m.Store(rand.Int64(), nil) }
	l := zodiac.NewLoader(func(ctx context.Context, key int) (int, error) {
		count(&fetches)
		if key == 3 {
			return 0, errOrigin
		}
		return key, ctx.Err()
	}, zodiac.WithCapacity(6), zodiac.WithTags("tag"), zodiac.WithTTL(time.Millisecond))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 500 {
				key := rand.IntN(10)
				storm(t.Context(), l, key, func() { count(&gets) })
			}
		})
	}
	wg.Wait()
	must(t, l.Close(t.Context()))
	s := l.Stats()
	checkSums(t, s)
	if g, f := size(&gets), size(&fetches); s.Gets != g || s.Fetches != f {
		t.Errorf("Stats: %d Gets, %d Fetches; there were %d and %d", s.Gets, s.Fetches, g, f)
	}
}

func size(m *sync.Map) (n uint64) {
	m.Range(func(any, any) bool { n++; return true })
	return n
}

// storm does a random operation. get is called for every Get.
func storm(ctx context.Context, l *zodiac.Loader[int, int], key int, get func()) {
	switch rand.IntN(12) {
	case 0:
		l.Set(ctx, key, key)
	case 1:
		l.Delete(ctx, key)
	case 2:
		l.DeleteTags(ctx, "tag")
	case 3:
		get()
		l.Refresh(ctx, key)
	case 4:
		get()
		l.Get(zodiac.NoWrite(ctx), key)
	case 5:
		get()
		l.Get(zodiac.ReadOnly(ctx), key)
	case 6:
		get()
		ctx, cancel := context.WithTimeout(ctx, time.Duration(rand.IntN(20))*time.Microsecond)
		l.Get(ctx, key)
		cancel()
	case 7:
		zodiac.Add(ctx, l.Cache, key, 1)
	case 8:
		get()
		get()
		l.GetMany(ctx, []int{key, key, key + 1})
	default:
		get()
		l.Get(ctx, key)
	}
}

func TestObserverIsToldOfEveryFetchAndNoHit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen recorder
		l := zodiac.NewLoader(func(_ context.Context, key string) (int, error) {
			time.Sleep(time.Second)
			if key == "fails" {
				return 0, errOrigin
			}
			return len(key), nil
		}, zodiac.WithObserver(&seen), zodiac.WithName("watched"), zodiac.SkipIf(func(v int) bool { return v == 7 }))
		discarded := getLater(t.Context(), l, "discarded")
		l.Delete(t.Context(), "discarded")
		<-discarded
		l.Get(t.Context(), "k")
		l.Get(t.Context(), "k")
		l.Get(t.Context(), "fails")
		l.Get(t.Context(), "skipped")
		l.Get(zodiac.NoWrite(t.Context()), "uncached")
		l.Get(zodiac.Bypass(t.Context()), "k")
		l.Get(zodiac.ReadOnly(t.Context()), "k")
		l.Peek(t.Context(), "k")
		mustSet(t, l.Cache, "set", 1)
		synctest.Wait()
		checkEvents(t, seen.all(), []zodiac.Event{
			{Key: "discarded", Outcome: zodiac.OutcomeDiscarded},
			{Key: "k", Outcome: zodiac.OutcomeStored},
			{Key: "fails", Outcome: zodiac.OutcomeError, Err: errOrigin},
			{Key: "skipped", Outcome: zodiac.OutcomeSkipped},
			{Key: "uncached", Outcome: zodiac.OutcomeUncached},
		})
	})
}

// checkEvents compares the fetches of a loader called watched that took a second each.
func checkEvents(t *testing.T, got, want []zodiac.Event) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d events: %+v; want %d", len(got), got, len(want))
	}
	for i, w := range want {
		w.Kind, w.Loader, w.Took = zodiac.EventFetch, "watched", time.Second
		if got[i] != w {
			t.Errorf("event %d is %+v; want %+v", i, got[i], w)
		}
	}
}

// An observer is an Observer that is a function.
type observer func(context.Context, zodiac.Event)

func (o observer) Observe(ctx context.Context, e zodiac.Event) { o(ctx, e) }

func TestObserverHasTheValuesOfTheCallersContextAndHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type name struct{}
		var saw any
		fetch, _ := numbered()
		var l *zodiac.Loader[string, int]
		l = zodiac.NewLoader(fetch, zodiac.WithObserver(observer(func(ctx context.Context, e zodiac.Event) {
			saw = ctx.Value(name{})
			if err := ctx.Err(); err != nil {
				t.Errorf("the Observer's context has ended: %v", err)
			}
			wantGet(t, l, "k", 1) // no lock is held, and the value is there
			time.Sleep(time.Hour)
		})))
		began := time.Now()
		wantGetWith(context.WithValue(t.Context(), name{}, "mine"), t, l, "k", 1)
		if d := time.Since(began); d != 0 {
			t.Errorf("Get waited %v for the Observer", d)
		}
		must(t, l.Close(t.Context()))
		if d := time.Since(began); d != time.Hour || saw != "mine" {
			t.Errorf("Close returned after %v, and the Observer saw %v; want 1h and the caller's value", d, saw)
		}
	})
}

func TestEventsPrintAsWords(t *testing.T) {
	for want, got := range map[string]any{
		"fetch": zodiac.EventFetch, "fault": zodiac.EventFault,
		"stored": zodiac.OutcomeStored, "discarded": zodiac.OutcomeDiscarded, "skipped": zodiac.OutcomeSkipped,
		"uncached": zodiac.OutcomeUncached, "error": zodiac.OutcomeError,
	} {
		if s := fmt.Sprint(got); s != want {
			t.Errorf("%#v prints as %q; want %q", got, s, want)
		}
	}
}

func TestCollectStatsCountsInvalidEntries(t *testing.T) {
	c := zodiac.NewCache[string, int](zodiac.ValidIf(func(_ string, e zodiac.Entry[int]) bool { return e.Value > 0 }))
	mustSet(t, c, "refused", 0)
	mustSet(t, c, "tagged", 1, zodiac.WithTags("tag"))
	must(t, c.DeleteTags(t.Context(), "tag"))
	ctx, stats := zodiac.CollectStats(t.Context())
	c.Peek(ctx, "refused")
	c.Peek(ctx, "tagged")
	wantStats(t, stats(), zodiac.Stats{Missed: 2, Invalid: 2})
}
