package zodiac

import (
	"context"
	"errors"

	"github.com/zodiac-go/zodiac/internal/flight"
	"github.com/zodiac-go/zodiac/internal/tier"
)

// get is the long way of a Get, with further restrictions. absent says that the short way found nothing.
func (c *engine[K, V]) get(ctx context.Context, key K, fetch func(context.Context, K) (V, error), state *callState, also Mode, absent bool) (V, error) {
	g := c.newGet(ctx, key, state, also)
	if g.bypasses() {
		return c.bypass(&g, fetch)
	}
	if err := c.locate(&g, "Get"); err != nil {
		return c.uncached(&g, fetch, err)
	}
	if c.remote != nil {
		return c.getShared(&g, fetch)
	}
	if !absent {
		if e := c.brief(&g); e != nil {
			c.hit(g.sinks)
			return e.Value, nil
		}
		if a, ok := c.read(&g); ok {
			return a.value, a.err
		}
	}
	return c.load(&g, fetch)
}

// A getting is one Get on its long way.
type getting[K comparable, V any] struct {
	ctx     context.Context
	key     K
	place   tier.Key[K]
	state   *callState
	inner   *callState // of the function it calls
	sinks   []*counters
	mode    Mode
	refused *tier.Entry[K, V] // the entry that ValidIf did not want
	within  *flight.Link      // the flight it is a part of
	waits   func()            // called, perhaps more than once, when it waits for what others fetch; or nil

	far distant[K, V] // over a store
}

// A distant is what a Get over a store has beyond one in memory.
type distant[K comparable, V any] struct {
	key, full string // of the store
	began     uint64 // by Cache.order
	budget    budget
	seen      string    // the Version of the record that was of no use
	entry     *Entry[V] // what was read, if that is wanted: see detailed
	detailed  bool
	spare     *spare[K, V]
}

// A spare is what others fetched while the store did not answer them. It may be older than an invalidation that came before
// this Get; so it is for the case that the store does not answer this one either.
type spare[K comparable, V any] struct {
	f   *flight.Flight[tier.Key[K], job[K, V]]
	err error
	as  counter
}

func (c *engine[K, V]) newGet(ctx context.Context, key K, state *callState, also Mode) getting[K, V] {
	mode := state.mode(&c.core)
	mode.NoRead = mode.NoRead || also.NoRead
	mode.NoWrite = mode.NoWrite || also.NoWrite
	mode.NoFetch = mode.NoFetch || also.NoFetch
	return getting[K, V]{ctx: ctx, key: key, state: state, inner: state.inner(), sinks: state.collectors(), mode: mode}
}

// bypasses reports whether only the function may be used.
func (g *getting[K, V]) bypasses() bool { return g.mode.NoRead && g.mode.NoWrite && !g.mode.NoFetch }

// bypass calls the function as if there were no cache. A panic passes through.
func (c *engine[K, V]) bypass(g *getting[K, V], fetch func(context.Context, K) (V, error)) (V, error) {
	c.count(bypassed, g.sinks)
	return fetch(g.state.within(g.ctx), g.key)
}

// locate finds the key's place, or says why it has none.
func (c *engine[K, V]) locate(g *getting[K, V], op string) (err error) {
	g.place, err = c.place(g.key, op)
	return err
}

// place returns where key is in memory. The error is ErrClosed or a *KeyError.
func (c *engine[K, V]) place(key K, op string) (tier.Key[K], error) {
	if c.closed.Load() {
		return tier.Key[K]{}, ErrClosed
	}
	return c.placeOf(key, op)
}

// placeOf is place whether or not the cache is closed.
func (c *engine[K, V]) placeOf(key K, op string) (tier.Key[K], error) {
	if c.set.keys.plain && key == key { //nolint:gocritic // NaN is not, and has no text
		return c.mem.Plain(key), nil
	}
	var text string
	var err error
	if bug := c.guard("WithKey", func() { text, err = c.set.keys.text(key) }); bug != nil {
		err = bug
	}
	if err != nil {
		return tier.Key[K]{}, &KeyError{Loader: c.set.name, Op: op, Err: err}
	}
	return c.mem.Text(text), nil
}

