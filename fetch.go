package zodiac

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/zodiac-go/zodiac/internal/callstate"
	"github.com/zodiac-go/zodiac/internal/flight"
	"github.com/zodiac-go/zodiac/internal/lazyctx"
	"github.com/zodiac-go/zodiac/internal/remote"
	"github.com/zodiac-go/zodiac/internal/tag"
	"github.com/zodiac-go/zodiac/internal/tier"
)

// A job is the work of a flight: to call fetch for key.
type job[K comparable, V any] struct {
	key    K
	fetch  func(context.Context, K) (V, error)
	ctx    fetchContext
	outer  *callState // of the caller who began the flight
	result result[K, V]
	stored *storeJob[K, V] // nil without a store
}

// begin makes the job of a flight that l begins within others. It is called under the key's lock.
func (j *job[K, V]) begin(l *lookup[K, V], fetch func(context.Context, K) (V, error), within flight.Link) {
	j.key, j.fetch, j.outer = l.key, fetch, l.state
	j.ctx.Values, j.ctx.inner, j.ctx.within = l.ctx, l.inner, within
}

// abandon tells the fetch, and other processes, that nobody waits for it any more.
func (j *job[K, V]) abandon() {
	j.ctx.Cancel()
	if j.stored != nil {
		j.stored.fetch.GiveUp()
	}
}

// A fetchContext is the context of a fetch. It has the values of the caller who began the flight. It
// ends when the flight is abandoned, its time is over, or its outcome is known.
type fetchContext struct {
	lazyctx.Context
	inner  *callState
	within flight.Link
}

// Value adds the modes and the flight that calls of loaders within the fetch look for.
func (c *fetchContext) Value(key any) any {
	switch key.(type) {
	case callstate.Key:
		return c.inner
	case linkKey:
		return &c.within
	default:
		return c.Context.Value(key)
	}
}

type linkKey struct{}

// linkOf returns the flight that ctx belongs to, or nil.
func linkOf(ctx context.Context) *flight.Link {
	l, _ := ctx.Value(linkKey{}).(*flight.Link)
	return l
}

// A result is the outcome of a fetch, and what is to be done with it. It lies in the job and not on
// the stack of the flight's goroutine, and the functions below pass pointers. The goroutine is new:
// to outgrow its first 2 kB of stack would cost half as much as all the rest of a miss.
type result[K comparable, V any] struct {
	stage        stage // which function runs: for the error, should it panic
	verdict      verdict
	entry        *tier.Entry[K, V] // has the value, whatever becomes of it
	old          *tier.Entry[K, V] // the entry that was there before a forced fetch
	err          error
	none         error // if err means that the key does not exist: the readers' error instead of err
	life         time.Duration
	tags         []tier.Tag // the loader's own as they were before the fetch, then all
	epoch        uint64     // of the tags, before the fetch
	began        int64      // before the time limit began
	took         time.Duration
	fault        error // why the result is unfit
	libraryError bool  // err is not to be remembered
	uncalled     bool  // the limit has kept the function from being called
}

// A stage is a function that may panic or exit the flight's goroutine.
type stage uint8

const (
	inFetch stage = iota
	inNoneIf
	inSkipIf
	inTTLFunc
	inTagsFunc
	inClone
	inCodec
	inStore
	finished
)

// String returns the name of the option, for a PanicError.
func (s stage) String() string {
	return [...]string{"the fetch", "NoneIf", "SkipIf", "WithTTLFunc", "WithTagsFunc", "WithClone", "WithCodec", "the store", ""}[s]
}

// A verdict says whether a result is stored.
type verdict uint8

const (
	store     verdict = iota
	skip              // SkipIf says so
	noTTL             // its lifetime is nothing: an old value goes too
	staleTags         // a tag was deleted during the fetch
	unfit             // it has too many tags, or the store or the codec has failed
)

