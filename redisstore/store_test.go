package redisstore_test

import (
	"context"
	"errors"
	"maps"
	"net"
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
	asked = "abcdefghijklmnop"
)

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

func TestWrongClientsAreRefused(t *testing.T) {
	cluster := func(change func(*redis.ClusterOptions)) redis.UniversalClient {
		o := &redis.ClusterOptions{Addrs: []string{"127.0.0.1:1"}}
		change(o)
		c := redis.NewClusterClient(o)
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	ring := redis.NewRing(&redis.RingOptions{})
	defer ring.Close()
	for name, tt := range map[string]struct {
		client redis.UniversalClient
		want   string
	}{
		"nil":      {nil, "nil"},
		"ring":     {ring, "*redis.Ring"},
		"readonly": {cluster(func(o *redis.ClusterOptions) { o.ReadOnly = true }), "replicas"},
		"latency":  {cluster(func(o *redis.ClusterOptions) { o.RouteByLatency = true }), "replicas"},
		"randomly": {cluster(func(o *redis.ClusterOptions) { o.RouteRandomly = true }), "replicas"},
	} {
		if _, err := redisstore.TryNew(tt.client); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("TryNew(%s) = %v; want an error with %q", name, err, tt.want)
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("New(%s) does not panic", name)
				}
			}()
			redisstore.New(tt.client)
		}()
	}
}

func TestConstructionDoesNotDial(t *testing.T) {
	dialled := false
	c := redis.NewClient(&redis.Options{Dialer: func(context.Context, string, string) (net.Conn, error) {
		dialled = true
		return nil, errors.New("no")
	}})
	defer c.Close()
	must(t, redisstore.New(c).Close())
	if dialled {
		t.Error("New has dialled")
	}
}

func TestOpenTellsWhatItKnows(t *testing.T) {
	for address, want := range map[string]string{
		"http://localhost":                                   "redis+cluster://",
		"redis+ring://localhost":                             "redis+sentinel://",
		"redis://localhost?colour=red":                       "read_timeout",
		"redis+cluster://localhost?colour=red":               "max_redirects",
		"redis+sentinel://localhost?master_name=m&colour=re": "master_name",
		"redis+sentinel://localhost":                         "master_name",
		"redis+sentinel://l?master_name=m&replica_only=true": "replica_only",
		"redis+cluster://localhost?read_only=true":           "replicas",
		"redis://user:secret@local host":                     "cannot be parsed",
	} {
		_, err := redisstore.Open(address)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("Open(%s) = %v; want an error with %q", address, err, want)
		}
	}
	for _, address := range []string{
		"redis://localhost/3", "rediss://localhost", "unix:///tmp/redis.sock", "redis+cluster://localhost?addr=other:1",
		"rediss+cluster://localhost", "redis+sentinel://localhost:26379/1?master_name=m",
	} {
		s, err := redisstore.Open(address)
		if err != nil {
			t.Errorf("Open(%s) = %v", address, err)
			continue
		}
		must(t, s.Close())
	}
}

func TestCloseClosesOnlyItsOwnClient(t *testing.T) {
	server := redistest.Start(t)
	given := client(t, server, nil)
	s := redisstore.New(given)
	must(t, s.Close())
	must(t, given.Ping(t.Context()).Err())
	if _, err := s.Get(t.Context(), key); err == nil || errors.Is(err, driver.ErrMiss) {
		t.Errorf("Get after Close = %v; want an error", err)
	}
	own, err := redisstore.Open("redis://" + server.Addr())
	must(t, err)
	must(t, own.Close())
	if err := own.Client().Ping(t.Context()).Err(); !errors.Is(err, redis.ErrClosed) {
		t.Errorf("Ping of Open's client after Close = %v; want %v", err, redis.ErrClosed)
	}
}

// spent returns what commands the server was sent, and in how many round trips, while f ran.
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

// A counter counts round trips: a command by itself, or a pipeline.
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

