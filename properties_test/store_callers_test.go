package properties_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac"
	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/memstore"
	"github.com/zodiac-go/zodiac/storetest/chaos"
)

// P14, P18, P19, P20: however a fetch ends, waiting callers in another process go on at once, or
// with the next poll.
func TestP14_WaitersGoOnAtOnce(t *testing.T) {
	for name, of := range map[string]struct {
		end   func(p *processes, running *call, mine *caller)
		value int64 // the value that waiting callers find; 0 if they fetch
	}{
		"commit": {func(_ *processes, c *call, mine *caller) { c.returns(1); mine.hasID(1) }, 1},
		"error": {func(_ *processes, c *call, mine *caller) {
			c.fails(errGone)
			mine.has(outcome{kind: gotError, err: errGone})
		}, 0},
		"panic": {func(_ *processes, c *call, mine *caller) {
			c.ends(plan{kind: panics})
			mine.has(outcome{kind: gotPanic})
		}, 0},
		"exit": {func(_ *processes, c *call, mine *caller) { c.ends(plan{kind: exits}); mine.has(outcome{kind: gotExit}) }, 0},
		// though the function runs on
		"left": {func(_ *processes, _ *call, mine *caller) { mine.leaves() }, 0},
		"Delete": {func(p *processes, _ *call, _ *caller) {
			only(p.all[2].Delete(bg, key))
		}, 0},
		"Set": {func(p *processes, _ *call, _ *caller) { p.all[2].set(key, 7) }, 7},
		"Close": {func(p *processes, _ *call, mine *caller) {
			ctx, cancel := context.WithCancel(bg)
			cancel()
			p.all[0].Close(ctx)
			mine.has(outcome{kind: gotError, err: zodiac.ErrClosed})
			p.closed = true
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			onProcesses(t, 3, config{}, func(p *processes) {
				a, b := p.all[0], p.all[1]
				mine := a.get(key)
				running := a.call(key)
				time.Sleep(700 * time.Millisecond) // the lease was renewed
				theirs := b.getters(3)
				b.calls()
				began := time.Now()
				of.end(p, running, mine)
				p.soon()
				if of.value == 0 {
					b.call(key).returns(9)
					all(theirs, valueOf(9))
				} else {
					all(theirs, valueOf(of.value))
				}
				if d := time.Since(began); d > 50*time.Millisecond || d > 0 && !p.ground.polls {
					t.Errorf("they went on after %v", d)
				}
				if name == "left" || name == "Delete" || name == "Set" {
					running.returns(1)
				}
				if name != "commit" {
					p.none(1)
				}
			})
		})
	}
}

// P14: if wake-ups are lost, or the store has none, callers go on with the next poll.
func TestP14_LostWakeUpsCostAPoll(t *testing.T) {
	onProcesses(t, 2, config{}, func(p *processes) {
		a, b := p.all[0], p.all[1]
		p.faults[1].Fail(errGone, chaos.Wake)
		mine := a.get(key)
		running := a.call(key)
		theirs := b.get(key)
		time.Sleep(3 * time.Second)
		theirs.waits()
		running.returns(1)
		mine.hasID(1)
		time.Sleep(50 * time.Millisecond)
		theirs.hasID(1)
	})
}

// P15: a killed process is replaced when its lease ends: two seconds after the last renewal, or one
// second if it never renewed.
func TestP15_KilledHolderIsReplaced(t *testing.T) {
	for _, lived := range []time.Duration{0, 100 * time.Millisecond, time.Second, 10 * time.Second} {
		t.Run(fmt.Sprint(lived), func(t *testing.T) {
			onProcesses(t, 2, config{more: []zodiac.Option{zodiac.WithWait(60, zodiac.ThenFail)}}, func(p *processes) {
				a, b := p.all[0], p.all[1]
				a.get(key)
				a.call(key)
				time.Sleep(lived)
				p.faults[0].Stall() // its commands do not arrive any more
				killed := time.Now()
				theirs := b.get(key)
				for b.o.waiting() == 0 && time.Since(killed) < 10*time.Second {
					time.Sleep(time.Millisecond)
					synctest.Wait()
				}
				if d := time.Since(killed); d > 2*time.Second+51*time.Millisecond || lived == 0 && d > time.Second+51*time.Millisecond {
					t.Errorf("replaced after %v", d)
				}
				b.call(key).returns(2)
				theirs.hasID(2)
				p.begun(1) // the function of the killed process
				p.none(1)
			})
		})
	}
}

