package properties_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac"
	"pgregory.net/rapid"
)

// TestMachine runs a loader beside the model: whatever is called in whatever order, with fetches that take their time
// and end in every way, and callers that leave, both say the same. It is the law of everything at once.
//
// Everything happens in virtual time and one step at a time, so the model knows at every moment who waits for
// what: which functions run (P10, P18), which of them were told to stop (P19), which calls have returned and
// with what (P4, P20), what memory holds (P1, P6, P9, P22, P24), and every counter (P30).
func TestMachine(t *testing.T) {
	for _, of := range [][2]string{{"int", "int64"}, {"struct", "box"}, {"float", "int64"}, {"withKey", "box"}, {"string", "box"}} {
		t.Run(of[0], func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				c := drawConfig(t, of[0], of[1])
				rapid.SyncTest(t, func(t *rapid.T) { runMachine(t, c) })
			})
		})
	}
}

const (
	machineKeys = 3 // few, so that things meet
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
}

// A getter is one call that may wait, on a goroutine of its own.
type getter struct {
	id       int64
	name     string
	parts    []*part
	many     bool
	direct   bool // its parts come one after another, on its goroutine
	ctx      context.Context
	cancel   context.CancelFunc
	deadline time.Duration
	res      chan result
}

type result struct {
	val      value
	vals     map[int]value
	err      error
	panicked any
	exited   bool
}

// A running is a call of the function, for a flight or for a caller who calls it directly.
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

func runMachine(t *rapid.T, c config) {
	m := &machine{config: c, model: newModel(c, collectors), t: t, o: newOrigin(), begin: time.Now()}
	m.s = newSubject(c, m.o)
	other := zodiac.NewCache[string, string]()
	m.other = other
	m.bases = []context.Context{context.Background()}
	for !c.noModes && len(m.collect) < collectors {
		ctx, stats := zodiac.CollectStats(m.bases[len(m.collect)])
		m.bases, m.collect = append(m.bases, ctx), append(m.collect, stats)
	}
	t.Cleanup(m.release)
	t.Logf("a loader: %v", c)
	t.Repeat(m.actions())
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
	return actions
}

