package zodiac

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/zodiac-go/zodiac/internal/tier"
)

// An Option is a setting of a Loader or a Cache. Later options win over earlier ones, except those whose comment says that
// they add up. A wrong setting is reported, with all others, when the Loader is made.
type Option interface {
	apply(*config)
}

// Options is a list of options that is itself an Option.
type Options []Option

func (o Options) apply(c *config) {
	for i, opt := range o {
		if opt == nil {
			c.fault("Options", fmt.Errorf("option %d of %d is nil", i+1, len(o)))
			continue
		}
		opt.apply(c)
	}
}

// A SetOption is a setting of one call of Set, SetMany, SetNone, SetIfAbsent or Touch. Given to a constructor it is for all
// calls: a lifetime unless one is given at the call, tags beside those given at the call.
type SetOption interface {
	Option
	applySet(*setting)
}

// A setting is what the SetOptions of one call say.
type setting struct {
	ttl    time.Duration // 0 = not given
	tags   []string
	faults []error
}

func settingOf(opts []SetOption) setting {
	var s setting
	for i, o := range opts {
		if o == nil {
			s.faults = append(s.faults, fmt.Errorf("option %d of %d is nil", i+1, len(opts)))
			continue
		}
		o.applySet(&s)
	}
	return s
}

// maxTags is how many tags an entry may have.
const maxTags = 16

// The settings of a cache before its types are known. Functions that mention K or V are kept as any until resolve
// checks them.
type config struct {
	name        string
	nameGiven   bool
	receiver    any
	receiverSet bool
	version     string

	ttl, noneTTL, errorTTL, fetchTimeout time.Duration // 0 = not given
	jitter                               float64
	sliding, cacheNil                    bool
	noneIf                               nones
	tags                                 []string
	capacity                             int
	capacityGiven                        bool
	observer                             Observer
	logger                               *slog.Logger

	far farConfig

	key, ttlFunc, skipIf, validIf, tagsFunc, clone any

	faults []error
}

func (c *config) fault(option string, err error) {
	c.faults = append(c.faults, fmt.Errorf("%s: %w", option, err))
}

// option is an Option that is a function.
type option func(*config)

func (o option) apply(c *config) { o(c) }

// period returns an option that stores a Period in a field.
func period[P Period](name string, p P, field func(*config) *time.Duration) Option {
	return option(func(c *config) {
		d, err := duration(p)
		if err != nil {
			c.fault(name, err)
			return
		}
		*field(c) = d
	})
}

// function returns an option that stores a function in a field.
func function(name string, fn any, field func(*config) *any) Option {
	return option(func(c *config) {
		if reflect.ValueOf(fn).IsNil() {
			c.fault(name, errors.New("the function is nil"))
			return
		}
		*field(c) = fn
	})
}

// WithName sets the name of the loader in errors, events and logs. By default it is the import path and name of the
// fetch function, "import/path.(*Service).GetUser". Loaders in memory may share a name.
func WithName(name string) Option {
	return option(func(c *config) {
		if name == "" {
			c.fault("WithName", errors.New("the name is empty"))
			return
		}
		c.name, c.nameGiven = name, true
	})
}

// IncludeReceiver adds the dynamic type of r to the loader's name: for a method value such as svc.GetUser, whose function
// may belong to a type embedded in several others. Only the type counts, not which r it is.
func IncludeReceiver(r any) Option {
	return option(func(c *config) { c.receiver, c.receiverSet = r, true })
}

// WithVersion sets a version that is part of stored keys: entries of another version are never read. 0 is a
// version like any other. By default there is none. In memory, where entries end with the process, it only shows in the
// name.
func WithVersion[T int | string](version T) Option {
	return option(func(c *config) {
		switch v := any(version).(type) {
		case int:
			c.version = strconv.Itoa(v)
		case string:
			if v == "" {
				c.fault("WithVersion", errors.New("the version is empty"))
			}
			c.version = v
		}
	})
}

// WithKey makes the text of keys by hand. Keys of one text are one key. text runs on the caller's goroutine at every call,
// hits included. By default the text is made from all fields of K; see the package comment for which K have one.
func WithKey[K comparable](text func(K) string) Option {
	return function("WithKey", text, func(c *config) *any { return &c.key })
}

type ttlOption struct {
	d   time.Duration
	err error
}

