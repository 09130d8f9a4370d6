// Package flight decides who shares whose fetch. It runs nothing and waits for nothing: its owner calls
// the function, and tells the [Group] what happened. So every order of events can be tried in a test.
//
// A flight is one call of a function for one key. Callers join it; it is over when its outcome is known to all of
// them. In between it may be
//
//   - sealed: its value is being written, nobody joins any more;
//   - void: an invalidation came in between. Who joined before gets the outcome, nobody joins any more,
//     and nothing is written;
//   - abandoned: all callers have left. The function may still run, for nobody.
//
// A key has at most one flight that may write, the open one. Beside it there may be
//
//   - one aside: begun for callers who do not want the value written, joined only by such;
//   - one waiting: begun for callers who want a function that starts after their call (Forced) while such a
//     one runs already. It starts when that one has ended, and takes in all who come until then. So however many
//     callers force, one function runs for them and one waits.
//
// A forced flight that starts makes the open flight void: what that one brings is older.
//
// Where results are stored for other processes too, a Group is shared: see [NewGroup].
package flight

import (
	"context"
	"errors"
)

// ErrClosed is what Join returns after Close.
var ErrClosed = errors.New("zodiac: closed")

// ErrCycle is what Join returns to a function that would wait for itself.
var ErrCycle = errors.New("zodiac: a fetch waits for its own result: it asks its loader, directly or through others, for the key it is fetching")

// A Kind says what a caller wants of a flight.
type Kind uint8

// The kinds.
const (
	Plain  Kind = iota // joins the open flight, or begins it
	Aside              // joins any flight that runs, or begins one that writes nothing
	Forced             // wants a function that starts after now
)

// A Role says what a caller is to a flight.
type Role uint8

// The roles.
const (
	Joined Role = iota // others began it
	Began              // began it; it starts later
	Leads              // began it, and must start its function now
)

// A Group holds the flights of one cache, J being what its owner keeps with each. Make it with NewGroup. Its methods
// are safe for concurrent use. Functions given to them are called under the lock of the key's shard: they must be
// short, and must not call the Group.
type Group[K comparable, J any] struct {
	shards [shards]shard[K, J]
	shared bool
}

// A Flight is one call of a function for one key.
type Flight[K comparable, J any] struct {
	Key  K
	Kind Kind
	Job  J // the owner's: what to do, and what came of it

	shard      *shard[K, J]
	line       *line[K, J]   // the line that has f in one of its fields, or nil
	counted    *line[K, J]   // the line that counts f's function among those that run, or nil
	next, prev *Flight[K, J] // in the shard's ring
	callers    int32
	state      state
	done       chan struct{}
	err        error // fixed when done is closed
}

type state uint8

const (
	started state = 1 << iota
	void
	sealed
	abandoned
	over // the outcome is known, or nobody wants it
)

// NewGroup returns an empty Group. It is shared if results are stored where other processes see them. Then whether a result
// may be stored is decided there, and a void flight may be joined by those who are content to try again: once two functions of
// a key run, nobody begins a third, but joins the younger. And flights may still be sealed after Close, while Drain waits
// for them: other processes wait for what they bring.
func NewGroup[K comparable, J any](shared bool) *Group[K, J] {
	g := &Group[K, J]{shared: shared}
	for i := range g.shards {
		s := &g.shards[i]
		s.lines = make(map[uint64]*line[K, J])
		s.all.next, s.all.prev = &s.all, &s.all
	}
	return g
}

func (g *Group[K, J]) shard(hash uint64) *shard[K, J] { return &g.shards[hash>>48%shards] }

