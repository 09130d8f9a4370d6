package storetest

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/zodiac-go/zodiac/driver"
)

// leaseRules are about the answer of Acquire, and about how lease and record live side by side. An
// Ask that is repeated has rules of its own in repeatRules.
var leaseRules = []rule{
	{
		name:  "LeaseHasOneHolder",
		needs: leaser,
		says: "Busy, if the lease is live. Holder, if Busy, tells one lease from another. It " +
			"is never empty. Left, if Busy, is the time left of that lease.",
		check: func(p *probe) {
			p.win(p.key("k"), ask(long))
			c := p.acquire(p.key("k"), ask(long), driver.Busy)
			if c.Left <= long/2 || c.Left > long+slack || c.Holder == "" {
				p.errorf("Left %v, Holder %q; want about %v, and a Holder", c.Left, c.Holder, long)
			}
			p.win(p.key("other"), ask(long))
		},
	},
	{
		name:  "OneOfManyAsksWins",
		needs: leaser,
		says:  "A Store is safe for concurrent use. Busy, if the lease is live.",
		check: oneOfManyAsksWins,
	},
	{
		name:  "HolderTellsLeasesApart",
		needs: leaser,
		says:  "Holder, if Busy, tells one lease from another.",
		check: func(p *probe) {
			token := p.win(p.key("k"), ask(long))
			first := p.acquire(p.key("k"), ask(long), driver.Busy).Holder
			if again := p.acquire(p.key("k"), ask(long), driver.Busy).Holder; again != first {
				p.errorf("Holder %q, then %q for the same lease; want the same", first, again)
			}
			p.abort(p.key("k"), token, true)
			p.win(p.key("k"), ask(long))
			if second := p.acquire(p.key("k"), ask(long), driver.Busy).Holder; second == first {
				p.errorf("Holder %q for both leases; want another for the second", second)
			}
		},
	},
	{
		name:  "LeaseEndsWithItsTime",
		needs: leaser,
		says: "A lease is live from its grant until Commit or Abort ends it, another Ask " +
			"takes it by Force, or its time is over.",
		check: func(p *probe) {
			p.win(p.key("k"), ask(short))
			pass(past)
			p.win(p.key("k"), ask(long))
		},
	},
	{
		name:  "AsksDoNotLengthenALease",
		needs: leaser,
		says:  "The time left of a lease grows by Renew only.",
		check: func(p *probe) {
			p.win(p.key("k"), ask(short))
			for range 10 {
				other := driver.Ask{Token: "the-token-of-another", Lease: time.Millisecond}
				_, err := p.leaser().Acquire(p.ctx, p.key("k"), other)
				p.ok("Acquire", err)
				pass(past / 10)
			}
			p.win(p.key("k"), ask(long))
		},
	},
	{
		name:  "HitCarriesTheRecord",
		needs: leaser,
		says: "Hit, if there is a record of another Version than ask.Seen, or a tombstone. " +
			"Record, if Hit, has its Version and Tombstone set, and if Whole also its Data " +
			"and TTL.",
		check: func(p *probe) {
			version := p.set(p.key("k"), "data", long)
			p.wantHit(p.key("k"), ask(long), version)
			p.wantHit(p.key("k"), askSeen(long, "another"), version)
		},
	},
	{
		name:  "HitDataBelongsToTheCaller",
		needs: leaser,
		says:  "Data that a Store returns belongs to the caller.",
		check: func(p *probe) {
			p.set(p.key("k"), "data", long)
			copy(p.acquire(p.key("k"), ask(long), driver.Hit).Record.Data, "????")
			p.wantData(p.key("k"), "data")
		},
	},
	{
		name:  "HitUnderALease",
		needs: leaser,
		says:  "Hit, if there is a record of another Version than ask.Seen, or a tombstone.",
		check: func(p *probe) {
			version, token := p.refresh(p.key("k"), "old", long)
			p.wantHit(p.key("k"), ask(long), version)
			p.commit(p.key("k"), token, "new", true)
			p.acquire(p.key("k"), askSeen(long, version), driver.Hit)
		},
	},
	{
		name:  "SeenRecordMayBeRefreshed",
		needs: leaser,
		says: "Won, with a Token that was never granted before. A record stays readable under " +
			"a lease.",
		check: func(p *probe) {
			version, token := p.refresh(p.key("k"), "old", long)
			p.acquire(p.key("k"), askSeen(long, version), driver.Busy)
			if r := p.wantData(p.key("k"), "old"); r.Version != version {
				p.errorf("Version %q; want %q as before", r.Version, version)
			}
			p.commit(p.key("k"), token, "new", true)
			p.wantData(p.key("k"), "new")
		},
	},
	{
		name:  "SeenRecordIsGone",
		needs: leaser,
		says:  "Won, with a Token that was never granted before.",
		check: func(p *probe) {
			version := p.set(p.key("k"), "old", long)
			p.delete(1, p.key("k"))
			p.win(p.key("k"), askSeen(long, version))
		},
	},
	{
		name:  "LeaseOutlivesItsRecord",
		needs: leaser,
		says: "Record and lease have their own times, and the end of one leaves the other as " +
			"it is.",
		check: func(p *probe) {
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
		},
	},
	{
		name:  "RecordOutlivesItsLease",
		needs: leaser,
		says: "Record and lease have their own times, and the end of one leaves the other as " +
			"it is.",
		check: func(p *probe) {
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
		},
	},
	{
		name:  "ForceTakesALease",
		needs: leaser,
		says: "Won, if ask.Force is set. The lease is taken from its holder, and a record " +
			"stays.",
		check: func(p *probe) {
			first := p.win(p.key("k"), ask(long))
			second := p.win(p.key("k"), askForce(long))
			p.renew(p.key("k"), first, long, false)
			p.commit(p.key("k"), first, "first", false)
			p.abort(p.key("k"), first, false)
			p.acquire(p.key("k"), ask(long), driver.Busy)
			p.commit(p.key("k"), second, "second", true)
			p.wantData(p.key("k"), "second")
		},
	},
	{
		name:  "ForceTakesARefreshLease",
		needs: leaser,
		says: "Won, if ask.Force is set. The lease is taken from its holder, and a record " +
			"stays. A record stays readable under a lease.",
		check: func(p *probe) {
			_, first := p.refresh(p.key("k"), "old", long)
			second := p.win(p.key("k"), askForce(long))
			p.commit(p.key("k"), first, "first", false)
			p.wantData(p.key("k"), "old")
			p.commit(p.key("k"), second, "second", true)
			p.wantData(p.key("k"), "second")
		},
	},
	{
		name:  "ForceLeavesTheRecord",
		needs: leaser,
		says: "Won, if ask.Force is set. The lease is taken from its holder, and a record " +
			"stays.",
		check: func(p *probe) {
			version := p.set(p.key("k"), "old", long)
			token := p.win(p.key("k"), askForce(2*long))
			if r := p.wantData(p.key("k"), "old"); r.Version != version || r.TTL > long+slack {
				p.errorf("Version %q, TTL %v; want %q and at most %v", r.Version, r.TTL, version, long)
			}
			p.commit(p.key("k"), token, "new", true)
			p.wantData(p.key("k"), "new")
		},
	},
	{
		name:  "ForceTakesARevokedLease",
		needs: leaser,
		says: "Won, if ask.Force is set. The lease is taken from its holder, and a record " +
			"stays.",
		check: func(p *probe) {
			first := p.win(p.key("k"), ask(long))
			p.clear(0, p.key("k"))
			second := p.win(p.key("k"), askForce(long))
			p.commit(p.key("k"), first, "first", false)
			p.commit(p.key("k"), second, "second", true)
		},
	},
}

func oneOfManyAsksWins(p *probe) {
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
		p.errorf("%d of 8 concurrent Asks won; want 1", n)
	}
}

// wantHit checks that the answer to a is Hit, with the record that Get returns.
func (p *probe) wantHit(key string, a driver.Ask, version string) {
	p.t.Helper()
	c := p.acquire(key, a, driver.Hit)
	if c.Record.Version != version || c.Record.Tombstone {
		p.errorf("Version %q, Tombstone %v; want %q and no tombstone", c.Record.Version, c.Record.Tombstone, version)
	}
	want, err := p.store.Get(p.ctx, key)
	p.ok("Get", err)
	got := c.Record
	if c.Whole && (string(got.Data) != string(want.Data) || got.TTL < want.TTL-slack || got.TTL > long+slack) {
		p.errorf("Whole record with Data %q, TTL %v; want %q, %v", got.Data, got.TTL, want.Data, want.TTL)
	}
}
