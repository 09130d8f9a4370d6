package zodiac_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac"
)

func TestGetOrFetchFetchesWhatIsNotThere(t *testing.T) {
	fetch, calls := numbered()
	c := zodiac.NewCache[string, int]()
	for range 2 {
		if v, err := c.GetOrFetch(t.Context(), "k", fetch); v != 1 || err != nil {
			t.Errorf("GetOrFetch = %v, %v; want 1, nil", v, err)
		}
	}
	wantCalls(t, calls, 1)
	mustSet(t, c, "k", 7)
	if v, err := c.GetOrFetch(t.Context(), "k", fetch); v != 7 || err != nil {
		t.Errorf("GetOrFetch = %v, %v; want 7, nil", v, err)
	}
}

func TestGetOrFetchWithoutAFunctionIsAnError(t *testing.T) {
	c := zodiac.NewCache[string, int]()
	mustSet(t, c, "present", 1)
	for _, key := range []string{"present", "absent"} {
		if v, err := c.GetOrFetch(t.Context(), key, nil); v != 0 || err == nil {
			t.Errorf("GetOrFetch(%v, nil) = %v, %v; want an error", key, v, err)
		}
	}
}

func TestGetAndGetOrFetchOfALoaderShareFlights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, calls := slow()
		other, otherCalls := slow()
		l := zodiac.NewLoader(fetch)
		a := getLater(t.Context(), l, "k")
		b := later(func() (int, error) { return l.GetOrFetch(t.Context(), "k", other) })
		wantReply(t, "Get", a, 1)
		wantReply(t, "GetOrFetch", b, 1)
		wantCalls(t, calls, 1)
		wantCalls(t, otherCalls, 0)
	})
}

func TestPeekNeverFetchesNorWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, calls := slow()
		l := zodiac.NewLoader(fetch)
		wantAbsent(t, l.Cache, "k")
		wantCalls(t, calls, 0)
		getting := getLater(t.Context(), l, "k")
		began := time.Now()
		wantAbsent(t, l.Cache, "k")
		if d := time.Since(began); d != 0 {
			t.Errorf("Peek waited %v", d)
		}
		wantReply(t, "Get", getting, 1)
		wantPeek(t, l.Cache, "k", 1)
	})
}

func TestPeekHonoursValidIf(t *testing.T) {
	c := zodiac.NewCache[string, int](zodiac.ValidIf(func(key string, e zodiac.Entry[int]) bool { return key == "any" || e.Value > 0 }))
	mustSet(t, c, "k", 0)
	mustSet(t, c, "any", 0)
	wantAbsent(t, c, "k")
	if _, ok, err := c.Entry(t.Context(), "k"); ok || err != nil {
		t.Errorf("Entry = %v, %v; want nothing", ok, err)
	}
	wantPeek(t, c, "any", 0)
	mustSet(t, c, "k", 1)
	wantPeek(t, c, "k", 1)
}

func TestPeekAndEntryWorkAfterTheContextHasEnded(t *testing.T) {
	c := zodiac.NewCache[string, int]()
	mustSet(t, c, "k", 7)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if v, ok, err := c.Peek(ctx, "k"); v != 7 || !ok || err != nil {
		t.Errorf("Peek = %v, %v, %v; want 7, true, nil", v, ok, err)
	}
	if e, ok, err := c.Entry(ctx, "k"); e.Value != 7 || !ok || err != nil {
		t.Errorf("Entry = %v, %v, %v; want 7, true, nil", e.Value, ok, err)
	}
}

func TestEntryTellsAllThereIsToKnow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, _ := slow()
		l := zodiac.NewLoader(fetch, zodiac.WithTTL(60), zodiac.WithTags("static"),
			zodiac.WithTagsFunc(func(key string, v int) []string { return []string{fmt.Sprint(key, v)} }))
		began := time.Now()
		wantGet(t, l, "k", 1)
		time.Sleep(2 * time.Second)
		got, ok, err := l.Entry(t.Context(), "k")
		want := zodiac.Entry[int]{
			Value: 1, Created: began, Age: 3 * time.Second, Left: 58 * time.Second,
			Kind: zodiac.KindValue, Tags: []string{"static", "k1"},
		}
		if !ok || err != nil || !got.Created.Equal(want.Created) {
			t.Errorf("Entry = %+v, %v, %v; want %+v", got, ok, err, want)
		}
		got.Created = want.Created
		if !reflect.DeepEqual(got, want) {
			t.Errorf("Entry = %+v; want %+v", got, want)
		}
	})
}

