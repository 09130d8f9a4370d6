package remote

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac/driver"
)

// polling takes the Waker away.
func polling(cfg *Config) {
	s := cfg.Store.(*fakeStore)
	cfg.Store = leaserStore{s, s}
}

func TestThirdHolderIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		c := newClient(t, s)
		s.setBefore(func(_ context.Context, op, _ string) error {
			if op == "Acquire" {
				s.hold(t, fmt.Sprint("holder-", s.count("Acquire")), time.Hour)
			}
			return nil
		})
		f := newFetch(c, &owner{})
		if !f.Acquire() || f.leased || s.count("Acquire") != maxHolders {
			t.Errorf("Acquire has asked %d times, leased = %v, Err = %v; want %d, false, nil",
				s.count("Acquire"), f.leased, f.Err, maxHolders)
		}
		f.Watch()
		if r := restricted(t, f.Outcome(nil)); r.IfDown {
			t.Error("the outcome is that of a store that is down")
		}
	})
}

func TestEndOfWithWait(t *testing.T) {
	for name, tt := range map[string]struct {
		fail bool
		wait time.Duration
	}{
		"NoLease": {false, 3 * time.Second}, "Busy": {true, 3 * time.Second}, "NoWait": {false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, o, start := newStore(t), &owner{}, time.Now()
				s.hold(t, "another", time.Hour)
				f := newFetch(newClient(t, s, func(cfg *Config) { cfg.Wait, cfg.Fail = tt.wait, tt.fail }), o)
				if call := f.Acquire(); call == tt.fail || errors.Is(f.Err, ErrBusy) != tt.fail || f.leased {
					t.Errorf("Acquire = %v, %v, leased = %v", call, f.Err, f.leased)
				}
				if !tt.fail {
					f.Watch()
					if fate := f.Commit(storable("mine")); fate != NoLease ||
						restricted(t, f.Outcome(nil)).Before != f.started {
						t.Errorf("Commit = %v, outcome %+v; want NoLease, and one for Gets from before the function",
							fate, f.Outcome(nil))
					}
				}
				if d := time.Since(start); d != tt.wait || (o.waits > 0) != (d > 0) {
					t.Errorf("it took %v; want %v; the owner was told %d times that it waits", d, tt.wait, o.waits)
				}
			})
		})
	}
}

func TestLeaseThatEndsBeforeWakeIsNoticedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, start := newStore(t), time.Now()
		c, token := newClient(t, s), s.hold(t, "another", time.Hour)
		s.setAfter(func(op, _ string) error {
			if op == "Acquire" && s.count("Acquire") == 1 {
				s.Store.Abort(t.Context(), key, token) // between the answer Busy and Wake
			}
			return nil
		})
		f := newFetch(c, &owner{})
		if !f.Acquire() || !f.leased || time.Since(start) != 0 {
			t.Errorf("Acquire took %v, leased = %v; want the lease at once", time.Since(start), f.leased)
		}
		f.Close()
	})
}

func TestEndOfALeaseWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, start := newStore(t), time.Now()
		c, token := newClient(t, s), s.hold(t, "another", time.Hour)
		const held = 2*time.Second + 1
		time.AfterFunc(held, func() { s.Store.Commit(t.Context(), key, token, value("theirs")) })
		f := newFetch(c, &owner{})
		if f.Acquire() || f.Found == nil || time.Since(start) != held {
			t.Errorf("Acquire took %v, Found = %v; want the value after %v", time.Since(start), f.Found, held)
		}
	})
}

// A wakingStore counts its wake-ups.
type wakingStore struct {
	*fakeStore
	wakes, unwakes int
}

func (s *wakingStore) Wake(ctx context.Context, key string) (<-chan struct{}, func()) {
	wake, unwake := s.fakeStore.Wake(ctx, key)
	s.wakes++
	return wake, func() {
		s.unwakes++
		unwake()
	}
}

func TestFetchHasOneWakeUpAndFreesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &wakingStore{fakeStore: newStore(t)}
		s.hold(t, "another", 2*time.Second)
		f := newFetch(newClient(t, s.fakeStore, func(cfg *Config) { cfg.Store = s }), &owner{})
		f.Acquire()
		if !f.leased || s.count("Acquire") < 10 || s.wakes != 1 || s.unwakes != 1 {
			t.Errorf("%d asks, %d wake-ups, %d of them freed; want one",
				s.count("Acquire"), s.wakes, s.unwakes)
		}
		f.Close()
	})
}

func TestPollOfALeaseThatIsAllButOverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		s.hold(t, "another", 10*time.Millisecond)
		s.setClaim(func(c *driver.Claim) {
			if s.count("Acquire") < 100 {
				c.Left = 0
			}
		})
		f := newFetch(newClient(t, s, polling), &owner{})
		if f.Acquire(); !f.leased || s.count("Acquire") > 12 {
			t.Errorf("%d asks in 10ms; want one in a millisecond", s.count("Acquire"))
		}
		f.Close()
	})
}

func TestFetchPollsAStoreThatCannotWake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		s.hold(t, "another", time.Hour)
		newFetch(newClient(t, s, polling, func(cfg *Config) { cfg.Wait = 2 * time.Second }), &owner{}).Acquire()
		asks := s.commands("Acquire")
		if len(asks) < 2000/50 || len(asks) > 2000/25+20 {
			t.Errorf("%d asks in 2s", len(asks))
		}
		pauses := make(map[time.Duration]bool)
		for i := 1; i < len(asks)-1; i++ { // the last pause is cut short by the end of the wait
			d := asks[i].at.Sub(asks[i-1].at)
			if d < 2*time.Millisecond || d > 50*time.Millisecond || i == 1 &&
				d > 4*time.Millisecond {
				t.Errorf("pause %d is %v; want 2ms to 50ms, and the first at most 4ms", i, d)
			}
			pauses[d] = true
		}
		if len(pauses) < len(asks)/2 {
			t.Errorf("%d pauses are of %d lengths; want random ones", len(asks)-1, len(pauses))
		}
	})
}

func TestPollComesWhenTheLeaseIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, start := newStore(t), time.Now()
		s.hold(t, "another", time.Second)
		f := newFetch(newClient(t, s, polling), &owner{})
		f.Acquire()
		if d := time.Since(start); !f.leased || d < time.Second || d > time.Second+time.Millisecond {
			t.Errorf("leased = %v after %v; want true after 1s", f.leased, d)
		}
		f.Close()
	})
}

func TestWaitingIsNotTheStoresTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		c, o := newClient(t, s, polling), &owner{}
		s.hold(t, "another", 5*time.Second)
		s.setBefore(func(context.Context, string, string) error {
			time.Sleep(c.Timeout / 10)
			return nil
		})
		f := newFetch(c, o)
		if f.Acquire(); !f.leased || len(o.failed) > 0 {
			t.Errorf("leased = %v, the owner was told of %v; want the lease after %d asks",
				f.leased, o.failed, s.count("Acquire"))
		}
		f.Close()
	})
}

func TestFetchThatNobodyWaitsForStopsWaiting(t *testing.T) {
	for name, cfg := range map[string]func(*Config){
		"Lease": func(*Config) {},
		"Guard": func(cfg *Config) {
			g := &guard{}
			g.busy.Store(true)
			cfg.Guard = g
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, start := newStore(t), time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), time.Second+1)
				defer cancel()
				f := newFetch(newClient(t, s, cfg), &owner{}, func(f *Fetch) { f.Ctx = ctx })
				if f.Client.Guard == nil {
					s.hold(t, "another", time.Hour)
				}
				if f.Acquire() || !errors.Is(f.Err, context.Canceled) || time.Since(start) != time.Second+1 {
					t.Errorf("Acquire has returned true, or %v after %v", f.Err, time.Since(start))
				}
				f.Close()
			})
		})
	}
}

