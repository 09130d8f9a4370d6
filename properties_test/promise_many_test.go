package properties_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac"
	"pgregory.net/rapid"
)

// P28: GetMany is many Gets: the same values, errors, function calls and counts, and the same
// memory afterwards, in every mode. A None is absent from the map, and so is a miss of a caller
// that may not fetch. Every other error is in the ManyError.
func TestP28_GetManyIsManyGets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keys := rapid.SliceOfN(rapid.IntRange(0, 30), 0, 40).Draw(t, "keys")
		held := rapid.SliceOfN(rapid.IntRange(0, 30), 0, 10).Draw(t, "held")
		text := rapid.Bool().Draw(t, "keyed by text")
		bits := 0
		if !unflagged {
			bits = rapid.IntRange(0, 7).Draw(t, "mode")
		}
		rapid.SyncTest(t, func(t *rapid.T) {
			together, one := newDesk(text, held), newDesk(text, held)
			got, err := together.l.GetMany(inMode(bits), keys)
			want, errs := map[int]*int{}, map[int]error{}
			for _, k := range distinct(keys) {
				v, err := one.l.Get(inMode(bits), k)
				switch {
				case err == nil:
					want[k] = v
				case errors.Is(err, zodiac.ErrNone) || errors.Is(err, zodiac.ErrMiss) && modeOf(bits).NoFetch:
				default:
					errs[k] = err
				}
			}
			compareValues(t, got, want)
			compareErrors(t, err, errs)
			together.compare(t, one)
		})
	})
}

func inMode(bits int) context.Context {
	if bits == 0 {
		return bg
	}
	return zodiac.WithMode(bg, modeOf(bits))
}

func distinct(keys []int) []int { return slices.Compact(slices.Sorted(slices.Values(keys))) }

// A desk is a loader whose function does something different for each key, always the same.
type desk struct {
	l  *zodiac.Loader[int, *int]
	mu sync.Mutex // guards the field below

	asked []int
}

var (
	deskErrors = map[int]error{2: errors.New("down"), 4: fmt.Errorf("no row: %w", errNotFound), 5: zodiac.ErrNone, 6: fmt.Errorf("inner: %w", zodiac.ErrMiss)}
	deskValues = map[int]*int{}
)

func init() {
	for i := range 100 {
		deskValues[i] = new(int)
	}
}

func newDesk(text bool, held []int) *desk {
	d := new(desk)
	opts := []zodiac.Option{zodiac.NoneIf(errNotFound), zodiac.WithErrorTTL(1)}
	if text {
		opts = append(opts, zodiac.WithKey(func(k int) string { return fmt.Sprint(k) }))
	}
	d.l = zodiac.NewLoader(d.fetch, opts...)
	for _, k := range held {
		if k == 9 {
			d.l.SetNone(bg, k)
		} else {
			d.l.Set(bg, k, deskValues[k+50])
		}
	}
	return d
}

func (d *desk) fetch(_ context.Context, k int) (*int, error) {
	d.mu.Lock()
	d.asked = append(d.asked, k)
	d.mu.Unlock()
	if k%7 == 3 {
		return nil, nil
	}
	return deskValues[k], deskErrors[k%10]
}

func compareValues(t *rapid.T, got, want map[int]*int) {
	for k, v := range want {
		if g, ok := got[k]; !ok || g != v {
			t.Errorf("key %d: GetMany has %p, %v; Get returned %p", k, g, ok, v)
		}
	}
	if len(got) != len(want) || got == nil {
		t.Errorf("GetMany returned %d values; want %d", len(got), len(want))
	}
}

func compareErrors(t *rapid.T, err error, want map[int]error) {
	many := new(zodiac.ManyError[int])
	if err != nil && !errors.As(err, &many) {
		t.Fatalf("GetMany: %T", err)
	}
	for k, e := range want {
		g := many.Errors[k]
		if g == nil || g.Error() != e.Error() || errors.Is(g, zodiac.ErrRemembered) != errors.Is(e, zodiac.ErrRemembered) || !errors.Is(err, g) {
			t.Errorf("key %d: GetMany has the error %v; Get returned %v", k, g, e)
		}
	}
	if len(many.Errors) != len(want) || len(many.Rejected) > 0 || (err == nil) != (len(want) == 0) {
		t.Errorf("GetMany: %v; want %d errors", err, len(want))
	}
}

