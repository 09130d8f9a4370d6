package storetest

import "github.com/zodiac-go/zodiac/driver"

// tombstoneRules are about tombstones, which only Acquire returns.
var tombstoneRules = []rule{
	{
		name:  "AcquireReturnsTheTombstone",
		needs: leaser,
		says: "Tombstone, in a record given to Commit, says that the key becomes absent, and " +
			"that only Acquire returns the record. Hit, if there is a record of another " +
			"Version than ask.Seen, or a tombstone. A tombstone is always Whole.",
		check: func(p *probe) {
			p.commitRecord(p.key("k"), p.win(p.key("k"), ask(long)), tombstone(long), true)
			p.wantMiss(p.key("k"))
			c := p.acquire(p.key("k"), ask(long), driver.Hit)
			r := c.Record
			complete := string(r.Data) == "tombstone" && r.Version != "" && r.TTL > 0 && r.TTL <= long+slack
			if !c.Whole || !r.Tombstone || !complete {
				p.errorf("Acquire = %+v; want the whole tombstone", c)
			}
		},
	},
	{
		name:  "TombstoneReplacesTheRecord",
		needs: leaser,
		says: "If r is a Tombstone, the key is absent afterwards, and an old record is " +
			"removed.",
		check: func(p *probe) {
			version, token := p.refresh(p.key("k"), "old", long)
			p.commitRecord(p.key("k"), token, tombstone(long), true)
			p.wantMiss(p.key("k"))
			if c := p.acquire(p.key("k"), askSeen(long, version), driver.Hit); !c.Record.Tombstone {
				p.errorf("Acquire = %+v; want the tombstone", c)
			}
		},
	},
	{
		name:  "TombstoneExpires",
		needs: leaser,
		says:  "A tombstone lives for its TTL.",
		check: func(p *probe) {
			p.commitRecord(p.key("k"), p.win(p.key("k"), ask(long)), tombstone(short), true)
			pass(past)
			p.win(p.key("k"), ask(long))
		},
	},
	{
		name:  "SecondCommitOfATombstone",
		needs: leaser,
		says:  saysSecondCommit,
		check: func(p *probe) {
			token := p.win(p.key("k"), ask(long))
			p.commitRecord(p.key("k"), token, tombstone(long), true)
			p.commitRecord(p.key("k"), token, tombstone(long), true)
			p.add(p.key("k"), "data", true)
			p.commitRecord(p.key("k"), token, tombstone(long), false)
			p.wantData(p.key("k"), "data")
		},
	},
	{
		name:  "TombstoneUnderARevokedLease",
		needs: leaser,
		says: "Nothing can be stored under a revoked lease. If the lease was revoked, Commit " +
			"stores nothing, ends the lease, and returns false.",
		check: func(p *probe) {
			_, token := p.refresh(p.key("k"), "old", long)
			p.set(p.key("k"), "set", long)
			p.commitRecord(p.key("k"), token, tombstone(long), false)
			p.wantData(p.key("k"), "set")
		},
	},
	{
		name:  "DeleteRemovesATombstone",
		needs: leaser,
		says: "Delete and Clear revoke a lease on the key, remove a tombstone, and do not " +
			"count the key.",
		check: func(p *probe) {
			p.commitRecord(p.key("k"), p.win(p.key("k"), ask(long)), tombstone(long), true)
			p.delete(0, p.key("k"))
			p.win(p.key("k"), ask(long))
		},
	},
	{
		name:  "ClearRemovesATombstone",
		needs: leaser,
		says: "Delete and Clear revoke a lease on the key, remove a tombstone, and do not " +
			"count the key.",
		check: func(p *probe) {
			p.commitRecord(p.key("k"), p.win(p.key("k"), ask(long)), tombstone(long), true)
			p.clear(0, p.prefix)
			p.win(p.key("k"), ask(long))
		},
	},
	{
		name:  "ForceOverATombstone",
		needs: leaser,
		says: "Won, if ask.Force is set. The lease is taken from its holder, and a record " +
			"stays.",
		check: func(p *probe) {
			p.commitRecord(p.key("k"), p.win(p.key("k"), ask(long)), tombstone(long), true)
			token := p.win(p.key("k"), askForce(long))
			p.commit(p.key("k"), token, "data", true)
			if r := p.wantData(p.key("k"), "data"); r.Tombstone {
				p.errorf("Get returns a tombstone")
			}
		},
	},
}
