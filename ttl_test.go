package zodiac_test

import (
	"context"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac"
)

func TestNumbersAreSecondsAndDurationsAreThemselves(t *testing.T) {
	const most = math.MaxInt64 / 1_000_000_000
	synctest.Test(t, func(t *testing.T) {
		for want, opt := range map[time.Duration]zodiac.SetOption{
			60 * time.Second:        zodiac.WithTTL(60),
			61 * time.Second:        zodiac.WithTTL(int64(61)),
			1500 * time.Millisecond: zodiac.WithTTL(1.5),
			time.Millisecond:        zodiac.WithTTL(0.001),
			90 * time.Minute:        zodiac.WithTTL(90 * time.Minute),
			time.Millisecond + 1:    zodiac.WithTTL(time.Millisecond + 1),
			most * time.Second:      zodiac.WithTTL(int64(most)),
			9e9 * time.Second:       zodiac.WithTTL(9e9),
			zodiac.Forever:          zodiac.WithTTL(zodiac.Forever),
		} {
			c := zodiac.NewCache[string, int](opt)
			mustSet(t, c, "k", 1)
			wantLeft(t, c, "k", want)
			d := zodiac.NewCache[string, int]()
			mustSet(t, d, "k", 1, opt)
			wantLeft(t, d, "k", want)
		}
	})
}

func TestEntryExpiresWhenItsTimeIsOverAndNotBefore(t *testing.T) {
	for _, ttl := range []time.Duration{time.Millisecond, 30 * time.Millisecond, 100 * time.Millisecond, time.Minute, 1000 * time.Hour} {
		t.Run(ttl.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fetch, _ := numbered()
				l := zodiac.NewLoader(fetch, zodiac.WithTTL(ttl))
				wantGet(t, l, "k", 1)
				for range 10 {
					time.Sleep((ttl - 1) / 10)
					wantGet(t, l, "k", 1)
				}
				time.Sleep(ttl - 1 - (ttl-1)/10*10)
				wantGet(t, l, "k", 1)
				wantLeft(t, l.Cache, "k", 1)
				time.Sleep(time.Nanosecond)
				wantAbsent(t, l.Cache, "k")
				wantGet(t, l, "k", 2)
			})
		})
	}
}

func TestEntryExpiresAtItsTimeWhenNobodyLooksBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, _ := numbered()
		l := zodiac.NewLoader(fetch, zodiac.WithTTL(60))
		wantGet(t, l, "k", 1)
		time.Sleep(time.Minute)
		wantGet(t, l, "k", 2)
	})
}

func TestLifetimeCountsFromTheCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, _ := slow()
		l := zodiac.NewLoader(fetch, zodiac.WithTTL(60))
		wantGet(t, l, "k", 1)
		wantLeft(t, l.Cache, "k", time.Minute)
		if e, _, _ := l.Entry(t.Context(), "k"); e.Age != time.Second {
			t.Errorf("the entry is %v old; want 1s, since its fetch began", e.Age)
		}
	})
}

func TestForeverIsForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, _ := numbered()
		for _, opts := range []zodiac.Options{nil, {zodiac.WithTTL(zodiac.Forever)}, {zodiac.WithTTL(zodiac.Forever - 1)}, {zodiac.WithTTL(zodiac.Forever), zodiac.WithJitter(0.5)}} {
			c := zodiac.NewLoader(fetch, opts)
			time.Sleep(time.Hour) // from now on, the sum overflows
			v, err := c.Get(t.Context(), "k")
			must(t, err)
			time.Sleep(50 * 365 * 24 * time.Hour)
			wantGet(t, c, "k", v)
		}
	})
}

