package driver

import (
	"context"
	"fmt"
	"time"
)

// A Leaser is a Store that lends the right to fetch the value of a key.
//
// A lease is on a key, whether or not the key has a record. A record stays readable under a lease.
// Record and lease have their own times, and the end of one leaves the other as it is.
//
// A lease is live from its grant until Commit or Abort ends it, another Ask takes it by Force, or
// its time is over. The time left of a lease grows by Renew only.
//
// A lease is revoked by Set, by Delete, by Clear, by an Add that stores, and by anything that
// removes the key behind the Store's back. Nothing can be stored under a revoked lease. A lease
// that Clear has revoked still counts as live to Acquire, until its holder ends it or its time is
// over. A lease that anything else has revoked is gone, and nobody waits for it.
type Leaser interface {
	// Acquire asks for the lease on key. The first of these that applies is the answer:
	//
	//   - Won, with the same Token as before, if the lease was granted to an Ask with this Token,
	//     is live, and is not revoked. A repeated Ask does not lengthen the lease.
	//   - Won, if ask.Force is set. The lease is taken from its holder, and a record stays.
	//   - Hit, if there is a record of another Version than ask.Seen, or a tombstone.
	//   - Busy, if the lease is live.
	//   - Won, with a Token that was never granted before.
	//
	// A copy of an Ask that arrives late may win a lease, but never revives a Token that was
	// given up.
	Acquire(ctx context.Context, key string, ask Ask) (Claim, error)

	// Renew makes a live lease, revoked or not, end p from now if that is later, and returns
	// true. Renew returns false and changes nothing if the lease is lost: key has no lease with
	// that token, or the time of the lease is over. A p under a millisecond is an error.
	Renew(ctx context.Context, key, token string, p time.Duration) (bool, error)

	// Commit stores r under the lease, ends the lease, and returns true.
	//
	// Commit stores nothing and returns false if key has no lease with that token. If the lease
	// was revoked, Commit stores nothing, ends the lease, and returns false.
	//
	// A lease whose time is over is still good as long as nobody else has taken it. But if key
	// has no record, the store may have forgotten such a lease. Then Commit returns false.
	//
	// A second Commit of a token stores nothing and leaves a later lease alone. It returns true
	// if what the first one stored is still there.
	//
	// If r is a Tombstone, the key is absent afterwards, and an old record is removed.
	//
	// If r has a Version, r continues the record of that Version, and ends when that one would
	// have. If key has no such record, Commit stores nothing, ends the lease, and returns
	// false. A store that cannot do this uses r.TTL, the time that was left when the
	// record was read.
	Commit(ctx context.Context, key, token string, r Record) (bool, error)

	// Abort ends the lease with that token, and returns whether it was live and not revoked.
	// Abort leaves a record of the key as it is. Abort returns false and changes nothing if key
	// has no lease with that token.
	//
	// The token may also be the one in the Ask, if the outcome of Acquire is unknown: then
	// every grant of that Ask ends.
	Abort(ctx context.Context, key, token string) (bool, error)
}

// An Ask is what Acquire is asked for.
type Ask struct {
	Token string        // new for every lease: 16 to 64 letters, digits, '-' and '_'
	Lease time.Duration // how long the lease is to last, at least a millisecond
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
	State ClaimState

	// Token, if Won, is for Renew, Commit and Abort. It is not the token of the Ask.
	Token string

	// Holder, if Busy, tells one lease from another. It is never empty.
	Holder string

	// Left, if Busy, is the time left of that lease.
	Left time.Duration

	// Record, if Hit, has its Version and Tombstone set, and if Whole also its Data and TTL.
	Record Record

	// Whole, if Hit, says that Record is complete. If it is not, loaders call Get. A tombstone
	// is always Whole.
	Whole bool
}

// A Waker is a Store that can tell when a lease ends. Without it, a process that waits for a lease
// asks again every 2 to 50 milliseconds.
type Waker interface {
	// Wake returns a channel, and a function to call when the channel is no longer needed. Each
	// call of Wake has a channel of its own.
	//
	// The channel receives a value when a live lease on key, revoked or not, has ended by
	// Commit, Abort or a write, provided that Wake was called before an Acquire that answered
	// Busy. A wake-up is a hint. It may be late, lost or wrong.
	//
	// Wake does not block and reports no errors. The end of ctx does not end the wait.
	Wake(ctx context.Context, key string) (<-chan struct{}, func())
}
