package redisstore_test

import (
	"context"
	"errors"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/redistest"
	"github.com/zodiac-go/zodiac/redisstore"
)

func TestTryNewRefusesUnsuitableClients(t *testing.T) {
	cluster := func(change func(*redis.ClusterOptions)) redis.UniversalClient {
		o := &redis.ClusterOptions{Addrs: []string{"127.0.0.1:1"}}
		change(o)
		c := redis.NewClusterClient(o)
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	ring := redis.NewRing(&redis.RingOptions{})
	defer ring.Close()
	caching := redis.NewClient(&redis.Options{Protocol: 3, ClientSideCacheConfig: &redis.ClientSideCacheConfig{}})
	defer caching.Close()
	const cache = "redisstore: the client's own cache may return deleted records; " +
		"leave out ClientSideCacheConfig, and use zodiac.WithMemory for memory in front of the store"
	const replicas = "redisstore: replicas may return deleted records; " +
		"leave out ReadOnly, RouteByLatency and RouteRandomly"
	for name, tt := range map[string]struct {
		client redis.UniversalClient
		want   string
	}{
		"nil":      {nil, "redisstore: the client is nil"},
		"ring":     {ring, "redisstore: the client is a *redis.Ring; want a *redis.Client or a *redis.ClusterClient"},
		"caching":  {caching, cache},
		"readonly": {cluster(func(o *redis.ClusterOptions) { o.ReadOnly = true }), replicas},
		"latency":  {cluster(func(o *redis.ClusterOptions) { o.RouteByLatency = true }), replicas},
		"randomly": {cluster(func(o *redis.ClusterOptions) { o.RouteRandomly = true }), replicas},
	} {
		if _, err := redisstore.TryNew(tt.client); err == nil || err.Error() != tt.want {
			t.Errorf("TryNew(%s) = %v; want %s", name, err, tt.want)
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

func TestNewDoesNotConnect(t *testing.T) {
	dialed := false
	c := redis.NewClient(&redis.Options{Dialer: func(context.Context, string, string) (net.Conn, error) {
		dialed = true
		return nil, errors.New("no")
	}})
	defer c.Close()
	must(t, redisstore.New(c).Close())
	if dialed {
		t.Error("New has connected to the server")
	}
}

func TestOpenNamesKnownSchemesAndOptions(t *testing.T) {
	const (
		scheme  = "redisstore: unknown scheme "
		option  = "redisstore: the URL has an unknown option; known options are *"
		wrong   = "redisstore: the URL has a wrong "
		replica = "redisstore: replicas may return deleted records; leave out "
	)
	for address, want := range map[string]string{
		"http://localhost":                                   scheme + `"http"; known schemes are * redis+cluster://, *`,
		"redis+ring://localhost":                             scheme + `"redis+ring"; known schemes are * redis+sentinel:// *`,
		"redis://localhost?colour=red":                       option + " read_timeout, *",
		"redis+cluster://localhost?colour=red":               option + " max_redirects, *",
		"redis+sentinel://localhost?master_name=m&colour=re": option + " master_name, *",
		"redis+sentinel://localhost":                         "redisstore: a URL for sentinels needs the option master_name",
		"redis+sentinel://l?master_name=m&replica_only=true": replica + "replica_only, *",
		"redis+cluster://localhost?read_only=true":           replica + "ReadOnly, *",
		"redis://user:secret@local host":                     "redisstore: the URL cannot be parsed; *",
		"redis://:/secret@127.0.0.1:1":                       wrong + "host, port or database; *",
		"redis://localhost/secret":                           wrong + "host, port or database; *",
		"redis://localhost/0/secret":                         wrong + "host, port or database; *",
		"redis+cluster://localhost/secret":                   "redisstore: the URL has a path; *",
		"redis://localhost?secret@other:1":                   option + " read_timeout, *",
		"redis://localhost?db=secret":                        wrong + "value of the option db *",
		"redis://localhost?db=1&read_timeout=secret":         wrong + "value of the option read_timeout *",
		"user:secret@localhost":                              "redisstore: the URL does not begin with a scheme *",
		"secret@localhost":                                   "redisstore: the URL does not begin with a scheme *",
		"":                                                   "redisstore: the URL does not begin with a scheme *",
		"redis://user:se%zzcret@localhost":                   "redisstore: the URL cannot be parsed; *",
		"valkey+ring://localhost":                            scheme + `"valkey+ring"; *`,
	} {
		_, err := redisstore.Open(address)
		if err == nil || !matches(want, err.Error()) || strings.Contains(err.Error(), "secret") {
			t.Errorf("Open(%s) = %v; want %s", address, err, want)
		}
	}
	for _, address := range []string{
		"redis://localhost/3", "rediss://localhost", "unix:///tmp/redis.sock",
		"redis+cluster://localhost?addr=other:1", "rediss+cluster://localhost",
		"redis+sentinel://localhost:26379/1?master_name=m",
		"valkey://localhost/3?read_timeout=1s", "valkeys://localhost", "valkey+cluster://localhost",
		"valkeys+cluster://localhost", "valkey+sentinel://localhost?master_name=m",
	} {
		s, err := redisstore.Open(address)
		if err != nil {
			t.Errorf("Open(%s) = %v", address, err)
			continue
		}
		must(t, s.Close())
	}
}

// matches reports whether text is like pattern, in which " *" stands for any text.
func matches(pattern, text string) bool {
	quoted := strings.ReplaceAll(regexp.QuoteMeta(pattern), ` \*`, ".*")
	return regexp.MustCompile("^" + quoted + "$").MatchString(text)
}

func TestCloseClosesOnlyAClientThatOpenMade(t *testing.T) {
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
		t.Errorf("Ping with the client that Open made, after Close = %v; want %v", err, redis.ErrClosed)
	}
}

func TestChangesOfAKeyByOtherClientsCount(t *testing.T) {
	s := store(t, client(t, redistest.Start(t), nil))
	ctx := t.Context()
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
	if r, err := s.Get(ctx, key); err != nil || r.TTL > time.Minute {
		t.Errorf("TTL of a record made persistent = %v, %v; want at most the minute the record has", r.TTL, err)
	}
	if left := s.Client().PTTL(ctx, key).Val(); left <= 0 {
		t.Errorf("a key made persistent has %v left; want the minute the record has", left)
	}
	for _, f := range []func() error{
		func() error { return s.Set(ctx, key, minute("v")) },
		func() error { _, err := s.Add(ctx, key, minute("v")); return err },
		func() error {
			r, err := s.Get(ctx, key)
			if err != nil || r.Version == "" || len(r.Data) > 0 {
				t.Errorf("Get of a list = %+v, %v; want a record without data", r, err)
			}
			c := acquire(t, s, driver.Ask{Seen: r.Version})
			ok, err := s.Commit(ctx, key, c.Token, minute("v"))
			if !ok {
				t.Error("Commit over a list = false; want true")
			}
			return err
		},
	} {
		must(t, s.Client().Del(ctx, key).Err())
		must(t, s.Client().LPush(ctx, key, "a list").Err())
		must(t, f())
		if r, err := s.Get(ctx, key); string(r.Data) != "v" {
			t.Errorf("Get after a write over a list = %q, %v; want v", r.Data, err)
		}
	}
}

func TestRecordEndsThoughALeaseKeepsItsKey(t *testing.T) {
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
				t.Error("the first GetData = ErrMiss; want the record")
			}
			break
		}
		must(t, err)
		if before > 105*time.Millisecond {
			t.Fatalf("GetData returns a record after %v; it was to live for 100ms", before)
		}
	}
	if n, err := s.Client().Exists(ctx, key).Result(); n != 1 {
		t.Errorf("EXISTS = %d, %v; want 1: the key has the lease", n, err)
	}
}

func TestNoCharacterOfAPrefixIsSpecialToClear(t *testing.T) {
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
			t.Errorf("Clear(%q) leaves %d of 6 other keys; want all", prefix, n)
		}
	}
}
