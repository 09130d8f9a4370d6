package redisstore

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/bus"
)

// Publish implements [driver.Bus].
func (s *Store) Publish(ctx context.Context, inv driver.Invalidation) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	frame, err := bus.AppendFrame(nil, inv)
	if err != nil {
		return err
	}
	return explain(s.publish(ctx, frame))
}

// Subscribe implements [driver.Bus]. It returns once the server has confirmed the subscription.
func (s *Store) Subscribe(ctx context.Context, fn func(driver.Invalidation)) (stop func(), err error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	return s.mux.addSubscriber(ctx, s.channel, fn)
}

// publish sends a message to all subscribers of the Store's channel. On a Cluster the message stays
// within the shard of the channel.
func (s *Store) publish(ctx context.Context, message any) error {
	return s.process(ctx, redis.NewIntCmd(ctx, s.publishVerb(), s.channel, message))
}
