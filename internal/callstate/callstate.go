// Package callstate has what a context carries for the loaders that are called with it: the rules
// that WithMode, Bypass and the like have put there, and the collectors of CollectStats.
//
// A [State] is never changed; a derived context gets a new one. A loader's fetch function sees a part
// of its caller's State: see [State.Inner]. The package knows nothing of loaders. It compares the
// targets of rules, which stand for loaders, and keeps collectors of a type C.
package callstate

import (
	"context"
	"slices"
	"sync/atomic"
)

// A Mode restricts what one call may do.
type Mode struct {
	NoRead  bool // not use cached values
	NoWrite bool // not store results
	NoFetch bool // not call the fetch function, and never wait
	Nested  bool // also for loaders within the fetch function, at any depth
}

// A Rule restricts the loaders that its targets stand for, at any depth. Without targets it restricts
// the loader that is called with the context.
type Rule struct {
	Mode    Mode
	Targets []any
}

// A State is what a context carries. A nil State has no rules and no collectors. It is safe for
// concurrent use.
type State[C any] struct {
	rules      []Rule
	collectors []*C
}

// Key is the key of a State in its context.
type Key struct{}

// used is set once any context has a State. Until then nobody needs to look for one.
var used atomic.Bool

// Used reports whether any context in the process has a State.
func Used() bool { return used.Load() }

// Of returns the State of a context, or nil.
func Of[C any](ctx context.Context) *State[C] {
	if !used.Load() {
		return nil
	}
	s, _ := ctx.Value(Key{}).(*State[C])
	return s
}

func with[C any](ctx context.Context, s *State[C]) context.Context {
	used.Store(true)
	return context.WithValue(ctx, Key{}, s)
}

// WithRule returns a context with one more rule.
func WithRule[C any](ctx context.Context, r Rule) context.Context {
	s := Of[C](ctx).copy()
	s.rules = append(slices.Clip(s.rules), r)
	return with(ctx, s)
}

// WithCollector returns a context with one more collector.
func WithCollector[C any](ctx context.Context, c *C) context.Context {
	s := Of[C](ctx).copy()
	s.collectors = append(slices.Clip(s.collectors), c)
	return with(ctx, s)
}

func (s *State[C]) copy() *State[C] {
	if s == nil {
		return new(State[C])
	}
	c := *s
	return &c
}

// Collectors returns the collectors.
func (s *State[C]) Collectors() []*C {
	if s == nil {
		return nil
	}
	return s.collectors
}

// Mode returns the sum of the rules for the loader that target stands for. Nested is not set.
func (s *State[C]) Mode(target any) Mode {
	var sum Mode
	if s == nil {
		return sum
	}
	for _, r := range s.rules {
		if len(r.Targets) == 0 || slices.Contains(r.Targets, target) {
			sum.NoRead = sum.NoRead || r.Mode.NoRead
			sum.NoWrite = sum.NoWrite || r.Mode.NoWrite
			sum.NoFetch = sum.NoFetch || r.Mode.NoFetch
		}
	}
	return sum
}

// NoRead reports whether a rule, whatever its targets, forbids to use cached values.
func (s *State[C]) NoRead() bool {
	return s != nil && slices.ContainsFunc(s.rules, func(r Rule) bool { return r.Mode.NoRead })
}

// NoFetch reports whether a rule, whatever its targets, forbids to fetch.
func (s *State[C]) NoFetch() bool {
	return s != nil && slices.ContainsFunc(s.rules, func(r Rule) bool { return r.Mode.NoFetch })
}

// SameRules reports whether s and t have equal rules. It is false if either is nil.
func (s *State[C]) SameRules(t *State[C]) bool {
	return s != nil && t != nil && slices.EqualFunc(s.rules, t.rules, func(a, b Rule) bool {
		return a.Mode == b.Mode && slices.Equal(a.Targets, b.Targets)
	})
}

// Inner returns what the fetch function of a loader sees of s: the rules that go deeper, and the
// collectors.
func (s *State[C]) Inner() *State[C] {
	if s == nil {
		return nil
	}
	deep := func(r Rule) bool { return r.Mode.Nested || len(r.Targets) > 0 }
	if len(s.rules) == 0 || !slices.ContainsFunc(s.rules, func(r Rule) bool { return !deep(r) }) {
		return s
	}
	in := &State[C]{collectors: s.collectors}
	for _, r := range s.rules {
		if deep(r) {
			in.rules = append(in.rules, r)
		}
	}
	return in
}

// Within returns ctx as a fetch function that is called on its caller's goroutine sees it.
func (s *State[C]) Within(ctx context.Context) context.Context {
	if in := s.Inner(); in != s {
		return with(ctx, in)
	}
	return ctx
}
