package storetest

import (
	"github.com/zodiac-go/zodiac/driver"
)

// renewRules are about Renew.
var renewRules = []rule{
	{"RenewLengthens", "Renew makes a live lease end p from now, and returns true.", leaser, func(p *probe) {
		token := p.win(p.key("k"), ask(5*short))
		p.renew(p.key("k"), token, long, true)
		pass(6 * short)
		p.acquire(p.key("k"), ask(long), driver.Busy)
		p.commit(p.key("k"), token, "data", true)
	}},
	{"RenewLengthensARefreshLease", "Renew makes a live lease end p from now, and leaves the record alone.", leaser, func(p *probe) {
		version := p.set(p.key("k"), "old", 5*short)
		token := p.win(p.key("k"), askSeen(5*short, version))
		p.renew(p.key("k"), token, long, true)
		if r := p.wantData(p.key("k"), "old"); r.Version != version || r.TTL > 5*short+slack {
			p.errorf("Version %q, TTL %v; want %q and at most %v", r.Version, r.TTL, version, 5*short)
		}
		pass(6 * short)
		p.wantMiss(p.key("k"))
		p.acquire(p.key("k"), ask(long), driver.Busy)
	}},
	{"RenewCountsFromNow", "Renew makes a lease end p from now: what was left is not added.", leaser, func(p *probe) {
		token := p.win(p.key("k"), ask(long))
		p.renew(p.key("k"), token, long, true)
		if left := p.acquire(p.key("k"), ask(long), driver.Busy).Left; left > long+slack {
			p.errorf("%v left; want at most %v", left, long)
		}
	}},
	{"RenewNeverShortens", "Renew makes a lease end p from now only if that is later.", leaser, func(p *probe) {
		token := p.win(p.key("k"), ask(long))
		p.renew(p.key("k"), token, short, true)
		pass(past)
		p.acquire(p.key("k"), ask(long), driver.Busy)
	}},
	{"RenewAfterTheDeadline", "Renew of a lease past its time is false, and does not revive it.", leaser, func(p *probe) {
		token := p.win(p.key("k"), ask(short))
		pass(past)
		p.renew(p.key("k"), token, long, false)
		p.win(p.key("k"), ask(long))
	}},
	{"RenewOfARefreshLeaseAfterTheDeadline", "Renew of a lease past its time is false, and does not revive it.", leaser, func(p *probe) {
		version, token := p.refresh(p.key("k"), "old", short)
		pass(past)
		p.renew(p.key("k"), token, long, false)
		p.win(p.key("k"), askSeen(long, version))
	}},
	{"RenewOfAVoidLease", "A void lease can be renewed, so that others go on waiting.", leaser, func(p *probe) {
		token := p.win(p.key("k"), ask(5*short))
		p.clear(0, p.key("k"))
		p.renew(p.key("k"), token, long, true)
		pass(6 * short)
		p.acquire(p.key("k"), ask(long), driver.Busy)
		p.wantLost(p.key("k"), token)
	}},
	{"RenewOfAnothersLease", "Renew of a token that is not the lease's is false, and changes nothing.", leaser, func(p *probe) {
		a := ask(short)
		p.renew(p.key("k"), a.Token, long, false)
		token := p.win(p.key("k"), a)
		p.renew(p.key("k"), a.Token, long, false) // the one asked with
		p.renew(p.key("k"), token+"x", long, false)
		p.renew(p.key("k"), "", long, false)
		p.renew(p.key("other"), token, long, false)
		pass(past)
		p.win(p.key("k"), ask(long))
	}},
	{"RenewAfterCommit", "Renew compares the lease's token, never the record's version.", leaser, func(p *probe) {
		token := p.win(p.key("k"), ask(long))
		p.commit(p.key("k"), token, "data", true)
		p.renew(p.key("k"), token, long, false)
		p.win(p.key("k"), askSeen(long, p.wantData(p.key("k"), "data").Version))
		p.renew(p.key("k"), token, long, false)
	}},
	{"RenewAfterAbort", "Renew of a lease that was given up is false.", leaser, func(p *probe) {
		token := p.win(p.key("k"), ask(long))
		p.abort(p.key("k"), token, true)
		p.renew(p.key("k"), token, long, false)
		p.win(p.key("k"), ask(long))
	}},
	{"RenewAfterDelete", "Renew of a lease whose key has gone is false.", leaser, func(p *probe) {
		token := p.win(p.key("k"), ask(long))
		p.delete(0, p.key("k"))
		p.renew(p.key("k"), token, long, false)
		p.win(p.key("k"), ask(long))
	}},
}
