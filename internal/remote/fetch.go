package remote

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/record"
)

// A Fetch is what a flight does in the store. The flight calls, in this order:
//
//	Acquire    the right to call the fetch function, or the reason why it is not called
//	Watch      just before the function
//	Commit     to store the result, or Remember to store its error
//	Close      gives back what is left
//	Outcome    says who may have the result
//
// GiveUp may come at any time, from any goroutine. The other methods are for the flight's goroutine
// alone.
//
// # Who may have the outcome
//
// That is decided by when things began, as [Client.Now] orders them. A value that was stored under a
// lease is for everyone who joined the flight: had it been invalidated, the commit would have been
// refused. A value that was not stored may be older than an invalidation that came after the
// function was called. It is only for callers whose Get began before that call. A record found by
// asking for the lease is only for those whose Get began before the ask was sent.
type Fetch struct {
	Client *Client
	Owner  Owner
	Ctx    context.Context // ends when nobody waits for the flight any more
	Values context.Context // for commands; never ends
	Key    string
	Seen   string // the Version of a record that is there and of no use; "" = none
	Budget Budget
	Force  bool // the value is to be newer than this call, whatever the key holds
	Aside  bool // the value is not to be stored
	Stays  bool // nor is it if the record of Seen is still there

	// Tags has what a read noted that preceded the flight, or is nil. It saves Watch a command.
	Tags *TagWatch

	// What Acquire has found.
	Found *Entry // the record that the store has after all, or nil
	Err   error  // why the function is not called, if Found is nil
	Fill  FillToken
	Sent  int64 // when the commit was sent, by the clock of memory: the record's life begins after it

	// Fault is why the result cannot be stored: the store, or the root package, sets it.
	Fault error

	distrusts bool // the store has answered with a tombstone that no process leaves

	lease   lease
	leased  bool
	noLease bool // it goes on without a lease, though the store answers
	down    bool // it goes on without the store, which does not answer
	called  bool
	started Moment // just before the function was called
	before  Moment // the outcome is for Gets that began before
}

// An Owner is the flight of a Fetch. Its methods are called on the flight's goroutine.
type Owner interface {
	// Usable reports whether a record may be served. It counts what is wrong with it, and sets
	// its field Stays.
	Usable(*Entry) bool

	// Seal ends the joining of the flight. It returns false if the flight was discarded.
	Seal() bool

	// Forget removes the key from memory in front of the store, and discards no flight.
	Forget()

	// StoreFailed is told of a fault that does not keep the flight from going on.
	StoreFailed(error)

	// Waits is told that the flight is about to wait for another process, and Waited that this is over.
	// Both may be told again. Waited may wait too, until the Ctx of the Fetch ends.
	Waits()
	Waited()
}

// Init makes f ready once its exported fields are set. It is called before the flight starts.
func (f *Fetch) Init() {
	f.before = never
	f.lease.c, f.lease.key, f.lease.values = f.Client, f.Key, f.Values
}

// An ElsewhereError is the error of a fetch in another process, which was remembered.
type ElsewhereError struct{ Text string }

func (e *ElsewhereError) Error() string { return e.Text }

// Acquire gets the right to call the fetch function, and returns true. It returns false if the
// function need not or must not be called: then Found or Err is set. It blocks while another
// process fetches the key, for as long as the Config says or until Ctx ends.
func (f *Fetch) Acquire() bool {
	f.Fill = f.Client.FillToken(f.Key)
	switch {
	case f.Aside, f.Stays && !f.Force:
		f.noLease = true
		return true
	case f.Client.leaser != nil:
		return f.acquire()
	case f.Client.Guard != nil:
		return f.waitForGuard(f.lookAgain)
	default:
		return true
	}
}

// acquire asks for the lease until it has it, or need not have it.
func (f *Fetch) acquire() bool {
	w := waiting{until: time.Now().Add(f.Client.Wait)}
	defer w.stop()
	a := f.lease.ask(f.Seen, f.Force)
	full := f.Budget
	for {
		sent, at, asked := time.Now(), f.Client.Clock.Now(), f.Client.Now()
		claim, err := f.send(a)
		if err != nil {
			return f.unanswered("Acquire", a.Token, err)
		}
		switch claim.State {
		case driver.Won:
			if f.leased = f.lease.grant(claim.Token, sent, a.Lease); !f.leased {
				f.Err = context.Canceled // nobody waits any more
				return false
			}
			return f.Client.Guard == nil || f.waitForGuard(nil)
		case driver.Hit:
			if done, call := f.found(&claim, at, asked); done {
				return call
			}
			if done, call := f.askAgain(&w); done {
				return call
			}
			a.Seen, a.Force = f.Seen, f.Force || f.distrusts || w.useless == maxUseless
		default:
			f.Budget = full // waiting is not the store's time
			if done, call := f.await(&w, &claim); done {
				return call
			}
		}
	}
}

