package redisstore

import (
	"context"
	"slices"

	"github.com/redis/go-redis/v9"
)

// A commander is the part of a client that sends commands.
type commander interface {
	Process(context.Context, redis.Cmder) error
	Pipeline() redis.Pipeliner
}

// heeding returns what sends a client's commands, with its hooks and on its connections, but ends them with their contexts'
// deadlines, and leaves the client as it is; or nil if there is no such thing.
//
// The client's own clone with other timeouts has options of its own and shares everything else but the hooks. The client's Conn has
// the hooks. So the Conn calls them, and then the clone, and never takes a connection itself. None of them is to be closed.
func heeding(client *redis.Client) commander {
	theirs := client.Options()
	clone := client.WithTimeout(theirs.ReadTimeout)
	ours := clone.Options()
	if ours == theirs {
		return nil
	}
	ours.WriteTimeout, ours.ContextTimeoutEnabled = theirs.WriteTimeout, true
	if !clone.Options().ContextTimeoutEnabled {
		return nil
	}
	conn := client.Conn()
	conn.AddHook(detour{clone})
	return conn
}

// A detour is a hook that sends commands through another client than its own.
type detour struct{ client *redis.Client }

func (d detour) DialHook(redis.DialHook) redis.DialHook { return nil }

func (d detour) ProcessHook(redis.ProcessHook) redis.ProcessHook { return d.client.Process }

func (d detour) ProcessPipelineHook(redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error { return send(ctx, d.client, cmds) }
}

// send sends commands in one go, and returns the error of the first that has one, which may be redis.Nil. A hook that ends the
// pipeline by an error, and leaves the commands without, would make them look like empty values: then all have it.
func send(ctx context.Context, c commander, cmds []redis.Cmder) error {
	p := c.Pipeline()
	err := p.BatchProcess(ctx, cmds...)
	if err == nil {
		_, err = p.Exec(ctx)
	}
	if err != nil && !slices.ContainsFunc(cmds, func(cmd redis.Cmder) bool { return cmd.Err() != nil }) {
		for _, cmd := range cmds {
			cmd.SetErr(err)
		}
	}
	return err
}
