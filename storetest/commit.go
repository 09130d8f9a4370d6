package storetest

import (
	"fmt"
	"time"

	"github.com/zodiac-go/zodiac/driver"
)

// commitRules are about Commit.
var commitRules = []rule{
	{"CommitStoresAndEndsTheLease", "Commit stores the record under the lease, ends that, and returns true.", leaser, func(p *probe) {
		token := p.win(p.key("k"), ask(long))
		p.wantMiss(p.key("k"))
		p.commit(p.key("k"), token, "data", true)
		r := p.wantData(p.key("k"), "data")
		if r.TTL > long+slack || r.TTL < long/2 {
			p.errorf("TTL %v; want about %v", r.TTL, long)
		}
		p.win(p.key("k"), askSeen(long, r.Version))
	}},
	{"CommitReplaces", "Commit of a refresh replaces the old record, with another version.", leaser, func(p *probe) {
		version, token := p.refresh(p.key("k"), "old, and longer", long)
		p.commit(p.key("k"), token, "new", true)
		if r := p.wantData(p.key("k"), "new"); r.Version == version {
			p.errorf("Version %q as before", version)
		}
	}},
	{"CommitGivesTheTTL", "A record lives for its TTL, whatever the lease's time or the old record's.", leaser, func(p *probe) {
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
	}},
	{"CommitContinues", "A Commit with the Version of the record that is there keeps its end, or goes by TTL.", leaser, func(p *probe) {
		for _, old := range []time.Duration{long, driver.Forever} {
			key := p.key(fmt.Sprint(old))
			version := p.set(key, "old", old)
			p.commitRecord(key, p.win(key, askSeen(long, version)), driver.Record{Data: []byte("new"), TTL: long / 4, Version: version}, true)
			left := p.wantData(key, "new").TTL
			about := func(d time.Duration) bool { return left <= d && left >= d/2 }
			if !about(old) && !about(long/4) {
				p.errorf("%v are left after a Commit that gave %v and continues a record of %v", left, long/4, old)
			}
		}
	}},
	{"CommitContinuesNothingElse", "A Commit with a Version that is not there stores nothing, or goes by TTL.", leaser, func(p *probe) {
		version := p.set(p.key("k"), "older", long)
		token := p.win(p.key("k"), askSeen(long, p.set(p.key("k"), "old", long)))
		r := driver.Record{Data: []byte("new"), TTL: long / 4, Version: version}
		if stored, err := p.leaser().Commit(p.ctx, p.key("k"), token, r); !stored {
			p.ok("Commit", err)
			p.win(p.key("k"), askSeen(long, p.wantData(p.key("k"), "old").Version))
		} else if left := p.wantData(p.key("k"), "new").TTL; left > long/4+slack {
			p.errorf("%v are left; want %v", left, long/4)
		}
	}},
	{"CommitRevivesNothing", "A record that continues another does not outlive it, or goes by TTL.", leaser, func(p *probe) {
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
	}},
	{"CommitOfShortTTLIsAnError", "A time to live under a millisecond is an error, and changes nothing.", leaser, func(p *probe) {
		token := p.win(p.key("k"), ask(long))
		for _, ttl := range notTTLs {
			_, err := p.leaser().Commit(p.ctx, p.key("k"), token, record("data", ttl))
			p.wantError("Commit", err)
		}
		p.wantMiss(p.key("k"))
		p.commit(p.key("k"), token, "data", true)
	}},
	{"CommitDataIsNotKept", "A Store does not retain or change Data it was passed; it may be empty.", leaser, func(p *probe) {
		data := []byte("data")
		token := p.win(p.key("k"), ask(long))
		p.commitRecord(p.key("k"), token, driver.Record{Data: data, TTL: long}, true)
		copy(data, "????")
		p.wantData(p.key("k"), "data")
		p.commitRecord(p.key("nil"), p.win(p.key("nil"), ask(long)), driver.Record{TTL: long}, true)
		p.wantData(p.key("nil"), "")
	}},
	{"CommitWithoutLease", "Commit stores nothing under a token that is not the lease's.", leaser, func(p *probe) {
		a := ask(long)
		p.wantLost(p.key("k"), a.Token)
		p.wantLost(p.key("k"), "")
		token := p.win(p.key("k"), a)
		p.wantLost(p.key("k"), a.Token) // the one asked with
		p.wantLost(p.key("k"), token+"x")
		p.wantLost(p.key("k"), "")
		p.wantLost(p.key("other"), token)
		p.commit(p.key("k"), token, "data", true)
	}},
	{"CommitWithoutLeaseLeavesTheRecord", "Commit stores nothing under a token that is not the lease's.", leaser, func(p *probe) {
		a := ask(long)
		version := p.set(p.key("k"), "old", long)
		p.commit(p.key("k"), a.Token, "new", false)
		p.commit(p.key("k"), "", "new", false)
		if r := p.wantData(p.key("k"), "old"); r.Version != version {
			p.errorf("Version %q; want %q as before", r.Version, version)
		}
	}},
	{"CommitAfterTheDeadline", "Whether a lease's time is over does not matter to Commit while nobody else took it.", leaser, func(p *probe) {
		_, token := p.refresh(p.key("k"), "old", short)
		pass(past)
		p.commit(p.key("k"), token, "new", true)
		p.wantData(p.key("k"), "new")
	}},
	{"CommitAfterThePlaceholderEnded", "Commit returns whether it stored, also when the key may have ended with the lease.", leaser, func(p *probe) {
		token := p.win(p.key("k"), ask(short))
		pass(past)
		stored, err := p.leaser().Commit(p.ctx, p.key("k"), token, record("data", long))
		p.ok("Commit", err)
		if stored {
			p.wantData(p.key("k"), "data")
		} else {
			p.wantMiss(p.key("k"))
		}
	}},
	{"CommitAfterAnotherTookTheLease", "Commit stores nothing once somebody else took the lease.", leaser, func(p *probe) {
		first := p.win(p.key("k"), ask(short))
		pass(past)
		second := p.win(p.key("k"), ask(long))
		p.wantLost(p.key("k"), first)
		p.abort(p.key("k"), second, true)
		p.wantLost(p.key("k"), first)
	}},
	{"CommitAfterAnotherTookTheRefresh", "Commit stores nothing once somebody else took the lease.", leaser, func(p *probe) {
		version, first := p.refresh(p.key("k"), "old", short)
		pass(past)
		second := p.win(p.key("k"), askSeen(long, version))
		p.commit(p.key("k"), first, "first", false)
		p.commit(p.key("k"), second, "second", true)
		p.commit(p.key("k"), first, "first", false)
		p.wantData(p.key("k"), "second")
	}},
	{"SecondCommitStoresNothing", "A second Commit of a token stores nothing; it is true while the first's record is there.", leaser, func(p *probe) {
		token := p.win(p.key("k"), ask(long))
		p.commit(p.key("k"), token, "first", true)
		version := p.wantData(p.key("k"), "first").Version
		p.commitRecord(p.key("k"), token, record("second", 2*long), true)
		p.expire(p.key("k"), long/2, true)
		p.commit(p.key("k"), token, "second", true)
		if r := p.wantData(p.key("k"), "first"); r.Version != version || r.TTL > long/2+slack {
			p.errorf("Version %q, TTL %v; want %q and at most %v", r.Version, r.TTL, version, long/2)
		}
	}},
	{"SecondCommitUnderALease", "A second Commit is true while the first's record is there, and leaves the next lease alone.", leaser, func(p *probe) {
		first := p.win(p.key("k"), ask(long))
		p.commit(p.key("k"), first, "first", true)
		second := p.win(p.key("k"), askSeen(long, p.wantData(p.key("k"), "first").Version))
		p.commit(p.key("k"), first, "again", true)
		p.wantData(p.key("k"), "first")
		p.commit(p.key("k"), second, "second", true)
		p.commit(p.key("k"), first, "again", false)
		p.wantData(p.key("k"), "second")
	}},
	{"SecondCommitAfterDelete", "A second Commit is false when the first's record has gone, and stores nothing.", leaser, func(p *probe) {
		token := p.win(p.key("k"), ask(long))
		p.commit(p.key("k"), token, "first", true)
		p.delete(1, p.key("k"))
		p.wantLost(p.key("k"), token)
	}},
	{"SecondCommitAfterSet", "A second Commit is false when the first's record was replaced, and stores nothing.", leaser, func(p *probe) {
		token := p.win(p.key("k"), ask(long))
		p.commit(p.key("k"), token, "first", true)
		p.set(p.key("k"), "set", long)
		p.commit(p.key("k"), token, "again", false)
		p.wantData(p.key("k"), "set")
	}},
	{"SecondCommitAfterTheEnd", "A second Commit is false when the first's record is past its time.", leaser, func(p *probe) {
		token := p.win(p.key("k"), ask(long))
		p.commitRecord(p.key("k"), token, record("first", short), true)
		pass(past)
		p.wantLost(p.key("k"), token)
	}},
	{"SecondCommitAfterTheEndUnderALease", "A second Commit is false when the first's record is past its time.", leaser, func(p *probe) {
		token := p.win(p.key("k"), ask(long))
		p.commitRecord(p.key("k"), token, record("first", short), true)
		p.win(p.key("k"), askForce(long))
		pass(past)
		p.wantLost(p.key("k"), token)
	}},
}

