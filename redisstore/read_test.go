package redisstore_test

import (
	"context"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/zodiac-go/zodiac"
	"github.com/zodiac-go/zodiac/internal/redistest"
	"github.com/zodiac-go/zodiac/redisstore"
)

// A tear is a client that does something between the PTTL and the GET of a read, as another client can.
type tear struct {
	s  *redisstore.Store
	do func()
}

// between returns a tear with a client of its own.
func between(t *testing.T, server *redistest.Server) *tear {
	t.Helper()
	b := &tear{}
	c := client(t, server, func(o *redis.Options) { o.ContextTimeoutEnabled = true })
	c.AddHook(b)
	b.s = redisstore.New(c)
	return b
}

// read is a Get with do in the middle.
func (b *tear) read(t *testing.T, do func()) (zodiac.Record, error) {
	t.Helper()
	b.do = do
	r, err := b.s.Get(t.Context(), key)
	if b.do != nil {
		t.Fatal("nothing was done in between")
	}
	return r, err
}

func (b *tear) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (b *tear) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (b *tear) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		do := b.do
		if do == nil || cmds[0].Name() != "pttl" {
			return next(ctx, cmds)
		}
		b.do = nil
		if err := next(ctx, cmds[:1]); err != nil {
			return err
		}
		do()
		return next(ctx, cmds[1:])
	}
}
