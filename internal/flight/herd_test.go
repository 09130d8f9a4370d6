package flight

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A herd owns a Group and uses it as zodiac does: it runs fetches on goroutines and caches their
// values. It reports every event that must not happen.
type herd struct {
	t      *testing.T
	nested bool         // some fetches ask for other keys, or for their own
	clock  atomic.Int64 // orders arrivals and beginnings of fetches
	group  *Group[int, herdJob]
	keys   []herdKey
	calls  sync.WaitGroup
}

// A herdKey is the source of the values of one key, and the cache of them.
type herdKey struct {
	source atomic.Int64 // the present value; it only grows
	sealed atomic.Int32 // commits that run
	cached int64        // the lock of the key guards it, as in zodiac; 0 = absent
}

type herdJob struct{ begun, result int64 }

func newHerd(t *testing.T, keys int) *herd {
	noGraph()
	return &herd{t: t, group: NewGroup[int, herdJob](false), keys: make([]herdKey, keys)}
}

// hashOf spreads the keys over a few shards, two keys each.
func hashOf(key int) uint64 { return uint64(key/2) << 48 }

// run starts the fetch of f.
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
					h.t.Errorf("wrote %d over %d", value, key.cached)
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

// get does what Get does. Neither the cache nor a flight may give it a value that is smaller than
// the value of the source when get began.
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
			h.t.Errorf("key %d: read %d from the cache after an invalidation had made it %d",
				key, hit, least)
		}
		return
	case role == Leads:
		h.run(f)
	case alone && role == Joined:
		h.t.Error("a caller alone joined the flight of another")
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
		h.t.Errorf("key %d: got %d from a fetch that began before an invalidation had made it %d",
			key, f.Job.result, least)
	}
	if k == Forced && f.Job.begun < arrived {
		h.t.Errorf("key %d: a forced caller got the result of a fetch that began before its call",
			key)
	}
}

func (h *herd) leave(f *Flight[int, herdJob]) {
	if _, next := h.group.Leave(f); next != nil {
		h.run(next)
	}
}

// invalidate removes the cached value of key, changes the source and discards the flights of key.
// It does all that with the lock of key held. So a get that has seen the new value of the source
// finds neither the old value in the cache nor a flight that began before. If all is set,
// invalidate then discards the flights of all keys too.
func (h *herd) invalidate(key int, all bool) {
	h.group.Change(key, hashOf(key), func() bool {
		k := &h.keys[key]
		k.cached = 0
		k.source.Add(1)
		return true
	})
	if all {
		h.group.DiscardAll()
	}
}

func someKind() Kind { return Kind(rand.IntN(int(Forced) + 1)) }

func pause() {
	if n := rand.IntN(8); n < 4 {
		time.Sleep(time.Duration(n) * time.Microsecond)
	}
}

func TestHerdNeverGetsValuesOlderThanItsCalls(t *testing.T) {
	for _, nested := range []bool{false, true} {
		t.Run(fmt.Sprintf("nested=%v", nested), func(t *testing.T) {
			rounds := 5000
			if testing.Short() {
				rounds = 300
			}
			h := newHerd(t, 6)
			h.nested = nested // if two fetches waited for each other, the test would never end
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

// close closes the Group and checks that nothing is left in it.
func (h *herd) close() {
	h.group.Close()
	if err := h.group.Drain(h.t.Context()); err != nil {
		h.t.Errorf("Drain = %v", err)
	}
	h.calls.Wait()
	noWaits(h.t)
	for i := range h.group.shards {
		s := &h.group.shards[i]
		if len(s.lines) != 0 || s.running != 0 || s.all.next != &s.all {
			h.t.Errorf("shard %d has %d lines, %d running fetches, and flights in its ring: %v; want none",
				i, len(s.lines), s.running, s.all.next != &s.all)
		}
	}
}

func TestCloseDuringAHerdLeavesNoCallerWaiting(t *testing.T) {
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
