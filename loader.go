package zodiac

import (
	"context"
	"errors"

	"github.com/zodiac-go/zodiac/internal/callstate"
	"github.com/zodiac-go/zodiac/internal/tier"
)

// A Loader is a fetch function with a [Cache] in front of it, and has the methods of Cache too.
//
// A Loader is safe for concurrent use. Make it with [NewLoader]. Methods of a zero or nil one panic.
type Loader[K comparable, V any] struct {
	*Cache[K, V]
	fetch func(context.Context, K) (V, error)
}

// NewLoader returns a Loader for fetch. It panics with a [*SettingError] of all wrong settings.
//
// However many callers ask for a key, fetch is called once. It runs on a goroutine of its own. Its
// context has the values of the first caller's context, but not its end: it ends when no caller
// waits any more. A second call beside the first happens only where the result of the first is not
// for everybody: an invalidation came in between, all its callers have left, or a [Mode] says so.
func NewLoader[K comparable, V any](fetch func(context.Context, K) (V, error), opts ...Option) *Loader[K, V] {
	l, err := TryNewLoader(fetch, opts...)
	if err != nil {
		panic(err)
	}
	return l
}

// TryNewLoader is [NewLoader] that returns the error.
func TryNewLoader[K comparable, V any](fetch func(context.Context, K) (V, error), opts ...Option) (*Loader[K, V], error) {
	if fetch == nil {
		opts = append([]Option{option(func(c *config) { c.fault("fetch", errors.New("the function is nil")) })}, opts...)
	}
	s, err := resolve[K, V]("NewLoader", fetch, opts)
	if err != nil {
		return nil, err
	}
	return &Loader[K, V]{newCache(s), fetch}, nil
}

func (l *Loader[K, V]) target() any {
	if l == nil {
		return nil
	}
	return l.Cache.target()
}

// made returns the engine of a Loader. It panics if the Loader was not made by a constructor.
func (l *Loader[K, V]) made() *engine[K, V] {
	if l == nil {
		panic(notMade)
	}
	return l.Cache.made()
}

// Get returns the value for key. If no usable entry is stored, it calls the fetch function.
//
// Concurrent calls for one key share one fetch. If ctx ends first, Get returns its error, and the
// fetch goes on for the other callers. When the last caller has left, the context of the fetch is
// canceled. An error of the fetch is returned as it is to everyone waiting and is not stored; but
// see [NoneIf] and [WithErrorTTL]. A value in memory is returned even if ctx has ended. A [Mode] in
// ctx, such as [Overwrite] or [ReadOnly], changes what Get does.
//
// The other errors are [ErrNone] for a key that is known not to exist, [ErrMiss] under ReadOnly, a
// [*PanicError] if the fetch or a function of an option panicked, [ErrCycle] for a fetch that would
// wait for itself, and [ErrClosed]. A key without text (see [KeyError]) is fetched on the caller's
// goroutine and not cached.
//
// Over a store, Get also waits for another process that fetches the key, for as long as [WithWait]
// says. Then it may return [ErrBusy]. A failure of the store reaches the caller only with
// [FailClosed].
func (l *Loader[K, V]) Get(ctx context.Context, key K) (V, error) {
	e := l.made()
	absent := false
	state := stateOf(ctx)
	if state == nil {
		var hit *tier.Entry[K, V]
		if hit, absent = e.mem.Hit(key); hit != nil {
			e.hits.Add()
			return hit.Value, nil
		}
	}
	return e.get(ctx, key, l.fetch, state, callstate.Mode{}, absent)
}

// Refresh calls the fetch function and replaces the entry of key. It is Get under [Overwrite], with
// the errors of Get. If the fetch fails, the old entry stays.
func (l *Loader[K, V]) Refresh(ctx context.Context, key K) (V, error) {
	return l.made().get(ctx, key, l.fetch, stateOf(ctx), callstate.Mode{NoRead: true}, false)
}

// Fetch calls the fetch function on the caller's goroutine and with the caller's context. Nothing
// is read, stored, shared or counted. A panic passes through.
func (l *Loader[K, V]) Fetch(ctx context.Context, key K) (V, error) {
	l.made()
	return l.fetch(stateOf(ctx).Within(ctx), key)
}
