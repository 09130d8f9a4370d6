package zodiac

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/zodiac-go/zodiac/internal/coarse"
	"github.com/zodiac-go/zodiac/internal/flight"
	"github.com/zodiac-go/zodiac/internal/tier"
)

// A Cache keeps values of type V by keys of type K, in memory or in a store. It is what a [Loader] is made of, and by itself for
// values that the caller stores, or fetches with a function given at the call ([Cache.GetOrFetch]).
//
// A Cache is safe for concurrent use. Make it with [NewCache]; the zero Cache is not usable.
type Cache[K comparable, V any] struct {
	e engine[K, V]
}

// An engine is all of a Cache. Its methods are not the Cache's: those, with a wrapper or two for each type that embeds it, would be
// compiled for every pair of types, called or not.
type engine[K comparable, V any] struct {
	mem     *tier.Tier[K, V]
	hits    striped
	flights *flight.Group[tier.Key[K], job[K, V]]
	core

	failures *tier.Tier[K, error] // remembered errors; nil without WithErrorTTL
	turns    turnstile[tier.Key[K]]
	flat     bool // see isFlat; used over a store only
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
	made := &Cache[K, V]{engine[K, V]{
		core: core{
			name: s.name, observer: s.observer, logger: s.logger, clock: coarse.New(), tags: newTagSpace(),
			own: s.tags, tagged: s.tagsFunc != nil,
		},
		hits:    newStriped(),
		flights: flight.NewGroup[tier.Key[K], job[K, V]](s.far.store != nil),
		set:     s,
	}}
	c := &made.e
	long := s.validIf != nil || s.clone != nil || s.far.store != nil && s.far.memory == 0
	capacity := s.capacity
	if s.far.store != nil && s.far.memory == 0 {
		capacity = 1 // nothing is ever put there
	}
	c.mem = tier.New[K, V](capacity, byText, long, c.clock)
	if s.life.failed != 0 {
		c.failures = tier.New[K, error](s.capacity, byText, true, c.clock)
	}
	for _, name := range s.tags {
		c.labels = append(c.labels, c.tags.label(name))
	}
	if s.far.store != nil {
		c.connect()
	}
	return made
}

func (c *Cache[K, V]) target() any {
	if c == nil {
		return nil
	}
	return &c.e.core
}

// An Entry describes what a cache holds for a key. It is a snapshot.
type Entry[V any] struct {
	Value   V
	Created time.Time     // when its fetch began, or it was set
	Age     time.Duration // time since
	Left    time.Duration // until it expires; Forever if it does not
	Stale   bool          // past its soft expiry; never without a stale window
	Kind    Kind
	Tags    []string // in no order; nil if there are none
}

// GetOrFetch returns the value of key, calling fetch for it if there is none. It shares and stores the result like
// [Loader.Get]; on a Loader, the two share with each other, so fetch may not be the function that is called. A nil fetch
// is an error, even if there is a value.
func (c *Cache[K, V]) GetOrFetch(ctx context.Context, key K, fetch func(context.Context, K) (V, error)) (V, error) {
	if fetch == nil {
		var zero V
		return zero, fmt.Errorf("zodiac: loader %q: GetOrFetch: the fetch function is nil", c.e.set.name)
	}
	absent := false
	state := stateOf(ctx)
	if state == nil {
		var e *tier.Entry[K, V]
		if e, absent = c.e.mem.Hit(key); e != nil {
			c.e.hits.add()
			return e.Value, nil
		}
	}
	return c.e.get(ctx, key, fetch, state, Mode{}, absent)
}

// detailed reports whether the entry for *value, or for a None if none is not nil, has more to say than the value.
func (c *engine[K, V]) detailed(value *V, none error, tags []tier.Tag) bool {
	return none != nil || len(tags) > 0 || c.set.life.sliding || c.isNil(value)
}

func (c *engine[K, V]) isNil(value *V) bool { return c.set.isNil != nil && c.set.isNil(*value) }

// entry returns a new entry for *value, or for a None if none is not nil.
func (c *engine[K, V]) entry(place *tier.Key[K], created int64, value *V, none error, life time.Duration, tags []tier.Tag) *tier.Entry[K, V] {
	e := c.mem.NewEntry(place, created, c.detailed(value, none, tags))
	if d := e.Detail(); d != nil {
		d.Nil, d.None, d.Tags = none == nil && c.isNil(value), none, tags
		d.Life.Store(int64(c.set.life.slide(life)))
	}
	if none == nil {
		e.Value = *value
	}
	return e
}

// put stores an entry at now for so long. The caller holds the key's lock of flights.
func (c *engine[K, V]) put(place *tier.Key[K], e *tier.Entry[K, V], life time.Duration, now int64) {
	e.ExpireAt(expiry(now, life))
	c.mem.Put(place, e, now)
	if c.failures != nil {
		c.failures.Delete(place)
	}
}

// remove takes out whatever a place has, and reports whether it was alive. The caller holds the key's lock of flights.
func (c *engine[K, V]) remove(place *tier.Key[K]) bool {
	if c.failures != nil {
		c.failures.Delete(place)
	}
	return c.mem.Delete(place)
}

// remember keeps the error of a fetch for WithErrorTTL. The caller holds the key's lock of flights.
func (c *engine[K, V]) remember(place *tier.Key[K], err error) {
	now := c.clock.Now()
	e := c.failures.NewEntry(place, now, false)
	e.Value = err
	e.ExpireAt(expiry(now, c.set.life.shorten(c.set.life.failed)))
	c.failures.Put(place, e, now)
}

