package storetest

import (
	"math"
	"time"

	"github.com/zodiac-go/zodiac/driver"
)

// lifeRules are about how long records live.
var lifeRules = []rule{
	{"RecordEnds", "A record past its time is absent.", 0, func(p *probe) {
		p.set(p.key("set"), "data", short)
		_, err := p.store.Add(p.ctx, p.key("add"), record("data", short))
		p.ok("Add", err)
		pass(past)
		p.wantMiss(p.key("set"))
		p.wantMiss(p.key("add"))
	}},
	{"TTLIsWhatIsLeft", "A record's TTL is what is left, never more than there really is.", 0, func(p *probe) {
		p.set(p.key("k"), "data", long)
		set := time.Now()
		pass(short)
		gone := time.Since(set)
		if left := p.wantData(p.key("k"), "data").TTL; left > long-gone+slack || left < long/2 {
			p.errorf("TTL %v; want it at most %v, and not much less", left, long-gone)
		}
	}},
	{"TTLNeverGrows", "The time left never grows by reading.", 0, func(p *probe) {
		p.set(p.key("k"), "data", long)
		last := long
		for range 5 {
			left := p.wantData(p.key("k"), "data").TTL
			if left > last {
				p.errorf("TTL %v after %v", left, last)
			}
			last = left
			pass(10 * time.Millisecond)
		}
	}},
	{"ReadingDoesNotLengthen", "The time left never grows by reading.", 0, func(p *probe) {
		p.set(p.key("k"), "data", short)
		for range 10 {
			_, _ = p.store.Get(p.ctx, p.key("k"))
			pass(past / 10)
		}
		p.wantMiss(p.key("k"))
	}},
	{"ForeverHasNoEnd", "A record with a TTL of Forever lives on, and is returned with it.", 0, func(p *probe) {
		p.set(p.key("k"), "data", driver.Forever)
		pass(short)
		if left := p.wantData(p.key("k"), "data").TTL; left != driver.Forever {
			p.errorf("TTL %v; want Forever", left)
		}
	}},
	{"SetEndsForever", "Set gives the record a lifetime of its own, whatever the old one had.", 0, func(p *probe) {
		p.set(p.key("short"), "old", driver.Forever)
		p.set(p.key("short"), "new", short)
		p.set(p.key("forever"), "old", short)
		p.set(p.key("forever"), "new", driver.Forever)
		pass(past)
		p.wantMiss(p.key("short"))
		p.wantData(p.key("forever"), "new")
	}},
	{"CenturiesAreNoOverflow", "A time to live may be anything from a millisecond to Forever.", 0, func(p *probe) {
		pass(short) // a store whose time begins at 0 is to be past that
		for _, ttl := range []time.Duration{100 * 365 * 24 * time.Hour, driver.Forever - 1, driver.Forever} {
			p.set(p.key("k"), "data", ttl)
			if left := p.wantData(p.key("k"), "data").TTL; left-slack > ttl || left < ttl/2 {
				p.errorf("TTL %v; want about %v", left, ttl)
			}
		}
	}},
	{"MillisecondIsALifetime", "A time to live is at least a millisecond.", 0, func(p *probe) {
		p.ok("Set", p.store.Set(p.ctx, p.key("set"), record("data", time.Millisecond)))
		p.set(p.key("expire"), "data", long)
		p.expire(p.key("expire"), 1_900*time.Microsecond, true)
		pass(past)
		p.wantMiss(p.key("set"))
		p.wantMiss(p.key("expire"))
	}},
	{"ShorterTTLIsAnError", "A time to live under a millisecond is an error, and changes nothing.", 0, func(p *probe) {
		version := p.set(p.key("k"), "old", long)
		for _, ttl := range notTTLs {
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
	}},
	{"ExpireShortens", "Expire gives a record a new time to live, and touches nothing else.", 0, func(p *probe) {
		version := p.set(p.key("k"), "data", long)
		p.expire(p.key("k"), long/2, true)
		if r := p.wantData(p.key("k"), "data"); r.TTL > long/2+slack || r.TTL < long/4 || r.Version != version {
			p.errorf("Version %q, TTL %v; want %q and about %v", r.Version, r.TTL, version, long/2)
		}
		p.expire(p.key("k"), short, true)
		pass(past)
		p.wantMiss(p.key("k"))
	}},
	{"ExpireLengthens", "Expire gives a record a new time to live, longer too.", 0, func(p *probe) {
		version := p.set(p.key("k"), "data", 5*short)
		p.expire(p.key("k"), long, true)
		pass(6 * short)
		if r := p.wantData(p.key("k"), "data"); r.TTL > long+slack || r.TTL < long/2 || r.Version != version {
			p.errorf("Version %q, TTL %v; want %q and about %v", r.Version, r.TTL, version, long)
		}
	}},
	{"ExpireToAndFromForever", "Expire gives a record a new time to live, which may be Forever.", 0, func(p *probe) {
		p.set(p.key("k"), "data", 5*short)
		p.expire(p.key("k"), driver.Forever, true)
		pass(6 * short)
		if left := p.wantData(p.key("k"), "data").TTL; left != driver.Forever {
			p.errorf("TTL %v; want Forever", left)
		}
		p.expire(p.key("k"), short, true)
		pass(past)
		p.wantMiss(p.key("k"))
	}},
}

// notTTLs are no times to live.
var notTTLs = []time.Duration{0, 1, time.Millisecond - 1, -1, -2, -time.Millisecond, -time.Minute, math.MinInt64}
