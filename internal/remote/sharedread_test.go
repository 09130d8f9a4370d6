package remote

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac/driver"
)

// A reading is one call of Read.
type reading struct {
	done    chan struct{}
	payload string
	err     error
}

// read calls Read on a goroutine, and returns once that waits or is over.
func read(ctx context.Context, c *Client) *reading {
	r := &reading{done: make(chan struct{})}
	go func() {
		defer close(r.done)
		b := c.NewBudget()
		e, err := c.Read(ctx, &b, key)
		r.payload, r.err = string(e.Parsed.Payload), err
	}()
	synctest.Wait()
	return r
}

// over reports whether the call has returned.
func (r *reading) over() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// A gate holds up reads after the store has answered.
type gate struct {
	runs, most, total atomic.Int32
	pass              chan struct{}
}

func gateOf(s *fakeStore) *gate {
	g := &gate{pass: make(chan struct{})}
	s.setAfter(func(op, _ string) error {
		if op == "Get" {
			n := g.runs.Add(1)
			g.total.Add(1)
			g.most.Store(max(g.most.Load(), n))
			<-g.pass
			g.runs.Add(-1)
		}
		return nil
	})
	return g
}

// open lets one read end, and waits for what that starts.
func (g *gate) open() {
	g.pass <- struct{}{}
	synctest.Wait()
}

func TestCallerThatArrivesDuringAReadSharesTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		c, g := newClient(t, s), gateOf(s)
		s.put(t, value("1"))
		first := read(t.Context(), c)
		s.put(t, value("2")) // the first read was answered before this
		second := []*reading{read(t.Context(), c), read(t.Context(), c), read(t.Context(), c)}
		g.open()
		if !first.over() || first.payload != "1" || second[0].over() || s.count("Get") != 2 {
			t.Errorf("the first read has %+v, %d reads were sent; want 1 of 2", first, s.count("Get"))
		}
		s.put(t, value("3"))
		third, fourth := read(t.Context(), c), read(t.Context(), c)
		g.open()
		for _, r := range second {
			if !r.over() || r.payload != "2" {
				t.Errorf("the shared read has %q, %v; want 2", r.payload, r.err)
			}
		}
		if third.over() || fourth.over() {
			t.Error("a caller has a read that was sent before its call")
		}
		g.open()
		if !third.over() || third.payload != "3" || !fourth.over() || s.count("Get") != 3 ||
			g.most.Load() > 2 {
			t.Errorf("the third read has %q; %d reads were sent, %d at a time", third.payload, s.count("Get"), g.most.Load())
		}
		alone := read(t.Context(), c)
		if g.open(); !alone.over() || s.count("Get") != 4 {
			t.Error("a read after all others has sent nothing")
		}
	})
}

func TestReadsOfOtherKeysAreNotShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		c, g := newClient(t, s), gateOf(s)
		s.put(t, value("1"))
		first := read(t.Context(), c)
		b := c.NewBudget()
		s.Store.Set(t.Context(), key+"1", value("other"))
		go func() { g.pass <- struct{}{}; g.pass <- struct{}{} }()
		e, err := c.Read(t.Context(), &b, key+"1")
		<-first.done
		if string(e.Parsed.Payload) != "other" || err != nil {
			t.Errorf("Read of another key = %q, %v", e.Parsed.Payload, err)
		}
	})
}

func TestCallerThatLeavesDoesNotEndTheReadOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		c, g := newClient(t, s), gateOf(s)
		s.put(t, value("1"))
		first := read(t.Context(), c)
		ctx, cancel := context.WithCancel(t.Context())
		leaves, stays := read(ctx, c), read(t.Context(), c) // the first of them began the read
		cancel()
		synctest.Wait()
		if !leaves.over() || !errors.Is(leaves.err, context.Canceled) || stays.over() {
			t.Errorf("the caller that leaves has %+v; want context.Canceled at once", leaves)
		}
		g.open()
		g.open()
		if !first.over() || !stays.over() || stays.payload != "1" || stays.err != nil {
			t.Errorf("the caller that stays has %+v", stays)
		}
	})
}

func TestFirstReaderThatLeavesHandsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		c := newClient(t, s)
		s.put(t, value("1"))
		ctx, cancel := context.WithCancel(t.Context())
		s.setBefore(func(ctx context.Context, _, _ string) error {
			if s.count("Get") > 1 {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		})
		first, second := read(ctx, c), read(t.Context(), c)
		cancel()
		synctest.Wait()
		if !first.over() || !errors.Is(first.err, context.Canceled) || !second.over() || second.payload != "1" {
			t.Errorf("the first has %+v, the second %+v; want context.Canceled and 1", first, second)
		}
	})
}

func TestReadSharedAfterCloseIsErrClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		c, g := newClient(t, s), gateOf(s)
		s.put(t, value("1"))
		first, second := read(context.Background(), c), read(context.Background(), c)
		c.Close(t.Context())
		close(g.pass)
		<-first.done
		<-second.done
		if errors.Is(first.err, ErrClosed) || !errors.Is(second.err, ErrClosed) {
			t.Errorf("the first has %v, the second %v; want ErrClosed for the second", first.err, second.err)
		}
		if third := read(context.Background(), c); !third.over() || third.payload != "1" {
			t.Errorf("a read after that has %+v; want 1", third)
		}
	})
}

func TestSharedReadFailsAllItsCallersAndCostsThemTheirTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		c, g := newClient(t, s), gateOf(s)
		s.put(t, value("1"))
		first := read(t.Context(), c)
		budgets, errs := [2]Budget{c.NewBudget(), c.NewBudget()}, make(chan error, 2)
		for i := range budgets {
			go func() {
				_, err := c.Read(t.Context(), &budgets[i], key)
				errs <- err
			}()
		}
		time.Sleep(c.Timeout / 4)
		s.fail()
		g.open()
		for i := range budgets {
			if err := <-errs; !errors.Is(err, errDown) {
				t.Errorf("a caller of the shared read has %v; want the store's error", err)
			}
			if left := budgets[i].left; left != c.Timeout*3/4 {
				t.Errorf("a caller has %v left of %v; want three quarters", left, c.Timeout)
			}
		}
		if <-first.done; first.err != nil {
			t.Errorf("the first read has %v", first.err)
		}
	})
}

func TestSharedReadHasATimeOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		c := newClient(t, s)
		s.put(t, value("1"))
		s.setBefore(func(ctx context.Context, _, _ string) error {
			time.Sleep(c.Timeout * 3 / 4)
			return ctx.Err()
		})
		first, second := read(t.Context(), c), read(t.Context(), c)
		<-first.done
		<-second.done
		if first.err != nil || second.err != nil || second.payload != "1" {
			t.Errorf("the first has %v, the second %q, %v; want 1",
				first.err, second.payload, second.err)
		}
	})
}

func TestReadsOfManyKeysAtTheSameTime(t *testing.T) {
	c := newClient(t, newStore(t))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 500 {
				b := c.NewBudget()
				_, err := c.Read(t.Context(), &b, fmt.Sprint(key, n*(i%2), n%7))
				if !errors.Is(err, driver.ErrMiss) {
					t.Errorf("Read = %v; want ErrMiss", err)
				}
			}
		})
	}
	wg.Wait()
	for i := range c.reads.shards {
		if n := len(c.reads.shards[i].next); n != 0 {
			t.Errorf("%d keys are left in shard %d", n, i)
		}
	}
}

func TestStoreThatEndsTheGoroutineOfASharedReadFailsThatRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		c := newClient(t, s)
		first, n := make(chan struct{}), 0
		s.setBefore(func(context.Context, string, string) error {
			if n++; n == 1 {
				<-first
			} else if n == 2 {
				runtime.Goexit()
			}
			return nil
		})
		a, b := read(t.Context(), c), read(t.Context(), c)
		close(first)
		synctest.Wait()
		if !a.over() || !b.over() || b.err == nil {
			t.Errorf("over: %v and %v, error %v; want an error of the second", a.over(), b.over(), b.err)
		}
		if d := read(t.Context(), c); !d.over() || !errors.Is(d.err, driver.ErrMiss) {
			t.Errorf("the next read: %v; want a miss", d.err)
		}
	})
}
