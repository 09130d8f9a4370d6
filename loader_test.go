package zodiac_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac"
)

func TestGetCachesWhatTheFunctionReturns(t *testing.T) {
	fetch, calls := numbered()
	l := zodiac.NewLoader(fetch)
	wantGet(t, l, "a", 1)
	wantGet(t, l, "a", 1)
	wantGet(t, l, "b", 2)
	wantGet(t, l, "a", 1)
	wantCalls(t, calls, 2)
}

func TestFunctionGetsTheKey(t *testing.T) {
	l := zodiac.NewLoader(func(_ context.Context, key [2]string) (int, error) {
		return strconv.Atoi(key[0] + key[1])
	})
	wantGet(t, l, [2]string{"1", "2"}, 12)
	wantGet(t, l, [2]string{"2", "1"}, 21)
}

type service struct{ prefix string }

func (s *service) greet(_ context.Context, name string) (string, error) { return s.prefix + name, nil }

func TestGetHasTheSignatureOfTheFunction(t *testing.T) {
	f := (&service{"hello "}).greet
	f = zodiac.NewLoader(f).Get // compiles: a parameter for the function takes its loader
	if v, err := f(t.Context(), "you"); v != "hello you" || err != nil {
		t.Errorf("f = %v, %v", v, err)
	}
}

func TestLoaderOverALoader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, calls := numbered()
		inner := zodiac.NewLoader(fetch, zodiac.WithTTL(60))
		outer := zodiac.NewLoader(inner.Get, zodiac.WithTTL(1))
		wantGet(t, outer, "k", 1)
		time.Sleep(time.Second)
		wantGet(t, outer, "k", 1) // the outer entry has expired, the inner one has not
		wantCalls(t, calls, 1)
		if s := inner.Stats(); s.HitMemory != 1 {
			t.Errorf("the inner loader had %d hits; want 1", s.HitMemory)
		}
	})
}

func TestGetSharesOneFetchBetweenConcurrentCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, calls := slow()
		l := zodiac.NewLoader(fetch)
		var getting []<-chan reply[int]
		for range 100 {
			getting = append(getting, getLater(t.Context(), l, "k"))
		}
		for _, g := range getting {
			wantReply(t, "Get", g, 1)
		}
		wantCalls(t, calls, 1)
	})
}

func TestKeysAreFetchedBesideEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, _ := slow()
		l := zodiac.NewLoader(fetch)
		began := time.Now()
		a, b := getLater(t.Context(), l, "a"), getLater(t.Context(), l, "b")
		wantReply(t, "Get(a)", a, 1)
		wantReply(t, "Get(b)", b, 2)
		if d := time.Since(began); d != time.Second {
			t.Errorf("two keys took %v; want 1s", d)
		}
	})
}

func TestCallersShareTheErrorOfAFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failed, calls := failing(errOrigin)
		l := zodiac.NewLoader(func(ctx context.Context, key string) (int, error) {
			time.Sleep(time.Second)
			return failed(ctx, key)
		})
		var getting []<-chan reply[int]
		for range 5 {
			getting = append(getting, getLater(t.Context(), l, "k"))
		}
		for _, g := range getting {
			if r := <-g; !same(r.err, errOrigin) {
				t.Errorf("Get = %v; want the error itself", r.err)
			}
		}
		wantCalls(t, calls, 1)
		if _, err := l.Get(t.Context(), "k"); !same(err, errOrigin) {
			t.Errorf("Get = %v; want the error itself", err)
		}
		wantCalls(t, calls, 2) // an error is not stored
	})
}

func TestCallersShareASkippedResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, calls := slow()
		l := zodiac.NewLoader(fetch, zodiac.SkipIf(func(int) bool { return true }))
		var getting []<-chan reply[int]
		for range 5 {
			getting = append(getting, getLater(t.Context(), l, "k"))
		}
		for _, g := range getting {
			wantReply(t, "Get", g, 1)
		}
		wantCalls(t, calls, 1)
		wantAbsent(t, l.Cache, "k")
	})
}

func TestErrorWinsOverAValueBesideIt(t *testing.T) {
	l := zodiac.NewLoader(func(context.Context, string) (int, error) { return 7, errOrigin })
	if v, err := l.Get(t.Context(), "k"); v != 0 || !same(err, errOrigin) {
		t.Errorf("Get = %v, %v; want 0, %v", v, err, errOrigin)
	}
	wantAbsent(t, l.Cache, "k")
}

func TestCancelledCallerDoesNotCancelOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, calls := slow()
		l := zodiac.NewLoader(fetch)
		first, cancelFirst := context.WithCancel(t.Context())
		second, cancelSecond := context.WithCancel(t.Context())
		a, b, c := getLater(first, l, "k"), getLater(second, l, "k"), getLater(t.Context(), l, "k")
		cancelFirst() // the caller that began the fetch
		wantError(t, "first Get", (<-a).err, context.Canceled)
		cancelSecond()
		wantError(t, "second Get", (<-b).err, context.Canceled)
		wantReply(t, "third Get", c, 1)
		wantCalls(t, calls, 1)
		wantGet(t, l, "k", 1)
	})
}

func TestCallerLeavesAtItsOwnDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, _ := slow()
		l := zodiac.NewLoader(fetch)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		other := getLater(t.Context(), l, "k")
		began := time.Now()
		_, err := l.Get(ctx, "k")
		wantError(t, "Get", err, context.DeadlineExceeded)
		if d := time.Since(began); d != 100*time.Millisecond {
			t.Errorf("Get returned after %v; want 100ms", d)
		}
		wantReply(t, "other Get", other, 1)
	})
}

func TestLastCallerLeavingCancelsTheFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fetching context.Context
		l := zodiac.NewLoader(func(ctx context.Context, _ string) (int, error) {
			fetching = ctx
			return untilEnd(ctx, "")
		})
		ctx, cancel := context.WithCancel(t.Context())
		a, b := getLater(ctx, l, "k"), getLater(ctx, l, "k")
		if err := fetching.Err(); err != nil {
			t.Errorf("the fetch's context ended with %v while callers wait", err)
		}
		cancel()
		<-a
		<-b
		synctest.Wait()
		if err := fetching.Err(); err != context.Canceled {
			t.Errorf("the fetch's context has error %v; want %v", err, context.Canceled)
		}
	})
}

func TestGetAfterAllHaveLeftStartsANewFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, calls := uncancelable()
		l := zodiac.NewLoader(fetch)
		ctx, cancel := context.WithCancel(t.Context())
		getting := getLater(ctx, l, "k")
		cancel()
		<-getting
		time.Sleep(500 * time.Millisecond) // the abandoned function runs on
		wantGet(t, l, "k", 2)
		wantCalls(t, calls, 2)
		wantGet(t, l, "k", 2)
	})
}

func TestAbandonedFetchStoresNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, _ := uncancelable()
		l := zodiac.NewLoader(fetch)
		ctx, cancel := context.WithCancel(t.Context())
		getting := getLater(ctx, l, "k")
		cancel()
		<-getting
		time.Sleep(time.Hour)
		wantAbsent(t, l.Cache, "k")
	})
}

func TestHitIsReturnedAfterTheContextHasEnded(t *testing.T) {
	fetch, calls := numbered()
	l := zodiac.NewLoader(fetch)
	wantGet(t, l, "k", 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantGetWith(ctx, t, l, "k", 1)
	wantGetWith(zodiac.NoWrite(ctx), t, l, "k", 1) // the long way
	_, err := l.Get(ctx, "other")
	wantError(t, "Get of an absent key", err, context.Canceled)
	wantCalls(t, calls, 1)
}

func TestFetchContextHasTheFirstCallersValuesAndNoDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type name struct{}
		l := zodiac.NewLoader(func(ctx context.Context, _ string) (any, error) {
			if d, ok := ctx.Deadline(); ok {
				t.Errorf("the fetch has the deadline %v; want none", d)
			}
			time.Sleep(time.Second)
			if err := ctx.Err(); err != nil {
				t.Errorf("the fetch's context ended with %v", err)
			}
			return ctx.Value(name{}), nil
		})
		first, cancel := context.WithTimeout(context.WithValue(t.Context(), name{}, "first"), time.Millisecond)
		defer cancel()
		a := getLater(first, l, "k")
		b := getLater(context.WithValue(t.Context(), name{}, "second"), l, "k")
		wantError(t, "first Get", (<-a).err, context.DeadlineExceeded)
		wantReply(t, "second Get", b, any("first"))
	})
}

func TestFetchContextEndsWhenTheFetchIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fetching context.Context
		l := zodiac.NewLoader(func(ctx context.Context, _ string) (int, error) {
			fetching = ctx
			return 1, nil
		})
		wantGet(t, l, "k", 1)
		<-fetching.Done()
		wantError(t, "the fetch's context", fetching.Err(), context.Canceled)
	})
}

