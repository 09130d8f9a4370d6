package properties_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac"
	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/memstore"
	"github.com/zodiac-go/zodiac/storetest/chaos"
)

// P1, P2, P4 (iii), P6, P9: an invalidation in one process during a fetch in another. Earlier
// callers get the fetched value. Later callers begin a new round and get a newer value, also if
// they joined the running fetch. No old value is stored.
func TestP1_ReadAfterAnInvalidationInAnotherProcess(t *testing.T) {
	needsModes(t)
	for _, inv := range invalidations {
		for began, begin := range beginners {
			for _, early := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s/%s/%v", inv.name, began, early), func(t *testing.T) {
					onProcesses(t, 2, config{tags: []string{"s"}}, func(p *processes) {
						a, b := p.all[0], p.all[1]
						old := a.get(key, begin)
						running := a.call(key)
						if err := inv.do(b); err != nil {
							t.Fatal(err)
						}
						late, elsewhere := a.get(key), b.get(key)
						if early {
							running.returns(1)
						}
						p.begun(2)
						if !early {
							running.returns(1)
						}
						old.hasID(1)
						for range 3 { // polling callers, and those in a new round
							p.soon()
							p.begun(2)
						}
						for _, young := range []*caller{late, elsewhere} {
							if r := young.result(); r.err != nil || r.val.id != 2 && r.val.id != inv.leaves {
								t.Errorf("%s after %s returned %v; want 2, or %d", young.name, inv.name, r, inv.leaves)
							}
						}
						p.none(1)
						if s := a.Stats(); s.Discarded+s.Uncached == 0 {
							t.Errorf("Stats() = %+v; want one discarded, or stored nothing", s)
						}
					})
				})
			}
		}
	}
}

// P1, at rest: a stored value is not read again once an invalidation in any process has returned,
// with or without memory in front, and once that was received (P8).
func TestP1_StoredValuesAreNotReadAfterAnInvalidation(t *testing.T) {
	for _, inv := range invalidations {
		t.Run(inv.name, func(t *testing.T) {
			onProcesses(t, 3, config{tags: []string{"s"}}, func(p *processes) {
				p.stored(1)
				if inv.name == "SetIfAbsent" {
					only(p.all[0].Delete(bg, key))
				}
				if err := inv.do(p.all[1]); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				p.none(1)
				want := inv.leaves
				if inv.name == "Add" {
					want = 100
				}
				for _, s := range p.all {
					young := s.get(key)
					if want == 0 {
						s.call(key).returns(2)
						want = 2
					}
					young.hasID(want)
				}
			})
		})
	}
}

// P3: a delete by another program discards the running fetch.
func TestP3_ForeignDeleteDiscardsAFetch(t *testing.T) {
	onProcesses(t, 2, config{}, func(p *processes) {
		a, b := p.all[0], p.all[1]
		old := a.get(key)
		running := a.call(key)
		p.foreignDelete(entryKey)
		young := b.get(key)
		b.call(key).returns(2)
		young.hasID(2)
		late := a.get(key)
		running.returns(1)
		old.hasID(1)
		late.hasID(2)
		p.none(1)
		p.counted(0, statsOf("Fetched Discarded HitStore HitStore"))
	})
}

// P3, if the key is present again before the fetch ends.
func TestP3_ForeignDeleteDiscardsAFetchThoughTheKeyIsBack(t *testing.T) {
	onProcesses(t, 3, config{}, func(p *processes) {
		a, b, c := p.all[0], p.all[1], p.all[2]
		old := a.get(key)
		first := a.call(key)
		p.foreignDelete(entryKey)
		young := b.get(key)
		second := b.call(key)
		first.returns(1) // while b has the lease
		old.hasID(1)
		p.none(1)
		third := c.get(key)
		p.soon()
		c.calls() // b's lease lives on
		second.returns(2)
		young.hasID(2)
		p.soon()
		third.hasID(2)
	})
}

// P4 (i): a record found by asking for the lease is for callers that joined before the ask was
// sent. For later ones see TestP4_RecordFoundByAskingIsNotForLaterCallers.
func TestP4_RecordFoundByAskingIsForEarlierCallers(t *testing.T) {
	for _, g := range grounds[:3] {
		t.Run(g.name, func(t *testing.T) {
			g.play(t, 2, config{}, func(p *processes) {
				a, b := p.all[0], p.all[1]
				p.faults[0].Delay(20*time.Millisecond, chaos.Acquire)
				early := a.get(key)
				time.Sleep(10 * time.Millisecond)
				b.set(key, 1) // now a's ask will find it
				time.Sleep(10 * time.Millisecond)
				early.hasID(1)
				a.calls()
			})
		})
	}
}

