package properties_test

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/zodiac-go/zodiac"
	"pgregory.net/rapid"
)

// A rule is one call of WithMode or of one of its short forms. Loaders are numbers.
type rule struct {
	mode    zodiac.Mode
	name    string
	targets []int
}

// drawRule draws a rule that may be aimed at any of n loaders. Loader 0 is the one that is called.
func drawRule(t *rapid.T, n int) rule {
	r := rule{name: rapid.SampledFrom([]string{"Bypass", "Overwrite", "ReadOnly", "NoWrite", "WithMode"}).Draw(t, "mode")}
	switch r.name {
	case "Bypass":
		r.mode = zodiac.Mode{NoRead: true, NoWrite: true}
	case "Overwrite":
		r.mode = zodiac.Mode{NoRead: true}
	case "ReadOnly":
		r.mode = zodiac.Mode{NoWrite: true, NoFetch: true}
	case "NoWrite":
		r.mode = zodiac.Mode{NoWrite: true}
	default:
		r.mode = modeOf(rapid.IntRange(0, 15).Draw(t, "flags"))
	}
	if r.mode.Nested {
		return r
	}
	for i := range n {
		if rapid.IntRange(0, 3).Draw(t, "aimed") == 3 {
			r.targets = append(r.targets, i)
		}
	}
	return r
}

// modeOf returns one of the sixteen modes.
func modeOf(bits int) zodiac.Mode {
	return zodiac.Mode{NoRead: bits&1 != 0, NoWrite: bits&2 != 0, NoFetch: bits&4 != 0, Nested: bits&8 != 0}
}

// put returns ctx under the rule.
func (r rule) put(ctx context.Context, loaders []zodiac.Target) context.Context {
	var targets []zodiac.Target
	for _, i := range r.targets {
		targets = append(targets, loaders[i])
	}
	switch r.name {
	case "Bypass":
		return zodiac.Bypass(ctx, targets...)
	case "Overwrite":
		return zodiac.Overwrite(ctx, targets...)
	case "ReadOnly":
		return zodiac.ReadOnly(ctx, targets...)
	case "NoWrite":
		return zodiac.NoWrite(ctx, targets...)
	}
	return zodiac.WithMode(ctx, r.mode, targets...)
}

// hits reports whether the rule is for a loader at the given depth of fetches. Without targets it
// is for the first loader only, unless it is Nested. With targets it is for those, at any depth.
func (r rule) hits(loader, depth int) bool {
	if len(r.targets) > 0 {
		return slices.Contains(r.targets, loader)
	}
	return depth == 0 || r.mode.Nested
}

// deep reports whether the rule is also for loaders that fetches call.
func (r rule) deep() bool { return r.mode.Nested || len(r.targets) > 0 }

func (r rule) String() string { return fmt.Sprintf("%v aimed at %v", modeName(r.mode), r.targets) }

// sameRules reports whether two calls have the same rules for loaders within.
func sameRules(a, b []rule) bool {
	return slices.EqualFunc(a, b, func(a, b rule) bool { return a.mode == b.mode && slices.Equal(a.targets, b.targets) })
}

// and returns the rights that are left under both modes.
func and(a, b zodiac.Mode) zodiac.Mode {
	return zodiac.Mode{NoRead: a.NoRead || b.NoRead, NoWrite: a.NoWrite || b.NoWrite, NoFetch: a.NoFetch || b.NoFetch}
}

func modeName(m zodiac.Mode) string {
	var s strings.Builder
	for _, f := range []struct {
		on   bool
		name string
	}{{m.NoRead, " NoRead"}, {m.NoWrite, " NoWrite"}, {m.NoFetch, " NoFetch"}, {m.Nested, " Nested"}} {
		if f.on {
			s.WriteString(f.name)
		}
	}
	return s.String()
}
