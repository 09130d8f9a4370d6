package flight

import (
	"errors"
	"testing"
)

// beginDiscarded begins a flight of key and invalidates the key.
func beginDiscarded(t *testing.T, g *group, key string) *keyFlight {
	t.Helper()
	f, lead := join(t, g, key, 0, Plain, nil)
	if !lead {
		t.Fatal("joined another flight")
	}
	g.Change(key, 0, present)
	return f
}

// endFetch ends f and its fetch.
func endFetch(g *group, f *keyFlight) {
	g.Finish(f, nil)
	g.Returned(f)
}

func TestSharedGroupRunsTwoFetchesOfAKeyAndLetsOthersJoinTheYounger(t *testing.T) {
	g := NewGroup[string, int](true)
	beginDiscarded(t, g, "a")
	second := beginDiscarded(t, g, "a")
	if f, lead := join(t, g, "a", 0, Plain, nil); f != second || lead {
		t.Errorf("the third caller got %p, leads: %v; want the younger of the two discarded flights",
			f, lead)
	}
	if _, lead := join(t, g, "b", 0, Plain, nil); !lead {
		t.Error("the fetches of one key are counted for another")
	}
	if f, lead := join(t, g, "a", 0, Forced, nil); !lead || f == second {
		t.Error("a forced caller joined a flight that began before its call")
	}
}

func TestSharedGroupBeginsAnotherFetchIfTheYoungerIsAbandoned(t *testing.T) {
	g := NewGroup[string, int](true)
	beginDiscarded(t, g, "a")
	if last, _ := g.Leave(beginDiscarded(t, g, "a")); !last {
		t.Fatal("the only caller of the younger flight left and was not the last")
	}
	if _, lead := join(t, g, "a", 0, Plain, nil); !lead {
		t.Error("a caller joined an abandoned flight")
	}
}

func TestSharedGroupJoinsNoSealedFlight(t *testing.T) {
	g := NewGroup[string, int](true)
	beginDiscarded(t, g, "a")
	second, _ := join(t, g, "a", 0, Plain, nil)
	if !g.Seal(second) {
		t.Fatal("Seal = false")
	}
	g.Unseal(second)
	if f, lead := join(t, g, "a", 0, Plain, nil); f == second || !lead {
		t.Error("a caller joined a sealed flight")
	}
}

func TestSharedGroupDoesNotCountTheFetchOfAFinishedFlight(t *testing.T) {
	g := NewGroup[string, int](true)
	first := beginDiscarded(t, g, "a")
	second := beginDiscarded(t, g, "a")
	g.Finish(first, nil) // its goroutine has not ended: Returned is called later
	f, lead := join(t, g, "a", 0, Plain, nil)
	if f == second || !lead {
		t.Error("a caller joined the discarded younger flight, though only one fetch runs")
	}
	g.Returned(first)
	endFetch(g, second)
	endFetch(g, f)
	if n := len(g.shard(0).lines); n != 0 {
		t.Errorf("%d lines after all fetches have returned; want none", n)
	}
}

func TestGroupThatIsNotSharedReplacesEveryDiscardedFlight(t *testing.T) {
	g := NewGroup[string, int](false)
	for range 5 {
		beginDiscarded(t, g, "a")
	}
}

func TestSharedGroupForgetsAKeyWhoseFetchesHaveReturned(t *testing.T) {
	g := NewGroup[string, int](true)
	first, second := beginDiscarded(t, g, "a"), beginDiscarded(t, g, "a")
	for i, f := range []*keyFlight{second, first} {
		if n := len(g.shard(0).lines); n != 1 {
			t.Errorf("%d lines while %d fetches run; want 1", n, 2-i)
		}
		endFetch(g, f)
	}
	if n := len(g.shard(0).lines); n != 0 {
		t.Errorf("%d lines after all fetches have returned; want none", n)
	}
	if _, lead := join(t, g, "a", 0, Plain, nil); !lead {
		t.Error("the next caller did not begin a flight that it leads")
	}
}

func TestSharedGroupSealsRunningFlightsAfterClose(t *testing.T) {
	for _, shared := range []bool{false, true} {
		g := NewGroup[string, int](shared)
		f, _ := join(t, g, "a", 0, Plain, nil)
		g.Close()
		sealed := g.Seal(f)
		if sealed {
			g.Unseal(f)
		}
		if sealed != shared {
			t.Errorf("shared: %v: Seal after Close = %v; want the same", shared, sealed)
		}
	}
}

func TestShareJoinsAndBeginsNothing(t *testing.T) {
	g := NewGroup[string, int](true)
	if f, err := g.Share("a", 0, Plain, nil, nil); f != nil || err != nil {
		t.Errorf("Share without a flight = %v, %v; want nil, nil", f, err)
	}
	if n := len(g.shard(0).lines); n != 0 {
		t.Errorf("Share left %d lines", n)
	}
	first, _ := join(t, g, "a", 0, Plain, nil)
	f, err := g.Share("a", 0, Plain, nil, nil)
	if f != first || err != nil {
		t.Errorf("Share = %v, %v; want the open flight", f, err)
	}
	if last, _ := g.Leave(f); last {
		t.Error("Leave after Share: last = true; want false, the first caller still waits")
	}
	g.Change("a", 0, present)
	if f, _ := g.Share("a", 0, Plain, nil, nil); f != nil {
		t.Error("Share joined a discarded flight")
	}
	g.Close()
	if _, err := g.Share("a", 0, Plain, nil, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("Share after Close = _, %v; want ErrClosed", err)
	}
}
