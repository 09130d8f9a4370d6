package remote

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/record"
)

// leave makes another process end its fetch with a tombstone.
func leave(t *testing.T, s *fakeStore, kind record.Kind, text string) {
	t.Helper()
	rec := record.Record{Kind: kind, Created: time.Now(), Payload: []byte(text)}
	token := s.hold(t, "another", time.Minute)
	ok, err := s.Store.Commit(t.Context(), key, token, driver.Record{Data: rec.AppendTo(nil), TTL: time.Minute, Tombstone: true})
	if !ok || err != nil {
		t.Fatalf("Commit of a tombstone = %v, %v", ok, err)
	}
}

func TestAcquireAnswers(t *testing.T) {
	type answer struct {
		call, leased bool
		found        string // "-" = none
		err          string
	}
	remembers := func(cfg *Config) { cfg.Remembers = true }
	tests := map[string]struct {
		cfg    func(*Config)
		fetch  func(*Fetch)
		before func(t *testing.T, s *fakeStore, f *Fetch)
		want   answer
		asks   int
	}{
		"Absent": {want: answer{true, true, "-", ""}, asks: 1},
		"Present": {
			before: func(t *testing.T, s *fakeStore, _ *Fetch) { s.put(t, value("there")) },
			want:   answer{false, false, "there", ""}, asks: 1,
		},
		"PresentButNotWhole": {
			before: func(t *testing.T, s *fakeStore, _ *Fetch) {
				s.put(t, value("there"))
				s.setClaim(func(c *driver.Claim) { c.Whole, c.Record.Data = false, nil })
			},
			want: answer{false, false, "there", ""}, asks: 1,
		},
		"NotWholeAndGoneAgain": {
			before: func(t *testing.T, s *fakeStore, _ *Fetch) {
				s.put(t, value("there"))
				s.setClaim(func(c *driver.Claim) { c.Whole = false })
				s.setBefore(func(ctx context.Context, op, _ string) error {
					if op == "Get" {
						s.Store.Delete(ctx, key)
					}
					return nil
				})
			},
			want: answer{true, true, "-", ""}, asks: 2,
		},
		"Seen": {
			before: func(t *testing.T, s *fakeStore, f *Fetch) { f.Seen = s.put(t, value("stale")) },
			want:   answer{true, true, "-", ""}, asks: 1,
		},
		"OfNoUse": {
			before: func(t *testing.T, s *fakeStore, _ *Fetch) {
				s.put(t, driver.Record{Data: []byte("foreign"), TTL: time.Hour})
			},
			want: answer{true, true, "-", ""}, asks: 2,
		},
		"TagLost": {
			before: func(t *testing.T, s *fakeStore, _ *Fetch) {
				s.put(t, value("old", record.Tag{Name: "lost", Gen: "1"}))
			},
			want: answer{true, true, "-", ""}, asks: 2,
		},
		"Forced": {
			fetch:  func(f *Fetch) { f.Force = true },
			before: func(t *testing.T, s *fakeStore, _ *Fetch) { s.put(t, value("there")) },
			want:   answer{true, true, "-", ""}, asks: 1,
		},
		"SkippedElsewhere": {
			before: func(t *testing.T, s *fakeStore, _ *Fetch) { leave(t, s, record.Skipped, "") },
			want:   answer{true, false, "-", ""}, asks: 1,
		},
		"SkippedElsewhereAndErrorsRemembered": {
			cfg:    remembers,
			before: func(t *testing.T, s *fakeStore, _ *Fetch) { leave(t, s, record.Skipped, "") },
			want:   answer{true, false, "-", ""}, asks: 1,
		},
		"TombstoneOfNoUse": {
			cfg: remembers,
			before: func(t *testing.T, s *fakeStore, _ *Fetch) {
				leave(t, s, record.Failed, "boom")
				s.setClaim(func(c *driver.Claim) {
					if c.State == driver.Hit {
						c.Record.Data[len(c.Record.Data)-1]++
					}
				})
			},
			want: answer{true, true, "-", ""}, asks: 2,
		},
		"ElsewhereError": {
			cfg:    remembers,
			before: func(t *testing.T, s *fakeStore, _ *Fetch) { leave(t, s, record.Failed, "boom") },
			want:   answer{false, false, "-", "boom"}, asks: 1,
		},
		"FailedElsewhereNotRemembered": {
			before: func(t *testing.T, s *fakeStore, _ *Fetch) { leave(t, s, record.Failed, "boom") },
			want:   answer{true, false, "-", ""}, asks: 1,
		},
		"Aside": {
			fetch: func(f *Fetch) { f.Aside = true },
			want:  answer{true, false, "-", ""},
		},
		"BareStore": {
			cfg:  func(cfg *Config) { cfg.Store = bareStore{cfg.Store} },
			want: answer{true, false, "-", ""},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t)
				cfg, fetch := tt.cfg, tt.fetch
				if cfg == nil {
					cfg = func(*Config) {}
				}
				if fetch == nil {
					fetch = func(*Fetch) {}
				}
				f := newFetch(newClient(t, s, cfg), &owner{}, fetch)
				if tt.before != nil {
					tt.before(t, s, f)
				}
				got := answer{call: f.Acquire(), leased: f.leased, found: "-"}
				if f.Found != nil {
					got.found = string(f.Found.Parsed.Payload)
				}
				if f.Err != nil {
					got.err = f.Err.Error()
				}
				if got != tt.want || s.count("Acquire") != tt.asks {
					t.Errorf("got %+v by %d asks; want %+v by %d", got, s.count("Acquire"), tt.want, tt.asks)
				}
				f.Close()
			})
		})
	}
}

