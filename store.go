package zodiac

import (
	"context"
	"fmt"
	"time"
)

// A Store keeps records under string keys where other processes find them: Redis, a file, a table. [WithStore] puts one under
// a Loader; one Store may serve any number of Loaders, which keep out of each other's keys. Package storetest checks
// everything that is said here.
//
// A Store is safe for concurrent use. It keeps what it is given: it does not retain or change Data it was passed, and
// Data it returns belongs to the caller.
//
// A key that holds only a lease (see [Leaser]), a record past its time, or a mark (see Record), is absent to every
// operation: Get misses it; Add stores, and makes the lease void; Delete makes the lease void and does not count it; Expire is
// false and changes nothing; Clear does not count it.
//
// Methods return the errors of whatever is behind them as they are; the Loader says where they happened. An error leaves open
// whether the operation was carried out, now or later, unless a comment says otherwise. They return soon after ctx has ended.
// Keys are never empty, and at most some 1,500 bytes long. A time to live is at least a millisecond, and may be cut to whole
// ones; a shorter or negative one is an error, and changes nothing.
type Store interface {
	// Get returns the record of key, or ErrMiss.
	Get(ctx context.Context, key string) (Record, error)

	// Set stores r, whatever is there, and makes a lease on key void. It uses r's Data and TTL only.
	Set(ctx context.Context, key string, r Record) error

	// Add is Set if key is absent; otherwise it changes nothing and returns false. Only if it stores is a lease made void.
	Add(ctx context.Context, key string, r Record) (bool, error)

	// Expire gives the record of key a new time to live, longer or shorter, and returns true; or false if key is absent. It
	// touches no lease, and does not change the record's Version.
	Expire(ctx context.Context, key string, ttl time.Duration) (bool, error)

	// Delete removes keys, makes leases on them void, and returns how many records there were. No keys are no error.
	Delete(ctx context.Context, keys ...string) (int, error)

	// Clear removes all records whose keys begin with prefix, and returns how many there were. No character of prefix has a
	// meaning. Leases taken before stay, so that others go on waiting for them, but are void. It need not be atomic: of a key
	// written meanwhile the old record may go or the new one may stay.
	Clear(ctx context.Context, prefix string) (int, error)

	// Close frees what the Store itself has made. Calls after it are errors.
	Close() error
}

// A Record is what a Store keeps under one key.
type Record struct {
	// Data is opaque to the Store. It may be empty.
	Data []byte

	// TTL is how long the record lives: given, from when it is stored; returned, what is left, never more than there really is;
	// or Forever.
	TTL time.Duration

	// Version tells one production of the record from another: it is the store's, never empty in a record returned, and another
	// after every Set, Add and Commit, but not after Expire. Given to Commit, it is that of the record which this one continues.
	Version string

	// Mark says, given to Commit, that nothing is to be found under the key, and only those who ask for its lease get to see the
	// record, so that they need not wait for each other to find out the same.
	Mark bool
}

// A Leaser is a Store that lends the right to produce the value of a key. Without it each process fetches a key of its own
// accord and stores it with Add; what is promised about invalidations then holds within one process only.
//
// A lease is on a key, whether or not that has a record, which stays readable. It is live while it has a token and its time
// is not over. It becomes void by Set, Delete and Clear, by an Add that stores, and by anything that removes the key behind
// the Store's back: nothing can be stored under it any more. After Clear it still counts as live to those who ask for it, until
// its holder ends it or its time is over; otherwise it is gone, and nobody waits for it. The time left of a lease never grows but by Renew.
type Leaser interface {
	// Acquire asks for the lease on key.
	//
	// Repeated with the token of an ask that was granted before, it returns the same grant, if that is live and not void;
	// otherwise it is like a new ask. So a copy of an ask that arrives late never brings a token back to life that was given up.
	Acquire(ctx context.Context, key string, ask Ask) (Claim, error)

	// Renew makes a lease that is live, void or not, end p from now if that is later, and returns true. False means that it is
	// lost: not of this token, or past its time.
	Renew(ctx context.Context, key, token string, p time.Duration) (bool, error)

	// Commit stores r under the lease, ends that, and returns true; or returns false and stores nothing if the lease is not of
	// this token, or void. Whether its time is over does not matter while nobody else took it. A second Commit of
	// a token stores nothing; it returns true if what the first one stored is still there. A void lease ends.
	//
	// If r is a Mark, the key holds no record afterwards, an old one goes too. If r has a Version, it continues the record of that
	// Version and ends when that one would have; if that is not there, the lease ends, and Commit returns false and stores nothing. A
	// store that cannot do this goes by TTL, which is what was left when it was read.
	Commit(ctx context.Context, key, token string, r Record) (bool, error)

	// Abort ends the lease of a token and returns whether it was live and not void. A record that is there stays as it is. The
	// token may also be the one asked with, if the Acquire's outcome is unknown: then every grant of it ends.
	Abort(ctx context.Context, key, token string) (bool, error)
}

