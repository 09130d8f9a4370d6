package zodiac

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// A remote is the store under one cache: what it can do, what its keys are called, and how long it may take.
type remote struct {
	store     Store
	leaser    Leaser     // these are nil if the store is not one
	data      DataReader // also nil if reads want to know the time left
	batch     Batcher
	waker     Waker
	announcer Announcer
	guard     Guard
	codec     Codec
	keys      storeKeys

	lease    time.Duration
	wait     time.Duration // for another process' fetch; 0 = not at all
	fail     bool          // ErrBusy when that is over
	timeout  time.Duration // of the store, for one call
	closed   bool          // FailClosed: faults of the store reach callers
	maxBytes int           // of a record; 0 = no limit

	breaker breaker
	limits  limits
	reads   reads
	tasks   tasks
}

// errSkipped is what a command gets that was not sent.
var errSkipped = errors.New("not asked: it has failed too often, or the time of WithStoreTimeout is spent")

// A budget is the time one call may still spend on the store.
type budget struct{ left time.Duration }

// ask sends one command to the store. Time over, and a store that fails again and again, are errors like its own.
func ask[T any](ctx context.Context, r *remote, b *budget, command func(context.Context) (T, error)) (T, error) {
	if b.left <= 0 || !r.breaker.allows() {
		var none T
		return none, errSkipped
	}
	return send(ctx, r, b, command)
}

// send is ask that does not care whether the store has failed before: for writes, which nobody else makes up for.
//
// While all is well the command runs on the caller's goroutine: handing it over would cost a quarter of a round trip. Clients may
// notice the end of a context no sooner than its deadline, so once the store has failed, a command whose caller can leave gets a
// goroutine of its own.
func send[T any](ctx context.Context, r *remote, b *budget, command func(context.Context) (T, error)) (v T, err error) {
	began := time.Now()
	if ctx.Done() == nil || r.breaker.faults.Load() == 0 {
		v, err = timed(ctx, r, began, b.left, command)
	} else {
		v, err = detached(ctx, r, began, b.left, command)
	}
	b.left -= time.Since(began)
	return v, err
}

func detached[T any](ctx context.Context, r *remote, began time.Time, limit time.Duration, command func(context.Context) (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	var none T
	done := make(chan result, 1)
	if !r.tasks.run(func() {
		v, err := timed(context.WithoutCancel(ctx), r, began, limit, command)
		done <- result{v, err}
	}) {
		return none, ErrClosed
	}
	select {
	case res := <-done:
		return res.value, res.err
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

func timed[T any](ctx context.Context, r *remote, began time.Time, limit time.Duration, command func(context.Context) (T, error)) (v T, err error) {
	ctx, cancel := r.limits.limit(ctx, began, limit)
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("it panicked: %v\n\n%s", p, debug.Stack())
		}
		if cancel != nil {
			cancel()
		}
		// Much later than its limit the process was stopped meanwhile, which says nothing about the store.
		if err == nil || time.Since(began) < 2*limit {
			r.breaker.saw(err)
		}
	}()
	return command(ctx)
}

// limits makes contexts that end after a limit. Commands without another end that are sent at about the same time, under the same
// limit, share one timer: setting up and stopping one for each would be a tenth of a read's cost.
type limits struct {
	mu   sync.Mutex // guards the field below
	last atomic.Pointer[sharedLimit]
}

type sharedLimit struct {
	context.Context
	stop  context.CancelFunc
	until time.Time // the last command that it is for begins before
	limit time.Duration
}

// limitGrain is by how much a shared limit may be too short.
const limitGrain = 20 * time.Millisecond

// limit returns a context that ends limit after began, or up to limitGrain earlier; and how to free it, which may be nil.
func (l *limits) limit(ctx context.Context, began time.Time, limit time.Duration) (context.Context, context.CancelFunc) {
	if ctx.Done() != nil {
		return context.WithTimeout(ctx, limit)
	}
	s := l.last.Load()
	if s == nil || s.limit != limit || !began.Before(s.until) {
		if limit < 10*limitGrain || s != nil && s.limit != limit && began.Before(s.until) {
			return context.WithTimeout(ctx, limit)
		}
		s = l.renew(began, limit)
	}
	return limitedContext{s, ctx}, nil
}

// renew makes a shared limit for the commands of the next limitGrain.
func (l *limits) renew(began time.Time, limit time.Duration) *sharedLimit {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.last.Load(); s != nil && s.limit == limit && began.Before(s.until) {
		return s
	}
	ctx, stop := context.WithDeadline(context.Background(), began.Add(limit))
	s := &sharedLimit{ctx, stop, began.Add(limitGrain), limit}
	l.last.Store(s)
	return s
}

// stop frees the last limit, once no command runs. Those before it end by themselves.
func (l *limits) stop() {
	if s := l.last.Load(); s != nil {
		s.stop()
	}
}

// A limitedContext has the end of one context and the values of another.
type limitedContext struct {
	*sharedLimit
	values context.Context
}

func (c limitedContext) Value(key any) any { return c.values.Value(key) }

// get reads one record.
func (r *remote) get(ctx context.Context, key string) (Record, error) {
	if r.data != nil {
		return r.data.GetData(ctx, key)
	}
	return r.store.Get(ctx, key)
}

// getMany reads many records.
func (r *remote) getMany(ctx context.Context, keys []string) ([]Record, []error) {
	switch {
	case r.data != nil:
		return r.data.GetManyData(ctx, keys)
	case r.batch != nil:
		return r.batch.GetMany(ctx, keys)
	}
	records, errs := make([]Record, len(keys)), make([]error, len(keys))
	for i, key := range keys {
		records[i], errs[i] = r.store.Get(ctx, key)
	}
	return records, errs
}

// newBudget returns what one call may spend.
func (r *remote) newBudget() budget { return budget{r.timeout} }

// later runs a command that nobody waits for but Close. It returns false if that is over.
func (r *remote) later(ctx context.Context, command func(context.Context)) bool {
	return r.tasks.run(func() { r.last(ctx, command) })
}

// last runs a command whose caller does not matter any more.
func (r *remote) last(ctx context.Context, command func(context.Context)) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.timeout)
	defer cancel()
	command(ctx)
}
