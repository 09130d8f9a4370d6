package properties_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/zodiac-go/zodiac"
	"pgregory.net/rapid"
)

type result struct {
	val      value
	vals     map[int]value
	err      error
	panicked any
	exited   bool
}

// checkCall checks which function runs. Its context must have the values of the caller that began
// it, and no deadline unless it is that caller's own context.
func (m *machine) checkCall(of context.Context, r *running, via string) {
	if r.via != via {
		m.t.Fatalf("key %d: function %q runs; want that of the call that began it, %q", r.key, r.via, via)
	}
	if got, want := r.ctx.Value(callerID{}), of.Value(callerID{}); got != want {
		m.t.Fatalf("key %d: the fetch has the context of caller %v; want %v", r.key, got, want)
	}
	got, has := r.ctx.Deadline()
	want, wanted := of.Deadline()
	if r.flight != nil {
		want, wanted = m.begin.Add(r.flight.expiry), r.flight.expiry != never
	}
	if has != wanted || has && !got.Equal(want) {
		m.t.Fatalf("key %d: the fetch has deadline %v, %v; want %v, %v", r.key, got, has, want, wanted)
	}
}

// checkReturns checks that the expected calls have returned, with the expected results.
func (m *machine) checkReturns() {
	m.getters = slices.DeleteFunc(m.getters, func(g *getter) bool {
		select {
		case r := <-g.res:
			if !g.over() {
				m.t.Fatalf("%s returned %v; it should wait", g.name, r)
			}
			g.cancel()
			if why := g.mismatch(r); why != "" {
				m.t.Fatalf("%s: %s", g.name, why)
			}
			return true
		default:
			if g.over() {
				m.t.Fatalf("%s still waits; want %v", g.name, g.parts[0].got)
			}
			return false
		}
	})
}

// mismatch compares the result of a call with the expected one. It returns "" if they agree.
func (g *getter) mismatch(r result) string {
	if !g.many {
		return g.parts[0].got.mismatch(r)
	}
	if g.broken() {
		p := g.parts[slices.IndexFunc(g.parts, func(p *part) bool { return p.got.kind == itPanicked || p.got.kind == itExited })]
		return p.got.mismatch(r)
	}
	if r.exited || r.panicked != nil {
		return fmt.Sprintf("ended by %v", r.panicked)
	}
	many, _ := errors.AsType[*zodiac.ManyError[int]](r.err)
	if many == nil {
		if r.err != nil {
			return fmt.Sprintf("error %v; want a ManyError or none", r.err)
		}
		many = &zodiac.ManyError[int]{}
	}
	return g.mismatchMany(r.vals, many)
}

func (g *getter) mismatchMany(vals map[int]value, many *zodiac.ManyError[int]) string {
	nv, ne := 0, 0
	for _, p := range g.parts {
		v, has := vals[p.key]
		err := many.Errors[p.key]
		if has {
			nv++
		}
		if err != nil {
			ne++
		}
		absent := p.got.kind == gotNone || p.got.kind == gotMiss
		if absent {
			if has || err != nil {
				return fmt.Sprintf("key %d: %v, %v; want it absent: %v", p.key, v, err, p.got)
			}
			continue
		}
		if has == (err != nil) {
			return fmt.Sprintf("key %d: %v, %v; want %v", p.key, v, err, p.got)
		}
		if p.got.kind == gotBeside {
			p.got.kind = gotError // the map has no place for a value beside an error
		}
		if why := p.got.mismatch(result{val: v, err: err}); why != "" {
			return fmt.Sprintf("key %d: %s", p.key, why)
		}
	}
	if nv != len(vals) || ne != len(many.Errors) || len(many.Rejected) > 0 {
		return fmt.Sprintf("%v, %v: more than was asked for", vals, many)
	}
	return ""
}

// mismatch compares one result with the expected outcome.
func (o outcome) mismatch(r result) string {
	if o.agrees(r) {
		return ""
	}
	return fmt.Sprintf("returned %v; want %v", r, o)
}

func (r result) String() string {
	switch {
	case r.panicked != nil:
		return fmt.Sprintf("a panic of %v", r.panicked)
	case r.exited:
		return "by Goexit"
	case r.err != nil:
		return fmt.Sprintf("%T %.80q", r.err, r.err)
	case r.vals != nil:
		return fmt.Sprint(r.vals)
	}
	return r.val.String()
}

func (o outcome) String() string {
	if o.kind == gotValue {
		return o.val.String()
	}
	return fmt.Sprintf("%s %v", o.kind, o.err)
}

