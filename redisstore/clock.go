package redisstore

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/zodiac-go/zodiac/driver"
)

// clockSlack is how far the server's time may be from what a serverClock expects, in ms: replies
// take some time to arrive.
const clockSlack = 250

// A serverClock knows about what time it is on the server, and so notices frames that cannot be
// taken at their word. A frame says when the key ends, and a PTTL says how long that is from now, so
// together they tell the server's time. If that is another time than it can be, going by the reads
// before, then PTTL and frame are not of the same state of the key, or somebody else has given the
// key another expiry or other bytes.
//
// Such a key is read once more, by a script that knows the server's time: see lua/read.lua. A wrong
// guess about that time costs this read, which also tells the time. The first guess is that both
// clocks show the same.
type serverClock struct {
	ahead atomic.Int64 // how far the server's clock is ahead of this machine's, in ms
}

// A moment is when a command was sent and when its reply came, in ms of this machine's clock.
type moment struct{ sent, done int64 }

func now() int64 { return time.Now().UnixMilli() }

// learn notes that server was the server's time during m.
func (c *serverClock) learn(server int64, m moment) { c.ahead.Store(server - (m.sent+m.done)/2) }

// plausible reports whether it may have been the server's time server during m.
func (c *serverClock) plausible(server int64, m moment) bool {
	server -= c.ahead.Load()
	return m.sent-clockSlack <= server && server <= m.done+clockSlack
}

// trusts reports whether a plain GET at about local, by this machine's clock, may have returned the
// record in frame: it has not ended, and does not end later than it was given to live.
func (c *serverClock) trusts(frame string, local int64) bool {
	dies, life := number(frame, atDies), number(frame, atLife)
	if dies == 0 {
		return life == 0
	}
	left := dies - local - c.ahead.Load()
	return -clockSlack <= left && left <= life+clockSlack
}

// timeLeft returns the time left of the record in frame. It is 0 if the record has ended. pttl is
// the reply of a PTTL that came before the GET of the frame, in ms. ok is false if the two
// contradict each other, or the frame itself.
//
// The key ends at the later of dies and deadline. So the record's share of pttl is pttl less what
// deadline is later than dies. The frame may be newer than pttl. If pttl is noKey then, or by less
// than clockSlack too long, the record has just been written or given another life, and all of its
// life is left: life is an upper limit.
func (c *serverClock) timeLeft(frame string, pttl int64, m moment) (d time.Duration, ok bool) {
	dies, deadline, life := number(frame, atDies), number(frame, atDeadline), number(frame, atLife)
	if dies == 0 {
		return driver.Forever, pttl < 0 && life == 0
	}
	switch {
	case life == 0 || pttl == noExpiry:
		return 0, false
	case pttl == noKey:
		return duration(life), c.trusts(frame, m.done)
	case !c.plausible(max(dies, deadline)-1-pttl, m):
		return 0, false
	}
	left := pttl - max(0, deadline-dies)
	if left < 0 {
		return 0, true
	}
	return duration(min(left, life)), left <= life+clockSlack
}

// The replies of PTTL that are not times.
const (
	noKey    = -2
	noExpiry = -1
)

// duration returns ms as a Duration. 0 ms become a microsecond: less than a millisecond is left,
// but the end has not come.
func duration(ms int64) time.Duration {
	switch {
	case ms > math.MaxInt64/int64(time.Millisecond):
		return driver.Forever
	case ms == 0:
		return time.Microsecond
	default:
		return time.Duration(ms) * time.Millisecond
	}
}
