package tier

// A ring is a doubly linked list of entries in order of arrival, which its root closes. root.next
// is the youngest entry, and root.prev the oldest.
type ring[K comparable, V any] struct {
	root Entry[K, V]
	n    int    // the number of entries
	flag uint32 // the state bit of entries in this ring: inWindow or inMain
}

// init makes r an empty ring.
func (r *ring[K, V]) init(flag uint32) {
	r.root.next, r.root.prev = &r.root, &r.root
	r.n, r.flag = 0, flag
}

// tail returns the oldest entry, or the root of an empty ring.
func (r *ring[K, V]) tail() *Entry[K, V] { return r.root.prev }

// push adds e, which is in no ring, as the youngest entry.
func (r *ring[K, V]) push(e *Entry[K, V]) {
	e.prev, e.next = &r.root, r.root.next
	e.prev.next, e.next.prev = e, e
	e.setRing(r.flag)
	r.n++
}

// remove takes e out of the ring.
func (r *ring[K, V]) remove(e *Entry[K, V]) {
	e.prev.next, e.next.prev = e.next, e.prev
	e.unlink()
	r.n--
}

// unlink cuts the links of e, so that a caller that holds e keeps no other entry alive.
func (e *Entry[K, V]) unlink() {
	e.next, e.prev = nil, nil
	e.setRing(0)
}
