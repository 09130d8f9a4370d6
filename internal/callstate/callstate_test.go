package callstate

import (
	"slices"
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
	ctx = WithRule[counts](WithRule[counts](ctx, Rule{Mode: Mode{NoFetch: true}}), Rule{})
	if got, want := Of[counts](ctx).Mode("b"), (Mode{NoRead: true, NoFetch: true}); got != want {
		t.Errorf("Mode(b) after a rule that forbids nothing = %+v; want %+v", got, want)
	}
	if !Used() {
		t.Error("Used = false; a context has a State")
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

func TestContextsOfOneOuterContextAreIndependent(t *testing.T) {
	var want []*counts
	outer := t.Context()
	for range 8 { // slices of some of these lengths have room to spare
		one, other := new(counts), new(counts)
		a := WithRule[counts](WithCollector(outer, one), Rule{Mode: Mode{NoRead: true}})
		b := WithRule[counts](WithCollector(outer, other), Rule{Mode: Mode{NoFetch: true}})
		if got := Of[counts](a).Collectors(); !slices.Equal(got, append(slices.Clone(want), one)) {
			t.Errorf("there are %d collectors; want those of the outer context and its own",
				len(got))
		}
		if s := Of[counts](b); s.Collectors()[len(want)] != other || s.NoRead() || !s.NoFetch() {
			t.Errorf("the second context has %+v", s)
		}
		if s := Of[counts](a); !s.NoRead() || s.NoFetch() {
			t.Errorf("the first context has the rule of the second: %+v", s.Mode(nil))
		}
		outer, want = WithRule[counts](WithCollector(outer, one), Rule{}), append(want, one)
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
	c := Rule{Mode: Mode{NoRead: true, NoWrite: true}, Targets: []any{"a"}}
	if of(a).SameRules(of(c)) {
		t.Error("rules of two Modes are the same")
	}
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
