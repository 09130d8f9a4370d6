package zodiac

import (
	"github.com/zodiac-go/zodiac/internal/flight"
	"github.com/zodiac-go/zodiac/internal/negative"
	"github.com/zodiac-go/zodiac/internal/remote"
	"github.com/zodiac-go/zodiac/internal/tier"
)

// commit is the commit point of a flight: it stores the result, unless the flight was discarded or
// the verdict is against it, and counts what became of it. It is called before the callers have
// their outcome. In memory the key is locked from the seal, after which nobody joins, to the end of
// the write; over a store the lease decides. The outcome is empty if the function was not called.
func (c *engine[K, V]) commit(f *flight.Flight[tier.Key[K], job[K, V]]) Outcome {
	j := &f.Job
	r, s := &j.result, j.stored
	// An error may come from a mode that keeps loaders within the fetch function from fetching. Then
	// it is only for the caller who has set the mode.
	private := r.err != nil && j.ctx.inner.NoFetch()
	switch {
	case r.uncalled, s != nil && !s.fetch.Called():
		return ""
	case r.err != nil && r.none == nil:
		if c.failures != nil && !private && f.Kind != flight.Aside && r.stage == finished && !r.libraryError {
			c.rememberError(f)
		}
		if s != nil {
			s.fetch.ForAll()
		}
		return c.counted(j.outer, fetchErrors, OutcomeError)
	case f.Kind == flight.Aside || private:
		if s != nil {
			s.fetch.ForEarlier()
		}
		return c.counted(j.outer, uncached, OutcomeUncached)
	case s != nil:
		return c.commitToStore(f)
	case !c.flights.Seal(f):
		c.supersede(f)
		return c.counted(j.outer, discarded, OutcomeDiscarded)
	}
	switch {
	case r.verdict == store:
		c.put(&f.Key, r.entry, r.life, c.clock.Now())
	case r.verdict == noTTL || f.Kind == flight.Forced:
		c.remove(&f.Key) // what is there is older than the result, which is not stored
	}
	c.flights.Unseal(f)
	switch r.verdict {
	case store:
		return c.counted(j.outer, stored, OutcomeStored)
	case staleTags:
		return c.counted(j.outer, discarded, OutcomeDiscarded)
	case unfit:
		return c.counted(j.outer, uncached, OutcomeUncached)
	default:
		return c.counted(j.outer, skipped, OutcomeSkipped)
	}
}

// commitToStore is the end of commit over a store.
func (c *engine[K, V]) commitToStore(f *flight.Flight[tier.Key[K], job[K, V]]) Outcome {
	j := &f.Job
	r, s := &j.result, j.stored
	res := remote.Result{Record: &s.rec, Life: r.life, Verdict: r.verdict.forStore()}
	fate := s.fetch.Commit(&res)
	if res.Verdict == remote.StaleTags {
		r.verdict = staleTags
	}
	if c.remote.HasMemory() && (fate == remote.Stored || fate == remote.Tombstone) {
		c.fillResult(f, fate == remote.Tombstone)
	}
	switch {
	case fate == remote.Stored:
		return c.counted(j.outer, stored, OutcomeStored)
	case fate == remote.Tombstone && (r.verdict == skip || r.verdict == noTTL):
		return c.counted(j.outer, skipped, OutcomeSkipped)
	case fate == remote.Revoked || r.verdict == staleTags && fate != remote.NoLease:
		return c.counted(j.outer, discarded, OutcomeDiscarded)
	case fate != remote.NoLease && s.fetch.Fault != nil && r.fault == nil:
		r.verdict, r.fault = unfit, c.storeError(s.fetch.Fault)
	}
	return c.counted(j.outer, uncached, OutcomeUncached)
}

// forStore returns the verdict as package remote knows it.
func (v verdict) forStore() remote.Verdict {
	return [...]remote.Verdict{store: remote.Storable, skip: remote.Skip, noTTL: remote.Skip, staleTags: remote.StaleTags, unfit: remote.Unfit}[v]
}

// rememberError remembers the error of a flight for WithErrorTTL: for all processes if the store can
// do that, else in this one.
func (c *engine[K, V]) rememberError(f *flight.Flight[tier.Key[K], job[K, V]]) {
	r, s := &f.Job.result, f.Job.stored
	if !c.flights.Seal(f) {
		return
	}
	life := c.opts.life.shorten(c.opts.life.failed)
	forAll := s != nil && s.fetch.RemembersForAll()
	if !forAll {
		negative.Put(c.failures, &f.Key, r.err, expiry(c.clock.Now(), life))
	}
	c.flights.Unseal(f)
	if forAll {
		negative.Put(c.left, &f.Key, r.err, expiry(c.clock.Now(), life))
		s.fetch.Remember(c.opts.errorsNamed.Text(r.err), r.began, life)
	}
}

// elsewhere returns the error that a process has left in the store with a text: the very error, if
// it was this one.
func (c *engine[K, V]) elsewhere(f *flight.Flight[tier.Key[K], job[K, V]], text string) error {
	if err := negative.Find(c.left, &f.Key); err != nil && c.opts.errorsNamed.Text(err) == text {
		return err
	}
	return c.opts.errorsNamed.Error(text)
}

// counted counts the outcome of a fetch and returns it.
func (c *core) counted(by *callState, n counter, o Outcome) Outcome {
	c.count(n, by.Collectors())
	return o
}
