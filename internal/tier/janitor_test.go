package tier

import (
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac/internal/coarse"
)

// sleepUntil sleeps until the clock of t reads at, and waits until the timers of that moment have
// done their work.
func sleepUntil[K comparable, V any](t *Tier[K, V], at time.Duration) {
	time.Sleep(at - time.Duration(t.clock.Now()))
	synctest.Wait()
}

func TestSweepRemovesAMillionExpiredEntries(t *testing.T) {
	n := 1_000_000
	switch {
	case testing.Short():
		n = 20_000
	case raceEnabled:
		n = 100_000
	}
	synctest.Test(t, func(t *testing.T) {
		tier := New[int, struct{}](2*n, false, false, coarse.New())
		for i := range n {
			putFor(tier, i, struct{}{}, time.Minute+time.Duration(i%1000)*time.Millisecond)
		}
		if got := tier.Len(); got != n {
			t.Fatalf("Len() = %d after %d puts", got, n)
		}
		sleepUntil(tier, time.Minute-1)
		if got := tier.Len(); got != n {
			t.Fatalf("Len() = %d before the first expiry; want %d", got, n)
		}
		sleepUntil(tier, time.Minute+2*time.Second-time.Millisecond) // a second after the last expiry
		if got := tier.Len(); got != 0 {
			t.Errorf("Len() = %d a second after the last expiry; want 0", got)
		}
		if _, expired, _ := tier.Stats(); expired != uint64(n) {
			t.Errorf("%d expired; want %d", expired, n)
		}
		if armed(tier) {
			t.Error("the timer of an empty tier is armed")
		}
		for i := range tier.stripes {
			if b := len(tier.tables[i].Load().buckets); b != minBuckets {
				t.Errorf("an empty table has %d buckets after a sweep", b)
			}
			if c := len(tier.stripes[i].roster.chunks); c != 0 {
				t.Errorf("an empty roster has %d chunks", c)
			}
		}
	})
}

// However many entries are due, the janitor releases the mutex after a limited number of them.
func TestSweepStepIsSmall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tier := newTier(200_000)
		for i := range 20_000 {
			putFor(tier, i, i, time.Second)
			putFor(tier, 100_000+i, i, time.Hour)
		}
		tier.janitor.timer.Stop()
		time.Sleep(time.Second)
		s := tier.stripes[0]
		first, steps, all := 0, 0, s.table.Load().n
		dead := make([]*intEntry, 0, sweepStep)
		for more := true; more; first += sweepStep / chunkSize {
			before := s.table.Load().n
			chunks := len(s.roster.chunks)
			more = s.sweepStep(first, tier.clock.Now(), dead)
			steps++
			if gone := before - s.table.Load().n; gone > 1024 {
				t.Fatalf("a step removed %d entries; want at most 1024", gone)
			}
			if looked := min(chunks-first, sweepStep/chunkSize) * chunkSize; looked > 1024 {
				t.Fatalf("a step looked at %d entries; want at most 1024", looked)
			}
		}
		if want := (all + 1023) / 1024; steps < want {
			t.Errorf("the janitor looked at %d entries in %d steps; want at least %d steps",
				all, steps, want)
		}
		if err := check(tier); err != nil {
			t.Error(err)
		}
		for i := range 20_000 {
			key := tier.Plain(i)
			if tier.index(&key) == 0 && find(tier, key) != nil {
				t.Fatalf("key %d has expired and is still there", i)
			}
			if find(tier, tier.Plain(100_000+i)) == nil {
				t.Fatalf("key %d has not expired and is gone", 100_000+i)
			}
		}
	})
}

// The steps of a sweep leave no chunk of a stripe out, and they end, even if all entries are
// removed on the way.
func TestSweepLooksAtEveryChunk(t *testing.T) {
	for _, n := range []int{0, 1, chunkSize, sweepStep - 1, sweepStep, sweepStep + 1, 3 * sweepStep} {
		synctest.Test(t, func(t *testing.T) {
			tier := newTier(1)
			onePolicy(tier).init(1 << 20) // a stripe larger than those of a tier
			s := tier.stripes[0]
			live := 0
			for i := range n {
				e := entryOf(tier, tier.Plain(i), i, 100, extra{})
				if i%5 == 0 {
					e.ExpireAt(1000)
					live++
				}
				store(tier, tier.Plain(i), e)
			}
			s.sweep(100)
			if got := s.table.Load().n; got != live || s.roster.n != live {
				t.Errorf("%d of %d entries are left; want %d", got, n, live)
			}
			s.sweep(1000)
			if got := s.table.Load().n; got != 0 {
				t.Errorf("%d of %d entries are left; want none", got, n)
			}
		})
	}
}

