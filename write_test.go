package zodiac_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac"
)

func TestSetStoresAndReplaces(t *testing.T) {
	fetch, calls := numbered()
	l := zodiac.NewLoader(fetch)
	mustSet(t, l.Cache, "k", 7)
	wantGet(t, l, "k", 7)
	mustSet(t, l.Cache, "k", 8)
	wantGet(t, l, "k", 8)
	wantCalls(t, calls, 0)
}

func TestSetStoresWhatSkipIfWouldNot(t *testing.T) {
	fetch, _ := numbered()
	l := zodiac.NewLoader(fetch, zodiac.SkipIf(func(int) bool { return true }))
	mustSet(t, l.Cache, "k", 7)
	wantGet(t, l, "k", 7)
}

func TestSetDoesNotLookAtTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := zodiac.NewCache[string, int]()
	must(t, c.Set(ctx, "k", 7))
	wantPeek(t, c, "k", 7)
}

func TestSetManySetsEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := zodiac.NewCache[string, int]()
		must(t, c.SetMany(t.Context(), map[string]int{"a": 1, "b": 2}, zodiac.WithTTL(60), zodiac.WithTags("tag")))
		must(t, c.SetMany(t.Context(), nil))
		wantPeek(t, c, "a", 1)
		wantPeek(t, c, "b", 2)
		wantLeft(t, c, "a", time.Minute)
		must(t, c.DeleteTags(t.Context(), "tag"))
		wantAbsent(t, c, "b")
	})
}

func TestSetManyStoresTheOthersWhenOneFails(t *testing.T) {
	c := zodiac.NewCache[int, int](zodiac.WithTagsFunc(func(_, v int) []string { return tagNames(v) }))
	values := map[int]int{1: 1, 2: 65, 3: 64}
	for i := range 50 {
		values[100+i] = 1
	}
	err := c.SetMany(t.Context(), values)
	wantText(t, "SetMany", err, "65 tags", "SetMany")
	e, ok := errors.AsType[*zodiac.ManyError[int]](err)
	if !ok || len(e.Errors) != 1 || e.Errors[2] == nil {
		t.Errorf("SetMany: error %v; want a *ManyError for 2", err)
	}
	wantPeek(t, c, 1, 1)
	wantAbsent(t, c, 2)
	wantPeek(t, c, 3, 64)
	if n := c.Len(); n != 52 {
		t.Errorf("Len = %d; want 52", n)
	}
}

func TestSetIfAbsentStoresOnlyWhatIsAbsent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := zodiac.NewCache[string, int](zodiac.WithTTL(60))
		for i, want := range []bool{true, false} {
			if ok, err := c.SetIfAbsent(t.Context(), "k", i); ok != want || err != nil {
				t.Errorf("SetIfAbsent = %v, %v; want %v, nil", ok, err, want)
			}
		}
		wantPeek(t, c, "k", 0)
		time.Sleep(time.Minute)
		if ok, err := c.SetIfAbsent(t.Context(), "k", 3, zodiac.WithTTL(1)); !ok || err != nil {
			t.Errorf("SetIfAbsent of an expired key = %v, %v; want true, nil", ok, err)
		}
		wantPeek(t, c, "k", 3)
		wantLeft(t, c, "k", time.Second)
	})
}

func TestSetIfAbsentDiscardsFetchesOnlyIfItStores(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, _ := slow()
		l := zodiac.NewLoader(fetch)
		getting := getLater(t.Context(), l, "k")
		if ok, err := l.SetIfAbsent(t.Context(), "k", 7); !ok || err != nil {
			t.Errorf("SetIfAbsent = %v, %v; want true, nil", ok, err)
		}
		wantReply(t, "Get", getting, 1)
		wantGet(t, l, "k", 7)

		fresh := later(func() (int, error) { return l.Refresh(t.Context(), "k") })
		if ok, err := l.SetIfAbsent(t.Context(), "k", 8); ok || err != nil {
			t.Errorf("SetIfAbsent = %v, %v; want false, nil", ok, err)
		}
		wantReply(t, "Refresh", fresh, 2)
		wantGet(t, l, "k", 2)
	})
}

func TestOneOfManySetIfAbsentWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := zodiac.NewCache[string, int]()
		won := make(chan int, 100)
		for i := range 100 {
			go func() {
				if ok, _ := c.SetIfAbsent(t.Context(), "k", i); ok {
					won <- i
				}
			}()
		}
		synctest.Wait()
		wantPeek(t, c, "k", <-won)
		if n := len(won); n != 0 {
			t.Errorf("%d more SetIfAbsent returned true", n)
		}
	})
}

func TestTouchGivesANewLifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := zodiac.NewCache[string, int](zodiac.WithTTL(60))
		mustSet(t, c, "k", 7, zodiac.WithTags("tag"))
		set := time.Now()
		time.Sleep(50 * time.Second)
		wantTouch(t, c, true)
		wantLeft(t, c, "k", time.Minute)
		wantTouch(t, c, true, zodiac.WithTTL(10))
		wantLeft(t, c, "k", 10*time.Second) // shorter is possible, too
		wantTouch(t, c, true, zodiac.WithTTL(zodiac.Forever))
		wantLeft(t, c, "k", zodiac.Forever)
		wantPeek(t, c, "k", 7)
		if e, _, _ := c.Entry(t.Context(), "k"); !e.Created.Equal(set) {
			t.Errorf("after Touch the entry was created at %v; want %v as before", e.Created, set)
		}
		must(t, c.DeleteTags(t.Context(), "tag"))
		wantAbsent(t, c, "k") // it has kept its tags
	})
}

func wantTouch(t *testing.T, c *zodiac.Cache[string, int], want bool, opts ...zodiac.SetOption) {
	t.Helper()
	if ok, err := c.Touch(t.Context(), "k", opts...); ok != want || err != nil {
		t.Errorf("Touch = %v, %v; want %v, nil", ok, err, want)
	}
}

func TestTouchAsksWithTTLFunc(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		life := time.Minute
		c := zodiac.NewCache[string, int](zodiac.WithTTLFunc(func(string, int) time.Duration { return life }))
		mustSet(t, c, "k", 7)
		life = time.Hour
		wantTouch(t, c, true)
		wantLeft(t, c, "k", time.Hour)
		wantTouch(t, c, true, zodiac.WithTTL(5))
		wantLeft(t, c, "k", 5*time.Second)
		life = 0
		wantTouch(t, c, false)
		wantAbsent(t, c, "k")
	})
}

func TestTouchNeverRevivesTheDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := zodiac.NewCache[string, int](zodiac.WithTTL(60))
		wantTouch(t, c, false)
		mustSet(t, c, "k", 7)
		time.Sleep(time.Minute)
		wantTouch(t, c, false, zodiac.WithTTL(zodiac.Forever))
		wantAbsent(t, c, "k")
		mustSet(t, c, "k", 7, zodiac.WithTags("tag"))
		must(t, c.DeleteTags(t.Context(), "tag"))
		wantTouch(t, c, false)
		wantAbsent(t, c, "k")
		mustSet(t, c, "k", 7)
		c.Delete(t.Context(), "k")
		wantTouch(t, c, false)
	})
}

func TestTouchDoesNotTakeTags(t *testing.T) {
	c := zodiac.NewCache[string, int]()
	mustSet(t, c, "k", 7)
	ok, err := c.Touch(t.Context(), "k", zodiac.WithTags("tag"))
	if _, is := errors.AsType[*zodiac.SettingError](err); ok || !is {
		t.Errorf("Touch with WithTags = %v, %v; want a *SettingError", ok, err)
	}
	wantText(t, "Touch", err, "WithTags")
	wantPeek(t, c, "k", 7)
}

func TestTouchDoesNotDiscardFetches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, _ := slow()
		l := zodiac.NewLoader(fetch)
		mustSet(t, l.Cache, "k", 7)
		fresh := later(func() (int, error) { return l.Refresh(t.Context(), "k") })
		wantTouch(t, l.Cache, true)
		wantReply(t, "Refresh", fresh, 1)
		wantGet(t, l, "k", 1)
	})
}

