package zodiac_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac"
)

// wantRemembered fails the test unless err is the remembered errOrigin.
func wantRemembered(t *testing.T, call string, err error) {
	t.Helper()
	wantError(t, call, err, zodiac.ErrRemembered)
	wantError(t, call, err, errOrigin)
	if _, ok := errors.AsType[*zodiac.RememberedError](err); !ok {
		t.Errorf("%s: error %T; want a *RememberedError", call, err)
	}
	wantText(t, call, err, errOrigin.Error())
}

func TestRememberedErrorSparesTheOrigin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failed, calls := failing(errOrigin)
		l := zodiac.NewLoader(func(ctx context.Context, key string) (int, error) {
			time.Sleep(time.Second)
			return failed(ctx, key)
		}, zodiac.WithErrorTTL(5))
		first, second := getLater(t.Context(), l, "k"), getLater(t.Context(), l, "k")
		for _, c := range []<-chan reply[int]{first, second} {
			if r := <-c; !same(r.err, errOrigin) {
				t.Errorf("Get = %v; want the function's error itself: it is new", r.err)
			}
		}
		time.Sleep(5*time.Second - 1)
		_, err := l.Get(t.Context(), "k")
		wantRemembered(t, "Get", err)
		_, err = l.GetOrFetch(t.Context(), "k", failed)
		wantRemembered(t, "GetOrFetch", err)
		_, err = l.Get(zodiac.NoWrite(t.Context()), "k")
		wantRemembered(t, "Get under NoWrite", err)
		_, err = l.GetMany(t.Context(), []string{"k"})
		wantRemembered(t, "GetMany", err)
		wantCalls(t, calls, 1)
		time.Sleep(time.Nanosecond)
		if _, err := l.Get(t.Context(), "k"); !same(err, errOrigin) {
			t.Errorf("Get = %v; want a new error", err)
		}
		wantCalls(t, calls, 2)
		if s := l.Stats(); s.Failed != 7 || s.FetchErrors != 2 {
			t.Errorf("%d failed, %d fetches failed; want 7 and 2", s.Failed, s.FetchErrors)
		}
	})
}

func TestWithoutErrorTTLEveryCallTriesAgain(t *testing.T) {
	fetch, calls := failing(errOrigin)
	l := zodiac.NewLoader(fetch)
	for range 3 {
		if _, err := l.Get(t.Context(), "k"); !same(err, errOrigin) {
			t.Errorf("Get = %v", err)
		}
	}
	wantCalls(t, calls, 3)
}

func TestRememberedErrorIsNoEntry(t *testing.T) {
	fetch, _ := failing(errOrigin)
	l := zodiac.NewLoader(fetch, zodiac.WithErrorTTL(60))
	l.Get(t.Context(), "k")
	wantAbsent(t, l.Cache, "k")
	wantTouch(t, l.Cache, false)
	_, err := l.Get(zodiac.ReadOnly(t.Context()), "k")
	wantError(t, "Get under ReadOnly", err, zodiac.ErrMiss)
	if n := l.Len(); n != 0 {
		t.Errorf("Len = %d; want 0", n)
	}
	if s := l.Stats(); s.Size != 0 {
		t.Errorf("Size = %d; want 0", s.Size)
	}
	wantDeleted(t, l.Cache, 0, "k")
	l.Get(t.Context(), "k")
	if ok, err := l.SetIfAbsent(t.Context(), "k", 7); !ok || err != nil {
		t.Errorf("SetIfAbsent = %v, %v; want true, nil", ok, err)
	}
	wantGet(t, l, "k", 7)
}

