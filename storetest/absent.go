package storetest

import (
	"fmt"
	"time"

	"github.com/zodiac-go/zodiac/driver"
)

// An absence is a way for a key to be absent, though the store may hold something there.
type absence struct {
	name  string
	needs ability
	make  func(p *probe, key string) (token string) // of the lease there is or was, if any
}

var absences = []absence{
	{"Nothing", 0, func(*probe, string) string { return "" }},
	{"DeadRecord", 0, func(p *probe, key string) string {
		p.set(key, "dead", short)
		pass(past)
		return ""
	}},
	{"Placeholder", leaser, func(p *probe, key string) string { return p.win(key, ask(long)) }},
	{"VoidPlaceholder", leaser, func(p *probe, key string) string {
		token := p.win(key, ask(long))
		p.clear(0, key)
		return token
	}},
	{"DeadPlaceholder", leaser, func(p *probe, key string) string {
		p.win(key, ask(short))
		pass(past)
		return "" // a commit this late may succeed, see CommitAfterTheDeadline
	}},
	{"LeaseOverDeadRecord", leaser, func(p *probe, key string) string {
		token := p.win(key, askSeen(long, p.set(key, "dead", short)))
		pass(past)
		return token
	}},
	{"DeadLeaseOverDeadRecord", leaser, func(p *probe, key string) string {
		p.win(key, askSeen(short, p.set(key, "dead", short)))
		pass(past)
		return ""
	}},
	{"Mark", leaser, func(p *probe, key string) string {
		token := p.win(key, ask(long))
		p.commitRecord(key, token, mark(long), true)
		return ""
	}},
	{"DeadMark", leaser, func(p *probe, key string) string {
		p.commitRecord(key, p.win(key, ask(long)), mark(short), true)
		pass(past)
		return ""
	}},
	{"MarkUnderLease", leaser, func(p *probe, key string) string {
		p.commitRecord(key, p.win(key, ask(long)), mark(long), true)
		return p.win(key, askForce(long))
	}},
}

// A use is an operation on an absent key. What it does to a lease there is checked with the token, which is "" if there
// is none.
type use struct {
	name  string
	says  string
	needs ability
	check func(p *probe, key, token string)
}

var uses = []use{
	{"Get", "Get misses it.", 0, func(p *probe, key, _ string) { p.wantMiss(key) }},
	{"GetData", "GetData and GetManyData miss it.", dataReader, func(p *probe, key, _ string) {
		r, err := p.reader().GetData(p.ctx, key)
		p.wantErrMiss("GetData", r, err)
		records, errs := p.reader().GetManyData(p.ctx, []string{key})
		p.wantErrMiss("GetManyData", records[0], errs[0])
	}},
	{"GetMany", "GetMany misses it.", batcher, func(p *probe, key, _ string) {
		records, errs := p.batcher().GetMany(p.ctx, []string{key})
		p.wantErrMiss("GetMany", records[0], errs[0])
	}},
	{"Set", "Set stores, and makes a lease void.", 0, func(p *probe, key, token string) {
		p.set(key, "data", long)
		p.wantNothingCommitted(key, token)
		p.wantData(key, "data")
	}},
	{"SetMany", "SetMany stores, and makes leases void.", batcher, func(p *probe, key, token string) {
		p.ok("SetMany", p.batcher().SetMany(p.ctx, map[string]driver.Record{key: record("data", long)}))
		p.wantNothingCommitted(key, token)
		p.wantData(key, "data")
	}},
	{"Add", "Add stores, and makes the lease void.", 0, func(p *probe, key, token string) {
		p.add(key, "data", true)
		p.wantData(key, "data")
		p.wantNothingCommitted(key, token)
		p.wantData(key, "data")
	}},
	{"Expire", "Expire is false and changes nothing: neither is a record revived, nor a lease touched.", 0, func(p *probe, key, token string) {
		p.expire(key, long, false)
		p.expire(key, driver.Forever, false)
		p.wantMiss(key)
	}},
	{"Delete", "Delete makes the lease void and does not count it.", 0, func(p *probe, key, token string) {
		p.delete(0, key)
		p.wantMiss(key)
		p.wantNothingCommitted(key, token)
		p.wantMiss(key)
	}},
	{"Clear", "Clear makes the lease void and does not count it.", 0, func(p *probe, key, token string) {
		p.clear(0, key)
		p.wantMiss(key)
		p.wantNothingCommitted(key, token)
		p.wantMiss(key)
	}},
}

// wantNothingCommitted checks that a token, if there is one, was made void.
func (p *probe) wantNothingCommitted(key, token string) {
	p.t.Helper()
	if token != "" {
		p.commit(key, token, "stored after all", false)
	}
}

// absentRules are all uses in all absences.
func absentRules() (all []rule) {
	for _, a := range absences {
		for _, u := range uses {
			all = append(all, rule{
				name:  fmt.Sprintf("Absent/%s/%s", a.name, u.name),
				says:  "A key that holds only a lease, a record past its time, or a mark, is absent to every operation. " + u.says,
				needs: a.needs | u.needs,
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

// mark returns a record that is to be a mark.
func mark(ttl time.Duration) driver.Record {
	return driver.Record{Data: []byte("mark"), TTL: ttl, Tombstone: true}
}
