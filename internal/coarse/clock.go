// Package coarse is the clock of the memory tier: it answers "is this entry certainly alive?" for the price
// of one atomic load, and otherwise reads the real clock.
//
// A [Clock] holds the time of its last tick. Since that time has passed, the true time is later, but by how
// much is unknown: a tick may be late. So the coarse time is trusted only while an expiry is more than
// [Slack] away; nearer than that [Clock.Exact] decides. Boundaries are therefore exact, unless the process was
// stopped, or its timers starved, for longer than Slack minus [Grain].
//
// There is no goroutine. Ticks are time.AfterFunc callbacks, re-armed only if somebody used the coarse time
// since the last one. At rest the coarse time reads as beyond every expiry, so that the first use takes the
// exact way and arms the clock again. The timer is armed by whoever uses the clock: a clock used inside a
// testing/synctest bubble belongs to that bubble and follows its time.
package coarse

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Grain is the time between two ticks.
const Grain = 20 * time.Millisecond

// Slack is how far away an expiry must be for the coarse time to be trusted: one Grain between ticks, the
// rest for ticks that come late on a busy machine.
const Slack = 5 * Grain

// Never is the expiry of what does not expire, and its own [Sure].
const Never = math.MaxInt64

// atRest is the coarse time while the clock is not armed: later than every expiry but Never, so that only
// what never expires is certainly alive.
const atRest = Never - 1

// Sure returns the time until which something that ends at expiry is certainly alive by the coarse time. Times
// are in nanoseconds of one Clock.
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

// A Clock counts nanoseconds since it was made. It is safe for concurrent use. A stopped Clock stays exact
// and merely loses its cheap way.
type Clock struct {
	now  atomic.Int64 // time of the last tick, or atRest
	read atomic.Bool  // the coarse time was used since the last tick
	base time.Time

	mu      sync.Mutex // guards the fields below, and now's changes
	timer   *time.Timer
	stopped bool
}

// New returns a clock at rest that reads zero now.
func New() *Clock {
	c := &Clock{base: time.Now()}
	c.now.Store(atRest)
	return c
}

// Before reports whether the present is certainly before sure (see [Sure]). False means: ask [Clock.Exact].
func (c *Clock) Before(sure int64) bool {
	if c.now.Load() >= sure {
		return false
	}
	if !c.read.Load() { // look first: a store on every hit would take the line from the other cores
		c.read.Store(true)
	}
	return true
}

// Now returns the exact time and leaves the coarse one alone. Writers use it.
func (c *Clock) Now() int64 { return int64(time.Since(c.base)) }

// Exact returns the exact time for a reader whose Before was false, and sees to it that the next reader may
// have the coarse one.
func (c *Clock) Exact() int64 {
	if c.now.Load() == atRest {
		c.arm()
	}
	return c.Now()
}

// Time returns the wall-clock time of the clock's instant t, as it was when the clock was made plus t.
func (c *Clock) Time(t int64) time.Time { return c.base.Add(time.Duration(t)) }

// Stop ends the ticks for good.
func (c *Clock) Stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	c.now.Store(atRest)
	if c.timer != nil {
		c.timer.Stop()
	}
}

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
