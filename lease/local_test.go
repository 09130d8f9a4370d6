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

// won fails the test if key is not free, and takes it.
func won(t *testing.T, g driver.Guard, key string, p time.Duration) driver.Held {
	t.Helper()
	held, ok, err := g.TryAcquire(t.Context(), key, p)
	if held == nil || !ok || err != nil {
		t.Fatalf("TryAcquire(%q) = %v, %v, %v; want it won", key, held, ok, err)
	}
	return held
}

// busy fails the test if key is free.
func busy(t *testing.T, g driver.Guard, key string) {
	t.Helper()
	if held, ok, err := g.TryAcquire(t.Context(), key, time.Minute); held != nil || ok || err != nil {
		t.Fatalf("TryAcquire(%q) = %v, %v, %v; want it busy", key, held, ok, err)
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

func TestLocalExcludesByKeyAmongThoseWhoShareIt(t *testing.T) {
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

func TestLocalRightEndsExactlyWithItsTime(t *testing.T) {
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

func TestLocalRefusesEndedContextsAndTimesThatAreNone(t *testing.T) {
	g := lease.Local()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if held, ok, err := g.TryAcquire(ctx, "k", time.Second); held != nil || ok || !errors.Is(err, context.Canceled) {
		t.Errorf("TryAcquire with an ended context = %v, %v, %v", held, ok, err)
	}
	for _, p := range []time.Duration{-1, 0, time.Millisecond - 1} {
		if held, ok, err := g.TryAcquire(t.Context(), "k", p); held != nil || ok || err == nil {
			t.Errorf("TryAcquire for %v = %v, %v, %v; want an error", p, held, ok, err)
		}
	}
	held := won(t, g, "k", time.Minute)
	if ok, err := held.Extend(ctx, time.Minute); ok || !errors.Is(err, context.Canceled) {
		t.Errorf("Extend with an ended context = %v, %v", ok, err)
	}
	if ok, err := held.Extend(t.Context(), 0); ok || err == nil {
		t.Errorf("Extend for 0 = %v, %v; want an error", ok, err)
	}
	busy(t, g, "k")
	if err := held.Release(ctx); err != nil {
		t.Errorf("Release with an ended context = %v", err)
	}
	release(t, won(t, g, "k", driver.Forever))
}

func TestLocalForgetsWhatNobodyGaveBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := lease.Local()
		won(t, g, "a", time.Second)
		extends(t, won(t, g, "b", time.Second), time.Minute, true)
		time.Sleep(time.Second)
		synctest.Wait()
		if n := lease.Rights(g); n != 1 {
			t.Errorf("%d rights are kept; want the extended one", n)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := lease.Rights(g); n != 0 {
			t.Errorf("%d rights are kept; want none", n)
		}
	})
}

func TestLocalLetsOneInOfManyAtOnce(t *testing.T) {
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
					t.Errorf("%d hold the right", n)
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

// TestLocalMachine holds a Guard against the plainest account of it: of each key, who has it and until when. Holders keep their
// Held for ever and go on using it, as one that was stopped for a while does.
func TestLocalMachine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rapid.SyncTest(t, func(t *rapid.T) {
			m := &machine{t: t, guard: lease.Local(), owner: map[string]int{}, end: map[string]time.Time{}}
			t.Repeat(map[string]func(*rapid.T){"acquire": m.acquire, "extend": m.extend, "release": m.release, "advance": m.advance})
		})
	})
}

type machine struct {
	t       *rapid.T
	guard   driver.Guard
	holders []holder
	owner   map[string]int // index of the one who acquired it last and did not release it
	end     map[string]time.Time
}

type holder struct {
	key  string
	held driver.Held
}

// has reports whether holder i has its key now.
func (m *machine) has(i int) bool {
	key := m.holders[i].key
	owner, ok := m.owner[key]
	return ok && owner == i && time.Now().Before(m.end[key])
}

func (m *machine) period() time.Duration {
	return time.Duration(rapid.IntRange(1, 20).Draw(m.t, "ms")) * time.Millisecond
}

func (m *machine) acquire(t *rapid.T) {
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

// pick returns one of the holders, one of the last three more often.
func (m *machine) pick(t *rapid.T) int {
	if len(m.holders) == 0 {
		t.Skip("no holders")
	}
	back := min(rapid.IntRange(0, 2).Draw(t, "back"), len(m.holders)-1)
	if rapid.Bool().Draw(t, "recent") {
		return len(m.holders) - 1 - back
	}
	return rapid.IntRange(0, len(m.holders)-1).Draw(t, "holder")
}

func (m *machine) extend(t *rapid.T) {
	i, p := m.pick(t), m.period()
	want := m.has(i)
	if ok, err := m.holders[i].held.Extend(context.Background(), p); ok != want || err != nil {
		t.Fatalf("Extend of holder %d = %v, %v; want %v", i, ok, err, want)
	}
	if want {
		m.end[m.holders[i].key] = time.Now().Add(p)
	}
}

func (m *machine) release(t *rapid.T) {
	i := m.pick(t)
	if err := m.holders[i].held.Release(context.Background()); err != nil {
		t.Fatalf("Release of holder %d = %v", i, err)
	}
	if m.has(i) {
		delete(m.owner, m.holders[i].key)
	}
}

func (m *machine) advance(t *rapid.T) { time.Sleep(m.period()) }