// P4 (ii): a committed value is for every caller that joined, in any process.
func TestP4_CommittedValueIsForAllJoinedCallers(t *testing.T) {
	onProcesses(t, 3, config{}, func(p *processes) {
		first := p.all[0].get(key)
		running := p.all[0].call(key)
		var others []*caller
		for _, s := range p.all {
			for range 5 {
				time.Sleep(time.Millisecond)
				others = append(others, s.get(key))
			}
		}
		running.returns(1)
		first.hasID(1)
		p.soon()
		all(others, valueOf(1))
		for _, s := range p.all {
			s.calls()
		}
	})
}

// P4 (iv): an error is for every caller that joined. Waiting callers in another process fetch for
// themselves.
func TestP4_ErrorIsForAllJoinedCallers(t *testing.T) {
	onProcesses(t, 2, config{}, func(p *processes) {
		a, b := p.all[0], p.all[1]
		mine := a.getters(5)
		running := a.call(key)
		theirs := b.getters(5)
		running.fails(errGone)
		all(mine, outcome{kind: gotError, err: errGone})
		p.soon()
		b.call(key).fails(errNotFound)
		all(theirs, outcome{kind: gotError, err: errNotFound}) // P18: one fetch for all five
	})
}

// P4 (iv): an error is for every caller, also from a fetch that goes on without the store.
func TestP4_ErrorWithoutTheStoreIsForAllJoinedCallers(t *testing.T) {
	onProcesses(t, 1, config{}, func(p *processes) {
		s := p.all[0]
		p.faults[0].Fail(errGone)
		mine := s.get(key)
		running := s.call(key)
		others := s.getters(3)
		running.fails(errNotFound)
		all(append(others, mine), outcome{kind: gotError, err: errNotFound})
		s.calls()
	})
}

// P4 (iii): a value fetched under NoWrite is for callers under NoWrite that came before it began.
func TestP4_UnwrittenValueIsForEarlierCallers(t *testing.T) {
	needsModes(t)
	onProcesses(t, 2, config{}, func(p *processes) {
		a, b := p.all[0], p.all[1]
		old := a.get(key, underNoWrite)
		running := a.call(key)
		if _, err := b.Delete(bg, key); err != nil {
			t.Fatal(err)
		}
		late := a.get(key, underNoWrite)
		running.returns(1)
		old.hasID(1)
		p.begun(2)
		late.hasID(2)
	})
}

// P4 (iii), P17: while two functions of a key run in a process, no caller begins a third. A caller
// that joins the younger one after an invalidation begins a new round.
func TestP4_DiscardedFetchIsForEarlierCallers(t *testing.T) {
	onProcesses(t, 1, config{}, func(p *processes) {
		s := p.all[0]
		first := s.get(key)
		one := s.call(key)
		s.Delete(bg, key)
		second := s.get(key)
		two := s.call(key)
		s.Delete(bg, key)
		third := s.get(key)
		s.calls()
		two.returns(2)
		second.hasID(2)
		s.call(key).returns(3)
		third.hasID(3)
		one.returns(1)
		first.hasID(1)
		s.holds(key, 3)
	})
}

// P1: a Refresh whose value cannot be stored has shown its caller a newer value than the record,
// which is therefore removed. A Refresh that fails has not, and leaves the record, though the error
// is remembered otherwise.
func TestP1_RefreshRemovesTheRecordItCannotReplace(t *testing.T) {
	large := int64(1) << 60
	for _, g := range append([]ground{guarded[1], silent}, grounds...) {
		t.Run(g.name, func(t *testing.T) {
			g.play(t, 2, config{errorTTL: time.Minute, more: []zodiac.Option{zodiac.WithMaxBytes(50)}}, func(p *processes) {
				a := p.all[0]
				p.stored(1)
				fresh := a.refresh(key)
				a.call(key).fails(errGone)
				fresh.has(outcome{kind: gotError, err: errGone})
				synctest.Wait()
				for _, s := range p.all {
					s.get(key).hasID(1)
				}
				fresh = a.refresh(key)
				a.call(key).returns(large)
				fresh.hasID(large)
				if g.name == silent.name {
					time.Sleep(time.Second) // the other process did not receive it
				}
				synctest.Wait()
				for _, s := range p.all {
					s.lacks(key)
				}
			})
		})
	}
}

