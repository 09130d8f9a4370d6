package redisstore

import (
	"context"
	"errors"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/zodiac-go/zodiac"
)

// Get implements [zodiac.Store]: PTTL and GET in one round trip, in this order, so that what is said to be left never is more
// than there is.
func (s *Store) Get(ctx context.Context, key string) (zodiac.Record, error) {
	if s.closed.Load() {
		return zodiac.Record{}, errClosed
	}
	r := newRead(ctx, key)
	if err := s.pipeline(ctx, []redis.Cmder{r.pttl, r.get}); err != nil {
		return zodiac.Record{}, err
	}
	return r.record(ctx)
}

// A read is a PTTL and a GET after it.
type read struct {
	pttl *redis.IntCmd
	get  *redis.StringCmd
}

func newRead(ctx context.Context, key string) read {
	return read{redis.NewIntCmd(ctx, "pttl", key), redis.NewStringCmd(ctx, "get", key)}
}

func (r *read) record(ctx context.Context) (zodiac.Record, error) {
	value, err := framed(ctx, r.get)
	if err != nil {
		return zodiac.Record{}, err
	}
	if err := r.pttl.Err(); err != nil {
		return zodiac.Record{}, explain(timely(ctx, err))
	}
	ttl, ok := left(value, r.pttl.Val())
	if !ok {
		return zodiac.Record{}, zodiac.ErrMiss
	}
	return record(value, ttl), nil
}

// framed returns what GET has brought if that is a record that may be seen.
func framed(ctx context.Context, get *redis.StringCmd) (string, error) {
	value, err := get.Result()
	switch {
	case err == nil && isFrame(value) && producer(value) != nobody && !isMark(value):
		return value, nil
	case err == nil, errors.Is(err, redis.Nil), strings.HasPrefix(err.Error(), "WRONGTYPE"):
		return "", zodiac.ErrMiss
	default:
		return "", explain(timely(ctx, err))
	}
}

// GetData implements [zodiac.DataReader]: a plain GET, and Get only where a lease keeps the key longer than its record lives.
func (s *Store) GetData(ctx context.Context, key string) (zodiac.Record, error) {
	if s.closed.Load() {
		return zodiac.Record{}, errClosed
	}
	get := redis.NewStringCmd(ctx, "get", key)
	if err := s.process(ctx, get); untold(err) {
		return zodiac.Record{}, err
	}
	value, err := framed(ctx, get)
	if err != nil {
		return zodiac.Record{}, err
	}
	if outlived(value) {
		return s.Get(ctx, key)
	}
	return record(value, 0), nil
}

// GetMany implements [zodiac.Batcher].
func (s *Store) GetMany(ctx context.Context, keys []string) ([]zodiac.Record, []error) {
	records, errs := make([]zodiac.Record, len(keys)), make([]error, len(keys))
	s.getMany(ctx, keys, nil, records, errs)
	return records, errs
}

// getMany is GetMany for the keys at some places, nil for all.
func (s *Store) getMany(ctx context.Context, keys []string, places []int, records []zodiac.Record, errs []error) {
	if places == nil {
		places = make([]int, len(keys))
		for i := range places {
			places[i] = i
		}
	}
	reads, cmds := make([]read, len(places)), make([]redis.Cmder, 0, 2*len(places))
	for i, at := range places {
		reads[i] = newRead(ctx, keys[at])
		cmds = append(cmds, reads[i].pttl, reads[i].get)
	}
	err := s.pipelineIfOpen(ctx, cmds)
	for i, at := range places {
		if err != nil {
			errs[at] = err
			continue
		}
		records[at], errs[at] = reads[i].record(ctx)
	}
}

// GetManyData implements [zodiac.DataReader].
func (s *Store) GetManyData(ctx context.Context, keys []string) ([]zodiac.Record, []error) {
	records, errs := make([]zodiac.Record, len(keys)), make([]error, len(keys))
	cmds := make([]redis.Cmder, len(keys))
	for i, key := range keys {
		cmds[i] = redis.NewStringCmd(ctx, "get", key)
	}
	err := s.pipelineIfOpen(ctx, cmds)
	var again []int
	for i := range keys {
		if err != nil {
			errs[i] = err
			continue
		}
		value, err := framed(ctx, cmds[i].(*redis.StringCmd))
		switch {
		case err != nil:
			errs[i] = err
		case outlived(value):
			again = append(again, i)
		default:
			records[i] = record(value, 0)
		}
	}
	if len(again) > 0 {
		s.getMany(ctx, keys, again, records, errs)
	}
	return records, errs
}

// pipelineIfOpen is pipeline for commands that may be none.
func (s *Store) pipelineIfOpen(ctx context.Context, cmds []redis.Cmder) error {
	if s.closed.Load() {
		return errClosed
	}
	if len(cmds) == 0 {
		return nil
	}
	return s.pipeline(ctx, cmds)
}
