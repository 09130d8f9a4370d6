package zodiac

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/zodiac-go/zodiac/internal/flight"
	"github.com/zodiac-go/zodiac/internal/tier"
)

// encodeResult makes the record of what a fetch brought: it is for the store, and for those who share the result, each of whom
// decodes a copy of its own.
func (c *Cache[K, V]) encodeResult(f *flight.Flight[tier.Key[K], job[K, V]]) {
	r, s := &f.Job.result, f.Job.shared
	var tags []recordTag
	var err error
	if r.verdict == store && len(r.tags) > 0 && f.Kind != flight.Aside && s.fault == nil {
		if tags, err = c.tagsFor(s.lease.values, &s.budget, s.tags.gens, namesOf(r.tags)); err != nil {
			s.fault = &StoreError{Loader: c.set.name, Op: "GetMany", Err: err}
		}
	}
	if s.data, err = c.encode(s.full, r.entry.Created, &r.entry.Value, r.none, r.life, tags); err != nil {
		s.fault = err
	}
}

// landShared is land over a store.
func (c *Cache[K, V]) landShared(f *flight.Flight[tier.Key[K], job[K, V]]) {
	r, s := &f.Job.result, f.Job.shared
	if r.stage != finished {
		r.none, r.err = nil, c.panicked(r.stage.String(), recover())
	}
	outcome := c.settleShared(f)
	err := r.err
	if r.none != nil {
		err = r.none
	}
	s.lease.close()
	if s.before != everyone {
		err = &entitled{s.before, err}
	}
	if next := c.flights.Finish(f, err); next != nil {
		c.start(next)
	}
	f.Job.ctx.cancel()
	if outcome == "" || c.set.observer == nil && c.set.logger == nil {
		c.flights.Returned(f)
		return
	}
	c.report(f, outcome)
}

// entitled is the error of an outcome that is only for Gets that began before; err is theirs. It never leaves the package. That it is
// an error lets those who wait for a flight that was given up, and runs on, know without a look at what that still writes.
type entitled struct {
	before uint64
	err    error
}

func (e *entitled) Error() string { return "not for everyone" }

