package redisstore_test

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zodiac-go/zodiac"
	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/redistest"
	"github.com/zodiac-go/zodiac/redisstore"
)

// limited returns a Store whose user may use keys that begin with "other:" only.
func limited(t *testing.T, server *redistest.Server) *redisstore.Store {
	t.Helper()
	must(t, client(t, server, nil).Do(t.Context(), "acl", "setuser", "u", "on", ">p", "~other:*", "&*", "+@all").Err())
	return redisstore.New(client(t, server, func(o *redis.Options) { o.Username, o.Password = "u", "p" }))
}

// full returns a Store on a server that has no memory left.
func full(t *testing.T) *redisstore.Store {
	t.Helper()
	s := store(t, client(t, redistest.Start(t), nil))
	must(t, s.Client().ConfigSet(t.Context(), "maxmemory", "1").Err())
	return s
}

func TestErrorsOfTheServerSayWhatToDo(t *testing.T) {
	replica := func(t *testing.T) *redisstore.Store {
		s := store(t, client(t, redistest.Start(t), nil))
		must(t, s.Client().Do(t.Context(), "replicaof", "127.0.0.1", "1").Err())
		return s
	}
	noRight := func(t *testing.T) *redisstore.Store { return limited(t, redistest.Start(t)) }
	noPassword := func(t *testing.T) *redisstore.Store {
		return redisstore.New(client(t, redistest.Start(t, "--requirepass", "p"), nil))
	}
	wrongPassword := func(t *testing.T) *redisstore.Store {
		server := redistest.Start(t, "--requirepass", "p")
		return redisstore.New(client(t, server, func(o *redis.Options) { o.Password = "q" }))
	}
	noSlots := func(t *testing.T) *redisstore.Store {
		return redisstore.New(client(t, redistest.Start(t, "--cluster-enabled", "yes"), nil))
	}
	for _, tt := range []struct {
		name       string
		open       func(*testing.T) *redisstore.Store
		word, hint string
	}{
		{"Full", full, "OOM", "the server is full: raise maxmemory, or set maxmemory-policy"},
		{"Replica", replica, "READONLY", "this is a replica: use the address of the master"},
		{"NoRight", noRight, "", "the user needs get, mget"},
		{"NoPassword", noPassword, "NOAUTH", "give the client a user name and password"},
		{"WrongPassword", wrongPassword, "WRONGPASS", "the user name or the password is wrong"},
		{"NoSlots", noSlots, "CLUSTERDOWN", "the Cluster has slots that no node serves"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.open(t).Set(t.Context(), key, minute("v"))
			if _, replied := errors.AsType[redis.Error](err); !replied || !strings.Contains(err.Error(), "("+tt.hint) {
				t.Fatalf("Set = %v; want the server's error, and in brackets %q", err, tt.hint)
			}
			if !strings.HasPrefix(err.Error(), "redisstore: "+tt.word) {
				t.Errorf("Set = %v; want redisstore: and the server's text", err)
			}
		})
	}
}

func TestServerOlderThanRedis7IsRefusedAtFirstUse(t *testing.T) {
	c := client(t, redistest.Start(t), nil)
	c.AddHook(&tap{func(cmd redis.Cmder) {
		if info, ok := cmd.(*redis.StringCmd); ok && cmd.Name() == "info" {
			info.SetVal("# Server\r\nredis_version:6.2.14\r\n")
		}
	}})
	s := redisstore.New(c)
	const want = "redisstore: zodiac needs Redis 7.0 or later, this is 6.2.14"
	if err := s.Set(t.Context(), key, minute("v")); err == nil || err.Error() != want {
		t.Errorf("Set = %v; want %s", err, want)
	}
	if err := s.SetMany(t.Context(), map[string]driver.Record{"a": minute("v"), "b": minute("v")}); err == nil ||
		err.Error() != "2 keys failed: "+want {
		t.Errorf("SetMany = %v; want the same, for 2 keys", err)
	}
}

