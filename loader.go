package zodiac

import (
	"context"
	"errors"

	"github.com/zodiac-go/zodiac/internal/tier"
)

// A Loader is a function with a [Cache] in front of it. Its methods besides those below are the Cache's.
//
// A Loader is safe for concurrent use. Make it with [NewLoader]; the zero Loader is not usable.
type Loader[K comparable, V any] struct {
	*Cache[K, V]
	fetch func(context.Context, K) (V, error)
}

// NewLoader returns a Loader for fetch. It panics with a [*SettingError] that lists every wrong setting.
//
// The function is called for one key at a time, however many ask for it, on a goroutine of its own, with a context that has
// the values, but not the end, of the first caller's: it ends when nobody waits any more. A second call beside it happens
// only where the first one's result is not for everybody: an invalidation came in between, its callers have left while
// it still runs, or a mode says so.
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

// Get returns the value for key, calling the function if no usable entry is stored.
//
// Concurrent calls for one key share a single call of the function. If ctx ends first, Get returns its error, and the
// function goes on for the other callers; when the last has left, its context ends. An error of the function is returned
// as it is to everyone waiting, and is not stored (but see [NoneIf] and [WithErrorTTL]). A value in memory is returned
// even if ctx has ended. Modes such as [Overwrite] and [ReadOnly] in ctx change what Get does.
//
// The other errors are [ErrNone] for what is known not to exist, [ErrMiss] under ReadOnly, a *[PanicError] if the function
// or one of an option panicked, [ErrCycle] to a function that would wait for itself, and [ErrClosed]. A key without text
// (see [KeyError]) is fetched on the caller's goroutine, and the Observer told.
//
// Over a store, Get also waits for another process that fetches the key, as long as [WithWait] says; then it may return [ErrBusy].
// Its faults do not reach the caller without [FailClosed].
func (l *Loader[K, V]) Get(ctx context.Context, key K) (V, error) {
	absent := false
	state := stateOf(ctx)
	if state == nil {
		var e *tier.Entry[K, V]
		if e, absent = l.mem.Hit(key); e != nil {
			l.hits.add()
			return e.Value, nil
		}
	}
	return l.get(ctx, key, l.fetch, state, Mode{}, absent)
}

// Refresh calls the function and replaces the entry of key: it is Get under [Overwrite], with the errors of Get. If the
// function fails, the old entry stays.
func (l *Loader[K, V]) Refresh(ctx context.Context, key K) (V, error) {
	return l.get(ctx, key, l.fetch, stateOf(ctx), Mode{NoRead: true}, false)
}

// Fetch calls the function itself, on the caller's goroutine and with the caller's context. Nothing is read, stored, shared
// or counted, and a panic passes through.
func (l *Loader[K, V]) Fetch(ctx context.Context, key K) (V, error) {
	return l.fetch(stateOf(ctx).within(ctx), key)
}
