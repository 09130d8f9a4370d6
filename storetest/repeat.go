package storetest

import (
	"time"

	"github.com/zodiac-go/zodiac/driver"
)

// repeatRules are about an Ask that reaches the store more than once.
var repeatRules = []rule{
	{
		name:  "RepeatedAskGetsTheSameGrant",
		needs: leaser,
		says:  saysRepeated,
		check: func(p *probe) {
			a := ask(long)
			token := p.win(p.key("k"), a)
			asked := time.Now()
			pass(short)
			if again := p.win(p.key("k"), a); again != token {
				p.errorf("Token %q, then %q for the same Ask; want the same", token, again)
			}
			gone := time.Since(asked)
			if left := p.acquire(p.key("k"), ask(long), driver.Busy).Left; left > long-gone+slack {
				p.errorf("Left %v; want at most %v", left, long-gone)
			}
			p.commit(p.key("k"), token, "data", true)
		},
	},
	{
		name:  "RepeatedRefreshAskGetsTheSameGrant",
		needs: leaser,
		says:  saysRepeated,
		check: func(p *probe) {
			a := askSeen(long, p.set(p.key("k"), "old", long))
			token := p.win(p.key("k"), a)
			if again := p.win(p.key("k"), a); again != token {
				p.errorf("Token %q, then %q for the same Ask; want the same", token, again)
			}
		},
	},
	{
		name:  "RepeatedForceGetsTheSameGrant",
		needs: leaser,
		says:  saysRepeated,
		check: func(p *probe) {
			a := askForce(long)
			token := p.win(p.key("k"), a)
			if again := p.win(p.key("k"), a); again != token {
				p.errorf("Token %q, then %q for the same Ask; want the same", token, again)
			}
		},
	},
	{
		name:  "LateCopyAfterAbort",
		needs: leaser,
		says:  saysLate,
		check: func(p *probe) {
			a := ask(long)
			token := p.win(p.key("k"), a)
			p.abort(p.key("k"), token, true)
			p.wantNewGrant(a, token)
		},
	},
	{
		name:  "LateCopyAfterTheDeadline",
		needs: leaser,
		says:  saysLate,
		check: func(p *probe) {
			a := ask(short)
			token := p.win(p.key("k"), a)
			pass(past)
			a.Lease = long
			p.wantNewGrant(a, token)
		},
	},
	{
		name:  "LateCopyAfterTheDeadlineOfARefreshLease",
		needs: leaser,
		says:  "Won, with a Token that was never granted before. " + saysLate,
		check: func(p *probe) {
			a := askSeen(short, p.set(p.key("k"), "old", long))
			token := p.win(p.key("k"), a)
			pass(past)
			a.Lease = long
			again := p.win(p.key("k"), a)
			if again == token {
				p.errorf("Token %q is granted again; want a new one", token)
			}
			p.commit(p.key("k"), token, "stale", false)
			p.commit(p.key("k"), again, "new", true)
		},
	},
	{
		name:  "LateCopyAfterDelete",
		needs: leaser,
		says:  saysLate,
		check: func(p *probe) {
			a := ask(long)
			token := p.win(p.key("k"), a)
			p.delete(0, p.key("k"))
			p.wantNewGrant(a, token)
		},
	},
	{
		name:  "LateCopyAfterCommit",
		needs: leaser,
		says:  "Hit, if there is a record of another Version than ask.Seen, or a tombstone.",
		check: func(p *probe) {
			a := ask(long)
			p.commit(p.key("k"), p.win(p.key("k"), a), "data", true)
			p.acquire(p.key("k"), a, driver.Hit)
		},
	},
	{
		name:  "LateCopyLeavesTheNextLease",
		needs: leaser,
		says:  "Busy, if the lease is live.",
		check: func(p *probe) {
			a := ask(long)
			p.abort(p.key("k"), p.win(p.key("k"), a), true)
			token := p.win(p.key("k"), ask(long))
			p.acquire(p.key("k"), a, driver.Busy)
			p.commit(p.key("k"), token, "data", true)
		},
	},
	{
		name:  "RepeatedAskOfARevokedLease",
		needs: leaser,
		says: "Busy, if the lease is live. A lease that Clear has revoked still counts as " +
			"live to Acquire, until its holder ends it or its time is over.",
		check: func(p *probe) {
			a := ask(long)
			token := p.win(p.key("k"), a)
			p.clear(0, p.key("k"))
			p.acquire(p.key("k"), a, driver.Busy)
			p.wantLost(p.key("k"), token)
		},
	},
}

// wantNewGrant repeats a, whose grant has ended. It checks that a gets a new token, and that the
// old one stays lost.
func (p *probe) wantNewGrant(a driver.Ask, token string) {
	p.t.Helper()
	if again := p.win(p.key("k"), a); again == token {
		p.errorf("Token %q is granted again; want a new one", token)
	}
	p.renew(p.key("k"), token, long, false)
	p.wantLost(p.key("k"), token)
}

// Sentences that several rules quote.
const (
	saysRepeated = "Won, with the same Token as before, if the lease was granted to an Ask with " +
		"this Token, is live, and is not revoked. A repeated Ask does not lengthen the lease."
	saysLate = "A copy of an Ask that arrives late may win a lease, but never revives a Token that " +
		"was given up."
)
