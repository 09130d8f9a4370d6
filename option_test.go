package zodiac_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/zodiac-go/zodiac"
)

// A wrongOption is an option that a constructor has to refuse.
type wrongOption struct {
	name string // of the option
	opt  zodiac.Option
	says string // a part of the text
}

// wantFault fails the test unless opts have just one fault, which begins with the option's name.
func wantFault[V any](t *testing.T, w wrongOption) {
	t.Helper()
	_, err := zodiac.TryNewCache[string, V](w.opt)
	e, ok := errors.AsType[*zodiac.SettingError](err)
	if !ok || len(e.Faults) != 1 {
		t.Errorf("%s: error %v; want a *SettingError with one fault", w.name, err)
		return
	}
	if text := e.Faults[0].Error(); !strings.HasPrefix(text, w.name+": ") || !strings.Contains(text, w.says) {
		t.Errorf("the fault is %q; want one that begins with %q and says %q", text, w.name, w.says)
	}
}

// wrongPeriods returns an option with every kind of wrong Period.
func wrongPeriods[O zodiac.Option](name string, of func(int) O, of64 func(int64) O, ofFloat func(float64) O, ofDuration func(time.Duration) O) []wrongOption {
	const positive, under, over = "is not a positive time", "less than a millisecond", "more than a time.Duration holds"
	return []wrongOption{
		{name, of(0), positive},
		{name, of(-1), positive},
		{name, of64(0), positive},
		{name, of64(math.MinInt64), positive},
		{name, of64(math.MaxInt64), over},
		{name, of64(math.MaxInt64/1_000_000_000 + 1), over},
		{name, ofFloat(0), positive},
		{name, ofFloat(-0.5), positive},
		{name, ofFloat(math.Inf(-1)), positive},
		{name, ofFloat(math.NaN()), "NaN is not a number"},
		{name, ofFloat(math.Inf(1)), over},
		{name, ofFloat(1e10), over},
		{name, ofFloat(0.0009), under},
		{name, ofFloat(1e-10), under},
		{name, ofDuration(0), positive},
		{name, ofDuration(-time.Second), positive},
		{name, ofDuration(time.Millisecond - 1), under},
		{name, ofDuration(60), "did you mean 60*time.Second?"},
	}
}

func errorTTL[P zodiac.Period](p P) zodiac.Option { return zodiac.WithErrorTTL(p) }

func TestWrongPeriodsAreRefusedByEveryOption(t *testing.T) {
	var all []wrongOption
	all = append(all, wrongPeriods("WithTTL", zodiac.WithTTL[int], zodiac.WithTTL[int64], zodiac.WithTTL[float64], zodiac.WithTTL[time.Duration])...)
	all = append(all, wrongPeriods("WithNoneTTL", zodiac.WithNoneTTL[int], zodiac.WithNoneTTL[int64], zodiac.WithNoneTTL[float64], zodiac.WithNoneTTL[time.Duration])...)
	all = append(all, wrongPeriods("WithErrorTTL", errorTTL[int], errorTTL[int64], errorTTL[float64], errorTTL[time.Duration])...)
	all = append(all, wrongPeriods("WithFetchTimeout", zodiac.WithFetchTimeout[int], zodiac.WithFetchTimeout[int64], zodiac.WithFetchTimeout[float64], zodiac.WithFetchTimeout[time.Duration])...)
	for _, w := range all {
		wantFault[int](t, w)
	}
}

func TestWrongPeriodsAreRefusedByEveryCall(t *testing.T) {
	c := zodiac.NewCache[string, int]()
	for _, w := range wrongPeriods("WithTTL", zodiac.WithTTL[int], zodiac.WithTTL[int64], zodiac.WithTTL[float64], zodiac.WithTTL[time.Duration]) {
		err := c.Set(t.Context(), "k", 1, w.opt.(zodiac.SetOption))
		e, ok := errors.AsType[*zodiac.SettingError](err)
		if !ok || len(e.Faults) != 1 {
			t.Errorf("Set: error %v; want a *SettingError with one fault", err)
		}
		wantText(t, "Set", err, w.name+": ", w.says, "Set")
		wantAbsent(t, c, "k")
	}
}

