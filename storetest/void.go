package storetest

import (
	"github.com/zodiac-go/zodiac/driver"
)

// voidRules are about invalidations during a lease. What they do to leases on absent keys is among the absentRules.
var voidRules = []rule{
	{"SetMakesARefreshVoid", "Set makes a lease on the key void.", leaser, func(p *probe) {
		_, token := p.refresh(p.key("k"), "old", long)
		p.set(p.key("k"), "set", long)
		p.abort(p.key("k"), token, false)
		p.commit(p.key("k"), token, "stale", false)
		p.wantData(p.key("k"), "set")
	}},
	{"DeleteMakesARefreshVoid", "Delete makes a lease on the key void.", leaser, func(p *probe) {
		version, token := p.refresh(p.key("k"), "old", long)
		p.delete(1, p.key("k"))
		p.wantLost(p.key("k"), token)
		p.win(p.key("k"), askSeen(long, version))
	}},
	{"DeleteMakesManyVoid", "Delete makes leases on all keys void, and counts the records only.", leaser, func(p *probe) {
		first := p.win(p.key("placeholder"), ask(long))
		_, second := p.refresh(p.key("record"), "old", long)
		p.delete(1, p.key("placeholder"), p.key("none"), p.key("record"))
		p.wantLost(p.key("placeholder"), first)
		p.wantLost(p.key("record"), second)
	}},
	{"DeleteEndsTheWaiting", "Delete leaves nothing: whoever asks next gets the lease.", leaser, func(p *probe) {
		p.win(p.key("k"), ask(long))
		p.delete(0, p.key("k"))
		token := p.win(p.key("k"), ask(long))
		p.commit(p.key("k"), token, "data", true)
	}},
	{"AddThatStoresNothingLeavesTheLease", "Only if Add stores is a lease made void.", leaser, func(p *probe) {
		_, token := p.refresh(p.key("k"), "old", long)
		p.add(p.key("k"), "added", false)
		p.acquire(p.key("k"), ask(long), driver.Hit)
		p.commit(p.key("k"), token, "new", true)
		p.wantData(p.key("k"), "new")
	}},
	{"ExpireLeavesTheLease", "Expire touches no lease.", leaser, func(p *probe) {
		version, token := p.refresh(p.key("k"), "old", 5*short)
		p.expire(p.key("k"), long, true)
		p.acquire(p.key("k"), askSeen(long, version), driver.Busy)
		p.commit(p.key("k"), token, "new", true)
	}},
	{"ExpireDoesNotLengthenTheLease", "Expire touches no lease.", leaser, func(p *probe) {
		version, _ := p.refresh(p.key("k"), "old", short)
		p.expire(p.key("k"), 2*long, true)
		pass(past)
		p.win(p.key("k"), askSeen(long, version))
	}},
	{"ExpireUnderALease", "Expire under a lease ends the record at its new time, and not the lease.", leaser, func(p *probe) {
		version, token := p.refresh(p.key("k"), "old", long)
		p.expire(p.key("k"), short, true)
		pass(past)
		p.wantMiss(p.key("k"))
		p.acquire(p.key("k"), askSeen(long, version), driver.Busy)
		p.commit(p.key("k"), token, "new", true)
	}},
	{"ExpireOfAPlaceholderLeavesTheLease", "Expire of an absent key is false and changes nothing, not even a lease.", leaser, func(p *probe) {
		token := p.win(p.key("k"), ask(long))
		p.expire(p.key("k"), short, false)
		pass(past)
		p.acquire(p.key("k"), ask(long), driver.Busy)
		p.commit(p.key("k"), token, "data", true)
	}},
	{"ClearMakesARefreshVoid", "Clear removes the record and makes the lease void.", leaser, func(p *probe) {
		_, token := p.refresh(p.key("k"), "old", long)
		p.clear(1, p.key("k"))
		p.wantMiss(p.key("k"))
		p.wantLost(p.key("k"), token)
		p.win(p.key("k"), ask(long)) // Commit has ended the void lease
	}},
	{"ClearLeavesAPlaceholderWaitedFor", "Leases taken before Clear stay, so that others go on waiting, but are void.", leaser, func(p *probe) {
		token := p.win(p.key("k"), ask(long))
		p.clear(0, p.prefix)
		p.acquire(p.key("k"), ask(long), driver.Busy)
		p.wantLost(p.key("k"), token)
	}},
	{"CommitOfAVoidLeaseEndsIt", "A void lease ends with its holder's Commit, which stores nothing.", leaser, func(p *probe) {
		token := p.win(p.key("k"), ask(long))
		p.clear(0, p.prefix)
		p.wantLost(p.key("k"), token)
		next := p.win(p.key("k"), ask(long))
		p.wantLost(p.key("k"), token)
		p.commit(p.key("k"), next, "data", true)
	}},
	{"LeaseAfterClearIsNotVoid", "Only leases taken before Clear are void.", leaser, func(p *probe) {
		p.clear(0, p.prefix)
		token := p.win(p.key("k"), ask(long))
		p.commit(p.key("k"), token, "data", true)
	}},
	{"ClearElsewhereLeavesLeases", "Clear takes exactly the prefix: leases on other keys are not void.", leaser, func(p *probe) {
		token := p.win(p.key("out"), ask(long))
		_, second := p.refresh(p.key("ou"), "old", long)
		p.clear(0, p.key("out:"))
		p.commit(p.key("out"), token, "data", true)
		p.commit(p.key("ou"), second, "new", true)
	}},
	{"VoidPlaceholderEnds", "A void lease counts as live to others until its time is over.", leaser, func(p *probe) {
		p.win(p.key("k"), ask(short))
		p.clear(0, p.prefix)
		pass(past)
		p.win(p.key("k"), ask(long))
	}},
}

