package zodiac

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/zodiac-go/zodiac/internal/flight"
	"github.com/zodiac-go/zodiac/internal/tier"
)

// A job is what a flight has to do: call fetch for key.
type job[K comparable, V any] struct {
	key    K
	fetch  func(context.Context, K) (V, error)
	ctx    fetchContext
	outer  *callState // of the caller who began the flight
	result result[K, V]
	shared *sharingOf[V] // over a store
}

// A fetchContext has the values of the caller who began the flight, and an end of its own: when the flight is abandoned, its
// time is over, or its outcome known. It makes a context of the standard library's for that end only when somebody asks
// for Done: many functions never do.
type fetchContext struct {
	values context.Context
	inner  *callState
	within flight.Link

	mu    sync.Mutex // guards the fields below
	std   context.Context
	stop  context.CancelFunc
	ended bool
}

// Deadline returns when WithFetchTimeout ends the context.
func (c *fetchContext) Deadline() (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.std == nil {
		return time.Time{}, false
	}
	return c.std.Deadline()
}

// Done returns a channel that is closed when the context ends.
func (c *fetchContext) Done() <-chan struct{} { return c.end().Done() }

// Err returns why the context ended, or nil.
func (c *fetchContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.std != nil {
		return c.std.Err()
	}
	if c.ended {
		return context.Canceled
	}
	return nil
}

// Value asks the context that ends first, so that contexts made from this one find it and need no goroutine to watch it.
func (c *fetchContext) Value(key any) any {
	switch key.(type) {
	case stateKey:
		return c.inner
	case linkKey:
		return &c.within
	}
	c.mu.Lock()
	std := c.std
	c.mu.Unlock()
	if std != nil { // whoever looks for the end has asked for Done before
		if v := std.Value(key); v != nil {
			return v
		}
	}
	return c.values.Value(key)
}

// end returns the context that ends.
func (c *fetchContext) end() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.std == nil {
		c.std, c.stop = context.WithCancel(context.Background())
		if c.ended {
			c.stop()
		}
	}
	return c.std
}

// limit makes the context end after d, if it has not ended before.
func (c *fetchContext) limit(d time.Duration) {
	end := c.end()
	c.mu.Lock()
	defer c.mu.Unlock()
	outer := c.stop
	var inner context.CancelFunc
	c.std, inner = context.WithTimeout(end, d)
	c.stop = func() { inner(); outer() }
}

func (c *fetchContext) cancel() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	if c.stop != nil {
		c.stop()
	}
}

type linkKey struct{}

// linkOf returns the flight that ctx belongs to, or nil.
func linkOf(ctx context.Context) *flight.Link {
	l, _ := ctx.Value(linkKey{}).(*flight.Link)
	return l
}

// begin makes the job of a flight that the caller g begins within others. It is called under the key's lock.
func (j *job[K, V]) begin(g *getting[K, V], fetch func(context.Context, K) (V, error), within flight.Link) {
	j.key, j.fetch, j.outer = g.key, fetch, g.state
	j.ctx.values, j.ctx.inner, j.ctx.within = g.ctx, g.inner, within
}

// abandon tells the function that nobody waits for it any more, and other processes that they need not.
func (j *job[K, V]) abandon() {
	j.ctx.cancel()
	if j.shared != nil {
		j.shared.lease.giveUp()
	}
}

// A result is what a fetch brought, and what is to be done with it. It lies in the job, not on the stack of the flight's
// goroutine, and functions here pass pointers: the goroutine is new, and outgrowing its first 2 kB would cost half
// as much as all the rest of a miss.
type result[K comparable, V any] struct {
	stage   stage // what is running: for the error, should it panic
	verdict verdict
	entry   *tier.Entry[K, V] // has the value, whatever becomes of it
	old     *tier.Entry[K, V] // what was there before a forced fetch
	err     error
	none    error // what readers get instead of err, if it means that the key does not exist
	life    time.Duration
	tags    []tier.Tag // the loader's own as they were before the fetch, then all
	epoch   uint64     // of the tags, before the fetch
	began   int64      // before the time limit began
	took    time.Duration
	fault   error // why, if excess
	ours    bool  // err is not to be remembered
}

// A stage is the user's function that runs.
type stage uint8

const (
	fetching stage = iota
	excusing
	skipping
	timing
	tagging
	cloning
	coding
	asking
	finished
)

