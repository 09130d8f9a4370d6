package zodiac

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/zodiac-go/zodiac/internal/tier"
)

// A draft is a record to be written, and where.
type draft struct {
	key, full string
	record    Record
	drop      bool // it would live no time: there is to be none
	budget    budget
}

// newDraft returns where a write goes.
func (c *engine[K, V]) newDraft(w *write[K, V]) (d draft, err error) {
	d.budget = c.remote.newBudget()
	d.key, d.full, err = c.storeKey(&w.place, w.key, w.op)
	return d, err
}

// draftRecord makes the record of a value, or of a None.
func (c *engine[K, V]) draftRecord(ctx context.Context, w *write[K, V], value *V, none error) (draft, error) {
	d, err := c.newDraft(w)
	if err != nil {
		return d, err
	}
	var names []string
	if none != nil {
		w.life = c.set.life.ofNone(w.given.ttl)
		names = w.given.tags
	} else if names, err = c.draftLife(w, value); err != nil {
		return d, err
	}
	if d.drop = w.drop && !w.keepLeft; d.drop {
		return d, nil
	}
	names = slices.Compact(slices.Sorted(slices.Values(slices.Concat(c.set.tags, names))))
	if len(names) > maxTags {
		return d, &SettingError{Of: c.of(w.op), Faults: []error{fmt.Errorf("WithTags: %d tags; an entry has at most %d", len(names), maxTags)}}
	}
	var tags []recordTag
	if len(names) > 0 {
		if tags, err = c.tagsFor(ctx, &d.budget, w.gens, names); err != nil {
			return d, c.storeFault(ctx, w.key, "GetMany", err)
		}
	}
	slide := c.set.life.slide(w.life)
	if w.keepLeft {
		slide = w.slide
	}
	d.record.TTL = w.life
	d.record.Data, err = c.encode(d.full, w.created, value, none, slide, tags)
	return d, err
}

// draftLife finds out how long a value lives, and which tags it has beside the loader's.
func (c *engine[K, V]) draftLife(w *write[K, V], value *V) (names []string, err error) {
	if err = c.lifetime(w, value); err != nil {
		return nil, err
	}
	names = w.given.tags
	if c.set.tagsFunc != nil {
		err = c.guard("WithTagsFunc", func() { names = append(slices.Clip(c.set.tagsFunc(w.key, *value)), names...) })
	}
	return names, err
}

// setShared is Set, and SetNone if none is not nil, over a store.
func (c *engine[K, V]) setShared(ctx context.Context, w *write[K, V], value *V, none error) error {
	d, err := c.draftRecord(ctx, w, value, none)
	if err != nil {
		return err
	}
	if d.drop {
		return c.deleteDraft(ctx, w, &d)
	}
	return c.change(ctx, w, &d, "Set", func(ctx context.Context) error { return c.remote.store.Set(ctx, d.key, d.record) })
}

func (c *engine[K, V]) deleteDraft(ctx context.Context, w *write[K, V], d *draft) error {
	return c.change(ctx, w, d, "Delete", func(ctx context.Context) error {
		_, err := c.remote.store.Delete(ctx, d.key)
		return err
	})
}

// change sends a command that invalidates a key; then it drops the key in this process and tells the others, whether or not the
// command failed: it may have been carried out, or be so later.
func (c *engine[K, V]) change(ctx context.Context, w *write[K, V], d *draft, op string, command func(context.Context) error) error {
	leave, err := c.exclude(ctx, d.key)
	if err != nil {
		return err
	}
	defer leave()
	_, err = send(ctx, c.remote, &d.budget, func(ctx context.Context) (struct{}, error) { return struct{}{}, command(ctx) })
	return c.changed(ctx, w, d, op, err)
}

// changed is the end of change.
func (c *engine[K, V]) changed(ctx context.Context, w *write[K, V], d *draft, op string, err error) error {
	c.drop(&w.place, d.key)
	return c.told(ctx, w.key, op, err, c.announceKeys(ctx, &d.budget, d.key))
}

