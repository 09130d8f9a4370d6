package properties_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac"
	"pgregory.net/rapid"
)

// TestMachine runs a loader beside the model. Methods are called in any order, fetches take their
// time and end in every way, callers leave, and both give the same results. It is the law of
// everything at once.
//
// Everything happens in virtual time and one step at a time, so the model knows the whole state at
// every step: the functions that run (P10, P18), those that were told to stop (P19), the calls that
// have returned and their results (P4, P20), the content of memory (P1, P6, P9, P22, P24), and
// every counter (P30).
func TestMachine(t *testing.T) {
	for _, of := range [][2]string{{"int", "int64"}, {"struct", "box"}, {"text", "box"}, {"withKey", "box"}, {"string", "int64"}} {
		t.Run(of[0], func(t *testing.T) {
			checkMore(t, 4, func(t *rapid.T) {
				c := drawConfig(t, of[0], of[1])
				rapid.SyncTest(t, func(t *rapid.T) { runMachine(t, c) })
			})
		})
	}
}

const (
	machineKeys = 3 // few, so that calls meet
	collectors  = 2 // nested in each other
)

type machine struct {
	config
	*model
	t       *rapid.T
	s       subject
	o       *origin
	begin   time.Time
	bases   []context.Context // without collectors, with one, with two
	collect []func() zodiac.Stats
	getters []*getter  // those whose call has not returned
	calls   []*running // functions that run
	other   zodiac.Target
	serial  int64
	slack   time.Duration // the possible error of a store's times
	// time is real: the machine waits for expected events, and their times are not checked
	real bool
}

// A getter is one call that may wait, on a goroutine of its own.
type getter struct {
	id       int64
	name     string
	parts    []*part
	many     bool
	direct   bool // its parts run one after another, on its goroutine
	ctx      context.Context
	cancel   context.CancelFunc
	deadline time.Duration
	res      chan result
}

// A running is a call of the function, for a flight or for a caller that calls it directly.
type running struct {
	*call
	flight *flight
	getter *getter
	part   *part
	began  time.Duration
	due    time.Duration // when it returns by itself
	plan   plan
}

type callerID struct{}

func runMachine(t *rapid.T, c config) { newMachine(t, c).run() }

func newMachine(t *rapid.T, c config) *machine {
	m := &machine{config: c, model: newModel(c, collectors), t: t, o: newOrigin(), begin: time.Now()}
	m.s = newSubject(c, m.o)
	other := zodiac.NewCache[int, int]()
	m.other = other
	m.bases = []context.Context{context.Background()}
	for !c.noModes && len(m.collect) < collectors {
		ctx, stats := zodiac.CollectStats(m.bases[len(m.collect)])
		m.bases, m.collect = append(m.bases, ctx), append(m.collect, stats)
	}
	t.Cleanup(m.release)
	return m
}

func (m *machine) run() {
	m.t.Logf("a loader: %v", m.config)
	if m.front != 0 {
		m.listen()
	}
	m.t.Repeat(m.actions())
	m.finishAll()
}

func (m *machine) actions() map[string]func(*rapid.T) {
	actions := map[string]func(*rapid.T){
		"": m.check, "get": m.doGet, "getToo": m.doGet, "getMany": m.doGetMany, "entry": m.doEntry,
		"set": m.doSet, "setMany": m.doSetMany, "setNone": m.doSetNone, "setIfAbsent": m.doSetIfAbsent,
		"update": m.doUpdate, "touch": m.doTouch, "delete": m.doDelete, "deleteTags": m.doDeleteTags, "clear": m.doClear,
		"advance": m.doAdvance, "leave": m.doLeave, "finish": m.doFinish,
	}
	if m.values == "int64" {
		actions["add"] = m.doAdd
	}
	if m.over != nil {
		// callers interact more over a store than in memory
		for _, name := range []string{"crowd", "crowdToo", "crowdMore"} {
			actions[name] = m.doCrowd
		}
		actions["finishToo"] = m.doFinish
	}
	if m.real {
		delete(actions, "advance")
	}
	for name, do := range actions {
		if name != "" {
			actions[name] = func(t *rapid.T) { m.clearly(); do(t) }
		}
	}
	return actions
}

// finishAll lets every call come to its end, and closes.
func (m *machine) finishAll() {
	for len(m.calls) > 0 {
		m.letReturn(m.calls[0])
		m.waitIdle()
	}
	m.check(m.t)
	if len(m.getters) > 0 {
		m.t.Fatalf("%s still waits, and no function runs", m.getters[0].name)
	}
	if m.neverClose {
		return
	}
	if err := m.s.Close(context.Background()); err != nil {
		m.t.Fatalf("Close() = %v", err)
	}
}

// release unblocks everything, so that the bubble can end even when the run has failed.
func (m *machine) release() {
	close(m.o.quit)
	for _, g := range m.getters {
		g.cancel()
	}
	if m.over != nil {
		_ = m.s.Close(context.Background())
		_ = m.under.Close()
	}
}

// launch makes the call and gives it to the model.
func (m *machine) launch(g *getter, do func() result) {
	m.t.Logf("%8v %s", m.now, g.name)
	m.getters = append(m.getters, g)
	g.res = spawn(do)
	for _, p := range g.parts {
		if !p.direct {
			m.get(p)
		}
		if g.direct {
			break
		}
	}
	m.waitIdle()
}

