package flight

import (
	"errors"
	"math/rand/v2"
	"testing"
)

// model_test.go and the files that use it try all orders of events of one key. The other tests
// have several keys, look at when functions are called, or run goroutines.

type (
	group     = Group[string, int]
	keyFlight = Flight[string, int]
)

func absent() bool         { return false }
func present() bool        { return true }
func nothing(f *keyFlight) {}

// commit calls write with f sealed, if f may write.
func commit[K comparable, J any](g *Group[K, J], f *Flight[K, J], write func()) bool {
	if !g.Seal(f) {
		return false
	}
	defer g.Unseal(f)
	write()
	return true
}

// ask calls Join. If alone is set, the caller joins no flight that another caller began.
func ask[K comparable, J any](
	g *Group[K, J], key K, hash uint64, k Kind, alone bool, within *Link,
	look func() bool, begin func(*Flight[K, J]),
) (f *Flight[K, J], role Role, err error) {
	var joins func(*Flight[K, J]) bool
	if alone {
		joins = func(*Flight[K, J]) bool { return false }
	}
	return g.Join(key, hash, k, joins, within, look, begin)
}

// join calls Join, which must return a flight.
func join(t *testing.T, g *group, key string, hash uint64, k Kind, within *Link) (f *keyFlight, lead bool) {
	t.Helper()
	f, role, err := ask(g, key, hash, k, false, within, absent, nothing)
	if f == nil || err != nil {
		t.Fatalf("Join(%s, %v) = %v, %v, %v; want a flight", key, k, f, role, err)
	}
	return f, role == Leads
}

func TestCallerThatFindsAValueJoinsNothing(t *testing.T) {
	for k := range Forced + 1 {
		g := NewGroup[string, int](false)
		f, role, err := ask(g, "a", 0, k, false, nil, present, nothing)
		if f != nil || err != nil {
			t.Errorf("Join(%v) = %v, %v, %v; want nil, _, nil", k, f, role, err)
		}
		if n := len(g.shard(0).lines); n != 0 {
			t.Errorf("Join(%v) began nothing and left %d lines", k, n)
		}
	}
}

func TestJoinNeedsNoLook(t *testing.T) {
	g := NewGroup[string, int](false)
	if f, role, err := ask(g, "a", 0, Forced, false, nil, nil, nothing); f == nil || role != Leads || err != nil {
		t.Errorf("Join = %v, %v, %v; want a flight and the role Leads", f, role, err)
	}
}

func TestJoinAsksTheCallerWhetherItShares(t *testing.T) {
	g := NewGroup[string, int](false)
	first, _ := join(t, g, "a", 0, Plain, nil)
	for _, yes := range []bool{true, false} {
		asked := 0
		f, role, err := g.Join("a", 0, Plain, func(f *keyFlight) bool {
			asked++
			return f == first && yes
		}, nil, nil, nothing)
		if asked != 1 || (f == first) != yes || (role == Joined) != yes || err != nil {
			t.Errorf("Join with joins = %v: got %p, %v, %v; joins was called %d times",
				yes, f, role, err, asked)
		}
	}
	if f, _ := join(t, g, "a", 0, Plain, nil); f != first {
		t.Error("a caller that accepts every flight did not join the first")
	}
}

