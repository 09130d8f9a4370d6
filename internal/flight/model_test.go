package flight

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// The model knows flights as a list in order of their beginning, and finds what it needs by looking at all of them. It
// has no slots to keep up to date, so there is nothing in it to go wrong. After every event the Group is held
// against it, field by field.

// A world is a Group and its model, through the same events, for one key.
type world struct {
	group   *Group[string, int]
	real    []*Flight[string, int] // in order of their beginning, as flights
	flights []flightModel
	limits  limits // what may still happen
	closed  bool
	failed  bool            // FailAll was called
	drained <-chan struct{} // what Drain waits for; since Close
}

// limits says what may happen, and how often.
type limits struct {
	callers int
	voids   int // the first a Change, the second a VoidAll
	fails   int
	lates   int  // callers who leave though the outcome is known: their own context ended at the same moment
	close   bool // Close and FailAll; and functions return some time after their flight has ended, not at once
	nested  bool // functions ask for the key themselves
	alone   bool // some callers join nothing that others began
}

// A flightModel is what has happened to a flight.
type flightModel struct {
	kind      Kind
	phase     phase // of its function
	stray     bool  // begun by a caller alone beside another, and void from the beginning
	void      bool
	tried     bool // its owner has asked for the seal, once
	sealed    bool
	abandoned bool // all have left, or it was failed
	over      bool
	err       error    // once over
	callers   [5]uint8 // who wait: from outside, and from within the functions of flights 0 to 3
}

func (f *flightModel) waiters() (n int) {
	for _, c := range f.callers {
		n += int(c)
	}
	return n
}

type phase uint8

const (
	waits phase = iota
	runs
	finished // the outcome is given; its goroutine has yet to end
	returned
)

const outside = -1

// An event is one thing that may happen to a Group.
type event struct {
	op     op
	flight int
	kind   Kind // of who arrives
	alone  bool
	within int // the flight whose function arrives or leaves, or outside
}

type op uint8

const (
	arrive op = iota
	leave
	seal
	finish
	fail
	end
	change
	voidAll
	closing
	failAll
)

func (e event) String() string {
	name := [...]string{"arrive", "leave", "seal", "finish", "fail", "returned", "change", "voidAll", "close", "failAll"}[e.op]
	switch e.op {
	case change, voidAll, closing, failAll:
		return name
	case arrive:
		name = [...]string{"plain", "aside", "forced"}[e.kind]
		if e.alone {
			name += "-alone"
		}
	default:
		name = fmt.Sprintf("%s(%d)", name, e.flight)
	}
	if e.within != outside {
		name += fmt.Sprintf("-within-%d", e.within)
	}
	return name
}

const key, keyHash = "k", 7

// The errors flights end with, so that one can be told from another.
var (
	finishes   = [...]error{nil, errors.New("1 finished"), errors.New("2 finished"), errors.New("3 finished")}
	failures   = [...]error{errors.New("0 failed"), errors.New("1 failed"), errors.New("2 failed"), errors.New("3 failed")}
	errFailAll = errors.New("all failed")
)

func newWorld(l limits) *world {
	clear(graph.on) // of worlds that were left in the middle
	return &world{group: NewGroup[string, int](false), limits: l}
}

// only returns the one flight that is not over and matches, or -1. That there is but one is a promise.
func (w *world) only(what string, match func(*flightModel) bool) int {
	found := -1
	for i := range w.flights {
		if f := &w.flights[i]; !f.over && match(f) {
			if found >= 0 {
				panic(fmt.Sprintf("flights %d and %d are both %s", found, i, what))
			}
			found = i
		}
	}
	return found
}

func (f *flightModel) joinable() bool {
	return !f.void && !f.sealed && f.phase != waits
}

func (w *world) open() int {
	return w.only("open", func(f *flightModel) bool { return f.kind != Aside && f.joinable() })
}

func (w *world) aside() int {
	return w.only("aside", func(f *flightModel) bool { return f.kind == Aside && f.joinable() })
}

func (w *world) forced() int {
	return w.only("forced and running", func(f *flightModel) bool { return f.kind == Forced && f.phase != waits && !f.stray })
}