// String returns the name of the option, for a PanicError.
func (s stage) String() string {
	return [...]string{"the fetch", "NoneIf", "SkipIf", "WithTTLFunc", "WithTagsFunc", "WithClone", "WithCodec", "the store", ""}[s]
}

type verdict uint8

const (
	store  verdict = iota
	skip           // SkipIf says so
	drop           // it lives no time at all: what was there goes too
	refuse         // a tag was deleted meanwhile
	excess         // too many tags
)

// start runs the function of a flight on a goroutine of its own.
func (c *engine[K, V]) start(f *flight.Flight[tier.Key[K], job[K, V]]) {
	if f.Job.shared != nil {
		go c.runShared(f)
	} else {
		go c.run(f)
	}
}

// run calls the function, and whatever happens, gives the outcome to the callers.
func (c *engine[K, V]) run(f *flight.Flight[tier.Key[K], job[K, V]]) {
	defer c.land(f)
	f.Job.result.began = c.clock.Now()
	if c.set.fetchTimeout > 0 {
		defer c.limit(f)()
	}
	c.produce(f)
}

// limit ends the flight when its time is over, whether or not the function returns. It returns how to stop that.
func (c *engine[K, V]) limit(f *flight.Flight[tier.Key[K], job[K, V]]) (stop func()) {
	f.Job.ctx.limit(c.set.fetchTimeout)
	t := time.AfterFunc(c.set.fetchTimeout, func() { c.giveUp(f) })
	return func() { t.Stop() }
}

// giveUp tells the callers of a flight that it has taken too long, unless they have their outcome.
func (c *engine[K, V]) giveUp(f *flight.Flight[tier.Key[K], job[K, V]]) {
	next := c.flights.Fail(f, fmt.Errorf("zodiac: loader %q: the fetch took longer than WithFetchTimeout (%v): %w",
		c.set.name, c.set.fetchTimeout, context.DeadlineExceeded))
	if next != nil {
		c.start(next)
	}
	if s := f.Job.shared; s != nil {
		s.lease.giveUp()
	}
}

// produce calls the function, and the functions of options that say what its result means. Any of them may panic, or
// exit the goroutine; land sees what stage it was.
func (c *engine[K, V]) produce(f *flight.Flight[tier.Key[K], job[K, V]]) {
	j := &f.Job
	r := &j.result
	r.epoch, r.tags = c.tags.epoch.Load(), c.ownTags()
	if f.Kind == flight.Forced {
		r.old = c.mem.Find(&f.Key)
	}
	r.entry = c.mem.NewEntry(&f.Key, r.began, false)
	r.entry.Value, r.err = j.fetch(&j.ctx, j.key)
	if c.set.observer != nil || c.set.fetchTimeout > 0 {
		r.took = time.Duration(c.clock.Now() - r.began)
	}
	if c.set.fetchTimeout > 0 && r.took >= c.set.fetchTimeout {
		c.giveUp(f) // the function may have noticed the time before the timer of limit did
	}
	if r.err == nil {
		c.judge(j)
	} else {
		c.excuse(r)
	}
	if r.verdict == store && (r.err == nil || r.none != nil) {
		c.prepare(f)
	}
	r.stage = finished
}

// excuse looks whether an error means that the key does not exist.
func (c *engine[K, V]) excuse(r *result[K, V]) {
	var zero V
	r.entry.Value = zero
	r.stage = excusing
	r.ours = ours(r.err)
	if r.none = c.set.nones.match(r.err); r.none != nil {
		r.life = c.set.life.ofNone(0)
		c.label(r, nil)
	}
}

// judge decides whether, how long and under which tags a value is stored.
func (c *engine[K, V]) judge(j *job[K, V]) {
	r := &j.result
	r.stage = skipping
	if c.set.skipIf != nil && c.set.skipIf(r.entry.Value) {
		r.verdict = skip
		return
	}
	r.stage = timing
	if r.life = c.set.life.of(j.key, &r.entry.Value, 0); r.life < shortest {
		r.verdict = drop
		return
	}
	r.stage = tagging
	var names []string
	if c.set.tagsFunc != nil {
		names = c.set.tagsFunc(j.key, r.entry.Value)
	}
	c.label(r, names)
}

func (c *engine[K, V]) label(r *result[K, V], names []string) {
	tags, fresh, err := c.with(r.tags, r.epoch, names)
	switch {
	case err != nil:
		r.verdict, r.fault = excess, err
	case !fresh:
		r.verdict = refuse
	default:
		r.tags = tags
	}
}

