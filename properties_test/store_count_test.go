package properties_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac"
	"github.com/zodiac-go/zodiac/storetest/chaos"
	"pgregory.net/rapid"
)

// P10: one function at a time runs for a key in all processes, apart from those that invalidations
// and departures permit. At the end every Get was counted once (P30), and no key is leased (P19):
// the next Get in any process fetches at once.
func TestP10_OneFetchAtATimeForAKeyInAllProcesses(t *testing.T) {
	type step struct {
		who, after, key, patience int
		op                        string
	}
	ops := []string{"Get", "Get", "Get", "Get", "GetOrFetch", "GetMany", "Delete", "Set"}
	steps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
		return step{
			who: rapid.IntRange(0, 2).Draw(t, "process"), after: rapid.IntRange(1, 9).Draw(t, "after"), key: rapid.IntRange(0, 1).Draw(t, "key"),
			patience: rapid.SampledFrom([]int{1000, 1000, 3, 17}).Draw(t, "patience"), op: rapid.SampledFrom(ops).Draw(t, "op"),
		}
	}), 1, 30)
	for _, g := range []ground{grounds[0], grounds[2], grounds[3]} {
		t.Run(g.name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				steps, takes := steps.Draw(rt, "steps"), rapid.IntRange(1, 30).Draw(rt, "a fetch takes")
				wrong := ""
				defer func() {
					if wrong != "" {
						rt.Fatal(wrong)
					}
				}()
				synctest.Test(t, func(t *testing.T) {
					w := &watch{running: map[int]int{}, allowed: map[int]int{}, takes: time.Duration(takes)*time.Millisecond + 500*time.Microsecond}
					_, open := g.shared(t)
					var ls []*zodiac.Loader[int, int]
					for range 3 {
						m := chaos.New(open())
						opts := zodiac.Options{zodiac.WithName("w"), zodiac.WithStore(m.Store()), zodiac.WithTTL(60)}
						if g.front != 0 {
							opts = append(opts, zodiac.WithMemory(5))
						}
						ls = append(ls, zodiac.NewLoader(w.fetch, opts))
					}
					var wg sync.WaitGroup
					for _, st := range steps {
						time.Sleep(time.Duration(st.after) * time.Millisecond)
						wg.Go(func() {
							ctx, cancel := context.WithTimeout(bg, time.Duration(st.patience)*time.Millisecond+250*time.Microsecond)
							defer cancel()
							w.do(ctx, ls[st.who], st.op, st.key)
						})
					}
					wg.Wait()
					time.Sleep(w.takes)
					synctest.Wait()
					without := uint64(0)
					for _, l := range ls {
						without += l.Stats().Uncached
					}
					// A caller that has met three holders of the lease in a row fetches beside the
					// current holder and the next one.
					if w.beyond > 2*int(without) {
						wrong = fmt.Sprintf("%s: %d times, and %d fetches had no lease", w.wrong, w.beyond, without)
					}
					for i, l := range ls {
						st := l.Stats()
						if s := sum(st); s.Gets != st.Gets || s.Fetches != st.Fetches {
							wrong = fmt.Sprintf("P30: Stats() of process %d = %+v: the sums are %d and %d", i, st, s.Gets, s.Fetches)
						}
						began := time.Now()
						l.Delete(bg, 0)
						if _, err := l.Get(bg, 0); err != nil || time.Since(began) != w.takes {
							wrong = fmt.Sprintf("at rest, Get took %v, and returned %v", time.Since(began), err)
						}
						if err := l.Close(bg); err != nil {
							wrong = err.Error()
						}
					}
				})
			})
		})
	}
}

