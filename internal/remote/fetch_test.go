package remote

import (
	"context"
	"errors"
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
		"Forced": {
			fetch:  func(f *Fetch) { f.Force = true },
			before: func(t *testing.T, s *fakeStore, _ *Fetch) { s.put(t, value("there")) },
			want:   answer{true, true, "-", ""}, asks: 1,
		},
		"SkippedElsewhere": {
			before: func(t *testing.T, s *fakeStore, _ *Fetch) { leave(t, s, record.Skipped, "") },
			want:   answer{true, false, "-", ""}, asks: 1,
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
				if fate := f.Commit(storable("mine")); fate != Unleased || s.stored(t) != "-" {
					t.Errorf("Commit = %v; want Unleased, and nothing stored", fate)
				}
				r := restricted(t, f.Outcome(boom))
				if r.Before <= earlier || r.Before >= later || r.IfDown != down || !errors.Is(r.Err, boom) {
					t.Errorf("the outcome is %+v; want one before %d to %d", r, earlier, later)
				}
				if down != (len(o.failed) == 1) {
					t.Errorf("the owner was told of %v", o.failed)
				}
				if f.ForAll(); !errors.Is(f.Outcome(boom), boom) {
					t.Errorf("after ForAll the outcome is %v", f.Outcome(boom))
				}
				f.Close()
			})
		})
	}
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
				s.setBefore(func(_ context.Context, op, _ string) error {
					if op == "Acquire" {
						cancel()
						f.GiveUp()
						time.Sleep(time.Millisecond)
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