func (w *world) waiting() int {
	return w.only("waiting", func(f *flightModel) bool { return f.phase == waits })
}

// target returns the flight that one who arrives now shares, or -1 if it begins one.
func (w *world) target(e event) int {
	switch {
	case e.alone:
		return -1
	case e.kind == Forced:
		return w.waiting()
	case e.kind == Aside && w.open() < 0:
		return w.aside()
	}
	return w.open()
}

// rival returns the flight that has the place of a new one of kind k, or -1.
func (w *world) rival(k Kind) int {
	return [...]int{Plain: w.open(), Aside: w.aside(), Forced: w.forced()}[k]
}

// waitsFor reports whether flight i is over only after the function of flight in has returned, which is in itself or one
// of those that its function waits for.
func (w *world) waitsFor(i, in int) bool {
	if i == in {
		return true
	}
	if f := &w.flights[i]; !f.over && f.phase == waits && w.waitsFor(w.forced(), in) {
		return true
	}
	for j := range w.flights {
		if f := &w.flights[j]; !f.over && f.callers[i+1] > 0 && w.waitsFor(j, in) {
			return true
		}
	}
	return false
}

// start is what the model knows of a function that starts.
func (w *world) start(i int) {
	f := &w.flights[i]
	if open := w.open(); f.kind != Aside && open >= 0 {
		w.flights[open].void = true
	}
	f.phase = runs
}

// end ends a flight in the model, and returns the one that starts by that, or -1.
func (w *world) end(i int, err error) int {
	f := &w.flights[i]
	if f.over {
		return -1
	}
	w.over(i, err)
	next := w.waiting()
	if next >= 0 && w.forced() < 0 {
		w.start(next)
		return next
	}
	return -1
}

// over gives the outcome to the callers of a flight, who wait no longer.
func (w *world) over(i int, err error) {
	f := &w.flights[i]
	f.over, f.err = true, err
	for within, n := range f.callers {
		for range n {
			w.link(within - 1).Waited(w.real[i])
		}
	}
	if w.limits.lates == 0 {
		f.callers = [5]uint8{}
	}
}

func (w *world) void() {
	for i := range w.flights {
		if f := &w.flights[i]; !f.over && f.joinable() {
			f.void = true
		}
	}
}

// running returns the number of functions that have started and not returned.
func (w *world) running() (n int) {
	for i := range w.flights {
		if p := w.flights[i].phase; p == runs || p == finished {
			n++
		}
	}
	return n
}

// enabled returns the events that may come next.
func (w *world) enabled() (events []event) {
	events = w.arrivals(outside, events)
	for i := range w.flights {
		events = w.enabledFor(i, events)
	}
	switch w.limits.voids {
	case 2:
		events = append(events, event{op: change})
	case 1:
		events = append(events, event{op: voidAll})
	}
	if w.limits.close && !w.closed {
		events = append(events, event{op: closing})
	}
	if w.closed && !w.failed {
		events = append(events, event{op: failAll})
	}
	return events
}

func (w *world) arrivals(within int, events []event) []event {
	if w.limits.callers == 0 {
		return events
	}
	for k := range Forced + 1 {
		events = append(events, event{op: arrive, kind: k, within: within})
		if w.limits.alone {
			events = append(events, event{op: arrive, kind: k, within: within, alone: true})
		}
	}
	return events
}

func (w *world) enabledFor(i int, events []event) []event {
	f := &w.flights[i]
	add := func(o op) { events = append(events, event{op: o, flight: i, within: outside}) }
	if !f.over || w.limits.lates > 0 {
		for within, n := range f.callers {
			if n > 0 {
				events = append(events, event{op: leave, flight: i, within: within - 1})
			}
		}
	}
	switch f.phase {
	case runs:
		if !f.tried && f.kind != Aside {
			add(seal)
		}
		add(finish)
		if w.limits.nested {
			events = w.arrivals(i, events)
		}
	case finished:
		add(end)
	}
	if f.phase == runs && !f.over && w.limits.fails > 0 {
		add(fail)
	}
	return events
}

