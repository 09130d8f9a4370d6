package properties_test

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/zodiac-go/zodiac"
)

// The model is a map from keys to entries, a map of remembered errors, and a list of fetches that
// callers wait for. Every method does one operation at one instant, as plainly as possible. Nothing
// runs at the same time. Times are counted from the beginning of the run.
type model struct {
	config
	now     time.Duration
	entries map[int]*entry
	failed  map[int]failure
	flights []*flight // those that callers wait for, in order of their beginning
	started []*flight // those whose function has just started: the machine looks for its call
	stats   []*zodiac.Stats
	over    *storage // nil for memory alone
}

func newModel(c config, collectors int) *model {
	m := &model{config: c, entries: map[int]*entry{}, failed: map[int]failure{}}
	if c.under != nil {
		m.over = newStorage(c)
	}
	for range collectors + 1 {
		m.stats = append(m.stats, new(zodiac.Stats))
	}
	return m
}

const never = zodiac.Forever // an expiry

type entry struct {
	val     value
	none    error // the error for readers of a None
	created time.Duration
	expiry  time.Duration
	life    time.Duration // the life that a use restores
	tags    []string
	gone    bool   // one of its tags was deleted; memory may still hold it
	touched *entry // the entry of which this one is only a longer life
}

// untouched returns the entry as it was first stored.
func (e *entry) untouched() *entry {
	for e.touched != nil {
		e = e.touched
	}
	return e
}

type failure struct {
	err    error
	expiry time.Duration
}

// A flight is a fetch that callers wait for.
type flight struct {
	key       int
	kind      kind
	via       string
	leader    *part
	joined    []*part
	waits     bool // it is forced, and another one runs
	discarded bool // an invalidation came after its start
	over      bool // its outcome is known, or all callers have left
	expiry    time.Duration
	old       *entry // the entry that was there when it started
	// it found no place among the others: no caller joins it, and it does not write
	alone bool
	storeFlight
}

type kind string

const (
	plain  kind = "plain"
	aside  kind = "aside" // begun under NoWrite
	forced kind = "forced"
)

// A part is one key of a Get, a Refresh or a GetMany.
type part struct {
	key    int
	via    string
	mode   zodiac.Mode
	deep   []rule // the rules for loaders within
	sinks  []int  // the model's stats that count it
	ctx    context.Context
	flight *flight // the flight that it waits for
	direct bool    // it runs the function, on its own goroutine
	done   bool
	got    outcome

	// Over a store.
	order   int  // when its Get began
	many    bool // it is part of a GetMany
	refused *nearEntry
	seen    *entry // the useless record that it has read
	// maybeSeen is a useless record that it has perhaps read.
	maybeSeen *entry
}

// An outcome is the result for a caller.
type outcome struct {
	kind outcomeKind
	val  value
	err  error // for a None: an error that must match beside ErrNone, or nil
}

type outcomeKind string

const (
	gotValue      outcomeKind = "value"
	gotNone       outcomeKind = "none"
	gotError      outcomeKind = "error"  // exactly err
	gotBeside     outcomeKind = "beside" // likewise, with a value: only from the function itself
	gotPanic      outcomeKind = "PanicError"
	gotExit       outcomeKind = "PanicError of Goexit"
	gotLeft       outcomeKind = "left"
	gotMiss       outcomeKind = "miss"
	gotRemembered outcomeKind = "remembered"
	gotTimeout    outcomeKind = "timeout"
	itPanicked    outcomeKind = "panicked" // through the caller's goroutine
	itExited      outcomeKind = "exited"   // likewise
)

func (m *model) count(sinks []int, field func(*zodiac.Stats) *uint64) {
	for _, i := range append([]int{0}, sinks...) {
		*field(m.stats[i])++
	}
}

func hitStore(s *zodiac.Stats) *uint64    { return &s.HitStore }
func hitMemory(s *zodiac.Stats) *uint64   { return &s.HitMemory }
func shared(s *zodiac.Stats) *uint64      { return &s.Shared }
func fetched(s *zodiac.Stats) *uint64     { return &s.Fetched }
func failed(s *zodiac.Stats) *uint64      { return &s.Failed }
func missed(s *zodiac.Stats) *uint64      { return &s.Missed }
func bypassed(s *zodiac.Stats) *uint64    { return &s.Bypassed }
func canceled(s *zodiac.Stats) *uint64    { return &s.Canceled }
func stored(s *zodiac.Stats) *uint64      { return &s.Stored }
func discarded(s *zodiac.Stats) *uint64   { return &s.Discarded }
func skipped(s *zodiac.Stats) *uint64     { return &s.Skipped }
func uncached(s *zodiac.Stats) *uint64    { return &s.Uncached }
func fetchErrors(s *zodiac.Stats) *uint64 { return &s.FetchErrors }
func invalid(s *zodiac.Stats) *uint64     { return &s.Invalid }

