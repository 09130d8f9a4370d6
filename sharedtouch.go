package zodiac

import (
	"context"
	"time"
)

// touchShared is Touch over a store. How long a value is to live may depend on what it is, so it is read first.
func (c *engine[K, V]) touchShared(ctx context.Context, w *write[K, V]) (bool, error) {
	d, err := c.newDraft(w)
	if err != nil {
		return false, err
	}
	got, err := c.readUsable(ctx, w, &d)
	if err != nil {
		return false, noMiss(err)
	}
	e, err := c.entryOf(ctx, w, &got)
	if err != nil {
		return false, noMiss(err)
	}
	if err := c.newLife(w, e); err != nil {
		return false, err
	}
	if w.drop {
		return false, c.deleteDraft(ctx, w, &d)
	}
	if slide := c.set.life.slide(w.life); slide != got.parsed.slide {
		if err := c.reslide(ctx, w, &d, slide); err != nil {
			return false, noMiss(err)
		}
	}
	there, err := send(ctx, c.remote, &d.budget, func(ctx context.Context) (bool, error) {
		return c.remote.store.Expire(ctx, d.key, w.life)
	})
	c.forget(&w.place, d.key)
	return there && err == nil, c.told(ctx, w.key, "Expire", err, c.announceKeys(ctx, &d.budget, d.key))
}

// busyTries is how often a Touch asks for the lease of a key before it takes whoever has it for a fetch. An Add, an Update or another
// Touch, which have one too, are over sooner.
const busyTries = 5

// reslide changes what a use of a sliding record extends its life to. It is an ErrMiss if there is none. Where a fetch of the key runs
// it changes nothing: that is about to take the record's place, and a Touch makes no fetch void.
func (c *engine[K, V]) reslide(ctx context.Context, w *write[K, V], d *draft, slide time.Duration) error {
	busy := 0
	for try := range updateTries {
		if err := pause(ctx, try); err != nil {
			return err
		}
		state, err := c.tryReslide(ctx, w, d, slide)
		if err != nil || state == Won {
			return err
		}
		if state == Busy {
			busy++
		}
		if busy == busyTries {
			return nil
		}
	}
	return ErrBusy
}

// tryReslide writes the record once more. If it is not Won, another has the lease, or another write came in between.
func (c *engine[K, V]) tryReslide(ctx context.Context, w *write[K, V], d *draft, slide time.Duration) (ClaimState, error) {
	leave, err := c.exclude(ctx, d.key)
	if err != nil {
		return 0, err
	}
	defer leave()
	got, err := c.readUsable(ctx, w, d)
	if err != nil {
		return 0, err
	}
	rec := got.parsed
	rec.slide = slide
	d.record = Record{Data: rec.appendTo(nil), TTL: max(shortest, got.record.TTL), Version: got.record.Version}
	if c.remote.leaser == nil {
		return Won, c.reslideBare(ctx, w, d)
	}
	l := lease{r: c.remote, key: d.key, values: context.WithoutCancel(ctx)}
	defer l.close()
	claim, err := c.askForWrite(ctx, w, d, &l, got.record.Version, false)
	if err != nil || claim.State != Won {
		return claim.State, err
	}
	committed, err := c.commitDraft(ctx, d, &l)
	if err != nil || committed {
		return Won, c.writeError(ctx, w.key, "Commit", err)
	}
	return Hit, nil
}

// reslideBare writes the record once more where nothing tells whether it is still there when that arrives. What ends meanwhile is not
// to come back, so it is given its new life first.
func (c *engine[K, V]) reslideBare(ctx context.Context, w *write[K, V], d *draft) error {
	there, err := send(ctx, c.remote, &d.budget, func(ctx context.Context) (bool, error) {
		return c.remote.store.Expire(ctx, d.key, w.life)
	})
	switch {
	case err != nil:
		return c.writeError(ctx, w.key, "Expire", err)
	case !there:
		return ErrMiss
	}
	d.record.TTL = w.life
	_, err = send(ctx, c.remote, &d.budget, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, c.remote.store.Set(ctx, d.key, d.record)
	})
	return c.writeError(ctx, w.key, "Set", err)
}
