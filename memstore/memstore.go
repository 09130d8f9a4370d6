// Package memstore keeps zodiac's records in this process, as the bytes they would be in Redis or on disk.
//
// It is a [zodiac.Store] with every ability that makes sense in one process, and serves where loaders are to share one
// budget of memory, where values must not be shared by pointer, and in tests: it needs no server, and under
// testing/synctest its time is virtual.
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
// It is also the reference implementation of [zodiac.Store], to be read beside that contract by those who write
// another. What a Store keeps under a key is a cell: a record, or a lease, or both. See cell.go for what a cell means
// at a given time, lease.go for how leases begin and end.
//
// # Capacity
//
// A Store holds so many keys, and if wanted so many bytes. A write that needs room takes it from the keys that are
// dead, then from those not used for longest, with their leases: as if another client had deleted them. Whoever holds
// such a lease has its Commit refused; whoever waits for it asks again within 50 milliseconds.
//
// # Goroutines
//
// A Store has none. Dead cells are removed by a timer that is armed only while something is going to expire, so a Store
// nobody closes is garbage like any other value.
//
// # What it does not do
//
// Nothing survives the process, and nothing is shared with another one. A Store belongs to the synctest bubble in which
// it is made.
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

	"github.com/zodiac-go/zodiac"
)

var errClosed = errors.New("memstore: the store is closed")

// A Store is a [zodiac.Store] in this process. It is safe for concurrent use. Make one with [New].
//
// No method blocks for longer than it takes to look at one key; Clear looks at all. If ctx has ended they return its
// error and do nothing.
type Store struct {
	born     time.Time // what every moment counts from: monotonic, so no change of the wall clock matters
	maxBytes uint64    // 0 = no limit

	// One mutex around a cache that has one of its own: ttlcache cannot compare and set, and to stripe the locks of
	// something that then takes a single one gains nothing. Data is copied outside.
	mu      sync.Mutex // guards the fields below
	closed  bool
	cells   *ttlcache.Cache[string, *cell]
	serial  uint64                                // of the last version or grant
	waiting map[string]map[chan struct{}]struct{} // who called Wake, by key
	janitor janitor

	subs subscribers // has a lock of its own
}

var (
	_ zodiac.Store     = (*Store)(nil)
	_ zodiac.Leaser    = (*Store)(nil)
	_ zodiac.Batcher   = (*Store)(nil)
	_ zodiac.Waker     = (*Store)(nil)
	_ zodiac.Announcer = (*Store)(nil)
)

// New returns an empty Store. It panics if an option is wrong.
func New(opts ...Option) *Store {
	set := settings{capacity: 65_536}
	for _, o := range opts {
		o.apply(&set)
	}
	// Reading must not lengthen a life. Each item has a time to live of its own, so the cache needs no default.
	cache := []ttlcache.Option[string, *cell]{
		ttlcache.WithCapacity[string, *cell](set.capacity),
		ttlcache.WithDisableTouchOnHit[string, *cell](),
	}
	if set.maxBytes > 0 {
		cache = append(cache, ttlcache.WithMaxCost(set.maxBytes, func(item ttlcache.CostItem[string, *cell]) uint64 {
			return cost(item.Key, item.Value.data)
		}))
	}
	return &Store{
		born:     time.Now(),
		maxBytes: set.maxBytes,
		cells:    ttlcache.New(cache...),
		waiting:  map[string]map[chan struct{}]struct{}{},
	}
}

// Get implements [zodiac.Store].
func (s *Store) Get(ctx context.Context, key string) (zodiac.Record, error) {
	r, err := s.find(ctx, key)
	r.Data = bytes.Clone(r.Data)
	return r, err
}

// find is Get of a record whose Data is the cell's.
func (s *Store) find(ctx context.Context, key string) (zodiac.Record, error) {
	if err := s.enter(ctx); err != nil {
		return zodiac.Record{}, err
	}
	defer s.mu.Unlock()
	c, now := s.cell(key), s.now()
	if !c.readable(now) {
		return zodiac.Record{}, zodiac.ErrMiss
	}
	return c.record(now), nil
}

