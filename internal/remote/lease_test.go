package remote

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac/driver"
)

// acquired returns a lease of key that was granted.
func acquired(t *testing.T, c *Client) *lease {
	t.Helper()
	l := &lease{c: c, key: key, values: context.Background()}
	a, sent := l.ask("", true), time.Now()
	claim, err := c.leaser.Acquire(t.Context(), key, a)
	if err != nil || claim.State != driver.Won || !l.grant(claim.Token, sent, a.Lease) {
		t.Fatalf("Acquire = %+v, %v", claim, err)
	}
	return l
}

// commitTo commits a value under the lease.
func commitTo(t *testing.T, l *lease, payload string) (bool, error) {
	b := l.c.NewBudget()
	return l.commit(t.Context(), &b, value(payload), send[bool])
}

func TestLeaseIsRenewedAtAThirdOfItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, start := newStore(t), time.Now()
		l := acquired(t, newClient(t, s))
		time.Sleep(7 * time.Second)
		synctest.Wait()
		var at []time.Duration
		for _, cmd := range s.commands("Renew") {
			at = append(at, cmd.at.Sub(start))
		}
		third := firstGrant / 3
		if want := []time.Duration{third, third + 3*time.Second, third + 6*time.Second}; !slices.Equal(at, want) {
			t.Errorf("renewed at %v; want %v", at, want)
		}
		l.close()
		time.Sleep(10 * time.Second)
		if n := s.count("Renew"); n != len(at) {
			t.Errorf("%d renewals after the end", n-len(at))
		}
	})
}

func TestLeaseOutlivesARenewalWithoutAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		l := acquired(t, newClient(t, s))
		s.fail("Renew")
		time.Sleep(firstGrant / 2)
		s.heal()
		time.Sleep(20 * time.Second)
		if ok, err := commitTo(t, l, "mine"); !ok || err != nil || s.stored(t) != "mine" {
			t.Errorf("commit = %v, %v; want true", ok, err)
		}
	})
}

func TestLeaseThatIsLostCommitsNothingAndIsGivenBack(t *testing.T) {
	for name, lose := range map[string]func(t *testing.T, s *fakeStore){
		"RenewalRefused": func(t *testing.T, s *fakeStore) { s.hold(t, "another", time.Hour) },
		"RenewalRefusedAndFree": func(t *testing.T, s *fakeStore) {
			s.Store.Delete(t.Context(), key)
		},
		"PastTheDeadline": func(_ *testing.T, s *fakeStore) { s.fail("Renew") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t)
				l := acquired(t, newClient(t, s))
				lose(t, s)
				time.Sleep(firstGrant / 2)
				if name == "PastTheDeadline" {
					time.Sleep(firstGrant / 2)
				}
				synctest.Wait()
				ok, err := commitTo(t, l, "mine")
				synctest.Wait()
				if ok || err != nil || s.count("Commit") != 0 || s.count("Abort") != 1 {
					t.Errorf("commit = %v, %v, %d commits and %d aborts were sent; want false, nil, 0 and 1",
						ok, err, s.count("Commit"), s.count("Abort"))
				}
				if l.endLive() {
					t.Error("a lease that has ended may still be written under")
				}
			})
		})
	}
}

func TestEndWaitsForARenewalThatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, release := newStore(t), make(chan struct{})
		l := acquired(t, newClient(t, s))
		s.setBefore(func(ctx context.Context, op, _ string) error {
			if op == "Renew" {
				<-ctx.Done()
				<-release // the client notices late that its context has ended
			}
			return nil
		})
		time.Sleep(firstGrant / 3)
		synctest.Wait()
		start, done := time.Now(), make(chan bool)
		go func() {
			ok, _ := commitTo(t, l, "mine")
			done <- ok
		}()
		synctest.Wait()
		if s.count("Renew") != 1 || s.count("Commit") != 0 {
			t.Errorf("%d renewals and %d commits run; want 1 and 0", s.count("Renew"), s.count("Commit"))
		}
		close(release)
		if ok := <-done; !ok || s.stored(t) != "mine" || time.Since(start) != 0 {
			t.Errorf("commit after the renewal = %v after %v; want true at once", ok, time.Since(start))
		}
	})
}

func TestGrantAfterTheEndGivesTheTokenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		l := &lease{c: newClient(t, s), key: key, values: context.Background()}
		l.giveUp()
		synctest.Wait()
		claim, err := s.Store.Acquire(t.Context(), key, l.ask("", false))
		if err != nil || l.grant(claim.Token, time.Now(), time.Second) {
			t.Errorf("grant after giveUp = true (%v); want false", err)
		}
		synctest.Wait()
		if s.count("Abort") != 1 || !free(t, s) {
			t.Errorf("%d aborts were sent, the key is free: %v; want 1, true", s.count("Abort"), free(t, s))
		}
	})
}

