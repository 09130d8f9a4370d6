// Package driver defines the contract between loaders and the stores and guards under them.
//
// Most programs use package redisstore or memstore, and never need this one. A program that keeps
// its values elsewhere implements [Store], passes it to zodiac.WithStore, and checks it with
// package storetest. Begin with Store, the only interface that every store implements. Package
// memstore is the reference implementation.
//
// The package holds interfaces and the values that pass through them, and next to no code.
// A store sees keys as text and values as bytes. It knows nothing of the types, the codec and the
// settings of the loaders that use it.
//
// # Abilities
//
// Store is small on purpose. A store that can do more implements further interfaces of this
// package. Loaders find them by type assertion, and do without those that are missing:
//
//   - [Leaser]: one fetch of a key in all processes, and no stale write after an invalidation.
//     Without it, each process fetches for itself and stores the value with Add, or with Set if it
//     replaces a record. Then both promises hold within each process only.
//   - [Batcher]: many keys in one round trip, which tags need. Without it, there is a call for each key.
//   - [DataReader]: reads that do not ask for the time left. Without it, loaders call Get or
//     GetMany.
//   - [Waker]: processes that wait for a lease are told when it ends. Without it, they poll.
//   - [Sharder]: a part of the store that fails keeps loaders from asking that part only. Without it,
//     they leave the whole store alone.
//   - [Bus]: processes with memory in front of the store are told about invalidations.
//     Without it, that memory keeps an entry for a second at most.
//
// # Errors
//
// Methods return the errors of whatever is behind them as they are. [ErrRefused] says which of them
// make loaders leave the store alone. Loaders add the name of the
// loader and of the operation. An error leaves open whether the operation was carried out, now or
// later, unless a comment says otherwise.
package driver

import (
	"context"
	"errors"
	"math"
	"time"
)

// ErrMiss is returned by the methods that read a [Store], for a key that is absent. Loaders look
// for it with errors.Is.
var ErrMiss = errors.New("zodiac: miss: the store has no record of this key")

// Forever is the time to live of a record that never expires.
const Forever time.Duration = math.MaxInt64

// A Store keeps records under string keys where other processes find them: in Redis, in a file, in
// a table. One Store may serve any number of loaders, which use different keys.
//
// A Store is safe for concurrent use. A Store neither keeps nor changes the Data it is given. Data
// that a Store returns belongs to the caller.
//
// The type of a Store is comparable, as a pointer is. zodiac.WithStore refuses others.
//
// Keys are never empty, and are at most about 1,500 bytes long. Keys are compared byte by byte, and
// no character of a key has a special meaning.
//
// A time to live is anything from a millisecond to [Forever]. A store may cut it to whole
// milliseconds. A shorter or negative time to live is an error and changes nothing.
//
// A key is present while it has a record that has not expired. Any other key is absent, even if it
// holds a lease, an expired record, or a tombstone. [Leaser] explains leases, and [Record]
// tombstones. For every method but Acquire, an absent key has no record:
//
//   - Get returns ErrMiss.
//   - Set and Add store, and revoke a lease on the key.
//   - Expire returns false and changes nothing. It neither revives a record nor touches a lease.
//   - Delete and Clear revoke a lease on the key, remove a tombstone, and do not count the key.
//
// Methods return soon after ctx has ended.
type Store interface {
	// Get returns the record of key, or ErrMiss if key is absent.
	Get(ctx context.Context, key string) (Record, error)

	// Set stores r whatever the key holds, and revokes a lease on key. Set uses r.Data and
	// r.TTL only.
	Set(ctx context.Context, key string, r Record) error

	// Add is Set if key is absent, and returns true. If key is present, Add changes nothing,
	// revokes nothing, and returns false.
	Add(ctx context.Context, key string, r Record) (bool, error)

	// Expire gives the record of key a new time to live, longer or shorter, and returns true.
	// It returns false if key is absent. Expire does not touch a lease, and does not change
	// the record's Version.
	Expire(ctx context.Context, key string, ttl time.Duration) (bool, error)

	// Delete removes keys, revokes leases on them, and returns how many records there were. A
	// key that is given twice counts once. Calling Delete without keys is no error.
	Delete(ctx context.Context, keys ...string) (int, error)

	// Clear removes all records whose keys begin with prefix, no others, and returns how many
	// there were. No character of prefix has a special meaning.
	//
	// Leases taken before Clear are revoked but stay, so that others go on waiting for their
	// holders. Leases on other keys and leases taken after Clear are not revoked.
	//
	// Clear need not be atomic. A record that is written while it runs may go or stay. A Clear
	// that removes records in parts calls [Progress] after each part.
	Clear(ctx context.Context, prefix string) (int, error)

	// Close frees what the Store itself has made, such as connections and goroutines. After
	// Close, the methods above return errors other than ErrMiss.
	Close() error
}

// A Record is what a Store keeps under one key.
type Record struct {
	// Data is opaque to the Store. Data may be empty, which is different from no record.
	Data []byte

	// TTL is the time to live of a record that is given to a store, counted from when it is
	// stored. In a record that is returned, TTL is the time left, and never more than that.
	// Reading a record does not lengthen its life. A record with a TTL of Forever does not
	// expire.
	TTL time.Duration

	// Version tells one write of a key from another. Stores make their Versions themselves. A
	// Version is never empty in a record that is returned. Every Set, Add and Commit that
	// stores makes a new Version, even of equal Data. Expire does not.
	//
	// In a record given to Commit, Version is that of the record that this one continues.
	Version string

	// Tombstone, in a record given to Commit, says that the key becomes absent, and that only
	// Acquire returns the record. It tells processes that wait for the lease why there is no
	// value. Without it they would fetch one after the other to find out. A tombstone lives
	// for its TTL.
	Tombstone bool
}

// A Batcher is a Store that reads and writes many keys at once, in one round trip.
type Batcher interface {
	// GetMany is Get for each of keys, which may repeat. Both results have the length of
	// keys, and the result for a key has the key's index.
	GetMany(ctx context.Context, keys []string) ([]Record, []error)

	// SetMany is Set for each of records. If some fail, the others are stored, and the error is
	// a [KeyErrors] of exactly those that failed. Any other error leaves open which were stored.
	SetMany(ctx context.Context, records map[string]Record) error

	// EnsureMany sees to it that keys have records which live long enough, and returns these
	// records. The record with a key's index in min says how. If the key is absent, EnsureMany
	// is Add of that record. If the key has a record that ends before the TTL of that one, it
	// is Expire with that TTL. A key whose record in min is zero is only read: its error may be
	// ErrMiss.
	//
	// Keys do not repeat. Both results have the length of keys, and the result for a key has
	// the key's index. The last key is read after the others are done. One command of a
	// client is carried out at most once: a copy that arrives after a Delete would bring back
	// what was deleted.
	EnsureMany(ctx context.Context, keys []string, min []Record) ([]Record, []error)
}

// A DataReader is a Store whose reads can be cheaper if nobody needs the time left. Loaders that
// need it call Get and GetMany instead.
type DataReader interface {
	// GetData is Get, but TTL may be 0, which means that the time left is not known.
	GetData(ctx context.Context, key string) (Record, error)

	// GetManyData is GetMany of [Batcher], but each TTL may be 0.
	GetManyData(ctx context.Context, keys []string) ([]Record, []error)
}
