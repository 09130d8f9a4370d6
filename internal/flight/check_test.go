package flight

import (
	"fmt"
	"slices"
)

// check compares the Group with the model and returns the first difference, or "".
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
	expect(s.running == w.running(), "%d fetches run; the Group counts %d", w.running(), s.running)
	expect(s.closed == w.closed, "closed: %v; want %v", s.closed, w.closed)
	expect(s.spare == nil || *s.spare == line[string, int]{}, "the spare line is not zero")
	if w.drained != nil {
		expect(isClosed(w.drained) == (w.running() == 0),
			"drained: %v, while %d fetches run", isClosed(w.drained), w.running())
	}
	if waiting := w.waiting(); waiting >= 0 {
		forced := w.forced()
		expect(forced >= 0 && w.flights[forced].phase == runs,
			"flight %d waits, but no forced fetch runs whose end would start it", waiting)
	}
	return ""
}

func (w *world) checkFlights(s *shard[string, int]) {
	at := s.all.next
	for i, f := range w.real {
		m := &w.flights[i]
		expect(m.over && w.limits.lates == 0 || int(f.callers) == m.waiters(),
			"flight %d has %d callers; want %d", i, f.callers, m.waiters())
		expect(isClosed(f.done) == m.over,
			"flight %d is over: %v; want %v", i, isClosed(f.done), m.over)
		expect(f.state&sealed != 0 == m.sealed,
			"flight %d has state %b; want sealed: %v", i, f.state, m.sealed)
		expect(m.over || f.state&discarded != 0 == m.discarded,
			"flight %d has state %b; want discarded: %v", i, f.state, m.discarded)
		expect(f.state&abandoned != 0 == m.abandoned,
			"flight %d has state %b; want abandoned: %v", i, f.state, m.abandoned)
		if m.over {
			expect(m.err == errLeft || f.Err() == m.err, //nolint:errorlint // the very error
				"flight %d ended with %v; want %v", i, f.Err(), m.err)
			expect(f.next == nil && f.prev == nil, "flight %d is over but in the ring", i)
			continue
		}
		expect(at == f && f.next.prev == f && f.prev.next == f,
			"flight %d is not in its place in the ring", i)
		at = f.next
	}
	expect(at == &s.all && at.prev.next == at,
		"the ring has more than the flights that are not over")
}

func (w *world) checkLine(s *shard[string, int]) {
	open, aside, forced, waiting := w.at(w.open()), w.at(w.aside()), w.at(w.forced()), w.at(w.waiting())
	l := s.find(key, keyHash)
	if l == nil {
		expect(open == nil && aside == nil && forced == nil && waiting == nil,
			"there is no line, but flights that need slots in it")
		l = new(line[string, int])
	}
	expect(l.open == open, "the open flight is %p; want %p", l.open, open)
	expect(l.aside == aside, "the aside flight is %p; want %p", l.aside, aside)
	expect(l.forced == forced, "the forced flight is %p; want %p", l.forced, forced)
	expect(l.waiting == waiting, "the waiting flight is %p; want %p", l.waiting, waiting)
	for i, f := range w.real {
		in := f == open || f == aside || f == forced || f == waiting
		expect(in == (f.line != nil) && (!in || f.line == l),
			"flight %d is in a slot: %v; its line field is %p", i, in, f.line)
	}
	over := !slices.ContainsFunc(w.flights, func(f flightModel) bool { return !f.over })
	expect(!over || len(s.lines) == 0, "%d lines are left, but every flight is over", len(s.lines))
}

// checkGraph checks that the graph has exactly the waits of the model, and no cycle.
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
		expect(same,
			"flight %d has %d waits, or waits for the wrong flights; want %d waits", i, len(got), len(want))
		edges += min(1, len(got))
	}
	expect(len(graph.on) == edges, "%d flights in the graph wait; want %d", len(graph.on), edges)
}

// count returns how often x is in all.
func count(all []Node, x Node) (n int) {
	for _, y := range all {
		if x == y {
			n++
		}
	}
	return n
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// expect panics if ok is false. do and check return the message.
func expect(ok bool, format string, args ...any) {
	if !ok {
		panic(fmt.Sprintf(format, args...))
	}
}