// recall returns the error remembered for a place, or nil.
func (c *engine[K, V]) recall(place *tier.Key[K]) error {
	if c.failures == nil {
		return nil
	}
	if e := c.failures.Find(place); c.failures.Alive(e) {
		return e.Value
	}
	return nil
}

// remembered returns the error that a Get has to return instead of fetching, or nil.
func (c *engine[K, V]) remembered(g *getting[K, V]) error {
	if g.mode.NoRead {
		return nil
	}
	if err := c.recall(&g.place); err != nil {
		return &RememberedError{err}
	}
	return nil
}

// copied returns a copy of *v, if values are to be copied. It may panic.
func (c *engine[K, V]) copied(v *V) *V {
	if c.set.clone == nil || c.isNil(v) {
		return v
	}
	out := c.set.clone(*v)
	return &out
}

// cloned is copied on the caller's goroutine.
func (c *engine[K, V]) cloned(v V) (V, error) {
	if c.set.clone == nil {
		return v, nil
	}
	return c.clonedSlow(v)
}

func (c *engine[K, V]) clonedSlow(v V) (out V, err error) {
	err = c.guard("WithClone", func() { out = *c.copied(&v) })
	return out, err
}

func (c *core) count(n counter, sinks []*counters) {
	c.counts[n].Add(1)
	for _, s := range sinks {
		s[n].Add(1)
	}
}

func (c *engine[K, V]) hit(sinks []*counters) {
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
// true, its error). It counts as a read that may not fetch, and does not spare the entry from eviction. The other errors are
// [ErrClosed], a *[KeyError], and a *[PanicError] of ValidIf or WithClone.
func (c *Cache[K, V]) Peek(ctx context.Context, key K) (V, bool, error) {
	g := c.e.newPeek(ctx, key)
	if err := c.e.locate(&g, "Peek"); err != nil {
		var zero V
		return zero, false, err
	}
	if c.e.remote != nil {
		a, ok := c.e.peekShared(&g, false)
		return a.value, ok, a.err
	}
	_, a, ok := c.e.peek(&g)
	return a.value, ok, a.err
}

// Entry is [Cache.Peek] with all there is to know. Of a None it returns an Entry and its error.
func (c *Cache[K, V]) Entry(ctx context.Context, key K) (Entry[V], bool, error) {
	g := c.e.newPeek(ctx, key)
	if err := c.e.locate(&g, "Entry"); err != nil {
		return Entry[V]{}, false, err
	}
	if c.e.remote != nil {
		return c.e.entryShared(&g)
	}
	e, a, ok := c.e.peek(&g)
	if !ok {
		return Entry[V]{}, false, a.err
	}
	d := c.e.describe(e)
	d.Value = a.value
	return d, true, a.err
}

// newPeek is a Get that does what its name says in any mode.
func (c *engine[K, V]) newPeek(ctx context.Context, key K) getting[K, V] {
	state := stateOf(ctx)
	return getting[K, V]{ctx: ctx, key: key, state: state, sinks: state.collectors(), mode: Mode{NoWrite: true, NoFetch: true}}
}

// peek reads without using. ok says whether there is a usable entry; a panic of an option's function is no entry.
func (c *engine[K, V]) peek(g *getting[K, V]) (e *tier.Entry[K, V], a answer[V], ok bool) {
	if e = c.usable(&g.place, g.sinks); e != nil {
		if a, ok = c.open(g, e); ok {
			return e, a, a.err == nil || isNone(a.err)
		}
	}
	c.count(missed, g.sinks)
	return nil, a, false
}

// describe returns the snapshot of an entry, with the value as memory has it.
func (c *engine[K, V]) describe(e *tier.Entry[K, V]) Entry[V] {
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

// Len returns the number of entries in memory, those included that have expired unnoticed. The janitor takes them out
// within about a second.
func (c *Cache[K, V]) Len() int { return c.e.mem.Len() }

// Stats returns the counts since construction. It takes a lock per part of memory for a moment.
func (c *Cache[K, V]) Stats() Stats {
	s := c.e.counts.stats()
	s.HitMemory = c.e.hits.sum()
	s.sum()
	var dropped uint64
	s.Evicted, s.Expired, dropped = c.e.mem.Stats()
	s.Invalid += dropped
	s.Size = c.e.mem.Len()
	return s
}

// Close ends the cache. From now on every call gets [ErrClosed], but for Fetch and [Bypass]; who waits for a fetch
// still gets its result, and Close waits until all fetches have returned and the timers are stopped.
//
// If ctx ends first, those who wait get ErrClosed, the fetches are told to stop by their contexts, and the error says
// which loader was busy. Closing twice is fine: the second Close waits too. A fetch or an Observer that calls Close waits for
// itself until ctx ends.
func (c *Cache[K, V]) Close(ctx context.Context) error {
	c.e.closed.Store(true)
	c.e.flights.Close()
	c.e.mem.Close()
	if c.e.failures != nil {
		c.e.failures.Close()
	}
	err := c.e.flights.Drain(ctx)
	if err != nil {
		c.e.flights.FailAll(ErrClosed, func(f *flight.Flight[tier.Key[K], job[K, V]]) { f.Job.abandon() })
	}
	if c.e.remote != nil {
		err = errors.Join(err, c.e.disconnect(ctx))
	}
	c.e.clock.Stop()
	if err != nil {
		return fmt.Errorf("zodiac: Close: %w; still busy: loader %q", err, c.e.set.name)
	}
	return nil
}
