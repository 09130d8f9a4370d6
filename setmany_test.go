package zodiac_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac"
	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/memstore"
	"github.com/zodiac-go/zodiac/storetest/chaos"
)

// slowCache returns a cache over a store whose commands take 2 ms each.
func slowCache(t *testing.T, opts ...zodiac.Option) (*zodiac.Cache[string, string], *chaos.Injector) {
	t.Helper()
	store := memstore.New(memstore.WithCapacity(200_000))
	m := chaos.New(store)
	c := zodiac.NewCache[string, string](append(opts, zodiac.WithName("c"), zodiac.WithStore(m.Store()))...)
	t.Cleanup(func() {
		must(t, c.Close(context.Background()))
		store.Close()
	})
	m.Delay(2 * time.Millisecond)
	return c, m
}

func manyValues(n int) map[string]string {
	values := make(map[string]string, n)
	for i := range n {
		values[fmt.Sprint("k", i)] = fmt.Sprint("v", i)
	}
	return values
}

func TestSetManyOverAStoreIsAFewCommands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, m := slowCache(t, zodiac.WithTTL(60), zodiac.WithTags("own"),
			zodiac.WithTagsFunc(func(string, string) []string { return []string{"made"} }))
		values := manyValues(10_000)
		values["gone"] = ""
		began := time.Now()
		must(t, c.SetMany(t.Context(), values, zodiac.WithTags("given")))
		if sets, all := m.Calls(chaos.SetMany), m.Calls(); sets != 20 || all > 3*sets+10 || time.Since(began) > time.Second {
			t.Errorf("%d commands, %d of them SetMany, in %v; want 20 with a read of tags and a message each",
				all, sets, time.Since(began))
		}
		m.Heal()
		wantPeek(t, c, "k9999", "v9999")
		e, _, err := c.Entry(t.Context(), "k7")
		if want := []string{"given", "made", "own"}; err != nil || !slices.Equal(e.Tags, want) || e.Left < 59*time.Second {
			t.Errorf("Entry = %+v, %v; want a minute, and the tags %q", e, err, want)
		}
		for _, tag := range []string{"given", "made", "own"} {
			must(t, c.SetMany(t.Context(), map[string]string{"k1": "1", "k2": "2"}, zodiac.WithTags("given")))
			must(t, c.DeleteTags(t.Context(), tag))
			wantAbsent(t, c, "k1")
		}
	})
}

func TestSetManyRemovesWhatIsToLiveNoTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := slowCache(t, zodiac.WithTTLFunc(func(_, v string) time.Duration {
			if v == "gone" {
				return 0
			}
			return time.Minute
		}))
		must(t, c.SetMany(t.Context(), map[string]string{"a": "1", "b": "2"}))
		must(t, c.SetMany(t.Context(), map[string]string{"a": "gone", "b": "3"}))
		wantAbsent(t, c, "a")
		wantPeek(t, c, "b", "3")
	})
}

func TestSetManyNamesExactlyTheKeysThatFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := new(witness)
		c, m := slowCache(t, zodiac.WithMaxBytes(1000), zodiac.WithObserver(seen))
		values := manyValues(1200)
		values["large"] = strings.Repeat("x", 2000)
		failing := make(map[string]bool)
		m.Observe(func(call chaos.Call) {
			if call.Op == chaos.SetMany && m.Calls(chaos.SetMany) == 2 {
				for _, key := range call.Keys {
					failing[key[strings.LastIndexByte(key, ':')+1:]] = true
				}
				m.Fail(errDown, chaos.SetMany)
			} else {
				m.Heal(chaos.SetMany)
			}
		})
		err := c.SetMany(t.Context(), values)
		m.Observe(nil)
		m.Heal()
		many, ok := errors.AsType[*zodiac.ManyError[string]](err)
		if !ok || len(many.Errors) != len(failing)+1 || !errors.Is(many.Errors["large"], zodiac.ErrTooLarge) {
			t.Fatalf("SetMany = %v; want an error for each of %d keys and the large one", err, len(failing))
		}
		for key := range values {
			v, ok, _ := c.Peek(t.Context(), key)
			bad, faulty := errors.AsType[*zodiac.StoreError](many.Errors[key])
			if ok == (failing[key] || key == "large") || failing[key] != faulty || faulty && bad.Op != "SetMany" {
				t.Fatalf("%s: Peek = %q, %v, error %v", key, v, ok, many.Errors[key])
			}
		}
		if all := seen.faults(); len(all) != 1 {
			t.Errorf("the Observer was told of %d faults; want one for the chunk", len(all))
		}
	})
}

