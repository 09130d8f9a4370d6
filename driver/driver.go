// Package driver defines the contract that stores and guards implement.
//
// Most programs use package redisstore or memstore, and never need this one. A program that keeps
// its values elsewhere implements [Store], passes it to zodiac.WithStore, and checks it with
// package storetest.
//
// # Abilities
//
// Store is small on purpose. A store that can do more implements further interfaces of this
// package. Loaders find them by type assertion, and do without what is missing:
//
//   - [Leaser]: one fetch of a key in all processes, and no stale write after an invalidation.
//     Without it, these hold within each process only.
//   - [Batcher]: many keys in one round trip. Without it, there is a call for each key.
//   - [DataReader]: reads that do not ask for the time left. Without it, Get is called.
//   - [Waker]: processes that wait for a lease are told when it ends. Without it, they poll.
//   - [Bus]: processes with memory in front of the store are told about invalidations.
//     Without it, that memory keeps an entry for a second at most.
//
// # Errors
//
// Methods return the errors of whatever is behind them as they are. Loaders add the name of the
// loader and of the operation. An error leaves open whether the operation was carried out, now or
// later, unless a comment says otherwise.
package driver

import (
	"context"
	"errors"
	"math"
	"time"
)

// ErrMiss is returned by the Get methods of a [Store] for a key that is absent.
var ErrMiss = errors.New("zodiac: miss: the store has no record of this key")

// Forever is the time to live of a record that never expires.
const Forever time.Duration = math.MaxInt64

// A Store keeps records under string keys where other processes find them: in Redis, in a file, in
// a table. One Store may serve any number of loaders, which use different keys.
//
// A Store is safe for concurrent use. It neither keeps nor changes the Data it is given. The Data
// it returns belongs to the caller.
//
// A key is absent if it holds only a lease (see [Leaser]), a record past its time, or a tombstone
// (see [Record]). An absent key is absent to every operation: Get misses it. Add stores, and
// revokes the lease. Delete revokes the lease and does not count the key. Expire returns false and
// changes nothing. Clear does not count it.
//
// Methods return soon after ctx has ended. Keys are never empty, and are at most about 1,500 bytes
// long. A time to live is at least a millisecond; a store may cut it to whole milliseconds. A
// shorter or negative one is an error and changes nothing.
type Store interface {
	// Get returns the record of key, or ErrMiss.
	Get(ctx context.Context, key string) (Record, error)

	// Set stores r whatever the key holds, and revokes a lease on key. It uses r.Data and
	// r.TTL only.
	Set(ctx context.Context, key string, r Record) error

	// Add is Set if key is absent. Otherwise it changes nothing, revokes nothing, and returns
	// false.
	Add(ctx context.Context, key string, r Record) (bool, error)

	// Expire gives the record of key a new time to live, longer or shorter, and returns true.
	// It returns false if key is absent. It does not touch a lease, and does not change the
	// record's Version.
	Expire(ctx context.Context, key string, ttl time.Duration) (bool, error)

	// Delete removes keys, revokes leases on them, and returns how many records there were.
	// Calling it without keys is no error.
	Delete(ctx context.Context, keys ...string) (int, error)

	// Clear removes all records whose keys begin with prefix, and returns how many there were.
	// No character of prefix has a special meaning. Leases taken before are revoked but stay,
	// so that others go on waiting for their holders. Clear need not be atomic: of a key that
	// is written meanwhile the old record may go or the new one may stay.
	Clear(ctx context.Context, prefix string) (int, error)

	// Close frees what the Store itself has made. Later calls return errors.
	Close() error
}

// A Record is what a Store keeps under one key.
type Record struct {
	// Data is opaque to the Store. It may be empty.
	Data []byte

	// TTL is the lifetime of a record that is given to a store, counted from when it is
	// stored. Of a record that is returned, it is the time left, never more than there
	// really is. It may be Forever.
	TTL time.Duration

	// Version identifies one production of the record. The store sets it: it is never empty in
	// a record that is returned, and it changes with every Set, Add and Commit, but not with
	// Expire. Given to Commit, it is the Version of the record that the new one continues.
	Version string

	// Tombstone, given to Commit, says that the key is to be absent, and that only Acquire
	// returns the record. It tells processes that wait for the lease why there is no value, so
	// that they do not all find out by fetching one after the other.
	Tombstone bool
}

// A Batcher is a Store that reads and writes many keys at once.
type Batcher interface {
	// GetMany is Get for each of keys, which may repeat. Both results have the length of
	// keys, and the result for a key has the key's index.
	GetMany(ctx context.Context, keys []string) ([]Record, []error)

	// SetMany is Set for each of records. If some fail, the others are stored, and the error
	// names all that failed.
	SetMany(ctx context.Context, records map[string]Record) error
}

// A DataReader is a Store whose reads can be cheaper if nobody needs the time left.
type DataReader interface {
	// GetData is Get, but TTL may be 0, which means that the time left is not known.
	GetData(ctx context.Context, key string) (Record, error)

	// GetManyData is GetMany of [Batcher] with the same exception.
	GetManyData(ctx context.Context, keys []string) ([]Record, []error)
}