// prepare makes the entry what memory is to keep, so that little is left to do under the lock.
func (c *engine[K, V]) prepare(f *flight.Flight[tier.Key[K], job[K, V]]) {
	r := &f.Job.result
	if c.set.clone != nil && r.none == nil {
		r.stage = cloning
		r.entry.Value = *c.copied(&r.entry.Value)
	}
	if c.detailed(&r.entry.Value, r.none, r.tags) {
		r.entry = c.entry(&f.Key, r.entry.Created, &r.entry.Value, r.none, r.life, r.tags)
	}
}

// land ends a flight: it stores what is to be stored, gives the outcome to the callers, and starts who waited for the
// end. No code of users runs here before all that is done.
func (c *engine[K, V]) land(f *flight.Flight[tier.Key[K], job[K, V]]) {
	r := &f.Job.result
	if r.stage != finished {
		r.none, r.err = nil, c.panicked(r.stage.String(), recover())
	}
	outcome := c.settle(f)
	err := r.err
	if r.none != nil {
		err = r.none
	}
	if next := c.flights.Finish(f, err); next != nil {
		c.start(next)
	}
	f.Job.ctx.cancel()
	if c.set.observer != nil || c.set.logger != nil {
		c.report(f, outcome)
		return
	}
	c.flights.Returned(f)
}

// report tells about a fetch, once nobody waits for it any more but Close. The Observer and the log's handler may even exit
// the goroutine.
func (c *engine[K, V]) report(f *flight.Flight[tier.Key[K], job[K, V]], outcome Outcome) {
	defer c.flights.Returned(f)
	j := &f.Job
	r := &j.result
	if r.stage != finished {
		c.logPanic(r.err)
	}
	if r.verdict == excess {
		c.fault(&j.ctx, j.key, fmt.Errorf("zodiac: loader %q: result not stored: %w", c.set.name, r.fault))
	}
	c.observe(&j.ctx, Event{Kind: EventFetch, Key: j.key, Outcome: outcome, Took: r.took, Err: r.err})
}

// settle is the commit point of a flight. It writes what the result says, unless the flight is void, and
// counts the outcome.
func (c *engine[K, V]) settle(f *flight.Flight[tier.Key[K], job[K, V]]) Outcome {
	j := &f.Job
	r := &j.result
	// An error may come from rules that keep loaders within from fetching: then it is only for who set them.
	private := r.err != nil && j.ctx.inner.has(noFetch)
	switch {
	case r.err != nil && r.none == nil:
		if c.failures != nil && !private && f.Kind != flight.Aside && r.stage == finished && !r.ours && c.flights.Seal(f) {
			c.remember(&f.Key, r.err)
			c.flights.Unseal(f)
		}
		return c.settled(j, fetchErrors, OutcomeError)
	case f.Kind == flight.Aside || private:
		return c.settled(j, unleased, OutcomeUnleased)
	case !c.flights.Seal(f):
		c.supersede(f)
		return c.settled(j, voided, OutcomeVoid)
	}
	switch {
	case r.verdict == store:
		c.put(&f.Key, r.entry, r.life, c.clock.Now())
	case r.verdict == drop || f.Kind == flight.Forced:
		c.remove(&f.Key) // it is older than a result that is not to be there
	}
	c.flights.Unseal(f)
	switch r.verdict {
	case store:
		return c.settled(j, stored, OutcomeStored)
	case refuse:
		return c.settled(j, voided, OutcomeVoid)
	case excess:
		return c.settled(j, unleased, OutcomeUnleased)
	default:
		return c.settled(j, skipped, OutcomeSkipped)
	}
}

// supersede takes out what is older than the result of a forced fetch that may not be stored because it is void: those who
// wait for it are about to see something newer. Nothing that was stored since the fetch began is touched.
func (c *engine[K, V]) supersede(f *flight.Flight[tier.Key[K], job[K, V]]) {
	if f.Kind != flight.Forced {
		return
	}
	c.flights.Change(f.Key, f.Key.Hash, func() bool {
		if old := f.Job.result.old; f.Wanted() && old != nil {
			c.mem.Remove(&f.Key, old)
		}
		return false
	})
}

func (c *engine[K, V]) settled(j *job[K, V], n counter, o Outcome) Outcome {
	c.count(n, j.outer.collectors())
	return o
}
