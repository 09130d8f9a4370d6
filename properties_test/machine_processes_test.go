package properties_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac"
	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/redistest"
	"github.com/zodiac-go/zodiac/memstore"
	"github.com/zodiac-go/zodiac/redisstore"
	"github.com/zodiac-go/zodiac/storetest/chaos"
	"pgregory.net/rapid"
)

// TestMachineOfProcesses runs processes over one store at once. While functions run in some of
// them, any process may call any method, callers leave, replies of the store are late, another
// program deletes keys, time passes, and a process closes and another one takes its place.
//
// There is no model of it. Every fetch and every write makes a value of its own. One counter orders
// every beginning and every return, so values are older or younger than each other. The laws in
// machine_processes_laws_test.go are checked after every step.
func TestMachineOfProcesses(t *testing.T) {
	needsModes(t)
	for _, g := range []struct {
		name   string
		front  time.Duration
		values string
		runs   int
		open   func(t *rapid.T) (raw full, more func() full)
		wrap   func(c *clerk) zodiac.Store
	}{
		{"memstore", 0, "box", 200, openTwins, wholly},
		{"polls", 0, "int64", 100, openTwins, polling},
		{"redis", 0, "int64", 15, openRedisTwins, reading},
		{"memory-memstore", 3 * time.Second, "int64", 200, openTwins, wholly},
		{"memory-redis", 3 * time.Second, "box", 12, openRedisTwins, reading},
	} {
		t.Run(g.name, func(t *testing.T) {
			checkTimes(t, g.runs, func(t *rapid.T) {
				c := config{keys: "int", values: g.values, skipIf: true}
				c.ttl = rapid.SampledFrom([]time.Duration{time.Minute, zodiac.Forever, 4 * time.Second, 90 * time.Millisecond}).Draw(t, "ttl")
				if rapid.Bool().Draw(t, "tagged") {
					c.tags = []string{"s"}
				}
				c.tagsFunc = rapid.IntRange(0, 2).Draw(t, "late tags") == 2
				c.validIf = rapid.IntRange(0, 3).Draw(t, "ValidIf") == 3
				c.front = min(g.front, c.ttl)
				rapid.SyncTest(t, func(t *rapid.T) {
					m := &traffic{config: c, t: t, wrap: g.wrap, polls: g.name == "polls"}
					m.raw, m.open = g.open(t)
					if _, ok := m.raw.(*redisstore.Store); ok {
						m.slack = redisSlack
					}
					m.run()
				})
			})
		})
	}
}

// full is every ability that the stores of this test have.
type full interface {
	zodiac.Store
	driver.Leaser
	driver.Batcher
	driver.Waker
	driver.Bus
}

func openTwins(*rapid.T) (full, func() full) {
	s := memstore.New()
	return s, func() full { return s }
}

func openRedisTwins(t *rapid.T) (full, func() full) {
	c := redistest.Virtual(virtualTB{t: t})
	open := func() full { return redisstore.New(c) }
	return open(), open
}

func wholly(c *clerk) zodiac.Store { return c }
func polling(c *clerk) zodiac.Store {
	return chaos.Without(c, chaos.Waker|chaos.Bus|chaos.Batcher)
}
func reading(c *clerk) zodiac.Store { return &dataClerk{c, c.full.(driver.DataReader)} }

const (
	trafficKeys  = 2
	trafficProcs = 2
)

// traffic is the processes and everything that happens in them.
type traffic struct {
	config
	t       *rapid.T
	raw     full        // the store, as another client sees it
	open    func() full // the store, as another process opens it
	wrap    func(*clerk) zodiac.Store
	polls   bool          // no caller is woken
	slack   time.Duration // the error of the store's times
	wait    time.Duration // WithWait
	fail    bool          // return ErrBusy after WithWait
	nones   []error       // not used yet
	looker  subject       // reads the store and changes nothing
	procs   []*proc
	keys    [trafficKeys]track
	visits  []*visit
	updates []*update
	all     []zodiac.Store // to be closed
	// no call that begins now may return a value older than this that has such a tag: P6
	tagFloor tagFloors
	troubles atomic.Int32 // how many processes are troubled
	healed   time.Time    // when the last fault was over

	mu      sync.Mutex // guards the fields below
	tick    int64      // of the last beginning or return
	made    map[int64]*version
	none    map[error]*version
	callers map[int64]*visit // every caller so far
	errands []*errand        // those that run
	asks    map[string]*asking
	lastAsk map[askedBy]*asking
	broken  string // the first broken law that was found where the test could not fail
}

