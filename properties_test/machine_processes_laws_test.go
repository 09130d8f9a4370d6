package properties_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac"
	"github.com/zodiac-go/zodiac/driver"
	"pgregory.net/rapid"
)

// A version is the value of one fetch, Set, SetIfAbsent, Update or Add.
type version struct {
	id   int64
	key  int
	tick int64 // when the fetch or the write began
	// when it ends in the store, as last seen; zero if it never ends or was not seen there
	until   time.Time
	err     error // the error that the fetch returned instead of a value
	failed  int64 // when it failed
	none    bool  // it is that the key does not exist
	endless bool  // its end is not known to all: a Touch has failed
	// of a fetch: where it ran, and when it returned
	by       *proc
	returned int64
}

func (v *version) String() string {
	if v == nil {
		return "nothing"
	}
	return fmt.Sprintf("%d of tick %d", v.id, v.tick)
}

// A track is the known state of a key.
type track struct {
	floor      int64        // no call that begins now may return an older value: P1
	unreceived []unreceived // floors yet to come
	tagged     int64        // when the last DeleteTags returned
	revoked    int64        // no older lease may commit: P9
	// younger leases may commit; a fetch that began before it may be discarded
	fence   int64
	freed   int64    // nobody waits for an older lease: P14
	changed int64    // when the last change that has returned began
	seen    *version // the version in the store
	touched bool
	adding  bool // an Add of the key is running; guarded by traffic.mu
}

// An unreceived is an invalidation that memory in front of a store does not know before a given
// time.
type unreceived struct {
	at    time.Time
	floor int64
}

// askedBy is a caller that asks for the lease of a key.
type askedBy struct {
	caller int64
	key    string
}

// An asking is the history of the asks with one token.
type asking struct {
	by    int64
	since time.Time
	met   map[string]bool // the holders it has met
	last  driver.Claim
	won   int64 // the tick at which the lease was granted
}

// A clerk is a store as one process has it. It notes the asks for leases. Its replies may be late.
type clerk struct {
	full
	m      *traffic
	late   atomic.Int64
	wakes  atomic.Int64
	silent atomic.Bool // Acquire is not answered
}

// A dataClerk is a clerk of a store that is a DataReader.
type dataClerk struct {
	*clerk
	driver.DataReader
}

func (c *clerk) reply() { time.Sleep(time.Duration(c.late.Load())) }

func (c *clerk) Get(ctx context.Context, key string) (driver.Record, error) {
	defer c.reply()
	return c.full.Get(ctx, key)
}

func (c *clerk) GetMany(ctx context.Context, keys []string) ([]driver.Record, []error) {
	defer c.reply()
	return c.full.GetMany(ctx, keys)
}

func (c *dataClerk) GetData(ctx context.Context, key string) (driver.Record, error) {
	defer c.reply()
	return c.DataReader.GetData(ctx, key)
}

func (c *clerk) Commit(ctx context.Context, key, token string, r driver.Record) (bool, error) {
	defer c.reply()
	return c.full.Commit(ctx, key, token, r)
}

func (c *clerk) Delete(ctx context.Context, keys ...string) (int, error) {
	defer c.reply()
	n, err := c.full.Delete(ctx, keys...)
	c.m.mu.Lock() // also that of a forced fetch whose result could not be stored: it revokes leases
	defer c.m.mu.Unlock()
	for i := range c.m.keys {
		if slices.Contains(keys, keyText(i)) {
			c.m.tick++
			c.m.keys[i].fence = c.m.tick
		}
	}
	return n, err
}

func (c *clerk) Set(ctx context.Context, key string, r driver.Record) error {
	defer c.reply()
	return c.full.Set(ctx, key, r)
}

func (c *clerk) Wake(ctx context.Context, key string) (<-chan struct{}, func()) {
	wake, unwake := c.full.Wake(ctx, key)
	c.wakes.Add(1)
	return wake, func() { unwake(); c.wakes.Add(-1) }
}

func (c *clerk) Acquire(ctx context.Context, key string, ask driver.Ask) (driver.Claim, error) {
	defer c.reply()
	if c.silent.Load() { // here and not by the Injector, which would wait under mu
		<-ctx.Done()
		return driver.Claim{}, ctx.Err()
	}
	c.m.mu.Lock() // so that ticks have the order in which leases are granted
	defer c.m.mu.Unlock()
	claim, err := c.full.Acquire(ctx, key, ask)
	if err == nil {
		by, _ := ctx.Value(callerID{}).(int64)
		c.m.asked(by, key, ask, claim)
	}
	for i := range c.m.keys {
		if err != nil && ask.Force && keyText(i) == key { // it may have taken the lease over
			c.m.tick++
			c.m.keys[i].fence = c.m.tick
		}
	}
	return claim, err
}

