package zodiac

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/zodiac-go/zodiac/internal/tier"
)

// updateTries is how often Update tries to commit before it gives up.
const updateTries = 16

// Update replaces the value of key by what fn makes of it: old is the value, and ok whether there is one. An entry that is
// absent, expired or a None is (zero, false). The result gets the lifetime that Set would give it and is returned.
//
// Updates and Adds of a key take turns; waiting for its turn ends with ctx. If another write comes in between, fn is called
// again with the newer value; after sixteen times Update returns [ErrBusy]. fn runs on the caller's goroutine without any
// lock. If it returns an error, that is returned and nothing was changed; a panic of it passes through. It must not Update
// the same key, nor wait for a fetch that does: that is not seen as a cycle. Tags given to an earlier Set of the key are
// gone, as after a Set.
//
// Over a store every try takes the lease of the key by force; a store that lends none cannot keep other processes from writing in
// between.
//
// The other errors are ctx's, a *[StoreError], [ErrClosed], a *[KeyError], a *[SettingError] for too many tags, and a *[PanicError] of a
// function of an option.
func (c *Cache[K, V]) Update(ctx context.Context, key K, fn func(old V, ok bool) (V, error)) (V, error) {
	return c.e.update(ctx, "Update", key, false, fn)
}

// Add adds delta to the number of key and returns the sum. Absent, expired and None count as zero, and the sum gets
// the loader's lifetime; a live number keeps its time left and its tags. A sum that overflows, or is infinite or NaN, is
// [ErrOverflow] and changes nothing. For a Loader l, give l.Cache. Otherwise it is like [Cache.Update].
func Add[K comparable, N int | int64 | float64](ctx context.Context, c *Cache[K, N], key K, delta N) (N, error) {
	return c.e.update(ctx, "Add", key, true, func(old N, _ bool) (N, error) {
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
		return zero, fmt.Errorf("zodiac: loader %q: %s: the function is nil", c.set.name, op)
	}
	w, err := c.newWrite(op, key, nil)
	if err != nil {
		return zero, err
	}
	id := w.place
	if err := c.turns.enter(ctx, id); err != nil {
		return zero, err
	}
	defer c.turns.leave(id)
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

// tryUpdate is one read, one call of fn, and a commit that fails if anything was written in between.
func (c *engine[K, V]) tryUpdate(ctx context.Context, w *write[K, V], keepLeft bool, fn func(V, bool) (V, error)) (value V, committed bool, err error) {
	if c.remote != nil {
		return c.updateShared(ctx, w, keepLeft, fn)
	}
	w.created, w.keepLeft, w.given = c.clock.Now(), false, setting{}
	// An entry is compared with itself at the commit; that there was none, and still is, does not show that nothing was
	// deleted in between. The watch does.
	watch := c.flights.Watch(w.place, w.place.Hash)
	defer c.flights.Unwatch(w.place, w.place.Hash)
	e := c.usable(&w.place, nil)
	old, ok := value, false
	if d := detailOf(e); e != nil && (d == nil || d.None == nil) {
		if old, err = c.cloned(e.Value); err != nil {
			return value, false, err
		}
		ok = true
	}
	if value, err = fn(old, ok); err != nil {
		return value, false, err
	}
	keepLeft = keepLeft && ok
	if keepLeft {
		if w.given.tags, err = c.givenTags(w.key, e); err != nil {
			return value, false, err
		}
	}
	if err = c.draftValue(w, value); err != nil {
		return value, false, err
	}
	if keepLeft {
		w.drop, w.keepLeft = false, true
		if d := w.entry.Detail(); d != nil && e.Detail() != nil {
			d.Life.Store(e.Detail().Life.Load())
		}
	}
	err = c.commitBy(w, func() bool {
		if e != nil {
			committed = c.replace(w, e)
		} else if committed = !watch.Invalidated() && !c.mem.Alive(c.mem.Find(&w.place)); committed {
			c.apply(w)
		}
		return committed
	})
	return value, committed, err
}

// givenTags returns the tags of an entry that do not come from its value.
func (c *engine[K, V]) givenTags(key K, e *tier.Entry[K, V]) (names []string, err error) {
	d := e.Detail()
	if d == nil {
		return nil, nil
	}
	return c.givenNames(key, &e.Value, namesOf(d.Tags))
}

// givenNames returns those of an entry's tags that its value does not make.
func (c *engine[K, V]) givenNames(key K, value *V, names []string) (_ []string, err error) {
	if c.set.tagsFunc != nil {
		err = c.guard("WithTagsFunc", func() {
			made := c.set.tagsFunc(key, *value)
			names = slices.DeleteFunc(names, func(name string) bool { return slices.Contains(made, name) })
		})
	}
	return names, err
}

// detailOf returns the Detail of an entry that may be nil.
func detailOf[K comparable, V any](e *tier.Entry[K, V]) *tier.Detail {
	if e == nil {
		return nil
	}
	return e.Detail()
}

// pause waits a little before a second try and longer before every further one, at random, so that two that disturb
// each other part.
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

// A turnstile lets one caller at a time pass for each key. The zero turnstile is ready.
type turnstile[I comparable] struct {
	mu    sync.Mutex // guards the field below
	turns map[I]*turn
}

type turn struct {
	free    chan struct{} // holds one element while nobody is inside
	callers int           // inside or waiting
}

// enter waits for the caller's turn, which ends with leave. If ctx ends first, its error is returned.
func (t *turnstile[I]) enter(ctx context.Context, id I) error {
	mine := t.register(id)
	select {
	case <-mine.free:
		return nil
	case <-ctx.Done():
		t.forget(id, mine)
		return ctx.Err()
	}
}

func (t *turnstile[I]) leave(id I) {
	t.mu.Lock()
	mine := t.turns[id]
	t.mu.Unlock()
	mine.free <- struct{}{}
	t.forget(id, mine)
}

func (t *turnstile[I]) register(id I) *turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.turns == nil {
		t.turns = make(map[I]*turn)
	}
	mine := t.turns[id]
	if mine == nil {
		mine = &turn{free: make(chan struct{}, 1)}
		mine.free <- struct{}{}
		t.turns[id] = mine
	}
	mine.callers++
	return mine
}

func (t *turnstile[I]) forget(id I, mine *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if mine.callers--; mine.callers == 0 {
		delete(t.turns, id)
	}
}
