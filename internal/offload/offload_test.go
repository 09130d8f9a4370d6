package offload

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestFunctionsRunInOrderOffTheCallersWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q Queue
		var ran []int
		began := time.Now()
		for i := range 5 {
			q.Add(func() {
				time.Sleep(time.Hour)
				ran = append(ran, i)
			})
		}
		if d := time.Since(began); d != 0 {
			t.Errorf("Add took %v", d)
		}
		if err := q.Drain(t.Context()); err != nil {
			t.Errorf("Drain = %v", err)
		}
		if want := []int{0, 1, 2, 3, 4}; !slices.Equal(ran, want) {
			t.Errorf("ran %v; want %v", ran, want)
		}
	})
}

func TestAddMayBeCalledByAFunctionOfTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q Queue
		inner := false
		q.Add(func() { q.Add(func() { inner = true }) })
		if q.Drain(t.Context()); !inner {
			t.Error("the function added within another one did not run")
		}
	})
}

func TestFullQueueDropsAndCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q Queue
		until := make(chan struct{})
		q.Add(func() { <-until })
		synctest.Wait()
		n := 0
		for i := range Size + 3 {
			if ok := q.Add(func() { n++ }); ok != (i < Size) {
				t.Fatalf("Add of function %d = %v", i, ok)
			}
		}
		close(until)
		q.Drain(t.Context())
		if n != Size || q.Dropped() != 3 {
			t.Errorf("%d functions ran, %d were dropped; want %d and 3", n, q.Dropped(), Size)
		}
	})
}

func TestFunctionThatExitsItsGoroutineStopsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q Queue
		n := 0
		for range 3 {
			q.Add(runtime.Goexit)
			q.Add(func() { n++ })
		}
		if q.Drain(t.Context()); n != 3 {
			t.Errorf("%d functions ran; want 3", n)
		}
	})
}

func TestDrainEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q Queue
		q.Add(func() { time.Sleep(time.Hour) })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := q.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Drain = %v; want the context's error", err)
		}
		if err := q.Drain(t.Context()); err != nil {
			t.Errorf("the second Drain = %v", err)
		}
	})
}
