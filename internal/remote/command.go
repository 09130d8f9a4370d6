package remote

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zodiac-go/zodiac/driver"
)

// errSkipped is the error of a command that was not sent.
var errSkipped = errors.New("not asked: it has failed too often, or the time of WithStoreTimeout is spent")

// A Budget is the time that one call may still spend on the store.
type Budget struct{ left time.Duration }

// NewBudget returns the budget of one call.
func (c *Client) NewBudget() Budget { return Budget{c.Timeout} }

// noKey is the key of a command that is about no key.
const noKey = ""

// Unending returns a context with the values of ctx that does not end. A write, once called, is
// carried out: a caller whose client has hung up still wants the old value gone. Only the Budget
// limits it.
func Unending(ctx context.Context) context.Context {
	if ctx.Done() == nil {
		return ctx
	}
	return context.WithoutCancel(ctx)
}

// begin begins a write, which end ends. Close waits for it: whoever closes the store after the cache
// cuts no write off. The error is ErrClosed.
func (c *Client) begin() (end func(), err error) {
	if !c.tasks.enter() {
		return nil, ErrClosed
	}
	return c.tasks.done, nil
}

// ask sends one command about a key to the store. It returns errSkipped if the budget is spent or the
// breaker of the key's shard is open.
func ask[T any](ctx context.Context, c *Client, b *Budget, key string, command func(context.Context) (T, error)) (T, error) {
	if b.left <= 0 || !c.allows(key) {
		var zero T
		return zero, errSkipped
	}
	return send(ctx, c, b, key, command)
}

// send is ask that sends the command even if the breaker is open. It is for writes: nobody else
// makes up for a write that was not sent. If the budget is spent, the command gets a context that has
// ended.
//
// While the store is well, the command runs on the caller's goroutine: handing it over would cost
// a quarter of a round trip. A client may notice the end of a context no sooner than its deadline.
// So after a fault of the store a command whose caller can leave gets a goroutine of its own.
func send[T any](ctx context.Context, c *Client, b *Budget, key string, command func(context.Context) (T, error)) (v T, err error) {
	began := time.Now()
	if ctx.Done() == nil || c.well(key) {
		v, err = timed(ctx, c, began, b.left, key, command)
	} else {
		v, err = detached(ctx, c, began, b.left, key, command)
	}
	b.left -= time.Since(began)
	return v, err
}

// do is send for a command without a result.
func do(ctx context.Context, c *Client, b *Budget, key string, command func(context.Context) error) error {
	_, err := send(ctx, c, b, key, func(ctx context.Context) (struct{}, error) { return struct{}{}, command(ctx) })
	return err
}

func detached[T any](ctx context.Context, c *Client, began time.Time, limit time.Duration, key string, command func(context.Context) (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	var zero T
	done := make(chan result, 1)
	if !c.tasks.run(func() {
		res := result{err: errExited}
		defer func() { done <- res }()
		res.value, res.err = timed(context.WithoutCancel(ctx), c, began, limit, key, command)
	}) {
		return zero, ErrClosed
	}
	select {
	case res := <-done:
		return res.value, res.err
	case <-ctx.Done():
		return zero, ctx.Err()
	}
}

func timed[T any](ctx context.Context, c *Client, began time.Time, limit time.Duration, key string, command func(context.Context) (T, error)) (v T, err error) {
	ctx, cancel := c.limits.limit(ctx, began, limit)
	v, err = guarded(ctx, command)
	if cancel != nil {
		cancel()
	}
	// A command that took much longer than its limit was held up by a stop of this process, which
	// says nothing about the store.
	if err == nil || time.Since(began) < 2*limit {
		c.saw(key, err)
	}
	return v, err
}

// errExited is the error of a command that has ended its goroutine, for those who wait for it.
var errExited = errors.New("the store has called runtime.Goexit")

// guarded calls a command. A panic of the store is its error.
func guarded[T any](ctx context.Context, command func(context.Context) (T, error)) (v T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("it panicked: %v\n\n%s", p, debug.Stack())
		}
	}()
	return command(ctx)
}

// later runs a command in the background. Only Close waits for it. It returns false if Close no
// longer takes tasks.
func (c *Client) later(ctx context.Context, command func(context.Context)) bool {
	return c.tasks.run(func() { c.last(ctx, command) })
}

// last runs a command whose caller may have left.
func (c *Client) last(ctx context.Context, command func(context.Context)) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.Timeout)
	defer cancel()
	command(ctx)
}

// patient returns a context for one command that may have much to do: it ends when the command has
// made no progress for as long as a call may spend on the store. See [driver.Progress]. stop frees it.
func (c *Client) patient(ctx context.Context) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancel(Unending(ctx))
	t := time.AfterFunc(c.Timeout, cancel)
	ctx = driver.WithProgress(ctx, func() { t.Reset(c.Timeout) })
	return patientContext{ctx}, func() {
		t.Stop()
		cancel()
	}
}

// A patientContext ends because time is over. It has no deadline, since that moves.
type patientContext struct{ context.Context }

func (c patientContext) Err() error {
	if c.Context.Err() == nil {
		return nil
	}
	return context.DeadlineExceeded
}

// limits makes contexts that end after a limit. Commands that can end in no other way, and are sent
// at about the same time under the same limit, share one timer. To set and stop a timer for each
// would be a tenth of the cost of a read. A shared timer is never stopped, and ends by itself.
type limits struct {
	mu      sync.Mutex // guards writes of the field below
	current atomic.Pointer[sharedLimit]
}

type sharedLimit struct {
	context.Context
	stop  context.CancelFunc // not called: it would end commands that Close does not wait for
	until time.Time          // it is for commands that begin before
	limit time.Duration
}

// limitGrain is by how much a shared limit may be too short.
const limitGrain = 20 * time.Millisecond

// limit returns a context that ends limit after began, or up to limitGrain earlier, and a function
// to free it, which may be nil.
func (l *limits) limit(ctx context.Context, began time.Time, limit time.Duration) (context.Context, context.CancelFunc) {
	if ctx.Done() != nil {
		return context.WithTimeout(ctx, limit)
	}
	s := l.current.Load()
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
	if s := l.current.Load(); s != nil && s.limit == limit && began.Before(s.until) {
		return s
	}
	ctx, stop := context.WithDeadline(context.Background(), began.Add(limit))
	s := &sharedLimit{ctx, stop, began.Add(limitGrain), limit}
	l.current.Store(s)
	return s
}

// A limitedContext has the end of a shared limit and the values of another context.
type limitedContext struct {
	*sharedLimit
	values context.Context
}

func (c limitedContext) Value(key any) any { return c.values.Value(key) }
