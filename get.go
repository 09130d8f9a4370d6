package zodiac

import (
	"context"
	"errors"

	"github.com/zodiac-go/zodiac/internal/callstate"
	"github.com/zodiac-go/zodiac/internal/flight"
	"github.com/zodiac-go/zodiac/internal/negative"
	"github.com/zodiac-go/zodiac/internal/remote"
	"github.com/zodiac-go/zodiac/internal/tier"
)

// A lookup is one Get of a key, from where the short way in memory has found nothing.
type lookup[K comparable, V any] struct {
	ctx     context.Context
	key     K
	slot    tier.Key[K] // in memory
	state   *callState
	inner   *callState // as the fetch function sees it
	sinks   []*counters
	mode    callstate.Mode
	refused *tier.Entry[K, V] // the entry that ValidIf has refused
	within  *flight.Link      // what the caller runs within: see surroundings
	waits   func()            // called when it waits for another's fetch, perhaps more than once; or nil

	// Over a store.
	storeKey, full string // see keytext.Names
	began          remote.Moment
	budget         remote.Budget
	seen           string // the Version of the record that was of no use
	stays          bool   // that record is not to be replaced
	tags           *remote.TagWatch
	wantsEntry     bool
	entry          *Entry[V] // the record that was read, if it is wanted
	spare          *spare[K, V]
	rounds         int
}

// maxRounds is how often a lookup goes round. What the store answers then is of no use again and
// again, each time in another way. So the lookup takes a fetch that nothing is read or stored for.
const maxRounds = 4

// A spare is the outcome of a flight for which the store did not answer. It may be older than an
// invalidation that preceded this lookup. So it is used only if the store does not answer this
// lookup either.
type spare[K comparable, V any] struct {
	f   *flight.Flight[tier.Key[K], job[K, V]]
	err error
	as  counter
}

// An answer is the result of a lookup.
type answer[V any] struct {
	value V
	err   error
}

// get is Get after the short way. also restricts it further than ctx does. absent says that the
// short way has found that memory has nothing.
func (c *engine[K, V]) get(ctx context.Context, key K, fetch func(context.Context, K) (V, error), state *callState, also callstate.Mode, absent bool) (V, error) {
	l := c.newLookup(ctx, key, state, also)
	if l.bypasses() {
		return c.bypass(&l, fetch)
	}
	if err := c.locate(&l, "Get"); err != nil {
		return c.uncached(&l, fetch, err)
	}
	if c.remote == nil {
		if absent {
			return c.load(&l, fetch)
		}
		if e := c.brief(&l); e != nil {
			c.hit(l.sinks)
			return e.Value, nil
		}
	}
	for {
		if a, ok := c.try(&l, fetch); ok {
			return a.value, a.err
		}
	}
}

func (c *engine[K, V]) newLookup(ctx context.Context, key K, state *callState, also callstate.Mode) lookup[K, V] {
	mode := state.Mode(&c.core)
	mode.NoRead = mode.NoRead || also.NoRead
	mode.NoWrite = mode.NoWrite || also.NoWrite
	mode.NoFetch = mode.NoFetch || also.NoFetch
	return lookup[K, V]{ctx: ctx, key: key, state: state, inner: state.Inner(), sinks: state.Collectors(), mode: mode}
}

// bypasses reports whether only the fetch function may be used.
func (l *lookup[K, V]) bypasses() bool { return l.mode.NoRead && l.mode.NoWrite && !l.mode.NoFetch }

// bypass calls the fetch function as if there were no cache. A panic passes through.
func (c *engine[K, V]) bypass(l *lookup[K, V], fetch func(context.Context, K) (V, error)) (V, error) {
	c.count(bypassed, l.sinks)
	return fetch(l.state.Within(l.ctx), l.key)
}

// locate finds the slot in memory and the key in the store. The error is ErrClosed or a *KeyError.
func (c *engine[K, V]) locate(l *lookup[K, V], op string) (err error) {
	if l.slot, err = c.slot(l.key, op); err != nil || c.remote == nil {
		return err
	}
	l.began, l.budget = c.remote.Now(), c.remote.NewBudget()
	l.storeKey, l.full, err = c.storeKey(&l.slot, l.key, op)
	return err
}

