package storetest

import (
	"fmt"
	"time"

	"github.com/zodiac-go/zodiac/driver"
)

// commitRules are about Commit.
var commitRules = []rule{
	{
		name:  "CommitStoresAndEndsTheLease",
		needs: leaser,
		says:  "Commit stores r under the lease, ends the lease, and returns true.",
		check: func(p *probe) {
			token := p.win(p.key("k"), ask(long))
			p.wantMiss(p.key("k"))
			p.commit(p.key("k"), token, "data", true)
			r := p.wantData(p.key("k"), "data")
			if r.TTL > long+slack || r.TTL < long/2 {
				p.errorf("TTL %v; want about %v", r.TTL, long)
			}
			p.win(p.key("k"), askSeen(long, r.Version))
		},
	},
	{
		name:  "CommitReplacesTheRecord",
		needs: leaser,
		says: "Commit stores r under the lease, ends the lease, and returns true. Every Set, " +
			"Add and Commit that stores makes a new Version, even of equal Data.",
		check: func(p *probe) {
			version, token := p.refresh(p.key("k"), "old, and longer", long)
			p.commit(p.key("k"), token, "new", true)
			if r := p.wantData(p.key("k"), "new"); r.Version == version {
				p.errorf("Version %q, as before Commit; want another", version)
			}
		},
	},
	{
		name:  "CommitSetsTheTTL",
		needs: leaser,
		says: "TTL is the time to live of a record that is given to a store, counted from " +
			"when it is stored. Record and lease have their own times, and the end of one " +
			"leaves the other as it is.",
		check: func(p *probe) {
			token := p.win(p.key("short"), ask(long))
			p.commitRecord(p.key("short"), token, record("data", short), true)
			token = p.win(p.key("long"), ask(5*short))
			p.commitRecord(p.key("long"), token, record("data", long), true)
			token = p.win(p.key("forever"), askSeen(5*short, p.set(p.key("forever"), "old", 5*short)))
			p.commitRecord(p.key("forever"), token, record("data", driver.Forever), true)
			pass(6 * short)
			p.wantMiss(p.key("short"))
			p.wantData(p.key("long"), "data")
			if left := p.wantData(p.key("forever"), "data").TTL; left != driver.Forever {
				p.errorf("TTL %v; want Forever", left)
			}
		},
	},
	{
		name:  "CommitContinuesTheRecord",
		needs: leaser,
		says: "If r has a Version, r continues the record of that Version, and ends when that " +
			"one would have. " + saysCannot,
		check: func(p *probe) {
			for _, old := range []time.Duration{long, driver.Forever} {
				key := p.key(fmt.Sprint(old))
				version := p.set(key, "old", old)
				token := p.win(key, askSeen(long, version))
				r := driver.Record{Data: []byte("new"), TTL: long / 4, Version: version}
				p.commitRecord(key, token, r, true)
				left := p.wantData(key, "new").TTL
				about := func(d time.Duration) bool { return left <= d && left >= d/2 }
				if !about(old) && !about(long/4) {
					p.errorf("TTL %v after a Commit with TTL %v that continues a record of %v", left, long/4, old)
				}
			}
		},
	},
	{
		name:  "CommitContinuesNoOtherRecord",
		needs: leaser,
		says: "If key has no such record, Commit stores nothing, ends the lease, and returns " +
			"false. " + saysCannot,
		check: func(p *probe) {
			version := p.set(p.key("k"), "older", long)
			token := p.win(p.key("k"), askSeen(long, p.set(p.key("k"), "old", long)))
			r := driver.Record{Data: []byte("new"), TTL: long / 4, Version: version}
			if stored, err := p.leaser().Commit(p.ctx, p.key("k"), token, r); !stored {
				p.ok("Commit", err)
				p.win(p.key("k"), askSeen(long, p.wantData(p.key("k"), "old").Version))
			} else if left := p.wantData(p.key("k"), "new").TTL; left > long/4+slack {
				p.errorf("TTL %v; want at most %v", left, long/4)
			}
		},
	},
	{
		name:  "CommitContinuesNoExpiredRecord",
		needs: leaser,
		says: "If key has no such record, Commit stores nothing, ends the lease, and returns " +
			"false. " + saysCannot,
		check: func(p *probe) {
			version := p.set(p.key("k"), "old", short)
			token := p.win(p.key("k"), askSeen(long, version))
			pass(2 * short)
			r := driver.Record{Data: []byte("new"), TTL: short, Version: version}
			stored, err := p.leaser().Commit(p.ctx, p.key("k"), token, r)
			p.ok("Commit", err)
			if !stored {
				p.wantMiss(p.key("k"))
				p.win(p.key("k"), ask(long))
			}
		},
	},
	{
		name:  "CommitOfShortTTLIsAnError",
		needs: leaser,
		says:  "A shorter or negative time to live is an error and changes nothing.",
		check: func(p *probe) {
			token := p.win(p.key("k"), ask(long))
			for _, ttl := range invalidTTLs {
				_, err := p.leaser().Commit(p.ctx, p.key("k"), token, record("data", ttl))
				p.wantError("Commit", err)
			}
			p.wantMiss(p.key("k"))
			p.commit(p.key("k"), token, "data", true)
		},
	},
	{
		name:  "CommitDataIsNotKept",
		needs: leaser,
		says: "A Store neither keeps nor changes the Data it is given. Data may be empty, " +
			"which is different from no record.",
		check: func(p *probe) {
			data := []byte("data")
			token := p.win(p.key("k"), ask(long))
			p.commitRecord(p.key("k"), token, driver.Record{Data: data, TTL: long}, true)
			copy(data, "????")
			p.wantData(p.key("k"), "data")
			p.commitRecord(p.key("nil"), p.win(p.key("nil"), ask(long)), driver.Record{TTL: long}, true)
			p.wantData(p.key("nil"), "")
		},
	},
	{
		name:  "CommitWithAnotherToken",
		needs: leaser,
		says:  "Commit stores nothing and returns false if key has no lease with that token.",
		check: func(p *probe) {
			a := ask(long)
			p.wantLost(p.key("k"), a.Token)
			p.wantLost(p.key("k"), "")
			token := p.win(p.key("k"), a)
			p.wantLost(p.key("k"), a.Token) // the token of the Ask
			p.wantLost(p.key("k"), token+"x")
			p.wantLost(p.key("k"), "")
			p.wantLost(p.key("other"), token)
			p.commit(p.key("k"), token, "data", true)
		},
	},
	{
		name:  "CommitWithAnotherTokenLeavesTheRecord",
		needs: leaser,
		says:  "Commit stores nothing and returns false if key has no lease with that token.",
		check: func(p *probe) {
			a := ask(long)
			version := p.set(p.key("k"), "old", long)
			p.commit(p.key("k"), a.Token, "new", false)
			p.commit(p.key("k"), "", "new", false)
			if r := p.wantData(p.key("k"), "old"); r.Version != version {
				p.errorf("Version %q; want %q as before", r.Version, version)
			}
		},
	},
	{
		name:  "CommitAfterTheDeadline",
		needs: leaser,
		says:  "A lease whose time is over is still good as long as nobody else has taken it.",
		check: func(p *probe) {
			_, token := p.refresh(p.key("k"), "old", short)
			pass(past)
			p.commit(p.key("k"), token, "new", true)
			p.wantData(p.key("k"), "new")
		},
	},
	{
		name:  "CommitAfterThePlaceholderExpired",
		needs: leaser,
		says: "A lease whose time is over is still good as long as nobody else has taken it. " +
			"But if key has no record, the store may have forgotten such a lease. Then " +
			"Commit returns false.",
		check: func(p *probe) {
			token := p.win(p.key("k"), ask(short))
			pass(past)
			stored, err := p.leaser().Commit(p.ctx, p.key("k"), token, record("data", long))
			p.ok("Commit", err)
			if stored {
				p.wantData(p.key("k"), "data")
			} else {
				p.wantMiss(p.key("k"))
			}
		},
	},
	{
		name:  "CommitAfterAnotherTookTheLease",
		needs: leaser,
		says: "A lease whose time is over is still good as long as nobody else has taken it. " +
			"Commit stores nothing and returns false if key has no lease with that token.",
		check: func(p *probe) {
			first := p.win(p.key("k"), ask(short))
			pass(past)
			second := p.win(p.key("k"), ask(long))
			p.wantLost(p.key("k"), first)
			p.abort(p.key("k"), second, true)
			p.wantLost(p.key("k"), first)
		},
	},
	{
		name:  "CommitAfterAnotherTookTheRefreshLease",
		needs: leaser,
		says: "A lease whose time is over is still good as long as nobody else has taken it. " +
			"Commit stores nothing and returns false if key has no lease with that token.",
		check: func(p *probe) {
			version, first := p.refresh(p.key("k"), "old", short)
			pass(past)
			second := p.win(p.key("k"), askSeen(long, version))
			p.commit(p.key("k"), first, "first", false)
			p.commit(p.key("k"), second, "second", true)
			p.commit(p.key("k"), first, "first", false)
			p.wantData(p.key("k"), "second")
		},
	},
	{
		name:  "SecondCommitStoresNothing",
		needs: leaser,
		says:  saysSecondCommit,
		check: func(p *probe) {
			token := p.win(p.key("k"), ask(long))
			p.commit(p.key("k"), token, "first", true)
			version := p.wantData(p.key("k"), "first").Version
			p.commitRecord(p.key("k"), token, record("second", 2*long), true)
			p.expire(p.key("k"), long/2, true)
			p.commit(p.key("k"), token, "second", true)
			if r := p.wantData(p.key("k"), "first"); r.Version != version || r.TTL > long/2+slack {
				p.errorf("Version %q, TTL %v; want %q and at most %v", r.Version, r.TTL, version, long/2)
			}
		},
	},
	{
		name:  "SecondCommitUnderALease",
		needs: leaser,
		says:  saysSecondCommit,
		check: func(p *probe) {
			first := p.win(p.key("k"), ask(long))
			p.commit(p.key("k"), first, "first", true)
			second := p.win(p.key("k"), askSeen(long, p.wantData(p.key("k"), "first").Version))
			p.commit(p.key("k"), first, "again", true)
			p.wantData(p.key("k"), "first")
			p.commit(p.key("k"), second, "second", true)
			p.commit(p.key("k"), first, "again", false)
			p.wantData(p.key("k"), "second")
		},
	},
	{
		name:  "SecondCommitAfterDelete",
		needs: leaser,
		says:  saysSecondCommit,
		check: func(p *probe) {
			token := p.win(p.key("k"), ask(long))
			p.commit(p.key("k"), token, "first", true)
			p.delete(1, p.key("k"))
			p.wantLost(p.key("k"), token)
		},
	},
	{
		name:  "SecondCommitAfterSet",
		needs: leaser,
		says:  saysSecondCommit,
		check: func(p *probe) {
			token := p.win(p.key("k"), ask(long))
			p.commit(p.key("k"), token, "first", true)
			p.set(p.key("k"), "set", long)
			p.commit(p.key("k"), token, "again", false)
			p.wantData(p.key("k"), "set")
		},
	},
	{
		name:  "SecondCommitAfterTheRecordExpired",
		needs: leaser,
		says:  saysSecondCommit,
		check: func(p *probe) {
			token := p.win(p.key("k"), ask(long))
			p.commitRecord(p.key("k"), token, record("first", short), true)
			pass(past)
			p.wantLost(p.key("k"), token)
		},
	},
	{
		name:  "SecondCommitAfterTheRecordExpiredUnderALease",
		needs: leaser,
		says:  saysSecondCommit,
		check: func(p *probe) {
			token := p.win(p.key("k"), ask(long))
			p.commitRecord(p.key("k"), token, record("first", short), true)
			p.win(p.key("k"), askForce(long))
			pass(past)
			p.wantLost(p.key("k"), token)
		},
	},
}

// Sentences that several rules quote.
const (
	saysSecondCommit = "A second Commit of a token stores nothing and leaves a later lease alone. It " +
		"returns true if what the first one stored is still there."
	saysCannot = "A store that cannot do this uses r.TTL, the time that was left when the record was " +
		"read."
)