// told returns the error of a write that was announced. That others were not told is an error only where memory in front of the
// store is used at all; elsewhere it is reported.
func (c *core) told(ctx context.Context, key any, op string, err, told error) error {
	if err == nil && told != nil {
		err = c.writeError(ctx, key, "Announce", told)
		if c.near == nil && !errors.Is(err, ErrClosed) {
			return nil
		}
		return err
	}
	return c.writeError(ctx, key, op, err)
}

// writeError is what a caller gets of a store's error.
func (c *core) writeError(ctx context.Context, key any, op string, err error) error {
	if err == nil || errors.Is(err, ErrClosed) {
		return err
	}
	return c.storeFault(ctx, key, op, err)
}

// addShared is SetIfAbsent over a store.
func (c *engine[K, V]) addShared(ctx context.Context, w *write[K, V], value *V) (bool, error) {
	d, err := c.draftRecord(ctx, w, value, nil)
	if err != nil {
		return false, err
	}
	if d.drop {
		_, err := c.readForWrite(ctx, w, &d)
		return errors.Is(err, ErrMiss), noMiss(err)
	}
	added, err := c.addDraft(ctx, w, &d)
	if added || err != nil {
		return added, err
	}
	if _, err := c.readForWrite(ctx, w, &d); !errors.Is(err, ErrMiss) {
		return false, err
	}
	return c.replaceUseless(ctx, w, &d)
}

// replaceUseless stores a record in place of one that counts as absent: a tag of it was deleted, or it cannot be read.
func (c *engine[K, V]) replaceUseless(ctx context.Context, w *write[K, V], d *draft) (bool, error) {
	l := lease{r: c.remote, key: d.key, values: context.WithoutCancel(ctx)}
	defer l.close()
	if err := c.lockShared(ctx, w, d, &l); err != nil {
		return false, err
	}
	if _, err := c.readForWrite(ctx, w, d); !errors.Is(err, ErrMiss) {
		return false, err
	}
	return c.commitUpdate(ctx, w, d, &l, true)
}

// addDraft stores a record if there is none.
func (c *engine[K, V]) addDraft(ctx context.Context, w *write[K, V], d *draft) (bool, error) {
	leave, err := c.exclude(ctx, d.key)
	if err != nil {
		return false, err
	}
	defer leave()
	added, err := send(ctx, c.remote, &d.budget, func(ctx context.Context) (bool, error) { return c.remote.store.Add(ctx, d.key, d.record) })
	if err == nil && !added {
		return false, nil
	}
	return added, c.changed(ctx, w, d, "Add", err)
}

func noMiss(err error) error {
	if errors.Is(err, ErrMiss) {
		return nil
	}
	return err
}

// readForWrite returns the entry that a write is about. It is an ErrMiss if there is none that can be used.
func (c *engine[K, V]) readForWrite(ctx context.Context, w *write[K, V], d *draft) (*tier.Entry[K, V], error) {
	got, err := c.readUsable(ctx, w, d)
	if err != nil {
		return nil, err
	}
	return c.entryOf(ctx, w, &got)
}

// readUsable returns the record that a write is about. It is an ErrMiss if there is none that can be used.
func (c *engine[K, V]) readUsable(ctx context.Context, w *write[K, V], d *draft) (found, error) {
	got, err := c.readLong(ctx, &d.budget, d.key)
	switch {
	case err == nil && !c.usableRecord(d.full, nil, &got):
		err = ErrMiss
	case err != nil && !errors.Is(err, ErrMiss):
		err = c.writeError(ctx, w.key, "Get", err)
	}
	return got, err
}

// entryOf returns the entry of a record that can be used. It is an ErrMiss if its value cannot.
func (c *engine[K, V]) entryOf(ctx context.Context, w *write[K, V], got *found) (*tier.Entry[K, V], error) {
	e := c.entryFor(&w.place, got)
	if err := c.decode(&got.parsed, &e.Value); err != nil {
		c.count(corrupt, nil)
		c.fault(ctx, w.key, err)
		return nil, ErrMiss
	}
	return e, nil
}

