package zodiac

import (
	"context"
	"fmt"

	"github.com/zodiac-go/zodiac/internal/callstate"
)

// A Mode restricts what Get, GetOrFetch, GetMany and Refresh may do. The zero Mode restricts nothing.
// Modes only restrict: nested ones add up.
type Mode struct {
	NoRead  bool // do not use cached values
	NoWrite bool // do not store results
	NoFetch bool // do not call the fetch function, and never wait
	Nested  bool // also for loaders that the fetch function calls in turn, at any depth
}

// A Target is a [Loader] or a [Cache] that a mode can be aimed at.
type Target interface{ target() any } // nil for a nil Loader or Cache

// Bypass returns a context under which a loader is its fetch function: the function is called on the
// caller's goroutine with the caller's context, nothing is read, stored or shared, and a panic passes
// through.
//
// A mode is for the loader that is called with the context, and not for loaders that its fetch
// function calls in turn. With targets it is for those loaders, at any depth, and for no others. See
// [WithMode].
func Bypass(ctx context.Context, targets ...Target) context.Context {
	return WithMode(ctx, Mode{NoRead: true, NoWrite: true}, targets...)
}

// Overwrite returns a context under which Get fetches even if there is a value, and shares no fetch
// that began before the call. The result replaces the entry. If the fetch fails, the old entry stays.
// If its result is skipped, the old entry is removed. Targets are as for [Bypass].
func Overwrite(ctx context.Context, targets ...Target) context.Context {
	return WithMode(ctx, Mode{NoRead: true}, targets...)
}

// ReadOnly returns a context under which Get returns what is cached, or [ErrMiss]. It never waits.
// Targets are as for [Bypass].
func ReadOnly(ctx context.Context, targets ...Target) context.Context {
	return WithMode(ctx, Mode{NoWrite: true, NoFetch: true}, targets...)
}

// NoWrite returns a context under which Get uses what is cached or being fetched, and stores nothing
// itself. A fetch that it begins is shared with other NoWrite callers only. Targets are as for
// [Bypass].
func NoWrite(ctx context.Context, targets ...Target) context.Context {
	return WithMode(ctx, Mode{NoWrite: true}, targets...)
}

// WithMode returns a context under which m restricts the loader that is called with it. With targets
// it restricts those loaders, at any depth, and with m.Nested all loaders. A nil target is a mistake
// and panics.
//
// Rules for inner loaders hold where the fetch function of this call runs; a value that is cached is
// returned as ever. A call whose rules make inner loaders fetch anew shares only a fetch that began
// under equal rules. An error that may come from rules that keep inner loaders from fetching is only
// for the callers with these rules. A value that a function makes of such an error is stored like any
// other.
func WithMode(ctx context.Context, m Mode, targets ...Target) context.Context {
	r := callstate.Rule{Mode: callstate.Mode(m)}
	for i, t := range targets {
		var id any
		if t != nil {
			id = t.target()
		}
		if id == nil {
			panic(fmt.Sprintf("zodiac: target %d of %d of a mode is nil; give the Loader or Cache itself", i+1, len(targets)))
		}
		r.Targets = append(r.Targets, id)
	}
	return callstate.WithRule[counters](ctx, r)
}

// CollectStats returns a context that counts the calls made with it, and a function that returns the
// counts so far. Calls that fetch functions make for those calls count too. Nested ones both count.
// Evicted, Expired and Size, which describe a cache rather than a call, stay zero.
func CollectStats(ctx context.Context) (context.Context, func() Stats) {
	c := new(counters)
	return callstate.WithCollector(ctx, c), c.stats
}

// A callState is what a context carries for loaders.
type callState = callstate.State[counters]

// stateOf returns the state of a context, or nil. It is small enough to be inlined into a hit.
func stateOf(ctx context.Context) *callState {
	if !callstate.Used() {
		return nil
	}
	return callstate.Of[counters](ctx)
}
