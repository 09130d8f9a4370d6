package remote

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestCommandIsSkippedOnceTheBudgetIsSpent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		c := newClient(t, s)
		var spent Budget
		_, err := c.ReadLeft(t.Context(), &spent, key)
		if bad, ok := errors.AsType[*OpError](err); !ok || !bad.Skipped() || bad.Unknown() || s.total() != 0 {
			t.Errorf("ReadLeft = %v, and sent %d commands; want an OpError that is Skipped, and none", err, s.total())
		}
	})
}

// stall makes commands of ops wait for the end of their context, or until that is closed if
// until is not nil.
func stall(s *fakeStore, until chan struct{}) {
	s.setBefore(func(ctx context.Context, _, _ string) error {
		if until != nil {
			<-until
			return errDown
		}
		<-ctx.Done()
		return ctx.Err()
	})
}

func TestStalledStoreCostsACallItsTimeoutOnce(t *testing.T) {
	for name, call := range map[string]func(ctx context.Context, c *Client){
		"Read": func(ctx context.Context, c *Client) {
			b := c.NewBudget()
			for range 3 {
				c.Read(ctx, &b, key)
			}
		},
		"ReadMany": func(ctx context.Context, c *Client) {
			b := c.NewBudget()
			c.ReadMany(ctx, &b, []string{key, key + "1"})
		},
		"Set":        func(ctx context.Context, c *Client) { newWrite(c, &writeOwner{}, value("1")).Set(ctx) },
		"DeleteTags": func(ctx context.Context, c *Client) { c.DeleteTags(ctx, []string{"a", "b"}, func([]string) {}) },
		"Fetch": func(_ context.Context, c *Client) {
			f := newFetch(c, &owner{})
			f.Acquire()
			f.Watch()
			f.Commit(storable("1", BlankTags([]string{"a"})...))
			f.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t)
				c := newClient(t, s, withTags(true, "static"))
				stall(s, nil)
				start := time.Now()
				call(context.Background(), c)
				if d := time.Since(start); d > c.Timeout || d < c.Timeout-limitGrain {
					t.Errorf("it took %v; want %v", d, c.Timeout)
				}
			})
		})
	}
}

func TestCallerWhoLeavesAFailingStoreReturnsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		c, until := newClient(t, s), make(chan struct{})
		s.fail()
		b := c.NewBudget()
		c.ReadLeft(t.Context(), &b, key)
		stall(s, until) // a client that does not notice the end of a context
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		start := time.Now()
		_, err := c.ReadLeft(ctx, &b, key)
		if d := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || d != 10*time.Millisecond {
			t.Errorf("ReadLeft = %v after %v; want the context's error after 10ms", err, d)
		}
		if b.left != c.Timeout-10*time.Millisecond {
			t.Errorf("the budget left is %v; want %v", b.left, c.Timeout-10*time.Millisecond)
		}
		close(until)
	})
}

func TestCommandWhoseCallerLeavesAFailingStoreGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		c := newClient(t, s)
		s.fail()
		b := c.NewBudget()
		c.ReadLeft(t.Context(), &b, key)
		ctx, leave := context.WithCancel(t.Context())
		s.setBefore(func(ctx context.Context, _, _ string) error {
			leave()
			time.Sleep(time.Second / 2)
			return ctx.Err()
		})
		if _, err := c.ReadLeft(ctx, &b, key); !errors.Is(err, context.Canceled) {
			t.Errorf("ReadLeft = %v; want the context's error", err)
		}
		time.Sleep(time.Second / 2)
		synctest.Wait()
		if n := faultsOf(c); n != 0 {
			t.Errorf("the breaker has seen %d faults; want none since the answer", n)
		}
	})
}

func TestContextOfACommandEndsWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		c := newClient(t, s)
		var command context.Context
		s.setBefore(func(ctx context.Context, _, _ string) error {
			command = ctx
			return nil
		})
		b := c.NewBudget()
		if c.ReadLeft(t.Context(), &b, key); command.Err() == nil {
			t.Error("the context has not ended, and has a timer")
		}
	})
}

func TestLateSuccessOfAStoreCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		c := newClient(t, s)
		s.put(t, value("1"))
		s.fail()
		b := c.NewBudget()
		c.ReadLeft(context.Background(), &b, key)
		s.heal()
		s.setAfter(func(string, string) error {
			time.Sleep(3 * c.Timeout)
			return nil
		})
		if _, err := c.ReadLeft(context.Background(), &b, key); err != nil ||
			faultsOf(c) != 0 {
			t.Errorf("ReadLeft = %v, and the breaker has seen %d faults; want nil and none",
				err, faultsOf(c))
		}
	})
}

func TestExpireLaterOutlivesItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		c := newClient(t, s)
		s.put(t, value("1"))
		ctx, leave := context.WithCancel(t.Context())
		leave()
		c.ExpireLater(ctx, key, nil, time.Minute)
		synctest.Wait()
		if r, err := s.Store.Get(t.Context(), key); err != nil || r.TTL != time.Minute {
			t.Errorf("the record has %v left, %v; want a minute", r.TTL, err)
		}
	})
}

