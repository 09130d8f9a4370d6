package zodiac

import (
	"context"
	"errors"
	"slices"

	"github.com/zodiac-go/zodiac/internal/remote"
	"github.com/zodiac-go/zodiac/internal/tier"
)

// Delete removes the entries of keys and returns how many there were. Fetches of the keys that are
// under way are discarded: their callers get the result, but it is not stored. Once Delete has
// returned, no Get that begins later returns an older value.
//
// For keys without text the error has a [*KeyError] each; the others are deleted. On a closed cache
// the error is [ErrClosed]. In memory Delete does not block and does not look at ctx. Over a store
// the error may be a [*StoreError]. Then call Delete again until it returns nil: only then the
// promise holds for all processes.
func (c *Cache[K, V]) Delete(ctx context.Context, keys ...K) (int, error) {
	e := c.made()
	var places []tier.Key[K]
	var storeKeys []string // those of places, over a store
	var errs []error
	for _, key := range keys {
		place, err := e.place(key, "Delete")
		var storeKey string
		if err == nil && e.remote != nil {
			storeKey, _, err = e.storeKey(&place, key, "Delete")
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		places = append(places, place)
		if e.remote != nil {
			storeKeys = append(storeKeys, storeKey)
		}
	}
	if e.closed.Load() {
		return 0, ErrClosed
	}
	n, err := e.delete(ctx, places, storeKeys)
	if err != nil {
		errs = append(errs, err)
	}
	return n, errors.Join(errs...)
}

// delete deletes places and, over a store, their keys: first in the store, then in memory; then it
// publishes. The later steps are taken even if the store fails: the command may have been carried
// out, or may be later.
func (c *engine[K, V]) delete(ctx context.Context, places []tier.Key[K], storeKeys []string) (n int, err error) {
	if c.remote == nil {
		for i := range places {
			if c.drop(&places[i], "") {
				n++
			}
		}
		return n, nil
	}
	if len(places) == 0 {
		return 0, nil
	}
	leave, err := c.remote.Exclude(ctx, storeKeys...)
	if err != nil {
		return 0, err
	}
	defer leave()
	b := c.remote.NewBudget()
	n, err = c.remote.Delete(ctx, &b, storeKeys...)
	for i := range places {
		c.drop(&places[i], storeKeys[i])
	}
	return n, c.published(ctx, nil, err, c.remote.Publish(ctx, &b, storeKeys...))
}

// DeleteTags removes every entry of this cache that has any of the tags. What it costs does not
// depend on how many these are: they are absent at once, and are removed when they are met or their
// time is over. Until then they count in Len. Fetches whose result has one of the tags, or may have
// it, are discarded.
//
// Tags are compared as they are; no character has a special meaning. An empty name is a
// [*SettingError], and nothing is deleted. The other errors are [ErrClosed], and a [*StoreError]
// as of [Cache.Delete].
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
	b := e.remote.NewBudget()
	err := e.remote.DeleteTags(ctx, &b, tags)
	e.dropTags(tags)
	return e.published(ctx, nil, err, e.remote.PublishTags(ctx, &b, tags))
}

// dropTags invalidates in this process all keys that have one of the tags.
func (c *engine[K, V]) dropTags(tags []string) {
	c.tags.Delete(tags...)
	own := slices.ContainsFunc(c.labels, func(l *tier.Label) bool { return slices.Contains(tags, l.Name) })
	if own || c.opts.tagsFunc != nil {
		c.flights.VoidAll()
		if c.failures != nil {
			c.failures.Clear()
		}
	}
}

// Clear removes all entries and returns how many were alive: in the store, if there is one. Fetches
// that are under way are discarded. The error is [ErrClosed], or a [*StoreError] as of
// [Cache.Delete]. Over a store with many entries Clear takes as long as ctx allows.
func (c *Cache[K, V]) Clear(ctx context.Context) (int, error) {
	e := c.made()
	if e.closed.Load() {
		return 0, ErrClosed
	}
	if e.remote == nil {
		return e.dropAll(), nil
	}
	n, err := e.remote.Clear(ctx)
	e.dropAll()
	if late := e.remote.Writing(); err == nil && len(late) > 0 {
		n, err = e.clearAfter(ctx, late, n)
	}
	b := e.remote.NewBudget()
	return n, e.published(ctx, nil, err, e.remote.PublishAll(ctx, &b))
}

// clearAfter clears once more after the writes of keys that were under way, in a store that does
// not order them by leases. n entries were cleared before.
func (c *engine[K, V]) clearAfter(ctx context.Context, keys []string, n int) (int, error) {
	if err := c.remote.AwaitWrites(ctx, keys); err != nil {
		return n, err
	}
	more, err := c.remote.Clear(ctx)
	c.dropAll()
	return n + more, err
}

// dropAll invalidates all keys in this process, and returns how many entries memory had.
func (c *engine[K, V]) dropAll() int {
	if c.remote != nil {
		c.remote.InvalidateAll()
	}
	// Discard first: what a fetch has stored before is removed below, and what begins after may stay.
	c.flights.VoidAll()
	if c.failures != nil {
		c.failures.Clear()
	}
	return c.mem.Clear()
}

// published returns the error of a write that was published. That it could not be published is an
// error only where memory in front of the store is used. Elsewhere it is reported.
func (c *core) published(ctx context.Context, key any, err, publishErr error) error {
	if err == nil && publishErr != nil {
		err = c.writeError(ctx, key, publishErr)
		if !c.remote.HasMemory() && err != ErrClosed { //nolint:errorlint // a store's error may match it too
			return nil
		}
		return err
	}
	return c.writeError(ctx, key, err)
}

// writeError returns a caller's error of a write over a store.
func (c *core) writeError(ctx context.Context, key any, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, remote.ErrClosed):
		return ErrClosed
	}
	return c.storeFault(ctx, key, err)
}
