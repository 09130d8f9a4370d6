package zodiac

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/zodiac-go/zodiac/internal/tier"
)

// Set stores value for key, whatever it is: SkipIf does not count, nil is stored. Fetches of the key that run are void:
// who waits for them gets their result, but it is not stored. If WithTTLFunc gives the value no lifetime, the key is
// absent afterwards.
//
// In memory Set does not block and does not look at ctx. The error is [ErrClosed], a *[KeyError], a *[SettingError], or a
// *[PanicError] of a function of an option; over a store also a *[CodecError], or one that matches [ErrTooLarge]. Then nothing was
// changed. After a *[StoreError] the value may be stored, now or later.
func (c *Cache[K, V]) Set(ctx context.Context, key K, value V, opts ...SetOption) error {
	return c.e.setAs(ctx, "Set", key, value, opts)
}

func (c *engine[K, V]) setAs(ctx context.Context, op string, key K, value V, opts []SetOption) error {
	w, err := c.newWrite(op, key, opts)
	if c.remote != nil {
		if err == nil {
			err = c.setShared(ctx, &w, &value, nil)
		}
		return err
	}
	if err == nil {
		err = c.draftValue(&w, value)
	}
	if c.set.keys.plain && c.set.life.fn == nil && c.set.tagsFunc == nil && c.set.clone == nil {
		w.now = w.created // no function of users lies between
	}
	if err == nil {
		err = c.commit(&w)
	}
	return err
}

// SetMany is [Cache.Set] for each of values. If some fail, the error is a *[ManyError], and the others are stored.
func (c *Cache[K, V]) SetMany(ctx context.Context, values map[K]V, opts ...SetOption) error {
	if c.e.closed.Load() {
		return ErrClosed
	}
	if s := settingOf(opts); len(s.faults) > 0 {
		return &SettingError{Of: c.e.of("SetMany"), Faults: s.faults}
	}
	var failed ManyError[K]
	for key, value := range values {
		err := c.e.setAs(ctx, "SetMany", key, value, opts)
		if _, ok := errors.AsType[*KeyError](err); ok {
			failed.Rejected = append(failed.Rejected, err)
		} else if err != nil {
			failed.add(key, err)
		}
	}
	return failed.orNil()
}

// SetNone stores that key does not exist: readers get [ErrNone]. Otherwise it is like [Cache.Set].
func (c *Cache[K, V]) SetNone(ctx context.Context, key K, opts ...SetOption) error {
	w, err := c.e.newWrite("SetNone", key, opts)
	if err == nil && c.e.remote != nil {
		return c.e.setShared(ctx, &w, new(V), ErrNone)
	}
	if err == nil {
		err = c.e.draftNone(&w, ErrNone)
	}
	if err == nil {
		err = c.e.commit(&w)
	}
	return err
}

// SetIfAbsent stores value if key has no entry, and reports whether it was absent. Only then are fetches of the key void.
// A None is an entry. If WithTTLFunc gives the value no lifetime, an absent key stays absent. Otherwise it is like
// [Cache.Set].
func (c *Cache[K, V]) SetIfAbsent(ctx context.Context, key K, value V, opts ...SetOption) (bool, error) {
	w, err := c.e.newWrite("SetIfAbsent", key, opts)
	if err == nil && c.e.remote != nil {
		return c.e.addShared(ctx, &w, &value)
	}
	if err == nil {
		err = c.e.draftValue(&w, value)
	}
	if err != nil {
		return false, err
	}
	absent := false
	err = c.e.commitBy(&w, func() bool {
		if absent = !c.e.mem.Alive(c.e.mem.Find(&w.place)); absent {
			c.e.apply(&w)
		}
		return absent
	})
	return absent && err == nil, err
}

// Touch gives the entry of key a new lifetime: that of WithTTL given here, or what Set would give to its value. It reports
// whether there is an entry that lives on; one that has expired stays so. If WithTTLFunc gives the value no lifetime any
// more, the entry goes, and Touch returns false. Fetches that run are not void. WithTags is an error here; the other errors
// are those of Set.
//
// Over a store, WithSliding, a lifetime other than the entry had is written with the value: then there may be [ErrBusy] too, after
// sixteen writes that came in between; and a store that lends no leases cannot keep other processes from writing in between.
func (c *Cache[K, V]) Touch(ctx context.Context, key K, opts ...SetOption) (bool, error) {
	w, err := c.e.newWrite("Touch", key, opts)
	if err != nil {
		return false, err
	}
	if len(w.given.tags) > 0 {
		return false, &SettingError{Of: c.e.of("Touch"), Faults: []error{errors.New("WithTags: Touch keeps an entry's tags; use Set")}}
	}
	if c.e.remote != nil {
		return c.e.touchShared(ctx, &w)
	}
	for {
		e := c.e.usable(&w.place, nil)
		if e == nil {
			return false, nil
		}
		if err := c.e.newLife(&w, e); err != nil {
			return false, err
		}
		touched := false
		c.e.flights.Change(w.place, w.place.Hash, func() bool {
			touched = c.e.touch(&w, e)
			return false
		})
		if touched {
			return !w.drop, nil
		}
	}
}

