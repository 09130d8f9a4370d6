package zodiac

import (
	"context"
	"errors"
	"time"

	"github.com/zodiac-go/zodiac/internal/flight"
	"github.com/zodiac-go/zodiac/internal/tier"
)

// getShared is the way of a Get over a store, from memory in front of it on.
func (c *engine[K, V]) getShared(g *getting[K, V], fetch func(context.Context, K) (V, error)) (V, error) {
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
func (c *engine[K, V]) loadShared(g *getting[K, V], fetch func(context.Context, K) (V, error)) (V, error) {
	for a, ok := c.tryFetch(g, fetch); ; a, ok = c.tryShared(g, fetch) {
		if ok {
			return a.value, a.err
		}
	}
}

// share gives a flight what it needs over a store. It is called under the key's lock.
func (c *engine[K, V]) share(g *getting[K, V], f *flight.Flight[tier.Key[K], job[K, V]]) {
	s := &sharingOf[V]{sharing: sharing{
		c: &c.core, of: f.Job.key, kind: f.Kind, ctx: &f.Job.ctx, sinks: g.sinks, failed: c.set.life.failed,
		key: g.far.key, full: g.far.full, budget: g.far.budget, seen: g.far.seen, before: everyone, waits: g.waits,
	}}
	if c.flat && c.near == nil {
		s.common = new(common[V])
	}
	s.lease.r, s.lease.key, s.lease.values = c.remote, g.far.key, context.WithoutCancel(g.ctx)
	f.Job.shared = s
}

// begin finds the store's key for a Get, and takes down when it began.
func (c *engine[K, V]) begin(g *getting[K, V]) (err error) {
	g.far.began, g.far.budget = c.order.Add(1), c.remote.newBudget()
	g.far.key, g.far.full, err = c.storeKey(&g.place, g.key, "Get")
	return err
}

// storeKey returns the store's key for a place.
func (c *engine[K, V]) storeKey(place *tier.Key[K], key K, op string) (storeKey, full string, err error) {
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
func (c *engine[K, V]) tryShared(g *getting[K, V], fetch func(context.Context, K) (V, error)) (a answer[V], ok bool) {
	if a, ok = c.read(g); ok {
		return a, true
	}
	if a.err = g.ctx.Err(); a.err != nil {
		c.count(left, g.sinks)
		return a, true
	}
	if !g.mode.NoRead {
		if !g.mode.NoFetch && g.far.spare == nil {
			if a, joined, ok := c.joinRunning(g); joined {
				return a, ok
			}
		}
		if a, ok = c.readStore(g); ok {
			return a, true
		}
		g.far.spare = nil
	}
	return c.tryFetch(g, fetch)
}

// tryFetch is the end of tryShared, when there is nothing to be read.
func (c *engine[K, V]) tryFetch(g *getting[K, V], fetch func(context.Context, K) (V, error)) (a answer[V], ok bool) {
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
func (c *engine[K, V]) joinRunning(g *getting[K, V]) (a answer[V], joined, ok bool) {
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
func (c *engine[K, V]) fly(g *getting[K, V], fetch func(context.Context, K) (V, error)) (a answer[V], ok bool) {
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
func (c *engine[K, V]) refused(g *getting[K, V], err error) answer[V] {
	if !errors.Is(err, ErrClosed) {
		c.count(failed, g.sinks)
	}
	return answer[V]{err: err}
}

// runShared is run over a store.
func (c *engine[K, V]) runShared(f *flight.Flight[tier.Key[K], job[K, V]]) {
	defer c.landShared(f)
	r, s := &f.Job.result, f.Job.shared
	r.stage = asking
	if !s.obtain() {
		r.err, r.stage = s.err, finished
		return
	}
	s.watch()
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
