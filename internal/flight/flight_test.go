package flight

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// What one order of events does to one key is for model_test.go. Here: several keys, what is called when, and goroutines.

type (
	group     = Group[string, int]
	keyFlight = Flight[string, int]
)

func absent() bool         { return false }
func present() bool        { return true }
func nothing(f *keyFlight) {}

// commit writes the value of f, if f may write.
func commit[K comparable, J any](g *Group[K, J], f *Flight[K, J], write func()) bool {
	if !g.Seal(f) {
		return false
	}
	defer g.Unseal(f)
	write()
	return true
}

// ask is a Join; alone says that the caller joins nothing that others began.
func ask[K comparable, J any](g *Group[K, J], key K, hash uint64, k Kind, alone bool, within *Link, look func() bool, begin func(*Flight[K, J])) (f *Flight[K, J], role Role, err error) {
	var joins func(*Flight[K, J]) bool
	if alone {
		joins = func(*Flight[K, J]) bool { return false }
	}
	return g.Join(key, hash, k, joins, within, look, begin)
}

// join is a Join that must succeed.
func join(t *testing.T, g *group, key string, hash uint64, k Kind, within *Link) (f *keyFlight, lead bool) {
	t.Helper()
	f, role, err := ask(g, key, hash, k, false, within, absent, nothing)
	if f == nil || err != nil {
		t.Fatalf("Join(%s, %v) = %v, %v, %v; want a flight", key, k, f, role, err)
	}
	return f, role == Leads
}

func TestWhoFindsWhatItWantedJoinsNothing(t *testing.T) {
	for k := range Forced + 1 {
		g := NewGroup[string, int](false)
		f, role, err := ask(g, "a", 0, k, false, nil, present, nothing)
		if f != nil || err != nil {
			t.Errorf("Join(%v) = %v, %v, %v; want nil, _, nil", k, f, role, err)
		}
		if n := len(g.shard(0).lines); n != 0 {
			t.Errorf("Join(%v) that began nothing left %d lines", k, n)
		}
	}
}

func TestWhoWantsAFlightNeedNotLook(t *testing.T) {
	g := NewGroup[string, int](false)
	if f, role, err := ask(g, "a", 0, Forced, false, nil, nil, nothing); f == nil || role != Leads || err != nil {
		t.Errorf("Join = %v, %v, %v; want a flight to lead", f, role, err)
	}
}

func TestACallerMayChooseWhatItJoins(t *testing.T) {
	g := NewGroup[string, int](false)
	first, _ := join(t, g, "a", 0, Plain, nil)
	for _, yes := range []bool{true, false} {
		asked := 0
		f, role, err := g.Join("a", 0, Plain, func(f *keyFlight) bool {
			asked++
			return f == first && yes
		}, nil, nil, nothing)
		if asked != 1 || (f == first) != yes || (role == Joined) != yes || err != nil {
			t.Errorf("Join that may: %v = %p, %v, %v, asked %d times", yes, f, role, err, asked)
		}
	}
	if f, _ := join(t, g, "a", 0, Plain, nil); f != first {
		t.Error("others do not join the first any more")
	}
}

func TestNobodyLooksAfterClose(t *testing.T) {
	g := NewGroup[string, int](false)
	g.Close()
	for k := range Forced + 1 {
		f, role, err := ask(g, "a", 0, k, false, nil, func() bool { t.Error("looked"); return true }, nothing)
		if f != nil || !errors.Is(err, ErrClosed) {
			t.Errorf("Join(%v) = %v, %v, %v; want ErrClosed", k, f, role, err)
		}
	}
}

func TestKeysOfOneShardHaveFlightsOfTheirOwn(t *testing.T) {
	g := NewGroup[string, int](false)
	a, leadA := join(t, g, "a", 0, Plain, nil)
	b, leadB := join(t, g, "b", 0, Plain, nil)
	if a == b || !leadA || !leadB || a.Key != "a" || b.Key != "b" {
		t.Errorf("two keys of one hash share a flight")
	}
}

