package properties_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac"
	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/memstore"
	"github.com/zodiac-go/zodiac/storetest/chaos"
)

// A tapped store is the store of one process. It notes when leases are asked for, renewed and
// ended. Its replies may be late or incomplete.
type tapped struct {
	*memstore.Store
	mu    sync.Mutex // guards the fields below
	began time.Time
	sent  []string
	// the delay of an operation's reply, from when it was carried out
	late       map[chaos.Op]time.Duration
	hollow     bool // records found by asking must be read
	ignoresEnd bool // late replies come also after the context has ended
	// how long a Renew whose context has ended takes to return
	ending time.Duration
	wakes  int // registered
}

// note records a command, and returns the delay of its reply.
func (s *tapped) note(op chaos.Op, of ...any) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent = append(s.sent, fmt.Sprintln(append([]any{time.Since(s.began).Round(time.Millisecond), op}, of...)...))
	return s.late[op]
}

func (s *tapped) Acquire(ctx context.Context, key string, ask driver.Ask) (driver.Claim, error) {
	late := s.note(chaos.Acquire, ask.Lease)
	claim, err := s.Store.Acquire(ctx, key, ask)
	if s.hollow && !claim.Record.Tombstone {
		claim.Whole, claim.Record.Data, claim.Record.TTL = false, nil, 0
	}
	select {
	case <-time.After(late):
		return claim, err
	case <-s.heeded(ctx):
		return driver.Claim{}, ctx.Err()
	}
}

func (s *tapped) heeded(ctx context.Context) <-chan struct{} {
	if s.ignoresEnd {
		return nil
	}
	return ctx.Done()
}

func (s *tapped) Renew(ctx context.Context, key, token string, p time.Duration) (bool, error) {
	late := s.note(chaos.Renew, p)
	ok, err := s.Store.Renew(ctx, key, token, p)
	select {
	case <-time.After(late):
		return ok, err
	case <-ctx.Done():
		time.Sleep(s.ending)
		return false, ctx.Err()
	}
}

func (s *tapped) Commit(ctx context.Context, key, token string, r driver.Record) (bool, error) {
	late := s.note(chaos.Commit)
	ok, err := s.Store.Commit(ctx, key, token, r)
	time.Sleep(late)
	return ok, err
}

func (s *tapped) Abort(ctx context.Context, key, token string) (bool, error) {
	s.note(chaos.Abort)
	return s.Store.Abort(ctx, key, token)
}

func (s *tapped) Wake(ctx context.Context, key string) (<-chan struct{}, func()) {
	wake, unwake := s.Store.Wake(ctx, key)
	s.register(1)
	return wake, func() { unwake(); s.register(-1) }
}

func (s *tapped) register(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wakes += n
}

// replies makes the replies of an operation late.
func (s *tapped) replies(op chaos.Op, late time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.late[op] = late
}

// anew begins the notes anew.
func (s *tapped) anew() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent, s.began = nil, time.Now()
}

// has checks the notes.
func (s *tapped) has(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range want {
		want[i] += "\n"
	}
	if !slices.Equal(s.sent, want) {
		t.Errorf("sent\n%qwant\n%q", s.sent, want)
	}
}

// onTapped runs play with processes that each have a tapped store.
func onTapped(t *testing.T, n int, c config, play func(p *processes, taps []*tapped)) {
	t.Helper()
	var taps []*tapped
	g := ground{"tapped", 0, false, func(t *testing.T) (zodiac.Store, func() zodiac.Store) {
		s := memstore.New()
		t.Cleanup(func() { s.Close() })
		return s, func() zodiac.Store {
			taps = append(taps, &tapped{Store: s, late: map[chaos.Op]time.Duration{}})
			return taps[len(taps)-1]
		}
	}}
	g.play(t, n, c, func(p *processes) {
		for _, s := range taps {
			s.anew()
		}
		play(p, taps)
		synctest.Wait()
		for _, s := range taps {
			if s.wakes != 0 {
				t.Errorf("%d wait to be woken; want none at rest", s.wakes)
			}
		}
	})
}

