package properties_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac"
	"github.com/zodiac-go/zodiac/memstore"
	"pgregory.net/rapid"
)

// P22: a miss, a nil, a zero value and a None are four different results, by every way in and out,
// whether values of the type are plain, share memory, or can be nil.
func TestP22_MissNilZeroAndNoneAreToldApart(t *testing.T) {
	t.Run("int", func(t *testing.T) { p22(t, nil, 0, 5) })
	t.Run("slice", func(t *testing.T) { p22(t, nil, nil, []int{}, []int{1}) })
	t.Run("map", func(t *testing.T) { p22(t, nil, nil, map[string]int{}, map[string]int{"a": 1}) })
	t.Run("pointer", func(t *testing.T) { p22(t, nil, nil, new(int)) })
	t.Run("interface", func(t *testing.T) {
		p22[any](t, nil, nil, 0, "", "x", false, true, place{}, place{1, "x"},
			(*int)(nil), (func())(nil), (chan int)(nil))
	})
	t.Run("error", func(t *testing.T) { p22[error](t, nil, nil, zodiac.ErrMiss, error((*zodiac.PanicError)(nil))) })
}

// p22 stores each of values in every way, in a loader that stores nil, and reads it in every way.
func p22[V any](t *testing.T, opts zodiac.Options, values ...V) *zodiac.Loader[int, V] {
	t.Helper()
	var v V
	var err error
	l := zodiac.NewLoader(func(context.Context, int) (V, error) { return v, err }, opts, zodiac.CacheNil())
	for i, want := range values {
		kind := kindOf(want)
		ways := map[string]func() error{
			"Set":         func() error { return l.Set(bg, key, want) },
			"SetMany":     func() error { return l.SetMany(bg, map[int]V{key: want}) },
			"SetIfAbsent": func() error { return only(l.SetIfAbsent(bg, key, want)) },
			"Update":      func() error { return only(l.Update(bg, key, func(V, bool) (V, error) { return want, nil })) },
			"Get":         func() error { v = want; return only(l.Get(bg, key)) },
			"GetOrFetch": func() error {
				return only(l.GetOrFetch(bg, key, func(context.Context, int) (V, error) { return want, nil }))
			},
		}
		for name, put := range ways {
			l.Delete(bg, key)
			missing(t, l)
			if err := put(); err != nil {
				t.Fatalf("%s(value %d) = %v", name, i, err)
			}
			v = *new(V)
			present(t, fmt.Sprintf("value %d by %s", i, name), l, want, kind)
		}
	}
	l.SetNone(bg, key)
	none(t, "SetNone", l, zodiac.ErrNone)
	l.Delete(bg, key)
	missing(t, l)
	err = fmt.Errorf("wrapped: %w", zodiac.ErrNone)
	if _, got := l.Get(bg, key); !errors.Is(got, zodiac.ErrNone) {
		t.Errorf("Get of a None = %v", got)
	}
	err = errors.New("must not be called again")
	none(t, "a fetch", l, zodiac.ErrNone)
	return l
}

// kindOf is the rule in other words than the library's: only pointers and interfaces can be nil.
func kindOf[V any](v V) zodiac.Kind {
	switch r := reflect.ValueOf(&v).Elem(); r.Kind() {
	case reflect.Pointer, reflect.Interface:
		if r.IsNil() {
			return zodiac.KindNil
		}
	}
	return zodiac.KindValue
}

func missing[V any](t *testing.T, l *zodiac.Loader[int, V]) {
	t.Helper()
	_, ok, err := l.Peek(bg, key)
	_, has, e := l.Entry(bg, key)
	touched, _ := l.Touch(bg, key)
	n, _ := l.Delete(bg, key)
	if ok || err != nil || has || e != nil || touched || n != 0 || l.Len() != 0 {
		t.Errorf("nothing is there, but Peek says %v, %v, Entry %v, %v, Touch %v, Delete %d, Len %d", ok, err, has, e, touched, n, l.Len())
	}
}

