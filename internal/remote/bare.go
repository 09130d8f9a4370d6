package remote

import (
	"context"
	"slices"
	"time"

	"github.com/zodiac-go/zodiac/internal/turnstile"
)

// bareWrites keep apart, within this process, the writes of a store that lends no leases. Otherwise
// a flight that has seen no invalidation could store its result after one. The zero bareWrites is
// ready.
type bareWrites struct {
	turns turnstile.Turnstile[string]
}

// enter waits for the turn of every key, and returns a function that ends the turns.
func (w *bareWrites) enter(ctx context.Context, keys ...string) (leave func(), err error) {
	if len(keys) > 1 {
		keys = slices.Compact(slices.Sorted(slices.Values(keys))) // in one order, so that no cycle of waits arises
	}
	for i, key := range keys {
		if err := w.turns.Enter(ctx, key); err != nil {
			w.leave(keys[:i])
			return nil, err
		}
	}
	return func() { w.leave(keys) }, nil
}

func (w *bareWrites) leave(keys []string) {
	for _, key := range keys {
		w.turns.Leave(key)
	}
}

// exclude keeps other writes of keys in this process away until leave is called, if the store
// itself does not order them by leases. The wait is a part of the budget, or callers would queue up
// behind a store that hangs. The error is that of ctx, or an OpError of op that was not sent.
func (c *Client) exclude(ctx context.Context, b *Budget, op string, keys ...string) (leave func(), err error) {
	if c.leaser != nil {
		return func() {}, nil
	}
	began := time.Now()
	limited, cancel := c.limits.limit(ctx, began, b.left)
	if cancel != nil {
		defer cancel()
	}
	leave, err = c.bare.enter(limited, keys...)
	b.left -= time.Since(began)
	if err != nil && ctx.Err() == nil {
		err = &OpError{op, errSkipped}
	}
	return leave, err
}

// writing returns the keys that are written at this moment in a store that lends no leases.
func (c *Client) writing() []string {
	if c.leaser != nil {
		return nil
	}
	return c.bare.turns.Entered()
}

// awaitWrites waits until the writes of keys that ran when it was called are over. Each ends with
// its budget, which began before. So nothing of a key is left after twice that time, unless the
// store holds a command up longer than its context allows.
func (c *Client) awaitWrites(ctx context.Context, keys []string) error {
	for _, key := range keys {
		limited, cancel := context.WithTimeout(ctx, 2*c.Timeout)
		err := c.bare.turns.Enter(limited, key)
		cancel()
		if err != nil {
			return err
		}
		c.bare.turns.Leave(key)
	}
	return nil
}
