package zodiac

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/flight"
)

// everyone is later than every Get: see sharing.
const everyone = math.MaxUint64

// A sharing is what a flight over a store has beyond one in memory. Its methods do what does not depend on the types.
//
// Who may have its outcome is decided by when things began, counted by core.order: what was fetched without a fence may be older
// than an invalidation, and so is only for those whose Get began before the function was called.
type sharing struct {
	c      *core
	of     any // the key, for events
	kind   flight.Kind
	ctx    *fetchContext
	sinks  []*counters
	failed time.Duration // WithErrorTTL
	waits  func()        // see getting

	key, full string // of the store
	budget    budget
	seen      string // the Version of a record that is there, but not wanted
	before    uint64 // Gets that began before that may have the outcome
	lease     lease
	leased    bool
	unfenced  bool   // it goes on without a lease, though the store answers
	down      bool   // it goes on without the store, which does not answer
	got       *found // the record that the store has after all, or nil
	err       error  // why the function is not called, if got is nil

	fetched bool   // the function was called
	started uint64 // just before
	tags    tagWatch
	data    []byte // the record of the result
	fault   error  // why it cannot be stored

	mark  fillMark // these are as they were before the lease was asked for
	epoch uint64   // of tags in this process
	sent  int64
}

// obtain gets the right to call the function, or finds out that this need not be, or must not be: then it returns false, and
// what callers get is in the result.
func (s *sharing) obtain() bool {
	s.mark, s.epoch, s.sent = s.c.mark(s.key), s.c.tags.epoch.Load(), s.c.clock.Now()
	switch {
	case s.kind == flight.Aside:
		s.unfenced = true
		return true
	case s.c.remote.leaser != nil:
		return s.acquire()
	case s.c.remote.guard != nil:
		return s.waitForGuard(s.lookAgain)
	default:
		return true
	}
}

// acquire asks for the lease until it has it, or need not have it.
func (s *sharing) acquire() bool {
	w := waiting{until: time.Now().Add(s.c.remote.wait)}
	defer func() {
		if w.unwake != nil {
			w.unwake()
		}
	}()
	ask := s.lease.ask(s.seen, s.kind == flight.Forced)
	full := s.budget
	for {
		sent, at, asked := time.Now(), s.c.clock.Now(), s.c.order.Add(1)
		claim, err := s.askFor(ask)
		if err != nil {
			return s.unanswered("Acquire", ask, err)
		}
		switch claim.State {
		case Won:
			if s.leased = s.lease.grant(claim.Token, sent, ask.Lease); !s.leased {
				s.err = context.Canceled // nobody waits any more
				return false
			}
			return s.c.remote.guard == nil || s.waitForGuard(nil)
		case Hit:
			if met, fetch := s.meet(&claim, at, asked); met {
				return fetch
			}
			ask.Seen = s.seen
		default:
			s.budget = full
			if met, fetch := s.await(&w, &claim); met {
				return fetch
			}
		}
	}
}

// askFor sends an ask. The caller's leaving does not end it: the answer says what there is to give back.
func (s *sharing) askFor(a Ask) (Claim, error) {
	return ask(s.lease.values, s.c.remote, &s.budget, func(ctx context.Context) (Claim, error) {
		return s.c.remote.leaser.Acquire(ctx, s.key, a)
	})
}

// unanswered goes on without the store, which does not answer, or makes that the callers' error.
func (s *sharing) unanswered(op string, a Ask, err error) bool {
	if a.Token != "" && !errors.Is(err, errSkipped) {
		s.lease.abort(a.Token)
	}
	if s.ctx.Err() != nil {
		s.err = context.Canceled // nobody waits any more
		return false
	}
	s.down = true
	bad := s.c.storeFault(s.ctx, s.of, op, err)
	if s.c.remote.closed {
		s.err = bad
		return false
	}
	return true
}

// meet looks at a record that the store has instead of lending the lease. met is false if the lease is to be asked for again.
func (s *sharing) meet(claim *Claim, sent int64, asked uint64) (met, fetch bool) {
	if claim.Record.Tombstone {
		return true, s.meetMark(claim, asked)
	}
	got := found{record: claim.Record, mark: s.mark, epoch: s.epoch, sent: sent}
	if !claim.Whole {
		var err error
		got, err = s.readAgain()
		switch {
		case errors.Is(err, driver.ErrMiss):
			return false, false
		case err != nil:
			return true, s.unanswered("Get", Ask{}, err)
		}
	} else if err := s.c.completeTags(s.lease.values, &s.budget, &got); err != nil {
		return true, s.unanswered("GetMany", Ask{}, err)
	}
	if got.record.Version == s.seen || !s.c.usableRecord(s.full, s.sinks, &got) {
		s.seen = got.record.Version
		return false, false
	}
	s.got, s.before = &got, asked
	return true, false
}

// readAgain reads the record that an answer told of.
func (s *sharing) readAgain() (found, error) {
	return s.c.readRecord(s.lease.values, &s.budget, s.key)
}

// meetMark looks at what another process has found out just now.
func (s *sharing) meetMark(claim *Claim, asked uint64) (fetch bool) {
	var rec record
	if err := parseRecord(claim.Record.Data, &rec); err == nil && rec.kind == recordErrorMark && s.failed != 0 {
		s.err = &RememberedError{errors.New(string(rec.payload))}
		s.before = asked
		return false
	}
	s.unfenced = true
	return true
}

