package redisstore

import (
	"context"
	"encoding/binary"

	"github.com/redis/go-redis/v9"

	"github.com/zodiac-go/zodiac/driver"
)

// subscribe begins to subscribe to the store's channel.
func (s *Store) subscribe(ctx context.Context) *redis.PubSub {
	if s.masters != nil {
		return s.client.SSubscribe(ctx, s.channel)
	}
	return s.client.Subscribe(ctx, s.channel)
}

// publish sends a message to everyone who has subscribed. On a Cluster the message stays in the shard of the channel.
func (s *Store) publish(ctx context.Context, payload any) error {
	verb := "publish"
	if s.masters != nil {
		verb = "spublish"
	}
	return s.process(ctx, redis.NewIntCmd(ctx, verb, s.channel, payload))
}

// inScript returns the channel to which scripts publish. Those of a Cluster do not: they would tell every node.
func (s *Store) inScript() string {
	if s.masters != nil {
		return ""
	}
	return s.channel
}

// woken sees to what a script says about those who wait for key.
func (s *Store) woken(ctx context.Context, key string, said any) {
	switch said {
	case int64(2):
		s.refuse(ctx, nil)
	case int64(3):
		if err := s.publish(ctx, "w"+key); err != nil {
			s.refuse(ctx, err)
		}
	}
}

// refuse counts a wake-up that was not passed on.
func (s *Store) refuse(ctx context.Context, err error) {
	s.refused.Add(1)
	if s.logger == nil {
		return
	}
	s.report.Do(func() {
		s.logger.WarnContext(ctx, "redisstore: the server does not pass on wake-ups, who waits for a lease polls; "+
			"the user may lack the right to publish", "channel", s.channel, "error", err)
	})
}

// Wake implements [driver.Waker].
func (s *Store) Wake(_ context.Context, key string) (<-chan struct{}, func()) { return s.hub.wait(key) }

// Announce implements [driver.Bus].
func (s *Store) Publish(ctx context.Context, a driver.Invalidation) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	return explain(s.publish(ctx, appendAnnouncement([]byte{'a'}, a)))
}

// Subscribe implements [driver.Bus].
func (s *Store) Subscribe(ctx context.Context, fn func(driver.Invalidation)) (stop func(), err error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	return s.hub.listen(ctx, fn)
}

// appendAnnouncement appends the prefix and the keys, each with its length in front.
func appendAnnouncement(b []byte, a driver.Invalidation) []byte {
	b = appendText(b, a.Prefix)
	for _, key := range a.Keys {
		b = appendText(b, key)
	}
	return b
}

func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// parseAnnouncement is the reverse of appendAnnouncement.
func parseAnnouncement(text string) (a driver.Invalidation, ok bool) {
	var parts []string
	for b := []byte(text); len(b) > 0; {
		n, used := binary.Uvarint(b)
		if used <= 0 || n > uint64(len(b)-used) {
			return a, false
		}
		parts = append(parts, string(b[used:used+int(n)]))
		b = b[used+int(n):]
	}
	if len(parts) == 0 {
		return a, false
	}
	a.Prefix = parts[0]
	if len(parts) > 1 {
		a.Keys = parts[1:]
	}
	return a, true
}