// uncached is a lookup of a key that cannot be located. The function runs on the caller's
// goroutine, and nothing is shared or counted.
func (c *engine[K, V]) uncached(l *lookup[K, V], fetch func(context.Context, K) (V, error), err error) (V, error) {
	var zero V
	if err == ErrClosed { //nolint:errorlint // an error of WithKey may match it too
		return zero, err
	}
	if l.mode.NoFetch {
		return zero, errors.Join(ErrMiss, err)
	}
	if _, logged := errors.AsType[*PanicError](err); logged {
		c.observeFault(l.ctx, l.key, err)
	} else {
		c.fault(l.ctx, l.key, err)
	}
	return fetch(l.state.Within(l.ctx), l.key)
}

// try goes one round: memory, a flight that others began, the store, a flight of its own. ok is
// false if the round has brought nothing that this caller may have. The next round will: what it
// waits for begins after this call.
func (c *engine[K, V]) try(l *lookup[K, V], fetch func(context.Context, K) (V, error)) (a answer[V], ok bool) {
	if a, ok = c.read(l); ok {
		return a, true
	}
	if c.remote != nil {
		if l.rounds++; l.rounds > maxRounds {
			l.mode.NoRead, l.mode.NoWrite = true, true
		}
		if a.err = l.ctx.Err(); a.err != nil {
			c.count(canceled, l.sinks)
			return a, true
		}
		if !l.mode.NoRead {
			if f, err := c.running(l); err != nil {
				return c.refuse(l, err), true
			} else if f != nil {
				return c.wait(l, f, flight.Joined)
			}
			if a, ok = c.readStore(l); ok {
				return a, true
			}
			l.spare = nil
		}
	}
	return c.fetch(l, fetch)
}

// load is the rest of a lookup that has found nothing in memory and nothing in the store.
func (c *engine[K, V]) load(l *lookup[K, V], fetch func(context.Context, K) (V, error)) (V, error) {
	for a, ok := c.fetch(l, fetch); ; a, ok = c.try(l, fetch) {
		if ok {
			return a.value, a.err
		}
	}
}

// fetch waits for a flight that others began, or for its own. ok is as in try.
func (c *engine[K, V]) fetch(l *lookup[K, V], fetch func(context.Context, K) (V, error)) (a answer[V], ok bool) {
	if l.mode.NoFetch {
		c.count(missed, l.sinks)
		return answer[V]{err: ErrMiss}, true
	}
	if a.err = l.ctx.Err(); a.err != nil {
		c.count(canceled, l.sinks)
		return a, true
	}
	if a.err = c.remembered(l); a.err != nil {
		c.count(failed, l.sinks)
		return a, true
	}
	f, role, err := c.join(l, fetch)
	switch {
	case err != nil:
		return c.refuse(l, err), true
	case f == nil: // memory has something by now
		return a, false
	}
	return c.wait(l, f, role)
}

// refuse returns the answer for a caller who may not join a flight.
func (c *engine[K, V]) refuse(l *lookup[K, V], err error) answer[V] {
	if !errors.Is(err, ErrClosed) {
		c.count(failed, l.sinks)
	}
	return answer[V]{err: err}
}

// remembered returns the error that a lookup has to return instead of fetching, or nil.
func (c *engine[K, V]) remembered(l *lookup[K, V]) error {
	if l.mode.NoRead {
		return nil
	}
	if err := negative.Find(c.failures, &l.slot); err != nil {
		return &RememberedError{err}
	}
	return nil
}

// running joins a flight that others began for a key without a record, if there is one. A flight that
// is to replace a record is not joined before the store was read: the record may be all this caller
// needs. If it is not, join finds that flight.
func (c *engine[K, V]) running(l *lookup[K, V]) (*flight.Flight[tier.Key[K], job[K, V]], error) {
	kind, joins := l.kind()
	if kind == flight.Forced || l.mode.NoFetch || l.spare != nil {
		return nil, nil
	}
	l.surround()
	return c.flights.Share(l.slot, l.slot.Hash, kind, func(f *flight.Flight[tier.Key[K], job[K, V]]) bool {
		return !f.Job.stored.replaces && (joins == nil || joins(f))
	}, l.within)
}

