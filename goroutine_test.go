package zodiac_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"runtime"
	"runtime/pprof"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac"
)

// TestMain fails the run if it leaves goroutines behind. Loaders without a logger of their own log
// nothing.
func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	code := m.Run()
	if code == 0 && !fuzzing() && leaked() {
		fmt.Fprintln(os.Stderr, "goroutines are left behind:")
		pprof.Lookup("goroutine").WriteTo(os.Stderr, 1)
		code = 1
	}
	os.Exit(code)
}

// fuzzing reports whether goroutines of the fuzzing engine run beside the tests.
func fuzzing() bool {
	f := flag.Lookup("test.fuzz")
	return f != nil && f.Value.String() != ""
}

// leaked reports whether goroutines other than this one are left after a second. Goroutines that
// are about to end may take that long.
func leaked() bool {
	for range 100 {
		if runtime.NumGoroutine() == 1 {
			return false
		}
		time.Sleep(10 * time.Millisecond)
	}
	return true
}

// goroutines returns the number of goroutines in the caller's bubble.
func goroutines() int {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	// the caller's stack comes first
	bubble := regexp.MustCompile(`synctest bubble \d+\]`).Find(stacks)
	return bytes.Count(stacks, bubble)
}

// wantGoroutines fails the test if there are not as many goroutines in the bubble as before.
func wantGoroutines(t *testing.T, before int) {
	t.Helper()
	if now := goroutines(); now != before {
		t.Errorf("%d goroutines; want %d as before", now, before)
	}
}

func TestLoaderAtRestHasNoGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := goroutines()
		fetch, _ := numbered()
		l := zodiac.NewLoader(fetch, zodiac.WithTTL(60), zodiac.WithErrorTTL(1))
		wantGet(t, l, "k", 1)
		wantGet(t, l, "k", 1) // arms the clock, as the first hit of an entry that expires does
		synctest.Wait()
		wantGoroutines(t, before)
	})
}

func TestLoaderThatIsNotClosedLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, _ := numbered()
		l := zodiac.NewLoader(fetch, zodiac.WithTTL(60))
		wantGet(t, l, "k", 1)
		wantGet(t, l, "k", 1)
	}) // fails if anything is left in the bubble
}

func TestFetchOutlivedByItsCallersEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := goroutines()
		l := zodiac.NewLoader(untilEnd)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := l.Get(ctx, "k"); !same(err, context.DeadlineExceeded) {
			t.Errorf("Get = %v; want the caller's own deadline", err)
		}
		synctest.Wait()
		wantGoroutines(t, before)
	})
}

func TestContextMadeFromAFetchContextStartsNoGoroutine(t *testing.T) {
	type key struct{}
	makers := map[string]func(context.Context) (context.Context, context.CancelFunc){
		"WithTimeout": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Hour)
		},
		"WithCancel": context.WithCancel,
		"WithCancelOfAValue": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithCancel(context.WithValue(ctx, key{}, 1))
		},
		"WithCancelOfAMode": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithCancel(zodiac.ReadOnly(ctx))
		},
		"WithTimeoutOfTimeout": func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, outer := context.WithTimeout(ctx, time.Hour)
			ctx, inner := context.WithTimeout(ctx, time.Minute)
			return ctx, func() { inner(); outer() }
		},
	}
	for name, derive := range makers {
		for _, opts := range []zodiac.Options{nil, {zodiac.WithFetchTimeout(time.Hour)}} {
			t.Run(fmt.Sprintf("%s/options=%d", name, len(opts)), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { checkDerivedContext(t, derive, opts) })
			})
		}
	}
}

// checkDerivedContext makes a context within a fetch, whose only caller then leaves.
func checkDerivedContext(t *testing.T, derive func(context.Context) (context.Context, context.CancelFunc), opts zodiac.Options) {
	l := zodiac.NewLoader(func(ctx context.Context, _ string) (int, error) {
		before := goroutines()
		ctx, cancel := derive(ctx)
		defer cancel()
		wantGoroutines(t, before)
		<-ctx.Done()
		wantError(t, "the derived context", ctx.Err(), context.Canceled)
		return 0, ctx.Err()
	}, opts)
	ctx, cancel := context.WithCancel(t.Context())
	getting := getLater(ctx, l, "k")
	cancel()
	wantError(t, "Get", (<-getting).err, context.Canceled)
	must(t, l.Close(t.Context()))
}
