package zodiac

import (
	"errors"
	"fmt"
	"time"

	"github.com/zodiac-go/zodiac/driver"
)

// A Store keeps records where other processes find them: see [WithStore]. Packages redisstore and
// memstore have one each. Package [driver] says what a Store has to do, and package storetest
// checks it.
type Store = driver.Store

// A Guard lends the right to fetch a key from somewhere else than the [Store]: see [WithGuard] and
// package lease. Package [driver] says what a Guard has to do.
type Guard = driver.Guard

// WithStore puts the loader's records into a store, which any number of processes and loaders may
// share. If the store lends leases, one fetch of a key is under way in all processes, and no process
// reads anything older than the last invalidation. By default values are kept in memory.
//
// The loader's name is a part of the store's keys. So it has to be unique among the open loaders
// over a store. A name that is derived from a function has to be stable as well; otherwise give
// [WithName]. Close does not close the store.
func WithStore(s Store) Option {
	return option(func(c *config) {
		if s == nil {
			c.fault("WithStore", errors.New("the store is nil"))
			return
		}
		c.store.store = s
	})
}

// WithMemory keeps values in memory too, in front of the store of [WithStore], each for at most p.
// When a key is invalidated anywhere, it leaves the memory of every process as soon as the store has
// published that. A process that no longer receives this stops using its memory within two
// seconds. In front of a store that cannot publish, p is at most a second. By default nothing is
// kept in front of a store.
func WithMemory[P Period](p P) Option {
	return periodOption("WithMemory", p, func(c *config) *time.Duration { return &c.store.memory })
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
		c.store.codec = codec
	})
}

// IgnoreShape makes the loader read records that were made of another V than its own.
//
// By default a release of the program that has renamed, added or retyped a field of V finds the
// records of the other release unusable: they are misses. While two releases run side by side, the
// records of the newer one stay, and the older one returns what it fetches without storing it; see
// docs/record.md. A method that invalidates a key does so for both. With IgnoreShape, the codec
// alone decides what can be read, and fields that it does not find are zero.
func IgnoreShape() Option {
	return option(func(c *config) { c.store.anyShape = true })
}

// WithMaxBytes sets how large a record in the store may be. A fetched value whose record is larger
// is returned but not stored, and the [Observer] is told. Set returns an error that matches
// [ErrTooLarge]. By default there is no limit but the store's own.
func WithMaxBytes(n int) Option {
	return option(func(c *config) {
		if n <= 0 {
			c.fault("WithMaxBytes", fmt.Errorf("%d is not a positive number of bytes", n))
			return
		}
		c.store.maxBytes = n
	})
}

// WithLease sets for how long a process has a key to itself while it fetches. The lease is renewed
// while the fetch runs, so p is how long others wait for a process that was killed. By default it is
// 2 seconds.
func WithLease[P Period](p P) Option {
	return periodOption("WithLease", p, func(c *config) *time.Duration { return &c.store.lease })
}

// A WaitEnd says what happens when the time of [WithWait] is over.
type WaitEnd uint8

// The ends of a wait.
const (
	ThenFetch WaitEnd = iota // fetch, and do not store the result
	ThenFail                 // return ErrBusy
)

// WithWait sets how long to wait for another process' fetch of the same key, and what happens then.
// A value that appears meanwhile ends the wait. By default it is 10 seconds and ThenFetch.
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
		c.store.wait, c.store.fail, c.store.waitGiven = d, then == ThenFail, true
	})
}

// NoWait makes a call return [ErrBusy] where it would wait for another process' fetch.
func NoWait() Option {
	return option(func(c *config) { c.store.wait, c.store.fail, c.store.waitGiven = 0, true, true })
}

// WithGuard makes a fetch need the right that g lends, besides the store's lease, or instead of it
// if the store lends none. A Guard that cannot tell, because it is out of reach, keeps nobody from
// fetching. By default there is none.
func WithGuard(g Guard) Option {
	return option(func(c *config) {
		if g == nil {
			c.fault("WithGuard", errors.New("the guard is nil"))
			return
		}
		c.store.guard = g
	})
}

// WithStoreTimeout limits the time that one call spends on the store. Fetching and waiting for
// others' fetches do not count. Once the time is spent, what remains to be read or written is left
// out. It is all that limits a write such as Set or Delete, which the end of its context does not
// stop. [Cache.Clear] may take this long without progress. By default it is a second.
func WithStoreTimeout[P Period](p P) Option {
	return periodOption("WithStoreTimeout", p, func(c *config) *time.Duration { return &c.store.timeout })
}

// FailClosed makes a fault of the store the error of Get, GetOrFetch, GetMany, Peek and Entry: a
// [*StoreError]. By default they go on without the store, one fetch at a time for each key in this
// process, and only the [Observer] is told.
func FailClosed() Option {
	return option(func(c *config) { c.store.failClosed = true })
}
