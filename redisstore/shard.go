package redisstore

import (
	"context"
	"sync"

	"github.com/redis/go-redis/v9"
)

// ended is a context that has ended. A client that would have to ask the Cluster for its layout under
// it fails at once.
var ended = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// Shard implements [driver.Sharder]. On a Cluster it returns the address of the master that has key,
// as far as the client knows. On one server, and before the first command on a Cluster has succeeded,
// it returns an empty name.
func (s *Store) Shard(key string) string {
	if s.masterForKey == nil || !s.reached.Load() {
		return ""
	}
	master, err := s.masterForKey(ended, key)
	if err != nil {
		return ""
	}
	return master.Options().Addr
}

// sendAll sends commands, each about one key, in one pipeline for each master. A cluster client would
// send them all at once too, but if the time is over while it tries a master again, it gives all
// commands that error, also those that have a reply.
func (s *Store) sendAll(ctx context.Context, cmds []redis.Cmder) error {
	groups := s.byShard(cmds)
	if len(groups) <= 1 {
		return send(ctx, s.sender, cmds)
	}
	errs := make([]error, len(groups))
	var sending sync.WaitGroup
	for i, group := range groups {
		sending.Go(func() { errs[i] = sendGuarded(ctx, s.sender, group) })
	}
	sending.Wait()
	var first error
	for _, err := range errs {
		if first == nil || !isTimeout(first) && isTimeout(err) {
			first = err
		}
	}
	return first
}

// sendGuarded is send on a goroutine of its own, which a panic in a hook of the client must not end.
func sendGuarded(ctx context.Context, c sender, cmds []redis.Cmder) (err error) {
	sent := false
	defer func() {
		if sent {
			return
		}
		_ = recover()
		err = errPanicked
		for _, cmd := range cmds {
			cmd.SetErr(err)
		}
	}()
	err = send(ctx, c, cmds)
	sent = true
	return err
}

// byShard groups commands by the masters that have their keys. It returns nil if there is one master.
func (s *Store) byShard(cmds []redis.Cmder) [][]redis.Cmder {
	if s.masterForKey == nil || !s.reached.Load() || len(cmds) < 2 {
		return nil
	}
	var groups [][]redis.Cmder
	index := make(map[string]int)
	for _, cmd := range cmds {
		shard := s.Shard(keyOf(cmd))
		i, known := index[shard]
		if !known {
			i = len(groups)
			index[shard], groups = i, append(groups, nil)
		}
		groups[i] = append(groups[i], cmd)
	}
	return groups
}

// keyOf returns the key of a command that pipelines have: a read of one key, or a script.
func keyOf(cmd redis.Cmder) string {
	at := 1
	if name := cmd.Name(); name == "evalsha" || name == "eval" {
		at = 3
	}
	if args := cmd.Args(); at < len(args) {
		key, _ := args[at].(string)
		return key
	}
	return ""
}

// noteReached notes that a command on a Cluster has a reply, so that the client knows the layout.
func (s *Store) noteReached(err error) {
	if err == nil && s.masterForKey != nil && !s.reached.Load() {
		s.reached.Store(true)
	}
}
