package redisstore

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/zodiac-go/zodiac/driver"
)

// EnsureMany implements [driver.Batcher]. The keys go in one pipeline. On a Cluster the last key
// goes in a second one, since nodes answer in no order.
func (s *Store) EnsureMany(ctx context.Context, keys []string, min []driver.Record) ([]driver.Record, []error) {
	e := ensuring{
		s: s, keys: keys, min: min,
		records: make([]driver.Record, len(keys)), errs: make([]error, len(keys)),
	}
	e.run(ctx)
	return e.records, e.errs
}

// An ensuring is a call of EnsureMany.
type ensuring struct {
	s       *Store
	keys    []string
	min     []driver.Record
	records []driver.Record
	errs    []error
}

func (e *ensuring) run(ctx context.Context) {
	last := len(e.keys) - 1
	todo := make([]int, 0, len(e.keys))
	for i := range e.keys {
		todo = append(todo, i)
	}
	if e.s.forEachMaster != nil && last > 0 {
		e.some(ctx, todo[:last], -1)
		todo = todo[last:]
	}
	e.some(ctx, todo, last)
}

// some handles the keys with the indexes in todo. If last is among them, its key is read after the
// others are done, however many rounds these take.
func (e *ensuring) some(ctx context.Context, todo []int, last int) {
	for len(todo) > 0 {
		unknown := e.round(ctx, todo, false)
		if len(unknown) == 0 {
			return
		}
		// One call takes the whole script to the server. The others follow by name.
		e.round(ctx, unknown[:1], true)
		todo = unknown[1:]
		if last >= 0 && unknown[len(unknown)-1] != last {
			todo = append(todo, last)
		}
	}
}

// round sends one pipeline. Its commands have the whole script if full is true. It returns the
// indexes of the calls that were not done since the server does not know the script.
func (e *ensuring) round(ctx context.Context, todo []int, full bool) (unknown []int) {
	err := e.s.ready(ctx)
	var cmds []redis.Cmder
	for _, at := range todo {
		cmds = append(cmds, e.commands(ctx, at, full)...)
	}
	m := moment{sent: now()}
	if err == nil && len(cmds) > 0 {
		err = e.s.pipeline(ctx, cmds)
	}
	m.done = now()
	for _, at := range todo {
		switch {
		case err != nil:
			e.errs[at] = explain(err)
		case e.min[at].TTL == 0:
			r := read{cmds[0].(*redis.IntCmd), cmds[1].(*redis.StringCmd)}
			var certain bool
			if e.records[at], certain, e.errs[at] = r.record(ctx, &e.s.clock, m); !certain {
				e.records[at], e.errs[at] = e.s.getExactly(ctx, e.keys[at])
			}
			cmds = cmds[2:]
		case e.errs[at] != nil: // the time to live is wrong
		default:
			cmd := cmds[0].(scriptCmd)
			cmds = cmds[1:]
			if cmdErr := withContextError(ctx, cmd.Err()); isNoScript(cmdErr) {
				unknown = append(unknown, at)
			} else if cmdErr != nil {
				e.errs[at] = explain(cmdErr)
			} else {
				e.records[at], e.errs[at] = e.reply(at, cmd)
			}
		}
	}
	return unknown
}

// commands returns what is sent for the key with index at.
func (e *ensuring) commands(ctx context.Context, at int, full bool) []redis.Cmder {
	if e.min[at].TTL == 0 {
		r := newRead(ctx, e.keys[at])
		return []redis.Cmder{r.pttl, r.get}
	}
	ms, err := milliseconds(e.min[at].TTL)
	if err != nil {
		e.errs[at] = err
		return nil
	}
	c := call{ensureScript, e.keys[at], []any{newVersion(), e.s.publishVerb(), ms, withFrame(e.min[at].Data)}}
	return []redis.Cmder{c.command(ctx, full)}
}

// reply returns the record that the script has stored or found.
func (e *ensuring) reply(at int, cmd scriptCmd) (driver.Record, error) {
	reply, err := cmd.Slice()
	if err != nil || len(reply) < 3 {
		return driver.Record{}, errReply
	}
	ttl := driver.Forever
	if ms, ok := reply[2].(int64); !ok {
		return driver.Record{}, errReply
	} else if ms >= 0 {
		ttl = duration(ms)
	}
	if reply[0] == int64(1) {
		e.s.finishWake(reply[1])
		version, _ := cmd.Args()[4].(string)
		return driver.Record{Data: append([]byte(nil), e.min[at].Data...), TTL: ttl, Version: version}, nil
	}
	if len(reply) < 4 {
		return driver.Record{}, errReply
	}
	value, ok := reply[3].(string)
	if !ok || !isFrame(value) {
		return driver.Record{}, errReply
	}
	return record(value, ttl), nil
}