// P11: while the store is down, or does not answer, callers get their values, by one fetch at a
// time for each key and process. When it answers again it is used again.
func TestP11_StoreDownOneFetchAtATime(t *testing.T) {
	down := errors.New("connection refused")
	for how, fault := range map[string]func(m *chaos.Injector){
		"fails":  func(m *chaos.Injector) { m.Fail(down) },
		"stalls": func(m *chaos.Injector) { m.Stall() },
		"loses":  func(m *chaos.Injector) { m.LoseReply(down, chaos.Acquire, chaos.Commit, chaos.Abort) },
	} {
		t.Run(how, func(t *testing.T) {
			onProcesses(t, 2, config{more: []zodiac.Option{zodiac.WithStoreTimeout(100 * time.Millisecond)}}, func(p *processes) {
				a, b := p.all[0], p.all[1]
				fault(p.faults[0])
				mine := a.getters(5)
				time.Sleep(500 * time.Millisecond)
				running := a.call(key) // one for all five
				mine = append(mine, a.getters(3)...)
				time.Sleep(500 * time.Millisecond)
				a.calls()
				running.returns(1)
				time.Sleep(500 * time.Millisecond) // the commit may stall
				if how != "loses" {
					all(mine, valueOf(1))
				} else {
					p.begun(1)
					all(mine, valueOf(1))
				}
				p.faults[0].Heal()
				time.Sleep(3 * time.Second) // until the store is tried again
				if how == "loses" {
					a.Delete(bg, key)
				}
				a.get(2)
				for _, c := range a.o.take() {
					c.returns(2)
				}
				time.Sleep(time.Second)
				next := a.get(3)
				a.call(3).returns(3)
				next.hasID(3)
				b.get(3).hasID(3)
			})
		})
	}
}

// P16: no caller waits for another process past its own context, or past WithWait. Then it fetches
// without storing, or gets ErrBusy.
func TestP16_NobodyWaitsTooLong(t *testing.T) {
	play := func(name string, wait zodiac.Option, then func(a, b *stage, mine *caller)) {
		t.Run(name, func(t *testing.T) {
			onProcesses(t, 2, config{more: []zodiac.Option{wait}}, func(p *processes) {
				a, b := p.all[0], p.all[1]
				first := a.get(key)
				running := a.call(key)
				mine := b.get(key)
				then(a, b, mine)
				running.returns(1)
				first.hasID(1)
				p.soon()
				b.get(key).hasID(1)
			})
		})
	}
	waits := zodiac.WithWait(3, zodiac.ThenFail)
	play("context", waits, func(_, b *stage, mine *caller) {
		time.Sleep(time.Second)
		mine.waits()
		mine.leaves()
		b.calls()
	})
	play("fails", waits, func(_, b *stage, mine *caller) {
		time.Sleep(3*time.Second - 1)
		mine.waits()
		time.Sleep(time.Nanosecond)
		if r := mine.result(); !errors.Is(r.err, zodiac.ErrBusy) {
			t.Errorf("Get = %v; want ErrBusy", r)
		}
		b.calls()
	})
	play("fetches", zodiac.WithWait(3, zodiac.ThenFetch), func(_, b *stage, mine *caller) {
		time.Sleep(3*time.Second - 1)
		b.calls()
		time.Sleep(time.Nanosecond)
		b.call(key).returns(7)
		mine.hasID(7)
		if s := b.Stats(); s.Uncached != 1 || s.Stored != 0 {
			t.Errorf("Stats() = %+v; want one that was not stored", s)
		}
	})
	play("NoWait", zodiac.NoWait(), func(_, b *stage, mine *caller) {
		if r := mine.result(); !errors.Is(r.err, zodiac.ErrBusy) {
			t.Errorf("Get = %v; want ErrBusy", r)
		}
		b.calls()
	})
}

// P17: constant deletes keep no reader from a value.
func TestP17_ConstantInvalidationStarvesNobodyOverAStore(t *testing.T) {
	onProcesses(t, 3, config{}, func(p *processes) {
		const takes, every = 50 * time.Millisecond, 30 * time.Millisecond
		for _, s := range p.all {
			s.o.ready = func(int) readied { return readied{plan{kind: returns, val: value{id: 1}}, takes} }
		}
		ctx, stop := context.WithCancel(bg)
		deleted := spawn(func() result {
			for ctx.Err() == nil {
				p.all[0].Delete(bg, key)
				time.Sleep(every)
			}
			return result{}
		})
		for _, s := range p.all {
			for range 5 {
				began := time.Now()
				v, err := s.Get(bg, key)
				if d := time.Since(began); v.id != 1 || err != nil || d > 2*takes+2*every+50*time.Millisecond {
					t.Errorf("Get = %v, %v after %v", v, err, d)
				}
			}
		}
		stop()
		<-deleted
	})
}

