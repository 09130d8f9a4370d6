package lease

import (
	"context"
	"sync"
	"time"

	"github.com/zodiac-go/zodiac/driver"
)

// Local returns a Guard for this process. A right excludes others that use the same Guard. Two
// calls of Local return two Guards, which know nothing of each other.
//
// The methods of the Guard do not block. TryAcquire and Extend return an error only if p is under
// a millisecond or ctx has ended, and then change nothing. Release returns no error and ignores
// ctx. A right that is not released takes memory until its time is over.
func Local() driver.Guard {
	return &local{rights: make(map[string]*right)}
}

// A local is the Guard of Local.
type local struct {
	mu     sync.Mutex // guards the fields below, and the field end of all rights
	rights map[string]*right
}

// A right is held while it is in the map and its time is not over. A right in the map may be over,
// because its timer runs a little late.
type right struct {
	guard *local
	key   string
	end   time.Time
	timer *time.Timer // removes the right from the map
}

func (l *local) TryAcquire(ctx context.Context, key string, p time.Duration) (driver.Held, bool, error) {
	if err := check(ctx, p); err != nil {
		return nil, false, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if other := l.rights[key]; other != nil && other.heldLocked() {
		return nil, false, nil
	}
	r := &right{guard: l, key: key, end: time.Now().Add(p)}
	r.timer = time.AfterFunc(p, r.expire)
	l.rights[key] = r
	return r, true, nil
}

// heldLocked reports whether the holder still has the right. The caller holds the guard's mu.
func (r *right) heldLocked() bool {
	return r.guard.rights[r.key] == r && time.Now().Before(r.end)
}

func (r *right) Extend(ctx context.Context, p time.Duration) (bool, error) {
	if err := check(ctx, p); err != nil {
		return false, err
	}
	r.guard.mu.Lock()
	defer r.guard.mu.Unlock()
	if !r.heldLocked() {
		return false, nil
	}
	r.end = time.Now().Add(p)
	r.timer.Reset(p)
	return true, nil
}

func (r *right) Release(context.Context) error {
	r.guard.mu.Lock()
	defer r.guard.mu.Unlock()
	r.timer.Stop()
	r.dropLocked()
	return nil
}

// expire is called by the timer.
func (r *right) expire() {
	r.guard.mu.Lock()
	defer r.guard.mu.Unlock()
	if !r.heldLocked() { // if it is held, the timer fired while Extend was setting it again
		r.dropLocked()
	}
}

// dropLocked removes the right from the map, unless another right has its place. The caller holds
// the guard's mu.
func (r *right) dropLocked() {
	if r.guard.rights[r.key] == r {
		delete(r.guard.rights, r.key)
	}
}
