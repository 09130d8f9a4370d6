package properties_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac"
	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/memstore"
	"github.com/zodiac-go/zodiac/storetest/chaos"
)

// silent is memory in front of a store without a Bus. The process knows only its own invalidations.
var silent = ground{"silent", 20 * time.Second, false, onMemstore(chaos.Bus)}

// P1, P8: this process's own invalidations remove the entries from its memory with or without a
// Bus.
func TestP8_OwnInvalidationsNeedNoBus(t *testing.T) {
	touch := invalidation{"Touch", 1, func(s *stage) error { return only(s.Touch(bg, key, zodiac.WithTTL(7))) }}
	for _, inv := range append([]invalidation{touch}, invalidations...) {
		t.Run(inv.name, func(t *testing.T) {
			silent.play(t, 1, config{tags: []string{"s"}}, func(p *processes) {
				s := p.all[0]
				if inv.name != "SetIfAbsent" {
					p.stored(1)
				}
				if err := inv.do(s); err != nil {
					t.Fatal(err)
				}
				want := inv.leaves
				switch inv.name {
				case "Add":
					want = 100
				case "Touch":
					if e, _, _ := s.Entry(bg, key); e.Left != 7*time.Second {
						t.Errorf("%v are left; want 7s", e.Left)
					}
				}
				mine := s.get(key)
				if want == 0 {
					s.call(key).returns(2)
					want = 2
				}
				mine.hasID(want)
			})
		})
	}
}

// P9: a value read before an invalidation does not enter memory after it, in this process without a
// Bus, or in another process with one.
func TestP9_ReadThatIsUnderWayFillsNothingAfterAnInvalidation(t *testing.T) {
	reads := map[string]func(s *stage){
		"Peek":    func(s *stage) { s.Peek(bg, key) },
		"Get":     func(s *stage) { s.Get(bg, key) },
		"Entry":   func(s *stage) { s.Entry(bg, key) },
		"GetMany": func(s *stage) { s.GetMany(bg, []int{key, 2}) },
	}
	touch := invalidation{"Touch", 1, func(s *stage) error { return only(s.Touch(bg, key, zodiac.WithTTL(0.1))) }}
	for _, inv := range append([]invalidation{touch}, invalidations...) {
		if inv.name == "SetIfAbsent" {
			continue // an entry is left
		}
		for name, read := range reads {
			for who, without := range []chaos.Ability{chaos.Bus, 0} {
				t.Run(fmt.Sprintf("%s/%s/%d", inv.name, name, who), func(t *testing.T) { fillsNothing(t, inv, read, who, without) })
			}
		}
	}
}

// fillsNothing lets one process read while another, or itself, invalidates.
func fillsNothing(t *testing.T, inv invalidation, read func(*stage), who int, without chaos.Ability) {
	var tap *lateTap
	g := ground{"late", 20 * time.Second, false, func(t *testing.T) (zodiac.Store, func() zodiac.Store) {
		s := memstore.New()
		t.Cleanup(func() { s.Close() })
		return s, func() zodiac.Store {
			if tap != nil {
				return &process{s}
			}
			tap = &lateTap{Store: s}
			return chaos.Without(tap, without)
		}
	}}
	g.play(t, 2, config{tags: []string{"s"}}, func(p *processes) {
		s := p.all[0]
		s.o.ready = func(int) readied { return readied{plan: plan{kind: returns, val: value{id: 2}}} }
		p.all[1].set(key, 1)
		p.all[1].set(2, 1)
		tap.reads.Store(int64(100 * time.Millisecond)) // the replies take this long after the read
		done := make(chan struct{})
		go func() {
			defer close(done)
			read(s)
		}()
		synctest.Wait()
		tap.reads.Store(0)
		if err := inv.do(p.all[who]); err != nil {
			t.Fatal(err)
		}
		<-done
		time.Sleep(time.Millisecond) // a life shortened by Touch has ended
		if v, ok, err := s.Peek(bg, key); ok && v.id == 1 || err != nil {
			t.Errorf("Peek after %s = %v, %v, %v; want no older value", inv.name, v, ok, err)
		}
	})
}

