package zodiac

import (
	"github.com/zodiac-go/zodiac/internal/flight"
	"github.com/zodiac-go/zodiac/internal/tier"
)

// encodeResult makes the record of what a fetch brought: it is for the store, and for those who share the result, each of whom
// decodes a copy of its own.
func (c *engine[K, V]) encodeResult(f *flight.Flight[tier.Key[K], job[K, V]]) {
	r, s := &f.Job.result, f.Job.shared
	var tags []recordTag
	var err error
	if r.verdict == store && len(r.tags) > 0 && f.Kind != flight.Aside && s.fault == nil {
		if tags, err = c.tagsFor(s.lease.values, &s.budget, s.tags.gens, namesOf(r.tags)); err != nil {
			s.fault = &StoreError{Loader: c.name, Op: "GetMany", Err: err}
		}
	}
	if s.data, err = c.encode(s.full, r.entry.Created, &r.entry.Value, r.none, c.set.life.slide(r.life), tags); err != nil {
		s.fault = err
	}
}

// landShared is land over a store.
func (c *engine[K, V]) landShared(f *flight.Flight[tier.Key[K], job[K, V]]) {
	r, s := &f.Job.result, f.Job.shared
	if r.stage != finished {
		r.none, r.err = nil, c.panicked(r.stage.String(), recover())
	}
	var outcome Outcome // none if nothing was fetched
	if s.fetched {
		outcome = c.settleShared(f)
	}
	err := r.err
	if r.none != nil {
		err = r.none
	}
	s.lease.close()
	if next := c.flights.Finish(f, s.outcome(err)); next != nil {
		c.start(next)
	}
	f.Job.ctx.cancel()
	if outcome == "" || c.observer == nil && c.logger == nil {
		c.flights.Returned(f)
		return
	}
	c.report(f, outcome)
}

// settleShared is settle over a store.
func (c *engine[K, V]) settleShared(f *flight.Flight[tier.Key[K], job[K, V]]) Outcome {
	j := &f.Job
	r, s := &j.result, j.shared
	private := r.err != nil && j.ctx.inner.has(noFetch)
	if s.unfenced {
		s.before = s.started
	}
	switch {
	case r.err != nil && r.none == nil:
		if r.stage == finished && !r.ours && !private && f.Kind != flight.Aside {
			c.rememberShared(f)
		}
		s.before, s.down = everyone, false // an error is for all
		return c.settled(j, fetchErrors, OutcomeError)
	case f.Kind == flight.Aside || private:
		s.before = s.started
		return c.settled(j, unleased, OutcomeUnleased)
	case s.down || s.unfenced:
		return c.settled(j, unleased, OutcomeUnleased)
	}
	leave, err := c.exclude(s.lease.values, s.key)
	if err != nil {
		return c.settled(j, unleased, OutcomeUnleased) // does not come: these values have no end
	}
	defer leave()
	if !c.sealShared(f) {
		s.before = s.started
		return c.settled(j, voided, OutcomeVoid)
	}
	return c.commitShared(f)
}

// sealShared ends the joining of a flight whose result is about to be stored. It returns false if the flight is void.
func (c *engine[K, V]) sealShared(f *flight.Flight[tier.Key[K], job[K, V]]) bool {
	if !c.flights.Seal(f) {
		return false
	}
	c.flights.Unseal(f)
	return true
}

// commitShared stores the result of a sealed flight, and counts what became of it.
func (c *engine[K, V]) commitShared(f *flight.Flight[tier.Key[K], job[K, V]]) Outcome {
	j := &f.Job
	r, s := &j.result, j.shared
	if f.Kind == flight.Forced {
		c.forget(&f.Key, s.key) // whatever becomes of it: some are about to see something newer
	}
	became := s.settle(&r.verdict, r.life)
	if c.near != nil && (became == fateStored || became == fateMarked) {
		c.fillResult(f, became == fateMarked)
	}
	switch {
	case became == fateStored:
		return c.settled(j, stored, OutcomeStored)
	case became == fateMarked && (r.verdict == skip || r.verdict == drop):
		return c.settled(j, skipped, OutcomeSkipped)
	case became == fateVoid || r.verdict == refuse:
		return c.settled(j, voided, OutcomeVoid)
	}
	if s.fault != nil && r.fault == nil {
		r.verdict, r.fault = excess, s.fault
	}
	return c.settled(j, unleased, OutcomeUnleased)
}

// rememberShared remembers the error of a fetch: for all processes, if there is a lease to do so under, or else in this one.
func (c *engine[K, V]) rememberShared(f *flight.Flight[tier.Key[K], job[K, V]]) {
	s, r := f.Job.shared, &f.Job.result
	if c.failures == nil || !c.flights.Seal(f) {
		return
	}
	if !s.leased {
		c.remember(&f.Key, r.err)
	}
	c.flights.Unseal(f)
	if s.leased {
		s.remember(r.err, r.began, c.set.life.shorten(c.set.life.failed))
	}
}

// outcomeShared returns what a caller gets of a flight over a store that is over, to be counted as n; numCounters = it has been
// counted. ok is false if it is not for this caller.
func (c *engine[K, V]) outcomeShared(g *getting[K, V], f *flight.Flight[tier.Key[K], job[K, V]], as counter) (a answer[V], n counter, ok bool) {
	s := f.Job.shared
	err := f.Err()
	if only, ok := err.(*entitled); ok { //nolint:errorlint // it is never wrapped
		if err = only.err; g.far.began >= only.before {
			if !only.down {
				return a, as, false
			}
			g.far.spare = &spare[K, V]{f, err, as}
			return a, as, false
		}
	}
	if err == nil && s.got != nil {
		a, ok = c.openRecord(g, s.got, nil, s.common, hitStore)
		return a, numCounters, ok
	}
	return c.take(f, err, as), as, true
}

// take returns what a caller gets of the result of a flight.
func (c *engine[K, V]) take(f *flight.Flight[tier.Key[K], job[K, V]], err error, as counter) (a answer[V]) {
	s, r := f.Job.shared, &f.Job.result
	switch {
	case err != nil:
		a.err = err
	case as == fetched && c.near == nil:
		a.value = r.entry.Value
	case c.near != nil || s.data == nil:
		a.value, a.err = c.cloned(r.entry.Value)
	case s.common != nil:
		a.value, a.err = c.commonCopy(s.common, func(v *V) error { return c.decodeResult(s.data, v) })
	default:
		a.err = c.decodeResult(s.data, &a.value)
	}
	if a.err != nil {
		var zero V
		a.value = zero
	}
	return a
}

// decodeResult sets *v, which is zero, to a result that was just encoded.
func (c *engine[K, V]) decodeResult(data []byte, v *V) error {
	var rec record
	if err := parseRecord(data, &rec); err != nil {
		return err
	}
	return c.decode(&rec, v)
}
