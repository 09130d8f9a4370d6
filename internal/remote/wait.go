package remote

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/zodiac-go/zodiac/driver"
)

// A waiting is how a flight waits for another process.
type waiting struct {
	until   time.Time
	holders int // different ones it has met
	holder  string
	asks    int
	ending  int // answers that the lease is about to end
	useless int // answers of no use
	wakes   int // wake-ups
	wake    <-chan struct{}
	unwake  func()
}

// stop frees the wake-up.
func (w *waiting) stop() {
	if w.unwake != nil {
		w.unwake()
	}
}

// maxHolders is the number of holders of the lease that a flight meets before it fetches without a
// lease. So constant invalidation, which gives the lease to one after the other, starves nobody.
const maxHolders = 3

// await waits until the lease may be free. done is true if the flight is not to ask again: it has
// waited enough, or nobody waits for it.
//
// A lease that an Update of this process holds is not waited for. The function of the Update may be
// what asks for the key, and would wait for itself. It has no context that could tell.
func (f *Fetch) await(w *waiting, claim *driver.Claim) (done, call bool) {
	if claim.Holder != w.holder {
		w.holder = claim.Holder
		w.holders++
	}
	f.Tags = nil // while the flight waits, they may change: then the result could not be stored
	left := time.Until(w.until)
	_, updating := f.Client.updating.Load(f.Key)
	switch {
	case w.holders >= maxHolders, updating:
		f.noLease = true
		return true, true
	case left <= 0:
		return true, f.waitedTooLong()
	}
	if w.wake == nil && f.Client.waker != nil {
		// Ask once more at once: the lease may have ended before Wake was called.
		w.wake, w.unwake = f.Client.waker.Wake(f.Values, f.Key)
		return false, false
	}
	w.asks++
	d := min(left, pollAfter(w.asks))
	if claim.Left < d { // a store that says so again and again is asked less and less often
		d = min(d, max(claim.Left, doubled(w.ending)))
		w.ending++
	}
	return !f.listen(w, d), false
}

// maxWakes is the number of wake-ups that a flight listens to at once. Each of maxHolders holders may
// send one. Anybody may send more.
const maxWakes = maxHolders + 1

// listen waits for d, or for a wake-up. It returns false if nobody waits for the flight any more.
func (f *Fetch) listen(w *waiting, d time.Duration) bool {
	if w.wakes > maxWakes {
		deaf := min(d, doubled(w.wakes-maxWakes))
		if !f.pause(deaf, nil) {
			return false
		}
		d -= deaf
	}
	began := time.Now()
	if !f.pause(d, w.wake) {
		return false
	}
	if time.Since(began) < d {
		w.wakes++
	}
	return true
}

// maxUseless is the number of answers of no use after which the lease is asked for by force.
const maxUseless = 3

// askAgain is called after an answer of no use: a record that counts as no entry, or that was gone
// when it was read. done is true if the flight is not to ask again. The first time that happens, the
// record has ended, or was just found to be useless. After that the store contradicts itself, or
// somebody keeps writing what nobody can use. Then asking pauses, the lease is taken by force, and if
// that is of no use either, the flight fetches without a lease.
func (f *Fetch) askAgain(w *waiting) (done, call bool) {
	w.useless++
	switch {
	case w.useless == 1:
		return false, false
	case w.useless > maxUseless:
		f.noLease = true
		return true, true
	default:
		return !f.pause(pollAfter(w.useless), nil), false
	}
}

// doubled returns a millisecond, doubled n times, up to 32.
func doubled(n int) time.Duration { return time.Millisecond << min(n, 5) }

// pause waits for d, or for wake, which may be nil. It returns false if nobody waits for the flight
// any more.
func (f *Fetch) pause(d time.Duration, wake <-chan struct{}) bool {
	f.Owner.Waits()
	slept := sleep(d, wake, f.Ctx.Done())
	f.Owner.Waited()
	if !slept {
		f.Err = context.Canceled
		return false
	}
	return true
}

// waitedTooLong does what the Config says of a fetch elsewhere that takes too long.
func (f *Fetch) waitedTooLong() (call bool) {
	if f.Client.Fail {
		f.Err = fmt.Errorf("zodiac: loader %q: another process is fetching this key for longer than WithWait (%v): %w",
			f.Client.Name, f.Client.Wait, ErrBusy)
		return false
	}
	f.noLease = true
	return true
}

// pollAfter returns how long to wait before asking again: 2 to 50 milliseconds, at random, so that
// processes that wait do not ask together.
func pollAfter(asks int) time.Duration {
	d := min(50*time.Millisecond, 2*time.Millisecond<<min(asks, 6))
	return d/2 + rand.N(d/2)
}

// sleep waits for d, or for wake, which may be nil. It returns false if end is closed.
func sleep(d time.Duration, wake, end <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-wake:
		return true
	case <-end:
		return false
	}
}

// waitForGuard waits for the right that the Guard lends. look, which may be nil, looks whether the
// right is still needed.
func (f *Fetch) waitForGuard(look func() (found bool)) bool {
	until := time.Now().Add(f.Client.Wait)
	for asks := 0; ; asks++ {
		sent := time.Now()
		held, got, err := f.tryGuard()
		if err != nil { // keeps nobody from fetching
			f.Owner.StoreFailed(fault("TryAcquire of WithGuard", err))
			return true
		}
		if got && !f.lease.guarded(held, sent) {
			f.Err = context.Canceled
			return false
		}
		if look != nil && (asks > 0 || got) && look() {
			return false
		}
		left := time.Until(until)
		switch {
		case got:
			return true
		case left <= 0:
			return f.waitedTooLong()
		}
		if !f.pause(min(left, pollAfter(asks)), nil) {
			return false
		}
	}
}

func (f *Fetch) tryGuard() (h driver.Held, got bool, err error) {
	ctx, cancel := context.WithTimeout(f.Values, f.Client.Timeout)
	defer cancel()
	return f.Client.Guard.TryAcquire(ctx, f.Key, f.Client.Lease)
}

// lookAgain reads the store once more, where asking for a lease does not do that.
func (f *Fetch) lookAgain() (found bool) {
	if f.Force {
		return false
	}
	asked := f.Client.Now()
	got, err := f.Client.readAlone(f.Values, &f.Budget, f.Key)
	if err != nil || got.Record.Version == f.Seen || !f.Owner.Usable(&got) {
		f.noLease = got.Stays
		return false
	}
	f.Found, f.before = &got, asked
	return true
}
