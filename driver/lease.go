package driver

import (
	"context"
	"fmt"
	"time"
)

// A Leaser is a Store that lends the right to produce the value of a key.
//
// A lease is on a key, whether or not the key has a record. A record stays readable under a lease.
// A lease is live from its grant until it ends or its time is over. Set, Delete and Clear revoke
// it, and so does an Add that stores, and anything that removes the key behind the Store's back.
// Nothing can be stored under a revoked lease.
//
// A lease that Clear has revoked still counts as live to those who ask for it, until its holder
// ends it or its time is over. A lease that was revoked otherwise is gone, and nobody waits for it.
// The time left of a lease grows by Renew only.
type Leaser interface {
	// Acquire asks for the lease on key.
	//
	// An ask that is repeated with the token of a granted one returns the same grant, if that
	// is live and not revoked. Otherwise it is a new ask. So a copy of an ask that arrives late
	// never revives a token that was given up.
	Acquire(ctx context.Context, key string, ask Ask) (Claim, error)

	// Renew makes a live lease, revoked or not, end p from now if that is later, and returns
	// true. It returns false if the lease is lost: its token is another, or its time is over.
	Renew(ctx context.Context, key, token string, p time.Duration) (bool, error)

	// Commit stores r under the lease, ends the lease, and returns true. It stores nothing and
	// returns false if the lease has another token or was revoked; a revoked lease ends. That
	// the lease's time is over does not matter as long as nobody else has taken it. A second
	// Commit of a token stores nothing, and returns true if the record of the first one is
	// still there.
	//
	// If r is a Tombstone, the key is absent afterwards, and an old record is removed. If r
	// has a Version, r continues the record of that Version and ends when that one would
	// have. If that record is gone, the lease ends, and Commit stores nothing and returns
	// false. A store that cannot do this uses r.TTL, the time that was left when the record
	// was read.
	Commit(ctx context.Context, key, token string, r Record) (bool, error)

	// Abort ends the lease of a token, and returns whether it was live and not revoked. A
	// record of the key stays as it is. The token may also be the one in the Ask, if the
	// outcome of Acquire is unknown: then every grant of that Ask ends.
	Abort(ctx context.Context, key, token string) (bool, error)
}

// An Ask is what Acquire is asked for.
type Ask struct {
	Token string        // new for every lease: 16 to 64 letters, digits, '-' and '_'
	Lease time.Duration // how long the lease is to last
	Seen  string        // the Version of the record to replace; "" = only if the key is absent
	Force bool          // take the lease from its holder, whatever the key holds
}

// A ClaimState is the answer to an Ask.
type ClaimState uint8

// The answers to an Ask.
const (
	Won  ClaimState = iota + 1 // the lease is granted
	Busy                       // another holds it
	Hit                        // there is a record of another Version than Seen, or a tombstone
)

// String returns "won", "busy" or "hit".
func (s ClaimState) String() string {
	switch s {
	case Won:
		return "won"
	case Busy:
		return "busy"
	case Hit:
		return "hit"
	default:
		return fmt.Sprintf("ClaimState(%d)", uint8(s))
	}
}

// A Claim is what Acquire returns.
type Claim struct {
	State  ClaimState
	Token  string        // Won: for Renew, Commit and Abort; not the token of the Ask
	Holder string        // Busy: tells one lease from another
	Left   time.Duration // Busy: the time left of that lease
	Record Record        // Hit: Version and Tombstone, and if Whole also Data and TTL
	Whole  bool          // Hit: Record is complete; if not, Get it. A tombstone is always complete.
}

// A Waker is a Store that can tell when a lease ends. Without it, a process that waits for a lease
// asks again after 2 to 50 milliseconds, again and again.
type Waker interface {
	// Wake returns a channel, and a function to call when the channel is no longer needed. The
	// channel receives a value when a live lease on key has ended by Commit, Abort or a write,
	// provided that Wake was called before the Acquire that answered Busy. A wake-up is a
	// hint. It may be late, lost or wrong. Wake does not block and reports no errors.
	Wake(ctx context.Context, key string) (<-chan struct{}, func())
}

// A Guard lends the right to fetch a key from somewhere else than the Store: see zodiac.WithGuard
// and package lease. It is safe for concurrent use.
type Guard interface {
	// TryAcquire tries once. It returns false if another has the right. The right ends by
	// itself after p. An error means that the Guard cannot tell.
	TryAcquire(ctx context.Context, key string, p time.Duration) (Held, bool, error)
}

// A Held is a right that a Guard has lent.
type Held interface {
	// Extend makes the right end p from now. It returns false if the right is lost.
	Extend(ctx context.Context, p time.Duration) (bool, error)

	// Release gives the right back. It is called once.
	Release(ctx context.Context) error
}