// A proc is a process.
type proc struct {
	subject
	n        int
	o        *origin
	clerk    *clerk
	faults   *chaos.Injector
	troubled atomic.Bool // there are faults, or the store is not known to be used again
	faulty   bool        // it was troubled before
	// what this process itself has invalidated: the floors while it is troubled
	own     [trafficKeys]int64
	ownTags tagFloors
	// when its flights of a key were last replaced, by a write or a forced flight; guarded by traffic.mu
	replaced [trafficKeys]int64
	// the Updates and Adds of a key that have not returned, and when the last one did; likewise
	updating [trafficKeys]int
	updated  [trafficKeys]time.Time
	gets     uint64 // the calls that were counted
	returned uint64
	closes   chan result // not nil if Close was called
	closed   atomic.Bool // Close has returned
}

// A visit is a call of Get, GetOrFetch or Refresh, or one key of a GetMany.
type visit struct {
	id       int64 // also the tick of its beginning
	name     string
	kind     string // "plain", "own", "many", "forced", "aside", "reading" or "peek"
	proc     *proc
	key      int
	floors   floors // no older value may be returned
	own      floors // instead, if the process is troubled
	troubled bool
	all      []*visit // all keys of the call
	cancel   context.CancelFunc
	left     bool
	res      chan result
	at       time.Time // when it returned
	over     bool
	begun    int // the fetches that it was the first to need
	// the fetches that returned alone and began after it: it could have had their result
	pleased int
	asked   time.Time // when it began, or the last of these fetches returned
}

// An errand is a call of the function.
type errand struct {
	*call
	proc     *proc
	visit    *visit // the visit that began the flight
	ask      *asking
	made     *version
	troubled bool // its process was, or became so
}

// An update is a call of Update.
type update struct {
	id       int64
	name     string
	proc     *proc
	key      int
	floor    int64
	res      chan result
	plan     chan plan
	troubled bool
	in       bool // its function runs; guarded by traffic.mu, as are the fields below
	made     *version
	changed  int64 // when the last change of the key began that had returned before the function did
}

func (m *traffic) run() {
	m.made, m.none, m.callers = map[int64]*version{}, map[error]*version{}, map[int64]*visit{}
	m.asks, m.lastAsk = map[string]*asking{}, map[askedBy]*asking{}
	m.wait = rapid.SampledFrom([]time.Duration{10 * time.Second, 10 * time.Second, 400 * time.Millisecond}).Draw(m.t, "wait")
	m.fail = rapid.IntRange(0, 3).Draw(m.t, "fail") == 3
	then := zodiac.ThenFetch
	if m.fail {
		then = zodiac.ThenFail
	}
	for i := range 12 {
		m.nones = append(m.nones, fmt.Errorf("none %d", i))
	}
	m.more = []zodiac.Option{zodiac.WithWait(m.wait, then), zodiac.NoneIf(m.nones...)}
	m.t.Cleanup(m.release)
	c := m.config
	c.front, c.validIf = 0, false
	m.looker, _ = m.join(c)
	for n := range trafficProcs {
		m.procs = append(m.procs, m.process(n))
	}
	m.t.Logf("%v, %v in front, wait %v, fail %v", m.config, m.front, m.wait, m.fail)
	m.t.Repeat(map[string]func(*rapid.T){
		"": m.check, "get": m.doGet, "getToo": m.doGet, "crowd": m.doCrowd, "crowdToo": m.doCrowd, "readOnly": m.doReadOnly,
		"refresh": m.doRefresh, "noWrite": m.doNoWrite, "return": m.doReturn, "returnToo": m.doReturn, "returnMore": m.doReturn, "leave": m.doLeave,
		"set": m.doSet, "setIfAbsent": m.doSetIfAbsent, "add": m.doAdd, "update": m.doUpdate, "updateEnds": m.doUpdateEnds, "touch": m.doTouch,
		"delete": m.doDelete, "deleteTags": m.doDeleteTags, "clear": m.doClear, "foreign": m.doForeign, "advance": m.doAdvance,
		"advanceToo": m.doAdvance, "late": m.doLate, "close": m.doClose, "getMany": m.doGetMany, "getOrFetch": m.doGetOrFetch,
		"setMany": m.doSetMany, "fault": m.doFault, "heal": m.doHeal, "replay": m.doReplay,
	})
	m.drain()
}

