package zodiac

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/zodiac-go/zodiac/internal/flight"
	"github.com/zodiac-go/zodiac/internal/tier"
)

// everyone is later than every Get: see sharing.
const everyone = math.MaxUint64

// A sharing is what a flight over a store has beyond one in memory.
//
// Who may have its outcome is decided by when things began, counted by Cache.order: what was asked or fetched without a fence
// may be older than an invalidation, and so is only for those whose Get began before.
type sharing struct {
	key, full string // of the store
	budget    budget
	seen      string // the Version of a record that is there, but not wanted
	started   uint64 // before the lease was asked for
	before    uint64 // Gets that began before that may have the outcome
	lease     lease
	leased    bool
	down      bool   // the store does not answer
	fetched   bool   // the function was called
	got       *found // the record that the store has after all, or nil
	tags      tagWatch
	data      []byte // the record of the result
	fault     error  // why it cannot be stored

	mark  fillMark // these are as they were before the lease was asked for
	epoch uint64   // of tags in this process
	sent  int64
}

// getShared is the way of a Get over a store, from memory in front of it on.
func (c *Cache[K, V]) getShared(g *getting[K, V], fetch func(context.Context, K) (V, error)) (V, error) {
	if err := c.begin(g); err != nil {
		return c.uncached(g, fetch, err)
	}
	for {
		if a, ok := c.tryShared(g, fetch); ok {
			return a.value, a.err
		}
	}
}

// loadShared is getShared of one that has found nothing in memory and in the store.
func (c *Cache[K, V]) loadShared(g *getting[K, V], fetch func(context.Context, K) (V, error)) (V, error) {
	for a, ok := c.tryFetch(g, fetch); ; a, ok = c.tryShared(g, fetch) {
		if ok {
			return a.value, a.err
		}
	}
}

// share gives a flight what it needs over a store. It is called under the key's lock.
func (c *Cache[K, V]) share(g *getting[K, V], f *flight.Flight[tier.Key[K], job[K, V]]) {
	s := &sharing{key: g.far.key, full: g.far.full, budget: g.far.budget, seen: g.far.seen}
	s.lease.r, s.lease.key, s.lease.values = c.remote, g.far.key, context.WithoutCancel(g.ctx)
	f.Job.shared = s
}

// begin finds the store's key for a Get, and takes down when it began.
func (c *Cache[K, V]) begin(g *getting[K, V]) (err error) {
	g.far = &distant[V]{began: c.order.Add(1), budget: c.remote.newBudget()}
	g.far.key, g.far.full, err = c.storeKey(&g.place, g.key, "Get")
	return err
}

// storeKey returns the store's key for a place.
func (c *Cache[K, V]) storeKey(place *tier.Key[K], key K, op string) (storeKey, full string, err error) {
	text := place.Text
	if c.set.keys.plain {
		if text, err = c.set.keys.text(key); err != nil {
			return "", "", &KeyError{Loader: c.set.name, Op: op, Err: err}
		}
	}
	storeKey, full = c.remote.keys.key(c.set.keys.segment(text))
	return storeKey, full, nil
}

// tryShared goes once round: memory, a flight that others began, the store, a flight of its own. ok is false if what that brought is not
// for this caller; the next time round it is, or something newer.
func (c *Cache[K, V]) tryShared(g *getting[K, V], fetch func(context.Context, K) (V, error)) (a answer[V], ok bool) {
	if a, ok = c.read(g); ok {
		return a, true
	}
	if a.err = g.ctx.Err(); a.err != nil {
		c.count(left, g.sinks)
		return a, true
	}
	if !g.mode.NoRead {
		if !g.mode.NoFetch {
			if a, joined, ok := c.joinRunning(g); joined {
				return a, ok
			}
		}
		if a, ok = c.readStore(g); ok {
			return a, true
		}
	}
	return c.tryFetch(g, fetch)
}

