package zodiac_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/zodiac-go/zodiac"
)

func TestLoaderHasAName(t *testing.T) {
	fetch := func(context.Context, int) (int, error) { return 1, nil }
	if got := zodiac.NewLoader(fetch, zodiac.WithName("users")).Name(); got != "users" {
		t.Errorf("Name = %q; want users", got)
	}
	if got := zodiac.NewLoader(fetch, zodiac.WithName("users"), zodiac.WithVersion(3)).Name(); got != "users@3" {
		t.Errorf("Name = %q; want users@3", got)
	}
	if got := zodiac.NewCache[string, int]().Name(); got != "Cache[string, int]" {
		t.Errorf("Name = %q; want the types", got)
	}
}

// A Loader made without a constructor reports that. It does not cause a nil dereference.
func TestLoaderThatWasNotMadeSaysSo(t *testing.T) {
	ctx := t.Context()
	uses := map[string]func(l *zodiac.Loader[int, int], c *zodiac.Cache[int, int]){
		"Get":         func(l *zodiac.Loader[int, int], _ *zodiac.Cache[int, int]) { _, _ = l.Get(ctx, 1) },
		"GetMany":     func(l *zodiac.Loader[int, int], _ *zodiac.Cache[int, int]) { _, _ = l.GetMany(ctx, []int{1}) },
		"Refresh":     func(l *zodiac.Loader[int, int], _ *zodiac.Cache[int, int]) { _, _ = l.Refresh(ctx, 1) },
		"Fetch":       func(l *zodiac.Loader[int, int], _ *zodiac.Cache[int, int]) { _, _ = l.Fetch(ctx, 1) },
		"GetOrFetch":  func(_ *zodiac.Loader[int, int], c *zodiac.Cache[int, int]) { _, _ = c.GetOrFetch(ctx, 1, nil) },
		"Peek":        func(_ *zodiac.Loader[int, int], c *zodiac.Cache[int, int]) { _, _, _ = c.Peek(ctx, 1) },
		"Entry":       func(_ *zodiac.Loader[int, int], c *zodiac.Cache[int, int]) { _, _, _ = c.Entry(ctx, 1) },
		"Set":         func(_ *zodiac.Loader[int, int], c *zodiac.Cache[int, int]) { _ = c.Set(ctx, 1, 1) },
		"SetMany":     func(_ *zodiac.Loader[int, int], c *zodiac.Cache[int, int]) { _ = c.SetMany(ctx, nil) },
		"SetNone":     func(_ *zodiac.Loader[int, int], c *zodiac.Cache[int, int]) { _ = c.SetNone(ctx, 1) },
		"SetIfAbsent": func(_ *zodiac.Loader[int, int], c *zodiac.Cache[int, int]) { _, _ = c.SetIfAbsent(ctx, 1, 1) },
		"Update":      func(_ *zodiac.Loader[int, int], c *zodiac.Cache[int, int]) { _, _ = c.Update(ctx, 1, nil) },
		"Add":         func(_ *zodiac.Loader[int, int], c *zodiac.Cache[int, int]) { _, _ = zodiac.Add(ctx, c, 1, 1) },
		"Touch":       func(_ *zodiac.Loader[int, int], c *zodiac.Cache[int, int]) { _, _ = c.Touch(ctx, 1) },
		"Delete":      func(_ *zodiac.Loader[int, int], c *zodiac.Cache[int, int]) { _, _ = c.Delete(ctx, 1) },
		"DeleteTags":  func(_ *zodiac.Loader[int, int], c *zodiac.Cache[int, int]) { _ = c.DeleteTags(ctx, "t") },
		"Clear":       func(_ *zodiac.Loader[int, int], c *zodiac.Cache[int, int]) { _, _ = c.Clear(ctx) },
		"Len":         func(_ *zodiac.Loader[int, int], c *zodiac.Cache[int, int]) { c.Len() },
		"Name":        func(_ *zodiac.Loader[int, int], c *zodiac.Cache[int, int]) { c.Name() },
		"Stats":       func(_ *zodiac.Loader[int, int], c *zodiac.Cache[int, int]) { c.Stats() },
		"Close":       func(_ *zodiac.Loader[int, int], c *zodiac.Cache[int, int]) { _ = c.Close(ctx) },
	}
	for name, use := range uses {
		t.Run(name, func(t *testing.T) {
			wantNotMade(t, "nil", func() { use(nil, nil) })
			wantNotMade(t, "zero", func() { use(new(zodiac.Loader[int, int]), new(zodiac.Cache[int, int])) })
		})
	}
}

func wantNotMade(t *testing.T, what string, use func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if p := fmt.Sprint(recover()); !strings.Contains(p, "not made by NewLoader") {
			t.Errorf("a %s one: %s; want that it was not made by NewLoader", what, p)
		}
	}()
	use()
}
