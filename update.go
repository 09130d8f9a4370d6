package zodiac

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/flight"
	"github.com/zodiac-go/zodiac/internal/remote"
	"github.com/zodiac-go/zodiac/internal/tag"
	"github.com/zodiac-go/zodiac/internal/tier"
)

// updateTries is how often Update tries to commit before it gives up.
const updateTries = 16

// Update replaces the value of key by the result of fn: old is the value, and ok reports whether
// there is one. An entry that is absent, expired or a None is (zero, false). The result gets the
// lifetime that Set would give it, and is returned. Tags that an earlier Set was given are gone, as
// after a Set.
//
// Updates and Adds of a key take turns. Waiting for the turn ends with ctx. If another write comes
// in between, fn is called again with the newer value; after sixteen attempts Update returns
// [ErrBusy]. fn runs on the caller's goroutine and under no lock. If it returns an error, Update
// returns that error and changes nothing. A panic of fn passes through. fn must not Update the same
// key, nor wait for a fetch that does: that is not recognized as a cycle.
//
// Over a store every attempt takes the lease of the key from its holder. A store that lends no
// leases cannot keep other processes from writing in between.
//
// The other errors are that of ctx, a [*StoreError], [ErrClosed], a [*KeyError], a [*SettingError]
// for too many tags, and a [*PanicError] of an option's function.
func (c *Cache[K, V]) Update(ctx context.Context, key K, fn func(old V, ok bool) (V, error)) (V, error) {
	return c.made().update(ctx, "Update", key, false, fn)
}

// Add adds delta to the number of key and returns the sum. An entry that is absent, expired or a
// None counts as zero, and the sum gets the loader's lifetime. A live number keeps its time left and
// its tags. A sum that overflows, or is infinite or NaN, is [ErrOverflow] and changes nothing. Of a
// Loader l, pass l.Cache. Otherwise Add is like [Cache.Update].
func Add[K comparable, N int | int64 | float64](ctx context.Context, c *Cache[K, N], key K, delta N) (N, error) {
	return c.made().update(ctx, "Add", key, true, func(old N, _ bool) (N, error) {
		sum := old + delta
		if delta > 0 && sum < old || delta < 0 && sum > old || math.IsNaN(float64(sum)) || math.IsInf(float64(sum), 0) {
			return old, ErrOverflow
		}
		return sum, nil
	})
}

func (c *engine[K, V]) update(ctx context.Context, op string, key K, keepLeft bool, fn func(V, bool) (V, error)) (V, error) {
	var zero V
	if fn == nil {
		return zero, fmt.Errorf("zodiac: loader %q: %s: the function is nil", c.name, op)
	}
	w, err := c.newWrite(op, key, nil)
	if err != nil {
		return zero, err
	}
	id := w.place
	if err := c.updates.Enter(ctx, id); err != nil {
		return zero, err
	}
	defer c.updates.Leave(id)
	for try := range updateTries {
		if err := pause(ctx, try); err != nil {
			return zero, err
		}
		value, committed, err := c.tryUpdate(ctx, &w, keepLeft, fn)
		if err != nil {
			return zero, err
		}
		if committed {
			return value, nil
		}
	}
	return zero, ErrBusy
}