// tryFetch is the end of tryShared, when there is nothing to be read.
func (c *Cache[K, V]) tryFetch(g *getting[K, V], fetch func(context.Context, K) (V, error)) (a answer[V], ok bool) {
	if g.mode.NoFetch {
		c.count(missed, g.sinks)
		return answer[V]{err: ErrMiss}, true
	}
	if a.err = g.ctx.Err(); a.err != nil {
		c.count(left, g.sinks)
		return a, true
	}
	if a.err = c.remembered(g); a.err != nil {
		c.count(failed, g.sinks)
		return a, true
	}
	return c.fly(g, fetch)
}

// joinRunning waits for a flight that others began, if there is one.
func (c *Cache[K, V]) joinRunning(g *getting[K, V]) (a answer[V], joined, ok bool) {
	kind, joins := g.kind()
	if kind == flight.Forced {
		return a, false, false
	}
	g.within = linkOf(g.ctx)
	f, err := c.flights.Share(g.place, g.place.Hash, kind, joins, g.within)
	switch {
	case err != nil:
		return c.refused(g, err), true, true
	case f == nil:
		return a, false, false
	}
	a, ok = c.wait(g, f, flight.Joined)
	return a, true, ok
}

// fly waits for a flight that others began, or its own.
func (c *Cache[K, V]) fly(g *getting[K, V], fetch func(context.Context, K) (V, error)) (a answer[V], ok bool) {
	f, role, err := c.join(g, fetch)
	switch {
	case err != nil:
		return c.refused(g, err), true
	case f == nil: // memory has it
		return a, false
	}
	return c.wait(g, f, role)
}

// refused is the answer to a caller who may not join.
func (c *Cache[K, V]) refused(g *getting[K, V], err error) answer[V] {
	if !errors.Is(err, ErrClosed) {
		c.count(failed, g.sinks)
	}
	return answer[V]{err: err}
}

// runShared is run over a store.
func (c *Cache[K, V]) runShared(f *flight.Flight[tier.Key[K], job[K, V]]) {
	defer c.landShared(f)
	r, s := &f.Job.result, f.Job.shared
	r.stage = asking
	s.started = c.order.Add(1)
	s.before = everyone
	if !c.obtain(f) {
		r.stage = finished
		return
	}
	s.fetched = true
	if !s.down && f.Kind != flight.Aside {
		var err error
		if s.tags, err = c.watchTags(s.lease.values, &s.budget); err != nil {
			s.fault = &StoreError{Loader: c.set.name, Op: "GetMany", Err: err}
		}
	}
	r.began = c.clock.Now()
	r.stage = fetching
	if c.set.fetchTimeout > 0 {
		defer c.limit(f)()
	}
	c.produce(f)
	r.took = time.Duration(c.clock.Now() - r.began)
	if r.err == nil || r.none != nil {
		r.stage = coding
		c.encodeResult(f)
		r.stage = finished
	}
}

// obtain gets the right to call the function, or finds out that this need not be, or must not be: then it returns false, and
// what callers get is in the result.
func (c *Cache[K, V]) obtain(f *flight.Flight[tier.Key[K], job[K, V]]) bool {
	s := f.Job.shared
	s.mark, s.epoch, s.sent = c.mark(s.key), c.tags.epoch.Load(), c.clock.Now()
	switch {
	case f.Kind == flight.Aside:
		s.before = s.started
		return true
	case c.remote.leaser != nil:
		return c.acquire(f)
	case c.remote.guard != nil:
		return c.waitForGuard(f, c.lookAgain)
	default:
		return true
	}
}

// A waiting says how long a flight waits for another process.
type waiting struct {
	until   time.Time
	holders int // different ones it has met
	holder  string
	asks    int
	wake    <-chan struct{}
	unwake  func()
}

// maxHolders is how many holders of the lease a flight meets before it has waited enough.
const maxHolders = 3

