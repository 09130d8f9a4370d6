// Package offload runs functions one after the other on a goroutine of its own.
//
// It is for users' code that nobody has to wait for, such as the handler of a log. Whoever adds
// such a function may hold locks and may be on the way of a call: Add neither blocks nor calls it.
package offload

import (
	"context"
	"sync"
)

// Size is how many functions may wait in a Queue.
const Size = 1024

// A Queue runs functions in the order in which they were added. Its goroutine exists only while
// there are any. The zero Queue is ready. It is safe for concurrent use.
type Queue struct {
	mu      sync.Mutex // guards the fields below
	waiting []func()
	running bool
	dropped uint64
	idle    chan struct{} // closed when the goroutine ends; nil = nobody waits for that
}

// Add runs f soon. It returns false and drops f if Size functions wait already. f may panic only if
// the program is to end. It may exit its goroutine.
func (q *Queue) Add(f func()) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) >= Size {
		q.dropped++
		return false
	}
	q.waiting = append(q.waiting, f)
	if !q.running {
		q.running = true
		go q.run()
	}
	return true
}

// Idle reports whether no function runs or waits.
func (q *Queue) Idle() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return !q.running
}

// Dropped returns how many functions were dropped.
func (q *Queue) Dropped() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped
}

// Drain waits until no function runs or waits, or until ctx ends, whose error it returns. Functions
// that are added meanwhile and later run too.
func (q *Queue) Drain(ctx context.Context) error {
	q.mu.Lock()
	if !q.running {
		q.mu.Unlock()
		return nil // even if ctx has ended
	}
	if q.idle == nil {
		q.idle = make(chan struct{})
	}
	idle := q.idle
	q.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run is the goroutine. A function that exits it makes another one go on.
func (q *Queue) run() {
	over := false
	defer func() {
		if !over {
			go q.run()
		}
	}()
	for f := q.next(); f != nil; f = q.next() {
		f()
	}
	over = true
}

// next returns the next function. If there is none, the goroutine is to end.
func (q *Queue) next() (f func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) > 0 {
		f, q.waiting[0] = q.waiting[0], nil
		q.waiting = q.waiting[1:]
		return f
	}
	q.waiting, q.running = nil, false
	if q.idle != nil {
		close(q.idle)
		q.idle = nil
	}
	return nil
}
