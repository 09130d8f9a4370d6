package storetest

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zodiac-go/zodiac/driver"
)

// wakeRules are about Waker. That a wake-up comes when nothing happened breaks no rule.
var wakeRules = []rule{
	{"CommitWakes", "Whoever called Wake is told when a live lease has ended by Commit.", waker | leaser, func(p *probe) {
		p.wantWake(func(key, token string) { p.commit(key, token, "data", true) })
	}},
	{"CommitOfAMarkWakes", "Whoever called Wake is told when a live lease has ended by Commit, of a mark too.", waker | leaser, func(p *probe) {
		p.wantWake(func(key, token string) { p.commitRecord(key, token, mark(long), true) })
	}},
	{"CommitOfAVoidLeaseWakes", "Whoever called Wake is told when a live lease has ended by Commit, void or not.", waker | leaser, func(p *probe) {
		p.wantWake(func(key, token string) {
			p.clear(0, key)
			p.commit(key, token, "data", false)
		})
	}},
	{"AbortWakes", "Whoever called Wake is told when a live lease has ended by Abort.", waker | leaser, func(p *probe) {
		p.wantWake(func(key, token string) { p.abort(key, token, true) })
	}},
	{"SetWakes", "Whoever called Wake is told when a live lease has ended by a write.", waker | leaser, func(p *probe) {
		p.wantWake(func(key, _ string) { p.set(key, "data", long) })
	}},
	{"AddWakes", "Whoever called Wake is told when a live lease has ended by a write.", waker | leaser, func(p *probe) {
		p.wantWake(func(key, _ string) { p.add(key, "data", true) })
	}},
	{"DeleteWakes", "Whoever called Wake is told when a live lease has ended by a write.", waker | leaser, func(p *probe) {
		p.wantWake(func(key, _ string) { p.delete(0, key) })
	}},
	{"EndOfARefreshWakes", "Whoever called Wake is told when a live lease on a record has ended.", waker | leaser, func(p *probe) {
		p.wantWakes(func(key string) (string, string) { return p.refresh(key, "old", long) }, func(key, token string) { p.abort(key, token, true) })
	}},
	{"CancelledWakeIsForgotten", "The function that Wake returns is called once that is no longer of interest.", waker | leaser, func(p *probe) {
		_, cancel := p.waker().Wake(p.ctx, p.key("k"))
		other, cancelOther := p.waker().Wake(p.ctx, p.key("k"))
		defer cancelOther()
		cancel()
		if !wakes(func() {
			token := p.win(p.key("k"), ask(long))
			p.acquire(p.key("k"), ask(long), driver.Busy)
			p.commit(p.key("k"), token, "data", true)
		}, other) {
			p.errorf("the other, who had not cancelled, was not woken")
		}
	}},
}

// wantWake checks that all who wait for a placeholder are told when end ends it.
func (p *probe) wantWake(end func(key, token string)) {
	p.t.Helper()
	p.wantWakes(func(key string) (string, string) { return "", p.win(key, ask(long)) }, end)
}

// wantWakes checks that all who wait for the lease that begin takes are told when end ends it. Wake-ups may be lost, so
// it tries a few times.
//
// Those who wait have asked, after Wake, and know that the lease is taken: a store may tell only them.
func (p *probe) wantWakes(begin func(key string) (version, token string), end func(key, token string)) {
	p.t.Helper()
	for _, name := range []string{"first", "second", "third"} {
		key := p.key(name)
		version, token := begin(key)
		early, cancelEarly := p.waker().Wake(p.ctx, key)
		defer cancelEarly()
		late, cancelLate := p.waker().Wake(p.ctx, key)
		defer cancelLate()
		p.acquire(key, askSeen(long, version), driver.Busy)
		if wakes(func() { end(key, token) }, early, late) {
			return
		}
	}
	p.errorf("nobody was told, or not all")
}

// wakes reports whether all of chs receive within a second of what do does.
func wakes(do func(), chs ...<-chan struct{}) bool {
	for _, ch := range chs { // a wake-up from before says nothing
		select {
		case <-ch:
		default:
		}
	}
	do()
	deadline := time.After(time.Second)
	for _, ch := range chs {
		select {
		case <-ch:
		case <-deadline:
			return false
		}
	}
	return true
}

