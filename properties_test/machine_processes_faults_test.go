package properties_test

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/storetest/chaos"
	"pgregory.net/rapid"
)

// This file has the store's faults in the machine of processes. A process is troubled from its first
// fault until the faults are over and the store was used again. This is what holds then:
//
//   - P1 with the invalidations that the process itself has made and that returned nil. It may not
//     know of others. They hold in all other processes.
//   - A write may return a *StoreError. Then it was carried out or not. A Get never does.
//   - P11: one fetch of a key at a time, now without a lease.
//   - P2, P9, P12: a fetch without a lease, and one that was discarded or abandoned, stores nothing,
//     also by a copy of its commit that comes late.
//   - Waiters in other processes go on when the lease has ended (P15).
//   - All that is about callers: P16, P19, P20, P21; and P24, P30.

var errDown = fmt.Errorf("the store is down: %w", errors.New("connection refused"))

// lateOps are the commands of which late copies come: P12.
var lateOps = []chaos.Op{chaos.Acquire, chaos.Renew, chaos.Commit, chaos.Abort}

// faultyOps are the groups of commands that have faults. Subscriptions stay.
var faultyOps = map[string][]chaos.Op{
	"reads":   {chaos.Get, chaos.GetMany, chaos.GetData, chaos.GetManyData},
	"acquire": {chaos.Acquire},
	"commit":  {chaos.Commit},
	"renew":   {chaos.Renew},
	"leases":  {chaos.Acquire, chaos.Commit, chaos.Renew, chaos.Abort},
	"writes":  {chaos.Set, chaos.SetMany, chaos.Add, chaos.Delete, chaos.Expire, chaos.Clear},
	"publish": {chaos.Publish},
	"all": {
		chaos.Get, chaos.GetMany, chaos.GetData, chaos.GetManyData, chaos.Acquire, chaos.Commit, chaos.Renew, chaos.Abort,
		chaos.Set, chaos.SetMany, chaos.Add, chaos.Delete, chaos.Expire, chaos.Clear, chaos.Publish,
	},
}

// doFault begins a fault of the store for one process.
func (m *traffic) doFault(t *rapid.T) {
	if rapid.IntRange(0, 2).Draw(t, "not yet") > 0 {
		t.Skip("it is not to happen all the time")
	}
	p := m.drawProc()
	group := rapid.SampledFrom(keysInOrder(faultyOps)).Draw(t, "commands")
	kind := rapid.SampledFrom([]string{"fail", "lose their replies", "are not answered"}).Draw(t, "fault")
	ops := faultyOps[group]
	m.logf("%s of process %d %s", group, p.n, kind)
	m.trouble(p)
	switch kind {
	case "fail":
		p.faults.Fail(errDown, ops...)
	case "lose their replies":
		p.faults.LoseReply(errDown, ops...)
	default:
		p.clerk.silent.Store(slices.Contains(ops, chaos.Acquire))
		p.faults.Stall(slices.DeleteFunc(slices.Clone(ops), func(op chaos.Op) bool { return op == chaos.Acquire })...)
	}
	m.waitIdle()
}

func keysInOrder[V any](of map[string]V) (names []string) {
	for name := range of {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// trouble marks everything that a fault may now happen to.
func (m *traffic) trouble(p *proc) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p.faulty = true; !p.troubled.Swap(true) {
		m.troubles.Add(1)
	}
	for _, v := range m.visits {
		v.troubled = v.troubled || v.proc == p
	}
	for _, e := range m.errands {
		e.troubled = e.troubled || e.proc == p
	}
	for _, u := range m.updates {
		u.troubled = u.troubled || u.proc == p
	}
}

// ownFloors returns what a process still promises a call that begins now, if it becomes troubled. If an
// older function runs, a caller may share its result, rather than begin a third one.
func (m *traffic) ownFloors(p *proc, key int) floors {
	f := floors{p.own[key], p.ownTags}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.errands {
		if e.proc == p && e.key == key {
			f.key = min(f.key, e.made.tick)
			for i := range f.tags {
				f.tags[i] = min(f.tags[i], e.made.tick)
			}
		}
	}
	return f
}

// running describes the functions that run.
func (m *traffic) running() (s []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.errands {
		s = append(s, fmt.Sprintf("%v for %s", e.made, e.visit.name))
	}
	return s
}

// heal ends the faults.
func (p *proc) heal() {
	p.clerk.silent.Store(false)
	p.faults.Heal()
}

func (m *traffic) doHeal(t *rapid.T) {
	for _, p := range m.procs {
		if p.troubled.Load() {
			m.heal(p)
			return
		}
	}
	t.Skip("there is no fault")
}

// heal ends the faults of a process, and waits until it uses the store again: a read finds out that
// it may probe, and the probe has to succeed.
func (m *traffic) heal(p *proc) {
	if !p.troubled.Load() {
		return
	}
	m.logf("the faults of process %d are over", p.n)
	p.heal()
	for range 3 {
		time.Sleep(1100 * time.Millisecond)
		m.waitIdle()
		if p.closes == nil {
			p.Peek(bg, 0)
			p.gets++
		}
		m.waitIdle()
	}
	p.troubled.Store(false)
	m.troubles.Add(-1)
	m.healed = time.Now()
}

// doReplay carries out copies of commands that a process has sent before. None has an effect but
// that of an ask, which may take the lease for as long as a first grant lasts.
func (m *traffic) doReplay(t *rapid.T) {
	p, op := m.drawProc(), rapid.SampledFrom(lateOps).Draw(t, "command")
	var before []driver.Record
	for key := range m.keys {
		r, _ := m.raw.Get(bg, keyText(key))
		before = append(before, r)
	}
	n := p.faults.Replay(bg, op)
	m.logf("%d copies of %s of process %d come late", n, op, p.n)
	if op == chaos.Acquire {
		m.unsure(0, 1)
		m.healed = time.Now() // nobody gives back such a lease
	}
	for key, was := range before {
		r, _ := m.raw.Get(bg, keyText(key))
		if !p.faulty && op != chaos.Acquire && r.Version != was.Version && r.Version != "" { // it may have expired
			t.Fatalf("P12: a late copy of %s has changed the record of %d", op, key)
		}
	}
	m.waitIdle()
}

// unsure records that a lease of the keys may have been revoked. A fetch that has begun may be
// discarded.
func (m *traffic) unsure(keys ...int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, key := range keys {
		m.tick++
		m.keys[key].fence, m.keys[key].touched = m.tick, true
		if seen := m.keys[key].seen; seen != nil {
			seen.endless = true
		}
	}
}

// replace records that a process has replaced its flights of keys.
func (m *traffic) replace(p *proc, keys ...int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, key := range keys {
		m.tick++
		p.replaced[key] = m.tick
	}
}

// checkAlone checks that in a process one fetch of a key runs at a time, apart from those that were
// given up or replaced, and from those that store nothing by intent (P10, P11). The caller holds mu.
func (m *traffic) checkAlone() {
	for _, p := range m.procs {
		var running [trafficKeys]*errand
		for _, e := range m.errands {
			if e.proc != p || e.told() || e.visit.id < p.replaced[e.key] || e.visit.kind == "aside" || e.visit.kind == "forced" {
				continue
			}
			if other := running[e.key]; other != nil {
				m.t.Fatalf("P11: in process %d %v and %v are fetched for key %d at the same time", p.n, other.made, e.made, e.key)
			}
			running[e.key] = e
		}
	}
}
