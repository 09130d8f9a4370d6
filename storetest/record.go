package storetest

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/zodiac-go/zodiac/driver"
)

// recordRules are about Get, Set, Add and Close, and about the fields Data and Version.
var recordRules = []rule{
	{
		name: "GetOfANewKeyMisses",
		says: "Get returns the record of key, or ErrMiss if key is absent.",
		check: func(p *probe) {
			p.wantMiss(p.key("k"))
		},
	},
	{
		name: "SetReplacesTheRecord",
		says: "Set stores r whatever the key holds, and revokes a lease on key.",
		check: func(p *probe) {
			p.set(p.key("k"), "old, and longer", long)
			p.set(p.key("k"), "new", long)
		},
	},
	{
		name: "AddStoresIfAbsent",
		says: "Add is Set if key is absent, and returns true.",
		check: func(p *probe) {
			p.add(p.key("k"), "data", true)
			p.wantData(p.key("k"), "data")
		},
	},
	{
		name: "AddChangesNothingIfPresent",
		says: "If key is present, Add changes nothing, revokes nothing, and returns false.",
		check: func(p *probe) {
			version := p.set(p.key("k"), "old", long/2)
			p.add(p.key("k"), "new", false)
			r := p.wantData(p.key("k"), "old")
			if r.Version != version || r.TTL > long/2+slack {
				p.errorf("Version %q, TTL %v; want %q and at most %v as before", r.Version, r.TTL, version, long/2)
			}
		},
	},
	{
		name: "OneOfManyAddsStores",
		says: "A Store is safe for concurrent use. If key is present, Add changes nothing, " +
			"revokes nothing, and returns false.",
		check: oneOfManyAddsStores,
	},
	{
		name: "DataMayBeEmpty",
		says: "Data may be empty, which is different from no record.",
		check: func(p *probe) {
			p.set(p.key("empty"), "", long)
			p.ok("Set", p.store.Set(p.ctx, p.key("nil"), driver.Record{TTL: long}))
			p.wantData(p.key("nil"), "")
			p.add(p.key("empty"), "data", false)
		},
	},
	{
		name: "DataIsAnyBytes",
		says: "Data is opaque to the Store.",
		check: func(p *probe) {
			all := make([]byte, 256)
			for i := range all {
				all[i] = byte(i)
			}
			p.set(p.key("bytes"), string(all), long)
			p.set(p.key("large"), string(bytes.Repeat(all, 1000)), long)
			p.set(p.key("digits"), "007", long)
			p.set(p.key("newline"), "\r\n", long)
		},
	},
	{
		name: "GivenDataIsNotKept",
		says: "A Store neither keeps nor changes the Data it is given.",
		check: func(p *probe) {
			data := []byte("data")
			p.ok("Set", p.store.Set(p.ctx, p.key("set"), driver.Record{Data: data, TTL: long}))
			_, err := p.store.Add(p.ctx, p.key("add"), driver.Record{Data: data, TTL: long})
			p.ok("Add", err)
			copy(data, "????")
			p.wantData(p.key("set"), "data")
			p.wantData(p.key("add"), "data")
		},
	},
	{
		name: "GivenDataIsNotChanged",
		says: "A Store neither keeps nor changes the Data it is given.",
		check: func(p *probe) {
			room := bytes.Repeat([]byte("."), 256)
			p.ok("Set", p.store.Set(p.ctx, p.key("k"), driver.Record{Data: room[:4], TTL: long}))
			if len(bytes.Trim(room, ".")) > 0 {
				p.errorf("the array behind Data is now %q; want only dots", room)
			}
		},
	},
	{
		name: "ReturnedDataBelongsToTheCaller",
		says: "Data that a Store returns belongs to the caller.",
		check: func(p *probe) {
			p.set(p.key("k"), "data", long)
			copy(p.wantData(p.key("k"), "data").Data, "????")
			p.wantData(p.key("k"), "data")
		},
	},
	{
		name: "EveryWriteMakesANewVersion",
		says: "Every Set, Add and Commit that stores makes a new Version, even of equal Data.",
		check: func(p *probe) {
			first := p.set(p.key("k"), "data", long)
			if again := p.wantData(p.key("k"), "data").Version; again != first {
				p.errorf("Version %q, then %q for the same record; want the same", first, again)
			}
			second := p.set(p.key("k"), "data", long)
			p.delete(1, p.key("k"))
			p.add(p.key("k"), "data", true)
			third := p.wantData(p.key("k"), "data").Version
			if first == second || second == third || first == third {
				p.errorf("three writes have the Versions %q, %q, %q; want them all different", first, second, third)
			}
		},
	},
	{
		name: "StoreMakesTheVersion",
		says: "Set uses r.Data and r.TTL only. Stores make their Versions themselves.",
		check: func(p *probe) {
			r := driver.Record{Data: []byte("data"), TTL: long, Version: "mine", Tombstone: true}
			p.ok("Set", p.store.Set(p.ctx, p.key("k"), r))
			if got := p.wantData(p.key("k"), "data"); got.Version == "mine" || got.Tombstone {
				p.errorf("Version %q, Tombstone %v; want a Version of the store's, and no tombstone",
					got.Version, got.Tombstone)
			}
		},
	},
	{
		name:  "ClosedStoreReturnsErrors",
		says:  "After Close, the methods above return errors other than ErrMiss.",
		check: closedStore,
	},
}

func oneOfManyAddsStores(p *probe) {
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
		p.errorf("%d of 8 concurrent Adds stored; want 1", n)
	}
}

func closedStore(p *probe) {
	p.set(p.key("k"), "data", long)
	p.ok("Close", p.store.Close())
	ctx := context.WithoutCancel(p.ctx)
	_, err := p.store.Get(ctx, p.key("k"))
	p.wantError("Get", err)
	if errors.Is(err, driver.ErrMiss) {
		p.errorf("Get = %v; want an error other than ErrMiss", err)
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
