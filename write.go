package zodiac

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/record"
	"github.com/zodiac-go/zodiac/internal/remote"
	"github.com/zodiac-go/zodiac/internal/tag"
	"github.com/zodiac-go/zodiac/internal/tier"
)

// Set stores value for key, whatever it is: SkipIf does not apply, and nil is stored. Fetches of
// the key that are under way are discarded: their callers get the result, but it is not stored. If
// [WithTTLFunc] gives the value no lifetime, the key is absent afterwards.
//
// In memory Set does not block. Over a store it blocks for as long as [WithStoreTimeout] says at
// most. The end of ctx does not stop it, even if ctx has ended before: only its values are used.
//
// The error is [ErrClosed], a [*KeyError], a [*SettingError], or a [*PanicError] of an option's
// function; over a store also a [*CodecError], or one that matches [ErrTooLarge]. Then nothing was
// changed. After a [*StoreError] the value may be stored, now or later.
func (c *Cache[K, V]) Set(ctx context.Context, key K, value V, opts ...SetOption) error {
	return c.made().set(ctx, "Set", key, value, nil, opts)
}

// SetNone stores that key does not exist: readers get [ErrNone]. Otherwise it is like [Cache.Set].
func (c *Cache[K, V]) SetNone(ctx context.Context, key K, opts ...SetOption) error {
	var zero V
	return c.made().set(ctx, "SetNone", key, zero, ErrNone, opts)
}

// SetMany is Set for each of values. If some fail, the error is a [*ManyError] of exactly those; the
// others are stored. Over a store, values go in chunks of some hundreds, each by one command if the
// store is a [driver.Batcher]. Each chunk may take as long as [WithStoreTimeout] says. If three in a
// row get no answer at all, what is left is not sent.
func (c *Cache[K, V]) SetMany(ctx context.Context, values map[K]V, opts ...SetOption) error {
	e := c.made()
	if e.closed.Load() {
		return ErrClosed
	}
	if s := settingOf(opts); len(s.faults) > 0 {
		return &SettingError{Of: e.of("SetMany"), Faults: s.faults}
	}
	if e.remote != nil {
		return e.setMany(ctx, values, opts)
	}
	var failed ManyError[K]
	for key, value := range values {
		failed.note(key, e.set(ctx, "SetMany", key, value, nil, opts))
	}
	return failed.orNil()
}

// SetIfAbsent stores value if key has no entry, and reports whether it was absent. Only then are
// fetches of the key discarded. A None is an entry. If WithTTLFunc gives the value no lifetime, an
// absent key stays absent. Over a store, if ctx ends before anything was written, nothing is, and
// the error is that of ctx. Otherwise SetIfAbsent is like [Cache.Set].
func (c *Cache[K, V]) SetIfAbsent(ctx context.Context, key K, value V, opts ...SetOption) (bool, error) {
	e := c.made()
	w, err := e.newWrite("SetIfAbsent", key, opts)
	if err == nil {
		err = e.draft(ctx, &w, &value, nil)
	}
	if err != nil {
		return false, err
	}
	return e.add(ctx, &w)
}

// set stores a value, or a None if none is not nil.
func (c *engine[K, V]) set(ctx context.Context, op string, key K, value V, none error, opts []SetOption) error {
	ctx = c.unending(ctx)
	w, err := c.newWrite(op, key, opts)
	if err == nil {
		err = c.draft(ctx, &w, &value, none)
	}
	if err != nil {
		return err
	}
	if w.stored == nil && c.opts.keys.Plain && c.opts.life.fn == nil && c.opts.tagsFunc == nil && c.opts.clone == nil {
		w.now = w.created // no function of users lies between
	}
	return c.store(ctx, &w)
}

// unending returns ctx without its end, over a store: see remote.Unending.
func (c *core) unending(ctx context.Context) context.Context {
	if c.remote == nil {
		return ctx
	}
	return remote.Unending(ctx)
}

// A write is one call that stores an entry. draft makes the entry, in memory, or the record, over a
// store. Then one of the functions below is its commit point.
type write[K comparable, V any] struct {
	op      string
	key     K
	slot    tier.Key[K]
	created int64
	now     int64 // when it is stored, if that is known; 0 = read the clock then
	given   setting
	life    time.Duration // of the entry, counted from when it is stored
	noTTL   bool          // the entry would live no time: there is to be none

	// keepLeft says that the entry takes the place of another, and ends when that one would.
	keepLeft bool

	entry *tier.Entry[K, V] // in memory

	// Over a store.
	stored *storedWrite[K, V] // nil in memory
	slide  time.Duration      // if keepLeft: see record.Record
	gens   remote.Generations // of tags, as they were before what the value was made of was read
}