func TestWrongValuesOfOptionsAreRefused(t *testing.T) {
	for _, w := range []wrongOption{
		{"WithCapacity", zodiac.WithCapacity(0), "0"},
		{"WithCapacity", zodiac.WithCapacity(-1), "-1"},
		{"WithCapacity", zodiac.WithCapacity(math.MaxInt), "not between"},
		{"WithJitter", zodiac.WithJitter(-0.1), "0 ≤ f < 1"},
		{"WithJitter", zodiac.WithJitter(1), "0 ≤ f < 1"},
		{"WithJitter", zodiac.WithJitter(math.NaN()), "0 ≤ f < 1"},
		{"WithJitter", zodiac.WithJitter(math.Inf(1)), "0 ≤ f < 1"},
		{"WithName", zodiac.WithName(""), "empty"},
		{"WithVersion", zodiac.WithVersion(""), "empty"},
		{"WithObserver", zodiac.WithObserver(nil), "nil"},
		{"WithLogger", zodiac.WithLogger(nil), "nil"},
		{"NoneIf", zodiac.NoneIf(), "no errors"},
		{"NoneIf", zodiac.NoneIf(errOrigin, nil), "error 2 of 2 is nil"},
		{"IncludeReceiver", zodiac.IncludeReceiver(nil), "nil"},
		{"Options", nil, "option 1 of 1 is nil"},
		{"Options", zodiac.Options{zodiac.WithTTL(1), nil}, "option 2 of 2 is nil"},
		{"WithKey", zodiac.WithKey[string](nil), "nil"},
		{"WithTTLFunc", zodiac.WithTTLFunc[string, int](nil), "nil"},
		{"WithTagsFunc", zodiac.WithTagsFunc[string, int](nil), "nil"},
		{"SkipIf", zodiac.SkipIf[int](nil), "nil"},
		{"ValidIf", zodiac.ValidIf[string, int](nil), "nil"},
		{"WithClone", zodiac.WithClone[int](nil), "nil"},
		{"WithTags", zodiac.WithTags(tagNames(65)...), "65 tags"},
		{"WithTags", zodiac.Options{zodiac.WithTags(tagNames(64)...), zodiac.WithTags("one more")}, "65 tags"},
	} {
		wantFault[int](t, w)
	}
}

func TestContradictionsAreRefused(t *testing.T) {
	hour := zodiac.WithTTLFunc(func(string, int) time.Duration { return time.Hour })
	for _, w := range []wrongOption{
		{"WithSliding", zodiac.Options{zodiac.WithSliding(), zodiac.WithTTL(60), hour}, "WithTTLFunc"},
		{"WithSliding", zodiac.WithSliding(), "WithTTL"},
		{"WithSliding", zodiac.Options{zodiac.WithSliding(), zodiac.WithTTL(zodiac.Forever)}, "WithTTL"},
		{"WithNoneTTL", zodiac.WithNoneTTL(60), "NoneIf"},
		{"CacheNil", zodiac.Options{zodiac.CacheNil(), zodiac.SkipIf(func(int) bool { return false })}, "SkipIf"},
	} {
		wantFault[int](t, w)
	}
}

type userKey int64

type user User

func TestFunctionForOtherTypesIsRefusedNamingBoth(t *testing.T) {
	for name, opt := range map[string]zodiac.Option{
		"SkipIf":       zodiac.SkipIf(func(*user) bool { return false }),
		"ValidIf":      zodiac.ValidIf(func(userKey, zodiac.Entry[*user]) bool { return true }),
		"WithClone":    zodiac.WithClone(func(u *user) *user { return u }),
		"WithTTLFunc":  zodiac.WithTTLFunc(func(userKey, *user) time.Duration { return time.Hour }),
		"WithTagsFunc": zodiac.WithTagsFunc(func(userKey, *user) []string { return nil }),
	} {
		_, err := zodiac.TryNewCache[userKey, user](opt)
		wantText(t, name, err, name+": got func(", "this loader's", "values zodiac_test.user", "give it func(")
	}
	for name, opt := range map[string]zodiac.Option{
		"WithKey":      zodiac.WithKey(func(int) string { return "" }),
		"ValidIf":      zodiac.ValidIf(func(int, zodiac.Entry[user]) bool { return true }),
		"WithTTLFunc":  zodiac.WithTTLFunc(func(int, user) time.Duration { return time.Hour }),
		"WithTagsFunc": zodiac.WithTagsFunc(func(int, user) []string { return nil }),
	} {
		_, err := zodiac.TryNewLoader(func(context.Context, userKey) (user, error) { return user{}, nil }, opt)
		wantText(t, name, err, name+": ", "func(int", "keys are zodiac_test.userKey")
	}
	_, err := zodiac.TryNewCache[string, user](zodiac.SkipIf(func(any) bool { return false }))
	wantText(t, "SkipIf", err, "func(interface {}) bool", "func(zodiac_test.user) bool")
}

func TestKeyTypeWithoutTextIsRefusedSayingWhatToDo(t *testing.T) {
	_, err := zodiac.TryNewCache[*int, int]()
	if e, ok := errors.AsType[*zodiac.SettingError](err); !ok || len(e.Faults) != 1 {
		t.Errorf("a key that is a pointer: error %v; want a *SettingError with one fault", err)
	}
	wantText(t, "TryNewCache", err, "a key of type *int", "WithKey")

	c, err := zodiac.TryNewCache[*int, int](zodiac.WithKey(func(p *int) string { return fmt.Sprint(*p) }))
	must(t, err)
	mustSet(t, c, new(1), 7)
	wantPeek(t, c, new(1), 7)
}