func (o outcome) agrees(r result) bool {
	_, besides := errors.AsType[*besideError](r.err)
	if r.panicked != nil || r.exited || besides != (o.kind == gotBeside) {
		switch o.kind {
		case itPanicked:
			return r.panicked == any(panicValue) && o.err == nil || o.err != nil && r.panicked == any(o.err)
		case itExited:
			return r.exited
		}
		return false
	}
	p, isPanic := errors.AsType[*zodiac.PanicError](r.err)
	isNone := errors.Is(r.err, zodiac.ErrNone)
	switch o.kind {
	case gotValue:
		return r.err == nil && r.val == o.val
	case gotNone:
		return isNone && !isPanic && (o.err == nil || errors.Is(r.err, o.err))
	case gotError:
		return r.err == o.err //nolint:errorlint // the very error, not one that wraps it
	case gotBeside:
		return errors.Is(r.err, o.err)
	case gotPanic:
		return isPanic && !p.Goexit && len(p.Stack) > 0 && (o.err == nil && p.Value == any(panicValue) || o.err != nil && errors.Is(r.err, o.err))
	case gotExit:
		return isPanic && p.Goexit && p.Value == nil
	case gotLeft:
		return r.err == o.err //nolint:errorlint // the context's own
	case gotMiss:
		return errors.Is(r.err, zodiac.ErrMiss) && !isNone
	case gotRemembered:
		return errors.Is(r.err, zodiac.ErrRemembered) && errors.Is(r.err, o.err)
	case gotTimeout:
		return errors.Is(r.err, context.DeadlineExceeded)
	}
	return false
}

// endOf returns when the entry of key ends. A copy in memory in front of a store may be gone before,
// but it is described as the entry in the store.
func (m *machine) endOf(key int) time.Duration {
	if e := m.entries[key]; e != nil {
		return e.expiry
	}
	return never
}

func (m *machine) checkEntry(what string, e zodiac.Entry[value], want *entry, until time.Duration) {
	kind := zodiac.KindValue
	switch {
	case want.none != nil:
		kind = zodiac.KindNone
	case want.val.nil:
		kind = zodiac.KindNil
	}
	leftover := until
	if leftover != never {
		leftover -= m.now
	}
	if m.real {
		e.Age, e.Created = m.now-want.created, m.begin.Add(want.created)
	}
	if e.Kind != kind || e.Left != leftover && (e.Left-leftover).Abs() > m.slack || e.Age != m.now-want.created {
		m.t.Fatalf("%s = %+v; want kind %v, left %v, age %v, not stale", what, e, kind, leftover, m.now-want.created)
	}
	if !e.Created.Equal(m.begin.Add(want.created)) || !slices.Equal(e.Tags, want.tags) {
		m.t.Fatalf("%s = %+v; want created %v, tags %v", what, e, m.begin.Add(want.created), want.tags)
	}
}

// check checks what holds after every step.
func (m *machine) check(t *rapid.T) {
	m.checkContexts()
	m.checkStats(t)
	// not always: an entry that no read has met yet is a state of its own
	if rapid.Bool().Draw(t, "look at all") {
		for key := range machineKeys {
			m.checkPeek(t, key)
		}
		m.checkStats(t)
	}
	if m.over != nil {
		return // Len is about memory
	}
	least, most := m.length()
	if n := m.s.Len(); n < least || n > most {
		t.Fatalf("Len() = %d; want between %d and %d", n, least, most)
	}
}

// checkContexts checks that exactly the functions without waiting callers were told to stop.
func (m *machine) checkContexts() {
	for _, r := range m.calls {
		want := r.flight != nil && r.flight.over || r.part != nil && r.part.ctx.Err() != nil
		if err := r.ctx.Err(); (err != nil) != want {
			m.t.Fatalf("P19: the context of the fetch of %d begun at %v says %v; want ended: %v", r.key, r.began, err, want)
		}
	}
}

func (m *machine) checkPeek(t *rapid.T, key int) {
	v, ok, err := m.s.Peek(m.bases[0], key)
	o, has := m.peek(key, nil)
	if ok != has {
		t.Fatalf("Peek(%d) = %v, %v, %v; want %v, %v", key, v, ok, err, o, has)
	}
	if has {
		if why := o.mismatch(result{val: v, err: err}); why != "" {
			t.Fatalf("Peek(%d) %s", key, why)
		}
	}
}

// checkStats compares all counters: P30.
func (m *machine) checkStats(t *rapid.T) {
	got := m.s.Stats()
	if got.Evicted != 0 || got.Size != m.s.Len() {
		t.Fatalf("P30: %d evicted, size %d; want 0 and %d", got.Evicted, got.Size, m.s.Len())
	}
	got.Expired, got.Size, got.Bus = 0, 0, zodiac.BusStats{}
	m.adoptCounts(0, got)
	if want := sum(*m.stats[0]); got != want {
		t.Fatalf("P30: Stats()\n got %+v\nwant %+v", got, want)
	}
	for i, collected := range m.collect {
		got := collected()
		m.adoptCounts(i+1, got)
		if want := sum(*m.stats[i+1]); got != want {
			t.Fatalf("P30: CollectStats %d\n got %+v\nwant %+v", i, got, want)
		}
	}
}

// adoptCounts takes over the counts for which the model knows only a range.
func (m *machine) adoptCounts(i int, got zodiac.Stats) {
	if m.over == nil {
		return
	}
	s := m.stats[i]
	if got.Invalid > s.Invalid && got.Invalid <= s.Invalid+m.over.mayInvalid[i] {
		s.Invalid = got.Invalid
	}
	other := max(got.HitStore, s.HitStore) - min(got.HitStore, s.HitStore)
	if got.HitStore+got.HitMemory == s.HitStore+s.HitMemory && other <= m.over.mayBeEither[i] {
		s.HitMemory, s.HitStore = got.HitMemory, got.HitStore
	}
	m.over.mayInvalid[i], m.over.mayBeEither[i] = 0, 0
}