// do lets e happen to both, and returns what is wrong with the Group then.
func (w *world) do(e event) (fault string) {
	defer func() {
		if p := recover(); p != nil {
			fault = fmt.Sprint(p)
		}
	}()
	switch e.op {
	case arrive:
		w.arrive(e)
	case leave:
		w.leave(e)
	case seal:
		w.seal(e.flight)
	case finish:
		w.flights[e.flight].phase = finished
		w.begun(w.end(e.flight, finishes[e.flight]), w.group.Finish(w.real[e.flight], finishes[e.flight]))
		if !w.limits.close {
			w.flights[e.flight].phase = returned
			w.group.Returned(w.real[e.flight])
		}
	case fail:
		w.limits.fails--
		w.flights[e.flight].abandoned = true
		w.begun(w.end(e.flight, failures[e.flight]), w.group.Fail(w.real[e.flight], failures[e.flight]))
	case end:
		w.flights[e.flight].phase = returned
		w.group.Returned(w.real[e.flight])
	case change:
		w.limits.voids--
		w.void()
		w.group.Change(key, keyHash, func() bool { return true })
	case voidAll:
		w.limits.voids--
		w.void()
		w.group.VoidAll()
	case closing:
		w.closed = true
		w.group.Close()
		w.drained = w.group.shard(keyHash).drained()
	case failAll:
		w.failAll()
	}
	return ""
}

func (w *world) arrive(e event) {
	w.limits.callers--
	looked, began := 0, 0
	f, role, err := ask(w.group, key, keyHash, e.kind, e.alone, w.link(e.within),
		func() bool { looked++; return false },
		func(*Flight[string, int]) { began++ })
	if w.closed {
		expect(errors.Is(err, ErrClosed) && f == nil && looked+began == 0, "Join after Close = %p, %v, %v", f, role, err)
		return
	}
	expect(looked == 1, "Join looked %d times", looked)
	target := w.target(e)
	waits := target < 0 && e.kind == Forced && w.forced() >= 0 && w.waiting() < 0
	if e.within != outside && (target >= 0 && w.waitsFor(target, e.within) || waits && w.waitsFor(w.forced(), e.within)) {
		expect(errors.Is(err, ErrCycle) && f == nil && began == 0, "Join of what waits for the caller = %p, %v, %v", f, role, err)
		return
	}
	stray := w.stray(e, waits)
	if stray && e.within != outside { // the functions of this world are all for one key
		expect(errors.Is(err, ErrCycle) && f == nil && began == 0, "Join within a flight of the key = %p, %v, %v", f, role, err)
		return
	}
	expect(err == nil && f != nil, "Join = %p, %v, %v", f, role, err)
	if target >= 0 {
		w.joined(e, target, f)
		expect(role == Joined && began == 0, "Join has role %v, and began %d flights", role, began)
		return
	}
	expect(began == 1 && !slices.Contains(w.real, f), "Join joined what it should not have")
	w.begin(e, f, waits, stray)
	expect(role == Began && waits || role == Leads && !waits, "Join has role %v; the new flight waits: %v", role, waits)
}

func (w *world) link(within int) *Link {
	if within == outside {
		return nil
	}
	return &Link{Flight: w.real[within]}
}

func (w *world) joined(e event, target int, f *Flight[string, int]) {
	expect(f == w.real[target], "Join began a flight or joined another; want %d", target)
	expect(f.state&(void|sealed|abandoned|over) == 0, "joined a flight in state %b", f.state)
	expect(e.kind != Forced || f.state&started == 0, "a forced caller joined a function that had started")
	expect(e.kind == Aside || f.Kind != Aside, "a caller that wants the value written joined one that writes nothing")
	w.flights[target].callers[e.within+1]++
}

// stray reports whether one who arrives begins a flight that has no place in the line.
func (w *world) stray(e event, waits bool) bool {
	return e.alone && !waits && w.rival(e.kind) >= 0
}

