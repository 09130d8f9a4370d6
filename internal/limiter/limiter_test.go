package limiter

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestNoMoreThanTheLimitRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(3)
		var wg sync.WaitGroup
		var mu sync.Mutex
		var order []int
		began := time.Now()
		for i := range 10 {
			wg.Go(func() {
				p := l.Enter(t.Context())
				defer p.Leave()
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
				time.Sleep(time.Second)
			})
			synctest.Wait() // they come one after another
		}
		wg.Wait()
		if d := time.Since(began); d != 4*time.Second {
			t.Errorf("ten of a second each took %v; want 4s", d)
		}
		if order[9] != 9 {
			t.Errorf("they had their turns in the order %v; want the last to be the last", order)
		}
	})
}

func TestEndOfTheContextEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(1)
		p := l.Enter(t.Context())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if l.Enter(ctx) != nil {
			t.Error("two have the only turn")
		}
		p.Leave()
		p.Leave() // gives nothing back twice
		if got := cap(l.taken) - len(l.taken); got != 1 {
			t.Errorf("%d turns are free; want 1", got)
		}
	})
}

func TestWaitingFetchLendsItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(1)
		p := l.Enter(t.Context())
		p.Lend()
		p.Lend() // on a second goroutine
		q := l.Enter(t.Context())
		p.Retake() // does not wait: the other goroutine does
		retaken := false
		go func() { p.Retake(); retaken = true }()
		synctest.Wait()
		if retaken {
			t.Fatal("two have the only turn")
		}
		q.Leave()
		synctest.Wait()
		if free := cap(l.taken) - len(l.taken); !retaken || free != 0 {
			t.Errorf("retaken: %v, %d are free; want true and none", retaken, free)
		}
		p.Leave()
		p.Lend()
		p.Retake() // of a goroutine that the fetch has left behind
		if got := cap(l.taken) - len(l.taken); got != 1 {
			t.Errorf("%d turns are free; want 1", got)
		}
	})
}

func TestTurnIsNotRetakenForAFetchThatWaitsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(1)
		p := l.Enter(t.Context())
		p.Lend()
		q := l.Enter(t.Context())
		go p.Retake()
		synctest.Wait()
		p.Lend()
		q.Leave()
		synctest.Wait()
		if got := cap(l.taken) - len(l.taken); got != 1 {
			t.Errorf("%d turns are free; want 1: the fetch waits", got)
		}
	})
}

func TestCanceledFetchDoesNotWaitForItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(1)
		ctx, cancel := context.WithCancel(t.Context())
		p := l.Enter(ctx)
		p.Lend()
		q := l.Enter(t.Context())
		cancel()
		p.Retake()
		p.Leave()
		q.Leave()
		if got := cap(l.taken) - len(l.taken); got != 1 {
			t.Errorf("%d turns are free; want 1", got)
		}
	})
}
