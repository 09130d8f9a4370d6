package properties_test

import (
	"slices"
	"time"

	"github.com/zodiac-go/zodiac"
)

// The differences of the model over a store, each in one place:
//
//   - A Get reads memory in front of the store, then joins a running flight that replaces no record,
//     then reads the store: see getOverStore. GetMany first reads all keys.
//   - A fetch has the key's lease, or waits for it. Its result is stored only if it still has the
//     lease: see acquire and endFetchOverStore.
//   - A result that was not stored is only for callers whose Get began before the function. The
//     others begin a new round: see entitled.
//   - A discarded flight is joined where two functions of the key run: see joinLast.
//   - A skipped result leaves a tombstone, and removes the record: see commit.
//   - A record whose tag was deleted stays. It is counted by Delete and Clear, and as Invalid on
//     every read: see readStore.
//   - Every write of the key ends its lease, also an Update whose function fails, and a Touch of a
//     value without lifetime. Clear revokes it, DeleteTags leaves it: see endLease and
//     clearOverStore.
//   - SetIfAbsent of a value without lifetime discards nothing: see setIfAbsentOverStore.
//   - A forced fetch whose result could not be stored removes the record, and ends every lease of the
//     key: see supersede.

// A storage is the state that the model has over a store. The model's entries are the records.
type storage struct {
	front      time.Duration // WithMemory, or 0 without it
	tombstones map[int]time.Duration
	leases     map[int]*leaseModel
	near       map[int]*nearEntry
	// functions that may write, or might have: begun or waiting for the lease, and not returned
	running map[int][]*flight
	last    map[int]*flight // the last of them to begin
	order   int             // counts beginnings
	rounds  []*part         // parts that may not have the outcome of their flight
	again   bool            // several of them are in a new round

	// If several parts are in a new round at once, the first one is unknown. These count how many
	// more may have been counted as Invalid, and how many hits may have been in memory or in the
	// store.
	mayInvalid, mayBeEither [collectors + 1]uint64
}

func newStorage(c config) *storage {
	return &storage{
		front: c.front, tombstones: map[int]time.Duration{}, leases: map[int]*leaseModel{}, near: map[int]*nearEntry{},
		running: map[int][]*flight{}, last: map[int]*flight{},
	}
}

// tombstoneLife is how long other processes know that a result was skipped. waitsFor is how long a
// flight waits for the lease, unless it meets maxHolders.
const (
	tombstoneLife = time.Second
	maxHolders    = 3
	waitsFor      = 9999777 * time.Microsecond // a time of no other event
)

// A leaseModel is the lease of a key, from its grant to its end.
type leaseModel struct {
	holder  *flight
	revoked bool
}

// A nearEntry is an entry in memory in front of the store.
type nearEntry struct {
	*entry
	until time.Duration
}

// A storeFlight is the state that a flight has only over a store.
type storeFlight struct {
	asking     bool          // it waits for the lease
	since      time.Duration // when it began
	holder     *flight       // the holder it waits for
	met        int           // the holders that it may have met
	unfenced   bool          // its function runs without a lease
	mayWin     bool          // the lease was free for an instant: it may have got it
	began      int           // when the function was called
	before     int           // callers whose Get began before that may have the outcome
	seen       *entry        // a useless record in the store
	replaces   bool          // it is forced, or seen was set when it began
	superseded bool          // see supersede
	stale      bool          // memory in front of the store must not keep its result
	maybe      []*part       // the parts one of which has begun it, if it is not known which
}

const everyone = 1 << 60

// record returns the record that a read of the store finds.
func (m *model) record(key int) *entry {
	if e := m.entries[key]; e != nil && m.now < e.expiry {
		return e
	}
	return nil
}

// getOverStore is one round of a Get over a store. batched is the first round of a GetMany.
func (m *model) getOverStore(p *part, batched bool) {
	if !p.mode.NoRead {
		if o, ok := m.readNear(p); ok {
			p.done, p.got = true, o
			return
		}
		if f := m.joinable(p.key, p.kind()); f != nil && !f.replaces && !batched && !p.mode.NoFetch && p.kind() != forced && p.fits(f) {
			m.enter(p, f)
			return
		}
		if o, ok := m.readStore(p); ok {
			p.done, p.got = true, o
			return
		}
	}
	if p.mode.NoFetch {
		m.end(p, outcome{kind: gotMiss}, missed)
		return
	}
	m.join(p)
}

