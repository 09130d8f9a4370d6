package zodiac

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/zodiac-go/zodiac/internal/flight"
	"github.com/zodiac-go/zodiac/internal/record"
	"github.com/zodiac-go/zodiac/internal/remote"
	"github.com/zodiac-go/zodiac/internal/tier"
)

// A storeJob is the part of a job over a store. It is the Owner of the flight's remote.Fetch.
type storeJob[K comparable, V any] struct {
	fetch remote.Fetch
	c     *engine[K, V]
	f     *flight.Flight[tier.Key[K], job[K, V]]
	full  string // see lookup
	// replaces says that the flight is to replace a record that may be there. It never changes.
	replaces bool

	sinks  []*counters
	waits  func()
	rec    record.Record  // of the result
	copies bool           // callers decode copies of it
	shared *sharedCopy[V] // nil if every caller decodes a copy of its own
	told   atomic.Bool    // that copies cannot be decoded
}

// newStoreJob returns the part over a store of a flight that l begins. It is called under the
// key's lock.
func (c *engine[K, V]) newStoreJob(l *lookup[K, V], f *flight.Flight[tier.Key[K], job[K, V]]) *storeJob[K, V] {
	s := &storeJob[K, V]{
		fetch: remote.Fetch{
			Client: c.remote, Ctx: &f.Job.ctx, Values: context.WithoutCancel(l.ctx),
			Key: l.storeKey, Seen: l.seen, Stays: l.stays, Budget: l.budget, Tags: l.tags,
			Force: f.Kind == flight.Forced, Aside: f.Kind == flight.Aside,
		},
		c: c, f: f, full: l.full, sinks: l.sinks, waits: l.waits,
		replaces: f.Kind == flight.Forced || l.seen != "",
	}
	s.fetch.Owner = s
	s.fetch.Init()
	if c.flat && !c.remote.HasMemory() {
		s.shared = new(sharedCopy[V])
	}
	return s
}

// Usable implements remote.Owner.
func (s *storeJob[K, V]) Usable(e *remote.Entry) bool { return s.c.usableRecord(s.full, s.sinks, e) }

// StoreFailed implements remote.Owner.
func (s *storeJob[K, V]) StoreFailed(err error) { _ = s.c.storeFault(&s.f.Job.ctx, s.f.Job.key, err) }

// Seal implements remote.Owner. A forced flight then removes what is in memory, whatever becomes of
// its result: its callers are about to see something newer.
func (s *storeJob[K, V]) Seal() bool {
	if !s.c.flights.Seal(s.f) {
		return false
	}
	s.c.flights.Unseal(s.f)
	if s.fetch.Force {
		s.Forget()
	}
	return true
}

// Forget implements remote.Owner.
func (s *storeJob[K, V]) Forget() { s.c.forget(&s.f.Key, s.fetch.Key) }

// Waits implements remote.Owner. A flight that waits for another process does not count for
// WithFetchLimit.
func (s *storeJob[K, V]) Waits() {
	if s.waits != nil {
		s.waits()
	}
	s.f.Job.ctx.within.Place.Lend()
}

// Waited implements remote.Owner.
func (s *storeJob[K, V]) Waited() { s.f.Job.ctx.within.Place.Retake() }

// A sharedCopy is a value that all callers of a flight get, decoded by the first of them. It is for
// values of a flat type: no caller can change it for another.
type sharedCopy[V any] struct {
	once  sync.Once
	value V
	err   error
}

// get returns the copy, which decode makes if it is not made yet. If decode exits its caller's
// goroutine, that is the error of the others.
func (s *sharedCopy[V]) get(c *core, decode func(*V) error) (V, error) {
	s.once.Do(func() {
		gone := &PanicError{Goexit: true, In: "WithCodec", Loader: c.name}
		s.err = &CodecError{Loader: c.name, Op: "Unmarshal", Codec: c.codec.Name(), Err: gone}
		s.err = decode(&s.value)
	})
	return s.value, s.err
}

// storeOutcome returns a caller's answer of a flight over a store that is over, and how it counts.
// numCounters means that it has been counted. ok is false if the outcome is not for this caller.
func (c *engine[K, V]) storeOutcome(l *lookup[K, V], f *flight.Flight[tier.Key[K], job[K, V]], as counter) (a answer[V], n counter, ok bool) {
	s := f.Job.stored
	err := f.Err()
	if only, ok := err.(*remote.RestrictedError); ok { //nolint:errorlint // it is never wrapped
		if err = only.Err; l.began >= only.Before {
			if only.IfDown {
				l.spare = &spare[K, V]{f, err, as}
			}
			return a, as, false
		}
	}
	if err == nil && s.fetch.Found != nil {
		a, ok = c.openRecord(l, s.fetch.Found, nil, s.shared)
		return a, numCounters, ok
	}
	return c.take(f, err, as), as, true
}

// take returns a caller's answer of the result of a flight. Every caller but the first gets a copy
// of its own, unless values are shared. If the codec cannot make copies, what a caller gets must not
// depend on who else waits: everybody gets the value as in memory, a clone if there is WithClone.
// The first one gets a clone too, since the others may still be cloning when it changes its own.
func (c *engine[K, V]) take(f *flight.Flight[tier.Key[K], job[K, V]], err error, as counter) (a answer[V]) {
	s, r := f.Job.stored, &f.Job.result
	switch {
	case err != nil:
		a.err = err
	case as == fetched || c.remote.HasMemory() || !s.copies || !c.copy(s, &a.value):
		if a.value, a.err = c.cloned(r.entry.Value); a.err != nil {
			var zero V
			a.value = zero
		}
	}
	return a
}

// copy sets *v to a copy of the result of a flight. If the codec cannot make one, it returns false,
// and the first time reports that.
func (c *engine[K, V]) copy(s *storeJob[K, V], v *V) bool {
	var err error
	if s.shared != nil {
		*v, err = s.shared.get(&c.core, func(v *V) error { return c.decode(&s.rec, v) })
	} else {
		err = c.decode(&s.rec, v)
	}
	if err != nil && s.told.CompareAndSwap(false, true) {
		c.fault(&s.f.Job.ctx, s.f.Job.key, err)
	}
	return err == nil
}