// run is the goroutine of a flight. It calls the function, commits the result, and whatever
// happens, gives the outcome to the callers.
func (c *engine[K, V]) run(f *flight.Flight[tier.Key[K], job[K, V]]) {
	defer c.finish(f)
	if c.limiter != nil && !c.enter(f) {
		return
	}
	if f.Job.stored != nil && !c.acquire(f) {
		return
	}
	r := &f.Job.result
	r.began = c.clock.Now()
	if c.opts.fetchTimeout > 0 {
		defer c.limit(f)()
	}
	c.call(f)
	if f.Job.stored != nil && (r.err == nil || r.none != nil) {
		r.stage = inCodec
		c.encodeResult(f)
	}
	r.stage = finished
}

// enter waits until WithFetchLimit allows one more fetch. That is before the lease is asked for: a
// process that waits here keeps no other one from fetching. It returns false if nobody waits for the
// flight any more.
func (c *engine[K, V]) enter(f *flight.Flight[tier.Key[K], job[K, V]]) bool {
	j := &f.Job
	if j.ctx.within.Place = c.limiter.Enter(&j.ctx); j.ctx.within.Place != nil {
		return true
	}
	j.result.err, j.result.stage, j.result.uncalled = context.Canceled, finished, true
	return false
}

// acquire gets the right to call the function, over a store. It returns false if the function is not
// called: the store has a record after all, or there is an error.
func (c *engine[K, V]) acquire(f *flight.Flight[tier.Key[K], job[K, V]]) bool {
	r, s := &f.Job.result, f.Job.stored
	r.stage = inStore
	if s.fetch.Acquire() {
		s.fetch.Watch()
		r.stage = inFetch
		return true
	}
	r.err = c.storeError(s.fetch.Err)
	if elsewhere, ok := errors.AsType[*remote.ElsewhereError](r.err); ok {
		r.err = &RememberedError{c.elsewhere(f, elsewhere.Text)}
	}
	r.stage = finished
	return false
}

// limit ends the flight when its time is over, whether or not the function returns. It returns a
// function that lifts the limit.
func (c *engine[K, V]) limit(f *flight.Flight[tier.Key[K], job[K, V]]) (stop func()) {
	f.Job.ctx.Limit(c.opts.fetchTimeout)
	t := time.AfterFunc(c.opts.fetchTimeout, func() { c.giveUp(f) })
	return func() { t.Stop() }
}

// giveUp tells the callers of a flight that it has taken too long, unless they have their outcome.
func (c *engine[K, V]) giveUp(f *flight.Flight[tier.Key[K], job[K, V]]) {
	next := c.flights.Fail(f, fmt.Errorf("zodiac: loader %q: the fetch took longer than WithFetchTimeout (%v): %w",
		c.name, c.opts.fetchTimeout, context.DeadlineExceeded))
	if next != nil {
		go c.run(next)
	}
	if s := f.Job.stored; s != nil {
		s.fetch.GiveUp()
	}
}

// call calls the fetch function, and the functions of options that decide about its result. Any of
// them may panic or exit the goroutine. finish sees from the stage which one it was.
func (c *engine[K, V]) call(f *flight.Flight[tier.Key[K], job[K, V]]) {
	j := &f.Job
	r := &j.result
	r.epoch, r.tags = c.tags.Epoch(), tag.Current(c.labels)
	if f.Kind == flight.Forced {
		r.old = c.mem.Find(&f.Key)
	}
	r.entry = c.mem.NewEntry(&f.Key, r.began, false)
	r.entry.Value, r.err = j.fetch(&j.ctx, j.key)
	if c.observer != nil || c.opts.fetchTimeout > 0 {
		r.took = time.Duration(c.clock.Now() - r.began)
	}
	if c.opts.fetchTimeout > 0 && r.took >= c.opts.fetchTimeout {
		c.giveUp(f) // the function may have noticed the end before the timer of limit did
	}
	if r.err == nil {
		c.classify(j)
	} else {
		c.classifyError(r)
	}
	if r.verdict == store && (r.err == nil || r.none != nil) {
		c.prepare(f)
	}
}