// abortRules are about Abort.
var abortRules = []rule{
	{"AbortFreesTheKey", "Abort ends the lease, and returns whether it was live and not void.", leaser, func(p *probe) {
		token := p.win(p.key("k"), ask(long))
		p.abort(p.key("k"), token, true)
		p.wantLost(p.key("k"), token)
		p.abort(p.key("k"), token, false)
		p.win(p.key("k"), ask(long))
	}},
	{"AbortLeavesTheRecord", "A record that is there stays as it is when a lease is aborted.", leaser, func(p *probe) {
		version, token := p.refresh(p.key("k"), "old", 2*long)
		p.abort(p.key("k"), token, true)
		p.commit(p.key("k"), token, "new", false)
		if r := p.wantData(p.key("k"), "old"); r.Version != version || r.TTL > long+slack {
			p.errorf("Version %q, TTL %v; want %q and at most %v", r.Version, r.TTL, version, long)
		}
		p.win(p.key("k"), askSeen(long, version))
	}},
	{"AbortDoesNotLengthenTheRecord", "A record that is there stays as it is when a lease is aborted.", leaser, func(p *probe) {
		version := p.set(p.key("k"), "old", short)
		token := p.win(p.key("k"), askSeen(long, version))
		p.abort(p.key("k"), token, true)
		pass(past)
		p.wantMiss(p.key("k"))
		p.win(p.key("k"), ask(long))
	}},
	{"AbortAfterTheRecordEnded", "Abort ends the lease, and what was a record stays absent.", leaser, func(p *probe) {
		token := p.win(p.key("k"), askSeen(long, p.set(p.key("k"), "old", short)))
		pass(past)
		p.abort(p.key("k"), token, true)
		p.wantMiss(p.key("k"))
		p.win(p.key("k"), ask(long))
	}},
	{"AbortOfTheAskedToken", "Abort takes the token asked with too: then every grant of it ends.", leaser, func(p *probe) {
		a := ask(long)
		token := p.win(p.key("k"), a)
		p.abort(p.key("k"), a.Token, true)
		p.wantLost(p.key("k"), token)
		p.win(p.key("k"), ask(long))
	}},
	{"AbortOfTheAskedTokenOfARefresh", "Abort takes the token asked with too, and the record stays.", leaser, func(p *probe) {
		version := p.set(p.key("k"), "old", long)
		a := askSeen(long, version)
		token := p.win(p.key("k"), a)
		p.abort(p.key("k"), a.Token, true)
		p.commit(p.key("k"), token, "new", false)
		p.wantData(p.key("k"), "old")
		p.win(p.key("k"), askSeen(long, version))
	}},
	{"AbortOfAnothersLease", "Abort of a token that is not the lease's is false, and changes nothing.", leaser, func(p *probe) {
		a := ask(long)
		p.abort(p.key("k"), a.Token, false)
		token := p.win(p.key("k"), a)
		for _, other := range []string{ask(long).Token, token + "x", a.Token + "x", a.Token[:len(a.Token)-1], ""} {
			p.abort(p.key("k"), other, false)
		}
		p.abort(p.key("other"), token, false)
		p.commit(p.key("k"), token, "data", true)
	}},
	{"AbortOfASupersededToken", "Abort of a token that is not the lease's is false, by the one asked with too.", leaser, func(p *probe) {
		a := ask(long)
		first := p.win(p.key("k"), a)
		second := p.win(p.key("k"), askForce(long))
		p.abort(p.key("k"), first, false)
		p.abort(p.key("k"), a.Token, false)
		p.commit(p.key("k"), second, "data", true)
	}},
	{"AbortAfterCommit", "Abort after Commit is false, and the record stays.", leaser, func(p *probe) {
		a := ask(long)
		token := p.win(p.key("k"), a)
		p.commit(p.key("k"), token, "data", true)
		p.abort(p.key("k"), token, false)
		p.abort(p.key("k"), a.Token, false)
		p.wantData(p.key("k"), "data")
	}},
	{"AbortAfterTheDeadline", "Abort returns whether the lease was live.", leaser, func(p *probe) {
		token := p.win(p.key("k"), ask(short))
		version, second := p.refresh(p.key("record"), "old", short)
		pass(past)
		p.abort(p.key("k"), token, false)
		p.abort(p.key("record"), second, false)
		p.commit(p.key("record"), second, "new", false)
		if r := p.wantData(p.key("record"), "old"); r.Version != version {
			p.errorf("Version %q; want %q as before", r.Version, version)
		}
	}},
	{"AbortOfAVoidLease", "Abort of a void lease is false, and ends it: others need not wait any more.", leaser, func(p *probe) {
		token := p.win(p.key("k"), ask(long))
		p.clear(0, p.key("k"))
		p.abort(p.key("k"), token, false)
		p.win(p.key("k"), ask(long))
	}},
}
