package zodiac_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac"
	"github.com/zodiac-go/zodiac/memstore"
)

func TestDeleteTagsRemovesEntriesWithAnyOfThem(t *testing.T) {
	c := zodiac.NewCache[string, int](zodiac.WithTags("all"), zodiac.WithTags("all", "ours"))
	set := func(key string, tags ...string) { mustSet(t, c, key, 1, zodiac.WithTags(tags...)) }
	set("none")
	set("a", "a")
	set("ab", "a", "b")
	set("b", "b", "b")
	must(t, c.DeleteTags(t.Context(), "a", "unknown"))
	wantAbsent(t, c, "a")
	wantAbsent(t, c, "ab")
	wantPeek(t, c, "b", 1)
	wantPeek(t, c, "none", 1)
	set("a", "a")
	wantPeek(t, c, "a", 1) // a value stored afterwards is not deleted
	must(t, c.DeleteTags(t.Context()))
	wantPeek(t, c, "a", 1)
	must(t, c.DeleteTags(t.Context(), "ours"))
	for _, key := range []string{"a", "b", "none"} {
		wantAbsent(t, c, key)
	}
}

func TestTagsMatchOnlyThemselves(t *testing.T) {
	c := zodiac.NewCache[string, int]()
	names := []string{"a", "A", "a*", "*", "?", "a.", ".*", "[a]", "a:b", "a%", " a", "ä", "a\x00"}
	for _, tag := range names {
		mustSet(t, c, tag, 1, zodiac.WithTags(tag))
	}
	for i, tag := range names {
		must(t, c.DeleteTags(t.Context(), tag))
		wantAbsent(t, c, tag)
		for _, other := range names[i+1:] {
			wantPeek(t, c, other, 1)
		}
	}
}

func TestEmptyTagNameIsRefused(t *testing.T) {
	_, err := zodiac.TryNewCache[string, int](zodiac.WithTags("a", ""))
	wantEmptyTag(t, "WithTags of a cache", err)
	c := zodiac.NewCache[string, int]()
	wantEmptyTag(t, "Set", c.Set(t.Context(), "k", 1, zodiac.WithTags("")))
	wantAbsent(t, c, "k")
	mustSet(t, c, "k", 1, zodiac.WithTags("a"))
	wantEmptyTag(t, "DeleteTags", c.DeleteTags(t.Context(), "a", ""))
	wantPeek(t, c, "k", 1) // nothing was deleted
}

func TestResultWithAnEmptyTagNameIsNotStored(t *testing.T) {
	for _, opts := range []zodiac.Options{nil, {zodiac.WithName("l"), zodiac.WithStore(memstore.New())}} {
		var seen []error
		l := zodiac.NewLoader(func(context.Context, string) (int, error) { return 1, nil }, opts,
			zodiac.WithTagsFunc(func(string, int) []string { return []string{""} }),
			zodiac.WithObserver(observer(func(_ context.Context, e zodiac.Event) {
				if e.Kind == zodiac.EventFault {
					seen = append(seen, e.Err)
				}
			})))
		wantGet(t, l, "k", 1)
		wantEmptyTag(t, "Set", l.Set(t.Context(), "k", 1))
		if s := l.Stats(); s.Uncached != 1 || s.Stored != 0 {
			t.Errorf("%+v; want the result uncached", s)
		}
		must(t, l.Close(t.Context()))
		if len(seen) != 1 || !strings.Contains(seen[0].Error(), "the name of a tag is empty") {
			t.Errorf("the Observer was told %v; want that the name of a tag is empty", seen)
		}
	}
}

func wantEmptyTag(t *testing.T, op string, err error) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), "the name of a tag is empty") {
		t.Errorf("%s: %v; want that the name of a tag is empty", op, err)
	}
}

func TestTagsFromTheResult(t *testing.T) {
	calls := 0
	l := zodiac.NewLoader(func(_ context.Context, key string) (user, error) { calls++; return user{Name: key[:1]}, nil },
		zodiac.WithTags("users"),
		zodiac.WithTagsFunc(func(key string, u user) []string { return []string{"key:" + key, "name:" + u.Name, "users"} }))
	wantGet(t, l, "a1", user{Name: "a"})
	wantGet(t, l, "a2", user{Name: "a"})
	wantGet(t, l, "b1", user{Name: "b"})
	mustSet(t, l.Cache, "b2", user{Name: "a"}, zodiac.WithTags("mine"))
	e, _, _ := l.Entry(t.Context(), "b2")
	if slices.Sort(e.Tags); !slices.Equal(e.Tags, []string{"key:b2", "mine", "name:a", "users"}) {
		t.Errorf("Set gave the tags %q", e.Tags)
	}
	must(t, l.DeleteTags(t.Context(), "name:a"))
	wantAbsent(t, l.Cache, "a1")
	wantAbsent(t, l.Cache, "a2")
	wantAbsent(t, l.Cache, "b2")
	wantPeek(t, l.Cache, "b1", user{Name: "b"})
	must(t, l.DeleteTags(t.Context(), "key:b1"))
	wantGet(t, l, "b1", user{Name: "b"})
	if calls != 4 {
		t.Errorf("%d calls; want 4", calls)
	}
}

