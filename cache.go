package zodiac

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync/atomic"

	"github.com/zodiac-go/zodiac/internal/callstate"
	"github.com/zodiac-go/zodiac/internal/coarse"
	"github.com/zodiac-go/zodiac/internal/faultlog"
	"github.com/zodiac-go/zodiac/internal/flat"
	"github.com/zodiac-go/zodiac/internal/flight"
	"github.com/zodiac-go/zodiac/internal/limiter"
	"github.com/zodiac-go/zodiac/internal/negative"
	"github.com/zodiac-go/zodiac/internal/record"
	"github.com/zodiac-go/zodiac/internal/remote"
	"github.com/zodiac-go/zodiac/internal/striped"
	"github.com/zodiac-go/zodiac/internal/tag"
	"github.com/zodiac-go/zodiac/internal/tier"
	"github.com/zodiac-go/zodiac/internal/turnstile"
)

// A Cache keeps values of type V by keys of type K, in memory or in a store. It is the part of a
// [Loader] that does not depend on a fetch function. By itself it is for values that the program
// sets, or fetches by a function given with the call ([Cache.GetOrFetch]).
//
// A Cache is safe for concurrent use. Make it with [NewCache]. Methods of a zero or nil Cache panic.
type Cache[K comparable, V any] struct {
	e engine[K, V]
}

// An engine is all of a Cache. It is a type of its own because of compile time: every exported
// method of Cache is compiled for every pair of types, used or not, with a wrapper for each type
// that embeds it. An engine is never put into an interface, so only the methods in use are
// compiled.
type engine[K comparable, V any] struct {
	mem     *tier.Tier[K, V]
	hits    striped.Counter
	flights *flight.Group[tier.Key[K], job[K, V]]
	core

	failures *negative.Cache                  // remembered errors; nil without WithErrorTTL
	left     *negative.Cache                  // errors that this process has left in the store; nil likewise
	updates  turnstile.Turnstile[tier.Key[K]] // Updates of a key take turns
	limiter  *limiter.Limiter                 // of fetches that run; nil without WithFetchLimit
	flat     bool                             // see package flat; set over a store only
	opts     settings[K, V]
}

// A core is the part of an engine that does not depend on its types. Methods belong here rather
// than to the engine where they can: every pair of types compiles the methods of engine anew.
type core struct {
	name     string
	observer Observer
	reporter *faultlog.Reporter
	clock    *coarse.Clock
	tags     *tag.Space
	labels   []*tier.Label // of the loader's own tags
	codec    Codec         // nil without a store
	maxBytes int           // of a record; 0 = no limit
	origin   record.Origin // of the records; zero without a store
	anyShape bool          // see IgnoreShape

	counts counters
	closed atomic.Bool

	saidTooManyTags atomic.Bool    // in the log
	remote          *remote.Client // nil without a store
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
	overStore := s.store.store != nil
	onlyStore := overStore && s.store.memory == 0
	made := &Cache[K, V]{engine[K, V]{
		core: core{
			name: s.name, observer: s.observer, reporter: faultlog.NewReporter(s.logger, "loader", s.name), clock: coarse.New(), tags: tag.NewSpace(),
			codec: s.store.codec, maxBytes: s.store.maxBytes,
		},
		hits:    striped.NewCounter(),
		flights: flight.NewGroup[tier.Key[K], job[K, V]](overStore),
		opts:    s,
	}}
	c := &made.e
	byText := !s.keys.Plain
	long := s.validIf != nil || s.clone != nil || onlyStore
	capacity := s.capacity
	if onlyStore {
		capacity = 1 // nothing is ever put there
	}
	c.mem = tier.New[K, V](capacity, byText, long, c.clock)
	if s.store.memory != 0 {
		c.mem.HoldsCopies()
	}
	if s.fetchLimit != 0 {
		c.limiter = limiter.New(s.fetchLimit)
	}
	if s.life.failed != 0 {
		c.failures = negative.New(s.capacity, byText, c.clock)
		if overStore {
			c.left = negative.New(s.capacity, byText, c.clock)
		}
	}
	for _, name := range s.tags {
		c.labels = append(c.labels, c.tags.Label(name))
	}
	if overStore {
		c.flat = flat.Is(reflect.TypeFor[V]())
		c.origin, c.anyShape = originOf(s.store.codec, reflect.TypeFor[V]()), s.store.anyShape
		c.remote = remote.New(c.remoteConfig())
	}
	return made
}