func TestAllFaultsAreListedAtOnce(t *testing.T) {
	opts := zodiac.Options{
		zodiac.WithName(""),
		nil,
		zodiac.WithTTL(0),
		zodiac.Options{zodiac.WithJitter(2), zodiac.WithCapacity(0)},
		zodiac.SkipIf(func(string) bool { return false }),
		zodiac.ValidIf(func(int, zodiac.Entry[string]) bool { return false }),
		zodiac.WithSliding(),
		zodiac.WithNoneTTL(1),
		zodiac.WithTags(tagNames(65)...),
	}
	_, err := zodiac.TryNewLoader[string, int](nil, opts)
	e, ok := errors.AsType[*zodiac.SettingError](err)
	if !ok || len(e.Faults) != 11 {
		t.Errorf("TryNewLoader: error %v; want a *SettingError with 11 faults", err)
	}
	wantText(t, "TryNewLoader", err, "fetch: ", "WithName: ", "Options: ", "WithTTL: ", "WithJitter: ", "WithCapacity: ",
		"SkipIf: ", "ValidIf: ", "WithSliding: ", "WithNoneTTL: ", "WithTags: ", "NewLoader")
	for _, f := range e.Faults {
		wantError(t, "TryNewLoader", err, f)
	}
}

// panicOf returns the value that f panics with.
func panicOf(f func()) (value any) {
	defer func() { value = recover() }()
	f()
	return nil
}

func TestNewPanicsWithTheErrorThatTryReturns(t *testing.T) {
	opts := zodiac.Options{zodiac.WithTTL(0), zodiac.WithCapacity(-1)}
	fetch, _ := numbered()
	_, ofLoader := zodiac.TryNewLoader(fetch, opts)
	_, ofNil := zodiac.TryNewLoader[string, int](nil)
	_, ofCache := zodiac.TryNewCache[string, int](opts)
	for _, c := range []struct {
		call string
		new  func()
		want error
	}{
		{"NewLoader", func() { zodiac.NewLoader(fetch, opts) }, ofLoader},
		{"NewLoader(nil)", func() { zodiac.NewLoader[string, int](nil) }, ofNil},
		{"NewCache", func() { zodiac.NewCache[string, int](opts) }, ofCache},
	} {
		got, ok := panicOf(c.new).(*zodiac.SettingError)
		if !ok || c.want == nil || got.Error() != c.want.Error() {
			t.Errorf("%s panics with %v; want %v", c.call, got, c.want)
		}
	}
}

func TestTryNewReturnsWhatNewDoes(t *testing.T) {
	fetch, _ := numbered()
	l, err := zodiac.TryNewLoader(fetch, zodiac.WithTTL(60))
	must(t, err)
	wantGet(t, l, "k", 1)
	wantGet(t, l, "k", 1)
	c, err := zodiac.TryNewCache[string, int]()
	must(t, err)
	mustSet(t, c, "k", 7)
	wantPeek(t, c, "k", 7)
	if l, err := zodiac.TryNewLoader(fetch, zodiac.WithTTL(0)); l != nil || err == nil {
		t.Errorf("TryNewLoader = %v, %v; want nil and an error", l, err)
	}
	if c, err := zodiac.TryNewCache[string, int](zodiac.WithTTL(0)); c != nil || err == nil {
		t.Errorf("TryNewCache = %v, %v; want nil and an error", c, err)
	}
}

func TestLaterOptionsWinAndListsAreOptions(t *testing.T) {
	short := zodiac.Options{zodiac.WithTTL(1), zodiac.Options{zodiac.WithTTL(2)}, zodiac.Options{}}
	for want, opts := range map[time.Duration][]zodiac.Option{
		2 * time.Second: {short},
		3 * time.Second: {short, zodiac.WithTTL(3)},
		zodiac.Forever:  nil,
	} {
		c := zodiac.NewCache[string, int](opts...)
		mustSet(t, c, "k", 1)
		e, _, err := c.Entry(t.Context(), "k")
		if left := e.Left; err != nil || left > want || want-left > time.Second && want != zodiac.Forever {
			t.Errorf("%d options leave %v, %v; want %v", len(opts), left, err, want)
		}
	}
}

func TestOptionsCanBeUsedForSeveralLoaders(t *testing.T) {
	var seen recorder
	opts := zodiac.Options{
		zodiac.WithTTL(60), zodiac.WithName("shared"), zodiac.WithTags("a", "b"), zodiac.NoneIf(errOrigin),
		zodiac.WithObserver(&seen), zodiac.WithLogger(slog.New(slog.DiscardHandler)),
	}
	a, b := zodiac.NewCache[string, int](opts), zodiac.NewCache[int64, user](opts, zodiac.WithTags("c"))
	mustSet(t, a, "k", 1)
	mustSet(t, b, 1, user{Name: "u"})
	must(t, b.DeleteTags(t.Context(), "a"))
	wantPeek(t, a, "k", 1)
	wantAbsent(t, b, 1)
	if e, _, _ := a.Entry(t.Context(), "k"); len(e.Tags) != 2 {
		t.Errorf("the first cache has tags %q; want a and b", e.Tags)
	}
}

func TestNamesGivenToWithTagsMayChangeAfterwards(t *testing.T) {
	names := []string{"a"}
	opt := zodiac.WithTags(names...)
	names[0] = "b"
	c := zodiac.NewCache[string, int](opt)
	mustSet(t, c, "k", 1)
	must(t, c.DeleteTags(t.Context(), "b"))
	wantPeek(t, c, "k", 1)
}