// asked records an ask. The caller holds mu.
func (m *traffic) asked(by int64, key string, ask driver.Ask, claim driver.Claim) {
	a := m.asks[ask.Token]
	if a == nil {
		a = &asking{by: by, since: time.Now(), met: map[string]bool{}}
		m.asks[ask.Token] = a
	}
	if len(a.met) >= 3 {
		m.breaks("P17: #%d asks for the lease of %s again, after it has met three holders", by, key)
	}
	if waited := time.Since(a.since); waited > m.wait+60*time.Millisecond && m.troubles.Load() == 0 {
		m.breaks("P16: #%d asks for the lease of %s after %v; WithWait is %v", by, key, waited, m.wait)
	}
	m.lastAsk[askedBy{by, key}] = a
	a.last = claim
	switch claim.State {
	case driver.Busy:
		a.met[claim.Holder] = true
	case driver.Won:
		m.tick++
		a.won = m.tick
		for i := range m.keys {
			if ask.Force && keyText(i) == key {
				m.keys[i].revoked, m.keys[i].fence, m.keys[i].freed = m.tick, m.tick, m.tick
			}
		}
	}
}

// breaks records a broken law. The caller holds mu.
func (m *traffic) breaks(format string, args ...any) {
	if m.broken == "" {
		m.broken = fmt.Sprintf(format, args...)
	}
}

// begins records a call of the function.
func (m *traffic) begins(p *proc, c *call) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tick++
	by, _ := c.ctx.Value(callerID{}).(int64)
	e := &errand{call: c, proc: p, visit: m.callerOf(by, c.key), made: &version{id: idOf(m.tick), key: c.key, tick: m.tick}}
	e.troubled = p.troubled.Load()
	for skipTrait.of(value{id: e.made.id}) == 3 {
		e.made.id++
	}
	m.made[e.made.id] = e.made
	m.errands = append(m.errands, e)
	v := e.visit
	switch {
	case v == nil || v.proc != p || v.key != c.key:
		m.breaks("a function runs for key %d in process %d, for nobody", c.key, p.n)
		return
	case v.kind == "reading":
		m.breaks("%s calls the function", v.name)
	case v.kind == "forced":
		p.replaced[c.key] = m.tick
	}
	switch {
	case (v.kind == "own") != (c.via != ""):
		m.breaks("the fetch of %s calls the function %q", v.name, c.via)
	case p.closed.Load() && c.ctx.Err() == nil:
		m.breaks("P29: a function begins in process %d, which is closed", p.n)
	}
	if v.begun++; v.begun > 1 && !v.troubled {
		m.breaks("P17: %s begins a second fetch", v.name)
	}
	if v.kind == "aside" {
		return
	}
	e.ask = m.lastAsk[askedBy{by, keyText(c.key)}]
	switch a := e.ask; {
	case e.troubled || v.troubled: // the store may not have answered
	case p.updating[c.key] > 0 || a != nil && !p.updated[c.key].Before(a.since):
		// an Update of its own process had the lease: it does not wait for that
	case a == nil:
		m.breaks("P10: the fetch of %s never asked for the lease", v.name)
	case a.last.State == driver.Won || a.last.State == driver.Hit && a.last.Record.Tombstone:
	case len(a.met) >= 3:
	case time.Since(a.since) >= m.wait && !m.fail:
	default:
		m.breaks("P10: the fetch of %s runs without the lease: %v, after %v, and %d holders", v.name, a.last.State, time.Since(a.since), len(a.met))
	}
}

// updating records a call of an Update's function.
func (m *traffic) updating(u *update, old value, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tick++
	u.in = true
	u.made = &version{id: idOf(m.tick), key: u.key, tick: m.tick}
	m.made[u.made.id] = u.made
	if was := m.made[old.id]; ok && was == nil && m.keys[u.key].adding {
		return // it may be the sum
	} else if ok && (was == nil || was.key != u.key) {
		m.breaks("%s is given %d, which no fetch or write made", u.name, old.id)
	} else if ok && was.tick < u.floor && !u.troubled {
		m.breaks("P1: %s is given %v, which is older than tick %d", u.name, was, u.floor)
	}
}

