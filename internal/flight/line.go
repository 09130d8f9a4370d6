package flight

// A line holds what goes on for one key. It exists while something does: see shard.tidy. The
// mutex of its shard guards it.
type line[K comparable, J any] struct {
	key   K
	hash  uint64
	chain *line[K, J] // the next line with the same hash

	// The slots. The line field of a flight points here exactly while the flight is in one of
	// them. A flight that is over is in none.
	open    *Flight[K, J] // Plain or Forced, started, neither sealed nor discarded
	aside   *Flight[K, J] // Aside, started, not discarded
	forced  *Flight[K, J] // Forced, started; also the open flight until it is sealed or discarded
	waiting *Flight[K, J] // Forced, not started: it starts when forced is over; forced is not nil

	watch *Watch // nil while nobody watches the key

	// In a shared Group only.
	running int           // fetches of flights that have been in open, started and not finished
	last    *Flight[K, J] // the last of them to start; nil when it has finished
}

// maxRunning is how many fetches of a key run in a shared Group before callers join a discarded
// flight instead of beginning another.
const maxRunning = 2

// share joins the flight of l that a caller of this kind shares. It returns nil if there is none.
// l may be nil.
func (l *line[K, J]) share(
	kind Kind, joins func(*Flight[K, J]) bool, within *Link,
) (*Flight[K, J], error) {
	if l == nil {
		return nil, nil
	}
	return l.joinable(kind).share(joins, within)
}

// shareLast joins the youngest flight, although it is discarded, if maxRunning fetches run. l may
// be nil.
func (l *line[K, J]) shareLast(
	joins func(*Flight[K, J]) bool, within *Link,
) (*Flight[K, J], error) {
	if l == nil || l.running < maxRunning || l.last == nil ||
		l.last.state&(discarded|over) != discarded {
		return nil, nil
	}
	return l.last.share(joins, within)
}

// share adds a caller to f, unless joins refuses f. f may be nil.
func (f *Flight[K, J]) share(joins func(*Flight[K, J]) bool, within *Link) (*Flight[K, J], error) {
	if f == nil || joins != nil && !joins(f) {
		return nil, nil
	}
	if !within.wait(f) {
		return nil, ErrCycle
	}
	f.callers++
	return f, nil
}

// taken reports whether the slot for a new flight of this kind has a flight in it.
func (l *line[K, J]) taken(kind Kind) bool {
	switch kind {
	case Forced:
		return l.forced != nil
	case Aside:
		return l.aside != nil
	default:
		return l.open != nil
	}
}

// joinable returns the flight that a caller of this kind shares, or nil.
func (l *line[K, J]) joinable(kind Kind) *Flight[K, J] {
	switch {
	case kind == Forced:
		return l.waiting
	case l.open == nil && kind == Aside:
		return l.aside
	default:
		return l.open
	}
}

// start puts f into the slots of a flight whose fetch runs. A flight that may write discards the
// open one.
func (l *line[K, J]) start(f *Flight[K, J]) {
	f.line = l
	f.state |= started
	f.shard.running++
	if f.Kind == Aside {
		l.aside = f
		return
	}
	l.discardOpen()
	l.open = f
	if f.Kind == Forced {
		l.forced = f
	}
}

// discardOpen discards the open flight, if there is one. A forced flight stays in its other slot
// until it is over: the waiting flight starts then.
func (l *line[K, J]) discardOpen() {
	f := l.open
	if f == nil {
		return
	}
	f.state |= discarded
	l.open = nil
	if l.forced != f {
		f.line = nil
	}
}

// discardAside discards the aside flight, if there is one.
func (l *line[K, J]) discardAside() {
	if f := l.aside; f != nil {
		f.state |= discarded
		l.aside, f.line = nil, nil
	}
}