// watch takes down what the result of the function, which is about to be called, must not outlive.
func (s *sharing) watch() {
	s.fetched = true
	if !s.down && s.kind != flight.Aside {
		var err error
		if s.tags, err = s.c.watchTags(s.lease.values, &s.budget); err != nil {
			s.fault = &StoreError{Loader: s.c.name, Op: "GetMany", Err: err}
		}
	}
	s.started = s.c.order.Add(1)
}

// commit stores a record under the flight's lease; or, where there are none, if nobody else has stored one.
func (s *sharing) commit(rec Record) (bool, error) {
	r := s.c.remote
	token, live := s.lease.end()
	if r.leaser == nil {
		return s.storeBare(rec)
	}
	if token == "" {
		return false, nil
	}
	if !live {
		s.lease.abort(token)
		return false, nil
	}
	ok, err := ask(s.lease.values, r, &s.budget, func(ctx context.Context) (bool, error) {
		return r.leaser.Commit(ctx, s.key, token, rec)
	})
	if err != nil {
		s.lease.abort(token)
	}
	return ok, err
}

// storeBare stores a record in a store that lends no leases.
func (s *sharing) storeBare(rec Record) (bool, error) {
	r := s.c.remote
	replaces := s.kind == flight.Forced || s.seen != ""
	return ask(s.lease.values, r, &s.budget, func(ctx context.Context) (bool, error) {
		switch {
		case rec.Tombstone && !replaces:
			return true, nil
		case rec.Tombstone:
			_, err := r.store.Delete(ctx, s.key)
			return err == nil, err
		case replaces:
			err := r.store.Set(ctx, s.key, rec)
			return err == nil, err
		default:
			return r.store.Add(ctx, s.key, rec)
		}
	})
}

// skipMark returns what tells other processes that what is fetched may not be stored, so that they need not wait for each other
// to find that out.
func (s *sharing) skipMark() Record {
	rec := record{kind: recordSkipMark, created: s.c.clock.Time(s.c.clock.Now())}
	return Record{Data: rec.appendTo(nil), TTL: min(s.c.remote.lease, firstGrant), Tombstone: true}
}

// checkTags refuses a result if one of its tags was deleted since the fetch began, or may have been: then it returns false, also of a
// result that is not to be stored anyway. This comes after the seal: nobody joins any more, so whoever has joined began before
// such a deletion had returned.
func (s *sharing) checkTags(v *verdict) (fresh bool) {
	if len(s.c.own) == 0 && !s.c.tagged {
		return true
	}
	if _, unknown := errors.AsType[*StoreError](s.fault); unknown {
		return false
	}
	current, err := s.c.current(s.lease.values, &s.budget, &s.tags)
	switch {
	case *v != store || s.fault != nil:
	case err != nil:
		s.fault = &StoreError{Loader: s.c.name, Op: "GetMany", Err: err}
	case !current:
		*v = refuse
	}
	return err == nil && current
}

// A fate is what became of a result that was to be stored.
type fate uint8

const (
	fateStored   fate = iota
	fateVoid          // an invalidation came in between
	fateUnstored      // it could not be stored
	fateMarked        // it was noted that it may not be stored
)

// settle stores the result of a sealed flight, or notes for other processes that it may not be stored. v says what was found out
// about the result, and life how long it lives.
func (s *sharing) settle(v *verdict, life time.Duration) fate {
	fresh := s.checkTags(v)
	rec := Record{Data: s.data, TTL: life}
	mark := *v == skip || *v == drop || s.kind == flight.Forced && (*v != store || s.fault != nil)
	if mark {
		rec = s.skipMark()
	} else if *v != store || s.fault != nil { // what is there is no older than who may have this
		s.before = s.started
		return fateUnstored
	}
	ok, err := s.commit(rec)
	if err != nil {
		_ = s.c.storeFault(s.ctx, s.of, "Commit", err) // the caller has the value
	}
	if !ok || err != nil {
		s.before = s.started
		if err != nil {
			return fateUnstored
		}
		return fateVoid
	}
	if s.before = everyone; !fresh { // the store's fence knows nothing of tags
		s.before = s.started
	}
	if s.kind == flight.Forced {
		_ = s.c.announceKeys(s.lease.values, &s.budget, s.key) // whoever did not hear it has what WithMemory allows
	}
	if mark {
		return fateMarked
	}
	return fateStored
}

// remember notes an error for all processes. What is there stays.
func (s *sharing) remember(err error, began int64, life time.Duration) {
	if s.kind == flight.Forced || s.seen != "" {
		return
	}
	rec := record{kind: recordErrorMark, created: s.c.clock.Time(began), payload: []byte(err.Error())}
	if _, err := s.commit(Record{Data: rec.appendTo(nil), TTL: life, Tombstone: true}); err != nil {
		_ = s.c.storeFault(s.ctx, s.of, "Commit", err) // the caller has the function's error
	}
}

// An entitled is the error of an outcome that is only for Gets that began before; err is theirs. It never leaves the package. That it is
// an error lets those who wait for a flight that was given up, and runs on, know without a look at what that still writes.
type entitled struct {
	before uint64
	down   bool // for the others too, if the store does not answer them either
	err    error
}

func (e *entitled) Error() string { return "not for everyone" }

// outcome returns err as the error that a flight gives to its callers.
func (s *sharing) outcome(err error) error {
	switch {
	case s.fetched && s.down:
		return &entitled{s.started, true, err}
	case s.before != everyone:
		return &entitled{s.before, false, err}
	default:
		return err
	}
}