// announceRules are about Announcer.
var announceRules = []rule{
	{"AnnouncementsReachAll", "An announcement reaches all subscribers, as it was made.", announcer, func(p *probe) {
		first, second := p.subscribe(), p.subscribe()
		for _, a := range []driver.Invalidation{
			{Keys: []string{p.key("a"), "\x00 any\ntext %{}"}},
			{Prefix: p.prefix},
			{Keys: []string{p.key("b")}, Prefix: p.key("c")},
		} {
			p.ok("Announce", p.announcer().Publish(p.ctx, a))
			first.want(p, a)
			second.want(p, a)
		}
	}},
	{"AnnouncementsOfManyAllArrive", "Every announcement arrives, and one call runs at a time.", announcer, announcementsOfMany},
	{"NobodyIsCalledAfterStop", "No call runs or begins once stop has returned; others are still called.", announcer, func(p *probe) {
		first, second := p.subscribe(), p.subscribe()
		first.stop()
		a := driver.Invalidation{Keys: []string{p.key("k")}}
		p.ok("Announce", p.announcer().Publish(p.ctx, a))
		second.want(p, a)
		pass(short)
		if heard := first.all(); len(heard) > 0 {
			p.errorf("called with %+v after stop", heard)
		}
	}},
	{"NobodyListens", "To announce to nobody is no error.", announcer, func(p *probe) {
		p.ok("Announce", p.announcer().Publish(p.ctx, driver.Invalidation{Keys: []string{p.key("k")}}))
	}},
}

func announcementsOfMany(p *probe) {
	const writers, each = 4, 25
	var running, heard atomic.Int32
	stop, err := p.announcer().Subscribe(p.ctx, func(a driver.Invalidation) {
		if running.Add(1) > 1 {
			p.errorf("two calls run at a time")
		}
		runtime.Gosched() // for others to come in between
		if len(a.Keys) == 1 && a.Keys[0] == p.key("k") {
			heard.Add(1)
		}
		running.Add(-1)
	})
	p.ok("Subscribe", err)
	defer stop()
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range each {
				if err := p.announcer().Publish(p.ctx, driver.Invalidation{Keys: []string{p.key("k")}}); err != nil {
					p.errorf("Announce: %v", err)
				}
			}
		})
	}
	wg.Wait()
	if !eventually(func() bool { return heard.Load() == writers*each }) {
		p.errorf("%d of %d announcements arrived", heard.Load(), writers*each)
	}
}

// A listener keeps what it hears of this probe's announcements: others may be made on the same server.
type listener struct {
	prefix string
	stop   func()
	mu     sync.Mutex // guards heard
	heard  []driver.Invalidation
}

// subscribe returns a listener that is stopped when the test ends.
func (p *probe) subscribe() *listener {
	p.t.Helper()
	l := &listener{prefix: p.prefix}
	stop, err := p.announcer().Subscribe(p.ctx, l.hear)
	p.ok("Subscribe", err)
	l.stop = sync.OnceFunc(stop)
	p.t.Cleanup(l.stop)
	return l
}

func (l *listener) hear(a driver.Invalidation) {
	mine := func(s string) bool { return len(s) >= len(l.prefix) && s[:len(l.prefix)] == l.prefix }
	if !mine(a.Prefix) && !slices.ContainsFunc(a.Keys, mine) && !a.Gap {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard = append(l.heard, a)
}

func (l *listener) all() []driver.Invalidation {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.heard
}

// want checks that the last announcement heard is a, once it has come.
func (l *listener) want(p *probe, a driver.Invalidation) {
	p.t.Helper()
	same := func(b driver.Invalidation) bool {
		return slices.Equal(a.Keys, b.Keys) && a.Prefix == b.Prefix && !b.Gap
	}
	if !eventually(func() bool { return slices.ContainsFunc(l.all(), same) }) {
		p.errorf("heard %+v; want %+v among it", l.all(), a)
	}
}