func present[V any](t *testing.T, what string, l *zodiac.Loader[int, V], want V, kind zodiac.Kind) {
	t.Helper()
	got, err := l.Get(bg, key)
	many, manyErr := l.GetMany(bg, []int{key})
	peeked, ok, peekErr := l.Peek(bg, key)
	e, has, entryErr := l.Entry(bg, key)
	for name, v := range map[string]V{"Get": got, "GetMany": many[key], "Peek": peeked, "Entry": e.Value} {
		if !same(v, want) {
			t.Errorf("%s: %s = %#v; want %#v", what, name, v, want)
		}
	}
	if err != nil || manyErr != nil || len(many) != 1 || !ok || peekErr != nil || !has || entryErr != nil || e.Kind != kind {
		t.Errorf("%s: Get %v, GetMany %v, Peek %v, %v, Entry %v, %v of kind %v; want kind %v", what, err, manyErr, ok, peekErr, has, entryErr, e.Kind, kind)
	}
	counted(t, what, l)
	l.Update(bg, key, func(old V, ok bool) (V, error) {
		if !ok || !same(old, want) {
			t.Errorf("%s: Update gets %v, %v", what, old, ok)
		}
		return old, errors.New("changes nothing")
	})
}

// same is ==. For values that Go does not compare, it is nil for both and equality in depth.
func same[V any](a, b V) bool {
	return reflect.DeepEqual(a, b) // nil and empty are told apart
}

func none[V any](t *testing.T, what string, l *zodiac.Loader[int, V], is error) {
	t.Helper()
	_, err := l.Get(bg, key)
	many, manyErr := l.GetMany(bg, []int{key})
	_, ok, peekErr := l.Peek(bg, key)
	e, has, entryErr := l.Entry(bg, key)
	for name, err := range map[string]error{"Get": err, "Peek": peekErr, "Entry": entryErr} {
		if !errors.Is(err, is) || !errors.Is(err, zodiac.ErrNone) {
			t.Errorf("%s: %s = %v; want ErrNone and %v", what, name, err, is)
		}
	}
	if len(many) != 0 || manyErr != nil || !ok || !has || e.Kind != zodiac.KindNone {
		t.Errorf("%s: GetMany %v, %v, Peek %v, Entry %v of kind %v", what, many, manyErr, ok, has, e.Kind)
	}
	counted(t, what, l)
	l.Update(bg, key, func(_ V, ok bool) (V, error) {
		if ok {
			t.Errorf("%s: Update takes a None for a value", what)
		}
		return *new(V), errors.New("changes nothing")
	})
}

// counted checks that entries of every kind count and can be touched.
func counted[V any](t *testing.T, what string, l *zodiac.Loader[int, V]) {
	t.Helper()
	absent, _ := l.SetIfAbsent(bg, key, *new(V))
	touched, _ := l.Touch(bg, key)
	if absent || !touched {
		t.Errorf("%s: SetIfAbsent %v, Touch %v; want false, true", what, absent, touched)
	}
	// over a store Len is about memory only
	if n := l.Len(); n != 1 && !strings.Contains(t.Name(), "Store") {
		t.Errorf("%s: Len %d; want 1", what, n)
	}
}

// P22: by default a nil pointer and a nil interface are not stored. With SkipIf its function
// decides, and nil is stored. The caller gets the value in any case.
func TestP22_NilIsFetchedAgainByDefault(t *testing.T) {
	calls := 0
	fetch := func(context.Context, int) (*int, error) { calls++; return nil, nil }
	for i, o := range []struct {
		opts []zodiac.Option
		want int
	}{
		{nil, 2},
		{[]zodiac.Option{zodiac.CacheNil()}, 1},
		{[]zodiac.Option{zodiac.SkipIf(func(v *int) bool { return v != nil })}, 1},
		{[]zodiac.Option{zodiac.SkipIf(func(v *int) bool { return v == nil })}, 2},
	} {
		calls = 0
		l := zodiac.NewLoader(fetch, o.opts...)
		for range 2 {
			if v, err := l.Get(bg, key); v != nil || err != nil {
				t.Errorf("Get = %v, %v", v, err)
			}
		}
		if calls != o.want {
			t.Errorf("%d: the function ran %d times; want %d", i, calls, o.want)
		}
	}
	c := zodiac.NewCache[int, *int]() // has no default SkipIf
	calls = 0
	c.GetOrFetch(bg, key, fetch)
	c.GetOrFetch(bg, key, fetch)
	if calls != 1 {
		t.Errorf("a Cache calls the function %d times for a nil; want 1", calls)
	}
}

