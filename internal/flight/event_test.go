package flight

import (
	"errors"
	"fmt"
	"slices"
)

// An event is one thing that may happen to a Group.
type event struct {
	op     op
	flight int
	kind   Kind // of the caller that arrives
	alone  bool // it joins no flight that another caller began
	within int  // the flight in whose fetch the caller arrives or leaves, or outside
}

// An op is what happens in an event.
type op uint8

const (
	arrive op = iota
	leave
	seal
	finish
	fail
	end
	change
	discardAll
	closing
	failAll
)

func (e event) String() string {
	name := [...]string{
		"arrive", "leave", "seal", "finish", "fail", "returned", "change", "discardAll", "close", "failAll",
	}[e.op]
	switch e.op {
	case change, discardAll, closing, failAll:
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

// All events are of one key.
const key, keyHash = "k", 7

// Every flight ends with an error of its own, so that the tests can tell the outcomes apart. The
// index is the number of the flight.
var (
	finishes = [...]error{
		nil, errors.New("1 finished"), errors.New("2 finished"), errors.New("3 finished"),
	}
	failures = [...]error{
		errors.New("0 failed"), errors.New("1 failed"), errors.New("2 failed"), errors.New("3 failed"),
	}
	errFailAll = errors.New("all failed")
)

// enabled returns the events that may come next.
func (w *world) enabled() (events []event) {
	events = w.arrivals(outside, events)
	for i := range w.flights {
		events = w.enabledFor(i, events)
	}
	switch w.limits.invalidations {
	case 2:
		events = append(events, event{op: change})
	case 1:
		events = append(events, event{op: discardAll})
	}
	if w.limits.close && !w.closed {
		events = append(events, event{op: closing})
	}
	if w.closed && !w.failed {
		events = append(events, event{op: failAll})
	}
	return events
}

// arrivals adds the events in which a caller arrives.
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

// enabledFor adds the events of flight i.
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

// do lets e happen to the model and to the Group. It returns what is wrong in the answer of the
// Group, or "".
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
		w.limits.invalidations--
		w.discard()
		w.group.Change(key, keyHash, func() bool { return true })
	case discardAll:
		w.limits.invalidations--
		w.discard()
		w.group.DiscardAll()
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
		expect(errors.Is(err, ErrClosed) && f == nil && looked+began == 0,
			"Join after Close = %p, %v, %v; want ErrClosed", f, role, err)
		return
	}
	expect(looked == 1, "Join called look %d times; want once", looked)
	target := w.target(e)
	waits := target < 0 && e.kind == Forced && w.forced() >= 0 && w.waiting() < 0
	if e.within != outside &&
		(target >= 0 && w.waitsFor(target, e.within) || waits && w.waitsFor(w.forced(), e.within)) {
		expect(errors.Is(err, ErrCycle) && f == nil && began == 0,
			"Join of a flight that waits for the caller = %p, %v, %v; want ErrCycle", f, role, err)
		return
	}
	stray := w.stray(e, waits)
	if stray && e.within != outside { // every fetch of this world is for the same key
		expect(errors.Is(err, ErrCycle) && f == nil && began == 0,
			"Join of a flight without a slot, within a fetch of the key = %p, %v, %v; want ErrCycle",
			f, role, err)
		return
	}
	expect(err == nil && f != nil, "Join = %p, %v, %v; want a flight", f, role, err)
	if target >= 0 {
		w.joined(e, target, f)
		expect(role == Joined && began == 0,
			"Join has role %v and began %d flights; want Joined and none", role, began)
		return
	}
	expect(began == 1 && !slices.Contains(w.real, f),
		"Join called begin %d times, or returned a flight of before; want a new flight", began)
	w.begin(e, f, waits, stray)
	expect(role == Began && waits || role == Leads && !waits,
		"Join has role %v; the new flight waits: %v", role, waits)
}

// joined checks that the caller of e has joined the target.
func (w *world) joined(e event, target int, f *Flight[string, int]) {
	expect(f == w.real[target], "Join began a flight or joined another one; want flight %d", target)
	expect(f.state&(discarded|sealed|abandoned|over) == 0, "joined a flight in state %b", f.state)
	expect(e.kind != Forced || f.state&started == 0,
		"a forced caller joined a fetch that had started")
	expect(e.kind == Aside || f.Kind != Aside,
		"a caller that wants the value written joined a flight that never writes")
	w.flights[target].callers[e.within+1]++
}

// stray reports whether the caller of e begins a flight that gets no slot.
func (w *world) stray(e event, waits bool) bool {
	return e.alone && !waits && w.rival(e.kind) >= 0
}

// begin adds the flight that the caller of e has begun.
func (w *world) begin(e event, f *Flight[string, int], waits, stray bool) {
	m := flightModel{kind: e.kind}
	m.callers[e.within+1]++
	if stray {
		if open := w.open(); e.kind == Forced && open >= 0 {
			w.flights[open].discarded = true
		}
		m.stray, m.discarded, m.phase = true, true, runs
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
	expect(last == want, "Leave(%d): last = %v; want %v", e.flight, last, want)
	w.begun(next, realNext)
}

// errLeft stands for the error of a flight that no caller is left to see.
var errLeft = errors.New("nobody waits")

func (w *world) seal(i int) {
	f := &w.flights[i]
	want := !f.discarded && !f.over && !w.closed
	f.tried = true
	aside := w.aside()
	committed := 0
	ok := commit(w.group, w.real[i], func() { committed++ })
	expect(ok == want, "Seal(%d) = %v; want %v", i, ok, want)
	expect(ok == (committed == 1), "Seal(%d) = %v and committed %d times", i, ok, committed)
	if ok {
		f.sealed = true
		if f.kind == Forced && aside >= 0 {
			w.flights[aside].discarded = true
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
	expect(slices.Equal(got, want),
		"FailAll called each for %d flights; want the %d that are not over, in order", len(got), len(want))
}

// begun checks that the Group returns the flight whose fetch must start: flight want, or nil if
// want is -1.
func (w *world) begun(want int, got *Flight[string, int]) {
	if want < 0 {
		expect(got == nil, "a flight was returned as next; want none")
		return
	}
	expect(got == w.real[want], "flight %d was not returned as next", want)
}
