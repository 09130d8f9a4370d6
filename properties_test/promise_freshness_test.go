package properties_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/zodiac-go/zodiac"
	"pgregory.net/rapid"
)

// An invalidation is an operation after which no older value of key 1 may be returned.
type invalidation struct {
	name   string
	leaves int64 // the value it leaves; 0 is none
	do     func(s *stage) error
}

const key = 1

var bg = context.Background()

func only[T any](_ T, err error) error { return err }

// invalidations are all invalidations of a loader with the static tag "s".
var invalidations = []invalidation{
	{"Delete", 0, func(s *stage) error { return only(s.Delete(bg, key)) }},
	{"Delete of several", 0, func(s *stage) error { return only(s.Delete(bg, 0, key, 2)) }},
	{"Clear", 0, func(s *stage) error { return only(s.Clear(bg)) }},
	{"DeleteTags", 0, func(s *stage) error { return s.DeleteTags(bg, "x", "s") }},
	{"SetNone, gone again", 0, func(s *stage) error {
		return errors.Join(s.SetNone(bg, key), only(s.Delete(bg, key)))
	}},
	{"Set", 99, func(s *stage) error { return s.Set(bg, key, value{id: 99}) }},
	{"SetMany", 99, func(s *stage) error { return s.SetMany(bg, map[int]value{key: {id: 99}, 2: {id: 5}}) }},
	{"SetIfAbsent", 99, func(s *stage) error { return only(s.SetIfAbsent(bg, key, value{id: 99})) }},
	{"Update", 99, func(s *stage) error {
		return only(s.Update(bg, key, func(value, bool) (value, error) { return value{id: 99}, nil }))
	}},
	{"Add", 99, func(s *stage) error { return only(s.Add(bg, key, 99)) }},
}

// beginners are the ways in which a fetch begins.
var beginners = map[string]func(context.Context) context.Context{
	"plain": inPlain, "NoWrite": underNoWrite, "Overwrite": underOverwrite,
}

// P1: after Delete, Set and the like have returned, a later Get returns no older value. That holds
// for a value whose fetch was running, whichever caller began it, and whether the fetch ends before
// or after the Get begins.
func TestP1_ReadAfterAnInvalidationReturnsNoOlderValue(t *testing.T) {
	needsModes(t)
	for _, inv := range invalidations {
		for began, begin := range beginners {
			for asks, ask := range beginners {
				for _, early := range []bool{true, false} {
					t.Run(fmt.Sprintf("%s/%s/%s/%v", inv.name, began, asks, early), func(t *testing.T) {
						onStage(t, config{tags: []string{"s"}}, func(s *stage) { p1(s, inv, begin, ask, early) })
					})
				}
			}
		}
	}
}

func p1(s *stage, inv invalidation, begin, ask func(context.Context) context.Context, early bool) {
	old := s.get(key, begin)
	running := s.call(key)
	if err := inv.do(s); err != nil {
		s.t.Fatal(err)
	}
	if early {
		running.returns(1)
		old.hasID(1) // earlier callers get it all the same
	}
	young := s.get(key, ask)
	for _, c := range s.o.take() {
		c.returns(2)
	}
	if !early {
		running.returns(1)
		old.hasID(1)
		for _, c := range s.o.take() {
			c.returns(2) // an Overwrite that waited for the other to end
		}
	}
	if r := young.result(); r.err != nil || r.val.id != 2 && r.val.id != inv.leaves {
		s.t.Errorf("Get after %s returned %v; want 2, or %d", inv.name, r, inv.leaves)
	}
	if v, ok, _ := s.Peek(bg, key); ok && v.id == 1 {
		s.t.Errorf("after %s memory holds the value fetched before", inv.name)
	}
}

