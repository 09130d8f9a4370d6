package properties_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/zodiac-go/zodiac"
	"pgregory.net/rapid"
)

// A value is a value that the machine stores: an id, or nil where the subject's type has one. The
// effects of options on a value are drawn with it and written in its id, so that they are functions
// of the value alone: see trait.
type value struct {
	id  int64
	nil bool
}

func (v value) String() string {
	if v.nil {
		return "nil"
	}
	return fmt.Sprint(v.id)
}

// A trait is a digit of an id.
type trait struct{ base, n uint64 }

var (
	ttlTrait   = trait{1, 4}  // the lifetime by WithTTLFunc
	tagTrait   = trait{4, 4}  // the tags by WithTagsFunc
	validTrait = trait{16, 3} // 2: ValidIf refuses it
	skipTrait  = trait{48, 4} // 3: SkipIf skips it
)

const allTraits = 192

func (t trait) of(v value) uint64 { return uint64(v.id) / t.base % t.n }

func (v value) ttl() time.Duration {
	return []time.Duration{time.Minute, zodiac.Forever, 2 * time.Second, 0}[ttlTrait.of(v)]
}

func (v value) tags() []string {
	return [][]string{nil, {"a"}, {"b"}, {"a", "b"}}[tagTrait.of(v)]
}

func (v value) valid() bool { return v.nil || validTrait.of(v) != 2 }
func (v value) skip() bool  { return !v.nil && skipTrait.of(v) == 3 }

// A config is the settings of a loader. The model reads it, and options returns it as options.
type config struct {
	keys, values string // which types

	ttl        time.Duration // 0: not given
	ttlFunc    bool
	sliding    bool
	noneIf     bool
	noneTTL    time.Duration
	errorTTL   time.Duration
	timeout    time.Duration // of fetches
	validIf    bool
	validFor   time.Duration // ValidIf refuses entries with less time left, and those eight times as old
	tags       []string
	tagsFunc   bool
	cacheNil   bool
	skipIf     bool
	clone      bool
	capacity   int
	under      zodiac.Store  // nil: memory alone
	front      time.Duration // memory in front of the store, or 0
	more       []zodiac.Option
	noModes    bool // not part of the loader: no flagged context is made
	neverClose bool // likewise: the loader is left to the garbage collector
}

func (c config) hasNil() bool { return c.values == "box" }

// String names the settings.
func (c config) String() string {
	var s strings.Builder
	s.WriteString(c.keys + "→" + c.values)
	for name, on := range map[string]bool{
		"TTLFunc": c.ttlFunc, "Sliding": c.sliding, "NoneIf": c.noneIf, "ValidIf": c.validIf,
		"TagsFunc": c.tagsFunc, "CacheNil": c.cacheNil, "SkipIf": c.skipIf, "Clone": c.clone,
	} {
		if on {
			s.WriteString(" " + name)
		}
	}
	return s.String() + fmt.Sprintf(" ttl=%v noneTTL=%v errorTTL=%v timeout=%v tags=%v", c.ttl, c.noneTTL, c.errorTTL, c.timeout, c.tags)
}

func drawConfig(t *rapid.T, keys, values string) config {
	flag := func(name string) bool { return rapid.IntRange(0, 3).Draw(t, name) == 3 }
	span := func(name string, of ...time.Duration) time.Duration { return rapid.SampledFrom(of).Draw(t, name) }
	c := config{keys: keys, values: values, noModes: unflagged}
	c.ttl = span("ttl", 10*time.Second, 0, zodiac.Forever, 70*time.Millisecond)
	c.ttlFunc = flag("ttlFunc")
	c.sliding = !c.ttlFunc && c.ttl != 0 && c.ttl != zodiac.Forever && flag("sliding")
	if c.noneIf = flag("noneIf"); c.noneIf {
		c.noneTTL = span("noneTTL", 0, 3*time.Second)
	}
	c.errorTTL = span("errorTTL", 0, 0, 1500*time.Millisecond)
	c.timeout = span("timeout", 0, 0, 0, 5*time.Second)
	c.validIf = flag("validIf")
	if flag("tags") {
		c.tags = []string{"s"}
	}
	c.tagsFunc = flag("tagsFunc")
	c.skipIf = flag("skipIf")
	c.cacheNil = c.hasNil() && !c.skipIf && flag("cacheNil")
	c.clone = c.hasNil() && flag("clone")
	c.neverClose = flag("neverClose")
	return c
}

