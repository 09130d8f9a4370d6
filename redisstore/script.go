package redisstore

import (
	"context"
	"crypto/sha1" //nolint:gosec // the name that Redis gives to a script
	"embed"
	"encoding/hex"
	"errors"
	"strings"

	"github.com/redis/go-redis/v9"
)

//go:embed lua/*.lua
var sources embed.FS

// A script is one of the files in lua/, with lua/frame.lua in front.
type script struct {
	source, sha string

	// noRetry means that a copy of the command that arrives late may do harm, so the client must
	// not send the command again when it gets no reply.
	noRetry bool

	// fenced means that a late copy does no harm even after the command's reply: the command is
	// about one grant of a lease, which has ended by then, or brings no news.
	fenced bool
}

var (
	acquireScript = newScript("acquire").withFence()
	commitScript  = newScript("commit").withFence()
	abortScript   = newScript("abort").withFence()
	renewScript   = newScript("renew").withFence()
	readScript    = newScript("read").withFence()
	setScript     = newScript("set")
	setManyScript = newScript("setmany")
	addScript     = newScript("add").withoutRetry()
	ensureScript  = newScript("ensure").withoutRetry()
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
	sum := sha1.Sum([]byte(source)) //nolint:gosec // as above
	return &script{source: source, sha: hex.EncodeToString(sum[:])}
}

func (s *script) withoutRetry() *script {
	s.noRetry = true
	return s
}

func (s *script) withFence() *script {
	s.fenced = true
	return s
}

// A call is a script with its only key and its arguments.
type call struct {
	script *script
	key    string
	args   []any
}

// A scriptCmd is a command that runs a script.
type scriptCmd interface {
	redis.Cmder
	Slice() ([]any, error)
}

// A noRetryCmd is a command that the client does not send again when it gets no reply.
type noRetryCmd struct{ *redis.Cmd }

// NoRetry implements [redis.Cmder].
func (noRetryCmd) NoRetry() bool { return true }

// command returns the command for c. It contains the whole script if full is true, else the name
// of the script.
func (c *call) command(ctx context.Context, full bool) scriptCmd {
	args := make([]any, 0, 4+len(c.args))
	if full {
		args = append(args, "eval", c.script.source)
	} else {
		args = append(args, "evalsha", c.script.sha)
	}
	cmd := redis.NewCmd(ctx, append(append(args, 1, c.key), c.args...)...)
	if c.script.noRetry {
		return noRetryCmd{cmd}
	}
	return cmd
}

// largeCall is the size of arguments, in bytes, from which a call is sent by itself: callers that
// share a pipeline wait for everything in it.
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
	// Only fenced commands share pipelines. When the sender of a shared pipeline runs out of time,
	// the other callers send their commands again while the first copies may still be on their way.
	// A first copy of a Set could then be carried out after a Delete that followed the Set's reply.
	send := s.process
	if sc.fenced && !c.isLarge() {
		send = s.processShared
	}
	err := send(ctx, cmd)
	if isNoScript(err) {
		cmd = c.command(ctx, true)
		err = s.process(ctx, cmd)
	}
	if err != nil {
		return nil, explain(err)
	}
	return cmd.Slice()
}

// isNoScript reports whether err says that the server does not know the script, because it never
// got it or was told to forget it. The command then has done nothing.
func isNoScript(err error) bool {
	return err != nil && strings.HasPrefix(err.Error(), "NOSCRIPT")
}

// A result is the reply of a script other than acquire. Each file in lua/ says when it replies 1,
// which is yes.
type result struct {
	yes   bool
	value any // of the reply, where it is neither 1 nor 0
	err   error
}

// run runs a script that replies with a result.
func (s *Store) run(ctx context.Context, sc *script, key string, args ...any) (bool, error) {
	reply, err := s.call(ctx, sc, key, args...)
	if err != nil {
		return false, err
	}
	res := s.result(reply)
	return res.yes, res.err
}

// result reads the reply of a script, {value, wake}.
func (s *Store) result(reply []any) result {
	if len(reply) != 2 {
		return result{err: errReply}
	}
	s.finishWake(reply[1])
	return result{yes: reply[0] == int64(1), value: reply[0]}
}

// runAll runs calls in a pipeline that names the scripts. The result for a call has the call's
// index. If the server does not know a script, one call takes the whole script there, and the calls
// that remain go in the next pipeline. So each pipeline stays small, and each round does at least
// one call.
func (s *Store) runAll(ctx context.Context, calls []call) []result {
	results := make([]result, len(calls))
	todo := make([]int, len(calls))
	for i := range todo {
		todo[i] = i
	}
	for len(todo) > 0 {
		todo = s.runPipeline(ctx, calls, todo, results)
		if len(todo) > 0 {
			res, c := &results[todo[0]], &calls[todo[0]]
			res.yes, res.err = s.run(ctx, c.script, c.key, c.args...)
			todo = todo[1:]
		}
	}
	return results
}

// runPipeline runs the calls with the indexes in todo, and fills in results at the same indexes. It
// returns the indexes of calls that were not done since the server does not know their script.
func (s *Store) runPipeline(ctx context.Context, calls []call, todo []int, results []result) (unknown []int) {
	cmds := make([]redis.Cmder, len(todo))
	for i, at := range todo {
		cmds[i] = calls[at].command(ctx, false)
	}
	pipelineErr := s.ready(ctx)
	if pipelineErr == nil {
		pipelineErr = s.pipeline(ctx, cmds)
	}
	for i, at := range todo {
		err := pipelineErr
		if err == nil {
			err = withContextError(ctx, cmds[i].Err())
		}
		switch {
		case isNoScript(err):
			unknown = append(unknown, at)
		case err != nil:
			results[at].err = explain(err)
		default:
			reply, _ := cmds[i].(scriptCmd).Slice() // a reply that is no list has not two elements
			results[at] = s.result(reply)
		}
	}
	return unknown
}
