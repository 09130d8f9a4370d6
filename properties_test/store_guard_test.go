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
	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/lease"
	"github.com/zodiac-go/zodiac/memstore"
	"github.com/zodiac-go/zodiac/storetest/chaos"
	"pgregory.net/rapid"
)

// A warden is a Guard whose answers the test decides. Its rights are those of the Guard within.
type warden struct {
	zodiac.Guard
	mu       sync.Mutex // guards the fields below
	refuses  bool
	fails    error
	stalls   bool          // TryAcquire does not return before its context ends
	late     time.Duration // the delay of an answer of TryAcquire
	loses    bool          // Extend reports that the right is lost
	lapses   error         // Extend fails
	asked    int
	held     int // rights lent and not released
	extended int
}

func newWarden() *warden { return &warden{Guard: lease.Local()} }

func (w *warden) TryAcquire(ctx context.Context, key string, p time.Duration) (driver.Held, bool, error) {
	w.mu.Lock()
	w.asked++
	refuses, fails, stalls, late := w.refuses, w.fails, w.stalls, w.late
	w.mu.Unlock()
	switch {
	case stalls:
		<-ctx.Done()
		return nil, false, ctx.Err()
	case fails != nil:
		return nil, false, fails
	case refuses:
		return nil, false, nil
	}
	h, ok, err := w.Guard.TryAcquire(ctx, key, p)
	time.Sleep(late)
	if ok {
		w.add(1)
		h = &wardenRight{h, w}
	}
	return h, ok, err
}

func (w *warden) add(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held += n
}

// set changes what the warden does.
func (w *warden) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

// lends checks the number of rights that are lent and not released.
func (w *warden) lends(t *testing.T, want int) {
	t.Helper()
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.held != want {
		t.Errorf("%d rights are lent; want %d", w.held, want)
	}
}

type wardenRight struct {
	driver.Held
	w *warden
}

func (h *wardenRight) Extend(ctx context.Context, p time.Duration) (bool, error) {
	h.w.mu.Lock()
	h.w.extended++
	loses, lapses := h.w.loses, h.w.lapses
	h.w.mu.Unlock()
	if loses || lapses != nil {
		return false, lapses
	}
	return h.Held.Extend(ctx, p)
}

func (h *wardenRight) Release(ctx context.Context) error {
	h.w.add(-1)
	return h.Held.Release(ctx)
}

// guarded are the grounds for a Guard: beside the store's leases, and instead of them.
var guarded = []ground{
	grounds[0],
	{"bare", 0, true, func(t *testing.T) (zodiac.Store, func() zodiac.Store) {
		s := memstore.New()
		t.Cleanup(func() { s.Close() })
		return s, func() zodiac.Store { return chaos.Bare(s) }
	}},
}

// onGuard runs play on each ground with one warden for all processes.
func onGuard(t *testing.T, n int, c config, play func(p *processes, w *warden)) {
	t.Helper()
	for _, g := range guarded {
		t.Run(g.name, func(t *testing.T) {
			w := newWarden()
			with := c
			with.more = append(append([]zodiac.Option(nil), c.more...), zodiac.WithGuard(w))
			g.play(t, n, with, func(p *processes) { play(p, w) })
		})
	}
}