var (
	errNotFound = errors.New("not found") // named by NoneIf
	errGone     = errors.New("gone")      // likewise
)

// A box is a value that could be shared by mistake.
type box struct{ id int64 }

func (b *box) MarshalJSON() ([]byte, error)    { return strconv.AppendInt(nil, b.id, 10), nil }
func (b *box) UnmarshalJSON(data []byte) error { return json.Unmarshal(data, &b.id) }

const spoilt = -1 << 40 // callers write it into their copies

// A subject is a loader as the machine sees it: keys are small numbers and values are of type
// value, whatever its K and V.
type subject interface {
	Get(ctx context.Context, key int) (value, error)
	GetOrFetch(ctx context.Context, key int, via string) (value, error)
	GetMany(ctx context.Context, keys []int) (map[int]value, error)
	Refresh(ctx context.Context, key int) (value, error)
	Fetch(ctx context.Context, key int) (value, error)
	Peek(ctx context.Context, key int) (value, bool, error)
	Entry(ctx context.Context, key int) (zodiac.Entry[value], bool, error)
	Set(ctx context.Context, key int, v value, opts ...zodiac.SetOption) error
	SetMany(ctx context.Context, vs map[int]value, opts ...zodiac.SetOption) error
	SetNone(ctx context.Context, key int, opts ...zodiac.SetOption) error
	SetIfAbsent(ctx context.Context, key int, v value, opts ...zodiac.SetOption) (bool, error)
	Update(ctx context.Context, key int, fn func(old value, ok bool) (value, error)) (value, error)
	Add(ctx context.Context, key int, delta int64) (value, error) // only where values are numbers
	Touch(ctx context.Context, key int, opts ...zodiac.SetOption) (bool, error)
	Delete(ctx context.Context, keys ...int) (int, error)
	DeleteTags(ctx context.Context, tags ...string) error
	Clear(ctx context.Context) (int, error)
	Len() int
	Name() string
	Stats() zodiac.Stats
	Close(ctx context.Context) error
	Target() zodiac.Target
}

// types converts the keys and values of one loader type.
type types[K comparable, V any] struct {
	key    func(int) K
	wrap   func(value) V
	unwrap func(V) value
	// nil unless V is a number
	add func(ctx context.Context, c *zodiac.Cache[K, V], key K, delta V) (V, error)
}

// A world is a subject and the calls of its function.
type world[K comparable, V any] struct {
	types[K, V]
	*origin
	l *zodiac.Loader[K, V]
	c config
}

// newSubject makes a loader for c, whose function is o. There is a type for every way that keys and
// values take through a loader, but not one for every combination of them.
func newSubject(c config, o *origin) subject {
	switch c.keys + "→" + c.values {
	case "int→int64":
		return newWorld(c, o, toNumbers(asInt))
	case "int→box":
		return newWorld(c, o, toBoxes(asInt, c))
	case "string→int64":
		return newWorld(c, o, toNumbers(asString))
	case "struct→box":
		return newWorld(c, o, toBoxes(asPlace, c))
	case "text→box": // keyed by text
		return newWorld(c, o, toBoxes(asSerial, c))
	case "withKey→int64": // likewise, by hand
		return newWorld(c, o, toNumbers(asInt), zodiac.WithKey(threeDigits))
	case "withKey→box":
		return newWorld(c, o, toBoxes(asInt, c), zodiac.WithKey(threeDigits))
	}
	panic("no subject has " + c.keys + "→" + c.values)
}

func asInt(i int) int { return i }

func asString(i int) string { return fmt.Sprint("key", i) }

func asPlace(i int) place { return place{int8(i % 2), fmt.Sprint(i)} }

func asSerial(i int) serial { return serial(i) }

func threeDigits(i int) string { return fmt.Sprintf("%03d", i) }

// toNumbers returns the types of a loader whose values are numbers.
func toNumbers[K comparable](key func(int) K) types[K, int64] {
	return types[K, int64]{
		key:    key,
		wrap:   func(v value) int64 { return v.id },
		unwrap: func(id int64) value { return value{id: id} },
		add:    zodiac.Add[K, int64],
	}
}

// toBoxes returns the types of a loader for c whose values are boxes.
func toBoxes[K comparable](key func(int) K, c config) types[K, *box] {
	return types[K, *box]{key: key, wrap: wrapBox, unwrap: c.unwrapBox}
}

