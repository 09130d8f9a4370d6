package flight

import (
	"errors"
	"testing"
)

// begunVoid begins a flight of a key and makes it void.
func begunVoid(t *testing.T, g *group, key string) *keyFlight {
	t.Helper()
	f, lead := join(t, g, key, 0, Plain, nil)
	if !lead {
		t.Fatal("joined another flight")
	}
	g.Change(key, 0, present)
	return f
}

// endFlight ends a flight and its function.
func endFlight(g *group, f *keyFlight) {
	g.Finish(f, nil)
	g.Returned(f)
}

func TestSharedGroupRunsTwoFunctionsOfAKeyAndLetsOthersJoinTheYounger(t *testing.T) {
	g := NewGroup[string, int](true)
	begunVoid(t, g, "a")
	second := begunVoid(t, g, "a")
	if f, lead := join(t, g, "a", 0, Plain, nil); f != second || lead {
		t.Errorf("the third caller got %p, leads: %v; want the younger of two void flights", f, lead)
	}
	if _, lead := join(t, g, "b", 0, Plain, nil); !lead {
		t.Error("another key counts too")
	}
	if f, lead := join(t, g, "a", 0, Forced, nil); !lead || f == second {
		t.Error("who forces joined a flight that began before")
	}
}

func TestSharedGroupBeginsAnotherFunctionWhereTheYoungerIsAbandoned(t *testing.T) {
	g := NewGroup[string, int](true)
	begunVoid(t, g, "a")
	if last, _ := g.Leave(begunVoid(t, g, "a")); !last {
		t.Fatal("somebody else waits for the younger")
	}
	if _, lead := join(t, g, "a", 0, Plain, nil); !lead {
		t.Error("a flight that nobody waits for was joined")
	}
}

func TestSealedFlightOfASharedGroupIsNotJoined(t *testing.T) {
	g := NewGroup[string, int](true)
	begunVoid(t, g, "a")
	second, _ := join(t, g, "a", 0, Plain, nil)
	if !g.Seal(second) {
		t.Fatal("Seal = false")
	}
	g.Unseal(second)
	if f, lead := join(t, g, "a", 0, Plain, nil); f == second || !lead {
		t.Error("a sealed flight was joined")
	}
}

func TestFunctionOfAFinishedFlightDoesNotRunAnyMore(t *testing.T) {
	g := NewGroup[string, int](true)
	first := begunVoid(t, g, "a")
	second := begunVoid(t, g, "a")
	g.Finish(first, nil) // its goroutine has not ended: Returned comes later
	f, lead := join(t, g, "a", 0, Plain, nil)
	if f == second || !lead {
		t.Error("who was told by the older flight, and tries again, joined the younger, which is void, though only one function runs")
	}
	g.Returned(first)
	endFlight(g, second)
	endFlight(g, f)
	if n := len(g.shard(0).lines); n != 0 {
		t.Errorf("%d lines when all have returned; want none", n)
	}
}

func TestGroupThatIsNotSharedBeginsAsManyFunctionsAsAreVoid(t *testing.T) {
	g := NewGroup[string, int](false)
	for range 5 {
		begunVoid(t, g, "a")
	}
}

func TestSharedGroupForgetsAKeyWhoseFunctionsHaveReturned(t *testing.T) {
	g := NewGroup[string, int](true)
	first, second := begunVoid(t, g, "a"), begunVoid(t, g, "a")
	for i, f := range []*keyFlight{second, first} {
		if n := len(g.shard(0).lines); n != 1 {
			t.Errorf("%d lines while %d functions run; want 1", n, 2-i)
		}
		endFlight(g, f)
	}
	if n := len(g.shard(0).lines); n != 0 {
		t.Errorf("%d lines when all have returned; want none", n)
	}
	if _, lead := join(t, g, "a", 0, Plain, nil); !lead {
		t.Error("the next caller did not begin a flight")
	}
}

func TestSharedGroupSealsWhatIsUnderWayAtClose(t *testing.T) {
	for _, shared := range []bool{false, true} {
		g := NewGroup[string, int](shared)
		f, _ := join(t, g, "a", 0, Plain, nil)
		g.Close()
		sealed := g.Seal(f)
		if sealed {
			g.Unseal(f)
		}
		if sealed != shared {
			t.Errorf("shared: %v: Seal after Close = %v", shared, sealed)
		}
	}
}

func TestShareJoinsButBeginsNothing(t *testing.T) {
	g := NewGroup[string, int](true)
	if f, err := g.Share("a", 0, Plain, nil, nil); f != nil || err != nil {
		t.Errorf("Share of nothing = %v, %v", f, err)
	}
	if n := len(g.shard(0).lines); n != 0 {
		t.Errorf("Share left %d lines", n)
	}
	first, _ := join(t, g, "a", 0, Plain, nil)
	f, err := g.Share("a", 0, Plain, nil, nil)
	if f != first || err != nil {
		t.Errorf("Share = %v, %v; want the flight", f, err)
	}
	if last, _ := g.Leave(f); last {
		t.Error("Share did not count its caller")
	}
	g.Change("a", 0, present)
	if f, _ := g.Share("a", 0, Plain, nil, nil); f != nil {
		t.Error("Share joined a void flight")
	}
	g.Close()
	if _, err := g.Share("a", 0, Plain, nil, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("Share after Close: %v", err)
	}
}