func (c *core) of(op string) string { return fmt.Sprintf("%s (%s)", op, c.name) }

func (c *engine[K, V]) newWrite(op string, key K, opts []SetOption) (write[K, V], error) {
	w := write[K, V]{op: op, key: key, created: c.clock.Now()}
	var err error
	if w.slot, err = c.slot(key, op); err != nil {
		return w, err
	}
	if len(opts) > 0 {
		if w.given = settingOf(opts); len(w.given.faults) > 0 {
			return w, &SettingError{Of: c.of(op), Faults: w.given.faults}
		}
	}
	if c.remote != nil {
		w.stored, err = c.newStoredWrite(w.slot, key, op)
	}
	return w, err
}

// draft makes the entry or the record of a value, or of a None if none is not nil. It calls
// functions of options, so it holds no lock.
func (c *engine[K, V]) draft(ctx context.Context, w *write[K, V], value *V, none error) error {
	names, err := c.plan(w, value, none)
	if err != nil || w.noTTL {
		return err
	}
	if w.stored != nil {
		v := *value // is on the heap, since the codec gets a pointer; *value need not be
		return c.draftRecord(ctx, w, &v, none, names)
	}
	tags, err := c.tagsFor(w, names)
	if err != nil {
		return err
	}
	v := *value
	if c.opts.clone != nil && none == nil {
		if v, err = c.cloned(v); err != nil {
			return err
		}
	}
	w.entry = c.entry(&w.slot, w.created, &v, none, w.life, tags)
	return nil
}

// plan is the beginning of draft: the entry's life, and the tags that it has beside the loader's.
func (c *engine[K, V]) plan(w *write[K, V], value *V, none error) (names []string, err error) {
	names, err = c.lifeAndTags(w, value, none)
	if w.stored != nil {
		w.stored.Remove = w.noTTL
	}
	if err != nil || w.noTTL {
		return nil, err
	}
	if err := checkTags(names); err != nil {
		return nil, c.tagError(w.op, err)
	}
	return names, nil
}

// draftRecord is the end of draft over a store.
func (c *engine[K, V]) draftRecord(ctx context.Context, w *write[K, V], value *V, none error, names []string) error {
	names = slices.Compact(slices.Sorted(slices.Values(slices.Concat(c.opts.tags, names))))
	if len(names) > maxTags {
		return c.tagError(w.op, tooManyTags(len(names)))
	}
	var tags []record.Tag
	var err error
	if len(names) > 0 {
		if tags, err = c.remote.RecordTags(ctx, &w.stored.Budget, w.gens, names, w.life); err != nil {
			return c.writeError(ctx, w.key, err)
		}
	}
	slide := c.opts.life.slide(w.life)
	if w.keepLeft {
		slide = w.slide
	}
	rec, err := c.encode(w.stored.full, w.created, value, none, slide, tags)
	if err == nil {
		w.stored.Record = driver.Record{Data: rec.AppendTo(nil), TTL: w.life}
	}
	return err
}

// lifeAndTags finds out how long a value or a None lives, and which tags it has beside the
// loader's.
func (c *engine[K, V]) lifeAndTags(w *write[K, V], value *V, none error) (names []string, err error) {
	if none != nil {
		w.life = c.opts.life.ofNone(w.given.ttl)
		return w.given.tags, nil
	}
	if err = c.lifetime(w, value); err != nil {
		return nil, err
	}
	if w.keepLeft {
		w.noTTL = false
	}
	names = w.given.tags
	if c.opts.tagsFunc != nil {
		err = c.guard("WithTagsFunc", func() { names = append(slices.Clip(c.opts.tagsFunc(w.key, *value)), names...) })
	}
	return names, err
}

// lifetime finds out how long a value lives.
func (c *engine[K, V]) lifetime(w *write[K, V], value *V) (err error) {
	if c.opts.life.fn == nil || w.given.ttl != 0 {
		w.life = c.opts.life.of(w.key, value, w.given.ttl)
	} else {
		err = c.guard("WithTTLFunc", func() { w.life = c.opts.life.of(w.key, value, 0) })
	}
	w.noTTL = w.life < shortest
	return err
}