func TestRefreshReplacesTheEntry(t *testing.T) {
	fetch, calls := numbered()
	l := zodiac.NewLoader(fetch)
	wantGet(t, l, "k", 1)
	if v, err := l.Refresh(t.Context(), "k"); v != 2 || err != nil {
		t.Errorf("Refresh = %v, %v; want 2, nil", v, err)
	}
	wantGet(t, l, "k", 2)
	wantCalls(t, calls, 2)
}

func TestRefreshThatFailsKeepsTheOldEntry(t *testing.T) {
	l := zodiac.NewLoader(func(context.Context, string) (int, error) { return 0, errOrigin })
	mustSet(t, l.Cache, "k", 7)
	_, err := l.Refresh(t.Context(), "k")
	wantError(t, "Refresh", err, errOrigin)
	wantGet(t, l, "k", 7)
}

func TestRefreshWhoseResultIsSkippedDropsTheOldEntry(t *testing.T) {
	fetch, _ := numbered()
	for name, opt := range map[string]zodiac.Option{
		"SkipIf":      zodiac.SkipIf(func(v int) bool { return v < 7 }),
		"WithTTLFunc": zodiac.WithTTLFunc(func(_ string, v int) time.Duration { return time.Duration(v-6) * time.Hour }),
		"TooManyTags": zodiac.WithTagsFunc(func(_ string, v int) []string { return tagNames(68 - v) }),
	} {
		t.Run(name, func(t *testing.T) {
			l := zodiac.NewLoader(fetch, opt)
			mustSet(t, l.Cache, "k", 7)
			if _, err := l.Refresh(t.Context(), "k"); err != nil {
				t.Error(err)
			}
			wantAbsent(t, l.Cache, "k")
		})
	}
}

func TestSkippedResultOfAPlainFetchLeavesWhatWasStoredMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, _ := uncancelable()
		l := zodiac.NewLoader(fetch, zodiac.SkipIf(func(int) bool { return true }))
		getting := getLater(t.Context(), l, "k")
		mustSet(t, l.Cache, "k", 7)
		wantReply(t, "Get", getting, 1)
		wantGet(t, l, "k", 7)
	})
}

func TestRefreshNeverSharesAFetchThatBeganBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, _ := slow()
		l := zodiac.NewLoader(fetch)
		plain := getLater(t.Context(), l, "k")
		time.Sleep(time.Millisecond)
		fresh := later(func() (int, error) { return l.Refresh(t.Context(), "k") })
		wantReply(t, "Get", plain, 1)
		wantAbsent(t, l.Cache, "k") // the plain fetch's result is older than the value of Refresh
		wantReply(t, "Refresh", fresh, 2)
		wantGet(t, l, "k", 2)
	})
}

func TestPlainCallerThatMissesJoinsARefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, calls := slow()
		l := zodiac.NewLoader(fetch)
		fresh := later(func() (int, error) { return l.Refresh(t.Context(), "k") })
		plain := getLater(t.Context(), l, "k")
		wantReply(t, "Refresh", fresh, 1)
		wantReply(t, "Get", plain, 1)
		wantCalls(t, calls, 1)
	})
}

func TestRefreshesOfAKeyShareTheOneThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, calls := slow()
		l := zodiac.NewLoader(fetch)
		refresh := func() <-chan reply[int] {
			return later(func() (int, error) { return l.Refresh(t.Context(), "k") })
		}
		first := refresh()
		var others []<-chan reply[int]
		for range 10 {
			others = append(others, refresh())
		}
		wantCalls(t, calls, 1)
		wantReply(t, "first Refresh", first, 1)
		wantGet(t, l, "k", 1)
		for _, r := range others {
			wantReply(t, "other Refresh", r, 2)
		}
		wantCalls(t, calls, 2)
		wantGet(t, l, "k", 2)
	})
}

func TestRefreshThatWaitsCanLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, calls := slow()
		l := zodiac.NewLoader(fetch)
		first := later(func() (int, error) { return l.Refresh(t.Context(), "k") })
		ctx, cancel := context.WithCancel(t.Context())
		second := later(func() (int, error) { return l.Refresh(ctx, "k") })
		cancel()
		wantError(t, "second Refresh", (<-second).err, context.Canceled)
		wantReply(t, "first Refresh", first, 1)
		time.Sleep(time.Hour)
		wantCalls(t, calls, 1)
	})
}

