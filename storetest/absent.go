package storetest

import (
	"fmt"
	"time"

	"github.com/zodiac-go/zodiac/driver"
)

// An absence is a state of a key that is absent, although the store may hold something under it.
type absence struct {
	name  string
	needs ability

	// make brings key into this state. It returns the token of the lease on key, or "" if there is
	// none to check.
	make func(p *probe, key string) (token string)
}

var absences = []absence{
	{"Nothing", 0, func(*probe, string) string { return "" }},
	{"ExpiredRecord", 0, func(p *probe, key string) string {
		p.set(key, "old", short)
		pass(past)
		return ""
	}},
	{"Placeholder", leaser, func(p *probe, key string) string { return p.win(key, ask(long)) }},
	{"RevokedPlaceholder", leaser, func(p *probe, key string) string {
		token := p.win(key, ask(long))
		p.clear(0, key)
		return token
	}},
	{"ExpiredPlaceholder", leaser, func(p *probe, key string) string {
		p.win(key, ask(short))
		pass(past)
		return "" // a Commit this late may succeed, see CommitAfterTheDeadline
	}},
	{"LeaseOverExpiredRecord", leaser, func(p *probe, key string) string {
		token := p.win(key, askSeen(long, p.set(key, "old", short)))
		pass(past)
		return token
	}},
	{"ExpiredLeaseOverExpiredRecord", leaser, func(p *probe, key string) string {
		p.win(key, askSeen(short, p.set(key, "old", short)))
		pass(past)
		return ""
	}},
	{"Tombstone", leaser, func(p *probe, key string) string {
		token := p.win(key, ask(long))
		p.commitRecord(key, token, tombstone(long), true)
		return ""
	}},
	{"ExpiredTombstone", leaser, func(p *probe, key string) string {
		p.commitRecord(key, p.win(key, ask(long)), tombstone(short), true)
		pass(past)
		return ""
	}},
	{"TombstoneUnderLease", leaser, func(p *probe, key string) string {
		p.commitRecord(key, p.win(key, ask(long)), tombstone(long), true)
		return p.win(key, askForce(long))
	}},
}

// A use is an operation on an absent key. token is that of a lease on the key, or "". A use that
// revokes the lease checks that nothing can be stored under token afterwards.
type use struct {
	name  string
	needs ability
	says  string
	check func(p *probe, key, token string)
}

var uses = []use{
	{
		name:  "Get",
		says:  "Get returns ErrMiss.",
		check: func(p *probe, key, _ string) { p.wantMiss(key) },
	},
	{
		name:  "GetData",
		needs: dataReader,
		says: "Get returns ErrMiss. GetData is Get, but TTL may be 0, which means that the " +
			"time left is not known.",
		check: func(p *probe, key, _ string) {
			r, err := p.reader().GetData(p.ctx, key)
			p.wantErrMiss("GetData", r, err)
			records, errs := p.reader().GetManyData(p.ctx, []string{key})
			p.wantErrMiss("GetManyData", records[0], errs[0])
		},
	},
	{
		name:  "GetMany",
		needs: batcher,
		says:  "Get returns ErrMiss. GetMany is Get for each of keys, which may repeat.",
		check: func(p *probe, key, _ string) {
			records, errs := p.batcher().GetMany(p.ctx, []string{key})
			p.wantErrMiss("GetMany", records[0], errs[0])
		},
	},
	{
		name: "Set",
		says: "Set and Add store, and revoke a lease on the key.",
		check: func(p *probe, key, token string) {
			p.set(key, "data", long)
			p.wantRevoked(key, token)
			p.wantData(key, "data")
		},
	},
	{
		name:  "SetMany",
		needs: batcher,
		says: "Set and Add store, and revoke a lease on the key. SetMany is Set for each of " +
			"records.",
		check: func(p *probe, key, token string) {
			p.ok("SetMany", p.batcher().SetMany(p.ctx, map[string]driver.Record{key: record("data", long)}))
			p.wantRevoked(key, token)
			p.wantData(key, "data")
		},
	},
	{
		name: "Add",
		says: "Set and Add store, and revoke a lease on the key.",
		check: func(p *probe, key, token string) {
			p.add(key, "data", true)
			p.wantData(key, "data")
			p.wantRevoked(key, token)
			p.wantData(key, "data")
		},
	},
	{
		name: "Expire",
		says: "Expire returns false and changes nothing. It neither revives a record nor " +
			"touches a lease.",
		check: func(p *probe, key, token string) {
			p.expire(key, long, false)
			p.expire(key, driver.Forever, false)
			p.wantMiss(key)
		},
	},
	{
		name: "Delete",
		says: "Delete and Clear revoke a lease on the key, remove a tombstone, and do not " +
			"count the key.",
		check: func(p *probe, key, token string) {
			p.delete(0, key)
			p.wantMiss(key)
			p.wantRevoked(key, token)
			p.wantMiss(key)
		},
	},
	{
		name: "Clear",
		says: "Delete and Clear revoke a lease on the key, remove a tombstone, and do not " +
			"count the key.",
		check: func(p *probe, key, token string) {
			p.clear(0, key)
			p.wantMiss(key)
			p.wantRevoked(key, token)
			p.wantMiss(key)
		},
	},
}

// wantRevoked checks that the lease with this token, if there is one, was revoked.
func (p *probe) wantRevoked(key, token string) {
	p.t.Helper()
	if token != "" {
		p.commit(key, token, "stored after all", false)
	}
}

// absentRules are all uses of keys in all absences.
func absentRules() (all []rule) {
	for _, a := range absences {
		for _, u := range uses {
			all = append(all, rule{
				name:  fmt.Sprintf("Absent/%s/%s", a.name, u.name),
				needs: a.needs | u.needs,
				says:  saysAbsent + u.says,
				check: func(p *probe) {
					key := p.key("k")
					token := a.make(p, key)
					u.check(p, key, token)
				},
			})
		}
	}
	return all
}

// saysAbsent comes before what a use says.
const saysAbsent = "A key is present while it has a record that has not expired. Any other key is " +
	"absent, even if it holds a lease, an expired record, or a tombstone. "

// tombstone returns a tombstone to commit.
func tombstone(ttl time.Duration) driver.Record {
	return driver.Record{Data: []byte("tombstone"), TTL: ttl, Tombstone: true}
}
