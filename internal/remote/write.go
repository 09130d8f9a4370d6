package remote

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/zodiac-go/zodiac/driver"
)

// A Write is what a method such as Set or Update does in the store about one key. The commands that
// write are sent even if the breaker is open.
//
// Set and Touch do not end with their context: see Unending. The others may, until they have sent a
// command that stores or removes something.
//
// Whatever invalidates the key is done in one order: the store, this process, other processes. The
// later steps are taken even if the store fails: the command may have been carried out, or may be
// later. But nothing is published once the budget is spent. The methods return driver.ErrMiss,
// ErrBusy, ErrClosed, a context's error, or a *OpError.
type Write struct {
	Client *Client
	Owner  WriteOwner
	Key    string
	Record driver.Record // to be stored
	Remove bool          // there is to be no record
	Budget Budget
}

// A WriteOwner is the method that writes. Its methods are called on its goroutine.
type WriteOwner interface {
	// Usable reports whether a record counts as an entry. It keeps the entry for its own use. Of a
	// record that does not count, it sets the field Stays.
	Usable(context.Context, *Entry) bool

	// Drop invalidates the key in this process.
	Drop()

	// Forget removes the key from memory in front of the store, and discards no flight.
	Forget()

	// StoreFailed is told of a fault that the caller does not get.
	StoreFailed(context.Context, error)
}

// Set stores or removes the record, whatever the key holds.
func (w *Write) Set(ctx context.Context) error {
	ctx = Unending(ctx)
	end, err := w.Client.begin()
	if err != nil {
		return err
	}
	defer end()
	return w.setInTurn(ctx)
}

func (w *Write) setInTurn(ctx context.Context) error {
	leave, err := w.Client.exclude(ctx, &w.Budget, "Set", w.Key)
	if err != nil {
		return err
	}
	defer leave()
	return w.setAlone(ctx)
}

// Add stores the record if the key is absent, and reports whether it was. A record that does not
// count as an entry is replaced.
func (w *Write) Add(ctx context.Context) (absent bool, err error) {
	end, err := w.Client.begin()
	if err != nil {
		return false, err
	}
	defer end()
	if w.Remove {
		return w.absent(ctx)
	}
	leave, err := w.Client.exclude(ctx, &w.Budget, "Add", w.Key)
	if err != nil {
		return false, err
	}
	defer leave()
	added, err := w.addAlone(ctx)
	if added || err != nil {
		return added, err
	}
	if absent, err := w.absent(ctx); !absent {
		return false, err
	}
	l, err := w.lock(ctx)
	if err != nil {
		return false, err
	}
	defer l.close()
	if absent, err := w.absent(ctx); !absent {
		return false, err
	}
	return w.replace(ctx, l, true)
}

// absent reports whether the key has neither an entry nor a record that is to stay.
func (w *Write) absent(ctx context.Context) (bool, error) {
	e, err := w.Read(ctx)
	return errors.Is(err, driver.ErrMiss) && !e.Stays, noMiss(err)
}

// Read returns the record of the key with its time left. It is driver.ErrMiss if there is none that
// counts as an entry; the record is then one of no use, or zero.
func (w *Write) Read(ctx context.Context) (Entry, error) {
	e, err := w.Client.ReadLeft(ctx, &w.Budget, w.Key)
	if err == nil && !w.Owner.Usable(ctx, &e) {
		err = driver.ErrMiss
	}
	return e, err
}

// setAlone is Set for a caller that keeps other writes away: see Client.exclude.
func (w *Write) setAlone(ctx context.Context) error {
	if w.Remove {
		return w.changed(ctx, w.delete(ctx))
	}
	return w.changed(ctx, w.set(ctx))
}

// changed takes the steps after a command that invalidates the key. err is the command's.
func (w *Write) changed(ctx context.Context, err error) error {
	w.Owner.Drop()
	return w.published(ctx, err)
}

// published publishes the key, and returns the error of the write.
func (w *Write) published(ctx context.Context, err error) error {
	return w.Client.published(err, w.Client.publishKeys(ctx, &w.Budget, w.Key), func(err error) { w.Owner.StoreFailed(ctx, err) })
}

// published returns the error of a write that was published. That it could not be published is an
// error only where memory in front of the store is used. Elsewhere it is reported.
func (c *Client) published(err, publishErr error, report func(error)) error {
	if err != nil || publishErr == nil {
		return err
	}
	if c.near == nil && !errors.Is(publishErr, ErrClosed) {
		report(publishErr)
		return nil
	}
	return publishErr
}

func (w *Write) set(ctx context.Context) error {
	return fault("Set", do(ctx, w.Client, &w.Budget, w.Key, func(ctx context.Context) error { return w.Client.Store.Set(ctx, w.Key, w.Record) }))
}

func (w *Write) delete(ctx context.Context) error {
	return fault("Delete", do(ctx, w.Client, &w.Budget, w.Key, func(ctx context.Context) error {
		_, err := w.Client.Store.Delete(ctx, w.Key)
		return err
	}))
}

func (w *Write) expire(ctx context.Context, life time.Duration) (bool, error) {
	there, err := send(ctx, w.Client, &w.Budget, w.Key, func(ctx context.Context) (bool, error) { return w.Client.Store.Expire(ctx, w.Key, life) })
	return there, fault("Expire", err)
}

// addAlone stores the record if the store has none. The caller keeps other writes away.
func (w *Write) addAlone(ctx context.Context) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	ctx = Unending(ctx)
	added, err := send(ctx, w.Client, &w.Budget, w.Key, func(ctx context.Context) (bool, error) { return w.Client.Store.Add(ctx, w.Key, w.Record) })
	if err == nil && !added {
		return false, nil
	}
	return added, w.changed(ctx, fault("Add", err))
}

// replace stores or removes the record under a lease. Without one, which is nil if the store lends
// none, there says whether the key has a record. The caller keeps other writes away. committed is
// false if another write came in between.
func (w *Write) replace(ctx context.Context, l *lease, there bool) (committed bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	ctx = Unending(ctx)
	switch {
	case w.Remove && l != nil && !l.endLive():
		return false, nil
	case l != nil && !w.Remove:
		committed, err = l.commit(ctx, &w.Budget, w.Record, send[bool])
		if err == nil && !committed {
			return false, nil
		}
		return committed, w.changed(ctx, fault("Commit", err))
	case w.Remove || there:
		err = w.setAlone(ctx)
		return err == nil, err
	default:
		return w.addAlone(ctx)
	}
}

func noMiss(err error) error {
	if errors.Is(err, driver.ErrMiss) {
		return nil
	}
	return err
}

// Tries is how often a write that others get in the way of is attempted before it is ErrBusy.
const Tries = 16

// Pause waits a little before a second attempt and longer before every further one, at random, so
// that two callers that disturb each other separate. Its error is that of ctx.
func Pause(ctx context.Context, try int) error {
	if try == 0 {
		return ctx.Err()
	}
	if !sleep(rand.N(time.Millisecond<<min(try, 5)), nil, ctx.Done()) {
		return ctx.Err()
	}
	return nil
}