// P1: the store is invalidated first. A reader that comes during that fills memory with a value
// that is removed afterwards.
func TestP1_StoreIsInvalidatedBeforeMemory(t *testing.T) {
	ops := map[string]chaos.Op{
		"Delete": chaos.Delete, "Delete of several": chaos.Delete, "Clear": chaos.Clear, "Set": chaos.Set, "Update": chaos.Commit, "Add": chaos.Commit,
		"DeleteTags": chaos.Set,
	}
	for _, inv := range invalidations {
		op, ok := ops[inv.name]
		if !ok {
			continue
		}
		t.Run(inv.name, func(t *testing.T) {
			silent.play(t, 1, config{tags: []string{"s"}}, func(p *processes) {
				s := p.all[0]
				p.stored(1)
				p.faults[0].Observe(func(c chaos.Call) {
					if c.Op == op {
						s.Peek(bg, key)
					}
				})
				if err := inv.do(s); err != nil {
					t.Fatal(err)
				}
				p.faults[0].Observe(nil)
				p.none(1)
			})
		})
	}
}

// P8: invalidations are published after the store's command, whether or not it was answered: it may
// have been carried out.
func TestP8_PublishFollowsTheCommandWhateverItReturns(t *testing.T) {
	for _, inv := range invalidations {
		if inv.name == "SetNone, gone again" || inv.name == "Add" {
			continue
		}
		for _, lost := range []bool{false, true} {
			if lost && inv.name == "DeleteTags" {
				continue // it stops at the first fault
			}
			t.Run(fmt.Sprintf("%s/%v", inv.name, lost), func(t *testing.T) {
				for _, g := range []ground{grounds[3], silent} {
					g.play(t, 2, config{tags: []string{"s"}}, func(p *processes) {
						a := p.all[0]
						a.set(2, 1) // the tag has a generation
						if inv.name != "SetIfAbsent" {
							p.stored(1)
						}
						var last chaos.Op
						p.faults[0].Observe(func(c chaos.Call) {
							// Abort runs in the background. EnsureMany makes DeleteTags' tags ready for
							// the next fetch.
							if c.Op == chaos.Abort || c.Op == chaos.EnsureMany && last == chaos.Publish {
								return
							}
							// which sets one after another
							if last == chaos.Publish && inv.name != "SetMany" {
								t.Errorf("%s came after Publish", c.Op)
							}
							last = c.Op
						})
						if lost {
							p.faults[0].LoseReply(errGone, chaos.Set, chaos.SetMany, chaos.Add, chaos.Delete, chaos.Clear, chaos.Commit)
						}
						if err := inv.do(a); (err != nil) != lost {
							t.Errorf("%s = %v", inv.name, err)
						}
						p.faults[0].Heal()
						p.faults[0].Observe(nil)
						synctest.Wait()
						asked := p.all
						if g.name == silent.name {
							asked = p.all[:1]
						} else if last != chaos.Publish {
							t.Errorf("the last thing sent was %s; want Publish", last)
						}
						for _, s := range asked {
							mine := s.get(key)
							p.begun(2)
							if r := mine.result(); r.err != nil || r.val.id == 1 {
								t.Errorf("Get after %s = %v", inv.name, r)
							}
						}
					})
				}
			})
		}
	}
}

// A failed Publish is no error where no memory is used, but the Observer is told.
func TestFailedPublishIsReportedWithoutMemory(t *testing.T) {
	var told []error
	seen := observer(func(e zodiac.Event) { told = append(told, e.Err) })
	grounds[0].play(t, 1, config{more: []zodiac.Option{zodiac.WithObserver(seen)}}, func(p *processes) {
		s := p.all[0]
		p.faults[0].Fail(errGone, chaos.Publish)
		s.set(key, 1)
		synctest.Wait() // for the Observer
		if len(told) != 1 {
			t.Errorf("the Observer was told %v; want one fault", told)
		}
		s.holds(key, 1)
	})
}

// P8: a fetched value, too, stays in memory no longer than WithMemory says, and does not enter it
// if it may not be stored.
func TestP8_FetchedValuesAreInMemoryNoLongerThanTheirTime(t *testing.T) {
	const skipped = 3 * 48
	grounds[3].play(t, 2, config{skipIf: true}, func(p *processes) {
		a, b := p.all[0], p.all[1]
		mine := a.get(key)
		a.call(key).returns(1)
		mine.hasID(1)
		p.faults[1].Fail(errGone, chaos.Publish)
		b.Set(bg, key, value{id: 2})
		time.Sleep(p.ground.front - 1)
		a.get(key).hasID(1)
		time.Sleep(time.Nanosecond)
		a.get(key).hasID(2)

		mine = a.get(2)
		a.call(2).returns(skipped)
		mine.hasID(skipped)
		a.lacks(2)

		fresh := a.refresh(key)
		a.call(key).returns(skipped)
		fresh.hasID(skipped)
		a.lacks(key)
	})
}

