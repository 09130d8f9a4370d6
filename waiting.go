package zodiac

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/zodiac-go/zodiac/internal/flight"
)

// A waiting says how long a flight waits for another process.
type waiting struct {
	until   time.Time
	holders int // different ones it has met
	holder  string
	asks    int
	wake    <-chan struct{}
	unwake  func()
}

// maxHolders is how many holders of the lease a flight meets before it has waited enough.
const maxHolders = 3

// await waits until the lease may be free, or it has waited enough: then met is true.
func (s *sharing) await(w *waiting, claim *Claim) (met, fetch bool) {
	if claim.Holder != w.holder {
		w.holder = claim.Holder
		w.holders++
	}
	left := time.Until(w.until)
	switch {
	case w.holders >= maxHolders:
		s.unfenced = true
		return true, true
	case left <= 0:
		return true, s.tooLong()
	}
	if w.wake == nil && s.c.remote.waker != nil {
		w.wake, w.unwake = s.c.remote.waker.Wake(s.lease.values, s.key)
		return false, false // whatever ended before that is seen at once
	}
	w.asks++
	if !s.pause(min(left, pollAfter(w.asks), max(claim.Left, time.Millisecond)), w.wake) {
		return true, false
	}
	return false, false
}

// pause waits for d, or wake, which may be nil. It returns false if nobody waits for the flight any more.
func (s *sharing) pause(d time.Duration, wake <-chan struct{}) bool {
	if s.waits != nil {
		s.waits()
	}
	if !sleep(d, wake, s.ctx.Done()) {
		s.err = context.Canceled
		return false
	}
	return true
}

// tooLong is what WithWait says of a fetch elsewhere that takes too long.
func (s *sharing) tooLong() (fetch bool) {
	if s.c.remote.fail {
		s.err = fmt.Errorf("zodiac: loader %q: another process is fetching this key for longer than WithWait (%v): %w", s.c.name, s.c.remote.wait, ErrBusy)
		return false
	}
	s.unfenced = true
	return true
}

// pollAfter returns how long to wait before asking again: 2 to 50 milliseconds, at random, so that those who wait do not ask together.
func pollAfter(asks int) time.Duration {
	d := min(50*time.Millisecond, 2*time.Millisecond<<min(asks, 6))
	return d/2 + rand.N(d/2)
}

// sleep waits for d, or wake, which may be nil. It returns false if end is closed.
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

// waitForGuard waits for what WithGuard lends. look, which may be nil, looks whether that is still necessary.
func (s *sharing) waitForGuard(look func() (found bool)) bool {
	until := time.Now().Add(s.c.remote.wait)
	for asks := 0; ; asks++ {
		sent := time.Now()
		held, got, err := s.tryGuard()
		if err != nil {
			_ = s.c.storeFault(s.ctx, s.of, "TryAcquire of WithGuard", err) // keeps nobody from fetching
			return true
		}
		if got && !s.lease.guarded(held, sent) {
			s.err = context.Canceled
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
			return s.tooLong()
		}
		if !s.pause(min(left, pollAfter(asks)), nil) {
			return false
		}
	}
}

func (s *sharing) tryGuard() (h Held, got bool, err error) {
	ctx, cancel := context.WithTimeout(s.lease.values, s.c.remote.timeout)
	defer cancel()
	return s.c.remote.guard.TryAcquire(ctx, s.key, s.c.remote.lease)
}

// lookAgain reads the store once more, where asking for a lease does not do that.
func (s *sharing) lookAgain() (ok bool) {
	if s.kind == flight.Forced {
		return false
	}
	asked := s.c.order.Add(1)
	got, err := s.readAgain()
	if err != nil || got.record.Version == s.seen || !s.c.usableRecord(s.full, s.sinks, &got) {
		return false
	}
	s.got, s.before = &got, asked
	return true
}