func TestAnyWriteEndsARememberedError(t *testing.T) {
	for name, write := range map[string]func(context.Context, *zodiac.Cache[string, int]) error{
		"Set": func(ctx context.Context, c *zodiac.Cache[string, int]) error {
			return c.Set(ctx, "k", 7, zodiac.WithTTL(1))
		},
		"SetMany": func(ctx context.Context, c *zodiac.Cache[string, int]) error {
			return c.SetMany(ctx, map[string]int{"k": 7}, zodiac.WithTTL(1))
		},
		"SetNone": func(ctx context.Context, c *zodiac.Cache[string, int]) error {
			return c.SetNone(ctx, "k", zodiac.WithTTL(1))
		},
		"SetIfAbsent": func(ctx context.Context, c *zodiac.Cache[string, int]) error {
			_, err := c.SetIfAbsent(ctx, "k", 7, zodiac.WithTTL(1))
			return err
		},
		"Update": func(ctx context.Context, c *zodiac.Cache[string, int]) error {
			_, err := c.Update(ctx, "k", plusOne)
			return err
		},
		"Add": func(ctx context.Context, c *zodiac.Cache[string, int]) error {
			_, err := zodiac.Add(ctx, c, "k", 1)
			return err
		},
		"Delete": func(ctx context.Context, c *zodiac.Cache[string, int]) error {
			_, err := c.Delete(ctx, "k")
			return err
		},
		"Clear":      func(ctx context.Context, c *zodiac.Cache[string, int]) error { _, err := c.Clear(ctx); return err },
		"DeleteTags": func(ctx context.Context, c *zodiac.Cache[string, int]) error { return c.DeleteTags(ctx, "tag") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fetch, calls := failing(errOrigin)
				l := zodiac.NewLoader(fetch, zodiac.WithErrorTTL(3600), zodiac.WithTTL(1), zodiac.WithTags("tag"))
				l.Get(t.Context(), "k")
				must(t, write(t.Context(), l.Cache))
				time.Sleep(time.Second) // the entry, if there is one, expires
				if _, err := l.Get(t.Context(), "k"); !same(err, errOrigin) {
					t.Errorf("Get after %s = %v; want a new error", name, err)
				}
				wantCalls(t, calls, 2)
			})
		})
	}
}

func TestRefreshTriesInSpiteOfARememberedErrorAndEndsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := true
		calls := 0
		l := zodiac.NewLoader(func(context.Context, string) (int, error) {
			if calls++; down {
				return 0, errOrigin
			}
			return calls, nil
		}, zodiac.WithErrorTTL(3600), zodiac.WithTTL(1))
		l.Get(t.Context(), "k")
		if _, err := l.Refresh(t.Context(), "k"); !same(err, errOrigin) {
			t.Errorf("Refresh = %v; want a new error", err)
		}
		if _, err := l.Get(zodiac.Bypass(t.Context()), "k"); !same(err, errOrigin) {
			t.Errorf("Get under Bypass = %v; want a new error", err)
		}
		down = false
		if v, err := l.Refresh(t.Context(), "k"); v != 4 || err != nil {
			t.Errorf("Refresh = %v, %v; want 4, nil", v, err)
		}
		time.Sleep(time.Second)
		wantGet(t, l, "k", 5)
	})
}

func TestOldEntryIsServedRatherThanARememberedError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, calls := failing(errOrigin)
		l := zodiac.NewLoader(fetch, zodiac.WithErrorTTL(60), zodiac.WithTTL(10))
		mustSet(t, l.Cache, "k", 7)
		_, err := l.Refresh(t.Context(), "k")
		wantError(t, "Refresh", err, errOrigin)
		wantGet(t, l, "k", 7)
		time.Sleep(10 * time.Second)
		_, err = l.Get(t.Context(), "k")
		wantRemembered(t, "Get", err)
		wantCalls(t, calls, 1)
	})
}

func TestErrorsThatAreNotTheOriginsAreNotRemembered(t *testing.T) {
	for _, err := range []error{
		context.Canceled, context.DeadlineExceeded, fmt.Errorf("wrapped: %w", context.DeadlineExceeded),
		zodiac.ErrMiss, zodiac.ErrClosed, zodiac.ErrCycle, zodiac.ErrBusy, zodiac.ErrOverflow, zodiac.ErrRemembered,
		zodiac.ErrTooLarge, &zodiac.StoreError{Err: errOrigin}, &zodiac.CodecError{Err: errOrigin},
		&zodiac.PanicError{}, &zodiac.SettingError{}, &zodiac.KeyError{Err: errOrigin}, &zodiac.RememberedError{Err: errOrigin},
	} {
		fetch, calls := failing(err)
		l := zodiac.NewLoader(fetch, zodiac.WithErrorTTL(60))
		l.Get(t.Context(), "k")
		if _, again := l.Get(t.Context(), "k"); !same(again, err) {
			t.Errorf("second Get = %v; want %v itself", again, err)
		}
		wantCalls(t, calls, 2)
	}
}

func TestPanicsAreNotRemembered(t *testing.T) {
	calls := 0
	l := zodiac.NewLoader(func(context.Context, string) (int, error) { calls++; panic(errOrigin) }, zodiac.WithErrorTTL(60))
	for range 2 {
		_, err := l.Get(t.Context(), "k")
		wantError(t, "Get", err, errOrigin)
	}
	if calls != 2 {
		t.Errorf("%d calls; want 2", calls)
	}
}