// tagsFor returns the loader's tags and those called names, in memory. A tag that is deleted at
// this moment may count as deleted before the call, so the generations are the current ones.
func (c *engine[K, V]) tagsFor(w *write[K, V], names []string) ([]tier.Tag, error) {
	if len(c.labels)+len(names) == 0 {
		return nil, nil
	}
	for {
		epoch := c.tags.Epoch()
		tags, fresh := c.tags.With(tag.Current(c.labels), epoch, names)
		if len(tags) > maxTags {
			return nil, c.tagError(w.op, tooManyTags(len(tags)))
		}
		if fresh {
			return tags, nil
		}
	}
}

func (c *core) tagError(op string, err error) error {
	return &SettingError{Of: c.of(op), Faults: []error{fmt.Errorf("WithTags: %w", err)}}
}

// store commits a draft, whatever the key has.
func (c *engine[K, V]) store(ctx context.Context, w *write[K, V]) error {
	if w.stored != nil {
		return c.writeError(ctx, w.key, w.stored.Set(ctx))
	}
	return c.commitBy(w, func() bool { c.apply(w); return true })
}

// add commits a draft if the key is absent, and reports whether it was.
func (c *engine[K, V]) add(ctx context.Context, w *write[K, V]) (absent bool, err error) {
	if w.stored != nil {
		absent, err = w.stored.Add(ctx)
		return absent, c.writeError(ctx, w.key, err)
	}
	err = c.commitBy(w, func() bool {
		if absent = !c.mem.Alive(c.mem.Find(&w.slot)); absent {
			c.apply(w)
		}
		return absent
	})
	return absent && err == nil, err
}

// commitBy calls apply under the key's lock of flights. If that returns true, the key's flights are
// discarded. The error is ErrClosed if the cache was closed meanwhile.
func (c *engine[K, V]) commitBy(w *write[K, V], apply func() bool) error {
	c.flights.Change(w.slot, w.slot.Hash, apply)
	if c.closed.Load() {
		return ErrClosed
	}
	return nil
}

// apply stores the draft in memory. The caller holds the key's lock of flights.
func (c *engine[K, V]) apply(w *write[K, V]) {
	if w.noTTL {
		c.remove(&w.slot)
		return
	}
	now := w.now
	if now == 0 {
		now = c.clock.Now()
	}
	c.put(&w.slot, w.entry, w.life, now)
}

// A storedWrite is the part of a write over a store. It is the WriteOwner of its remote.Write.
type storedWrite[K comparable, V any] struct {
	remote.Write
	c     *engine[K, V]
	key   K
	slot  tier.Key[K]
	full  string            // see lookup
	entry *tier.Entry[K, V] // of the record that was read last
}

func (c *engine[K, V]) newStoredWrite(slot tier.Key[K], key K, op string) (*storedWrite[K, V], error) {
	w := &storedWrite[K, V]{c: c, key: key, slot: slot}
	w.Client, w.Owner, w.Budget = c.remote, writeOwner[K, V]{w}, c.remote.NewBudget()
	var err error
	w.Key, w.full, err = c.storeKey(&w.slot, key, op)
	return w, err
}

// A writeOwner is a storedWrite as its remote.Write knows it.
type writeOwner[K comparable, V any] struct{ w *storedWrite[K, V] }

// Usable implements remote.WriteOwner.
func (o writeOwner[K, V]) Usable(ctx context.Context, got *remote.Entry) bool {
	c := o.w.c
	if !c.usableRecord(o.w.full, nil, got) {
		return false
	}
	e := c.entryOf(&o.w.slot, got)
	if err := c.decode(&got.Parsed, &e.Value); err != nil {
		c.count(corrupt, nil)
		c.fault(ctx, o.w.key, err)
		return false
	}
	o.w.entry = e
	return true
}

// Drop implements remote.WriteOwner.
func (o writeOwner[K, V]) Drop() { o.w.c.drop(&o.w.slot, o.w.Key) }

// Forget implements remote.WriteOwner.
func (o writeOwner[K, V]) Forget() { o.w.c.forget(&o.w.slot, o.w.Key) }

// StoreFailed implements remote.WriteOwner.
func (o writeOwner[K, V]) StoreFailed(ctx context.Context, err error) {
	_ = o.w.c.storeFault(ctx, o.w.key, err)
}