func (w *world) begin(e event, f *Flight[string, int], waits, stray bool) {
	m := flightModel{kind: e.kind}
	m.callers[e.within+1]++
	if stray {
		if open := w.open(); e.kind == Forced && open >= 0 {
			w.flights[open].void = true
		}
		m.stray, m.void, m.phase = true, true, runs
	}
	w.real, w.flights = append(w.real, f), append(w.flights, m)
	if !waits && !m.stray {
		w.start(len(w.flights) - 1)
	}
}

func (w *world) leave(e event) {
	f := &w.flights[e.flight]
	if f.callers[e.within+1]--; f.over {
		w.limits.lates--
	} else {
		w.link(e.within).Waited(w.real[e.flight])
	}
	want, next := f.waiters() == 0 && !f.over, -1
	if want {
		f.abandoned = true
		next = w.end(e.flight, errLeft)
	}
	last, realNext := w.group.Leave(w.real[e.flight])
	expect(last == want, "Leave(%d): last = %v", e.flight, last)
	w.begun(next, realNext)
}

// errLeft stands for the error that nobody is left to see.
var errLeft = errors.New("nobody waits")

func (w *world) seal(i int) {
	f := &w.flights[i]
	want := !f.void && !f.over && !w.closed
	f.tried = true
	aside := w.aside()
	committed := 0
	ok := commit(w.group, w.real[i], func() { committed++ })
	expect(ok == want, "Seal(%d) = %v", i, ok)
	expect(ok == (committed == 1), "Seal(%d) = %v and committed %d times", i, ok, committed)
	if ok {
		f.sealed = true
		if f.kind == Forced && aside >= 0 {
			w.flights[aside].void = true
		}
	}
}

func (w *world) failAll() {
	w.failed = true
	var want, got []*Flight[string, int]
	for i := range w.flights {
		if f := &w.flights[i]; !f.over {
			f.abandoned = true
			w.over(i, errFailAll)
			want = append(want, w.real[i])
			if f.phase == waits {
				f.phase = returned // it never runs
			}
		}
	}
	w.group.FailAll(errFailAll, func(f *Flight[string, int]) { got = append(got, f) })
	expect(slices.Equal(got, want), "FailAll ended %d flights; want %d", len(got), len(want))
}

// begun checks that the Group hands out exactly the flight whose function is to start.
func (w *world) begun(want int, got *Flight[string, int]) {
	if want < 0 {
		expect(got == nil, "handed out a flight to be started; want none")
		return
	}
	expect(got == w.real[want], "did not hand out flight %d to be started", want)
}

// check holds the Group against the model, and returns where they differ.
func (w *world) check() (fault string) {
	defer func() {
		if p := recover(); p != nil {
			fault = fmt.Sprint(p)
		}
	}()
	s := w.group.shard(keyHash)
	w.checkFlights(s)
	w.checkLine(s)
	w.checkGraph()
	expect(s.running == w.running(), "%d functions run; the Group counts %d", w.running(), s.running)
	expect(s.closed == w.closed, "closed: %v; want %v", s.closed, w.closed)
	expect(s.spare == nil || *s.spare == line[string, int]{}, "the spare line has a flight in it")
	if w.drained != nil {
		expect(isClosed(w.drained) == (w.running() == 0), "drained: %v, with %d functions running", isClosed(w.drained), w.running())
	}
	if waiting := w.waiting(); waiting >= 0 {
		forced := w.forced()
		expect(forced >= 0 && w.flights[forced].phase == runs, "flight %d waits and nothing will start it", waiting)
	}
	return ""
}

func (w *world) checkFlights(s *shard[string, int]) {
	at := s.all.next
	for i, f := range w.real {
		m := &w.flights[i]
		expect(m.over && w.limits.lates == 0 || int(f.callers) == m.waiters(), "flight %d has %d callers; want %d", i, f.callers, m.waiters())
		expect(isClosed(f.done) == m.over, "flight %d is over: %v; want %v", i, isClosed(f.done), m.over)
		expect(f.state&sealed != 0 == m.sealed, "flight %d has state %b", i, f.state)
		expect(m.over || f.state&void != 0 == m.void, "flight %d has state %b", i, f.state)
		expect(f.state&abandoned != 0 == m.abandoned, "flight %d has state %b", i, f.state)
		if m.over {
			expect(m.err == errLeft || f.Err() == m.err, //nolint:errorlint // the very error
				"flight %d ended with %v; want %v", i, f.Err(), m.err)
			expect(f.next == nil && f.prev == nil, "flight %d is over and in the ring", i)
			continue
		}
		expect(at == f && f.next.prev == f && f.prev.next == f, "flight %d is not in its place in the ring", i)
		at = f.next
	}
	expect(at == &s.all && at.prev.next == at, "the ring goes on behind the last flight")
}

