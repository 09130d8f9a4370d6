package redisstore

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zodiac-go/zodiac/driver"
)

// A session is one subscription from its first command to its loss. The client's own way is to make a lost connection anew
// without a word, and what was announced in between is lost; so a session ends at the first sign of it.
type session struct {
	hub       *hub
	ctx       context.Context // ends with the session
	cancel    context.CancelFunc
	confirmed chan struct{} // closed when the server has confirmed
	ended     chan struct{} // closed when the session is over
	err       error         // why; guarded by hub.mu, set before ended is closed
	watchdog  *time.Timer
}

func newSession(h *hub) *session {
	s := &session{hub: h, confirmed: make(chan struct{}), ended: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.watchdog = time.AfterFunc(patience, func() { s.lose(errSilent) })
	return s
}

// run receives until the session is over.
func (s *session) run() {
	pubsub := s.hub.subscribe(s.ctx)
	// What blocks in Receive heeds no context.
	closing := make(chan struct{})
	context.AfterFunc(s.ctx, func() {
		defer close(closing)
		_ = pubsub.Close() // it tells only that it was closed
	})
	s.lose(s.receive(pubsub))
	<-closing
}

func (s *session) receive(pubsub *redis.PubSub) error {
	for {
		message, err := pubsub.Receive(s.ctx)
		if err != nil {
			return err
		}
		if !s.heard() {
			return errSilent
		}
		switch m := message.(type) {
		case *redis.Subscription:
			if !s.confirm() {
				return errGap
			}
			s.hub.running.Go(func() { s.beat(pubsub) })
		case *redis.Message:
			s.take(m.Payload)
		}
	}
}

// heard notes that the server lives. It is false if the watchdog was faster.
func (s *session) heard() bool {
	if !s.watchdog.Stop() {
		return false
	}
	s.watchdog.Reset(silence)
	return true
}

// confirm notes the server's confirmation. It is false if that is not the first: then the connection is another one.
func (s *session) confirm() bool {
	select {
	case <-s.confirmed:
		return false
	default:
	}
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	close(s.confirmed)
	s.hub.wakeAllLocked() // a lease may have ended since they registered
	return true
}

// beat pings the server, so that it is heard of even if nobody has anything to say.
func (s *session) beat(pubsub *redis.PubSub) {
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			_ = pubsub.Ping(s.ctx) // the watchdog notices
		case <-s.ctx.Done():
			return
		}
	}
}

// take sees to one message: its first letter says what it is.
func (s *session) take(payload string) {
	if payload == "" {
		return
	}
	switch kind, rest := payload[0], payload[1:]; kind {
	case 'w':
		s.hub.wake(rest)
	case 'a':
		a, ok := parseAnnouncement(rest)
		if !ok {
			a = driver.Invalidation{Gap: true} // something was announced, but what?
		}
		s.hub.announce(s, a)
	}
}

// leave ends the session if nobody needs it. Who comes later gets another one.
func (s *session) leave() {
	s.hub.mu.Lock()
	first := !s.hub.interestLocked() && s.endLocked(context.Canceled)
	s.hub.mu.Unlock()
	if first {
		s.over()
	}
}

// lose ends the session, wakes everyone who waits and tells subscribers of the gap.
func (s *session) lose(err error) {
	if err == nil {
		err = errors.New("redisstore: the subscription has ended")
	}
	s.hub.mu.Lock()
	first := s.endLocked(err)
	s.hub.mu.Unlock()
	if first {
		s.over()
	}
}

// endLocked marks the end of the session, and is false if it had ended before. over has to follow, without the lock.
func (s *session) endLocked(err error) bool {
	if s.err != nil {
		return false
	}
	s.err = err
	s.watchdog.Stop()
	if s.hub.current == s {
		s.hub.current = nil
	}
	s.hub.wakeAllLocked()
	s.hub.retryLocked()
	return true
}

func (s *session) over() {
	h := s.hub
	close(s.ended)
	s.cancel()
	h.announce(s, driver.Invalidation{Gap: true})
	h.forget(s)
}

// forget drops the subscribers of a session that is over.
func (h *hub) forget(s *session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for b, of := range h.subs {
		if of == s {
			delete(h.subs, b)
		}
	}
}