func TestValueFetchedBeforeItsTagWasDeletedIsNotStored(t *testing.T) {
	for name, opt := range map[string]zodiac.Option{
		"WithTags":     zodiac.WithTags("tag"),
		"WithTagsFunc": zodiac.WithTagsFunc(func(string, int) []string { return []string{"tag"} }),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fetch, calls := slow()
				l := zodiac.NewLoader(fetch, opt)
				before := getLater(t.Context(), l, "k")
				time.Sleep(time.Millisecond)
				must(t, l.DeleteTags(t.Context(), "tag"))
				after := getLater(t.Context(), l, "k")
				wantReply(t, "Get that began before", before, 1)
				wantAbsent(t, l.Cache, "k")
				wantReply(t, "Get that began after", after, 2)
				wantPeek(t, l.Cache, "k", 2)
				wantCalls(t, calls, 2)
			})
		})
	}
}

func TestValueIsNotStoredIfItsTagIsDeletedByTheFetchItself(t *testing.T) {
	var l *zodiac.Loader[string, int]
	calls := 0
	l = zodiac.NewLoader(func(ctx context.Context, _ string) (int, error) {
		calls++
		return calls, l.DeleteTags(ctx, "other", "tag")
	}, zodiac.WithTagsFunc(func(string, int) []string { return []string{"tag"} }))
	wantGet(t, l, "k", 1)
	wantGet(t, l, "k", 2)
	if s := l.Stats(); s.Discarded != 2 || s.Stored != 0 {
		t.Errorf("%d discarded, %d stored; want 2 and 0", s.Discarded, s.Stored)
	}
}

func TestDeletingOtherTagsDoesNotDiscardFetchesWithStaticTags(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, _ := slow()
		l := zodiac.NewLoader(fetch, zodiac.WithTags("tag"))
		getting := getLater(t.Context(), l, "k")
		must(t, l.DeleteTags(t.Context(), "other"))
		wantReply(t, "Get", getting, 1)
		wantPeek(t, l.Cache, "k", 1)
	})
}

func TestTagsOfOneLoaderAreNotTagsOfAnother(t *testing.T) {
	fetch, _ := numbered()
	opts := zodiac.Options{zodiac.WithTags("tag"), zodiac.WithName("same")}
	a, b := zodiac.NewLoader(fetch, opts), zodiac.NewLoader(fetch, opts)
	wantGet(t, a, "k", 1)
	wantGet(t, b, "k", 2)
	must(t, a.DeleteTags(t.Context(), "tag"))
	wantGet(t, a, "k", 3)
	wantGet(t, b, "k", 2)
}

func TestEntryOfADeletedTagCountsInLenUntilItIsMet(t *testing.T) {
	c := zodiac.NewCache[string, int](zodiac.WithTags("tag"))
	mustSet(t, c, "a", 1)
	mustSet(t, c, "b", 1)
	must(t, c.DeleteTags(t.Context(), "tag"))
	if n := c.Len(); n != 2 {
		t.Errorf("Len = %d; want 2", n)
	}
	wantAbsent(t, c, "a")
	wantDeleted(t, c, 0, "b")
	if n := c.Len(); n != 0 {
		t.Errorf("Len = %d; want 0", n)
	}
	if s := c.Stats(); s.Invalid != 1 {
		t.Errorf("%d invalid; want 1: Delete does not read", s.Invalid)
	}
}

