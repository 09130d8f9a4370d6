package zodiac_test

import (
	"context"
	"errors"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac"
	"github.com/zodiac-go/zodiac/memstore"
)

// square is a function of a loader.
func square(_ context.Context, n int) (int, error) { return n * n, nil }

func wantMany[K, V comparable](t *testing.T, l *zodiac.Loader[K, V], keys []K, want map[K]V) {
	t.Helper()
	if m, err := l.GetMany(t.Context(), keys); !maps.Equal(m, want) || err != nil {
		t.Errorf("GetMany(%v) = %v, %v; want %v, nil", keys, m, err, want)
	}
}

func upTo(n int) []int {
	keys := make([]int, n)
	for i := range keys {
		keys[i] = i
	}
	return keys
}

func TestGetManyFetchesOnlyWhatIsMissing(t *testing.T) {
	var calls atomic.Int64
	l := zodiac.NewLoader(func(ctx context.Context, n int) (int, error) {
		calls.Add(1)
		return square(ctx, n)
	})
	mustSet(t, l.Cache, 2, -2)
	want := map[int]int{1: 1, 2: -2, 3: 9}
	wantMany(t, l, []int{1, 2, 3}, want)
	wantCalls(t, &calls, 2)
	wantMany(t, l, []int{1, 2, 3}, want)
	wantCalls(t, &calls, 2)
	wantPeek(t, l.Cache, 3, 9)
}

func TestGetManyOfNothingIsNothing(t *testing.T) {
	l := zodiac.NewLoader(square)
	for _, keys := range [][]int{nil, {}} {
		if m, err := l.GetMany(t.Context(), keys); m == nil || len(m) != 0 || err != nil {
			t.Errorf("GetMany(%#v) = %#v, %v; want an empty map", keys, m, err)
		}
	}
	if s := l.Stats(); s.Gets != 0 {
		t.Errorf("%d Gets counted; want 0", s.Gets)
	}
}

func TestGetManyTakesDuplicatesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, calls := slow()
		l := zodiac.NewLoader(fetch)
		wantMany(t, l, []string{"k", "k", "k"}, map[string]int{"k": 1})
		wantCalls(t, calls, 1)
		if s := l.Stats(); s.Gets != 1 || s.Fetched != 1 {
			t.Errorf("%d Gets, %d Fetched; want 1 and 1", s.Gets, s.Fetched)
		}
	})
}

func TestGetManyFetchesSixteenAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, most atomic.Int64
		l := zodiac.NewLoader(func(ctx context.Context, n int) (int, error) {
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			time.Sleep(time.Second)
			return square(ctx, n)
		})
		began := time.Now()
		m, err := l.GetMany(t.Context(), upTo(40))
		if d := time.Since(began); len(m) != 40 || err != nil || most.Load() != 16 || d != 3*time.Second {
			t.Errorf("GetMany = %d values, %v, %d at a time, in %v; want 40, nil, 16, 3s", len(m), err, most.Load(), d)
		}
	})
}

// Fetches by other callers, in this process or elsewhere, delay none of the other keys.
func TestGetManyFetchesBesideWhatItWaitsFor(t *testing.T) {
	const theirs, all = 40, 60
	for name, elsewhere := range map[string]bool{"in this process": false, "in another process": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := memstore.New()
				defer store.Close()
				var running, most atomic.Int64
				open := func() *zodiac.Loader[int, int] {
					return zodiac.NewLoader(func(ctx context.Context, n int) (int, error) {
						if n < theirs {
							time.Sleep(5 * time.Second)
							return square(ctx, n)
						}
						most.Store(max(most.Load(), running.Add(1)))
						defer running.Add(-1)
						time.Sleep(time.Second)
						return square(ctx, n)
					}, zodiac.WithName("squares"), zodiac.WithTTL(60), zodiac.WithStore(&twin{store}))
				}
				mine := open()
				defer mine.Close(t.Context())
				others := mine
				if elsewhere {
					others = open()
					defer others.Close(t.Context())
				}
				for n := range theirs {
					go others.Get(t.Context(), n)
				}
				synctest.Wait()
				began := time.Now()
				if m, err := mine.GetMany(t.Context(), upTo(all)); len(m) != all || err != nil {
					t.Errorf("GetMany = %d values, %v", len(m), err)
				}
				if took := time.Since(began); took > 5*time.Second+50*time.Millisecond || most.Load() != 16 {
					t.Errorf("it took %v, with %d fetches at a time; want the time of the other fetches, and 16", took, most.Load())
				}
				synctest.Wait()
			})
		})
	}
}

func TestGetManyAndGetShareFetches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetch, calls := slow()
		l := zodiac.NewLoader(fetch)
		getting := getLater(t.Context(), l, "a")
		many := later(func() (map[string]int, error) { return l.GetMany(t.Context(), []string{"a", "b"}) })
		second := getLater(t.Context(), l, "b")
		wantReply(t, "Get(a)", getting, 1)
		if r := <-many; !maps.Equal(r.value, map[string]int{"a": 1, "b": 2}) || r.err != nil {
			t.Errorf("GetMany = %v, %v", r.value, r.err)
		}
		wantReply(t, "Get(b)", second, 2)
		wantCalls(t, calls, 2)
	})
}

