package memstore

import (
	"context"
	"slices"
	"sync"

	"github.com/zodiac-go/zodiac/driver"
)

// subscribers are the subscriptions of a Store that have not ended.
type subscribers struct {
	mu  sync.Mutex // guards all; never held during a call of a subscriber
	all []*subscriber
}

// A subscriber is one subscription.
type subscriber struct {
	mu   sync.Mutex                // held during a call, guards the field below
	call func(driver.Invalidation) // nil once stop was called
}

// Publish implements [driver.Bus]. It calls the subscribers in its caller's goroutine, one after
// the other, and returns when all have returned.
func (s *Store) Publish(ctx context.Context, inv driver.Invalidation) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	s.mu.Unlock()
	s.subs.mu.Lock()
	all := slices.Clone(s.subs.all)
	s.subs.mu.Unlock()
	for _, sub := range all {
		sub.receive(inv)
	}
	return nil
}

// receive calls the subscriber, unless the subscription was stopped.
func (b *subscriber) receive(inv driver.Invalidation) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.call != nil {
		inv.Keys = slices.Clone(inv.Keys) // a subscriber may change its copy
		b.call(inv)
	}
}

// Subscribe implements [driver.Bus]. fn runs in the goroutine that calls Publish, and must not call
// Publish itself. It never receives a Gap. Close ends the subscription.
func (s *Store) Subscribe(ctx context.Context, fn func(driver.Invalidation)) (stop func(), err error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	sub := &subscriber{call: fn}
	s.subs.mu.Lock()
	defer s.subs.mu.Unlock()
	s.subs.all = append(s.subs.all, sub)
	return func() { s.subs.remove(sub) }, nil
}

// remove ends a subscription, and waits for a call that is running.
func (l *subscribers) remove(sub *subscriber) {
	l.mu.Lock()
	l.all = slices.DeleteFunc(l.all, func(other *subscriber) bool { return other == sub })
	l.mu.Unlock()
	sub.mu.Lock()
	defer sub.mu.Unlock()
	sub.call = nil
}

// stop ends all subscriptions. It does not wait for a call that is running: that call may be
// waiting for a lock that the caller of stop holds.
func (l *subscribers) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = nil
}