// join makes a loader over the store, as one more process.
func (m *traffic) join(c config) (subject, *proc) {
	p := &proc{o: newOrigin()}
	inner := m.open()
	p.faults = chaos.New(inner)
	p.faults.Keep(lateOps...)
	p.clerk = &clerk{full: p.faults.Store().(full), m: m}
	if m.all = append(m.all, inner); inner == m.raw {
		m.all = m.all[:len(m.all)-1]
	}
	c.under = m.wrap(p.clerk)
	p.o.begun = func(c *call) { m.begins(p, c) }
	p.subject = newSubject(c, p.o)
	return p.subject, p
}

func (m *traffic) process(n int) *proc {
	_, p := m.join(m.config)
	p.n = n
	p.Peek(bg, 0) // it begins to receive invalidations
	p.gets++
	synctest.Wait()
	return p
}

// release lets every call end, even after a failure.
func (m *traffic) release() {
	ended, cancel := context.WithCancel(bg)
	cancel()
	for _, v := range m.visits {
		v.cancel()
	}
	for _, u := range m.updates {
		close(u.plan)
	}
	for _, p := range m.procs {
		p.clerk.late.Store(0)
		p.heal()
		close(p.o.quit)
		_ = p.Close(ended)
	}
	m.mu.Lock()
	left := m.errands
	m.mu.Unlock()
	for _, e := range left { // of processes that were replaced
		e.plan <- plan{kind: fails, err: errQuit}
	}
	_ = m.looker.Close(ended)
	time.Sleep(time.Second) // for goroutines that still sleep
	synctest.Wait()
	for _, s := range append(m.all, m.raw) {
		_ = s.Close()
	}
}

// next returns the next tick.
func (m *traffic) next() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tick++
	return m.tick
}

func (m *traffic) logf(format string, args ...any) {
	m.t.Logf("%s %s", time.Now().Format("05.000000"), fmt.Sprintf(format, args...))
}

func (m *traffic) drawKey() int {
	return rapid.SampledFrom([]int{0, 0, 1}).Draw(m.t, "key")
}

// drawProc draws a process that was not told to close.
func (m *traffic) drawProc() *proc {
	p := m.procs[rapid.IntRange(0, len(m.procs)-1).Draw(m.t, "process")]
	if p.closes != nil {
		m.t.Skip("it closes")
	}
	return p
}

// newVisit returns a visit of a key that begins at the tick id.
func (m *traffic) newVisit(p *proc, key int, kind string, id int64) *visit {
	v := &visit{id: id, kind: kind, proc: p, key: key, asked: time.Now(), troubled: p.troubled.Load()}
	v.name = fmt.Sprintf("Get(%d) #%d, %s, in process %d", key, v.id, kind, p.n)
	v.floors, v.own = floors{m.keys[key].floor, m.tagFloor}, m.ownFloors(p, key)
	v.all, v.res = []*visit{v}, make(chan result, 1)
	m.logf("%s", v.name)
	m.visits = append(m.visits, v)
	return v
}

// comes makes a caller known, and returns its context.
func (m *traffic) comes(v *visit) context.Context {
	m.mu.Lock()
	m.callers[v.id] = v
	m.mu.Unlock()
	ctx, cancel := context.WithCancel(context.WithValue(bg, callerID{}, v.id))
	v.cancel = cancel
	for _, v := range v.all {
		v.cancel = cancel
	}
	return ctx
}