// P25: the commands of a Get in each mode, and whether the function runs. The mode forbids none of
// them.
func TestP25_ModesSendOnlyPermittedCommands(t *testing.T) {
	needsModes(t)
	for bits := range 8 {
		for _, there := range []bool{false, true} {
			mode := modeOf(bits)
			t.Run(fmt.Sprintf("%v/%v", modeName(mode), there), func(t *testing.T) {
				for _, g := range grounds[:3] {
					t.Run(g.name, func(t *testing.T) {
						g.play(t, 1, config{}, func(p *processes) {
							s, m := p.all[0], p.faults[0]
							if there {
								s.set(key, 5)
							}
							s.o.ready = func(int) readied { return readied{plan: plan{kind: returns, val: value{id: 6}}} }
							before := ops(m)
							v, err := s.Get(zodiac.WithMode(bg, mode), key)
							synctest.Wait()
							want, sent := int64(6), ""
							switch {
							case mode.NoRead && mode.NoFetch:
								want = 0
							case mode.NoRead && mode.NoWrite:
							case mode.NoRead:
								sent = "acquire commit"
							case there:
								want, sent = 5, "reads"
							case mode.NoFetch:
								want, sent = 0, "reads"
							case mode.NoWrite:
								sent = "reads"
							default:
								sent = "reads acquire commit"
							}
							if got := since(before, ops(m)); got != sent || v.id != want || want == 0 && !errors.Is(err, zodiac.ErrMiss) {
								t.Errorf("Get = %v, %v after %q; want %d after %q", v, err, got, want, sent)
							}
						})
					})
				}
			})
		}
	}
}

// P25, for the operations that do the same in any mode: each sends the commands it needs.
func TestP25_OperationsSendTheSameInEveryMode(t *testing.T) {
	for _, of := range []struct {
		name, sent string
		there      bool
		do         func(s *stage) error
	}{
		{"Set", "writes", true, func(s *stage) error { return s.Set(bg, key, value{id: 1}) }},
		{"SetNone", "writes", true, func(s *stage) error { return s.SetNone(bg, key) }},
		{"SetIfAbsent", "writes", false, func(s *stage) error { return only(s.SetIfAbsent(bg, key, value{id: 1})) }},
		{"Delete", "writes", true, func(s *stage) error { return only(s.Delete(bg, 0, key, 2)) }},
		{"Clear", "writes", true, func(s *stage) error { return only(s.Clear(bg)) }},
		{"Touch", "reads writes", true, func(s *stage) error { return only(s.Touch(bg, key)) }},
		{"Touch, absent", "reads", false, func(s *stage) error { return only(s.Touch(bg, key)) }},
		{"Update", "reads acquire commit", true, func(s *stage) error {
			return only(s.Update(bg, key, func(v value, _ bool) (value, error) { return v, nil }))
		}},
		{"Update that fails", "reads acquire abort", true, func(s *stage) error {
			s.Update(bg, key, func(v value, _ bool) (value, error) { return v, errGone })
			return nil
		}},
		{"GetMany", "reads", true, func(s *stage) error {
			s.set(0, 1)
			s.set(2, 1)
			return only(s.GetMany(bg, []int{0, key, 2, key}))
		}},
	} {
		t.Run(of.name, func(t *testing.T) {
			for _, g := range []ground{grounds[0], grounds[2]} {
				g.play(t, 1, config{}, func(p *processes) {
					s, m := p.all[0], p.faults[0]
					if of.there {
						s.set(key, 5)
					}
					before := ops(m)
					if of.name == "GetMany" {
						before["writes"] += 2
					}
					if err := of.do(s); err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
					if got := since(before, ops(m)); got != of.sent {
						t.Errorf("%s over %s sent %q; want %q", of.name, g.name, got, of.sent)
					}
				})
			}
		})
	}
}
