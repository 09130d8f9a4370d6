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
	r := newRead(ctx, key)
	m := moment{sent: now()}
	if err := s.pipeline(ctx, []redis.Cmder{r.pttl, r.get}); err != nil {
		return driver.Record{}, err
	}
	m.done = now()
	rec, ok, err := r.record(ctx, &s.clock, m)
	if !ok {
		return s.getExactly(ctx, key)
	}
	return rec, err
}

// A read is a PTTL of a key, and a GET of it afterwards.
type read struct {
	pttl *redis.IntCmd
	get  *redis.StringCmd
}

func newRead(ctx context.Context, key string) read {
	return read{redis.NewIntCmd(ctx, "pttl", key), redis.NewStringCmd(ctx, "get", key)}
}

// record returns the record that was read during m. ok is false if the time left is not certain, so
// that getExactly has to find it out.
func (r *read) record(ctx context.Context, c *serverClock, m moment) (rec driver.Record, ok bool, err error) {
	value, err := getReply(ctx, r.get)
	if err != nil {
		return rec, true, err
	}
	if value == foreign {
		return record(value, driver.Forever), true, nil
	}
	if err := r.pttl.Err(); err != nil {
		return rec, true, explain(withContextError(ctx, err))
	}
	ttl, ok := c.timeLeft(value, r.pttl.Val(), m)
	if !ok || ttl == 0 {
		return rec, ok, driver.ErrMiss
	}
	return record(value, ttl), true, nil
}

// getExactly is Get for a key whose frame and expiry contradict each other.
func (s *Store) getExactly(ctx context.Context, key string) (driver.Record, error) {
	m := moment{sent: now()}
	reply, err := s.call(ctx, readScript, key)
	if err != nil {
		return driver.Record{}, err
	}
	m.done = now()
	return s.exact(s.result(reply), m)
}

// exact returns the record in the reply of lua/read.lua, and learns the server's time.
func (s *Store) exact(res result, m moment) (driver.Record, error) {
	if res.err != nil {
		return driver.Record{}, res.err
	}
	fields, _ := res.value.([]any)
	if len(fields) != 3 {
		return driver.Record{}, errReply
	}
	server, ok1 := fields[0].(int64)
	left, ok2 := fields[1].(int64)
	value, ok3 := fields[2].(string)
	if !ok1 || !ok2 || !ok3 {
		return driver.Record{}, errReply
	}
	s.clock.learn(server, m)
	if left == noKey {
		return driver.Record{}, driver.ErrMiss
	}
	value, err := readable(value)
	switch {
	case err != nil:
		return driver.Record{}, err
	case left == noExpiry:
		return record(value, driver.Forever), nil
	default:
		return record(value, duration(left)), nil
	}
}

// getReply returns the value that get has read, which begins with the frame of a record. It returns
// ErrMiss if readers may not see a record there.
func getReply(ctx context.Context, get *redis.StringCmd) (string, error) {
	value, err := get.Result()
	switch {
	case err == nil:
		return readable(value)
	case errors.Is(err, redis.Nil):
		return "", driver.ErrMiss
	case isWrongType(err):
		return foreign, nil
	default:
		return "", explain(withContextError(ctx, err))
	}
}

// isWrongType reports whether err says that the key holds something else than a string.
func isWrongType(err error) bool { return strings.HasPrefix(err.Error(), "WRONGTYPE") }

// readable returns value if it has a record that readers may see, and ErrMiss if it has only a
// lease or a tombstone. For a value without a frame it returns foreign, so that readers get a
// record without data.
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
// ended, unless the key has a lease that ends later, or somebody else has changed the key's expiry.
// Only then it asks for the time left.
func (s *Store) GetData(ctx context.Context, key string) (driver.Record, error) {
	if s.closed.Load() {
		return driver.Record{}, errClosed
	}
	get := redis.NewStringCmd(ctx, "get", key)
	sent := s.processShared(ctx, get)
	if isAbandoned(sent) {
		return driver.Record{}, sent
	}
	if isTimeout(sent) {
		get.SetErr(sent) // says why there is no connection
	}
	value, err := getReply(ctx, get)
	switch {
	case err == nil:
	case faults.IsShared(sent) && !errors.Is(err, driver.ErrMiss):
		return driver.Record{}, faults.Shared(err)
	default:
		return driver.Record{}, err
	}
	switch {
	case !s.clock.trusts(value, now()):
		return s.getExactly(ctx, key)
	case mayOutlive(value):
		return s.Get(ctx, key)
	default:
		return record(value, 0), nil
	}
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
	reads, cmds := make([]read, len(indexes)), make([]redis.Cmder, 0, 2*len(indexes))
	for i, at := range indexes {
		reads[i] = newRead(ctx, keys[at])
		cmds = append(cmds, reads[i].pttl, reads[i].get)
	}
	m := moment{sent: now()}
	err := s.pipelineIfOpen(ctx, cmds)
	m.done = now()
	var doubtful []int // indexes in reads
	for i, at := range indexes {
		if err != nil {
			errs[at] = err
			continue
		}
		var ok bool
		if records[at], ok, errs[at] = reads[i].record(ctx, &s.clock, m); !ok {
			doubtful = append(doubtful, i)
		}
	}
	// All reads may be doubtful because the server's time is not known yet. Reading one key exactly
	// tells it.
	if len(doubtful) > 1 {
		at := indexes[doubtful[0]]
		records[at], errs[at] = s.getExactly(ctx, keys[at])
		doubtful = slices.DeleteFunc(doubtful[1:], func(i int) (ok bool) {
			at := indexes[i]
			records[at], ok, errs[at] = reads[i].record(ctx, &s.clock, m)
			return ok
		})
	}
	s.getSomeExactly(ctx, keys, indexesAt(indexes, doubtful), records, errs)
}

func indexesAt(indexes, at []int) []int {
	some := make([]int, len(at))
	for i, j := range at {
		some[i] = indexes[j]
	}
	return some
}

// getSomeExactly is getSome by the script that getExactly uses.
func (s *Store) getSomeExactly(ctx context.Context, keys []string, indexes []int, records []driver.Record, errs []error) {
	if len(indexes) == 0 {
		return
	}
	calls := make([]call, len(indexes))
	for i, at := range indexes {
		calls[i] = call{script: readScript, key: keys[at]}
	}
	m := moment{sent: now()}
	results := s.runAll(ctx, calls)
	m.done = now()
	for i, at := range indexes {
		records[at], errs[at] = s.exact(results[i], m)
	}
}

// GetManyData implements [driver.DataReader].
func (s *Store) GetManyData(ctx context.Context, keys []string) ([]driver.Record, []error) {
	records, errs := make([]driver.Record, len(keys)), make([]error, len(keys))
	read := s.mget
	if s.forEachMaster != nil || s.crossSlot.Load() { // all keys of an MGET must be in one slot
		read = s.gets
	}
	var again []int
	local := now()
	read(ctx, keys, func(i int, value string, err error) {
		switch {
		case err != nil:
			errs[i] = err
		case mayOutlive(value) || !s.clock.trusts(value, local):
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
	case nil: // there is no key, or it holds something else than a string: then Acquire finds it
		return "", driver.ErrMiss
	default:
		return "", errReply
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
