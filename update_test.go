package zodiac_test

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac"
)

func TestUpdateReplacesTheOldValue(t *testing.T) {
	c := zodiac.NewCache[string, []string]()
	push := func(v string) func([]string, bool) ([]string, error) {
		return func(old []string, ok bool) ([]string, error) {
			if ok != (len(old) > 0) {
				t.Errorf("Update sees %v, %v", old, ok)
			}
			return append(slices.Clip(old), v), nil
		}
	}
	for i, want := range []int{1, 2, 3} {
		if v, err := c.Update(t.Context(), "k", push(fmt.Sprint(i))); len(v) != want || err != nil {
			t.Errorf("Update = %v, %v; want %d elements", v, err, want)
		}
	}
	if v, ok, err := c.Peek(t.Context(), "k"); len(v) != 3 || !ok || err != nil {
		t.Errorf("Peek = %v, %v, %v; want 3 elements", v, ok, err)
	}
}

func TestUpdateTakesZeroAndNilForValues(t *testing.T) {
	c := zodiac.NewCache[string, *int]()
	mustSet(t, c, "k", nil)
	_, err := c.Update(t.Context(), "k", func(old *int, ok bool) (*int, error) {
		if old != nil || !ok {
			t.Errorf("Update of nil sees %v, %v; want nil, true", old, ok)
		}
		return new(1), nil
	})
	must(t, err)
}

func TestUpdateTakesNoneForAbsent(t *testing.T) {
	c := zodiac.NewCache[string, int]()
	must(t, c.SetNone(t.Context(), "k"))
	v, err := c.Update(t.Context(), "k", func(old int, ok bool) (int, error) {
		if old != 0 || ok {
			t.Errorf("Update of a None sees %v, %v; want 0, false", old, ok)
		}
		return 7, nil
	})
	if v != 7 || err != nil {
		t.Errorf("Update = %v, %v; want 7, nil", v, err)
	}
	wantPeek(t, c, "k", 7)
}

func TestUpdateThatFailsChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, _ := slow()
		l := zodiac.NewLoader(fetch, zodiac.WithTTL(60))
		mustSet(t, l.Cache, "k", 7)
		time.Sleep(20 * time.Second)
		fresh := later(func() (int, error) { return l.Refresh(t.Context(), "k") })
		v, err := l.Update(t.Context(), "k", func(int, bool) (int, error) { return 8, errOrigin })
		if v != 0 || !same(err, errOrigin) {
			t.Errorf("Update = %v, %v; want the function's error itself", v, err)
		}
		wantPeek(t, l.Cache, "k", 7)
		wantLeft(t, l.Cache, "k", 40*time.Second)
		wantReply(t, "Refresh", fresh, 1)
		wantGet(t, l, "k", 1) // it was not discarded
	})
}

func TestUpdateDiscardsFetches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, _ := slow()
		l := zodiac.NewLoader(fetch)
		getting := getLater(t.Context(), l, "k")
		_, err := l.Update(t.Context(), "k", func(int, bool) (int, error) { return 7, nil })
		must(t, err)
		wantReply(t, "Get", getting, 1)
		wantGet(t, l, "k", 7)
	})
}

func TestUpdateGivesTheLifetimeOfSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := zodiac.NewCache[string, int](zodiac.WithTTL(60))
		mustSet(t, c, "k", 1, zodiac.WithTTL(5))
		time.Sleep(4 * time.Second)
		_, err := c.Update(t.Context(), "k", plusOne)
		must(t, err)
		wantLeft(t, c, "k", time.Minute)
		d := zodiac.NewCache[string, int](zodiac.WithTTLFunc(func(_ string, v int) time.Duration { return time.Duration(2-v) * time.Hour }))
		_, err = d.Update(t.Context(), "k", plusOne)
		must(t, err)
		wantLeft(t, d, "k", time.Hour)
		_, err = d.Update(t.Context(), "k", plusOne)
		must(t, err)
		wantAbsent(t, d, "k") // 2 has no lifetime
	})
}

func TestUpdatesAndAddsOfAKeyTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := zodiac.NewCache[string, int]()
		var inside, calls atomic.Int64
		slowPlusOne := func(old int, _ bool) (int, error) {
			if inside.Add(1) != 1 {
				t.Error("two functions of one key run at once")
			}
			calls.Add(1)
			time.Sleep(time.Second)
			inside.Add(-1)
			return old + 1, nil
		}
		began := time.Now()
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				if i%2 == 0 {
					c.Update(t.Context(), "k", slowPlusOne)
				} else {
					zodiac.Add(t.Context(), c, "k", 1)
				}
			})
		}
		wg.Wait()
		wantPeek(t, c, "k", 10)
		wantCalls(t, &calls, 5) // no caller had to try again
		if d := time.Since(began); d != 5*time.Second {
			t.Errorf("five turns took %v; want 5s", d)
		}
	})
}

func TestUpdatesOfDifferentKeysDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := zodiac.NewCache[string, int]()
		began := time.Now()
		var wg sync.WaitGroup
		for _, key := range tagNames(10) {
			wg.Go(func() {
				c.Update(t.Context(), key, func(int, bool) (int, error) {
					time.Sleep(time.Second)
					return 1, nil
				})
			})
		}
		wg.Wait()
		if d := time.Since(began); d != time.Second {
			t.Errorf("ten keys took %v; want 1s", d)
		}
	})
}

func TestWaitingForTheTurnEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := zodiac.NewCache[string, int]()
		first := later(func() (int, error) {
			return c.Update(t.Context(), "k", func(int, bool) (int, error) {
				time.Sleep(time.Hour)
				return 1, nil
			})
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.Update(ctx, "k", func(int, bool) (int, error) {
			t.Error("the function ran without its turn")
			return 0, nil
		})
		wantError(t, "second Update", err, context.DeadlineExceeded)
		for range 20 { // its turn, and the end of the context, are there at once
			_, err = zodiac.Add(ctx, c, "other", 1)
			wantError(t, "Add with an ended context", err, context.DeadlineExceeded)
		}
		wantAbsent(t, c, "other")
		third := later(func() (int, error) { return c.Update(t.Context(), "k", plusOne) })
		wantReply(t, "first Update", first, 1)
		wantReply(t, "third Update", third, 2)
	})
}

func TestUpdateTriesAgainIfAnotherWriteComesInBetween(t *testing.T) {
	for name, write := range map[string]func(context.Context, *zodiac.Cache[string, int]) (want int, err error){
		"Set":     func(ctx context.Context, c *zodiac.Cache[string, int]) (int, error) { return 101, c.Set(ctx, "k", 100) },
		"SetSame": func(ctx context.Context, c *zodiac.Cache[string, int]) (int, error) { return 2, c.Set(ctx, "k", 1) },
		"Delete": func(ctx context.Context, c *zodiac.Cache[string, int]) (int, error) {
			_, err := c.Delete(ctx, "k")
			return 1, err
		},
		"Clear": func(ctx context.Context, c *zodiac.Cache[string, int]) (int, error) {
			_, err := c.Clear(ctx)
			return 1, err
		},
		"SetNone": func(ctx context.Context, c *zodiac.Cache[string, int]) (int, error) { return 1, c.SetNone(ctx, "k") },
		"Expiry":  func(context.Context, *zodiac.Cache[string, int]) (int, error) { time.Sleep(time.Minute); return 1, nil },
		"DeleteTags": func(ctx context.Context, c *zodiac.Cache[string, int]) (int, error) {
			return 1, c.DeleteTags(ctx, "tag")
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := zodiac.NewCache[string, int](zodiac.WithTTL(60), zodiac.WithTags("tag"))
				mustSet(t, c, "k", 1)
				calls, want := 0, 0
				v, err := c.Update(t.Context(), "k", func(old int, _ bool) (int, error) {
					var err error
					if calls++; calls == 1 {
						want, err = write(t.Context(), c)
					}
					return old + 1, err
				})
				if v != want || err != nil || calls != 2 {
					t.Errorf("Update = %v, %v after %d calls; want %v, nil after 2", v, err, calls, want)
				}
				wantPeek(t, c, "k", want)
			})
		})
	}
}

func TestUpdateGivesUpAfterSixteenTries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := zodiac.NewCache[string, int]()
		calls := 0
		_, err := c.Update(t.Context(), "k", func(int, bool) (int, error) {
			calls++
			return -1, c.Set(t.Context(), "k", calls)
		})
		wantError(t, "Update", err, zodiac.ErrBusy)
		if calls != 16 {
			t.Errorf("the function was called %d times; want 16", calls)
		}
		wantPeek(t, c, "k", 16)
		_, err = c.Update(t.Context(), "k", plusOne) // the turn is free
		must(t, err)
	})
}

func TestUpdateThatTriesAgainEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := zodiac.NewCache[string, int]()
		ctx, cancel := context.WithCancel(t.Context())
		calls := 0
		_, err := c.Update(ctx, "k", func(int, bool) (int, error) {
			if calls++; calls == 3 {
				cancel()
			}
			return -1, c.Set(t.Context(), "k", calls)
		})
		wantError(t, "Update", err, context.Canceled)
		if calls != 3 {
			t.Errorf("the function was called %d times; want 3", calls)
		}
	})
}

func TestPanicInUpdateReachesItsCallerAndChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := zodiac.NewCache[string, int]()
		mustSet(t, c, "k", 7)
		var got any
		func() {
			defer func() { got = recover() }()
			c.Update(t.Context(), "k", func(int, bool) (int, error) { panic("boom") })
		}()
		if got != "boom" {
			t.Errorf("Update panicked with %v; want boom", got)
		}
		go c.Update(t.Context(), "k", func(int, bool) (int, error) { runtime.Goexit(); return 0, nil })
		synctest.Wait()
		wantPeek(t, c, "k", 7)
		if v, err := c.Update(t.Context(), "k", plusOne); v != 8 || err != nil {
			t.Errorf("Update after a panic = %v, %v; want 8, nil", v, err)
		}
	})
}

func TestUpdateRunsOnTheCallersGoroutineWithoutALock(t *testing.T) {
	c := zodiac.NewCache[string, int]()
	v, err := c.Update(t.Context(), "k", func(int, bool) (int, error) {
		wantAbsent(t, c, "k") // would hang under a lock
		return zodiac.Add(t.Context(), c, "other", 3)
	})
	if v != 3 || err != nil {
		t.Errorf("Update = %v, %v; want 3, nil", v, err)
	}
}

func TestAddIsAtomic(t *testing.T) {
	c := zodiac.NewCache[string, int64]()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 250 {
				if _, err := zodiac.Add(t.Context(), c, "k", 1); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	wantPeek(t, c, "k", 2000)
}

func TestAddWorksForEveryNumber(t *testing.T) {
	checkAdd(t, 40, -42, -2)
	checkAdd[int64](t, 40, -42, -2)
	checkAdd(t, 0.5, 0.25, 0.75)
	checkAdd[int64](t, math.MaxInt64-1, 1, math.MaxInt64)
	checkAdd[int64](t, math.MinInt64+1, -1, math.MinInt64)
	checkAdd[int64](t, math.MaxInt64, math.MinInt64, -1)
}

func checkAdd[N int | int64 | float64](t *testing.T, first, second, want N) {
	t.Helper()
	c := zodiac.NewCache[string, N]()
	if v, err := zodiac.Add(t.Context(), c, "k", first); v != first || err != nil {
		t.Errorf("Add(%v) to nothing = %v, %v", first, v, err)
	}
	if v, err := zodiac.Add(t.Context(), c, "k", second); v != want || err != nil {
		t.Errorf("Add(%v) to %v = %v, %v; want %v, nil", second, first, v, err, want)
	}
	wantPeek(t, c, "k", want)
}

func TestAddThatOverflowsChangesNothing(t *testing.T) {
	checkOverflow(t, math.MaxInt, 1)
	checkOverflow(t, math.MinInt, -1)
	checkOverflow(t, math.MinInt, math.MinInt)
	checkOverflow[int64](t, math.MaxInt64, math.MaxInt64)
	checkOverflow[int64](t, math.MinInt64, -1)
	checkOverflow(t, math.MaxFloat64, math.MaxFloat64)
	checkOverflow(t, -math.MaxFloat64, -math.MaxFloat64)
	checkOverflow(t, 1, math.Inf(1))
	checkOverflow(t, 1, math.Inf(-1))
	checkOverflow(t, 1, math.NaN())
	checkOverflow(t, math.Inf(1), 1)
	checkOverflow(t, math.Inf(1), math.Inf(-1))
}

func checkOverflow[N int | int64 | float64](t *testing.T, old, delta N) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := zodiac.NewCache[string, N](zodiac.WithTTL(60))
		mustSet(t, c, "k", old)
		time.Sleep(time.Second)
		_, err := zodiac.Add(t.Context(), c, "k", delta)
		wantError(t, "Add", err, zodiac.ErrOverflow)
		wantPeek(t, c, "k", old)
		wantLeft(t, c, "k", 59*time.Second)
	})
}

func TestAddKeepsTheTimeLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := zodiac.NewCache[string, int](zodiac.WithTTL(60))
		add := func(want int) {
			t.Helper()
			if v, err := zodiac.Add(t.Context(), c, "k", 1); v != want || err != nil {
				t.Errorf("Add = %v, %v; want %v, nil", v, err, want)
			}
		}
		add(1)
		wantLeft(t, c, "k", time.Minute)
		time.Sleep(20 * time.Second)
		add(2)
		wantLeft(t, c, "k", 40*time.Second)
		time.Sleep(40 * time.Second)
		add(1) // it has expired
		wantLeft(t, c, "k", time.Minute)
		mustSet(t, c, "k", 5, zodiac.WithTTL(zodiac.Forever))
		add(6)
		wantLeft(t, c, "k", zodiac.Forever)
		must(t, c.SetNone(t.Context(), "k"))
		add(1)
		wantLeft(t, c, "k", time.Minute)
	})
}

func TestAddToALiveNumberKeepsItWhateverWithTTLFuncSays(t *testing.T) {
	c := zodiac.NewCache[string, int](zodiac.WithTTLFunc(func(_ string, v int) time.Duration { return time.Duration(2-v) * time.Hour }))
	for want := 1; want <= 3; want++ {
		if v, err := zodiac.Add(t.Context(), c, "k", 1); v != want || err != nil {
			t.Errorf("Add = %v, %v; want %v, nil", v, err, want)
		}
	}
	wantPeek(t, c, "k", 3)
}

func TestUpdateWithoutAFunctionIsAnError(t *testing.T) {
	c := zodiac.NewCache[string, int]()
	if _, err := c.Update(t.Context(), "k", nil); err == nil {
		t.Error("Update(nil) succeeded")
	}
	_, err := c.Update(t.Context(), "k", plusOne) // the turn is free
	must(t, err)
}

func TestAddKeepsTags(t *testing.T) {
	c := zodiac.NewCache[string, int]()
	mustSet(t, c, "k", 1, zodiac.WithTags("tag"))
	if v, err := zodiac.Add(t.Context(), c, "k", 1); v != 2 || err != nil {
		t.Errorf("Add = %v, %v; want 2, nil", v, err)
	}
	must(t, c.DeleteTags(t.Context(), "tag"))
	wantAbsent(t, c, "k")
}

func TestUpdateGivesTheTagsOfSet(t *testing.T) {
	c := zodiac.NewCache[string, int](zodiac.WithTags("static"))
	mustSet(t, c, "k", 1, zodiac.WithTags("tag"))
	_, err := c.Update(t.Context(), "k", plusOne)
	must(t, err)
	must(t, c.DeleteTags(t.Context(), "tag"))
	wantPeek(t, c, "k", 2)
	must(t, c.DeleteTags(t.Context(), "static"))
	wantAbsent(t, c, "k")
}

func TestAddKeepsWhatAnEntrySlidesTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, _ := numbered()
		l := zodiac.NewLoader(fetch, zodiac.WithTTL(60), zodiac.WithSliding())
		mustSet(t, l.Cache, "k", 1, zodiac.WithTTL(8))
		time.Sleep(4 * time.Second)
		if v, err := zodiac.Add(t.Context(), l.Cache, "k", 1); v != 2 || err != nil {
			t.Errorf("Add = %v, %v; want 2, nil", v, err)
		}
		wantLeft(t, l.Cache, "k", 4*time.Second)
		wantGet(t, l, "k", 2)
		wantLeft(t, l.Cache, "k", 8*time.Second)
	})
}

func TestUpdatesOfManyKeysLeaveNothingBehind(t *testing.T) {
	c := zodiac.NewCache[int, int](zodiac.WithCapacity(10))
	count := func(from, to int) {
		for key := from; key < to; key++ {
			if _, err := zodiac.Add(t.Context(), c, key, 1); err != nil {
				t.Fatal(err)
			}
		}
	}
	count(0, 1000)
	before := heap()
	count(1000, 30_000)
	if grown := heap() - before; grown > 1<<20 {
		t.Errorf("counters of 29,000 keys that are gone take %d bytes", grown)
	}
	runtime.KeepAlive(c)
}