func (o ttlOption) apply(c *config) {
	if o.err != nil {
		c.fault("WithTTL", o.err)
		return
	}
	c.ttl = o.d
}

func (o ttlOption) applySet(s *setting) {
	if o.err != nil {
		s.faults = append(s.faults, fmt.Errorf("WithTTL: %w", o.err))
		return
	}
	s.ttl = o.d
}

// WithTTL sets how long an entry lives, counted from when it is stored: WithTTL(60) is 60 seconds, WithTTL(time.Minute) a
// minute. As a SetOption it is for the entries of that call, and beats WithTTLFunc. By default entries live for ever,
// until they are evicted.
func WithTTL[P Period](p P) SetOption {
	d, err := duration(p)
	return ttlOption{d, err}
}

// WithTTLFunc sets how long each value lives. A result under a millisecond, zero and negative ones included, means: do not
// store this, and drop what was there. A None lives as WithNoneTTL or WithTTL says. ttl runs on the goroutine of the fetch, or
// of the caller of Set: if it panics, the callers get a *[PanicError]. By default WithTTL is for all.
func WithTTLFunc[K comparable, V any](ttl func(K, V) time.Duration) Option {
	return function("WithTTLFunc", ttl, func(c *config) *any { return &c.ttlFunc })
}

// WithJitter shortens every lifetime by a random part of up to f of it, so that entries stored together do not
// expire together; 0 ≤ f < 1. By default lifetimes are exact.
func WithJitter(f float64) Option {
	return option(func(c *config) {
		if math.IsNaN(f) || f < 0 || f >= 1 {
			c.fault("WithJitter", fmt.Errorf("%v is not a part of the lifetime; give 0 ≤ f < 1, such as 0.1", f))
			return
		}
		c.jitter = f
	})
}

// WithSliding extends an entry's life each time it is used, to what it was when it was stored, though at most once per
// eighth of that. Get and GetMany use an entry; Peek, Entry, and reads under ReadOnly or NoWrite do not. By default
// entries end when their time is over.
func WithSliding() Option {
	return option(func(c *config) { c.sliding = true })
}

// SkipIf makes the loader not store results for which skip is true; those who wait for them get them all the same. It
// applies to every fetch, that of GetOrFetch too; Set stores everything. skip runs on the goroutine of the fetch: if it
// panics, the callers get a *[PanicError]. By default a Loader skips nil pointers and nil interfaces, and a Cache nothing.
func SkipIf[V any](skip func(V) bool) Option {
	return function("SkipIf", skip, func(c *config) *any { return &c.skipIf })
}

// CacheNil makes a Loader store nil pointers and nil interfaces like other values. By default the function runs again.
func CacheNil() Option {
	return option(func(c *config) { c.cacheNil = true })
}

// NoneIf names errors of the fetch that mean "does not exist". A fetch whose error matches one of them, by errors.Is, is
// remembered, and every caller gets an error that matches both it and [ErrNone]. Several NoneIf add up. By default only
// ErrNone itself is remembered.
func NoneIf(errs ...error) Option {
	return option(func(c *config) {
		if len(errs) == 0 {
			c.fault("NoneIf", errors.New("no errors given"))
		}
		for i, err := range errs {
			if err == nil {
				c.fault("NoneIf", fmt.Errorf("error %d of %d is nil", i+1, len(errs)))
				continue
			}
			c.noneIf = append(c.noneIf, &noneError{err})
		}
	})
}

// WithNoneTTL sets how long a None lives. By default as long as WithTTL says.
func WithNoneTTL[P Period](p P) Option {
	return period("WithNoneTTL", p, func(c *config) *time.Duration { return &c.noneTTL })
}

// WithErrorTTL remembers for so long that a fetch failed, and returns its error, as a [RememberedError], instead of trying
// again: so that a source that is down is not hammered. Any write or Delete of the key ends it, and so do Clear, and DeleteTags
// of a tag of the loader. WithCapacity bounds the remembered errors too, apart from the entries. Errors of contexts,
// panics and zodiac's own are never remembered. A remembered error is no entry: Peek, Len and SetIfAbsent do
// not see it. By default every call tries again.
func WithErrorTTL[P Period](p P) Option {
	return period("WithErrorTTL", p, func(c *config) *time.Duration { return &c.errorTTL })
}