func TestErrorOfAFetchThatMayNotStoreIsNotRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, call := range map[string]func(*zodiac.Loader[string, int]){
			"NoWrite": func(l *zodiac.Loader[string, int]) { l.Get(zodiac.NoWrite(t.Context()), "k") },
			"Bypass":  func(l *zodiac.Loader[string, int]) { l.Get(zodiac.Bypass(t.Context()), "k") },
			"Fetch":   func(l *zodiac.Loader[string, int]) { l.Fetch(t.Context(), "k") },
			"discarded": func(l *zodiac.Loader[string, int]) {
				getting := getLater(t.Context(), l, "k")
				l.Delete(t.Context(), "k")
				<-getting
			},
			"abandoned": func(l *zodiac.Loader[string, int]) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
				defer cancel()
				l.Get(ctx, "k")
				time.Sleep(time.Second)
			},
		} {
			failed, calls := failing(errOrigin)
			l := zodiac.NewLoader(func(ctx context.Context, key string) (int, error) {
				time.Sleep(time.Second)
				return failed(ctx, key)
			}, zodiac.WithErrorTTL(60))
			call(l)
			if _, err := l.Get(t.Context(), "k"); !same(err, errOrigin) {
				t.Errorf("Get after %s = %v; want a new error", name, err)
			}
			wantCalls(t, calls, 2)
		}
	})
}

func TestNoneIsNoErrorToRemember(t *testing.T) {
	fetch, calls := failing(errOrigin)
	l := zodiac.NewLoader(fetch, zodiac.WithErrorTTL(60), zodiac.NoneIf(errOrigin))
	for range 2 {
		_, err := l.Get(t.Context(), "k")
		wantError(t, "Get", err, zodiac.ErrNone)
		if errors.Is(err, zodiac.ErrRemembered) {
			t.Errorf("Get: error %v; want one that is not remembered", err)
		}
	}
	wantCalls(t, calls, 1)
	if n := l.Len(); n != 1 {
		t.Errorf("Len = %d; want 1", n)
	}
}

func TestErrorsSayWhoseTheyAre(t *testing.T) {
	stack := []byte("the stack")
	for want, err := range map[string]error{
		`zodiac: loader "l": Peek: key cannot be cached: the origin is down`: &zodiac.KeyError{Loader: "l", Op: "Peek", Err: errOrigin},
		`zodiac: loader "l": SkipIf called runtime.Goexit`:                   &zodiac.PanicError{Loader: "l", In: "SkipIf", Goexit: true, Stack: stack},
		`zodiac: loader "l": the fetch panicked: boom, in two lines`:         &zodiac.PanicError{Loader: "l", In: "the fetch", Value: "boom,\nin two lines", Stack: stack},
		`zodiac: remembered: the origin is down`:                             &zodiac.RememberedError{Err: errOrigin},
		"zodiac: NewLoader (l): wrong settings:\n\tWithTTL: bad\n\tEOF":      &zodiac.SettingError{Of: "NewLoader (l)", Faults: []error{errors.New("WithTTL: bad"), io.EOF}},
		`the origin is down`:                          &zodiac.ManyError[int]{Errors: map[int]error{1: errOrigin}},
		`the origin is down (and 2 more keys failed)`: &zodiac.ManyError[int]{Rejected: []error{errOrigin, io.EOF, io.EOF}},
	} {
		if err.Error() != want {
			t.Errorf("%T reads %q; want %q", err, err.Error(), want)
		}
	}
}

func TestPanicErrorShowsItsStackWhenAsked(t *testing.T) {
	err := &zodiac.PanicError{Loader: "l", In: "the fetch", Value: "boom", Stack: []byte("the stack")}
	for format, want := range map[string]string{
		"%v":  `zodiac: loader "l": the fetch panicked: boom`,
		"%s":  `zodiac: loader "l": the fetch panicked: boom`,
		"%q":  `"zodiac: loader \"l\": the fetch panicked: boom"`,
		"%+v": "zodiac: loader \"l\": the fetch panicked: boom\n\nthe stack",
	} {
		if got := fmt.Sprintf(format, err); got != want {
			t.Errorf("%s is %q; want %q", format, got, want)
		}
	}
}