// readNear reads memory in front of the store.
func (m *model) readNear(p *part) (outcome, bool) {
	e := m.over.near[p.key]
	switch {
	case e == nil || m.now >= e.until:
		return outcome{}, false
	case e.gone:
		if !m.over.again {
			delete(m.over.near, p.key)
			m.count(p.sinks, invalid)
		}
		return outcome{}, false
	case e == p.refused:
		return outcome{}, false
	case m.refuses(e.entry):
		p.refused = e
		m.count(p.sinks, invalid)
		return outcome{}, false
	}
	m.count(p.sinks, hitMemory)
	return m.outcomeOf(e.entry), true
}

// readStore reads the store.
func (m *model) readStore(p *part) (outcome, bool) {
	e := m.record(p.key)
	if e == nil {
		return outcome{}, false
	}
	return m.open(p, e, false)
}

// open uses a record that was read.
func (m *model) open(p *part, e *entry, stale bool) (outcome, bool) {
	switch v := e.untouched(); {
	case v == p.seen:
		return outcome{}, false
	case m.useless(e):
		if v == p.maybeSeen {
			mayCount(&m.over.mayInvalid, p)
		} else {
			m.count(p.sinks, invalid)
		}
		p.seen = v
		return outcome{}, false
	}
	if !stale {
		m.fill(p.key, e, min(e.expiry, m.now+m.over.front))
	}
	m.count(p.sinks, hitStore)
	if !p.mode.NoWrite {
		m.slide(e)
	}
	return m.outcomeOf(e), true
}

// useless reports whether a record counts as absent.
func (m *model) useless(e *entry) bool { return e.gone || m.refuses(e) }

// mayCount records that p may have been counted otherwise.
func mayCount(in *[collectors + 1]uint64, p *part) {
	for _, i := range append([]int{0}, p.sinks...) {
		in[i]++
	}
}

// fill puts an entry into memory in front of the store.
func (m *model) fill(key int, e *entry, until time.Duration) {
	if m.over.front != 0 {
		m.over.near[key] = &nearEntry{e, until}
	}
}

// forget removes a key from memory in front of the store. Running fetches do not bring it back.
func (m *model) forget(key int) {
	delete(m.over.near, key)
	for _, f := range m.flights {
		if f.key == key {
			f.stale = true
		}
	}
}

// peekOverStore is Peek and Entry over a store.
func (m *model) peekOverStore(key int, sinks []int) (outcome, bool) {
	p := &part{key: key, sinks: sinks, mode: zodiac.Mode{NoWrite: true, NoFetch: true}}
	if o, ok := m.readNear(p); ok {
		return o, true
	}
	return m.readStore(p)
}

// joinLast returns the discarded flight that callers join if enough functions run, or nil.
func (m *model) joinLast(key int) *flight {
	f := m.over.last[key]
	if len(m.over.running[key]) < 2 || f == nil || !f.discarded || f.over {
		return nil
	}
	return f
}

// startOverStore starts a flight over a store.
func (m *model) startOverStore(f *flight) {
	f.since, f.stale = m.now, false
	if f.kind != aside && !f.alone {
		m.over.running[f.key] = append(m.over.running[f.key], f)
		m.over.last[f.key] = f
	}
	m.acquire(f)
}

// returned records that a flight has ended, with its function.
func (m *model) returned(f *flight) {
	m.over.running[f.key] = slices.DeleteFunc(m.over.running[f.key], func(g *flight) bool { return g == f })
	if m.over.last[f.key] == f {
		delete(m.over.last, f.key)
	}
}

// acquire acquires the lease for a flight, or finds out that it needs none or has to wait.
func (m *model) acquire(f *flight) {
	f.asking = false
	e := m.record(f.key)
	if f.kind == plain && e != nil && e.gone && e.untouched() != f.seen {
		m.count(f.leader.sinks, invalid)
		f.seen = e.untouched()
	}
	switch {
	case f.kind == aside, f.kind == plain && m.now < m.over.tombstones[f.key]:
		f.unfenced = true
		m.call(f)
	case f.kind == plain && e != nil && e.untouched() != f.seen:
		m.finds(f, e)
	case f.kind == plain && m.over.leases[f.key] != nil:
		f.waitFor(m.over.leases[f.key].holder)
	default:
		m.over.leases[f.key] = &leaseModel{holder: f}
		m.call(f)
	}
}

// finds ends a flight that has found a record by asking for the lease.
func (m *model) finds(f *flight, e *entry) {
	m.returned(f)
	for _, p := range slices.Clone(f.joined) {
		if o, ok := m.open(p, e, f.stale); ok {
			p.done, p.got, p.flight = true, o, nil
		} else {
			m.goRound(p)
		}
	}
	m.finish(f)
}

