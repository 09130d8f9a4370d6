// Package turnstile lets one caller at a time pass for each key.
package turnstile

import (
	"context"
	"sync"

	"github.com/zodiac-go/zodiac/internal/flight"
)

// A Turnstile lets one caller at a time pass for each key. The zero Turnstile is ready. It is safe
// for concurrent use, and holds nothing for keys that nobody has entered.
type Turnstile[K comparable] struct {
	mu    sync.Mutex // guards the field below
	turns map[K]*turn
}

type turn struct {
	flight.Turn
	free    chan struct{} // holds one element while nobody is inside
	callers int           // inside or waiting
	fetch   *flight.Link  // within which the caller inside runs
}

// Enter waits for the caller's turn, which ends with Leave. If ctx ends first, Enter returns its
// error, and there is no turn to end.
func (t *Turnstile[K]) Enter(ctx context.Context, key K) error {
	_, err := t.EnterWithin(ctx, key, nil, func() *flight.Link { return nil })
	return err
}

// EnterWithin is Enter that returns the turn, or [flight.ErrCycle] if the turn cannot come before
// this caller goes on. fetch is the fetch that the caller runs in, or nil. where, which is called if
// the caller has to wait, returns all that it runs within.
func (t *Turnstile[K]) EnterWithin(
	ctx context.Context, key K, fetch *flight.Link, where func() *flight.Link,
) (*flight.Turn, error) {
	mine := t.register(key)
	select {
	case <-mine.free:
	default:
		if err := mine.wait(ctx, where()); err != nil {
			t.forget(key, mine)
			return nil, err
		}
	}
	mine.fetch = fetch
	fetch.Hold(&mine.Turn)
	return &mine.Turn, nil
}

func (t *turn) wait(ctx context.Context, within *flight.Link) error {
	if !within.Wait(&t.Turn) {
		return flight.ErrCycle
	}
	defer within.Waited(&t.Turn)
	select {
	case <-t.free:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Leave ends the turn of a caller who has entered.
func (t *Turnstile[K]) Leave(key K) {
	t.mu.Lock()
	mine := t.turns[key]
	t.mu.Unlock()
	mine.fetch.Release(&mine.Turn)
	mine.fetch = nil
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
