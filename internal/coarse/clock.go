// Package coarse is the clock of the memory tier. For the price of one atomic load it answers
// whether an entry is certainly alive. Otherwise the caller reads the real clock.
//
// # How it works
//
// A [Clock] holds the coarse time: the real time of its last tick. The real time is later now.
// How much later is unknown, because a tick may be late. So the coarse time is trusted only for
// an expiry that is more than [Slack] after it. [Sure] subtracts Slack from an expiry, and
// [Clock.Before] compares the result with the coarse time. If the expiry is nearer, [Clock.Exact]
// decides. So an expiry is exact, unless the process is stopped, or its timers are starved, for
// longer than Slack minus [Grain]. Then a reader may find an entry alive after its expiry.
//
// # Goroutines and timers
//
// There is no goroutine. A tick is a callback of one timer. It arms the timer again only if the
// coarse time was used since the last tick. Otherwise the clock comes to rest. At rest the coarse
// time is later than every expiry but [Never]. So Before is false, and Exact arms the timer
// again. [Clock.Stop] ends the ticks for good.
//
// The timer is made by the first call of Exact that arms it. So a clock that is used in a bubble
// of testing/synctest belongs to that bubble, and follows its time.
//
// # Invariants
//
//   - The coarse time is never later than the real time, except at rest.
//   - The timer is armed exactly if the clock is not at rest, except while a tick runs.
//   - A stopped clock is at rest.
//
// The package knows nothing of entries: a time is a number of nanoseconds since a clock was made.
// All of it is in this file.
package coarse

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Grain is the time between two ticks.
const Grain = 20 * time.Millisecond

// Slack says when the coarse time is trusted: for an expiry that is more than Slack after it. One
// Grain of Slack is the time between ticks. The rest is for ticks that come late on a busy
// machine.
const Slack = 5 * Grain

// Never is the expiry of an entry that does not expire. Sure(Never) is Never.
const Never = math.MaxInt64

// atRest is the coarse time while the timer is not armed. It is later than every expiry but
// Never, so only an entry that never expires is certainly alive.
const atRest = Never - 1

// Sure returns the time for [Clock.Before]: as long as the coarse time is before it, the real
// time is before expiry. Both are in nanoseconds of the same Clock.
func Sure(expiry int64) int64 {
	if expiry == Never {
		return Never
	}
	return expiry - int64(Slack)
}

// Expiry is the inverse of [Sure].
func Expiry(sure int64) int64 {
	if sure == Never {
		return Never
	}
	return sure + int64(Slack)
}

// A Clock counts nanoseconds since it was made. It is safe for concurrent use. A stopped Clock
// stays exact, but it has no coarse time any more.
type Clock struct {
	now  atomic.Int64 // the coarse time: that of the last tick, or atRest
	read atomic.Bool  // the coarse time was used since the last tick
	base time.Time    // when the clock was made; never changes

	mu      sync.Mutex // guards the fields below, and changes to now
	timer   *time.Timer
	stopped bool
}

// New returns a Clock at rest. Its time is zero now.
func New() *Clock {
	c := &Clock{base: time.Now()}
	c.now.Store(atRest)
	return c
}

// Before reports whether an expiry is certainly in the future. sure is [Sure] of the expiry. If
// Before returns false, [Clock.Exact] has the answer.
func (c *Clock) Before(sure int64) bool {
	if c.now.Load() >= sure {
		return false
	}
	if !c.read.Load() { // a store on every hit would take the cache line from the other cores
		c.read.Store(true)
	}
	return true
}

// Now returns the exact time. It does not arm the timer. Writers use it.
func (c *Clock) Now() int64 { return int64(time.Since(c.base)) }

// Exact returns the exact time, for a reader to whom Before has returned false. At rest it arms
// the timer, unless the Clock is stopped, so that later readers have the coarse time.
func (c *Clock) Exact() int64 {
	if c.now.Load() == atRest {
		c.arm()
	}
	return c.Now()
}

// At returns the time at t. It is the inverse of [Clock.Time], also for a t that is only a
// wall-clock time and was read in another process.
func (c *Clock) At(t time.Time) int64 { return int64(t.Sub(c.base)) }

// Time returns the wall-clock time of t: that when the clock was made, plus t. So later changes
// of the wall clock do not count.
func (c *Clock) Time(t int64) time.Time { return c.base.Add(time.Duration(t)) }

// Stop ends the ticks for good. It may be called more than once.
func (c *Clock) Stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	c.now.Store(atRest)
	if c.timer != nil {
		c.timer.Stop()
	}
}

// arm sets the coarse time and arms the timer, if the clock is at rest and not stopped.
func (c *Clock) arm() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped || c.now.Load() != atRest {
		return
	}
	c.read.Store(true)
	c.now.Store(c.Now())
	if c.timer == nil {
		c.timer = time.AfterFunc(Grain, c.tick)
	} else {
		c.timer.Reset(Grain)
	}
}

// tick is the callback of the timer. It may run after Stop has returned; it has no effect then.
func (c *Clock) tick() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return
	}
	if !c.read.Swap(false) {
		c.now.Store(atRest)
		return
	}
	c.now.Store(c.Now())
	c.timer.Reset(Grain)
}
