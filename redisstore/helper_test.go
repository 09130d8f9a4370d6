package redisstore_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/redistest"
	"github.com/zodiac-go/zodiac/redisstore"
)

const (
	key   = "zodiac::users:42"
	asked = "abcdefghijklmnop" // a token for an Ask
)

// client returns a client of server, which is closed at the end of the test. change, if not nil,
// changes its options.
func client(t testing.TB, server *redistest.Server, change func(*redis.Options)) *redis.Client {
	t.Helper()
	o := &redis.Options{Addr: server.Addr()}
	if change != nil {
		change(o)
	}
	c := redis.NewClient(o)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// store empties the database of c and returns a Store on it, which is closed at the end of the
// test.
func store(t testing.TB, c redis.UniversalClient) *redisstore.Store {
	t.Helper()
	if err := c.FlushDB(context.Background()).Err(); err != nil {
		t.Fatal(err)
	}
	s := redisstore.New(c)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// minute returns a record that lives for a minute.
func minute(data string) driver.Record {
	return driver.Record{Data: []byte(data), TTL: time.Minute}
}

// must fails the test if err is not nil.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// acquire calls Acquire for key. By default, the token is asked and the lease lasts a second.
func acquire(t *testing.T, s *redisstore.Store, ask driver.Ask) driver.Claim {
	t.Helper()
	if ask.Token == "" {
		ask.Token = asked
	}
	if ask.Lease == 0 {
		ask.Lease = time.Second
	}
	c, err := s.Acquire(t.Context(), key, ask)
	must(t, err)
	return c
}

// spent returns how often each command was sent to the server while f ran, and the number of round
// trips.
func spent(t *testing.T, s *redisstore.Store, f func()) (commands map[string]int, trips int) {
	t.Helper()
	h := &counter{}
	s.Client().AddHook(h)
	must(t, s.Client().ConfigResetStat(t.Context()).Err())
	h.trips = 0
	f()
	trips = h.trips
	info, err := s.Client().Info(t.Context(), "commandstats").Result()
	must(t, err)
	commands = map[string]int{}
	for line := range strings.Lines(info) {
		if name, rest, ok := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":calls="); ok {
			n, _, _ := strings.Cut(rest, ",")
			for _, digit := range n {
				commands[name] = commands[name]*10 + int(digit-'0')
			}
		}
	}
	delete(commands, "config|resetstat")
	return commands, trips
}

// A counter is a hook that counts round trips. A command by itself is one, and so is a pipeline.
type counter struct{ trips int }

func (c *counter) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c *counter) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.trips++
		return next(ctx, cmd)
	}
}

func (c *counter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		c.trips++
		return next(ctx, cmds)
	}
}

// A tap is a hook that sees each command sent by itself, after its reply.
type tap struct{ see func(redis.Cmder) }

func (t *tap) DialHook(next redis.DialHook) redis.DialHook { return next }

func (t *tap) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		t.see(cmd)
		return err
	}
}

func (t *tap) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}