// visit begins a Get.
func (m *traffic) visit(p *proc, key int, kind string) {
	v := m.newVisit(p, key, kind, m.next())
	ctx := m.comes(v)
	if kind == "forced" {
		m.replace(p, key)
	}
	v.res = spawn(func() (r result) {
		switch kind {
		case "forced":
			r.val, r.err = p.Refresh(ctx, key)
		case "own":
			r.val, r.err = p.GetOrFetch(ctx, key, "its own")
		case "aside":
			r.val, r.err = p.Get(zodiac.NoWrite(ctx), key)
		case "reading":
			r.val, r.err = p.Get(zodiac.ReadOnly(ctx), key)
		default:
			r.val, r.err = p.Get(ctx, key)
		}
		v.at = time.Now()
		return r
	})
}

func (m *traffic) doGet(*rapid.T)      { m.visit(m.drawProc(), m.drawKey(), "plain"); m.waitIdle() }
func (m *traffic) doRefresh(*rapid.T)  { m.visit(m.drawProc(), m.drawKey(), "forced"); m.waitIdle() }
func (m *traffic) doNoWrite(*rapid.T)  { m.visit(m.drawProc(), m.drawKey(), "aside"); m.waitIdle() }
func (m *traffic) doReadOnly(*rapid.T) { m.visit(m.drawProc(), m.drawKey(), "reading"); m.waitIdle() }

// doCrowd begins Gets of one key in every process, at once or one after another.
func (m *traffic) doCrowd(t *rapid.T) {
	key, together := m.drawKey(), rapid.Bool().Draw(t, "together")
	for range rapid.IntRange(2, 5).Draw(t, "callers") {
		p := m.procs[rapid.IntRange(0, len(m.procs)-1).Draw(t, "process")]
		if p.closes != nil {
			continue
		}
		if m.visit(p, key, "plain"); !together {
			synctest.Wait()
		}
	}
	m.waitIdle()
}

// doReturn lets a function return.
func (m *traffic) doReturn(t *rapid.T) {
	m.mu.Lock()
	running := slices.Clone(m.errands)
	m.mu.Unlock()
	if len(running) == 0 {
		t.Skip("no function runs")
	}
	e := running[rapid.IntRange(0, len(running)-1).Draw(t, "which")]
	watched := e.proc.clerk.late.Load() == 0 || rapid.Bool().Draw(t, "watched")
	kind := rapid.SampledFrom([]string{"value", "value", "value", "value", "value", "error", "none", "skip"}).Draw(t, "with")
	m.letReturn(e, kind, watched)
}

// letReturn lets a function return. If watched, it waits until the fetch has had its full effect.
func (m *traffic) letReturn(e *errand, kind string, watched bool) {
	m.mu.Lock()
	m.errands = slices.DeleteFunc(m.errands, func(o *errand) bool { return o == e })
	sole := !slices.ContainsFunc(m.errands, func(o *errand) bool { return o.proc == e.proc && o.key == e.key })
	l := endedFetch{e, e.told(), kind, sole, m.keys[e.key].revoked}
	p := m.planOf(e, kind)
	m.tick++
	e.made.by, e.made.returned = e.proc, m.tick
	m.mu.Unlock()
	m.logf("the fetch of %d begun at tick %d in process %d %v", e.key, e.made.tick, e.proc.n, p)
	e.proc.returned++
	e.plan <- p
	m.waitIdle()
	if late := time.Duration(e.proc.clerk.late.Load()); watched {
		time.Sleep(10 * late)
		m.waitIdle()
		m.checkEnded(l)
	}
}

// planOf returns the plan of a function. The caller holds mu.
func (m *traffic) planOf(e *errand, kind string) plan {
	switch {
	case kind == "error":
		m.tick++
		e.made.err, e.made.failed = fmt.Errorf("error %d", m.tick), m.tick
		return plan{kind: fails, err: e.made.err}
	case kind == "none" && len(m.nones) > 0:
		err := m.nones[0]
		m.none[err], m.nones = e.made, m.nones[1:]
		e.made.none = true
		return plan{kind: fails, err: err}
	case kind == "skip":
		delete(m.made, e.made.id)
		for skipTrait.of(value{id: e.made.id}) != 3 {
			e.made.id++
		}
		m.made[e.made.id] = e.made
	}
	return plan{kind: returns, val: value{id: e.made.id}}
}