func TestChangeVoidsItsOwnKeyOnly(t *testing.T) {
	g := NewGroup[string, int](false)
	a, _ := join(t, g, "a", 0, Plain, nil)
	b, _ := join(t, g, "b", 0, Plain, nil)
	g.Change("a", 0, present)
	if commit(g, a, func() {}) {
		t.Error("the changed key's flight was sealed")
	}
	if !commit(g, b, func() {}) {
		t.Error("another key's flight was void")
	}
}

func TestChangeThatInvalidatesNothingVoidsNothing(t *testing.T) {
	g := NewGroup[string, int](false)
	f, _ := join(t, g, "a", 0, Plain, nil)
	g.Change("a", 0, absent)
	if shared, lead := join(t, g, "a", 0, Plain, nil); shared != f || lead {
		t.Error("the flight could not be joined")
	}
	if !commit(g, f, func() {}) {
		t.Error("the flight was void")
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

// Keys of one hash are told apart, whatever the order in which they come and go.
func TestKeysOfOneHashDoNotMixUp(t *testing.T) {
	g := NewGroup[string, int](false)
	s := g.shard(0)
	keys := []string{"a", "b", "c", "d", "e"}
	for range 2000 {
		key, hash := keys[rand.IntN(len(keys))], uint64(rand.IntN(2))
		id := 2*int(key[0]) + int(hash)
		f, _, _ := ask(g, key, hash, Plain, false, nil, absent, func(f *keyFlight) { f.Job = id })
		if f.Key != key || f.Job != id {
			t.Fatalf("Join(%s, %d) is the flight of %s with job %d; want %d", key, hash, f.Key, f.Job, id)
		}
		switch rand.IntN(4) {
		case 0:
			g.Finish(f, nil)
		case 1:
			g.Change(key, hash, present)
			g.Finish(f, nil)
		case 2:
			commit(g, f, func() {})
			g.Finish(f, nil)
		}
	}
	if rand.IntN(2) == 0 {
		g.VoidAll()
	} else {
		g.FailAll(ErrClosed, nothing)
	}
	if n := len(s.lines); n != 0 {
		t.Errorf("%d lines are left", n)
	}
}

func TestAWatchSeesInvalidationsOfItsKeyOnly(t *testing.T) {
	for name, test := range map[string]struct {
		change func(g *group)
		void   bool
	}{
		"nothing":     {func(*group) {}, false},
		"another key": {func(g *group) { g.Change("b", 0, present) }, false},
		"no change":   {func(g *group) { g.Change("a", 0, absent) }, false},
		"a flight":    {func(g *group) { join(t, g, "a", 0, Forced, nil) }, false},
		"its key":     {func(g *group) { g.Change("a", 0, present) }, true},
		"all keys":    {func(g *group) { g.VoidAll() }, true},
	} {
		g := NewGroup[string, int](false)
		w := g.Watch("a", 0)
		test.change(g)
		if w.Void() != test.void {
			t.Errorf("%s: Void() = %v; want %v", name, w.Void(), test.void)
		}
		g.Unwatch("a", 0)
		g.Change("a", 0, present)
		if w.Void() != test.void {
			t.Errorf("%s: an ended watch has seen a change", name)
		}
		g.FailAll(ErrClosed, nothing)
		if n := len(g.shard(0).lines); n != 0 {
			t.Errorf("%s: %d lines are left", name, n)
		}
	}
}

// everywhere returns hashes that fall into all shards.
func everywhere() (hashes []uint64) {
	for i := range uint64(shards) {
		hashes = append(hashes, i<<48)
	}
	return hashes
}

func TestHashesSpreadOverTheShards(t *testing.T) {
	g := NewGroup[string, int](false)
	seen := map[*shard[string, int]]bool{}
	for _, h := range everywhere() {
		seen[g.shard(h)] = true
	}
	if len(seen) != shards {
		t.Errorf("%d hashes reach %d shards; want all of them", shards, len(seen))
	}
}

func TestVoidAllVoidsEveryShard(t *testing.T) {
	g := NewGroup[string, int](false)
	var flights []*keyFlight
	for _, h := range everywhere() {
		for _, key := range []string{"a", "b"} {
			f, _ := join(t, g, key, h, Plain, nil)
			flights = append(flights, f)
		}
	}
	g.VoidAll()
	for i, f := range flights {
		if commit(g, f, func() {}) {
			t.Errorf("flight %d was sealed after VoidAll", i)
		}
	}
}

func TestCloseRefusesSealsOfEveryShard(t *testing.T) {
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

func TestFailAllEndsEveryShard(t *testing.T) {
	g := NewGroup[string, int](false)
	cause := errors.New("enough")
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
			t.Error("FailAll called each twice for a flight, or for an unknown one")
		}
		delete(alive, f)
		if f.Err() != cause || !isClosed(f.done) { //nolint:errorlint // the very error
			t.Errorf("FailAll called each before its flight was over")
		}
	})
	if len(alive) > 0 {
		t.Errorf("FailAll left %d flights", len(alive))
	}
}

