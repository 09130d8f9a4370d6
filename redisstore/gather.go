package redisstore

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zodiac-go/zodiac/internal/faults"
)

// A gatherer lets callers who read, or run scripts of leases, at the same time share pipelines: most of what a command costs are the system
// calls of both ends. The first of a batch steps back, so that those who could run just then can add theirs, and sends it; who comes
// while it is under way belongs to the next one. A caller who is nearly alone sends his own command, and so does everyone while the
// processors have so much else to do that stepping back takes milliseconds.
type gatherer struct {
	yield   func()       // runtime.Gosched
	callers atomic.Int32 // that are under way
	busy    atomic.Int64 // until when nobody steps back, in nanoseconds since epoch
	pause   atomic.Int64 // how long that was the last time

	mu   sync.Mutex // guards the field below
	next *batch     // not sent yet; nil = whoever comes begins one
}

// A batch is the commands of several callers.
type batch struct {
	cmds   []redis.Cmder // guarded by gatherer.mu until it is closed
	closed bool          // likewise; whoever closes it sends it
	over   chan struct{} // closed when each command has its reply or error
	lapsed bool          // its deadline, which is the sender's, has passed; set before over is closed
}

const (
	maxAlone  = 4                      // so many callers send their own commands
	maxBatch  = 16                     // commands in a pipeline: who shares one waits for the replies of all
	longStep  = 3 * time.Millisecond   // stepping back took long; goroutines that compute have ten at a time
	pauseStep = 100 * time.Millisecond // how long nobody steps back after a long step, and twice as long after each further one
	maxPause  = 10 * time.Second
)

// epoch is what moments are counted from, to be kept in an atomic integer.
var epoch = time.Now()

// errUnsent is the error of commands whose pipeline a hook of the client has ended by a panic.
var errUnsent = errors.New("redisstore: the pipeline was not carried out")

// gathered is process for a command that is sent by many, and may be carried out once more after it has had its reply.
func (s *Store) gathered(ctx context.Context, cmd redis.Cmder) error {
	g := &s.gatherer
	defer g.callers.Add(-1)
	if g.callers.Add(1) <= maxAlone || s.masters != nil || !s.heeds(ctx) || g.isBusy() {
		return s.process(ctx, cmd)
	}
	b, first, sends := g.join(cmd)
	if first {
		g.stepBack()
		sends = g.close(b)
	}
	if sends {
		if len(b.cmds) == 1 {
			return s.process(ctx, cmd)
		}
		s.sendBatch(ctx, b)
	} else {
		select {
		case <-b.over:
		case <-ctx.Done():
			return faults.Shared(timely(ctx, errGone))
		}
	}
	err := cmd.Err()
	switch {
	case err == nil:
		return nil
	case b.failed(err) && ctx.Err() == nil && (!b.lapsed || !isShort(ctx)):
		return s.process(ctx, cmd)
	case sends:
		return timely(ctx, err)
	default: // it is the sender's fault to report, if it is one
		return faults.Shared(timely(ctx, err))
	}
}

// tooShort is too little time to ask again in. The deadlines of those who share a batch often differ by less, since a loader's limits are
// as coarse: each of them would report, as a fault of its own, that it had no answer in what was left.
const tooShort = 25 * time.Millisecond

func isShort(ctx context.Context) bool {
	deadline, ends := ctx.Deadline()
	return ends && time.Until(deadline) < tooShort
}

// isBusy reports whether nobody is to step back now.
func (g *gatherer) isBusy() bool {
	until := g.busy.Load()
	return until != 0 && int64(time.Since(epoch)) < until
}

// stepBack lets others run.
func (g *gatherer) stepBack() {
	began := time.Since(epoch)
	g.yield()
	now := time.Since(epoch)
	if now-began < longStep {
		if g.pause.Load() != 0 {
			g.pause.Store(0)
		}
		return
	}
	pause := min(max(pauseStep, 2*time.Duration(g.pause.Load())), maxPause)
	g.pause.Store(int64(pause))
	g.busy.Store(int64(now + pause))
}

// join adds a command to the batch that is to be sent next. The first caller is to close it; the one who fills it has done so. That
// one sends it.
func (g *gatherer) join(cmd redis.Cmder) (b *batch, first, sends bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if first = g.next == nil; first {
		g.next = &batch{cmds: make([]redis.Cmder, 0, maxBatch), over: make(chan struct{})}
	}
	b = g.next
	if b.cmds = append(b.cmds, cmd); len(b.cmds) == maxBatch {
		b.closed, g.next = true, nil
	}
	return b, first, b.closed
}

// close ends the joining. It returns false if somebody has done that before.
func (g *gatherer) close(b *batch) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if b.closed {
		return false
	}
	b.closed, g.next = true, nil
	return true
}

// sendBatch sends a batch under the values and the deadline of its sender's context. That it is cancelled ends nothing: the
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
	sent, b.lapsed = true, ends && !time.Now().Before(deadline) // the connection may notice that before the context does
}

// failed reports whether err, of a command, only says that its batch has failed, which need not be so for the command by itself.
func (b *batch) failed(err error) bool {
	if err == nil {
		return false
	}
	if _, said := errors.AsType[redis.Error](err); said { // redis.Nil as well
		// The client leaves a master that is one no more if a command by itself is told so, or the first of a pipeline.
		return redis.IsReadOnlyError(err)
	}
	var late net.Error
	return b.lapsed || !errors.As(err, &late) || !late.Timeout()
}
