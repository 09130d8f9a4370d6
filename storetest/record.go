package storetest

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/zodiac-go/zodiac/driver"
)

// recordRules are about what is stored, and by which operation.
var recordRules = []rule{
	{"GetMissesWhatWasNeverStored", "Get returns ErrMiss if there is no record.", 0, func(p *probe) {
		p.wantMiss(p.key("k"))
	}},
	{"SetReplaces", "Set stores the record, whatever is there.", 0, func(p *probe) {
		p.set(p.key("k"), "old, and longer", long)
		p.set(p.key("k"), "new", long)
	}},
	{"AddStoresIfAbsent", "Add is Set if the key is absent.", 0, func(p *probe) {
		p.add(p.key("k"), "data", true)
		p.wantData(p.key("k"), "data")
	}},
	{"AddChangesNothingIfThere", "Add changes nothing and returns false if there is a record.", 0, func(p *probe) {
		version := p.set(p.key("k"), "old", long/2)
		p.add(p.key("k"), "new", false)
		r := p.wantData(p.key("k"), "old")
		if r.Version != version || r.TTL > long/2+slack {
			p.errorf("Version %q, TTL %v; want %q and at most %v as before", r.Version, r.TTL, version, long/2)
		}
	}},
	{"AddOfManyStoresOnce", "A Store is safe for concurrent use: of many Adds of a key one stores.", 0, addOfMany},
	{"DataMayBeEmpty", "Data may be empty, which is something else than no record.", 0, func(p *probe) {
		p.set(p.key("empty"), "", long)
		p.ok("Set", p.store.Set(p.ctx, p.key("nil"), driver.Record{TTL: long}))
		p.wantData(p.key("nil"), "")
		p.add(p.key("empty"), "data", false)
	}},
	{"DataIsAnyBytes", "Data is opaque to the Store.", 0, func(p *probe) {
		all := make([]byte, 256)
		for i := range all {
			all[i] = byte(i)
		}
		p.set(p.key("bytes"), string(all), long)
		p.set(p.key("large"), string(bytes.Repeat(all, 1000)), long)
		p.set(p.key("digits"), "007", long)
		p.set(p.key("newline"), "\r\n", long)
	}},
	{"DataPassedIsNotKept", "A Store does not retain Data it was passed.", 0, func(p *probe) {
		data := []byte("data")
		p.ok("Set", p.store.Set(p.ctx, p.key("set"), driver.Record{Data: data, TTL: long}))
		_, err := p.store.Add(p.ctx, p.key("add"), driver.Record{Data: data, TTL: long})
		p.ok("Add", err)
		copy(data, "????")
		p.wantData(p.key("set"), "data")
		p.wantData(p.key("add"), "data")
	}},
	{"DataPassedIsNotChanged", "A Store does not change Data it was passed, nor what lies behind it.", 0, func(p *probe) {
		room := bytes.Repeat([]byte("."), 256)
		p.ok("Set", p.store.Set(p.ctx, p.key("k"), driver.Record{Data: room[:4], TTL: long}))
		if len(bytes.Trim(room, ".")) > 0 {
			p.errorf("the memory around Data has become %q", room)
		}
	}},
	{"DataReturnedIsTheCallers", "Data that a Store returns belongs to the caller.", 0, func(p *probe) {
		p.set(p.key("k"), "data", long)
		copy(p.wantData(p.key("k"), "data").Data, "????")
		p.wantData(p.key("k"), "data")
	}},
	{"VersionIsAnotherAfterEveryWrite", "Version tells one production from another, even of equal Data.", 0, func(p *probe) {
		first := p.set(p.key("k"), "data", long)
		if again := p.wantData(p.key("k"), "data").Version; again != first {
			p.errorf("Version %q, and read again %q; want the same", first, again)
		}
		second := p.set(p.key("k"), "data", long)
		p.delete(1, p.key("k"))
		p.add(p.key("k"), "data", true)
		third := p.wantData(p.key("k"), "data").Version
		if first == second || second == third || first == third {
			p.errorf("the versions of three writes are %q, %q, %q", first, second, third)
		}
	}},
	{"VersionIsTheStores", "Set uses the record's Data and TTL; Version and Mark are the store's.", 0, func(p *probe) {
		p.ok("Set", p.store.Set(p.ctx, p.key("k"), driver.Record{Data: []byte("data"), TTL: long, Version: "mine", Tombstone: true}))
		if r := p.wantData(p.key("k"), "data"); r.Version == "mine" || r.Tombstone {
			p.errorf("Version %q, Mark %v; want one of the store's making, and no mark", r.Version, r.Tombstone)
		}
	}},
	{"ClosedStoreReturnsErrors", "Calls after Close are errors.", 0, closedStore},
}

func addOfMany(p *probe) {
	var wg sync.WaitGroup
	var stored atomic.Int32
	for range 8 {
		wg.Go(func() {
			if added, err := p.store.Add(p.ctx, p.key("k"), record("data", long)); err != nil {
				p.errorf("Add: %v", err)
			} else if added {
				stored.Add(1)
			}
		})
	}
	wg.Wait()
	if n := stored.Load(); n != 1 {
		p.errorf("%d of 8 Adds stored; want 1", n)
	}
}

func closedStore(p *probe) {
	p.set(p.key("k"), "data", long)
	p.ok("Close", p.store.Close())
	ctx := context.WithoutCancel(p.ctx)
	_, err := p.store.Get(ctx, p.key("k"))
	p.wantError("Get", err)
	if errors.Is(err, driver.ErrMiss) {
		p.errorf("Get = %v; want an error that is no miss", err)
	}
	p.wantError("Set", p.store.Set(ctx, p.key("k"), record("data", long)))
	_, err = p.store.Add(ctx, p.key("k"), record("data", long))
	p.wantError("Add", err)
	_, err = p.store.Expire(ctx, p.key("k"), long)
	p.wantError("Expire", err)
	_, err = p.store.Delete(ctx, p.key("k"))
	p.wantError("Delete", err)
	_, err = p.store.Clear(ctx, p.key("k"))
	p.wantError("Clear", err)
}
