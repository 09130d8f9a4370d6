package zodiac

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/zodiac-go/zodiac/internal/flight"
	"github.com/zodiac-go/zodiac/internal/inside"
	"github.com/zodiac-go/zodiac/internal/negative"
	"github.com/zodiac-go/zodiac/internal/remote"
	"github.com/zodiac-go/zodiac/internal/tag"
	"github.com/zodiac-go/zodiac/internal/tier"
)

// Update replaces the value of key by the result of fn: old is the value, and ok reports whether
// there is one. An entry that is absent, expired or a None is (zero, false). The result gets the
// lifetime that Set would give it, and is returned. Tags that an earlier Set was given are gone, as
// after a Set.
//
// Updates and Adds of a key take turns. Update ends with ctx until it has sent its result to the
// store; from then on the end of ctx does not stop it. If another write comes
// in between, fn is called again with the newer value; after sixteen attempts Update returns
// [ErrBusy]. fn runs on the caller's goroutine and under no lock. If it returns an error, Update
// returns that error and changes nothing. A panic of fn passes through.
//
// fn may Get its own key: that fetches if there is no value, and does not wait for this Update. fn
// must not Update its own key, nor wait for a call that does. On fn's own goroutine, and in fetches
// that it waits for, that is [ErrCycle].
//
// Over a store every attempt takes the lease of the key from its holder. A store that lends no
// leases cannot keep other processes from writing in between.
//
// The other errors are that of ctx, a [*StoreError], [ErrClosed], a [*KeyError], a [*SettingError]
// for too many tags, and a [*PanicError] of an option's function.
func (c *Cache[K, V]) Update(ctx context.Context, key K, fn func(old V, ok bool) (V, error)) (V, error) {
	if fn == nil {
		var zero V
		return zero, fmt.Errorf("zodiac: loader %q: Update: the function is nil", c.made().name)
	}
	return c.made().update(ctx, "Update", key, false, func(turn *flight.Turn, old V, ok bool) (v V, err error) {
		inside.Run(turn, func() { v, err = fn(old, ok) })
		return v, err
	})
}

// Add adds delta to the number of key and returns the sum. An entry that is absent, expired or a
// None counts as zero, and the sum gets the loader's lifetime. A live number keeps its time left and
// its tags. A sum that overflows, or is infinite or NaN, is [ErrOverflow] and changes nothing. Of a
// Loader l, pass l.Cache. Otherwise Add is like [Cache.Update].
func Add[K comparable, N int | int64 | float64](ctx context.Context, c *Cache[K, N], key K, delta N) (N, error) {
	return c.made().update(ctx, "Add", key, true, func(_ *flight.Turn, old N, _ bool) (N, error) {
		sum := old + delta
		if delta > 0 && sum < old || delta < 0 && sum > old || math.IsNaN(float64(sum)) || math.IsInf(float64(sum), 0) {
			return old, ErrOverflow
		}
		return sum, nil
	})
}

// surroundings returns what a caller that is about to wait runs within: the functions of Updates on
// its goroutine, which have no context to tell, and fetch, which its context tells.
func surroundings(fetch *flight.Link) *flight.Link {
	for _, turn := range slices.Backward(inside.Values()) { // the innermost is to come first
		fetch = &flight.Link{Flight: turn.(*flight.Turn), Up: fetch}
	}
	return fetch
}

func (c *engine[K, V]) update(ctx context.Context, op string, key K, keepLeft bool, fn func(*flight.Turn, V, bool) (V, error)) (V, error) {
	var zero V
	w, err := c.newWrite(op, key, nil)
	if err != nil {
		return zero, err
	}
	id, fetch := w.slot, linkOf(ctx)
	var waited *flight.Link
	turn, err := c.updates.EnterWithin(ctx, id, fetch, func() *flight.Link {
		waited = surroundings(fetch)
		waited.Lend()
		return waited
	})
	waited.Retake()
	if err != nil {
		return zero, err
	}
	defer c.updates.Leave(id)
	for try := range remote.Tries {
		if err := remote.Pause(ctx, try); err != nil {
			return zero, err
		}
		value, committed, err := c.tryUpdate(ctx, &w, keepLeft, func(old V, ok bool) (V, error) { return fn(turn, old, ok) })
		if err != nil {
			return zero, err
		}
		if committed {
			return value, nil
		}
	}
	return zero, ErrBusy
}

