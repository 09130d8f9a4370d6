package flight

import (
	"errors"
	"fmt"
	"testing"
)

// refused calls Join, which must return ErrCycle.
func refused(t *testing.T, g *group, key string, k Kind, within *Link) {
	t.Helper()
	if f, _, err := ask(g, key, 0, k, false, within, absent, nothing); f != nil || !errors.Is(err, ErrCycle) {
		t.Errorf("Join(%s, %v) of a flight that waits for the caller = %p, %v; want ErrCycle",
			key, k, f, err)
	}
}

// noGraph empties the graph. A test of the graph begins with it.
func noGraph() { clear(graph.on) }

// noWaits fails the test if there are waits in the graph.
func noWaits(t *testing.T) {
	t.Helper()
	graph.Lock()
	defer graph.Unlock()
	if n := len(graph.on); n != 0 {
		t.Errorf("%d flights in the graph wait; want none", n)
	}
}

func TestFetchThatAsksForItsOwnKeyThroughAnotherGroupIsACycle(t *testing.T) {
	noGraph()
	users, teams := NewGroup[string, int](false), NewGroup[int, string](false)
	user, _ := join(t, users, "ann", 0, Plain, nil)
	within := &Link{Flight: user}
	team, _, err := ask(teams, 7, 0, Plain, false, within, absent, func(*Flight[int, string]) {})
	if err != nil {
		t.Fatalf("Join of another group = %v", err)
	}
	deeper := &Link{Flight: team}
	for k := range Forced {
		refused(t, users, "ann", k, deeper)
	}
	_, _, err = ask(teams, 7, 0, Plain, false, deeper, absent, func(*Flight[int, string]) {})
	if !errors.Is(err, ErrCycle) {
		t.Errorf("Join of its own flight = %v; want ErrCycle", err)
	}
	bob, lead := join(t, users, "bob", 0, Plain, deeper)
	if bob == user || !lead {
		t.Error("a fetch that asks for another key did not begin a flight")
	}
	deeper.Waited(bob)
	within.Waited(team)
	noWaits(t)
}

// The fetches of other callers' flights ask for each other's keys. It does not matter who began
// the flights.
func TestFetchesThatWaitForEachOtherAreACycle(t *testing.T) {
	noGraph()
	g := NewGroup[string, int](false)
	a, _ := join(t, g, "a", 0, Plain, nil)
	b, _ := join(t, g, "b", 0, Plain, nil)
	c, _ := join(t, g, "c", 0, Plain, nil)
	inA, inB, inC := &Link{Flight: a}, &Link{Flight: b}, &Link{Flight: c}
	join(t, g, "b", 0, Plain, inA)
	join(t, g, "c", 0, Aside, inB)
	refused(t, g, "a", Plain, inC)
	refused(t, g, "b", Aside, inC)
	refused(t, g, "a", Plain, inB)
	inA.Waited(b) // it has the outcome, or has given up
	if f, _ := join(t, g, "a", 0, Plain, inC); f != a {
		t.Error("c cannot wait for a, but a waits for nothing any more")
	}
	refused(t, g, "b", Plain, inA)
	inC.Waited(a)
	inB.Waited(c)
	noWaits(t)
}

// A fetch may wait twice for one flight, in two goroutines. It waits until both waits are taken
// back.
func TestWaitedTakesBackOneWait(t *testing.T) {
	noGraph()
	g := NewGroup[string, int](false)
	a, _ := join(t, g, "a", 0, Plain, nil)
	b, _ := join(t, g, "b", 0, Plain, nil)
	c, _ := join(t, g, "c", 0, Plain, nil)
	inA, inB, inC := &Link{Flight: a}, &Link{Flight: b}, &Link{Flight: c}
	join(t, g, "b", 0, Plain, inA)
	join(t, g, "b", 0, Plain, inA)
	join(t, g, "c", 0, Plain, inA)
	inA.Waited(b)
	refused(t, g, "a", Plain, inB)
	refused(t, g, "a", Plain, inC)
	inA.Waited(b)
	if f, _ := join(t, g, "a", 0, Plain, inB); f != a {
		t.Error("b cannot wait for a, but a does not wait for b any more")
	}
	inA.Waited(c)
	inB.Waited(a)
	noWaits(t)
}