func TestGetManyReturnsGoodValuesBesideErrors(t *testing.T) {
	odd := errors.New("odd")
	l := zodiac.NewLoader(func(_ context.Context, n int) (int, error) {
		switch {
		case n == 6:
			return 0, zodiac.ErrNone
		case n%2 == 1:
			return n, odd
		default:
			return n, nil
		}
	})
	m, err := l.GetMany(t.Context(), []int{1, 2, 3, 4, 6})
	if !maps.Equal(m, map[int]int{2: 2, 4: 4}) {
		t.Errorf("GetMany = %v; want 2 and 4", m)
	}
	e, ok := errors.AsType[*zodiac.ManyError[int]](err)
	if !ok || len(e.Errors) != 2 || !same(e.Errors[1], odd) || !same(e.Errors[3], odd) || len(e.Rejected) != 0 {
		t.Errorf("GetMany: error %v; want a *ManyError for 1 and 3", err)
	}
	wantError(t, "GetMany", err, odd)
	wantText(t, "GetMany", err, "odd", "1 more")
}

func TestGetManyOfOneKeyThatFailsIsAManyErrorToo(t *testing.T) {
	fetch, _ := failing(errOrigin)
	m, err := zodiac.NewLoader(fetch).GetMany(t.Context(), []string{"k"})
	e, ok := errors.AsType[*zodiac.ManyError[string]](err)
	if m == nil || len(m) != 0 || !ok || !same(e.Errors["k"], errOrigin) || err.Error() != errOrigin.Error() {
		t.Errorf("GetMany = %v, %v; want a *ManyError with the text of the one error", m, err)
	}
}

func TestGetManyListsNaNUnderRejected(t *testing.T) {
	l := zodiac.NewLoader(func(_ context.Context, f float64) (int, error) { return int(f), nil })
	m, err := l.GetMany(t.Context(), []float64{1, nan(), 2, nan()})
	if !maps.Equal(m, map[float64]int{1: 1, 2: 2}) {
		t.Errorf("GetMany = %v; want 1 and 2", m)
	}
	e, ok := errors.AsType[*zodiac.ManyError[float64]](err)
	if !ok || len(e.Errors) != 0 || len(e.Rejected) != 2 {
		t.Fatalf("GetMany: error %v; want a *ManyError with 2 rejected", err)
	}
	key, ok := errors.AsType[*zodiac.KeyError](e.Rejected[0])
	if !ok || key.Op != "GetMany" {
		t.Errorf("GetMany rejected a key with %v; want a *KeyError of GetMany", e.Rejected[0])
	}
	if s := l.Stats(); s.Gets != 2 {
		t.Errorf("%d Gets; want 2: a rejected key counts nowhere", s.Gets)
	}
}

func TestGetManyReturnsEveryKeyOfOneText(t *testing.T) {
	var calls atomic.Int64
	l := zodiac.NewLoader(func(_ context.Context, key string) (*list, error) {
		calls.Add(1)
		return &list{[]int{1}}, nil
	}, zodiac.WithKey(strings.ToLower), zodiac.WithClone(cloneList))
	for range 2 { // fetched, and from memory
		m, err := l.GetMany(t.Context(), []string{"k", "K", "other"})
		if len(m) != 3 || err != nil {
			t.Fatalf("GetMany = %v, %v; want three values", m, err)
		}
		checkNotShared(t, slices.Collect(maps.Values(m)))
	}
	wantCalls(t, &calls, 2)
	if s := l.Stats(); s.Gets != 4 {
		t.Errorf("%d Gets; want 4, each text counted once", s.Gets)
	}
}

func TestGetManyGivesEveryKeyOfOneTextTheError(t *testing.T) {
	fetch, calls := failing(errOrigin)
	l := zodiac.NewLoader(fetch, zodiac.WithKey(strings.ToLower))
	_, err := l.GetMany(t.Context(), []string{"k", "K"})
	e, ok := errors.AsType[*zodiac.ManyError[string]](err)
	if !ok || len(e.Errors) != 2 {
		t.Errorf("GetMany: error %v; want one for k and for K", err)
	}
	wantCalls(t, calls, 1)
}

