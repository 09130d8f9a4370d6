package turnstile

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac/internal/flight"
)

func TestCallersOfOneKeyTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var turns Turnstile[string]
		inside, most := 0, 0
		for range 10 {
			go func() {
				if err := turns.Enter(t.Context(), "k"); err != nil {
					t.Error(err)
					return
				}
				defer turns.Leave("k")
				inside++
				most = max(most, inside)
				time.Sleep(time.Second)
				inside--
			}()
		}
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if most != 1 || len(turns.Entered()) != 0 {
			t.Errorf("%d callers were inside at once, %d keys are left; want 1 and none", most, len(turns.Entered()))
		}
	})
}

func TestKeysDoNotWaitForEachOther(t *testing.T) {
	var turns Turnstile[string]
	for _, key := range []string{"a", "b"} {
		if err := turns.Enter(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	turns.Leave("a")
	if got := turns.Entered(); len(got) != 1 || got[0] != "b" {
		t.Errorf("Entered = %v; want b alone", got)
	}
}

func TestCallerWhoseContextEndsLeavesTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var turns Turnstile[int]
		_ = turns.Enter(t.Context(), 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := turns.Enter(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Enter = %v; want the context's error", err)
		}
		turns.Leave(1)
		if err := turns.Enter(t.Context(), 1); err != nil || len(turns.turns) != 1 {
			t.Errorf("Enter = %v with %d turns; want the free turn", err, len(turns.turns))
		}
		if turns.Leave(1); len(turns.turns) != 0 {
			t.Errorf("%d turns are left; want none", len(turns.turns))
		}
	})
}

func TestEnterWithAContextThatHasEndedLeavesNothingBehind(t *testing.T) {
	var turns Turnstile[int]
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 {
		if err := turns.Enter(ctx, 1); err == nil { // either is right
			turns.Leave(1)
		}
	}
	if len(turns.turns) != 0 {
		t.Errorf("%d turns are left; want none", len(turns.turns))
	}
}

func TestKeysComeAndGoAtTheSameTime(t *testing.T) {
	var (
		turns  Turnstile[int]
		inside [4]int // the race detector sees two callers that are inside at once
		wg     sync.WaitGroup
	)
	for i := range 8 {
		wg.Go(func() {
			for range 1000 {
				key := i % len(inside)
				if err := turns.Enter(t.Context(), key); err != nil {
					t.Error(err)
					return
				}
				inside[key]++
				turns.Leave(key)
				turns.Entered()
			}
		})
	}
	wg.Wait()
	if inside != [4]int{2000, 2000, 2000, 2000} || len(turns.Entered()) != 0 {
		t.Errorf("%v callers were inside, %v are left", inside, turns.Entered())
	}
}

func TestCallerThatHoldsWhatItWaitsForIsRefused(t *testing.T) {
	var turns Turnstile[string]
	enter := func(key string, fetch *flight.Link, inside ...*flight.Turn) (*flight.Turn, error) {
		return turns.EnterWithin(t.Context(), key, fetch, func() *flight.Link {
			at := fetch
			for _, turn := range inside {
				at = &flight.Link{Flight: turn, Up: at}
			}
			return at
		})
	}
	a, _ := enter("a", nil)
	if _, err := enter("a", nil, a); !errors.Is(err, flight.ErrCycle) {
		t.Errorf("a within a: %v; want ErrCycle", err)
	}
	b, _ := enter("b", nil, a)
	if _, err := enter("a", nil, a, b); !errors.Is(err, flight.ErrCycle) {
		t.Errorf("a within b within a: %v; want ErrCycle", err)
	}
	turns.Leave("b")
	turns.Leave("a")

	fetch := &flight.Link{Flight: new(flight.Turn)} // as good as a flight
	if _, err := enter("a", fetch); err != nil {
		t.Fatal(err)
	}
	if _, err := enter("a", fetch); !errors.Is(err, flight.ErrCycle) {
		t.Errorf("a within the fetch that holds it: %v; want ErrCycle", err)
	}
	turns.Leave("a")
	if _, err := enter("a", fetch); err != nil {
		t.Errorf("a once it is free: %v; want nil", err)
	}
	turns.Leave("a")
}