// P8: Refresh is published. Other processes do not go on serving the value it replaced.
func TestP8_RefreshIsPublished(t *testing.T) {
	for _, g := range grounds[3:] {
		t.Run(g.name, func(t *testing.T) {
			g.play(t, 2, config{}, func(p *processes) {
				p.stored(1)
				fresh := p.all[0].refresh(key)
				p.all[0].call(key).returns(2)
				fresh.hasID(2)
				synctest.Wait()
				for _, s := range p.all {
					s.get(key).hasID(2)
				}
			})
		})
	}
}

// P1: the caller of a discarded Refresh has seen a newer value than the one in memory.
func TestP1_DiscardedRefreshRemovesTheEntryFromMemory(t *testing.T) {
	silent.play(t, 1, config{}, func(p *processes) {
		s := p.all[0]
		p.stored(1)
		fresh := s.refresh(key)
		running := s.call(key)
		p.foreignDelete(entryKey)
		running.returns(2)
		fresh.hasID(2)
		s.lacks(key)
	})
}

// A value that replaces a useless record enters memory at once. The value of a Refresh, which is
// published, is read from the store first.
func TestFetchThatReplacesAUselessRecordFillsMemory(t *testing.T) {
	silent.play(t, 1, config{tags: []string{"s"}}, func(p *processes) {
		s := p.all[0]
		p.stored(1)
		if err := s.DeleteTags(bg, "s"); err != nil {
			t.Fatal(err)
		}
		mine := s.get(key)
		s.call(key).returns(2)
		mine.hasID(2)
		before := s.Stats()
		s.get(key).hasID(2)
		if now := s.Stats(); now.HitMemory != before.HitMemory+1 {
			t.Errorf("Stats() = %+v after %+v; want a hit in memory", now, before)
		}
	})
}

// A result that is not to be stored also removes the useless entry from memory. It is not present
// again if ValidIf changes its answer.
func TestResultThatIsNotStoredTakesTheOldOneOutOfMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		defer store.Close()
		refuse := false
		fetch := func(context.Context, int) (int, error) { return 2, nil }
		l := zodiac.NewLoader(fetch, zodiac.WithName("n"), zodiac.WithTTL(60), zodiac.WithStore(store), zodiac.WithMemory(30),
			zodiac.SkipIf(func(v int) bool { return v == 2 }), zodiac.ValidIf(func(int, zodiac.Entry[int]) bool { return !refuse }))
		defer l.Close(bg)
		l.Peek(bg, 0) // it begins to receive invalidations
		synctest.Wait()
		l.Set(bg, key, 1)
		for _, want := range []int{1, 2} {
			refuse = want == 2
			if v, err := l.Get(bg, key); v != want || err != nil {
				t.Errorf("Get = %d, %v; want %d", v, err, want)
			}
		}
		refuse = false
		if v, ok, err := l.Peek(bg, key); ok || err != nil {
			t.Errorf("Peek = %d, %v, %v; want nothing", v, ok, err)
		}
	})
}

// P8: invalidations find every key in memory, however many there are.
func TestP8_InvalidationsFindEveryKeyInMemory(t *testing.T) {
	const n = 2500
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		opts := zodiac.Options{zodiac.WithName("n"), zodiac.WithTTL(60), zodiac.WithMemory(30)}
		a := zodiac.NewCache[int, int](opts, zodiac.WithStore(&process{store}))
		b := zodiac.NewCache[int, int](opts, zodiac.WithStore(&process{store}))
		a.Peek(bg, 0) // it begins to receive invalidations
		synctest.Wait()
		for k := range n {
			b.Set(bg, k, k)
			a.Peek(bg, k)
			if k%3 == 0 {
				b.Delete(bg, k) // its place in the index is free
			}
		}
		for k := range n {
			b.Delete(bg, k)
		}
		synctest.Wait()
		for k := range n {
			if v, ok, err := a.Peek(bg, k); ok || err != nil {
				t.Fatalf("Peek(%d) = %d, %v, %v; want nothing", k, v, ok, err)
			}
		}
		a.Close(bg)
		b.Close(bg)
	})
}