// An Ask is what one asks of Acquire.
type Ask struct {
	Token string        // new for every lease, 16 to 64 letters, digits, '-' and '_'
	Lease time.Duration // how long the lease is to be
	Seen  string        // the Version of the record to be produced anew; "" = only if the key is absent
	Force bool          // take the lease from whoever has it, and whatever the key holds
}

// A ClaimState is the answer to an Ask.
type ClaimState uint8

// The answers.
const (
	Won  ClaimState = iota + 1 // the lease is the asker's
	Busy                       // another has it
	Hit                        // there is a record that the asker has not seen
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
	Token  string        // Won: for Renew, Commit and Abort. It is not the one asked with
	Holder string        // Busy: tells one lease from another
	Left   time.Duration // Busy: the time left of that lease
	Record Record        // Hit: its Version and Mark, and if Whole its Data and TTL
	Whole  bool          // Hit: the Record is complete; otherwise Get it. Marks always are
}

// A DataReader is a Store that can be cheaper to read if nobody wants to know the time left. Without it, Get is called.
type DataReader interface {
	// GetData is Get, but TTL may be 0, which means that it is not known.
	GetData(ctx context.Context, key string) (Record, error)

	// GetManyData is likewise Batcher's GetMany.
	GetManyData(ctx context.Context, keys []string) ([]Record, []error)
}

// A Batcher is a Store that reads and writes many keys in one go. Without it there is one call per key.
type Batcher interface {
	// GetMany is Get for each of keys, which may repeat: the results are at the keys' places. Both have the length of keys.
	GetMany(ctx context.Context, keys []string) ([]Record, []error)

	// SetMany is Set for each of records. If some fail, the error tells of all, and the others are stored.
	SetMany(ctx context.Context, records map[string]Record) error
}

// A Waker is a Store that can tell when a lease ends. Without it, those who wait for a lease ask again and again, after 2 to
// 50 milliseconds.
type Waker interface {
	// Wake returns a channel that receives when a live lease on key has ended by Commit, Abort or a write, or may have ended, at any
	// time after Acquire was called with Wake's channel at hand and answered Busy; and a function to be called once that is
	// no longer of interest. It does not block, and reports no errors: to be told is a hint, which may be late, lost, or wrong.
	Wake(ctx context.Context, key string) (<-chan struct{}, func())
}

// An Announcer is a Store that tells all processes what was invalidated. Without it, memory in front of a store keeps an entry
// for at most a second.
type Announcer interface {
	// Announce tells all subscribers, those of this process included.
	Announce(ctx context.Context, a Announcement) error

	// Subscribe calls fn, one call at a time, for every Announcement made after Subscribe has returned. fn does not block. The
	// last call may be one with Gap set: then announcements may have been lost, and to hear more one subscribes again. This must
	// come within two seconds of the loss. stop ends the subscription, and no call runs or begins once it has returned; it must
	// not be called by fn.
	Subscribe(ctx context.Context, fn func(Announcement)) (stop func(), err error)
}

// An Announcement says what was invalidated.
type Announcement struct {
	Keys   []string // which keys, in whatever form the one who announces writes them
	Prefix string   // if not empty: all keys that begin with it
	Gap    bool     // announcements may have been lost, and no more will come
}

// A Guard lends the right to produce the value of a key from somewhere else than the Store: see [WithGuard] and package lease.
// It is safe for concurrent use.
type Guard interface {
	// TryAcquire tries once, and returns false if another has the right. The right ends by itself after p. An error
	// means that the Guard cannot tell.
	TryAcquire(ctx context.Context, key string, p time.Duration) (Held, bool, error)
}

// A Held is a right that a Guard has lent.
type Held interface {
	// Extend makes the right end p from now. False means that it is lost.
	Extend(ctx context.Context, p time.Duration) (bool, error)

	// Release gives the right back. It is called once.
	Release(ctx context.Context) error
}
