package remote

import (
	"context"
	"hash/maphash"
	"sync"
	"time"
)

// sharedReads batches reads of one key forward: a caller that arrives during a read waits for the
// next read, which begins when that one has ended. Sharing the read that runs would hand a caller a
// value read before an invalidation that preceded its call.
type sharedReads struct {
	seed   maphash.Seed
	shards [readShards]readShard
}

const readShards = 32

type readShard struct {
	mu   sync.Mutex             // guards the field below
	next map[string]*sharedRead // of each key that is being read: the read after that, or nil
	_    [48]byte               // keeps a neighbour's mutex off this cache line
}

// A sharedRead is one read and its result.
type sharedRead struct {
	done chan struct{} // closed when the fields below are final
	got  Entry
	err  error
}

func (r *sharedReads) init() {
	r.seed = maphash.MakeSeed()
	for i := range r.shards {
		r.shards[i].next = make(map[string]*sharedRead)
	}
}

// readShared reads a record for this caller alone or for several. The caller's own read runs on
// its goroutine, under its context and budget. A read that is shared runs on a goroutine of its
// own, under a budget of its own, and goes on when its callers leave.
func (c *Client) readShared(ctx context.Context, b *Budget, key string) (Entry, error) {
	run, first := c.reads.enter(key)
	if first {
		defer c.leaveRead(ctx, key)
		return c.readAlone(ctx, b, key)
	}
	began := time.Now()
	select {
	case <-run.done:
	case <-ctx.Done():
		return Entry{}, ctx.Err()
	}
	b.left -= time.Since(began)
	return run.got, run.err
}

// leaveRead ends a read. If callers wait for the next one, it begins that on a goroutine.
func (c *Client) leaveRead(ctx context.Context, key string) {
	run := c.reads.leave(key)
	if run == nil {
		return
	}
	ctx = context.WithoutCancel(ctx)
	perform := func() {
		run.err = errExited
		defer func() {
			close(run.done)
			c.leaveRead(ctx, key)
		}()
		b := c.NewBudget()
		run.got, run.err = c.readAlone(ctx, &b, key)
	}
	if c.tasks.run(perform) {
		return
	}
	run.err = ErrClosed
	close(run.done)
	c.leaveRead(ctx, key)
}

// enter returns the read that a caller shares. If the caller is the first, there is none, and it
// reads by itself.
func (r *sharedReads) enter(key string) (run *sharedRead, first bool) {
	s := r.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	run, runs := s.next[key]
	if !runs {
		s.next[key] = nil
		return nil, true
	}
	if run == nil {
		run = &sharedRead{done: make(chan struct{})}
		s.next[key] = run
	}
	return run, false
}

// leave ends a read, and returns the next one of the key if callers wait for it.
func (r *sharedReads) leave(key string) (next *sharedRead) {
	s := r.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if next = s.next[key]; next == nil {
		delete(s.next, key)
	} else {
		s.next[key] = nil
	}
	return next
}

func (r *sharedReads) shard(key string) *readShard {
	return &r.shards[maphash.String(r.seed, key)%readShards]
}