func (w *world) checkLine(s *shard[string, int]) {
	open, aside, forced, waiting := w.at(w.open()), w.at(w.aside()), w.at(w.forced()), w.at(w.waiting())
	l := s.find(key, keyHash)
	if l == nil {
		expect(open == nil && aside == nil && forced == nil && waiting == nil, "the line is gone with flights in it")
		l = new(line[string, int])
	}
	expect(l.open == open, "the open flight is %p; want %p", l.open, open)
	expect(l.aside == aside, "the aside flight is %p; want %p", l.aside, aside)
	expect(l.forced == forced, "the forced flight is %p; want %p", l.forced, forced)
	expect(l.waiting == waiting, "the waiting flight is %p; want %p", l.waiting, waiting)
	for i, f := range w.real {
		in := f == open || f == aside || f == forced || f == waiting
		expect(in == (f.line != nil) && (!in || f.line == l), "flight %d: in its line: %v, but it has %p", i, in, f.line)
	}
	over := !slices.ContainsFunc(w.flights, func(f flightModel) bool { return !f.over })
	expect(!over || len(s.lines) == 0, "%d lines are left when all is over", len(s.lines))
}

// checkGraph checks that those wait for each other who do, and none for itself.
func (w *world) checkGraph() {
	edges := 0
	for i, f := range w.real {
		var want []Node
		if m := &w.flights[i]; !m.over && m.phase == waits {
			want = append(want, w.at(w.forced()))
		}
		for j, m := range w.flights {
			if n := m.callers[i+1]; n > 0 && !m.over {
				want = append(want, slices.Repeat([]Node{w.real[j]}, int(n))...)
				expect(!w.waitsFor(j, i), "flights %d and %d wait for each other", i, j)
			}
		}
		got := graph.on[f]
		same := len(got) == len(want)
		for _, to := range want {
			same = same && count(got, to) == count(want, to)
		}
		expect(same, "flight %d waits for %d others; want %d", i, len(got), len(want))
		edges += min(1, len(got))
	}
	expect(len(graph.on) == edges, "%d flights wait; want %d", len(graph.on), edges)
}

func count(all []Node, x Node) (n int) {
	for _, y := range all {
		if x == y {
			n++
		}
	}
	return n
}