func TestHitIsOneRoundTripAndMissThree(t *testing.T) {
	s := store(t, client(t, redistest.Start(t), func(o *redis.Options) { o.ContextTimeoutEnabled = true }))
	ctx := t.Context()
	miss := func() {
		if _, err := s.GetData(ctx, key); !errors.Is(err, driver.ErrMiss) {
			t.Errorf("GetData = %v; want ErrMiss", err)
		}
		c := acquire(t, s, driver.Ask{})
		if ok, err := s.Commit(ctx, key, c.Token, minute("v")); !ok || err != nil {
			t.Errorf("Commit = %v, %v", ok, err)
		}
	}
	miss() // the scripts are loaded, the version is checked,
	must(t, s.Client().Del(ctx, key).Err())
	_, _ = s.Get(ctx, key) // and pipelines have a connection
	hit := func() { _, err := s.GetData(ctx, key); must(t, err) }
	hits := func() { _, errs := s.GetManyData(ctx, []string{key, key}); must(t, errors.Join(errs...)) }
	exact := func() { _, err := s.Get(ctx, key); must(t, err) }
	for _, tt := range []struct {
		name  string
		do    func()
		trips int
		want  map[string]int
	}{
		{"miss", miss, 3, map[string]int{
			"get": 1, "evalsha": 2, "time": 2, "getrange": 2, "set": 2, "setrange": 1, "pexpireat": 2,
		}},
		{"hit", hit, 1, map[string]int{"get": 1}},
		{"hits", hits, 1, map[string]int{"mget": 1}},
		{"exact", exact, 1, map[string]int{"pttl": 1, "get": 1}},
	} {
		if got, trips := spent(t, s, tt.do); !maps.Equal(got, tt.want) || trips != tt.trips {
			t.Errorf("a %s: %v in %d round trips; want %v in %d", tt.name, got, trips, tt.want, tt.trips)
		}
	}
}

func TestScriptsSurviveScriptFlush(t *testing.T) {
	s := store(t, client(t, redistest.Start(t), nil))
	ctx := t.Context()
	records := map[string]driver.Record{"zodiac::a": minute("1"), "zodiac::b": minute("2"), "zodiac::c": minute("3")}
	for range 2 {
		must(t, s.Client().ScriptFlush(ctx).Err())
		must(t, s.Set(ctx, key, minute("v")))
		must(t, s.Client().ScriptFlush(ctx).Err())
		must(t, s.SetMany(ctx, records))
		must(t, s.Client().ScriptFlush(ctx).Err())
		if n, err := s.Delete(ctx, key, "zodiac::a", "zodiac::b", "zodiac::none"); n != 3 || err != nil {
			t.Errorf("Delete = %d, %v; want 3", n, err)
		}
	}
	if r, err := s.Get(ctx, "zodiac::c"); string(r.Data) != "3" {
		t.Errorf("Get = %q, %v; want 3", r.Data, err)
	}
}

func TestForeignChangesOfAKeyAreBelieved(t *testing.T) {
	s := store(t, client(t, redistest.Start(t), nil))
	ctx := t.Context()
	gone := func(what string) {
		t.Helper()
		if r, err := s.Get(ctx, key); !errors.Is(err, driver.ErrMiss) {
			t.Errorf("Get of %s = %q, %v; want ErrMiss", what, r.Data, err)
		}
	}
	forever := driver.Record{Data: []byte("v"), TTL: driver.Forever}
	must(t, s.Set(ctx, key, forever))
	must(t, s.Client().PExpire(ctx, key, time.Minute).Err())
	if r, err := s.Get(ctx, key); err != nil || r.TTL > time.Minute {
		t.Errorf("TTL = %v, %v; want at most the minute the key has", r.TTL, err)
	}
	must(t, s.Set(ctx, key, minute("v")))
	must(t, s.Client().PExpire(ctx, key, time.Hour).Err())
	if r, err := s.Get(ctx, key); err != nil || r.TTL > time.Minute {
		t.Errorf("TTL = %v, %v; want at most the minute the record has", r.TTL, err)
	}
	must(t, s.Client().Persist(ctx, key).Err())
	gone("a record made persistent")
	for _, f := range []func() error{
		func() error { return s.Set(ctx, key, minute("v")) },
		func() error { _, err := s.Add(ctx, key, minute("v")); return err },
		func() error {
			c := acquire(t, s, driver.Ask{})
			ok, err := s.Commit(ctx, key, c.Token, minute("v"))
			if !ok {
				t.Error("Commit over a list is refused")
			}
			return err
		},
	} {
		must(t, s.Client().Del(ctx, key).Err())
		must(t, s.Client().LPush(ctx, key, "a list").Err())
		gone("a list")
		must(t, f())
		if r, err := s.Get(ctx, key); string(r.Data) != "v" {
			t.Errorf("Get after a write over a list = %q, %v; want v", r.Data, err)
		}
	}
}