// classify decides whether, for how long and under which tags a value is stored.
func (c *engine[K, V]) classify(j *job[K, V]) {
	r := &j.result
	r.stage = inSkipIf
	if c.opts.skipIf != nil && c.opts.skipIf(r.entry.Value) {
		r.verdict = skip
		return
	}
	r.stage = inTTLFunc
	if r.life = c.opts.life.of(j.key, &r.entry.Value, 0); r.life < shortest {
		r.verdict = noTTL
		return
	}
	r.stage = inTagsFunc
	var names []string
	if c.opts.tagsFunc != nil {
		names = c.opts.tagsFunc(j.key, r.entry.Value)
	}
	c.label(r, names)
}

// classifyError decides whether an error means that the key does not exist.
func (c *engine[K, V]) classifyError(r *result[K, V]) {
	var zero V
	r.entry.Value = zero
	r.stage = inNoneIf
	r.libraryError = isLibraryError(r.err) || !c.opts.errorsNamed.Remembers(r.err)
	if r.none = c.opts.noneIf.match(r.err); r.none != nil {
		r.life = c.opts.life.ofNone(0)
		c.label(r, nil)
	}
}

// label gives a result the loader's tags and those called names.
func (c *engine[K, V]) label(r *result[K, V], names []string) {
	tags, fresh := c.tags.With(r.tags, r.epoch, names)
	err := checkTags(names)
	switch {
	case err != nil:
		r.verdict, r.fault = unfit, err
	case len(tags) > maxTags:
		r.verdict, r.fault = unfit, tooManyTags(len(tags))
	case !fresh:
		r.verdict = staleTags
	default:
		r.tags = tags
	}
}

// prepare makes the entry as memory is to keep it, so that little is left to do under the lock.
func (c *engine[K, V]) prepare(f *flight.Flight[tier.Key[K], job[K, V]]) {
	r := &f.Job.result
	if c.opts.clone != nil && r.none == nil {
		r.stage = inClone
		r.entry.Value = *c.copied(&r.entry.Value)
	}
	if c.detailed(&r.entry.Value, r.none, r.tags) {
		r.entry = c.entry(&f.Key, r.entry.Created, &r.entry.Value, r.none, r.life, r.tags)
	}
}

// finish ends a flight. It commits the result, gives the outcome to the callers, and starts the
// flight that waits for the end of this one. No user's code runs here before all that is done.
func (c *engine[K, V]) finish(f *flight.Flight[tier.Key[K], job[K, V]]) {
	f.Job.ctx.within.Place.Leave()
	if r := &f.Job.result; r.stage != finished {
		r.none, r.err = nil, c.panicked(r.stage.String(), recover())
	}
	outcome := c.commit(f)
	if next := c.flights.Finish(f, f.Job.finish()); next != nil {
		go c.run(next)
	}
	f.Job.ctx.Cancel()
	if r := &f.Job.result; r.stage == finished && (outcome == "" || c.observer == nil && r.verdict != unfit) {
		c.flights.Returned(f)
		return
	}
	c.report(f, outcome)
}

// finish returns the callers' error of the job, and gives back the lease. It is not inlined: see
// result.
//
//go:noinline
func (j *job[K, V]) finish() error {
	err := j.result.err
	if j.result.none != nil {
		err = j.result.none
	}
	if j.stored == nil {
		return err
	}
	j.stored.fetch.Close()
	return j.stored.fetch.Outcome(err)
}

// report tells about a fetch when nobody waits for it any more but Close. The Observer and the
// log's handler may even exit the goroutine.
func (c *engine[K, V]) report(f *flight.Flight[tier.Key[K], job[K, V]], outcome Outcome) {
	defer c.flights.Returned(f)
	j := &f.Job
	r := &j.result
	if r.stage != finished {
		c.logPanic(r.err)
	}
	if r.verdict == unfit {
		err := fmt.Errorf("zodiac: loader %q: result not stored: %w", c.name, r.fault)
		c.logFault("zodiac: fault", err)
		c.observe(&j.ctx, Event{Kind: EventFault, Key: j.key, Err: err})
	}
	if outcome != "" { // else the function was not called
		c.observe(&j.ctx, Event{Kind: EventFetch, Key: j.key, Outcome: outcome, Took: r.took, Err: r.err})
	}
}