func TestFetchCallsTheFunctionAndNothingElse(t *testing.T) {
	type name struct{}
	var got context.Context
	calls := 0
	l := zodiac.NewLoader(func(ctx context.Context, _ string) (int, error) {
		got = ctx
		calls++
		return 7, errOrigin
	})
	mustSet(t, l.Cache, "k", 1)
	ctx := context.WithValue(t.Context(), name{}, 1)
	if v, err := l.Fetch(ctx, "k"); v != 7 || !same(err, errOrigin) {
		t.Errorf("Fetch = %v, %v; want the function's result", v, err)
	}
	if got != ctx || calls != 1 {
		t.Error("Fetch did not call the function once, with the caller's context")
	}
	wantPeek(t, l.Cache, "k", 1)
	if s := l.Stats(); s.Gets != 1 || s.Fetches != 0 {
		t.Errorf("Fetch counts: %d Gets, %d Fetches; want 1 (Peek) and 0", s.Gets, s.Fetches)
	}
}

func TestValueFetchedBeforeAnInvalidationIsNeverStored(t *testing.T) {
	invalidations := map[string]func(context.Context, *zodiac.Loader[string, int]) error{
		"Delete": func(ctx context.Context, l *zodiac.Loader[string, int]) error {
			_, err := l.Delete(ctx, "k")
			return err
		},
		"Clear":      func(ctx context.Context, l *zodiac.Loader[string, int]) error { _, err := l.Clear(ctx); return err },
		"DeleteTags": func(ctx context.Context, l *zodiac.Loader[string, int]) error { return l.DeleteTags(ctx, "static") },
	}
	for name, invalidate := range invalidations {
		for mode, ctxOf := range map[string]func(context.Context) context.Context{
			"plain":     func(ctx context.Context) context.Context { return ctx },
			"NoWrite":   func(ctx context.Context) context.Context { return zodiac.NoWrite(ctx) },
			"Overwrite": func(ctx context.Context) context.Context { return zodiac.Overwrite(ctx) },
		} {
			t.Run(name+"/"+mode, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { checkInvalidation(ctxOf(t.Context()), t, invalidate) })
			})
		}
	}
}

func checkInvalidation(ctx context.Context, t *testing.T, invalidate func(context.Context, *zodiac.Loader[string, int]) error) {
	fetch, calls := slow()
	l := zodiac.NewLoader(fetch, zodiac.WithTags("static"))
	before := getLater(ctx, l, "k")
	time.Sleep(time.Millisecond)
	must(t, invalidate(t.Context(), l))
	after := getLater(ctx, l, "k")
	wantReply(t, "Get that began before", before, 1)
	wantAbsent(t, l.Cache, "k")
	wantReply(t, "Get that began after", after, 2)
	wantCalls(t, calls, 2)
}

func TestSetDuringAFetchWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, _ := slow()
		l := zodiac.NewLoader(fetch)
		getting := getLater(t.Context(), l, "k")
		mustSet(t, l.Cache, "k", 7)
		wantGet(t, l, "k", 7) // does not wait
		wantReply(t, "Get", getting, 1)
		wantGet(t, l, "k", 7)
	})
}

func TestInvalidationOfAnotherKeyDoesNotDiscardAFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, calls := slow()
		l := zodiac.NewLoader(fetch)
		getting := getLater(t.Context(), l, "k")
		l.Delete(t.Context(), "other")
		must(t, l.DeleteTags(t.Context(), "nobodys"))
		wantReply(t, "Get", getting, 1)
		wantGet(t, l, "k", 1)
		wantCalls(t, calls, 1)
	})
}

