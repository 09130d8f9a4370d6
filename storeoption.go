package zodiac

import (
	"errors"
	"fmt"
	"reflect"
	"time"
)

// A farConfig says where and how records are stored.
type farConfig struct {
	store                        Store
	codec                        Codec
	guard                        Guard
	memory, lease, wait, timeout time.Duration // 0 = not given
	waitGiven, fail, failClosed  bool
	maxBytes                     int

	name, version string // for keys, apart from each other
	versioned     bool
}

// WithStore puts the loader's records into a store, which any number of processes and loaders may share. One fetch per key is
// then under way in all of them, if the store is a [Leaser], and none reads what is older than the last invalidation. By default
// values are kept in memory.
//
// The name of the loader is part of the store's keys. So it has to be unique among the open loaders over a store, and a name
// derived from a function has to be one that stays: otherwise give [WithName]. Close does not close the store.
func WithStore(s Store) Option {
	return option(func(c *config) {
		if s == nil {
			c.fault("WithStore", errors.New("the store is nil"))
			return
		}
		c.far.store = s
	})
}

// WithMemory keeps values in memory too, in front of the store of [WithStore], each for p at most. What is invalidated
// anywhere leaves the memory of every process as soon as the store announces it; a process that is cut off from the
// announcements stops using its memory within two seconds. Over a store that announces nothing, p is a second at most. By default
// nothing is kept in front of a store.
func WithMemory[P Period](p P) Option {
	return period("WithMemory", p, func(c *config) *time.Duration { return &c.far.memory })
}

// WithCodec sets how values become bytes in a store. By default it is [JSON].
func WithCodec(codec Codec) Option {
	return option(func(c *config) {
		if codec == nil {
			c.fault("WithCodec", errors.New("the codec is nil"))
			return
		}
		if err := checkCodecName(codec.Name()); err != nil {
			c.fault("WithCodec", err)
		}
		c.far.codec = codec
	})
}

// WithLease sets for how long a process has a key to itself while it fetches. The lease is renewed as long as the fetch runs, so it
// says how long others wait for a process that was killed. By default it is 2 seconds.
func WithLease[P Period](p P) Option {
	return period("WithLease", p, func(c *config) *time.Duration { return &c.far.lease })
}

// A WaitEnd says what happens when the time of [WithWait] is over.
type WaitEnd uint8

// The ends of a wait.
const (
	ThenFetch WaitEnd = iota // fetch without storing the result
	ThenFail                 // return ErrBusy
)

// WithWait sets how long to wait for another process' fetch of the same key, and what then. A value that appears meanwhile wins. By
// default it is 10 seconds, ThenFetch.
func WithWait[P Period](p P, then WaitEnd) Option {
	d, err := duration(p)
	return option(func(c *config) {
		if err != nil {
			c.fault("WithWait", err)
			return
		}
		if then > ThenFail {
			c.fault("WithWait", fmt.Errorf("%d is neither ThenFetch nor ThenFail", then))
		}
		c.far.wait, c.far.fail, c.far.waitGiven = d, then == ThenFail, true
	})
}

// NoWait makes a call that would wait for another process' fetch return [ErrBusy] instead.
func NoWait() Option {
	return option(func(c *config) { c.far.wait, c.far.fail, c.far.waitGiven = 0, true, true })
}

// WithGuard makes a fetch need the right that g lends, beside the store's lease, or instead of it where the store is no
// [Leaser]. A Guard that cannot tell, because it is out of reach, keeps nobody from fetching. By default there is none.
func WithGuard(g Guard) Option {
	return option(func(c *config) {
		if g == nil {
			c.fault("WithGuard", errors.New("the guard is nil"))
			return
		}
		c.far.guard = g
	})
}

// WithStoreTimeout limits the time that one call spends on the store; fetching and waiting for others do not count. Once it
// is spent, what remains to be read or written is left out. By default it is a second.
func WithStoreTimeout[P Period](p P) Option {
	return period("WithStoreTimeout", p, func(c *config) *time.Duration { return &c.far.timeout })
}

