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

// Get implements [driver.Store]. It sends PTTL and GET in one round trip, in this order, so that
// the time left that it returns is never more than there is.
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

// get reads key once. torn is as in read.record.
func (s *Store) get(ctx context.Context, key string) (rec driver.Record, torn bool, err error) {
	r := newRead(ctx, key)
	if err := s.pipeline(ctx, []redis.Cmder{r.pttl, r.get}); err != nil {
		return driver.Record{}, false, err
	}
	return r.record(ctx, &s.clock)
}

// A read is a PTTL of a key, and a GET of it afterwards.
type read struct {
	pttl *redis.IntCmd
	get  *redis.StringCmd
}

func newRead(ctx context.Context, key string) read {
	return read{redis.NewIntCmd(ctx, "pttl", key), redis.NewStringCmd(ctx, "get", key)}
}

// record returns the record that was read.
//
// torn is true if the key seems to have changed between PTTL and GET, so that the time left is too
// short, or seems to be over. The caller then reads once more. If the second read is torn too, its
// result counts.
func (r *read) record(ctx context.Context, c *serverClock) (rec driver.Record, torn bool, err error) {
	value, err := getReply(ctx, r.get)
	if err != nil {
		return rec, false, err
	}
	if err := r.pttl.Err(); err != nil {
		return rec, false, explain(withContextError(ctx, err))
	}
	pttl := r.pttl.Val()
	ttl, ok := timeLeft(value, pttl)
	if !ok {
		return rec, true, driver.ErrMiss
	}
	return record(value, ttl), c.torn(value, pttl), nil
}

// getReply returns the value that get has read, which begins with the frame of a record. It returns
// ErrMiss if readers may not see a record there.
func getReply(ctx context.Context, get *redis.StringCmd) (string, error) {
	value, err := get.Result()
	switch {
	case err == nil:
		return readable(value)
	case errors.Is(err, redis.Nil), strings.HasPrefix(err.Error(), "WRONGTYPE"):
		return "", driver.ErrMiss
	default:
		return "", explain(withContextError(ctx, err))
	}
}

// readable returns value if it has a record that readers may see, and ErrMiss if it has only a
// lease or a tombstone. For a value without a frame it returns foreign, so that readers get a
// record without data. Scripts, which write and lend leases, treat such a key as absent.
func readable(value string) (string, error) {
	switch {
	case !isFrame(value):
		return foreign, nil
	case producer(value) == blankID || isTombstone(value):
		return "", driver.ErrMiss
	default:
		return value, nil
	}
}

// GetData implements [driver.DataReader]. It sends a plain GET, which finds no record that has
// ended, unless the key has a lease that ends later. Only then it calls Get.
func (s *Store) GetData(ctx context.Context, key string) (driver.Record, error) {
	if s.closed.Load() {
		return driver.Record{}, errClosed
	}
	get := redis.NewStringCmd(ctx, "get", key)
	sent := s.processShared(ctx, get)
	if isAbandoned(sent) {
		return driver.Record{}, sent
	}
	value, err := getReply(ctx, get)
	switch {
	case err == nil:
	case faults.IsShared(sent) && !errors.Is(err, driver.ErrMiss):
		return driver.Record{}, faults.Shared(err)
	default:
		return driver.Record{}, err
	}
	if mayOutlive(value) {
		return s.Get(ctx, key)
	}
	return record(value, 0), nil
}

// GetMany implements [driver.Batcher].
func (s *Store) GetMany(ctx context.Context, keys []string) ([]driver.Record, []error) {
	records, errs := make([]driver.Record, len(keys)), make([]error, len(keys))
	indexes := make([]int, len(keys))
	for i := range indexes {
		indexes[i] = i
	}
	s.getSome(ctx, keys, indexes, records, errs)
	return records, errs
}

// getSome is GetMany for the keys at indexes. It fills in records and errs at the same indexes.
func (s *Store) getSome(ctx context.Context, keys []string, indexes []int, records []driver.Record, errs []error) {
	if torn := s.getOnce(ctx, keys, indexes, records, errs); len(torn) > 0 {
		s.getOnce(ctx, keys, torn, records, errs)
	}
}

// getOnce is getSome, but returns the indexes of torn reads instead of reading those keys again.
func (s *Store) getOnce(
	ctx context.Context, keys []string, indexes []int, records []driver.Record, errs []error,
) (torn []int) {
	reads, cmds := make([]read, len(indexes)), make([]redis.Cmder, 0, 2*len(indexes))
	for i, at := range indexes {
		reads[i] = newRead(ctx, keys[at])
		cmds = append(cmds, reads[i].pttl, reads[i].get)
	}
	err := s.pipelineIfOpen(ctx, cmds)
	for i, at := range indexes {
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
	if s.forEachMaster != nil || s.crossSlot.Load() { // all keys of an MGET must be in one slot
		read = s.gets
	}
	var again []int
	read(ctx, keys, func(i int, value string, err error) {
		switch {
		case err != nil:
			errs[i] = err
		case mayOutlive(value):
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

// gets reads each key with a GET, all in one pipeline, and calls found with what getReply returns
// for each.
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
		value, err := getReply(ctx, cmd.(*redis.StringCmd))
		found(i, value, err)
	}
}

// maxMget is the most keys that one MGET reads. The server does nothing else while it reads them.
const maxMget = 256

// mget is gets with few commands, which are less work for the client and the server.
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
	if err == nil && slices.ContainsFunc(cmds, isCrossSlot) {
		s.crossSlot.Store(true)
		s.gets(ctx, keys, found)
		return
	}
	for i := range keys {
		if err != nil {
			found(i, "", err)
			continue
		}
		value, err := mgetReply(ctx, cmds[i/maxMget].(*redis.SliceCmd), i%maxMget)
		found(i, value, err)
	}
}

// isCrossSlot reports whether cmd failed because its keys are in several slots: then the server is
// a node of a Cluster. A client that knows of no Cluster can use such a node if it has all slots.
func isCrossSlot(cmd redis.Cmder) bool {
	return cmd.Err() != nil && strings.HasPrefix(cmd.Err().Error(), "CROSSSLOT")
}

// mgetReply is getReply for the key with index i of an MGET.
func mgetReply(ctx context.Context, mget *redis.SliceCmd, i int) (string, error) {
	values, err := mget.Result()
	switch {
	case err != nil:
		return "", explain(withContextError(ctx, err))
	case len(values) != len(mget.Args())-1:
		return "", errReply
	}
	switch value := values[i].(type) {
	case string:
		return readable(value)
	case error: // from a proxy between the client and the server; Redis has none here
		return "", explain(value)
	default: // there is no key, or its type is not string
		return "", driver.ErrMiss
	}
}

// pipelineIfOpen is pipeline for a Store that may be closed and for cmds that may be empty.
func (s *Store) pipelineIfOpen(ctx context.Context, cmds []redis.Cmder) error {
	if s.closed.Load() {
		return errClosed
	}
	if len(cmds) == 0 {
		return nil
	}
	return s.pipeline(ctx, cmds)
}
