package zodiac

import (
	"context"
	"slices"
)

// bareWrites keep apart, within this process, the writes of a store that lends no leases: else a flight that has seen no
// invalidation could store its result after one. The zero bareWrites is ready.
type bareWrites struct{ turns turnstile[string] }

// enter waits for the turn of every key, and returns what ends it.
func (w *bareWrites) enter(ctx context.Context, keys ...string) (leave func(), err error) {
	if len(keys) > 1 {
		keys = slices.Compact(slices.Sorted(slices.Values(keys))) // in one order, so that nobody waits in a circle
	}
	for i, key := range keys {
		if err := w.turns.enter(ctx, key); err != nil {
			w.leave(keys[:i])
			return nil, err
		}
	}
	return func() { w.leave(keys) }, nil
}

func (w *bareWrites) leave(keys []string) {
	for _, key := range keys {
		w.turns.leave(key)
	}
}

// running returns the keys that somebody writes at this moment.
func (w *bareWrites) running() []string {
	w.turns.mu.Lock()
	defer w.turns.mu.Unlock()
	keys := make([]string, 0, len(w.turns.turns))
	for key := range w.turns.turns {
		keys = append(keys, key)
	}
	return keys
}

// exclude makes the writes of keys wait until what it returns is called, if the store itself cannot see to their order.
func (c *core) exclude(ctx context.Context, keys ...string) (func(), error) {
	if c.remote.leaser != nil {
		return func() {}, nil
	}
	return c.bare.enter(ctx, keys...)
}
