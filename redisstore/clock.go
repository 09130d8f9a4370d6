package redisstore

import (
	"sync/atomic"
	"time"
)

// clockSlack is how much two differences of the clocks may vary, in ms. They vary because a reply
// takes some time to arrive.
const clockSlack = 250

// A serverClock notices that a PTTL and a frame do not belong to the same state of a key, though
// they come from one pipeline: somebody changed the key between them.
//
// A frame says when the key ends and a PTTL says how long that is from now, so together they tell
// the server's time. If that is later than the server's time can be, going by the reads before,
// then the PTTL is of another state, in which less time was left. If it is earlier, more time was
// left; that does no harm, since timeLeft knows an upper limit.
//
// A wrong guess about the server's time costs one more read. The first guess is that both clocks
// show the same time.
type serverClock struct {
	ahead atomic.Int64 // how far the server's clock is ahead of this machine's, in ms
}

// torn reports whether the frame may have more time left than pttl, in ms, tells.
func (c *serverClock) torn(frame string, pttl int64) bool {
	if pttl < 0 {
		return false
	}
	dies := number(frame, atDies)
	if dies == 0 {
		// The record never ends, but the key had an end. Either that was the end of a lease, and
		// the record was stored after the PTTL. Or somebody else has given the key an end.
		return true
	}
	serverTime := max(dies, number(frame, atDeadline)) - 1 - pttl
	ahead, known := serverTime-time.Now().UnixMilli(), c.ahead.Load()
	if -clockSlack <= ahead-known && ahead-known <= clockSlack {
		return false
	}
	c.ahead.Store(ahead)
	return ahead > known
}
