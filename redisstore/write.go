package redisstore

import (
	"context"
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
	_, err = s.run(ctx, setScript, key, newVersion(), s.publishVerb(), ms, withFrame(r.Data))
	return err
}

// Add implements [driver.Store].
func (s *Store) Add(ctx context.Context, key string, r driver.Record) (bool, error) {
	ms, err := milliseconds(r.TTL)
	if err != nil {
		return false, err
	}
	return s.run(ctx, addScript, key, newVersion(), s.publishVerb(), ms, withFrame(r.Data))
}

// Expire implements [driver.Store].
func (s *Store) Expire(ctx context.Context, key string, ttl time.Duration) (bool, error) {
	ms, err := milliseconds(ttl)
	if err != nil {
		return false, err
	}
	return s.run(ctx, expireScript, key, ms)
}

// Delete implements [driver.Store]. If there are many keys, they go in one pipeline.
func (s *Store) Delete(ctx context.Context, keys ...string) (int, error) {
	calls := make([]call, len(keys))
	for i, key := range keys {
		calls[i] = call{deleteScript, key, []any{s.publishVerb()}}
	}
	return s.runAndCount(ctx, calls)
}

// runAndCount runs calls, and returns how many replied yes.
func (s *Store) runAndCount(ctx context.Context, calls []call) (n int, err error) {
	if len(calls) == 0 {
		return 0, s.checkOpen()
	}
	if len(calls) == 1 {
		yes, err := s.run(ctx, calls[0].script, calls[0].key, calls[0].args...)
		if yes {
			n = 1
		}
		return n, err
	}
	var errs []error
	for _, res := range s.runAll(ctx, calls) {
		if res.yes {
			n++
		}
		if res.err != nil {
			errs = append(errs, res.err)
		}
	}
	return n, partial("keys", len(calls), errs)
}

// Clear implements [driver.Store]. It scans all keys of the server, or of every master of a
// Cluster.
func (s *Store) Clear(ctx context.Context, prefix string) (int, error) {
	if err := s.ready(ctx); err != nil {
		return 0, err
	}
	if s.forEachMaster == nil {
		return s.clearNode(ctx, s.sender, prefix)
	}
	var n atomic.Int64
	err := s.forEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
		cleared, err := s.clearNode(ctx, node, prefix)
		n.Add(int64(cleared))
		return err
	})
	return int(n.Load()), explain(err)
}

// clearNode clears the keys that a scan of node finds. The scripts are sent to the node that has
// the key, which may be another one by then.
func (s *Store) clearNode(ctx context.Context, node sender, prefix string) (n int, err error) {
	for cursor := uint64(0); ; {
		scan := redis.NewScanCmd(ctx, nil, "scan", cursor, "match", globQuote(prefix)+"*", "count", 1000)
		err := s.runUnder(ctx, func() error { return node.Process(ctx, scan) })
		if err != nil {
			return n, explain(err)
		}
		var keys []string
		keys, cursor = scan.Val()
		cleared, err := s.clearKeys(ctx, keys, prefix)
		n += cleared
		driver.Progress(ctx)
		if err != nil || cursor == 0 {
			return n, err
		}
	}
}

// clearKeys clears those of keys that begin with prefix.
func (s *Store) clearKeys(ctx context.Context, keys []string, prefix string) (int, error) {
	calls := make([]call, 0, len(keys))
	for _, key := range keys {
		if strings.HasPrefix(key, prefix) {
			calls = append(calls, call{script: clearScript, key: key})
		}
	}
	return s.runAndCount(ctx, calls)
}

var globEscapes = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`)

// globQuote returns the pattern of SCAN that matches text and nothing else.
func globQuote(text string) string { return globEscapes.Replace(text) }