func TestLeaseThatOutlivesItsRecordDoesNotKeepItReadable(t *testing.T) {
	s := store(t, client(t, redistest.Start(t), nil))
	ctx := t.Context()
	must(t, s.Set(ctx, key, driver.Record{Data: []byte("v"), TTL: 100 * time.Millisecond}))
	r, err := s.Get(ctx, key)
	must(t, err)
	born := time.Now()
	if c := acquire(t, s, driver.Ask{Seen: r.Version, Lease: time.Minute}); c.State != driver.Won {
		t.Fatalf("Acquire = %v; want won", c.State)
	}
	for reads := 0; ; reads++ {
		before := time.Since(born)
		_, err := s.GetData(ctx, key)
		if errors.Is(err, driver.ErrMiss) {
			if reads == 0 {
				t.Error("the record was never there")
			}
			break
		}
		must(t, err)
		if before > 105*time.Millisecond {
			t.Fatalf("GetData brings a record of 100ms after %v", before)
		}
	}
	if n, err := s.Client().Exists(ctx, key).Result(); n != 1 {
		t.Errorf("EXISTS = %d, %v; want the lease to be there", n, err)
	}
}

func TestCopyOfAnAddIsTrueWhileItsRecordLives(t *testing.T) {
	server := redistest.Start(t)
	var last []any
	c := client(t, server, nil)
	c.AddHook(&tap{func(cmd redis.Cmder) {
		if cmd.Name() == "eval" || cmd.Name() == "evalsha" {
			last = cmd.Args()
		}
	}})
	s := store(t, c)
	ctx := t.Context()
	copied := func() any {
		v, err := client(t, server, nil).Do(ctx, last...).Slice()
		must(t, err)
		return v[0]
	}
	if ok, err := s.Add(ctx, key, minute("v")); !ok {
		t.Fatal(err)
	}
	if got := copied(); got != int64(1) {
		t.Errorf("a copy of Add = %v; want 1: its record is there", got)
	}
	if ok, _ := s.Add(ctx, key, minute("w")); ok {
		t.Error("Add over a record = true")
	}
	grant := acquire(t, s, driver.Ask{Force: true})
	if ok, err := s.Commit(ctx, key, grant.Token, minute("x")); !ok {
		t.Fatal(err)
	}
	commit := last
	must(t, s.Set(ctx, key, minute("newer")))
	last = commit
	if got := copied(); got != int64(0) {
		t.Errorf("a late copy of Commit = %v; want 0", got)
	}
	if r, _ := s.Get(ctx, key); string(r.Data) != "newer" {
		t.Errorf("Get after a late copy of Commit = %q; want newer", r.Data)
	}
}

// A tap sees each command by itself.
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

func TestOldServerIsRefusedAtFirstUse(t *testing.T) {
	c := client(t, redistest.Start(t), nil)
	c.AddHook(&tap{func(cmd redis.Cmder) {
		if info, ok := cmd.(*redis.StringCmd); ok && cmd.Name() == "info" {
			info.SetVal("# Server\r\nredis_version:6.2.14\r\n")
		}
	}})
	s := redisstore.New(c)
	err := s.Set(t.Context(), key, minute("v"))
	if err == nil || !strings.Contains(err.Error(), "6.2.14") || !strings.Contains(err.Error(), "7.0") {
		t.Errorf("Set = %v; want the version, and the one it takes", err)
	}
}

func TestClearTakesNoCharacterForAnother(t *testing.T) {
	s := store(t, client(t, redistest.Start(t), nil))
	ctx := t.Context()
	for _, prefix := range []string{"a*", "a?", "a[b]", `a\`, "a[^b]", "{a}"} {
		must(t, s.Client().FlushDB(ctx).Err())
		others := []string{"ab1", "a", "abc", "aab1", `b\`}
		for _, k := range append(others, prefix, prefix+"1") {
			must(t, s.Set(ctx, k, minute("v")))
		}
		must(t, s.Client().Set(ctx, prefix+"foreign", "mine", 0).Err())
		if n, err := s.Clear(ctx, prefix); n != 2 || err != nil {
			t.Errorf("Clear(%q) = %d, %v; want 2", prefix, n, err)
		}
		if n := s.Client().Exists(ctx, append(others, prefix+"foreign")...).Val(); n != 6 {
			t.Errorf("Clear(%q) leaves %d of 6 other keys", prefix, n)
		}
	}
}