// FailClosed makes faults of the store the error of Get, GetOrFetch and GetMany: a [*StoreError]. By default they fetch without the store,
// one call at a time for each key in this process, and only the [Observer] is told.
func FailClosed() Option {
	return option(func(c *config) { c.far.failClosed = true })
}

// WithMaxBytes sets how large a record in the store may be. A fetched value that is larger is returned but not stored, and the
// [Observer] told; Set returns an error that matches [ErrTooLarge]. By default there is no limit but the store's own.
func WithMaxBytes(n int) Option {
	return option(func(c *config) {
		if n <= 0 {
			c.fault("WithMaxBytes", fmt.Errorf("%d is not a positive number of bytes", n))
			return
		}
		c.far.maxBytes = n
	})
}

// maxPrefix is how long what all keys of a loader begin with may be.
const maxPrefix = 512

// checkStore completes what WithStore says, and reports what is wrong with it.
func (c *config) checkStore(fn any) {
	f := &c.far
	if f.store == nil {
		c.checkNoStore()
		return
	}
	if f.memory != 0 && c.sliding {
		c.fault("WithMemory", errors.New("contradicts WithSliding: a hit in memory would not extend the record in the store; leave one out"))
	}
	if f.memory != 0 && c.ttlFunc == nil && f.memory > c.ttl {
		c.fault("WithMemory", fmt.Errorf("%v is longer than WithTTL (%v); make it shorter", f.memory, c.ttl))
	}
	if f.memory == 0 && c.capacityGiven {
		c.fault("WithCapacity", errors.New("there is no memory in front of the store; give WithMemory, or leave it out"))
	}
	c.nameForKeys(fn)
	if keys := f.keys(); len(keys.prefix()) > maxPrefix {
		c.fault("WithName", fmt.Errorf("name and version take %d bytes of every key in the store; at most %d are allowed, so give a shorter one", len(keys.prefix()), maxPrefix))
	}
	if !reflect.TypeOf(f.store).Comparable() {
		c.fault("WithStore", fmt.Errorf("a %T cannot be compared; give a pointer to it", f.store))
	}
	f.codec = or(f.codec, JSON)
	f.lease = or(f.lease, 2*time.Second)
	f.timeout = or(f.timeout, time.Second)
	if !f.waitGiven {
		f.wait = 10 * time.Second
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
	f := &c.far
	for _, o := range []struct {
		name  string
		given bool
	}{
		{"WithMemory", f.memory != 0},
		{"WithCodec", f.codec != nil},
		{"WithLease", f.lease != 0},
		{"WithWait", f.waitGiven},
		{"WithGuard", f.guard != nil},
		{"WithStoreTimeout", f.timeout != 0},
		{"FailClosed", f.failClosed},
		{"WithMaxBytes", f.maxBytes != 0},
	} {
		if o.given {
			c.fault(o.name, errors.New("needs WithStore; in memory alone it has no meaning"))
		}
	}
}

// nameForKeys finds out what the loader is called in the store's keys.
func (c *config) nameForKeys(fn any) {
	f := &c.far
	f.name, f.version, f.versioned = c.name, c.version, c.version != ""
	if c.nameGiven {
		if c.receiverSet {
			f.name = c.withReceiver(f.name)
		}
		return
	}
	if fn == nil || reflect.ValueOf(fn).IsNil() {
		if fn == nil {
			c.fault("WithStore", errors.New("a Cache has no function to be named by; give WithName"))
		}
		return
	}
	name, unstable := funcName(fn)
	if unstable != "" {
		c.fault("WithStore", fmt.Errorf("the function is %s: its name (%s) is not the same in every program and build; give WithName", unstable, name))
	}
	f.name = name
	if c.receiverSet {
		f.name = c.withReceiver(name)
	}
}

func (c *config) withReceiver(name string) string {
	receiver, err := receiverName(c.receiver)
	if err != nil {
		return name // reported elsewhere
	}
	if unstable := unstableReceiver(receiver); unstable != "" {
		c.fault("IncludeReceiver", fmt.Errorf("the receiver is %s: its name (%s) is not the same in every program and build; give WithName", unstable, receiver))
	}
	return name + " of " + receiver
}