// uncached is a Get of a key that has no place: the function runs, nothing is shared or counted.
func (c *engine[K, V]) uncached(g *getting[K, V], fetch func(context.Context, K) (V, error), err error) (V, error) {
	var zero V
	if err == ErrClosed { //nolint:errorlint // an error of WithKey may match it too
		return zero, err
	}
	if g.mode.NoFetch {
		return zero, errors.Join(ErrMiss, err)
	}
	if _, logged := errors.AsType[*PanicError](err); logged {
		c.observe(g.ctx, Event{Kind: EventFault, Key: g.key, Err: err})
	} else {
		c.fault(g.ctx, g.key, err)
	}
	return fetch(g.state.within(g.ctx), g.key)
}

// An answer is what a caller gets.
type answer[V any] struct {
	value V
	err   error
}

// read looks into memory. ok is false if there is nothing that this caller may use.
func (c *engine[K, V]) read(g *getting[K, V]) (a answer[V], ok bool) {
	if g.mode.NoRead {
		return a, false
	}
	e := c.usable(&g.place, g.sinks)
	if e == nil {
		return a, false
	}
	a, ok = c.open(g, e)
	if ok && !g.mode.NoWrite {
		e.Use()
		if d := e.Detail(); d != nil && d.Life.Load() > 0 {
			c.mem.Slide(e)
		}
	}
	return a, ok
}

// brief is read of an entry that needs no further look, or nil.
func (c *engine[K, V]) brief(g *getting[K, V]) *tier.Entry[K, V] {
	if g.mode.NoRead || g.mode.NoWrite {
		return nil
	}
	return c.mem.HitAt(&g.place)
}

// usable returns the entry of a place if it is alive. One whose tag was deleted is dropped.
func (c *engine[K, V]) usable(place *tier.Key[K], sinks []*counters) *tier.Entry[K, V] {
	e := c.mem.Find(place)
	if e == nil || c.mem.Expired(e) {
		return nil
	}
	if !e.Current() {
		if c.mem.Remove(place, e) {
			c.count(invalid, sinks)
		}
		return nil
	}
	return e
}

// open returns what the reader gets of a live entry, and counts the hit. ok is false if ValidIf refuses it.
func (c *engine[K, V]) open(g *getting[K, V], e *tier.Entry[K, V]) (a answer[V], ok bool) {
	if e == g.refused {
		return a, false
	}
	if c.set.validIf != nil {
		valid := false
		if a.err = c.guard("ValidIf", func() { valid = c.set.validIf(g.key, c.describe(e)) }); a.err != nil {
			c.count(failed, g.sinks)
			return a, true
		}
		if !valid {
			g.refused = e
			c.count(invalid, g.sinks)
			return a, false
		}
	}
	if d := e.Detail(); d != nil && d.None != nil {
		c.hit(g.sinks)
		a.err = d.None
		return a, true
	}
	if a.value, a.err = c.cloned(e.Value); a.err != nil {
		c.count(failed, g.sinks)
		return a, true
	}
	c.hit(g.sinks)
	return a, true
}

// load gets the value from a flight: one that others began, or its own.
func (c *engine[K, V]) load(g *getting[K, V], fetch func(context.Context, K) (V, error)) (V, error) {
	var zero V
	if g.mode.NoFetch {
		c.count(missed, g.sinks)
		return zero, ErrMiss
	}
	for {
		if err := g.ctx.Err(); err != nil {
			c.count(left, g.sinks)
			return zero, err
		}
		if err := c.remembered(g); err != nil {
			c.count(failed, g.sinks)
			return zero, err
		}
		f, role, err := c.join(g, fetch)
		switch {
		case errors.Is(err, ErrClosed):
			return zero, err
		case err != nil:
			c.count(failed, g.sinks)
			return zero, err
		case f == nil:
			// Somebody has stored a value, or remembered an error, since we looked.
			if a, ok := c.read(g); ok {
				return a.value, a.err
			}
		default:
			if a, ok := c.wait(g, f, role); ok {
				return a.value, a.err
			}
		}
	}
}

