package lease_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/lease"
	"pgregory.net/rapid"
)

// won takes the right on key, and fails the test if another has it.
func won(t *testing.T, g driver.Guard, key string, p time.Duration) driver.Held {
	t.Helper()
	held, ok, err := g.TryAcquire(t.Context(), key, p)
	if held == nil || !ok || err != nil {
		t.Fatalf("TryAcquire(%q) = %v, %v, %v; want the right", key, held, ok, err)
	}
	return held
}

// busy fails the test if the right on key is free.
func busy(t *testing.T, g driver.Guard, key string) {
	t.Helper()
	if held, ok, err := g.TryAcquire(t.Context(), key, time.Minute); held != nil || ok || err != nil {
		t.Fatalf("TryAcquire(%q) = %v, %v, %v; want it held by another", key, held, ok, err)
	}
}

func extends(t *testing.T, held driver.Held, p time.Duration, want bool) {
	t.Helper()
	if ok, err := held.Extend(t.Context(), p); ok != want || err != nil {
		t.Fatalf("Extend = %v, %v; want %v", ok, err, want)
	}
}

func release(t *testing.T, held driver.Held) {
	t.Helper()
	if err := held.Release(t.Context()); err != nil {
		t.Fatalf("Release = %v", err)
	}
}

func TestLocalExcludesByKeyWithinOneGuard(t *testing.T) {
	g := lease.Local()
	a := won(t, g, "a", time.Minute)
	busy(t, g, "a")
	b := won(t, g, "b", time.Minute)
	release(t, won(t, lease.Local(), "a", time.Minute))
	release(t, a)
	busy(t, g, "b")
	release(t, won(t, g, "a", time.Minute))
	release(t, b)
}

func TestLocalRightEndsExactlyAfterItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := lease.Local()
		old := won(t, g, "k", time.Second)
		time.Sleep(time.Second - 1)
		busy(t, g, "k")
		time.Sleep(time.Nanosecond)
		extends(t, old, time.Minute, false)
		held := won(t, g, "k", time.Second)
		release(t, old)
		busy(t, g, "k")
		extends(t, old, time.Minute, false)
		release(t, held)
		extends(t, held, time.Minute, false)
	})
}

func TestLocalExtendCountsFromNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := lease.Local()
		held := won(t, g, "k", 10*time.Second)
		time.Sleep(9 * time.Second)
		extends(t, held, 3*time.Second, true)
		time.Sleep(3*time.Second - 1)
		busy(t, g, "k")
		extends(t, held, 2*time.Second, true)
		extends(t, held, time.Second, true) // shorter
		time.Sleep(time.Second)
		extends(t, held, time.Second, false)
		release(t, won(t, g, "k", time.Second))
	})
}

func TestLocalRefusesEndedContextsAndShortTimes(t *testing.T) {
	g := lease.Local()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if held, ok, err := g.TryAcquire(ctx, "k", time.Second); held != nil || ok || !errors.Is(err, context.Canceled) {
		t.Errorf("TryAcquire with an ended context = %v, %v, %v; want its error", held, ok, err)
	}
	for _, p := range []time.Duration{-1, 0, time.Millisecond - 1} {
		if held, ok, err := g.TryAcquire(t.Context(), "k", p); held != nil || ok || err == nil {
			t.Errorf("TryAcquire for %v = %v, %v, %v; want an error", p, held, ok, err)
		}
	}
	held := won(t, g, "k", time.Minute)
	if ok, err := held.Extend(ctx, time.Minute); ok || !errors.Is(err, context.Canceled) {
		t.Errorf("Extend with an ended context = %v, %v; want its error", ok, err)
	}
	if ok, err := held.Extend(t.Context(), 0); ok || err == nil {
		t.Errorf("Extend for 0 = %v, %v; want an error", ok, err)
	}
	busy(t, g, "k")
	if err := held.Release(ctx); err != nil {
		t.Errorf("Release with an ended context = %v; want nil", err)
	}
	release(t, won(t, g, "k", driver.Forever))
}

func TestLocalForgetsRightsThatAreNotReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := lease.Local()
		won(t, g, "a", time.Second)
		extends(t, won(t, g, "b", time.Second), time.Minute, true)
		time.Sleep(time.Second)
		synctest.Wait()
		if n := lease.Rights(g); n != 1 {
			t.Errorf("%d rights are kept; want 1, the extended one", n)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := lease.Rights(g); n != 0 {
			t.Errorf("%d rights are kept; want 0", n)
		}
	})
}

func TestLocalHasOneHolderAtATime(t *testing.T) {
	g := lease.Local()
	var inside atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 1000 {
				held, ok, err := g.TryAcquire(context.Background(), "k", time.Minute)
				if err != nil {
					t.Errorf("TryAcquire = %v", err)
				}
				if !ok {
					continue
				}
				if n := inside.Add(1); n != 1 {
					t.Errorf("%d goroutines hold the right; want 1", n)
				}
				if ok, err := held.Extend(context.Background(), time.Minute); !ok || err != nil {
					t.Errorf("Extend = %v, %v", ok, err)
				}
				inside.Add(-1)
				held.Release(context.Background())
			}
		})
	}
	all.Wait()
}

// TestLocalAgreesWithAModel compares a Guard with a simple model, which knows the holder of each
// key and until when it holds the key. Holders keep their Held and go on using it, like a holder
// that was suspended for a while.
func TestLocalAgreesWithAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rapid.SyncTest(t, func(t *rapid.T) {
			m := &model{t: t, guard: lease.Local(), owner: map[string]int{}, end: map[string]time.Time{}}
			t.Repeat(map[string]func(*rapid.T){
				"acquire": m.acquire, "extend": m.extend, "release": m.release, "advance": m.advance,
			})
		})
	})
}

// A model is the guard under test, and what the guard should do.
type model struct {
	t       *rapid.T
	guard   driver.Guard
	holders []holder
	owner   map[string]int       // by key: index of the last holder, unless it has released the key
	end     map[string]time.Time // by key: when the right of owner ends
}

// A holder is a right that was won, perhaps long ago.
type holder struct {
	key  string
	held driver.Held
}

// has reports whether holder i has its key now.
func (m *model) has(i int) bool {
	key := m.holders[i].key
	owner, ok := m.owner[key]
	return ok && owner == i && time.Now().Before(m.end[key])
}

func (m *model) period() time.Duration {
	return time.Duration(rapid.IntRange(1, 20).Draw(m.t, "ms")) * time.Millisecond
}

func (m *model) acquire(t *rapid.T) {
	key, p := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "key"), m.period()
	owner, ok := m.owner[key]
	taken := ok && m.has(owner)
	held, ok, err := m.guard.TryAcquire(context.Background(), key, p)
	if ok == taken || (held != nil) != ok || err != nil {
		t.Fatalf("TryAcquire(%q) = %v, %v, %v; want %v", key, held, ok, err, !taken)
	}
	if ok {
		m.owner[key], m.end[key] = len(m.holders), time.Now().Add(p)
		m.holders = append(m.holders, holder{key, held})
	}
}

// pick returns the index of a holder. The last three come up more often.
func (m *model) pick(t *rapid.T) int {
	if len(m.holders) == 0 {
		t.Skip("no holders")
	}
	back := min(rapid.IntRange(0, 2).Draw(t, "back"), len(m.holders)-1)
	if rapid.Bool().Draw(t, "recent") {
		return len(m.holders) - 1 - back
	}
	return rapid.IntRange(0, len(m.holders)-1).Draw(t, "holder")
}

func (m *model) extend(t *rapid.T) {
	i, p := m.pick(t), m.period()
	want := m.has(i)
	if ok, err := m.holders[i].held.Extend(context.Background(), p); ok != want || err != nil {
		t.Fatalf("Extend of holder %d = %v, %v; want %v", i, ok, err, want)
	}
	if want {
		m.end[m.holders[i].key] = time.Now().Add(p)
	}
}

func (m *model) release(t *rapid.T) {
	i := m.pick(t)
	if err := m.holders[i].held.Release(context.Background()); err != nil {
		t.Fatalf("Release of holder %d = %v", i, err)
	}
	if m.has(i) {
		delete(m.owner, m.holders[i].key)
	}
}

func (m *model) advance(t *rapid.T) { time.Sleep(m.period()) }