// Delete removes the entries of keys and returns how many there were; fetches of the keys that run are void. Once it has
// returned, no Get that begins later returns an older value. For keys without text the error has a *[KeyError] each; the
// others are deleted. On a closed cache it is [ErrClosed]. In memory Delete does not block and does not look at ctx. Over a store the
// error may be a *[StoreError]: then call it again until it returns nil; only then the promise holds for all processes.
func (c *Cache[K, V]) Delete(ctx context.Context, keys ...K) (int, error) {
	n := 0
	var errs []error
	var shared deletion[K]
	for _, key := range keys {
		place, err := c.e.place(key, "Delete")
		if err == nil && c.e.remote != nil {
			err = c.e.listDeletion(&shared, place, key)
		}
		if err != nil {
			errs = append(errs, err)
		}
		if err != nil || c.e.remote != nil {
			continue
		}
		c.e.flights.Change(place, place.Hash, func() bool {
			if c.e.remove(&place) {
				n++
			}
			return true
		})
	}
	if c.e.closed.Load() {
		return n, ErrClosed
	}
	if c.e.remote != nil {
		var err error
		if n, err = c.e.deleteShared(ctx, &shared); err != nil {
			errs = append(errs, err)
		}
	}
	return n, errors.Join(errs...)
}

// DeleteTags removes every entry of this cache that has any of the tags, for a price that does not depend on how many those
// are: they are absent at once, and go when they are met or their time is over. Until then they count in Len. Fetches whose
// result would have one of the tags, or may have it, are void. Tags are compared as they are; no character has a meaning.
// The error is [ErrClosed], or a *[StoreError] like that of Delete.
func (c *Cache[K, V]) DeleteTags(ctx context.Context, tags ...string) error {
	if c.e.closed.Load() {
		return ErrClosed
	}
	if len(tags) == 0 {
		return nil
	}
	if c.e.remote != nil {
		return c.e.deleteTagsShared(ctx, tags)
	}
	c.e.dropTags(tags)
	return nil
}

// hasTag reports whether all entries of the loader have one of the tags.
func (c *core) hasTag(tags []string) bool {
	for _, l := range c.labels {
		if slices.Contains(tags, l.Name) {
			return true
		}
	}
	return false
}

// Clear removes all entries and returns how many were alive: in the store, if there is one. Fetches that run are void. The error is
// [ErrClosed], or a *[StoreError] like that of Delete. Over a store with many entries it takes as long as ctx allows.
func (c *Cache[K, V]) Clear(ctx context.Context) (int, error) {
	if c.e.closed.Load() {
		return 0, ErrClosed
	}
	if c.e.remote != nil {
		return c.e.clearShared(ctx)
	}
	return c.e.dropAll(), nil
}

// A write is one call that stores an entry.
type write[K comparable, V any] struct {
	op      string
	key     K
	place   tier.Key[K]
	created int64
	now     int64 // when it is stored, if that is known: 0 = read the clock then
	given   setting
	entry   *tier.Entry[K, V]
	life    time.Duration // of the entry, counted from when it is stored
	drop    bool          // the entry would live no time: there is to be none

	keepLeft bool          // when it takes the place of another entry, it ends when that would
	slide    time.Duration // over a store, if keepLeft: see record
	gens     tagGens       // over a store: of tags, from before what the value was made of was read
}

func (c *core) of(op string) string { return fmt.Sprintf("%s (%s)", op, c.name) }

func (c *engine[K, V]) newWrite(op string, key K, opts []SetOption) (write[K, V], error) {
	w := write[K, V]{op: op, key: key, created: c.clock.Now()}
	var err error
	if w.place, err = c.place(key, op); err != nil {
		return w, err
	}
	if len(opts) > 0 {
		if w.given = settingOf(opts); len(w.given.faults) > 0 {
			return w, &SettingError{Of: c.of(op), Faults: w.given.faults}
		}
	}
	return w, nil
}

// draftValue makes the entry for value. It calls functions of options, so it holds no lock.
func (c *engine[K, V]) draftValue(w *write[K, V], value V) error {
	if err := c.lifetime(w, &value); err != nil {
		return err
	}
	tags, err := c.tagsOf(w, &value)
	if err != nil {
		return err
	}
	if c.set.clone != nil {
		if value, err = c.cloned(value); err != nil {
			return err
		}
	}
	w.entry = c.entry(&w.place, w.created, &value, nil, w.life, tags)
	return nil
}