func TestPanicOfAStoreIsAFault(t *testing.T) {
	for name, ctx := range map[string]func(*testing.T) context.Context{
		"Inline":   func(*testing.T) context.Context { return context.Background() },
		"Detached": func(t *testing.T) context.Context { return t.Context() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t)
				c := newClient(t, s)
				s.setBefore(func(context.Context, string, string) error { panic("ouch") })
				b := c.NewBudget()
				for want := range int32(breakAfter) {
					_, err := c.ReadLeft(ctx(t), &b, key)
					if bad, ok := errors.AsType[*OpError](err); !ok || !strings.Contains(bad.Error(), "panicked: ouch") {
						t.Errorf("ReadLeft = %v; want an OpError", err)
					}
					if n := faultsOf(c); n != want+1 {
						t.Errorf("the breaker has seen %d faults; want %d", n, want+1)
					}
				}
			})
		})
	}
}

func TestFaultAfterAStopOfTheProcessSaysNothingAboutTheStore(t *testing.T) {
	for name, tt := range map[string]struct {
		took time.Duration
		err  error
		want int32
	}{
		"InTime": {time.Second, errDown, 1}, "Stopped": {2 * time.Second, errDown, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t)
				c := newClient(t, s)
				s.setBefore(func(context.Context, string, string) error {
					time.Sleep(tt.took)
					return tt.err
				})
				b := c.NewBudget()
				c.ReadLeft(t.Context(), &b, key)
				if n := faultsOf(c); n != tt.want {
					t.Errorf("the breaker has seen %d faults; want %d", n, tt.want)
				}
			})
		})
	}
}

func TestCommandEndsNoLaterThanItsLimit(t *testing.T) {
	type valueKey struct{}
	for name, tt := range map[string]struct {
		leaves bool
		limit  time.Duration
		early  time.Duration // by how much it may end earlier
	}{
		"Shared":         {false, time.Second, limitGrain},
		"Short":          {false, 10*limitGrain - 1, 0},
		"CallerCanLeave": {true, time.Second, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var l limits
				parent := context.WithValue(context.Background(), valueKey{}, "v")
				if tt.leaves {
					var cancel context.CancelFunc
					parent, cancel = context.WithCancel(parent)
					defer cancel()
				}
				for i := range 100 {
					began := time.Now()
					ctx, cancel := l.limit(parent, began, tt.limit)
					end, ok := ctx.Deadline()
					if early := began.Add(tt.limit).Sub(end); !ok || early < 0 || early > tt.early {
						t.Fatalf("command %d ends %v early; want 0 to %v", i, early, tt.early)
					}
					if ctx.Value(valueKey{}) != "v" {
						t.Error("the context has lost its values")
					}
					if (cancel == nil) != (name == "Shared") {
						t.Errorf("command %d has a timer of its own: %v", i, cancel != nil)
					}
					if cancel != nil {
						cancel()
					}
					time.Sleep(3 * time.Millisecond)
				}
			})
		})
	}
}

func TestCommandsOfTwoLimitsDoNotShareATimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l limits
		for range 20 {
			for _, limit := range []time.Duration{time.Second, time.Hour} {
				began := time.Now()
				ctx, cancel := l.limit(context.Background(), began, limit)
				end, _ := ctx.Deadline()
				if early := began.Add(limit).Sub(end); early < 0 || early > limitGrain {
					t.Errorf("a command under %v ends %v early", limit, early)
				}
				if shared := cancel == nil; shared != (limit == time.Second) {
					t.Errorf("a command under %v shares its timer: %v; want the first limit alone to",
						limit, shared)
				}
				if cancel != nil {
					cancel()
				}
			}
			time.Sleep(7 * time.Millisecond)
		}
		time.Sleep(limitGrain)
		if _, cancel := l.limit(context.Background(), time.Now(), time.Hour); cancel != nil {
			t.Error("a limit is not shared though no other is in use")
			cancel()
		}
	})
}

func TestSharedLimitEndsItsCommands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l limits
		start := time.Now()
		ctx, _ := l.limit(context.Background(), start, time.Second)
		<-ctx.Done()
		if d := time.Since(start); d != time.Second || !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			t.Errorf("it ended after %v with %v", d, ctx.Err())
		}
	})
}

func TestCommandsOfOneTimeHaveOneLimit(t *testing.T) {
	for range 200 {
		var (
			l    limits
			wg   sync.WaitGroup
			ends [4]context.Context
		)
		began := time.Now()
		for i := range ends {
			wg.Go(func() { ends[i], _ = l.limit(context.Background(), began, 10*limitGrain) })
		}
		wg.Wait()
		for _, end := range ends {
			if end.(limitedContext).sharedLimit != l.current.Load() {
				t.Fatal("two commands that begin at the same time have a timer each")
			}
		}
		if s := l.renew(began, time.Minute); s.limit != time.Minute {
			t.Errorf("renew for a minute = one for %v", s.limit)
		}
	}
}
