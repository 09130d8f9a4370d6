package storetest

import (
	"math"
	"time"

	"github.com/zodiac-go/zodiac/driver"
)

// lifeRules are about how long a record lives.
var lifeRules = []rule{
	{
		name: "RecordExpires",
		says: "A key is present while it has a record that has not expired.",
		check: func(p *probe) {
			p.set(p.key("set"), "data", short)
			_, err := p.store.Add(p.ctx, p.key("add"), record("data", short))
			p.ok("Add", err)
			pass(past)
			p.wantMiss(p.key("set"))
			p.wantMiss(p.key("add"))
		},
	},
	{
		name: "TTLIsTheTimeLeft",
		says: "In a record that is returned, TTL is the time left, and never more than that.",
		check: func(p *probe) {
			p.set(p.key("k"), "data", long)
			set := time.Now()
			pass(short)
			gone := time.Since(set)
			if left := p.wantData(p.key("k"), "data").TTL; left > long-gone+slack || left < long/2 {
				p.errorf("TTL %v; want at most %v, and not much less", left, long-gone)
			}
		},
	},
	{
		name: "TTLNeverGrows",
		says: "Reading a record does not lengthen its life.",
		check: func(p *probe) {
			p.set(p.key("k"), "data", long)
			last := long
			for range 5 {
				left := p.wantData(p.key("k"), "data").TTL
				if left > last {
					p.errorf("TTL %v after TTL %v; want it not to grow", left, last)
				}
				last = left
				pass(10 * time.Millisecond)
			}
		},
	},
	{
		name: "ReadingDoesNotLengthenALife",
		says: "Reading a record does not lengthen its life.",
		check: func(p *probe) {
			p.set(p.key("k"), "data", short)
			for range 10 {
				_, _ = p.store.Get(p.ctx, p.key("k"))
				pass(past / 10)
			}
			p.wantMiss(p.key("k"))
		},
	},
	{
		name: "ForeverDoesNotExpire",
		says: "A record with a TTL of Forever does not expire.",
		check: func(p *probe) {
			p.set(p.key("k"), "data", driver.Forever)
			pass(short)
			if left := p.wantData(p.key("k"), "data").TTL; left != driver.Forever {
				p.errorf("TTL %v; want Forever", left)
			}
		},
	},
	{
		name: "SetReplacesTheTTL",
		says: "Set stores r whatever the key holds, and revokes a lease on key. TTL is the " +
			"time to live of a record that is given to a store, counted from when it is " +
			"stored.",
		check: func(p *probe) {
			p.set(p.key("short"), "old", driver.Forever)
			p.set(p.key("short"), "new", short)
			p.set(p.key("forever"), "old", short)
			p.set(p.key("forever"), "new", driver.Forever)
			pass(past)
			p.wantMiss(p.key("short"))
			p.wantData(p.key("forever"), "new")
		},
	},
	{
		name: "LongTTLsDoNotOverflow",
		says: "A time to live is anything from a millisecond to Forever.",
		check: func(p *probe) {
			pass(short) // so that a clock that begins at 0 is past 0
			for _, ttl := range []time.Duration{100 * 365 * 24 * time.Hour, driver.Forever - 1, driver.Forever} {
				p.set(p.key("k"), "data", ttl)
				if left := p.wantData(p.key("k"), "data").TTL; left-slack > ttl || left < ttl/2 {
					p.errorf("TTL %v; want about %v", left, ttl)
				}
			}
		},
	},
	{
		name: "ShortestTTLIsAMillisecond",
		says: "A time to live is anything from a millisecond to Forever.",
		check: func(p *probe) {
			p.ok("Set", p.store.Set(p.ctx, p.key("set"), record("data", time.Millisecond)))
			p.set(p.key("expire"), "data", long)
			p.expire(p.key("expire"), 1_900*time.Microsecond, true)
			pass(past)
			p.wantMiss(p.key("set"))
			p.wantMiss(p.key("expire"))
		},
	},
	{
		name: "ShorterTTLIsAnError",
		says: "A shorter or negative time to live is an error and changes nothing.",
		check: func(p *probe) {
			version := p.set(p.key("k"), "old", long)
			for _, ttl := range invalidTTLs {
				p.wantError("Set", p.store.Set(p.ctx, p.key("k"), record("new", ttl)))
				p.wantError("Set", p.store.Set(p.ctx, p.key("none"), record("new", ttl)))
				_, err := p.store.Add(p.ctx, p.key("none"), record("new", ttl))
				p.wantError("Add", err)
				_, err = p.store.Expire(p.ctx, p.key("k"), ttl)
				p.wantError("Expire", err)
			}
			p.wantMiss(p.key("none"))
			if r := p.wantData(p.key("k"), "old"); r.Version != version || r.TTL < long/2 {
				p.errorf("Version %q, TTL %v; want %q and about %v", r.Version, r.TTL, version, long)
			}
		},
	},
	{
		name: "ExpireShortens",
		says: "Expire gives the record of key a new time to live, longer or shorter, and " +
			"returns true. Expire does not touch a lease, and does not change the record's " +
			"Version.",
		check: func(p *probe) {
			version := p.set(p.key("k"), "data", long)
			p.expire(p.key("k"), long/2, true)
			if r := p.wantData(p.key("k"), "data"); r.TTL > long/2+slack || r.TTL < long/4 || r.Version != version {
				p.errorf("Version %q, TTL %v; want %q and about %v", r.Version, r.TTL, version, long/2)
			}
			p.expire(p.key("k"), short, true)
			pass(past)
			p.wantMiss(p.key("k"))
		},
	},
	{
		name: "ExpireLengthens",
		says: "Expire gives the record of key a new time to live, longer or shorter, and " +
			"returns true. Expire does not touch a lease, and does not change the record's " +
			"Version.",
		check: func(p *probe) {
			version := p.set(p.key("k"), "data", 5*short)
			p.expire(p.key("k"), long, true)
			pass(6 * short)
			if r := p.wantData(p.key("k"), "data"); r.TTL > long+slack || r.TTL < long/2 || r.Version != version {
				p.errorf("Version %q, TTL %v; want %q and about %v", r.Version, r.TTL, version, long)
			}
		},
	},
	{
		name: "ExpireToAndFromForever",
		says: "Expire gives the record of key a new time to live, longer or shorter, and " +
			"returns true. A record with a TTL of Forever does not expire.",
		check: func(p *probe) {
			p.set(p.key("k"), "data", 5*short)
			p.expire(p.key("k"), driver.Forever, true)
			pass(6 * short)
			if left := p.wantData(p.key("k"), "data").TTL; left != driver.Forever {
				p.errorf("TTL %v; want Forever", left)
			}
			p.expire(p.key("k"), short, true)
			pass(past)
			p.wantMiss(p.key("k"))
		},
	},
}

// invalidTTLs are durations that no store takes as a time to live.
var invalidTTLs = []time.Duration{
	0, 1, time.Millisecond - 1, -1, -2, -time.Millisecond, -time.Minute, math.MinInt64,
}