func wrapBox(v value) *box {
	if v.nil {
		return nil
	}
	return &box{v.id}
}

// unwrapBox reads a box, and overwrites it where every caller has a box of its own. If another
// caller sees that, a value appears that was never stored.
func (c config) unwrapBox(b *box) value {
	if b == nil {
		return value{nil: true}
	}
	v := value{id: b.id}
	if c.clone || c.under != nil && c.front == 0 {
		b.id = spoilt
	}
	return v
}

type place struct {
	row int8
	col string
}

// A serial is a key whose text is not that of its number.
type serial int

func (s serial) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "no. %d", int(s)), nil }

func newWorld[K comparable, V any](c config, o *origin, ts types[K, V], more ...zodiac.Option) *world[K, V] {
	w := &world[K, V]{types: ts, origin: o, c: c}
	numbers := make(map[K]int)
	for i := range 64 {
		numbers[ts.key(i)] = i
	}
	w.l = zodiac.NewLoader(w.fetch(numbers, ""), zodiac.Options(append(more, options(c, numbers, ts)...)))
	return w
}

// options returns c as options.
func options[K comparable, V any](c config, numbers map[K]int, ts types[K, V]) []zodiac.Option {
	opts := []zodiac.Option{zodiac.WithName("subject")}
	add := func(on bool, o func() zodiac.Option) {
		if on {
			opts = append(opts, o())
		}
	}
	peek := func(v V) value { // an option's function must not overwrite it
		if b, ok := any(v).(*box); ok {
			return config{}.unwrapBox(b)
		}
		return ts.unwrap(v)
	}
	add(c.ttl != 0, func() zodiac.Option { return zodiac.WithTTL(c.ttl) })
	add(c.ttlFunc, func() zodiac.Option {
		return zodiac.WithTTLFunc(func(_ K, v V) time.Duration { return peek(v).ttl() })
	})
	add(c.sliding, zodiac.WithSliding)
	add(c.noneIf, func() zodiac.Option { return zodiac.NoneIf(errNotFound, errGone) })
	add(c.noneTTL != 0, func() zodiac.Option { return zodiac.WithNoneTTL(c.noneTTL) })
	add(c.errorTTL != 0, func() zodiac.Option { return zodiac.WithErrorTTL(c.errorTTL) })
	add(c.timeout != 0, func() zodiac.Option { return zodiac.WithFetchTimeout(c.timeout) })
	add(c.validIf, func() zodiac.Option {
		return zodiac.ValidIf(func(k K, e zodiac.Entry[V]) bool {
			_, known := numbers[k]
			if c.validFor > 0 && (e.Left < c.validFor || e.Age > 8*c.validFor) {
				return false
			}
			return known && (e.Kind == zodiac.KindNone || peek(e.Value).valid())
		})
	})
	add(c.tags != nil, func() zodiac.Option { return zodiac.WithTags(c.tags...) })
	add(c.tagsFunc, func() zodiac.Option {
		return zodiac.WithTagsFunc(func(_ K, v V) []string { return peek(v).tags() })
	})
	add(c.cacheNil, zodiac.CacheNil)
	add(c.skipIf, func() zodiac.Option { return zodiac.SkipIf(func(v V) bool { return peek(v).skip() }) })
	add(c.clone, func() zodiac.Option {
		return zodiac.WithClone(func(v V) V { return ts.wrap(peek(v)) })
	})
	add(c.capacity != 0, func() zodiac.Option { return zodiac.WithCapacity(c.capacity) })
	add(c.under != nil, func() zodiac.Option { return zodiac.WithStore(c.under) })
	add(c.front != 0, func() zodiac.Option { return zodiac.WithMemory(c.front) })
	return append(opts, c.more...)
}

// An origin is the source of values. Each call of a loader's function waits here until the test
// decides its result.
type origin struct {
	quit  chan struct{}         // closed when a run has failed: all calls return
	ready func(key int) readied // instead of waiting, if not nil
	begun func(*call)           // is told of every call before anybody can take it, if not nil
	mu    sync.Mutex            // guards the fields below
	calls []*call               // not yet taken by the machine
	spoil []func()              // overwrite the values that the function returned
}

// A call is one call of a loader's function.
type call struct {
	key  int
	via  string // which function: "" the loader's, else what was given to GetOrFetch
	ctx  context.Context
	plan chan plan
}