func TestTimerFiresForTheSoonestExpiry(t *testing.T) {
	for stripe := range uint64(manyStripes) { // all entries are in this stripe
		synctest.Test(t, func(t *testing.T) {
			tier := newTier(10_000)
			last := 0
			put := func(life time.Duration) {
				for last++; ; last++ {
					if key := tier.Plain(last); tier.index(&key) == stripe {
						break
					}
				}
				putFor(tier, last, 1, life)
			}
			put(time.Hour)
			put(10 * time.Second)
			put(5 * time.Second)
			put(20 * time.Second)
			for _, step := range []struct {
				at   time.Duration
				left int
			}{
				{5*time.Second - 1, 4},
				{5 * time.Second, 3}, // the first sweep is on time
				{10*time.Second - 1, 3},
				{10 * time.Second, 2},
				{20 * time.Second, 1},
				{time.Hour, 0},
			} {
				sleepUntil(tier, step.at)
				if n := tier.Len(); n != step.left {
					t.Errorf("%d entries are left after %v; want %d", n, step.at, step.left)
				}
			}
			if armed(tier) {
				t.Error("the timer of an empty tier is armed")
			}
		})
	}
}

// sweeps counts the sweeps of a tier. count must be called between any two sweeps.
type sweeps struct {
	tier *intTier
	n    int
	last int64 // the time of the last sweep plus a second
}

func (s *sweeps) count() {
	synctest.Wait()
	s.tier.janitor.mu.Lock()
	defer s.tier.janitor.mu.Unlock()
	if next := s.tier.janitor.earliest; next != s.last {
		s.n, s.last = s.n+1, next
	}
}

func TestJanitorSweepsOnlyWhenAnEntryIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tier := newTier(10_000)
		for i := range 1000 {
			putFor(tier, i, i, time.Duration(1+i%3)*time.Hour)
		}
		putFor(tier, 1000, 1, time.Second)
		e := slidingEntry(tier, time.Hour) // it replaces key 1
		s := &sweeps{tier: tier}
		for m := range 4 * 60 {
			sleepUntil(tier, time.Duration(m+1)*time.Minute)
			s.count()
			if m == 29 {
				e.Slide(tier.clock.Exact()) // the roster learns of it in a sweep
			}
		}
		if want := 5; s.n != want { // after 1 s, 1 h, 1.5 h, 2 h and 3 h
			t.Errorf("%d sweeps; want %d", s.n, want)
		}
	})
}

func TestJanitorSweepsAtMostOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tier := newTier(10_000)
		for i := range 2000 {
			putFor(tier, i, i, time.Duration(i)*5*time.Millisecond+1) // all within ten seconds
		}
		s := &sweeps{tier: tier}
		for range 11_000 {
			time.Sleep(time.Millisecond)
			last := s.last
			if s.count(); last != 0 && s.last != last && s.last < last+int64(time.Second) {
				t.Errorf("sweeps at %v and at %v; want a second between them",
					time.Duration(last)-time.Second, time.Duration(s.last)-time.Second)
			}
			i := int(tier.clock.Now()-int64(time.Second)) / int(5*time.Millisecond)
			if i >= 0 && i < 2000 && find(tier, tier.Plain(i)) != nil {
				t.Fatalf("key %d is there more than a second after its expiry", i)
			}
		}
		if tier.Len() != 0 || s.n < 10 || s.n > 12 {
			t.Errorf("%d entries are left after %d sweeps; want none after 10 to 12",
				tier.Len(), s.n)
		}
	})
}

func TestSweepSparesAnEntryThatSlid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tier := newTier(100)
		e := slidingEntry(tier, 10*time.Second)
		putFor(tier, 2, 2, 10*time.Second)
		sleepUntil(tier, 6*time.Second)
		e.Slide(tier.clock.Exact())
		sleepUntil(tier, 11*time.Second)
		if n := tier.Len(); n != 1 || find(tier, tier.Plain(1)) != e {
			t.Fatalf("%d entries are left; want only the one that slid", n)
		}
		sleepUntil(tier, 16*time.Second-1)
		if find(tier, tier.Plain(1)) != e {
			t.Error("the entry that slid is gone before its expiry")
		}
		sleepUntil(tier, 17*time.Second)
		if tier.Len() != 0 || armed(tier) {
			t.Errorf("%d entries, or an armed timer, are left a second after the last expiry",
				tier.Len())
		}
	})
}