func TestWaitEndsWithTheCallerOrTheFlight(t *testing.T) {
	g := NewGroup[string, int](false)
	f, _ := join(t, g, "a", 0, Plain, nil)
	ended := make(chan struct{})
	close(ended)
	if f.Wait(ended) {
		t.Error("Wait of a caller whose time was over = true, though nothing is known")
	}
	g.Finish(f, nil)
	for range 100 { // a select would choose at random
		if !f.Wait(ended) {
			t.Fatal("Wait = false, though the outcome is known")
		}
	}
	if !f.Wait(nil) || !f.Wait(make(chan struct{})) {
		t.Error("Wait = false, though the caller has time")
	}
}

func TestDrainWaitsForEveryFunction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGroup[string, int](false)
		for i, h := range everywhere() {
			f, _ := join(t, g, "a", h, Plain, nil)
			time.AfterFunc(time.Duration(i+1)*time.Second, func() {
				g.Finish(f, nil)
				time.AfterFunc(time.Minute, func() { g.Returned(f) }) // not the outcome counts, the goroutine
			})
		}
		g.Close()
		begin := time.Now()
		if err := g.Drain(t.Context()); err != nil {
			t.Errorf("Drain = %v", err)
		}
		if took, want := time.Since(begin), time.Minute+shards*time.Second; took != want {
			t.Errorf("Drain took %v; the last function returned after %v", took, want)
		}
	})
}

func TestDrainWaitsForFunctionsThatStartAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGroup[string, int](false)
		first, _ := join(t, g, "a", 0, Forced, nil)
		second, lead := join(t, g, "a", 0, Forced, nil)
		if lead {
			t.Fatal("two forced functions run at once")
		}
		g.Close()
		var drained atomic.Bool
		go func() { g.Drain(t.Context()); drained.Store(true) }()
		if next := g.Finish(first, nil); next != second {
			t.Fatal("the waiting flight was not handed out")
		}
		g.Returned(first)
		synctest.Wait()
		if drained.Load() {
			t.Error("Drain returned while a function ran that had waited")
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
			t.Errorf("Drain of an idle group = %v, though its context has ended", err)
		}
	})
}

func TestManyMayDrain(t *testing.T) {
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
		g.Returned(f) // the bubble deadlocks if one of them is not woken
	})
}

// refused is a Join that must be ErrCycle.
func refused(t *testing.T, g *group, key string, k Kind, within *Link) {
	t.Helper()
	if f, _, err := ask(g, key, 0, k, false, within, absent, nothing); f != nil || !errors.Is(err, ErrCycle) {
		t.Errorf("Join(%s, %v) of what waits for the caller = %p, %v; want ErrCycle", key, k, f, err)
	}
}

// noGraph is where a test of the graph begins.
func noGraph() { clear(graph.on) }

// nobodyWaits fails if the graph remembers somebody who does not wait any more.
func nobodyWaits(t *testing.T) {
	t.Helper()
	graph.Lock()
	defer graph.Unlock()
	if n := len(graph.on); n != 0 {
		t.Errorf("%d functions are said to wait; want none", n)
	}
}

