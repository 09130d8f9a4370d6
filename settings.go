package zodiac

import (
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"time"

	"github.com/zodiac-go/zodiac/internal/funcname"
	"github.com/zodiac-go/zodiac/internal/keytext"
	"github.com/zodiac-go/zodiac/internal/remote"
)

// A config has the settings of a cache before its types are known. Functions that mention K or V
// are kept as any until resolve checks them.
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

	store storeSettings

	key, ttlFunc, skipIf, validIf, tagsFunc, clone any

	faults []error
}

// storeSettings say where and how records are stored.
type storeSettings struct {
	store                        Store
	codec                        Codec
	guard                        Guard
	memory, lease, wait, timeout time.Duration // 0 = not given
	waitGiven, fail, failClosed  bool
	maxBytes                     int

	name, version string // for keys, apart from each other
	versioned     bool
}

// names returns the keys of the loader in its store.
func (s *storeSettings) names() keytext.Names {
	return keytext.NewNames("", s.name, s.version, s.versioned)
}

// settings are a config whose functions have their types.
type settings[K comparable, V any] struct {
	name         string
	life         lifetimes[K, V]
	skipIf       func(V) bool
	isNil        func(V) bool
	nones        nones
	validIf      func(K, Entry[V]) bool
	tags         []string // sorted
	tagsFunc     func(K, V) []string
	clone        func(V) V
	capacity     int
	fetchTimeout time.Duration
	observer     Observer
	logger       *slog.Logger
	keys         keytext.Codec[K]
	store        storeSettings
}

func (c *config) fault(option string, err error) {
	c.faults = append(c.faults, fmt.Errorf("%s: %w", option, err))
}

// resolve gives a config its types, and lists all that is wrong with it. of is the constructor, and
// fn the fetch function or nil for a Cache.
func resolve[K comparable, V any](of string, fn any, opts []Option) (settings[K, V], error) {
	c := &config{ttl: Forever, capacity: 65536}
	Options(opts).apply(c)
	s := settings[K, V]{
		life:  lifetimes[K, V]{ttl: c.ttl, none: c.noneTTL, failed: c.errorTTL, jitter: c.jitter, sliding: c.sliding},
		nones: c.noneIf, capacity: c.capacity, fetchTimeout: c.fetchTimeout, observer: c.observer, logger: c.logger,
		isNil: nilTest[V](),
	}
	s.name = c.fullName(fn, reflect.TypeFor[K](), reflect.TypeFor[V]())
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
	c.checkStore(fn, reflect.TypeFor[V]())
	s.store = c.store
	if s.store.store != nil && len(c.faults) == 0 {
		names := s.store.names()
		if prefix := names.Prefix(); !remote.Reserve(s.store.store, prefix) {
			c.fault("WithStore", fmt.Errorf("another open loader has the keys %s… in this store; give each a WithName of its own, or close that one", prefix))
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

// typed stores fn, a function that was given to an option, in field, or reports that it is for other
// types than K and V.
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
func keysOf[K comparable, V any](c *config) keytext.Codec[K] {
	if c.key != nil {
		var text func(K) string
		typed[K, V](c, "WithKey", c.key, &text)
		return keytext.ByHand(text)
	}
	keys, err := keytext.New[K]()
	if err != nil {
		c.faults = append(c.faults, err)
	}
	return keys
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
		c.fault("WithTags", tooManyTags(tags))
	}
}

// fullName returns the name of a loader for errors, events and logs.
func (c *config) fullName(fn any, key, value reflect.Type) string {
	name := c.name
	switch {
	case c.nameGiven:
	case fn != nil && !reflect.ValueOf(fn).IsNil():
		name, _ = funcname.Of(fn)
	default:
		name = fmt.Sprintf("Cache[%v, %v]", key, value)
	}
	if c.receiverSet {
		receiver, err := funcname.Receiver(c.receiver)
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

// maxPrefix is the longest prefix that the keys of a loader may have in common.
const maxPrefix = 512

// checkStore completes the settings of a store, and reports what is wrong with them.
func (c *config) checkStore(fn any, value reflect.Type) {
	s := &c.store
	if s.store == nil {
		c.checkNoStore()
		return
	}
	if s.memory != 0 && c.sliding {
		c.fault("WithMemory", errors.New("contradicts WithSliding: a hit in memory would not extend the record in the store; leave one out"))
	}
	if s.memory != 0 && c.ttlFunc == nil && s.memory > c.ttl {
		c.fault("WithMemory", fmt.Errorf("%v is longer than WithTTL (%v); make it shorter", s.memory, c.ttl))
	}
	if s.memory == 0 && c.capacityGiven {
		c.fault("WithCapacity", errors.New("there is no memory in front of the store; give WithMemory, or leave it out"))
	}
	c.nameForKeys(fn)
	if names := s.names(); len(names.Prefix()) > maxPrefix {
		c.fault("WithName", fmt.Errorf("name and version take %d bytes of every key in the store; at most %d are allowed, so give a shorter one", len(names.Prefix()), maxPrefix))
	}
	if !reflect.TypeOf(s.store).Comparable() {
		c.fault("WithStore", fmt.Errorf("a %T cannot be compared; give a pointer to it", s.store))
	}
	s.codec = or(s.codec, JSON)
	s.lease = or(s.lease, 2*time.Second)
	s.timeout = or(s.timeout, time.Second)
	if !s.waitGiven {
		s.wait = 10 * time.Second
	}
	if s.codec == JSON && value.Kind() == reflect.Interface && value.NumMethod() > 0 {
		c.fault("WithStore", fmt.Errorf("JSON can encode a value of type %v but not decode it; give WithCodec a codec that can, or use a concrete type", value))
	}
}

func or[T comparable](given, otherwise T) T {
	var zero T
	if given == zero {
		return otherwise
	}
	return given
}

// checkNoStore reports options that mean nothing in memory.
func (c *config) checkNoStore() {
	s := &c.store
	for _, o := range []struct {
		name  string
		given bool
	}{
		{"WithMemory", s.memory != 0},
		{"WithCodec", s.codec != nil},
		{"WithLease", s.lease != 0},
		{"WithWait", s.waitGiven},
		{"WithGuard", s.guard != nil},
		{"WithStoreTimeout", s.timeout != 0},
		{"FailClosed", s.failClosed},
		{"WithMaxBytes", s.maxBytes != 0},
	} {
		if o.given {
			c.fault(o.name, errors.New("needs WithStore; in memory alone it has no meaning"))
		}
	}
}

// nameForKeys finds the name of the loader in the keys of its store.
func (c *config) nameForKeys(fn any) {
	s := &c.store
	s.name, s.version, s.versioned = c.name, c.version, c.version != ""
	if !c.nameGiven {
		if fn == nil {
			c.fault("WithStore", errors.New("a Cache has no function to be named by; give WithName"))
		}
		if fn == nil || reflect.ValueOf(fn).IsNil() {
			return
		}
		name, unstable := funcname.Of(fn)
		if unstable != "" {
			c.fault("WithStore", fmt.Errorf("the function is %s: its name (%s) is not the same in every program and build; give WithName", unstable, name))
		}
		s.name = name
	}
	if !c.receiverSet {
		return
	}
	receiver, err := funcname.Receiver(c.receiver)
	if err != nil {
		return // reported by fullName
	}
	if unstable := funcname.UnstableReceiver(receiver); unstable != "" {
		c.fault("IncludeReceiver", fmt.Errorf("the receiver is %s: its name (%s) is not the same in every program and build; give WithName", unstable, receiver))
	}
	s.name += " of " + receiver
}
