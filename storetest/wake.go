package storetest

import (
	"time"

	"github.com/zodiac-go/zodiac/driver"
)

// wakeRules are about Waker. A wake-up without a cause breaks no rule.
var wakeRules = []rule{
	{
		name:  "CommitWakes",
		needs: waker | leaser,
		says:  saysWake,
		check: func(p *probe) {
			p.wantWake(func(key, token string) { p.commit(key, token, "data", true) })
		},
	},
	{
		name:  "CommitOfATombstoneWakes",
		needs: waker | leaser,
		says:  saysWake,
		check: func(p *probe) {
			p.wantWake(func(key, token string) { p.commitRecord(key, token, tombstone(long), true) })
		},
	},
	{
		name:  "CommitOfARevokedLeaseWakes",
		needs: waker | leaser,
		says:  saysWake,
		check: func(p *probe) {
			p.wantWake(func(key, token string) {
				p.clear(0, key)
				p.commit(key, token, "data", false)
			})
		},
	},
	{
		name:  "AbortWakes",
		needs: waker | leaser,
		says:  saysWake,
		check: func(p *probe) {
			p.wantWake(func(key, token string) { p.abort(key, token, true) })
		},
	},
	{
		name:  "SetWakes",
		needs: waker | leaser,
		says:  saysWake,
		check: func(p *probe) {
			p.wantWake(func(key, _ string) { p.set(key, "data", long) })
		},
	},
	{
		name:  "AddWakes",
		needs: waker | leaser,
		says:  saysWake,
		check: func(p *probe) {
			p.wantWake(func(key, _ string) { p.add(key, "data", true) })
		},
	},
	{
		name:  "DeleteWakes",
		needs: waker | leaser,
		says:  saysWake,
		check: func(p *probe) {
			p.wantWake(func(key, _ string) { p.delete(0, key) })
		},
	},
	{
		name:  "EndOfARefreshLeaseWakes",
		needs: waker | leaser,
		says:  saysWake,
		check: func(p *probe) {
			begin := func(key string) (string, string) { return p.refresh(key, "old", long) }
			p.wantWakes(begin, func(key, token string) { p.abort(key, token, true) })
		},
	},
	{
		name:  "CanceledWakeLeavesTheOthers",
		needs: waker | leaser,
		says:  "Each call of Wake has a channel of its own.",
		check: func(p *probe) {
			_, cancel := p.waker().Wake(p.ctx, p.key("k"))
			other, cancelOther := p.waker().Wake(p.ctx, p.key("k"))
			defer cancelOther()
			cancel()
			if !wakes(func() {
				token := p.win(p.key("k"), ask(long))
				p.acquire(p.key("k"), ask(long), driver.Busy)
				p.commit(p.key("k"), token, "data", true)
			}, other) {
				p.errorf("the other call of Wake received nothing")
			}
		},
	},
}

// wantWake checks that all waiters for a placeholder are woken when end ends it.
func (p *probe) wantWake(end func(key, token string)) {
	p.t.Helper()
	p.wantWakes(func(key string) (string, string) { return "", p.win(key, ask(long)) }, end)
}

// wantWakes checks that all waiters for the lease that begin takes are woken when end ends it.
// Wake-ups may be lost, so it tries three times.
//
// Between Wake and end, an Acquire answers Busy. Without that, a store need not wake anybody.
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
	p.errorf("not all channels received in any of three tries")
}

// wakes calls do, and reports whether all of chs receive within a second.
func wakes(do func(), chs ...<-chan struct{}) bool {
	for _, ch := range chs { // an earlier wake-up does not count
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

// saysWake is quoted by several rules.
const saysWake = "The channel receives a value when a live lease on key, revoked or not, has ended by " +
	"Commit, Abort or a write, provided that Wake was called before an Acquire that answered Busy."