// waitOver ends a flight's wait for the lease. The flight goes on without it.
func (m *model) waitOver(f *flight) {
	f.asking, f.unfenced = false, true
	m.call(f)
}

// waitFor makes a flight wait for the holder of the lease.
func (f *flight) waitFor(holder *flight) {
	f.asking, f.expiry = true, never
	if f.holder != holder {
		f.holder = holder
		f.met++
	}
}

// gaveUp reports whether a flight may have met so many holders of the lease that it goes on without
// it.
func (f *flight) gaveUp() bool { return f.met >= maxHolders }

// wins explains why the function of a flight that waits for the lease was called. The flight may
// have got the lease in the instant when it was free. Then the model's winner waits, or has taken
// the lease by force since, or has gone on without it. Or the flight itself has gone on without it.
func (m *model) wins(f *flight) {
	l := m.over.leases[f.key]
	if !f.asking || !f.mayWin || l == nil {
		return
	}
	g := l.holder
	i := slices.Index(m.started, g)
	switch {
	case g.kind == forced:
		f.unfenced = f.gaveUp()
	case i >= 0:
		m.started = slices.Delete(m.started, i, i+1)
		l.holder = f
		g.waitFor(f)
	case g.gaveUp():
		g.unfenced, l.holder = true, f
	case f.gaveUp():
		f.unfenced = true
	default:
		return
	}
	f.asking = false
	m.call(f)
}

// endLease ends the lease of key, as every write does.
func (m *model) endLease(key int) {
	delete(m.over.leases, key)
	m.wake(key)
}

// wake lets the flights that wait for the lease of key ask again.
func (m *model) wake(key int) {
	for _, f := range slices.Clone(m.flights) {
		if f.key == key && f.asking && !f.over {
			f.mayWin = true
			m.acquire(f)
		}
	}
}

// giveBack gives back the lease of a flight that is over, and wakes the waiting flights. Another
// flight may have taken it by force meanwhile.
func (m *model) giveBack(f *flight, had bool) {
	if l := m.over.leases[f.key]; l != nil && l.holder == f {
		delete(m.over.leases, f.key)
	}
	for _, g := range m.flights {
		// also if a forced flight that began at this instant took it from f
		g.mayWin = g.mayWin || g.asking && g.key == f.key
	}
	if had {
		m.wake(f.key)
	}
}

// holds reports whether a flight has the lease, revoked or not.
func (m *model) holds(f *flight) bool {
	l := m.over.leases[f.key]
	return l != nil && l.holder == f
}

// abandonOverStore follows the end of a flight whose function has not returned.
func (m *model) abandonOverStore(f *flight, had bool) {
	if f.asking {
		f.asking = false
		m.returned(f)
	}
	m.giveBack(f, had)
	m.goOn()
}

// endFetchOverStore is endFetch over a store.
func (m *model) endFetchOverStore(f *flight, r plan, began time.Duration) {
	o, err, kept := m.classify(f, r, began)
	had := m.holds(f)
	as := discarded
	f.before = f.began
	switch {
	case err:
		as, f.before = fetchErrors, everyone
	case f.kind == aside || f.unfenced:
		as = uncached
	case f.discarded || f.over:
		m.supersede(f)
	default:
		as = m.commit(f, kept, m.skips(r.val))
	}
	m.returned(f)
	m.count(f.leader.sinks, as)
	if !f.over {
		if err {
			m.deliver(f, o, failed)
		} else {
			m.deliver(f, o, shared)
		}
		m.finish(f)
	}
	m.giveBack(f, had || f.superseded)
	m.goOn()
}

// commit stores the result of a flight that was not discarded, or a tombstone, if the flight still
// has the lease. It returns the counter of the fetch.
func (m *model) commit(f *flight, kept *entry, skips bool) func(*zodiac.Stats) *uint64 {
	stale := f.stale
	if f.kind == forced { // readers under NoWrite must not get an older value
		m.discardIf(f.key, func(g *flight) bool { return g.kind == aside })
		m.forget(f.key)
	}
	if !m.holds(f) || m.over.leases[f.key].revoked {
		m.supersede(f)
		return discarded
	}
	f.before = everyone
	if f.seen != nil {
		m.forget(f.key)
	}
	if kept == nil || skips {
		m.remove(f.key)
		m.over.tombstones[f.key] = m.now + tombstoneLife
		return skipped
	}
	m.put(f.key, kept)
	// a forced flight has published an invalidation: its own memory forgets the key too
	if f.kind != forced && !stale {
		m.fill(f.key, kept, m.now+min(kept.life, m.over.front))
	}
	return stored
}