// P1, for Refresh: after it has returned, no later caller shares a function that began before it,
// whether the new value is still in memory or not. The value of such a function does not replace
// the new one.
func TestP1_ReadAfterARefreshReturnsNoOlderValue(t *testing.T) {
	needsModes(t)
	for began, begin := range beginners {
		for asks, ask := range beginners {
			t.Run(began+"/"+asks, func(t *testing.T) {
				onStage(t, config{skipIf: true}, func(s *stage) {
					old := s.get(key, begin)
					running := s.call(key)
					if began == "Overwrite" {
						running.returns(1) // it would wait for its turn
					}
					fresh := s.refresh(key)
					s.call(key).returns(3 * 48) // is skipped
					fresh.hasID(3 * 48)
					young := s.get(key, ask)
					s.call(key).returns(2)
					young.hasID(2)
					if began != "Overwrite" {
						running.returns(1)
					}
					old.hasID(1)
					if v, ok, _ := s.Peek(bg, key); ok && v.id == 1 {
						t.Error("memory holds the value fetched before the Refresh")
					}
				})
			})
		}
	}
}

// P2: a fetch writes at most once, and never after it was discarded. An invalidation's result
// stays.
func TestP2_AFetchWritesOnceAndNeverAfterAnInvalidation(t *testing.T) {
	needsModes(t)
	for _, inv := range invalidations {
		for began, begin := range beginners {
			t.Run(inv.name+"/"+began, func(t *testing.T) {
				onStage(t, config{tags: []string{"s"}}, func(s *stage) {
					s.get(key, begin)
					running := s.call(key)
					if err := inv.do(s); err != nil {
						t.Fatal(err)
					}
					left, had, _ := s.Entry(bg, key)
					running.returns(1)
					if e, has, _ := s.Entry(bg, key); has != had || e.Value != left.Value || !e.Created.Equal(left.Created) {
						t.Errorf("%v, %v was there, %v, %v is now", left, had, e, has)
					}
					if st := s.Stats(); st.Stored != 0 {
						t.Errorf("Stored = %d; want 0", st.Stored)
					}
				})
			})
		}
	}
	t.Run("once", func(t *testing.T) {
		onStage(t, config{}, func(s *stage) {
			s.get(key)
			s.call(key).returns(1)
			s.Delete(bg, key)
			time.Sleep(time.Hour)
			s.lacks(key)
			s.counted(zodiac.Stats{Fetched: 1, Stored: 1, Missed: 1})
		})
	})
}

// P4 in memory: a fetched value goes to every caller that joined (ii), also if an invalidation
// discarded it, but then to no caller that came after the invalidation (iii). An error goes to
// every caller that joined (iv).
func TestP4_OutcomeGoesToItsCallers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before := rapid.IntRange(1, 4).Draw(t, "callers before")
		after := rapid.IntRange(0, 3).Draw(t, "callers after")
		// those that leave no value
		inv := rapid.SampledFrom(invalidations[:4]).Draw(t, "invalidation")
		discards, fail := rapid.Bool().Draw(t, "discarded"), rapid.Bool().Draw(t, "fails")
		rapid.SyncTest(t, func(t *rapid.T) {
			s := newStage(t, config{tags: []string{"s"}})
			defer close(s.o.quit)
			old := s.getters(before)
			first := s.call(key)
			if discards {
				inv.do(s)
			}
			young := s.getters(after)
			if discards && after > 0 {
				s.call(key).returns(2)
				all(young, valueOf(2))
			}
			o := valueOf(1)
			if fail {
				o = outcome{kind: gotError, err: errGone}
				first.fails(errGone)
			} else {
				first.returns(1)
			}
			all(old, o)
			if !discards {
				all(young, o)
			}
		})
	})
}

func (s *stage) getters(n int) []*caller {
	var cs []*caller
	for range n {
		cs = append(cs, s.get(key))
	}
	return cs
}

func all(cs []*caller, o outcome) {
	for _, c := range cs {
		c.has(o)
	}
}

