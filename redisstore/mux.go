package redisstore

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zodiac-go/zodiac/driver"
)

// A mux shares one subscription among all callers that wait for a lease and all subscribers to
// invalidations. It has a subscription while there are any of them, and a second longer.
type mux struct {
	open func(context.Context) *redis.PubSub // Store.subscribe

	mu          sync.Mutex                        // guards the fields below, and subscription.err
	waiters     map[string]map[chan struct{}]bool // by key; no inner map is empty
	subscribers map[*subscriber]*subscription     // with the subscription that each belongs to
	pending     int                               // calls of addSubscriber that wait for a confirmation
	current     *subscription                     // has not ended; nil = there is none
	timer       *time.Timer                       // ends current when it is idle, or starts the next one; nil = neither
	closed      bool

	running sync.WaitGroup // of the goroutines of subscriptions
}

// A subscriber is a function that receives invalidations.
type subscriber struct {
	mu   sync.Mutex // held while fn runs, and guards the field below
	fn   func(driver.Invalidation)
	done bool // fn has had its last call
}

// receive calls fn, unless fn has had its last call. A Gap is the last call.
func (b *subscriber) receive(inv driver.Invalidation) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.done {
		b.done = inv.Gap
		b.fn(inv)
	}
}

// stop waits for a call of fn that runs, and prevents later calls.
func (b *subscriber) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done = true
}

// addWaiter returns a channel that receives the wake-ups for key, and a function that removes it.
func (m *mux) addWaiter(key string) (<-chan struct{}, func()) {
	woken := make(chan struct{}, 1)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return woken, func() {}
	}
	if m.waiters == nil {
		m.waiters = map[string]map[chan struct{}]bool{}
	}
	if m.waiters[key] == nil {
		m.waiters[key] = map[chan struct{}]bool{}
	}
	m.waiters[key][woken] = true
	m.ensureLocked()
	return woken, func() { m.removeWaiter(key, woken) }
}

func (m *mux) removeWaiter(key string, woken chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.waiters[key], woken)
	if len(m.waiters[key]) == 0 {
		delete(m.waiters, key)
	}
	m.endIfUnusedLocked()
}

// addSubscriber waits until the server has confirmed the subscription, and then adds a subscriber.
// stop removes it.
func (m *mux) addSubscriber(ctx context.Context, fn func(driver.Invalidation)) (stop func(), err error) {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return nil, errClosed
	}
	s := m.ensureLocked()
	m.pending++
	m.mu.Unlock()
	select {
	case <-s.confirmed:
	case <-s.ended:
	case <-ctx.Done():
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pending--
	defer m.endIfUnusedLocked()
	switch {
	case s.err != nil:
		return nil, explain(s.err)
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	b := &subscriber{fn: fn}
	if m.subscribers == nil {
		m.subscribers = map[*subscriber]*subscription{}
	}
	m.subscribers[b] = s
	return func() { m.removeSubscriber(b) }, nil
}

func (m *mux) removeSubscriber(b *subscriber) {
	b.stop()
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.subscribers, b)
	m.endIfUnusedLocked()
}

// ensureLocked returns the current subscription, and starts one if there is none.
func (m *mux) ensureLocked() *subscription {
	m.stopTimerLocked()
	if m.current == nil {
		m.current = newSubscription(m)
		m.running.Go(m.current.run)
	}
	return m.current
}

// usedLocked reports whether anyone needs a subscription.
func (m *mux) usedLocked() bool { return len(m.waiters)+len(m.subscribers)+m.pending > 0 }

// endIfUnusedLocked makes the current subscription end after idleTime if nobody needs it. A caller
// that comes before keeps it.
func (m *mux) endIfUnusedLocked() {
	if m.usedLocked() || m.closed {
		return
	}
	m.stopTimerLocked()
	if s := m.current; s != nil {
		m.timer = time.AfterFunc(idleTime, func() { s.endIfUnused() })
	}
}

func (m *mux) stopTimerLocked() {
	if m.timer != nil {
		m.timer.Stop()
		m.timer = nil
	}
}

// retryLocked starts a subscription after retryTime for the waiters that remain. Subscribers have
// to subscribe again, since they may have missed invalidations.
func (m *mux) retryLocked() {
	m.stopTimerLocked()
	if len(m.waiters) == 0 || m.closed {
		return
	}
	m.timer = time.AfterFunc(retryTime, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.usedLocked() && !m.closed {
			m.ensureLocked()
		}
	})
}

// wake wakes the waiters for key.
func (m *mux) wake(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.wakeLocked(key)
}

// wakeAllLocked wakes all waiters. It is called when wake-ups may have been lost.
func (m *mux) wakeAllLocked() {
	for key := range m.waiters {
		m.wakeLocked(key)
	}
}

func (m *mux) wakeLocked(key string) {
	for woken := range m.waiters[key] {
		select {
		case woken <- struct{}{}:
		default: // the waiter has not yet received the wake-up before this one
		}
	}
}

// deliver gives inv to the subscribers of s.
func (m *mux) deliver(s *subscription, inv driver.Invalidation) {
	for _, b := range m.subscribersOf(s) {
		b.receive(inv)
	}
}

func (m *mux) subscribersOf(s *subscription) (subscribers []*subscriber) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for b, of := range m.subscribers {
		if of == s {
			subscribers = append(subscribers, b)
		}
	}
	return subscribers
}

// forgetSubscribersOf removes the subscribers of a subscription that has ended.
func (m *mux) forgetSubscribersOf(s *subscription) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for b, of := range m.subscribers {
		if of == s {
			delete(m.subscribers, b)
		}
	}
}

// close ends the subscription, and returns when its goroutines have ended.
func (m *mux) close() {
	m.mu.Lock()
	m.closed = true
	m.stopTimerLocked()
	s := m.current
	m.mu.Unlock()
	if s != nil {
		s.fail(errClosed)
	}
	m.running.Wait()
}