// leased returns when the errand's lease was granted, or 0 if it has none. The caller holds mu.
func (e *errand) leased() int64 {
	if e.ask == nil || e.ask.last.State != driver.Won {
		return 0
	}
	return e.ask.won
}

// leased returns the same for an Update whose function runs. The caller holds mu.
func (m *traffic) leased(u *update) int64 {
	if a := m.lastAsk[askedBy{u.id, keyText(u.key)}]; u.in && a != nil {
		return a.won
	}
	return 0
}

// invalidated records that an operation that began at a tick has invalidated a key and returned.
func (m *traffic) invalidated(key int, begin int64, clear bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := &m.keys[key]
	m.tick++
	k.floor, k.revoked, k.fence = max(k.floor, begin), max(k.revoked, begin), m.tick
	k.changed = max(k.changed, begin)
	if !clear { // a Clear keeps the leases, so other processes go on waiting
		k.freed = max(k.freed, begin)
	}
}

// checkOwn checks that a process sees its own invalidations at once, whether or not other processes
// have received them (P1, P8).
func (m *traffic) checkOwn(p *proc, keys []int) {
	for _, key := range keys {
		v, ok, err := p.Peek(bg, key)
		if p.gets++; !ok {
			continue
		}
		ver := m.versionOf(result{val: v, err: err})
		if floor := m.oldest(ver, floors{p.own[key], p.ownTags}); ver == nil || ver.tick < floor {
			m.t.Fatalf("P1: process %d finds %v; it has itself invalidated values older than tick %d", p.n, ver, floor)
		}
	}
}

// waitIdle waits until everything is idle, and records and checks the results of the calls that
// have returned.
func (m *traffic) waitIdle() {
	synctest.Wait()
	m.collect()
	m.observe()
}

func (m *traffic) collect() {
	m.mu.Lock()
	broken := m.broken
	m.mu.Unlock()
	if broken != "" {
		m.t.Fatal(broken)
	}
	m.updates = slices.DeleteFunc(m.updates, func(u *update) bool {
		select {
		case r := <-u.res:
			m.logf("%s returned %v", u.name, r)
			m.checkUpdate(u, r)
			return true
		default:
			return false
		}
	})
	m.visits = slices.DeleteFunc(m.visits, func(v *visit) bool {
		select {
		case r := <-v.res:
			v.over = true
			v.cancel()
			m.logf("%s returned %v", v.name, r)
			m.checkVisit(v, r)
			return true
		default:
			return false
		}
	})
	for i, p := range m.procs {
		if len(p.closes) == 0 {
			continue
		}
		r := <-p.closes
		m.logf("process %d is closed: %v", p.n, r)
		m.checkClosed(p, r)
		m.procs[i] = m.process(p.n)
	}
}

// versionOf returns the version of a result, or nil if no fetch or write made it.
func (m *traffic) versionOf(r result) *version {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r.err == nil {
		return m.made[r.val.id]
	}
	for is, v := range m.none {
		if errors.Is(r.err, zodiac.ErrNone) && errors.Is(r.err, is) {
			return v
		}
	}
	return nil
}

