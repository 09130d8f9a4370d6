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
	mu    sync.Mutex // guards the field below, and what it leads to
	lines map[string]*readLine
	_     [48]byte // keeps a neighbour's mutex off this cache line
}

// A readLine is what goes on for one key: a read runs, and another may wait for its end.
type readLine struct{ next *sharedRead }

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

// A readFunc sends the command, or commands, of one read. Its context does not end with any caller's.
type readFunc func(ctx context.Context, b *budget) (found, error)

// read returns what read returns, for this caller alone or for several. The caller's own read runs on its goroutine, under its
// context and its budget b; what others share runs on a goroutine that r starts, under a budget of its own, and ends with none of them.
func (r *remote) read(ctx context.Context, key string, b *budget, read readFunc) (found, error) {
	run, l := r.reads.enter(key)
	if l != nil {
		defer r.leaveRead(ctx, key, l, read)
		return read(ctx, b)
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

// enter returns the read that a caller shares; or, if it is to perform one itself, the line of the key.
func (r *reads) enter(key string) (*sharedRead, *readLine) {
	s := r.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lines[key]
	if l == nil {
		l = new(readLine)
		s.lines[key] = l
		return nil, l
	}
	if l.next == nil {
		l.next = &sharedRead{done: make(chan struct{})}
	}
	return l.next, nil
}

// perform runs a read on a goroutine of its own, and whatever waits behind it.
func (r *remote) perform(ctx context.Context, key string, l *readLine, run *sharedRead, read readFunc) {
	ctx = context.WithoutCancel(ctx)
	perform := func() {
		b := r.newBudget()
		run.got, run.err = read(ctx, &b)
		close(run.done)
		r.leaveRead(ctx, key, l, read)
	}
	if r.tasks.run(perform) {
		return
	}
	run.err = ErrClosed
	close(run.done)
	r.leaveRead(ctx, key, l, read)
}

// leaveRead ends a read of a line, and begins the next one if somebody waits for it.
func (r *remote) leaveRead(ctx context.Context, key string, l *readLine, read readFunc) {
	s := r.reads.shard(key)
	s.mu.Lock()
	next := l.next
	l.next = nil
	if next == nil {
		delete(s.lines, key)
	}
	s.mu.Unlock()
	if next != nil {
		r.perform(ctx, key, l, next, read)
	}
}

func (r *reads) shard(key string) *readShard {
	return &r.shards[maphash.String(r.seed, key)%readShards]
}
