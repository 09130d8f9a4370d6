package zodiac

import (
	"context"
	"errors"
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
	reads   reads
	tasks   tasks
}

// errSkipped is what a command gets that was not sent.
var errSkipped = errors.New("not asked: it has failed too often, or the time of WithStoreTimeout is spent")

// A budget is the time one call may still spend on the store.
type budget struct{ left time.Duration }

// ask sends one command to the store. Time over, and a store that fails again and again, are errors like its own.
//
// If the caller can leave, the command runs on a goroutine of its own: clients notice an end of their context no sooner than
// their connection's deadline.
func ask[T any](ctx context.Context, r *remote, b *budget, command func(context.Context) (T, error)) (T, error) {
	if b.left <= 0 || !r.breaker.allows() {
		var none T
		return none, errSkipped
	}
	return send(ctx, r, b, command)
}

// send is ask that does not care whether the store has failed before: for writes, which nobody else makes up for.
func send[T any](ctx context.Context, r *remote, b *budget, command func(context.Context) (T, error)) (T, error) {
	began := time.Now()
	defer func() { b.left -= time.Since(began) }()
	if ctx.Done() == nil {
		return timed(ctx, r, b.left, command)
	}
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	left := b.left
	if !r.tasks.run(func() {
		v, err := timed(context.WithoutCancel(ctx), r, left, command)
		done <- result{v, err}
	}) {
		var none T
		return none, ErrClosed
	}
	select {
	case res := <-done:
		return res.value, res.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

func timed[T any](ctx context.Context, r *remote, limit time.Duration, command func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	v, err := command(ctx)
	r.breaker.saw(err)
	return v, err
}

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

// later runs a command that nobody waits for but Close.
func (r *remote) later(ctx context.Context, command func(context.Context)) {
	r.tasks.run(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.timeout)
		defer cancel()
		command(ctx)
	})
}
