package bus

import (
	"time"

	"github.com/zodiac-go/zodiac/driver"
)

const (
	// forgetAfter is how long a publisher is remembered after its last message.
	forgetAfter = 2 * time.Minute

	// firstSweep is how many publishers are remembered before those that are gone are looked for,
	// and maxPublishers how many are remembered at all.
	firstSweep    = 256
	maxPublishers = 1 << 14
)

// Numbers finds out from the numbers of messages that some are missing. It is for one subscription
// to one partition. It is not safe for concurrent use.
//
// A publisher that is heard for the first time begins with any number. Its message says how long ago
// it has published the one before. If that was after the subscription began, the one before is
// missing.
type Numbers struct {
	since time.Time // when the subscription began
	known map[uint64]*numbered
	sweep int       // the size of known at which those that are gone are removed
	swept time.Time // when that was done last
}

// A numbered is what is known of a publisher.
type numbered struct {
	last  uint64    // the highest number
	seen  uint64    // bit i: last-i was received
	heard time.Time // when the last message was received
}

// Begin forgets all publishers: a subscription begins now.
func (n *Numbers) Begin(now time.Time) {
	*n = Numbers{since: now, swept: now, known: map[uint64]*numbered{}, sweep: firstSweep}
}

// Check notes the number of a message. It returns true if messages of its publisher are missing, or
// if the number runs back. A copy of a message that was received is harmless.
func (n *Numbers) Check(inv *driver.Invalidation, now time.Time) (gap bool) {
	p := n.known[inv.Publisher]
	if p == nil {
		n.add(inv, now)
		follows := inv.Number > 1 || inv.Repeats()
		return follows && inv.Age < min(now.Sub(n.since), forgetAfter/2)
	}
	p.heard = now
	if inv.Number > p.last {
		ahead := inv.Number - p.last
		p.last = inv.Number
		p.seen = p.seen<<min(ahead, 64) | 1
		return ahead > 1 || inv.Repeats()
	}
	back := p.last - inv.Number
	if back < 64 && p.seen>>back&1 == 1 {
		return false
	}
	if back < 64 {
		p.seen |= 1 << back // it comes late, after it was found missing
	} else {
		p.last, p.seen = inv.Number, 1
	}
	return true
}

// add notes a publisher. It makes room if there are too many: one that is forgotten too early begins
// anew, with a gap.
func (n *Numbers) add(inv *driver.Invalidation, now time.Time) {
	if len(n.known) >= n.sweep || len(n.known) >= maxPublishers && now.Sub(n.swept) > forgetAfter {
		for id, p := range n.known {
			if now.Sub(p.heard) > forgetAfter {
				delete(n.known, id)
			}
		}
		n.sweep, n.swept = max(firstSweep, 2*len(n.known)), now
	}
	if len(n.known) >= maxPublishers {
		for id := range n.known { // any one: to look for the oldest would cost a look at all
			delete(n.known, id)
			break
		}
	}
	n.known[inv.Publisher] = &numbered{last: inv.Number, seen: 1, heard: now}
}