// A deletion lists what is to be deleted.
type deletion[K comparable] struct {
	places []tier.Key[K]
	keys   []string // of the store
}

func (c *engine[K, V]) listDeletion(d *deletion[K], place tier.Key[K], key K) error {
	storeKey, _, err := c.storeKey(&place, key, "Delete")
	if err == nil {
		d.places, d.keys = append(d.places, place), append(d.keys, storeKey)
	}
	return err
}

// deleteShared is Delete over a store.
func (c *engine[K, V]) deleteShared(ctx context.Context, d *deletion[K]) (int, error) {
	if len(d.keys) == 0 {
		return 0, nil
	}
	leave, err := c.exclude(ctx, d.keys...)
	if err != nil {
		return 0, err
	}
	defer leave()
	b := c.remote.newBudget()
	n, err := send(ctx, c.remote, &b, func(ctx context.Context) (int, error) { return c.remote.store.Delete(ctx, d.keys...) })
	for i := range d.places {
		c.drop(&d.places[i], d.keys[i])
	}
	return n, c.told(ctx, nil, "Delete", err, c.announceKeys(ctx, &b, d.keys...))
}

// clearShared is Clear over a store. It may take longer than WithStoreTimeout: there may be many records.
func (c *engine[K, V]) clearShared(ctx context.Context) (int, error) {
	prefix := c.remote.keys.prefix()
	n, err := c.remote.store.Clear(ctx, prefix)
	c.dropAll()
	if late := c.bare.running(); err == nil && len(late) > 0 {
		n, err = c.clearLate(ctx, prefix, late, n)
	}
	b := c.remote.newBudget()
	return n, c.told(ctx, nil, "Clear", err, c.tell(ctx, &b, Announcement{Prefix: prefix}))
}

// clearLate clears once more after the writes that were under way, in a store that does not see to their order.
func (c *engine[K, V]) clearLate(ctx context.Context, prefix string, late []string, n int) (int, error) {
	for _, key := range late {
		leave, err := c.bare.enter(ctx, key)
		if err != nil {
			return n, err
		}
		leave()
	}
	more, err := c.remote.store.Clear(ctx, prefix)
	c.dropAll()
	return n + more, err
}

// deleteTagsShared deletes tags for all processes.
func (c *engine[K, V]) deleteTagsShared(ctx context.Context, tags []string) error {
	b := c.remote.newBudget()
	err := c.remote.deleteTags(ctx, &b, tags)
	c.dropTags(tags)
	return c.told(ctx, nil, "Set", err, c.announce(ctx, &b, newsTag, c.remote.tagKeys(tags)))
}

// updateShared is one try of Update over a store: a lease by force, a read, a call of fn, and a commit that fails if anything
// was written in between.
func (c *engine[K, V]) updateShared(ctx context.Context, w *write[K, V], keepLeft bool, fn func(V, bool) (V, error)) (value V, committed bool, err error) {
	w.created, w.keepLeft, w.given = c.clock.Now(), false, setting{}
	d, err := c.newDraft(w)
	if err != nil {
		return value, false, err
	}
	l := lease{r: c.remote, key: d.key, values: context.WithoutCancel(ctx)}
	defer l.close()
	if err := c.lockShared(ctx, w, &d, &l); err != nil {
		return value, false, err
	}
	watch, err := c.watchTags(ctx, &d.budget)
	if err != nil {
		return value, false, c.writeError(ctx, w.key, "GetMany", err)
	}
	got, err := c.readUsable(ctx, w, &d)
	var e *tier.Entry[K, V]
	if err == nil {
		e, err = c.entryOf(ctx, w, &got)
	}
	if noMiss(err) != nil {
		return value, false, err
	}
	there := got.record.Version != "" // though perhaps of no use
	ok := e != nil && got.parsed.kind != recordNone
	if ok {
		value = e.Value
	}
	if value, err = fn(value, ok); err != nil {
		return value, false, err
	}
	var read tagGens
	if e != nil {
		read = c.gensOfRecord(&got.parsed)
	}
	w.gens = watch.gens.with(read)
	if w.keepLeft = keepLeft && ok; w.keepLeft {
		w.slide = got.parsed.slide
		if w.given.tags, err = c.givenNames(w.key, &e.Value, namesOfRecord(&got.parsed)); err != nil {
			return value, false, err
		}
	}
	if d, err = c.draftRecord(ctx, w, &value, nil); err != nil {
		return value, false, err
	}
	if held, err := c.tagsHeld(ctx, &d.budget, read, watch.epoch); err != nil || !held {
		return value, false, c.writeError(ctx, w.key, "GetMany", err)
	}
	if w.keepLeft {
		if d.record.TTL = got.record.TTL; d.record.TTL != Forever {
			d.record.TTL = max(shortest, d.record.TTL-time.Duration(c.clock.Now()-got.sent))
		}
		d.record.Version = got.record.Version // what is left is rounded down: a counter that often changes would end early
	}
	committed, err = c.commitUpdate(ctx, w, &d, &l, there)
	return value, committed, err
}