// pause waits a little before a second attempt and longer before every further one, at random, so
// that two callers that disturb each other separate.
func pause(ctx context.Context, try int) error {
	if try == 0 {
		return ctx.Err()
	}
	t := time.NewTimer(rand.N(time.Millisecond << min(try, 5)))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// tryUpdate is one read, one call of fn, and a commit that fails if anything was written in
// between.
func (c *engine[K, V]) tryUpdate(ctx context.Context, w *write[K, V], keepLeft bool, fn func(V, bool) (V, error)) (value V, committed bool, err error) {
	w.created, w.keepLeft, w.given, w.gens = c.clock.Now(), false, setting{}, nil
	var s snapshot[K, V]
	if err = c.takeSnapshot(ctx, w, &s); err != nil {
		return value, false, err
	}
	defer c.endSnapshot(w, &s)
	old, ok, err := c.oldValue(&s)
	if err != nil {
		return value, false, err
	}
	if value, err = fn(old, ok); err != nil {
		return value, false, err
	}
	w.gens = s.watch.Gens.With(s.late)
	if w.keepLeft = keepLeft && ok; w.keepLeft {
		w.slide = s.got.Parsed.Slide
		if w.given.tags, err = c.givenTags(w.key, &s); err != nil {
			return value, false, err
		}
	}
	if err = c.draft(ctx, w, &value, nil); err != nil {
		return value, false, err
	}
	committed, err = c.replace(ctx, w, &s)
	return value, committed, err
}

// A snapshot is what an Update, or a similar write, has read, and what shows whether anything was
// written since.
type snapshot[K comparable, V any] struct {
	entry *tier.Entry[K, V] // nil = there is none
	watch remote.TagWatch   // over a store

	// In memory an entry shows by its identity that it was not replaced. That there was none, and
	// still is none, does not show that nothing was deleted in between. The flight watch does.
	flights *flight.Watch

	// Over a store.
	lock  *remote.Lock // nil if the store lends no leases
	got   remote.Entry
	there bool               // the key has a record, though perhaps one of no use
	late  remote.Generations // of the record's tags that are not the loader's own
}

// takeSnapshot reads what a write is to replace. Over a store it takes the lease of the key first.
// The caller ends the snapshot if there is no error.
func (c *engine[K, V]) takeSnapshot(ctx context.Context, w *write[K, V], s *snapshot[K, V]) (err error) {
	if c.remote == nil {
		s.flights = c.flights.Watch(w.place, w.place.Hash)
		s.entry = c.usable(&w.place, nil)
		return nil
	}
	w.budget = c.remote.NewBudget()
	if s.lock, err = c.lock(ctx, w); err != nil {
		return err
	}
	// The tags before the value: what is written has their generations, and is as invalid as what it
	// was made of.
	if s.watch, err = c.remote.WatchTags(ctx, &w.budget); err == nil {
		if s.got, err = c.readRecord(ctx, w); err == nil {
			s.entry, err = c.decodeEntry(ctx, w, &s.got)
		}
		err = noMiss(err)
	} else {
		err = c.writeError(ctx, w.key, err)
	}
	if err != nil {
		s.lock.Close()
		return err
	}
	s.there = s.got.Record.Version != ""
	if s.entry != nil {
		s.late = c.remote.LateTagsOf(&s.got.Parsed)
	}
	return nil
}

func (c *engine[K, V]) endSnapshot(w *write[K, V], s *snapshot[K, V]) {
	if s.flights != nil {
		c.flights.Unwatch(w.place, w.place.Hash)
	}
	s.lock.Close()
}

// oldValue returns the value of a snapshot, and whether there is one.
func (c *engine[K, V]) oldValue(s *snapshot[K, V]) (value V, ok bool, err error) {
	if s.entry == nil {
		return value, false, nil
	}
	if d := s.entry.Detail(); d != nil && d.None != nil {
		return value, false, nil
	}
	if c.remote != nil { // the snapshot's own copy
		return s.entry.Value, true, nil
	}
	value, err = c.cloned(s.entry.Value)
	return value, err == nil, err
}

// givenTags returns the tags of the entry that its value does not make.
func (c *engine[K, V]) givenTags(key K, s *snapshot[K, V]) (names []string, err error) {
	if c.remote != nil {
		names = recordTagNames(&s.got.Parsed)
	} else if d := s.entry.Detail(); d != nil {
		names = tag.Names(d.Tags)
	}
	if len(names) > 0 && c.opts.tagsFunc != nil {
		err = c.guard("WithTagsFunc", func() {
			made := c.opts.tagsFunc(key, s.entry.Value)
			names = slices.DeleteFunc(names, func(name string) bool { return slices.Contains(made, name) })
		})
	}
	return names, err
}

// replace commits a draft if nothing was written since the snapshot.
func (c *engine[K, V]) replace(ctx context.Context, w *write[K, V], s *snapshot[K, V]) (committed bool, err error) {
	if c.remote == nil {
		err = c.commitBy(w, func() bool {
			if s.entry != nil {
				committed = c.exchange(w, s.entry)
			} else if committed = !s.flights.Void() && !c.mem.Alive(c.mem.Find(&w.place)); committed {
				c.apply(w)
			}
			return committed
		})
		return committed, err
	}
	if current, err := c.remote.StillCurrent(ctx, &w.budget, s.late, &s.watch); err != nil || !current {
		return false, c.writeError(ctx, w.key, err)
	}
	if w.keepLeft {
		if w.record.TTL = s.got.Record.TTL; w.record.TTL != Forever {
			w.record.TTL = max(shortest, w.record.TTL-time.Duration(c.clock.Now()-s.got.Sent))
		}
		w.record.Version = s.got.Record.Version // the time left is rounded down: a counter that often changes would end early
	}
	return c.replaceRecord(ctx, w, s)
}

// exchange puts the draft into the place of old, if old is still there and alive. The caller holds
// the key's lock of flights. Clear does not take that lock, so memory itself has to compare.
func (c *engine[K, V]) exchange(w *write[K, V], old *tier.Entry[K, V]) bool {
	if !c.mem.Alive(old) {
		return false
	}
	if w.noTTL {
		if !c.mem.Remove(&w.place, old) {
			return false
		}
	} else {
		now := c.clock.Now()
		end := expiry(now, w.life)
		if w.keepLeft {
			end = old.Expiry()
			if d := w.entry.Detail(); d != nil && old.Detail() != nil {
				d.Life.Store(old.Detail().Life.Load())
			}
		}
		w.entry.ExpireAt(end)
		if !c.mem.Swap(&w.place, old, w.entry, now) {
			return false
		}
	}
	if c.failures != nil {
		c.failures.Delete(&w.place)
	}
	return true
}

// lock takes the lease of the key from its holder. It returns nil if the store lends none.
func (c *engine[K, V]) lock(ctx context.Context, w *write[K, V]) (*remote.Lock, error) {
	l, err := c.remote.Lock(ctx, &w.budget, w.storeKey)
	return l, c.writeError(ctx, w.key, err)
}

// replaceRecord stores the record in place of a snapshot's.
func (c *engine[K, V]) replaceRecord(ctx context.Context, w *write[K, V], s *snapshot[K, V]) (committed bool, err error) {
	switch {
	case w.noTTL && s.lock != nil && !s.lock.End():
		return false, nil
	case w.noTTL:
		err = c.deleteWritten(ctx, w)
		return err == nil, err
	case s.lock != nil:
		if committed, err = s.lock.Commit(ctx, &w.budget, w.record); err == nil && !committed {
			return false, nil
		}
		return committed, c.changed(ctx, w, err)
	case s.there:
		err = c.change(ctx, w, func() error { return c.remote.Set(ctx, &w.budget, w.storeKey, w.record) })
		return err == nil, err
	default:
		return c.addRecord(ctx, w)
	}
}

// readEntry returns the stored entry that a write is about. The error is driver.ErrMiss if there is
// none of use.
func (c *engine[K, V]) readEntry(ctx context.Context, w *write[K, V]) (*tier.Entry[K, V], error) {
	got, err := c.readRecord(ctx, w)
	if err != nil {
		return nil, err
	}
	return c.decodeEntry(ctx, w, &got)
}

// readRecord returns the record that a write is about. The error is driver.ErrMiss if there is none
// of use; the record is then one of no use, or zero.
func (c *engine[K, V]) readRecord(ctx context.Context, w *write[K, V]) (remote.Entry, error) {
	got, err := c.remote.ReadLeft(ctx, &w.budget, w.storeKey)
	switch {
	case err == nil && !c.usableRecord(w.full, nil, &got):
		err = driver.ErrMiss
	case err != nil && !errors.Is(err, driver.ErrMiss):
		err = c.writeError(ctx, w.key, err)
	}
	return got, err
}

// decodeEntry returns the entry of a record. The error is driver.ErrMiss if its value cannot be
// decoded.
func (c *engine[K, V]) decodeEntry(ctx context.Context, w *write[K, V], got *remote.Entry) (*tier.Entry[K, V], error) {
	e := c.entryOf(&w.place, got)
	if err := c.decode(&got.Parsed, &e.Value); err != nil {
		c.count(corrupt, nil)
		c.fault(ctx, w.key, err)
		return nil, driver.ErrMiss
	}
	return e, nil
}
