package zodiac

import (
	"context"
	"errors"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/remote"
	"github.com/zodiac-go/zodiac/internal/tier"
)

// Touch gives the entry of key a new lifetime: that of a [WithTTL] given here, else what Set would
// give to its value. It reports whether there is an entry that lives on. An entry that has expired
// stays expired. If [WithTTLFunc] no longer gives the value a lifetime, the entry is removed, and
// Touch returns false. Fetches that are under way are not discarded. WithTags is an error here. The
// other errors are those of Set, and as there the end of ctx stops nothing.
//
// Over a store, under [WithSliding], a lifetime other than the entry had is written with the value.
// Then the error may also be [ErrBusy], after sixteen writes that came in between. A store that
// lends no leases cannot keep other processes from writing in between.
func (c *Cache[K, V]) Touch(ctx context.Context, key K, opts ...SetOption) (bool, error) {
	e := c.made()
	w, err := e.newWrite("Touch", key, opts)
	if err != nil {
		return false, err
	}
	if len(w.given.tags) > 0 {
		return false, &SettingError{Of: e.of("Touch"), Faults: []error{errors.New("WithTags: Touch keeps an entry's tags; use Set")}}
	}
	ctx = e.unending(ctx)
	for {
		entry, got, err := e.readForTouch(ctx, &w)
		if entry == nil {
			return false, err
		}
		if err := e.newLife(&w, entry); err != nil {
			return false, err
		}
		if w.stored != nil {
			w.stored.Remove = w.noTTL
			lives, err := w.stored.Touch(ctx, &got, w.life, e.opts.life.slide(w.life))
			return lives, e.writeError(ctx, key, err)
		}
		touched := false
		e.flights.Change(w.slot, w.slot.Hash, func() bool {
			touched = e.touch(&w, entry)
			return false
		})
		if touched {
			return !w.noTTL, nil
		}
	}
}

// readForTouch returns the entry that a Touch is about, or nil if there is none that is usable, and
// over a store its record.
func (c *engine[K, V]) readForTouch(ctx context.Context, w *write[K, V]) (e *tier.Entry[K, V], got remote.Entry, err error) {
	if w.stored == nil {
		return c.usable(&w.slot, nil), got, nil
	}
	got, err = w.stored.Read(ctx)
	switch {
	case errors.Is(err, driver.ErrMiss):
		return nil, got, nil
	case err != nil:
		return nil, got, c.writeError(ctx, w.key, err)
	}
	return w.stored.entry, got, nil
}

// newLife finds out how long an entry is to live from now on.
func (c *engine[K, V]) newLife(w *write[K, V], e *tier.Entry[K, V]) error {
	if d := e.Detail(); d != nil && d.None != nil {
		w.life = c.opts.life.ofNone(w.given.ttl)
		return nil
	}
	return c.lifetime(w, &e.Value)
}

// touch gives e its new life in memory, if it is still there. It stays the same entry: a forced
// fetch that began before still knows it. The caller holds the key's lock of flights.
func (c *engine[K, V]) touch(w *write[K, V], e *tier.Entry[K, V]) bool {
	if w.noTTL {
		return c.exchange(w, e)
	}
	now := c.clock.Now()
	return c.mem.Touch(&w.slot, e, expiry(now, w.life), c.opts.life.slide(w.life), now)
}
