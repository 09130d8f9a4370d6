package herd

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"
)

// callTimeout is how long a call may take before it counts as failed: longer than anything that is allowed to happen.
const callTimeout = 15 * time.Second

// A worker calls a cache and logs what it gets.
type worker struct {
	*Scenario
	log   *Log
	cache cache
	begin int64
	until int64
}

func playWorker(ctx context.Context, o *orders, log *Log, ready func() (int64, error)) error {
	client := &originClient{address: o.Origin, proc: o.Proc}
	c, err := open(o.Mode, &o.Scenario, o.Redis, client.read)
	if err != nil {
		return err
	}
	w := &worker{Scenario: &o.Scenario, log: log, cache: c}
	if w.begin, err = ready(); err != nil {
		return err
	}
	const standing = 2 // this one and the one that watches the parent
	w.until = w.begin + w.Duration.Nanoseconds()
	w.work(ctx)
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err = errors.Join(c.Close(closing), client.Close())
	log.Add(Event{Kind: Goroutines, Version: int64(left(standing))})
	return err
}

// work runs the callers until their time is over.
func (w *worker) work(ctx context.Context) {
	var callers sync.WaitGroup
	defer callers.Wait()
	if w.Rounds == 0 {
		for range w.Callers {
			callers.Go(func() { w.loop(ctx) })
		}
		return
	}
	rounds := make([]chan struct{}, (w.Duration+w.Rounds-1)/w.Rounds)
	for i := range rounds {
		rounds[i] = make(chan struct{})
	}
	for range w.Callers {
		callers.Go(func() { w.rounds(ctx, rounds) })
	}
	for i, begun := range rounds {
		sleepUntil(ctx, w.begin+int64(i)*w.Rounds.Nanoseconds())
		close(begun)
	}
}

// rounds asks for one new key after another, at the same instants as everybody else. What it does in between is little: it would
// keep from running those who still wait for the key.
func (w *worker) rounds(ctx context.Context, rounds []chan struct{}) {
	calls, cancel := context.WithTimeout(ctx, w.Duration+callTimeout)
	defer cancel()
	for key, begun := range rounds {
		if <-begun; ctx.Err() != nil {
			return
		}
		w.get(calls, uint32(key))
	}
}

// loop asks for one key or another.
func (w *worker) loop(ctx context.Context) {
	at := w.begin + rand.Int64N(w.Think[1].Nanoseconds()+1)
	for at < w.until && sleepUntil(ctx, at) {
		call, cancel := context.WithTimeout(ctx, callTimeout)
		w.get(call, rand.Uint32N(uint32(w.Keys)))
		cancel()
		at = Now() + (w.Think[0] + rand.N(w.Think[1]-w.Think[0]+1)).Nanoseconds()
	}
}

func (w *worker) get(ctx context.Context, key uint32) { get(ctx, w.log, w.cache, key) }

// get is a Read.
func get(ctx context.Context, log *Log, c cache, key uint32) {
	e := Event{Kind: Read, Key: key, Start: Now()}
	v, err := c.Get(ctx, key)
	e.End, e.Version, e.Serial, e.Code = Now(), v.Version, v.Serial, code(err)
	log.Add(e)
}

// code is 0 for no error.
func code(err error) uint32 {
	if err != nil {
		return 1
	}
	return 0
}

// sleepUntil returns false if ctx has ended instead.
func sleepUntil(ctx context.Context, at int64) bool {
	t := time.NewTimer(time.Duration(at - Now()))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// left returns how many goroutines there are above those that stand, after a while in which they may end.
func left(standing int) int {
	for range 100 {
		if runtime.NumGoroutine() <= standing {
			return 0
		}
		time.Sleep(20 * time.Millisecond)
	}
	return runtime.NumGoroutine() - standing
}