// checkVisit is the law of the result of a Get.
func (m *traffic) checkVisit(v *visit, r result) {
	if !errors.Is(r.err, zodiac.ErrClosed) {
		v.proc.gets++
	}
	if r.err == nil || errors.Is(r.err, zodiac.ErrNone) {
		ver := m.versionOf(r)
		m.checkVersion(v, ver, r)
		if v.kind == "forced" && !v.troubled { // who asks from now on gets nothing older, anywhere
			m.keys[v.key].floor = max(m.keys[v.key].floor, ver.tick)
		}
		return
	}
	switch {
	case r.panicked != nil || r.exited:
	case r.err == context.Canceled && v.left: //nolint:errorlint // the context's own
		return
	case errors.Is(r.err, zodiac.ErrMiss) && v.kind == "reading":
		return
	case r.err == zodiac.ErrClosed && v.proc.closes != nil: //nolint:errorlint // it is never wrapped
		return
	case errors.Is(r.err, zodiac.ErrBusy) && m.fail:
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if r.err == errAbsent && m.knownAbsent(v) { //nolint:errorlint // the machine's own
		return
	}
	for _, ver := range m.made {
		if ver.err != nil && ver.err == r.err && ver.key == v.key && ver.failed > v.id { //nolint:errorlint // it is not wrapped
			return // a fetch failed while the caller waited
		}
	}
	m.t.Fatalf("P19: %s returned %v, which is not its own", v.name, r)
}

func (m *traffic) checkVersion(v *visit, ver *version, r result) {
	at := v.floors
	if v.troubled { // it may not have heard of what other processes did
		at = v.own
	}
	floor := m.oldest(ver, at)
	switch {
	case ver == nil || ver.key != v.key:
		m.t.Fatalf("P21: %s returned %v, which no fetch or write made for this key", v.name, r)
	case ver.tick < floor:
		m.t.Fatalf("P1: %s returned %v, which is older than an invalidation, at tick %d, that had returned before; running: %v", v.name, ver, floor, m.running())
	case m.refuses(ver) && (v.kind == "peek" || ver.by != v.proc || ver.returned < v.id):
		m.t.Fatalf("%s returned %v, which ValidIf refuses, and which no fetch that it shared has brought", v.name, ver)
	case v.kind == "forced" && ver.tick < v.id:
		m.t.Fatalf("%s returned %v, a fetch that began before", v.name, ver)
	case !ver.until.IsZero() && !ver.endless && !v.at.Before(ver.until.Add(m.slack)):
		m.t.Fatalf("P24: %s returned %v %v after its end", v.name, ver, v.at.Sub(ver.until))
	}
}

func (m *traffic) checkUpdate(u *update, r result) {
	_, faulty := errors.AsType[*zodiac.StoreError](r.err)
	m.mu.Lock()
	u.proc.updating[u.key]--
	u.proc.updated[u.key] = time.Now()
	m.mu.Unlock()
	switch {
	case faulty && u.troubled:
		m.unsure(u.key)
		m.replace(u.proc, u.key)
	case r.err == nil && r.val.id != u.made.id:
		m.t.Fatalf("%s returned %v; its function returned %v", u.name, r, u.made)
	case r.err == nil && u.changed > u.made.tick:
		m.t.Fatalf("%s has replaced a value that its function, called at tick %d, did not see: the key was changed at %d", u.name, u.made.tick, u.changed)
	case r.err == nil:
		m.invalidated(u.key, u.made.tick, false)
		u.proc.own[u.key] = max(u.proc.own[u.key], u.made.tick)
		m.replace(u.proc, u.key)
	case !errors.Is(r.err, errGone) && !errors.Is(r.err, zodiac.ErrBusy):
		m.t.Fatalf("%s returned %v", u.name, r)
	}
}

// observe reads the store. The version there never becomes older (P9), and its end does not move
// away (P23).
func (m *traffic) observe() {
	now := time.Now()
	for key := range m.keys {
		k := &m.keys[key]
		k.unreceived = slices.DeleteFunc(k.unreceived, func(u unreceived) bool {
			if now.Before(u.at) {
				return false
			}
			k.floor = max(k.floor, u.floor)
			return true
		})
		e, ok, err := m.looker.Entry(bg, key)
		was := k.seen
		if k.seen = nil; !ok {
			if err != nil {
				m.t.Fatalf("a look at key %d is answered by %v", key, err)
			}
			continue
		}
		ver := m.versionOf(result{val: e.Value, err: err})
		switch {
		case ver == nil || ver.key != key:
			m.t.Fatalf("P9: the store has %v, %v for key %d, which no fetch or write made for it", e.Value, err, key)
		case ver.tick < m.oldest(ver, floors{k.floor, m.tagFloor}):
			m.t.Fatalf("P9: the store has %v for key %d, which is older than an invalidation", ver, key)
		case was != nil && ver.tick < was.tick:
			m.t.Fatalf("P9: the store had %v for key %d; now it has %v, which is older", was, key, ver)
		}
		var until time.Time
		if e.Left != zodiac.Forever {
			until = now.Add(e.Left)
		}
		if ver == was && !k.touched && !was.until.IsZero() && (until.IsZero() || until.After(was.until.Add(m.slack))) {
			m.t.Fatalf("P23: %v ended at %v; now it ends at %v", ver, was.until, until)
		}
		k.seen, ver.until, k.touched = ver, until, false
		if m.front == 0 { // a value read from now on is as new
			k.floor = max(k.floor, ver.tick)
		}
	}
}

// An endedFetch is a fetch that has returned, with the state before its return.
type endedFetch struct {
	*errand
	told    bool
	kind    string
	sole    bool  // no other function of the key ran in its process
	revoked int64 // see track
}

// checkEnded checks the effect of a fetch. A discarded or abandoned fetch stores nothing. Any other
// fetch is stored (P2, P9).
func (m *traffic) checkEnded(l endedFetch) {
	k := &m.keys[l.key]
	m.mu.Lock()
	won := l.leased()
	m.mu.Unlock()
	discarded := l.told || won == 0 || won < l.revoked
	good := !l.told && !l.troubled && won > 0 && l.visit.id > k.fence && l.visit.id > k.tagged && l.proc.closes == nil
	switch {
	case discarded && k.seen == l.made:
		m.t.Fatalf("P9: the fetch of %v in process %d has filled the store; it was discarded, without a lease or abandoned", l.made, l.proc.n)
	case good && l.kind != "error" && l.kind != "skip" && k.seen != l.made && m.ttl > time.Second:
		m.t.Fatalf("P2: the fetch of %v in process %d, whose lease was good, has left %v in the store", l.made, l.proc.n, k.seen)
	}
	for _, v := range m.visits {
		if l.visit.kind == "aside" && v.kind != "aside" || v.kind == "many" || v.troubled || m.polls && time.Since(v.asked) < 51*time.Millisecond {
			continue // it may not use that result, or has not asked since
		}
		if v.proc == l.proc && v.key == l.key && l.sole && !l.told && l.made.tick > v.id && l.proc.clerk.late.Load() == 0 {
			v.asked = time.Now()
			if v.pleased++; v.pleased > 2 {
				m.t.Fatalf("P17: %s begins a new round: three fetches that began after it have returned alone", v.name)
			}
		}
	}
}

// checkClosed checks a process whose Close has returned. No caller waits there, and the functions
// that still run were told to stop (P29).
func (m *traffic) checkClosed(p *proc, r result) {
	p.closed.Store(true)
	time.Sleep(10 * time.Duration(p.clerk.late.Load())) // for replies under way
	synctest.Wait()
	for _, v := range m.visits {
		if v.proc == p && len(v.res) == 0 {
			m.t.Fatalf("P29: %s waits in a closed process", v.name)
		}
	}
	busy := false
	for _, e := range m.errands {
		if e.proc != p {
			continue
		}
		if busy = true; !e.told() {
			m.t.Fatalf("P29: the fetch of %v goes on in a closed process, and was not told", e.made)
		}
	}
	if r.err == nil && busy {
		m.t.Fatalf("P29: Close of process %d returned nil, and functions run", p.n)
	}
	if _, err := p.Get(bg, 0); !errors.Is(err, zodiac.ErrClosed) {
		m.t.Fatalf("P29: Get in a closed process = %v", err)
	}
	m.checkStats(p)
}

// check checks what holds after every step.
func (m *traffic) check(t *rapid.T) {
	m.waitIdle()
	m.checkErrands()
	for _, p := range m.procs {
		m.checkStats(p)
	}
	if rapid.Bool().Draw(t, "look at all") {
		m.checkPeeks()
	}
	m.checkWaiting()
}

// checkPeeks looks for old and expired values in every process.
func (m *traffic) checkPeeks() {
	for _, p := range m.procs {
		for key := range m.keys {
			if p.closes != nil {
				continue
			}
			v := &visit{name: fmt.Sprintf("Peek(%d) in process %d", key, p.n), kind: "peek", proc: p, key: key, troubled: p.troubled.Load()}
			v.floors, v.own = floors{m.keys[key].floor, m.tagFloor}, m.ownFloors(p, key)
			val, ok, err := p.Peek(bg, key)
			v.at = time.Now()
			if p.gets++; ok {
				m.checkVersion(v, m.versionOf(result{val: val, err: err}), result{val: val, err: err})
			}
		}
	}
}

// checkErrands checks that one fetch runs under one lease (P10), and that exactly the abandoned
// fetches were told to stop (P19).
func (m *traffic) checkErrands() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key := range m.keys {
		var holders []string
		for _, e := range m.errands {
			if e.key == key && !e.told() && !e.troubled && e.leased() > 0 && e.leased() >= m.keys[key].fence {
				holders = append(holders, fmt.Sprintf("the fetch of %v in process %d", e.made, e.proc.n))
			}
		}
		for _, u := range m.updates {
			if u.key == key && !u.troubled && m.leased(u) >= m.keys[key].fence && m.leased(u) > 0 {
				holders = append(holders, u.name)
			}
		}
		if len(holders) > 1 {
			m.t.Fatalf("P10: key %d is fetched under one lease by %v", key, holders)
		}
	}
	m.checkAlone()
	for _, e := range m.errands {
		wanted := slices.ContainsFunc(m.visits, func(v *visit) bool { return v.proc == e.proc && v.key == e.key })
		switch {
		case !wanted && !e.told():
			m.t.Fatalf("P19: all callers have left, and the fetch of %v in process %d was not told", e.made, e.proc.n)
		case e.told() && !e.visit.over && !e.proc.closed.Load():
			m.t.Fatalf("P19: the fetch of %v in process %d was told to stop, and %s waits for it", e.made, e.proc.n, e.visit.name)
		}
	}
}

