package zodiac

import (
	"context"
	"fmt"
	"time"

	"github.com/zodiac-go/zodiac/internal/flight"
	"github.com/zodiac-go/zodiac/internal/tier"
)

// An ident is a key as flights know it: K itself in a cache keyed by K, else its text.
type ident[K comparable] struct {
	k    K
	text string
}

func identOf[K comparable](k tier.Key[K]) ident[K] { return ident[K]{k.K, k.Text} }

// A job is what a flight has to do: call fetch for key.
type job[K comparable, V any] struct {
	key    K
	place  tier.Key[K]
	fetch  func(context.Context, K) (V, error)
	ctx    fetchContext
	cancel context.CancelFunc
	outer  *callState // of the caller who began the flight
}

// A fetchContext has the values of the caller who began the flight, and an end of its own.
type fetchContext struct {
	context.Context // ends when the flight is abandoned, its time is over, or its outcome known
	values          context.Context
	inner           *callState
	within          flight.Link
}

type linkKey struct{}

// Value asks the context that ends first, so that contexts made from this one find it and need no goroutine to watch it.
func (c *fetchContext) Value(key any) any {
	switch key.(type) {
	case stateKey:
		return c.inner
	case linkKey:
		return &c.within
	}
	if v := c.Context.Value(key); v != nil {
		return v
	}
	return c.values.Value(key)
}

// linkOf returns the chain of flights that ctx belongs to.
func linkOf(ctx context.Context) *flight.Link {
	l, _ := ctx.Value(linkKey{}).(*flight.Link)
	return l
}

// begin makes the job of a flight that the caller g begins within others. It is called under the key's lock.
func (j *job[K, V]) begin(g *getting[K, V], fetch func(context.Context, K) (V, error), within flight.Link) {
	j.key, j.place, j.fetch, j.outer = g.key, g.place, fetch, g.state
	j.ctx.Context, j.cancel = context.WithCancel(context.Background())
	j.ctx.values, j.ctx.inner, j.ctx.within = g.ctx, g.state.inner(), within
}

// A result is what a fetch brought, and what is to be done with it.
type result[V any] struct {
	in      string // what is running: for the error, should it panic
	value   V
	err     error
	none    error // what readers get if err means that the key does not exist
	took    time.Duration
	created int64
	verdict verdict
	life    time.Duration // if store
	tags    []tier.Tag
	kept    V     // what memory keeps of value
	fault   error // for the observer
	done    bool
}

type verdict uint8

const (
	store   verdict = iota
	skip            // SkipIf says so
	drop            // it lives no time at all: what was there goes too
	refuse          // a tag was deleted meanwhile
	nothing         // nothing is to be, or can be, stored
)

// start runs the function of a flight on a goroutine of its own.
func (c *Cache[K, V]) start(f *flight.Flight[ident[K], V, job[K, V]]) { go c.run(f) }

// run calls the function, and whatever happens, gives the outcome to the callers.
func (c *Cache[K, V]) run(f *flight.Flight[ident[K], V, job[K, V]]) {
	var r result[V]
	defer c.flights.Returned(f)
	defer c.land(f, &r)
	if c.set.fetchTimeout > 0 {
		defer c.limit(f)()
	}
	c.produce(&f.Job, &r)
}

// limit ends the flight when its time is over, whether or not the function returns. It returns how to stop that.
func (c *Cache[K, V]) limit(f *flight.Flight[ident[K], V, job[K, V]]) (stop func()) {
	ctx, cancel := context.WithTimeout(f.Job.ctx.Context, c.set.fetchTimeout)
	f.Job.ctx.Context = ctx
	t := time.AfterFunc(c.set.fetchTimeout, func() {
		next := c.flights.Fail(f, fmt.Errorf("zodiac: loader %q: the fetch took longer than WithFetchTimeout (%v): %w",
			c.set.name, c.set.fetchTimeout, context.DeadlineExceeded))
		if next != nil {
			c.start(next)
		}
	})
	return func() { t.Stop(); cancel() }
}