func TestErrorsUnwrapToWhatTheyAreAbout(t *testing.T) {
	for _, err := range []error{
		&zodiac.KeyError{Err: errOrigin},
		&zodiac.PanicError{Value: errOrigin},
		&zodiac.RememberedError{Err: errOrigin},
		&zodiac.SettingError{Faults: []error{io.EOF, errOrigin}},
		&zodiac.ManyError[int]{Errors: map[int]error{1: io.EOF, 2: errOrigin}},
		&zodiac.ManyError[int]{Errors: map[int]error{1: io.EOF}, Rejected: []error{errOrigin}},
	} {
		wantError(t, fmt.Sprintf("%T", err), fmt.Errorf("wrapped: %w", err), errOrigin)
	}
	if err := (&zodiac.PanicError{Value: "boom"}).Unwrap(); err != nil {
		t.Errorf("a *PanicError of a string unwraps to %v; want nil", err)
	}
}

func TestSentinelsBeginWithZodiac(t *testing.T) {
	all := []error{
		zodiac.ErrMiss, zodiac.ErrClosed, zodiac.ErrCycle, zodiac.ErrBusy, zodiac.ErrOverflow, zodiac.ErrRemembered, zodiac.ErrNone,
	}
	for i, err := range all {
		if !strings.HasPrefix(err.Error(), "zodiac: ") {
			t.Errorf("%q does not begin with zodiac:", err)
		}
		for _, other := range all[i+1:] {
			if errors.Is(err, other) || errors.Is(other, err) {
				t.Errorf("%q is %q", err, other)
			}
		}
	}
}

func TestLoaderNameIsInErrorsAndEvents(t *testing.T) {
	var seen recorder
	l := zodiac.NewLoader(panicsOn, zodiac.WithName("users"), zodiac.WithVersion(0), zodiac.WithObserver(&seen))
	_, err := l.Get(t.Context(), 1)
	wantText(t, "Get", err, `"users@0"`)
	_, _, err = l.Peek(t.Context(), nan())
	wantText(t, "Peek", err, `"users@0"`)
	wantText(t, "Set", l.Set(t.Context(), 1, 1, zodiac.WithTTL(0)), "users@0")
	must(t, l.Close(t.Context()))
	if events := seen.all(); len(events) != 1 || events[0].Loader != "users@0" {
		t.Errorf("the Observer was told %+v; want one event of users@0", events)
	}
}

func panicsOn(context.Context, float64) (int, error) { panic("boom") }

func TestLoaderIsNamedByItsFunction(t *testing.T) {
	type versions = zodiac.Options
	const pkg = "github.com/zodiac-go/zodiac_test."
	s := &service{"hello "}
	for want, l := range map[string]*zodiac.Loader[string, string]{
		pkg + "greet":            zodiac.NewLoader(greet),
		pkg + "(*service).greet": zodiac.NewLoader(s.greet),
		pkg + "(*service).greet of " + pkg + "embedding": zodiac.NewLoader(embedding{s}.greet, zodiac.IncludeReceiver(embedding{s})),
		"greeter":   zodiac.NewLoader(greet, zodiac.WithName("greeter")),
		"greeter@2": zodiac.NewLoader(greet, versions{zodiac.WithName("greeter"), zodiac.WithVersion(2)}),
		"greeter@b": zodiac.NewLoader(greet, zodiac.WithName("greeter"), zodiac.WithVersion("b")),
	} {
		err := l.Set(t.Context(), "k", "v", zodiac.WithTTL(0))
		wantText(t, "Set", err, "("+want+")")
	}
}

type embedding struct{ *service }

func greet(_ context.Context, name string) (string, error) { return "hello " + name, nil }

func TestChangeOfAnEntryEndsTheErrorRememberedBesideIt(t *testing.T) {
	for name, change := range map[string]func(context.Context, *zodiac.Cache[string, int]) error{
		"Update": func(ctx context.Context, c *zodiac.Cache[string, int]) error {
			_, err := c.Update(ctx, "k", plusOne)
			return err
		},
		"Add": func(ctx context.Context, c *zodiac.Cache[string, int]) error {
			_, err := zodiac.Add(ctx, c, "k", 1)
			return err
		},
		"Set": func(ctx context.Context, c *zodiac.Cache[string, int]) error { return c.Set(ctx, "k", 8) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fetch, calls := failing(errOrigin)
				l := zodiac.NewLoader(fetch, zodiac.WithErrorTTL(3600), zodiac.WithTTL(10))
				mustSet(t, l.Cache, "k", 7)
				l.Refresh(t.Context(), "k")
				must(t, change(t.Context(), l.Cache))
				time.Sleep(10 * time.Second)
				if _, err := l.Get(t.Context(), "k"); !same(err, errOrigin) {
					t.Errorf("Get = %v; want a new error", err)
				}
				wantCalls(t, calls, 2)
			})
		})
	}
}