func TestFetchThatWaitsForItselfGetsErrCycle(t *testing.T) {
	type ask func(context.Context, *zodiac.Loader[string, int]) (int, error)
	asks := map[string]ask{
		"Get":     func(ctx context.Context, l *zodiac.Loader[string, int]) (int, error) { return l.Get(ctx, "k") },
		"Refresh": func(ctx context.Context, l *zodiac.Loader[string, int]) (int, error) { return l.Refresh(ctx, "k") },
		"NoWrite": func(ctx context.Context, l *zodiac.Loader[string, int]) (int, error) {
			return l.Get(zodiac.NoWrite(ctx), "k")
		},
		"GetOrFetch": func(ctx context.Context, l *zodiac.Loader[string, int]) (int, error) {
			return l.GetOrFetch(ctx, "k", l.Fetch)
		},
		"GetMany": func(ctx context.Context, l *zodiac.Loader[string, int]) (int, error) {
			_, err := l.GetMany(ctx, []string{"k"})
			return 0, err
		},
		"ThroughAnother": func(ctx context.Context, l *zodiac.Loader[string, int]) (int, error) {
			return zodiac.NewLoader(l.Get).Get(ctx, "k")
		},
		"ThroughAnotherKey": func(ctx context.Context, l *zodiac.Loader[string, int]) (int, error) {
			return l.GetOrFetch(ctx, "other", func(ctx context.Context, _ string) (int, error) { return l.Get(ctx, "k") })
		},
		"UnderADerivedContext": func(ctx context.Context, l *zodiac.Loader[string, int]) (int, error) {
			ctx, cancel := context.WithTimeout(context.WithValue(ctx, t, 1), time.Hour)
			defer cancel()
			return l.Get(ctx, "k")
		},
	}
	for name, f := range asks {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var l *zodiac.Loader[string, int]
				l = zodiac.NewLoader(func(ctx context.Context, _ string) (int, error) { return f(ctx, l) })
				for _, ctx := range []context.Context{t.Context(), zodiac.Overwrite(t.Context()), zodiac.NoWrite(t.Context())} {
					_, err := l.Get(ctx, "k")
					wantError(t, "Get", err, zodiac.ErrCycle)
				}
			})
		})
	}
}

func TestFetchMayAskItsLoaderForOtherKeys(t *testing.T) {
	var sum *zodiac.Loader[int, int]
	sum = zodiac.NewLoader(func(ctx context.Context, n int) (int, error) {
		if n == 0 {
			return 0, nil
		}
		v, err := sum.Get(ctx, n-1)
		return v + n, err
	})
	wantGet(t, sum, 10, 55)
	if n := sum.Len(); n != 11 {
		t.Errorf("Len = %d; want 11", n)
	}
}

func TestCycleIsNotRememberedAfterTheFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var used context.Context
		l := zodiac.NewLoader(func(ctx context.Context, _ string) (int, error) {
			used = context.WithoutCancel(ctx)
			return 1, nil
		})
		wantGet(t, l, "k", 1)
		l.Delete(t.Context(), "k")
		wantGetWith(used, t, l, "k", 1) // the flight is over: no caller waits for itself
	})
}

func TestFetchTimeoutEndsTheWaitForAFunctionThatIgnoresItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, calls := uncancelable()
		l := zodiac.NewLoader(fetch, zodiac.WithFetchTimeout(100*time.Millisecond), zodiac.WithName("uncancelable"))
		began := time.Now()
		_, err := l.Get(t.Context(), "k")
		wantError(t, "Get", err, context.DeadlineExceeded)
		if d := time.Since(began); d != 100*time.Millisecond {
			t.Errorf("Get returned after %v; want 100ms", d)
		}
		again := getLater(t.Context(), l, "k")
		wantCalls(t, calls, 2) // the first function runs on, for nobody
		wantError(t, "second Get", (<-again).err, context.DeadlineExceeded)
		must(t, l.Close(t.Context()))
		if d := time.Since(began); d != 1100*time.Millisecond {
			t.Errorf("Close returned after %v; want 1.1s, when the second function returns", d)
		}
		if s := l.Stats(); s.Stored != 0 || s.Fetches != 2 {
			t.Errorf("Stats: %d stored of %d fetches; want 0 of 2", s.Stored, s.Fetches)
		}
	})
}

func TestFetchTimeoutEndsTheFetchContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cause error
		l := zodiac.NewLoader(func(ctx context.Context, key string) (int, error) {
			if d, ok := ctx.Deadline(); !ok || time.Until(d) != time.Minute {
				t.Errorf("the fetch's deadline is in %v, %v; want 1m", time.Until(d), ok)
			}
			_, cause = untilEnd(ctx, key)
			return 0, cause
		}, zodiac.WithFetchTimeout(time.Minute))
		_, err := l.Get(t.Context(), "k")
		wantError(t, "Get", err, context.DeadlineExceeded)
		synctest.Wait()
		wantError(t, "the fetch's context", cause, context.DeadlineExceeded)
	})
}