// P5: an abandoned fetch is discarded too. A function that all callers have left, or whose time is
// over, stores nothing when it returns. A function that waits for its turn and has lost its callers
// never runs.
func TestP5_AbandonedFetchStoresNothing(t *testing.T) {
	t.Run("abandoned", func(t *testing.T) {
		onStage(t, config{errorTTL: time.Minute}, func(s *stage) {
			c := s.get(key)
			running := s.call(key)
			c.leaves()
			young := s.get(key)
			s.call(key).returns(2)
			young.hasID(2)
			running.returns(1)
			s.holds(key, 2)
			s.counted(zodiac.Stats{Canceled: 1, Fetched: 1, Stored: 1, Discarded: 1, HitMemory: 1})
		})
	})
	t.Run("too slow", func(t *testing.T) {
		onStage(t, config{timeout: time.Second}, func(s *stage) {
			c := s.get(key)
			running := s.call(key)
			time.Sleep(time.Second)
			c.has(outcome{kind: gotTimeout})
			running.returns(1)
			s.lacks(key)
			s.counted(zodiac.Stats{Failed: 1, Discarded: 1, Missed: 1})
		})
	})
	t.Run("never begun", func(t *testing.T) {
		onStage(t, config{}, func(s *stage) {
			first := s.refresh(key)
			running := s.call(key)
			s.refresh(key).leaves()
			running.returns(1)
			first.hasID(1)
			s.calls()
			s.holds(key, 1)
		})
	})
}

// P6: after DeleteTags or Clear no entry fetched or set before is returned, and every other entry
// still is.
func TestP6_DeleteTagsTakesExactlyItsEntries(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := []string{"a", "b", "c", "s"}
		some := func(what string) []string {
			return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return !rapid.Bool().Draw(t, what+n) })
		}
		c := config{tagsFunc: rapid.Bool().Draw(t, "tagsFunc")}
		if rapid.Bool().Draw(t, "static") {
			c.tags = []string{"s"}
		}
		rapid.SyncTest(t, func(t *rapid.T) {
			s, stranger := newStage(t, c), newStage(t, c)
			defer close(s.o.quit)
			stranger.set(0, 7, zodiac.WithTags(names...))
			has := map[int][]string{}
			for k := range 4 {
				tags := some("tag ")
				v := value{id: int64(4 * k)} // k is also what TagsFunc makes of it
				v.id += int64(allTraits)
				s.Set(bg, k, v, zodiac.WithTags(tags...))
				has[k] = slices.Concat(tags, c.tags)
				if c.tagsFunc {
					has[k] = append(has[k], v.tags()...)
				}
			}
			gone := some("delete ")
			if err := s.DeleteTags(bg, gone...); err != nil {
				t.Fatal(err)
			}
			for k, tags := range has {
				hit := slices.ContainsFunc(tags, func(n string) bool { return slices.Contains(gone, n) })
				s.get(k)
				fetches := s.o.take()
				if _, ok, _ := s.Peek(bg, k); ok == hit || (len(fetches) == 1) != hit {
					t.Errorf("after DeleteTags(%v) Peek says %v, and Get fetches %d times, of an entry with tags %v", gone, ok, len(fetches), tags)
				}
			}
			stranger.holds(0, 7) // a loader without a namespace is one of its own
		})
	})
}

// P6: a running fetch is not stored, also if only its result has the tag.
func TestP6_RunningFetchIsNotServed(t *testing.T) {
	tagged := value{id: 4} // WithTagsFunc gives it "a"
	for name, c := range map[string]config{"static": {tags: []string{"a"}}, "from the result": {tagsFunc: true}} {
		t.Run(name, func(t *testing.T) {
			onStage(t, c, func(s *stage) {
				old := s.get(key)
				running := s.call(key)
				s.DeleteTags(bg, "a")
				running.ends(plan{kind: returns, val: tagged})
				old.hasID(4)
				s.lacks(key)
				young := s.get(key)
				s.call(key).ends(plan{kind: returns, val: tagged})
				young.hasID(4)
				s.holds(key, 4) // and what is fetched after is stored again
			})
		})
	}
}