func TestDeleteRemovesAndCountsWhatLived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := zodiac.NewCache[string, int]()
		mustSet(t, c, "a", 1)
		mustSet(t, c, "b", 2)
		mustSet(t, c, "kept", 3)
		mustSet(t, c, "dead", 4, zodiac.WithTTL(1))
		time.Sleep(time.Second)
		wantDeleted(t, c, 2, "a", "b", "dead", "never", "a")
		wantDeleted(t, c, 0, "a", "b")
		wantDeleted(t, c, 0)
		wantAbsent(t, c, "a")
		wantPeek(t, c, "kept", 3)
		if n := c.Len(); n != 1 {
			t.Errorf("Len = %d; want 1", n)
		}
	})
}

func wantDeleted[V any](t *testing.T, c *zodiac.Cache[string, V], want int, keys ...string) {
	t.Helper()
	if n, err := c.Delete(t.Context(), keys...); n != want || err != nil {
		t.Errorf("Delete(%q) = %v, %v; want %v, nil", keys, n, err, want)
	}
}

func TestClearRemovesAllAndCountsWhatLived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, other := zodiac.NewCache[string, int](zodiac.WithName("app")), zodiac.NewCache[string, int](zodiac.WithName("app2"))
		mustSet(t, other, "k", 1)
		for i := range 10 {
			mustSet(t, c, fmt.Sprint(i), i)
		}
		mustSet(t, c, "dead", 4, zodiac.WithTTL(1))
		must(t, c.SetNone(t.Context(), "none"))
		mustSet(t, c, "tagged", 5, zodiac.WithTags("tag"))
		must(t, c.DeleteTags(t.Context(), "tag"))
		time.Sleep(time.Second)
		for _, want := range []int{11, 0} {
			if n, err := c.Clear(t.Context()); n != want || err != nil {
				t.Errorf("Clear = %v, %v; want %v, nil", n, err, want)
			}
		}
		if n := c.Len(); n != 0 {
			t.Errorf("Len = %d after Clear; want 0", n)
		}
		wantPeek(t, other, "k", 1)
		mustSet(t, c, "k", 1)
		wantPeek(t, c, "k", 1)
	})
}

func TestExpiredEntryIsGoneForEveryOperation(t *testing.T) {
	for name, check := range map[string]func(*testing.T, *zodiac.Loader[string, int]){
		"Get": func(t *testing.T, l *zodiac.Loader[string, int]) { wantGet(t, l, "k", 1) },
		"GetReadOnly": func(t *testing.T, l *zodiac.Loader[string, int]) {
			_, err := l.Get(zodiac.ReadOnly(t.Context()), "k")
			wantError(t, "Get", err, zodiac.ErrMiss)
		},
		"Peek":   func(t *testing.T, l *zodiac.Loader[string, int]) { wantAbsent(t, l.Cache, "k") },
		"Touch":  func(t *testing.T, l *zodiac.Loader[string, int]) { wantTouch(t, l.Cache, false) },
		"Delete": func(t *testing.T, l *zodiac.Loader[string, int]) { wantDeleted(t, l.Cache, 0, "k") },
		"Entry": func(t *testing.T, l *zodiac.Loader[string, int]) {
			if e, ok, err := l.Entry(t.Context(), "k"); ok || err != nil || e.Value != 0 {
				t.Errorf("Entry = %+v, %v, %v; want nothing", e, ok, err)
			}
		},
		"SetIfAbsent": func(t *testing.T, l *zodiac.Loader[string, int]) {
			if ok, err := l.SetIfAbsent(t.Context(), "k", 8); !ok || err != nil {
				t.Errorf("SetIfAbsent = %v, %v; want true, nil", ok, err)
			}
		},
		"Update": func(t *testing.T, l *zodiac.Loader[string, int]) {
			l.Update(t.Context(), "k", func(old int, ok bool) (int, error) {
				if old != 0 || ok {
					t.Errorf("Update sees %v, %v; want 0, false", old, ok)
				}
				return 1, nil
			})
		},
		"Add": func(t *testing.T, l *zodiac.Loader[string, int]) {
			if v, err := zodiac.Add(t.Context(), l.Cache, "k", 2); v != 2 || err != nil {
				t.Errorf("Add = %v, %v; want 2, nil", v, err)
			}
		},
		"Clear": func(t *testing.T, l *zodiac.Loader[string, int]) {
			if n, err := l.Clear(t.Context()); n != 0 || err != nil {
				t.Errorf("Clear = %v, %v; want 0, nil", n, err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fetch, _ := numbered()
				l := zodiac.NewLoader(fetch, zodiac.WithTTL(60))
				mustSet(t, l.Cache, "k", 7)
				// the janitor comes at this instant, or has been: both are right
				time.Sleep(time.Minute)
				check(t, l)
			})
		})
	}
}