// take returns the calls begun since the last take, in the order of their keys.
func (o *origin) take() []*call {
	o.mu.Lock()
	defer o.mu.Unlock()
	calls := o.calls
	o.calls = nil
	slices.SortStableFunc(calls, func(a, b *call) int { return a.key - b.key })
	return calls
}

// spoilAll overwrites the values that calls have returned since the last time, if every caller and
// memory have copies of their own and the callers were not given those same values.
func (o *origin) spoilAll(direct bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, f := range o.spoil {
		if !direct {
			f()
		}
	}
	o.spoil = nil
}

// A readied is a plan made beforehand.
type readied struct {
	plan
	takes time.Duration
}

func (o *origin) await(ctx context.Context, key int, via string) (value, error) {
	if o.ready != nil {
		r := o.ready(key)
		time.Sleep(r.takes)
		return r.act()
	}
	c := &call{key: key, via: via, ctx: ctx, plan: make(chan plan, 1)}
	if o.begun != nil {
		o.begun(c)
	}
	o.mu.Lock()
	o.calls = append(o.calls, c)
	o.mu.Unlock()
	select {
	case p := <-c.plan:
		return p.act()
	case <-o.quit:
		return value{}, errQuit
	}
}

// waiting returns how many calls the test has not looked at.
func (o *origin) waiting() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.calls)
}

var errQuit = errors.New("the test is over")

func newOrigin() *origin { return &origin{quit: make(chan struct{})} }

func (w *world[K, V]) fetch(numbers map[K]int, via string) func(context.Context, K) (V, error) {
	return func(ctx context.Context, k K) (V, error) {
		key, known := numbers[k]
		if !known {
			key = -1
		}
		v, err := w.await(ctx, key, via)
		if v == (value{}) {
			return *new(V), err
		}
		mine := w.wrap(v)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.spoil = append(w.spoil, func() { w.unwrap(mine) })
		return mine, err
	}
}

// A plan is the behaviour of a call of the function.
type plan struct {
	kind planKind
	val  value
	err  error
}

type planKind string

const (
	returns    planKind = "returns"      // val
	fails      planKind = "fails"        // with err
	failsToo   planKind = "returns+errs" // val and err
	panics     planKind = "panics"       // with a string
	panicsErr  planKind = "panics(err)"  // with err
	exits      planKind = "exits"        // runtime.Goexit
	panicValue          = "boom"
)

func (p plan) act() (value, error) {
	switch p.kind {
	case panics:
		panic(panicValue)
	case panicsErr:
		panic(p.err)
	case exits:
		runtime.Goexit()
	case fails:
		return value{}, p.err
	case failsToo:
		return p.val, p.err
	}
	return p.val, nil
}

func (p plan) String() string {
	switch p.kind {
	case returns:
		return "returns " + p.val.String()
	case fails, failsToo, panicsErr:
		return fmt.Sprintf("%s %v", p.kind, p.err)
	}
	return string(p.kind)
}

func (w *world[K, V]) Get(ctx context.Context, key int) (value, error) {
	return w.one(w.l.Get(ctx, w.key(key)))
}

// one is the result of a call. On an error it should have no value.
func (w *world[K, V]) one(v V, err error) (value, error) {
	if err == nil {
		return w.unwrap(v), nil
	}
	if any(v) != any(*new(V)) {
		return value{}, &besideError{err}
	}
	return value{}, err
}

// A besideError is an error that came with a value beside it.
type besideError struct{ error }

func (e *besideError) Unwrap() error { return e.error }

func (w *world[K, V]) GetOrFetch(ctx context.Context, key int, via string) (value, error) {
	return w.one(w.l.GetOrFetch(ctx, w.key(key), w.fetch(map[K]int{w.key(key): key}, via)))
}

func (w *world[K, V]) GetMany(ctx context.Context, keys []int) (map[int]value, error) {
	ks := make([]K, len(keys))
	for i, k := range keys {
		ks[i] = w.key(k)
	}
	got, err := w.l.GetMany(ctx, ks)
	values := make(map[int]value)
	for i, k := range keys {
		if v, ok := got[ks[i]]; ok && !slices.Contains(keys[:i], k) {
			values[k] = w.unwrap(v)
		}
	}
	if len(got) != len(values) {
		return values, fmt.Errorf("GetMany returned %d values for %d keys: %w", len(got), len(values), err)
	}
	return values, w.many(keys, err)
}