// checkWaiting checks that every waiting caller waits for a function in its own process, or for one
// in another process that has the lease. In between there may be one poll (P14).
func (m *traffic) checkWaiting() {
	idle, late := m.idle(), time.Duration(0)
	for _, p := range m.procs {
		late += time.Duration(p.clerk.late.Load())
	}
	// so that another event comes before a reply
	if len(idle) == 0 || late > 0 && rapid.IntRange(0, 3).Draw(m.t, "hurry") > 0 {
		return
	}
	patience := 51*time.Millisecond + 20*late
	if m.troubles.Load() > 0 || time.Since(m.healed) < 5*time.Second {
		patience += 4 * time.Second // leases that could not be given back, and a store that does not answer
	}
	time.Sleep(patience)
	m.waitIdle()
	for _, v := range m.idle() {
		if slices.Contains(idle, v) {
			m.t.Fatalf("P14: %s waits for nothing", v.name)
		}
	}
}

// idle returns the visits that wait for nothing. A GetMany waits for any of its keys.
func (m *traffic) idle() (idle []*visit) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, v := range m.visits {
		if !slices.ContainsFunc(v.all, m.waits) {
			idle = append(idle, v)
		}
	}
	return idle
}

// waits reports whether a visit waits for a function. The caller holds mu.
func (m *traffic) waits(v *visit) bool {
	freed := m.keys[v.key].freed
	return slices.ContainsFunc(m.errands, func(e *errand) bool {
		return e.key == v.key && !e.told() && (e.proc == v.proc || e.leased() > 0 && e.leased() >= freed)
	}) || slices.ContainsFunc(m.updates, func(u *update) bool {
		won := m.leased(u)
		return u.key == v.key && won > 0 && won >= freed
	})
}

