package storetest

import (
	"github.com/zodiac-go/zodiac/driver"
)

// revokeRules are about writes and invalidations under a lease. Those on absent keys are in
// absentRules.
var revokeRules = []rule{
	{
		name:  "SetRevokesARefreshLease",
		needs: leaser,
		says: "Set stores r whatever the key holds, and revokes a lease on key. Nothing can " +
			"be stored under a revoked lease.",
		check: func(p *probe) {
			_, token := p.refresh(p.key("k"), "old", long)
			p.set(p.key("k"), "set", long)
			p.abort(p.key("k"), token, false)
			p.commit(p.key("k"), token, "stale", false)
			p.wantData(p.key("k"), "set")
		},
	},
	{
		name:  "DeleteRevokesARefreshLease",
		needs: leaser,
		says: "Delete removes keys, revokes leases on them, and returns how many records " +
			"there were. Nothing can be stored under a revoked lease.",
		check: func(p *probe) {
			version, token := p.refresh(p.key("k"), "old", long)
			p.delete(1, p.key("k"))
			p.wantLost(p.key("k"), token)
			p.win(p.key("k"), askSeen(long, version))
		},
	},
	{
		name:  "DeleteRevokesManyLeases",
		needs: leaser,
		says: "Delete removes keys, revokes leases on them, and returns how many records " +
			"there were. Nothing can be stored under a revoked lease.",
		check: func(p *probe) {
			first := p.win(p.key("placeholder"), ask(long))
			_, second := p.refresh(p.key("record"), "old", long)
			p.delete(1, p.key("placeholder"), p.key("none"), p.key("record"))
			p.wantLost(p.key("placeholder"), first)
			p.wantLost(p.key("record"), second)
		},
	},
	{
		name:  "DeleteFreesTheLease",
		needs: leaser,
		says:  "A lease that anything else has revoked is gone, and nobody waits for it.",
		check: func(p *probe) {
			p.win(p.key("k"), ask(long))
			p.delete(0, p.key("k"))
			token := p.win(p.key("k"), ask(long))
			p.commit(p.key("k"), token, "data", true)
		},
	},
	{
		name:  "AddThatStoresNothingLeavesTheLease",
		needs: leaser,
		says:  "If key is present, Add changes nothing, revokes nothing, and returns false.",
		check: func(p *probe) {
			_, token := p.refresh(p.key("k"), "old", long)
			p.add(p.key("k"), "added", false)
			p.acquire(p.key("k"), ask(long), driver.Hit)
			p.commit(p.key("k"), token, "new", true)
			p.wantData(p.key("k"), "new")
		},
	},
	{
		name:  "ExpireLeavesTheLease",
		needs: leaser,
		says:  "Expire does not touch a lease, and does not change the record's Version.",
		check: func(p *probe) {
			version, token := p.refresh(p.key("k"), "old", 5*short)
			p.expire(p.key("k"), long, true)
			p.acquire(p.key("k"), askSeen(long, version), driver.Busy)
			p.commit(p.key("k"), token, "new", true)
		},
	},
	{
		name:  "ExpireDoesNotLengthenTheLease",
		needs: leaser,
		says:  "Expire does not touch a lease, and does not change the record's Version.",
		check: func(p *probe) {
			version, _ := p.refresh(p.key("k"), "old", short)
			p.expire(p.key("k"), 2*long, true)
			pass(past)
			p.win(p.key("k"), askSeen(long, version))
		},
	},
	{
		name:  "ExpireUnderALease",
		needs: leaser,
		says: "Expire gives the record of key a new time to live, longer or shorter, and " +
			"returns true. Expire does not touch a lease, and does not change the record's " +
			"Version.",
		check: func(p *probe) {
			version, token := p.refresh(p.key("k"), "old", long)
			p.expire(p.key("k"), short, true)
			pass(past)
			p.wantMiss(p.key("k"))
			p.acquire(p.key("k"), askSeen(long, version), driver.Busy)
			p.commit(p.key("k"), token, "new", true)
		},
	},
	{
		name:  "ExpireOfAPlaceholderLeavesTheLease",
		needs: leaser,
		says: "Expire returns false and changes nothing. It neither revives a record nor " +
			"touches a lease.",
		check: func(p *probe) {
			token := p.win(p.key("k"), ask(long))
			p.expire(p.key("k"), short, false)
			pass(past)
			p.acquire(p.key("k"), ask(long), driver.Busy)
			p.commit(p.key("k"), token, "data", true)
		},
	},
	{
		name:  "ClearRevokesARefreshLease",
		needs: leaser,
		says: "Clear removes all records whose keys begin with prefix, no others, and returns " +
			"how many there were. Leases taken before Clear are revoked but stay, so that " +
			"others go on waiting for their holders.",
		check: func(p *probe) {
			_, token := p.refresh(p.key("k"), "old", long)
			p.clear(1, p.key("k"))
			p.wantMiss(p.key("k"))
			p.wantLost(p.key("k"), token)
			p.win(p.key("k"), ask(long)) // Commit has ended the revoked lease
		},
	},
	{
		name:  "ClearLeavesARevokedPlaceholder",
		needs: leaser,
		says: "Leases taken before Clear are revoked but stay, so that others go on waiting " +
			"for their holders.",
		check: func(p *probe) {
			token := p.win(p.key("k"), ask(long))
			p.clear(0, p.prefix)
			p.acquire(p.key("k"), ask(long), driver.Busy)
			p.wantLost(p.key("k"), token)
		},
	},
	{
		name:  "CommitOfARevokedLeaseEndsIt",
		needs: leaser,
		says: "If the lease was revoked, Commit stores nothing, ends the lease, and returns " +
			"false.",
		check: func(p *probe) {
			token := p.win(p.key("k"), ask(long))
			p.clear(0, p.prefix)
			p.wantLost(p.key("k"), token)
			next := p.win(p.key("k"), ask(long))
			p.wantLost(p.key("k"), token)
			p.commit(p.key("k"), next, "data", true)
		},
	},
	{
		name:  "LeaseAfterClearIsNotRevoked",
		needs: leaser,
		says:  "Leases on other keys and leases taken after Clear are not revoked.",
		check: func(p *probe) {
			p.clear(0, p.prefix)
			token := p.win(p.key("k"), ask(long))
			p.commit(p.key("k"), token, "data", true)
		},
	},
	{
		name:  "ClearElsewhereLeavesLeases",
		needs: leaser,
		says:  "Leases on other keys and leases taken after Clear are not revoked.",
		check: func(p *probe) {
			token := p.win(p.key("out"), ask(long))
			_, second := p.refresh(p.key("ou"), "old", long)
			p.clear(0, p.key("out:"))
			p.commit(p.key("out"), token, "data", true)
			p.commit(p.key("ou"), second, "new", true)
		},
	},
	{
		name:  "RevokedPlaceholderExpires",
		needs: leaser,
		says: "A lease that Clear has revoked still counts as live to Acquire, until its " +
			"holder ends it or its time is over.",
		check: func(p *probe) {
			p.win(p.key("k"), ask(short))
			p.clear(0, p.prefix)
			pass(past)
			p.win(p.key("k"), ask(long))
		},
	},
}