// P22: every caller of a None gets an error that matches both ErrNone and the error behind it. So
// does the first caller.
func TestP22_NoneMatchesItsError(t *testing.T) {
	l := zodiac.NewLoader(func(_ context.Context, k int) (int, error) {
		return 1, fmt.Errorf("row %d: %w", k, errNotFound) // the error wins over the value
	}, zodiac.NoneIf(errGone, errNotFound))
	for range 3 {
		if v, err := l.Get(bg, key); v != 0 || !errors.Is(err, zodiac.ErrNone) || !errors.Is(err, errNotFound) || errors.Is(err, errGone) {
			t.Errorf("Get = %v, %v", v, err)
		}
	}
	none(t, "NoneIf", l, errNotFound)
	if st := l.Stats(); st.Fetches != 1 || st.Stored != 1 || st.Failed != 0 {
		t.Errorf("%+v; want one fetch, stored", st)
	}
}

// P23: the time left of an entry shrinks exactly as time passes, in every way of reading it and
// wherever it is read: in memory, in a store, or as a copy in front of one. Only a write, Touch, and
// use of a sliding entry lengthen it. Jitter only shortens it, and never by more than its part.
func TestP23_TimeLeftNeverGrows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ttl := time.Duration(rapid.IntRange(1, 10_000).Draw(t, "ttl ms")) * time.Millisecond
		jitter := rapid.SampledFrom([]float64{0, 0.1, 0.5, 0.99}).Draw(t, "jitter")
		opts := []zodiac.Option{zodiac.WithTTL(ttl), zodiac.WithJitter(jitter)}
		place := rapid.SampledFrom([]string{"memory", "store", "both"}).Draw(t, "place")
		ops := rapid.SliceOfN(rapid.SampledFrom([]string{
			"Get", "Peek", "Entry", "ReadOnly", "NoWrite", "GetMany", "Add", "failed Update", "failed SetIfAbsent", "failed Refresh",
			"advance", "advance", "advance", "Set", "Touch", "Refresh",
		}), 1, 30).Draw(t, "ops")
		if unflagged {
			ops = slices.DeleteFunc(ops, func(op string) bool { return op == "ReadOnly" || op == "NoWrite" })
		}
		rapid.SyncTest(t, func(t *rapid.T) {
			a := &aging{t: t, ttl: ttl, least: time.Duration(float64(ttl) * (1 - jitter))}
			if place != "memory" {
				under := memstore.New()
				defer under.Close()
				opts = append(opts, zodiac.WithName("aging"), zodiac.WithStore(under))
			}
			if place == "both" {
				opts = append(opts, zodiac.WithMemory(max(time.Millisecond, ttl/3)))
			}
			a.l = zodiac.NewLoader(a.fetch, opts...)
			defer a.l.Close(bg)
			a.l.Peek(bg, key) // it begins to receive invalidations
			synctest.Wait()
			for _, op := range append([]string{"Set"}, ops...) {
				a.step(op)
			}
		})
	})
}

type aging struct {
	t          *rapid.T
	l          *zodiac.Loader[int, int64]
	ttl, least time.Duration
	fails      bool
	end        time.Time // of the entry, as it said
}

func (a *aging) fetch(context.Context, int) (int64, error) {
	if a.fails {
		return 0, errGone
	}
	return 1, nil
}

func (a *aging) step(op string) {
	newborn := false
	switch op {
	case "Get", "GetMany":
		_, had, _ := a.l.Peek(bg, key)
		newborn = !had
		a.l.GetMany(bg, []int{key})
		a.l.Get(bg, key)
	case "Peek", "Entry":
		a.l.Peek(bg, key)
	case "ReadOnly":
		a.l.Get(zodiac.ReadOnly(bg), key)
	case "NoWrite":
		a.l.Get(zodiac.NoWrite(bg), key)
	case "Add":
		_, had, _ := a.l.Peek(bg, key)
		newborn = !had
		zodiac.Add(bg, a.l.Cache, key, 1)
	case "failed Update":
		a.l.Update(bg, key, func(old int64, _ bool) (int64, error) { return old, errGone })
	case "failed SetIfAbsent":
		if _, had, _ := a.l.Peek(bg, key); had {
			a.l.SetIfAbsent(bg, key, 1)
		}
	case "failed Refresh":
		a.fails = true
		a.l.Refresh(bg, key)
		a.fails = false
	case "advance":
		time.Sleep(time.Duration(rapid.Int64Range(1, int64(a.ttl)/2).Draw(a.t, "ns")))
	case "Set":
		newborn = true
		a.l.Set(bg, key, 1)
	case "Touch":
		newborn, _ = a.l.Touch(bg, key)
	case "Refresh":
		newborn = true
		a.l.Refresh(bg, key)
	}
	a.look(op, newborn)
}

