package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zodiac-go/zodiac/driver"
)

// Set implements [driver.Store].
func (s *Store) Set(ctx context.Context, key string, r driver.Record) error {
	ms, err := milliseconds(r.TTL)
	if err != nil {
		return err
	}
	_, err = s.decide(ctx, setScript, key, newID(), s.inScript(), ms, blob(r.Data))
	return err
}

// SetMany implements [driver.Batcher].
func (s *Store) SetMany(ctx context.Context, records map[string]driver.Record) error {
	var faults []error
	calls := make([]call, 0, len(records))
	for key, r := range records {
		ms, err := milliseconds(r.TTL)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		calls = append(calls, call{setScript, key, []any{newID(), s.inScript(), ms, blob(r.Data)}})
	}
	for _, v := range s.decideAll(ctx, calls) {
		if v.err != nil {
			faults = append(faults, v.err)
		}
	}
	return some("records", len(records), faults)
}

// some returns what is to be said if some of n failed. Faults of one text are told once.
func some(what string, n int, faults []error) error {
	if len(faults) == 0 {
		return nil
	}
	seen := map[string]bool{}
	var kinds []error
	for _, err := range faults {
		if !seen[err.Error()] {
			seen[err.Error()] = true
			kinds = append(kinds, err)
		}
	}
	return fmt.Errorf("redisstore: %d of %d %s: %w", len(faults), n, what, errors.Join(kinds...))
}

// Add implements [driver.Store].
func (s *Store) Add(ctx context.Context, key string, r driver.Record) (bool, error) {
	ms, err := milliseconds(r.TTL)
	if err != nil {
		return false, err
	}
	return s.decide(ctx, addScript, key, newID(), s.inScript(), ms, blob(r.Data))
}

// Expire implements [driver.Store].
func (s *Store) Expire(ctx context.Context, key string, ttl time.Duration) (bool, error) {
	ms, err := milliseconds(ttl)
	if err != nil {
		return false, err
	}
	return s.decide(ctx, expireScript, key, ms)
}

// Delete implements [driver.Store]. Many keys go in one pipeline.
func (s *Store) Delete(ctx context.Context, keys ...string) (int, error) {
	calls := make([]call, len(keys))
	for i, key := range keys {
		calls[i] = call{deleteScript, key, []any{s.inScript()}}
	}
	return s.count(ctx, calls)
}

// count runs scripts and returns how many said yes.
func (s *Store) count(ctx context.Context, calls []call) (n int, err error) {
	if len(calls) == 0 {
		return 0, s.open()
	}
	if len(calls) == 1 {
		yes, err := s.decide(ctx, calls[0].script, calls[0].key, calls[0].args...)
		if yes {
			n = 1
		}
		return n, err
	}
	var faults []error
	for _, v := range s.decideAll(ctx, calls) {
		if v.yes {
			n++
		}
		if v.err != nil {
			faults = append(faults, v.err)
		}
	}
	return n, some("keys", len(calls), faults)
}

func (s *Store) open() error {
	if s.closed.Load() {
		return errClosed
	}
	return nil
}

// Clear implements [driver.Store]: it scans all keys of the server, on a Cluster those of every master.
func (s *Store) Clear(ctx context.Context, prefix string) (int, error) {
	if err := s.ready(ctx); err != nil {
		return 0, err
	}
	if s.masters == nil {
		return s.clearNode(ctx, s.sender, prefix)
	}
	var n atomic.Int64
	err := s.masters(ctx, func(ctx context.Context, node *redis.Client) error {
		cleared, err := s.clearNode(ctx, node, prefix)
		n.Add(int64(cleared))
		return err
	})
	return int(n.Load()), explain(err)
}

// clearNode clears what one server holds. The scripts go by key, which may have moved meanwhile.
func (s *Store) clearNode(ctx context.Context, node commander, prefix string) (n int, err error) {
	for cursor := uint64(0); ; {
		scan := redis.NewScanCmd(ctx, nil, "scan", cursor, "match", literal(prefix)+"*", "count", 1000)
		err := s.watch(ctx, func() error { return node.Process(ctx, scan) })
		if err != nil {
			return n, explain(err)
		}
		var keys []string
		keys, cursor = scan.Val()
		cleared, err := s.clearKeys(ctx, keys, prefix)
		n += cleared
		if err != nil || cursor == 0 {
			return n, err
		}
	}
}

func (s *Store) clearKeys(ctx context.Context, keys []string, prefix string) (int, error) {
	calls := make([]call, 0, len(keys))
	for _, key := range keys {
		if strings.HasPrefix(key, prefix) {
			calls = append(calls, call{script: clearScript, key: key})
		}
	}
	return s.count(ctx, calls)
}

var globs = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`)

// literal returns the pattern that matches text and nothing else.
func literal(text string) string { return globs.Replace(text) }
