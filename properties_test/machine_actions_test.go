package properties_test

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/zodiac-go/zodiac"
	"pgregory.net/rapid"
)

func (m *machine) drawKey() int {
	// more calls of one key are needed for them to meet over a store
	if m.over != nil && rapid.Bool().Draw(m.t, "the first") {
		return 0
	}
	return rapid.IntRange(0, machineKeys-1).Draw(m.t, "key")
}

func (m *machine) drawKeys() []int {
	return rapid.SliceOfN(rapid.IntRange(0, machineKeys-1), 0, 5).Draw(m.t, "keys")
}

// drawValue draws a value with all its traits, unlike any value before.
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

// setOptions draws the options of a call. ttl is their lifetime, 0 if they give none.
func (m *machine) setOptions(tagsToo bool) (opts []zodiac.SetOption, ttl time.Duration, tags []string) {
	ttls := []time.Duration{0, 0, 0, time.Second, 80 * time.Millisecond, zodiac.Forever}
	if m.real {
		ttls = []time.Duration{0, time.Hour, zodiac.Forever}
	}
	ttl = rapid.SampledFrom(ttls).Draw(m.t, "WithTTL")
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

// drawModes returns ctx with some modes, their combined meaning for the subject, and the rules for
// loaders within.
func (m *machine) drawModes(ctx context.Context) (_ context.Context, sum zodiac.Mode, deep []rule) {
	n := 0
	if !m.noModes {
		n = rapid.SampledFrom([]int{0, 0, 0, 1, 1, 2}).Draw(m.t, "modes")
	}
	for range n {
		r := drawRule(m.t, 2)
		if r.mode.NoFetch && !r.hits(0, 0) {
			// other callers would refuse errors of this fetch, and the first to try again is
			// unknown: see TestP25_RulesForLoadersWithinDoNotLeak
			continue
		}
		ctx = r.put(ctx, []zodiac.Target{m.s.Target(), m.other})
		if r.hits(0, 0) {
			sum = and(sum, r.mode)
		}
		if r.deep() {
			deep = append(deep, r)
		}
	}
	return ctx, sum, deep
}

// context draws the context of a call: its modes, its collectors, and the way it ends. It returns a
// part with them.
func (m *machine) context(g *getter) part {
	n := 0
	if len(m.bases) > 1 {
		n = rapid.SampledFrom([]int{0, 0, 0, 1, 2}).Draw(m.t, "collectors")
	}
	ctx, mode, deep := m.drawModes(context.WithValue(m.bases[n], callerID{}, g.id))
	kinds := 5
	if m.real {
		kinds = 3
	}
	switch rapid.IntRange(0, kinds).Draw(m.t, "context") {
	case 4:
		d := rapid.SampledFrom([]time.Duration{3 * time.Millisecond, 70 * time.Millisecond, 1300 * time.Millisecond, 21 * time.Second}).Draw(m.t, "timeout")
		g.deadline = m.distinct(m.now + d)
		g.ctx, g.cancel = context.WithTimeout(ctx, g.deadline-m.now)
		g.name += fmt.Sprintf(" until %v", g.deadline)
	case 5:
		g.ctx, g.cancel = context.WithCancel(ctx)
		if m.over != nil {
			break // a store checks for a context that has ended, memory does not
		}
		g.cancel()
		g.name += " ended"
	default:
		g.ctx, g.cancel = context.WithCancel(ctx)
	}
	return part{mode: mode, deep: deep, sinks: []int{1, 2}[:n], ctx: g.ctx}
}

// newGetter draws a context and makes the parts of a call.
func (m *machine) newGetter(op string, keys []int, also zodiac.Mode, via string) *getter {
	m.serial++
	g := &getter{id: m.serial, deadline: never, many: op == "GetMany"}
	g.name = fmt.Sprintf("%s%v #%d", op, keys, g.id)
	p := m.context(g)
	p.mode, p.via, p.many = and(p.mode, also), via, g.many
	for i, k := range keys {
		if !slices.Contains(keys[:i], k) {
			p.key = k
			mine := p
			g.parts = append(g.parts, &mine)
		}
	}
	g.direct = p.mode.NoRead && p.mode.NoWrite && !p.mode.NoFetch
	g.name += modeName(p.mode)
	if len(p.deep) > 0 {
		g.name += fmt.Sprintf(", within%v", p.deep)
	}
	return g
}

func (m *machine) doGet(t *rapid.T) { m.getOf(t, m.drawKey()) }

// doCrowd makes several calls that may meet.
func (m *machine) doCrowd(t *rapid.T) {
	key := m.drawKey()
	for range rapid.IntRange(2, 4).Draw(t, "callers") {
		m.getOf(t, key)
	}
}

func (m *machine) getOf(t *rapid.T, key int) {
	switch op := rapid.SampledFrom([]string{"Get", "Get", "GetOrFetch", "Refresh", "Fetch"}).Draw(t, "op"); op {
	case "Get":
		g := m.newGetter(op, []int{key}, zodiac.Mode{}, "")
		m.spare(g)
		m.launch(g, func() result { v, err := m.s.Get(g.ctx, key); return result{val: v, err: err} })
	case "GetOrFetch":
		via := fmt.Sprint("GetOrFetch", m.serial)
		g := m.newGetter(op, []int{key}, zodiac.Mode{}, via)
		m.spare(g)
		m.launch(g, func() result { v, err := m.s.GetOrFetch(g.ctx, key, via); return result{val: v, err: err} })
	case "Refresh":
		g := m.newGetter(op, []int{key}, zodiac.Mode{NoRead: true}, "")
		m.spare(g)
		m.launch(g, func() result { v, err := m.s.Refresh(g.ctx, key); return result{val: v, err: err} })
	case "Fetch": // the function itself, in any mode, counted nowhere
		g := m.newGetter(op, []int{key}, zodiac.Mode{}, "")
		g.direct, g.parts[0].direct = true, true
		m.launch(g, func() result { v, err := m.s.Fetch(g.ctx, key); return result{val: v, err: err} })
	}
}

func (m *machine) doGetMany(t *rapid.T) {
	keys := m.drawKeys()
	g := m.newGetter("GetMany", keys, zodiac.Mode{}, "")
	m.spare(g)
	m.launch(g, func() result { vs, err := m.s.GetMany(g.ctx, keys); return result{vals: vs, err: err} })
}

// drawEnd draws when and how a call returns.
func (m *machine) drawEnd(r *running) {
	r.plan = m.drawPlan()
	r.due = m.now
	spans := []time.Duration{0, never, time.Millisecond, 50 * time.Millisecond, 900 * time.Millisecond, 17 * time.Second}
	if m.real {
		spans = []time.Duration{0, never, never}
	}
	takes := rapid.SampledFrom(spans).Draw(m.t, "takes")
	switch {
	case takes == never:
		r.due = never // until the test lets it return
	case takes > 0:
		r.due = m.distinct(m.now + takes)
	}
}

// doAdvance lets time pass, often to the exact time of an expiry or just before it.
func (m *machine) doAdvance(t *rapid.T) {
	var at []time.Duration
	for _, k := range keysOf(m.entries) {
		if e := m.entries[k]; e.expiry != never && e.expiry > m.now+1 {
			at = append(at, e.expiry+2*m.slack, e.expiry-1-2*m.slack)
		}
	}
	for _, k := range keysOf(m.failed) {
		if f := m.failed[k]; f.expiry > m.now {
			at = append(at, f.expiry)
		}
	}
	long := time.Duration(3_600_000)
	if m.slack > 0 {
		// leases are renewed and subscriptions checked all the time, which takes real time over
		// Redis
		long = 60_000
	}
	for _, d := range []time.Duration{1, 19, 20, 21, 99, 101, 500, 5000, long} {
		at = append(at, m.now+d*time.Millisecond)
	}
	to := rapid.SampledFrom(at).Draw(t, "to")
	to = max(to, m.now)
	m.t.Logf("%8v advance to %v", m.now, to)
	m.advance(to)
	m.clearly()
}

// doLeave ends the context of a waiting caller. A caller that runs the function itself may end its
// context, but stays.
func (m *machine) doLeave(t *rapid.T) {
	if len(m.getters) == 0 {
		t.Skip("nobody waits")
	}
	g := m.getters[rapid.IntRange(0, len(m.getters)-1).Draw(t, "who")]
	m.t.Logf("%8v %s leaves", m.now, g.name)
	g.cancel()
	g.deadline = never
	m.leaveAll(g)
	m.waitIdle()
}

func (m *machine) doFinish(t *rapid.T) {
	if len(m.calls) == 0 {
		t.Skip("no function runs")
	}
	m.letReturn(m.calls[rapid.IntRange(0, len(m.calls)-1).Draw(t, "which")])
	m.waitIdle()
}

// plainContext draws a context for a call that does the same in any mode.
func (m *machine) plainContext() context.Context {
	ctx, _, _ := m.drawModes(m.bases[0])
	return ctx
}

func (m *machine) want(what string, got, want any, err error) {
	m.t.Helper()
	m.t.Logf("%8v %s = %v", m.now, what, got)
	if err != nil || got != want {
		m.t.Fatalf("%s = %v, %v; want %v", what, got, err, want)
	}
	m.waitIdle()
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
	m.spareForce(key)
	got, err := m.s.SetIfAbsent(m.plainContext(), key, v, opts...)
	want := m.setIfAbsent(key, v, ttl, tags)
	m.want(fmt.Sprintf("SetIfAbsent(%d, %v, ttl %v, tags %v)", key, v, ttl, tags), got, want, err)
}

func (m *machine) doUpdate(t *rapid.T) {
	key, v := m.drawKey(), m.drawValue()
	m.spareForce(key)
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
		m.updateFails(key)
		m.want(fmt.Sprintf("Update(%d) that fails", key), err, fail, nil)
		return
	}
	m.update(key, v)
	m.want(fmt.Sprintf("Update(%d)", key), got, v, err)
}