func TestEntryOfWhatIsSetBeginsWhenItIsSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := zodiac.NewCache[string, int]()
		time.Sleep(time.Hour)
		mustSet(t, c, "k", 1, zodiac.WithTags("b", "a", "b"))
		set := time.Now()
		time.Sleep(time.Minute)
		e, ok, err := c.Entry(t.Context(), "k")
		if !ok || err != nil || !e.Created.Equal(set) || e.Age != time.Minute || e.Left != zodiac.Forever {
			t.Errorf("Entry = %+v, %v, %v; want one created at %v, a minute old, that lives for ever", e, ok, err, set)
		}
		if slices.Sort(e.Tags); !slices.Equal(e.Tags, []string{"a", "b"}) {
			t.Errorf("Entry has tags %q; want each once", e.Tags)
		}
	})
}

func TestEntryIsASnapshot(t *testing.T) {
	c := zodiac.NewCache[string, int](zodiac.WithTags("a"))
	mustSet(t, c, "k", 1)
	e, _, _ := c.Entry(t.Context(), "k")
	e.Tags[0] = "changed"
	mustSet(t, c, "k", 2)
	if now, _, _ := c.Entry(t.Context(), "k"); now.Tags[0] != "a" || e.Value != 1 {
		t.Errorf("after a change of its copy the entry has tags %q, and the copy value %v", now.Tags, e.Value)
	}
}

func TestMemoryNeverHoldsMoreThanItsCapacity(t *testing.T) {
	for _, n := range []int{1, 2, 10, 2000} {
		c := zodiac.NewCache[int, int](zodiac.WithCapacity(n))
		for i := range 3 * n {
			mustSet(t, c, i, i)
			wantPeek(t, c, i, i) // the value just set is present
			if c.Len() > n {
				t.Fatalf("WithCapacity(%d) holds %d entries", n, c.Len())
			}
		}
		if s := c.Stats(); s.Evicted != uint64(2*n) || s.Size != n || c.Len() != n {
			t.Errorf("WithCapacity(%d): %d evicted, size %d, Len %d", n, s.Evicted, s.Size, c.Len())
		}
	}
}

func TestExpiredEntriesLeaveMemoryByThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := zodiac.NewCache[int, int](zodiac.WithTTL(10))
		for i := range 100 {
			mustSet(t, c, i, i)
		}
		time.Sleep(12 * time.Second)
		if n := c.Len(); n != 0 {
			t.Errorf("Len = %d two seconds after all have expired; want 0", n)
		}
		if s := c.Stats(); s.Expired != 100 || s.Evicted != 0 {
			t.Errorf("%d expired, %d evicted; want 100 and 0", s.Expired, s.Evicted)
		}
	})
}

// A list is a value whose copies can be told apart from it.
type list struct{ items []int }

func (l *list) clone() *list { return &list{slices.Clone(l.items)} }

func cloneList(l *list) *list { return l.clone() }

func TestMemorySharesValues(t *testing.T) {
	l := zodiac.NewLoader(func(context.Context, string) (*list, error) { return &list{[]int{1}}, nil })
	a, _ := l.Get(t.Context(), "k")
	b, _ := l.Get(t.Context(), "k")
	c, _, _ := l.Peek(t.Context(), "k")
	if a == nil || a != b || a != c {
		t.Errorf("Get, Get and Peek returned %p, %p, %p; want one value", a, b, c)
	}
}

func TestWithCloneNoTwoCallersShareAValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fetched *list
		l := zodiac.NewLoader(func(context.Context, string) (*list, error) {
			time.Sleep(time.Second)
			fetched = &list{[]int{1}}
			return fetched, nil
		}, zodiac.WithClone(cloneList))
		a, b := getLater(t.Context(), l, "k"), getLater(t.Context(), l, "k")
		values := []*list{(<-a).value, (<-b).value, fetched}
		add := func(v *list, err error) {
			must(t, err)
			values = append(values, v)
		}
		add(l.Get(t.Context(), "k"))
		add(l.Get(zodiac.NoWrite(t.Context()), "k"))
		add(l.GetOrFetch(t.Context(), "k", func(context.Context, string) (*list, error) { return nil, errOrigin }))
		peeked, _, err := l.Peek(t.Context(), "k")
		add(peeked, err)
		e, _, err := l.Entry(t.Context(), "k")
		add(e.Value, err)
		many, err := l.GetMany(t.Context(), []string{"k"})
		add(many["k"], err)
		checkNotShared(t, values)
		if v, err := l.Get(t.Context(), "k"); err != nil || v.items[0] != 1 {
			t.Errorf("after they were changed, the entry is %v, %v; want 1", v, err)
		}
	})
}

// checkNotShared changes each of the values and checks that no other one has changed.
func checkNotShared(t *testing.T, values []*list) {
	t.Helper()
	for i, v := range values {
		if v == nil || v.items[0] != 1 {
			t.Errorf("value %d of %d is %v: it is shared with one before", i+1, len(values), v)
			continue
		}
		v.items[0] = 2 + i
	}
}

func TestWithCloneWhatIsSetIsCopied(t *testing.T) {
	c := zodiac.NewCache[string, *list](zodiac.WithClone(cloneList))
	writes := map[string]func(*list) error{
		"Set":     func(v *list) error { return c.Set(t.Context(), "k", v) },
		"SetMany": func(v *list) error { return c.SetMany(t.Context(), map[string]*list{"k": v}) },
		"SetIfAbsent": func(v *list) error {
			c.Delete(t.Context(), "k")
			_, err := c.SetIfAbsent(t.Context(), "k", v)
			return err
		},
		"Update": func(v *list) error {
			_, err := c.Update(t.Context(), "k", func(*list, bool) (*list, error) { return v, nil })
			return err
		},
	}
	for name, write := range writes {
		t.Run(name, func(t *testing.T) {
			mine := &list{[]int{1}}
			must(t, write(mine))
			mine.items[0] = 2
			if v, _, err := c.Peek(t.Context(), "k"); err != nil || v.items[0] != 1 {
				t.Errorf("the entry is %v, %v after a change of the value that was set; want 1", v.items, err)
			}
		})
	}
}

func TestWithCloneUpdateMayChangeTheOldValue(t *testing.T) {
	c := zodiac.NewCache[string, *list](zodiac.WithClone(cloneList))
	mustSet(t, c, "k", &list{[]int{1}})
	got, err := c.Update(t.Context(), "k", func(old *list, _ bool) (*list, error) {
		old.items[0] = 99
		return nil, errOrigin
	})
	wantError(t, "Update", err, errOrigin)
	if v, _, _ := c.Peek(t.Context(), "k"); got != nil || v.items[0] != 1 {
		t.Errorf("after an Update that failed the entry is %v; want 1", v.items)
	}
}

func TestNilIsNotGivenToClone(t *testing.T) {
	c := zodiac.NewCache[string, *list](zodiac.WithClone(cloneList)) // would panic on nil
	mustSet(t, c, "k", nil)
	if v, ok, err := c.Peek(t.Context(), "k"); v != nil || !ok || err != nil {
		t.Errorf("Peek = %v, %v, %v; want nil, true, nil", v, ok, err)
	}
	v, err := c.GetOrFetch(t.Context(), "other", func(context.Context, string) (*list, error) { return nil, nil })
	if v != nil || err != nil {
		t.Errorf("GetOrFetch = %v, %v; want nil, nil", v, err)
	}
}