func TestEntryOfADeletedTagIsAbsentToEveryOperation(t *testing.T) {
	c := zodiac.NewCache[string, int]()
	ctx := t.Context()
	invalid := func() {
		mustSet(t, c, "k", 7, zodiac.WithTags("tag"))
		must(t, c.DeleteTags(ctx, "tag"))
	}
	invalid()
	wantTouch(t, c, false)
	invalid()
	if ok, err := c.SetIfAbsent(ctx, "k", 1); !ok || err != nil {
		t.Errorf("SetIfAbsent = %v, %v; want true, nil", ok, err)
	}
	invalid()
	if v, err := zodiac.Add(ctx, c, "k", 1); v != 1 || err != nil {
		t.Errorf("Add = %v, %v; want 1, nil", v, err)
	}
	invalid()
	if n, err := c.Clear(ctx); n != 0 || err != nil {
		t.Errorf("Clear = %v, %v; want 0, nil", n, err)
	}
	invalid()
	if v, err := c.GetOrFetch(ctx, "k", func(context.Context, string) (int, error) { return 1, nil }); v != 1 || err != nil {
		t.Errorf("GetOrFetch = %v, %v; want 1, nil", v, err)
	}
}

func TestEntryHasAtMostSixteenTags(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen recorder
		l := zodiac.NewLoader(func(context.Context, int) (int, error) { return 1, nil }, zodiac.WithTags("static"),
			zodiac.WithObserver(&seen), zodiac.WithName("tagged"),
			zodiac.WithTagsFunc(func(n, _ int) []string { return append(tagNames(n), "static", "tag0") }))
		wantGet(t, l, 63, 1)
		wantPeek(t, l.Cache, 63, 1)
		synctest.Wait() // the Observer is told after the caller
		wantGet(t, l, 64, 1)
		wantAbsent(t, l.Cache, 64)
		if s := l.Stats(); s.Uncached != 1 || s.Stored != 1 {
			t.Errorf("%d uncached, %d stored; want 1 and 1", s.Uncached, s.Stored)
		}
		synctest.Wait()
		events := seen.all()
		if len(events) != 3 || events[1].Kind != zodiac.EventFault || events[1].Key != 64 || events[2].Outcome != zodiac.OutcomeUncached {
			t.Fatalf("the Observer was told %+v; want of the fetch of 63, a fault, and the fetch of 64", events)
		}
		wantText(t, "Observer", events[1].Err, "65 tags", `"tagged"`)
	})
}

func TestSetWithTooManyTagsIsAnErrorAndChangesNothing(t *testing.T) {
	c := zodiac.NewCache[string, int](zodiac.WithTags("a", "b"))
	mustSet(t, c, "k", 7, zodiac.WithTags(tagNames(62)...))
	err := c.Set(t.Context(), "k", 8, zodiac.WithTags(tagNames(63)...))
	if _, ok := errors.AsType[*zodiac.SettingError](err); !ok {
		t.Errorf("Set: error %v; want a *SettingError", err)
	}
	wantText(t, "Set", err, "WithTags", "65 tags")
	wantPeek(t, c, "k", 7)
}

func TestTagsOfSetReplaceThoseOfTheOldEntry(t *testing.T) {
	c := zodiac.NewCache[string, int]()
	mustSet(t, c, "k", 1, zodiac.WithTags("a"))
	mustSet(t, c, "k", 2, zodiac.WithTags("b"))
	must(t, c.DeleteTags(t.Context(), "a"))
	wantPeek(t, c, "k", 2)
	must(t, c.DeleteTags(t.Context(), "b"))
	wantAbsent(t, c, "k")
}

func TestTagNamesNobodyUsesAnyMoreAreForgotten(t *testing.T) {
	c := zodiac.NewCache[int, int](zodiac.WithCapacity(10))
	use := func(from, to int) {
		for i := from; i < to; i++ {
			must(t, c.Set(t.Context(), i, i, zodiac.WithTags(fmt.Sprint("a tag with a name that is rather long, number ", i))))
			if i%10_000 == 0 {
				runtime.GC() // forgets tags that no entry holds
			}
		}
	}
	use(0, 20_000)
	before := heap()
	use(20_000, 100_000)
	if grown := heap() - before; grown > 1<<20 {
		t.Errorf("80,000 more tag names take %d bytes", grown)
	}
	runtime.KeepAlive(c)
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestDeleteTagsKeepsWorkingForTagsInUseWhileOthersAreForgotten(t *testing.T) {
	c := zodiac.NewCache[int, int]()
	mustSet(t, c, -1, 7, zodiac.WithTags("kept"))
	for i := range 1000 {
		mustSet(t, c, 0, i, zodiac.WithTags(fmt.Sprint(i)))
		if i%100 == 0 {
			runtime.GC()
		}
	}
	wantPeek(t, c, -1, 7)
	must(t, c.DeleteTags(t.Context(), "kept"))
	wantAbsent(t, c, -1)
}
