package zodiac

import (
	"context"
	"hash/maphash"
	"sync"
	"time"
)

// reads batches reads of one key forward: who comes while one runs shares the next one, so that at most two run. Sharing
// the one that runs would hand a caller what was read before an invalidation that its call came after.
type reads struct {
	seed   maphash.Seed
	shards [readShards]readShard
}

const readShards = 32

type readShard struct {
	mu   sync.Mutex             // guards the field below
	next map[string]*sharedRead // of each key that is read: what is to be read after that, or nil
	_    [48]byte               // keeps a neighbour's mutex off this cache line
}

// A sharedRead is one read and what came of it.
type sharedRead struct {
	done chan struct{}
	got  found
	err  error
}

// A found is a record and what was known before the command that read it was sent.
type found struct {
	record  Record
	parsed  record
	bad     error     // why it could not be parsed
	invalid bool      // a tag was deleted
	tags    tagGens   // of the tags that were read
	epoch   uint64    // of the tags in this process
	mark    fillMark  // of memory
	sent    int64     // by the clock of memory
	read    time.Time // when the answer came
}

// readOrShare is readRecord for this caller alone or for several. The caller's own read runs on its goroutine, under its context and
// its budget b; what others share runs on a goroutine of its own, under a budget of its own, and ends with none of them.
func (c *core) readOrShare(ctx context.Context, b *budget, key string) (found, error) {
	run, first := c.remote.reads.enter(key)
	if first {
		defer c.leaveRead(ctx, key)
		return c.readRecord(ctx, b, key)
	}
	began := time.Now()
	select {
	case <-run.done:
	case <-ctx.Done():
		return found{}, ctx.Err()
	}
	b.left -= time.Since(began)
	return run.got, run.err
}

// enter returns the read that a caller shares; or none, if it is the first and to perform one itself.
func (r *reads) enter(key string) (run *sharedRead, first bool) {
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

// leave ends a read, and returns the next one of the key if somebody waits for it.
func (r *reads) leave(key string) (next *sharedRead) {
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

func (r *reads) shard(key string) *readShard {
	return &r.shards[maphash.String(r.seed, key)%readShards]
}

// leaveRead ends a read, and begins the next one, on a goroutine of its own, if somebody waits for it.
func (c *core) leaveRead(ctx context.Context, key string) {
	run := c.remote.reads.leave(key)
	if run == nil {
		return
	}
	ctx = context.WithoutCancel(ctx)
	perform := func() {
		b := c.remote.newBudget()
		run.got, run.err = c.readRecord(ctx, &b, key)
		close(run.done)
		c.leaveRead(ctx, key)
	}
	if c.remote.tasks.run(perform) {
		return
	}
	run.err = ErrClosed
	close(run.done)
	c.leaveRead(ctx, key)
}
