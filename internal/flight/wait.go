package flight

import (
	"sync"

	"github.com/zodiac-go/zodiac/internal/limiter"
)

// A Link says that a caller runs within a fetch, or within a function that runs while a Turn is
// held. The context that the fetch function gets carries it. A nil Link stands for a caller that
// runs within neither.
type Link struct {
	Flight Node  // the flight of that fetch: a *Flight, of any Group; or the *Turn
	Up     *Link // what that one was begun within, or nil; of a Turn, what the caller runs within too

	Place *limiter.Place // of the fetch; nil if there is no limit
}

// Lend lends the place of the fetch in which the caller is about to wait. l may be nil.
func (l *Link) Lend() {
	for ; l != nil; l = l.also() {
		l.Place.Lend()
	}
}

// Retake ends Lend. It may wait. l may be nil.
func (l *Link) Retake() {
	for ; l != nil; l = l.also() {
		l.Place.Retake()
	}
}

// also returns what the caller runs within besides l.Flight, and nobody has noted that l.Flight
// waits for. Of a fetch that is nothing: the fetch within which it was begun waits for it.
func (l *Link) also() *Link {
	if _, ok := l.Flight.(*Turn); ok {
		return l.Up
	}
	return nil
}

// A Node is a *Flight of any types, or a *Turn.
type Node interface {
	isOver() bool
	isFor(shard, key any) bool
}

// A Turn is a right that one caller at a time holds and others wait for.
type Turn struct {
	_ byte // Turns differ by their addresses
}

func (*Turn) isOver() bool        { return false }
func (*Turn) isFor(_, _ any) bool { return false }

// Wait notes that the caller waits for a Turn, until [Link.Waited]. It notes nothing and returns
// false if whoever holds the Turn waits for this caller, directly or through others. l may be nil.
func (l *Link) Wait(t *Turn) bool { return l.wait(t) }

// Hold notes that the caller holds a Turn, until [Link.Release]: nobody else gets it before what the
// caller runs within goes on. l may be nil.
func (l *Link) Hold(t *Turn) {
	if l != nil {
		graph.Lock()
		defer graph.Unlock()
		graph.on[t] = append(graph.on[t], l.Flight)
	}
}

// Release takes back Hold. l may be nil.
func (l *Link) Release(t *Turn) {
	if l != nil {
		forget(t, l.Flight)
	}
}

// isFor reports whether f is a flight of key in that shard.
func (f *Flight[K, J]) isFor(shard, key any) bool {
	return any(f.shard) == shard && any(f.Key) == key
}

// isOver reports whether f is over. It needs no lock of a shard, so it may be asked about flights
// of any shard and any Group.
func (f *Flight[K, J]) isOver() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

// graph says which flights cannot end before which others. A fetch waits for the flights that its
// function asks for. A waiting flight waits for the forced one before it. A Turn waits for what its
// holder waits for. The graph spans all
// Groups of the process, because a fetch function may ask other loaders. Only callers within a
// fetch and waiting flights use it, so most misses never lock it.
var graph = struct {
	sync.Mutex // guards the field below; locked after the mutex of a shard

	on map[Node][]Node // the waits of a flight, an element for each; no slice is empty
}{on: make(map[Node][]Node)}

// wait notes that the fetch of l waits for f. It notes nothing and returns false if f waits for
// that fetch, directly or through others.
func (l *Link) wait(f Node) bool {
	if l == nil {
		return true
	}
	graph.Lock()
	defer graph.Unlock()
	return l.note(f, f)
}

// note notes that the caller waits for f, unless to leads to the caller. The caller holds the lock.
func (l *Link) note(f, to Node) bool {
	for m := l; m != nil; m = m.also() {
		if leads(to, m.Flight, nil) {
			return false
		}
	}
	for m := l; m != nil; m = m.also() {
		graph.on[m.Flight] = append(graph.on[m.Flight], f)
	}
	return true
}

// isFor reports whether the caller runs within a fetch of key, at any depth.
func (l *Link) isFor(shard, key any) bool {
	for ; l != nil; l = l.Up {
		if l.Flight.isFor(shard, key) {
			return true
		}
	}
	return false
}

// waitBehind is wait for a new flight f whose fetch starts when forced is over. It notes that f
// waits for forced too, also if l is nil.
func (l *Link) waitBehind(f, forced Node) bool {
	graph.Lock()
	defer graph.Unlock()
	if !l.note(f, forced) {
		return false
	}
	graph.on[f] = append(graph.on[f], forced)
	return true
}

// Waited takes back the wait for f that Join or Share noted for this caller. l may be nil.
func (l *Link) Waited(f Node) {
	for ; l != nil; l = l.also() {
		forget(l.Flight, f)
	}
}

// forget takes back one wait of waiter for f.
func forget(waiter, f Node) {
	graph.Lock()
	defer graph.Unlock()
	on := graph.on[waiter]
	for i, g := range on {
		if g == f {
			on[i] = on[len(on)-1]
			on[len(on)-1] = nil
			on = on[:len(on)-1]
			break
		}
	}
	if len(on) == 0 {
		delete(graph.on, waiter)
		return
	}
	graph.on[waiter] = on
}

// leads reports whether f is to, or waits for it. A flight that is over waits for nothing, though
// its fetch may run on for nobody. seen holds the flights that were searched in vain. Without it,
// the search would follow every path through the graph.
func leads(f, to Node, seen map[Node]bool) bool {
	if f == to {
		return true
	}
	on := graph.on[f]
	if len(on) == 0 || f.isOver() || seen[f] {
		return false
	}
	if seen == nil {
		seen = make(map[Node]bool)
	}
	seen[f] = true
	for _, g := range on {
		if leads(g, to, seen) {
			return true
		}
	}
	return false
}
