package herd

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"
)

// callTimeout is how long a call may take before it counts as failed. It is longer than any bar
// allows.
const callTimeout = 15 * time.Second

// A worker reads keys through a cache and logs each read.
type worker struct {
	*Scenario
	log   *Log
	cache cache
	begin int64 // when the callers start; a time of Now
	until int64 // when they stop
}

// playWorker is a worker's process. It runs the callers, closes the cache, and logs how many
// goroutines are left.
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
	const standing = 2 // this goroutine, and the one that reads the pipe from the parent
	w.until = w.begin + w.Duration.Nanoseconds()
	w.work(ctx)
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err = errors.Join(c.Close(closing), client.Close())
	log.Add(Event{Kind: Goroutines, Version: int64(left(standing))})
	return err
}

// work runs the callers until the run is over. It returns when all of them have.
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

// rounds asks for the key of each round when the round begins. All rounds share one context,
// because a caller that has its value should do as little as possible: its work would delay the
// callers that still wait for theirs.
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

// loop asks for random keys and waits between the reads.
func (w *worker) loop(ctx context.Context) {
	at := w.begin + rand.Int64N(w.Think[1].Nanoseconds()+1)
	for at < w.until && sleepUntil(ctx, at) {
		call, cancel := context.WithTimeout(ctx, callTimeout)
		w.call(call, rand.Uint32N(uint32(w.Keys)))
		cancel()
		at = Now() + (w.Think[0] + rand.N(w.Think[1]-w.Think[0]+1)).Nanoseconds()
	}
}

// A refresher is a cache that can refresh keys, and remove them in other ways than by Delete.
type refresher interface {
	Refresh(ctx context.Context, key uint32) (Value, error)
	Remove(ctx context.Context, key uint32)
}

// call is get, or now and then something else, if the Scenario says so.
func (w *worker) call(ctx context.Context, key uint32) {
	r, ok := w.cache.(refresher)
	if !ok || w.Refreshes == 0 {
		w.get(ctx, key)
		return
	}
	switch n := rand.Uint32N(32 * w.Refreshes); {
	case n < 32:
		w.log.Add(timed(Refreshed, key, func() (Value, error) { return r.Refresh(ctx, key) }))
	case n == 32:
		r.Remove(ctx, key)
	default:
		w.get(ctx, key)
	}
}

func (w *worker) get(ctx context.Context, key uint32) { get(ctx, w.log, w.cache, key) }

// get calls the Get of c and logs it as a Read.
func get(ctx context.Context, log *Log, c cache, key uint32) {
	log.Add(timed(Read, key, func() (Value, error) { return c.Get(ctx, key) }))
}

// timed returns the event of a read.
func timed(kind Kind, key uint32, read func() (Value, error)) Event {
	e := Event{Kind: kind, Key: key, Start: Now()}
	v, err := read()
	e.End, e.Version, e.Serial, e.Code = Now(), v.Version, v.Serial, code(err)
	return e
}

// code returns the Code of an event: 0 if err is nil, else 1.
func code(err error) uint32 {
	if err != nil {
		return 1
	}
	return 0
}

// sleepUntil waits until the time at and returns true. If ctx ends first, it returns false.
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

// left returns how many goroutines this process has beyond standing. It gives them 2 s to end.
func left(standing int) int {
	for range 100 {
		if runtime.NumGoroutine() <= standing {
			return 0
		}
		time.Sleep(20 * time.Millisecond)
	}
	return runtime.NumGoroutine() - standing
}
