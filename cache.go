package zodiac

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/zodiac-go/zodiac/internal/coarse"
	"github.com/zodiac-go/zodiac/internal/flight"
	"github.com/zodiac-go/zodiac/internal/tier"
)

// A Cache keeps values of type V by keys of type K, in memory. It is what a [Loader] is made of, and by itself for
// values that the caller stores, or fetches with a function given at the call ([Cache.GetOrFetch]).
//
// A Cache is safe for concurrent use. Make it with [NewCache]; the zero Cache is not usable.
type Cache[K comparable, V any] struct {
	mem     *tier.Tier[K, V]
	hits    striped
	flights *flight.Group[tier.Key[K], job[K, V]]
	clock   *coarse.Clock
	tags    *tagSpace
	labels  []*tier.Label // of the loader's own tags

	failures *tier.Tier[K, error] // remembered errors; nil without WithErrorTTL
	turns    turnstile[tier.Key[K]]
	counts   counters
	closed   atomic.Bool
	set      settings[K, V]
}

// NewCache returns an empty Cache. It panics with a [*SettingError] that lists every wrong setting.
func NewCache[K comparable, V any](opts ...Option) *Cache[K, V] {
	c, err := TryNewCache[K, V](opts...)
	if err != nil {
		panic(err)
	}
	return c
}

// TryNewCache is [NewCache] that returns the error.
func TryNewCache[K comparable, V any](opts ...Option) (*Cache[K, V], error) {
	s, err := resolve[K, V]("NewCache", nil, opts)
	if err != nil {
		return nil, err
	}
	return newCache(s), nil
}

func newCache[K comparable, V any](s settings[K, V]) *Cache[K, V] {
	byText := !s.keys.plain
	c := &Cache[K, V]{
		hits:    newStriped(),
		flights: flight.NewGroup[tier.Key[K], job[K, V]](),
		clock:   coarse.New(),
		tags:    newTagSpace(),
		set:     s,
	}
	long := s.validIf != nil || s.clone != nil
	c.mem = tier.New[K, V](s.capacity, byText, long, c.clock)
	if s.life.failed != 0 {
		c.failures = tier.New[K, error](s.capacity, byText, true, c.clock)
	}
	for _, name := range s.tags {
		c.labels = append(c.labels, c.tags.label(name))
	}
	return c
}

func (c *Cache[K, V]) target() any {
	if c == nil {
		return nil
	}
	return c
}

// An Entry describes what a cache holds for a key. It is a snapshot.
type Entry[V any] struct {
	Value   V
	Created time.Time     // when its fetch began, or it was set
	Age     time.Duration // time since
	Left    time.Duration // until it expires; Forever if it does not
	Stale   bool          // past its soft expiry; never without a stale window
	Kind    Kind
	Tags    []string
}

// GetOrFetch returns the value of key, calling fetch for it if there is none. It shares and stores the result like
// [Loader.Get]; on a Loader, the two share with each other, so fetch may not be the function that is called. A nil fetch
// is an error, even if there is a value.
func (c *Cache[K, V]) GetOrFetch(ctx context.Context, key K, fetch func(context.Context, K) (V, error)) (V, error) {
	if fetch == nil {
		var zero V
		return zero, fmt.Errorf("zodiac: loader %q: GetOrFetch: the fetch function is nil", c.set.name)
	}
	absent := false
	state := stateOf(ctx)
	if state == nil {
		var e *tier.Entry[K, V]
		if e, absent = c.mem.Hit(key); e != nil {
			c.hits.add()
			return e.Value, nil
		}
	}
	return c.get(ctx, key, fetch, state, Mode{}, absent)
}