// produce calls the function, and the functions of options that say what its result means. Any of them may panic, or
// exit the goroutine; land sees that done is not set.
func (c *Cache[K, V]) produce(j *job[K, V], r *result[V]) {
	r.in = "the fetch"
	t := c.capture()
	r.created = c.clock.Now()
	r.value, r.err = j.fetch(&j.ctx, j.key)
	r.took = time.Duration(c.clock.Now() - r.created)
	if r.err != nil {
		var zero V
		r.value = zero
		r.in = "NoneIf"
		if r.none = c.set.nones.match(r.err); r.none != nil {
			r.life = c.set.life.ofNone(0)
			c.label(r, t, nil)
		}
	} else {
		c.judge(j.key, r, t)
	}
	r.done = true
}

// judge decides whether and how a value is stored.
func (c *Cache[K, V]) judge(key K, r *result[V], t tagging) {
	r.in = "SkipIf"
	if c.set.skipIf != nil && c.set.skipIf(r.value) {
		r.verdict = skip
		return
	}
	r.in = "WithTTLFunc"
	if r.life = c.set.life.of(key, r.value, 0); r.life < shortest {
		r.verdict = drop
		return
	}
	var names []string
	if c.set.tagsFunc != nil {
		r.in = "WithTagsFunc"
		names = c.set.tagsFunc(key, r.value)
	}
	c.label(r, t, names)
	r.in = "WithClone"
	r.kept = c.clone(r.value)
}

func (c *Cache[K, V]) label(r *result[V], t tagging, names []string) {
	tags, fresh, err := c.with(t, names)
	switch {
	case err != nil:
		r.verdict, r.fault = nothing, fmt.Errorf("zodiac: loader %q: result not stored: %w", c.set.name, err)
	case !fresh:
		r.verdict = refuse
	default:
		r.tags = tags
	}
}

// land ends a flight: it stores what is to be stored, gives the outcome to the callers, and starts who waited for the
// end. No code of users runs here before all that is done.
func (c *Cache[K, V]) land(f *flight.Flight[ident[K], V, job[K, V]], r *result[V]) {
	if !r.done {
		var zero V
		r.value, r.none, r.err = zero, nil, c.panicked(r.in, recover())
	}
	outcome := c.settle(f, r)
	err := r.err
	if r.none != nil {
		err = r.none
	}
	if next := c.flights.Finish(f, r.value, err); next != nil {
		c.start(next)
	}
	f.Job.cancel()
	if r.fault != nil {
		c.fault(&f.Job.ctx, f.Job.key, r.fault)
	}
	if c.set.observer != nil {
		c.observe(&f.Job.ctx, Event{Kind: EventFetch, Key: f.Job.key, Outcome: outcome, Took: r.took, Err: r.err})
	}
}

// settle is the commit point of a flight. It writes what the result says, unless the flight is void, and
// counts the outcome.
func (c *Cache[K, V]) settle(f *flight.Flight[ident[K], V, job[K, V]], r *result[V]) Outcome {
	sinks := f.Job.outer.collectors()
	forced := f.Kind == flight.Forced
	switch {
	case r.err != nil && r.none == nil:
		if c.failures != nil && f.Kind != flight.Aside && !ours(r.err) {
			c.flights.Seal(f, func() { c.remember(f.Job.place, r.err) })
		}
		c.count(fetchErrors, sinks)
		return OutcomeError
	case f.Kind == flight.Aside:
		c.count(unleased, sinks)
		return OutcomeUnleased
	case r.verdict == store:
		if c.flights.Seal(f, func() { c.put(f.Job.place, r.draft()) }) {
			c.count(stored, sinks)
			return OutcomeStored
		}
	case forced || r.verdict == drop:
		// What was there is older than a result that is not to be there.
		if c.flights.Seal(f, func() { c.remove(f.Job.place) }) && r.verdict != refuse {
			return c.unstored(r.verdict, sinks)
		}
	case r.verdict != refuse:
		return c.unstored(r.verdict, sinks)
	}
	c.count(voided, sinks)
	return OutcomeVoid
}

// unstored counts a result that was not to be stored.
func (c *Cache[K, V]) unstored(v verdict, sinks []*counters) Outcome {
	if v == skip || v == drop {
		c.count(skipped, sinks)
		return OutcomeSkipped
	}
	c.count(unleased, sinks)
	return OutcomeUnleased
}

// draft returns the entry for what a fetch brought.
func (r *result[V]) draft() draft[V] {
	return draft[V]{value: r.kept, none: r.none, created: r.created, life: r.life, tags: r.tags}
}
