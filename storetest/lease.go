package storetest

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/zodiac-go/zodiac/driver"
)

// leaseRules are about who gets a lease.
var leaseRules = []rule{
	{"LeaseIsOnesOwn", "While a lease is live, others are told that it is, whose, and for how long.", leaser, func(p *probe) {
		p.win(p.key("k"), ask(long))
		c := p.acquire(p.key("k"), ask(long), driver.Busy)
		if c.Left <= long/2 || c.Left > long+slack || c.Holder == "" {
			p.errorf("Left %v, Holder %q; want about %v, and somebody", c.Left, c.Holder, long)
		}
		p.win(p.key("other"), ask(long))
	}},
	{"OneOfManyWins", "A Store is safe for concurrent use: of many who ask for a lease one gets it.", leaser, oneOfManyWins},
	{"HolderTellsLeasesApart", "Holder tells one lease from another.", leaser, func(p *probe) {
		token := p.win(p.key("k"), ask(long))
		first := p.acquire(p.key("k"), ask(long), driver.Busy).Holder
		if again := p.acquire(p.key("k"), ask(long), driver.Busy).Holder; again != first {
			p.errorf("Holder %q, and asked again %q; want the same", first, again)
		}
		p.abort(p.key("k"), token, true)
		p.win(p.key("k"), ask(long))
		if second := p.acquire(p.key("k"), ask(long), driver.Busy).Holder; second == first {
			p.errorf("Holder of another lease is %q too", second)
		}
	}},
	{"LeaseEnds", "A lease is live until its time is over.", leaser, func(p *probe) {
		p.win(p.key("k"), ask(short))
		pass(past)
		p.win(p.key("k"), ask(long))
	}},
	{"LeftIsWhatIsLeft", "The time left of a lease never grows but by Renew: not by others asking.", leaser, func(p *probe) {
		p.win(p.key("k"), ask(short))
		for range 10 {
			_, err := p.leaser().Acquire(p.ctx, p.key("k"), driver.Ask{Token: "of-somebody-else-who-asks", Lease: time.Millisecond})
			p.ok("Acquire", err)
			pass(past / 10)
		}
		p.win(p.key("k"), ask(long))
	}},
	{"RepeatedAskGetsTheSameGrant", "An ask repeated while its grant is live returns it, and does not lengthen it.", leaser, func(p *probe) {
		a := ask(long)
		token := p.win(p.key("k"), a)
		asked := time.Now()
		pass(short)
		if again := p.win(p.key("k"), a); again != token {
			p.errorf("granted %q, and asked again %q; want the same", token, again)
		}
		gone := time.Since(asked)
		if left := p.acquire(p.key("k"), ask(long), driver.Busy).Left; left > long-gone+slack {
			p.errorf("%v left; want at most %v", left, long-gone)
		}
		p.commit(p.key("k"), token, "data", true)
	}},
	{"RepeatedAskOfARefresh", "An ask repeated while its grant is live returns it.", leaser, func(p *probe) {
		a := askSeen(long, p.set(p.key("k"), "old", long))
		token := p.win(p.key("k"), a)
		if again := p.win(p.key("k"), a); again != token {
			p.errorf("granted %q, and asked again %q; want the same", token, again)
		}
	}},
	{"RepeatedForceGetsTheSameGrant", "An ask repeated while its grant is live returns it: Force does not supersede itself.", leaser, func(p *probe) {
		a := askForce(long)
		token := p.win(p.key("k"), a)
		if again := p.win(p.key("k"), a); again != token {
			p.errorf("granted %q, and asked again %q; want the same", token, again)
		}
	}},
	{"LateCopyAfterAbort", "A copy of an ask that arrives late never brings a token back to life.", leaser, func(p *probe) {
		a := ask(long)
		token := p.win(p.key("k"), a)
		p.abort(p.key("k"), token, true)
		p.wantAnother(a, token)
	}},
	{"LateCopyAfterTheEnd", "A copy of an ask that arrives late never brings a token back to life.", leaser, func(p *probe) {
		a := ask(short)
		token := p.win(p.key("k"), a)
		pass(past)
		a.Lease = long
		p.wantAnother(a, token)
	}},
	{"LateCopyAfterTheEndOfARefresh", "An ask repeated after its grant's time is over is a new one.", leaser, func(p *probe) {
		a := askSeen(short, p.set(p.key("k"), "old", long))
		token := p.win(p.key("k"), a)
		pass(past)
		a.Lease = long
		again := p.win(p.key("k"), a)
		if again == token {
			p.errorf("the token granted is %q again", token)
		}
		p.commit(p.key("k"), token, "stale", false)
		p.commit(p.key("k"), again, "new", true)
	}},
	{"LateCopyAfterDelete", "A copy of an ask that arrives late never brings a token back to life.", leaser, func(p *probe) {
		a := ask(long)
		token := p.win(p.key("k"), a)
		p.delete(0, p.key("k"))
		p.wantAnother(a, token)
	}},
	{"LateCopyAfterCommit", "A copy of an ask that arrives late finds what was stored meanwhile.", leaser, func(p *probe) {
		a := ask(long)
		p.commit(p.key("k"), p.win(p.key("k"), a), "data", true)
		p.acquire(p.key("k"), a, driver.Hit)
	}},
	{"LateCopyDoesNotDisturb", "A copy of an ask that arrives late does not take the lease from whoever has it now.", leaser, func(p *probe) {
		a := ask(long)
		p.abort(p.key("k"), p.win(p.key("k"), a), true)
		token := p.win(p.key("k"), ask(long))
		p.acquire(p.key("k"), a, driver.Busy)
		p.commit(p.key("k"), token, "data", true)
	}},
	{"RepeatedAskOfAVoidGrant", "An ask repeated when its grant is void is like a new one.", leaser, func(p *probe) {
		a := ask(long)
		token := p.win(p.key("k"), a)
		p.clear(0, p.key("k"))
		p.acquire(p.key("k"), a, driver.Busy)
		p.wantLost(p.key("k"), token)
	}},
	{"HitCarriesTheRecord", "Asked for a key that has a record, the answer is Hit, with the record if Whole.", leaser, func(p *probe) {
		version := p.set(p.key("k"), "data", long)
		p.wantHit(p.key("k"), ask(long), version)
		p.wantHit(p.key("k"), askSeen(long, "another"), version)
	}},
	{"HitDataIsTheCallers", "Data that a Store returns belongs to the caller.", leaser, func(p *probe) {
		p.set(p.key("k"), "data", long)
		copy(p.acquire(p.key("k"), ask(long), driver.Hit).Record.Data, "????")
		p.wantData(p.key("k"), "data")
	}},
	{"HitUnderALease", "A record that the asker has not seen is a Hit, whoever may be producing the next.", leaser, func(p *probe) {
		version, token := p.refresh(p.key("k"), "old", long)
		p.wantHit(p.key("k"), ask(long), version)
		p.commit(p.key("k"), token, "new", true)
		p.acquire(p.key("k"), askSeen(long, version), driver.Hit)
	}},
	{"SeenRecordMayBeProducedAnew", "Seen asks for the lease on a record, which stays readable; one gets it.", leaser, func(p *probe) {
		version, token := p.refresh(p.key("k"), "old", long)
		p.acquire(p.key("k"), askSeen(long, version), driver.Busy)
		if r := p.wantData(p.key("k"), "old"); r.Version != version {
			p.errorf("Version %q; want %q as before", r.Version, version)
		}
		p.commit(p.key("k"), token, "new", true)
		p.wantData(p.key("k"), "new")
	}},
	{"SeenRecordThatHasGone", "If what was seen has gone, and nothing is there, the lease is granted.", leaser, func(p *probe) {
		version := p.set(p.key("k"), "old", long)
		p.delete(1, p.key("k"))
		p.win(p.key("k"), askSeen(long, version))
	}},
	{"LeaseOutlivesItsRecord", "A lease may outlive the record, which ends at its own time.", leaser, func(p *probe) {
		version := p.set(p.key("k"), "old", short)
		token := p.win(p.key("k"), askSeen(long, version))
		if r, err := p.store.Get(p.ctx, p.key("k")); err == nil && r.TTL > short+slack {
			p.errorf("TTL %v under a lease; want at most %v", r.TTL, short)
		}
		pass(past)
		p.wantMiss(p.key("k"))
		p.acquire(p.key("k"), ask(long), driver.Busy)
		p.acquire(p.key("k"), askSeen(long, version), driver.Busy)
		p.commit(p.key("k"), token, "new", true)
		p.wantData(p.key("k"), "new")
	}},
	{"RecordOutlivesItsLease", "A lease that ends leaves the record as it was.", leaser, func(p *probe) {
		version, _ := p.refresh(p.key("k"), "old", short)
		forever := p.set(p.key("forever"), "old", driver.Forever)
		p.win(p.key("forever"), askSeen(short, forever))
		pass(past)
		if r := p.wantData(p.key("k"), "old"); r.Version != version || r.TTL > long+slack || r.TTL < long/2 {
			p.errorf("Version %q, TTL %v; want %q and about %v", r.Version, r.TTL, version, long)
		}
		if r := p.wantData(p.key("forever"), "old"); r.Version != forever || r.TTL != driver.Forever {
			p.errorf("Version %q, TTL %v; want %q and Forever", r.Version, r.TTL, forever)
		}
		p.win(p.key("k"), askSeen(long, version))
	}},
	{"ForceTakesALease", "Force takes the lease from whoever has it.", leaser, func(p *probe) {
		first := p.win(p.key("k"), ask(long))
		second := p.win(p.key("k"), askForce(long))
		p.renew(p.key("k"), first, long, false)
		p.commit(p.key("k"), first, "first", false)
		p.abort(p.key("k"), first, false)
		p.acquire(p.key("k"), ask(long), driver.Busy)
		p.commit(p.key("k"), second, "second", true)
		p.wantData(p.key("k"), "second")
	}},
	{"ForceTakesARefreshLease", "Force takes the lease from whoever has it, and leaves the record readable.", leaser, func(p *probe) {
		_, first := p.refresh(p.key("k"), "old", long)
		second := p.win(p.key("k"), askForce(long))
		p.commit(p.key("k"), first, "first", false)
		p.wantData(p.key("k"), "old")
		p.commit(p.key("k"), second, "second", true)
		p.wantData(p.key("k"), "second")
	}},
	{"ForceLeavesTheRecord", "Force takes the lease whatever the key holds, and leaves the record as it is.", leaser, func(p *probe) {
		version := p.set(p.key("k"), "old", long)
		token := p.win(p.key("k"), askForce(2*long))
		if r := p.wantData(p.key("k"), "old"); r.Version != version || r.TTL > long+slack {
			p.errorf("Version %q, TTL %v; want %q and at most %v", r.Version, r.TTL, version, long)
		}
		p.commit(p.key("k"), token, "new", true)
		p.wantData(p.key("k"), "new")
	}},
	{"ForceTakesAVoidLease", "Force takes the lease from whoever has it, void too.", leaser, func(p *probe) {
		first := p.win(p.key("k"), ask(long))
		p.clear(0, p.key("k"))
		second := p.win(p.key("k"), askForce(long))
		p.commit(p.key("k"), first, "first", false)
		p.commit(p.key("k"), second, "second", true)
	}},
}

