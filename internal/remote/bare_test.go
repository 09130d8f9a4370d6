package remote

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestWritesOfAKeyTakeTurnsInABareStore(t *testing.T) {
	for name, tt := range map[string]struct {
		cfg  func(*Config)
		key  string
		most int32
	}{
		"SameKey":    {func(cfg *Config) { cfg.Store = bareStore{cfg.Store} }, key, 1},
		"AnotherKey": {func(cfg *Config) { cfg.Store = bareStore{cfg.Store} }, key + "1", 2},
		"Leaser":     {func(*Config) {}, key, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t)
				c := newClient(t, s, tt.cfg)
				var runs, most atomic.Int32
				s.setBefore(func(_ context.Context, op, _ string) error {
					if op == "Set" || op == "Delete" {
						most.Store(max(most.Load(), runs.Add(1)))
						time.Sleep(time.Millisecond)
						runs.Add(-1)
					}
					return nil
				})
				w := newWrite(c, &writeOwner{}, value("1"))
				go w.Set(t.Context())
				synctest.Wait()
				if _, err := c.Delete(t.Context(), []string{tt.key}, func(int) {}); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Second)
				if n := most.Load(); n != tt.most {
					t.Errorf("%d writes at a time; want %d", n, tt.most)
				}
			})
		})
	}
}

func TestFlightInABareStoreCommitsInItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		c, discarded := newClient(t, s, bare(s)), false
		f := fetched(t, c, &owner{seal: func() bool { return !discarded }})
		s.setBefore(func(_ context.Context, op, _ string) error {
			if op == "Set" {
				time.Sleep(time.Millisecond)
			}
			return nil
		})
		w := newWrite(c, &writeOwner{drop: func() { discarded = true }}, value("new"))
		go w.Set(t.Context())
		synctest.Wait()
		// The write is under way and has not discarded the flight yet.
		if fate := f.Commit(storable("old")); fate != Revoked || s.stored(t) != "new" {
			t.Errorf("Commit = %v, the store has %q; want Revoked and new", fate, s.stored(t))
		}
	})
}

func TestTurnsOfManyKeysDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w bareWrites
		leaveB, _ := w.enter(t.Context(), "b")
		entered := 0
		for _, keys := range [][]string{{"b", "a", "b"}, {"a", "b"}, {"b", "a"}} {
			go func() {
				leave, err := w.enter(t.Context(), keys...)
				if err != nil {
					t.Error(err)
					return
				}
				entered++ // one at a time
				leave()
			}()
			synctest.Wait()
		}
		leaveB()
		synctest.Wait()
		if entered != 3 || len(w.turns.Entered()) != 0 {
			t.Errorf("%d of 3 have had their turn, %q are still taken", entered, w.turns.Entered())
		}
	})
}

// occupy takes the turn of a key until leave is called.
func occupy(t *testing.T, c *Client, key string) (leave func()) {
	t.Helper()
	b := c.NewBudget()
	leave, err := c.exclude(t.Context(), &b, "Set", key)
	if err != nil {
		t.Fatal(err)
	}
	return leave
}

func TestCallerThatGetsNoTurnIsNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		c := newClient(t, s, bare(s))
		leave := occupy(t, c, key+"2")
		start := time.Now()
		_, err := c.Delete(t.Context(), []string{key + "1", key + "2"}, func(int) { t.Error("a Delete that was not sent has invalidated") })
		if bad, ok := errors.AsType[*OpError](err); !ok || bad.Op != "Delete" || !bad.Skipped() || s.total() != 0 {
			t.Errorf("Delete = %v by %d commands; want one that was not sent", err, s.total())
		}
		if d := time.Since(start); d > c.Timeout || d < c.Timeout-limitGrain {
			t.Errorf("it waited %v for its turn; want %v", d, c.Timeout)
		}
		leave()
		if got := c.writing(); len(got) != 0 {
			t.Errorf("%q are still taken", got)
		}
	})
}

func TestClearOfABareStoreRemovesWritesThatWereUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		c := newClient(t, s, bare(s))
		s.setBefore(func(_ context.Context, op, _ string) error {
			if op == "Set" {
				time.Sleep(100 * time.Millisecond)
			}
			return nil
		})
		s.Store.Set(t.Context(), key+"1", value("1"))
		go newWrite(c, &writeOwner{}, value("late")).Set(t.Context())
		synctest.Wait()
		drops := 0
		n, err := c.Clear(t.Context(), func() { drops++ })
		if n != 2 || err != nil || drops != 2 || s.stored(t) != "-" || s.count("Clear") != 2 {
			t.Errorf("Clear = %d, %v, dropped %d times by %d Clears, the store has %q; want 2, nil, 2, 2, nothing",
				n, err, drops, s.count("Clear"), s.stored(t))
		}
		if n, err := c.Clear(t.Context(), func() {}); n != 0 || err != nil || s.count("Clear") != 3 {
			t.Errorf("a second Clear = %d, %v by %d Clears; want 0, nil by 1", n, err, s.count("Clear")-2)
		}
	})
}

func TestClearOfABareStoreWaitsForNoWriteForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		c := newClient(t, s, bare(s))
		defer occupy(t, c, key)()
		start, drops := time.Now(), 0
		_, err := c.Clear(t.Context(), func() { drops++ })
		if bad, ok := errors.AsType[*OpError](err); !ok || bad.Op != "Clear" || time.Since(start) != 2*c.Timeout {
			t.Errorf("Clear = %v after %v; want an OpError after %v", err, time.Since(start), 2*c.Timeout)
		}
		if drops != 2 {
			t.Errorf("it dropped what memory has %d times; want 2", drops)
		}
	})
}