// A countingBus is a store whose subscriptions the test counts and ends.
type countingBus struct {
	*memstore.Store
	mu      sync.Mutex // guards the fields below
	broken  int        // the number of subscriptions to lose before Subscribe returns
	alive   int
	receive func(driver.Invalidation)
}

func (s *countingBus) Subscribe(ctx context.Context, fn func(driver.Invalidation)) (func(), error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alive++
	ended := func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.alive--
	}
	if s.broken > 0 {
		s.broken--
		fn(driver.Invalidation{Gap: true})
		return ended, nil
	}
	stop, err := s.Store.Subscribe(ctx, fn)
	s.receive = fn
	return func() { stop(); ended() }, err
}

// P8: a subscription that was lost before it was confirmed is not used, and no subscription is left
// at the end.
func TestP8_SubscriptionThatIsLostAtOnceIsNotUsed(t *testing.T) {
	var c *countingBus
	g := ground{"countingBus", 20 * time.Second, false, func(t *testing.T) (zodiac.Store, func() zodiac.Store) {
		s := memstore.New()
		t.Cleanup(func() {
			if c.alive != 0 {
				t.Errorf("%d subscriptions are left after Close", c.alive)
			}
			s.Close()
		})
		c = &countingBus{Store: s, broken: 2}
		return s, func() zodiac.Store { return c }
	}}
	g.play(t, 1, config{}, func(p *processes) {
		s := p.all[0]
		other := zodiac.NewCache[int, int64](zodiac.WithName("subject"), zodiac.WithStore(&process{c.Store}))
		defer other.Close(bg)
		for id := range int64(5) {
			if err := other.Set(bg, key, 10+id); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			s.holds(key, 10+id)
		}
		if n := s.Stats().HitMemory; n != 0 {
			t.Errorf("%d hits in memory while disconnected", n)
		}
		time.Sleep(2 * time.Second)
		s.holds(key, 14)
		s.holds(key, 14)
		if n := s.Stats().HitMemory; n != 1 {
			t.Errorf("%d hits in memory; want 1", n)
		}
		if c.alive != 1 {
			t.Errorf("%d subscriptions; want 1", c.alive)
		}

		// Keys of other forms change nothing.
		c.receive(driver.Invalidation{Keys: []string{"", "k", "subject:1", "xxxxxxxxxxxxxxxxx", "a key that is much longer than ours are"}})
		c.receive(driver.Invalidation{Prefix: "zodiac::other:"})
		s.holds(key, 14)
		if n := s.Stats().HitMemory; n != 2 {
			t.Errorf("%d hits in memory; want 2", n)
		}
		// a namespace, this loader, some of its keys
		for n, prefix := range []string{"zodiac:", "zodiac::subject:", entryKey} {
			c.receive(driver.Invalidation{Prefix: prefix})
			s.holds(key, 14)
			s.holds(key, 14)
			if hits := s.Stats().HitMemory; hits != uint64(3+n) {
				t.Errorf("%d hits in memory after all of %q was invalidated; want %d", hits, prefix, 3+n)
			}
		}
	})
}

// A subscription that is not confirmed in time is tried again, and Close waits for none.
func TestSubscribingThatHangsIsTriedAgainAndEndsWithClose(t *testing.T) {
	for how, fault := range map[string]func(m *chaos.Injector){
		"stalls": func(m *chaos.Injector) { m.Stall(chaos.Subscribe) },
		"fails":  func(m *chaos.Injector) { m.Fail(errGone, chaos.Subscribe) },
	} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := chaos.New(memstore.New())
				fault(m)
				var log strings.Builder
				l := zodiac.NewCache[int, int](zodiac.WithName("n"), zodiac.WithTTL(60), zodiac.WithMemory(30), zodiac.WithStore(m.Store()),
					zodiac.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
				l.Peek(bg, key)
				time.Sleep(10 * time.Second)
				synctest.Wait()
				if !strings.Contains(log.String(), "are not received") {
					t.Errorf("logged %q", log.String())
				}
				if n := m.Calls(chaos.Subscribe); n < 8 || n > 41 {
					t.Errorf("it tried to subscribe %d times within 10 s", n)
				}
				began := time.Now()
				if err := l.Close(bg); err != nil || time.Since(began) != 0 {
					t.Errorf("Close = %v after %v", err, time.Since(began))
				}
			})
		})
	}
}