func (d *desk) compare(t *rapid.T, other *desk) {
	synctest.Wait()
	slices.Sort(d.asked)
	slices.Sort(other.asked)
	if !slices.Equal(d.asked, other.asked) {
		t.Errorf("GetMany called the function for %v; Get for %v", d.asked, other.asked)
	}
	if got, want := d.l.Stats(), other.l.Stats(); got != want {
		t.Errorf("GetMany counted\n%+v, Get\n%+v", got, want)
	}
	for k := range 31 {
		v, ok, err := d.l.Peek(bg, k)
		w, has, fail := other.l.Peek(bg, k)
		if v != w || ok != has || (err == nil) != (fail == nil) {
			t.Errorf("key %d: after GetMany %p, %v, %v; after Get %p, %v, %v", k, v, ok, err, w, has, fail)
		}
	}
}

// P28: missing keys are fetched at once, but at most sixteen at a time, and duplicates once.
// GetMany of no keys calls nothing.
func TestP28_GetManyFetchesSixteenAtATime(t *testing.T) {
	onStage(t, config{}, func(s *stage) {
		var keys, first []int
		for k := range 40 {
			keys = append(keys, k, k)
			first = append(first, k)
		}
		c := s.begin("GetMany", func(ctx context.Context) result {
			vs, err := s.GetMany(ctx, keys)
			return result{vals: vs, err: err}
		})
		for _, n := range []int{16, 16, 8} {
			for _, call := range s.calls(first[:n]...) {
				call.plan <- plan{kind: returns, val: value{id: int64(call.key)}}
			}
			first = first[n:]
		}
		if r := c.result(); len(r.vals) != 40 || r.vals[39].id != 39 || r.err != nil {
			t.Errorf("GetMany = %v", r)
		}
		if vs, err := s.GetMany(bg, nil); len(vs) != 0 || vs == nil || err != nil {
			t.Errorf("GetMany of nothing = %v, %v", vs, err)
		}
		s.counted(zodiac.Stats{Fetched: 40, Stored: 40})
	})
}

// P28: two batches with the same keys in another order do not wait for each other for ever, and
// fetch each key once.
func TestP28_TwoBatchesDoNotBlockEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := make([]int, 100)
		var mu sync.Mutex
		l := zodiac.NewLoader(func(_ context.Context, k int) (int, error) {
			mu.Lock()
			calls[k]++
			mu.Unlock()
			time.Sleep(time.Second)
			return k, nil
		})
		up := make([]int, 100)
		for i := range up {
			up[i] = i
		}
		down := slices.Clone(up)
		slices.Reverse(down)
		var wg sync.WaitGroup
		for _, keys := range [][]int{up, down, up} {
			wg.Go(func() {
				if vs, err := l.GetMany(bg, keys); len(vs) != 100 || err != nil {
					t.Errorf("GetMany: %d values, %v", len(vs), err)
				}
			})
		}
		wg.Wait()
		if slices.Max(calls) != 1 {
			t.Errorf("calls by key: %v; want one each", calls)
		}
	})
}

// A natural is a key without text if it is negative.
type natural int

func (n natural) MarshalText() ([]byte, error) {
	if n < 0 {
		return nil, errors.New("negative")
	}
	return fmt.Append(nil, int(n)), nil
}

// P28, keys and texts: a key without text is rejected and counts nowhere. Two keys of one text are
// one key, and both are in the map.
func TestP28_KeysWithoutTextAndOfOneText(t *testing.T) {
	l := zodiac.NewLoader(func(_ context.Context, k natural) (int, error) { return int(k), nil })
	vs, err := l.GetMany(bg, []natural{1, -1, 2})
	many, ok := errors.AsType[*zodiac.ManyError[natural]](err)
	if !ok || len(many.Rejected) != 1 || len(many.Errors) != 0 || len(vs) != 2 || vs[1] != 1 || vs[2] != 2 {
		t.Errorf("GetMany = %v, %v", vs, err)
	}
	if ke, ok := errors.AsType[*zodiac.KeyError](err); !ok || ke.Op != "GetMany" {
		t.Errorf("GetMany: %v; want a KeyError", err)
	}
	if st := l.Stats(); st.Gets != 2 || st.Fetches != 2 {
		t.Errorf("%+v; want two Gets", st)
	}
	calls := 0
	half := zodiac.NewLoader(func(_ context.Context, k int) (int, error) { calls++; return k / 2, nil },
		zodiac.WithKey(func(k int) string { return fmt.Sprint(k / 2) }))
	pair, err := half.GetMany(bg, []int{2, 3})
	if len(pair) != 2 || pair[2] != 1 || pair[3] != 1 || err != nil || calls != 1 {
		t.Errorf("two keys of one text: %v, %v with %d calls", pair, err, calls)
	}
}