func TestDeleteTagsOfAThousandTagsOverASlowStore(t *testing.T) {
	for name, wrap := range map[string]func(driver.Store) driver.Store{
		"Batcher": func(s driver.Store) driver.Store { return s }, "Bare": chaos.Bare,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := memstore.New()
				defer store.Close()
				m := chaos.New(store)
				c := zodiac.NewCache[string, string](zodiac.WithName("c"), zodiac.WithStore(wrap(m.Store())))
				defer c.Close(context.Background())
				var tags []string
				for i := range 1000 {
					tags = append(tags, fmt.Sprint("t", i))
					must(t, c.Set(t.Context(), tags[i], "old", zodiac.WithTags(tags[i])))
				}
				m.Delay(2 * time.Millisecond)
				must(t, c.DeleteTags(t.Context(), tags...))
				m.Heal()
				for _, tag := range tags {
					wantAbsent(t, c, tag)
				}
			})
		})
	}
}

func TestDeleteOfManyKeysOverASlowStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, m := slowCache(t)
		m.Heal()
		values := manyValues(20_000)
		must(t, c.SetMany(t.Context(), values))
		m.Delay(2 * time.Millisecond)
		keys := slices.Collect(maps.Keys(values))
		n, err := c.Delete(t.Context(), append(keys, keys...)...)
		if n != 20_000 || err != nil {
			t.Errorf("Delete = %d, %v; want 20,000, nil", n, err)
		}
	})
}

func TestGetManyOfManyKeysReadsInChunks(t *testing.T) {
	for name, tt := range map[string]struct {
		wrap func(driver.Store) driver.Store
		most int
	}{
		"Batcher": {func(s driver.Store) driver.Store { return s }, 10}, "Bare": {chaos.Bare, 20_000},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := memstore.New()
				defer store.Close()
				m := chaos.New(store)
				l := zodiac.NewLoader(func(context.Context, string) (string, error) {
					return "", errors.New("it has fetched")
				}, zodiac.WithName("c"), zodiac.WithStore(tt.wrap(m.Store())))
				defer l.Close(context.Background())
				values := manyValues(20_000)
				must(t, l.SetMany(t.Context(), values))
				m.Delay(2 * time.Millisecond)
				before := m.Calls()
				got, err := l.GetMany(t.Context(), slices.Collect(maps.Keys(values)))
				if err != nil || !maps.Equal(got, values) || m.Calls()-before > tt.most {
					t.Errorf("GetMany = %d values, %v by %d commands; want all by %d", len(got), err, m.Calls()-before, tt.most)
				}
			})
		})
	}
}

func TestBatchReadThatFailsIsReportedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := new(witness)
		l, faults := faulty(t, &origin{}, zodiac.WithObserver(seen), zodiac.FailClosed())
		faults.Fail(errDown, chaos.GetMany, chaos.GetManyData)
		_, err := l.GetMany(t.Context(), []string{"a", "b", "c"})
		synctest.Wait() // the Observer is told off the caller's way
		many, ok := errors.AsType[*zodiac.ManyError[string]](err)
		if !ok || len(many.Errors) != 3 || len(seen.faults()) != 1 {
			t.Errorf("GetMany = %v, and the Observer was told of %d faults; want 3 errors, and one fault", err, len(seen.faults()))
		}
		if e := seen.events[0]; e.Key != nil || !errors.Is(e.Err, errDown) {
			t.Errorf("the event is %+v; want no key", e)
		}
	})
}
