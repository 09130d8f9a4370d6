package tier

import "math/rand/v2"

// A policy chooses which entries of a stripe stay. It is called WS. It is our own composition of
// known parts: SIEVE (Zhang et al., NSDI 2024) for the main ring, the admission window and the
// frequency sketch of W-TinyLFU (Einziger, Friedman, Manes, 2017), and ghosts that steer the size
// of the window, as in ARC (Megiddo and Modha, 2003). A hit does nothing for it but set the seen
// bit.
//
// New entries enter the window. When the window is too large, its oldest entry leaves it. If its
// seen bit is set, the bit is cleared and the entry goes round once more. If not, and the stripe
// is not full, it moves to the main ring. In a full stripe it competes with the victim of the
// main ring. It takes the place of the victim if its key was asked for more often, and is evicted
// otherwise. An entry that is not alive is evicted in any case. The hand finds the victim: it
// goes through main from old to young, clears seen bits, and stops at the first entry that had
// none.
//
// The sketch learns of a key when an entry for it is new, and of uses only when a seen bit is
// cleared. That gives a better hit ratio than telling it of every hit; both were measured.
//
// All methods are called with the mutex of the stripe held.
type policy[K comparable, V any] struct {
	window, main ring[K, V]
	hand         *Entry[K, V] // the next candidate in main, or the root of main
	sketch       sketch       // zero until the share is half full
	ghosts       ghosts       // zero until the first eviction that leaves a ghost

	share      int          // what the stripe holds in a full tier, more or less
	capacity   int          // window.n + main.n <= capacity, except during insert
	wmax       int          // the size of the window; wmin <= wmax <= wtop
	wmin, wtop int          // 1 % and 95 % of the share, but at least 1
	now        int64        // the time of this insert
	gone       *Entry[K, V] // the entries evicted by this insert, linked through next
	warmed     uint64       // without meaning: with it, the compiler keeps the reads of warm
}

// init makes p an empty policy whose capacity is its share.
func (p *policy[K, V]) init(share int) {
	p.share, p.capacity = share, share
	p.wmax, p.wmin, p.wtop = max(1, share/20), max(1, share/100), max(1, share*95/100)
	p.reset()
}

// len returns the number of entries.
func (p *policy[K, V]) len() int { return p.window.n + p.main.n }

// reset forgets all entries. It keeps what was learned about the keys: the sketch, the ghosts and
// the size of the window.
func (p *policy[K, V]) reset() {
	p.window.init(inWindow)
	p.main.init(inMain)
	p.hand = &p.main.root
}

// warm reads all the memory that an insert of hash is about to read. The memory of a large tier
// is in no cache of the processor. If its lines are loaded side by side, that takes a fraction of
// the time of loading them one after the other. It was measured: a Set at a million entries takes
// a fifth less time.
func (p *policy[K, V]) warm(t *table[K, V], hash uint32) {
	oldest, victim := p.window.tail(), p.hand
	oldest.prev.state.Load()
	victim.prev.state.Load()
	victim.state.Load()
	t.buckets[uint64(oldest.hash)&t.mask].tags.Load()
	p.warmed = p.sketch.peek(hash) + p.ghosts.peek(hash) +
		p.sketch.peek(oldest.hash) + p.ghosts.peek(oldest.hash)
}

// insert adds a new entry, and evicts entries while there are more than the capacity. It returns
// the evicted entries, linked through next.
func (p *policy[K, V]) insert(e *Entry[K, V], now int64) (gone *Entry[K, V]) {
	p.now, p.gone = now, nil
	p.admit(e)
	gone, p.gone = p.gone, nil
	return gone
}

// admit is insert, but leaves the evicted entries in gone.
func (p *policy[K, V]) admit(e *Entry[K, V]) {
	n := p.len()
	if p.sketch.words == nil && n >= p.share/2 {
		// Entries compete only when the tier is full. A cache that stays small pays for no
		// sketch.
		p.sketch = newSketch(p.share)
	}
	full := n >= p.capacity
	ghost := p.ghosts.take(e.hash)
	switch ghost {
	case ghostWindow: // a larger window would have kept e
		p.wmax = min(p.wmax+1, p.wtop)
	case ghostMain: // a larger main ring would have kept e
		p.wmax = max(p.wmax-1, p.wmin)
	}
	p.sketch.add(e.hash)
	if ghost != noGhost && full && p.main.n > 0 && p.contest(e, false) {
		p.main.push(e) // e came back soon: it need not go through the window
		return
	}
	p.window.push(e)
	for p.window.n > p.wmax {
		p.shift(e)
	}
	for p.len() > p.capacity { // the window is not too large, so shift made no room
		p.makeRoom(e)
	}
}