// Join makes the caller one of those who wait for a flight of key. If there is none to join, a new one begins
// with what begin puts into it. When the caller waits no more, for whatever reason, it calls within.Waited; if it has no
// outcome by then, Leave too.
//
// Before that look, which may be nil, is called: if it returns true, the caller has found what it wanted and Join returns
// nil. joins, which may be nil, says of a flight whether this caller may share it; if there is none, and no place for
// another that may write, the caller's own writes nothing. within is the flight in whose function the caller runs, or nil.
func (g *Group[K, J]) Join(key K, hash uint64, kind Kind, joins func(*Flight[K, J]) bool, within *Link, look func() bool, begin func(*Flight[K, J])) (f *Flight[K, J], role Role, err error) {
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
	case l.taken(kind): // by one that this caller does not join
		if within.isFor(s, key) {
			return nil, 0, ErrCycle // else it could begin one within the other without end
		}
		if kind == Forced {
			l.voidOpen() // what that brings is older
		}
		f.state = void | started
		s.running++
	default:
		g.start(l, f)
	}
	begin(f)
	s.track(f)
	if role == Leads {
		within.wait(f) // which waits for nothing yet
	}
	return f, role, nil
}

// Share is Join that begins nothing: it returns nil if there is no flight to join.
func (g *Group[K, J]) Share(key K, hash uint64, kind Kind, joins func(*Flight[K, J]) bool, within *Link) (*Flight[K, J], error) {
	s := g.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	return s.find(key, hash).share(kind, joins, within)
}

// start puts f into its place in a line, as its function is about to start.
func (g *Group[K, J]) start(l *line[K, J], f *Flight[K, J]) {
	l.start(f)
	if g.shared && f.Kind != Aside {
		f.counted, l.last = l, f
		l.running++
	}
}

// Seal ends the joining of f, unless f is void, abandoned, or the group closed: then it returns false, and nothing may be
// written. If it returns true the key is locked: the caller writes the value, which must not panic, and calls Unseal at
// once. (A function to be called under the lock would be safer, but the goroutine of a flight has no room on its stack for
// two calls more.)
func (g *Group[K, J]) Seal(f *Flight[K, J]) bool {
	s := f.shard
	s.mu.Lock()
	if f.state&(void|abandoned|over) != 0 || s.closed && !g.shared {
		s.mu.Unlock()
		return false
	}
	f.state |= sealed
	l := f.line
	l.open = nil
	if f.Kind == Forced {
		// Else a reader who finds the new value gone again could join a function that began before it.
		l.voidAside()
	} else {
		f.line = nil
		s.tidy(l)
	}
	return true
}

// Unseal unlocks the key of a flight that Seal has locked.
func (g *Group[K, J]) Unseal(f *Flight[K, J]) { f.shard.mu.Unlock() }

// Finish tells the callers that the outcome is in the Job, or the error. If next is not nil, its function must be started now.
func (g *Group[K, J]) Finish(f *Flight[K, J], err error) (next *Flight[K, J]) {
	s := f.shard
	s.mu.Lock()
	defer s.mu.Unlock()
	next = g.end(s, f, err)
	s.uncount(f) // whoever is told now, and tries again, must not find one more running than there is
	return next
}

// Returned reports that f's function has returned and its goroutine is about to end. Drain waits for that.
func (g *Group[K, J]) Returned(f *Flight[K, J]) {
	s := f.shard
	s.mu.Lock()
	defer s.mu.Unlock()
	g.returned(f)
}

func (g *Group[K, J]) returned(f *Flight[K, J]) {
	s := f.shard
	s.uncount(f)
	if s.running--; s.running == 0 && s.idle != nil {
		close(s.idle)
		s.idle = nil
	}
}

// Fail gives err to the callers of f without waiting for the function, which runs for nobody from now on. If next is
// not nil, its function must be started now.
func (g *Group[K, J]) Fail(f *Flight[K, J], err error) (next *Flight[K, J]) {
	s := f.shard
	s.mu.Lock()
	defer s.mu.Unlock()
	f.state |= abandoned
	return g.end(s, f, err)
}