// sum fills in the sums of P30.
func sum(s zodiac.Stats) zodiac.Stats {
	s.Gets = s.HitMemory + s.HitStore + s.Shared + s.Fetched + s.Failed + s.Missed + s.Bypassed + s.Canceled
	s.Fetches = s.Stored + s.Discarded + s.Skipped + s.Uncached + s.FetchErrors
	return s
}

// live returns the entry of key, if it has one.
func (m *model) live(key int) *entry {
	if e := m.entries[key]; e != nil && !e.gone && m.now < e.expiry {
		return e
	}
	return nil
}

// meet is live for the operations that remove an entry whose tag was deleted.
func (m *model) meet(key int, sinks []int) *entry {
	if e := m.entries[key]; e != nil && e.gone && m.now < e.expiry {
		if m.over == nil {
			delete(m.entries, key)
		}
		m.count(sinks, invalid)
	}
	return m.live(key)
}

// length returns the least and the greatest Len. Dead entries may count until a second after their
// expiry.
func (m *model) length() (least, most int) {
	for key, e := range m.entries {
		switch {
		case m.live(key) != nil:
			least++
			most++
		case e.expiry == never || m.now < e.expiry+time.Second:
			most++
		}
	}
	return least, most
}

// read is the first stage of a Get, and the whole of a Peek.
func (m *model) read(key int, sinks []int, use bool) (outcome, bool) {
	e := m.meet(key, sinks)
	if e == nil {
		return outcome{}, false
	}
	if m.refuses(e) {
		m.count(sinks, invalid)
		return outcome{}, false
	}
	m.count(sinks, hitMemory)
	if use {
		m.slide(e)
	}
	return m.outcomeOf(e), true
}

// refuses is ValidIf.
func (m *model) refuses(e *entry) bool { return m.validIf && e.none == nil && !e.val.valid() }

// slide extends the life of an entry, as a use does.
func (m *model) slide(e *entry) {
	if m.sliding && e.life != never && e.expiry-m.now <= e.life-e.life/8 {
		e.expiry = m.now + e.life
	}
}

func (m *model) outcomeOf(e *entry) outcome {
	if e.none != nil {
		return m.noneOutcome(e.none)
	}
	return outcome{kind: gotValue, val: e.val}
}

func (m *model) noneOutcome(err error) outcome {
	if errors.Is(err, zodiac.ErrNone) {
		err = nil
	}
	return outcome{kind: gotNone, err: err}
}

// peek is Peek and Entry.
func (m *model) peek(key int, sinks []int) (outcome, bool) {
	var o outcome
	var ok bool
	if m.over != nil {
		o, ok = m.peekOverStore(key, sinks)
	} else {
		o, ok = m.read(key, sinks, false)
	}
	if !ok {
		m.count(sinks, missed)
	}
	return o, ok
}

// end gives a part its outcome.
func (m *model) end(p *part, o outcome, as func(*zodiac.Stats) *uint64) {
	p.done, p.got, p.flight, p.direct = true, o, nil, false
	m.count(p.sinks, as)
}

// get begins a part. The part has its outcome at once, or waits for a flight, or runs the function
// itself.
func (m *model) get(p *part) {
	if p.mode.NoRead && p.mode.NoWrite && !p.mode.NoFetch {
		p.direct = true
		m.count(p.sinks, bypassed)
		return
	}
	if m.over != nil {
		m.over.order++
		p.order = m.over.order
		m.getOverStore(p, p.many)
		return
	}
	if !p.mode.NoRead {
		if o, ok := m.read(p.key, p.sinks, !p.mode.NoWrite); ok {
			p.done, p.got = true, o
			return
		}
	}
	remembered, has := m.failed[p.key]
	switch {
	case p.mode.NoFetch:
		m.end(p, outcome{kind: gotMiss}, missed)
	case p.ctx.Err() != nil:
		m.end(p, outcome{kind: gotLeft, err: p.ctx.Err()}, canceled)
	case !p.mode.NoRead && has && m.now < remembered.expiry:
		m.end(p, outcome{kind: gotRemembered, err: remembered.err}, failed)
	default:
		m.join(p)
	}
}