func (w *world) at(i int) *Flight[string, int] {
	if i < 0 {
		return nil
	}
	return w.real[i]
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func expect(ok bool, format string, args ...any) {
	if !ok {
		panic(fmt.Sprintf(format, args...))
	}
}

// A position is all that the future depends on. check has made sure that the Group is in no other one than the
// model, and keeps nothing of a flight that is over.
type position struct {
	flights        [4]flightModel
	limits         limits
	closed, failed bool
	spare          bool
}

func (w *world) position() position {
	p := position{limits: w.limits, closed: w.closed, failed: w.failed, spare: w.group.shard(keyHash).spare != nil}
	i := 0
	for _, f := range w.flights {
		if f.over {
			f = w.remains(f)
		}
		if f != (flightModel{}) {
			p.flights[i] = f
			i++
		}
	}
	return p
}

// remains returns what still counts of a flight that is over.
func (w *world) remains(f flightModel) flightModel {
	if f.phase == returned && w.limits.lates == 0 && !w.limits.nested { // nested: flights go by their numbers
		return flightModel{}
	}
	return flightModel{over: true, phase: f.phase, tried: f.tried || f.kind == Aside, callers: f.callers}
}

// An explorer tries all orders of events.
type explorer struct {
	t      *testing.T
	limits limits
	depth  int                  // the most events in an order; 0 = until nothing can happen any more
	orders map[position]float64 // how many orders begin in a position; nil: all are gone through, none counted
	events int
}

// explore returns how many orders of events follow path, which has led to w.
func (x *explorer) explore(w *world, path []event) (orders float64) {
	next := w.enabled()
	if len(next) == 0 || x.depth > 0 && len(path) == x.depth {
		x.finish(w, path, len(next) == 0)
		return 1
	}
	for i, e := range next {
		if i > 0 {
			w = x.replay(path)
		}
		if fault := x.step(w, e); fault != "" {
			x.t.Fatalf("after %v: %s", append(slices.Clone(path), e), fault)
		}
		if x.orders == nil {
			orders += x.explore(w, append(path, e))
			continue
		}
		p := w.position()
		n, known := x.orders[p]
		if !known {
			n = x.explore(w, append(path, e))
			x.orders[p] = n
		}
		orders += n
	}
	return orders
}

// replay leads a fresh Group through events that were checked before.
func (x *explorer) replay(path []event) *world {
	w := newWorld(x.limits)
	for _, e := range path {
		w.do(e)
	}
	x.events += len(path)
	return w
}

func (x *explorer) step(w *world, e event) (fault string) {
	x.events++
	if fault = w.do(e); fault == "" {
		fault = w.check()
	}
	return fault
}

// finish checks that nobody is left waiting when nothing can happen any more.
func (x *explorer) finish(w *world, path []event, last bool) {
	if !last {
		return
	}
	for i, f := range w.flights {
		if !f.over || f.phase != returned && f.phase != waits {
			x.t.Fatalf("after %v: flight %d never ends", path, i)
		}
	}
}

func (l limits) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "callers=%d_voids=%d_fails=%d_lates=%d", l.callers, l.voids, l.fails, l.lates)
	if l.close {
		s.WriteString("_close")
	}
	if l.nested {
		s.WriteString("_nested")
	}
	if l.alone {
		s.WriteString("_alone")
	}
	return s.String()
}

// Every order of events, to its end. Orders that have led to one position share what follows, so each position is gone
// on from once.
func TestEveryOrderOfEventsKeepsThePromises(t *testing.T) {
	all := []limits{
		{callers: 3, voids: 2, fails: 1, close: true},
		{callers: 3, voids: 2, fails: 1, lates: 1},
		{callers: 3, voids: 1, fails: 1, nested: true},
		{callers: 3, voids: 1, fails: 1, alone: true, close: true},
		{callers: 3, nested: true, alone: true},
		{callers: 4, voids: 1, fails: 1},
	}
	switch {
	case testing.Short():
		all = []limits{{callers: 3, voids: 1, fails: 1}, {callers: 2, voids: 2, lates: 1, close: true}, {callers: 3, nested: true}, {callers: 3, alone: true}}
	case raceEnabled:
		all = []limits{
			{callers: 3, voids: 1, close: true},
			{callers: 3, voids: 1, fails: 1},
			{callers: 2, voids: 2, fails: 1, lates: 1, close: true},
			{callers: 3, voids: 1, nested: true},
			{callers: 3, voids: 1, alone: true},
		}
	}
	for _, l := range all {
		t.Run(l.String(), func(t *testing.T) {
			x := &explorer{t: t, limits: l, orders: map[position]float64{}}
			n := x.explore(newWorld(l), nil)
			t.Logf("%.3g orders, %d positions, %d events", n, len(x.orders), x.events)
		})
	}
}

// The same for the first few events, but no two orders taken for one: should a position be more than the test
// knows, this does not depend on it.
func TestEveryShortOrderOfEventsKeepsThePromises(t *testing.T) {
	x := &explorer{t: t, limits: limits{callers: 3, voids: 2, fails: 2, lates: 1, close: true}, depth: 6}
	if testing.Short() || raceEnabled {
		x.depth = 5
	}
	n := x.explore(newWorld(x.limits), nil)
	t.Logf("%.0f orders, %d events", n, x.events)
}