func (a *aging) look(op string, newborn bool) {
	e, ok, _ := a.l.Entry(bg, key)
	if newborn {
		if !ok || e.Left > a.ttl || e.Left < min(a.least, a.ttl) && e.Left < time.Millisecond {
			a.t.Fatalf("after %s: %v left, %v; want between %v and %v", op, e.Left, ok, a.least, a.ttl)
		}
		if e.Left < a.least-time.Microsecond && e.Left != time.Millisecond {
			a.t.Fatalf("after %s: %v left; jitter took more than its part of %v", op, e.Left, a.ttl)
		}
		a.end = time.Now().Add(e.Left)
		return
	}
	if want := time.Until(a.end); ok != (want > 0) || ok && e.Left != want {
		a.t.Fatalf("after %s: %v left, %v; want %v", op, e.Left, ok, want)
	}
}

// P23, sliding: each use extends an entry to its full life, once an eighth of it has passed. Reads
// that are not uses do not.
func TestP23_OnlyUseSlides(t *testing.T) {
	needsModes(t)
	const ttl = 8 * time.Second
	synctest.Test(t, func(t *testing.T) {
		l := zodiac.NewLoader(func(context.Context, int) (int, error) { return 1, nil }, zodiac.WithTTL(ttl), zodiac.WithSliding())
		left := func() time.Duration { e, _, _ := l.Entry(bg, key); return e.Left }
		uses := map[string]func(){
			"Get": func() { l.Get(bg, key) }, "GetMany": func() { l.GetMany(bg, []int{key}) },
			"GetOrFetch": func() { l.GetOrFetch(bg, key, l.Fetch) },
			"NoFetch":    func() { l.Get(zodiac.WithMode(bg, zodiac.Mode{NoFetch: true}), key) },
		}
		looks := map[string]func(){
			"Peek": func() { l.Peek(bg, key) }, "Entry": func() { l.Entry(bg, key) },
			"ReadOnly": func() { l.Get(zodiac.ReadOnly(bg), key) }, "NoWrite": func() { l.Get(zodiac.NoWrite(bg), key) },
			"Len": func() { l.Len() }, "SetIfAbsent": func() { l.SetIfAbsent(bg, key, 2) },
		}
		for name, use := range uses {
			l.Set(bg, key, 1)
			time.Sleep(time.Second - 1)
			if use(); left() != ttl-time.Second+1 {
				t.Errorf("%s slid before an eighth had passed: %v left", name, left())
			}
			time.Sleep(time.Nanosecond)
			if use(); left() != ttl {
				t.Errorf("%s did not slide: %v left", name, left())
			}
		}
		for name, look := range looks {
			l.Set(bg, key, 1)
			time.Sleep(ttl - 1)
			if look(); left() != 1 {
				t.Errorf("%s slid: %v left", name, left())
			}
		}
	})
}

