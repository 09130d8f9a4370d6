package storetest

import (
	"context"

	"github.com/zodiac-go/zodiac/driver"
)

// manyRules are about Batcher and DataReader.
var manyRules = []rule{
	{"GetManyIsManyGets", "GetMany is Get for each key, with results at the keys' places; keys may repeat.", batcher, func(p *probe) {
		p.wantMany("GetMany", p.batcher().GetMany)
	}},
	{"GetManyOfNothing", "GetMany's results have the length of keys.", batcher, func(p *probe) {
		if records, errs := p.batcher().GetMany(p.ctx, nil); len(records) != 0 || len(errs) != 0 {
			p.errorf("GetMany of no keys = %v, %v; want neither", records, errs)
		}
	}},
	{"GetManyReturnsWhatIsLeft", "GetMany is Get for each key: each record has its TTL.", batcher, func(p *probe) {
		p.set(p.key("long"), "data", long)
		p.set(p.key("forever"), "data", driver.Forever)
		records, errs := p.batcher().GetMany(p.ctx, []string{p.key("long"), p.key("forever")})
		if errs[0] != nil || errs[1] != nil || records[0].TTL > long+slack || records[0].TTL < long/2 || records[1].TTL != driver.Forever {
			p.errorf("GetMany = %v, %v; want TTLs of about %v, and Forever", records, errs, long)
		}
	}},
	{"SetManyIsManySets", "SetMany is Set for each of the records.", batcher, func(p *probe) {
		first := p.set(p.key("a"), "old", long)
		data := []byte("b")
		p.ok("SetMany", p.batcher().SetMany(p.ctx, map[string]driver.Record{
			p.key("a"): record("a", long), p.key("b"): {Data: data, TTL: driver.Forever, Version: "mine", Tombstone: true}, p.key("c"): {TTL: long},
		}))
		copy(data, "?")
		a, b, c := p.wantData(p.key("a"), "a"), p.wantData(p.key("b"), "b"), p.wantData(p.key("c"), "")
		if a.Version == first || b.Version == "mine" || a.Version == b.Version || b.TTL != driver.Forever || c.TTL > long+slack {
			p.errorf("records %+v, %+v, %+v; want versions of the store's making, and the TTLs given", a, b, c)
		}
		p.ok("SetMany", p.batcher().SetMany(p.ctx, nil))
	}},
	{"SetManyStoresTheOthers", "If some of SetMany fail, the error tells of it, and the others are stored.", batcher, func(p *probe) {
		p.set(p.key("bad"), "old", long)
		p.wantError("SetMany", p.batcher().SetMany(p.ctx, map[string]driver.Record{
			p.key("a"): record("a", long), p.key("bad"): record("bad", -1), p.key("b"): record("b", long),
		}))
		p.wantData(p.key("a"), "a")
		p.wantData(p.key("b"), "b")
		p.wantData(p.key("bad"), "old")
	}},
	{"SetManyMakesRefreshesVoid", "SetMany is Set for each of the records: it makes leases void.", batcher | leaser, func(p *probe) {
		_, token := p.refresh(p.key("k"), "old", long)
		p.ok("SetMany", p.batcher().SetMany(p.ctx, map[string]driver.Record{p.key("k"): record("set", long)}))
		p.commit(p.key("k"), token, "stale", false)
		p.wantData(p.key("k"), "set")
	}},
	{"GetDataIsGet", "GetData is Get, but TTL may be 0.", dataReader, func(p *probe) {
		version := p.set(p.key("k"), "data", long)
		r, err := p.reader().GetData(p.ctx, p.key("k"))
		if err != nil || string(r.Data) != "data" || r.Version != version || r.TTL < 0 || r.TTL > long+slack || r.Tombstone {
			p.errorf("GetData = %+v, %v; want data of version %q", r, err, version)
		}
		r, err = p.reader().GetData(p.ctx, p.key("none"))
		p.wantErrMiss("GetData", r, err)
	}},
	{"GetManyDataIsGetMany", "GetManyData is GetMany, but TTL may be 0.", dataReader, func(p *probe) {
		p.wantMany("GetManyData", p.reader().GetManyData)
	}},
	{"GetDataUnderALease", "GetData is Get: it finds a record that is being refreshed.", dataReader | leaser, func(p *probe) {
		version, _ := p.refresh(p.key("k"), "old", long)
		r, err := p.reader().GetData(p.ctx, p.key("k"))
		if err != nil || string(r.Data) != "old" || r.Version != version {
			p.errorf("GetData = %+v, %v; want old of version %q", r, err, version)
		}
	}},
}

// wantMany checks that get reads many keys, some of them twice, and some absent.
func (p *probe) wantMany(op string, get func(ctx context.Context, keys []string) ([]driver.Record, []error)) {
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
			p.fatalf("%s: at %d is %q, %v; want %q", op, i, records[i].Data, errs[i], want[i])
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
