package redisstore

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zodiac-go/zodiac/driver"
)

// Times of a subscription. What is lost is noticed at most silence after the server was last heard of; Announcer allows 2 s.
const (
	heartbeat = 400 * time.Millisecond
	silence   = 1200 * time.Millisecond
	patience  = 5 * time.Second // for the server's confirmation
	linger    = time.Second     // how long a subscription outlives the interest in it
	pause     = time.Second     // between two attempts to subscribe
)

var (
	errSilent = errors.New("redisstore: the server is silent")
	errGap    = errors.New("redisstore: the connection was lost and made anew")
)

// A hub shares one subscription between all who wait for a lease and all who want announcements. It has one while there are
// any, and a second longer.
type hub struct {
	subscribe func(context.Context) *redis.PubSub

	mu      sync.Mutex // guards the fields below, and those of sessions that say so
	waiters map[string]map[chan struct{}]bool
	subs    map[*subscriber]*session
	pending int // calls of listen that have not returned
	current *session
	timer   *time.Timer // ends an idle session, or makes the next
	closed  bool
	running sync.WaitGroup // sessions
}

// A subscriber is one who wants announcements.
type subscriber struct {
	mu   sync.Mutex // held while fn runs
	fn   func(driver.Invalidation)
	done bool
}

// tell calls the function, unless it has had its last call.
func (b *subscriber) tell(a driver.Invalidation) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.done {
		b.done = a.Gap
		b.fn(a)
	}
}

func (b *subscriber) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done = true
}

// wait registers someone who waits for key.
func (h *hub) wait(key string) (<-chan struct{}, func()) {
	woken := make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return woken, func() {}
	}
	if h.waiters == nil {
		h.waiters = map[string]map[chan struct{}]bool{}
	}
	if h.waiters[key] == nil {
		h.waiters[key] = map[chan struct{}]bool{}
	}
	h.waiters[key][woken] = true
	h.ensureLocked()
	return woken, func() { h.unwait(key, woken) }
}

func (h *hub) unwait(key string, woken chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.waiters[key], woken)
	if len(h.waiters[key]) == 0 {
		delete(h.waiters, key)
	}
	h.idleLocked()
}

// listen registers a subscriber once the server has confirmed the subscription.
func (h *hub) listen(ctx context.Context, fn func(driver.Invalidation)) (stop func(), err error) {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil, errClosed
	}
	s := h.ensureLocked()
	h.pending++
	h.mu.Unlock()
	select {
	case <-s.confirmed:
	case <-s.ended:
	case <-ctx.Done():
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pending--
	defer h.idleLocked()
	switch {
	case s.err != nil:
		return nil, explain(s.err)
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	b := &subscriber{fn: fn}
	if h.subs == nil {
		h.subs = map[*subscriber]*session{}
	}
	h.subs[b] = s
	return func() { h.unlisten(b) }, nil
}

func (h *hub) unlisten(b *subscriber) {
	b.stop()
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.subs, b)
	h.idleLocked()
}

// ensureLocked returns the session that runs, or a new one.
func (h *hub) ensureLocked() *session {
	h.stopTimerLocked()
	if h.current == nil {
		h.current = newSession(h)
		h.running.Go(h.current.run)
	}
	return h.current
}

func (h *hub) interestLocked() bool { return len(h.waiters)+len(h.subs)+h.pending > 0 }

// idleLocked has the session end in a while, unless someone comes.
func (h *hub) idleLocked() {
	if h.interestLocked() || h.closed {
		return
	}
	h.stopTimerLocked()
	if s := h.current; s != nil {
		h.timer = time.AfterFunc(linger, func() { s.leave() })
	}
}

func (h *hub) stopTimerLocked() {
	if h.timer != nil {
		h.timer.Stop()
		h.timer = nil
	}
}

// retryLocked has a session made in a while for those who still wait. Subscribers have to come again.
func (h *hub) retryLocked() {
	h.stopTimerLocked()
	if len(h.waiters) == 0 || h.closed {
		return
	}
	h.timer = time.AfterFunc(pause, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.interestLocked() && !h.closed {
			h.ensureLocked()
		}
	})
}

// wakeAllLocked wakes everyone: wake-ups may have been lost.
func (h *hub) wakeAllLocked() {
	for key := range h.waiters {
		h.wakeLocked(key)
	}
}

func (h *hub) wakeLocked(key string) {
	for woken := range h.waiters[key] {
		select {
		case woken <- struct{}{}:
		default: // it has not looked at the last one yet
		}
	}
}

// wake wakes those who wait for key.
func (h *hub) wake(key string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wakeLocked(key)
}

// announce tells the subscribers of s.
func (h *hub) announce(s *session, a driver.Invalidation) {
	for _, b := range h.subscribers(s) {
		b.tell(a)
	}
}

func (h *hub) subscribers(s *session) (subs []*subscriber) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for b, of := range h.subs {
		if of == s {
			subs = append(subs, b)
		}
	}
	return subs
}

// close ends everything, and returns once nothing runs any more.
func (h *hub) close() {
	h.mu.Lock()
	h.closed = true
	h.stopTimerLocked()
	s := h.current
	h.mu.Unlock()
	if s != nil {
		s.lose(errClosed)
	}
	h.running.Wait()
}
