package redisstore

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zodiac-go/zodiac/driver"
)

// Times of a subscription. A loss is noticed at most maxSilence after the last message of the
// server. driver.Bus allows 2 s.
const (
	pingInterval   = 400 * time.Millisecond
	maxSilence     = 1200 * time.Millisecond
	confirmTimeout = 5 * time.Second
	idleTime       = time.Second // how long a subscription outlives its last waiter or subscriber
	retryTime      = time.Second // between the end of a subscription and the next one
)

var (
	errSilent   = errors.New("redisstore: the server sends nothing on the subscription")
	errReplaced = errors.New("redisstore: the connection of the subscription was lost and replaced")
	errEnded    = errors.New("redisstore: the subscription has ended")
)

// A subscription is one subscription to the channel, from its first command until it is lost or no
// longer needed. A client's PubSub replaces a lost connection without saying so, and the messages
// in between are lost. So a subscription ends at the first sign of a loss.
type subscription struct {
	mux       *mux
	ctx       context.Context // ends with the subscription
	cancel    context.CancelFunc
	confirmed chan struct{} // closed when the server has confirmed the subscription
	ended     chan struct{} // closed when the subscription has ended
	err       error         // why it has ended; guarded by mux.mu, set before ended is closed
	watchdog  *time.Timer   // ends the subscription when the server is silent
}

func newSubscription(m *mux) *subscription {
	s := &subscription{mux: m, confirmed: make(chan struct{}), ended: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.watchdog = time.AfterFunc(confirmTimeout, func() { s.fail(errSilent) })
	return s
}

// run receives messages until the subscription has ended.
func (s *subscription) run() {
	pubsub := s.mux.open(s.ctx)
	// Receive blocks without regard to its context, so the end of the context closes pubsub.
	closing := make(chan struct{})
	context.AfterFunc(s.ctx, func() {
		defer close(closing)
		_ = pubsub.Close() // an error changes nothing: the connection is given up
	})
	s.fail(s.receive(pubsub))
	<-closing
}

func (s *subscription) receive(pubsub *redis.PubSub) error {
	for {
		message, err := pubsub.Receive(s.ctx)
		if err != nil {
			return err
		}
		if !s.resetWatchdog() {
			return errSilent
		}
		switch m := message.(type) {
		case *redis.Subscription:
			if !s.confirm() {
				return errReplaced
			}
			s.mux.running.Go(func() { s.ping(pubsub) })
		case *redis.Message:
			s.handle(m.Payload)
		}
	}
}

// resetWatchdog notes that the server has sent something. It returns false if the watchdog has
// ended the subscription before.
func (s *subscription) resetWatchdog() bool {
	if !s.watchdog.Stop() {
		return false
	}
	s.watchdog.Reset(maxSilence)
	return true
}

// confirm notes the server's confirmation. It returns false if there was one before: then PubSub
// has replaced the connection.
func (s *subscription) confirm() bool {
	select {
	case <-s.confirmed:
		return false
	default:
	}
	s.mux.mu.Lock()
	defer s.mux.mu.Unlock()
	close(s.confirmed)
	s.mux.wakeAllLocked() // a lease may have ended between a waiter's registration and now
	return true
}

// ping pings the server, so that it sends something even if there are no messages.
func (s *subscription) ping(pubsub *redis.PubSub) {
	tick := time.NewTicker(pingInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			_ = pubsub.Ping(s.ctx) // if it fails, nothing comes back, and the watchdog notices
		case <-s.ctx.Done():
			return
		}
	}
}

// handle passes one message on. It ignores messages of an unknown kind.
func (s *subscription) handle(message string) {
	if message == "" {
		return
	}
	switch kind, rest := message[0], message[1:]; kind {
	case wakeMessage:
		s.mux.wake(rest)
	case invalidationMessage:
		inv, ok := parseInvalidation(rest)
		if !ok {
			inv = driver.Invalidation{Gap: true} // something was invalidated, but what is not known
		}
		s.mux.deliver(s, inv)
	}
}

// endIfUnused ends the subscription if nobody needs it. Callers that come later get another one.
func (s *subscription) endIfUnused() {
	s.mux.mu.Lock()
	first := !s.mux.usedLocked() && s.endLocked(context.Canceled)
	s.mux.mu.Unlock()
	if first {
		s.finish()
	}
}

// fail ends the subscription because of err, unless it has ended before. It wakes all waiters,
// since their wake-ups may be lost, and gives each subscriber a Gap.
func (s *subscription) fail(err error) {
	if err == nil {
		err = errEnded
	}
	s.mux.mu.Lock()
	first := s.endLocked(err)
	s.mux.mu.Unlock()
	if first {
		s.finish()
	}
}

// endLocked notes that the subscription has ended, and wakes all waiters. It returns false if the
// subscription had ended before. If it returns true, the caller must call finish after it has
// unlocked the mux.
func (s *subscription) endLocked(err error) bool {
	if s.err != nil {
		return false
	}
	s.err = err
	s.watchdog.Stop()
	if s.mux.current == s {
		s.mux.current = nil
	}
	s.mux.wakeAllLocked()
	s.mux.retryLocked()
	return true
}

// finish does what is left after endLocked. The mux is not locked, since it calls subscribers.
func (s *subscription) finish() {
	close(s.ended)
	s.cancel()
	s.mux.deliver(s, driver.Invalidation{Gap: true})
	s.mux.forgetSubscribersOf(s)
}
