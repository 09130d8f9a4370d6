package tier

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"github.com/zodiac-go/zodiac/internal/coarse"
)

// sweepPause is the least time from one sweep to the next, in nanoseconds.
const sweepPause = int64(time.Second)

// A janitor removes expired entries that nobody asks for, within a second of their expiry plus
// the time of a sweep. It is not a goroutine but a timer. The timer is armed only while some
// entry expires. It fires at the next expiry, but at most once a second. It holds the tier
// weakly: a tier that nobody uses any more is garbage, whenever its entries expire.
type janitor[K comparable, V any] struct {
	tier     *Tier[K, V]
	fires    atomic.Int64 // when the timer fires; coarse.Never while it is not armed; or sweeping
	sweeping sync.Mutex   // held during a sweep, so that stop can wait for its end
	rosters  atomic.Int32 // the number of rosters that list entries

	mu       sync.Mutex // guards the fields below, and changes to fires
	timer    *time.Timer
	earliest int64 // the next sweep does not begin before
	stopped  bool
}

// sweeping is the value of fires during a sweep. It is earlier than every expiry, so nobody arms
// the timer then; used does not disarm it either.
const sweeping = math.MinInt64

func (j *janitor[K, V]) init(t *Tier[K, V]) {
	j.tier = t
	j.fires.Store(coarse.Never)
}

// used is called when a roster lists its first entry (listing) and when it has lost its last. It
// counts those rosters, and disarms the timer when there are none. The caller holds the mutex of
// the roster's stripe.
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
	// A writer that lists an entry first counts its roster and then loads fires, in expect. Here
	// the order is the opposite: first store fires, then load the count. So one of the two sees
	// the other: this call sees the count and leaves the timer armed, or the writer sees Never
	// and arms the timer again.
	j.fires.Store(coarse.Never)
	if j.rosters.Load() > 0 {
		j.fires.Store(was)
		return
	}
	j.timer.Stop()
}

// expect makes sure that the timer fires early enough for an entry that expires at expiry.
func (j *janitor[K, V]) expect(expiry int64) {
	if expiry >= j.fires.Load() {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.armLocked(expiry)
}

// armLocked arms the timer for expiry, unless it fires before. The caller holds mu.
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

// sweep removes all entries that have expired by now, and arms the timer for the next ones.
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
	// First let writers arm the timer again, then look for the next expiry. An entry that is
	// stored in between is seen by its writer and here. In the opposite order, neither might see
	// it.
	j.setFires(coarse.Never)
	soonest := int64(coarse.Never)
	for _, s := range j.tier.stripes {
		soonest = min(soonest, s.soonest())
	}
	j.expect(soonest)
}

// begin keeps the timer from being armed during a sweep, and sets the earliest time of the next
// one. It returns false if the janitor is stopped.
func (j *janitor[K, V]) begin(now int64) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.earliest = now + sweepPause
	j.fires.Store(sweeping)
	return !j.stopped
}

// setFires stores fires.
func (j *janitor[K, V]) setFires(at int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.fires.Store(at)
}

// stop ends the sweeps for good, and waits for one that runs.
func (j *janitor[K, V]) stop() {
	j.mu.Lock()
	j.stopped = true
	if j.timer != nil {
		j.timer.Stop()
	}
	j.mu.Unlock()
	j.sweeping.Lock()
	defer j.sweeping.Unlock() // a sweep that ran has ended now
}

// sweep removes the entries of the stripe that have expired at now. It does so in steps, so that
// writers can lock the stripe in between. roster.soonest is Never at first. Each step lowers it,
// and so does roster.add for an entry that is listed between two steps.
func (s *stripe[K, V]) sweep(now int64) {
	s.mu.Lock()
	s.roster.soonest = coarse.Never
	s.mu.Unlock()
	dead := make([]*Entry[K, V], 0, sweepStep)
	for first, more := 0, true; more; first += sweepStep / chunkSize {
		more = s.sweepStep(first, now, dead)
	}
}

// sweepStep sweeps at most sweepStep entries: some chunks of the roster, from chunk number first
// on. It reports whether there are more chunks. dead is an empty slice to be used for the entries
// found.
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

// soonest returns a time before which no entry of the stripe expires.
func (s *stripe[K, V]) soonest() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.roster.soonest
}

// shrink replaces the table by a smaller one, if few entries are left in a large one. It finds
// the entries in the rings, because the table may have a million buckets. Nothing else makes a
// table smaller, except that Clear begins with an empty one.
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
