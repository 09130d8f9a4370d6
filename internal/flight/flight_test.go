package flight

import (
	"context"
	"errors"
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

// join is a Join that must succeed.
func join(t *testing.T, g *group, key string, hash uint64, k Kind, within *Link) (f *keyFlight, lead bool) {
	t.Helper()
	f, lead, err := g.Join(key, hash, k, within, absent, nothing)
	if f == nil || err != nil {
		t.Fatalf("Join(%s, %v) = %v, %v, %v; want a flight", key, k, f, lead, err)
	}
	return f, lead
}

func TestWhoFindsWhatItWantedJoinsNothing(t *testing.T) {
	for _, k := range []Kind{Plain, Aside} {
		g := NewGroup[string, int]()
		f, lead, err := g.Join("a", 0, k, nil, present, nothing)
		if f != nil || lead || err != nil {
			t.Errorf("Join(%v) = %v, %v, %v; want nil, false, nil", k, f, lead, err)
		}
		if n := len(g.shard(0).lines); n != 0 {
			t.Errorf("Join(%v) that began nothing left %d lines", k, n)
		}
	}
}

func TestForcedDoesNotLook(t *testing.T) {
	g := NewGroup[string, int]()
	look := func() bool { t.Error("looked"); return true }
	if f, lead, err := g.Join("a", 0, Forced, nil, look, nothing); f == nil || !lead || err != nil {
		t.Errorf("Join(Forced) = %v, %v, %v; want a flight to lead", f, lead, err)
	}
}

func TestNobodyLooksAfterClose(t *testing.T) {
	g := NewGroup[string, int]()
	g.Close()
	for k := range Forced + 1 {
		f, lead, err := g.Join("a", 0, k, nil, func() bool { t.Error("looked"); return true }, nothing)
		if f != nil || lead || !errors.Is(err, ErrClosed) {
			t.Errorf("Join(%v) = %v, %v, %v; want ErrClosed", k, f, lead, err)
		}
	}
}

func TestKeysOfOneShardHaveFlightsOfTheirOwn(t *testing.T) {
	g := NewGroup[string, int]()
	a, leadA := join(t, g, "a", 0, Plain, nil)
	b, leadB := join(t, g, "b", 0, Plain, nil)
	if a == b || !leadA || !leadB || a.Key != "a" || b.Key != "b" {
		t.Errorf("two keys of one hash share a flight")
	}
}

func TestChangeVoidsItsOwnKeyOnly(t *testing.T) {
	g := NewGroup[string, int]()
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
	g := NewGroup[string, int]()
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
	g := NewGroup[string, int]()
	called := 0
	g.Change("a", 0, func() bool { called++; return true })
	if n := len(g.shard(0).lines); called != 1 || n != 0 {
		t.Errorf("Change called do %d times and left %d lines; want 1 and 0", called, n)
	}
}

// Keys of one hash are told apart, whatever the order in which they come and go.
func TestKeysOfOneHashDoNotMixUp(t *testing.T) {
	g := NewGroup[string, int]()
	s := g.shard(0)
	keys := []string{"a", "b", "c", "d", "e"}
	for range 2000 {
		key, hash := keys[rand.IntN(len(keys))], uint64(rand.IntN(2))
		id := 2*int(key[0]) + int(hash)
		f, _, _ := g.Join(key, hash, Plain, nil, absent, func(f *keyFlight) { f.Job = id })
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

// everywhere returns hashes that fall into all shards.
func everywhere() (hashes []uint64) {
	for i := range uint64(shards) {
		hashes = append(hashes, i<<48)
	}
	return hashes
}

func TestHashesSpreadOverTheShards(t *testing.T) {
	g := NewGroup[string, int]()
	seen := map[*shard[string, int]]bool{}
	for _, h := range everywhere() {
		seen[g.shard(h)] = true
	}
	if len(seen) != shards {
		t.Errorf("%d hashes reach %d shards; want all of them", shards, len(seen))
	}
}

func TestVoidAllVoidsEveryShard(t *testing.T) {
	g := NewGroup[string, int]()
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
	g := NewGroup[string, int]()
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
	g := NewGroup[string, int]()
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
		if f.Err() != cause || !isClosed(f.done) {
			t.Errorf("FailAll called each before its flight was over")
		}
	})
	if len(alive) > 0 {
		t.Errorf("FailAll left %d flights", len(alive))
	}
}

func TestWaitEndsWithTheCallerOrTheFlight(t *testing.T) {
	g := NewGroup[string, int]()
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
		g := NewGroup[string, int]()
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
		g := NewGroup[string, int]()
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
		g := NewGroup[string, int]()
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
		g := NewGroup[string, int]()
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

func TestAFunctionThatAsksForItsOwnKeyThroughAnotherGroupIsACycle(t *testing.T) {
	users, teams := NewGroup[string, int](), NewGroup[int, string]()
	user, _ := join(t, users, "ann", 0, Plain, nil)
	within := &Link{Flight: user}
	team, _, err := teams.Join(7, 0, Plain, within, absent, func(*Flight[int, string]) {})
	if err != nil {
		t.Fatalf("Join of another group = %v", err)
	}
	within = &Link{Flight: team, Up: within}
	for k := range Forced {
		if _, _, err := users.Join("ann", 0, k, within, absent, nothing); !errors.Is(err, ErrCycle) {
			t.Errorf("Join(%v) of the flight that waits for it = %v; want ErrCycle", k, err)
		}
	}
	if _, _, err := teams.Join(7, 0, Plain, within, absent, func(*Flight[int, string]) {}); !errors.Is(err, ErrCycle) {
		t.Errorf("Join of its own flight = %v; want ErrCycle", err)
	}
	if bob, lead := join(t, users, "bob", 0, Plain, within); bob == user || !lead {
		t.Error("a function cannot ask for another key")
	}
}

func TestARefusedJoinLeavesNoCaller(t *testing.T) {
	g := NewGroup[string, int]()
	f, _ := join(t, g, "a", 0, Plain, nil)
	if _, _, err := g.Join("a", 0, Plain, &Link{Flight: f}, absent, nothing); !errors.Is(err, ErrCycle) {
		t.Fatalf("Join = %v; want ErrCycle", err)
	}
	if last, _ := g.Leave(f); !last {
		t.Error("the only caller left and was not the last")
	}
}

func TestTheJobIsThereBeforeAnybodyElseSeesTheFlight(t *testing.T) {
	g := NewGroup[string, int]()
	f, _, _ := g.Join("a", 0, Plain, nil, absent, func(f *keyFlight) { f.Job = 42 })
	shared, lead, _ := g.Join("a", 0, Plain, nil, absent, func(f *keyFlight) { f.Job = 43 })
	if shared != f || lead || shared.Job != 42 || f.Key != "a" || f.Kind != Plain {
		t.Errorf("Job = %d of a flight for %q; want that of who began it", shared.Job, shared.Key)
	}
}

// A herd is an owner of a Group that does what zodiac does, with goroutines, and counts what must not happen.
type herd struct {
	t     *testing.T
	clock atomic.Int64 // events in order
	group *Group[int, herdJob]
	keys  []herdKey
	calls sync.WaitGroup
}

// A herdKey is the source of one key's values, and their cache.
type herdKey struct {
	source atomic.Int64 // the truth; grows
	sealed atomic.Int32 // commits that run
	cached int64        // under the key's lock, as in the real thing; 0 = absent
}

type herdJob struct{ begun, result int64 }

func newHerd(t *testing.T, keys int) *herd {
	return &herd{t: t, group: NewGroup[int, herdJob](), keys: make([]herdKey, keys)}
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
func (h *herd) get(key int, k Kind) {
	arrived, least := h.clock.Add(1), h.keys[key].source.Load()
	var hit int64
	f, lead, err := h.group.Join(key, hashOf(key), k, nil, func() bool {
		hit = h.keys[key].cached
		return hit > 0
	}, func(*Flight[int, herdJob]) {})
	switch {
	case err != nil:
		if !errors.Is(err, ErrClosed) {
			h.t.Errorf("Join = %v", err)
		}
		return
	case f == nil:
		if hit < least {
			h.t.Errorf("key %d: read %d after the invalidation to %d returned", key, hit, least)
		}
		return
	case lead:
		h.run(f)
	}
	var end chan struct{}
	if rand.IntN(4) == 0 {
		end = make(chan struct{})
		go func() { pause(); close(end) }()
	}
	if !f.Wait(end) {
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

func pause() {
	if n := rand.IntN(8); n < 4 {
		time.Sleep(time.Duration(n) * time.Microsecond)
	}
}

func TestAHerdNeverGetsWhatIsOlderThanItsCall(t *testing.T) {
	rounds := 2000
	if testing.Short() {
		rounds = 300
	}
	h := newHerd(t, 6)
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for range rounds {
				key := rand.IntN(len(h.keys))
				if n := rand.IntN(20); n < 3 {
					h.invalidate(key, n == 0)
				} else {
					h.get(key, Kind(rand.IntN(int(Forced)+1)))
				}
			}
		})
	}
	callers.Wait()
	h.close()
}

// close checks that nothing of the herd is left in the Group.
func (h *herd) close() {
	h.group.Close()
	if err := h.group.Drain(h.t.Context()); err != nil {
		h.t.Errorf("Drain = %v", err)
	}
	h.calls.Wait()
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
					h.get(rand.IntN(len(h.keys)), Kind(rand.IntN(int(Forced)+1)))
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