func TestAFunctionThatAsksForItsOwnKeyThroughAnotherGroupIsACycle(t *testing.T) {
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
	if _, _, err := ask(teams, 7, 0, Plain, false, deeper, absent, func(*Flight[int, string]) {}); !errors.Is(err, ErrCycle) {
		t.Errorf("Join of its own flight = %v; want ErrCycle", err)
	}
	bob, lead := join(t, users, "bob", 0, Plain, deeper)
	if bob == user || !lead {
		t.Error("a function cannot ask for another key")
	}
	deeper.Waited(bob)
	within.Waited(team)
	nobodyWaits(t)
}

// Two functions that others began, and that ask for each other's key: it does not matter who began them.
func TestFunctionsThatWaitForEachOtherAreACycle(t *testing.T) {
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
	inA.Waited(b) // gave up, or has it
	if f, _ := join(t, g, "a", 0, Plain, inC); f != a {
		t.Error("c cannot wait for a, though a waits for nothing any more")
	}
	refused(t, g, "b", Plain, inA)
	inC.Waited(a)
	inB.Waited(c)
	nobodyWaits(t)
}

// One who waits twice for a flight, in two goroutines, waits until both are through.
func TestAWaitEndsOnlyForWhoeverWaited(t *testing.T) {
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
		t.Error("b cannot wait for a, though a waits for it no more")
	}
	inA.Waited(c)
	inB.Waited(a)
	nobodyWaits(t)
}

// A forced flight that has not started waits for the function that runs, though nobody asked for that.
func TestWhoWaitsBehindAFunctionWaitsForIt(t *testing.T) {
	noGraph()
	g := NewGroup[string, int](false)
	a, _ := join(t, g, "a", 0, Forced, nil)
	b, _ := join(t, g, "b", 0, Plain, nil)
	inA, inB := &Link{Flight: a}, &Link{Flight: b}
	next, lead := join(t, g, "a", 0, Forced, inB)
	if lead {
		t.Fatal("two forced functions run at once")
	}
	refused(t, g, "b", Plain, inA)  // it would wait for a itself, behind b
	refused(t, g, "a", Forced, inA) // directly
	inB.Waited(next)
	g.Leave(next)
	if f, _ := join(t, g, "b", 0, Plain, inA); f != b {
		t.Error("a cannot wait for b, though nobody waits behind a any more")
	}
	refused(t, g, "a", Forced, inB) // would begin a flight behind a
	inA.Waited(b)
	nobodyWaits(t)
}

// What a function waits for counts until its flight is over: then nobody waits for the function, though it may go on.
func TestAFlightThatIsOverIsNotWaitedFor(t *testing.T) {
	noGraph()
	g := NewGroup[string, int](false)
	f, _ := join(t, g, "f", 0, Plain, nil)
	m, _ := join(t, g, "m", 0, Plain, nil)
	h, _ := join(t, g, "h", 0, Plain, nil)
	inF, inM, inH := &Link{Flight: f}, &Link{Flight: m}, &Link{Flight: h}
	join(t, g, "m", 0, Plain, inF)
	join(t, g, "h", 0, Plain, inM)
	g.Fail(m, errors.New("too slow")) // f's caller has yet to notice
	if shared, _ := join(t, g, "f", 0, Plain, inH); shared != f {
		t.Error("h cannot wait for f, which waits for nothing any more")
	}
	inF.Waited(m)
	inM.Waited(h)
	inH.Waited(f)
	nobodyWaits(t)
}