// P9: a discarded fetch stores nothing: no entry, no None and no remembered error. A result that is
// not to be stored does not remove a newer entry either.
func TestP9_DiscardedFetchFillsNothing(t *testing.T) {
	needsModes(t)
	c := config{values: "box", noneIf: true, errorTTL: time.Minute, ttlFunc: true, tags: []string{"s"}}
	plans := map[string]plan{
		"value":      {kind: returns, val: value{id: 1}},
		"nil":        {kind: returns, val: value{nil: true}},
		"no TTL":     {kind: returns, val: value{id: 3}},
		"None":       {kind: fails, err: errNotFound},
		"error":      {kind: fails, err: errors.New("down")},
		"panic":      {kind: panics},
		"Goexit":     {kind: exits},
		"ErrNone":    {kind: fails, err: zodiac.ErrNone},
		"with value": {kind: failsToo, val: value{id: 1}, err: errors.New("down")},
	}
	for _, inv := range invalidations {
		if inv.name == "Add" {
			continue // no numbers
		}
		for what, p := range plans {
			for began, begin := range beginners {
				t.Run(inv.name+"/"+what+"/"+began, func(t *testing.T) {
					onStage(t, c, func(s *stage) { p9(s, inv, p, begin) })
				})
			}
		}
	}
}

func p9(s *stage, inv invalidation, p plan, begin func(context.Context) context.Context) {
	s.get(key, begin)
	running := s.call(key)
	if err := inv.do(s); err != nil {
		s.t.Fatal(err)
	}
	before, had, _ := s.Entry(bg, key)
	running.ends(p)
	after, has, _ := s.Entry(bg, key)
	if had != has || before.Value != after.Value || before.Kind != after.Kind {
		s.t.Errorf("%v, %v was there, %v, %v is now", before, had, after, has)
	}
	if !had { // nothing is remembered: the next Get fetches
		next := s.get(key)
		s.call(key).returns(8)
		next.hasID(8)
	}
}

// A Refresh whose value may not be stored, because a tag was deleted meanwhile, removes the old
// entry, also if that was given a longer life: it is older than the value that the caller has seen.
// An entry that was stored meanwhile stays.
func TestRefreshThatMayNotBeStoredLeavesNothingOlder(t *testing.T) {
	for name, e := range map[string]struct {
		meanwhile func(*stage) error
		left      int64
	}{
		"nothing": {func(*stage) error { return nil }, 0},
		"Touch":   {func(s *stage) error { return only(s.Touch(bg, key)) }, 0},
		"shorter": {func(s *stage) error { return only(s.Touch(bg, key, zodiac.WithTTL(3))) }, 0},
		"forever": {func(s *stage) error { return only(s.Touch(bg, key, zodiac.WithTTL(zodiac.Forever))) }, 0},
		"Set":     {func(s *stage) error { return s.Set(bg, key, value{id: 12}) }, 12},
		"Add":     {func(s *stage) error { return only(s.Add(bg, key, 8)) }, 12},
	} {
		t.Run(name, func(t *testing.T) {
			onStage(t, config{tagsFunc: true, ttl: 10 * time.Second, sliding: true}, func(s *stage) {
				s.set(key, 4) // has tag "a"
				c := s.refresh(key)
				running := s.call(key)
				if err := errors.Join(e.meanwhile(s), s.DeleteTags(bg, "another")); err != nil {
					t.Fatal(err)
				}
				running.returns(8)
				c.hasID(8)
				if v, ok, err := s.Peek(bg, key); v.id != e.left || ok != (e.left != 0) || err != nil {
					t.Errorf("Peek = %v, %v, %v; want %d", v, ok, err, e.left)
				}
			})
		})
	}
}