// closedCalls is every method of a Loader that fails after Close.
func closedCalls(ctx context.Context, l *zodiac.Loader[string, int]) map[string]func() error {
	fetch, _ := numbered()
	return map[string]func() error{
		"Get":              func() error { _, err := l.Get(ctx, "k"); return err },
		"GetOverwrite":     func() error { _, err := l.Get(zodiac.Overwrite(ctx), "k"); return err },
		"GetReadOnly":      func() error { _, err := l.Get(zodiac.ReadOnly(ctx), "k"); return err },
		"GetNoWrite":       func() error { _, err := l.Get(zodiac.NoWrite(ctx), "k"); return err },
		"GetOrFetch":       func() error { _, err := l.GetOrFetch(ctx, "k", fetch); return err },
		"GetMany":          func() error { _, err := l.GetMany(ctx, []string{"k"}); return err },
		"GetManyOfNone":    func() error { _, err := l.GetMany(ctx, nil); return err },
		"GetManyReadOnly":  func() error { _, err := l.GetMany(zodiac.ReadOnly(ctx), []string{"k"}); return err },
		"Refresh":          func() error { _, err := l.Refresh(ctx, "k"); return err },
		"Peek":             func() error { _, _, err := l.Peek(ctx, "k"); return err },
		"Entry":            func() error { _, _, err := l.Entry(ctx, "k"); return err },
		"Set":              func() error { return l.Set(ctx, "k", 1) },
		"SetMany":          func() error { return l.SetMany(ctx, map[string]int{"k": 1}) },
		"SetManyOfNone":    func() error { return l.SetMany(ctx, nil) },
		"SetNone":          func() error { return l.SetNone(ctx, "k") },
		"SetIfAbsent":      func() error { _, err := l.SetIfAbsent(ctx, "k", 1); return err },
		"Update":           func() error { _, err := l.Update(ctx, "k", plusOne); return err },
		"Add":              func() error { _, err := zodiac.Add(ctx, l.Cache, "k", 1); return err },
		"Touch":            func() error { _, err := l.Touch(ctx, "k"); return err },
		"Delete":           func() error { _, err := l.Delete(ctx, "k"); return err },
		"DeleteOfNone":     func() error { _, err := l.Delete(ctx); return err },
		"DeleteTags":       func() error { return l.DeleteTags(ctx, "tag") },
		"DeleteTagsOfNone": func() error { return l.DeleteTags(ctx) },
		"Clear":            func() error { _, err := l.Clear(ctx); return err },
		"GetManyOverwrite": func() error { _, err := l.GetMany(zodiac.Overwrite(ctx), []string{"k"}); return err },
		"GetWithoutReading": func() error {
			_, err := l.Get(zodiac.WithMode(ctx, zodiac.Mode{NoRead: true, NoFetch: true}), "k")
			return err
		},
	}
}

func plusOne(old int, _ bool) (int, error) { return old + 1, nil }

func TestEveryCallAfterCloseGetsErrClosed(t *testing.T) {
	fetch, calls := numbered()
	l := zodiac.NewLoader(fetch, zodiac.WithTags("tag"), zodiac.WithErrorTTL(1))
	mustSet(t, l.Cache, "k", 7)
	must(t, l.Close(t.Context()))
	for name, call := range closedCalls(t.Context(), l) {
		t.Run(name, func(t *testing.T) {
			if err := call(); !errors.Is(err, zodiac.ErrClosed) {
				t.Errorf("%s after Close: error %v; want ErrClosed", name, err)
			}
		})
	}
	wantCalls(t, calls, 0)
	if s := l.Stats(); s.Gets != 0 || s.Size != 0 || l.Len() != 0 {
		t.Errorf("after Close: %d Gets counted, %d entries; want none", s.Gets, s.Size)
	}
}

func TestBypassAndFetchStillRunTheFunctionAfterClose(t *testing.T) {
	fetch, _ := numbered()
	l := zodiac.NewLoader(fetch)
	must(t, l.Close(t.Context()))
	wantGetWith(zodiac.Bypass(t.Context()), t, l, "k", 1)
	if v, err := l.Fetch(t.Context(), "k"); v != 2 || err != nil {
		t.Errorf("Fetch = %v, %v; want 2, nil", v, err)
	}
	if m, err := l.GetMany(zodiac.Bypass(t.Context()), []string{"k"}); m["k"] != 3 || err != nil {
		t.Errorf("GetMany = %v, %v; want 3, nil", m, err)
	}
	if v, err := l.GetOrFetch(zodiac.Bypass(t.Context()), "k", fetch); v != 4 || err != nil {
		t.Errorf("GetOrFetch = %v, %v; want 4, nil", v, err)
	}
}

