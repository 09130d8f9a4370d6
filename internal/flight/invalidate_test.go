package flight

import "testing"

func TestChangeDiscardsFlightsOfItsKeyOnly(t *testing.T) {
	g := NewGroup[string, int](false)
	a, _ := join(t, g, "a", 0, Plain, nil)
	b, _ := join(t, g, "b", 0, Plain, nil)
	g.Change("a", 0, present)
	if commit(g, a, func() {}) {
		t.Error("the flight of the changed key was sealed")
	}
	if !commit(g, b, func() {}) {
		t.Error("the flight of another key was discarded")
	}
}

func TestChangeThatInvalidatesNothingDiscardsNothing(t *testing.T) {
	g := NewGroup[string, int](false)
	f, _ := join(t, g, "a", 0, Plain, nil)
	g.Change("a", 0, absent)
	if shared, lead := join(t, g, "a", 0, Plain, nil); shared != f || lead {
		t.Error("the flight was not joined")
	}
	if !commit(g, f, func() {}) {
		t.Error("the flight was discarded")
	}
}

func TestChangeOfAKeyWithoutFlights(t *testing.T) {
	g := NewGroup[string, int](false)
	called := 0
	g.Change("a", 0, func() bool { called++; return true })
	if n := len(g.shard(0).lines); called != 1 || n != 0 {
		t.Errorf("Change called do %d times and left %d lines; want 1 and 0", called, n)
	}
}

func TestWatchSeesInvalidationsOfItsKeyOnly(t *testing.T) {
	for name, test := range map[string]struct {
		change func(g *group)
		want   bool
	}{
		"nothing":     {func(*group) {}, false},
		"another key": {func(g *group) { g.Change("b", 0, present) }, false},
		"no change":   {func(g *group) { g.Change("a", 0, absent) }, false},
		"a fetch":     {func(g *group) { join(t, g, "a", 0, Forced, nil) }, false},
		"its key":     {func(g *group) { g.Change("a", 0, present) }, true},
		"all keys":    {func(g *group) { g.DiscardAll() }, true},
	} {
		g := NewGroup[string, int](false)
		w := g.Watch("a", 0)
		test.change(g)
		if w.Invalidated() != test.want {
			t.Errorf("%s: Invalidated() = %v; want %v", name, w.Invalidated(), test.want)
		}
		g.Unwatch("a", 0)
		g.Change("a", 0, present)
		if w.Invalidated() != test.want {
			t.Errorf("%s: a watch saw a change after its end", name)
		}
		g.FailAll(ErrClosed, nothing)
		if n := len(g.shard(0).lines); n != 0 {
			t.Errorf("%s: %d lines are left", name, n)
		}
	}
}

func TestDiscardAllReachesEveryShard(t *testing.T) {
	g := NewGroup[string, int](false)
	var flights []*keyFlight
	for _, h := range everywhere() {
		for _, key := range []string{"a", "b"} {
			f, _ := join(t, g, key, h, Plain, nil)
			flights = append(flights, f)
		}
	}
	g.DiscardAll()
	for i, f := range flights {
		if commit(g, f, func() {}) {
			t.Errorf("flight %d was sealed after DiscardAll", i)
		}
	}
}
