package redisstore

import (
	"context"
	"log/slog"

	"github.com/redis/go-redis/v9"
)

// The first byte of a message on the channel says what follows.
const (
	wakeMessage         = 'w' // a key; lua/frame.lua publishes it too
	invalidationMessage = 'a' // what appendInvalidation appends
)

// Wake implements [driver.Waker]. It registers the channel with the mux, which starts a
// subscription if there is none.
func (s *Store) Wake(_ context.Context, key string) (<-chan struct{}, func()) {
	return s.mux.addWaiter(key)
}

// subscribe begins to subscribe to the Store's channel. It does not wait for the confirmation.
func (s *Store) subscribe(ctx context.Context) *redis.PubSub {
	if s.forEachMaster != nil {
		return s.client.SSubscribe(ctx, s.channel)
	}
	return s.client.Subscribe(ctx, s.channel)
}

// publish sends a message to all subscribers of the Store's channel. On a Cluster the message stays
// within the shard of the channel.
func (s *Store) publish(ctx context.Context, message any) error {
	verb := "publish"
	if s.forEachMaster != nil {
		verb = "spublish"
	}
	return s.process(ctx, redis.NewIntCmd(ctx, verb, s.channel, message))
}

// scriptChannel returns the channel on which scripts publish wake-ups. It is empty on a Cluster,
// where a script must not publish, since PUBLISH would reach every node.
func (s *Store) scriptChannel() string {
	if s.forEachMaster != nil {
		return ""
	}
	return s.channel
}

// finishWake does what is left to do for a wake-up. status is the second element of a script's
// reply: the result of wake in lua/frame.lua.
func (s *Store) finishWake(ctx context.Context, key string, status any) {
	switch status {
	case int64(2):
		s.refused(nil)
	case int64(3):
		if err := s.publish(ctx, string(wakeMessage)+key); err != nil {
			s.refused(err)
		}
	}
}

// refused counts a wake-up that was not published, and logs it. err is nil if it was a script that
// could not publish.
func (s *Store) refused(err error) {
	s.wakesRefused.Add(1)
	s.reporter.Fault(slog.LevelWarn, func() string { return "wake-ups" },
		"redisstore: the server refuses to publish wake-ups, so processes that wait for a lease poll; "+
			"the user may lack the right to publish", "error", err)
}