// acquire asks for the lease until it has it, or need not have it.
func (c *Cache[K, V]) acquire(f *flight.Flight[tier.Key[K], job[K, V]]) bool {
	s := f.Job.shared
	w := waiting{until: time.Now().Add(c.remote.wait)}
	defer func() {
		if w.unwake != nil {
			w.unwake()
		}
	}()
	ask := s.lease.ask(s.seen, f.Kind == flight.Forced)
	full := s.budget
	for {
		sent, at, asked := time.Now(), c.clock.Now(), c.order.Add(1)
		claim, err := c.askFor(f, ask)
		if err != nil {
			return c.unanswered(f, "Acquire", ask, err)
		}
		switch claim.State {
		case Won:
			if s.leased = s.lease.grant(claim.Token, sent, ask.Lease); !s.leased {
				f.Job.result.err = context.Canceled // nobody waits any more
				return false
			}
			return c.remote.guard == nil || c.waitForGuard(f, nil)
		case Hit:
			if met, fetch := c.meet(f, &claim, at, asked); met {
				return fetch
			}
			ask.Seen = s.seen
		default:
			s.budget = full
			if met, fetch := c.await(f, &w, &claim); met {
				return fetch
			}
		}
	}
}

// askFor sends an ask. The caller's leaving does not end it: the answer says what there is to give back.
func (c *Cache[K, V]) askFor(f *flight.Flight[tier.Key[K], job[K, V]], a Ask) (Claim, error) {
	s := f.Job.shared
	return ask(s.lease.values, c.remote, &s.budget, func(ctx context.Context) (Claim, error) {
		return c.remote.leaser.Acquire(ctx, s.key, a)
	})
}

// unanswered goes on without the store, which does not answer, or makes that the callers' error.
func (c *Cache[K, V]) unanswered(f *flight.Flight[tier.Key[K], job[K, V]], op string, a Ask, err error) bool {
	j := &f.Job
	if !errors.Is(err, errSkipped) {
		j.shared.lease.abort(a.Token)
	}
	j.shared.down = true
	bad := c.storeFault(&j.ctx, j.key, op, err)
	if c.remote.closed {
		j.result.err = bad
		return false
	}
	return true
}

// meet looks at a record that the store has instead of lending the lease. met is false if the lease is to be asked for again.
func (c *Cache[K, V]) meet(f *flight.Flight[tier.Key[K], job[K, V]], claim *Claim, sent int64, asked uint64) (met, fetch bool) {
	j := &f.Job
	s := j.shared
	if claim.Record.Mark {
		return true, c.meetMark(f, claim, asked)
	}
	got := found{record: claim.Record, mark: s.mark, epoch: s.epoch, sent: sent}
	if !claim.Whole {
		var err error
		got, err = c.readAgain(f)
		switch {
		case errors.Is(err, ErrMiss):
			return false, false
		case err != nil:
			return true, c.unanswered(f, "Get", Ask{}, err)
		}
	} else if err := c.completeTags(s.lease.values, &s.budget, &got); err != nil {
		return true, c.unanswered(f, "GetMany", Ask{}, err)
	}
	if got.record.Version == s.seen || !c.usableRecord(s.full, j.outer.collectors(), &got) {
		s.seen = got.record.Version
		return false, false
	}
	s.got, s.before = &got, asked
	return true, false
}

// readAgain reads the record that an answer told of.
func (c *Cache[K, V]) readAgain(f *flight.Flight[tier.Key[K], job[K, V]]) (found, error) {
	s := f.Job.shared
	return c.readRecord(s.lease.values, &s.budget, s.key)
}

// meetMark looks at what another process has found out just now.
func (c *Cache[K, V]) meetMark(f *flight.Flight[tier.Key[K], job[K, V]], claim *Claim, asked uint64) (fetch bool) {
	s, r := f.Job.shared, &f.Job.result
	var rec record
	if err := parseRecord(claim.Record.Data, &rec); err == nil && rec.kind == recordErrorMark && c.set.life.failed != 0 {
		r.err, r.ours = &RememberedError{errors.New(string(rec.payload))}, true
		s.before = asked
		return false
	}
	s.before = s.started
	return true
}