func TestTTLOfTheCallBeatsTheFunctionsBeatsTheLoaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ofKey := zodiac.WithTTLFunc(func(key string, v int) time.Duration { return time.Duration(len(key)+v) * time.Hour })
		fetch, _ := numbered()
		for name, opts := range map[string]zodiac.Options{"WithTTLFunc last": {zodiac.WithTTL(60), ofKey}, "WithTTL last": {ofKey, zodiac.WithTTL(60)}} {
			l := zodiac.NewLoader(fetch, opts)
			mustSet(t, l.Cache, "set", 7)
			wantLeft(t, l.Cache, "set", 10*time.Hour)
			mustSet(t, l.Cache, "set", 7, zodiac.WithTTL(5))
			wantLeft(t, l.Cache, "set", 5*time.Second)
			v, err := l.Get(t.Context(), "fetched")
			must(t, err)
			wantLeft(t, l.Cache, "fetched", time.Duration(7+v)*time.Hour)
			if t.Failed() {
				t.Log(name)
			}
		}
	})
}

func TestLifetimeUnderAMillisecondStoresNothingAndDropsTheOld(t *testing.T) {
	for _, life := range []time.Duration{0, -1, math.MinInt64, time.Millisecond - 1} {
		t.Run(life.String(), func(t *testing.T) {
			fetch, calls := numbered()
			l := zodiac.NewLoader(fetch, zodiac.WithTTLFunc(func(_ string, v int) time.Duration {
				if v < 100 {
					return life
				}
				return time.Hour
			}))
			wantGet(t, l, "k", 1)
			wantAbsent(t, l.Cache, "k")
			wantGet(t, l, "k", 2)
			wantCalls(t, calls, 2)
			mustSet(t, l.Cache, "k", 100)
			wantPeek(t, l.Cache, "k", 100)
			mustSet(t, l.Cache, "k", 1)
			wantAbsent(t, l.Cache, "k")
			mustSet(t, l.Cache, "k", 100)
			if v, err := l.Refresh(t.Context(), "k"); v != 3 || err != nil {
				t.Errorf("Refresh = %v, %v; want 3, nil", v, err)
			}
			wantAbsent(t, l.Cache, "k")
			if s := l.Stats(); s.Skipped != 3 || s.Stored != 0 || l.Len() != 0 {
				t.Errorf("%d skipped, %d stored, Len %d; want 3, 0, 0", s.Skipped, s.Stored, l.Len())
			}
		})
	}
}

func TestLifetimeOfAMillisecondIsStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, _ := numbered()
		l := zodiac.NewLoader(fetch, zodiac.WithTTLFunc(func(string, int) time.Duration { return time.Millisecond }))
		wantGet(t, l, "k", 1)
		wantLeft(t, l.Cache, "k", time.Millisecond)
	})
}

func TestNoneLivesAsLongAsItsOwnTTLSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		never := zodiac.WithTTLFunc(func(string, int) time.Duration { t.Error("WithTTLFunc was asked for a None"); return 0 })
		for want, opts := range map[time.Duration]zodiac.Options{
			zodiac.Forever:   {zodiac.NoneIf(errOrigin)},
			60 * time.Second: {zodiac.NoneIf(errOrigin), zodiac.WithTTL(60), never},
			5 * time.Second:  {zodiac.NoneIf(errOrigin), zodiac.WithTTL(60), zodiac.WithNoneTTL(5), never},
		} {
			fetch, _ := failing(errOrigin)
			l := zodiac.NewLoader(fetch, opts)
			l.Get(t.Context(), "fetched")
			wantNoneLeft(t, l.Cache, "fetched", want)
			must(t, l.SetNone(t.Context(), "set"))
			wantNoneLeft(t, l.Cache, "set", want)
			must(t, l.SetNone(t.Context(), "set", zodiac.WithTTL(7)))
			wantNoneLeft(t, l.Cache, "set", 7*time.Second)
			wantTouchOf(t, l.Cache, "set")
			wantNoneLeft(t, l.Cache, "set", want)
		}
	})
}