// P15: a process that was stopped for longer than its lease stores nothing when it goes on.
func TestP15_HolderThatComesBackStoresNothing(t *testing.T) {
	onProcesses(t, 2, config{more: []zodiac.Option{zodiac.WithWait(60, zodiac.ThenFail)}}, func(p *processes) {
		a, b := p.all[0], p.all[1]
		mine := a.get(key)
		running := a.call(key)
		p.faults[0].Stall()
		theirs := b.get(key)
		time.Sleep(1050 * time.Millisecond)
		second := b.call(key)
		p.faults[0].Heal()
		running.returns(1)
		mine.hasID(1)
		p.none(1)
		second.returns(2)
		theirs.hasID(2)
		b.get(key).hasID(2)
	})
}

// P19: canceled callers in one process disturb none in another. P20: a panic leaves nothing behind.
func TestP19_LeavingDisturbsNobody(t *testing.T) {
	onProcesses(t, 2, config{}, func(p *processes) {
		a, b := p.all[0], p.all[1]
		first, second := a.get(key), a.get(key)
		running := a.call(key)
		theirs, others := b.get(key), b.get(key)
		first.leaves()
		others.leaves()
		if running.told() {
			t.Error("the function was told to stop, and somebody waits for it")
		}
		running.returns(1)
		second.hasID(1)
		p.soon()
		theirs.hasID(1)
	})
}

// P21: over a store without memory no two callers share a value, and the store shares none with
// them. The callers overwrite theirs.
func TestP21_CallersOverAStoreHaveTheirOwnCopies(t *testing.T) {
	for _, g := range grounds[:3] {
		t.Run(g.name, func(t *testing.T) {
			g.play(t, 2, config{values: "box"}, func(p *processes) {
				cs := p.all[0].getters(5)
				running := p.all[0].call(key)
				cs = append(cs, p.all[1].getters(5)...)
				running.returns(1)
				p.soon()
				all(cs, valueOf(1))
				for _, s := range p.all {
					all(s.getters(3), valueOf(1))
					s.holds(key, 1)
				}
				v, err := p.all[0].GetMany(bg, []int{key, key})
				if v[key].id != 1 || err != nil {
					t.Errorf("GetMany = %v, %v", v, err)
				}
			})
		})
	}
}

// P21, with memory in front of the store: there WithClone separates the callers.
func TestP21_ClonesInFrontOfAStore(t *testing.T) {
	for _, g := range grounds[3:] {
		t.Run(g.name, func(t *testing.T) {
			g.play(t, 2, config{values: "box", clone: true}, func(p *processes) {
				cs := p.all[0].getters(5)
				running := p.all[0].call(key)
				cs = append(cs, p.all[1].getters(5)...)
				running.returns(1)
				all(cs, valueOf(1))
				for _, s := range p.all {
					all(s.getters(3), valueOf(1))
					s.holds(key, 1)
				}
			})
		})
	}
}

// P22: absent, nil, zero and None are different over a store, and with memory in front of it.
func TestP22_KindsThroughAStore(t *testing.T) {
	for _, front := range []zodiac.Options{nil, {zodiac.WithMemory(60)}} {
		t.Run(fmt.Sprint(len(front)), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opts := zodiac.Options{zodiac.WithName("x"), zodiac.WithStore(memstore.New()), front}
				p22over(t, opts, 0, 1)
				p22over(t, opts, []int(nil), []int{1})
				p22over(t, opts, map[string]int(nil), map[string]int{"a": 1})
				p22over(t, opts, nil, new(int))
				p22over[any](t, opts, nil, "", "x", false, true)
			})
		})
	}
}

func p22over[V any](t *testing.T, opts zodiac.Options, values ...V) {
	t.Helper()
	l := p22(t, opts, values...)
	if err := l.Close(bg); err != nil {
		t.Fatal(err)
	}
}

