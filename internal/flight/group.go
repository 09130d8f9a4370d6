package flight

import (
	"context"
	"errors"
)

// ErrClosed is the error of Join and Share after Close.
var ErrClosed = errors.New("zodiac: closed")

// ErrCycle is the error of Join and Share for a caller whose fetch would wait for itself.
var ErrCycle = errors.New("zodiac: a fetch waits for its own result: it asks its loader, directly or through others, for the key it is fetching")

// A Group holds the flights of one cache. J is the type of the data that its owner keeps with
// each flight. Make a Group with [NewGroup]. Its methods are safe for concurrent use.
//
// Every method that takes a hash needs the same hash for the same key. The functions passed to
// methods are called with the lock of the key's shard held: they must be short, and must not call
// methods of the Group.
type Group[K comparable, J any] struct {
	shards [shards]shard[K, J]
	shared bool
}

// NewGroup returns an empty Group.
//
// A Group is shared if its results are stored where other processes see them. That store then
// decides whether a result may be stored, and this changes two things:
//
//   - A Plain caller may join a discarded flight. Once two fetches of a key run, a further caller
//     does not begin a third one: it joins the younger flight, unless that is over. The result
//     may be older than an invalidation that came before the caller. So the owner must check
//     whether this caller may have it, and let the caller try again if not.
//   - A flight can be sealed after Close, while Drain waits for its fetch, because other
//     processes wait for the result.
func NewGroup[K comparable, J any](shared bool) *Group[K, J] {
	g := &Group[K, J]{shared: shared}
	for i := range g.shards {
		s := &g.shards[i]
		s.lines = make(map[uint64]*line[K, J])
		s.all.next, s.all.prev = &s.all, &s.all
	}
	return g
}

// shard returns the shard of a hash. Bits 48 to 52 choose it.
func (g *Group[K, J]) shard(hash uint64) *shard[K, J] { return &g.shards[hash>>48%shards] }

// Join adds the caller to a flight of key. If there is no flight to join, Join begins one and
// calls begin, which fills in its Job. No other caller sees the flight before begin has returned.
//
// The role says what must happen next. If it is [Leads], the owner starts the fetch. If it is
// [Began], a later call of Finish, Fail or Leave returns the flight as next, and the owner starts
// the fetch then. A caller that stops waiting calls [Link.Waited], whatever the reason. If it has
// no outcome by then, it calls [Group.Leave] too.
//
// look, if not nil, is called first. If it returns true, the caller has found what it wanted, and
// Join returns a nil Flight and a nil error. joins, if not nil, reports whether the caller may
// share the flight it is given. within is the fetch that the caller runs in, or nil.
//
// If the caller may not share the flight whose slot its own needs, its own flight is discarded
// from the beginning: no caller joins it, and nothing is written.
func (g *Group[K, J]) Join(
	key K, hash uint64, kind Kind, joins func(*Flight[K, J]) bool, within *Link,
	look func() bool, begin func(*Flight[K, J]),
) (f *Flight[K, J], role Role, err error) {
	s := g.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, 0, ErrClosed
	}
	if look != nil && look() {
		return nil, 0, nil
	}
	l := s.find(key, hash)
	if f, err = l.share(kind, joins, within); f != nil || err != nil {
		return f, Joined, err
	}
	if kind == Plain && g.shared {
		if f, err = l.shareLast(joins, within); f != nil || err != nil {
			return f, Joined, err
		}
	}
	f = &Flight[K, J]{Key: key, Kind: kind, shard: s, callers: 1, done: make(chan struct{})}
	role = Leads
	switch {
	case l == nil:
		g.start(s.newLine(key, hash), f)
	case kind == Forced && l.forced != nil && l.waiting == nil:
		if !within.waitBehind(f, l.forced) {
			return nil, 0, ErrCycle
		}
		f.line, l.waiting = l, f
		role = Began
	case l.taken(kind): // by a flight that this caller does not join
		if within.isFor(s, key) {
			// The fetch could otherwise begin one flight of its own key within the other without
			// end. Each would be a new node of the graph, so no wait would ever close a cycle.
			return nil, 0, ErrCycle
		}
		if kind == Forced {
			l.discardOpen() // its fetch began earlier, so its result may be older
		}
		f.state = discarded | started
		s.running++
	default:
		g.start(l, f)
	}
	begin(f)
	s.track(f)
	if role == Leads {
		within.wait(f) // this closes no cycle: the new fetch waits for nothing yet
	}
	return f, role, nil
}

// Share is [Group.Join] that begins nothing. It returns nil and no error if there is no flight to
// join.
func (g *Group[K, J]) Share(
	key K, hash uint64, kind Kind, joins func(*Flight[K, J]) bool, within *Link,
) (*Flight[K, J], error) {
	s := g.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	return s.find(key, hash).share(kind, joins, within)
}

// Leave takes back one Join or Share. The caller calls it when it stops waiting without an
// outcome. The flight may have ended since. last reports whether f was not over and nobody waits
// for it any more. Then f is abandoned, and the owner should tell its fetch to stop, if that has
// started. If next is not nil, its fetch must start now.
func (g *Group[K, J]) Leave(f *Flight[K, J]) (last bool, next *Flight[K, J]) {
	s := f.shard
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.callers--; f.callers > 0 || f.state&over != 0 {
		return false, nil
	}
	f.state |= abandoned
	return true, g.end(s, f, context.Canceled)
}

// start puts f into its slot of a line. Its fetch is about to start.
func (g *Group[K, J]) start(l *line[K, J], f *Flight[K, J]) {
	l.start(f)
	if g.shared && f.Kind != Aside {
		f.counted, l.last = l, f
		l.running++
	}
}