// get is the long way of a Get, with further restrictions. absent says that the short way found nothing.
func (c *Cache[K, V]) get(ctx context.Context, key K, fetch func(context.Context, K) (V, error), state *callState, also Mode, absent bool) (V, error) {
	g := c.newGet(ctx, key, state, also)
	if g.bypasses() {
		return c.bypass(&g, fetch)
	}
	if err := c.locate(&g, "Get"); err != nil {
		return c.uncached(&g, fetch, err)
	}
	if !absent {
		if v, err, ok := c.read(&g); ok {
			return v, err
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
}

func (c *Cache[K, V]) newGet(ctx context.Context, key K, state *callState, also Mode) getting[K, V] {
	mode := state.mode(c)
	mode.NoRead = mode.NoRead || also.NoRead
	mode.NoWrite = mode.NoWrite || also.NoWrite
	mode.NoFetch = mode.NoFetch || also.NoFetch
	return getting[K, V]{ctx: ctx, key: key, state: state, inner: state.inner(), sinks: state.collectors(), mode: mode}
}

// bypasses reports whether only the function may be used.
func (g *getting[K, V]) bypasses() bool { return g.mode.NoRead && g.mode.NoWrite && !g.mode.NoFetch }

// bypass calls the function as if there were no cache. A panic passes through.
func (c *Cache[K, V]) bypass(g *getting[K, V], fetch func(context.Context, K) (V, error)) (V, error) {
	c.count(bypassed, g.sinks)
	return fetch(g.state.within(g.ctx), g.key)
}

// locate finds the key's place, or says why it has none.
func (c *Cache[K, V]) locate(g *getting[K, V], op string) (err error) {
	g.place, err = c.place(g.key, op)
	return err
}

// place returns where key is in memory. The error is ErrClosed or a *KeyError.
func (c *Cache[K, V]) place(key K, op string) (tier.Key[K], error) {
	if c.closed.Load() {
		return tier.Key[K]{}, ErrClosed
	}
	return c.placeOf(key, op)
}

// placeOf is place whether or not the cache is closed.
func (c *Cache[K, V]) placeOf(key K, op string) (tier.Key[K], error) {
	if c.set.keys.plain {
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
func (c *Cache[K, V]) uncached(g *getting[K, V], fetch func(context.Context, K) (V, error), err error) (V, error) {
	var zero V
	if errors.Is(err, ErrClosed) {
		return zero, ErrClosed
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

// read looks into memory. ok is false if there is nothing that this caller may use.
func (c *Cache[K, V]) read(g *getting[K, V]) (value V, err error, ok bool) { //nolint:revive,staticcheck // err is what the reader gets, ok whether there is something
	if g.mode.NoRead {
		return value, nil, false
	}
	e := c.usable(&g.place, g.sinks)
	if e == nil {
		return value, nil, false
	}
	value, err, ok = c.open(g, e)
	if ok && !g.mode.NoWrite {
		e.Use()
		if d := e.Detail(); d != nil && d.Life > 0 {
			e.Slide(c.clock.Exact())
		}
	}
	return value, err, ok
}

// usable returns the entry of a place if it is alive. One whose tag was deleted is dropped.
func (c *Cache[K, V]) usable(place *tier.Key[K], sinks []*counters) *tier.Entry[K, V] {
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
func (c *Cache[K, V]) open(g *getting[K, V], e *tier.Entry[K, V]) (value V, err error, ok bool) { //nolint:revive,staticcheck // as read
	if e == g.refused {
		return value, nil, false
	}
	if c.set.validIf != nil {
		valid := false
		if err := c.guard("ValidIf", func() { valid = c.set.validIf(g.key, c.describe(e)) }); err != nil {
			c.count(failed, g.sinks)
			return value, err, true
		}
		if !valid {
			g.refused = e
			c.count(invalid, g.sinks)
			return value, nil, false
		}
	}
	if d := e.Detail(); d != nil && d.None != nil {
		c.hit(g.sinks)
		return value, d.None, true
	}
	if value, err = c.cloned(e.Value); err != nil {
		c.count(failed, g.sinks)
		return value, err, true
	}
	c.hit(g.sinks)
	return value, nil, true
}

// describe returns the snapshot of an entry, with the value as memory has it.
func (c *Cache[K, V]) describe(e *tier.Entry[K, V]) Entry[V] {
	now := c.clock.Now()
	d := Entry[V]{Value: e.Value, Created: c.clock.Time(e.Created), Age: time.Duration(max(0, now-e.Created)), Left: Forever}
	if end := e.Expiry(); end != coarse.Never {
		d.Left = time.Duration(max(0, end-now))
	}
	if t := e.Detail(); t != nil {
		switch {
		case t.None != nil:
			d.Kind = KindNone
		case t.Nil:
			d.Kind = KindNil
		}
		d.Tags = namesOf(t.Tags)
	}
	return d
}

// load gets the value from a flight: one that others began, or its own.
func (c *Cache[K, V]) load(g *getting[K, V], fetch func(context.Context, K) (V, error)) (V, error) {
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
			if v, err, ok := c.read(g); ok {
				return v, err
			}
		default:
			if v, err, ok := c.wait(g, f, role); ok {
				return v, err
			}
		}
	}
}

// join finds or begins the flight for a Get. It returns nil if memory has something after all.
func (c *Cache[K, V]) join(g *getting[K, V], fetch func(context.Context, K) (V, error)) (f *flight.Flight[tier.Key[K], job[K, V]], role flight.Role, err error) {
	kind := flight.Plain
	var joins func(*flight.Flight[tier.Key[K], job[K, V]]) bool
	if g.inner.has(noRead) { // what others began may be made of what this caller does not want read
		kind = flight.Forced
		joins = func(f *flight.Flight[tier.Key[K], job[K, V]]) bool { return g.inner.sameRules(f.Job.ctx.inner) }
	}
	var look func() bool
	if g.mode.NoRead {
		kind = flight.Forced
	} else {
		look = func() bool {
			e := c.mem.Find(&g.place)
			return e != g.refused && c.mem.Alive(e) || c.recall(&g.place) != nil
		}
	}
	if g.mode.NoWrite {
		kind = flight.Aside
	}
	g.within = linkOf(g.ctx)
	f, role, err = c.flights.Join(g.place, g.place.Hash, kind, joins, g.within, look,
		func(f *flight.Flight[tier.Key[K], job[K, V]]) { f.Job.begin(g, fetch, flight.Link{Flight: f}) })
	if role == flight.Leads {
		c.start(f)
	}
	return f, role, err
}

// wait waits for a flight under the caller's own context. ok is false if what it brought is not for this caller, who has to
// try again.
func (c *Cache[K, V]) wait(g *getting[K, V], f *flight.Flight[tier.Key[K], job[K, V]], role flight.Role) (value V, err error, ok bool) { //nolint:revive,staticcheck // as read
	in := f.Wait(g.ctx.Done())
	g.within.Waited(f)
	if !in {
		c.leave(f)
		c.count(left, g.sinks)
		return value, g.ctx.Err(), true
	}
	value, err = c.outcome(f)
	switch {
	case err != nil && role == flight.Joined && f.Job.ctx.inner.has(noFetch):
		return value, err, false // the rules of the one who began it may have made it fail
	case err != nil && !isNone(err):
		c.count(failed, g.sinks)
	case role == flight.Joined:
		c.count(shared, g.sinks)
	default:
		c.count(fetched, g.sinks)
	}
	return value, err, true
}

// outcome returns what a caller gets of a flight that is over.
func (c *Cache[K, V]) outcome(f *flight.Flight[tier.Key[K], job[K, V]]) (V, error) {
	if err := f.Err(); err != nil {
		var zero V
		return zero, err
	}
	return c.cloned(f.Job.result.entry.Value)
}

// leave takes a caller out of a flight. If it was the last, the function is told to stop.
func (c *Cache[K, V]) leave(f *flight.Flight[tier.Key[K], job[K, V]]) {
	last, next := c.flights.Leave(f)
	if last {
		f.Job.ctx.cancel()
	}
	if next != nil {
		c.start(next)
	}
}

// detailed reports whether the entry for *value, or for a None if none is not nil, has more to say than the value.
func (c *Cache[K, V]) detailed(value *V, none error, life time.Duration, tags []tier.Tag) bool {
	return none != nil || len(tags) > 0 || c.set.life.slide(life) > 0 || c.isNil(value)
}

func (c *Cache[K, V]) isNil(value *V) bool { return c.set.isNil != nil && c.set.isNil(*value) }

// entry returns a new entry for *value, or for a None if none is not nil.
func (c *Cache[K, V]) entry(place *tier.Key[K], created int64, value *V, none error, life time.Duration, tags []tier.Tag) *tier.Entry[K, V] {
	e := c.mem.NewEntry(place, created, c.detailed(value, none, life, tags))
	if d := e.Detail(); d != nil {
		d.Nil, d.None, d.Life, d.Tags = none == nil && c.isNil(value), none, c.set.life.slide(life), tags
	}
	if none == nil {
		e.Value = *value
	}
	return e
}

// put stores an entry that lives so long. The caller holds the key's lock of flights.
func (c *Cache[K, V]) put(place *tier.Key[K], e *tier.Entry[K, V], life time.Duration) {
	now := c.clock.Now()
	e.ExpireAt(expiry(now, life))
	c.mem.Put(place, e, now)
	if c.failures != nil {
		c.failures.Delete(place)
	}
}

// remove takes out whatever a place has, and reports whether it was alive. The caller holds the key's lock of flights.
func (c *Cache[K, V]) remove(place *tier.Key[K]) bool {
	if c.failures != nil {
		c.failures.Delete(place)
	}
	return c.mem.Delete(place)
}

// remember keeps the error of a fetch for WithErrorTTL. The caller holds the key's lock of flights.
func (c *Cache[K, V]) remember(place *tier.Key[K], err error) {
	now := c.clock.Now()
	e := c.failures.NewEntry(place, now, false)
	e.Value = err
	e.ExpireAt(expiry(now, c.set.life.shorten(c.set.life.failed)))
	c.failures.Put(place, e, now)
}

// recall returns the error remembered for a place, or nil.
func (c *Cache[K, V]) recall(place *tier.Key[K]) error {
	if c.failures == nil {
		return nil
	}
	if e := c.failures.Find(place); c.failures.Alive(e) {
		return e.Value
	}
	return nil
}

// remembered returns the error that a Get has to return instead of fetching, or nil.
func (c *Cache[K, V]) remembered(g *getting[K, V]) error {
	if g.mode.NoRead {
		return nil
	}
	if err := c.recall(&g.place); err != nil {
		return &RememberedError{err}
	}
	return nil
}

// copied returns a copy of *v, if values are to be copied. It may panic.
func (c *Cache[K, V]) copied(v *V) *V {
	if c.set.clone == nil || c.isNil(v) {
		return v
	}
	out := c.set.clone(*v)
	return &out
}

// cloned is copied on the caller's goroutine.
func (c *Cache[K, V]) cloned(v V) (V, error) {
	if c.set.clone == nil {
		return v, nil
	}
	return c.clonedSlow(v)
}

func (c *Cache[K, V]) clonedSlow(v V) (out V, err error) {
	err = c.guard("WithClone", func() { out = *c.copied(&v) })
	return out, err
}

func (c *Cache[K, V]) count(n counter, sinks []*counters) {
	c.counts[n].Add(1)
	for _, s := range sinks {
		s[n].Add(1)
	}
}

func (c *Cache[K, V]) hit(sinks []*counters) {
	c.hits.add()
	for _, s := range sinks {
		s[hitMemory].Add(1)
	}
}

// collectors returns the counters that CollectStats put into a context.
func (s *callState) collectors() []*counters {
	if s == nil {
		return nil
	}
	return s.sinks
}

// Peek returns the value of key if there is a usable one; it never fetches, waits or extends a life. A None is (zero,
// true, its error). It counts as a read that may not fetch, and does not spare the entry from eviction.
func (c *Cache[K, V]) Peek(ctx context.Context, key K) (V, bool, error) {
	g := c.newPeek(ctx, key)
	if err := c.locate(&g, "Peek"); err != nil {
		var zero V
		return zero, false, err
	}
	_, v, err, ok := c.peek(&g)
	return v, ok, err
}

// Entry is [Cache.Peek] with all there is to know. Of a None it returns an Entry and its error.
func (c *Cache[K, V]) Entry(ctx context.Context, key K) (Entry[V], bool, error) {
	g := c.newPeek(ctx, key)
	if err := c.locate(&g, "Entry"); err != nil {
		return Entry[V]{}, false, err
	}
	e, v, err, ok := c.peek(&g)
	if e == nil {
		return Entry[V]{}, ok, err
	}
	d := c.describe(e)
	d.Value = v
	return d, ok, err
}

// newPeek is a Get that does what its name says in any mode.
func (c *Cache[K, V]) newPeek(ctx context.Context, key K) getting[K, V] {
	state := stateOf(ctx)
	return getting[K, V]{ctx: ctx, key: key, state: state, sinks: state.collectors(), mode: Mode{NoWrite: true, NoFetch: true}}
}

func (c *Cache[K, V]) peek(g *getting[K, V]) (e *tier.Entry[K, V], value V, err error, ok bool) { //nolint:revive,staticcheck // as read
	if e = c.usable(&g.place, g.sinks); e != nil {
		if value, err, ok = c.open(g, e); ok {
			_, bug := errors.AsType[*PanicError](err)
			return e, value, err, !bug
		}
	}
	c.count(missed, g.sinks)
	return nil, value, nil, false
}

// Len returns the number of entries in memory, those included that have expired unnoticed. The janitor takes them out
// within about a second.
func (c *Cache[K, V]) Len() int { return c.mem.Len() }

// Stats returns the counts since construction. It takes a lock per part of memory for a moment.
func (c *Cache[K, V]) Stats() Stats {
	s := c.counts.stats()
	s.HitMemory = c.hits.sum()
	s.sum()
	s.Evicted, s.Expired = c.mem.Stats()
	s.Size = c.mem.Len()
	return s
}

// Close ends the cache. From now on every call gets [ErrClosed], but for Fetch and [Bypass]; who waits for a fetch
// still gets its result, and Close waits until all fetches have returned and the timers are stopped.
//
// If ctx ends first, those who wait get ErrClosed, the fetches are told to stop by their contexts, and the error says
// which loader was busy. Closing twice is fine: the second Close waits too.
func (c *Cache[K, V]) Close(ctx context.Context) error {
	c.closed.Store(true)
	c.flights.Close()
	c.mem.Close()
	if c.failures != nil {
		c.failures.Close()
	}
	err := c.flights.Drain(ctx)
	c.clock.Stop()
	if err != nil {
		c.flights.FailAll(ErrClosed, func(f *flight.Flight[tier.Key[K], job[K, V]]) { f.Job.ctx.cancel() })
		return fmt.Errorf("zodiac: Close: %w; still busy: loader %q", err, c.set.name)
	}
	return nil
}
