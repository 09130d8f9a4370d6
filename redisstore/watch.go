package redisstore

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

// maxStuck is how many commands may be under way whose callers have gone, on a client that does not heed contexts.
const maxStuck = 64

var errStuck = errors.New("redisstore: 64 commands hang that nobody waits for any more; " +
	"set ContextTimeoutEnabled in the client's options, and look at the server")

// process sends one command and returns its error. If that is errGone or errStuck, cmd is not to be looked at.
func (s *Store) process(ctx context.Context, cmd redis.Cmder) error {
	if s.heeds(ctx) { // without a closure
		return timely(ctx, s.sender.Process(ctx, cmd))
	}
	return s.watch(ctx, func() error { return s.sender.Process(ctx, cmd) })
}

// pipeline sends commands in one go. An error means that they are not to be looked at; otherwise each has its own.
func (s *Store) pipeline(ctx context.Context, cmds []redis.Cmder) error {
	if s.heeds(ctx) {
		_ = send(ctx, s.sender, cmds)
		return nil
	}
	if err := s.watch(ctx, func() error { return send(ctx, s.sender, cmds) }); untold(err) {
		return err
	}
	return nil
}

// untold reports whether err comes from here, and not from the client.
func untold(err error) bool { return errors.Is(err, errGone) || errors.Is(err, errStuck) }

// heeds reports whether a command under ctx may run on the caller's goroutine: clients that heed contexts heed deadlines, not that a
// context is cancelled before. Who wants that to be noticed has no deadline, or pays for a goroutine himself.
func (s *Store) heeds(ctx context.Context) bool {
	if ctx.Done() == nil {
		return true
	}
	_, ends := ctx.Deadline()
	return ends && s.inline
}

// errGone is in the error of a command whose caller has gone.
var errGone = errors.New("redisstore: the command may still be carried out")

// watch calls f, which sends commands. If the client would not notice the end of ctx, f runs on a goroutine of its own, so that a
// server that stalls does not hold the caller past it.
func (s *Store) watch(ctx context.Context, f func() error) error {
	if s.heeds(ctx) {
		return timely(ctx, f())
	}
	if s.stuck.Load() >= maxStuck {
		return errStuck
	}
	const running, over, left = 0, 1, 2
	var state atomic.Int32
	done := make(chan error, 1)
	go func() {
		err := f()
		if !state.CompareAndSwap(running, over) {
			s.stuck.Add(-1)
		}
		done <- err
	}()
	select {
	case err := <-done:
		return timely(ctx, err)
	case <-ctx.Done():
	}
	s.stuck.Add(1)
	if !state.CompareAndSwap(running, left) {
		s.stuck.Add(-1)
		return timely(ctx, <-done)
	}
	return fmt.Errorf("%w: %w", ctx.Err(), errGone)
}

// timely makes an error that came because ctx has ended match ctx's.
func timely(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil || errors.Is(err, ctx.Err()) {
		return err
	}
	if _, said := errors.AsType[redis.Error](err); said {
		return err
	}
	return fmt.Errorf("%w: %w", ctx.Err(), err)
}
