package flight

// A line is what goes on for one key. It exists while something does.
type line[K comparable, J any] struct {
	key     K
	hash    uint64
	chain   *line[K, J]
	open    *Flight[K, J] // may be joined, and may write
	aside   *Flight[K, J]
	forced  *Flight[K, J] // the forced flight that runs: open, or void with callers still waiting for it
	waiting *Flight[K, J] // forced; starts when forced has ended
	watch   *Watch

	// In a shared Group only.
	running int           // functions of flights that may write, or might have: started and not finished
	last    *Flight[K, J] // the last of them to start
}

// A Watch sees whether a key is invalidated. It is for one who computes a value without a flight.
type Watch struct{ void bool }

// Void reports whether the key was invalidated since the watch began. It is for functions that Change calls.
func (w *Watch) Void() bool { return w.void }

// maxRunning is how many functions of a key a shared Group has running before it lets callers join one that is void.
const maxRunning = 2

// share joins the flight of a line, which may be nil, if there is one to join.
func (l *line[K, J]) share(kind Kind, joins func(*Flight[K, J]) bool, within *Link) (*Flight[K, J], error) {
	if l == nil {
		return nil, nil
	}
	return l.joinable(kind).share(joins, within)
}

// shareLast joins the youngest flight, void as it is, if as many functions run as may.
func (l *line[K, J]) shareLast(joins func(*Flight[K, J]) bool, within *Link) (*Flight[K, J], error) {
	if l == nil || l.running < maxRunning || l.last == nil || l.last.state&(void|over) != void {
		return nil, nil
	}
	return l.last.share(joins, within)
}

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

// taken reports whether a flight of this kind has no place in the line.
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

func (l *line[K, J]) start(f *Flight[K, J]) {
	f.line = l
	f.state |= started
	f.shard.running++
	if f.Kind == Aside {
		l.aside = f
		return
	}
	l.voidOpen()
	l.open = f
	if f.Kind == Forced {
		l.forced = f
	}
}

func (l *line[K, J]) voidOpen() {
	f := l.open
	if f == nil {
		return
	}
	f.state |= void
	l.open = nil
	if l.forced != f {
		f.line = nil
	}
}

func (l *line[K, J]) voidAside() {
	if f := l.aside; f != nil {
		f.state |= void
		l.aside, f.line = nil, nil
	}
}
