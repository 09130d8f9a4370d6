// Package memstore keeps zodiac's records in this process, as the bytes that Redis or a file would
// hold.
//
// It is a [driver.Store] with the abilities that make sense in one process. It serves where loaders
// share one budget of memory, where values must not be shared by pointer, and in tests. It needs no
// server, and its time is virtual under testing/synctest.
//
//	func main() {
//		ctx := context.Background()
//		store := memstore.New(memstore.WithCapacity(10_000))
//		defer store.Close()
//		users := zodiac.NewLoader(fetchUser,
//			zodiac.WithName("users"), zodiac.WithStore(store), zodiac.WithTTL(60))
//		defer users.Close(ctx)
//		fmt.Println(users.Get(ctx, 42)) // user 42 <nil>
//	}
//
//	func fetchUser(_ context.Context, id int64) (string, error) {
//		return fmt.Sprint("user ", id), nil // stands for a slow call
//	}
//
// # Capacity
//
// A Store holds a limited number of keys, and a limited number of bytes if that is set. A write
// that needs room removes expired keys first, then the keys that were used least recently, with
// their leases. To a loader this looks as if another client had deleted them. The holder of such
// a lease has its Commit refused. A process that waits for it asks again within 50 milliseconds.
//
// # Goroutines and timers
//
// A Store has no goroutines. One timer removes expired keys. It is armed only while a key is
// going to expire, and Close stops it. A Store that is not closed becomes garbage like any other
// value, as soon as its timer is not armed.
//
// # What it does not do
//
// Nothing survives the process, and nothing is shared with another one. A Store belongs to the
// synctest bubble in which it is made.
//
// # Where to start reading
//
// The package is the reference implementation of [driver.Store]. Read it beside the contract
// before you write a store. It knows package driver, and nothing of loaders, codecs or the
// meaning of keys.
//
// What a Store keeps under a key is a cell: a record, a lease, or both. Begin with cell.go, which
// says what a cell means at a given time. Then lease.go says how leases begin and end. Cells do not
// change: each operation puts a new cell in place of the old one, under one mutex.
package memstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/jellydator/ttlcache/v3"

	"github.com/zodiac-go/zodiac/driver"
)

var errClosed = errors.New("memstore: the store is closed")

// A Store is a [driver.Store] in this process. It is safe for concurrent use. Make one with [New].
//
// Methods never wait for anything but each other, and for subscribers that Publish calls. Clear
// looks at all keys. If ctx has ended, methods return its error and change nothing.
type Store struct {
	created  time.Time // all times count from here; monotonic, so the wall clock may change
	maxBytes uint64    // 0 = no limit

	// ttlcache has a mutex of its own, but it cannot compare and set. Striped locks around it would
	// gain nothing, because each operation then waits for ttlcache's only lock. Data is copied
	// outside mu.
	mu      sync.Mutex // guards the fields below
	closed  bool
	cells   *ttlcache.Cache[string, *cell]
	serial  uint64                                // of the last version or grant
	waiting map[string]map[chan struct{}]struct{} // channels of Wake by key; no empty inner maps
	janitor janitor

	subs subscribers // has a lock of its own
}

var (
	_ driver.Store   = (*Store)(nil)
	_ driver.Leaser  = (*Store)(nil)
	_ driver.Batcher = (*Store)(nil)
	_ driver.Waker   = (*Store)(nil)
	_ driver.Bus     = (*Store)(nil)
)

// New returns an empty Store. It panics if an option is wrong.
func New(opts ...Option) *Store {
	set := settings{capacity: 65_536}
	for _, o := range opts {
		o.apply(&set)
	}
	// Reading must not lengthen a life. Each item has a time to live of its own, so the cache
	// needs no default.
	cache := []ttlcache.Option[string, *cell]{
		ttlcache.WithCapacity[string, *cell](set.capacity),
		ttlcache.WithDisableTouchOnHit[string, *cell](),
	}
	if set.maxBytes > 0 {
		costOf := func(item ttlcache.CostItem[string, *cell]) uint64 {
			return cost(item.Key, item.Value.data)
		}
		cache = append(cache, ttlcache.WithMaxCost(set.maxBytes, costOf))
	}
	return &Store{
		created:  time.Now(),
		maxBytes: set.maxBytes,
		cells:    ttlcache.New(cache...),
		waiting:  map[string]map[chan struct{}]struct{}{},
	}
}

// Get implements [driver.Store].
func (s *Store) Get(ctx context.Context, key string) (driver.Record, error) {
	r, err := s.find(ctx, key)
	r.Data = bytes.Clone(r.Data)
	return r, err
}

// find is Get, but the Data it returns is the cell's own.
func (s *Store) find(ctx context.Context, key string) (driver.Record, error) {
	if err := s.enter(ctx); err != nil {
		return driver.Record{}, err
	}
	defer s.mu.Unlock()
	c, now := s.cell(key), s.now()
	if !c.readable(now) {
		return driver.Record{}, driver.ErrMiss
	}
	return c.record(now), nil
}

// Set implements [driver.Store].
func (s *Store) Set(ctx context.Context, key string, r driver.Record) error {
	_, err := s.write(ctx, key, r, true)
	return err
}

// Add implements [driver.Store].
func (s *Store) Add(ctx context.Context, key string, r driver.Record) (bool, error) {
	return s.write(ctx, key, r, false)
}