// checkStats checks the counts of a process (P30).
func (m *traffic) checkStats(p *proc) {
	s, parts := p.Stats(), uint64(0) // keys of a GetMany that goes on may be counted
	for _, v := range m.visits {
		if v.proc == p && v.kind == "many" {
			parts++
		}
	}
	switch all := sum(s); {
	case all.Gets != s.Gets || all.Fetches != s.Fetches:
		m.t.Fatalf("P30: Stats() of process %d = %+v: the sums are %d and %d", p.n, s, all.Gets, all.Fetches)
	case p.clerk.late.Load() != 0:
	case (s.Gets < p.gets || s.Gets > p.gets+parts) && p.closes == nil:
		m.t.Fatalf("P30: Stats() of process %d = %+v; want %d Gets, and up to %d more", p.n, s, p.gets, parts)
	case s.Fetches > p.returned:
		m.t.Fatalf("P30: Stats() of process %d = %+v; %d functions have returned", p.n, s, p.returned)
	}
}

// checkEnd checks that nothing is left: there is no lease, no waiting caller, and everything is
// counted (P29, P30).
func (m *traffic) checkEnd() {
	for _, p := range m.procs {
		if s := p.Stats(); s.Fetches != p.returned {
			m.t.Fatalf("P30: Stats() of process %d = %+v; %d functions have returned", p.n, s, p.returned)
		}
		if err := p.Close(bg); err != nil {
			m.t.Fatalf("P29: Close() of process %d = %v", p.n, err)
		}
		if n := p.clerk.wakes.Load(); n != 0 {
			m.t.Fatalf("P29: process %d is closed, and %d wait to be woken", p.n, n)
		}
	}
	for key := range m.keys {
		r, _ := m.raw.Get(bg, keyText(key))
		claim, err := m.raw.Acquire(bg, keyText(key), driver.Ask{Token: "the-token-of-a-stranger", Lease: time.Second, Seen: r.Version})
		if err != nil || claim.State == driver.Busy {
			m.t.Fatalf("P29: the lease of %d is left: %+v, %v", key, claim, err)
		}
	}
}
