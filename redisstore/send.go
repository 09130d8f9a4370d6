package redisstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"slices"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

// A sender is the part of a client that sends commands.
type sender interface {
	Process(context.Context, redis.Cmder) error
	Pipeline() redis.Pipeliner
}

// maxStuck is the most commands that may be under way after their callers have returned, on a
// client that does not obey contexts.
const maxStuck = 64

var (
	errStuck = errors.New("redisstore: 64 commands still wait for the server after their callers have returned; " +
		"set ContextTimeoutEnabled in the client's options, and check the server")

	// errAbandoned is in the error of a command whose caller returned before the reply. The command
	// may still be carried out.
	errAbandoned = errors.New("redisstore: no reply from the server")
)

// process sends one command and returns its error. The caller must not read cmd if isAbandoned is
// true for that error.
func (s *Store) process(ctx context.Context, cmd redis.Cmder) error {
	var err error
	if s.runsInline(ctx) { // saves the closure
		err = withContextError(ctx, processGuarded(ctx, s.sender, cmd))
	} else {
		err = s.runUnder(ctx, func() error { return processGuarded(ctx, s.sender, cmd) })
	}
	s.noteReached(err)
	return s.dials.explain(err)
}

// pipeline sends commands in one pipeline. If it returns an error, the caller must not read cmds.
// If not, each command has its own error.
func (s *Store) pipeline(ctx context.Context, cmds []redis.Cmder) error {
	var err error
	if s.runsInline(ctx) {
		err = s.sendAll(ctx, cmds)
	} else if err = s.runUnder(ctx, func() error { return s.sendAll(ctx, cmds) }); isAbandoned(err) {
		return s.dials.explain(err)
	}
	s.noteReached(err)
	if isTimeout(err) {
		for _, cmd := range cmds {
			cmd.SetErr(s.dials.explain(cmd.Err()))
		}
	}
	return nil
}

// isTimeout reports whether err says that the time of a command was over, or that no connection was
// free in time.
func isTimeout(err error) bool {
	if err == nil {
		return false
	}
	var timeout net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, redis.ErrPoolTimeout) ||
		errors.As(err, &timeout) && timeout.Timeout()
}

// send sends commands in one pipeline, and returns the error of the first command that has one,
// which may be redis.Nil. If a hook ends the pipeline with an error but gives the commands none,
// send gives it to all of them, or they would look like empty replies.
//
// A panic of the client or of a hook is the error of all commands: some may have no reply.
func send(ctx context.Context, c sender, cmds []redis.Cmder) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked(p)
			for _, cmd := range cmds {
				cmd.SetErr(err)
			}
		}
	}()
	p := c.Pipeline()
	err = p.BatchProcess(ctx, cmds...)
	if err == nil {
		_, err = p.Exec(ctx)
	}
	if err != nil && !slices.ContainsFunc(cmds, func(cmd redis.Cmder) bool { return cmd.Err() != nil }) {
		for _, cmd := range cmds {
			cmd.SetErr(err)
		}
	}
	return err
}

// processGuarded is the client's Process, but a panic of the client or of a hook is an error of cmd.
func processGuarded(ctx context.Context, c sender, cmd redis.Cmder) error {
	err := guarded(func() error { return c.Process(ctx, cmd) })
	if errors.Is(err, errPanicked) {
		cmd.SetErr(err)
	}
	return err
}

// guarded returns the error of f. A panic is an error too, such as one of a client library that gets
// a reply it does not expect. On a goroutine of ours it would end the process.
func guarded(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked(p)
		}
	}()
	return f()
}

func panicked(p any) error { return fmt.Errorf("%w: %v\n\n%s", errPanicked, p, debug.Stack()) }

// isAbandoned reports whether err comes from this file and not from the client: the command was not
// sent, or it may be still under way.
func isAbandoned(err error) bool { return errors.Is(err, errAbandoned) || errors.Is(err, errStuck) }

// runsInline reports whether a command under ctx may run on the caller's goroutine. A client that
// obeys contexts obeys their deadlines, but does not notice a cancellation. A caller that needs
// to return at a cancellation gives no deadline, or starts a goroutine itself.
func (s *Store) runsInline(ctx context.Context) bool {
	if ctx.Done() == nil {
		return true
	}
	_, ends := ctx.Deadline()
	return ends && s.obeysDeadlines
}

// runUnder calls f, which sends commands, and returns its error. If the client would not notice the
// end of ctx, f runs on a goroutine of its own. Then runUnder returns when ctx ends, even if the
// server stalls.
//
// stuck counts the goroutines that go on after that. Both sides try to change the state from
// running, and one succeeds. If f is over first, nothing is stuck, and f's error counts though ctx
// has ended. If the caller leaves first, the goroutine takes itself off stuck when f is over.
func (s *Store) runUnder(ctx context.Context, f func() error) error {
	if s.runsInline(ctx) {
		return withContextError(ctx, guarded(f))
	}
	if s.stuck.Load() >= maxStuck {
		return errStuck
	}
	const running, over, left = 0, 1, 2
	var state atomic.Int32
	done := make(chan error, 1)
	go func() {
		err := guarded(f)
		if !state.CompareAndSwap(running, over) {
			s.stuck.Add(-1)
		}
		done <- err
	}()
	select {
	case err := <-done:
		return withContextError(ctx, err)
	case <-ctx.Done():
	}
	s.stuck.Add(1)
	if !state.CompareAndSwap(running, left) {
		s.stuck.Add(-1)
		return withContextError(ctx, <-done)
	}
	return abandoned(ctx)
}

// abandoned returns the error for a command whose caller returns since ctx has ended.
func abandoned(ctx context.Context) error { return fmt.Errorf("%w: %w", errAbandoned, ctx.Err()) }

// withContextError returns err, and makes it match the error of ctx if ctx has ended: clients
// return timeouts of the network instead. An error that the server replied stays as it is.
func withContextError(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil || errors.Is(err, ctx.Err()) {
		return err
	}
	if _, replied := errors.AsType[redis.Error](err); replied {
		return err
	}
	return fmt.Errorf("%w: %w", ctx.Err(), err)
}