// ValidIf makes an entry for which valid is false count as absent for Get, GetOrFetch, GetMany, Peek and Entry; what is
// fetched replaces it. valid runs on the goroutine of the reader, at every hit; if it panics, the reader gets a *[PanicError].
// Methods that write do not ask it. By default entries are valid until they expire.
func ValidIf[K comparable, V any](valid func(K, Entry[V]) bool) Option {
	return function("ValidIf", valid, func(c *config) *any { return &c.validIf })
}

type tagsOption []string

func (o tagsOption) apply(c *config) { c.tags = append(c.tags, o...) }

func (o tagsOption) applySet(s *setting) { s.tags = append(s.tags, o...) }

// WithTags puts entries into groups that DeleteTags deletes together. As a SetOption the tags are for the entries of that
// call, beside those of the loader. Several WithTags add up; an entry has at most 16 tags. By default entries have none.
func WithTags(names ...string) SetOption { return tagsOption(slices.Clone(names)) }

// WithTagsFunc adds tags that depend on the value. A fetched value with more than 16 tags in all is returned but not
// stored, and the Observer told. tags runs where WithTTLFunc's function does. By default there are none.
func WithTagsFunc[K comparable, V any](tags func(K, V) []string) Option {
	return function("WithTagsFunc", tags, func(c *config) *any { return &c.tagsFunc })
}

// WithClone makes memory keep copies of its own: values are cloned on the way in and on the way out, so that no two callers
// share anything clone copies. nil is not given to clone, which runs on the goroutine of the fetch on the way in, and of
// the reader on the way out; if it panics, that one gets a *[PanicError]. By default callers share the values in memory
// and must not change them.
func WithClone[V any](clone func(V) V) Option {
	return function("WithClone", clone, func(c *config) *any { return &c.clone })
}

// WithCapacity sets how many entries memory holds at most. From 2,048 on, the capacity is divided among parts of the
// key space, so entries may be evicted at slightly under n. By default it is 65,536.
func WithCapacity(n int) Option {
	return option(func(c *config) {
		if n <= 0 || n > tier.MaxCapacity {
			c.fault("WithCapacity", fmt.Errorf("%d is not between 1 and %d", n, tier.MaxCapacity))
			return
		}
		c.capacity, c.capacityGiven = n, true
	})
}

// WithFetchTimeout limits how long a fetch may take. Then its context ends, and its callers get an error that matches
// context.DeadlineExceeded, whether or not the function returns. What a late function brings is thrown away; Close waits
// for it. By default there is no limit while a caller waits.
func WithFetchTimeout[P Period](p P) Option {
	return period("WithFetchTimeout", p, func(c *config) *time.Duration { return &c.fetchTimeout })
}

// WithObserver sets who is told about fetches and faults. By default nobody is.
func WithObserver(o Observer) Option {
	return option(func(c *config) {
		if o == nil {
			c.fault("WithObserver", errors.New("the observer is nil"))
			return
		}
		c.observer = o
	})
}

// WithLogger sets where panics (as errors) and faults (as warnings) are logged. By default nowhere.
func WithLogger(l *slog.Logger) Option {
	return option(func(c *config) {
		if l == nil {
			c.fault("WithLogger", errors.New("the logger is nil"))
			return
		}
		c.logger = l
	})
}

// settings are a config whose functions have their types.
type settings[K comparable, V any] struct {
	name         string
	life         lifetimes[K, V]
	skipIf       func(V) bool
	isNil        func(V) bool
	nones        nones
	validIf      func(K, Entry[V]) bool
	tags         []string
	tagsFunc     func(K, V) []string
	clone        func(V) V
	capacity     int
	fetchTimeout time.Duration
	observer     Observer
	logger       *slog.Logger
	keys         keyCodec[K]
	far          farConfig
}