// await waits until the lease may be free, or it has waited enough: then met is true.
func (c *Cache[K, V]) await(f *flight.Flight[tier.Key[K], job[K, V]], w *waiting, claim *Claim) (met, fetch bool) {
	s := f.Job.shared
	if claim.Holder != w.holder {
		w.holder = claim.Holder
		w.holders++
	}
	left := time.Until(w.until)
	switch {
	case w.holders >= maxHolders:
		s.before = s.started
		return true, true
	case left <= 0:
		return true, c.tooLong(f)
	}
	if w.wake == nil && c.remote.waker != nil {
		w.wake, w.unwake = c.remote.waker.Wake(s.lease.values, s.key)
		return false, false // whatever ended before that is seen at once
	}
	w.asks++
	if !sleep(min(left, pollAfter(w.asks), max(claim.Left, time.Millisecond)), w.wake, f.Job.ctx.Done()) {
		f.Job.result.err = context.Canceled // nobody waits any more
		return true, false
	}
	return false, false
}

// tooLong is what WithWait says of a fetch elsewhere that takes too long.
func (c *Cache[K, V]) tooLong(f *flight.Flight[tier.Key[K], job[K, V]]) (fetch bool) {
	s, r := f.Job.shared, &f.Job.result
	if c.remote.fail {
		r.err = fmt.Errorf("zodiac: loader %q: another process is fetching this key for longer than WithWait (%v): %w", c.set.name, c.remote.wait, ErrBusy)
		return false
	}
	s.before = s.started
	return true
}

// pollAfter returns how long to wait before asking again: 2 to 50 milliseconds, at random, so that those who wait do not ask together.
func pollAfter(asks int) time.Duration {
	d := min(50*time.Millisecond, 2*time.Millisecond<<min(asks, 6))
	return d/2 + rand.N(d/2)
}

// sleep waits for d, or wake, which may be nil. It returns false if end is closed.
func sleep(d time.Duration, wake, end <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-wake:
		return true
	case <-end:
		return false
	}
}

// waitForGuard waits for what WithGuard lends. look, which may be nil, looks whether that is still necessary.
func (c *Cache[K, V]) waitForGuard(f *flight.Flight[tier.Key[K], job[K, V]], look func(*flight.Flight[tier.Key[K], job[K, V]]) (found bool)) bool {
	s := f.Job.shared
	until := time.Now().Add(c.remote.wait)
	for asks := 0; ; asks++ {
		sent := time.Now()
		held, got, err := c.tryGuard(f)
		if err != nil {
			c.storeFault(&f.Job.ctx, f.Job.key, "TryAcquire of WithGuard", err)
			return true
		}
		if got && !s.lease.guarded(held, sent) {
			f.Job.result.err = context.Canceled
			return false
		}
		if look != nil && (asks > 0 || got) && look(f) {
			return false
		}
		left := time.Until(until)
		switch {
		case got:
			return true
		case left <= 0:
			return c.tooLong(f)
		case !sleep(min(left, pollAfter(asks)), nil, f.Job.ctx.Done()):
			f.Job.result.err = context.Canceled
			return false
		}
	}
}

func (c *Cache[K, V]) tryGuard(f *flight.Flight[tier.Key[K], job[K, V]]) (h Held, got bool, err error) {
	s := f.Job.shared
	ctx, cancel := context.WithTimeout(s.lease.values, c.remote.timeout)
	defer cancel()
	return c.remote.guard.TryAcquire(ctx, s.key, c.remote.lease)
}

// lookAgain reads the store once more, where asking for a lease does not do that.
func (c *Cache[K, V]) lookAgain(f *flight.Flight[tier.Key[K], job[K, V]]) (ok bool) {
	s := f.Job.shared
	if f.Kind == flight.Forced {
		return false
	}
	asked := c.order.Add(1)
	got, err := c.readAgain(f)
	if err != nil || got.record.Version == s.seen || !c.usableRecord(s.full, f.Job.outer.collectors(), &got) {
		return false
	}
	s.got, s.before = &got, asked
	return true
}