// makeRoom evicts an entry, or clears the seen bit of one. It does not evict newcomer, which may be
// nil, unless there is no other entry.
func (p *policy[K, V]) makeRoom(newcomer *Entry[K, V]) {
	if p.main.n > 0 {
		p.evict(p.victim())
	} else {
		p.shift(newcomer)
	}
}

// evictOne lowers the capacity by one, evicts an entry at now, and returns it. There must be one.
func (p *policy[K, V]) evictOne(now int64) *Entry[K, V] {
	p.now, p.gone = now, nil
	for p.capacity--; p.gone == nil; {
		p.makeRoom(nil)
	}
	out := p.gone
	p.gone = nil
	return out
}

// replace puts e in the place of old, which has the same key, and sets its seen bit.
func (p *policy[K, V]) replace(old, e *Entry[K, V]) {
	if p.hand == old {
		p.hand = e
	}
	e.prev, e.next = old.prev, old.next
	e.prev.next, e.next.prev = e, e
	e.state.Store(e.state.Load() | old.ring() | seen)
	old.unlink()
}

// remove takes e out of its ring. It leaves no ghost. If the hand points to e, it moves on.
func (p *policy[K, V]) remove(e *Entry[K, V]) {
	switch e.ring() {
	case inWindow:
		p.window.remove(e)
	case inMain:
		if p.hand == e {
			p.hand = e.prev
		}
		p.main.remove(e)
	}
}

// shift takes the oldest entry from the window. The entry goes to main, goes round once more, or
// is evicted. newcomer is the new entry, for which room is made. It only ever goes round, so an
// entry that was just put is there, whatever the capacity.
func (p *policy[K, V]) shift(newcomer *Entry[K, V]) {
	full := p.len() > p.capacity
	e := p.window.tail()
	p.window.remove(e)
	switch {
	case e == newcomer:
		p.window.push(e)
	case p.spent(e):
		p.bury(e)
	case e.wasSeen():
		e.clearSeen()
		p.sketch.add(e.hash)
		p.window.push(e)
	case !full, p.main.n > 0 && p.contest(e, true):
		p.main.push(e)
	default:
		p.ghost(e, ghostWindow)
		p.bury(e)
	}
}

// contest evicts the victim of main if the key of e was asked for more often, and reports whether
// it did. The victim wins a tie. If luck is set, one in 128 of the entries that lose wins anyway,
// if it was asked for at least 6 times. Without that, somebody could fill the cache with keys
// whose counters collide with those of popular keys, and they would stay for ever.
func (p *policy[K, V]) contest(e *Entry[K, V], luck bool) bool {
	v := p.victim()
	if !p.spent(v) {
		mine, its := p.sketch.get(e.hash), p.sketch.get(v.hash)
		lucky := luck && mine >= 6 && rand.Uint32()&127 == 0
		if mine <= its && !lucky {
			return false
		}
	}
	p.evict(v)
	return true
}

// victim moves the hand to the first entry of main whose seen bit is not set, or that is spent,
// and returns the entry. The hand stays there: a victim that wins its contest is the first
// candidate the next time. main must not be empty.
func (p *policy[K, V]) victim() *Entry[K, V] {
	for {
		if p.hand == &p.main.root {
			p.hand = p.main.tail()
		}
		if !p.hand.wasSeen() || p.spent(p.hand) {
			return p.hand
		}
		p.hand.clearSeen()
		p.sketch.add(p.hand.hash)
		p.hand = p.hand.prev
	}
}

// evict evicts v, an entry of main. It leaves a ghost, unless v is spent.
func (p *policy[K, V]) evict(v *Entry[K, V]) {
	p.remove(v)
	if !p.spent(v) {
		p.ghost(v, ghostMain)
	}
	p.bury(v)
}

// spent reports whether e is not alive any more. A spent entry goes without a contest and leaves
// no ghost.
func (p *policy[K, V]) spent(e *Entry[K, V]) bool { return e.dead(p.now) || !e.Current() }

// bury adds e, which is in no ring any more, to the entries that insert returns.
func (p *policy[K, V]) bury(e *Entry[K, V]) { e.next, p.gone = p.gone, e }

// ghost remembers that e was evicted from the ring that list names.
func (p *policy[K, V]) ghost(e *Entry[K, V], list ghostList) {
	if p.ghosts.slots == nil {
		p.ghosts = newGhosts(p.share)
	}
	p.ghosts.put(e.hash, list)
}
