package zodiac

import (
	"errors"
	"fmt"
	"time"
)

// SkipIf makes the loader not store results for which skip returns true. The callers get them all
// the same. SkipIf applies to every fetch, that of GetOrFetch included; Set stores everything. skip
// runs on the goroutine of the fetch. If it panics, the callers get a [*PanicError]. By default a
// Loader skips nil pointers and nil interfaces, and a Cache skips nothing.
func SkipIf[V any](skip func(V) bool) Option {
	return function("SkipIf", skip, func(c *config) *any { return &c.skipIf })
}

// CacheNil makes a Loader store nil pointers and nil interfaces like other values. By default they
// are not stored, and the next call fetches again.
func CacheNil() Option {
	return option(func(c *config) { c.cacheNil = true })
}

// NoneIf names errors of the fetch that mean "does not exist". If the error of a fetch matches one
// of them, by errors.Is, that is remembered, and every caller gets an error that matches both it and
// [ErrNone]. Several NoneIf add up. By default only ErrNone itself is remembered.
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

// ValidIf makes an entry for which valid returns false count as absent for Get, GetOrFetch, GetMany,
// Peek and Entry. The next fetch replaces it. valid runs on the goroutine of the reader at every
// hit. If it panics, the reader gets a [*PanicError]. Methods that write do not call it. By default
// entries are valid until they expire.
func ValidIf[K comparable, V any](valid func(K, Entry[V]) bool) Option {
	return function("ValidIf", valid, func(c *config) *any { return &c.validIf })
}

// WithClone makes memory keep copies of its own. Values are cloned on the way in and on the way out,
// so that no two callers share anything that clone copies. A nil is not cloned. On the way in clone
// runs on the goroutine of the fetch, on the way out on that of the reader. If it panics, that one
// gets a [*PanicError]. By default callers share the values in memory and must not change them.
func WithClone[V any](clone func(V) V) Option {
	return function("WithClone", clone, func(c *config) *any { return &c.clone })
}

// WithFetchTimeout limits how long a fetch may take. When the time is over, its context ends, and
// its callers get an error that matches context.DeadlineExceeded, whether or not the fetch function
// returns. A later result is discarded; Close waits for it. By default there is no limit.
func WithFetchTimeout[P Period](p P) Option {
	return periodOption("WithFetchTimeout", p, func(c *config) *time.Duration { return &c.fetchTimeout })
}

// WithFetchLimit lets at most n fetches of the loader run at once in this process, whatever their
// keys. Further ones wait for their turn, first come, first served, and their callers each under its
// own context. A fetch that all its callers have left before its turn is not called. With the store
// down, that is what stands between many processes and the origin.
//
// A fetch that waits for another fetch, of any loader, or for another process, lends its turn
// meanwhile. So a fetch may ask its own loader for other keys, whatever n is. [WithFetchTimeout]
// counts from the call of the function. What runs on its caller's goroutine does not count: Fetch,
// Get under [Bypass], and a Get of a key without text. n is at least 1. By default there is no limit.
func WithFetchLimit(n int) Option {
	return option(func(c *config) {
		if n < 1 {
			c.fault("WithFetchLimit", fmt.Errorf("%d fetches at once; at least 1 has to be allowed", n))
			return
		}
		c.fetchLimit = n
	})
}