// P15: the first grant is for at most a second. The first renewal makes it as long as WithLease
// says. Every renewal comes after a third of the time last granted, and none after the commit.
func TestP15_LeaseIsRenewedAtAThirdOfItsTime(t *testing.T) {
	onTapped(t, 1, config{more: []zodiac.Option{zodiac.WithLease(3)}}, func(p *processes, taps []*tapped) {
		s := p.all[0]
		mine := s.get(key)
		running := s.call(key)
		time.Sleep(2500 * time.Millisecond)
		running.returns(1)
		mine.hasID(1)
		time.Sleep(time.Minute)
		taps[0].has(t, "0s Acquire 1s", "333ms Renew 3s", "1.333s Renew 3s", "2.333s Renew 3s", "2.5s Commit")
	})
	onTapped(t, 1, config{more: []zodiac.Option{zodiac.WithLease(0.3)}}, func(p *processes, taps []*tapped) {
		s := p.all[0]
		mine := s.get(key)
		running := s.call(key)
		time.Sleep(250 * time.Millisecond)
		running.fails(errGone)
		mine.has(outcome{kind: gotError, err: errGone})
		time.Sleep(time.Minute)
		taps[0].has(t, "0s Acquire 300ms", "100ms Renew 300ms", "200ms Renew 300ms", "250ms Abort")
	})
}

// P13: a lease counts from before the ask. After its time it is lost without asking, and given
// back.
func TestP13_LeaseCountsFromBeforeTheAsk(t *testing.T) {
	for _, op := range []string{"Get", "Update"} {
		t.Run(op, func(t *testing.T) {
			onTapped(t, 2, config{}, func(p *processes, taps []*tapped) {
				a := p.all[0]
				taps[0].replies(chaos.Acquire, 950*time.Millisecond)
				if op == "Get" {
					mine := a.get(key)
					time.Sleep(950 * time.Millisecond)
					running := a.call(key)
					time.Sleep(60 * time.Millisecond)
					running.returns(1)
					mine.hasID(1)
					if s := a.Stats(); s.Discarded != 1 {
						t.Errorf("Stats() = %+v; want one discarded", s)
					}
				} else {
					tries := 0
					if _, err := a.Update(bg, key, func(value, bool) (value, error) {
						if tries++; tries == 2 {
							return value{}, errGone
						}
						time.Sleep(60 * time.Millisecond)
						taps[0].replies(chaos.Acquire, 0)
						return value{id: 1}, nil
					}); !errors.Is(err, errGone) {
						t.Errorf("Update = %v; want another try", err)
					}
				}
				p.none(1)
				synctest.Wait()
				if n := slices.IndexFunc(taps[0].sent, func(s string) bool { return s == "1.01s Commit\n" }); n >= 0 {
					t.Errorf("sent %q; want no Commit under a lease that may be another's", taps[0].sent)
				}
				if !slices.Contains(taps[0].sent, "1.01s Abort\n") {
					t.Errorf("sent %q; want an Abort", taps[0].sent)
				}
			})
		})
	}
}

// P13: after its time a lease is lost without asking.
func TestP13_LeasePastItsTimeIsNotRenewed(t *testing.T) {
	onTapped(t, 1, config{}, func(p *processes, taps []*tapped) {
		s := p.all[0]
		taps[0].replies(chaos.Acquire, 950*time.Millisecond)
		mine := s.get(key)
		time.Sleep(3 * time.Second) // the first renewal would be at 1.283 s
		s.call(key).returns(1)
		mine.hasID(1)
		taps[0].has(t, "0s Acquire 1s", "3s Abort")
	})
}