func wantTouchOf[V any](t *testing.T, c *zodiac.Cache[string, V], key string) {
	t.Helper()
	if ok, err := c.Touch(t.Context(), key); !ok || err != nil {
		t.Errorf("Touch = %v, %v; want true, nil", ok, err)
	}
}

func wantNoneLeft[V any](t *testing.T, c *zodiac.Cache[string, V], key string, want time.Duration) {
	t.Helper()
	e, ok, err := c.Entry(t.Context(), key)
	wantError(t, "Entry", err, zodiac.ErrNone)
	if !ok || e.Kind != zodiac.KindNone || e.Left != want {
		t.Errorf("Entry(%s) = a %v with %v left, %v; want a none with %v", key, e.Kind, e.Left, ok, want)
	}
}

func TestJitterOnlyShortens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, _ := failing(errOrigin)
		l := zodiac.NewLoader(fetch, zodiac.WithTTL(time.Hour), zodiac.WithJitter(0.25), zodiac.NoneIf(errOrigin), zodiac.WithNoneTTL(time.Minute))
		var lefts, nones []time.Duration
		for _, key := range tagNames(200) {
			l.Get(t.Context(), key)
			none, _, _ := l.Entry(t.Context(), key)
			nones = append(nones, none.Left)
			mustSet(t, l.Cache, key, 1)
			e, _, _ := l.Entry(t.Context(), key)
			lefts = append(lefts, e.Left)
		}
		checkJitter(t, lefts, time.Hour)
		checkJitter(t, nones, time.Minute)
		mustSet(t, l.Cache, "k", 1, zodiac.WithTTL(zodiac.Forever))
		wantLeft(t, l.Cache, "k", zodiac.Forever)
	})
}

// checkJitter fails the test unless times are spread over the last quarter before most.
func checkJitter(t *testing.T, times []time.Duration, most time.Duration) {
	t.Helper()
	var shortest, longest time.Duration = math.MaxInt64, 0
	for _, d := range times {
		shortest, longest = min(shortest, d), max(longest, d)
	}
	if shortest < most*3/4 || longest > most || shortest > most*8/10 || longest < most*95/100 {
		t.Errorf("200 lifetimes of %v are from %v to %v", most, shortest, longest)
	}
}

func TestJitterNeverMakesALifetimeTooShortToStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, _ := numbered()
		l := zodiac.NewLoader(fetch, zodiac.WithTTL(0.001), zodiac.WithJitter(0.9))
		for i, key := range tagNames(50) {
			wantGet(t, l, key, i+1)
			wantLeft(t, l.Cache, key, time.Millisecond)
		}
	})
}

func TestJitterAppliesToTTLsOfCallsAndFunctions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := zodiac.NewCache[string, int](zodiac.WithJitter(0.5), zodiac.WithTTLFunc(func(string, int) time.Duration { return time.Hour }))
		for name, opts := range map[string][]zodiac.SetOption{"function": nil, "call": {zodiac.WithTTL(time.Hour)}} {
			mustSet(t, c, "k", 1, opts...)
			if e, _, _ := c.Entry(t.Context(), "k"); e.Left >= time.Hour || e.Left < time.Hour/2 {
				t.Errorf("%s: %v left; want less than an hour, not under half of it", name, e.Left)
			}
		}
	})
}

func TestUseExtendsASlidingEntry(t *testing.T) {
	fetch, _ := numbered()
	for name, use := range map[string]func(context.Context, *zodiac.Loader[string, int]) error{
		"Get": func(ctx context.Context, l *zodiac.Loader[string, int]) error { _, err := l.Get(ctx, "k"); return err },
		"GetOrFetch": func(ctx context.Context, l *zodiac.Loader[string, int]) error {
			_, err := l.GetOrFetch(ctx, "k", fetch)
			return err
		},
		"GetMany": func(ctx context.Context, l *zodiac.Loader[string, int]) error {
			_, err := l.GetMany(ctx, []string{"k"})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := zodiac.NewLoader(fetch, zodiac.WithTTL(80), zodiac.WithSliding())
				mustSet(t, l.Cache, "k", 7)
				for range 10 {
					time.Sleep(79 * time.Second)
					must(t, use(t.Context(), l))
					wantLeft(t, l.Cache, "k", 80*time.Second)
				}
				time.Sleep(80 * time.Second)
				wantAbsent(t, l.Cache, "k")
				if n := l.Len(); n > 1 {
					t.Errorf("Len = %d", n)
				}
			})
		})
	}
}

