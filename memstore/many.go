package memstore

import (
	"bytes"
	"context"

	"github.com/zodiac-go/zodiac/driver"
)

// GetMany implements [driver.Batcher].
func (s *Store) GetMany(ctx context.Context, keys []string) ([]driver.Record, []error) {
	records, errs := make([]driver.Record, len(keys)), make([]error, len(keys))
	for i, key := range keys {
		records[i], errs[i] = s.Get(ctx, key)
	}
	return records, errs
}

// EnsureMany implements [driver.Batcher].
func (s *Store) EnsureMany(ctx context.Context, keys []string, min []driver.Record) ([]driver.Record, []error) {
	records, errs := make([]driver.Record, len(keys)), make([]error, len(keys))
	for i, key := range keys {
		if min[i].TTL == 0 {
			records[i], errs[i] = s.Get(ctx, key)
		} else {
			records[i], errs[i] = s.ensure(ctx, key, min[i])
		}
	}
	return records, errs
}

// ensure is EnsureMany of one key that is not only read.
func (s *Store) ensure(ctx context.Context, key string, min driver.Record) (driver.Record, error) {
	if err := s.check(key, min); err != nil {
		return driver.Record{}, err
	}
	data := bytes.Clone(min.Data)
	if err := s.enter(ctx); err != nil {
		return driver.Record{}, err
	}
	defer s.mu.Unlock()
	now := s.now()
	c, end := *s.cell(key), after(now, min.TTL)
	switch {
	case !c.readable(now):
		c = cell{version: s.next(), expires: end, data: data}
		s.put(key, &c)
		s.wake(key)
	case c.expires < end:
		c.expires = end
		s.put(key, &c)
	}
	r := c.record(now)
	r.Data = bytes.Clone(r.Data)
	return r, nil
}

// SetMany implements [driver.Batcher].
func (s *Store) SetMany(ctx context.Context, records map[string]driver.Record) error {
	failed := make(driver.KeyErrors)
	for key, r := range records {
		if err := s.Set(ctx, key, r); err != nil {
			failed[key] = err
		}
	}
	return failed.OrNil()
}
