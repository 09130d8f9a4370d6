package storetest

import (
	"github.com/zodiac-go/zodiac/driver"
)

// renewRules are about Renew.
var renewRules = []rule{
	{
		name:  "RenewLengthensALease",
		needs: leaser,
		says: "Renew makes a live lease, revoked or not, end p from now if that is later, and " +
			"returns true.",
		check: func(p *probe) {
			token := p.win(p.key("k"), ask(5*short))
			p.renew(p.key("k"), token, long, true)
			pass(6 * short)
			p.acquire(p.key("k"), ask(long), driver.Busy)
			p.commit(p.key("k"), token, "data", true)
		},
	},
	{
		name:  "RenewLengthensARefreshLease",
		needs: leaser,
		says: "Renew makes a live lease, revoked or not, end p from now if that is later, and " +
			"returns true. Record and lease have their own times, and the end of one leaves " +
			"the other as it is.",
		check: func(p *probe) {
			version := p.set(p.key("k"), "old", 5*short)
			token := p.win(p.key("k"), askSeen(5*short, version))
			p.renew(p.key("k"), token, long, true)
			if r := p.wantData(p.key("k"), "old"); r.Version != version || r.TTL > 5*short+slack {
				p.errorf("Version %q, TTL %v; want %q and at most %v", r.Version, r.TTL, version, 5*short)
			}
			pass(6 * short)
			p.wantMiss(p.key("k"))
			p.acquire(p.key("k"), ask(long), driver.Busy)
		},
	},
	{
		name:  "RenewCountsFromNow",
		needs: leaser,
		says: "Renew makes a live lease, revoked or not, end p from now if that is later, and " +
			"returns true.",
		check: func(p *probe) {
			token := p.win(p.key("k"), ask(long))
			p.renew(p.key("k"), token, long, true)
			if left := p.acquire(p.key("k"), ask(long), driver.Busy).Left; left > long+slack {
				p.errorf("Left %v; want at most %v", left, long)
			}
		},
	},
	{
		name:  "RenewNeverShortens",
		needs: leaser,
		says: "Renew makes a live lease, revoked or not, end p from now if that is later, and " +
			"returns true.",
		check: func(p *probe) {
			token := p.win(p.key("k"), ask(long))
			p.renew(p.key("k"), token, short, true)
			pass(past)
			p.acquire(p.key("k"), ask(long), driver.Busy)
		},
	},
	{
		name:  "RenewAfterTheDeadline",
		needs: leaser,
		says:  saysLost,
		check: func(p *probe) {
			token := p.win(p.key("k"), ask(short))
			pass(past)
			p.renew(p.key("k"), token, long, false)
			p.win(p.key("k"), ask(long))
		},
	},
	{
		name:  "RenewOfARefreshLeaseAfterTheDeadline",
		needs: leaser,
		says:  saysLost,
		check: func(p *probe) {
			version, token := p.refresh(p.key("k"), "old", short)
			pass(past)
			p.renew(p.key("k"), token, long, false)
			p.win(p.key("k"), askSeen(long, version))
		},
	},
	{
		name:  "RenewOfARevokedLease",
		needs: leaser,
		says: "Renew makes a live lease, revoked or not, end p from now if that is later, and " +
			"returns true. A lease that Clear has revoked still counts as live to Acquire, " +
			"until its holder ends it or its time is over.",
		check: func(p *probe) {
			token := p.win(p.key("k"), ask(5*short))
			p.clear(0, p.key("k"))
			p.renew(p.key("k"), token, long, true)
			pass(6 * short)
			p.acquire(p.key("k"), ask(long), driver.Busy)
			p.wantLost(p.key("k"), token)
		},
	},
	{
		name:  "RenewWithAnotherToken",
		needs: leaser,
		says:  saysLost,
		check: func(p *probe) {
			a := ask(short)
			p.renew(p.key("k"), a.Token, long, false)
			token := p.win(p.key("k"), a)
			p.renew(p.key("k"), a.Token, long, false) // the token of the Ask
			p.renew(p.key("k"), token+"x", long, false)
			p.renew(p.key("k"), "", long, false)
			p.renew(p.key("other"), token, long, false)
			pass(past)
			p.win(p.key("k"), ask(long))
		},
	},
	{
		name:  "RenewAfterCommit",
		needs: leaser,
		says:  saysLost,
		check: func(p *probe) {
			token := p.win(p.key("k"), ask(long))
			p.commit(p.key("k"), token, "data", true)
			p.renew(p.key("k"), token, long, false)
			p.win(p.key("k"), askSeen(long, p.wantData(p.key("k"), "data").Version))
			p.renew(p.key("k"), token, long, false)
		},
	},
	{
		name:  "RenewAfterAbort",
		needs: leaser,
		says:  saysLost,
		check: func(p *probe) {
			token := p.win(p.key("k"), ask(long))
			p.abort(p.key("k"), token, true)
			p.renew(p.key("k"), token, long, false)
			p.win(p.key("k"), ask(long))
		},
	},
	{
		name:  "RenewAfterDelete",
		needs: leaser,
		says:  saysLost,
		check: func(p *probe) {
			token := p.win(p.key("k"), ask(long))
			p.delete(0, p.key("k"))
			p.renew(p.key("k"), token, long, false)
			p.win(p.key("k"), ask(long))
		},
	},
}

// saysLost is quoted by several rules.
const saysLost = "Renew returns false and changes nothing if the lease is lost: key has no lease with " +
	"that token, or the time of the lease is over."