// P24: at its expiry, to the nanosecond, an entry is absent, by every way in and after every kind
// of use. One nanosecond earlier it is present. The state of the coarse clock does not matter.
func TestP24_ExpiredEntryIsNeverReturned(t *testing.T) {
	checkMore(t, 10, func(t *rapid.T) {
		ttl := time.Duration(rapid.Int64Range(int64(time.Millisecond), int64(3*time.Second)).Draw(t, "ttl"))
		uses := rapid.SliceOfN(rapid.Int64Range(0, int64(ttl)-1), 0, 12).Draw(t, "used at")
		warm := rapid.Bool().Draw(t, "used all the time")
		ways := map[string]func(l *zodiac.Loader[int, int64]) bool{
			"Get":         func(l *zodiac.Loader[int, int64]) bool { v, _ := l.Get(bg, key); return v == 1 },
			"GetMany":     func(l *zodiac.Loader[int, int64]) bool { vs, _ := l.GetMany(bg, []int{key}); return vs[key] == 1 },
			"Peek":        func(l *zodiac.Loader[int, int64]) bool { _, ok, _ := l.Peek(bg, key); return ok },
			"Entry":       func(l *zodiac.Loader[int, int64]) bool { _, ok, _ := l.Entry(bg, key); return ok },
			"Touch":       func(l *zodiac.Loader[int, int64]) bool { ok, _ := l.Touch(bg, key); return ok },
			"SetIfAbsent": func(l *zodiac.Loader[int, int64]) bool { absent, _ := l.SetIfAbsent(bg, key, 3); return !absent },
			"Delete":      func(l *zodiac.Loader[int, int64]) bool { n, _ := l.Delete(bg, key); return n > 0 },
			"Clear":       func(l *zodiac.Loader[int, int64]) bool { n, _ := l.Clear(bg); return n > 1 },
			"Add":         func(l *zodiac.Loader[int, int64]) bool { n, _ := zodiac.Add(bg, l.Cache, key, 10); return n == 11 },
			"Update": func(l *zodiac.Loader[int, int64]) (had bool) {
				l.Update(bg, key, func(_ int64, ok bool) (int64, error) { had = ok; return 1, nil })
				return had
			},
		}
		way := rapid.SampledFrom(sortedNames(ways)).Draw(t, "way")
		for _, early := range []time.Duration{1, 0} {
			rapid.SyncTest(t, func(t *rapid.T) {
				l := zodiac.NewLoader(func(context.Context, int) (int64, error) { return 2, nil }, zodiac.WithTTL(ttl))
				l.Set(bg, 7, 7, zodiac.WithTTL(zodiac.Forever))
				l.Set(bg, key, 1)
				end := time.Now().Add(ttl)
				use(l, uses, warm, end)
				time.Sleep(time.Until(end) - early)
				if got := ways[way](l); got != (early > 0) {
					t.Errorf("%s %v before the expiry: found %v", way, early, got)
				}
			})
		}
	})
}

// use reads at the given times, counted from now, and also every few milliseconds if warm.
func use(l *zodiac.Loader[int, int64], at []int64, warm bool, end time.Time) {
	begin := time.Now()
	for _, at := range slices.Sorted(slices.Values(at)) {
		time.Sleep(time.Until(begin.Add(time.Duration(at))))
		l.Get(bg, key)
	}
	for warm && time.Until(end) > 7*time.Millisecond {
		time.Sleep(7 * time.Millisecond)
		l.Get(bg, key)
		l.Get(bg, 7)
	}
}

func sortedNames[E any](m map[string]E) []string {
	var names []string
	for n := range m {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// The clock always gives the same answers in the same virtual time, and it leaves nothing behind.
// An unclosed loader keeps neither its bubble, which would panic, nor a goroutine, which TestMain
// would find.
func TestClockIsDeterministicAndAnUnclosedLoaderLeavesNothing(t *testing.T) {
	run := func() (found []bool) {
		synctest.Test(t, func(t *testing.T) {
			l := zodiac.NewLoader(func(context.Context, int) (int64, error) { return 2, nil }, zodiac.WithTTL(0.3), zodiac.WithErrorTTL(1))
			l.Set(bg, key, 1)
			l.Set(bg, 2, 1, zodiac.WithTTL(time.Hour)) // timers are pending at the end
			for range 40 {
				time.Sleep(10 * time.Millisecond)
				synctest.Wait()
				_, ok, _ := l.Peek(bg, key)
				found = append(found, ok, l.Len() == 2)
			}
		})
		return found
	}
	first := run()
	if i := slices.Index(first, false); i != 58 {
		t.Errorf("an entry of 300 ms was last found at step %d of 10 ms", i/2)
	}
	for range 20 {
		if again := run(); !slices.Equal(again, first) {
			t.Fatalf("found\n%v and then\n%v", first, again)
		}
	}
}