func (m *machine) doAdd(t *rapid.T) {
	key, delta := m.drawKey(), rapid.Int64Range(-3, 3).Draw(t, "delta")
	m.spareForce(key)
	want := m.add(key, delta)
	got, err := m.s.Add(m.plainContext(), key, delta)
	m.want(fmt.Sprintf("Add(%d, %d)", key, delta), got, want, err)
}

func (m *machine) doTouch(t *rapid.T) {
	key := m.drawKey()
	if m.over != nil && m.sliding && m.over.leases[key] != nil {
		t.Skip("it would take some milliseconds to see that the holder keeps the lease")
	}
	opts, ttl, _ := m.setOptions(false)
	got, err := m.s.Touch(m.plainContext(), key, opts...)
	m.want(fmt.Sprintf("Touch(%d, ttl %v)", key, ttl), got, m.touch(key, ttl), err)
}

func (m *machine) doDelete(*rapid.T) {
	keys := m.drawKeys()
	if m.over != nil { // a waiting flight might take the lease between two deletions of one key
		keys = slices.Compact(slices.Sorted(slices.Values(keys)))
	}
	got, err := m.s.Delete(m.plainContext(), keys...)
	want := m.delete(keys)
	if m.over != nil { // at once, whether or not the published invalidation was received
		for _, key := range keys {
			m.checkPeek(m.t, key)
		}
	}
	m.want(fmt.Sprintf("Delete(%v)", keys), got, want, err)
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

// doEntry checks every property of a key's entry.
func (m *machine) doEntry(*rapid.T) {
	key := m.drawKey()
	until := m.endOf(key)
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
	if why := o.mismatch(result{val: e.Value, err: err}); why != "" {
		m.t.Fatalf("%s %s", what, why)
	}
	m.checkEntry(what, e, m.entries[key], until)
}