// join puts a part into a flight that it may share, or begins one.
func (m *model) join(p *part) {
	f := m.joinable(p.key, p.kind())
	if f != nil && !p.fits(f) {
		f = nil
	}
	if f == nil && m.over != nil && p.kind() == plain {
		f = m.joinLast(p.key)
	}
	if f == nil {
		f = &flight{key: p.key, kind: p.kind(), via: p.via, leader: p}
		f.seen, f.replaces = p.seen, p.seen != nil || f.kind == forced
		m.enter(p, f)
		m.begin(f)
		return
	}
	m.enter(p, f)
}

func (m *model) enter(p *part, f *flight) {
	f.joined = append(f.joined, p)
	p.flight = f
}

// kind is the kind of the flights that p begins.
func (p *part) kind() kind {
	switch {
	case p.mode.NoWrite:
		return aside
	case p.mode.NoRead || p.picky():
		return forced
	}
	return plain
}

// fits reports whether p may share f, whose function sees certain rules.
func (p *part) fits(f *flight) bool { return !p.picky() || sameRules(p.deep, f.leader.deep) }

// picky reports whether loaders within have to fetch anew. The result of an earlier flight may be
// made of older values.
func (p *part) picky() bool {
	return slices.ContainsFunc(p.deep, func(r rule) bool { return r.mode.NoRead })
}

// begin finds the place of a new flight. It starts, or waits for the forced flight that runs. A
// second flight in its place runs for itself; only picky parts begin one.
func (m *model) begin(f *flight) {
	ran := m.find(f.key, func(g *flight) bool {
		return !g.waits && !g.alone && g.kind == f.kind && (f.kind == forced || !g.discarded)
	})
	waits := m.find(f.key, func(g *flight) bool { return g.waits })
	f.waits = f.kind == forced && ran != nil && waits == nil
	f.alone = ran != nil && !f.waits
	m.flights = append(m.flights, f)
	if !f.waits {
		m.start(f)
	}
}

// joinable returns the flight of key that a caller of this kind shares, or nil. A forced caller
// needs a function that starts after its call. Other callers share any running flight that was not
// discarded, but only callers under NoWrite share a flight begun under NoWrite.
func (m *model) joinable(key int, k kind) *flight {
	running := func(f *flight) bool { return !f.waits && !f.discarded }
	if k == forced {
		return m.find(key, func(f *flight) bool { return f.waits })
	}
	f := m.find(key, func(f *flight) bool { return running(f) && f.kind != aside })
	if f == nil && k == aside {
		f = m.find(key, running)
	}
	return f
}

func (m *model) find(key int, ok func(*flight) bool) *flight {
	for _, f := range m.flights {
		if f.key == key && ok(f) {
			return f
		}
	}
	return nil
}

// start starts the function of a flight. The result of a forced flight is newer than the results of
// the other flights that may write.
func (m *model) start(f *flight) {
	if f.kind == forced {
		m.discardIf(f.key, func(g *flight) bool { return g != f && g.kind != aside })
	}
	f.discarded = f.alone
	f.waits, f.expiry, f.old = false, never, m.entries[f.key]
	if m.over != nil {
		m.startOverStore(f)
		return
	}
	m.call(f)
}

// call begins a flight's function.
func (m *model) call(f *flight) {
	if m.over != nil {
		m.over.order++
		f.began = m.over.order
	}
	if m.timeout != 0 {
		f.expiry = m.now + m.timeout
	}
	m.started = append(m.started, f)
}

// discardIf discards running flights.
func (m *model) discardIf(key int, which func(*flight) bool) {
	for _, f := range m.flights {
		if f.key == key && !f.waits && which(f) {
			f.discarded = true
		}
	}
}

// invalidate invalidates the flights and the remembered error of key, as every write does.
func (m *model) invalidate(key int) {
	m.discardIf(key, func(*flight) bool { return true })
	delete(m.failed, key)
	if m.over != nil {
		m.forget(key)
	}
}

// finish removes a flight from the list, and starts the flight that waited for that.
func (m *model) finish(f *flight) {
	f.over = true
	m.flights = slices.DeleteFunc(m.flights, func(g *flight) bool { return g == f })
	if f.kind == forced && !f.waits && !f.alone {
		if next := m.find(f.key, func(f *flight) bool { return f.waits }); next != nil {
			m.start(next)
		}
	}
}

// leave takes a part out of its flight, because its context ended. The last part ends the flight.
func (m *model) leave(p *part) {
	f := p.flight
	f.joined = slices.DeleteFunc(f.joined, func(q *part) bool { return q == p })
	m.end(p, outcome{kind: gotLeft, err: p.ctx.Err()}, canceled)
	if len(f.joined) == 0 {
		m.abandon(f)
	}
}

