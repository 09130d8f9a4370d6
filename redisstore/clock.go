package redisstore

import (
	"sync/atomic"
	"time"
)

// clockSlack is by how much clocks may seem to differ because a reply took its time.
const clockSlack = 250 // ms

// A serverClock knows by how much the server's clock is ahead of ours, from what PTTL says of keys whose expiry is known. A PTTL
// that tells of another time belonged to another state of its key: one with less time left, if the time is later. To be wrong
// about it costs one more read; it starts out with the same time.
type serverClock struct{ ahead atomic.Int64 } // ms

// torn reports whether a key with this frame cannot have had a PTTL so short, as far as we know.
func (c *serverClock) torn(frame string, pttl int64) bool {
	if pttl < 0 {
		return false
	}
	dies := number(frame, atDies)
	if dies == 0 {
		return true // a lease that was there before the record had an end; or it was given one by somebody else
	}
	told := max(dies, number(frame, atDeadline)) - 1 - pttl
	ahead, known := told-time.Now().UnixMilli(), c.ahead.Load()
	if -clockSlack <= ahead-known && ahead-known <= clockSlack {
		return false
	}
	c.ahead.Store(ahead)
	return ahead > known
}