// surround notes what the caller runs within.
func (l *lookup[K, V]) surround() {
	if l.within == nil {
		l.within = surroundings(linkOf(l.ctx))
	}
}

// join finds or begins the flight for a lookup. It returns nil if memory has something by now.
func (c *engine[K, V]) join(l *lookup[K, V], fetch func(context.Context, K) (V, error)) (f *flight.Flight[tier.Key[K], job[K, V]], role flight.Role, err error) {
	kind, joins := l.kind()
	var look func() bool
	if !l.mode.NoRead {
		look = func() bool {
			e := c.mem.Find(&l.slot)
			return e != l.refused && c.mem.Alive(e) || negative.Find(c.failures, &l.slot) != nil
		}
	}
	l.surround()
	f, role, err = c.flights.Join(l.slot, l.slot.Hash, kind, joins, l.within, look,
		func(f *flight.Flight[tier.Key[K], job[K, V]]) {
			f.Job.begin(l, fetch, flight.Link{Flight: f, Up: l.within})
			if c.remote != nil {
				f.Job.stored = c.newStoreJob(l, f)
			}
		})
	if role == flight.Leads {
		go c.run(f)
	}
	return f, role, err
}

// kind returns the kind of flight that the caller wants, and a function that says which flights it
// may join. If that is nil, it may join any.
func (l *lookup[K, V]) kind() (kind flight.Kind, joins func(*flight.Flight[tier.Key[K], job[K, V]]) bool) {
	if l.mode.NoRead {
		kind = flight.Forced
	}
	if l.inner.NoRead() { // a flight of others may be made of something that this caller does not want read
		kind = flight.Forced
		inner := l.inner // not l, which would then be on the heap for every lookup
		joins = func(f *flight.Flight[tier.Key[K], job[K, V]]) bool { return inner.SameRules(f.Job.ctx.inner) }
	}
	if l.mode.NoWrite {
		kind = flight.Aside
	}
	return kind, joins
}

// wait waits for a flight under the caller's own context. ok is false if the outcome is not for
// this caller, who has to try again.
func (c *engine[K, V]) wait(l *lookup[K, V], f *flight.Flight[tier.Key[K], job[K, V]], role flight.Role) (a answer[V], ok bool) {
	if role != flight.Leads && l.waits != nil {
		l.waits()
	}
	l.within.Lend()
	in := f.Wait(l.ctx.Done())
	l.within.Retake()
	l.within.Waited(f)
	if !in {
		c.leave(f)
		c.count(canceled, l.sinks)
		a.err = l.ctx.Err()
		return a, true
	}
	n := fetched
	if role == flight.Joined {
		n = shared
	}
	if f.Job.stored == nil {
		a.value, a.err = c.outcome(f)
	} else if a, n, ok = c.storeOutcome(l, f, n); !ok || n == numCounters {
		return a, ok
	}
	switch {
	case a.err == ErrClosed && c.closed.Load(): //nolint:errorlint // Close gave the flight up
		return a, true
	case a.err != nil && role == flight.Joined && f.Job.ctx.inner.NoFetch() && !l.inner.SameRules(f.Job.ctx.inner):
		return a, false // the rules of the caller who began the flight may have made it fail
	case a.err != nil && !isNone(a.err):
		c.count(failed, l.sinks)
	default:
		c.count(n, l.sinks)
	}
	return a, true
}

// outcome returns a caller's value or error of a flight in memory that is over.
func (c *engine[K, V]) outcome(f *flight.Flight[tier.Key[K], job[K, V]]) (V, error) {
	if err := f.Err(); err != nil {
		var zero V
		return zero, err
	}
	return c.cloned(f.Job.result.entry.Value)
}

// leave takes a caller out of a flight. If it was the last, the fetch is told to stop.
func (c *engine[K, V]) leave(f *flight.Flight[tier.Key[K], job[K, V]]) {
	last, next := c.flights.Leave(f)
	if last {
		f.Job.abandon()
	}
	if next != nil {
		go c.run(next)
	}
}