// doLeave ends the context of a caller.
func (m *traffic) doLeave(t *rapid.T) {
	if len(m.visits) == 0 {
		t.Skip("nobody waits")
	}
	v := m.visits[rapid.IntRange(0, len(m.visits)-1).Draw(t, "who")]
	m.logf("%s leaves", v.name)
	for _, v := range v.all {
		v.left = true
	}
	v.cancel()
	m.waitIdle()
	if !v.over && v.proc.clerk.late.Load() == 0 {
		t.Fatalf("P16: %s waits on, though its context has ended", v.name)
	}
}

// write makes a call that may invalidate keys, and records the effects of its return. If it returns
// an error, which it may in a troubled process, it may have been carried out or not.
func (m *traffic) write(what string, p *proc, do func(v *version) (keys []int, err error)) {
	begin := m.next()
	v := &version{id: idOf(begin), tick: begin}
	m.mu.Lock()
	m.made[v.id] = v
	m.mu.Unlock()
	keys, err := do(v)
	m.logf("%s in process %d, at tick %d: keys %v, %v", what, p.n, begin, keys, err)
	m.replace(p, keys...)
	if _, faulty := errors.AsType[*zodiac.StoreError](err); faulty && p.troubled.Load() {
		m.unsure(keys...)
		m.waitIdle()
		return
	} else if err != nil {
		m.t.Fatalf("%s in process %d = %v", what, p.n, err)
	}
	for _, key := range keys {
		m.invalidated(key, v.tick, what == "Clear")
		p.own[key] = max(p.own[key], v.tick)
	}
	m.checkOwn(p, keys)
	m.waitIdle()
}

// writing draws the context of a write. It may have ended: the write is carried out all the same.
func (m *traffic) writing() context.Context {
	ctx, cancel := context.WithCancel(bg)
	if rapid.IntRange(0, 3).Draw(m.t, "ended") == 3 {
		m.logf("the context has ended")
		cancel()
	}
	m.t.Cleanup(cancel)
	return ctx
}

func (m *traffic) doSet(*rapid.T) {
	p, key := m.drawProc(), m.drawKey()
	opts, ttl := m.drawTTL()
	m.write(fmt.Sprintf("Set(%d, %v)", key, ttl), p, func(v *version) ([]int, error) {
		v.key = key
		return []int{key}, p.Set(m.writing(), key, value{id: v.id}, opts...)
	})
}

func (m *traffic) drawTTL() ([]zodiac.SetOption, time.Duration) {
	ttl := rapid.SampledFrom([]time.Duration{0, 0, 80 * time.Millisecond, 2 * time.Second}).Draw(m.t, "WithTTL")
	if ttl == 0 {
		return nil, 0
	}
	return []zodiac.SetOption{zodiac.WithTTL(ttl)}, ttl
}

func (m *traffic) doSetIfAbsent(*rapid.T) {
	p, key := m.drawProc(), m.drawKey()
	m.observe()
	here, now := m.keys[key].seen, time.Now()
	m.write(fmt.Sprintf("SetIfAbsent(%d)", key), p, func(v *version) ([]int, error) {
		v.key = key
		added, err := p.SetIfAbsent(bg, key, value{id: v.id})
		if late := p.clerk.late.Load() != 0 || p.troubled.Load(); !late && time.Since(now) == 0 && added == (here != nil) && err == nil {
			m.t.Fatalf("SetIfAbsent(%d) in process %d = %v, but there is %v", key, p.n, added, here)
		}
		if !added && err == nil {
			return nil, nil
		}
		return []int{key}, err
	})
}

func (m *traffic) doAdd(t *rapid.T) {
	if m.values != "int64" {
		t.Skip("no numbers")
	}
	p, key := m.drawProc(), m.drawKey()
	if p.troubled.Load() {
		t.Skip("the sum would be unknown after an error")
	}
	m.spareUpdates(p, key)
	m.write(fmt.Sprintf("Add(%d)", key), p, func(v *version) ([]int, error) {
		v.key = key
		m.adds(p, key, 1)
		defer m.adds(p, key, -1)
		sum, err := p.Add(bg, key, scatter(v.tick))
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.made, v.id)
		v.id = sum.id
		m.made[v.id] = v
		return []int{key}, err
	})
}

