package flight

import (
	"slices"
	"testing"
)

// An explorer tries all orders of events.
type explorer struct {
	t      *testing.T
	limits limits
	depth  int                  // the most events in an order; 0 = no limit
	orders map[position]float64 // how many orders follow a position; nil: explore every order itself
	events int                  // events that have happened, in replays too
}

// explore tries every order of events that follows path, which has led to w. It returns how many
// there are.
func (x *explorer) explore(w *world, path []event) (orders float64) {
	next := w.enabled()
	if len(next) == 0 || x.depth > 0 && len(path) == x.depth {
		x.finish(w, path, len(next) == 0)
		return 1
	}
	for i, e := range next {
		if i > 0 {
			w = x.replay(path)
		}
		if fault := x.step(w, e); fault != "" {
			x.t.Fatalf("after %v: %s", append(slices.Clone(path), e), fault)
		}
		if x.orders == nil {
			orders += x.explore(w, append(path, e))
			continue
		}
		p := w.position()
		n, known := x.orders[p]
		if !known {
			n = x.explore(w, append(path, e))
			x.orders[p] = n
		}
		orders += n
	}
	return orders
}

// replay makes a world in which the events of path, which were checked before, have happened.
func (x *explorer) replay(path []event) *world {
	w := newWorld(x.limits)
	for _, e := range path {
		w.do(e)
	}
	x.events += len(path)
	return w
}

// step lets e happen and checks the Group. It returns what is wrong, or "".
func (x *explorer) step(w *world, e event) (fault string) {
	x.events++
	if fault = w.do(e); fault == "" {
		fault = w.check()
	}
	return fault
}

// finish checks that every flight has ended, if last says that no event can follow path.
func (x *explorer) finish(w *world, path []event, last bool) {
	if !last {
		return
	}
	for i, f := range w.flights {
		if !f.over || f.phase != returned && f.phase != waits {
			x.t.Fatalf("after %v: flight %d never ends", path, i)
		}
	}
}

// A position is all that the later events depend on. It is taken from the model: check has made
// sure that the Group agrees, and that the Group keeps nothing of a flight that is over.
type position struct {
	flights        [4]flightModel
	limits         limits
	closed, failed bool
	spare          bool
}

func (w *world) position() position {
	p := position{
		limits: w.limits,
		closed: w.closed,
		failed: w.failed,
		spare:  w.group.shard(keyHash).spare != nil,
	}
	i := 0
	for _, f := range w.flights {
		if f.over {
			f = w.remains(f)
		}
		if f != (flightModel{}) {
			p.flights[i] = f
			i++
		}
	}
	return p
}

// remains returns what still matters of a flight that is over.
func (w *world) remains(f flightModel) flightModel {
	// With nested, the other flights count callers by the number of this one.
	if f.phase == returned && w.limits.lates == 0 && !w.limits.nested {
		return flightModel{}
	}
	return flightModel{over: true, phase: f.phase, tried: f.tried || f.kind == Aside, callers: f.callers}
}

// This test tries every order of events, until no event can follow. Orders that lead to the same
// position have the same orders after it, so the explorer goes on from each position once.
func TestInvariantsHoldInEveryOrderOfEvents(t *testing.T) {
	all := []limits{
		{callers: 3, invalidations: 2, fails: 1, close: true},
		{callers: 3, invalidations: 2, fails: 1, lates: 1},
		{callers: 3, invalidations: 1, fails: 1, nested: true},
		{callers: 3, invalidations: 1, fails: 1, alone: true, close: true},
		{callers: 3, nested: true, alone: true},
		{callers: 4, invalidations: 1, fails: 1},
	}
	if testing.Short() || raceEnabled { // make models tries them all
		all = []limits{
			{callers: 3, invalidations: 1, fails: 1},
			{callers: 2, invalidations: 2, lates: 1, close: true},
			{callers: 3, nested: true},
			{callers: 3, alone: true},
		}
	}
	for _, l := range all {
		t.Run(l.String(), func(t *testing.T) {
			x := &explorer{t: t, limits: l, orders: map[position]float64{}}
			n := x.explore(newWorld(l), nil)
			t.Logf("%.3g orders, %d positions, %d events", n, len(x.orders), x.events)
		})
	}
}

// This test tries every order of the first few events without positions. If a position does not
// hold all that the later events depend on, the test above may miss an order, but this one does
// not.
func TestInvariantsHoldInEveryShortOrderOfEvents(t *testing.T) {
	x := &explorer{
		t:      t,
		limits: limits{callers: 3, invalidations: 2, fails: 2, lates: 1, close: true},
		depth:  6,
	}
	if testing.Short() || raceEnabled {
		x.depth = 5
	}
	n := x.explore(newWorld(x.limits), nil)
	t.Logf("%.0f orders, %d events", n, x.events)
}
