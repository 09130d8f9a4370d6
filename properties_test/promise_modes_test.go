package properties_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/zodiac-go/zodiac"
	"pgregory.net/rapid"
)

// P25: the effect of each of the sixteen modes follows from its three rights, whether the entry is
// present, absent or being fetched.
func TestP25_ModesFollowFromThreeRights(t *testing.T) {
	needsModes(t)
	for bits := range 16 {
		for _, state := range []string{"present", "absent", "running"} {
			for _, op := range []string{"Get", "GetOrFetch", "GetMany", "Refresh"} {
				t.Run(fmt.Sprintf("%s%s/%s", op, modeName(modeOf(bits)), state), func(t *testing.T) {
					onStage(t, config{}, func(s *stage) { p25(s, op, modeOf(bits), state) })
				})
			}
		}
	}
}

// An effect is the effect of a call: its result, its cost, and the entry it leaves.
type effect struct {
	result outcome
	calls  int   // of the function, beside the one that runs
	waits  bool  // for the one that runs
	leaves int64 // in memory, at the end; 0 is nothing
}

// effectOf derives the effect from the rights. Memory has 1, the running fetch returns 2, a new one
// 3.
func effectOf(read, write, fetch bool, state string) effect {
	before := map[string]int64{"present": 1, "running": 2}[state]
	switch {
	case read && state == "present": // use the entry
		return effect{result: valueOf(1), leaves: 1}
	case !fetch: // a miss, without a wait
		return effect{result: outcome{kind: gotMiss}, leaves: before}
	case read && state == "running": // share it
		return effect{result: valueOf(2), waits: true, leaves: 2}
	case write: // the new value is stored, or replaces the old one
		return effect{result: valueOf(3), calls: 1, leaves: 3}
	default: // the new value is for this caller alone
		return effect{result: valueOf(3), calls: 1, leaves: before}
	}
}

func p25(s *stage, op string, mode zodiac.Mode, state string) {
	want := effectOf(!mode.NoRead && op != "Refresh", !mode.NoWrite, !mode.NoFetch, state)
	var running *call
	switch state {
	case "present":
		s.set(key, 1)
	case "running":
		s.get(key)
		running = s.call(key)
	}
	c := s.begin(op, func(ctx context.Context) result { return s.do(zodiac.WithMode(ctx, mode), op) })
	calls := s.o.take()
	if len(calls) != want.calls {
		s.t.Fatalf("%d functions begun; want %d", len(calls), want.calls)
	}
	for _, call := range calls {
		c.waits()
		call.returns(3)
	}
	if want.waits {
		c.waits()
		running.returns(2)
	}
	c.has(want.result)
	if running != nil && !want.waits {
		running.returns(2)
	}
	if v, ok, _ := s.Peek(bg, key); v.id != want.leaves || ok != (want.leaves != 0) {
		s.t.Errorf("memory is left with %v, %v; want %v", v, ok, want.leaves)
	}
}

// do makes a call that modes govern. It returns a GetMany's result as a Get's.
func (s *stage) do(ctx context.Context, op string) result {
	switch op {
	case "GetOrFetch":
		v, err := s.GetOrFetch(ctx, key, "")
		return result{val: v, err: err}
	case "Refresh":
		v, err := s.Refresh(ctx, key)
		return result{val: v, err: err}
	case "GetMany":
		vs, err := s.GetMany(ctx, []int{key, key})
		v, ok := vs[key]
		if !ok && err == nil {
			err = zodiac.ErrMiss
		}
		return result{val: v, err: err}
	}
	v, err := s.Get(ctx, key)
	return result{val: v, err: err}
}

// P25: every other method does the same in any mode.
func TestP25_OtherMethodsDoNotCareForModes(t *testing.T) {
	needsModes(t)
	for bits := range 16 {
		onStage(t, config{tags: []string{"s"}}, func(s *stage) {
			ctx := zodiac.WithMode(bg, modeOf(bits))
			must := func(err error) {
				t.Helper()
				if err != nil {
					t.Errorf("%v: %v", modeName(modeOf(bits)), err)
				}
			}
			must(s.Set(ctx, 0, value{id: 1}))
			s.holds(0, 1)
			if v, ok, err := s.Peek(ctx, 0); v.id != 1 || !ok || err != nil {
				t.Errorf("Peek = %v, %v, %v", v, ok, err)
			}
			if absent, _ := s.SetIfAbsent(ctx, 0, value{id: 2}); absent {
				t.Error("SetIfAbsent says absent")
			}
			if v, _ := s.Add(ctx, 0, 4); v.id != 5 {
				t.Errorf("Add = %v; want 5", v)
			}
			must(s.DeleteTags(ctx, "s"))
			s.lacks(0)
			must(s.SetNone(ctx, 0))
			if n, _ := s.Delete(ctx, 0); n != 1 {
				t.Errorf("Delete = %d; want 1", n)
			}
			s.begin("Fetch", func(context.Context) result { return result{err: only(s.Fetch(ctx, 0))} })
			s.call(0).returns(1)
			s.lacks(0)
		})
	}
}

