package remote

import (
	"context"
	"slices"

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
// itself does not order them by leases. The error is that of ctx.
func (c *Client) exclude(ctx context.Context, keys ...string) (leave func(), err error) {
	if c.leaser != nil {
		return func() {}, nil
	}
	return c.bare.enter(ctx, keys...)
}

// writing returns the keys that are written at this moment in a store that lends no leases.
func (c *Client) writing() []string {
	if c.leaser != nil {
		return nil
	}
	return c.bare.turns.Entered()
}

// awaitWrites waits until the writes of keys that ran when it was called are over.
func (c *Client) awaitWrites(ctx context.Context, keys []string) error {
	for _, key := range keys {
		if err := c.bare.turns.Enter(ctx, key); err != nil {
			return err
		}
		c.bare.turns.Leave(key)
	}
	return nil
}