// Set implements [zodiac.Store].
func (s *Store) Set(ctx context.Context, key string, r zodiac.Record) error {
	_, err := s.write(ctx, key, r, true)
	return err
}

// Add implements [zodiac.Store].
func (s *Store) Add(ctx context.Context, key string, r zodiac.Record) (bool, error) {
	return s.write(ctx, key, r, false)
}

// write is Set, or Add if it may not replace a record.
func (s *Store) write(ctx context.Context, key string, r zodiac.Record, replace bool) (bool, error) {
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
	// The new cell has no lease, so the token of one that was there is not the current one any more: that is what void
	// comes to.
	s.put(key, &cell{version: s.next(), dies: after(now, r.TTL), data: data})
	s.wake(key)
	return true, nil
}

// Expire implements [zodiac.Store].
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
	c.dies = after(now, ttl)
	s.put(key, &c)
	return true, nil
}

// Delete implements [zodiac.Store].
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

// Clear implements [zodiac.Store]. It is atomic for each key, not for all of them.
func (s *Store) Clear(ctx context.Context, prefix string) (int, error) {
	if err := s.enter(ctx); err != nil {
		return 0, err
	}
	s.mu.Unlock()
	n := 0
	for _, key := range s.cells.Keys() { // a snapshot: what is written from here on need not go
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

// clear takes the record from a key and makes its lease void, and reports whether there was a record. Caller holds mu.
func (s *Store) clear(key string) bool {
	c, now := s.cell(key), s.now()
	if c.leased(now) {
		s.put(key, &cell{token: c.token, void: true, deadline: c.deadline})
	} else {
		s.remove(key)
	}
	return c.readable(now)
}

// Close drops all records, and ends the subscriptions. Those who wait are not woken.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed
	}
	s.closed = true
	s.cells.DeleteAll() // leaves ttlcache's count of bytes wrong, which nobody reads any more
	s.janitor.stop()
	clear(s.waiting)
	s.subs.stop()
	return nil
}

// enter locks mu, unless ctx has ended or the store is closed.
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
func (s *Store) now() time.Duration { return time.Since(s.born) }

// next returns a string that this store has not returned before. Caller holds mu.
func (s *Store) next() string {
	s.serial++
	return fmt.Sprint(s.serial)
}

// cell returns what a key holds, or an empty cell. Caller holds mu.
func (s *Store) cell(key string) *cell {
	if item := s.cells.Get(key); item != nil {
		return item.Value()
	}
	return &cell{}
}

// put makes c what key holds. c does not change any more. Caller holds mu.
func (s *Store) put(key string, c *cell) {
	s.cells.DeleteExpired() // they count until they are removed, and must not cost a live one its place
	now, end := s.now(), c.end()
	if end == never {
		s.cells.Set(key, c, ttlcache.NoTTL)
		return
	}
	if end <= now { // a time to live of zero or less would mean for ever
		s.cells.Delete(key)
		return
	}
	s.cells.Set(key, c, end-now)
	s.janitor.expect(s, end)
}

// remove makes key hold nothing, and tells those who wait for its lease. Caller holds mu.
func (s *Store) remove(key string) {
	s.cells.Delete(key)
	s.wake(key)
}

// check returns what is wrong with a record to be stored.
func (s *Store) check(key string, r zodiac.Record) error {
	if err := checkTTL(r.TTL); err != nil {
		return err
	}
	if size := cost(key, r.Data); s.maxBytes > 0 && size > s.maxBytes {
		return fmt.Errorf("memstore: a record that takes %d bytes does not fit into %d", size, s.maxBytes)
	}
	return nil
}

func checkTTL(d time.Duration) error {
	if d < time.Millisecond {
		return fmt.Errorf("memstore: %v is not a time to live: it is at least a millisecond", d)
	}
	return nil
}

// never is the moment that does not come.
const never time.Duration = math.MaxInt64

// after returns the moment d after now.
func after(now, d time.Duration) time.Duration {
	if d > never-now {
		return never
	}
	return now + d
}