// P25, NoWrite: it joins any flight. Only callers under NoWrite join a flight that it begins. A
// plain Get beside it begins its own flight, and from then on all callers join that one.
func TestP25_NoWriteIsSharedOnlyWithItsLike(t *testing.T) {
	needsModes(t)
	onStage(t, config{}, func(s *stage) {
		first := s.get(key, underNoWrite)
		aside := s.call(key)
		second := s.get(key, underNoWrite)
		plainly := s.get(key)
		open := s.call(key)
		third := s.get(key, underNoWrite)
		s.calls()
		aside.returns(1)
		first.hasID(1)
		second.hasID(1)
		s.lacks(key)
		open.returns(2)
		plainly.hasID(2)
		third.hasID(2)
		s.holds(key, 2)
		s.counted(zodiac.Stats{Fetched: 2, Shared: 2, Stored: 1, Uncached: 1, HitMemory: 1, Missed: 1})
	})
}

// P25, Overwrite: if it fails the old entry stays. If the result is not to be stored the old entry
// is removed.
func TestP25_OverwriteThatStoresNothing(t *testing.T) {
	needsModes(t)
	c := config{values: "box", ttlFunc: true, noneIf: true, skipIf: true}
	for name, e := range map[string]struct {
		plan plan
		left bool
	}{
		"error":   {plan{kind: fails, err: errors.New("down")}, true},
		"panic":   {plan{kind: panics}, true},
		"skipped": {plan{kind: returns, val: value{id: 3 * 48}}, false},
		"no TTL":  {plan{kind: returns, val: value{id: 3}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			onStage(t, c, func(s *stage) {
				s.set(key, 1)
				s.get(key, underOverwrite)
				running := s.call(key)
				s.holds(key, 1) // readable meanwhile
				running.ends(e.plan)
				if _, ok, _ := s.Peek(bg, key); ok != e.left {
					t.Errorf("the old entry is there: %v; want %v", ok, e.left)
				}
			})
		})
	}
}

// P25: a mode is for the loader that is called, not for loaders that its fetch calls. A mode aimed
// at loaders is for those, at any depth, and no others. A Nested mode is for all. Nested modes
// combine by AND. A fetch sees no flags otherwise, on any goroutine.
func TestP25_ModesReachTheLoadersTheyAreFor(t *testing.T) {
	needsModes(t)
	const depth = 3
	rapid.Check(t, func(t *rapid.T) {
		var rules []rule
		for range rapid.IntRange(0, 3).Draw(t, "rules") {
			rules = append(rules, drawRule(t, depth))
		}
		cached := rapid.IntRange(0, 1<<depth-1).Draw(t, "cached")
		rapid.SyncTest(t, func(t *rapid.T) {
			ls, targets := chain(depth)
			ctx := bg
			for _, r := range rules {
				ctx = r.put(ctx, targets)
			}
			for i, l := range ls {
				if cached>>i&1 == 1 {
					l.Set(bg, 0, -1)
				}
			}
			before := stats(ls)
			ls[0].Get(ctx, 0)
			for i, want := range reach(rules, depth, cached) {
				got := effectName(before[i], ls[i].Stats())
				if got != want {
					t.Errorf("loader %d of %d: %s; want %s", i, depth, got, want)
				}
			}
		})
	})
}

// chain returns loaders each of whose functions asks the next one.
func chain(n int) (ls []*zodiac.Loader[int, int], targets []zodiac.Target) {
	for i := range n {
		l := zodiac.NewLoader(func(ctx context.Context, k int) (int, error) {
			if i+1 < n {
				return ls[i+1].Get(ctx, k)
			}
			return 1, nil
		})
		ls, targets = append(ls, l), append(targets, l)
	}
	return ls, targets
}

func stats(ls []*zodiac.Loader[int, int]) []zodiac.Stats {
	var all []zodiac.Stats
	for _, l := range ls {
		all = append(all, l.Stats())
	}
	return all
}

// effectName names the effect of one Get on a loader, from its counters.
func effectName(before, after zodiac.Stats) string {
	switch {
	case after.Gets == before.Gets:
		return "untouched"
	case after.Bypassed > before.Bypassed:
		return "bypassed"
	case after.Missed > before.Missed:
		return "missed"
	case after.HitMemory > before.HitMemory:
		return "hit"
	case after.Stored > before.Stored:
		return "fetched, stored"
	case after.Uncached > before.Uncached:
		return "fetched"
	case after.FetchErrors > before.FetchErrors:
		return "fetched, failed"
	}
	return fmt.Sprintf("%+v", after)
}