// lockShared takes the lease of a key from whoever has it. A store that lends none cannot keep other processes out.
func (c *engine[K, V]) lockShared(ctx context.Context, w *write[K, V], d *draft, l *lease) error {
	if c.remote.leaser == nil {
		return nil
	}
	claim, err := c.askForWrite(ctx, w, d, l, "", true)
	if err == nil && claim.State != Won {
		err = c.writeError(ctx, w.key, "Acquire", fmt.Errorf("it answered %v to an ask by force", claim.State))
	}
	return err
}

// askForWrite asks for the lease of a key. If the answer is Won, l is that lease.
func (c *engine[K, V]) askForWrite(ctx context.Context, w *write[K, V], d *draft, l *lease, seen string, force bool) (Claim, error) {
	a, sent := l.ask(seen, force), time.Now()
	claim, err := send(ctx, c.remote, &d.budget, func(ctx context.Context) (Claim, error) { return c.remote.leaser.Acquire(ctx, d.key, a) })
	if err != nil {
		l.abort(a.Token)
		return claim, c.writeError(ctx, w.key, "Acquire", err)
	}
	if claim.State == Won {
		l.grant(claim.Token, sent, a.Lease)
	}
	return claim, nil
}

// commitUpdate stores what an Update has made of a value. there says whether there was a record.
func (c *engine[K, V]) commitUpdate(ctx context.Context, w *write[K, V], d *draft, l *lease, there bool) (committed bool, err error) {
	if c.remote.leaser == nil {
		return c.updateBare(ctx, w, d, there)
	}
	if d.drop {
		if _, live := l.endLive(); !live {
			return false, nil
		}
		err := c.deleteDraft(ctx, w, d)
		return err == nil, err
	}
	if committed, err = c.commitDraft(ctx, d, l); err == nil && !committed {
		return false, nil
	}
	return committed, c.changed(ctx, w, d, "Commit", err)
}

// commitDraft stores a record under a lease, which ends. If it returns false, the lease was void or over.
func (c *engine[K, V]) commitDraft(ctx context.Context, d *draft, l *lease) (committed bool, err error) {
	token, live := l.endLive()
	if !live {
		return false, nil
	}
	committed, err = send(ctx, c.remote, &d.budget, func(ctx context.Context) (bool, error) {
		return c.remote.leaser.Commit(ctx, d.key, token, d.record)
	})
	if err != nil {
		l.abort(token)
	}
	return committed, err
}

func (c *engine[K, V]) updateBare(ctx context.Context, w *write[K, V], d *draft, there bool) (committed bool, err error) {
	switch {
	case d.drop:
		err = c.deleteDraft(ctx, w, d)
		return err == nil, err
	case there:
		err = c.change(ctx, w, d, "Set", func(ctx context.Context) error { return c.remote.store.Set(ctx, d.key, d.record) })
		return err == nil, err
	}
	return c.addDraft(ctx, w, d)
}