// waitIdle waits until everything is idle, and gives every call of the function that has begun its
// plan. Functions that return at once do so here.
func (m *machine) waitIdle() {
	for {
		m.quiet()
		again := false
		var begun []*running
		for _, c := range m.o.take() {
			r := m.expected(c)
			m.calls, begun = append(m.calls, r), append(begun, r)
			m.drawEnd(r)
		}
		for _, r := range begun { // once the purpose of each is known
			if r.due <= m.now {
				m.letReturn(r)
				again = true
			}
		}
		if m.real && len(begun) > 0 && len(m.started) > 0 {
			continue // an unexpected one was first
		}
		if !again {
			break
		}
	}
	if len(m.started) > 0 {
		m.t.Fatalf("P10: no function runs for key %d, but a %s fetch should have started", m.started[0].key, m.started[0].kind)
	}
	for _, f := range m.flights {
		f.mayWin = f.mayWin && m.real // there its function may be called later
	}
	m.checkReturns()
}

// expected finds the flight or the caller that a call of the function is for.
func (m *machine) expected(c *call) *running {
	r := &running{call: c, began: m.now}
	mine := func(p *part) bool { return p.ctx.Value(callerID{}) == c.ctx.Value(callerID{}) }
	for _, f := range m.flights {
		if m.over != nil && f.key == c.key && f.mayWin && f.begunBy(mine) {
			m.wins(f)
		}
	}
	for i, f := range m.started {
		if f.key == c.key && (m.over == nil || f.begunBy(mine)) {
			r.flight = f
			m.started = slices.Delete(m.started, i, i+1)
			m.checkCall(f.leader.ctx, r, f.via)
			return r
		}
	}
	for _, g := range m.getters {
		for _, p := range g.parts {
			if p.direct && p.key == c.key && m.callOf(p) == nil && (m.over == nil || mine(p)) {
				r.getter, r.part = g, p
				m.checkCall(p.ctx, r, p.via)
				return r
			}
		}
	}
	m.t.Fatalf("P10: the function runs for key %d, for nobody", c.key)
	return nil
}

func (m *machine) callOf(p *part) *running {
	for _, r := range m.calls {
		if r.part == p {
			return r
		}
	}
	return nil
}

// letReturn lets a function return.
func (m *machine) letReturn(r *running) {
	m.t.Logf("%8v the fetch of %d begun at %v %v", m.now, r.key, r.began, r.plan)
	m.calls = slices.DeleteFunc(m.calls, func(q *running) bool { return q == r })
	r.call.plan <- r.plan
	if !m.real {
		synctest.Wait()
		// Over a store the caller that began the fetch has the function's value itself, and a
		// GetMany looks at it later.
		m.o.spoilAll(r.flight == nil || m.over != nil && r.flight.leader.many)
	}
	if r.flight != nil {
		m.endFetch(r.flight, r.plan, r.began)
		return
	}
	r.part.done, r.part.direct, r.part.got = true, false, direct(r.plan)
	if i := slices.Index(r.getter.parts, r.part) + 1; i < len(r.getter.parts) && !r.getter.broken() {
		m.get(r.getter.parts[i])
	}
}

// direct is the outcome for a caller that calls the function itself.
func direct(p plan) outcome {
	switch p.kind {
	case panics, panicsErr:
		return outcome{kind: itPanicked, err: p.err}
	case exits:
		return outcome{kind: itExited}
	case fails:
		return outcome{kind: gotError, err: p.err}
	case failsToo:
		return outcome{kind: gotBeside, err: p.err}
	}
	return outcome{kind: gotValue, val: p.val}
}

// broken reports whether a panic or an exit has passed through the getter.
func (g *getter) broken() bool {
	return slices.ContainsFunc(g.parts, func(p *part) bool { return p.got.kind == itPanicked || p.got.kind == itExited })
}

func (g *getter) over() bool {
	return g.broken() || !slices.ContainsFunc(g.parts, func(p *part) bool { return !p.done })
}

// An event happens by itself as time passes.
type event struct {
	at time.Duration
	do func()
}

// events returns the events to come.
func (m *machine) events() []event {
	var es []event
	for _, g := range m.getters {
		if g.deadline > m.now && g.deadline != never && !g.direct {
			es = append(es, event{g.deadline, func() { m.leaveAll(g) }})
		}
	}
	for _, r := range m.calls {
		if r.due != never {
			es = append(es, event{r.due, func() {
				if m.unclear() {
					r.due = m.distinct(m.now + 4*m.slack)
					return
				}
				m.letReturn(r)
			}})
		}
	}
	for _, f := range m.flights {
		if !f.waits && f.expiry != never {
			es = append(es, event{f.expiry, func() { m.expire(f) }})
		}
		if f.asking {
			es = append(es, event{f.since + waitsFor, func() { m.waitOver(f) }})
		}
	}
	return es
}

// distinct returns the first time from at on at which nothing happens yet. Events at one instant
// have no order.
func (m *machine) distinct(at time.Duration) time.Duration {
	for slices.ContainsFunc(m.events(), func(e event) bool { return e.at == at }) {
		at += time.Microsecond
	}
	return at
}

// advance lets time pass until at, with all events until then.
func (m *machine) advance(at time.Duration) {
	for {
		es := slices.DeleteFunc(m.events(), func(e event) bool { return e.at > at })
		if len(es) == 0 {
			break
		}
		next := slices.MinFunc(es, func(a, b event) int { return int(a.at - b.at) }).at
		m.sleepUntil(next)
		for _, e := range es {
			if e.at == next {
				e.do()
			}
		}
		m.waitIdle()
	}
	m.sleepUntil(at)
	m.waitIdle()
}

func (m *machine) sleepUntil(at time.Duration) {
	time.Sleep(time.Until(m.begin.Add(at)))
	m.now = at
	synctest.Wait()
}

func (m *machine) leaveAll(g *getter) {
	for _, p := range g.parts {
		if p.flight != nil {
			m.leave(p)
		}
	}
}