// tryUpdate is one read, one call of fn, and a commit that fails if anything was written in
// between.
func (c *engine[K, V]) tryUpdate(ctx context.Context, w *write[K, V], keepLeft bool, fn func(V, bool) (V, error)) (value V, committed bool, err error) {
	w.created, w.keepLeft, w.given = c.clock.Now(), false, setting{}
	s, err := c.takeSnapshot(ctx, w)
	defer c.endSnapshot(w, &s)
	if err != nil {
		return value, false, err
	}
	old, ok, err := c.oldValue(&s)
	if err != nil {
		return value, false, err
	}
	if value, err = fn(old, ok); err != nil {
		return value, false, err
	}
	if s.stored != nil {
		w.gens = s.stored.Generations()
	}
	if w.keepLeft = keepLeft && ok; w.keepLeft {
		if w.given.tags, err = c.givenTags(w.key, &s); err != nil {
			return value, false, err
		}
		if s.stored != nil {
			w.slide = s.stored.Entry.Parsed.Slide
		}
	}
	if err = c.draft(ctx, w, &value, nil); err != nil {
		return value, false, err
	}
	committed, err = c.replace(ctx, w, &s)
	return value, committed, err
}

// A snapshot is what an Update has read, and what shows whether anything was written since.
type snapshot[K comparable, V any] struct {
	entry *tier.Entry[K, V] // nil = there is none

	// In memory an entry shows by its identity that it was not replaced. That there was none, and
	// still is none, does not show that nothing was deleted in between. The watch shows that.
	watch *flight.Watch

	stored *remote.Snapshot // nil in memory
}

// takeSnapshot reads what an Update is to replace. Over a store it takes the lease of the key first.
// The caller ends the snapshot, whatever the error.
func (c *engine[K, V]) takeSnapshot(ctx context.Context, w *write[K, V]) (s snapshot[K, V], err error) {
	if w.stored == nil {
		s.watch = c.flights.Watch(w.slot, w.slot.Hash)
		s.entry = c.usable(&w.slot, nil)
		return s, nil
	}
	s.stored, err = w.stored.Snapshot(ctx)
	if s.stored.Usable {
		s.entry = w.stored.entry
	}
	return s, c.writeError(ctx, w.key, err)
}

func (c *engine[K, V]) endSnapshot(w *write[K, V], s *snapshot[K, V]) {
	if s.stored != nil {
		s.stored.Close()
	} else {
		c.flights.Unwatch(w.slot, w.slot.Hash)
	}
}

// oldValue returns the value of a snapshot, and whether there is one.
func (c *engine[K, V]) oldValue(s *snapshot[K, V]) (value V, ok bool, err error) {
	if s.entry == nil {
		return value, false, nil
	}
	if d := s.entry.Detail(); d != nil && d.None != nil {
		return value, false, nil
	}
	if s.stored != nil { // a copy of its own
		return s.entry.Value, true, nil
	}
	value, err = c.cloned(s.entry.Value)
	return value, err == nil, err
}

// givenTags returns the tags of the entry that its value does not make.
func (c *engine[K, V]) givenTags(key K, s *snapshot[K, V]) (names []string, err error) {
	if s.stored != nil {
		names = s.stored.Entry.Parsed.TagNames()
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
	if s.stored != nil {
		if w.keepLeft {
			s.stored.KeepLeft(c.clock.Now())
		}
		committed, err = s.stored.Replace(ctx)
		return committed, c.writeError(ctx, w.key, err)
	}
	err = c.commitBy(w, func() bool {
		if s.entry != nil {
			committed = c.exchange(w, s.entry)
		} else if committed = !s.watch.Invalidated() && !c.mem.Alive(c.mem.Find(&w.slot)); committed {
			c.apply(w)
		}
		return committed
	})
	return committed, err
}

// exchange puts the draft into the place of old, if old is still there and alive. The caller holds
// the key's lock of flights. Clear does not take that lock, so memory itself has to compare.
func (c *engine[K, V]) exchange(w *write[K, V], old *tier.Entry[K, V]) bool {
	if !c.mem.Alive(old) || !c.swap(w, old) {
		return false
	}
	negative.Delete(c.failures, &w.slot)
	return true
}

func (c *engine[K, V]) swap(w *write[K, V], old *tier.Entry[K, V]) bool {
	if w.noTTL {
		return c.mem.Remove(&w.slot, old)
	}
	now := c.clock.Now()
	end := expiry(now, w.life)
	if w.keepLeft {
		end = old.Expiry()
		if d := w.entry.Detail(); d != nil && old.Detail() != nil {
			d.Life.Store(old.Detail().Life.Load())
		}
	}
	w.entry.ExpireAt(end)
	return c.mem.Swap(&w.slot, old, w.entry, now)
}
