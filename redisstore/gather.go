package redisstore

import (
	"context"
	"errors"
	"net"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

// A gatherer lets callers who read at the same time share pipelines: most of what a command costs are the system calls of both
// ends. Nobody waits for company. The first of a batch steps back once, so that those who could run just then can add theirs, and
// sends it; who comes while it is under way belongs to the next one. A caller who is nearly alone sends his own command.
type gatherer struct {
	callers atomic.Int32 // that are under way

	mu   sync.Mutex // guards the field below
	next *batch     // not sent yet; nil = whoever comes begins one
}

// A batch is the commands of several callers.
type batch struct {
	cmds   []redis.Cmder // guarded by gatherer.mu until it is closed
	over   chan struct{} // closed when each command has its reply or error
	lapsed bool          // its deadline, which is the first caller's, has passed; set before over is closed
}

const (
	maxAlone = 4  // so many callers send their own commands
	maxBatch = 16 // commands in a pipeline: who shares one waits for the replies of all
)

// errUnsent is the error of commands whose pipeline a hook of the client has ended by a panic.
var errUnsent = errors.New("redisstore: the pipeline was not carried out")

// gathered is process for a command that only reads and is sent by many.
func (s *Store) gathered(ctx context.Context, cmd redis.Cmder) error {
	g := &s.gatherer
	defer g.callers.Add(-1)
	if g.callers.Add(1) <= maxAlone || s.masters != nil || !s.heeds(ctx) {
		return s.process(ctx, cmd)
	}
	b, first := g.join(cmd)
	if first {
		runtime.Gosched()
		if g.close(b); len(b.cmds) == 1 {
			return s.process(ctx, cmd)
		}
		s.sendBatch(ctx, b)
	} else {
		select {
		case <-b.over:
		case <-ctx.Done():
			return timely(ctx, errGone)
		}
	}
	if b.failed(cmd.Err()) && ctx.Err() == nil {
		return s.process(ctx, cmd)
	}
	return timely(ctx, cmd.Err())
}

// join adds a command to the batch that is to be sent next. The first caller is to close and send it.
func (g *gatherer) join(cmd redis.Cmder) (b *batch, first bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if first = g.next == nil; first {
		g.next = &batch{cmds: make([]redis.Cmder, 0, maxBatch), over: make(chan struct{})}
	}
	b = g.next
	b.cmds = append(b.cmds, cmd)
	if len(b.cmds) == maxBatch {
		g.next = nil
	}
	return b, first
}

// close ends the joining.
func (g *gatherer) close(b *batch) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.next == b {
		g.next = nil
	}
}

// sendBatch sends a batch under the values and the deadline of the first caller's context. That it is cancelled ends nothing: the
// others still want theirs.
func (s *Store) sendBatch(ctx context.Context, b *batch) {
	deadline, ends := ctx.Deadline()
	ctx = context.WithoutCancel(ctx)
	if ends {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline)
		defer cancel()
	}
	sent := false
	defer func() {
		for i := 0; i < len(b.cmds) && !sent; i++ {
			b.cmds[i].SetErr(errUnsent)
		}
		close(b.over)
	}()
	_ = send(ctx, s.sender, b.cmds)
	sent, b.lapsed = true, ctx.Err() != nil
}

// failed reports whether err, of a command, only says that its batch has failed, which need not be so for the command by itself.
func (b *batch) failed(err error) bool {
	if err == nil {
		return false
	}
	if _, said := errors.AsType[redis.Error](err); said { // redis.Nil as well
		return false
	}
	var late net.Error
	return b.lapsed || !errors.As(err, &late) || !late.Timeout()
}