// supersede removes what may be older than the result of a forced flight that could not be stored,
// unless nobody waits for it any more.
func (m *model) supersede(f *flight) {
	if f.kind != forced || f.over {
		return
	}
	delete(m.entries, f.key)
	delete(m.over.tombstones, f.key)
	delete(m.over.leases, f.key)
	m.forget(f.key)
	f.superseded = true // giveBack wakes those that wait
}

// entitled reports whether a part may have the outcome of its flight.
func (m *model) entitled(p *part, f *flight) bool { return m.over == nil || p.order < f.before }

func (m *model) goRound(p *part) {
	p.flight = nil
	m.over.rounds = append(m.over.rounds, p)
}

// goOn begins a new round for the parts that may not have the outcome of their flight. It is
// unknown which part comes first and so begins a flight, and what the others see before: see
// tryAgain.
func (m *model) goOn() {
	parts := m.over.rounds
	m.over.rounds = nil
	if len(parts) == 0 {
		return
	}
	m.over.again = len(parts) > 1
	for i, p := range parts {
		if !m.over.again {
			m.getOverStore(p, false)
		} else {
			m.tryAgain(p)
		}
		if f := p.flight; f != nil && f.leader == p && f.maybe == nil {
			f.mayWin = true // before a flight that was waiting for the lease
			for _, q := range parts[i:] {
				if q.kind() == p.kind() {
					f.maybe = append(f.maybe, q)
				}
			}
		}
	}
	if m.over.again {
		m.over.again = false
		for _, p := range parts {
			if e := m.over.near[p.key]; e != nil && e.gone {
				delete(m.over.near, p.key)
			}
		}
	}
	m.goOn()
}

// tryAgain is getOverStore of one of several parts. A hit may be in memory or in the store. A
// useless record may have been met and counted, or not: that depends on which part was first.
func (m *model) tryAgain(p *part) {
	seen := p.seen
	if e := m.over.near[p.key]; e != nil && m.now < e.until && e.gone {
		mayCount(&m.over.mayInvalid, p)
	}
	if e := m.record(p.key); e != nil && m.useless(e) && e.untouched() != seen {
		mayCount(&m.over.mayInvalid, p)
		p.seen, p.maybeSeen = e.untouched(), e.untouched()
	}
	m.getOverStore(p, false)
	if p.done {
		mayCount(&m.over.mayBeEither, p)
	}
	p.seen = seen
}

// begunBy reports whether p may have begun f. If so, it makes p the leader.
func (f *flight) begunBy(ok func(*part) bool) bool {
	if f.maybe == nil {
		return ok(f.leader)
	}
	i := slices.IndexFunc(f.maybe, ok)
	if i >= 0 {
		f.leader = f.maybe[i]
		f.via, f.maybe = f.leader.via, nil
	}
	return i >= 0
}

// writeOverStore is Set and SetNone over a store. e is nil if the value has no lifetime.
func (m *model) writeOverStore(key int, e *entry) {
	m.invalidate(key)
	if e == nil {
		m.remove(key)
	} else {
		m.put(key, e)
	}
	m.endLease(key)
	m.goOn()
}

// setIfAbsentOverStore is SetIfAbsent over a store. A useless record is read before and after
// taking the lease.
func (m *model) setIfAbsentOverStore(key int, e *entry) bool {
	old := m.record(key)
	if old != nil && !old.gone {
		return false
	}
	if old != nil {
		m.count(nil, invalid)
	}
	if e == nil {
		return true
	}
	if old != nil {
		m.count(nil, invalid)
	}
	m.writeOverStore(key, e)
	return true
}

// updateFails is an Update over a store whose function fails. It has taken the lease by force.
func (m *model) updateFails(key int) {
	if m.over != nil {
		m.endLease(key)
		m.goOn()
	}
}

// clearOverStore is Clear over a store.
func (m *model) clearOverStore() int {
	n := 0
	for key := range m.entries {
		if m.record(key) != nil {
			n++
		}
	}
	m.invalidateAll()
	m.entries, m.over.tombstones = map[int]*entry{}, map[int]time.Duration{}
	for _, l := range m.over.leases {
		l.revoked = true
	}
	m.forgetAll()
	m.over.near = map[int]*nearEntry{}
	return n
}

// forgetAll keeps the results of all running fetches out of memory in front of the store.
func (m *model) forgetAll() {
	for _, f := range m.flights {
		f.stale = true
	}
}
