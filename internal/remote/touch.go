package remote

import (
	"context"
	"time"

	"github.com/zodiac-go/zodiac/driver"
)

// busyTries is how often a Touch asks for the lease of a key before it takes the holder for a fetch.
// An Add, an Update or another Touch, which hold it too, are over sooner.
const busyTries = 5

// Touch gives the record of the key, which Read has returned as e, a new life. A use extends the
// record's life to slide from now on. Touch reports whether there is a record that lives on.
func (w *Write) Touch(ctx context.Context, e *Entry, life, slide time.Duration) (bool, error) {
	ctx = Unending(ctx)
	end, err := w.Client.begin()
	if err != nil {
		return false, err
	}
	defer end()
	if w.Remove {
		return false, w.setInTurn(ctx)
	}
	if slide != e.Parsed.Slide {
		if err := w.reslide(ctx, life, slide); err != nil {
			return false, noMiss(err)
		}
	}
	w.Client.keepTags(ctx, e.Parsed.Tags, life)
	there, err := w.expire(ctx, life)
	w.Owner.Forget()
	return there && err == nil, w.published(ctx, err)
}

// reslide changes what a use of a sliding record extends its life to. It is driver.ErrMiss if there
// is none. While a fetch of the key runs, reslide changes nothing: the fetch is about to replace the
// record, and a Touch discards no fetch.
func (w *Write) reslide(ctx context.Context, life, slide time.Duration) error {
	busy := 0
	for try := range Tries {
		if err := Pause(ctx, try); err != nil {
			return err
		}
		state, err := w.tryReslide(ctx, life, slide)
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
func (w *Write) tryReslide(ctx context.Context, life, slide time.Duration) (driver.ClaimState, error) {
	leave, err := w.Client.exclude(ctx, &w.Budget, "Set", w.Key)
	if err != nil {
		return 0, err
	}
	defer leave()
	e, err := w.Read(ctx)
	if err != nil {
		return 0, err
	}
	rec := e.Parsed
	rec.Slide = slide
	w.Record = driver.Record{Data: rec.AppendTo(nil), TTL: max(time.Millisecond, e.Record.TTL), Version: e.Record.Version}
	if w.Client.leaser == nil {
		return driver.Won, w.resetBare(ctx, life)
	}
	l, state, err := w.ask(ctx, e.Record.Version, false)
	defer l.close()
	if err != nil || state != driver.Won {
		return state, err
	}
	committed, err := l.commit(ctx, &w.Budget, w.Record, send[bool])
	if err != nil || committed {
		return driver.Won, fault("Commit", err)
	}
	return driver.Hit, nil
}

// resetBare writes the record once more where nothing tells whether it is still there when that
// arrives. A record that ends meanwhile must not come back, so it is given its new life first.
func (w *Write) resetBare(ctx context.Context, life time.Duration) error {
	there, err := w.expire(ctx, life)
	switch {
	case err != nil:
		return err
	case !there:
		return driver.ErrMiss
	}
	w.Record.TTL = life
	return w.set(ctx)
}
