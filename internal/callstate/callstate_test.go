package callstate

import (
	"testing"
)

type counts struct{ _ int }

func TestRulesAddUp(t *testing.T) {
	ctx := WithRule[counts](t.Context(), Rule{Mode: Mode{NoRead: true}})
	ctx = WithRule[counts](ctx, Rule{Mode: Mode{NoWrite: true}, Targets: []any{"a"}})
	s := Of[counts](ctx)
	if got, want := s.Mode("a"), (Mode{NoRead: true, NoWrite: true}); got != want {
		t.Errorf("Mode(a) = %+v; want %+v", got, want)
	}
	if got, want := s.Mode("b"), (Mode{NoRead: true}); got != want {
		t.Errorf("Mode(b) = %+v; want %+v", got, want)
	}
}

func TestStateOfAnOuterContextStays(t *testing.T) {
	outer := WithRule[counts](t.Context(), Rule{Mode: Mode{NoRead: true}})
	for range 3 {
		WithRule[counts](outer, Rule{Mode: Mode{NoFetch: true}})
		WithCollector(outer, new(counts))
	}
	if s := Of[counts](outer); s.NoFetch() || len(s.Collectors()) != 0 {
		t.Error("a derived context has changed the State of the outer one")
	}
}

func TestFetchFunctionSeesRulesThatGoDeeper(t *testing.T) {
	c := new(counts)
	ctx := WithCollector(t.Context(), c)
	ctx = WithRule[counts](ctx, Rule{Mode: Mode{NoRead: true}})
	ctx = WithRule[counts](ctx, Rule{Mode: Mode{NoWrite: true, Nested: true}})
	ctx = WithRule[counts](ctx, Rule{Mode: Mode{NoFetch: true}, Targets: []any{"a"}})
	in := Of[counts](Of[counts](ctx).Within(ctx))
	if in.NoRead() || !in.NoFetch() || in.Mode("b") != (Mode{NoWrite: true}) || in.Mode("a") != (Mode{NoWrite: true, NoFetch: true}) {
		t.Errorf("within: %+v for a, %+v for b", in.Mode("a"), in.Mode("b"))
	}
	if got := in.Collectors(); len(got) != 1 || got[0] != c {
		t.Errorf("within there are %d collectors; want the caller's", len(got))
	}
	if again := in.Inner(); again != in {
		t.Error("what goes deeper is not the same at the next depth")
	}
}

func TestSameRules(t *testing.T) {
	of := func(rules ...Rule) *State[counts] { return &State[counts]{rules: rules} }
	a := Rule{Mode: Mode{NoRead: true}, Targets: []any{"a"}}
	b := Rule{Mode: Mode{NoRead: true}, Targets: []any{"b"}}
	if !of(a).SameRules(of(a)) || of(a).SameRules(of(b)) || of(a).SameRules(of(a, b)) || of(a).SameRules(nil) || (*State[counts])(nil).SameRules(of()) {
		t.Error("SameRules is wrong")
	}
}

func TestNilStateRestrictsNothing(t *testing.T) {
	var s *State[counts]
	if s.Mode("a") != (Mode{}) || s.NoRead() || s.NoFetch() || s.Inner() != nil || s.Collectors() != nil || s.Within(t.Context()) != t.Context() {
		t.Error("a nil State does something")
	}
}