// send sends an ask. It does not end when the callers leave: the answer says what to give back.
func (f *Fetch) send(a driver.Ask) (driver.Claim, error) {
	return ask(f.Values, f.Client, &f.Budget, f.Key, func(ctx context.Context) (driver.Claim, error) {
		return f.Client.leaser.Acquire(ctx, f.Key, a)
	})
}

// unanswered goes on without the store, which does not answer, or makes that the callers' error. A
// token is given back, in case it was granted.
func (f *Fetch) unanswered(op, token string, err error) bool {
	if token != "" && !errors.Is(err, errSkipped) {
		f.lease.abort(token)
	}
	if f.Ctx.Err() != nil {
		f.Err = context.Canceled // nobody waits any more
		return false
	}
	f.down = true
	bad := fault(op, err)
	f.Owner.StoreFailed(bad)
	if f.Client.FailClosed {
		f.Err = bad
		return false
	}
	return true
}

// found looks at the record that the store has answered with, instead of granting the lease. done
// is false if the lease is to be asked for again.
func (f *Fetch) found(claim *driver.Claim, sent int64, asked Moment) (done, call bool) {
	if claim.Record.Tombstone {
		return f.foundTombstone(claim, asked)
	}
	got := Entry{Record: claim.Record, Fill: f.Fill, Sent: sent}
	if !claim.Whole {
		var err error
		got, err = f.Client.readAlone(f.Values, &f.Budget, f.Key)
		switch {
		case errors.Is(err, driver.ErrMiss):
			return false, false
		case err != nil:
			return true, f.unanswered("Get", "", err)
		}
	} else if err := f.Client.readTagsOf(f.Values, &f.Budget, &got); err != nil {
		return true, f.unanswered("GetMany", "", err)
	}
	ttl := got.Record.TTL
	hasEnded := 0 < ttl && ttl <= time.Duration(f.Client.Clock.Now()-got.Sent)
	if hasEnded || got.Record.Version == f.Seen || !f.Owner.Usable(&got) {
		f.Seen, f.noLease = got.Record.Version, got.Stays
		return f.noLease, f.noLease
	}
	f.Found, f.before = &got, asked
	return true, false
}

// foundTombstone looks at what another process has just found out. done is false if no process
// leaves such a tombstone. Since the store would answer with it again, the next ask is by force.
func (f *Fetch) foundTombstone(claim *driver.Claim, asked Moment) (done, call bool) {
	got := Entry{Record: claim.Record}
	got.parse(time.Now())
	switch kind := got.Parsed.Kind; {
	case got.Bad == nil && kind == record.Failed && claim.Record.TTL < driver.Forever && f.Client.remembers(got.Parsed.Payload):
		f.Err = &ElsewhereError{string(got.Parsed.Payload)}
		f.before = asked
		return true, false
	case got.Bad == nil && kind >= record.Skipped && claim.Record.TTL < driver.Forever:
		f.noLease = true
		return true, true
	}
	got.Bad = cmp.Or(got.Bad, errTombstone)
	f.Owner.Usable(&got) // counts it
	f.distrusts = true
	return false, false
}

// remembers reports whether the error of a text is remembered in this process.
func (c *Client) remembers(text []byte) bool {
	return c.Remembers && (c.Knows == nil || c.Knows(string(text)))
}

// errTombstone says why a tombstone is of no use.
var errTombstone = errors.New("a tombstone that holds a value or never ends")

// Watch notes what the result of the function, which is about to be called, must not outlive.
func (f *Fetch) Watch() {
	f.called = true
	if !f.down && !f.Aside {
		f.Tags, f.Fault = f.Client.watchTags(f.Values, &f.Budget, f.Tags)
	}
	f.started = f.Client.Now()
}

// Called reports whether Watch was called.
func (f *Fetch) Called() bool { return f.called }

// GiveUp says that nobody waits for the flight any more: its lease is given back in the background,
// so that other processes need not wait for it either.
func (f *Fetch) GiveUp() { f.lease.giveUp() }

// Close gives back what was not committed.
func (f *Fetch) Close() { f.lease.close() }

// ForEarlier makes the outcome one for callers whose Get began before the function was called.
func (f *Fetch) ForEarlier() { f.before = f.started }

// ForAll makes the outcome, which is an error, one for everyone.
func (f *Fetch) ForAll() { f.before, f.down, f.noLease = never, false, false }

// A RestrictedError is the error of a flight whose outcome is only for callers whose Get began
// before a Moment. Err is their error. It never reaches a user. A flight that was given up may still
// run and write its Fetch. Since the restriction is in the flight's error, its callers do not read
// the Fetch.
type RestrictedError struct {
	Before Moment
	IfDown bool // it is for the others too, if the store does not answer them either
	Err    error
}

func (r *RestrictedError) Error() string { return "zodiac: not for every caller" }

// Outcome returns err as the error that the flight gives to its callers.
func (f *Fetch) Outcome(err error) error {
	switch {
	case f.called && f.down:
		return &RestrictedError{f.started, true, err}
	case f.called && f.noLease:
		return &RestrictedError{f.started, false, err}
	case f.before != never:
		return &RestrictedError{f.before, false, err}
	default:
		return err
	}
}
