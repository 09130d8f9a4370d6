package flight

import (
	"fmt"
	"strings"
)

// The model is a list of flights in the order in which they began. It finds what it needs by
// looking at all of them. It has no slots to keep up to date, so little in it can go wrong.
//
//   - model_test.go: the model, and what it knows of the flights of its key.
//   - event_test.go: the events, which happen to the model and to a Group.
//   - check_test.go: the comparison of the two, field by field, after every event.
//   - explore_test.go: the tests, which try all orders of events.

// A world is a Group and its model. The same events happen to both, all of one key.
type world struct {
	group   *Group[string, int]
	real    []*Flight[string, int] // real[i] is the flight that flights[i] models
	flights []flightModel
	limits  limits // what may still happen
	closed  bool
	failed  bool            // FailAll was called
	drained <-chan struct{} // what Drain waits for; nil before Close
}

// limits says which events may happen, and how often.
type limits struct {
	callers       int
	invalidations int // at 2 the next is a Change, at 1 a DiscardAll
	fails         int
	lates         int  // Leaves after the outcome: the caller's context ended at the same moment
	close         bool // Close and FailAll happen; and Returned is an event of its own, after Finish
	nested        bool // fetch functions ask for the key
	alone         bool // some callers join no flight that another caller began
}

func (l limits) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "callers=%d_invalidations=%d_fails=%d_lates=%d",
		l.callers, l.invalidations, l.fails, l.lates)
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

// A flightModel says what has happened to a flight.
type flightModel struct {
	kind      Kind
	phase     phase // of its fetch
	stray     bool  // it got no slot, and was discarded from the beginning
	discarded bool
	tried     bool // Seal was called
	sealed    bool
	abandoned bool // all callers have left, or it was failed
	over      bool
	err       error // the outcome, once it is over

	// The callers that wait: callers[0] run in no fetch, callers[i+1] in the fetch of flight i.
	callers [5]uint8
}

func (f *flightModel) waiters() (n int) {
	for _, c := range f.callers {
		n += int(c)
	}
	return n
}

// A phase is where the fetch of a flight is.
type phase uint8

const (
	waits phase = iota // it has not started
	runs
	finished // the callers have the outcome; its goroutine has not ended
	returned
)

// outside is where a caller runs that runs in no fetch.
const outside = -1

func newWorld(l limits) *world {
	clear(graph.on) // the world before may have ended with waits in it
	return &world{group: NewGroup[string, int](false), limits: l}
}

// only returns the flight that matches and is not over, or -1. It panics if there are two: the
// package promises that there is at most one.
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

// joinable reports whether f may be joined by callers that are not Forced, if it is not over.
func (f *flightModel) joinable() bool {
	return !f.discarded && !f.sealed && f.phase != waits
}

func (w *world) open() int {
	return w.only("open", func(f *flightModel) bool { return f.kind != Aside && f.joinable() })
}

func (w *world) aside() int {
	return w.only("aside", func(f *flightModel) bool { return f.kind == Aside && f.joinable() })
}

func (w *world) forced() int {
	return w.only("forced and running", func(f *flightModel) bool {
		return f.kind == Forced && f.phase != waits && !f.stray
	})
}

func (w *world) waiting() int {
	return w.only("waiting", func(f *flightModel) bool { return f.phase == waits })
}

// target returns the flight that the caller of e shares, or -1 if it shares none.
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

// rival returns the flight in the slot that a new flight of kind k needs, or -1.
func (w *world) rival(k Kind) int {
	return [...]int{Plain: w.open(), Aside: w.aside(), Forced: w.forced()}[k]
}

// waitsFor reports whether flight i is flight in, or waits for it, directly or through others.
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

// start starts the fetch of flight i in the model.
func (w *world) start(i int) {
	f := &w.flights[i]
	if open := w.open(); f.kind != Aside && open >= 0 {
		w.flights[open].discarded = true
	}
	f.phase = runs
}

// end ends flight i in the model. It returns the flight whose fetch starts because of that, or
// -1.
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

// over gives the outcome to the callers of flight i. They do not wait any more.
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

// discard discards all flights that callers other than Forced ones could join.
func (w *world) discard() {
	for i := range w.flights {
		if f := &w.flights[i]; !f.over && f.joinable() {
			f.discarded = true
		}
	}
}

// running returns the number of fetches that have started and not returned.
func (w *world) running() (n int) {
	for i := range w.flights {
		if p := w.flights[i].phase; p == runs || p == finished {
			n++
		}
	}
	return n
}

// link returns the Link of a caller that runs within the fetch of a flight, or outside.
func (w *world) link(within int) *Link {
	if within == outside {
		return nil
	}
	return &Link{Flight: w.real[within]}
}

// at returns flight i of the Group, or nil if i is -1.
func (w *world) at(i int) *Flight[string, int] {
	if i < 0 {
		return nil
	}
	return w.real[i]
}
