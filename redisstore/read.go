package redisstore

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/faults"
)

// Get implements [driver.Store]: PTTL and GET in one round trip, in this order, so that what is said to be left never is more
// than there is.
func (s *Store) Get(ctx context.Context, key string) (driver.Record, error) {
	if s.closed.Load() {
		return driver.Record{}, errClosed
	}
	rec, torn, err := s.get(ctx, key)
	if torn {
		rec, _, err = s.get(ctx, key)
	}
	return rec, err
}

func (s *Store) get(ctx context.Context, key string) (rec driver.Record, torn bool, err error) {
	r := newRead(ctx, key)
	if err := s.pipeline(ctx, []redis.Cmder{r.pttl, r.get}); err != nil {
		return driver.Record{}, false, err
	}
	return r.record(ctx, &s.clock)
}

// A read is a PTTL and a GET after it.
type read struct {
	pttl *redis.IntCmd
	get  *redis.StringCmd
}

func newRead(ctx context.Context, key string) read {
	return read{redis.NewIntCmd(ctx, "pttl", key), redis.NewStringCmd(ctx, "get", key)}
}

// record returns what was read. It is torn if the key seems to have changed between PTTL and GET, so that the time left is too
// short, or none at all: then it is to be read once more. What is torn again is as it seems.
func (r *read) record(ctx context.Context, c *serverClock) (rec driver.Record, torn bool, err error) {
	value, err := framed(ctx, r.get)
	if err != nil {
		return rec, false, err
	}
	if err := r.pttl.Err(); err != nil {
		return rec, false, explain(timely(ctx, err))
	}
	pttl := r.pttl.Val()
	ttl, ok := left(value, pttl)
	if !ok {
		return rec, true, driver.ErrMiss
	}
	return record(value, ttl), c.torn(value, pttl), nil
}

// framed returns what GET has brought if that is a record that may be seen. What is no record of ours looks like one without
// Data, which every Loader counts as corrupt; to who writes or asks for the lease there is nothing.
func framed(ctx context.Context, get *redis.StringCmd) (string, error) {
	value, err := get.Result()
	switch {
	case err == nil:
		return visible(value)
	case errors.Is(err, redis.Nil), strings.HasPrefix(err.Error(), "WRONGTYPE"):
		return "", driver.ErrMiss
	default:
		return "", explain(timely(ctx, err))
	}
}

// visible is framed for a value.
func visible(value string) (string, error) {
	switch {
	case !isFrame(value):
		return foreign, nil
	case producer(value) == nobody || isMark(value):
		return "", driver.ErrMiss
	default:
		return value, nil
	}
}

// GetData implements [driver.DataReader]: a plain GET, and Get only where a lease keeps the key longer than its record lives.
func (s *Store) GetData(ctx context.Context, key string) (driver.Record, error) {
	if s.closed.Load() {
		return driver.Record{}, errClosed
	}
	get := redis.NewStringCmd(ctx, "get", key)
	sent := s.gathered(ctx, get)
	if untold(sent) {
		return driver.Record{}, sent
	}
	value, err := framed(ctx, get)
	switch {
	case err == nil:
	case faults.IsShared(sent) && !errors.Is(err, driver.ErrMiss):
		return driver.Record{}, faults.Shared(err)
	default:
		return driver.Record{}, err
	}
	if outlived(value) {
		return s.Get(ctx, key)
	}
	return record(value, 0), nil
}

// GetMany implements [driver.Batcher].
func (s *Store) GetMany(ctx context.Context, keys []string) ([]driver.Record, []error) {
	records, errs := make([]driver.Record, len(keys)), make([]error, len(keys))
	places := make([]int, len(keys))
	for i := range places {
		places[i] = i
	}
	s.getSome(ctx, keys, places, records, errs)
	return records, errs
}

// getSome is GetMany for the keys at some places.
func (s *Store) getSome(ctx context.Context, keys []string, places []int, records []driver.Record, errs []error) {
	if torn := s.getOnce(ctx, keys, places, records, errs); len(torn) > 0 {
		s.getOnce(ctx, keys, torn, records, errs)
	}
}

// getOnce is getSome that returns the places that are to be read once more.
func (s *Store) getOnce(ctx context.Context, keys []string, places []int, records []driver.Record, errs []error) (torn []int) {
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
		var isTorn bool
		if records[at], isTorn, errs[at] = reads[i].record(ctx, &s.clock); isTorn {
			torn = append(torn, at)
		}
	}
	return torn
}

// GetManyData implements [driver.DataReader].
func (s *Store) GetManyData(ctx context.Context, keys []string) ([]driver.Record, []error) {
	records, errs := make([]driver.Record, len(keys)), make([]error, len(keys))
	read := s.mget
	if s.masters != nil || s.slots.Load() { // keys of one MGET are to be of one slot
		read = s.gets
	}
	var again []int
	read(ctx, keys, func(i int, value string, err error) {
		switch {
		case err != nil:
			errs[i] = err
		case outlived(value):
			again = append(again, i)
		default:
			records[i] = record(value, 0)
		}
	})
	if len(again) > 0 {
		s.getSome(ctx, keys, again, records, errs)
	}
	return records, errs
}

// gets reads each key by a GET, in one pipeline, and calls found with what framed says of it.
func (s *Store) gets(ctx context.Context, keys []string, found func(i int, value string, err error)) {
	cmds := make([]redis.Cmder, len(keys))
	for i, key := range keys {
		cmds[i] = redis.NewStringCmd(ctx, "get", key)
	}
	err := s.pipelineIfOpen(ctx, cmds)
	for i, cmd := range cmds {
		if err != nil {
			found(i, "", err)
			continue
		}
		value, err := framed(ctx, cmd.(*redis.StringCmd))
		found(i, value, err)
	}
}

// maxMget is how many keys one MGET has: the server does nothing else meanwhile.
const maxMget = 256

// mget is gets with few commands, which is less work for both ends.
func (s *Store) mget(ctx context.Context, keys []string, found func(i int, value string, err error)) {
	var cmds []redis.Cmder
	for some := range slices.Chunk(keys, maxMget) {
		args := make([]any, 1, 1+len(some))
		args[0] = "mget"
		for _, key := range some {
			args = append(args, key)
		}
		cmds = append(cmds, redis.NewSliceCmd(ctx, args...))
	}
	err := s.pipelineIfOpen(ctx, cmds)
	if err == nil && slices.ContainsFunc(cmds, ofSlots) {
		s.slots.Store(true)
		s.gets(ctx, keys, found)
		return
	}
	for i := range keys {
		if err != nil {
			found(i, "", err)
			continue
		}
		value, err := element(ctx, cmds[i/maxMget].(*redis.SliceCmd), i%maxMget)
		found(i, value, err)
	}
}

// ofSlots reports whether the server is a node of a cluster, which a client that knows of none may talk to if it has all slots.
func ofSlots(cmd redis.Cmder) bool {
	return cmd.Err() != nil && strings.HasPrefix(cmd.Err().Error(), "CROSSSLOT")
}

// element is framed for one of the keys of an MGET.
func element(ctx context.Context, mget *redis.SliceCmd, i int) (string, error) {
	values, err := mget.Result()
	switch {
	case err != nil:
		return "", explain(timely(ctx, err))
	case len(values) != len(mget.Args())-1:
		return "", errReply
	}
	switch value := values[i].(type) {
	case string:
		return visible(value)
	case error: // of something between the server and us
		return "", explain(value)
	default: // absent, or no string
		return "", driver.ErrMiss
	}
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
