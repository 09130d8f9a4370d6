package tier

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A churn adds keys to a tier until its tables grow, and sweeps them until the tables shrink.
// Other keys stay.
type churn struct {
	tier *intTier
	stay int // keys below it stay: they are only replaced
	size int // the number of the other keys
}

// round adds and sweeps the keys once. It returns how many buckets the first table had at most.
func (c *churn) round(r *rand.Rand) (buckets int) {
	now := c.tier.clock.Now()
	for i := range c.size {
		key := c.tier.Plain(c.stay + i)
		c.tier.Put(&key, entryOf(c.tier, key, i, now+int64(time.Hour), extra{}), now)
		if r.IntN(8) == 0 {
			remove(c.tier, c.stay+r.IntN(c.size))
		}
	}
	buckets = len(c.tier.tables[0].Load().buckets)
	for _, s := range c.tier.stripes {
		s.sweep(now + int64(2*time.Hour))
	}
	return buckets
}

// read reads the keys that stay until done is set. Each must be there, and not older than
// versions says.
func (c *churn) read(t *testing.T, versions []atomic.Int64, done *atomic.Bool) {
	for n := 0; !done.Load(); n++ {
		i := n % c.stay
		least := versions[i].Load()
		e := hit(c.tier, i)
		if n%2 == 0 {
			e = find(c.tier, c.tier.Plain(i))
		}
		if e == nil {
			t.Errorf("key %d, which stays, was not found", i)
			return
		}
		if int64(e.Value) < least {
			t.Errorf("key %d: read %d after %d was put", i, e.Value, least)
			return
		}
		hit(c.tier, c.stay+n%c.size) // a key that comes and goes
	}
}

func TestReadersNeverMissAKeyThatStays(t *testing.T) {
	for _, stripes := range []int{1, 8} {
		t.Run(fmt.Sprintf("stripes=%d", stripes), func(t *testing.T) {
			c := &churn{tier: newTier(stripes * 2000), stay: 50, size: stripes * 700}
			versions := make([]atomic.Int64, c.stay)
			for i := range c.stay {
				put(c.tier, i, 0)
			}
			var done atomic.Bool
			var readers sync.WaitGroup
			for range 2 {
				readers.Go(func() { c.read(t, versions, &done) })
			}
			r := rand.New(rand.NewPCG(1, 2))
			rounds := 15
			if raceEnabled {
				rounds = 16 / stripes
			}
			for range rounds {
				most := c.round(r)
				if left := len(c.tier.tables[0].Load().buckets); left > most/4 {
					t.Errorf("a table of %d buckets has shrunk to %d; want a quarter, so that readers see both",
						most, left)
				}
				for i := range c.stay {
					put(c.tier, i, int(versions[i].Load())+1)
					versions[i].Add(1)
				}
			}
			done.Store(true)
			readers.Wait()
			if err := check(c.tier); err != nil {
				t.Error(err)
			}
			if n := c.tier.Len(); n != c.stay {
				t.Errorf("Len() = %d in the end; want %d", n, c.stay)
			}
			c.tier.Close()
		})
	}
}

func TestWritersNeverExceedTheCapacity(t *testing.T) {
	for _, capacity := range []int{1, 7, 3000} {
		tier := newTier(capacity)
		var writers sync.WaitGroup
		var done atomic.Bool
		for w := range 4 {
			writers.Go(func() {
				r := rand.New(rand.NewPCG(uint64(w), 0))
				for range 4000 {
					i := r.IntN(2 * capacity)
					switch r.IntN(8) {
					case 0:
						remove(tier, i)
					case 1, 2, 3:
						putFor(tier, i, w, time.Duration(r.IntN(2))*time.Hour)
					default:
						hit(tier, i)
					}
				}
			})
		}
		watched := make(chan struct{})
		go func() {
			defer close(watched)
			for !done.Load() {
				if n := tier.Len(); n > capacity {
					t.Errorf("Len() = %d; want at most %d", n, capacity)
					return
				}
			}
		}()
		writers.Wait()
		done.Store(true)
		<-watched
		if err := check(tier); err != nil {
			t.Error(err)
		}
		tier.Close()
	}
}