func TestErrorOfSeveralKeysGivesEachReasonOnce(t *testing.T) {
	s := full(t)
	ctx := t.Context()
	records := map[string]driver.Record{
		"a": minute("v"), "b": minute("v"), "c": {Data: []byte("v"), TTL: time.Microsecond},
	}
	err := s.SetMany(ctx, records)
	want := regexp.MustCompile(`^3 keys failed: redisstore: OOM command not allowed [^;()]*` +
		`\(the server is full: [^()]*\); redisstore: the time to live is less than a millisecond$`)
	if err == nil || !want.MatchString(err.Error()) {
		t.Errorf("SetMany on a full server = %v; want %v", err, want)
	}
	if _, replied := errors.AsType[redis.Error](err); !replied {
		t.Errorf("SetMany on a full server = %v; want it to match the server's error", err)
	}
	must(t, s.Close())
	const closed = "redisstore: 2 of 2 keys failed: the store is closed"
	if _, err := s.Delete(ctx, "a", "b"); err == nil || err.Error() != closed {
		t.Errorf("Delete of a closed Store = %v; want %s", err, closed)
	}
}

// On a Cluster the errors of Clear pass two functions that add hints. The error for a command in a
// script does not begin with the word that other errors for lack of rights begin with.
func TestHintIsGivenOnce(t *testing.T) {
	node := redistest.Start(t, "--cluster-enabled", "yes")
	admin := client(t, node, nil)
	must(t, admin.Do(t.Context(), "cluster", "addslotsrange", 0, 16383).Err())
	for !strings.Contains(admin.ClusterInfo(t.Context()).Val(), "cluster_state:ok") {
		time.Sleep(time.Millisecond)
	}
	must(t, redisstore.New(admin).Set(t.Context(), key, minute("v")))
	must(t, admin.Do(t.Context(), "acl", "setuser", "u", "on", ">p", "~*", "&*", "+@all", "-del").Err())
	cluster := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{node.Addr()}, Username: "u", Password: "p"})
	defer cluster.Close()
	_, err := redisstore.New(cluster).Clear(t.Context(), key)
	if err == nil || strings.Count(err.Error(), "the user needs") != 1 || strings.Count(err.Error(), "redisstore:") != 1 {
		t.Errorf("Clear = %v; want the hint once", err)
	}
}

// A Loader adds its name and the operation to the Store's error, and the Store adds neither.
func TestErrorThroughALoaderSaysEachThingOnce(t *testing.T) {
	l := zodiac.NewLoader(func(context.Context, string) (string, error) { return "v", nil },
		zodiac.WithName("users"), zodiac.WithTTL(60), zodiac.WithStore(full(t)))
	defer l.Close(t.Context())
	err := l.Set(t.Context(), "k", "v")
	for _, once := range []string{"zodiac:", "redisstore:", `"users"`, "OOM", "the server is full"} {
		if err == nil || strings.Count(err.Error(), once) != 1 {
			t.Errorf("Set = %v; want %q once", err, once)
		}
	}
}

func TestErrorsOfUseSayWhatIsWrong(t *testing.T) {
	s := store(t, client(t, redistest.Start(t), nil))
	ctx := t.Context()
	short := driver.Record{Data: []byte("v"), TTL: time.Microsecond}
	const ttl = "redisstore: the time to live is less than a millisecond"
	const lease = "redisstore: a lease cannot last for ever, since it would outlive its holder; " +
		"take a short one and renew it"
	const closed = "redisstore: the store is closed"
	check := func(what string, err error, want string) {
		t.Helper()
		if err == nil || err.Error() != want {
			t.Errorf("%s = %v; want %s", what, err, want)
		}
	}
	check("Set", s.Set(ctx, key, short), ttl)
	_, err := s.Add(ctx, key, short)
	check("Add", err, ttl)
	_, err = s.Expire(ctx, key, short.TTL)
	check("Expire", err, ttl)
	_, err = s.Acquire(ctx, key, driver.Ask{Token: asked, Lease: driver.Forever})
	check("Acquire", err, lease)
	_, err = s.Renew(ctx, key, asked, driver.Forever)
	check("Renew", err, lease)

	must(t, s.Close())
	_, err = s.Get(ctx, key)
	check("Get", err, closed)
	check("Set", s.Set(ctx, key, minute("v")), closed)
	_, err = s.Delete(ctx)
	check("Delete of no keys", err, closed)
	_, err = s.Subscribe(ctx, func(driver.Invalidation) {})
	check("Subscribe", err, closed)
}
