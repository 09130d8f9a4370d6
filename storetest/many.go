package storetest

import (
	"context"
	"errors"
	"time"

	"github.com/zodiac-go/zodiac/driver"
)

// manyRules are about Batcher and DataReader.
var manyRules = []rule{
	{
		name:  "GetManyIsManyGets",
		needs: batcher,
		says: "GetMany is Get for each of keys, which may repeat. Both results have the " +
			"length of keys, and the result for a key has the key's index. Data that a " +
			"Store returns belongs to the caller.",
		check: func(p *probe) {
			p.wantMany("GetMany", p.batcher().GetMany)
		},
	},
	{
		name:  "GetManyOfNoKeys",
		needs: batcher,
		says: "Both results have the length of keys, and the result for a key has the key's " +
			"index.",
		check: func(p *probe) {
			if records, errs := p.batcher().GetMany(p.ctx, nil); len(records) != 0 || len(errs) != 0 {
				p.errorf("GetMany of no keys = %v, %v; want no results", records, errs)
			}
		},
	},
	{
		name:  "GetManyReturnsTheTTLs",
		needs: batcher,
		says: "GetMany is Get for each of keys, which may repeat. In a record that is " +
			"returned, TTL is the time left, and never more than that.",
		check: func(p *probe) {
			p.set(p.key("long"), "data", long)
			p.set(p.key("forever"), "data", driver.Forever)
			records, errs := p.batcher().GetMany(p.ctx, []string{p.key("long"), p.key("forever")})
			left := records[0].TTL
			wrong := left > long+slack || left < long/2 || records[1].TTL != driver.Forever
			if errs[0] != nil || errs[1] != nil || wrong {
				p.errorf("GetMany = %v, %v; want TTLs of about %v, and Forever", records, errs, long)
			}
		},
	},
	{
		name:  "SetManyIsManySets",
		needs: batcher,
		says: "SetMany is Set for each of records. A Store neither keeps nor changes the Data " +
			"it is given.",
		check: func(p *probe) {
			first := p.set(p.key("a"), "old", long)
			data := []byte("b")
			p.ok("SetMany", p.batcher().SetMany(p.ctx, map[string]driver.Record{
				p.key("a"): record("a", long),
				p.key("b"): {Data: data, TTL: driver.Forever, Version: "mine", Tombstone: true},
				p.key("c"): {TTL: long},
			}))
			copy(data, "?")
			a, b, c := p.wantData(p.key("a"), "a"), p.wantData(p.key("b"), "b"), p.wantData(p.key("c"), "")
			if a.Version == first || b.Version == "mine" || a.Version == b.Version {
				p.errorf("Versions %q, %q; want different ones of the store's", a.Version, b.Version)
			}
			if b.TTL != driver.Forever || c.TTL > long+slack {
				p.errorf("TTLs %v, %v; want Forever and at most %v", b.TTL, c.TTL, long)
			}
			p.ok("SetMany", p.batcher().SetMany(p.ctx, nil))
		},
	},
	{
		name:  "SetManyStoresTheOthers",
		needs: batcher,
		says: "If some fail, the others are stored, and the error is a KeyErrors of exactly those " +
			"that failed.",
		check: func(p *probe) {
			p.set(p.key("bad"), "old", long)
			err := p.batcher().SetMany(p.ctx, map[string]driver.Record{
				p.key("a"): record("a", long), p.key("bad"): record("bad", -1), p.key("b"): record("b", long),
			})
			if failed, ok := errors.AsType[driver.KeyErrors](err); !ok || len(failed) != 1 || failed[p.key("bad")] == nil {
				p.errorf("SetMany = %v; want a KeyErrors of the record with a negative TTL alone", err)
			}
			p.wantData(p.key("a"), "a")
			p.wantData(p.key("b"), "b")
			p.wantData(p.key("bad"), "old")
		},
	},
	{
		name:  "SetManyRevokesRefreshLeases",
		needs: batcher | leaser,
		says: "SetMany is Set for each of records. Set stores r whatever the key holds, and " +
			"revokes a lease on key.",
		check: func(p *probe) {
			_, token := p.refresh(p.key("k"), "old", long)
			p.ok("SetMany", p.batcher().SetMany(p.ctx, map[string]driver.Record{p.key("k"): record("set", long)}))
			p.commit(p.key("k"), token, "stale", false)
			p.wantData(p.key("k"), "set")
		},
	},
	{
		name:  "EnsureManyAddsWhatIsAbsent",
		needs: batcher,
		says: "If the key is absent, EnsureMany is Add of that record. A Store neither keeps nor " +
			"changes the Data it is given. Data that a Store returns belongs to the caller.",
		check: func(p *probe) {
			version := p.set(p.key("there"), "old", long)
			data := []byte("new")
			keys := []string{p.key("absent"), p.key("there"), p.key("forever")}
			records, errs := p.batcher().EnsureMany(p.ctx, keys, []driver.Record{
				{Data: data, TTL: long}, record("other", long/2), record("forever", driver.Forever),
			})
			copy(data, "?")
			for i, want := range []string{"new", "old", "forever"} {
				if errs[i] != nil || string(records[i].Data) != want {
					p.fatalf("EnsureMany: result %d is %q, %v; want %q", i, records[i].Data, errs[i], want)
				}
				copy(records[i].Data, "?")
				if now := p.wantData(keys[i], want); now.Version != records[i].Version || now.TTL > records[i].TTL {
					p.errorf("EnsureMany: result %d is %+v; then Get = %+v", i, records[i], now)
				}
			}
			if records[1].Version != version || records[1].TTL > long+slack || records[2].TTL != driver.Forever {
				p.errorf("EnsureMany = %+v; want the second of Version %q and at most %v, and the third for ever", records, version, long)
			}
		},
	},
	{
		name:  "EnsureManyLengthensLivesOnly",
		needs: batcher,
		says: "If the key has a record that ends before the TTL of that one, it is Expire with " +
			"that TTL.",
		check: func(p *probe) {
			keys := []string{p.key("short"), p.key("long"), p.key("forever"), p.key("endless")}
			for i, ttl := range []time.Duration{long / 4, 2 * long, driver.Forever, long} {
				p.set(keys[i], "data", ttl)
			}
			ask := record("new", long)
			records, errs := p.batcher().EnsureMany(p.ctx, keys, []driver.Record{ask, ask, ask, record("new", driver.Forever)})
			for i, want := range []time.Duration{long, 2 * long, driver.Forever, driver.Forever} {
				now := p.wantData(keys[i], "data")
				for _, ttl := range []time.Duration{records[i].TTL, now.TTL} {
					if errs[i] != nil || ttl > want || ttl < want-want/8 {
						p.errorf("EnsureMany: result %d has a TTL of %v, then Get %v (%v); want %v", i, records[i].TTL, now.TTL, errs[i], want)
					}
				}
			}
		},
	},
	{
		name:  "EnsureManyOnlyReadsWhereTheRecordIsZero",
		needs: batcher,
		says: "A key whose record in min is zero is only read: its error may be ErrMiss. Both " +
			"results have the length of keys, and the result for a key has the key's index.",
		check: func(p *probe) {
			p.set(p.key("there"), "data", long)
			keys := []string{p.key("absent"), p.key("there"), p.key("bad"), p.key("new"), p.key("none")}
			records, errs := p.batcher().EnsureMany(p.ctx, keys, []driver.Record{
				{}, {}, record("bad", -1), record("new", long), {},
			})
			if len(records) != len(keys) || len(errs) != len(keys) {
				p.fatalf("EnsureMany of %d keys returns %d records and %d errors", len(keys), len(records), len(errs))
			}
			p.wantErrMiss("EnsureMany", records[0], errs[0])
			p.wantErrMiss("EnsureMany", records[4], errs[4])
			if errs[2] == nil || errs[3] != nil || string(records[1].Data) != "data" || string(records[3].Data) != "new" {
				p.errorf("EnsureMany = %+v, %v; want an error for the negative TTL, data and new", records, errs)
			}
			p.wantMiss(p.key("absent"))
			p.wantMiss(p.key("bad"))
			if records, errs := p.batcher().EnsureMany(p.ctx, nil, nil); len(records) != 0 || len(errs) != 0 {
				p.errorf("EnsureMany of no keys = %v, %v; want no results", records, errs)
			}
		},
	},
	{
		name:  "EnsureManyRevokesPlaceholders",
		needs: batcher | leaser,
		says: "If the key is absent, EnsureMany is Add of that record. Add is Set if key is " +
			"absent, and returns true.",
		check: func(p *probe) {
			token := p.win(p.key("k"), ask(long))
			_, errs := p.batcher().EnsureMany(p.ctx, []string{p.key("k")}, []driver.Record{record("new", long)})
			p.ok("EnsureMany", errs[0])
			p.commit(p.key("k"), token, "stale", false)
			p.wantData(p.key("k"), "new")
		},
	},
	{
		name:  "GetDataIsGet",
		needs: dataReader,
		says:  "GetData is Get, but TTL may be 0, which means that the time left is not known.",
		check: func(p *probe) {
			version := p.set(p.key("k"), "data", long)
			r, err := p.reader().GetData(p.ctx, p.key("k"))
			if err != nil || string(r.Data) != "data" || r.Version != version || r.Tombstone {
				p.errorf("GetData = %+v, %v; want %q of Version %q", r, err, "data", version)
			}
			if r.TTL < 0 || r.TTL > long+slack {
				p.errorf("TTL %v; want 0 to %v", r.TTL, long)
			}
			r, err = p.reader().GetData(p.ctx, p.key("none"))
			p.wantErrMiss("GetData", r, err)
		},
	},
	{
		name:  "GetManyDataIsGetMany",
		needs: dataReader,
		says: "GetManyData is GetMany of Batcher, but each TTL may be 0. Both results have " +
			"the length of keys, and the result for a key has the key's index.",
		check: func(p *probe) {
			p.wantMany("GetManyData", p.reader().GetManyData)
		},
	},
	{
		name:  "GetDataUnderALease",
		needs: dataReader | leaser,
		says: "GetData is Get, but TTL may be 0, which means that the time left is not known. " +
			"A record stays readable under a lease.",
		check: func(p *probe) {
			version, _ := p.refresh(p.key("k"), "old", long)
			r, err := p.reader().GetData(p.ctx, p.key("k"))
			if err != nil || string(r.Data) != "old" || r.Version != version {
				p.errorf("GetData = %+v, %v; want %q of Version %q", r, err, "old", version)
			}
		},
	},
}