func TestWriteWithAWrongOptionChangesNothing(t *testing.T) {
	c := zodiac.NewCache[string, int]()
	mustSet(t, c, "k", 7)
	bad := map[string]zodiac.SetOption{"WithTTL": zodiac.WithTTL(0), "WithTags": zodiac.WithTags(tagNames(65)...), "nil": nil}
	for option, opt := range bad {
		for name, write := range map[string]func() error{
			"Set":         func() error { return c.Set(t.Context(), "k", 8, opt) },
			"SetMany":     func() error { return c.SetMany(t.Context(), map[string]int{"k": 8}, opt) },
			"SetNone":     func() error { return c.SetNone(t.Context(), "k", opt) },
			"SetIfAbsent": func() error { _, err := c.SetIfAbsent(t.Context(), "new", 8, opt); return err },
			"Touch":       func() error { _, err := c.Touch(t.Context(), "k", opt); return err },
		} {
			t.Run(name+"/"+option, func(t *testing.T) {
				err := write()
				if _, ok := errors.AsType[*zodiac.SettingError](err); !ok {
					t.Errorf("%s: error %v; want a *SettingError", name, err)
				}
				wantText(t, name, err, option, name)
				wantPeek(t, c, "k", 7)
				wantAbsent(t, c, "new")
			})
		}
	}
}

func TestWriteListsAllWrongOptions(t *testing.T) {
	c := zodiac.NewCache[string, int]()
	err := c.Set(t.Context(), "k", 1, zodiac.WithTTL(-1), nil, zodiac.WithTTL(time.Nanosecond))
	e, ok := errors.AsType[*zodiac.SettingError](err)
	if !ok || len(e.Faults) != 3 {
		t.Errorf("Set: error %v; want one with 3 faults", err)
	}
	wantText(t, "Set", err, "-1 is not", "option 2 of 3 is nil", "did you mean 1*time.Second")
}

// A lifetime counts from when the value is stored, however long the options' functions take before
// that.
func TestALifetimeDoesNotBeginBeforeTheFunctionsOfOptionsHaveReturned(t *testing.T) {
	slowly := func() { time.Sleep(time.Second) }
	for name, opt := range map[string]zodiac.Option{
		"WithKey":      zodiac.WithKey(func(int) string { slowly(); return "k" }),
		"WithTagsFunc": zodiac.WithTagsFunc(func(int, int) []string { slowly(); return nil }),
		"WithClone":    zodiac.WithClone(func(v int) int { slowly(); return v }),
		"WithTTLFunc":  zodiac.WithTTLFunc(func(int, int) time.Duration { slowly(); return 10 * time.Second }),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := zodiac.NewCache[int, int](zodiac.WithTTL(10), opt)
				time.Sleep(time.Minute)
				if err := c.Set(t.Context(), 1, 1); err != nil {
					t.Fatal(err)
				}
				stored := time.Now()
				e, ok, err := c.Entry(t.Context(), 1)
				if life := e.Left + time.Since(stored); !ok || err != nil || life != 10*time.Second {
					t.Errorf("Set gives a life of %v, %v, %v; want 10s", life, ok, err)
				}
			})
		})
	}
}
