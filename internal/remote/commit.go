package remote

import (
	"context"
	"slices"
	"time"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/record"
)

// A Result is what a fetch has brought, as far as the store is concerned.
type Result struct {
	Record  *record.Record // with BlankTags, whose generations Commit fills in
	Life    time.Duration  // how long it lives
	Verdict Verdict
}

// A Verdict says whether a result is to be stored.
type Verdict uint8

// The verdicts.
const (
	Storable  Verdict = iota
	Skip              // it is not to be stored, and nothing is to be there instead
	StaleTags         // one of its tags was deleted during the fetch
	Unfit             // it cannot be stored
)

// A Fate is what has become of a result.
type Fate uint8

// The fates.
const (
	Stored    Fate = iota
	Tombstone      // the key is absent, and a tombstone says so to those who wait
	Revoked        // an invalidation came in between: nothing was written
	NoLease        // nothing was written, since the flight has no lease
	NotStored      // nothing was written for another reason
)

// Commit seals the flight, so that nobody joins it any more, and stores its result. If the result is
// to be skipped, or is that of a forced fetch and cannot be stored, Commit leaves a tombstone, which
// removes an old value too. It may change r.Verdict to StaleTags, and set Fault.
//
// The seal comes first. A caller that begins after an invalidation has returned then never waits for
// this result.
func (f *Fetch) Commit(r *Result) Fate {
	if f.down || f.noLease {
		f.supersede(f.Budget)
		return NoLease
	}
	leave, err := f.Client.exclude(f.Values, &f.Budget, "Set", f.Key)
	if err != nil {
		f.Fault = err
		f.ForEarlier()
		return NotStored
	}
	defer leave()
	if !f.Owner.Seal() {
		f.ForEarlier()
		f.supersede(f.Budget)
		return Revoked
	}
	return f.commitSealed(r)
}

// supersede removes what the key holds after a forced fetch whose result was not stored. Its callers
// get the result all the same, and must not be served anything older afterwards. What another process
// has stored meanwhile may be older: this process may have been stopped for longer than its lease, and
// the function of the other may have read the origin before. So whoever asks next fetches, under a
// lease that is granted after the removal. The price is that a newer value may go too.
//
// A commit that has no answer may be carried out later, but not after the removal, which revokes the
// lease. If the store does not answer this either, nothing can be done. Commit calls this before the
// callers have their outcome.
//
//go:noinline
func (f *Fetch) supersede(b Budget) {
	if !f.Force || f.Ctx.Err() != nil { // nobody gets the result of a flight that was given up
		return
	}
	_, err := ask(f.Values, f.Client, &b, f.Key, func(ctx context.Context) (int, error) {
		return f.Client.Store.Delete(ctx, f.Key)
	})
	f.Owner.Forget()
	if err != nil {
		f.Owner.StoreFailed(fault("Delete", err))
	}
	if err := f.Client.publishKeys(f.Values, &b, f.Key); err != nil {
		f.Owner.StoreFailed(err)
	}
}

// commitSealed is Commit once nobody joins the flight any more.
func (f *Fetch) commitSealed(r *Result) Fate {
	fresh := f.checkTags(r)
	fits := r.Verdict == Storable && f.Fault == nil
	var rec driver.Record
	if fits {
		rec = driver.Record{Data: r.Record.AppendTo(nil), TTL: r.Life}
	} else if r.Verdict == Skip || f.Force {
		rec = f.tombstone()
	} else { // an old record may stay: only callers from before the fetch get this result
		f.ForEarlier()
		return NotStored
	}
	f.Sent = f.Client.Clock.Now()
	ok, err := f.commit(rec)
	if err != nil {
		f.Owner.StoreFailed(fault("Commit", err)) // the callers have the value
	}
	switch {
	case err != nil:
		f.ForEarlier()
		f.supersede(f.Client.NewBudget()) // the commit may have spent the other one
		return NotStored
	case !ok:
		f.ForEarlier()
		f.supersede(f.Budget)
		return Revoked
	}
	if f.before = never; !fresh { // the store's fence knows nothing of tags
		f.ForEarlier()
	}
	if f.Force {
		// A process that does not receive this keeps its entry for as long as WithMemory allows.
		if err := f.Client.publishKeys(f.Values, &f.Budget, f.Key); err != nil {
			f.Owner.StoreFailed(err)
		}
	}
	if rec.Tombstone {
		return Tombstone
	}
	return Stored
}

