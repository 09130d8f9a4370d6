package memstore

import (
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