// P13: a renewed lease counts from before the renewal was sent.
func TestP13_LeaseCountsFromBeforeTheRenewal(t *testing.T) {
	onTapped(t, 1, config{}, func(p *processes, taps []*tapped) {
		s := p.all[0]
		taps[0].replies(chaos.Renew, 600*time.Millisecond)
		mine := s.get(key)
		running := s.call(key)
		// the first renewal was sent at 0.333 s, and has not returned
		time.Sleep(900 * time.Millisecond)
		p.faults[0].Fail(errGone, chaos.Renew)
		time.Sleep(1600 * time.Millisecond) // it counts until 2.333 s
		running.returns(1)
		mine.hasID(1)
		p.none(1)
		if p.faults[0].Calls(chaos.Commit) != 0 {
			t.Error("a Commit was sent under a lease that may be another's")
		}
	})
}

// P13: a lease that the store reports as lost is not committed under, and not renewed any more.
func TestP13_LostLeaseIsNotUsed(t *testing.T) {
	onTapped(t, 2, config{}, func(p *processes, taps []*tapped) {
		a, b := p.all[0], p.all[1]
		mine := a.get(key)
		running := a.call(key)
		p.foreignDelete(entryKey)
		theirs := b.get(key)
		second := b.call(key)
		time.Sleep(500 * time.Millisecond)
		running.returns(1)
		mine.hasID(1)
		time.Sleep(time.Minute)
		taps[0].has(t, "0s Acquire 1s", "333ms Renew 2s", "500ms Abort")
		second.returns(2)
		theirs.hasID(2)
		b.holds(key, 2)
	})
}

// A lease survives faults of its renewal while its time is not over.
func TestRenewalThatFailsIsTriedAgain(t *testing.T) {
	onTapped(t, 2, config{}, func(p *processes, _ []*tapped) {
		a, b := p.all[0], p.all[1]
		mine := a.get(key)
		running := a.call(key)
		p.faults[0].Fail(errGone, chaos.Renew)
		time.Sleep(750 * time.Millisecond)
		p.faults[0].Heal()
		theirs := b.get(key)
		time.Sleep(5 * time.Second)
		b.calls()
		running.returns(1)
		mine.hasID(1)
		theirs.hasID(1)
	})
}

// A renewal that hangs is given up in time for another one.
func TestRenewalThatHangsIsTriedAgain(t *testing.T) {
	onTapped(t, 1, config{more: []zodiac.Option{zodiac.WithStoreTimeout(100 * time.Millisecond)}}, func(p *processes, _ []*tapped) {
		s := p.all[0]
		mine := s.get(key)
		running := s.call(key)
		p.faults[0].Stall(chaos.Renew)
		time.Sleep(500 * time.Millisecond)
		p.faults[0].Observe(func(c chaos.Call) { // stalled renewals stay stalled
			if c.Op == chaos.Renew {
				p.faults[0].Heal(chaos.Renew)
			}
		})
		time.Sleep(5 * time.Second)
		running.returns(1)
		mine.hasID(1)
		s.holds(key, 1)
	})
}

// P12: a renewal that is under way when the function returns is told to stop, and awaited. It must
// not come after the commit.
func TestP12_RenewalUnderWayEndsBeforeTheCommit(t *testing.T) {
	onTapped(t, 1, config{}, func(p *processes, taps []*tapped) {
		s := p.all[0]
		taps[0].replies(chaos.Renew, 600*time.Millisecond)
		taps[0].ending = 10 * time.Millisecond
		mine := s.get(key)
		running := s.call(key)
		time.Sleep(400 * time.Millisecond)
		running.returns(1)
		mine.waits()
		time.Sleep(10 * time.Millisecond)
		mine.hasID(1)
		time.Sleep(time.Minute)
		taps[0].has(t, "0s Acquire 1s", "333ms Renew 2s", "410ms Commit")
	})
}

