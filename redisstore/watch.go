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
		return timely(ctx, s.client.Process(ctx, cmd))
	}
	return s.watch(ctx, func() error { return s.client.Process(ctx, cmd) })
}

// pipeline sends commands in one go. An error means that they are not to be looked at; otherwise each has its own.
func (s *Store) pipeline(ctx context.Context, cmds []redis.Cmder) error {
	if s.heeds(ctx) {
		_ = s.exec(ctx, cmds)
		return nil
	}
	if err := s.watch(ctx, func() error { return s.exec(ctx, cmds) }); untold(err) {
		return err
	}
	return nil
}

// exec returns the error of the first command that has one, which may be redis.Nil.
func (s *Store) exec(ctx context.Context, cmds []redis.Cmder) error {
	p := s.client.Pipeline()
	for _, cmd := range cmds {
		_ = p.Process(ctx, cmd)
	}
	_, err := p.Exec(ctx)
	return err
}

// untold reports whether err comes from here, and not from the client.
func untold(err error) bool { return errors.Is(err, errGone) || errors.Is(err, errStuck) }

// heeds reports whether a command under ctx ends with it.
func (s *Store) heeds(ctx context.Context) bool { return s.inline || ctx.Done() == nil }

// errGone is in the error of a command whose caller has gone.
var errGone = errors.New("redisstore: the command may still be carried out")

// watch calls f, which sends commands. If the client does not heed contexts, f runs on a goroutine of its own, so that a
// server that stalls does not hold the caller past ctx.
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