func TestFetchTimeoutOfARefreshStartsTheOneThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, calls := uncancelable()
		l := zodiac.NewLoader(func(ctx context.Context, key string) (int, error) {
			if calls.Load() == 0 {
				return fetch(ctx, key)
			}
			return int(calls.Add(1)), nil
		}, zodiac.WithFetchTimeout(100*time.Millisecond))
		first := later(func() (int, error) { return l.Refresh(t.Context(), "k") })
		second := later(func() (int, error) { return l.Refresh(t.Context(), "k") })
		wantError(t, "first Refresh", (<-first).err, context.DeadlineExceeded)
		wantReply(t, "second Refresh", second, 2)
		wantGet(t, l, "k", 2)
		time.Sleep(time.Hour)
		wantGet(t, l, "k", 2)
	})
}

func TestFetchInTimeIsNotTouchedByFetchTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, _ := slow()
		l := zodiac.NewLoader(fetch, zodiac.WithFetchTimeout(1.001))
		wantGet(t, l, "k", 1)
		time.Sleep(time.Hour)
		wantGet(t, l, "k", 1)
	})
}

func TestLoadersOfOneFunctionDoNotMix(t *testing.T) {
	fetch, calls := numbered()
	a, b := zodiac.NewLoader(fetch), zodiac.NewLoader(fetch)
	wantGet(t, a, "k", 1)
	wantGet(t, b, "k", 2)
	wantGet(t, a, "k", 1)
	a.Delete(t.Context(), "k")
	wantGet(t, b, "k", 2)
	wantCalls(t, calls, 2)
}

func TestErrorsOfTheFunctionAreNotWrapped(t *testing.T) {
	for _, want := range []error{errOrigin, context.Canceled, context.DeadlineExceeded, fmt.Errorf("wrapped: %w", errOrigin)} {
		fetch, _ := failing(want)
		if _, err := zodiac.NewLoader(fetch).Get(t.Context(), "k"); !same(err, want) {
			t.Errorf("Get = %v; want %v itself", err, want)
		}
	}
}

func TestOneFailureDoesNotReachOtherKeys(t *testing.T) {
	l := zodiac.NewLoader(func(_ context.Context, key string) (string, error) {
		if key == "bad" {
			return "", errors.New("bad")
		}
		return key, nil
	})
	if _, err := l.Get(t.Context(), "bad"); err == nil {
		t.Error("Get(bad) succeeded")
	}
	wantGet(t, l, "good", "good")
}

func TestFetchesThatWaitForEachOtherGetErrCycle(t *testing.T) {
	next := map[string]string{"a": "b", "b": "c", "c": "a"}
	for name, ask := range map[string]func(context.Context, *zodiac.Loader[string, int], string) error{
		"Get": func(ctx context.Context, l *zodiac.Loader[string, int], key string) error {
			_, err := l.Get(ctx, key)
			return err
		},
		"GetMany": func(ctx context.Context, l *zodiac.Loader[string, int], key string) error {
			_, err := l.GetMany(ctx, []string{key, "other"})
			return err
		},
		"Through": func(ctx context.Context, l *zodiac.Loader[string, int], key string) error {
			_, err := zodiac.NewLoader(l.Get).Get(ctx, key)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var l *zodiac.Loader[string, int]
				l = zodiac.NewLoader(func(ctx context.Context, key string) (int, error) {
					time.Sleep(time.Second)
					if next[key] == "" {
						return 1, nil
					}
					return 1, ask(ctx, l, next[key])
				})
				a, b, c := getLater(t.Context(), l, "a"), getLater(t.Context(), l, "b"), getLater(t.Context(), l, "c")
				for _, g := range []<-chan reply[int]{a, b, c} {
					wantError(t, "Get", (<-g).err, zodiac.ErrCycle)
				}
			})
		})
	}
}

func TestFetchesThatMeetWithoutACycleShare(t *testing.T) {
	below := map[string][]string{"top": {"left", "right"}, "left": {"bottom"}, "right": {"bottom"}}
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		var l *zodiac.Loader[string, int]
		l = zodiac.NewLoader(func(ctx context.Context, key string) (int, error) {
			calls.Add(1)
			time.Sleep(time.Second)
			m, err := l.GetMany(ctx, below[key])
			sum := 1
			for _, v := range m {
				sum += v
			}
			return sum, err
		})
		left := getLater(t.Context(), l, "left")
		top := getLater(t.Context(), l, "top")
		wantReply(t, "Get(top)", top, 5)
		wantReply(t, "Get(left)", left, 2)
		wantCalls(t, &calls, 4)
	})
}

