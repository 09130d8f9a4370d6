package lease

import (
	"context"
	"errors"
	"time"

	"github.com/go-redsync/redsync/v4"
	syncredis "github.com/go-redsync/redsync/v4/redis"
	"github.com/go-redsync/redsync/v4/redis/goredis/v9"
	"github.com/redis/go-redis/v9"
)

// errNoAnswer replaces the error of a context that ended a call of a node. Callers would take it
// for the error of their own context.
var errNoAnswer = errors.New("lease: no answer in time")

// A node is one of the servers, in the form that redsync uses. A client need not heed contexts, but
// each call of a node ends with its context. A right that arrives on the server after that is taken
// back.
type node struct {
	syncredis.Pool
	timeout time.Duration // for taking back a right
}

// newPools returns redsync over nodes for clients.
func newPools(clients []redis.UniversalClient, timeout time.Duration) *redsync.Redsync {
	pools := make([]syncredis.Pool, len(clients))
	for i, c := range clients {
		pools[i] = &node{goredis.NewPool(c), timeout}
	}
	return redsync.New(pools...)
}

func (n *node) Get(ctx context.Context) (syncredis.Conn, error) {
	c, err := n.Pool.Get(ctx)
	return &conn{c, n, ctx}, err
}

// A conn is a connection to a node for one call. redsync calls SetNX to acquire, and Eval to
// extend and to release.
type conn struct {
	syncredis.Conn
	node *node
	ctx  context.Context
}

func (c *conn) SetNX(name, value string, expiry time.Duration) (bool, error) {
	ok, err := watch(c.ctx,
		func() (bool, error) { return c.Conn.SetNX(name, value, expiry) },
		// Also after an error, because the command may have been carried out. A caller that has won
		// on the other nodes does not need this one.
		func(bool, error) { c.node.takeBack(c.ctx, name, value) })
	return ok, c.noAnswer(err)
}

func (c *conn) Eval(script *syncredis.Script, keysAndArgs ...any) (any, error) {
	reply, err := watch(c.ctx,
		func() (any, error) { return c.Conn.Eval(script, keysAndArgs...) },
		func(any, error) {})
	return reply, c.noAnswer(err)
}

// noAnswer returns errNoAnswer for an error that came after the context had ended.
func (c *conn) noAnswer(err error) error {
	if err != nil && c.ctx.Err() != nil {
		return errNoAnswer
	}
	return err
}

// takeBack releases a right on this node alone, if the answer came too late to count. The release
// that redsync or the holder sent to all nodes may have arrived before the right.
func (n *node) takeBack(ctx context.Context, name, value string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), n.timeout)
	defer cancel()
	// If this fails, the right ends by itself.
	_, _ = redsync.New(n).NewMutex(name, redsync.WithValue(value)).UnlockContext(ctx)
}

// watch returns the result of call, or the error of ctx if ctx ends first. In the second case it
// calls late with the result, once call has returned. So the result always goes to exactly one of
// them.
//
// call and late run in a goroutine of their own, which ends when they have returned. If ctx has
// already ended, watch does not call call.
func watch[T any](ctx context.Context, call func() (T, error), late func(T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	var none T
	if err := ctx.Err(); err != nil {
		return none, err
	}
	done := make(chan result) // without a buffer, so a result is sent only if it is received
	go func() {
		value, err := call()
		select {
		case done <- result{value, err}:
		case <-ctx.Done():
			late(value, err)
		}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		return none, ctx.Err()
	}
}