// Functions that wait for several share what these wait for: looking for a cycle must not follow every path.
func TestLookingForCyclesIsNotExponential(t *testing.T) {
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

func TestACallerAloneJoinsNothingThatOthersBegan(t *testing.T) {
	for k := range Forced + 1 {
		g := NewGroup[string, int](false)
		first, lead := join(t, g, "a", 0, k, nil)
		if !lead {
			t.Fatal("the first does not lead")
		}
		f, role, err := ask(g, "a", 0, k, true, nil, absent, nothing)
		if f == first || err != nil {
			t.Errorf("Join(%v) alone = %p, %v; want a flight of its own", k, f, err)
		}
		if (role == Leads) != (k != Forced) {
			t.Errorf("Join(%v) alone has role %v", k, role)
		}
		third, role, err := ask(g, "a", 0, k, true, nil, absent, nothing)
		if third == first || third == f || role != Leads || err != nil {
			t.Errorf("a second Join(%v) alone = %p, %v, %v; want a flight of its own to lead", k, third, role, err)
		}
		if k != Aside && commit(g, third, func() { t.Error("written") }) {
			t.Errorf("%v: two flights may write", k)
		}
		if shared, lead := join(t, g, "a", 0, Plain, nil); lead != (k != Plain) || shared == third {
			t.Errorf("Join after %v alone shares the flight of its own: %v", k, shared == third)
		}
	}
}

func TestARefusedJoinLeavesNoCaller(t *testing.T) {
	noGraph()
	g := NewGroup[string, int](false)
	f, _ := join(t, g, "a", 0, Plain, nil)
	refused(t, g, "a", Plain, &Link{Flight: f})
	if last, _ := g.Leave(f); !last {
		t.Error("the only caller left and was not the last")
	}
	if f, _ := join(t, g, "a", 0, Forced, nil); f == nil || len(g.shard(0).lines) != 1 {
		t.Error("no flight after a refused one")
	}
	refused(t, g, "a", Forced, &Link{Flight: g.shard(0).lines[0].forced})
	if waiting := g.shard(0).lines[0].waiting; waiting != nil {
		t.Error("a refused flight waits")
	}
	nobodyWaits(t)
}

func TestTheJobIsThereBeforeAnybodyElseSeesTheFlight(t *testing.T) {
	g := NewGroup[string, int](false)
	f, _, _ := ask(g, "a", 0, Plain, false, nil, absent, func(f *keyFlight) { f.Job = 42 })
	shared, role, _ := ask(g, "a", 0, Plain, false, nil, absent, func(f *keyFlight) { f.Job = 43 })
	if shared != f || role != Joined || shared.Job != 42 || f.Key != "a" || f.Kind != Plain {
		t.Errorf("Job = %d of a flight for %q; want that of who began it", shared.Job, shared.Key)
	}
}

// A herd is an owner of a Group that does what zodiac does, with goroutines, and counts what must not happen.
type herd struct {
	t      *testing.T
	nested bool         // functions ask for other keys, whatever asks for theirs
	clock  atomic.Int64 // events in order
	group  *Group[int, herdJob]
	keys   []herdKey
	calls  sync.WaitGroup
}

// A herdKey is the source of one key's values, and their cache.
type herdKey struct {
	source atomic.Int64 // the truth; grows
	sealed atomic.Int32 // commits that run
	cached int64        // under the key's lock, as in the real thing; 0 = absent
}

type herdJob struct{ begun, result int64 }

func newHerd(t *testing.T, keys int) *herd {
	noGraph()
	return &herd{t: t, group: NewGroup[int, herdJob](false), keys: make([]herdKey, keys)}
}

// hashOf spreads the keys over a few shards, so that some share one.
func hashOf(key int) uint64 { return uint64(key/2) << 48 }

// run is the life of a flight.
func (h *herd) run(f *Flight[int, herdJob]) {
	h.calls.Go(func() {
		key := &h.keys[f.Key]
		f.Job.begun = h.clock.Add(1)
		value := key.source.Load()
		pause()
		if h.nested && rand.IntN(3) == 0 {
			h.get(rand.IntN(len(h.keys)), someKind(), &Link{Flight: f})
		}
		f.Job.result = value
		if f.Kind != Aside {
			commit(h.group, f, func() {
				if n := key.sealed.Add(1); n != 1 {
					h.t.Errorf("%d commits of key %d at once", n, f.Key)
				}
				if value < key.cached {
					h.t.Errorf("%d was written over %d", value, key.cached)
				}
				key.cached = value
				key.sealed.Add(-1)
			})
			pause()
		}
		if next := h.group.Finish(f, nil); next != nil {
			h.run(next)
		}
		h.group.Returned(f)
	})
}

// get is a Get: it must not return less than the source had when it began, but for what was cached.
func (h *herd) get(key int, k Kind, within *Link) {
	arrived, least := h.clock.Add(1), h.keys[key].source.Load()
	var hit int64
	alone := rand.IntN(8) == 0
	look := func() bool {
		hit = h.keys[key].cached
		return hit > 0
	}
	if k == Forced {
		look = nil
	}
	f, role, err := ask(h.group, key, hashOf(key), k, alone, within, look, func(*Flight[int, herdJob]) {})
	switch {
	case err != nil:
		if !errors.Is(err, ErrClosed) && (within == nil || !errors.Is(err, ErrCycle)) {
			h.t.Errorf("Join = %v", err)
		}
		return
	case f == nil:
		if hit < least {
			h.t.Errorf("key %d: read %d after the invalidation to %d returned", key, hit, least)
		}
		return
	case role == Leads:
		h.run(f)
	case alone && role == Joined:
		h.t.Error("a caller alone joined what others began")
	}
	var end chan struct{}
	if rand.IntN(4) == 0 {
		end = make(chan struct{})
		go func() { pause(); close(end) }()
	}
	in := f.Wait(end)
	within.Waited(f)
	if !in {
		h.leave(f)
		return
	}
	if f.Err() != nil {
		return
	}
	if f.Job.result < least {
		h.t.Errorf("key %d: got %d from a function that began before the invalidation to %d returned", key, f.Job.result, least)
	}
	if k == Forced && f.Job.begun < arrived {
		h.t.Errorf("key %d: a forced caller got the result of a function that had begun", key)
	}
}

func (h *herd) leave(f *Flight[int, herdJob]) {
	if _, next := h.group.Leave(f); next != nil {
		h.run(next)
	}
}

// invalidate makes what is cached, and what is being fetched, too old. The source counts as changed only once that
// has happened: a Get that began before may still have the old.
func (h *herd) invalidate(key int, all bool) {
	h.group.Change(key, hashOf(key), func() bool {
		k := &h.keys[key]
		k.cached = 0
		k.source.Add(1)
		return true
	})
	if all {
		h.group.VoidAll()
	}
}

func someKind() Kind { return Kind(rand.IntN(int(Forced) + 1)) }

func pause() {
	if n := rand.IntN(8); n < 4 {
		time.Sleep(time.Duration(n) * time.Microsecond)
	}
}

func TestAHerdNeverGetsWhatIsOlderThanItsCall(t *testing.T) {
	for _, nested := range []bool{false, true} {
		t.Run(fmt.Sprintf("nested=%v", nested), func(t *testing.T) {
			rounds := 5000
			if testing.Short() {
				rounds = 300
			}
			h := newHerd(t, 6)
			h.nested = nested // that it ends at all shows that no two functions wait for each other
			var callers sync.WaitGroup
			for range 8 {
				callers.Go(func() { h.live(rounds) })
			}
			callers.Wait()
			h.close()
		})
	}
}

func (h *herd) live(rounds int) {
	for range rounds {
		key := rand.IntN(len(h.keys))
		if n := rand.IntN(20); n < 3 {
			h.invalidate(key, n == 0)
		} else {
			h.get(key, someKind(), nil)
		}
	}
}

// close checks that nothing of the herd is left in the Group.
func (h *herd) close() {
	h.group.Close()
	if err := h.group.Drain(h.t.Context()); err != nil {
		h.t.Errorf("Drain = %v", err)
	}
	h.calls.Wait()
	nobodyWaits(h.t)
	for i := range h.group.shards {
		s := &h.group.shards[i]
		if len(s.lines) != 0 || s.running != 0 || s.all.next != &s.all {
			h.t.Errorf("shard %d: %d lines, %d functions, and flights in the ring: %v", i, len(s.lines), s.running, s.all.next != &s.all)
		}
	}
}

func TestCloseInTheMiddleOfAHerdLeavesNobodyWaiting(t *testing.T) {
	for range 50 {
		h := newHerd(t, 4)
		var callers sync.WaitGroup
		for range 8 {
			callers.Go(func() {
				for range 20 {
					h.get(rand.IntN(len(h.keys)), someKind(), nil)
				}
			})
		}
		time.Sleep(time.Duration(rand.IntN(300)) * time.Microsecond)
		h.group.Close()
		h.group.FailAll(ErrClosed, func(*Flight[int, herdJob]) {})
		callers.Wait()
		h.close()
	}
}
