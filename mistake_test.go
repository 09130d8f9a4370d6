package zodiac_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/zodiac-go/zodiac"
)

// A K that holds an interface is comparable for the compiler. A key of it that holds a slice is not,
// and no map takes it. GetMany put it into a map on a goroutine of its own.
func TestKeyThatCannotBeComparedIsAKeyError(t *testing.T) {
	inEveryTier(t, func(t *testing.T, opts ...zodiac.Option) {
		l := zodiac.NewLoader(func(_ context.Context, key any) (int, error) { return 7, nil },
			append(opts, zodiac.WithKey(func(key any) string { return fmt.Sprint(key) }))...)
		defer l.Close(t.Context())
		ctx, c := t.Context(), l.Cache
		var bad any = []int{1}
		for name, call := range map[string]func() error{
			"Peek":        func() error { _, _, err := c.Peek(ctx, bad); return err },
			"Entry":       func() error { _, _, err := c.Entry(ctx, bad); return err },
			"Set":         func() error { return c.Set(ctx, bad, 1) },
			"SetNone":     func() error { return c.SetNone(ctx, bad) },
			"SetIfAbsent": func() error { return only(c.SetIfAbsent(ctx, bad, 1)) },
			"Update": func() error {
				return only(c.Update(ctx, bad, func(int, bool) (int, error) { return 1, nil }))
			},
			"Add":    func() error { return only(zodiac.Add(ctx, c, bad, 1)) },
			"Touch":  func() error { return only(c.Touch(ctx, bad)) },
			"Delete": func() error { return only(c.Delete(ctx, bad)) },
		} {
			err := call()
			if _, ok := errors.AsType[*zodiac.KeyError](err); !ok {
				t.Errorf("%s = %v; want a KeyError", name, err)
			}
		}
		// as of every key without text
		wantCall := func(name string, v int, err error) {
			if v != 7 || err != nil {
				t.Errorf("%s = %v, %v; want 7, nil", name, v, err)
			}
		}
		v, err := l.Get(ctx, bad)
		wantCall("Get", v, err)
		v, err = l.Refresh(ctx, bad)
		wantCall("Refresh", v, err)
		for range 2 { // misses, then hits
			m, err := l.GetMany(ctx, []any{"a", bad, [1]any{map[string]int{}}, "b"})
			e, ok := errors.AsType[*zodiac.ManyError[any]](err)
			if m["a"] != 7 || m["b"] != 7 || len(m) != 2 || !ok || len(e.Rejected) != 2 || len(e.Errors) != 0 {
				t.Errorf("GetMany = %v, %v; want a and b, and two rejected keys", m, err)
			}
		}
	})
}

// An error of the user's may crash where somebody asks what it is, which GetMany does on goroutines
// of its own.
func TestErrorWhoseMethodsPanicFailsItsKeyAlone(t *testing.T) {
	inEveryTier(t, func(t *testing.T, opts ...zodiac.Option) {
		l := zodiac.NewLoader(func(_ context.Context, key string) (int, error) {
			switch key {
			case "panics":
				panic(&touchy{func() { panic("boom") }})
			case "returns":
				return 0, &touchy{func() { panic("boom") }}
			case "mute":
				return 0, muteError{}
			}
			return 7, nil
		}, append(opts, zodiac.WithErrorTTL(10))...)
		defer l.Close(t.Context())
		m, err := l.GetMany(t.Context(), []string{"panics", "returns", "mute", "k"})
		e, ok := errors.AsType[*zodiac.ManyError[string]](err)
		if m["k"] != 7 || !ok || len(e.Errors) != 3 {
			t.Errorf("GetMany = %v, %d errors; want k, and three errors", m, len(e.Errors))
		}
		synctest.Wait()
		wantGet(t, l, "k", 7)
	})
}

// A muteError panics when it is asked for its text.
type muteError struct{}

func (muteError) Error() string { panic("boom") }
