package tier

import "github.com/zodiac-go/zodiac/internal/coarse"

// chunkSize is the number of entries that one chunk of a roster lists.
const chunkSize = 128

// A roster lists the entries of a stripe that expire, for the janitor. Its chunks hold expiries
// side by side. So a sweep of a million entries reads 16 MB in order, and not a million entries
// all over the heap. A listed expiry may be too early, because the entry has slid since. It is
// never too late.
type roster[K comparable, V any] struct {
	chunks  []*chunk[K, V]
	free    int   // the first free slot, -1 if there is none; free slots are linked through due
	n       int   // the number of entries
	soonest int64 // except during a sweep, no entry is due before; may be too early
	used    func(listing bool)
}

// A chunk holds the slots from chunkSize times its number on.
type chunk[K comparable, V any] struct {
	soonest int64 // no entry of the chunk is due before; may be too early
	slots   [chunkSize]rosterSlot[K, V]
}

// A rosterSlot lists one entry, or is free.
type rosterSlot[K comparable, V any] struct {
	entry *Entry[K, V] // nil if the slot is free
	due   int64        // the listed expiry; in a free slot, the next free slot or -1
}

// init makes r an empty roster. From then on it calls used(true) when it lists its first entry,
// and used(false) when it has lost its last.
func (r *roster[K, V]) init(used func(listing bool)) {
	*r = roster[K, V]{free: -1, soonest: coarse.Never, used: used}
}

// reset removes all entries from the list, and gives the chunks back. It leaves the entries
// alone.
func (r *roster[K, V]) reset() {
	if r.n > 0 {
		r.used(false)
	}
	r.init(r.used)
}

// add lists e, if it expires. e is not listed.
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

// remove takes e off the list, if it is listed.
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

// at returns a slot by number, and its chunk.
func (r *roster[K, V]) at(slot int) (*chunk[K, V], *rosterSlot[K, V]) {
	c := r.chunks[slot/chunkSize]
	return c, &c.slots[slot%chunkSize]
}

// grow adds a chunk of free slots. There is no other free slot.
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

// due appends to dead the entries of chunk number ci that have expired at now. If the listed
// expiry of an entry is due but the entry has slid, due lists its present expiry. It brings both
// soonest up to date.
func (r *roster[K, V]) due(ci int, now int64, dead []*Entry[K, V]) []*Entry[K, V] {
	c := r.chunks[ci]
	if c.soonest <= now {
		dead = c.collect(now, dead)
	}
	r.soonest = min(r.soonest, c.soonest)
	return dead
}

// collect is due for a chunk that may have due entries.
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
