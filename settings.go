package zodiac

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"time"

	"github.com/zodiac-go/zodiac/internal/funcname"
	"github.com/zodiac-go/zodiac/internal/keytext"
	"github.com/zodiac-go/zodiac/internal/negative"
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
	errorsNamed                          negative.Named
	tags                                 []string
	capacity                             int
	fetchLimit                           int // 0 = none
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
	anyShape                     bool
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
	*config
	life     lifetimes[K, V]
	skipIf   func(V) bool
	isNil    func(V) bool
	validIf  func(K, Entry[V]) bool
	tagsFunc func(K, V) []string
	clone    func(V) V
	keys     keytext.Codec[K]
}

func (c *config) fault(option string, err error) {
	c.faults = append(c.faults, fmt.Errorf("%s: %w", option, err))
}

// resolve gives a config its types, and lists all that is wrong with it. of is the constructor, and
// fn the fetch function or nil for a Cache.
func resolve[K comparable, V any](of string, fn any, opts []Option) (settings[K, V], error) {
	c := &config{ttl: Forever, capacity: 65536}
	Options(opts).apply(c)
	c.setName(fn, reflect.TypeFor[K](), reflect.TypeFor[V]())
	c.tags = slices.Compact(slices.Sorted(slices.Values(c.tags)))
	c.check()
	s := settings[K, V]{
		config: c, isNil: nilTest[V](),
		life: lifetimes[K, V]{ttl: c.ttl, none: c.noneTTL, failed: c.errorTTL, jitter: c.jitter, sliding: c.sliding},
	}
	typed[K, V](c, "WithTTLFunc", c.ttlFunc, &s.life.fn)
	typed[K, V](c, "ValidIf", c.validIf, &s.validIf)
	typed[K, V](c, "WithTagsFunc", c.tagsFunc, &s.tagsFunc)
	typed[K, V](c, "WithClone", c.clone, &s.clone)
	typed[K, V](c, "SkipIf", c.skipIf, &s.skipIf)
	if fn != nil && c.skipIf == nil && !c.cacheNil {
		s.skipIf = s.isNil
	}
	s.keys = keysOf[K, V](c)
	c.checkStore(reflect.TypeFor[V]())
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
func (c *config) check() {
	switch {
	case c.sliding && c.ttlFunc != nil:
		c.fault("WithSliding", errors.New("contradicts WithTTLFunc: an entry cannot both have its own lifetime and slide; use WithTTL"))
	case c.sliding && c.ttl == Forever:
		c.fault("WithSliding", errors.New("needs a WithTTL that ends: an entry that lives for ever has nothing to extend"))
	}
	if c.noneTTL != 0 && len(c.noneIf) == 0 {
		c.fault("WithNoneTTL", errors.New("needs NoneIf, to say which errors mean that a key does not exist; if only SetNone or the fetch itself says so, NoneIf(zodiac.ErrNone)"))
	}
	if err := negative.SameText(c.noneIf.errors()); err != nil {
		c.fault("NoneIf", err)
	}
	if c.cacheNil && c.skipIf != nil {
		c.fault("CacheNil", errors.New("contradicts SkipIf, which alone decides what is stored; leave CacheNil out"))
	}
	if len(c.tags) > maxTags {
		c.fault("WithTags", tooManyTags(len(c.tags)))
	}
}

// setName finds the name of the loader, for errors, events and logs and for the keys of a store.
func (c *config) setName(fn any, key, value reflect.Type) {
	overStore := c.store.store != nil
	const differs = "its name (%s) is not the same in every program and build; give WithName"
	switch named := fn != nil && !reflect.ValueOf(fn).IsNil(); {
	case c.nameGiven:
	case named:
		var unstable string
		if c.name, unstable = funcname.Of(fn); overStore && unstable != "" {
			c.fault("WithStore", fmt.Errorf("the function is %s: "+differs, unstable, c.name))
		}
	default:
		c.name = fmt.Sprintf("Cache[%v, %v]", key, value)
		if overStore && fn == nil {
			c.fault("WithStore", errors.New("a Cache has no function to be named by; give WithName"))
		}
	}
	if c.receiverSet {
		receiver, err := funcname.Receiver(c.receiver)
		if err != nil {
			c.fault("IncludeReceiver", err)
		} else if unstable := funcname.UnstableReceiver(receiver); overStore && unstable != "" {
			c.fault("IncludeReceiver", fmt.Errorf("the receiver is %s: "+differs, unstable, receiver))
		}
		c.name += " of " + receiver
	}
	c.store.name, c.store.version, c.store.versioned = c.name, c.version, c.version != ""
	if c.version != "" {
		c.name += "@" + c.version
	}
}

// maxPrefix is the longest prefix that the keys of a loader may have in common.
const maxPrefix = 512

// checkStore completes the settings of a store, and reports what is wrong with them.
func (c *config) checkStore(value reflect.Type) {
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
	if names := s.names(); len(names.Prefix()) > maxPrefix {
		c.fault("WithName", fmt.Errorf("name and version take %d bytes of every key in the store; at most %d are allowed, so give a shorter one", len(names.Prefix()), maxPrefix))
	}
	if !reflect.TypeOf(s.store).Comparable() {
		c.fault("WithStore", fmt.Errorf("a %T cannot be compared; give a pointer to it", s.store))
	}
	s.codec = cmp.Or(s.codec, JSON)
	s.lease = cmp.Or(s.lease, 2*time.Second)
	s.timeout = cmp.Or(s.timeout, time.Second)
	if !s.waitGiven {
		s.wait = 10 * time.Second
	}
	if checker, ok := s.codec.(CodecChecker); ok {
		if err := checker.Check(value); err != nil {
			c.fault("WithStore", err)
		}
	}
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
		{"IgnoreShape", s.anyShape},
		{"WithMaxBytes", s.maxBytes != 0},
	} {
		if o.given {
			c.fault(o.name, errors.New("needs WithStore; in memory alone it has no meaning"))
		}
	}
}