// An entry that is stored during a sweep is swept in time, even if the sweep has just passed its
// chunk.
func TestEntriesStoredDuringASweepAreSweptInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tier := newTier(100_000)
		var writers sync.WaitGroup
		for w := range 4 {
			writers.Go(func() {
				for i := range 3000 {
					putFor(tier, w*3000+i, i, time.Duration(1+rand.IntN(3000))*time.Millisecond)
					if i%10 == 0 {
						time.Sleep(time.Duration(rand.IntN(30)) * time.Millisecond)
					}
				}
			})
		}
		writers.Wait()
		time.Sleep(4 * time.Second)
		synctest.Wait()
		if n := tier.Len(); n != 0 || armed(tier) {
			t.Errorf("%d entries, or an armed timer, are left a second after the last expiry", n)
		}
		if err := check(tier); err != nil {
			t.Error(err)
		}
	})
}

func TestTierWithoutExpiriesHasNoTimer(t *testing.T) {
	tier := newTier(100)
	fill(tier, 1, 200)
	hit(tier, 150)
	if tier.janitor.timer != nil {
		t.Error("a tier of entries that never expire has a timer")
	}
}

func TestTimerIsNotArmedWithoutExpiries(t *testing.T) {
	for name, empty := range map[string]func(*intTier){
		"deleted":  func(tier *intTier) { remove(tier, 1) },
		"cleared":  func(tier *intTier) { tier.Clear() },
		"replaced": func(tier *intTier) { put(tier, 1, 1) },
		"expired":  func(*intTier) {},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tier := newTier(100)
				putFor(tier, 1, 1, 10*time.Second)
				empty(tier)
				if name != "expired" && armed(tier) {
					t.Error("the timer is armed, though no entry expires")
				}
				sleepUntil(tier, 10*time.Second)
				if armed(tier) {
					t.Error("the timer is armed ten seconds later, though no entry expires")
				}
				putFor(tier, 1, 1, 10*time.Second) // arms the timer again
				sleepUntil(tier, 20*time.Second)
				if tier.Len() != 0 || armed(tier) {
					t.Errorf("%d entries, or an armed timer, are left after the second expiry",
						tier.Len())
				}
			})
		})
	}
}

func TestCloseEndsARunningSweep(t *testing.T) {
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			tier := newTier(100_000)
			for i := range 5000 {
				putFor(tier, i, i, time.Second)
			}
			var all sync.WaitGroup
			for w := range 2 {
				all.Go(func() {
					time.Sleep(time.Second)
					for i := range 500 {
						putFor(tier, w*500+i, i, time.Millisecond)
					}
				})
			}
			all.Go(func() {
				time.Sleep(time.Second)
				tier.Close()
				if n := tier.Len(); n != 0 {
					t.Errorf("Len() = %d after Close", n)
				}
			})
			all.Wait()
			synctest.Wait()
			if tier.Len() != 0 || armed(tier) {
				t.Errorf("%d entries, or an armed timer, are left after Close", tier.Len())
			}
			before := tier.janitor.fires.Load()
			time.Sleep(time.Minute)
			if after := tier.janitor.fires.Load(); after != before {
				t.Error("the janitor of a closed tier has armed its timer or swept")
			}
		})
	}
}

func TestSweepShrinksALargeTable(t *testing.T) {
	for _, left := range []int{1, 24, 47, 95, 190} {
		synctest.Test(t, func(t *testing.T) {
			tier := newTier(1000)
			for i := range 1000 {
				life := time.Second
				if i < left {
					life = time.Hour
				}
				putFor(tier, i, i, life)
			}
			time.Sleep(time.Second)
			synctest.Wait()
			table := tier.tables[0].Load()
			places := len(table.buckets) * lanes
			if table.n != left || places > max(4*left, minBuckets*lanes) || table.n*4 > places*3 {
				t.Errorf("%d entries in %d buckets; want %d entries in at most four times as many lanes",
					table.n, len(table.buckets), left)
			}
			for i := range left {
				if hit(tier, i) == nil {
					t.Errorf("key %d, which has not expired, is gone", i)
				}
			}
			if err := check(tier); err != nil {
				t.Error(err)
			}
		})
	}
}