func TestFaultOfTheStoreAfterItHasFoundARecord(t *testing.T) {
	for op, claim := range map[string]func(*driver.Claim){
		"Get":     func(c *driver.Claim) { c.Whole = false },
		"GetMany": func(*driver.Claim) {}, // of the record's tags
	} {
		for _, closed := range []bool{false, true} {
			t.Run(fmt.Sprint(op, "/", closed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s, o := newStore(t), &owner{}
					s.put(t, value("there", record.Tag{Name: "late", Gen: "1"}))
					s.setClaim(claim)
					s.fail(op)
					f := newFetch(newClient(t, s, func(cfg *Config) { cfg.FailClosed = closed }), o)
					call := f.Acquire()
					synctest.Wait()
					if call == closed || f.Found != nil || s.count("Acquire") != 1 ||
						s.count("Abort") != 0 {
						t.Errorf("Acquire = %v, Found = %v, by %d asks, and %d aborts; want %v, nil, 1, 0",
							call, f.Found, s.count("Acquire"), s.count("Abort"), !closed)
					}
					if len(o.failed) != 1 || faultOf(o.failed[0]).Op != op || closed &&
						!errors.Is(f.Err, o.failed[0]) {
						t.Errorf("the owner was told of %v, Err = %v; want a fault of %s",
							o.failed, f.Err, op)
					}
				})
			})
		}
	}
}

// A laggingStore answers the first Get with an earlier record.
type laggingStore struct {
	*fakeStore
	earlier driver.Record
}

func (s *laggingStore) Get(ctx context.Context, key string) (driver.Record, error) {
	r, err := s.fakeStore.Get(ctx, key)
	if s.count("Get") == 1 {
		return s.earlier, nil
	}
	return r, err
}

func TestRecordThatWasSeenIsNotFoundAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &laggingStore{fakeStore: newStore(t)}
		seen := s.put(t, value("seen"))
		s.earlier, _ = s.Store.Get(t.Context(), key)
		s.put(t, value("newer"))
		s.setClaim(func(c *driver.Claim) { c.Whole = false })
		c := newClient(t, s.fakeStore, func(cfg *Config) { cfg.Store = s })
		f := newFetch(c, &owner{}, func(f *Fetch) { f.Seen = seen })
		if f.Acquire() || f.Found == nil || string(f.Found.Parsed.Payload) != "newer" ||
			s.count("Acquire") != 2 {
			t.Errorf("Acquire has found %v by %d asks; want the newer record by 2",
				f.Found, s.count("Acquire"))
		}
	})
}

func TestFetchNotesMemoryBeforeItAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		c, _ := subscribed(t, s)
		time.Sleep(time.Minute)
		token := c.FillToken(key)
		hold := s.hold(t, "another", time.Hour)
		s.setBefore(func(_ context.Context, op, _ string) error {
			if op == "Acquire" {
				c.Invalidate(key)
				time.Sleep(time.Second / 4)
			}
			return nil
		})
		time.AfterFunc(time.Second, func() { s.Store.Commit(t.Context(), key, hold, value("there")) })
		f := newFetch(c, &owner{})
		f.Acquire()
		if f.Fill != token {
			t.Errorf("Fill = %+v; want %+v", f.Fill, token)
		}
		asks := s.commands("Acquire")
		sent := asks[len(asks)-1].at
		if f.Found == nil || f.Found.Fill != token || !c.Clock.Time(f.Found.Sent).Equal(sent) {
			t.Errorf("Found = %+v; want the token from before, and sent at %v", f.Found, sent)
		}
	})
}

// The deadline of a lease counts from before its ask, and what a Guard lends likewise.
func TestTimeOfALeaseBeginsBeforeTheAsk(t *testing.T) {
	for name, f := range map[string]func(t *testing.T, s *fakeStore) *Fetch{
		"Lease": func(t *testing.T, s *fakeStore) *Fetch { return newFetch(newClient(t, s), &owner{}) },
		"Guard": func(t *testing.T, s *fakeStore) *Fetch {
			g := &guard{asked: func(context.Context, string, time.Duration) {
				time.Sleep(600 * time.Millisecond)
			}}
			c := newClient(t, s, bare(s), func(cfg *Config) { cfg.Guard, cfg.Lease = g, firstGrant })
			return newFetch(c, &owner{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t)
				s.setAfter(func(op, _ string) error {
					if op == "Acquire" {
						time.Sleep(600 * time.Millisecond)
					}
					return nil
				})
				s.fail("Renew")
				start, f := time.Now(), f(t, s)
				f.Acquire()
				if end := deadlineOf(&f.lease); !end.Equal(start.Add(firstGrant)) {
					t.Errorf("the lease ends %v after the ask; want %v", end.Sub(start), firstGrant)
				}
				f.Close()
			})
		})
	}
}

func TestRecordFoundIsOnlyForGetsThatBeganBeforeTheAsk(t *testing.T) {
	for name, there := range map[string]func(t *testing.T, s *fakeStore){
		"Value":  func(t *testing.T, s *fakeStore) { s.put(t, value("there")) },
		"Failed": func(t *testing.T, s *fakeStore) { leave(t, s, record.Failed, "boom") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t)
				c := newClient(t, s, func(cfg *Config) { cfg.Remembers = true })
				there(t, s)
				var during Moment
				s.setBefore(func(context.Context, string, string) error {
					during = c.Now()
					return nil
				})
				f, earlier := newFetch(c, &owner{}), c.Now()
				f.Acquire()
				r := restricted(t, f.Outcome(f.Err))
				if r.Before <= earlier || r.Before >= during || r.IfDown || !errors.Is(r.Err, f.Err) {
					t.Errorf("the outcome is for Gets before %d, also if the store is down: %v; want between %d and %d, false",
						r.Before, r.IfDown, earlier, during)
				}
			})
		})
	}
}

