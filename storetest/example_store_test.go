package storetest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/zodiac-go/zodiac/driver"
)

// A mapStore is about the smallest [driver.Store]. A first store over a table looks much the same,
// with the table in place of the map. In a test,
//
//	storetest.Run(t, func(t *testing.T) driver.Store { return newMapStore() })
//
// checks it, and logs that it has no abilities.
type mapStore struct {
	mu      sync.Mutex
	rows    map[string]row
	version int // of the last write
}

// A row is a record as it is kept. It has the time when it expires, where a Record has the time
// left.
type row struct {
	data    []byte
	version string
	ends    time.Time // zero = never
}

func newMapStore() *mapStore { return &mapStore{rows: map[string]row{}} }

var errClosed = errors.New("mapstore: the store is closed")

// live returns the row of key, if it has not expired. An expired row is absent, whether or not it
// has been removed.
func (s *mapStore) live(key string) (row, bool) {
	r, ok := s.rows[key]
	return r, ok && (r.ends.IsZero() || time.Now().Before(r.ends))
}

func (s *mapStore) Get(_ context.Context, key string) (driver.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.live(key)
	if s.rows == nil {
		return driver.Record{}, errClosed
	}
	if !ok {
		return driver.Record{}, driver.ErrMiss
	}
	left := driver.Forever
	if !r.ends.IsZero() {
		left = time.Until(r.ends)
	}
	return driver.Record{Data: bytes.Clone(r.data), TTL: left, Version: r.version}, nil
}

func (s *mapStore) Set(ctx context.Context, key string, r driver.Record) error {
	_, err := s.write(ctx, key, r, true)
	return err
}

func (s *mapStore) Add(ctx context.Context, key string, r driver.Record) (bool, error) {
	return s.write(ctx, key, r, false)
}

func (s *mapStore) write(_ context.Context, key string, r driver.Record, replace bool) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ends, err := s.end(r.TTL)
	if err != nil {
		return false, err
	}
	if _, ok := s.live(key); ok && !replace {
		return false, nil
	}
	s.version++
	s.rows[key] = row{bytes.Clone(r.Data), strconv.Itoa(s.version), ends}
	return true, nil
}

// end returns when a row that is written now expires.
func (s *mapStore) end(ttl time.Duration) (time.Time, error) {
	switch {
	case s.rows == nil:
		return time.Time{}, errClosed
	case ttl < time.Millisecond:
		return time.Time{}, fmt.Errorf("mapstore: %v is too short a time to live", ttl)
	case ttl == driver.Forever:
		return time.Time{}, nil
	default:
		return time.Now().Add(ttl), nil
	}
}

func (s *mapStore) Expire(_ context.Context, key string, ttl time.Duration) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ends, err := s.end(ttl)
	if err != nil {
		return false, err
	}
	r, ok := s.live(key)
	if ok {
		r.ends = ends
		s.rows[key] = r
	}
	return ok, nil
}

func (s *mapStore) Delete(_ context.Context, keys ...string) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rows == nil {
		return 0, errClosed
	}
	n := 0
	for _, key := range keys {
		if _, ok := s.live(key); ok {
			n++
		}
		delete(s.rows, key)
	}
	return n, nil
}

func (s *mapStore) Clear(ctx context.Context, prefix string) (int, error) {
	s.mu.Lock()
	var keys []string
	for key := range s.rows {
		if strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
	}
	s.mu.Unlock()
	return s.Delete(ctx, keys...)
}

func (s *mapStore) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rows = nil
	return nil
}

// About the smallest Store.
func Example() {
	ctx := context.Background()
	var store driver.Store = newMapStore()
	defer store.Close()

	added, err := store.Add(ctx, "k", driver.Record{Data: []byte("data"), TTL: time.Minute})
	fmt.Println(added, err)
	r, err := store.Get(ctx, "k")
	fmt.Printf("%s %v\n", r.Data, err)
	_, err = store.Get(ctx, "other")
	fmt.Println(errors.Is(err, driver.ErrMiss))
	// Output:
	// true <nil>
	// data <nil>
	// true
}