// wantMany checks get, which is GetMany or GetManyData, with keys that repeat and keys that are
// absent.
func (p *probe) wantMany(op string, get func(context.Context, []string) ([]driver.Record, []error)) {
	p.t.Helper()
	version := p.set(p.key("a"), "a", long)
	p.set(p.key("b"), "b", driver.Forever)
	want := []string{"b", "", "a", "", "b", "a"}
	keys := []string{p.key("b"), p.key("none"), p.key("a"), p.key("none"), p.key("b"), p.key("a")}
	records, errs := get(p.ctx, keys)
	if len(records) != len(keys) || len(errs) != len(keys) {
		p.fatalf("%s of %d keys returns %d records and %d errors", op, len(keys), len(records), len(errs))
	}
	for i := range keys {
		if want[i] == "" {
			p.wantErrMiss(op, records[i], errs[i])
		} else if errs[i] != nil || string(records[i].Data) != want[i] {
			p.fatalf("%s: result %d is %q, %v; want %q", op, i, records[i].Data, errs[i], want[i])
		}
	}
	if records[2].Version != version {
		p.errorf("%s: Version %q; want %q", op, records[2].Version, version)
	}
	copy(records[0].Data, "?")
	if string(records[4].Data) != "b" {
		p.errorf("%s: the results of a repeated key share their Data", op)
	}
	p.wantData(p.key("b"), "b")
}