// markRules are about records that are seen by none but those who ask for the lease.
var markRules = []rule{
	{"MarkAnswersThoseWhoAsk", "An Acquire that meets a mark answers Hit, with the whole of it.", leaser, func(p *probe) {
		p.commitRecord(p.key("k"), p.win(p.key("k"), ask(long)), mark(long), true)
		p.wantMiss(p.key("k"))
		c := p.acquire(p.key("k"), ask(long), driver.Hit)
		if r := c.Record; !c.Whole || !r.Tombstone || string(r.Data) != "mark" || r.Version == "" || r.TTL <= 0 || r.TTL > long+slack {
			p.errorf("Acquire = %+v; want the whole mark, with its Data", c)
		}
	}},
	{"MarkReplacesTheRecord", "If a Mark is committed, the key holds no record afterwards, an old one goes too.", leaser, func(p *probe) {
		version, token := p.refresh(p.key("k"), "old", long)
		p.commitRecord(p.key("k"), token, mark(long), true)
		p.wantMiss(p.key("k"))
		if c := p.acquire(p.key("k"), askSeen(long, version), driver.Hit); !c.Record.Tombstone {
			p.errorf("Acquire = %+v; want the mark", c)
		}
	}},
	{"MarkEnds", "A mark lives for its TTL; then the lease is free.", leaser, func(p *probe) {
		p.commitRecord(p.key("k"), p.win(p.key("k"), ask(long)), mark(short), true)
		pass(past)
		p.win(p.key("k"), ask(long))
	}},
	{"SecondCommitOfAMark", "A second Commit stores nothing; it is true while what the first stored is there.", leaser, func(p *probe) {
		token := p.win(p.key("k"), ask(long))
		p.commitRecord(p.key("k"), token, mark(long), true)
		p.commitRecord(p.key("k"), token, mark(long), true)
		p.add(p.key("k"), "data", true)
		p.commitRecord(p.key("k"), token, mark(long), false)
		p.wantData(p.key("k"), "data")
	}},
	{"MarkOfAVoidLease", "Nothing can be stored under a void lease, a mark neither.", leaser, func(p *probe) {
		_, token := p.refresh(p.key("k"), "old", long)
		p.set(p.key("k"), "set", long)
		p.commitRecord(p.key("k"), token, mark(long), false)
		p.wantData(p.key("k"), "set")
	}},
	{"MarkIsGoneAfterDelete", "Delete removes a mark, and does not count it.", leaser, func(p *probe) {
		p.commitRecord(p.key("k"), p.win(p.key("k"), ask(long)), mark(long), true)
		p.delete(0, p.key("k"))
		p.win(p.key("k"), ask(long))
	}},
	{"MarkIsGoneAfterClear", "Clear removes a mark, and does not count it.", leaser, func(p *probe) {
		p.commitRecord(p.key("k"), p.win(p.key("k"), ask(long)), mark(long), true)
		p.clear(0, p.prefix)
		p.win(p.key("k"), ask(long))
	}},
	{"ForceTakesAMark", "Force takes the lease whatever the key holds.", leaser, func(p *probe) {
		p.commitRecord(p.key("k"), p.win(p.key("k"), ask(long)), mark(long), true)
		token := p.win(p.key("k"), askForce(long))
		p.commit(p.key("k"), token, "data", true)
		if r := p.wantData(p.key("k"), "data"); r.Tombstone {
			p.errorf("the record is a mark")
		}
	}},
}
