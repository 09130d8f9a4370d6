package flight

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestCloseRefusesSealsInEveryShard(t *testing.T) {
	g := NewGroup[string, int](false)
	var flights []*keyFlight
	for _, h := range everywhere() {
		f, _ := join(t, g, "a", h, Plain, nil)
		flights = append(flights, f)
	}
	g.Close()
	for i, f := range flights {
		if commit(g, f, func() { t.Errorf("flight %d was written", i) }) {
			t.Errorf("flight %d was sealed after Close", i)
		}
	}
}

func TestFailAllReachesEveryShard(t *testing.T) {
	g := NewGroup[string, int](false)
	cause := errors.New("failed")
	alive := map[*keyFlight]bool{}
	for _, h := range everywhere() {
		for _, key := range []string{"a", "b"} {
			f, _ := join(t, g, key, h, Forced, nil)
			waiting, _ := join(t, g, key, h, Forced, nil)
			alive[f], alive[waiting] = true, true
		}
	}
	g.Close()
	g.FailAll(cause, func(f *keyFlight) {
		if !alive[f] {
			t.Error("FailAll called each twice for a flight, or for one that nobody began")
		}
		delete(alive, f)
		if f.Err() != cause || !isClosed(f.done) { //nolint:errorlint // the very error
			t.Errorf("FailAll called each for a flight that is not over")
		}
	})
	if len(alive) > 0 {
		t.Errorf("FailAll did not call each for %d flights", len(alive))
	}
}

func TestDrainWaitsForEveryFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGroup[string, int](false)
		for i, h := range everywhere() {
			f, _ := join(t, g, "a", h, Plain, nil)
			time.AfterFunc(time.Duration(i+1)*time.Second, func() {
				g.Finish(f, nil)
				// Drain waits for the goroutine, not for the outcome.
				time.AfterFunc(time.Minute, func() { g.Returned(f) })
			})
		}
		g.Close()
		begin := time.Now()
		if err := g.Drain(t.Context()); err != nil {
			t.Errorf("Drain = %v", err)
		}
		if took, want := time.Since(begin), time.Minute+shards*time.Second; took != want {
			t.Errorf("Drain took %v; the last fetch returned after %v", took, want)
		}
	})
}

func TestDrainWaitsForFetchesThatStartAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGroup[string, int](false)
		first, _ := join(t, g, "a", 0, Forced, nil)
		second, lead := join(t, g, "a", 0, Forced, nil)
		if lead {
			t.Fatal("two forced fetches run at once")
		}
		g.Close()
		var drained atomic.Bool
		go func() { g.Drain(t.Context()); drained.Store(true) }()
		if next := g.Finish(first, nil); next != second {
			t.Fatal("Finish did not return the waiting flight")
		}
		g.Returned(first)
		synctest.Wait()
		if drained.Load() {
			t.Error("Drain returned while the fetch that had waited ran")
		}
		g.Finish(second, nil)
		g.Returned(second)
		synctest.Wait()
		if !drained.Load() {
			t.Error("Drain still waits")
		}
	})
}

func TestDrainEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGroup[string, int](false)
		f, _ := join(t, g, "a", 1<<48, Plain, nil)
		g.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := g.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Drain = %v; want %v", err, context.DeadlineExceeded)
		}
		g.Returned(f)
		if err := g.Drain(ctx); err != nil {
			t.Errorf("Drain of an idle group with an ended context = %v; want nil", err)
		}
	})
}

func TestSeveralGoroutinesMayDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGroup[string, int](false)
		f, _ := join(t, g, "a", 0, Plain, nil)
		g.Close()
		for range 3 {
			go func() {
				if err := g.Drain(t.Context()); err != nil {
					t.Errorf("Drain = %v", err)
				}
			}()
		}
		synctest.Wait()
		g.Returned(f) // if a Drain is not woken, the bubble deadlocks
	})
}

func TestSyncWaitsForAChangeThatRuns(t *testing.T) {
	g := NewGroup[int, int](true)
	began, end, synced := make(chan struct{}), make(chan struct{}), make(chan struct{})
	done := false
	go g.Change(1, 1<<50, func() bool {
		close(began)
		<-end
		done = true
		return false
	})
	<-began
	go func() {
		g.Sync()
		if !done {
			t.Error("Sync returned while a Change ran")
		}
		close(synced)
	}()
	close(end)
	<-synced
}
