package tier

import "math/rand/v2"

// A policy chooses which entries stay: WS, a composition of SIEVE (Zhang et al., NSDI 2024) for the main ring,
// the admission window and the frequency sketch of W-TinyLFU (Einziger, Friedman, Manes, 2017), and ghosts
// that steer the window's size as in ARC (Megiddo and Modha, 2003). All a hit does for it is to set a bit.
//
// New entries enter the window. The window's oldest either has been used and goes round once more, or must be
// asked for more often than the main ring's next victim to take that victim's place. The sketch hears of uses only
// when the hand or the window's end clears a bit: measured, that beats telling it of every hit.
//
// All methods are called under the stripe's mutex.
type policy[K comparable, V any] struct {
	window, main ring[K, V]
	hand         *Entry[K, V] // the next candidate in main, or main's root
	sketch       sketch
	ghosts       ghosts

	capacity         int
	wmax, wmin, wtop int // size of the window, and its bounds
	now              int64
	gone             *Entry[K, V] // evicted by this insert, linked through next
	warmed           uint64       // of no meaning: it keeps the compiler from leaving reads out
}

func (p *policy[K, V]) init(capacity int) {
	p.capacity = capacity
	p.wmax, p.wmin, p.wtop = max(1, capacity/20), max(1, capacity/100), max(1, capacity*95/100)
	p.reset()
}

// reset forgets all entries, but not what was learned of the keys.
func (p *policy[K, V]) reset() {
	p.window.init(inWindow)
	p.main.init(inMain)
	p.hand = &p.main.root
}

// warm reads at once what an insert of hash is about to read bit by bit. What a large cache has lies in no cache of the
// processor, and side by side its lines come in a fraction of the time that one after another takes: measured, a fifth
// of a Set at a million entries.
func (p *policy[K, V]) warm(t *table[K, V], hash uint32) {
	oldest, victim := p.window.tail(), p.hand
	oldest.prev.state.Load()
	victim.prev.state.Load()
	victim.state.Load()
	t.buckets[uint64(oldest.hash)&t.mask].tags.Load()
	p.warmed = p.sketch.peek(hash) + p.ghosts.peek(hash) + p.sketch.peek(oldest.hash) + p.ghosts.peek(oldest.hash)
}

// insert takes in a new entry, and evicts others while there are more than capacity. It returns those, linked through
// next.
func (p *policy[K, V]) insert(e *Entry[K, V], now int64) (gone *Entry[K, V]) {
	p.now, p.gone = now, nil
	p.admit(e)
	gone, p.gone = p.gone, nil
	return gone
}

func (p *policy[K, V]) admit(e *Entry[K, V]) {
	n := p.window.n + p.main.n
	if p.sketch.words == nil && n >= p.capacity/2 {
		// Before that nothing is contested: a cache that stays small pays for no sketch.
		p.sketch = newSketch(p.capacity)
	}
	full := n >= p.capacity
	ghost := p.ghosts.take(e.hash)
	switch ghost {
	case ghostWindow: // a larger window would have kept it
		p.wmax = min(p.wmax+1, p.wtop)
	case ghostMain:
		p.wmax = max(p.wmax-1, p.wmin)
	}
	p.sketch.add(e.hash)
	if ghost != noGhost && full && p.main.n > 0 && p.contest(e, false) {
		p.main.push(e) // it has been here before: no need to prove itself in the window
		return
	}
	p.window.push(e)
	for p.window.n > p.wmax {
		p.shift(e)
	}
	for p.window.n+p.main.n > p.capacity { // the window has grown
		p.evict(p.victim())
	}
}

// replace puts e into the place of old, which has the same key, and counts it as used.
func (p *policy[K, V]) replace(old, e *Entry[K, V]) {
	if p.hand == old {
		p.hand = e
	}
	e.prev, e.next = old.prev, old.next
	e.prev.next, e.next.prev = e, e
	e.state.Store(e.state.Load() | old.ring() | seen)
	old.unlink()
}

// remove takes e out without a ghost: it was deleted or has expired.
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

// shift moves the oldest entry out of the window: into main, round once more, or away. The newcomer, for whom
// room is being made, only ever goes round: what was just set is there, at every capacity.
func (p *policy[K, V]) shift(newcomer *Entry[K, V]) {
	full := p.window.n+p.main.n > p.capacity
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

// contest evicts main's next victim if e is worth more, and reports whether it did. Ties go to the resident.
// With luck, one in 128 of the entries asked for often enough wins all the same: else somebody could keep the
// cache full of keys whose counters collide with popular ones.
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

// victim moves the hand to the first entry of main that was not used since it last came by, and leaves it
// there: a victim that wins its contest is asked again next time. main is not empty.
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

func (p *policy[K, V]) evict(v *Entry[K, V]) {
	p.remove(v)
	if !p.spent(v) {
		p.ghost(v, ghostMain)
	}
	p.bury(v)
}

// spent reports whether e is of no use to anybody: it goes without a contest and without a ghost.
func (p *policy[K, V]) spent(e *Entry[K, V]) bool { return e.dead(p.now) || !e.Current() }

// bury adds e, which is in no ring any more, to what insert returns.
func (p *policy[K, V]) bury(e *Entry[K, V]) { e.next, p.gone = p.gone, e }

func (p *policy[K, V]) ghost(e *Entry[K, V], list ghostList) {
	if p.ghosts.slots == nil {
		p.ghosts = newGhosts(p.capacity)
	}
	p.ghosts.put(e.hash, list)
}

// A ring is a doubly linked list of entries in order of arrival, closed by its root.
type ring[K comparable, V any] struct {
	root Entry[K, V]
	n    int
	mark uint32
}

func (r *ring[K, V]) init(mark uint32) {
	r.root.next, r.root.prev = &r.root, &r.root
	r.n, r.mark = 0, mark
}

func (r *ring[K, V]) tail() *Entry[K, V] { return r.root.prev }

func (r *ring[K, V]) push(e *Entry[K, V]) {
	e.prev, e.next = &r.root, r.root.next
	e.prev.next, e.next.prev = e, e
	e.setRing(r.mark)
	r.n++
}

func (r *ring[K, V]) remove(e *Entry[K, V]) {
	e.prev.next, e.next.prev = e.next, e.prev
	e.unlink()
	r.n--
}

// unlink forgets the neighbours, so that an entry somebody still holds keeps no others alive.
func (e *Entry[K, V]) unlink() {
	e.next, e.prev = nil, nil
	e.setRing(0)
}
