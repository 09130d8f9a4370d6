package redisstore

import (
	"context"
	"errors"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/zodiac-go/zodiac/driver"
)

// maxTogether is the most records that one script stores. The server does nothing else meanwhile.
const maxTogether = 64

// SetMany implements [driver.Batcher]. All records go in one pipeline. On a single server a script
// stores several: a script for each would cost the server five times as much as a plain SET.
func (s *Store) SetMany(ctx context.Context, records map[string]driver.Record) error {
	failed := make(driver.KeyErrors)
	calls := make([]call, 0, len(records))
	for key, r := range records {
		ms, err := milliseconds(r.TTL)
		if err != nil {
			failed[key] = err
			continue
		}
		calls = append(calls, call{setScript, key, []any{newVersion(), s.publishVerb(), ms, withFrame(r.Data)}})
	}
	if s.forEachMaster == nil && !s.crossSlot.Load() && len(calls) > 1 {
		calls = s.setTogether(ctx, calls, failed)
	}
	for i, res := range s.runAll(ctx, calls) {
		if res.err != nil {
			failed[calls[i].key] = res.err
		}
	}
	return failed.OrNil()
}

// setTogether runs calls of setScript by a few scripts. It notes those that have got no answer in
// failed, and returns those that the server has refused: each may do better by itself.
func (s *Store) setTogether(ctx context.Context, calls []call, failed driver.KeyErrors) (refused []call) {
	if s.ready(ctx) != nil {
		return calls
	}
	var chunks [][]call
	var cmds []redis.Cmder
	for some := range slices.Chunk(calls, maxTogether) {
		chunks, cmds = append(chunks, some), append(cmds, together(ctx, some, false))
	}
	sent := s.pipeline(ctx, cmds)
	for i, some := range chunks {
		err := sent
		if err == nil {
			err = withContextError(ctx, cmds[i].Err())
		}
		if isNoScript(err) {
			cmds[i] = together(ctx, some, true)
			err = s.process(ctx, cmds[i])
		}
		_, replied := errors.AsType[redis.Error](err)
		switch {
		case replied:
			s.crossSlot.CompareAndSwap(false, isCrossSlot(cmds[i]))
			refused = append(refused, some...)
		case err != nil:
			for _, c := range some {
				failed[c.key] = explain(err)
			}
		default:
			s.finishTogether(some, cmds[i].(*redis.Cmd), failed)
		}
	}
	return refused
}

// finishTogether takes the reply of a script that has stored several records.
func (s *Store) finishTogether(calls []call, reply *redis.Cmd, failed driver.KeyErrors) {
	wakes, err := reply.Slice()
	if err != nil || len(wakes) != len(calls) {
		for _, c := range calls {
			failed[c.key] = errReply
		}
		return
	}
	for _, w := range wakes {
		s.finishWake(w)
	}
}

// together returns the command that runs several calls of setScript. It contains the whole script if
// full is true, else the name of the script.
func together(ctx context.Context, calls []call, full bool) *redis.Cmd {
	args := make([]any, 0, 4+4*len(calls))
	if full {
		args = append(args, "eval", setManyScript.source)
	} else {
		args = append(args, "evalsha", setManyScript.sha)
	}
	args = append(args, len(calls))
	for i := range calls {
		args = append(args, calls[i].key)
	}
	args = append(args, calls[0].args[1]) // the channel
	for i := range calls {
		args = append(args, calls[i].args[0], calls[i].args[2], calls[i].args[3])
	}
	return redis.NewCmd(ctx, args...)
}