// abandon ends a flight whose function has not returned.
func (m *model) abandon(f *flight) {
	had := m.over != nil && m.holds(f)
	m.finish(f)
	if m.over != nil {
		m.abandonOverStore(f, had)
	}
}

// expire ends a flight whose function takes too long.
func (m *model) expire(f *flight) {
	f.before = everyone
	m.deliver(f, outcome{kind: gotTimeout}, failed)
	m.abandon(f)
}

// endFetch is the return of a flight's function. Callers get the outcome. Memory gets the value if
// the flight was not discarded and a caller still waits.
func (m *model) endFetch(f *flight, r plan, began time.Duration) {
	if m.over != nil {
		m.endFetchOverStore(f, r, began)
		return
	}
	o, err, kept := m.classify(f, r, began)
	may := !f.discarded && !f.over
	write := func(do func()) {
		do()
		if f.kind == forced { // readers under NoWrite must not get an older value
			m.discardIf(f.key, func(g *flight) bool { return g.kind == aside })
		}
	}
	as := discarded
	switch {
	case err:
		as = fetchErrors
		if m.errorTTL != 0 && f.kind != aside && may && o.kind == gotError && rememberable(o.err) {
			write(func() { m.failed[f.key] = failure{o.err, m.now + m.errorTTL} })
		}
	case f.kind == aside:
		as = uncached
	case may && kept != nil:
		as = stored
		write(func() { m.put(f.key, kept) })
	case may && (m.skips(r.val) && f.kind != forced):
		as = skipped // the old entry may stay
	case may:
		as = skipped
		write(func() { m.remove(f.key) })
	case f.kind == forced && !f.over:
		// The forced caller has the value, but it was discarded. No older value must come after it.
		if e := m.entries[f.key]; e != nil && f.old != nil && e.untouched() == f.old.untouched() {
			delete(m.entries, f.key)
		}
	}
	m.count(f.leader.sinks, as)
	if f.over {
		return
	}
	if err {
		m.deliver(f, o, failed)
	} else {
		m.deliver(f, o, shared)
	}
	m.finish(f)
}

// rememberable reports whether an error is the origin's, and not a context's or one of zodiac's
// own.
func rememberable(err error) bool {
	return !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, zodiac.ErrMiss)
}

// deliver gives an outcome to all joined parts. A value or a None counts as Fetched for the part
// that began the flight, and as Shared for the others.
func (m *model) deliver(f *flight, o outcome, as func(*zodiac.Stats) *uint64) {
	for _, p := range f.joined {
		if !m.entitled(p, f) {
			m.goRound(p)
			continue
		}
		if p == f.leader && o.kind != gotTimeout && (o.kind == gotValue || o.kind == gotNone) {
			m.end(p, o, fetched)
		} else {
			m.end(p, o, as)
		}
	}
}

// classify returns the callers' outcome of a result, whether that is an error, and the entry to be
// stored, if any.
func (m *model) classify(f *flight, r plan, began time.Duration) (o outcome, err bool, kept *entry) {
	switch r.kind {
	case panics, panicsErr:
		return outcome{kind: gotPanic, err: r.err}, true, nil
	case exits:
		return outcome{kind: gotExit}, true, nil
	case fails, failsToo:
		none := m.matchNone(r.err)
		if none == nil {
			return outcome{kind: gotError, err: r.err}, true, nil
		}
		return m.noneOutcome(none), false, m.noneEntry(none, began, 0, nil)
	}
	o = outcome{kind: gotValue, val: r.val}
	if m.skips(r.val) {
		return o, false, nil
	}
	return o, false, m.valueEntry(r.val, began, 0, nil)
}

// matchNone returns the error that a None matches beside ErrNone. It returns ErrNone itself if
// there is no other, and nil if err is not a None.
func (m *model) matchNone(err error) error {
	for _, e := range []error{errNotFound, errGone} {
		if m.noneIf && errors.Is(err, e) {
			return e
		}
	}
	if errors.Is(err, zodiac.ErrNone) {
		return zodiac.ErrNone
	}
	return nil
}

// skips is SkipIf. By default it skips nil.
func (m *model) skips(v value) bool {
	if m.skipIf {
		return v.skip()
	}
	return v.nil && !m.cacheNil
}

// valueEntry returns the entry for v, or nil if v has no lifetime. given is the call's WithTTL, or
// 0.
func (m *model) valueEntry(v value, created, given time.Duration, tags []string) *entry {
	life := m.defaultTTL()
	switch {
	case given != 0:
		life = given
	case m.ttlFunc:
		life = v.ttl()
	}
	if life <= 0 {
		return nil
	}
	if m.tagsFunc {
		tags = slices.Concat(tags, v.tags())
	}
	return m.newEntry(entry{val: v, created: created, life: life, tags: tags})
}