func oneOfManyWins(p *probe) {
	var wg sync.WaitGroup
	var won atomic.Int32
	for range 8 {
		wg.Go(func() {
			if c, err := p.leaser().Acquire(p.ctx, p.key("k"), ask(long)); err != nil {
				p.errorf("Acquire: %v", err)
			} else if c.State == driver.Won {
				won.Add(1)
			}
		})
	}
	wg.Wait()
	if n := won.Load(); n != 1 {
		p.errorf("%d of 8 got the lease; want 1", n)
	}
}

// wantAnother sends a again, whose grant is over, and checks that what it may get is not the old token, which stays
// lost.
func (p *probe) wantAnother(a driver.Ask, token string) {
	p.t.Helper()
	if again := p.win(p.key("k"), a); again == token {
		p.errorf("the token granted is %q again", token)
	}
	p.renew(p.key("k"), token, long, false)
	p.wantLost(p.key("k"), token)
}

// wantHit checks that a is answered with the record that Get returns.
func (p *probe) wantHit(key string, a driver.Ask, version string) {
	p.t.Helper()
	c := p.acquire(key, a, driver.Hit)
	if c.Record.Version != version || c.Record.Tombstone {
		p.errorf("Version %q, Mark %v; want %q and no mark", c.Record.Version, c.Record.Tombstone, version)
	}
	want, err := p.store.Get(p.ctx, key)
	p.ok("Get", err)
	if c.Whole && (string(c.Record.Data) != string(want.Data) || c.Record.TTL < want.TTL-slack || c.Record.TTL > long+slack) {
		p.errorf("a whole record with Data %q and TTL %v; want %q and %v", c.Record.Data, c.Record.TTL, want.Data, want.TTL)
	}
}
