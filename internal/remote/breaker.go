package remote

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/faults"
)

const (
	breakAfter = 5           // faults in a row
	breakFor   = time.Second // until the next probe
)

// A breaker keeps a store that keeps failing from being asked, except for a probe now and then. The
// probe runs in the background, so no caller waits for it. While the store is well, the breaker
// costs one atomic load.
type breaker struct {
	faults atomic.Int32 // since the last success; 0 = cb need not be asked
	cb     *gobreaker.TwoStepCircuitBreaker[struct{}]
	probe  func(report func(error)) // asks the store in the background
}

// init makes the breaker ready. changed is called when the breaker opens or closes.
func (b *breaker) init(probe func(report func(error)), changed func(open bool)) {
	b.probe = probe
	b.cb = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Timeout:     breakFor,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= breakAfter },
		OnStateChange: func(_ string, from, to gobreaker.State) {
			switch {
			case from == gobreaker.StateClosed && to == gobreaker.StateOpen:
				changed(true)
			case to == gobreaker.StateClosed:
				changed(false)
			}
		},
	})
}

// allows reports whether the store may be asked.
func (b *breaker) allows() bool {
	if b.faults.Load() == 0 {
		return true
	}
	switch b.cb.State() {
	case gobreaker.StateClosed:
		return true
	case gobreaker.StateHalfOpen:
		if done, err := b.cb.Allow(); err == nil {
			b.probe(func(err error) { b.report(done, err) })
		}
	}
	return false
}

// saw notes how a command about a key ended.
func (c *Client) saw(_ string, err error) { c.breaker.saw(err) }

// saw notes how a command ended. That a caller has left says nothing about the store, and neither
// does a fault that another command reports.
func (b *breaker) saw(err error) {
	if !IsFault(err) && b.faults.Load() == 0 || errors.Is(err, context.Canceled) || faults.IsShared(err) {
		return
	}
	if done, refused := b.cb.Allow(); refused == nil {
		b.report(done, err)
	}
}

func (b *breaker) report(done func(error), err error) {
	if IsFault(err) {
		b.faults.Add(1)
		done(err)
		return
	}
	done(nil)
	if b.cb.State() == gobreaker.StateClosed {
		b.faults.Store(0)
	}
}

// IsFault reports whether err says something about the store, and not only about a key or a caller.
func IsFault(err error) bool {
	return err != nil && !errors.Is(err, driver.ErrMiss) && !errors.Is(err, context.Canceled)
}