func TestCloseTwiceIsFine(t *testing.T) {
	l := zodiac.NewLoader(untilEnd)
	for range 3 {
		must(t, l.Close(t.Context()))
	}
}

func TestCloseWithAnEndedContextOfAnIdleLoaderIsFine(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	must(t, zodiac.NewLoader(untilEnd).Close(ctx))
}

func TestCloseWaitsForFetchesAndTheirCallersGetTheirValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, calls := slow()
		l := zodiac.NewLoader(fetch)
		a, b := getLater(t.Context(), l, "a"), getLater(t.Context(), l, "b")
		forced := later(func() (int, error) { return l.Refresh(t.Context(), "f") })
		waiting := later(func() (int, error) { return l.Refresh(t.Context(), "f") })
		began := time.Now()
		must(t, l.Close(t.Context()))
		if d := time.Since(began); d != 2*time.Second {
			t.Errorf("Close took %v; want 2s, until the Refresh that waited has returned", d)
		}
		wantReply(t, "Get(a)", a, 1)
		wantReply(t, "Get(b)", b, 2)
		wantReply(t, "first Refresh", forced, 3)
		wantReply(t, "second Refresh", waiting, 4)
		wantCalls(t, calls, 4)
		if s := l.Stats(); s.Size != 0 || s.Stored != 0 {
			t.Errorf("%d stored, %d entries after Close; want none", s.Stored, s.Size)
		}
	})
}

func TestCloseWhoseContextEndsGivesUpAndSaysWho(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fetching context.Context
		l := zodiac.NewLoader(func(ctx context.Context, _ string) (int, error) {
			fetching = ctx
			time.Sleep(time.Hour)
			return 1, nil
		}, zodiac.WithName("lazy"))
		getting := getLater(t.Context(), l, "k")
		refreshing := later(func() (int, error) { return l.Refresh(t.Context(), "k") })
		waiting := later(func() (int, error) { return l.Refresh(t.Context(), "k") })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := l.Close(ctx)
		wantError(t, "Close", err, context.DeadlineExceeded)
		wantText(t, "Close", err, `"lazy"`)
		for name, c := range map[string]<-chan reply[int]{"Get": getting, "Refresh": refreshing, "waiting Refresh": waiting} {
			wantError(t, name, (<-c).err, zodiac.ErrClosed)
		}
		wantError(t, "the fetch's context", fetching.Err(), context.Canceled)
		must(t, l.Close(t.Context())) // waits for the functions that run
		// a Get that got ErrClosed counts nowhere
		wantStats(t, l.Stats(), zodiac.Stats{Discarded: 2})
	})
}

func TestGetThatMeetsACloseOnItsWayGetsErrClosed(t *testing.T) {
	fetch, calls := numbered()
	var l *zodiac.Loader[string, int]
	l = zodiac.NewLoader(fetch, zodiac.ValidIf(func(string, zodiac.Entry[int]) bool {
		must(t, l.Close(t.Context()))
		return false
	}))
	mustSet(t, l.Cache, "k", 7)
	_, err := l.Get(t.Context(), "k")
	wantError(t, "Get", err, zodiac.ErrClosed)
	wantCalls(t, calls, 0)
}

func TestCloseEndsAGetMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := zodiac.NewLoader(untilEnd)
		many := later(func() (map[string]int, error) { return l.GetMany(t.Context(), []string{"a", "b"}) })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		wantError(t, "Close", l.Close(ctx), context.DeadlineExceeded)
		wantError(t, "GetMany", (<-many).err, zodiac.ErrClosed)
		must(t, l.Close(t.Context()))
	})
}

func TestCloseDuringAnUpdateIsErrClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := zodiac.NewCache[string, int]()
		updating := later(func() (int, error) {
			return c.Update(t.Context(), "k", func(int, bool) (int, error) {
				time.Sleep(time.Second)
				return 1, nil
			})
		})
		must(t, c.Close(t.Context()))
		wantError(t, "Update", (<-updating).err, zodiac.ErrClosed)
	})
}

func TestNaNKeysAreFetchedUncachedAndReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen recorder
		calls := 0
		fetch := func(_ context.Context, k float64) (int, error) {
			if k == k {
				t.Errorf("the function got %v", k)
			}
			calls++
			return calls, nil
		}
		l := zodiac.NewLoader(fetch, zodiac.WithObserver(&seen), zodiac.WithName("floats"))
		nan := nan()
		for i, get := range []func() (int, error){
			func() (int, error) { return l.Get(t.Context(), nan) },
			func() (int, error) { return l.GetOrFetch(t.Context(), nan, fetch) },
			func() (int, error) { return l.Refresh(t.Context(), nan) },
			func() (int, error) { return l.Get(zodiac.NoWrite(t.Context()), nan) },
		} {
			if v, err := get(); v != i+1 || err != nil {
				t.Errorf("call %d = %v, %v; want %v, nil", i, v, err, i+1)
			}
			synctest.Wait()
			events := seen.all()
			if len(events) != i+1 {
				t.Fatalf("the Observer was told %d times; want %d", len(events), i+1)
			}
			e := events[i]
			key, isKey := errors.AsType[*zodiac.KeyError](e.Err)
			if e.Kind != zodiac.EventFault || e.Loader != "floats" || !isKey || key.Loader != "floats" {
				t.Errorf("the Observer was told %+v; want a fault of \"floats\" with a *KeyError", e)
			}
		}
		if s := l.Stats(); l.Len() != 0 || s.Gets != 0 || s.Fetches != 0 {
			t.Errorf("%d entries, %d Gets, %d Fetches; want none", l.Len(), s.Gets, s.Fetches)
		}
		if _, err := l.Get(zodiac.ReadOnly(t.Context()), nan); !errors.Is(err, zodiac.ErrMiss) || calls != 4 {
			t.Errorf("Get under ReadOnly = %v; want ErrMiss", err)
		}
	})
}

func TestNaNKeysAreErrorsOfEveryOtherMethod(t *testing.T) {
	l := zodiac.NewLoader(func(context.Context, float64) (int, error) { return 1, nil })
	ctx, k := t.Context(), nan()
	mustSet(t, l.Cache, 1, 1)
	for name, call := range map[string]func() error{
		"Peek":        func() error { _, _, err := l.Peek(ctx, k); return err },
		"Entry":       func() error { _, _, err := l.Entry(ctx, k); return err },
		"Set":         func() error { return l.Set(ctx, k, 1) },
		"SetMany":     func() error { return l.SetMany(ctx, map[float64]int{k: 1, 2: 2}) },
		"SetNone":     func() error { return l.SetNone(ctx, k) },
		"SetIfAbsent": func() error { _, err := l.SetIfAbsent(ctx, k, 1); return err },
		"Update":      func() error { _, err := l.Update(ctx, k, plusOne); return err },
		"Add":         func() error { _, err := zodiac.Add(ctx, l.Cache, k, 1); return err },
		"Touch":       func() error { _, err := l.Touch(ctx, k); return err },
		"Delete":      func() error { _, err := l.Delete(ctx, k, 1); return err },
	} {
		err := call()
		e, ok := errors.AsType[*zodiac.KeyError](err)
		if !ok {
			t.Errorf("%s(NaN): error %v; want a *KeyError", name, err)
			continue
		}
		if e.Op != name {
			t.Errorf("%s(NaN): the error names %s", name, e.Op)
		}
		wantText(t, name, err, "NaN")
	}
	wantAbsent(t, l.Cache, 1)  // Delete(NaN, 1)
	wantPeek(t, l.Cache, 2, 2) // SetMany of NaN and 2
}
