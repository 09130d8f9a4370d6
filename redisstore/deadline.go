package redisstore

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// withDeadlines returns a sender that sends commands through client's hooks and on its connections,
// but ends them at the deadlines of their contexts. client itself is not changed. withDeadlines
// returns nil if there is no such sender.
//
// client.WithTimeout returns a copy with options of its own. The copy shares everything else with
// client, except the hooks. client.Conn returns a Conn that has the hooks. So the result is a Conn
// whose last hook sends the command through the copy. The Conn itself never takes a connection.
// Neither the copy nor the Conn may be closed, since they are not the owners of what they share.
func withDeadlines(client *redis.Client) sender {
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
	conn.AddHook(redirect{clone})
	return conn
}

// A redirect is a hook that sends commands through another client than the one it is added to.
type redirect struct{ client *redis.Client }

// DialHook returns nil, which go-redis takes for no hook.
func (r redirect) DialHook(redis.DialHook) redis.DialHook { return nil }

// ProcessHook ignores the next hook and sends the command through r.client.
func (r redirect) ProcessHook(redis.ProcessHook) redis.ProcessHook { return r.client.Process }

// ProcessPipelineHook ignores the next hook and sends the commands through r.client.
func (r redirect) ProcessPipelineHook(redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error { return send(ctx, r.client, cmds) }
}