// P10: under a Guard one function at a time runs for a key in all processes, with or without leases
// in the store, and however long it takes, unless so many callers leave that one meets a third
// holder. At rest no right is left.
func TestP10_OneFetchAtATimeUnderAGuard(t *testing.T) {
	for _, g := range guarded {
		t.Run(g.name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				type step struct{ who, after, patience int }
				steps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
					return step{
						rapid.IntRange(0, 2).Draw(t, "process"), rapid.SampledFrom([]int{1, 7, 300, 2500}).Draw(t, "after"),
						rapid.SampledFrom([]int{60000, 60000, 5, 400}).Draw(t, "patience"),
					}
				}), 1, 12).Draw(rt, "steps")
				takes := rapid.SampledFrom([]time.Duration{time.Millisecond, 30 * time.Millisecond, 5 * time.Second}).Draw(rt, "a fetch takes")
				leave := 0
				for _, s := range steps {
					if time.Duration(s.patience)*time.Millisecond < takes {
						leave++
					}
				}
				// a waiting caller may meet a third holder of the store's lease, and then goes on
				// without: P17
				third := leave >= 2
				wrong := ""
				defer func() {
					if wrong != "" {
						rt.Fatal(wrong)
					}
				}()
				synctest.Test(t, func(t *testing.T) {
					w := newWarden()
					var mu sync.Mutex
					running := map[context.Context]bool{}
					fetch := func(ctx context.Context, _ int) (int, error) {
						mu.Lock()
						for other := range running {
							if other.Err() == nil && !third { // a caller waits for it
								wrong = "P10: two functions of the key run"
							}
						}
						running[ctx] = true
						mu.Unlock()
						defer func() {
							mu.Lock()
							delete(running, ctx)
							mu.Unlock()
						}()
						select {
						case <-time.After(takes):
							return 1, nil
						case <-ctx.Done():
							return 0, ctx.Err()
						}
					}
					_, open := g.shared(t)
					var ls []*zodiac.Loader[int, int]
					for range 3 {
						m := chaos.New(open())
						ls = append(ls, zodiac.NewLoader(fetch, zodiac.WithName("w"), zodiac.WithStore(m.Store()), zodiac.WithTTL(1),
							zodiac.WithGuard(w), zodiac.WithWait(60, zodiac.ThenFail)))
					}
					var wg sync.WaitGroup
					for _, s := range steps {
						time.Sleep(time.Duration(s.after) * time.Millisecond)
						wg.Go(func() {
							ctx, cancel := context.WithTimeout(bg, time.Duration(s.patience)*time.Millisecond+250*time.Microsecond)
							defer cancel()
							if v, err := ls[s.who].Get(ctx, key); v != 1 && !errors.Is(err, context.DeadlineExceeded) {
								wrong = fmt.Sprintf("Get = %d, %v", v, err)
							}
						})
					}
					wg.Wait()
					synctest.Wait()
					if w.held != 0 {
						wrong = fmt.Sprintf("at rest %d rights are lent", w.held)
					}
					for _, l := range ls {
						if s := l.Stats(); s.Uncached != 0 && !third {
							wrong = fmt.Sprintf("Stats() = %+v; want none without a lease", s)
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

// P10, P14: a caller that was refused waits, and then finds the value that the other one stored, or
// fetches if there is none.
func TestP10_CallerRefusedByAGuardWaits(t *testing.T) {
	onGuard(t, 2, config{}, func(p *processes, w *warden) {
		a, b := p.all[0], p.all[1]
		mine := a.get(key)
		running := a.call(key)
		w.lends(p.t, 1)
		theirs := b.get(key)
		time.Sleep(5 * time.Second) // extended meanwhile
		b.calls()
		theirs.waits()
		running.returns(1)
		mine.hasID(1)
		time.Sleep(50 * time.Millisecond)
		theirs.hasID(1)
		b.calls()
		w.lends(p.t, 0)

		mine = a.get(2)
		running = a.call(2)
		theirs = b.get(2)
		running.fails(errGone)
		mine.has(outcome{kind: gotError, err: errGone})
		time.Sleep(50 * time.Millisecond)
		b.call(2).returns(3)
		theirs.hasID(3)
		w.lends(p.t, 0)
	})
}

// P4 (i): a record found while waiting for a Guard is for callers that came before the read.
func TestP4_RecordFoundUnderAGuardIsNotForLaterCallers(t *testing.T) {
	var taps []*lateTap
	g := ground{"bare", 0, true, func(t *testing.T) (zodiac.Store, func() zodiac.Store) {
		s := memstore.New()
		t.Cleanup(func() { s.Close() })
		return s, func() zodiac.Store {
			taps = append(taps, &lateTap{Store: s})
			return chaos.Bare(taps[len(taps)-1])
		}
	}}
	g.play(t, 2, config{more: []zodiac.Option{zodiac.WithGuard(lease.Local())}}, func(p *processes) {
		a, b := p.all[0], p.all[1]
		theirs := b.get(key)
		running := b.call(key)
		early := a.get(key)
		taps[0].reads.Store(int64(100 * time.Millisecond))
		time.Sleep(25 * time.Millisecond) // a is reading it, and does not have the reply yet
		running.returns(1)
		theirs.hasID(1)
		time.Sleep(160 * time.Millisecond) // likewise, and it is present
		b.set(key, 2)
		late := a.get(key)
		taps[0].reads.Store(0)
		time.Sleep(100 * time.Millisecond)
		early.hasID(1)
		late.hasID(2)
		a.calls()
	})
}

// P16: no caller waits for a Guard past WithWait, or past its own context.
func TestP16_NobodyWaitsTooLongForAGuard(t *testing.T) {
	for then, wait := range map[string]zodiac.Option{"fails": zodiac.WithWait(3, zodiac.ThenFail), "fetches": zodiac.WithWait(3, zodiac.ThenFetch)} {
		t.Run(then, func(t *testing.T) {
			onGuard(t, 1, config{more: []zodiac.Option{wait}}, func(p *processes, w *warden) {
				w.set(func() { w.refuses = true })
				s := p.all[0]
				mine, other := s.get(key), s.get(key)
				time.Sleep(time.Second)
				other.leaves()
				time.Sleep(2*time.Second - 1)
				mine.waits()
				s.calls()
				time.Sleep(time.Nanosecond)
				if then == "fails" {
					if r := mine.result(); !errors.Is(r.err, zodiac.ErrBusy) {
						t.Errorf("Get = %v; want ErrBusy", r)
					}
					s.calls()
				} else {
					running := s.call(key)
					late := s.get(key) // began after the function: not for it
					running.returns(1)
					mine.hasID(1)
					time.Sleep(3 * time.Second)
					s.call(key).returns(2)
					late.hasID(2)
				}
				alone := s.get(2) // the last of them
				alone.leaves()
				asked := w.asked
				time.Sleep(time.Minute)
				if w.asked != asked {
					t.Errorf("the Guard was asked %d times for nobody", w.asked-asked)
				}
				w.set(func() { w.refuses = false }) // no lease of the store is left behind
				began := time.Now()
				next := s.get(2)
				s.call(2).returns(3)
				next.hasID(3)
				if d := time.Since(began); d != 0 {
					t.Errorf("the next fetch began after %v", d)
				}
			})
		})
	}
}

// A Guard that is out of reach keeps no caller from fetching, and the Observer is told.
func TestGuardOutOfReachKeepsNobodyFromFetching(t *testing.T) {
	for how, fault := range map[string]func(w *warden){
		"fails":  func(w *warden) { w.fails = errGone },
		"stalls": func(w *warden) { w.stalls = true },
	} {
		t.Run(how, func(t *testing.T) {
			var told []error
			seen := observer(func(e zodiac.Event) {
				if e.Kind == zodiac.EventFault {
					told = append(told, e.Err)
				}
			})
			onGuard(t, 1, config{more: []zodiac.Option{zodiac.WithObserver(seen)}}, func(p *processes, w *warden) {
				fault(w)
				told = nil
				s := p.all[0]
				mine := s.get(key)
				time.Sleep(time.Second) // WithStoreTimeout
				s.call(key).returns(1)
				mine.hasID(1)
				s.holds(key, 1)
				if len(told) != 1 {
					t.Fatalf("the Observer was told %v; want one fault", told)
				}
				if bad, ok := errors.AsType[*zodiac.StoreError](told[0]); !ok || bad.Op != "TryAcquire of WithGuard" {
					t.Errorf("the Observer was told %v", told[0])
				}
			})
		})
	}
}

// A lost right loses the store's lease too: nothing is stored, and another process may fetch at
// once. Without leases in the store nothing prevents the commit.
func TestGuardThatIsLostLetsNothingBeStored(t *testing.T) {
	onGuard(t, 2, config{}, func(p *processes, w *warden) {
		a, b := p.all[0], p.all[1]
		mine := a.get(key)
		running := a.call(key)
		w.set(func() { w.loses = true })
		time.Sleep(800 * time.Millisecond)
		running.returns(1)
		mine.hasID(1)
		w.set(func() { w.loses = false })
		w.lends(p.t, 0)
		if p.ground.name == "bare" {
			b.get(key).hasID(1)
			return
		}
		p.none(1)
		theirs := b.get(key)
		b.call(key).returns(2)
		theirs.hasID(2)
		if s := a.Stats(); s.Discarded != 1 || s.Stored != 0 {
			p.t.Errorf("Stats() = %+v; want one discarded", s)
		}
	})
}

// A failed Extend loses nothing while there is time.
func TestGuardThatFailsForAWhileIsExtendedAgain(t *testing.T) {
	onGuard(t, 2, config{}, func(p *processes, w *warden) {
		a, b := p.all[0], p.all[1]
		mine := a.get(key)
		running := a.call(key)
		w.set(func() { w.lapses = errGone })
		time.Sleep(750 * time.Millisecond)
		w.set(func() { w.lapses = nil })
		theirs := b.get(key)
		time.Sleep(5 * time.Second)
		b.calls()
		running.returns(1)
		mine.hasID(1)
		time.Sleep(50 * time.Millisecond)
		theirs.hasID(1)
		w.lends(p.t, 0)
	})
}

// P19: a right that is lent after the last caller has left is given back.
func TestP19_RightOfAGuardThatComesTooLateIsReleased(t *testing.T) {
	onGuard(t, 2, config{}, func(p *processes, w *warden) {
		a, b := p.all[0], p.all[1]
		for k, leaves := range []func(){
			func() { a.get(0).leaves() },
			func() {
				a.get(1)
				p.closed = true
				a.givesUp() // and acquires nothing any more
			},
		} {
			w.set(func() { w.late = 500 * time.Millisecond })
			leaves()
			time.Sleep(500 * time.Millisecond)
			a.calls()
			w.lends(p.t, 0)
			w.set(func() { w.late = 0 })
			theirs := b.get(k)
			b.call(k).returns(2)
			theirs.hasID(2)
			w.lends(p.t, 0)
		}
	})
}

// P25: a forced fetch is made under the Guard, and is not satisfied by an existing record.
func TestP25_RefreshUnderAGuardFetches(t *testing.T) {
	onGuard(t, 1, config{}, func(p *processes, w *warden) {
		s := p.all[0]
		s.set(key, 1)
		fresh := s.refresh(key)
		running := s.call(key)
		w.lends(p.t, 1)
		running.returns(2)
		fresh.hasID(2)
		s.holds(key, 2)
		w.lends(p.t, 0)
	})
}

// A record that ValidIf refuses is fetched anew under a Guard too. Its presence is not a new
// result.
func TestUselessRecordIsReplacedUnderAGuard(t *testing.T) {
	for name, wrap := range map[string]func(zodiac.Store) zodiac.Store{
		"leases": func(s zodiac.Store) zodiac.Store { return s },
		"bare":   chaos.Bare,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := memstore.New()
				defer store.Close()
				w := newWarden()
				fetch := func(context.Context, int) (int, error) { return 2, nil }
				l := zodiac.NewLoader(fetch, zodiac.WithName("n"), zodiac.WithTTL(60), zodiac.WithStore(wrap(store)), zodiac.WithGuard(w),
					zodiac.ValidIf(func(_ int, e zodiac.Entry[int]) bool { return e.Value == 2 }))
				defer l.Close(bg)
				l.Set(bg, key, 1)
				if v, err := l.Get(bg, key); v != 2 || err != nil || w.asked != 1 {
					t.Errorf("Get = %d, %v, after %d asks of the Guard; want 2, after one", v, err, w.asked)
				}
				if v, _, err := l.Peek(bg, key); v != 2 || err != nil {
					t.Errorf("Peek = %d, %v; want 2", v, err)
				}
				w.lends(t, 0)
			})
		})
	}
}
