package memstore

import (
	"context"
	"slices"
	"sync"

	"github.com/zodiac-go/zodiac/driver"
)

// Wake implements [driver.Waker].
func (s *Store) Wake(_ context.Context, key string) (<-chan struct{}, func()) {
	ch := make(chan struct{}, 1) // one wake-up waits for whoever is not listening yet; more would say no more
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting[key] == nil {
		s.waiting[key] = map[chan struct{}]struct{}{}
	}
	s.waiting[key][ch] = struct{}{}
	return ch, func() { s.unwait(key, ch) }
}

// unwait ends what Wake began.
func (s *Store) unwait(key string, ch chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.waiting[key], ch)
	if len(s.waiting[key]) == 0 {
		delete(s.waiting, key)
	}
}

// wake tells those who wait for the lease on key to ask again. Caller holds mu.
func (s *Store) wake(key string) {
	for ch := range s.waiting[key] {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

// subscribers are those who called Subscribe.
type subscribers struct {
	mu  sync.Mutex // guards all; held while none is called
	all []*subscriber
}

// A subscriber is one of them.
type subscriber struct {
	mu   sync.Mutex // held during a call
	call func(driver.Invalidation)
}

// Announce implements [driver.Bus]. It calls the subscribers itself, one after the other, and returns when they
// have.
func (s *Store) Publish(ctx context.Context, a driver.Invalidation) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	s.mu.Unlock()
	s.subs.mu.Lock()
	all := slices.Clone(s.subs.all)
	s.subs.mu.Unlock()
	for _, sub := range all {
		sub.tell(a)
	}
	return nil
}

// tell calls the subscriber, unless it was stopped.
func (b *subscriber) tell(a driver.Invalidation) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.call != nil {
		a.Keys = slices.Clone(a.Keys) // each may do with it what he likes
		b.call(a)
	}
}

// Subscribe implements [driver.Bus]. fn is called by whoever calls Announce, and never with Gap; it must not call
// Announce. Close ends the subscription.
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

// remove ends a subscription, and waits until it is no longer called.
func (l *subscribers) remove(sub *subscriber) {
	l.mu.Lock()
	l.all = slices.DeleteFunc(l.all, func(other *subscriber) bool { return other == sub })
	l.mu.Unlock()
	sub.mu.Lock()
	defer sub.mu.Unlock()
	sub.call = nil
}

// stop ends all subscriptions. It does not wait for calls: one that is running may have to wait for the caller's lock.
func (l *subscribers) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = nil
}