// finishAll lets everything come to its end, and closes.
func (m *machine) finishAll() {
	for len(m.calls) > 0 {
		m.land(m.calls[0])
		m.settle()
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
}

func (m *machine) drawKey() int { return rapid.IntRange(0, machineKeys-1).Draw(m.t, "key") }

func (m *machine) drawKeys() []int {
	return rapid.SliceOfN(rapid.IntRange(0, machineKeys-1), 0, 5).Draw(m.t, "keys")
}

// drawValue draws a value with all its traits, unlike any before.
func (m *machine) drawValue() value {
	if m.hasNil() && rapid.IntRange(0, 5).Draw(m.t, "nil") == 5 {
		return value{nil: true}
	}
	m.serial++
	return value{id: m.serial*allTraits + int64(rapid.IntRange(0, allTraits-1).Draw(m.t, "traits"))}
}

func (m *machine) drawPlan() plan {
	m.serial++
	err := fmt.Errorf("error %d", m.serial)
	switch k := rapid.IntRange(0, 18).Draw(m.t, "plan"); k {
	case 8:
		return plan{kind: fails, err: err}
	case 9:
		return plan{kind: failsToo, val: value{id: m.serial}, err: err}
	case 10, 11:
		return plan{kind: fails, err: fmt.Errorf("%w: %w", err, errNotFound)}
	case 12:
		return plan{kind: fails, err: fmt.Errorf("%w: %w", err, zodiac.ErrNone)}
	case 13:
		return plan{kind: fails, err: fmt.Errorf("%w: %w", err, context.Canceled)}
	case 14:
		return plan{kind: panics}
	case 15:
		return plan{kind: panicsErr, err: err}
	case 16:
		return plan{kind: panicsErr, err: zodiac.ErrNone}
	case 17:
		return plan{kind: exits}
	case 18:
		return plan{kind: fails, err: fmt.Errorf("%w: %w", err, zodiac.ErrMiss)}
	}
	return plan{kind: returns, val: m.drawValue()}
}

// setOptions draws the options of a call; ttl is what they say, 0 if nothing.
func (m *machine) setOptions(tagsToo bool) (opts []zodiac.SetOption, ttl time.Duration, tags []string) {
	ttl = rapid.SampledFrom([]time.Duration{0, 0, 0, time.Second, 80 * time.Millisecond, zodiac.Forever}).Draw(m.t, "WithTTL")
	if ttl != 0 {
		opts = append(opts, zodiac.WithTTL(ttl))
	}
	if tagsToo {
		tags = rapid.SampledFrom([][]string{nil, nil, {"a"}, {"a", "c"}, {"s"}}).Draw(m.t, "WithTags")
	}
	if tags != nil {
		opts = append(opts, zodiac.WithTags(tags...))
	}
	return opts, ttl, tags
}

// drawModes returns ctx with some modes, and what they mean together for the subject.
func (m *machine) drawModes(ctx context.Context) (context.Context, zodiac.Mode) {
	var sum zodiac.Mode
	n := 0
	if !m.noModes {
		n = rapid.SampledFrom([]int{0, 0, 0, 1, 1, 2}).Draw(m.t, "modes")
	}
	for range n {
		r := drawRule(m.t, 2)
		ctx = r.put(ctx, []zodiac.Target{m.s.Target(), m.other})
		if r.hits(0, 0) {
			sum = and(sum, r.mode)
		}
	}
	return ctx, sum
}

// context draws the context of a call: its modes, its collectors, and how it ends.
func (m *machine) context(g *getter) (zodiac.Mode, []int) {
	n := 0
	if len(m.bases) > 1 {
		n = rapid.SampledFrom([]int{0, 0, 0, 1, 2}).Draw(m.t, "collectors")
	}
	ctx, mode := m.drawModes(context.WithValue(m.bases[n], callerID{}, g.id))
	switch rapid.IntRange(0, 5).Draw(m.t, "context") {
	case 4:
		d := rapid.SampledFrom([]time.Duration{3 * time.Millisecond, 70 * time.Millisecond, 1300 * time.Millisecond, 21 * time.Second}).Draw(m.t, "timeout")
		g.deadline = m.distinct(m.now + d)
		g.ctx, g.cancel = context.WithTimeout(ctx, g.deadline-m.now)
		g.name += fmt.Sprintf(" until %v", g.deadline)
	case 5:
		g.ctx, g.cancel = context.WithCancel(ctx)
		g.cancel()
		g.name += " ended"
	default:
		g.ctx, g.cancel = context.WithCancel(ctx)
	}
	sinks := []int{1, 2}[:n]
	return mode, sinks
}

// newGetter draws a context, and makes the parts of a call.
func (m *machine) newGetter(op string, keys []int, also zodiac.Mode, via string) *getter {
	m.serial++
	g := &getter{id: m.serial, deadline: never, res: make(chan result, 1), many: op == "GetMany"}
	g.name = fmt.Sprintf("%s%v #%d", op, keys, g.id)
	mode, sinks := m.context(g)
	mode = and(mode, also)
	for i, k := range keys {
		if !slices.Contains(keys[:i], k) {
			g.parts = append(g.parts, &part{key: k, via: via, mode: mode, sinks: sinks, ctx: g.ctx})
		}
	}
	g.direct = mode.NoRead && mode.NoWrite && !mode.NoFetch
	g.name += modeName(mode)
	return g
}

// launch makes the call, and says what the model makes of it.
func (m *machine) launch(g *getter, do func() result) {
	m.t.Logf("%8v %s", m.now, g.name)
	m.getters = append(m.getters, g)
	go func() {
		r := result{exited: true}
		defer func() {
			if p := recover(); p != nil {
				r = result{panicked: p}
			}
			g.res <- r
		}()
		r = do()
	}()
	for _, p := range g.parts {
		m.get(p)
		if g.direct {
			break
		}
	}
	m.settle()
}

func (m *machine) doGet(t *rapid.T) {
	key := m.drawKey()
	switch op := rapid.SampledFrom([]string{"Get", "Get", "GetOrFetch", "Refresh", "Fetch"}).Draw(t, "op"); op {
	case "Get":
		g := m.newGetter(op, []int{key}, zodiac.Mode{}, "")
		m.launch(g, func() result { v, err := m.s.Get(g.ctx, key); return result{val: v, err: err} })
	case "GetOrFetch":
		via := fmt.Sprint("GetOrFetch", m.serial)
		g := m.newGetter(op, []int{key}, zodiac.Mode{}, via)
		m.launch(g, func() result { v, err := m.s.GetOrFetch(g.ctx, key, via); return result{val: v, err: err} })
	case "Refresh":
		g := m.newGetter(op, []int{key}, zodiac.Mode{NoRead: true}, "")
		m.launch(g, func() result { v, err := m.s.Refresh(g.ctx, key); return result{val: v, err: err} })
	case "Fetch":
		g := m.newGetter(op, []int{key}, zodiac.Mode{}, "")
		g.direct = true
		p := g.parts[0]
		g.parts = nil
		m.fetchDirectly(g, p, key)
	}
}

// fetchDirectly is Fetch: the function itself, in any mode, counted nowhere.
func (m *machine) fetchDirectly(g *getter, p *part, key int) {
	p.direct = true
	g.parts = []*part{}
	m.getters = append(m.getters, g)
	g.parts = append(g.parts, p)
	go func() {
		r := result{exited: true}
		defer func() {
			if p := recover(); p != nil {
				r = result{panicked: p}
			}
			g.res <- r
		}()
		v, err := m.s.Fetch(g.ctx, key)
		r = result{val: v, err: err}
	}()
	m.settle()
}

func (m *machine) doGetMany(t *rapid.T) {
	keys := m.drawKeys()
	g := m.newGetter("GetMany", keys, zodiac.Mode{}, "")
	m.launch(g, func() result { vs, err := m.s.GetMany(g.ctx, keys); return result{vals: vs, err: err} })
}

// settle waits until nothing moves any more, and gives every call of the function that has begun its plan. Those that return at
// once do so here.
func (m *machine) settle() {
	for {
		synctest.Wait()
		again := false
		for _, c := range m.o.take() {
			r := m.expected(c)
			m.calls = append(m.calls, r)
			m.drawEnd(r)
			if r.due <= m.now {
				m.land(r)
				again = true
			}
		}
		if len(m.started) > 0 {
			m.t.Fatalf("P10: no function runs for key %d, but a %s fetch should have started", m.started[0].key, m.started[0].kind)
		}
		if !again {
			break
		}
	}
	m.checkReturns()
}

// expected finds what a call of the function is for.
func (m *machine) expected(c *call) *running {
	r := &running{call: c, began: m.now}
	for i, f := range m.started {
		if f.key == c.key {
			r.flight = f
			m.started = slices.Delete(m.started, i, i+1)
			m.checkCall(r, f.via, f.leader.ctx)
			return r
		}
	}
	for _, g := range m.getters {
		for _, p := range g.parts {
			if p.direct && p.key == c.key && m.callOf(p) == nil {
				r.getter, r.part = g, p
				m.checkCall(r, p.via, p.ctx)
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

// checkCall checks which function runs, and that its context has the values of the one who began it, and none of its
// deadline unless it is that caller's own.
func (m *machine) checkCall(r *running, via string, of context.Context) {
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

// drawEnd draws when and how a call returns.
func (m *machine) drawEnd(r *running) {
	r.plan = m.drawPlan()
	r.due = m.now
	takes := rapid.SampledFrom([]time.Duration{0, never, time.Millisecond, 50 * time.Millisecond, 900 * time.Millisecond, 17 * time.Second}).Draw(m.t, "takes")
	switch {
	case takes == never:
		r.due = never // until the test says so
	case takes > 0:
		r.due = m.distinct(m.now + takes)
	}
}

// land lets a function return.
func (m *machine) land(r *running) {
	m.t.Logf("%8v the fetch of %d begun at %v %v", m.now, r.key, r.began, r.plan)
	m.calls = slices.DeleteFunc(m.calls, func(q *running) bool { return q == r })
	r.call.plan <- r.plan
	synctest.Wait()
	m.o.spoilAll(r.flight == nil)
	if r.flight != nil {
		m.model.land(r.flight, r.plan, r.began)
		return
	}
	r.part.done, r.part.direct, r.part.got = true, false, direct(r.plan)
	if i := slices.Index(r.getter.parts, r.part) + 1; i < len(r.getter.parts) && !r.getter.broken() {
		m.get(r.getter.parts[i])
	}
}

// direct is what a caller gets who calls the function itself.
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

// checkReturns checks that those calls have returned that should have, and with what.
func (m *machine) checkReturns() {
	m.getters = slices.DeleteFunc(m.getters, func(g *getter) bool {
		select {
		case r := <-g.res:
			if !g.over() {
				m.t.Fatalf("%s returned %v; it should wait", g.name, r)
			}
			g.cancel()
			if why := g.judge(r); why != "" {
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

// judge compares what a call has returned with what it should have; "" if they agree.
func (g *getter) judge(r result) string {
	if !g.many {
		return g.parts[0].got.judge(r)
	}
	if g.broken() {
		p := g.parts[slices.IndexFunc(g.parts, func(p *part) bool { return p.got.kind == itPanicked || p.got.kind == itExited })]
		return p.got.judge(r)
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
	return g.judgeMany(r.vals, many)
}

func (g *getter) judgeMany(vals map[int]value, many *zodiac.ManyError[int]) string {
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
		absent := p.got.kind == gotNone || p.got.kind == gotMiss || p.direct && errors.Is(p.got.err, zodiac.ErrNone) ||
			g.direct && errors.Is(p.got.err, zodiac.ErrNone) && p.got.kind != gotValue
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
		if why := p.got.judge(result{val: v, err: err}); why != "" {
			return fmt.Sprintf("key %d: %s", p.key, why)
		}
	}
	if nv != len(vals) || ne != len(many.Errors) || len(many.Rejected) > 0 {
		return fmt.Sprintf("%v, %v: more than was asked for", vals, many)
	}
	return ""
}

// judge compares one result with the outcome it should be.
func (o outcome) judge(r result) string {
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

// An event is something that happens by itself as time passes.
type event struct {
	at time.Duration
	do func()
}

// events returns what lies ahead.
func (m *machine) events() []event {
	var es []event
	for _, g := range m.getters {
		if g.deadline > m.now && g.deadline != never && !g.direct {
			es = append(es, event{g.deadline, func() { m.leaveAll(g) }})
		}
	}
	for _, r := range m.calls {
		if r.due != never {
			es = append(es, event{r.due, func() { m.land(r) }})
		}
	}
	for _, f := range m.flights {
		if !f.waits && f.expiry != never {
			es = append(es, event{f.expiry, func() { m.expire(f) }})
		}
	}
	return es
}

// distinct returns the first time from at on at which nothing happens yet: what happens at one instant has no order.
func (m *machine) distinct(at time.Duration) time.Duration {
	for slices.ContainsFunc(m.events(), func(e event) bool { return e.at == at }) {
		at += time.Microsecond
	}
	return at
}

// advance lets time pass until at, with all that happens meanwhile.
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
		m.settle()
	}
	m.sleepUntil(at)
	m.settle()
}

func (m *machine) sleepUntil(at time.Duration) {
	time.Sleep(time.Until(m.begin.Add(at)))
	m.now = at
	synctest.Wait()
}

// doAdvance lets time pass: often to the very moment of an expiry, or just before it.
func (m *machine) doAdvance(t *rapid.T) {
	var at []time.Duration
	for _, k := range keysOf(m.entries) {
		if e := m.entries[k]; e.expiry != never && e.expiry > m.now+1 {
			at = append(at, e.expiry, e.expiry-1)
		}
	}
	for _, k := range keysOf(m.failed) {
		if f := m.failed[k]; f.expiry > m.now {
			at = append(at, f.expiry)
		}
	}
	for _, d := range []time.Duration{1, 19, 20, 21, 99, 101, 500, 5000, 3_600_000} {
		at = append(at, m.now+d*time.Millisecond)
	}
	to := rapid.SampledFrom(at).Draw(t, "to")
	m.t.Logf("%8v advance to %v", m.now, to)
	m.advance(to)
}

func (m *machine) leaveAll(g *getter) {
	for _, p := range g.parts {
		if p.flight != nil {
			m.leave(p)
		}
	}
}

// doLeave ends the context of somebody who waits. Who is in the function itself may end it, but stays.
func (m *machine) doLeave(t *rapid.T) {
	if len(m.getters) == 0 {
		t.Skip("nobody waits")
	}
	g := m.getters[rapid.IntRange(0, len(m.getters)-1).Draw(t, "who")]
	m.t.Logf("%8v %s leaves", m.now, g.name)
	g.cancel()
	g.deadline = never
	m.leaveAll(g)
	m.settle()
}

func (m *machine) doFinish(t *rapid.T) {
	if len(m.calls) == 0 {
		t.Skip("no function runs")
	}
	m.land(m.calls[rapid.IntRange(0, len(m.calls)-1).Draw(t, "which")])
	m.settle()
}

// plainContext draws a context for a call that does what its name says in any mode.
func (m *machine) plainContext() context.Context {
	ctx, _ := m.drawModes(m.bases[0])
	return ctx
}

func (m *machine) want(what string, got, want any, err error) {
	m.t.Helper()
	m.t.Logf("%8v %s = %v", m.now, what, got)
	if err != nil || got != want {
		m.t.Fatalf("%s = %v, %v; want %v", what, got, err, want)
	}
	m.settle()
}

func (m *machine) doSet(*rapid.T) {
	key, v := m.drawKey(), m.drawValue()
	opts, ttl, tags := m.setOptions(true)
	err := m.s.Set(m.plainContext(), key, v, opts...)
	m.store(key, m.valueEntry(v, m.now, ttl, tags))
	m.want(fmt.Sprintf("Set(%d, %v, ttl %v, tags %v)", key, v, ttl, tags), nil, nil, err)
}

func (m *machine) doSetMany(*rapid.T) {
	vs := map[int]value{}
	for _, k := range m.drawKeys() {
		vs[k] = m.drawValue()
	}
	opts, ttl, tags := m.setOptions(true)
	err := m.s.SetMany(m.plainContext(), vs, opts...)
	for k, v := range vs {
		m.store(k, m.valueEntry(v, m.now, ttl, tags))
	}
	m.want(fmt.Sprintf("SetMany(%v, ttl %v, tags %v)", vs, ttl, tags), nil, nil, err)
}

func (m *machine) doSetNone(*rapid.T) {
	key := m.drawKey()
	opts, ttl, tags := m.setOptions(true)
	err := m.s.SetNone(m.plainContext(), key, opts...)
	m.store(key, m.noneEntry(zodiac.ErrNone, m.now, ttl, tags))
	m.want(fmt.Sprintf("SetNone(%d, ttl %v, tags %v)", key, ttl, tags), nil, nil, err)
}

func (m *machine) doSetIfAbsent(*rapid.T) {
	key, v := m.drawKey(), m.drawValue()
	opts, ttl, tags := m.setOptions(true)
	got, err := m.s.SetIfAbsent(m.plainContext(), key, v, opts...)
	want := m.setIfAbsent(key, v, ttl, tags)
	m.want(fmt.Sprintf("SetIfAbsent(%d, %v, ttl %v, tags %v)", key, v, ttl, tags), got, want, err)
}

func (m *machine) doUpdate(t *rapid.T) {
	key, v := m.drawKey(), m.drawValue()
	var fail error
	if rapid.IntRange(0, 3).Draw(t, "fails") == 3 {
		fail = errGone
	}
	old, ok := m.old(key)
	got, err := m.s.Update(m.plainContext(), key, func(was value, has bool) (value, error) {
		if was != old || has != ok {
			m.t.Errorf("Update(%d) gives %v, %v to its function; want %v, %v", key, was, has, old, ok)
		}
		return v, fail
	})
	if fail != nil {
		m.want(fmt.Sprintf("Update(%d) that fails", key), err, fail, nil)
		return
	}
	m.update(key, v)
	m.want(fmt.Sprintf("Update(%d)", key), got, v, err)
}

func (m *machine) doAdd(t *rapid.T) {
	key, delta := m.drawKey(), rapid.Int64Range(-3, 3).Draw(t, "delta")
	want := m.add(key, delta)
	got, err := m.s.Add(m.plainContext(), key, delta)
	m.want(fmt.Sprintf("Add(%d, %d)", key, delta), got, want, err)
}

func (m *machine) doTouch(*rapid.T) {
	key := m.drawKey()
	opts, ttl, _ := m.setOptions(false)
	got, err := m.s.Touch(m.plainContext(), key, opts...)
	m.want(fmt.Sprintf("Touch(%d, ttl %v)", key, ttl), got, m.touch(key, ttl), err)
}

func (m *machine) doDelete(*rapid.T) {
	keys := m.drawKeys()
	got, err := m.s.Delete(m.plainContext(), keys...)
	m.want(fmt.Sprintf("Delete(%v)", keys), got, m.delete(keys), err)
}

func (m *machine) doDeleteTags(t *rapid.T) {
	tags := rapid.SampledFrom([][]string{{"a"}, {"b"}, {"s"}, {"c", "a"}, {"nobody's"}, nil}).Draw(t, "tags")
	err := m.s.DeleteTags(m.plainContext(), tags...)
	m.deleteTags(tags)
	m.want(fmt.Sprintf("DeleteTags(%v)", tags), nil, nil, err)
}

func (m *machine) doClear(*rapid.T) {
	got, err := m.s.Clear(m.plainContext())
	m.want("Clear()", got, m.clear(), err)
}

// doEntry looks at everything there is to know of a key.
func (m *machine) doEntry(*rapid.T) {
	key := m.drawKey()
	e, ok, err := m.s.Entry(m.plainContext(), key)
	o, has := m.peek(key, nil)
	what := fmt.Sprintf("Entry(%d)", key)
	if ok != has {
		m.t.Fatalf("%s = %+v, %v, %v; want %v, %v", what, e, ok, err, o, has)
	}
	m.t.Logf("%8v %s = %+v, %v", m.now, what, e, ok)
	if !has {
		return
	}
	if why := o.judge(result{val: e.Value, err: err}); why != "" {
		m.t.Fatalf("%s %s", what, why)
	}
	m.checkEntry(what, e, m.entries[key])
}

func (m *machine) checkEntry(what string, e zodiac.Entry[value], want *entry) {
	kind := zodiac.KindValue
	switch {
	case want.none != nil:
		kind = zodiac.KindNone
	case want.val.nil:
		kind = zodiac.KindNil
	}
	leftover := want.expiry
	if leftover != never {
		leftover -= m.now
	}
	if e.Kind != kind || e.Left != leftover || e.Age != m.now-want.created || e.Stale {
		m.t.Fatalf("%s = %+v; want kind %v, left %v, age %v, not stale", what, e, kind, leftover, m.now-want.created)
	}
	if !e.Created.Equal(m.begin.Add(want.created)) || !slices.Equal(e.Tags, want.tags) {
		m.t.Fatalf("%s = %+v; want created %v, tags %v", what, e, m.begin.Add(want.created), want.tags)
	}
}

// check is what holds after every step.
func (m *machine) check(t *rapid.T) {
	m.checkContexts()
	m.checkStats(t)
	if rapid.Bool().Draw(t, "look at all") { // not always: what nobody has met yet is another state
		for key := range machineKeys {
			m.checkPeek(t, key)
		}
		m.checkStats(t)
	}
	least, most := m.length()
	if n := m.s.Len(); n < least || n > most {
		t.Fatalf("Len() = %d; want between %d and %d", n, least, most)
	}
}

// checkContexts checks who was told to stop: those functions for which nobody waits any more.
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
		if why := o.judge(result{val: v, err: err}); why != "" {
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
	got.Expired, got.Size = 0, 0
	if want := sum(*m.stats[0]); got != want {
		t.Fatalf("P30: Stats()\n got %+v\nwant %+v", got, want)
	}
	for i, collected := range m.collect {
		if got, want := collected(), sum(*m.stats[i+1]); got != want {
			t.Fatalf("P30: CollectStats %d\n got %+v\nwant %+v", i, got, want)
		}
	}
}