// P26: bytes under a key that are no record of this loader are a miss. They are counted, and
// replaced by a fetched value.
func TestP26_ForeignBytesAreReplaced(t *testing.T) {
	for _, g := range grounds {
		t.Run(g.name, func(t *testing.T) {
			g.play(t, 2, config{ttl: 30 * time.Second}, func(p *processes) {
				a, b := p.all[0], p.all[1]
				a.set(key, 5)
				good, err := p.store.Get(bg, entryKey)
				if err != nil {
					t.Fatal(err)
				}
				a.o.ready = func(int) readied { return readied{plan: plan{kind: returns, val: value{id: 6}}} }
				want := a.Stats().Corrupt
				for n := range len(good.Data) + 1 {
					bad := append([]byte(nil), good.Data[:n]...)
					if n == len(good.Data) {
						bad[n/2] ^= 1
					}
					a.Delete(bg, key)
					if err := p.store.Set(bg, entryKey, driver.Record{Data: bad, TTL: zodiac.Forever}); err != nil {
						t.Fatal(err)
					}
					if v, err := a.Get(bg, key); v.id != 6 || err != nil {
						t.Fatalf("Get over the first %d bytes of a record = %v, %v", n, v, err)
					}
					want++
					if got := a.Stats().Corrupt; got != want {
						t.Fatalf("%d records counted as Corrupt; want %d", got, want)
					}
					b.get(key).hasID(6)
				}
			})
		})
	}
}

// P29: after Close has given up, nothing is written under the loader's name, no key is leased, and
// nothing runs on.
func TestP29_CloseLeavesNoLeaseAndNoWrite(t *testing.T) {
	onProcesses(t, 2, config{}, func(p *processes) {
		a, b := p.all[0], p.all[1]
		p.closed = true
		mine, other := a.get(key), a.get(2)
		calls := a.calls(key, 2)
		waiting := b.get(key)
		ctx, cancel := context.WithTimeout(bg, time.Second)
		defer cancel()
		if err := a.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close = %v", err)
		}
		mine.has(outcome{kind: gotError, err: zodiac.ErrClosed})
		other.has(outcome{kind: gotError, err: zodiac.ErrClosed})
		p.soon()
		b.call(key).returns(2)
		waiting.hasID(2)
		before := ops(p.faults[0])
		for _, c := range calls {
			c.returns(1)
		}
		time.Sleep(10 * time.Second)
		if sent := since(before, ops(p.faults[0])); sent != "" {
			t.Errorf("after Close it sent %q", sent)
		}
		p.none(1)
	})
}

// P29: a Close that gave up used to leave the leases of its fetches behind, since the commands that
// give them back were refused as new ones.
func TestP29_CloseThatGivesUpFreesItsLeases(t *testing.T) {
	onProcesses(t, 2, config{}, func(p *processes) {
		a, b := p.all[0], p.all[1]
		p.closed = true
		mine := a.get(key)
		a.givesUp()
		mine.has(outcome{kind: gotError, err: zodiac.ErrClosed})
		theirs := b.get(key)
		b.call(key).returns(2)
		theirs.hasID(2)
		p.begun(1)
		p.none(1)
	})
}

// P29: Close gives up while the answer to an ask is under way. The answer arrives afterwards, or
// never.
func TestP29_CloseThatGivesUpFreesTheLeaseItAsksFor(t *testing.T) {
	for name, ignoresEnd := range map[string]bool{"arrives": true, "never": false} {
		t.Run(name, func(t *testing.T) {
			onTapped(t, 2, config{}, func(p *processes, taps []*tapped) {
				a, b := p.all[0], p.all[1]
				p.closed = true
				taps[0].replies(chaos.Acquire, 100*time.Millisecond)
				taps[0].ignoresEnd = ignoresEnd
				mine := a.get(key)
				a.givesUp()
				mine.has(outcome{kind: gotError, err: zodiac.ErrClosed})
				time.Sleep(100 * time.Millisecond)
				theirs := b.get(key)
				b.call(key).returns(2)
				theirs.hasID(2)
				a.calls()
			})
		})
	}
}

// givesUp is a Close that does not wait.
func (s *stage) givesUp() {
	s.t.Helper()
	ctx, cancel := context.WithCancel(bg)
	cancel()
	if err := s.Close(ctx); !errors.Is(err, context.Canceled) {
		s.t.Errorf("Close() = %v", err)
	}
}