// free reports whether nobody holds the lease of key, which it takes.
func free(t *testing.T, s *fakeStore) bool {
	t.Helper()
	claim, err := s.Store.Acquire(t.Context(), key, driver.Ask{Token: "free------------", Lease: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return claim.State == driver.Won
}

// deadlineOf returns when the store may give a lease to another.
func deadlineOf(l *lease) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.deadline
}

// unheld reports whether nobody holds the lease of key, which has a record.
func unheld(t *testing.T, s *fakeStore) bool {
	t.Helper()
	r, err := s.Store.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	ask := driver.Ask{Token: "another-process-", Lease: time.Second, Seen: r.Version}
	claim, err := s.Store.Acquire(t.Context(), key, ask)
	return err == nil && claim.State == driver.Won
}

func TestGiveUpAbortsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		l := acquired(t, newClient(t, s))
		start := time.Now()
		l.giveUp()
		synctest.Wait()
		if s.count("Abort") != 1 || !free(t, s) || time.Since(start) != 0 {
			t.Errorf("after giveUp %d aborts were sent after %v; want 1 at once", s.count("Abort"), time.Since(start))
		}
		if ok, err := commitTo(t, l, "late"); ok || err != nil || s.stored(t) != "-" {
			t.Errorf("commit after giveUp = %v, %v; want false, nil", ok, err)
		}
		l.close()
		synctest.Wait()
		if n := s.count("Abort"); n != 1 {
			t.Errorf("the lease was given back %d times", n)
		}
	})
}

func TestLeaseWhoseCommitHasNoAnswerIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		l := acquired(t, newClient(t, s))
		s.fail("Commit")
		if ok, err := commitTo(t, l, "mine"); ok || err == nil {
			t.Errorf("commit = %v, %v; want an error", ok, err)
		}
		synctest.Wait()
		if s.count("Abort") != 1 || !free(t, s) {
			t.Errorf("%d aborts were sent; want 1, and the lease free", s.count("Abort"))
		}
	})
}

// A guard is a driver.Guard and the right it lends.
type guard struct {
	busy, lost        atomic.Bool
	err               error
	asked             func(ctx context.Context, key string, p time.Duration) // of TryAcquire; may be nil
	extends, releases atomic.Int32
}

func (g *guard) TryAcquire(ctx context.Context, key string, p time.Duration) (driver.Held, bool, error) {
	if g.asked != nil {
		g.asked(ctx, key, p)
	}
	if g.err != nil || g.busy.Load() {
		return nil, false, g.err
	}
	return g, true, nil
}

func (g *guard) Extend(context.Context, time.Duration) (bool, error) {
	g.extends.Add(1)
	return !g.lost.Load(), nil
}

func (g *guard) Release(context.Context) error {
	g.releases.Add(1)
	return nil
}

func TestRightOfAGuardIsRenewedAndReleasedWithTheLease(t *testing.T) {
	for name, leaser := range map[string]bool{"Leaser": true, "BareStore": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, g := newStore(t), &guard{}
				c := newClient(t, s, func(cfg *Config) {
					cfg.Guard = g
					if !leaser {
						cfg.Store = bareStore{s}
					}
				})
				f := newFetch(c, &owner{})
				if !f.Acquire() || f.leased != leaser {
					t.Fatalf("Acquire has failed (%v), or leased = %v", f.Err, f.leased)
				}
				time.Sleep(20 * time.Second)
				if n := g.extends.Load(); n < 6 || g.releases.Load() != 0 {
					t.Errorf("the right was renewed %d times in 20s, and released %d times", n, g.releases.Load())
				}
				f.Close()
				f.Close()
				synctest.Wait()
				n := g.extends.Load()
				time.Sleep(20 * time.Second)
				if g.releases.Load() != 1 || g.extends.Load() != n {
					t.Errorf("the right was released %d times, and renewed %d times after that", g.releases.Load(), g.extends.Load()-n)
				}
			})
		})
	}
}

func TestLeaseIsLostWithTheRightOfItsGuard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g := newStore(t), &guard{}
		f := newFetch(newClient(t, s, func(cfg *Config) { cfg.Guard = g }), &owner{})
		f.Acquire()
		f.Watch()
		g.lost.Store(true)
		time.Sleep(firstGrant)
		if fate := f.Commit(storable("mine")); fate != Revoked || s.stored(t) != "-" {
			t.Errorf("Commit = %v; want Revoked, and nothing stored", fate)
		}
		f.Close()
	})
}

func TestRightOfAGuardThatComesAfterTheEndIsReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &guard{}
		l := &lease{c: newClient(t, newStore(t)), key: key, values: context.Background()}
		l.giveUp()
		synctest.Wait()
		if l.guarded(g, time.Now()) {
			t.Error("guarded after giveUp = true")
		}
		synctest.Wait()
		if n := g.releases.Load(); n != 1 {
			t.Errorf("the right was released %d times", n)
		}
	})
}

func TestStoreThatPanicsInARenewalIsOneThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		s.setBefore(func(_ context.Context, op, _ string) error {
			if op == "Renew" {
				panic("boom")
			}
			return nil
		})
		f := newFetch(newClient(t, s), &owner{})
		if !f.Acquire() {
			t.Fatal(f.Err)
		}
		time.Sleep(time.Minute)
		if _, live := f.lease.end(); live {
			t.Error("the lease is live, though nothing has renewed it")
		}
	})
}