// checkTags looks whether a tag of the result was deleted since the fetch began, and gives the tags
// of the record their generations. It returns false if one was, or may have been, deleted, also for
// a result that is not to be stored anyway.
//
// This comes after the flight is sealed. Nobody joins any more, so everybody who has joined began
// before a deletion that is not seen here had returned.
func (f *Fetch) checkTags(r *Result) (fresh bool) {
	if !f.Client.tagged() {
		return true
	}
	if _, unknown := f.Fault.(*OpError); unknown || f.Tags == nil { //nolint:errorlint // an OpError within a codec's error is another store's
		return false
	}
	names, life := f.Client.Tags, time.Duration(0)
	stores := r.Verdict == Storable && f.Fault == nil
	if stores {
		life = r.Life
		for _, t := range r.Record.Tags {
			if !f.Client.isOwn(t.Name) {
				names = append(slices.Clip(names), t.Name)
			}
		}
	}
	gens, current, err := f.Client.settle(f.Values, &f.Budget, f.Tags, names, life)
	switch {
	case !stores:
	case err != nil:
		f.Fault = fault("EnsureMany", err)
	case !current:
		r.Verdict = StaleTags
	default:
		for i := range r.Record.Tags {
			t := &r.Record.Tags[i]
			t.Gen = gens[t.Name]
		}
	}
	return err == nil && current
}

// tombstone returns the record that tells other processes that the result may not be stored, so
// that they do not wait for each other to find that out.
func (f *Fetch) tombstone() driver.Record {
	rec := record.Record{Kind: record.Skipped, Created: f.Client.Clock.Time(f.Client.Clock.Now())}
	return driver.Record{Data: rec.AppendTo(nil), TTL: min(f.Client.Lease, firstGrant), Tombstone: true}
}

// RemembersForAll reports whether Remember can be called: the flight has the lease, and the key has
// no record whose place the tombstone would take.
func (f *Fetch) RemembersForAll() bool { return f.leased && !f.Force && f.Seen == "" }

// Remember leaves the text of an error for all processes, for as long as life says.
func (f *Fetch) Remember(text string, began int64, life time.Duration) {
	rec := record.Record{Kind: record.Failed, Created: f.Client.Clock.Time(began), Payload: []byte(text)}
	if _, err := f.commit(driver.Record{Data: rec.AppendTo(nil), TTL: life, Tombstone: true}); err != nil {
		f.Owner.StoreFailed(fault("Commit", err)) // the callers have the function's error
	}
}

// commit stores a record under the flight's lease. In a store that lends none, it stores the record
// if nobody else has stored one.
func (f *Fetch) commit(rec driver.Record) (bool, error) {
	if f.Client.leaser == nil {
		f.lease.end()
		return f.commitBare(rec)
	}
	return f.lease.commit(f.Values, &f.Budget, rec, ask[bool])
}

// commitBare stores a record in a store that lends no leases.
func (f *Fetch) commitBare(rec driver.Record) (bool, error) {
	store, replaces := f.Client.Store, f.Force || f.Seen != ""
	return ask(f.Values, f.Client, &f.Budget, f.Key, func(ctx context.Context) (bool, error) {
		switch {
		case rec.Tombstone && !replaces:
			return true, nil
		case rec.Tombstone:
			_, err := store.Delete(ctx, f.Key)
			return err == nil, err
		case replaces:
			err := store.Set(ctx, f.Key, rec)
			return err == nil, err
		default:
			return store.Add(ctx, f.Key, rec)
		}
	})
}
