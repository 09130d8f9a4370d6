package properties_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zodiac-go/zodiac"
	"pgregory.net/rapid"
)

// A web is two loaders whose functions ask for other keys, of either loader, before they return.
type web struct {
	asks  [webKeys][]ask // by key: the calls of its function
	calls []webCall
	loads [2]*zodiac.Loader[int, int]
	began atomic.Int32 // functions
}

const (
	webKeys = 5
	tooMany = 2000 // functions, for a few calls: they call each other without end
)

var errRunaway = errors.New("functions begin each other without end")

// An ask is a question for a key, after a pause.
type ask struct {
	loader, key, pause int
	how                string
}

// A webCall is a question from outside at a given time, or an invalidation.
type webCall struct {
	ask
	patience int
}

func (a ask) String() string {
	return fmt.Sprintf("+%d ms: l%d.%s(%d)", a.pause, a.loader, a.how, a.key)
}

func (w *web) String() string {
	var b strings.Builder
	for k, asks := range w.asks {
		fmt.Fprintf(&b, "the function of %d: %v\n", k, asks)
	}
	for _, c := range w.calls {
		fmt.Fprintf(&b, "%v with %d ms of patience\n", c.ask, c.patience)
	}
	return b.String()
}

func drawAsk(t *rapid.T, keys []int, hows ...string) ask {
	return ask{
		rapid.IntRange(0, 1).Draw(t, "loader"), rapid.SampledFrom(keys).Draw(t, "key"), rapid.IntRange(0, 3).Draw(t, "pause"),
		rapid.SampledFrom(hows).Draw(t, "how"),
	}
}

func drawWeb(t *rapid.T, cycles bool) *web {
	w := new(web)
	hows := []string{"Get", "Get", "GetMany", "Refresh"}
	if !unflagged {
		// Not both: NoWrite under an Overwrite from further out is a Bypass, and functions that
		// call each other directly may do so for ever.
		hows = append(hows, rapid.SampledFrom([]string{"NoWrite", "Aimed"}).Draw(t, "mode"))
	}
	all := []int{0, 1, 2, 3, 4}
	for k := range w.asks {
		keys := all[:k] // only smaller ones: no cycles
		if cycles {
			keys = all
		}
		for range min(len(keys), rapid.IntRange(0, 2).Draw(t, "asks")) {
			w.asks[k] = append(w.asks[k], drawAsk(t, keys, hows...))
		}
	}
	for range rapid.IntRange(1, 8).Draw(t, "calls") {
		c := webCall{drawAsk(t, all, append(hows, "Delete", "Clear", "Set")...), rapid.SampledFrom([]int{10_000, 2, 5}).Draw(t, "patience")}
		w.calls = append(w.calls, c)
	}
	return w
}

func (w *web) fetch(ctx context.Context, key int) (int, error) {
	if w.began.Add(1) > tooMany {
		return 0, errRunaway
	}
	for _, a := range w.asks[key] {
		time.Sleep(time.Duration(a.pause) * time.Millisecond)
		if err := w.do(ctx, a); err != nil {
			return 0, fmt.Errorf("%d asks for %d: %w", key, a.key, err)
		}
	}
	return key, nil
}

func (w *web) do(ctx context.Context, a ask) error {
	l := w.loads[a.loader]
	switch a.how {
	case "Refresh":
		return only(l.Refresh(ctx, a.key))
	case "GetMany":
		return only(l.GetMany(ctx, []int{a.key, 0}))
	case "NoWrite":
		return only(l.Get(zodiac.NoWrite(ctx), a.key))
	case "Aimed":
		return only(l.Get(zodiac.Overwrite(ctx, w.loads[1-a.loader]), a.key))
	case "Delete":
		return only(l.Delete(ctx, a.key))
	case "Clear":
		return only(l.Clear(ctx))
	case "Set":
		return l.Set(ctx, a.key, a.key)
	}
	return only(l.Get(ctx, a.key))
}

// run makes the calls one after another, and returns the errors of those whose context did not end.
func (w *web) run() (errs []error) {
	for i := range w.loads {
		w.loads[i] = zodiac.NewLoader(w.fetch, zodiac.WithName(fmt.Sprint("l", i)))
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, c := range w.calls {
		time.Sleep(time.Duration(c.pause) * time.Millisecond)
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(bg, time.Duration(c.patience)*time.Millisecond)
			defer cancel()
			err := w.do(ctx, c.ask)
			mu.Lock()
			defer mu.Unlock()
			if ctx.Err() == nil || c.patience > 1000 {
				errs = append(errs, err)
			}
		})
	}
	wg.Wait()
	return errs
}

// P20 and P17: functions that ask for each other's keys never wait for each other for ever, in
// whatever order and mode, with invalidations and departures in between. The function that would
// close a cycle gets ErrCycle. No function gets it without a cycle. When all is over nothing is
// left for Close to wait for.
func TestP20_NoFetchesWaitForEachOtherForEver(t *testing.T) {
	checkMore(t, 5, func(t *rapid.T) {
		cycles := rapid.Bool().Draw(t, "cycles")
		w := drawWeb(t, cycles)
		rapid.SyncTest(t, func(t *rapid.T) {
			begin := time.Now()
			errs := w.run()
			if took := time.Since(begin); took > 5*time.Second {
				t.Errorf("it took %v: somebody waited until the patience of all had ended", took)
			}
			if n := w.began.Load(); n > tooMany {
				t.Fatalf("more than %d functions for %d calls\n%v", tooMany, len(w.calls), w)
			}
			for _, err := range errs {
				if err != nil && (!cycles || !errors.Is(err, zodiac.ErrCycle)) {
					t.Errorf("cycles %v, but %v\n%v", cycles, err, w)
				}
			}
			ctx, cancel := context.WithTimeout(bg, time.Second)
			defer cancel()
			for _, l := range slices.Backward(w.loads[:]) {
				if err := l.Close(ctx); err != nil {
					t.Error(err)
				}
			}
		})
	})
}