// draftNone makes the entry of a None.
func (c *engine[K, V]) draftNone(w *write[K, V], none error) error {
	w.life = c.set.life.ofNone(w.given.ttl)
	tags, err := c.labelsFor(w, w.given.tags)
	if err == nil {
		w.entry = c.entry(&w.place, w.created, new(V), none, w.life, tags)
	}
	return err
}

// newLife finds out how long a present entry is to live from now on.
func (c *engine[K, V]) newLife(w *write[K, V], e *tier.Entry[K, V]) error {
	if d := e.Detail(); d != nil && d.None != nil {
		w.life = c.set.life.ofNone(w.given.ttl)
		return nil
	}
	return c.lifetime(w, &e.Value)
}

// touch gives e its new life, unless it is no longer there. It stays the same entry: a forced fetch that began before still
// knows it. The caller holds the key's lock of flights.
func (c *engine[K, V]) touch(w *write[K, V], e *tier.Entry[K, V]) bool {
	if w.drop {
		return c.replace(w, e)
	}
	now := c.clock.Now()
	return c.mem.Touch(&w.place, e, expiry(now, w.life), c.set.life.slide(w.life), now)
}

// lifetime finds out how long a value lives.
func (c *engine[K, V]) lifetime(w *write[K, V], value *V) (err error) {
	if c.set.life.fn == nil || w.given.ttl != 0 {
		w.life = c.set.life.of(w.key, value, w.given.ttl)
	} else {
		err = c.guard("WithTTLFunc", func() { w.life = c.set.life.of(w.key, value, 0) })
	}
	w.drop = w.life < shortest
	return err
}

// tagsOf returns the tags of a value: the loader's, the function's, and those given at the call.
func (c *engine[K, V]) tagsOf(w *write[K, V], value *V) ([]tier.Tag, error) {
	names := w.given.tags
	if c.set.tagsFunc != nil {
		err := c.guard("WithTagsFunc", func() { names = append(slices.Clip(c.set.tagsFunc(w.key, *value)), names...) })
		if err != nil {
			return nil, err
		}
	}
	return c.labelsFor(w, names)
}

// labelsFor returns the loader's tags and those called names. A tag deleted at this moment may count as deleted before
// the call, so the generations are the present ones, whatever moved.
func (c *engine[K, V]) labelsFor(w *write[K, V], names []string) ([]tier.Tag, error) {
	if len(c.labels)+len(names) == 0 {
		return nil, nil
	}
	for {
		epoch := c.tags.epoch.Load()
		tags, fresh, err := c.with(c.ownTags(), epoch, names)
		if err != nil {
			return nil, &SettingError{Of: c.of(w.op), Faults: []error{fmt.Errorf("WithTags: %w", err)}}
		}
		if fresh {
			return tags, nil
		}
	}
}

// commit stores the draft, and makes fetches of the key void.
func (c *engine[K, V]) commit(w *write[K, V]) error {
	return c.commitBy(w, func() bool { c.apply(w); return true })
}

// commitBy makes fetches of the key void, if apply, which it calls under the key's lock of flights, returns true. It returns
// ErrClosed if the cache was closed meanwhile.
func (c *engine[K, V]) commitBy(w *write[K, V], apply func() bool) error {
	c.flights.Change(w.place, w.place.Hash, apply)
	if c.closed.Load() {
		return ErrClosed
	}
	return nil
}

// apply stores the draft. The caller holds the key's lock of flights.
func (c *engine[K, V]) apply(w *write[K, V]) {
	if w.drop {
		c.remove(&w.place)
		return
	}
	now := w.now
	if now == 0 {
		now = c.clock.Now()
	}
	c.put(&w.place, w.entry, w.life, now)
}

// replace puts the draft into the place of old, if that is still there and alive. Clear does not take the key's lock of
// flights, which the caller holds: so memory itself has to compare.
func (c *engine[K, V]) replace(w *write[K, V], old *tier.Entry[K, V]) bool {
	if !c.mem.Alive(old) || !c.exchange(w, old) {
		return false
	}
	if c.failures != nil {
		c.failures.Delete(&w.place)
	}
	return true
}

func (c *engine[K, V]) exchange(w *write[K, V], old *tier.Entry[K, V]) bool {
	if w.drop {
		return c.mem.Remove(&w.place, old)
	}
	now := c.clock.Now()
	if w.keepLeft {
		w.entry.ExpireAt(old.Expiry())
	} else {
		w.entry.ExpireAt(expiry(now, w.life))
	}
	return c.mem.Swap(&w.place, old, w.entry, now)
}
