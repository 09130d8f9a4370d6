package tier

import "github.com/zodiac-go/zodiac/internal/coarse"

// chunkSize is how many entries one chunk of a roster lists.
const chunkSize = 128

// A roster lists the entries that expire, for the janitor. Its chunks hold expiries side by side, so looking for the
// due ones among a million reads 16 MB in order instead of a million entries all over the heap. An expiry listed may
// be too early, where an entry slid since; never too late.
type roster[K comparable, V any] struct {
	chunks  []*chunk[K, V]
	free    int // first free slot, linked through due; -1 = none
	n       int
	soonest int64 // no entry is due before; a sweep brings it up to date
	used    func(bool)
}

type chunk[K comparable, V any] struct {
	soonest int64 // no entry of the chunk is due before
	slots   [chunkSize]rosterSlot[K, V]
}

type rosterSlot[K comparable, V any] struct {
	entry *Entry[K, V] // nil: free
	due   int64        // of a free slot: the next free one
}

// init makes an empty roster; used is told when it begins to list entries, and when it ends.
func (r *roster[K, V]) init(used func(bool)) {
	*r = roster[K, V]{free: -1, soonest: coarse.Never, used: used}
}

func (r *roster[K, V]) reset() {
	if r.n > 0 {
		r.used(false)
	}
	r.init(r.used)
}

// add lists e, if it ever expires.
func (r *roster[K, V]) add(e *Entry[K, V]) {
	due := e.Expiry()
	if due == coarse.Never {
		return
	}
	if r.free < 0 {
		r.grow()
	}
	slot := r.free
	c, at := r.at(slot)
	r.free = int(at.due)
	at.entry, at.due = e, due
	c.soonest, r.soonest = min(c.soonest, due), min(r.soonest, due)
	e.setSlot(slot)
	if r.n++; r.n == 1 {
		r.used(true)
	}
}

// remove takes e off the list, if it is on it.
func (r *roster[K, V]) remove(e *Entry[K, V]) {
	slot := e.slot()
	if slot < 0 {
		return
	}
	_, at := r.at(slot)
	at.entry, at.due = nil, int64(r.free)
	r.free = slot
	e.setSlot(-1)
	if r.n == 1 {
		r.reset() // give the chunks back
		return
	}
	r.n--
}

func (r *roster[K, V]) at(slot int) (*chunk[K, V], *rosterSlot[K, V]) {
	c := r.chunks[slot/chunkSize]
	return c, &c.slots[slot%chunkSize]
}

func (r *roster[K, V]) grow() {
	first := len(r.chunks) * chunkSize
	c := &chunk[K, V]{soonest: coarse.Never}
	for i := range c.slots {
		c.slots[i].due = int64(first + i + 1)
	}
	c.slots[chunkSize-1].due = -1
	r.chunks = append(r.chunks, c)
	r.free = first
}

// due appends the entries of chunk number ci that are dead at now, and brings the expiries of those that slid
// up to date.
func (r *roster[K, V]) due(ci int, now int64, dead []*Entry[K, V]) []*Entry[K, V] {
	c := r.chunks[ci]
	if c.soonest <= now {
		dead = c.collect(now, dead)
	}
	r.soonest = min(r.soonest, c.soonest)
	return dead
}

func (c *chunk[K, V]) collect(now int64, dead []*Entry[K, V]) []*Entry[K, V] {
	c.soonest = coarse.Never
	for i := range c.slots {
		s := &c.slots[i]
		switch {
		case s.entry == nil:
			continue
		case s.due <= now && s.entry.dead(now):
			dead = append(dead, s.entry)
			continue
		case s.due <= now: // it slid
			s.due = s.entry.Expiry()
		}
		c.soonest = min(c.soonest, s.due)
	}
	return dead
}