func TestGetManyReturnsWhatThereIsWhenTheContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := zodiac.NewLoader(func(ctx context.Context, n int) (int, error) {
			select {
			case <-time.After(time.Duration(n) * time.Second):
				return n, nil
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		})
		mustSet(t, l.Cache, 100, 100)
		ctx, cancel := context.WithTimeout(t.Context(), 3500*time.Millisecond)
		defer cancel()
		began := time.Now()
		m, err := l.GetMany(ctx, append([]int{100}, upTo(30)[1:]...))
		if d := time.Since(began); d != 3500*time.Millisecond {
			t.Errorf("GetMany took %v; want 3.5s", d)
		}
		if !maps.Equal(m, map[int]int{1: 1, 2: 2, 3: 3, 100: 100}) {
			t.Errorf("GetMany = %v; want the values present after 3.5s", m)
		}
		e, ok := errors.AsType[*zodiac.ManyError[int]](err)
		if !ok || len(e.Errors) != 26 {
			t.Fatalf("GetMany: error %v; want one for each of the other 26 keys", err)
		}
		for key, err := range e.Errors {
			wantError(t, strconv.Itoa(key), err, context.DeadlineExceeded)
		}
	})
}

func TestGetManyWithAnEndedContextReturnsHits(t *testing.T) {
	l := zodiac.NewLoader(square)
	mustSet(t, l.Cache, 1, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	m, err := l.GetMany(ctx, []int{1, 2, 3})
	if !maps.Equal(m, map[int]int{1: 1}) {
		t.Errorf("GetMany = %v; want 1", m)
	}
	wantError(t, "GetMany", err, context.Canceled)
}

func TestGetManyLeavesOutNonesAndMissesUnderReadOnly(t *testing.T) {
	l := zodiac.NewLoader(square)
	mustSet(t, l.Cache, 1, 1)
	must(t, l.SetNone(t.Context(), 2))
	wantMany(t, l, []int{1, 2, 3}, map[int]int{1: 1, 3: 9})
	m, err := l.GetMany(zodiac.ReadOnly(t.Context()), []int{1, 2, 3, 4})
	if !maps.Equal(m, map[int]int{1: 1, 3: 9}) || err != nil {
		t.Errorf("GetMany = %v, %v; want 1 and 3", m, err)
	}
}

func TestGetManyWithinTwoBatchesDoesNotDeadlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := zodiac.NewLoader(func(ctx context.Context, n int) (int, error) {
			time.Sleep(time.Second)
			return square(ctx, n)
		})
		keys := upTo(100)
		backwards := slices.Clone(keys)
		slices.Reverse(backwards)
		a := later(func() (map[int]int, error) { return l.GetMany(t.Context(), keys) })
		b := later(func() (map[int]int, error) { return l.GetMany(t.Context(), backwards) })
		ra, rb := <-a, <-b
		if len(ra.value) != 100 || !maps.Equal(ra.value, rb.value) || ra.err != nil || rb.err != nil {
			t.Errorf("two GetMany returned %d and %d values, %v and %v", len(ra.value), len(rb.value), ra.err, rb.err)
		}
		if s := l.Stats(); s.Fetches != 100 {
			t.Errorf("%d fetches; want 100", s.Fetches)
		}
	})
}

func TestGetManyReportsAPanicPerKey(t *testing.T) {
	l := zodiac.NewLoader(func(_ context.Context, n int) (int, error) { return 6 / n, nil })
	m, err := l.GetMany(t.Context(), []int{0, 1, 2})
	e, ok := errors.AsType[*zodiac.ManyError[int]](err)
	if !ok || !maps.Equal(m, map[int]int{1: 6, 2: 3}) || len(e.Errors) != 1 {
		t.Fatalf("GetMany = %v, %v; want two values and one error", m, err)
	}
	if _, ok := errors.AsType[*zodiac.PanicError](e.Errors[0]); !ok {
		t.Errorf("the error of key 0 is %v; want a *PanicError", e.Errors[0])
	}
}

func TestGetManyKeepsAnErrMissOfTheFunction(t *testing.T) {
	fetch, _ := failing(zodiac.ErrMiss)
	l := zodiac.NewLoader(fetch)
	for _, ctx := range []context.Context{t.Context(), zodiac.NoWrite(t.Context()), zodiac.Bypass(t.Context())} {
		m, err := l.GetMany(ctx, []string{"k"})
		wantError(t, "GetMany", err, zodiac.ErrMiss)
		if len(m) != 0 {
			t.Errorf("GetMany = %v; want nothing", m)
		}
	}
}

func TestGetManySaysWhenACloneExits(t *testing.T) {
	var clones atomic.Int64
	l := zodiac.NewLoader(func(context.Context, string) (*list, error) { return &list{}, nil },
		zodiac.WithClone(func(l *list) *list {
			if clones.Add(1)%2 == 0 { // first into memory, then out to the caller
				runtime.Goexit()
			}
			return l
		}))
	for range 10 {
		m, err := l.GetMany(t.Context(), []string{"a", "b"})
		e, _ := errors.AsType[*zodiac.ManyError[string]](err)
		if e == nil && len(m) != 2 || e != nil && len(m)+len(e.Errors) != 2 {
			t.Errorf("GetMany = %v, %v; want a value or an error for both keys", m, err)
		}
		l.Clear(t.Context())
	}
}
