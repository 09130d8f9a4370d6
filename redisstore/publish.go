package redisstore

import (
	"context"
	"log/slog"

	"github.com/redis/go-redis/v9"
)

// Wake implements [driver.Waker]. The channel of a wake-up is the key itself, so only those who wait
// for the key receive it, and on a Cluster the key's node has it.
func (s *Store) Wake(_ context.Context, key string) (<-chan struct{}, func()) {
	return s.mux.addWaiter(key)
}

// serverOf returns the options of a client of the server that has a channel.
func (s *Store) serverOf(ctx context.Context, channel string) (*redis.Options, error) {
	if s.masterForKey == nil {
		return s.client.(interface{ Options() *redis.Options }).Options(), nil
	}
	master, err := s.masterForKey(ctx, channel)
	if err != nil {
		return nil, err
	}
	return master.Options(), nil
}

// publishVerb returns the command with which scripts publish wake-ups. On a Cluster PUBLISH would
// reach every node.
func (s *Store) publishVerb() string {
	if s.masterForKey != nil {
		return "SPUBLISH"
	}
	return "PUBLISH"
}

// finishWake notes a wake-up that the server has refused. status is the second element of a script's
// reply: the result of wake in lua/frame.lua.
func (s *Store) finishWake(status any) {
	if status != int64(2) {
		return
	}
	s.wakesRefused.Add(1)
	s.reporter.Fault(slog.LevelWarn, func() string { return "wake-ups" },
		"redisstore: the server refuses to publish wake-ups, so processes that wait for a lease poll; "+
			"the user may lack the right to publish on channels named like keys")
}
