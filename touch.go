package zodiac

import (
	"context"
	"errors"
	"time"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/tier"
)

// Touch gives the entry of key a new lifetime: that of a [WithTTL] given here, else what Set would
// give to its value. It reports whether there is an entry that lives on. An entry that has expired
// stays expired. If [WithTTLFunc] no longer gives the value a lifetime, the entry is removed, and
// Touch returns false. Fetches that are under way are not discarded. WithTags is an error here. The
// other errors are those of Set.
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
	for {
		entry, slide, err := e.readForTouch(ctx, &w)
		if entry == nil {
			return false, err
		}
		if err := e.newLife(&w, entry); err != nil {
			return false, err
		}
		if e.remote != nil {
			return e.touchRecord(ctx, &w, slide)
		}
		touched := false
		e.flights.Change(w.place, w.place.Hash, func() bool {
			touched = e.touchEntry(&w, entry)
			return false
		})
		if touched {
			return !w.noTTL, nil
		}
	}
}

// readForTouch returns the entry that a Touch is about, or nil if there is none of use, and over a
// store what a use extends its life to.
func (c *engine[K, V]) readForTouch(ctx context.Context, w *write[K, V]) (e *tier.Entry[K, V], slide time.Duration, err error) {
	if c.remote == nil {
		return c.usable(&w.place, nil), 0, nil
	}
	got, err := c.readRecord(ctx, w)
	if err == nil {
		e, err = c.decodeEntry(ctx, w, &got)
	}
	return e, got.Parsed.Slide, noMiss(err)
}

// newLife finds out how long an entry is to live from now on.
func (c *engine[K, V]) newLife(w *write[K, V], e *tier.Entry[K, V]) error {
	if d := e.Detail(); d != nil && d.None != nil {
		w.life = c.opts.life.ofNone(w.given.ttl)
		return nil
	}
	return c.lifetime(w, &e.Value)
}

// touchEntry gives e its new life, if it is still there. It stays the same entry: a forced fetch
// that began before still knows it. The caller holds the key's lock of flights.
func (c *engine[K, V]) touchEntry(w *write[K, V], e *tier.Entry[K, V]) bool {
	if w.noTTL {
		return c.exchange(w, e)
	}
	now := c.clock.Now()
	return c.mem.Touch(&w.place, e, expiry(now, w.life), c.opts.life.slide(w.life), now)
}

// touchRecord gives a record its new life. slide is what a use extends its life to now.
func (c *engine[K, V]) touchRecord(ctx context.Context, w *write[K, V], slide time.Duration) (bool, error) {
	if w.noTTL {
		return false, c.deleteWritten(ctx, w)
	}
	if slides := c.opts.life.slide(w.life); slides != slide {
		if err := c.reslide(ctx, w, slides); err != nil {
			return false, noMiss(err)
		}
	}
	there, err := c.remote.Expire(ctx, &w.budget, w.storeKey, w.life)
	c.forget(&w.place, w.storeKey)
	return there && err == nil, c.published(ctx, w.key, err, c.remote.Publish(ctx, &w.budget, w.storeKey))
}

// busyTries is how often a Touch asks for the lease of a key before it takes the holder for a
// fetch. An Add, an Update or another Touch, which hold it too, are over sooner.
const busyTries = 5

// reslide changes what a use of a sliding record extends its life to. The error is driver.ErrMiss
// if there is none. While a fetch of the key runs, reslide changes nothing: the fetch is about to
// replace the record, and a Touch discards no fetch.
func (c *engine[K, V]) reslide(ctx context.Context, w *write[K, V], slide time.Duration) error {
	busy := 0
	for try := range updateTries {
		if err := pause(ctx, try); err != nil {
			return err
		}
		state, err := c.tryReslide(ctx, w, slide)
		if err != nil || state == driver.Won {
			return err
		}
		if state == driver.Busy {
			busy++
		}
		if busy == busyTries {
			return nil
		}
	}
	return ErrBusy
}

// tryReslide writes the record once more. If the answer is not Won, another holds the lease, or
// another write came in between.
func (c *engine[K, V]) tryReslide(ctx context.Context, w *write[K, V], slide time.Duration) (driver.ClaimState, error) {
	leave, err := c.remote.Exclude(ctx, w.storeKey)
	if err != nil {
		return 0, err
	}
	defer leave()
	got, err := c.readRecord(ctx, w)
	if err != nil {
		return 0, err
	}
	rec := got.Parsed
	rec.Slide = slide
	w.record = driver.Record{Data: rec.AppendTo(nil), TTL: max(shortest, got.Record.TTL), Version: got.Record.Version}
	if !c.remote.Lends() {
		return driver.Won, c.resetRecord(ctx, w)
	}
	l, state, err := c.remote.TryLock(ctx, &w.budget, w.storeKey, got.Record.Version)
	defer l.Close()
	if err != nil || state != driver.Won {
		return state, c.writeError(ctx, w.key, err)
	}
	committed, err := l.Commit(ctx, &w.budget, w.record)
	if err != nil || committed {
		return driver.Won, c.writeError(ctx, w.key, err)
	}
	return driver.Hit, nil
}

// resetRecord writes the record once more where nothing tells whether it is still there when that
// arrives. A record that ends meanwhile must not come back, so it is given its new life first.
func (c *engine[K, V]) resetRecord(ctx context.Context, w *write[K, V]) error {
	there, err := c.remote.Expire(ctx, &w.budget, w.storeKey, w.life)
	switch {
	case err != nil:
		return c.writeError(ctx, w.key, err)
	case !there:
		return driver.ErrMiss
	}
	w.record.TTL = w.life
	return c.writeError(ctx, w.key, c.remote.Set(ctx, &w.budget, w.storeKey, w.record))
}