func TestKeyIsFetchedAgainAfterACycle(t *testing.T) {
	cyclic := true
	var l *zodiac.Loader[string, int]
	l = zodiac.NewLoader(func(ctx context.Context, key string) (int, error) {
		if cyclic {
			return l.Get(ctx, key)
		}
		return 7, nil
	})
	_, err := l.Get(t.Context(), "k")
	wantError(t, "Get", err, zodiac.ErrCycle)
	cyclic = false
	wantGet(t, l, "k", 7)
}

func TestRefreshThatNobodyWaitsForLeavesTheOldEntry(t *testing.T) {
	for name, opts := range map[string]zodiac.Options{"left": nil, "timedOut": {zodiac.WithFetchTimeout(0.01)}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fetch, calls := uncancelable()
				l := zodiac.NewLoader(fetch, opts)
				mustSet(t, l.Cache, "k", 7)
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				defer cancel()
				_, err := l.Refresh(ctx, "k")
				wantError(t, "Refresh", err, context.DeadlineExceeded)
				time.Sleep(time.Minute)
				wantPeek(t, l.Cache, "k", 7)
				wantCalls(t, calls, 1)
			})
		})
	}
}

func TestRefreshThatWaitsStartsWhenTheOneThatRunsIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, calls := uncancelable()
		l := zodiac.NewLoader(fetch)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		first := later(func() (int, error) { return l.Refresh(ctx, "k") })
		second := later(func() (int, error) { return l.Refresh(t.Context(), "k") })
		wantError(t, "first Refresh", (<-first).err, context.DeadlineExceeded)
		synctest.Wait()
		wantCalls(t, calls, 2)
		wantReply(t, "second Refresh", second, 2)
		wantGet(t, l, "k", 2)
	})
}

func TestFetchThatReturnsWhenItsTimeIsOverIsTooLate(t *testing.T) {
	for name, fetch := range map[string]func(context.Context, string) (int, error){
		"AtTheSameTime": func(context.Context, string) (int, error) { time.Sleep(time.Second); return 7, nil },
		"SeesTheEnd":    func(ctx context.Context, _ string) (int, error) { <-ctx.Done(); return 7, nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := zodiac.NewLoader(fetch, zodiac.WithFetchTimeout(1))
				for _, key := range tagNames(20) {
					_, err := l.Get(t.Context(), key)
					wantError(t, "Get", err, context.DeadlineExceeded)
				}
				synctest.Wait()
				wantStats(t, l.Stats(), zodiac.Stats{Failed: 20, Discarded: 20})
			})
		})
	}
}

func TestDiscardedRefreshRemovesTheOlderEntry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, _ := slow()
		l := zodiac.NewLoader(fetch, zodiac.WithTagsFunc(func(string, int) []string { return nil }))
		mustSet(t, l.Cache, "k", 7)
		fresh := later(func() (int, error) { return l.Refresh(t.Context(), "k") })
		// a result of the function may have the tag, but the entry does not
		must(t, l.DeleteTags(t.Context(), "tag"))
		wantGet(t, l, "k", 7)
		wantReply(t, "Refresh", fresh, 1)
		wantAbsent(t, l.Cache, "k") // the caller of Refresh has seen a newer value
	})
}

func TestNestedFetchesLeaveNothingBehind(t *testing.T) {
	fetch, _ := numbered()
	inner := zodiac.NewLoader(fetch, zodiac.WithCapacity(10))
	outer := zodiac.NewLoader(inner.Get, zodiac.WithCapacity(10))
	nest := func(n int) {
		for range n {
			inner.Delete(t.Context(), "k")
			outer.Delete(t.Context(), "k")
			if _, err := outer.Get(t.Context(), "k"); err != nil {
				t.Fatal(err)
			}
		}
	}
	nest(100)
	before := heap()
	nest(10_000)
	if grown := heap() - before; grown > 1<<20 {
		t.Errorf("10,000 fetches within fetches leave %d bytes", grown)
	}
	runtime.KeepAlive(outer)
}

func TestFetchTimeoutOfForeverIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, _ := slow()
		l := zodiac.NewLoader(fetch, zodiac.WithFetchTimeout(zodiac.Forever))
		wantGet(t, l, "k", 1)
	})
}