// adds records that an Add of a key begins, or is over if n is -1. Its sum is not known before it
// returns.
func (m *traffic) adds(p *proc, key, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keys[key].adding = n > 0
	p.updating[key] += n
	p.updated[key] = time.Now()
}

// scatter makes numbers of ticks such that no two sums of them are equal.
func scatter(tick int64) int64 {
	n := uint64(tick) * 0x9e3779b97f4a7c15
	n = (n ^ n>>31) * 0xbf58476d1ce4e5b9
	return int64(n >> 18)
}

// spareUpdates skips a call that would wait for its turn.
func (m *traffic) spareUpdates(p *proc, key int) {
	if slices.ContainsFunc(m.updates, func(u *update) bool { return u.proc == p && (u.key == key || key < 0) }) {
		m.t.Skip("an Update goes on")
	}
}

// doUpdate begins an Update with a slow function.
func (m *traffic) doUpdate(*rapid.T) {
	p, key := m.drawProc(), m.drawKey()
	m.spareUpdates(p, key)
	u := &update{id: m.next(), proc: p, key: key, floor: m.keys[key].floor, plan: make(chan plan), troubled: p.troubled.Load()}
	u.name = fmt.Sprintf("Update(%d) #%d in process %d", key, u.id, p.n)
	m.logf("%s", u.name)
	m.updates = append(m.updates, u)
	m.mu.Lock()
	p.updating[key]++
	m.mu.Unlock()
	ctx := context.WithValue(bg, callerID{}, u.id)
	u.res = spawn(func() (r result) {
		r.val, r.err = p.Update(ctx, key, func(old value, ok bool) (value, error) {
			m.updating(u, old, ok)
			plan := <-u.plan
			m.mu.Lock()
			u.in, u.changed = false, m.keys[key].changed
			v := value{id: u.made.id}
			m.mu.Unlock()
			return v, plan.err
		})
		return r
	})
	m.waitIdle()
}

func (m *traffic) doUpdateEnds(t *rapid.T) {
	for _, u := range m.updates {
		m.mu.Lock()
		in := u.in
		m.mu.Unlock()
		if !in {
			continue
		}
		p := plan{kind: returns}
		if rapid.IntRange(0, 3).Draw(t, "fails") == 3 {
			p.err = errGone
		}
		m.logf("the function of %s %v", u.name, p.err)
		u.plan <- p
		m.waitIdle()
		return
	}
	t.Skip("no Update goes on")
}

func (m *traffic) doTouch(*rapid.T) {
	p, key := m.drawProc(), m.drawKey()
	opts, ttl := m.drawTTL()
	m.keys[key].touched = true
	m.write(fmt.Sprintf("Touch(%d, %v)", key, ttl), p, func(*version) ([]int, error) {
		_, err := p.Touch(m.writing(), key, opts...)
		if err != nil {
			return []int{key}, err
		}
		return nil, nil
	})
}

func (m *traffic) doDelete(t *rapid.T) {
	p := m.drawProc()
	keys := rapid.SampledFrom([][]int{{0}, {1}, {0, 1}}).Draw(t, "keys")
	m.write("Delete", p, func(*version) ([]int, error) {
		_, err := p.Delete(m.writing(), keys...)
		return keys, err
	})
}

func (m *traffic) doClear(*rapid.T) {
	p := m.drawProc()
	m.write("Clear", p, func(*version) ([]int, error) {
		_, err := p.Clear(m.writing())
		return []int{0, 1}, err
	})
}

// doDeleteTags makes the entries with a tag too old. Leases stay.
func (m *traffic) doDeleteTags(t *rapid.T) {
	names := m.tags
	if m.tagsFunc {
		names = append(slices.Clip(names), lateTags...)
	}
	if len(names) == 0 {
		t.Skip("no tags")
	}
	p, name := m.drawProc(), rapid.SampledFrom(names).Draw(t, "tag")
	m.write("DeleteTags of "+name, p, func(v *version) ([]int, error) {
		err := p.DeleteTags(m.writing(), name)
		returned := m.next()
		m.mu.Lock()
		for key := range m.keys { // any fetch may be discarded: it may have the tag
			m.keys[key].tagged = returned
		}
		m.mu.Unlock()
		m.replace(p, 0, 1)
		if err != nil {
			return []int{0, 1}, err
		}
		if i := slices.Index(lateTags, name); i >= 0 {
			m.tagFloor[i], p.ownTags[i] = v.tick, v.tick
		} else {
			for key := range m.keys {
				m.keys[key].floor, p.own[key] = v.tick, v.tick
			}
		}
		m.checkOwn(p, []int{0, 1})
		return nil, nil
	})
}

