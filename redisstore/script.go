package redisstore

import (
	"context"
	"crypto/sha1" //nolint:gosec // the name Redis has for a script
	"embed"
	"encoding/hex"
	"errors"
	"strings"

	"github.com/redis/go-redis/v9"
)

//go:embed lua/*.lua
var sources embed.FS

// A script is one of lua/*.lua with frame.lua in front.
type script struct {
	source, sha string
	once        bool // a copy of the command that comes late would do harm
	fenced      bool // none would: it is about a lease, and that has ended by then
}

var (
	acquireScript = newScript("acquire").ofLease()
	commitScript  = newScript("commit").ofLease()
	abortScript   = newScript("abort").ofLease()
	renewScript   = newScript("renew").ofLease()
	setScript     = newScript("set")
	addScript     = newScript("add").sentOnce()
	expireScript  = newScript("expire")
	deleteScript  = newScript("delete")
	clearScript   = newScript("clear")
)

func newScript(name string) *script {
	frame, err := sources.ReadFile("lua/frame.lua")
	own, err2 := sources.ReadFile("lua/" + name + ".lua")
	if err = errors.Join(err, err2); err != nil {
		panic(err)
	}
	source := string(frame) + string(own)
	sum := sha1.Sum([]byte(source)) //nolint:gosec // see above
	return &script{source: source, sha: hex.EncodeToString(sum[:])}
}

func (s *script) sentOnce() *script {
	s.once = true
	return s
}

func (s *script) ofLease() *script {
	s.fenced = true
	return s
}

// A call is a script with its one key and its arguments.
type call struct {
	script *script
	key    string
	args   []any
}

// A scriptCmd is the command that runs a script.
type scriptCmd interface {
	redis.Cmder
	Slice() ([]any, error)
}

// A onceCmd is one that the client does not send again when it has had no answer.
type onceCmd struct{ *redis.Cmd }

// NoRetry implements [redis.Cmder].
func (onceCmd) NoRetry() bool { return true }

// command returns the command of c, by the script's name or in full.
func (c *call) command(ctx context.Context, full bool) scriptCmd {
	args := make([]any, 0, 4+len(c.args))
	if full {
		args = append(args, "eval", c.script.source)
	} else {
		args = append(args, "evalsha", c.script.sha)
	}
	cmd := redis.NewCmd(ctx, append(append(args, 1, c.key), c.args...)...)
	if c.script.once {
		return onceCmd{cmd}
	}
	return cmd
}

// largeCall is from how many bytes of arguments on a call is sent by itself: who shares a pipeline waits for all that is in it.
const largeCall = 4 << 10

func (c *call) isLarge() bool {
	size := 0
	for _, arg := range c.args {
		switch a := arg.(type) {
		case string:
			size += len(a)
		case []byte:
			size += len(a)
		}
	}
	return size >= largeCall
}

// call runs a script and returns its reply.
func (s *Store) call(ctx context.Context, sc *script, key string, args ...any) ([]any, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	c := call{sc, key, args}
	cmd := c.command(ctx, false)
	// When the time of a batch's sender is over, the others send their commands again, while the first copies may be still under way:
	// that of a Set could be carried out after a Delete that came after its reply.
	send := s.process
	if sc.fenced && !c.isLarge() {
		send = s.gathered
	}
	err := send(ctx, cmd)
	if unknownScript(err) {
		cmd = c.command(ctx, true)
		err = s.process(ctx, cmd)
	}
	if err != nil {
		return nil, explain(err)
	}
	return cmd.Slice()
}

// unknownScript reports whether the server has never seen the script, or was told to forget it: then nothing was done.
func unknownScript(err error) bool {
	return err != nil && strings.HasPrefix(err.Error(), "NOSCRIPT")
}

// A verdict is the reply of all scripts but acquire.
type verdict struct {
	yes bool
	err error
}

// decide runs a script that answers with a verdict, and sees to those who wait for the key.
func (s *Store) decide(ctx context.Context, sc *script, key string, args ...any) (bool, error) {
	reply, err := s.call(ctx, sc, key, args...)
	if err != nil {
		return false, err
	}
	v := s.verdict(ctx, key, reply)
	return v.yes, v.err
}

func (s *Store) verdict(ctx context.Context, key string, reply []any) verdict {
	if len(reply) != 2 {
		return verdict{err: errReply}
	}
	s.woken(ctx, key, reply[1])
	return verdict{yes: reply[0] == int64(1)}
}

// decideAll runs one script per key in one pipeline, by name. If a server does not know the script, one call carries it there in
// full, and the others follow: so a pipeline stays small, and of each round at least that one is done.
func (s *Store) decideAll(ctx context.Context, calls []call) []verdict {
	verdicts := make([]verdict, len(calls))
	todo := make([]int, len(calls))
	for i := range todo {
		todo[i] = i
	}
	for len(todo) > 0 {
		todo = s.decideSome(ctx, calls, todo, verdicts)
		if len(todo) > 0 {
			v, c := &verdicts[todo[0]], &calls[todo[0]]
			v.yes, v.err = s.decide(ctx, c.script, c.key, c.args...)
			todo = todo[1:]
		}
	}
	return verdicts
}

// decideSome runs the calls named by todo, and returns those whose script the server does not know.
func (s *Store) decideSome(ctx context.Context, calls []call, todo []int, verdicts []verdict) (unknown []int) {
	cmds := make([]redis.Cmder, len(todo))
	for i, at := range todo {
		cmds[i] = calls[at].command(ctx, false)
	}
	lost := s.ready(ctx)
	if lost == nil {
		lost = s.pipeline(ctx, cmds)
	}
	for i, at := range todo {
		err := lost
		if err == nil {
			err = timely(ctx, cmds[i].Err())
		}
		switch {
		case unknownScript(err):
			unknown = append(unknown, at)
		case err != nil:
			verdicts[at].err = explain(err)
		default:
			reply, _ := cmds[i].(scriptCmd).Slice() // anything else has no two elements
			verdicts[at] = s.verdict(ctx, calls[at].key, reply)
		}
	}
	return unknown
}
