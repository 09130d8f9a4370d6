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

// errNoAnswer stands for a context's error, which callers would take for their own context's.
var errNoAnswer = errors.New("lease: no answer in time")

// A node is one of the servers, as redsync wants it: each call ends with its context, which a client's need not, and leaves
// nothing behind.
type node struct {
	syncredis.Pool
	timeout time.Duration
}

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

// A conn is what redsync asks a node through. It calls SetNX to acquire, and Eval to extend and to release.
type conn struct {
	syncredis.Conn
	node *node
	ctx  context.Context
}

func (c *conn) SetNX(name, value string, expiry time.Duration) (bool, error) {
	ok, err := watch(c.ctx,
		func() (bool, error) { return c.Conn.SetNX(name, value, expiry) },
		// Even after an error: it may have been carried out. Whoever acquired by the other nodes does not need this one.
		func(bool, error) { c.node.takeBack(c.ctx, name, value) })
	return ok, c.noAnswer(err)
}

func (c *conn) Eval(script *syncredis.Script, keysAndArgs ...any) (any, error) {
	reply, err := watch(c.ctx,
		func() (any, error) { return c.Conn.Eval(script, keysAndArgs...) },
		func(any, error) {})
	return reply, c.noAnswer(err)
}

func (c *conn) noAnswer(err error) error {
	if err != nil && c.ctx.Err() != nil {
		return errNoAnswer
	}
	return err
}

// takeBack releases what was acquired on this node alone, when the answer came too late to count. The release that redsync, or the
// holder, has sent to all nodes may have overtaken it.
func (n *node) takeBack(ctx context.Context, name, value string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), n.timeout)
	defer cancel()
	_, _ = redsync.New(n).NewMutex(name, redsync.WithValue(value)).UnlockContext(ctx) // it ends by itself at last
}

// watch returns what call returns, or ctx's error if that ends first. Then late is called with what call returned, once it has.
// So one of both always gets it.
func watch[T any](ctx context.Context, call func() (T, error), late func(T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	var none T
	if err := ctx.Err(); err != nil {
		return none, err
	}
	done := make(chan result) // without buffer: a result is sent only if it is received
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