func TestValueWithoutALeaseIsOnlyForGetsThatBeganBeforeTheFunction(t *testing.T) {
	for name, down := range map[string]bool{"Aside": false, "StoreDown": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t)
				c, o := newClient(t, s), &owner{}
				f := newFetch(c, o, func(f *Fetch) { f.Aside = !down })
				if down {
					s.fail("Acquire")
				}
				if !f.Acquire() || f.leased {
					t.Fatalf("Acquire() = false (%v), or Leased", f.Err)
				}
				earlier := c.Now()
				f.Watch()
				later, boom := c.Now(), errors.New("boom")
				if fate := f.Commit(storable("mine")); fate != NoLease || s.stored(t) != "-" {
					t.Errorf("Commit = %v; want NoLease, and nothing stored", fate)
				}
				r := restricted(t, f.Outcome(boom))
				if r.Before <= earlier || r.Before >= later || r.IfDown != down || !errors.Is(r.Err, boom) {
					t.Errorf("the outcome is %+v; want one before %d to %d", r, earlier, later)
				}
				if down != (len(o.failed) == 1) {
					t.Errorf("the owner was told of %v", o.failed)
				}
				f.ForEarlier()
				if r := restricted(t, f.Outcome(boom)); r.IfDown != down {
					t.Errorf("after ForEarlier the outcome is for others if the store is down: %v",
						r.IfDown)
				}
				if f.ForAll(); !errors.Is(f.Outcome(boom), boom) {
					t.Errorf("after ForAll the outcome is %v", f.Outcome(boom))
				}
				f.Close()
			})
		})
	}
}

func TestFetchAfterATombstoneElsewhereStoresNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		c := newClient(t, s)
		leave(t, s, record.Skipped, "")
		f := fetched(t, c, &owner{})
		later := c.Now()
		if fate := f.Commit(storable("mine")); fate != NoLease || s.count("Commit") != 0 {
			t.Errorf("Commit = %v by %d commands; want NoLease by none", fate, s.count("Commit"))
		}
		if r := restricted(t, f.Outcome(nil)); r.Before != f.started || r.Before >= later ||
			r.IfDown {
			t.Errorf("the outcome is %+v; want one for Gets from before the function", r)
		}
	})
}

func TestFetchThatStoresNothingDoesNotAskForTags(t *testing.T) {
	for name, down := range map[string]bool{"Aside": false, "StoreDown": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t)
				if down {
					s.fail("Acquire")
				}
				c := newClient(t, s, withTags(true, "own"))
				f := newFetch(c, &owner{}, func(f *Fetch) { f.Aside = !down })
				f.Acquire()
				f.Watch()
				synctest.Wait()
				if n := s.total() - s.count("Acquire", "Abort"); n != 0 {
					t.Errorf("%d commands were sent about tags; want none", n)
				}
			})
		})
	}
}

func TestTagsOfTheRecordAreThoseFromBeforeTheFunction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		generation(t, s, "own", "o1")
		c := newClient(t, s, withTags(false, "own"))
		var during Moment
		s.setBefore(func(context.Context, string, string) error {
			during = c.Now()
			return nil
		})
		f := fetched(t, c, &owner{})
		if f.started < during {
			t.Error("the function counts as called before the tags were read")
		}
		if f.Tags.gens["own"] != "o1" {
			t.Errorf("the fetch watches %v; want the generation from before", f.Tags.gens)
		}
		s.fail("EnsureMany", "GetMany")
		if fate := f.Commit(storable("1", BlankTags([]string{"own"})...)); fate != NotStored {
			t.Errorf("Commit = %v; want NotStored", fate)
		}
		if _, ok := f.Fault.(*OpError); !ok || !errors.Is(f.Fault, errDown) { //nolint:errorlint // Commit looks for an OpError that is not wrapped
			t.Errorf("Fault = %v; want that of the store", f.Fault)
		}
	})
}

func TestAskThatIsSkippedSendsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := newStore(t), &owner{}
		f := newFetch(newClient(t, s), o, func(f *Fetch) { f.Budget = Budget{} })
		call := f.Acquire()
		synctest.Wait()
		if !call || s.total() != 0 || len(o.failed) != 1 || !faultOf(o.failed[0]).Skipped() {
			t.Errorf("Acquire = %v by %d commands, the owner was told of %v; want true by none, and that",
				call, s.total(), o.failed)
		}
	})
}

func TestGiveUpDoesNotWaitForARenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		f := fetched(t, newClient(t, s), &owner{})
		s.setBefore(func(_ context.Context, op, _ string) error {
			if op == "Renew" {
				time.Sleep(time.Second) // it does not notice the end of its context
			}
			return nil
		})
		time.Sleep(firstGrant / 2)
		start := time.Now()
		if f.GiveUp(); time.Since(start) != 0 || s.count("Renew") != 1 {
			t.Errorf("GiveUp took %v, during %d renewals; want no time, during one",
				time.Since(start), s.count("Renew"))
		}
	})
}

func TestAskWithoutAnAnswerIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		f := newFetch(newClient(t, s), &owner{})
		s.setAfter(func(op, _ string) error {
			if op == "Acquire" {
				return errDown
			}
			return nil
		})
		f.Acquire()
		synctest.Wait()
		if !free(t, s) {
			t.Error("a lease that was granted by an ask without an answer is still held")
		}
	})
}

func TestStoreThatDoesNotAnswerFailsAFetchIfClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		f := newFetch(newClient(t, s, func(cfg *Config) { cfg.FailClosed = true }), &owner{})
		s.fail()
		call := f.Acquire()
		bad, _ := errors.AsType[*OpError](f.Err)
		if call || bad == nil || bad.Op != "Acquire" || !errors.Is(bad, errDown) {
			t.Errorf("Acquire = %v, %v; want false and an OpError of Acquire", call, f.Err)
		}
		if got := f.Outcome(f.Err); !errors.Is(got, f.Err) {
			t.Errorf("the outcome is %v; want the OpError", got)
		}
	})
}

func TestFetchThatWasGivenUpAsksForNothingMore(t *testing.T) {
	for name, ask := range map[string]error{"Won": nil, "NoAnswer": errDown} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t)
				ctx, cancel := context.WithCancel(t.Context())
				f := newFetch(newClient(t, s), &owner{}, func(f *Fetch) { f.Ctx = ctx })
				s.setBefore(func(ctx context.Context, op, _ string) error {
					if op == "Acquire" {
						cancel()
						f.GiveUp()
						time.Sleep(time.Millisecond)
						if ctx.Err() != nil {
							t.Error("the ask ends with the callers, so nobody knows what to give back")
						}
						return ask
					}
					return nil
				})
				if f.Acquire() || !errors.Is(f.Err, context.Canceled) {
					t.Errorf("Acquire = true, or its error is %v; want context.Canceled", f.Err)
				}
				synctest.Wait()
				if n := s.count("Abort"); n != 1 || !free(t, s) {
					t.Errorf("%d aborts were sent; want 1, and the lease free", n)
				}
			})
		})
	}
}

func TestStoredValueIsForEveryone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		c := newClient(t, s)
		f := newFetch(c, &owner{})
		f.Acquire()
		f.Watch()
		if fate := f.Commit(storable("mine")); fate != Stored || s.stored(t) != "mine" {
			t.Errorf("Commit = %v, the store has %q; want Stored", fate, s.stored(t))
		}
		if err := f.Outcome(nil); err != nil {
			t.Errorf("the outcome is %v; want nil", err)
		}
		f.Close()
		synctest.Wait()
		if n := s.count("Abort"); n != 0 {
			t.Errorf("a lease that was committed is given back (%d)", n)
		}
	})
}

// faultOf returns the OpError in err, or a zero one.
func faultOf(err error) *OpError {
	if e, ok := errors.AsType[*OpError](err); ok {
		return e
	}
	return new(OpError)
}
