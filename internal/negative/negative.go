// Package negative remembers the errors of fetches for a while: negative caching.
//
// It knows nothing of why an error is remembered. It has one type for keys of all types, so that its
// code is compiled once and not for every Loader.
package negative

import (
	"github.com/zodiac-go/zodiac/internal/coarse"
	"github.com/zodiac-go/zodiac/internal/tier"
)

// A Cache has an error for some keys. Make it with New. A nil Cache is empty, and stays so. It is
// safe for concurrent use.
type Cache struct {
	errors *tier.Tier[any, error]
	clock  *coarse.Clock
}

// New returns an empty Cache for at most capacity errors. text says that keys are found by their
// Text, as in [tier.New].
func New(capacity int, text bool, clock *coarse.Clock) *Cache {
	return &Cache{tier.New[any, error](capacity, text, true, clock), clock}
}

func keyOf[K comparable](k *tier.Key[K]) *tier.Key[any] {
	return &tier.Key[any]{K: k.K, Text: k.Text, Hash: k.Hash}
}

// Put remembers err for a key until expiry, a time of the clock.
func Put[K comparable](c *Cache, key *tier.Key[K], err error, expiry int64) {
	if c == nil {
		return
	}
	k, now := keyOf(key), c.clock.Now()
	e := c.errors.NewEntry(k, now, false)
	e.Value = err
	e.ExpireAt(expiry)
	c.errors.Put(k, e, now)
}

// Find returns the error remembered for a key, or nil.
func Find[K comparable](c *Cache, key *tier.Key[K]) error {
	if c == nil {
		return nil
	}
	if e := c.errors.Find(keyOf(key)); c.errors.Alive(e) {
		return e.Value
	}
	return nil
}

// Delete forgets the error of a key.
func Delete[K comparable](c *Cache, key *tier.Key[K]) {
	if c != nil {
		c.errors.Delete(keyOf(key))
	}
}

// Clear forgets all errors.
func (c *Cache) Clear() {
	if c != nil {
		c.errors.Clear()
	}
}

// Close clears c, and lets it remember nothing from then on.
func (c *Cache) Close() {
	if c != nil {
		c.errors.Close()
	}
}