// write is Set if replace is true, and Add if it is false.
func (s *Store) write(ctx context.Context, key string, r driver.Record, replace bool) (bool, error) {
	if err := s.check(key, r); err != nil {
		return false, err
	}
	data := bytes.Clone(r.Data)
	if err := s.enter(ctx); err != nil {
		return false, err
	}
	defer s.mu.Unlock()
	now := s.now()
	if !replace && s.cell(key).readable(now) {
		return false, nil
	}
	// The new cell has no lease. That revokes an old one: its token matches no cell any more.
	s.put(key, &cell{version: s.next(), expires: after(now, r.TTL), data: data})
	s.wake(key)
	return true, nil
}

// Expire implements [driver.Store].
func (s *Store) Expire(ctx context.Context, key string, ttl time.Duration) (bool, error) {
	if err := checkTTL(ttl); err != nil {
		return false, err
	}
	if err := s.enter(ctx); err != nil {
		return false, err
	}
	defer s.mu.Unlock()
	old, now := s.cell(key), s.now()
	if !old.readable(now) {
		return false, nil
	}
	c := *old
	c.expires = after(now, ttl)
	s.put(key, &c)
	return true, nil
}

// Delete implements [driver.Store].
func (s *Store) Delete(ctx context.Context, keys ...string) (int, error) {
	if err := s.enter(ctx); err != nil {
		return 0, err
	}
	defer s.mu.Unlock()
	n, now := 0, s.now()
	for _, key := range keys {
		if s.cell(key).readable(now) {
			n++
		}
		s.remove(key)
	}
	return n, nil
}

// Clear implements [driver.Store]. It is atomic for each key, not for all of them.
func (s *Store) Clear(ctx context.Context, prefix string) (int, error) {
	if err := s.enter(ctx); err != nil {
		return 0, err
	}
	s.mu.Unlock()
	n := 0
	for _, key := range s.cells.Keys() { // a snapshot: later writes may stay
		if !strings.HasPrefix(key, prefix) {
			continue
		}
		if err := s.enter(ctx); err != nil {
			return n, err
		}
		if s.clear(key) {
			n++
		}
		s.mu.Unlock()
	}
	return n, nil
}

// clear removes the record of key and revokes the lease. It reports whether key was present. The
// caller holds mu.
func (s *Store) clear(key string) bool {
	c, now := s.cell(key), s.now()
	if c.leased(now) {
		s.put(key, &cell{token: c.token, revoked: true, deadline: c.deadline})
	} else {
		s.remove(key)
	}
	return c.readable(now)
}

// Close drops all records and ends all subscriptions. It wakes nobody who waits for a lease. A
// second Close returns an error.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed
	}
	s.closed = true
	s.cells.DeleteAll() // ttlcache's count of bytes is wrong afterwards; it is not used any more
	s.janitor.stop()
	clear(s.waiting)
	s.subs.stop()
	return nil
}

// enter locks mu. It returns an error, with mu unlocked, if ctx has ended or the store is closed.
func (s *Store) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return errClosed
	}
	return nil
}

// now returns the time since the store was made.
func (s *Store) now() time.Duration { return time.Since(s.created) }

// next returns a string that it has not returned before. The caller holds mu.
func (s *Store) next() string {
	s.serial++
	return fmt.Sprint(s.serial)
}

// cell returns what key holds, or an empty cell. The caller holds mu.
func (s *Store) cell(key string) *cell {
	if item := s.cells.Get(key); item != nil {
		return item.Value()
	}
	return &cell{}
}

// put makes c what key holds. c must not change afterwards. The caller holds mu.
func (s *Store) put(key string, c *cell) {
	// Expired cells count until they are removed. Without this, one of them could make a live cell
	// lose its place.
	s.cells.DeleteExpired()
	now, end := s.now(), c.end()
	if end == never {
		s.cells.Set(key, c, ttlcache.NoTTL)
		return
	}
	if end <= now { // ttlcache takes a time to live of 0 or less as none
		s.cells.Delete(key)
		return
	}
	s.cells.Set(key, c, end-now)
	s.janitor.expect(s, end)
}

// remove makes key hold nothing, and wakes those who wait for its lease. The caller holds mu.
func (s *Store) remove(key string) {
	s.cells.Delete(key)
	s.wake(key)
}

// check returns an error for a record that cannot be stored under key.
func (s *Store) check(key string, r driver.Record) error {
	if err := checkTTL(r.TTL); err != nil {
		return err
	}
	if size := cost(key, r.Data); s.maxBytes > 0 && size > s.maxBytes {
		return fmt.Errorf("%w: memstore: a record of %d bytes does not fit into %d", driver.ErrRefused, size, s.maxBytes)
	}
	return nil
}

// checkTTL returns an error for a time that is too short for a record or a lease.
func checkTTL(d time.Duration) error {
	if d < time.Millisecond {
		return fmt.Errorf("memstore: time to live %v: at least a millisecond is needed", d)
	}
	return nil
}

// never is when a record without an end expires. It is later than all other times.
const never time.Duration = math.MaxInt64

// after returns the time d after now, or never.
func after(now, d time.Duration) time.Duration {
	if d > never-now {
		return never
	}
	return now + d
}