func TestSlidingEntryIsExtendedOncePerEighth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, _ := numbered()
		l := zodiac.NewLoader(fetch, zodiac.WithTTL(80), zodiac.WithSliding())
		wantGet(t, l, "k", 1)
		for range 9 {
			time.Sleep(time.Second)
			wantGet(t, l, "k", 1)
		}
		wantLeft(t, l.Cache, "k", 71*time.Second)
		time.Sleep(time.Second)
		wantGet(t, l, "k", 1)
		wantLeft(t, l.Cache, "k", 80*time.Second)
	})
}

func TestLooksThatAreNoUseDoNotExtendASlidingEntry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, _ := numbered()
		l := zodiac.NewLoader(fetch, zodiac.WithTTL(80), zodiac.WithSliding())
		mustSet(t, l.Cache, "k", 7)
		time.Sleep(40 * time.Second)
		wantPeek(t, l.Cache, "k", 7)
		wantLeft(t, l.Cache, "k", 40*time.Second) // Entry
		wantGetWith(zodiac.ReadOnly(t.Context()), t, l, "k", 7)
		wantGetWith(zodiac.NoWrite(t.Context()), t, l, "k", 7)
		wantGetWith(zodiac.Bypass(t.Context()), t, l, "k", 1)
		l.SetIfAbsent(t.Context(), "k", 8)
		l.GetMany(zodiac.ReadOnly(t.Context()), []string{"k"})
		wantLeft(t, l.Cache, "k", 40*time.Second)
	})
}

func TestSlidingEntrySlidesToTheLifetimeItWasStoredWith(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, _ := numbered()
		l := zodiac.NewLoader(fetch, zodiac.WithTTL(80), zodiac.WithSliding())
		mustSet(t, l.Cache, "short", 7, zodiac.WithTTL(8), zodiac.WithTags("tag"))
		mustSet(t, l.Cache, "endless", 7, zodiac.WithTTL(zodiac.Forever))
		time.Sleep(7 * time.Second)
		wantGet(t, l, "short", 7)
		wantLeft(t, l.Cache, "short", 8*time.Second)
		wantGet(t, l, "endless", 7)
		wantLeft(t, l.Cache, "endless", zodiac.Forever)
		l.Touch(t.Context(), "short", zodiac.WithTTL(16))
		time.Sleep(10 * time.Second)
		if e, _, _ := l.Entry(t.Context(), "short"); e.Age != 17*time.Second {
			t.Errorf("after Touch the entry is %v old; want 17s, since it was set", e.Age)
		}
		wantGet(t, l, "short", 7)
		wantLeft(t, l.Cache, "short", 16*time.Second)
		must(t, l.DeleteTags(t.Context(), "tag"))
		wantAbsent(t, l.Cache, "short")
	})
}

func TestSlidingNoneSlidesToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, calls := failing(errOrigin)
		l := zodiac.NewLoader(fetch, zodiac.WithTTL(80), zodiac.WithSliding(), zodiac.NoneIf(errOrigin), zodiac.WithNoneTTL(8))
		for range 5 {
			_, err := l.Get(t.Context(), "k")
			wantError(t, "Get", err, zodiac.ErrNone)
			time.Sleep(7 * time.Second)
		}
		wantCalls(t, calls, 1)
	})
}

