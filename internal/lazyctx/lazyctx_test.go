package lazyctx

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

type key struct{}

func newContext(t *testing.T) *Context {
	return &Context{Values: context.WithValue(t.Context(), key{}, "value")}
}

func TestContextHasValuesAndNoEndOfTheOther(t *testing.T) {
	outer, cancel := context.WithTimeout(context.WithValue(t.Context(), key{}, "value"), time.Hour)
	c := &Context{Values: outer}
	cancel()
	if _, ok := c.Deadline(); ok {
		t.Error("it has the deadline of the context that it has its values from")
	}
	if c.Value(key{}) != "value" || c.Err() != nil {
		t.Errorf("Value = %v, Err = %v; want the value and no end", c.Value(key{}), c.Err())
	}
	select {
	case <-c.Done():
		t.Error("it ended with the context that it has its values from")
	default:
	}
	if _, ok := c.Deadline(); ok || c.Value(key{}) != "value" {
		t.Errorf("after Done, Value = %v; want the value, and no deadline", c.Value(key{}))
	}
}

func TestCancelEndsTheContext(t *testing.T) {
	for _, asked := range []bool{false, true} {
		c := newContext(t)
		if asked {
			c.Done()
		}
		c.Cancel()
		if !errors.Is(c.Err(), context.Canceled) {
			t.Errorf("Err = %v before Done; want canceled", c.Err())
		}
		select {
		case <-c.Done():
		default:
			t.Fatalf("Done is not closed; asked before: %v", asked)
		}
		if !errors.Is(c.Err(), context.Canceled) {
			t.Errorf("Err = %v; want canceled", c.Err())
		}
	}
}

func TestLimitEndsTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newContext(t)
		if _, ok := c.Deadline(); ok {
			t.Error("it has a deadline before Limit")
		}
		want := time.Now().Add(time.Second)
		c.Limit(time.Second)
		if end, ok := c.Deadline(); !ok || !end.Equal(want) {
			t.Errorf("Deadline = %v, %v; want %v", end, ok, want)
		}
		<-c.Done()
		if !errors.Is(c.Err(), context.DeadlineExceeded) || !time.Now().Equal(want) {
			t.Errorf("Err = %v at %v; want the deadline's at %v", c.Err(), time.Now(), want)
		}
		c.Cancel()
	})
}

func TestCancelEndsWhatWasAskedForBeforeLimitAndAfter(t *testing.T) {
	c := newContext(t)
	before := c.Done()
	c.Limit(time.Hour)
	after := c.Done()
	c.Cancel()
	<-before
	<-after
	if c.Limit(time.Hour); !errors.Is(c.Err(), context.Canceled) {
		t.Errorf("Err after a Limit after Cancel = %v; want canceled", c.Err())
	}
}

func TestContextIsSafeForConcurrentUse(t *testing.T) {
	c := newContext(t)
	var wg sync.WaitGroup
	for _, use := range []func(){
		func() { c.Done() }, func() { _ = c.Err() }, func() { c.Deadline() },
		func() { c.Value(key{}) }, func() { c.Limit(time.Hour) }, c.Cancel,
	} {
		wg.Go(use)
		wg.Go(use)
	}
	wg.Wait()
	<-c.Done()
}

func TestDerivedContextNeedsNoGoroutine(t *testing.T) {
	c := newContext(t)
	before := runtime.NumGoroutine()
	derived, cancel := context.WithCancel(c)
	defer cancel()
	if n := runtime.NumGoroutine(); n != before {
		t.Errorf("%d goroutines were started; want none", n-before)
	}
	c.Cancel()
	<-derived.Done()
}

func TestContextThatNobodyAsksCostsNothing(t *testing.T) {
	c := newContext(t)
	if n := testing.AllocsPerRun(100, func() { _ = c.Err(); _ = c.Value(key{}); c.Cancel() }); n != 0 {
		t.Errorf("%v allocations; want none", n)
	}
}