func (m *model) noneEntry(none error, created, given time.Duration, tags []string) *entry {
	life := m.defaultTTL()
	switch {
	case given != 0:
		life = given
	case m.noneTTL != 0:
		life = m.noneTTL
	}
	return m.newEntry(entry{none: none, created: created, life: life, tags: tags})
}

func (m *model) defaultTTL() time.Duration {
	if m.ttl == 0 {
		return never
	}
	return m.ttl
}

func (m *model) newEntry(e entry) *entry {
	e.expiry = never
	if e.life != never {
		e.expiry = m.now + e.life
	}
	e.tags = slices.Compact(slices.Sorted(slices.Values(slices.Concat(m.tags, e.tags))))
	return &e
}

func (m *model) put(key int, e *entry) {
	m.remove(key)
	m.entries[key] = e
}

func (m *model) remove(key int) {
	delete(m.entries, key)
	delete(m.failed, key)
	if m.over != nil {
		delete(m.over.tombstones, key)
	}
}

// store is Set and SetNone. e is nil if the value has no lifetime.
func (m *model) store(key int, e *entry) {
	if m.over != nil {
		m.writeOverStore(key, e)
		return
	}
	m.invalidate(key)
	if e == nil {
		m.remove(key)
	} else {
		m.put(key, e)
	}
}

func (m *model) setIfAbsent(key int, v value, given time.Duration, tags []string) bool {
	if m.over != nil {
		return m.setIfAbsentOverStore(key, m.valueEntry(v, m.now, given, tags))
	}
	if m.live(key) != nil {
		return false
	}
	m.store(key, m.valueEntry(v, m.now, given, tags))
	return true
}

// old returns the old value of an Update, and whether there is one.
func (m *model) old(key int) (value, bool) {
	if e := m.meet(key, nil); e != nil && e.none == nil {
		return e.val, true
	}
	return value{}, false
}

func (m *model) update(key int, v value) { m.store(key, m.valueEntry(v, m.now, 0, nil)) }

// add returns the sum. A live number keeps its time left, and the tags that do not depend on its
// value.
func (m *model) add(key int, delta int64) value {
	old, ok := m.old(key)
	v := value{id: old.id + delta}
	e := m.valueEntry(v, m.now, 0, nil)
	if ok {
		was := m.entries[key]
		made := old.tags()
		given := slices.DeleteFunc(slices.Clone(was.tags), func(t string) bool { return m.tagsFunc && slices.Contains(made, t) })
		e = m.valueEntry(v, m.now, m.defaultTTL(), given)
		e.expiry, e.life = was.expiry, was.life
	}
	m.store(key, e)
	return v
}

func (m *model) touch(key int, given time.Duration) bool {
	e := m.meet(key, nil)
	if e == nil {
		return false
	}
	again := m.valueEntry(e.val, e.created, given, nil)
	if e.none != nil {
		again = m.noneEntry(e.none, e.created, given, nil)
	}
	switch {
	case again == nil && m.over != nil:
		m.store(key, nil)
		return false
	case again == nil:
		m.remove(key)
		return false // no entry lives longer now
	case m.over != nil:
		m.forget(key)
	}
	again.tags, again.touched = e.tags, e
	m.put(key, again)
	return true
}

func (m *model) delete(keys []int) int {
	n := 0
	for _, key := range keys {
		if m.live(key) != nil || m.over != nil && m.record(key) != nil {
			n++
		}
		m.invalidate(key)
		m.remove(key)
		if m.over != nil {
			m.endLease(key)
		}
	}
	if m.over != nil {
		m.goOn()
	}
	return n
}

func (m *model) deleteTags(tags []string) {
	hit := func(of []string) bool {
		return slices.ContainsFunc(of, func(t string) bool { return slices.Contains(tags, t) })
	}
	for _, e := range m.entries {
		e.gone = e.gone || hit(e.tags)
	}
	if len(tags) > 0 && m.over != nil {
		m.forgetAll()
	}
	if len(tags) > 0 && (m.tagsFunc || hit(m.tags)) {
		m.invalidateAll()
	}
}

func (m *model) invalidateAll() {
	for _, f := range m.flights {
		m.discardIf(f.key, func(*flight) bool { return true })
	}
	m.failed = map[int]failure{}
}

func (m *model) clear() int {
	if m.over != nil {
		return m.clearOverStore()
	}
	n, _ := m.length()
	m.invalidateAll()
	m.entries = map[int]*entry{}
	return n
}
