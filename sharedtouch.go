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

// reslide changes what a use of a sliding record extends its life to. It is an ErrMiss if there is none.
func (c *engine[K, V]) reslide(ctx context.Context, w *write[K, V], d *draft, slide time.Duration) error {
	for try := range updateTries {
		if err := pause(ctx, try); err != nil {
			return err
		}
		if done, err := c.tryReslide(ctx, w, d, slide); done || err != nil {
			return err
		}
	}
	return ErrBusy
}

// tryReslide writes the record once more, unless another write comes in between. Where a fetch of the key runs it writes nothing: that
// is about to take the record's place, and a Touch makes no fetch void.
func (c *engine[K, V]) tryReslide(ctx context.Context, w *write[K, V], d *draft, slide time.Duration) (done bool, err error) {
	leave, err := c.exclude(ctx, d.key)
	if err != nil {
		return false, err
	}
	defer leave()
	got, err := c.readUsable(ctx, w, d)
	if err != nil {
		return false, err
	}
	rec := got.parsed
	rec.slide = slide
	d.record = Record{Data: rec.appendTo(nil), TTL: max(shortest, got.record.TTL), Version: got.record.Version}
	if c.remote.leaser == nil {
		_, err = send(ctx, c.remote, &d.budget, func(ctx context.Context) (struct{}, error) {
			return struct{}{}, c.remote.store.Set(ctx, d.key, d.record)
		})
		return err == nil, c.writeError(ctx, w.key, "Set", err)
	}
	l := lease{r: c.remote, key: d.key, values: context.WithoutCancel(ctx)}
	defer l.close()
	claim, err := c.askForWrite(ctx, w, d, &l, got.record.Version, false)
	if err != nil || claim.State != Won {
		return claim.State == Busy, err
	}
	token, live := l.end()
	if !live {
		l.abort(token)
		return false, nil
	}
	done, err = send(ctx, c.remote, &d.budget, func(ctx context.Context) (bool, error) {
		return c.remote.leaser.Commit(ctx, d.key, token, d.record)
	})
	return done, c.writeError(ctx, w.key, "Commit", err)
}
