package remote

import (
	"context"
	"sync"
)

// tasks are what Close waits for: the goroutines that a Client starts, and the writes that run on
// their callers' goroutines. The zero tasks is ready.
type tasks struct {
	mu     sync.Mutex // guards the fields below
	n      int
	closed bool
	idle   chan struct{} // closed when n falls to zero after close
}

// run calls f on a new goroutine. It returns false if the tasks are closed.
func (t *tasks) run(f func()) bool {
	if !t.enter() {
		return false
	}
	go func() {
		defer t.done()
		f()
	}()
	return true
}

// enter begins a task that ends with done. It returns false if the tasks are closed.
func (t *tasks) enter() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.n++
	return true
}

func (t *tasks) done() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n--; t.n == 0 && t.idle != nil {
		close(t.idle)
		t.idle = nil
	}
}

// close refuses further tasks, and waits for those that run or until ctx ends.
func (t *tasks) close(ctx context.Context) error {
	t.mu.Lock()
	t.closed = true
	if t.n == 0 {
		t.mu.Unlock()
		return nil
	}
	if t.idle == nil {
		t.idle = make(chan struct{})
	}
	idle := t.idle
	t.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
