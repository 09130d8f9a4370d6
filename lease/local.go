package lease

import (
	"context"
	"sync"
	"time"

	"github.com/zodiac-go/zodiac/driver"
)

// Local returns a Guard that excludes by key within this process, among those who share it: two calls of Local return two
// Guards, which know nothing of each other.
//
// Its calls do not block. TryAcquire and Extend return an error only if p is under a millisecond or ctx has ended; they then
// change nothing. Release returns none and does not look at ctx. A right nobody gives back takes up memory until its
// time is over.
func Local() driver.Guard {
	return &local{rights: make(map[string]*right)}
}

type local struct {
	mu     sync.Mutex // guards the fields below, and end of all rights
	rights map[string]*right
}

// A right is held as long as it is in the map and its time is not over. There may be one in the map whose time is over: a timer
// runs some time after it was due.
type right struct {
	guard *local
	key   string
	end   time.Time
	timer *time.Timer // takes the right out of the map
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

// heldLocked reports whether the right still is its holder's. The caller holds the guard's mu.
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

// expire is what the timer calls.
func (r *right) expire() {
	r.guard.mu.Lock()
	defer r.guard.mu.Unlock()
	if !r.heldLocked() { // else the timer fired while Extend was setting it again
		r.dropLocked()
	}
}

// dropLocked takes the right out of the map, unless another has its place. The caller holds the guard's mu.
func (r *right) dropLocked() {
	if r.guard.rights[r.key] == r {
		delete(r.guard.rights, r.key)
	}
}