// join finds or begins the flight for a Get. It returns nil if memory has something after all.
func (c *engine[K, V]) join(g *getting[K, V], fetch func(context.Context, K) (V, error)) (f *flight.Flight[tier.Key[K], job[K, V]], role flight.Role, err error) {
	kind, joins := g.kind()
	var look func() bool
	if !g.mode.NoRead {
		look = func() bool {
			e := c.mem.Find(&g.place)
			return e != g.refused && c.mem.Alive(e) || c.recall(&g.place) != nil
		}
	}
	g.within = linkOf(g.ctx)
	f, role, err = c.flights.Join(g.place, g.place.Hash, kind, joins, g.within, look,
		func(f *flight.Flight[tier.Key[K], job[K, V]]) {
			f.Job.begin(g, fetch, flight.Link{Flight: f, Up: g.within})
			if c.remote != nil {
				c.share(g, f)
			}
		})
	if role == flight.Leads {
		c.start(f)
	}
	return f, role, err
}

// kind returns what the caller wants of a flight, and which flights it joins; nil = any.
func (g *getting[K, V]) kind() (kind flight.Kind, joins func(*flight.Flight[tier.Key[K], job[K, V]]) bool) {
	if g.mode.NoRead {
		kind = flight.Forced
	}
	if g.inner.has(noRead) { // what others began may be made of what this caller does not want read
		kind = flight.Forced
		inner := g.inner // not g, which would be on the heap for every Get
		joins = func(f *flight.Flight[tier.Key[K], job[K, V]]) bool { return inner.sameRules(f.Job.ctx.inner) }
	}
	if g.mode.NoWrite {
		kind = flight.Aside
	}
	return kind, joins
}

// wait waits for a flight under the caller's own context. ok is false if what it brought is not for this caller, who has to
// try again.
func (c *engine[K, V]) wait(g *getting[K, V], f *flight.Flight[tier.Key[K], job[K, V]], role flight.Role) (a answer[V], ok bool) {
	if role != flight.Leads && g.waits != nil {
		g.waits()
	}
	in := f.Wait(g.ctx.Done())
	g.within.Waited(f)
	if !in {
		c.leave(f)
		c.count(left, g.sinks)
		a.err = g.ctx.Err()
		return a, true
	}
	n := fetched
	if role == flight.Joined {
		n = shared
	}
	if f.Job.shared == nil {
		a.value, a.err = c.outcome(f)
	} else if a, n, ok = c.outcomeShared(g, f, n); !ok || n == numCounters {
		return a, ok
	}
	switch {
	case a.err == ErrClosed && c.closed.Load(): //nolint:errorlint // Close gave it up
		return a, true
	case a.err != nil && role == flight.Joined && f.Job.ctx.inner.has(noFetch) && !g.inner.sameRules(f.Job.ctx.inner):
		return a, false // the rules of the one who began it may have made it fail
	case a.err != nil && !isNone(a.err):
		c.count(failed, g.sinks)
	default:
		c.count(n, g.sinks)
	}
	return a, true
}

// outcome returns what a caller gets of a flight that is over.
func (c *engine[K, V]) outcome(f *flight.Flight[tier.Key[K], job[K, V]]) (V, error) {
	if err := f.Err(); err != nil {
		var zero V
		return zero, err
	}
	return c.cloned(f.Job.result.entry.Value)
}

// leave takes a caller out of a flight. If it was the last, the function is told to stop.
func (c *engine[K, V]) leave(f *flight.Flight[tier.Key[K], job[K, V]]) {
	last, next := c.flights.Leave(f)
	if last {
		f.Job.abandon()
	}
	if next != nil {
		c.start(next)
	}
}