func TestFetchWaitsForTheRightOfItsGuard(t *testing.T) {
	type answer struct {
		call  bool
		found string
		took  time.Duration // 0 = at most 50ms more than a second
	}
	for name, tt := range map[string]struct {
		change func(*Fetch)
		free   bool // the right is free after a second
		stored bool // a value is stored after a second
		want   answer
	}{
		"NeverFree":      {want: answer{true, "-", 10 * time.Second}},
		"Free":           {free: true, want: answer{true, "-", 0}},
		"ValueMeanwhile": {stored: true, want: answer{false, "theirs", 0}},
		"ValueAndFree":   {stored: true, free: true, want: answer{false, "theirs", 0}},
		"ForcedAndFree":  {change: func(f *Fetch) { f.Force = true }, stored: true, free: true, want: answer{true, "-", 0}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, g, start := newStore(t), &guard{}, time.Now()
				g.busy.Store(true)
				time.AfterFunc(time.Second, func() {
					if tt.stored {
						s.put(t, value("theirs"))
					}
					g.busy.Store(!tt.free)
				})
				if tt.change == nil {
					tt.change = func(*Fetch) {}
				}
				f := newFetch(newClient(t, s, bare(s), func(cfg *Config) { cfg.Guard = g }), &owner{}, tt.change)
				got := answer{call: f.Acquire(), found: "-", took: time.Since(start)}
				if f.Found != nil {
					got.found = string(f.Found.Parsed.Payload)
				}
				if got.took >= time.Second && got.took <= 1050*time.Millisecond {
					got.took = 0
				}
				if got != tt.want {
					t.Errorf("got %+v; want %+v", got, tt.want)
				}
				f.Close()
				synctest.Wait()
				if n := g.releases.Load(); tt.free != (n == 1) {
					t.Errorf("the right was released %d times", n)
				}
			})
		})
	}
}

func TestFetchThatHasTheRightOfItsGuardAtOnceLooksAgain(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(s *fakeStore, f *Fetch)
		found  bool
	}{
		"Value": {func(*fakeStore, *Fetch) {}, true},
		"Seen": {func(s *fakeStore, f *Fetch) {
			r, _ := s.Store.Get(context.Background(), key)
			f.Seen = r.Version
		}, false},
		"Forced": {func(_ *fakeStore, f *Fetch) { f.Force = true }, false},
		"OfNoUse": {func(_ *fakeStore, f *Fetch) {
			f.Owner.(*owner).usable = func(*Entry) bool { return false }
		}, false},
		"StoreFails": {func(s *fakeStore, f *Fetch) { s.fail(); f.Seen = "seen" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, g := newStore(t), &guard{}
				s.put(t, value("theirs"))
				c := newClient(t, s, bare(s), func(cfg *Config) { cfg.Guard = g })
				f := newFetch(c, &owner{})
				tt.change(s, f)
				earlier, during := c.Now(), Moment(0)
				s.setAfter(func(string, string) error {
					during = c.Now()
					return nil
				})
				call := f.Acquire()
				if call == tt.found || (f.Found != nil) != tt.found || f.Err != nil {
					t.Errorf("Acquire = %v, Found = %v, Err = %v; want the record: %v",
						call, f.Found, f.Err, tt.found)
				}
				if f.Found != nil {
					if r := restricted(t, f.Outcome(nil)); r.Before <= earlier ||
						r.Before >= during || r.IfDown {
						t.Errorf("the outcome is %+v; want one for Gets from before the read, %d to %d",
							r, earlier, during)
					}
				}
				f.Close()
			})
		})
	}
}

func TestFetchThatDoesNotWaitTriesItsGuardOnce(t *testing.T) {
	for name, busy := range map[string]bool{"Busy": true, "Free": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, g := newStore(t), &guard{}
				g.busy.Store(busy)
				f := newFetch(newClient(t, s, bare(s), func(cfg *Config) {
					cfg.Guard, cfg.Wait, cfg.Fail = g, 0, true
				}), &owner{})
				if call := f.Acquire(); call == busy || errors.Is(f.Err, ErrBusy) != busy {
					t.Errorf("Acquire = %v, %v; want ErrBusy: %v", call, f.Err, busy)
				}
				if n := s.count("Get"); busy && n != 0 {
					t.Errorf("%d reads were sent; want none just after the one that has missed", n)
				}
				f.Close()
			})
		})
	}
}