// settleShared is settle over a store. It returns no outcome if nothing was fetched.
func (c *Cache[K, V]) settleShared(f *flight.Flight[tier.Key[K], job[K, V]]) Outcome {
	j := &f.Job
	r, s := &j.result, j.shared
	private := r.err != nil && j.ctx.inner.has(noFetch)
	switch {
	case !s.fetched:
		return ""
	case r.err != nil && r.none == nil:
		if r.stage == finished && !r.ours && !private {
			c.rememberShared(f)
		}
		s.before = everyone
		return c.settled(j, fetchErrors, OutcomeError)
	case f.Kind == flight.Aside || private:
		s.before = min(s.before, s.started)
		return c.settled(j, unleased, OutcomeUnleased)
	case s.down:
		return c.settled(j, unleased, OutcomeUnleased)
	case c.remote.leaser != nil && !s.leased:
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
	return c.commitResult(f)
}

// sealShared ends the joining of a flight whose result is about to be stored. It returns false if the flight is void.
func (c *Cache[K, V]) sealShared(f *flight.Flight[tier.Key[K], job[K, V]]) bool {
	if !c.flights.Seal(f) {
		return false
	}
	c.flights.Unseal(f)
	return true
}

// commitResult stores what a fetch brought, or notes for other processes that it is not to be stored.
func (c *Cache[K, V]) commitResult(f *flight.Flight[tier.Key[K], job[K, V]]) Outcome {
	j := &f.Job
	r, s := &j.result, j.shared
	rec, mark := Record{Data: s.data, TTL: r.life}, false
	fresh := c.checkTags(f)
	switch {
	case r.verdict == skip, r.verdict == drop, f.Kind == flight.Forced && (r.verdict != store || s.fault != nil):
		rec, mark = c.skipMark(), true
	case r.verdict != store, s.fault != nil: // what is there is no older than who may have this
		s.before = s.started
		return c.unstored(f)
	}
	if f.Kind == flight.Forced {
		c.forget(&f.Key, s.key) // whatever becomes of it: some are about to see something newer
	}
	if s.fault != nil && r.fault == nil {
		r.fault = s.fault
	}
	ok, err := c.commitRecord(f, rec)
	switch {
	case err != nil:
		s.before = s.started
		c.storeFault(&j.ctx, j.key, "Commit", err)
		return c.settled(j, unleased, OutcomeUnleased)
	case !ok:
		s.before = s.started
		return c.settled(j, voided, OutcomeVoid)
	}
	if s.before = everyone; !fresh { // the store's fence knows nothing of tags
		s.before = s.started
	}
	if c.near != nil {
		c.fillResult(f, mark)
	}
	if f.Kind == flight.Forced {
		_ = c.announceKeys(s.lease.values, &s.budget, s.key) // whoever did not hear it has what WithMemory allows
	}
	switch {
	case !mark:
		return c.settled(j, stored, OutcomeStored)
	case r.verdict == skip || r.verdict == drop:
		return c.settled(j, skipped, OutcomeSkipped)
	default:
		return c.unstored(f)
	}
}

// checkTags refuses a result if one of its tags was deleted since the fetch began, or may have been: then it returns false, also of a
// result that is not to be stored anyway. This comes after the seal: nobody joins any more, so whoever has joined began before
// such a deletion had returned.
func (c *Cache[K, V]) checkTags(f *flight.Flight[tier.Key[K], job[K, V]]) (fresh bool) {
	r, s := &f.Job.result, f.Job.shared
	if len(c.set.tags) == 0 && c.set.tagsFunc == nil {
		return true
	}
	if _, unknown := errors.AsType[*StoreError](s.fault); unknown {
		return false
	}
	current, err := c.current(s.lease.values, &s.budget, &s.tags)
	switch {
	case r.verdict != store || s.fault != nil:
	case err != nil:
		s.fault = &StoreError{Loader: c.set.name, Op: "GetMany", Err: err}
	case !current:
		r.verdict = refuse
	}
	return err == nil && current
}

// unstored is the outcome of a result that may not be stored though nobody said to skip it.
func (c *Cache[K, V]) unstored(f *flight.Flight[tier.Key[K], job[K, V]]) Outcome {
	j := &f.Job
	if j.result.verdict == refuse {
		return c.settled(j, voided, OutcomeVoid)
	}
	if j.shared.fault != nil {
		j.result.verdict, j.result.fault = excess, j.shared.fault
	}
	return c.settled(j, unleased, OutcomeUnleased)
}

// skipMark returns what tells other processes that what is fetched may not be stored, so that they need not wait for each other
// to find that out.
func (c *Cache[K, V]) skipMark() Record {
	rec := record{kind: recordSkipMark, created: c.clock.Time(c.clock.Now())}
	return Record{Data: rec.appendTo(nil), TTL: min(c.remote.lease, firstGrant), Mark: true}
}

// commitRecord stores a record under the flight's lease; or, where there are none, if nobody else has stored one.
func (c *Cache[K, V]) commitRecord(f *flight.Flight[tier.Key[K], job[K, V]], rec Record) (bool, error) {
	s := f.Job.shared
	token, live := s.lease.end()
	if c.remote.leaser == nil {
		return c.storeBare(f, rec)
	}
	if token == "" {
		return false, nil
	}
	if !live {
		s.lease.abort(token)
		return false, nil
	}
	ok, err := ask(s.lease.values, c.remote, &s.budget, func(ctx context.Context) (bool, error) {
		return c.remote.leaser.Commit(ctx, s.key, token, rec)
	})
	if err != nil {
		s.lease.abort(token)
	}
	return ok, err
}

// storeBare stores a record in a store that lends no leases.
func (c *Cache[K, V]) storeBare(f *flight.Flight[tier.Key[K], job[K, V]], rec Record) (bool, error) {
	s := f.Job.shared
	forced := f.Kind == flight.Forced
	return ask(s.lease.values, c.remote, &s.budget, func(ctx context.Context) (bool, error) {
		switch {
		case rec.Mark && !forced && s.seen == "":
			return true, nil
		case rec.Mark:
			_, err := c.remote.store.Delete(ctx, s.key)
			return err == nil, err
		case forced || s.seen != "":
			err := c.remote.store.Set(ctx, s.key, rec)
			return err == nil, err
		default:
			return c.remote.store.Add(ctx, s.key, rec)
		}
	})
}

// rememberShared remembers the error of a fetch: for all processes, if the lease allows that.
func (c *Cache[K, V]) rememberShared(f *flight.Flight[tier.Key[K], job[K, V]]) {
	s, r := f.Job.shared, &f.Job.result
	if c.failures == nil || f.Kind == flight.Aside {
		return
	}
	if s.leased && (f.Kind == flight.Forced || s.seen != "") {
		return // what is there stays
	}
	if !c.flights.Seal(f) {
		return
	}
	if !s.leased {
		c.remember(&f.Key, r.err)
	}
	c.flights.Unseal(f)
	if !s.leased {
		return
	}
	rec := record{kind: recordErrorMark, created: c.clock.Time(r.began), payload: []byte(r.err.Error())}
	life := c.set.life.shorten(c.set.life.failed)
	_, err := c.commitRecord(f, Record{Data: rec.appendTo(nil), TTL: life, Mark: true})
	if err != nil {
		c.log(slog.LevelWarn, "zodiac: fault", "error", &StoreError{Loader: c.set.name, Op: "Commit", Err: err})
	}
}

// outcomeShared returns what a caller gets of a flight over a store that is over, to be counted as n; numCounters = it has been counted.
// ok is false if it is not for this caller.
func (c *Cache[K, V]) outcomeShared(g *getting[K, V], f *flight.Flight[tier.Key[K], job[K, V]], as counter) (a answer[V], n counter, ok bool) {
	s, r := f.Job.shared, &f.Job.result
	err := f.Err()
	if only, ok := err.(*entitled); ok { //nolint:errorlint // it is never wrapped
		if g.far.began >= only.before {
			return a, as, false
		}
		err = only.err
	}
	switch {
	case err != nil:
		return answer[V]{err: err}, as, true
	case s.got != nil:
		a, ok = c.openRecord(g, s.got, hitStore)
		return a, numCounters, ok
	case as == fetched && c.near == nil:
		a.value = r.entry.Value
	case c.near != nil || s.data == nil:
		a.value, a.err = c.cloned(r.entry.Value)
	default:
		a.value, a.err = c.ownCopy(g, s.data)
	}
	return a, as, true
}

// ownCopy decodes a result that was just encoded, for one of those who share it.
func (c *Cache[K, V]) ownCopy(g *getting[K, V], data []byte) (V, error) {
	var got found
	if err := parseRecord(data, &got.parsed); err != nil {
		var zero V
		return zero, err
	}
	got.read = time.Now()
	e, err := c.decode(&g.place, &got)
	if err != nil {
		var zero V
		return zero, err
	}
	return e.Value, nil
}