// P7: entries whose tag has lost its generation are useless.
func TestP7_LostGenerationInvalidates(t *testing.T) {
	for _, g := range grounds[:3] {
		t.Run(g.name, func(t *testing.T) {
			g.play(t, 2, config{tags: []string{"s"}}, func(p *processes) {
				p.stored(1)
				p.foreignDelete("zodiac::%tag:subject:s")
				p.none(1)
				c := p.all[1].get(key)
				p.all[1].call(key).returns(2)
				c.hasID(2)
				p.all[0].get(key).hasID(2)
				if n := p.all[0].Stats().Invalid + p.all[1].Stats().Invalid; n == 0 {
					t.Error("nothing was counted as Invalid")
				}
			})
		})
	}
}

// P8: memory in front of a store whose invalidations are lost serves an entry no longer than
// WithMemory says.
func TestP8_MemoryInFrontServesNoLongerThanItsTime(t *testing.T) {
	for _, g := range grounds[3:] {
		t.Run(g.name, func(t *testing.T) {
			g.play(t, 2, config{}, func(p *processes) {
				a, b := p.all[0], p.all[1]
				p.stored(1)
				p.faults[1].Fail(errGone, chaos.Publish)
				if err := b.Set(bg, key, value{id: 2}); err == nil {
					t.Error("Set returned nil though its invalidation was not published")
				}
				b.get(key).hasID(2)
				a.get(key).hasID(1) // it did not receive that
				time.Sleep(g.front)
				a.get(key).hasID(2)
			})
		})
	}
}

// P8: a process that is disconnected does not use its memory. It uses it again after it has
// connected.
func TestP8_MemoryIsNotUsedWhileDisconnected(t *testing.T) {
	for _, g := range grounds[3:] {
		t.Run(g.name, func(t *testing.T) {
			g.play(t, 2, config{}, func(p *processes) {
				a, b := p.all[0], p.all[1]
				p.stored(1)
				p.faults[0].Fail(errGone, chaos.Subscribe)
				p.faults[0].Cut()
				synctest.Wait()
				b.set(key, 2)
				a.get(key).hasID(2)
				b.set(key, 3)
				a.get(key).hasID(3)
				hits := a.Stats().HitMemory
				p.faults[0].Heal()
				time.Sleep(time.Second)
				a.get(key).hasID(3)
				a.get(key).hasID(3)
				if s := a.Stats(); s.HitMemory != hits+1 {
					t.Errorf("%d hits in memory after it has connected again; want 1", s.HitMemory-hits)
				}
				b.set(key, 4)
				synctest.Wait()
				a.get(key).hasID(4)
			})
		})
	}
}

// lateStore is a store whose replies to Get are late while it is held.
type lateStore struct {
	*memstore.Store
	held atomic.Pointer[chan struct{}]
}

func (s *lateStore) Get(ctx context.Context, key string) (driver.Record, error) {
	r, err := s.Store.Get(ctx, key)
	if held := s.held.Load(); held != nil {
		<-*held
	}
	return r, err
}

// P9: a value read from the store before an invalidation, in any process, does not enter memory
// after it.
func TestP9_ReadBeforeAnInvalidationFillsNothing(t *testing.T) {
	for name, invalidate := range map[string]func(l *zodiac.Cache[int, int]) error{
		"Delete": func(l *zodiac.Cache[int, int]) error { return only(l.Delete(bg, key)) },
		"Set":    func(l *zodiac.Cache[int, int]) error { return l.Set(bg, key, 2) },
		"Clear":  func(l *zodiac.Cache[int, int]) error { return only(l.Clear(bg)) },
		"Update": func(l *zodiac.Cache[int, int]) error { return only(zodiac.Add(bg, l, key, 1)) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				late := &lateStore{Store: memstore.New()}
				opts := zodiac.Options{zodiac.WithName("n"), zodiac.WithTTL(60), zodiac.WithMemory(30)}
				a := zodiac.NewCache[int, int](opts, zodiac.WithStore(late))
				b := zodiac.NewCache[int, int](opts, zodiac.WithStore(&lateStore{Store: late.Store}))
				a.Peek(bg, key) // a receives b's invalidations from now on
				synctest.Wait()
				if err := b.Set(bg, key, 1); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()

				held := make(chan struct{})
				late.held.Store(&held)
				var wg sync.WaitGroup
				wg.Go(func() {
					if v, ok, err := a.Peek(bg, key); v != 1 || !ok || err != nil {
						t.Errorf("Peek from before = %d, %v, %v; want the value read", v, ok, err)
					}
				})
				synctest.Wait()
				if err := invalidate(b); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				late.held.Store(nil)
				close(held)
				wg.Wait()
				if v, ok, err := a.Peek(bg, key); ok && v == 1 || err != nil {
					t.Errorf("Peek from after = %d, %v, %v; want no older value", v, ok, err)
				}
				for _, c := range []*zodiac.Cache[int, int]{a, b} {
					if err := c.Close(bg); err != nil {
						t.Error(err)
					}
				}
			})
		})
	}
}
