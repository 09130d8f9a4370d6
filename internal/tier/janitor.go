package tier

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"github.com/zodiac-go/zodiac/internal/coarse"
)

// sweepPause is the least time between two sweeps.
const sweepPause = int64(time.Second)

// A janitor takes out expired entries that nobody asks for, within a second of their expiry and a sweep's own
// time. It is a timer, armed for the next expiry but at most once a second, while there are entries that
// expire; it is no goroutine, and costs nothing otherwise. The timer holds the tier weakly: a tier nobody uses any
// more is garbage, whatever its entries' expiries.
type janitor[K comparable, V any] struct {
	tier     *Tier[K, V]
	fires    atomic.Int64 // when the timer will fire; coarse.Never: not armed; sweeping: now
	sweeping sync.Mutex   // held during a sweep, so that stop can wait for its end
	rosters  atomic.Int32 // that list entries

	mu       sync.Mutex // guards the fields below, and fires's changes
	timer    *time.Timer
	earliest int64 // no sweep before
	stopped  bool
}

// sweeping is earlier than every expiry: nobody arms a timer during a sweep, nor disarms it.
const sweeping = math.MinInt64

func (j *janitor[K, V]) init(t *Tier[K, V]) {
	j.tier = t
	j.fires.Store(coarse.Never)
}

// used takes down that a roster begins or ends to list entries, and disarms the timer when none does. The caller
// holds the mutex of the roster's stripe.
func (j *janitor[K, V]) used(listing bool) {
	if listing {
		j.rosters.Add(1)
		return
	}
	if j.rosters.Add(-1) > 0 {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	was := j.fires.Load()
	if was == sweeping || was == coarse.Never {
		return
	}
	// Who lists an entry counts its roster first, and looks at fires after. Here it is the other way round: so either the
	// count is seen below, or Never is seen there, and the timer armed again.
	j.fires.Store(coarse.Never)
	if j.rosters.Load() > 0 {
		j.fires.Store(was)
		return
	}
	j.timer.Stop()
}

// expect arms the timer, unless it fires early enough for something that expires then.
func (j *janitor[K, V]) expect(expiry int64) {
	if expiry >= j.fires.Load() {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.armLocked(expiry)
}

func (j *janitor[K, V]) armLocked(expiry int64) {
	at := max(expiry, j.earliest)
	if j.stopped || at >= j.fires.Load() {
		return
	}
	j.fires.Store(at)
	in := time.Duration(at - j.tier.clock.Now())
	if j.timer != nil {
		j.timer.Reset(in)
		return
	}
	held := weak.Make(j.tier)
	j.timer = time.AfterFunc(in, func() {
		if t := held.Value(); t != nil {
			t.janitor.sweep()
		}
	})
}

// sweep takes out everything that is dead now.
func (j *janitor[K, V]) sweep() {
	j.sweeping.Lock()
	defer j.sweeping.Unlock()
	now := j.tier.clock.Now()
	if !j.begin(now) {
		return
	}
	for _, s := range j.tier.stripes {
		s.sweep(now)
	}
	// First let writers arm the timer again, then look what is due: an entry stored in between is seen by both,
	// none by neither.
	j.setFires(coarse.Never)
	soonest := int64(coarse.Never)
	for _, s := range j.tier.stripes {
		soonest = min(soonest, s.soonest())
	}
	j.expect(soonest)
}

func (j *janitor[K, V]) begin(now int64) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.earliest = now + sweepPause
	j.fires.Store(sweeping)
	return !j.stopped
}

func (j *janitor[K, V]) setFires(at int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.fires.Store(at)
}

// stop ends the sweeps, and waits for one that runs.
func (j *janitor[K, V]) stop() {
	j.mu.Lock()
	j.stopped = true
	if j.timer != nil {
		j.timer.Stop()
	}
	j.mu.Unlock()
	j.sweeping.Lock()
	defer j.sweeping.Unlock() // the one that ran has ended
}

// sweep takes out the stripe's dead entries, in steps that let writers in between.
func (s *stripe[K, V]) sweep(now int64) {
	s.mu.Lock()
	s.roster.soonest = coarse.Never
	s.mu.Unlock()
	dead := make([]*Entry[K, V], 0, sweepStep)
	for first, more := 0, true; more; first += sweepStep / chunkSize {
		more = s.sweepStep(first, now, dead)
	}
}

// sweepStep sweeps a few chunks of the roster from number first on, under the mutex, and reports whether there are
// others after them.
func (s *stripe[K, V]) sweepStep(first int, now int64, dead []*Entry[K, V]) (more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := min(first+sweepStep/chunkSize, len(s.roster.chunks))
	for i := first; i < last; i++ {
		dead = s.roster.due(i, now, dead)
	}
	more = last < len(s.roster.chunks)
	for _, e := range dead {
		s.drop(e)
		s.expired++
	}
	s.shrink()
	return more
}

func (s *stripe[K, V]) soonest() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.roster.soonest
}

// shrink replaces a table that has become far too large, if few entries are left. It finds them by the rings: the table
// may have a million buckets.
func (s *stripe[K, V]) shrink() {
	t := s.table.Load()
	if t.n > sweepStep || len(t.buckets) <= minBuckets || t.n*8 > len(t.buckets)*lanes {
		return
	}
	n := minBuckets
	for n*lanes < 2*t.n {
		n *= 2
	}
	to := newTable[K, V](n)
	for _, r := range []*ring[K, V]{&s.policy.window, &s.policy.main} {
		for e := r.root.next; e != &r.root; e = e.next {
			to.insert(e, t.tagOf(e))
		}
	}
	s.table.Store(to)
}
