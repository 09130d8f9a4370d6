// Package turnstile lets one caller at a time pass for each key.
package turnstile

import (
	"context"
	"sync"
)

// A Turnstile lets one caller at a time pass for each key. The zero Turnstile is ready. It is safe
// for concurrent use, and holds nothing for keys that nobody has entered.
type Turnstile[K comparable] struct {
	mu    sync.Mutex // guards the field below
	turns map[K]*turn
}

type turn struct {
	free    chan struct{} // holds one element while nobody is inside
	callers int           // inside or waiting
}

// Enter waits for the caller's turn, which ends with Leave. If ctx ends first, Enter returns its
// error, and there is no turn to end. It may do so even if the turn was free.
func (t *Turnstile[K]) Enter(ctx context.Context, key K) error {
	mine := t.register(key)
	select {
	case <-mine.free:
		return nil
	case <-ctx.Done():
		t.forget(key, mine)
		return ctx.Err()
	}
}

// Leave ends the turn of a caller who has entered.
func (t *Turnstile[K]) Leave(key K) {
	t.mu.Lock()
	mine := t.turns[key]
	t.mu.Unlock()
	mine.free <- struct{}{}
	t.forget(key, mine)
}

// Entered returns the keys for which a caller is inside or waits.
func (t *Turnstile[K]) Entered() []K {
	t.mu.Lock()
	defer t.mu.Unlock()
	keys := make([]K, 0, len(t.turns))
	for key := range t.turns {
		keys = append(keys, key)
	}
	return keys
}

func (t *Turnstile[K]) register(key K) *turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.turns == nil {
		t.turns = make(map[K]*turn)
	}
	mine := t.turns[key]
	if mine == nil {
		mine = &turn{free: make(chan struct{}, 1)}
		mine.free <- struct{}{}
		t.turns[key] = mine
	}
	mine.callers++
	return mine
}

func (t *Turnstile[K]) forget(key K, mine *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if mine.callers--; mine.callers == 0 {
		delete(t.turns, key)
	}
}