// P12: every lease that may have been granted is given back. After an ask, a commit or a renewal of
// unknown outcome, other callers need not wait for the end of the lease.
func TestP12_UnknownOutcomesLeaveNoLease(t *testing.T) {
	for name, unknown := range map[string]func(p *processes){
		"Acquire": func(p *processes) {
			p.faults[0].LoseReply(errGone, chaos.Acquire)
			mine := p.all[0].get(key)
			p.all[0].call(key).returns(1)
			mine.hasID(1)
		},
		"Commit": func(p *processes) {
			mine := p.all[0].get(key)
			p.faults[0].Fail(errGone, chaos.Commit)
			p.all[0].call(key).returns(1)
			mine.hasID(1)
		},
		"Renew": func(p *processes) {
			mine := p.all[0].get(key)
			p.faults[0].LoseReply(errGone, chaos.Renew)
			running := p.all[0].call(key)
			time.Sleep(1500 * time.Millisecond)
			running.returns(1)
			mine.hasID(1)
			if p.faults[0].Calls(chaos.Commit) != 0 {
				p.t.Error("a Commit was sent under a lease that may be another's")
			}
		},
		"Acquire of Update": func(p *processes) {
			p.faults[0].LoseReply(errGone, chaos.Acquire)
			if _, err := p.all[0].Update(bg, key, func(v value, _ bool) (value, error) { return v, nil }); !errors.Is(err, errGone) {
				p.t.Errorf("Update = %v", err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			onTapped(t, 2, config{}, func(p *processes, _ []*tapped) {
				unknown(p)
				synctest.Wait()
				theirs := p.all[1].get(key)
				p.all[1].call(key).returns(2)
				theirs.hasID(2)
			})
		})
	}
}

// P4 (i): a record found by asking for the lease is for callers that joined before the ask was
// sent. A caller that joined while the answer was under way begins a new round: the record may have
// been deleted before it came.
func TestP4_RecordFoundByAskingIsNotForLaterCallers(t *testing.T) {
	onTapped(t, 2, config{}, func(p *processes, taps []*tapped) {
		a, b := p.all[0], p.all[1]
		taps[0].replies(chaos.Acquire, 20*time.Millisecond)
		p.faults[0].Observe(func(c chaos.Call) {
			if c.Op == chaos.Acquire {
				b.Set(bg, key, value{id: 3})
			}
		})
		early := a.get(key)
		p.faults[0].Observe(nil)
		time.Sleep(10 * time.Millisecond)
		b.set(key, 4)
		late := a.get(key)
		time.Sleep(10 * time.Millisecond)
		early.hasID(3)
		late.hasID(4)
		a.calls()
	})
}

// An answer may report a record without its data. Then the record is read.
func TestRecordMissingFromAnAnswerIsRead(t *testing.T) {
	onTapped(t, 2, config{}, func(p *processes, taps []*tapped) {
		a, b := p.all[0], p.all[1]
		taps[0].hollow = true
		p.faults[0].Observe(func(c chaos.Call) {
			if c.Op == chaos.Acquire {
				b.Set(bg, key, value{id: 3})
			}
		})
		a.get(key).hasID(3)
		a.calls()
		p.counted(0, statsOf("HitStore"))
	})
}

// A record that an answer reported may be gone when it is read. Then the lease is asked for again.
func TestRecordGoneBeforeItIsReadIsAskedForAgain(t *testing.T) {
	onTapped(t, 2, config{}, func(p *processes, taps []*tapped) {
		a, b := p.all[0], p.all[1]
		taps[0].hollow = true
		p.faults[0].Observe(func(c chaos.Call) {
			switch c.Op {
			case chaos.Acquire:
				if p.faults[0].Calls(chaos.Acquire) == 1 {
					b.Set(bg, key, value{id: 3})
				}
			case chaos.Get:
				b.Delete(bg, key) // both times
			}
		})
		mine := a.get(key)
		p.faults[0].Observe(nil)
		a.call(key).returns(5)
		mine.hasID(5)
		a.holds(key, 5)
		p.counted(0, statsOf("Fetched Stored HitStore"))
	})
}

// P4 (i), for an error that another process has noted.
func TestP4_ErrorFoundByAskingIsNotForLaterCallers(t *testing.T) {
	onTapped(t, 2, config{errorTTL: 5 * time.Second}, func(p *processes, taps []*tapped) {
		a, b := p.all[0], p.all[1]
		theirs := b.get(key)
		b.call(key).fails(errGone)
		theirs.has(outcome{kind: gotError, err: errGone})
		taps[0].replies(chaos.Acquire, 20*time.Millisecond)
		early := a.get(key)
		time.Sleep(10 * time.Millisecond)
		b.set(key, 4)
		late := a.get(key)
		time.Sleep(10 * time.Millisecond)
		if r := early.result(); !errors.Is(r.err, zodiac.ErrRemembered) {
			t.Errorf("Get from before = %v; want the remembered error", r)
		}
		late.hasID(4)
		a.calls()
	})
}

// A skipped result leaves a tombstone for a second, or for WithLease if that is shorter. A caller
// that asks then fetches without a lease, for the earlier callers. Later values are stored again.
func TestTombstoneOfASkippedResultLastsASecond(t *testing.T) {
	const skipped = 3 * 48
	for lease, lasts := range map[time.Duration]time.Duration{5 * time.Second: time.Second, 300 * time.Millisecond: 300 * time.Millisecond} {
		t.Run(fmt.Sprint(lease), func(t *testing.T) {
			onTapped(t, 2, config{skipIf: true, more: []zodiac.Option{zodiac.WithLease(lease)}}, func(p *processes, _ []*tapped) {
				a, b := p.all[0], p.all[1]
				mine := a.get(key)
				a.call(key).returns(skipped)
				mine.hasID(skipped)

				time.Sleep(lasts - 1)
				theirs := b.get(key)
				running := b.call(key)
				late := b.get(key)
				b.calls()
				time.Sleep(time.Nanosecond)
				running.returns(1)
				theirs.hasID(1)
				b.lacks(key)
				b.call(key).returns(2) // now there is no tombstone
				late.hasID(2)
				b.holds(key, 2)
			})
		})
	}
}

// P17: a caller that meets the third holder of the lease fetches beside it, for earlier callers,
// and stores nothing.
func TestP17_ThirdHolderIsNotWaitedFor(t *testing.T) {
	onTapped(t, 1, config{more: []zodiac.Option{zodiac.WithWait(60, zodiac.ThenFail)}}, func(p *processes, _ []*tapped) {
		s := p.all[0]
		holder := 0
		take := func() string {
			holder++
			c, err := p.store.(driver.Leaser).Acquire(bg, entryKey, driver.Ask{Token: fmt.Sprint("0123456789abcdef", holder), Lease: time.Minute, Force: true})
			if err != nil {
				t.Fatal(err)
			}
			return c.Token
		}
		take()
		mine := s.get(key)
		take()
		time.Sleep(100 * time.Millisecond)
		s.calls()
		token := take()
		time.Sleep(50 * time.Millisecond)
		running := s.call(key)
		late := s.get(key)
		running.returns(1)
		mine.hasID(1)
		s.lacks(key)
		if st := s.Stats(); st.Uncached != 1 {
			t.Errorf("Stats() = %+v; want one without a lease", st)
		}
		late.waits()
		if ok, err := p.store.(driver.Leaser).Abort(bg, entryKey, token); !ok || err != nil {
			t.Fatal(ok, err)
		}
		s.call(key).returns(2)
		late.hasID(2)
	})
}

// P16, P4 (iii): a value fetched after WithWait is over is for callers that came before its
// function began.
func TestP16_ValueFetchedAfterWaitingIsNotForLaterCallers(t *testing.T) {
	onTapped(t, 2, config{more: []zodiac.Option{zodiac.WithWait(3, zodiac.ThenFetch)}}, func(p *processes, _ []*tapped) {
		a, b := p.all[0], p.all[1]
		first := a.get(key)
		running := a.call(key)
		mine := b.get(key)
		time.Sleep(3 * time.Second)
		second := b.call(key)
		late := b.get(key)
		second.returns(2)
		mine.hasID(2)
		late.waits()
		running.returns(1)
		first.hasID(1)
		late.hasID(1)
		b.calls()
	})
}

// P4 (iv): the error of a fetch beside another process's is for every caller that joined.
func TestP4_ErrorOfAFetchAfterWaitingIsForAllJoinedCallers(t *testing.T) {
	onTapped(t, 2, config{more: []zodiac.Option{zodiac.WithWait(3, zodiac.ThenFetch)}}, func(p *processes, _ []*tapped) {
		a, b := p.all[0], p.all[1]
		a.get(key)
		a.call(key)
		mine := b.get(key)
		time.Sleep(3 * time.Second)
		second := b.call(key)
		late := b.get(key)
		second.fails(errGone)
		for _, c := range []*caller{mine, late} {
			c.has(outcome{kind: gotError, err: errGone})
		}
	})
}

// P14: a lease that ends after an ask was answered, but before the asking process can be woken, is
// noticed at once.
func TestP14_LeaseThatEndsBeforeOneCanBeWokenIsSeenAtOnce(t *testing.T) {
	onTapped(t, 2, config{}, func(p *processes, taps []*tapped) {
		a, b := p.all[0], p.all[1]
		mine := a.get(key)
		running := a.call(key)
		taps[1].replies(chaos.Acquire, time.Second/2)
		theirs := b.get(key)
		running.returns(1)
		mine.hasID(1)
		time.Sleep(time.Second / 2)
		theirs.waits() // it asks again
		time.Sleep(time.Second / 2)
		theirs.hasID(1)
	})
}

// Waiting for another process does not count for WithStoreTimeout. A value fetched afterwards is
// stored.
func TestWaitingForOthersCostsNoStoreTime(t *testing.T) {
	onTapped(t, 2, config{more: []zodiac.Option{zodiac.WithStoreTimeout(100 * time.Millisecond)}}, func(p *processes, _ []*tapped) {
		a, b := p.all[0], p.all[1]
		p.faults[1].Delay(20*time.Millisecond, chaos.Acquire)
		mine := a.get(key)
		running := a.call(key)
		theirs := b.get(key)
		time.Sleep(3 * time.Second)
		running.fails(errGone)
		mine.has(outcome{kind: gotError, err: errGone})
		time.Sleep(100 * time.Millisecond)
		b.call(key).returns(2)
		theirs.hasID(2)
		b.holds(key, 2)
		if s := b.Stats(); s.Stored != 1 {
			t.Errorf("Stats() = %+v; want one that was stored", s)
		}
	})
}

// P1, P11: a value fetched while the store did not answer is also for later callers if it does not
// answer them either. If it does, they begin a new round.
func TestP11_ValueFetchedWithoutTheStoreIsNotForCallersItAnswers(t *testing.T) {
	for name, answers := range map[string]bool{"still down": false, "up again": true} {
		t.Run(name, func(t *testing.T) {
			onTapped(t, 2, config{}, func(p *processes, _ []*tapped) {
				a, b := p.all[0], p.all[1]
				p.faults[0].Fail(errGone)
				mine := a.get(key)
				running := a.call(key)
				b.set(key, 9)
				late := a.get(key) // after the Set
				if answers {
					p.faults[0].Heal()
				}
				running.returns(1)
				mine.hasID(1)
				if answers {
					late.hasID(9)
				} else {
					late.hasID(1)
				}
				a.calls()
				p.faults[0].Heal()
				b.holds(key, 9)
			})
		})
	}
}
