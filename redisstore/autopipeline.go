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

// An autoPipeline lets callers that send a command at the same time share a pipeline. Most of the
// cost of a command is system calls, of the client and of the server, and a pipeline needs one each
// for all its commands.
//
// The first caller of a batch yields the processor once, so that other goroutines that are ready
// can add their commands, and then sends the batch. A caller that comes while a batch is under way
// belongs to the next one. A caller that is nearly alone sends its own command. So do all callers
// while yielding takes milliseconds, because goroutines that compute keep the processors busy.
type autoPipeline struct {
	yield     func()       // runtime.Gosched
	callers   atomic.Int32 // callers under way, those that send their own commands included
	busyUntil atomic.Int64 // until then no caller yields, in ns since epoch; 0 = never set
	lastPause atomic.Int64 // the pause before that, in ns; 0 = the last yield was short

	mu   sync.Mutex // guards the field below
	next *batch     // not sent yet; nil = the next caller begins one
}

// A batch is the commands of several callers. The caller that closes it sends it.
type batch struct {
	cmds   []redis.Cmder // guarded by autoPipeline.mu until the batch is closed
	closed bool          // no more commands; guarded by autoPipeline.mu
	done   chan struct{} // closed when each command has its reply or its error

	// expired means that the deadline of the batch, which is its sender's, has passed. It is set
	// before done is closed.
	expired bool
}

const (
	// maxAlone is how many callers at a time send their own commands.
	maxAlone = 4

	// maxBatch is the most commands in a batch. Each caller waits for the replies to all of them.
	maxBatch = 16

	// A yield of longYield or more met goroutines that compute, which run for 10 ms at a time. Then
	// no caller yields for firstPause, and for twice as long after each further long yield, up to
	// maxPause.
	longYield  = 3 * time.Millisecond
	firstPause = 100 * time.Millisecond
	maxPause   = 10 * time.Second
)

// epoch is the moment from which times in atomic integers are counted.
var epoch = time.Now()

// errPanicked is in the error of commands that were ended by a panic of the client or of a hook.
var errPanicked = errors.New("redisstore: the client panicked")

// processShared is process, but may send cmd in a pipeline with the commands of other callers. If
// that pipeline fails, each caller sends its command again by itself, while the first copy may be
// still on its way. So cmd must do no harm if it is carried out once more after its reply.
//
// If several callers get the error of one pipeline, all but its sender get it as faults.Shared.
func (s *Store) processShared(ctx context.Context, cmd redis.Cmder) error {
	p := &s.pipelines
	defer p.callers.Add(-1)
	if p.callers.Add(1) <= maxAlone || s.forEachMaster != nil || !s.runsInline(ctx) || p.isBusy() {
		return s.process(ctx, cmd)
	}
	b, first, sends := p.join(cmd)
	if first {
		p.yieldOnce()
		sends = p.close(b)
	}
	if sends {
		if len(b.cmds) == 1 {
			return s.process(ctx, cmd)
		}
		s.sendBatch(ctx, b)
	} else {
		select {
		case <-b.done:
		case <-ctx.Done():
			return faults.Shared(abandoned(ctx))
		}
	}
	err := cmd.Err()
	switch {
	case err == nil:
		return nil
	case b.failed(err) && ctx.Err() == nil && (!b.expired || !endsSoon(ctx)):
		return s.process(ctx, cmd)
	case sends:
		return withContextError(ctx, err)
	default: // the sender returns the error as its own, if it is a fault of the store
		return faults.Shared(withContextError(ctx, err))
	}
}

// minRetryTime is the least time left in which a command of an expired batch is sent again. The
// deadlines of the callers of a batch often differ by less, since a Loader rounds its time limits.
// If such callers sent their commands again, each would report a fault of its own: that no reply
// came in the little time left.
const minRetryTime = 25 * time.Millisecond

// endsSoon reports whether ctx has a deadline that is less than minRetryTime away.
func endsSoon(ctx context.Context) bool {
	deadline, ends := ctx.Deadline()
	return ends && time.Until(deadline) < minRetryTime
}

// isBusy reports whether no caller should yield now.
func (p *autoPipeline) isBusy() bool {
	until := p.busyUntil.Load()
	return until != 0 && int64(time.Since(epoch)) < until
}

// yieldOnce lets other goroutines run. If that takes long, no caller yields for a while.
func (p *autoPipeline) yieldOnce() {
	began := time.Since(epoch)
	p.yield()
	now := time.Since(epoch)
	if now-began < longYield {
		if p.lastPause.Load() != 0 {
			p.lastPause.Store(0)
		}
		return
	}
	pause := min(max(firstPause, 2*time.Duration(p.lastPause.Load())), maxPause)
	p.lastPause.Store(int64(pause))
	p.busyUntil.Store(int64(now + pause))
}

// join adds cmd to the next batch. If first is true, the caller has begun the batch and must close
// it. If sends is true, the caller has filled and so closed the batch, and must send it.
func (p *autoPipeline) join(cmd redis.Cmder) (b *batch, first, sends bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if first = p.next == nil; first {
		p.next = &batch{cmds: make([]redis.Cmder, 0, maxBatch), done: make(chan struct{})}
	}
	b = p.next
	if b.cmds = append(b.cmds, cmd); len(b.cmds) == maxBatch {
		b.closed, p.next = true, nil
	}
	return b, first, b.closed
}

// close closes b and returns true: the caller must send b. It returns false if another caller has
// filled b and sends it.
func (p *autoPipeline) close(b *batch) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if b.closed {
		return false
	}
	b.closed, p.next = true, nil
	return true
}

// sendBatch sends b under the values and the deadline of ctx, the sender's context. A cancellation
// of ctx does not end it, since the other callers still want their replies.
func (s *Store) sendBatch(ctx context.Context, b *batch) {
	deadline, ends := ctx.Deadline()
	ctx = context.WithoutCancel(ctx)
	if ends {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline)
		defer cancel()
	}
	sent := false
	defer func() { // also if a hook exits the goroutine
		for i := 0; i < len(b.cmds) && !sent; i++ {
			b.cmds[i].SetErr(errPanicked)
		}
		close(b.done)
	}()
	_ = send(ctx, s.sender, b.cmds)
	// The clock is read since a connection may notice the deadline before the context does.
	sent, b.expired = true, ends && !time.Now().Before(deadline)
}

// failed reports whether err, the error of one of b's commands, only says that the batch has
// failed: the command might succeed by itself.
func (b *batch) failed(err error) bool {
	if err == nil {
		return false
	}
	if _, replied := errors.AsType[redis.Error](err); replied { // redis.Nil is one of these
		// A client leaves a master that has become a replica only if it gets this error for a
		// command by itself, or for the first command of a pipeline.
		return redis.IsReadOnlyError(err)
	}
	var timeout net.Error
	return b.expired || !errors.As(err, &timeout) || !timeout.Timeout()
}
