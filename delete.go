package zodiac

import (
	"context"
	"errors"
	"slices"

	"github.com/zodiac-go/zodiac/internal/tier"
)

// Delete removes the entries of keys and returns how many there were. Fetches of the keys that are
// under way are discarded: their callers get the result, but it is not stored. Once Delete has
// returned, no Get that begins later returns an older value.
//
// For keys without text the error has a [*KeyError] each; the others are deleted. On a closed cache
// the error is [ErrClosed]. In memory Delete does not block. Over a store it blocks for as long as
// [WithStoreTimeout] says at most, and for that long again for every further 512 keys. The error may
// be a [*StoreError]. Then call Delete again until it returns nil: only then the promise holds for all
// processes. What has been deleted stays deleted.
//
// The end of ctx does not stop Delete, even if ctx has ended before: a request whose client has hung
// up still deletes. Only the values of ctx are used.
func (c *Cache[K, V]) Delete(ctx context.Context, keys ...K) (int, error) {
	e := c.made()
	slots := make([]tier.Key[K], 0, 1)
	storeKeys := make([]string, 0, 1) // those of slots, empty without a store
	var errs []error
	for _, key := range keys {
		slot, err := e.slot(key, "Delete")
		var storeKey string
		if err == nil && e.remote != nil {
			storeKey, _, err = e.storeKey(&slot, key, "Delete")
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		slots, storeKeys = append(slots, slot), append(storeKeys, storeKey)
	}
	if e.closed.Load() {
		return 0, ErrClosed
	}
	n := 0
	drop := func(i int) {
		if e.drop(&slots[i], storeKeys[i]) {
			n++
		}
	}
	if e.remote == nil {
		for i := range slots {
			drop(i)
		}
		return n, errors.Join(errs...)
	}
	n, err := e.remote.Delete(ctx, storeKeys, drop)
	return n, errors.Join(append(errs, e.writeError(ctx, nil, err))...)
}

// DeleteTags removes every entry of this cache that has any of the tags. What it costs does not
// depend on how many these are: they are absent at once, and are removed when they are met or their
// time is over. Until then they count in Len. Fetches whose result has one of the tags, or may have
// it, are discarded.
//
// Tags are compared as they are; no character has a special meaning. An empty name is a
// [*SettingError], and nothing is deleted. The other errors are [ErrClosed], and a [*StoreError]
// as of [Cache.Delete]. As there, the end of ctx stops nothing.
func (c *Cache[K, V]) DeleteTags(ctx context.Context, tags ...string) error {
	e := c.made()
	if e.closed.Load() {
		return ErrClosed
	}
	if err := checkTags(tags); err != nil {
		return &SettingError{Of: e.of("DeleteTags"), Faults: []error{err}}
	}
	if len(tags) == 0 {
		return nil
	}
	if e.remote == nil {
		e.dropTags(tags)
		return nil
	}
	return e.writeError(ctx, nil, e.remote.DeleteTags(ctx, tags, e.dropTags))
}

// dropTags invalidates in this process all keys that have one of the tags.
func (c *engine[K, V]) dropTags(tags []string) {
	c.tags.Delete(tags...)
	own := slices.ContainsFunc(c.labels, func(l *tier.Label) bool { return slices.Contains(tags, l.Name) })
	if own || c.opts.tagsFunc != nil {
		c.flights.DiscardAll()
		c.failures.Clear()
	}
}

// Clear removes all entries and returns how many were alive: in the store, if there is one. Fetches
// that are under way are discarded. The error is [ErrClosed], or a [*StoreError] as of
// [Cache.Delete]. As there, the end of ctx stops nothing. Over a store with many entries Clear takes
// as long as it needs; it gives up after [WithStoreTimeout] without progress.
func (c *Cache[K, V]) Clear(ctx context.Context) (int, error) {
	e := c.made()
	if e.closed.Load() {
		return 0, ErrClosed
	}
	if e.remote == nil {
		return e.dropAll(), nil
	}
	n, err := e.remote.Clear(ctx, func() { e.dropAll() })
	return n, e.writeError(ctx, nil, err)
}

// dropAll invalidates all keys in this process, and returns how many entries memory had.
func (c *engine[K, V]) dropAll() int {
	if c.remote != nil {
		c.remote.InvalidateAll()
	}
	// Discard first: what a fetch has stored before is removed below, and what begins after may stay.
	c.flights.DiscardAll()
	c.failures.Clear()
	return c.mem.Clear()
}
