package redisstore_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zodiac-go/zodiac/internal/redistest"
	"github.com/zodiac-go/zodiac/redisstore"
)

func TestCheckLeavesNothingOnAGoodServer(t *testing.T) {
	server := redistest.Start(t)
	s, err := redisstore.Open("redis://" + server.Addr())
	must(t, err)
	defer s.Close()
	must(t, s.Check(t.Context()))
	if n := s.Client().DBSize(t.Context()).Val(); n != 0 {
		t.Errorf("Check has left %d keys", n)
	}
}

// What is wrong is in the error, for clients that Open makes and for others.
func TestCheckSaysWhatIsWrong(t *testing.T) {
	plain := redistest.Start(t)
	locked := redistest.Start(t, "--requirepass", "p")
	admin := client(t, plain, nil)
	for user, rights := range map[string]string{
		"reader": "-set -setrange -evalsha -eval", "deaf": "resetchannels", "mute": "-publish",
	} {
		args := []any{"acl", "setuser", user, "on", ">p", "~*", "&*", "+@all"}
		for r := range strings.FieldsSeq(rights) {
			args = append(args, r)
		}
		must(t, admin.Do(t.Context(), args...).Err())
	}
	replica := redistest.Start(t, append([]string{"--replicaof"}, strings.Split(plain.Addr(), ":")...)...)
	secure, _ := startWithTLS(t)
	for address, want := range map[string]string{
		"redis://" + freeAddr(t):                              "connection refused",
		"redis://host.invalid:6379":                           "host.invalid",
		"rediss://" + plain.Addr():                            "it may not speak TLS",
		"redis://" + secure:                                   "EOF",
		"redis://" + locked.Addr():                            "give the client a user name and password",
		"redis://:wrong@" + locked.Addr():                     "the user name or the password is wrong",
		"redis://reader:p@" + plain.Addr():                    "write a key",
		"redis://deaf:p@" + plain.Addr():                      "subscribe to invalidations",
		"redis://mute:p@" + plain.Addr():                      "publish an invalidation",
		"redis://" + replica.Addr():                           "use the address of the master",
		"redis+cluster://" + plain.Addr():                     "cluster support disabled",
		"redis+sentinel://" + plain.Addr() + "?master_name=m": "sentinel",
	} {
		s, err := redisstore.Open(address)
		must(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		begin := time.Now()
		err = s.Check(ctx)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Check of %s after %v = %v; want %q in it", address, time.Since(begin), err, want)
		}
		cancel()
		must(t, s.Close())
	}
}

// A client with go-redis's own settings dials until the time of the command is over. The reason is in
// the error all the same, and in that of every command, alone or in a pipeline.
func TestErrorOfACommandSaysWhyThereIsNoConnection(t *testing.T) {
	for name, c := range map[string]redis.UniversalClient{
		"single":  redis.NewClient(&redis.Options{Addr: freeAddr(t)}),
		"heeding": redis.NewClient(&redis.Options{Addr: freeAddr(t), ContextTimeoutEnabled: true}),
		"cluster": redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{freeAddr(t)}}),
	} {
		defer c.Close()
		s := redisstore.New(c)
		defer s.Close()
		for what, do := range map[string]func(context.Context) error{
			"Get":     func(ctx context.Context) error { _, err := s.Get(ctx, key); return err },
			"GetMany": func(ctx context.Context) error { _, errs := s.GetMany(ctx, []string{key, key + "2"}); return errs[0] },
			"Set":     func(ctx context.Context) error { return s.Set(ctx, key, minute("v")) },
		} {
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			if err := do(ctx); err == nil || !strings.Contains(err.Error(), "connection refused") {
				t.Errorf("%s: %s = %v; want the reason in it", name, what, err)
			}
			cancel()
		}
	}
}

// freeAddr returns an address on which nobody listens.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().String()
}

// startWithTLS starts a server that speaks TLS, and returns that address and the server.
func startWithTLS(t *testing.T) (string, *redistest.Server) {
	t.Helper()
	cert, key := certificate(t)
	addr := freeAddr(t)
	_, port, _ := net.SplitHostPort(addr)
	server := redistest.Start(t, "--tls-port", fmt.Sprint(port), "--tls-cert-file", cert, "--tls-key-file", key,
		"--tls-auth-clients", "no")
	return addr, server
}