// remoteConfig returns what the cache's side of the store is made of.
func (c *engine[K, V]) remoteConfig() remote.Config {
	s := &c.opts.store
	cfg := remote.Config{
		Name: c.name, Store: s.store, Guard: s.guard, Names: s.names(),
		Lease: s.lease, Wait: s.wait, Fail: s.fail, Timeout: s.timeout, FailClosed: s.failClosed,
		Remembers: c.opts.life.failed != 0, Knows: func(text string) bool { return c.opts.errorsNamed.Error(text) != nil },
		NeedsLeft: s.memory != 0 || c.opts.validIf != nil || c.opts.life.sliding,
		Tags:      c.opts.tags, LateTags: c.opts.tagsFunc != nil, Space: c.tags,
		Clock: c.clock, Log: c.reporter.Log, LogFault: func(msg string, err error) { c.logFault(msg, c.storeError(err)) },
		Report: func(ctx context.Context, err error) { _ = c.storeFault(ctx, nil, err) },
	}
	if s.memory != 0 {
		cfg.Memory, cfg.MemoryLife = c.nearMemory(), s.memory
	}
	return cfg
}

// made returns the engine of a Cache. It panics if the Cache was not made by a constructor.
func (c *Cache[K, V]) made() *engine[K, V] {
	if c == nil || c.e.mem == nil {
		panic(notMade)
	}
	return &c.e
}

const notMade = "zodiac: this Loader or Cache was not made by NewLoader or NewCache"

func (c *Cache[K, V]) target() any {
	if c == nil || c.e.mem == nil {
		return nil
	}
	return &c.e.core
}

// Name returns the name that errors, events and logs give: see [WithName].
func (c *Cache[K, V]) Name() string { return c.made().name }

// GetOrFetch returns the value of key. If there is none it calls fetch, and shares and stores the
// result like [Loader.Get]. On a Loader, Get and GetOrFetch of a key share fetches, so fetch may not
// be the function that is called. A nil fetch is an error, even if there is a value.
func (c *Cache[K, V]) GetOrFetch(ctx context.Context, key K, fetch func(context.Context, K) (V, error)) (V, error) {
	e := c.made()
	if fetch == nil {
		var zero V
		return zero, fmt.Errorf("zodiac: loader %q: GetOrFetch: the fetch function is nil", e.name)
	}
	absent := false
	state := stateOf(ctx)
	if state == nil {
		var hit *tier.Entry[K, V]
		if hit, absent = e.mem.Hit(key); hit != nil {
			e.hits.Add()
			return hit.Value, nil
		}
	}
	return e.get(ctx, key, fetch, state, callstate.Mode{}, absent)
}

// Len returns the number of entries in memory, including those that have expired unnoticed. These
// are removed within about a second.
func (c *Cache[K, V]) Len() int { return c.made().mem.Len() }

// Stats returns the counts since construction. It briefly takes a lock for each part of memory.
func (c *Cache[K, V]) Stats() Stats {
	e := c.made()
	s := e.counts.stats()
	s.HitMemory = e.hits.Sum()
	s.sum()
	var dropped uint64
	s.Evicted, s.Expired, dropped = e.mem.Stats()
	s.Invalid += dropped
	s.Size = e.mem.Len()
	s.Unreported = e.reporter.Dropped()
	if e.remote != nil {
		s.Bus = BusStats(e.remote.BusStats())
	}
	return s
}

// Close ends the cache. From now on every method that reads or writes returns [ErrClosed]; only
// Fetch, and Get under [Bypass], still call the fetch function. Callers that wait for a fetch get
// its result. Close waits until all fetches have returned and the [Observer] and the log have been told
// all, and stops the timers. It does not close the [Store].
//
// If ctx ends first, callers that wait get ErrClosed, the contexts of the fetches are canceled, and
// the error of Close names the loader that was busy. A second Close waits too. A fetch or an
// [Observer] that calls Close waits for itself until ctx ends.
func (c *Cache[K, V]) Close(ctx context.Context) error {
	e := c.made()
	e.closed.Store(true)
	e.flights.Close()
	e.mem.Close()
	e.failures.Close()
	e.left.Close()
	err := e.flights.Drain(ctx)
	if err != nil {
		e.flights.FailAll(ErrClosed, func(f *flight.Flight[tier.Key[K], job[K, V]]) { f.Job.abandon() })
	}
	if e.remote != nil {
		err = errors.Join(err, e.remote.Close(ctx))
	}
	err = errors.Join(err, e.reporter.Close(ctx))
	e.clock.Stop()
	if err != nil {
		return fmt.Errorf("zodiac: Close: %w; still busy: loader %q", err, e.name)
	}
	return nil
}