// many turns the ManyError of K into one of int.
func (w *world[K, V]) many(keys []int, err error) error {
	e, ok := errors.AsType[*zodiac.ManyError[K]](err)
	if !ok {
		return err
	}
	m := &zodiac.ManyError[int]{Errors: map[int]error{}, Rejected: e.Rejected}
	for _, k := range keys {
		if of := e.Errors[w.key(k)]; of != nil {
			m.Errors[k] = of
		}
	}
	return m
}

func (w *world[K, V]) Refresh(ctx context.Context, key int) (value, error) {
	return w.one(w.l.Refresh(ctx, w.key(key)))
}

func (w *world[K, V]) Fetch(ctx context.Context, key int) (value, error) {
	return w.one(w.l.Fetch(ctx, w.key(key)))
}

func (w *world[K, V]) Peek(ctx context.Context, key int) (value, bool, error) {
	v, ok, err := w.l.Peek(ctx, w.key(key))
	if !ok || err != nil {
		return value{}, ok, err
	}
	return w.unwrap(v), ok, err
}

func (w *world[K, V]) Entry(ctx context.Context, key int) (zodiac.Entry[value], bool, error) {
	e, ok, err := w.l.Entry(ctx, w.key(key))
	to := zodiac.Entry[value]{
		Created: e.Created, Age: e.Age, Left: e.Left, Kind: e.Kind, Tags: slices.Sorted(slices.Values(e.Tags)),
	}
	if ok && err == nil {
		to.Value = w.unwrap(e.Value)
	}
	return to, ok, err
}

func (w *world[K, V]) Set(ctx context.Context, key int, v value, opts ...zodiac.SetOption) error {
	mine := w.wrap(v)
	defer w.unwrap(mine) // overwrites it: a value given to Set is the caller's
	return w.l.Set(ctx, w.key(key), mine, opts...)
}

func (w *world[K, V]) SetMany(ctx context.Context, vs map[int]value, opts ...zodiac.SetOption) error {
	to := make(map[K]V)
	for k, v := range vs {
		to[w.key(k)] = w.wrap(v)
	}
	return w.l.SetMany(ctx, to, opts...)
}

func (w *world[K, V]) SetNone(ctx context.Context, key int, opts ...zodiac.SetOption) error {
	return w.l.SetNone(ctx, w.key(key), opts...)
}

func (w *world[K, V]) SetIfAbsent(ctx context.Context, key int, v value, opts ...zodiac.SetOption) (bool, error) {
	mine := w.wrap(v)
	defer w.unwrap(mine)
	return w.l.SetIfAbsent(ctx, w.key(key), mine, opts...)
}

func (w *world[K, V]) Update(ctx context.Context, key int, fn func(old value, ok bool) (value, error)) (value, error) {
	return w.one(w.l.Update(ctx, w.key(key), func(old V, ok bool) (V, error) {
		var was value
		if ok {
			was = w.unwrap(old)
		}
		v, err := fn(was, ok)
		return w.wrap(v), err
	}))
}

func (w *world[K, V]) Add(ctx context.Context, key int, delta int64) (value, error) {
	n, err := w.add(ctx, w.l.Cache, w.key(key), w.wrap(value{id: delta}))
	return w.unwrap(n), err
}

func (w *world[K, V]) Touch(ctx context.Context, key int, opts ...zodiac.SetOption) (bool, error) {
	return w.l.Touch(ctx, w.key(key), opts...)
}

func (w *world[K, V]) Delete(ctx context.Context, keys ...int) (int, error) {
	ks := make([]K, len(keys))
	for i, k := range keys {
		ks[i] = w.key(k)
	}
	return w.l.Delete(ctx, ks...)
}

func (w *world[K, V]) DeleteTags(ctx context.Context, tags ...string) error {
	return w.l.DeleteTags(ctx, tags...)
}
func (w *world[K, V]) Clear(ctx context.Context) (int, error) { return w.l.Clear(ctx) }
func (w *world[K, V]) Len() int                               { return w.l.Len() }
func (w *world[K, V]) Name() string                           { return w.l.Name() }
func (w *world[K, V]) Stats() zodiac.Stats                    { return w.l.Stats() }
func (w *world[K, V]) Close(ctx context.Context) error        { return w.l.Close(ctx) }
func (w *world[K, V]) Target() zodiac.Target                  { return w.l }

// keysOf returns the keys of a map in order, so that draws and logs do not depend on the map's
// order.
func keysOf[M ~map[int]E, E any](m M) []int { return slices.Sorted(maps.Keys(m)) }