func TestFetchWithALeaseLooksForNothingWhileItWaitsForItsGuard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g := newStore(t), &guard{}
		g.busy.Store(true)
		time.AfterFunc(time.Second, func() { g.busy.Store(false) })
		f := newFetch(newClient(t, s, func(cfg *Config) { cfg.Guard = g }), &owner{})
		if !f.Acquire() || !f.leased || s.count("Get", "GetMany") != 0 {
			t.Errorf("leased = %v, and %d reads were sent; want none",
				f.leased, s.count("Get", "GetMany"))
		}
		f.Close()
	})
}

func TestFetchThatWasGivenUpGivesBackWhatItsGuardLends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g := newStore(t), &guard{}
		f := newFetch(newClient(t, s, bare(s), func(cfg *Config) { cfg.Guard = g }), &owner{})
		g.asked = func(context.Context, string, time.Duration) {
			f.GiveUp()
			synctest.Wait()
		}
		if f.Acquire() || !errors.Is(f.Err, context.Canceled) {
			t.Errorf("Acquire = true, or its error is %v; want context.Canceled", f.Err)
		}
		if synctest.Wait(); g.releases.Load() != 1 {
			t.Errorf("the right was released %d times", g.releases.Load())
		}
	})
}

func TestGuardIsAskedForALeaseWithinTheTimeOfACommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g := newStore(t), &guard{}
		callers, leave := context.WithCancel(t.Context())
		c := newClient(t, s, bare(s), func(cfg *Config) { cfg.Guard = g })
		f := newFetch(c, &owner{}, func(f *Fetch) { f.Ctx = callers })
		var asked context.Context
		g.asked = func(ctx context.Context, k string, p time.Duration) {
			if end, ok := ctx.Deadline(); !ok || time.Until(end) != c.Timeout || k != key ||
				p != c.Lease {
				t.Errorf("TryAcquire of %q for %v until %v; want %q for %v within %v",
					k, p, end, key, c.Lease, c.Timeout)
			}
			if leave(); ctx.Err() != nil {
				t.Error("TryAcquire ends with the callers, so nobody knows what to give back")
			}
			asked = ctx
		}
		if f.Acquire(); asked.Err() == nil {
			t.Error("the context of TryAcquire has not ended with it")
		}
		f.Close()
	})
}

func TestGuardThatFailsKeepsNobodyFromFetching(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &owner{}
		f := newFetch(newClient(t, newStore(t), func(cfg *Config) { cfg.Guard = &guard{err: errDown} }), o)
		if !f.Acquire() || !f.leased || len(o.failed) != 1 {
			t.Errorf("Acquire = false, or leased = %v; the owner was told of %v", f.leased, o.failed)
		}
		f.Close()
	})
}

// The function of an Update may ask for its own key.
func TestLeaseOfAnUpdateOfThisProcessIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, began := newStore(t), time.Now()
		c := newClient(t, s)
		snap, err := newWrite(c, &writeOwner{}, driver.Record{}).Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if f := newFetch(c, &owner{}); !f.Acquire() || f.leased || !f.noLease {
			t.Errorf("Acquire: leased = %v, Err = %v; want a call without a lease", f.leased, f.Err)
		}
		if d := time.Since(began); d != 0 {
			t.Errorf("it has waited %v", d)
		}
		snap.Close()
		synctest.Wait()
		if f := newFetch(c, &owner{}); !f.Acquire() || !f.leased {
			t.Errorf("Acquire after the Update: leased = %v, Err = %v; want a lease", f.leased, f.Err)
		} else {
			f.Close()
		}
	})
}
