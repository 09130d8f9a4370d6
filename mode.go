package zodiac

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
)

// A Mode restricts what Get, GetOrFetch, GetMany and Refresh may do. The zero Mode restricts nothing. Modes only ever
// restrict: nested ones add up.
type Mode struct {
	NoRead  bool // do not use cached values
	NoWrite bool // do not store results
	NoFetch bool // do not call the function, and never wait
	Nested  bool // also for the loaders that the function calls in turn, at any depth
}

// A Target is a [Loader] or a [Cache] that a mode can be aimed at.
type Target interface{ target() any } // nil for a nil Loader or Cache

// Bypass returns a context under which a loader is its function: it is called on the caller's goroutine with the
// caller's context, nothing is read, stored or shared, and a panic passes through.
//
// A mode is for the loader called with that context, not for loaders its function calls in turn. With targets it is
// for those loaders, at any depth, and no others. See [WithMode].
func Bypass(ctx context.Context, targets ...Target) context.Context {
	return WithMode(ctx, Mode{NoRead: true, NoWrite: true}, targets...)
}

// Overwrite returns a context under which Get calls the function even if there is a value, and never shares a call that
// began before this one. The result replaces the entry. If the function fails the old entry stays, if its result
// is skipped the old entry goes. Targets as for [Bypass].
func Overwrite(ctx context.Context, targets ...Target) context.Context {
	return WithMode(ctx, Mode{NoRead: true}, targets...)
}

// ReadOnly returns a context under which Get returns what is cached, or [ErrMiss]. It never waits. Targets as for
// [Bypass].
func ReadOnly(ctx context.Context, targets ...Target) context.Context {
	return WithMode(ctx, Mode{NoWrite: true, NoFetch: true}, targets...)
}

// NoWrite returns a context under which Get uses what is cached or being fetched, but stores nothing itself: a fetch that it
// begins is shared with other NoWrite callers only. Targets as for [Bypass].
func NoWrite(ctx context.Context, targets ...Target) context.Context {
	return WithMode(ctx, Mode{NoWrite: true}, targets...)
}

// WithMode returns a context under which m restricts the loader called with it. With targets it restricts those, at any
// depth; with m.Nested all. A nil target is a mistake and panics.
//
// Rules for loaders within hold where the function of this call runs: a value that is cached is returned as ever. A call whose
// rules make loaders within fetch anew shares only a fetch that began under equal rules; and nobody else gets an error that
// may come from rules that keep them from fetching. A value that a function makes of such an error is stored like any other.
func WithMode(ctx context.Context, m Mode, targets ...Target) context.Context {
	r := rule{mode: m}
	for i, t := range targets {
		var id any
		if t != nil {
			id = t.target()
		}
		if id == nil {
			panic(fmt.Sprintf("zodiac: target %d of %d of a mode is nil; give the Loader or Cache itself", i+1, len(targets)))
		}
		r.targets = append(r.targets, id)
	}
	s := new(callState)
	if outer := stateOf(ctx); outer != nil {
		*s = *outer
	}
	s.rules = append(slices.Clip(s.rules), r)
	return withState(ctx, s)
}

// CollectStats returns a context that counts the calls made with it, and a function that returns the counts so far. Calls
// of the functions run for those calls count too. Nested ones both count. Fields that describe a cache rather than a
// call (Evicted, Expired, Size) stay zero.
func CollectStats(ctx context.Context) (context.Context, func() Stats) {
	c := new(counters)
	s := new(callState)
	if outer := stateOf(ctx); outer != nil {
		*s = *outer
	}
	s.sinks = append(slices.Clip(s.sinks), c)
	return withState(ctx, s), c.stats
}

// A callState is what a context carries for loaders. It is never changed.
type callState struct {
	rules []rule
	sinks []*counters
}

type rule struct {
	mode    Mode
	targets []any // none: the loader called with the context
}

type stateKey struct{}

// flagged is set once any context has a callState. Until then nobody needs to look for one.
var flagged atomic.Bool

func withState(ctx context.Context, s *callState) context.Context {
	flagged.Store(true)
	return context.WithValue(ctx, stateKey{}, s)
}

func stateOf(ctx context.Context) *callState {
	if !flagged.Load() {
		return nil
	}
	s, _ := ctx.Value(stateKey{}).(*callState)
	return s
}

// mode returns the sum of the rules for the loader that target identifies.
func (s *callState) mode(target any) Mode {
	var sum Mode
	if s == nil {
		return sum
	}
	for _, r := range s.rules {
		if len(r.targets) == 0 || slices.Contains(r.targets, target) {
			sum.NoRead = sum.NoRead || r.mode.NoRead
			sum.NoWrite = sum.NoWrite || r.mode.NoWrite
			sum.NoFetch = sum.NoFetch || r.mode.NoFetch
		}
	}
	return sum
}

// has reports whether a rule of s passes the test.
func (s *callState) has(test func(Mode) bool) bool {
	return s != nil && slices.ContainsFunc(s.rules, func(r rule) bool { return test(r.mode) })
}

// sameRules reports whether s and t have equal rules.
func (s *callState) sameRules(t *callState) bool {
	return s != nil && t != nil && slices.EqualFunc(s.rules, t.rules, func(a, b rule) bool {
		return a.mode == b.mode && slices.Equal(a.targets, b.targets)
	})
}

// noRead and noFetch are tests for has.
func noRead(m Mode) bool  { return m.NoRead }
func noFetch(m Mode) bool { return m.NoFetch }

// inner returns what a function called by a loader sees of s: the rules that go deeper, and the sinks.
func (s *callState) inner() *callState {
	if s == nil {
		return nil
	}
	deep := func(r rule) bool { return r.mode.Nested || len(r.targets) > 0 }
	if len(s.rules) == 0 || !slices.ContainsFunc(s.rules, func(r rule) bool { return !deep(r) }) {
		return s
	}
	in := &callState{sinks: s.sinks}
	for _, r := range s.rules {
		if deep(r) {
			in.rules = append(in.rules, r)
		}
	}
	return in
}

// within returns ctx as a function called on the caller's goroutine sees it.
func (s *callState) within(ctx context.Context) context.Context {
	if in := s.inner(); in != s {
		return withState(ctx, in)
	}
	return ctx
}