// resolve gives a config its types, and lists all that is wrong with it. of is the constructor, fn the fetch function or
// nil for a Cache.
func resolve[K comparable, V any](of string, fn any, opts []Option) (settings[K, V], error) {
	c := &config{ttl: Forever, capacity: 65536}
	Options(opts).apply(c)
	s := settings[K, V]{
		life:  lifetimes[K, V]{ttl: c.ttl, none: c.noneTTL, failed: c.errorTTL, jitter: c.jitter, sliding: c.sliding},
		nones: c.noneIf, capacity: c.capacity, fetchTimeout: c.fetchTimeout, observer: c.observer, logger: c.logger,
		isNil: nilTest[V](),
	}
	s.name = nameOf[K, V](c, fn)
	s.tags = slices.Compact(slices.Sorted(slices.Values(c.tags)))
	c.check(len(s.tags))

	typed[K, V](c, "WithTTLFunc", c.ttlFunc, &s.life.fn)
	typed[K, V](c, "ValidIf", c.validIf, &s.validIf)
	typed[K, V](c, "WithTagsFunc", c.tagsFunc, &s.tagsFunc)
	typed[K, V](c, "WithClone", c.clone, &s.clone)
	typed[K, V](c, "SkipIf", c.skipIf, &s.skipIf)
	if fn != nil && c.skipIf == nil && !c.cacheNil {
		s.skipIf = s.isNil
	}
	s.keys = keysOf[K, V](c)
	c.checkStore(fn)
	if t := reflect.TypeFor[V](); c.far.store != nil && c.far.codec == JSON && t.Kind() == reflect.Interface && t.NumMethod() > 0 {
		c.fault("WithStore", fmt.Errorf("JSON can write a %v but not read one back; give WithCodec a codec that can, or use a concrete type", t))
	}
	s.far = c.far

	if s.far.store != nil && len(c.faults) == 0 {
		keys := s.far.keys()
		if err := taken.take(s.far.store, keys.prefix()); err != nil {
			c.fault("WithStore", err)
		}
	}
	if len(c.faults) > 0 {
		if s.name != "" {
			of = fmt.Sprintf("%s (%s)", of, s.name)
		}
		return s, &SettingError{Of: of, Faults: c.faults}
	}
	return s, nil
}

// check reports settings that contradict each other.
func (c *config) check(tags int) {
	switch {
	case c.sliding && c.ttlFunc != nil:
		c.fault("WithSliding", errors.New("contradicts WithTTLFunc: an entry cannot both have its own lifetime and slide; use WithTTL"))
	case c.sliding && c.ttl == Forever:
		c.fault("WithSliding", errors.New("needs a WithTTL that ends: an entry that lives for ever has nothing to extend"))
	}
	if c.noneTTL != 0 && len(c.noneIf) == 0 {
		c.fault("WithNoneTTL", errors.New("needs NoneIf, to say which errors mean that a key does not exist; if only SetNone or the fetch itself says so, NoneIf(zodiac.ErrNone)"))
	}
	if c.cacheNil && c.skipIf != nil {
		c.fault("CacheNil", errors.New("contradicts SkipIf, which alone decides what is stored; leave CacheNil out"))
	}
	if tags > maxTags {
		c.fault("WithTags", fmt.Errorf("%d tags; an entry has at most %d", tags, maxTags))
	}
}

// typed stores fn, a function given to an option, in field, or reports that it is for other types than K and V.
func typed[K comparable, V, F any](c *config, option string, fn any, field *F) {
	if fn == nil {
		return
	}
	f, ok := fn.(F)
	if !ok {
		c.fault(option, fmt.Errorf("got %T; this loader's keys are %v and its values %v: give it %v",
			fn, reflect.TypeFor[K](), reflect.TypeFor[V](), reflect.TypeFor[F]()))
		return
	}
	*field = f
}

// keysOf returns how keys get their text.
func keysOf[K comparable, V any](c *config) keyCodec[K] {
	if c.key != nil {
		var byHand func(K) string
		typed[K, V](c, "WithKey", c.key, &byHand)
		return keyCodec[K]{byHand: true, text: func(k K) (string, error) { return byHand(k), nil }}
	}
	keys, err := newKeyCodec[K]()
	if err != nil {
		c.faults = append(c.faults, err)
	}
	return keys
}

// nameOf returns the name of a loader.
func nameOf[K comparable, V any](c *config, fn any) string {
	name := c.name
	switch {
	case c.nameGiven:
	case fn != nil && !reflect.ValueOf(fn).IsNil():
		name, _ = funcName(fn)
	default:
		name = fmt.Sprintf("Cache[%v, %v]", reflect.TypeFor[K](), reflect.TypeFor[V]())
	}
	if c.receiverSet {
		receiver, err := receiverName(c.receiver)
		if err != nil {
			c.fault("IncludeReceiver", err)
		}
		name += " of " + receiver
	}
	if c.version != "" {
		name += "@" + c.version
	}
	return name
}