// A forced flight whose fetch has not started waits for the fetch that runs, although no function
// asked for that.
func TestWaitingFlightWaitsForTheFetchBeforeIt(t *testing.T) {
	noGraph()
	g := NewGroup[string, int](false)
	a, _ := join(t, g, "a", 0, Forced, nil)
	b, _ := join(t, g, "b", 0, Plain, nil)
	inA, inB := &Link{Flight: a}, &Link{Flight: b}
	next, lead := join(t, g, "a", 0, Forced, inB)
	if lead {
		t.Fatal("two forced fetches run at once")
	}
	refused(t, g, "b", Plain, inA)  // b waits for next, and next waits for a
	refused(t, g, "a", Forced, inA) // next waits for a
	inB.Waited(next)
	g.Leave(next)
	if f, _ := join(t, g, "b", 0, Plain, inA); f != b {
		t.Error("a cannot wait for b, but no flight waits behind a any more")
	}
	refused(t, g, "a", Forced, inB) // the new flight would wait for a, which waits for b
	inA.Waited(b)
	noWaits(t)
}

// The waits of a fetch count until its flight is over. After that nobody waits for the fetch,
// even if it still runs.
func TestFlightThatIsOverWaitsForNothing(t *testing.T) {
	noGraph()
	g := NewGroup[string, int](false)
	f, _ := join(t, g, "f", 0, Plain, nil)
	m, _ := join(t, g, "m", 0, Plain, nil)
	h, _ := join(t, g, "h", 0, Plain, nil)
	inF, inM, inH := &Link{Flight: f}, &Link{Flight: m}, &Link{Flight: h}
	join(t, g, "m", 0, Plain, inF)
	join(t, g, "h", 0, Plain, inM)
	g.Fail(m, errors.New("too slow")) // the fetch of f has not called Waited yet
	if shared, _ := join(t, g, "f", 0, Plain, inH); shared != f {
		t.Error("h cannot wait for f, but nothing that f waits for is left")
	}
	inF.Waited(m)
	inM.Waited(h)
	inH.Waited(f)
	noWaits(t)
}

// In this graph the number of paths doubles with every layer. The search for a cycle must not
// follow all of them.
func TestSearchForCyclesIsNotExponential(t *testing.T) {
	noGraph()
	g := NewGroup[string, int](false)
	outer, _ := join(t, g, "outer", 0, Plain, nil)
	var above []*keyFlight
	for layer := range 40 {
		var here []*keyFlight
		for i := range 2 {
			f, _ := join(t, g, fmt.Sprint(layer, "/", i), 0, Plain, nil)
			here = append(here, f)
		}
		for _, f := range above {
			for _, below := range here {
				join(t, g, below.Key, 0, Plain, &Link{Flight: f})
			}
		}
		above = here
	}
	join(t, g, "0/0", 0, Plain, &Link{Flight: outer})
	refused(t, g, "outer", Plain, &Link{Flight: above[0]})
}

func TestRefusedJoinLeavesNoCaller(t *testing.T) {
	noGraph()
	g := NewGroup[string, int](false)
	f, _ := join(t, g, "a", 0, Plain, nil)
	refused(t, g, "a", Plain, &Link{Flight: f})
	if last, _ := g.Leave(f); !last {
		t.Error("Leave of the only caller: last = false")
	}
	if f, _ := join(t, g, "a", 0, Forced, nil); f == nil || len(g.shard(0).lines) != 1 {
		t.Error("a Join after a refused one got no flight, or the key has more than one line")
	}
	refused(t, g, "a", Forced, &Link{Flight: g.shard(0).lines[0].forced})
	if waiting := g.shard(0).lines[0].waiting; waiting != nil {
		t.Error("the flight of a refused Join waits")
	}
	noWaits(t)
}