// doForeign deletes a key as another program does. Memory in front of a store does not receive
// that.
func (m *traffic) doForeign(*rapid.T) {
	key, begin := m.drawKey(), m.next()
	m.logf("a stranger deletes %d, at tick %d", key, begin)
	var err error
	if r, ok := m.raw.(*redisstore.Store); ok {
		err = r.Client().Del(bg, keyText(key)).Err()
	} else {
		_, err = m.raw.Delete(bg, keyText(key))
	}
	if err != nil {
		m.t.Fatal(err)
	}
	floor := m.keys[key].floor
	m.invalidated(key, begin, false)
	if m.front != 0 {
		m.keys[key].floor = floor
		m.keys[key].unreceived = append(m.keys[key].unreceived, unreceived{time.Now().Add(m.front), begin})
	}
	m.waitIdle()
}

// keyText returns the store's key.
func keyText(key int) string { return fmt.Sprintf("zodiac::subject:%d", key) }

func (m *traffic) doAdvance(t *rapid.T) {
	to := []time.Duration{time.Millisecond, 51 * time.Millisecond, 340 * time.Millisecond, time.Second, 2100 * time.Millisecond, m.wait + time.Second}
	for key := range m.keys {
		if seen := m.keys[key].seen; seen != nil && !seen.until.IsZero() {
			to = append(to, time.Until(seen.until), time.Until(seen.until)-time.Millisecond)
		}
	}
	d := max(0, rapid.SampledFrom(to).Draw(t, "for"))
	m.logf("%v pass", d)
	time.Sleep(d)
	m.waitIdle()
}

// doLate makes the store's replies to a process late, or ends that.
func (m *traffic) doLate(t *rapid.T) {
	p := m.drawProc()
	late := rapid.SampledFrom([]time.Duration{0, time.Millisecond, 3 * time.Millisecond}).Draw(t, "late")
	m.logf("replies to process %d are late by %v", p.n, late)
	if was := time.Duration(p.clerk.late.Swap(int64(late))); was > late {
		time.Sleep(was) // until the late replies have come
		m.waitIdle()
	}
}

// doClose closes a process. Its callers have some time to get their results. Another process takes
// its place.
func (m *traffic) doClose(t *rapid.T) {
	if rapid.Bool().Draw(t, "not yet") {
		t.Skip("it is not to happen all the time")
	}
	p := m.drawProc()
	if p.troubled.Load() {
		t.Skip("its leases would be left")
	}
	m.spareUpdates(p, -1)
	d := rapid.SampledFrom([]time.Duration{0, 0, 300 * time.Millisecond, time.Hour}).Draw(t, "within")
	m.logf("process %d closes within %v", p.n, d)
	p.closes = spawn(func() result {
		ctx, cancel := context.WithTimeout(bg, d)
		defer cancel()
		return result{err: p.Close(ctx)}
	})
	m.waitIdle()
}

// drain lets every call come to its end, and closes.
func (m *traffic) drain() {
	for _, p := range m.procs {
		p.clerk.late.Store(0)
		m.heal(p)
	}
	for range 100 {
		m.t.Log("drain")
		time.Sleep(60 * time.Millisecond)
		m.waitIdle()
		m.check(m.t)
		m.mu.Lock()
		running := slices.Clone(m.errands)
		m.mu.Unlock()
		switch {
		case len(running) > 0:
			m.letReturn(running[0], "value", true)
		case len(m.updates) > 0:
			m.doUpdateEnds(m.t)
		case len(m.visits) > 0:
			m.t.Fatalf("P14: %s waits, and no function runs", m.visits[0].name)
		default:
			time.Sleep(2 * time.Second) // leases that nobody could give back
			m.waitIdle()
			m.checkEnd()
			return
		}
	}
	m.t.Fatal("P17: one hundred fetches later somebody still waits")
}
