package redisstore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/zodiac-go/zodiac/driver"
)

// Check does once, on a key of its own, all that loaders do on a server, and returns what fails, or
// nil. Call it when the program starts: a loader whose store fails goes on without it, and only logs.
//
// Check finds that the server cannot be reached, that one side speaks TLS and the other does not,
// that the server is too old, a replica, full or still loading, and that the user lacks a right: to
// read, to write, to run scripts, to publish or to subscribe. If the server can be reached, the
// error joins all that fails.
//
// Check blocks until ctx ends at most. It leaves nothing behind but a key of a minute, if the user
// may not delete it.
func (s *Store) Check(ctx context.Context) error {
	if err := s.ready(ctx); err != nil {
		return fmt.Errorf("redisstore: the server cannot be used: %w", err)
	}
	key := "zodiac:check:" + rand.Text()
	var errs []error
	try := func(what string, do func() error) {
		if err := do(); err != nil {
			errs = append(errs, fmt.Errorf("redisstore: %s: %w", what, err))
		}
	}
	try("write a key", func() error {
		return s.Set(ctx, key, driver.Record{Data: []byte("zodiac"), TTL: time.Minute})
	})
	try("read a key", func() error {
		_, err := s.Get(ctx, key)
		if errors.Is(err, driver.ErrMiss) {
			return nil // it was not written
		}
		return err
	})
	try("delete a key", func() error {
		_, err := s.Delete(ctx, key)
		return err
	})
	try("take and end a lease", func() error {
		claim, err := s.Acquire(ctx, key, driver.Ask{Token: rand.Text(), Lease: time.Minute})
		if err != nil {
			return err
		}
		_, err = s.Abort(ctx, key, claim.Token)
		return err
	})
	try("publish an invalidation", func() error {
		return s.Publish(ctx, driver.Invalidation{Prefix: key, Keys: []string{key}})
	})
	try("subscribe to invalidations", func() error {
		stop, err := s.Subscribe(ctx, func(driver.Invalidation) {})
		if err == nil {
			stop()
		}
		return err
	})
	return errors.Join(errs...)
}