func TestSlidingEntriesInUseOutliveTheJanitor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, calls := numbered()
		l := zodiac.NewLoader(fetch, zodiac.WithTTL(4), zodiac.WithSliding())
		keys := tagNames(20)
		for range 20 {
			for _, key := range keys {
				l.Get(t.Context(), key)
			}
			time.Sleep(3 * time.Second)
		}
		wantCalls(t, calls, 20)
		time.Sleep(6 * time.Second)
		if n := l.Len(); n != 0 {
			t.Errorf("Len = %d after nobody has used them for long; want 0", n)
		}
	})
}

func TestInvalidEntryCountsAsAbsentAndIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, calls := numbered()
		valid := func(_ string, e zodiac.Entry[int]) bool { return e.Age < time.Minute }
		l := zodiac.NewLoader(fetch, zodiac.ValidIf(valid))
		wantGet(t, l, "k", 1)
		time.Sleep(time.Minute - 1)
		wantGet(t, l, "k", 1)
		time.Sleep(time.Nanosecond)
		if _, err := l.Get(zodiac.ReadOnly(t.Context()), "k"); err == nil {
			t.Error("Get under ReadOnly returned an entry that is not valid")
		}
		wantGet(t, l, "k", 2)
		wantGet(t, l, "k", 2)
		wantCalls(t, calls, 2)
		time.Sleep(time.Minute)
		wantMany(t, l, []string{"k"}, map[string]int{"k": 3})
		if s := l.Stats(); s.Invalid != 3 {
			t.Errorf("%d invalid; want 3", s.Invalid)
		}
	})
}

func TestInvalidEntryStaysIfTheFetchFails(t *testing.T) {
	fetch, _ := failing(errOrigin)
	good := false
	l := zodiac.NewLoader(fetch, zodiac.ValidIf(func(string, zodiac.Entry[int]) bool { return good }))
	mustSet(t, l.Cache, "k", 7)
	_, err := l.Get(t.Context(), "k")
	wantError(t, "Get", err, errOrigin)
	good = true
	wantGet(t, l, "k", 7)
}

func TestFetchForAnInvalidEntryIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, calls := slow()
		l := zodiac.NewLoader(fetch, zodiac.ValidIf(func(_ string, e zodiac.Entry[int]) bool { return e.Value != 7 }))
		mustSet(t, l.Cache, "k", 7)
		var getting []<-chan reply[int]
		for range 5 {
			getting = append(getting, getLater(t.Context(), l, "k"))
		}
		for _, g := range getting {
			wantReply(t, "Get", g, 1)
		}
		wantCalls(t, calls, 1)
	})
}

func TestValidIfSeesTheWholeEntry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen zodiac.Entry[string]
		l := zodiac.NewCache[string, string](zodiac.WithTTL(60), zodiac.WithTags("tag"), zodiac.ValidIf(func(key string, e zodiac.Entry[string]) bool {
			seen = e
			return key == "k"
		}))
		mustSet(t, l, "k", "one")
		set := time.Now()
		time.Sleep(10 * time.Second)
		wantPeek(t, l, "k", "one")
		want := fmt.Sprint("one", 10*time.Second, 50*time.Second, zodiac.KindValue, []string{"tag"})
		if got := fmt.Sprint(seen.Value, seen.Age, seen.Left, seen.Kind, seen.Tags); got != want || !seen.Created.Equal(set) {
			t.Errorf("ValidIf saw %s; want %s", got, want)
		}
	})
}

func TestResultWithoutALifetimeDropsTheEntryThatWasNotValid(t *testing.T) {
	fetch, _ := numbered()
	good := false
	l := zodiac.NewLoader(fetch, zodiac.ValidIf(func(string, zodiac.Entry[int]) bool { return good }),
		zodiac.WithTTLFunc(func(_ string, v int) time.Duration { return time.Duration(v-1) * time.Hour }))
	mustSet(t, l.Cache, "k", 7)
	wantGet(t, l, "k", 1)
	good = true
	wantAbsent(t, l.Cache, "k")
}