func TestCallerAloneJoinsNoFlightOfOthers(t *testing.T) {
	for k := range Forced + 1 {
		g := NewGroup[string, int](false)
		first, lead := join(t, g, "a", 0, k, nil)
		if !lead {
			t.Fatal("the first caller does not lead")
		}
		f, role, err := ask(g, "a", 0, k, true, nil, absent, nothing)
		if f == first || err != nil {
			t.Errorf("Join(%v) alone = %p, %v; want a flight of its own", k, f, err)
		}
		if (role == Leads) != (k != Forced) {
			t.Errorf("Join(%v) alone: role %v", k, role)
		}
		third, role, err := ask(g, "a", 0, k, true, nil, absent, nothing)
		if third == first || third == f || role != Leads || err != nil {
			t.Errorf("a second Join(%v) alone = %p, %v, %v; want a flight of its own and the role Leads",
				k, third, role, err)
		}
		if k != Aside && commit(g, third, func() { t.Error("a flight without a slot has written") }) {
			t.Errorf("%v: a flight without a slot was sealed", k)
		}
		if shared, lead := join(t, g, "a", 0, Plain, nil); lead != (k != Plain) || shared == third {
			t.Errorf("Plain Join after Joins(%v) alone has the wrong role or flight; joined the last: %v",
				k, shared == third)
		}
	}
}

func TestJobIsFilledInBeforeOthersSeeTheFlight(t *testing.T) {
	g := NewGroup[string, int](false)
	f, _, _ := ask(g, "a", 0, Plain, false, nil, absent, func(f *keyFlight) { f.Job = 42 })
	shared, role, _ := ask(g, "a", 0, Plain, false, nil, absent, func(f *keyFlight) { f.Job = 43 })
	if shared != f || role != Joined || shared.Job != 42 || f.Key != "a" || f.Kind != Plain {
		t.Errorf("Job = %d, Key = %q; want the job of the caller that began the flight",
			shared.Job, shared.Key)
	}
}

func TestJoinDoesNotLookAfterClose(t *testing.T) {
	g := NewGroup[string, int](false)
	g.Close()
	for k := range Forced + 1 {
		look := func() bool { t.Error("look was called"); return true }
		f, role, err := ask(g, "a", 0, k, false, nil, look, nothing)
		if f != nil || !errors.Is(err, ErrClosed) {
			t.Errorf("Join(%v) = %v, %v, %v; want ErrClosed", k, f, role, err)
		}
	}
}

func TestTwoKeysHaveTwoFlights(t *testing.T) {
	g := NewGroup[string, int](false)
	a, leadA := join(t, g, "a", 0, Plain, nil)
	b, leadB := join(t, g, "b", 0, Plain, nil)
	if a == b || !leadA || !leadB || a.Key != "a" || b.Key != "b" {
		t.Errorf("two keys with one hash share a flight")
	}
}

// Keys with one hash have separate lines, in whatever order the keys come and go.
func TestKeysOfOneHashDoNotMixUp(t *testing.T) {
	g := NewGroup[string, int](false)
	s := g.shard(0)
	keys := []string{"a", "b", "c", "d", "e"}
	for range 2000 {
		key, hash := keys[rand.IntN(len(keys))], uint64(rand.IntN(2))
		id := 2*int(key[0]) + int(hash)
		f, _, _ := ask(g, key, hash, Plain, false, nil, absent, func(f *keyFlight) { f.Job = id })
		if f.Key != key || f.Job != id {
			t.Fatalf("Join(%s, %d) returned the flight of %s with job %d; want %d",
				key, hash, f.Key, f.Job, id)
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
		g.DiscardAll()
	} else {
		g.FailAll(ErrClosed, nothing)
	}
	if n := len(s.lines); n != 0 {
		t.Errorf("%d lines are left", n)
	}
}

// everywhere returns a hash for every shard.
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

func TestWaitEndsWithItsChannelOrTheFlight(t *testing.T) {
	g := NewGroup[string, int](false)
	f, _ := join(t, g, "a", 0, Plain, nil)
	ended := make(chan struct{})
	close(ended)
	if f.Wait(ended) {
		t.Error("Wait = true with end closed and no outcome")
	}
	g.Finish(f, nil)
	for range 100 { // one select over both channels would choose at random
		if !f.Wait(ended) {
			t.Fatal("Wait = false with an outcome")
		}
	}
	if !f.Wait(nil) || !f.Wait(make(chan struct{})) {
		t.Error("Wait = false with an outcome and end open")
	}
}