// FailAll does the same to all flights, those that have not started included, and calls each for every one.
func (g *Group[K, J]) FailAll(err error, each func(*Flight[K, J])) {
	for i := range g.shards {
		s := &g.shards[i]
		s.mu.Lock()
		for s.all.next != &s.all {
			f := s.all.next
			f.state |= abandoned
			if next := g.end(s, f, err); next != nil {
				g.returned(next) // it ends before it has started
			}
			each(f)
		}
		s.mu.Unlock()
	}
}

// Leave takes back one Join, before its caller has its outcome. last is true if nobody waits for f any more: it is
// abandoned, and if it has started its function should be told to stop. If next is not nil, its function must be started
// now.
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

// Change calls do under the key's lock: nothing of key is sealed meanwhile. If do returns true, the key's flights
// are void.
func (g *Group[K, J]) Change(key K, hash uint64, do func() (invalidates bool)) {
	s := g.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !do() {
		return
	}
	if l := s.find(key, hash); l != nil {
		s.void(l)
	}
}

// Watch watches a key, which nobody else may watch at that time, until Unwatch.
func (g *Group[K, J]) Watch(key K, hash uint64) *Watch {
	s := g.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.find(key, hash)
	if l == nil {
		l = s.newLine(key, hash)
	}
	l.watch = new(Watch)
	return l.watch
}

// Unwatch ends the watch of a key.
func (g *Group[K, J]) Unwatch(key K, hash uint64) {
	s := g.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.find(key, hash)
	l.watch = nil
	s.tidy(l)
}

// VoidAll invalidates the flights of all keys.
func (g *Group[K, J]) VoidAll() {
	for i := range g.shards {
		s := &g.shards[i]
		s.mu.Lock()
		for _, l := range s.lines {
			for l != nil {
				next := l.chain
				s.void(l)
				l = next
			}
		}
		s.mu.Unlock()
	}
}

// Close refuses all further joins and seals. Flights that run go on, and those that wait still start.
func (g *Group[K, J]) Close() {
	for i := range g.shards {
		s := &g.shards[i]
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
	}
}

// Drain waits, after Close, until every function has returned, or ctx has ended.
func (g *Group[K, J]) Drain(ctx context.Context) error {
	for i := range g.shards {
		select {
		case <-g.shards[i].drained():
		default:
			select {
			case <-g.shards[i].drained():
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}

// Wait returns true when the outcome is known, or false if end, which may be nil, is closed before.
func (f *Flight[K, J]) Wait(end <-chan struct{}) bool {
	if end == nil { // much cheaper than a select
		<-f.done
		return true
	}
	select {
	case <-f.done:
		return true
	case <-end:
	}
	select { // both at once: the outcome is worth more
	case <-f.done:
		return true
	default:
		return false
	}
}

// Wanted reports whether callers wait for f. It is for functions that Change calls.
func (f *Flight[K, J]) Wanted() bool { return f.state&(abandoned|over) == 0 }

// Err returns the error that Finish or Fail gave to the callers. Wait must have returned true. If it is nil, the Job has what the
// function brought.
func (f *Flight[K, J]) Err() error { return f.err }

// end gives the outcome to the callers, takes f out of its line, and starts who waited for that. The first end
// counts.
func (g *Group[K, J]) end(s *shard[K, J], f *Flight[K, J], err error) (next *Flight[K, J]) {
	if f.state&over != 0 {
		return nil
	}
	f.state |= over
	f.err = err
	close(f.done)
	f.prev.next, f.next.prev = f.next, f.prev
	f.next, f.prev = nil, nil

	l := f.line
	if l == nil {
		return nil
	}
	f.line = nil
	switch f {
	case l.waiting:
		l.waiting = nil
		forget(f, l.forced)
	case l.aside:
		l.aside = nil
	case l.forced:
		l.forced = nil
		if l.open == f {
			l.open = nil
		}
		if next = l.waiting; next != nil {
			l.waiting = nil
			forget(next, f)
			g.start(l, next)
		}
	default:
		l.open = nil
	}
	s.tidy(l)
	return next
}