// reach returns the effect on each loader of a chain.
func reach(rules []rule, depth, cached int) []string {
	effects := make([]string, depth)
	for i := range effects {
		effects[i] = "untouched"
	}
	for i := range effects {
		var m zodiac.Mode
		for _, r := range rules {
			if r.hits(i, i) {
				m = and(m, r.mode)
			}
		}
		if done := reachOne(effects, i, m, cached>>i&1 == 1); done {
			break
		}
	}
	return effects
}

// reachOne is one loader. done reports that it does not ask the next one. If that one will miss,
// this one's fetch fails.
func reachOne(effects []string, i int, m zodiac.Mode, cached bool) (done bool) {
	switch {
	case !m.NoRead && cached:
		effects[i] = "hit"
		return true
	case m.NoFetch:
		effects[i] = "missed"
		for j := range i {
			if effects[j] != "bypassed" {
				effects[j] = "fetched, failed"
			}
		}
		return true
	case m.NoRead && m.NoWrite:
		effects[i] = "bypassed"
	case m.NoWrite:
		effects[i] = "fetched"
	default:
		effects[i] = "fetched, stored"
	}
	return false
}

// P25: CollectStats counts the calls made under its context, including the calls by their
// functions. Nested collectors both count, others do not.
func TestP25_CollectStatsCountsItsCalls(t *testing.T) {
	needsModes(t)
	ls, _ := chain(2)
	outer, outerStats := zodiac.CollectStats(bg)
	inner, innerStats := zodiac.CollectStats(outer)
	ls[0].Get(bg, 1)
	ls[0].Get(outer, 1)
	ls[0].Get(inner, 2)
	ls[1].Get(zodiac.ReadOnly(inner), 3)
	want := sum(zodiac.Stats{Fetched: 2, Stored: 2, Missed: 1})
	if got := innerStats(); got != want {
		t.Errorf("inner\n got %+v\nwant %+v", got, want)
	}
	want.HitMemory, want.Gets = 1, 4
	if got := outerStats(); got != want {
		t.Errorf("outer\n got %+v\nwant %+v", got, want)
	}
}

// P25: rules for loaders within do not leak through shared fetches. A caller whose rules make them
// fetch anew shares no fetch that began before, or under other rules. Rules that keep them from
// fetching give the miss to no other caller.
func TestP25_RulesForLoadersWithinDoNotLeak(t *testing.T) {
	needsModes(t)
	inner := zodiac.NewCache[int, int]()
	overwrite := func(ctx context.Context) context.Context { return zodiac.Overwrite(ctx, inner) }
	readOnly := func(ctx context.Context) context.Context { return zodiac.ReadOnly(ctx, inner) }
	t.Run("fetch anew", func(t *testing.T) {
		onStage(t, config{}, func(s *stage) {
			plainly := s.get(key)
			old := s.call(key)
			picky := s.get(key, overwrite)
			anew := s.call(key)
			alike := s.get(key, overwrite) // waits for its turn: the one that runs began before
			alikeToo := s.get(key, overwrite)
			joins := s.get(key)
			s.calls()
			old.returns(1)
			plainly.hasID(1)
			s.lacks(key)
			anew.returns(2)
			picky.hasID(2)
			joins.hasID(2)
			s.call(key).returns(3)
			alike.hasID(3)
			alikeToo.hasID(3)
			s.holds(key, 3)
			if c := s.get(key, overwrite); s.Stats().Fetches != 3 {
				t.Error("the cached value is not returned")
			} else {
				c.hasID(3)
			}
		})
	})
	t.Run("the miss", func(t *testing.T) {
		onStage(t, config{errorTTL: time.Minute}, func(s *stage) {
			first := s.get(key, readOnly)
			running := s.call(key)
			others := s.getters(3)
			s.calls()
			running.fails(zodiac.ErrMiss)
			first.has(outcome{kind: gotError, err: zodiac.ErrMiss})
			for _, c := range others {
				c.waits()
			}
			s.call(key).returns(2)
			all(others, valueOf(2))
			s.counted(zodiac.Stats{Failed: 1, Fetched: 1, Shared: 2, FetchErrors: 1, Stored: 1})
		})
	})
}

// P25 and P10: one function runs and one waits, however many callers overwrite by a mode aimed at
// the loader they call.
func TestP25_AimedOverwriteIsNoStampede(t *testing.T) {
	needsModes(t)
	onStage(t, config{}, func(s *stage) {
		aimed := func(ctx context.Context) context.Context { return zodiac.Overwrite(ctx, s.Target()) }
		first := s.get(key, aimed)
		running := s.call(key)
		var later []*caller
		for range 20 {
			later = append(later, s.get(key, aimed))
		}
		s.calls()
		running.returns(1)
		first.hasID(1)
		s.call(key).returns(2)
		all(later, valueOf(2))
		s.calls()
	})
}
