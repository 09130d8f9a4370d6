package redisstore_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zodiac-go/zodiac"
	"github.com/zodiac-go/zodiac/internal/redistest"
	"github.com/zodiac-go/zodiac/redisstore"
)

func openCluster(t *testing.T, nodes redistest.Nodes) *redisstore.Store {
	addrs := nodes.Addrs()
	s, err := redisstore.Open("redis+cluster://" + addrs[0] + "?addr=" + strings.Join(addrs[1:], "&addr="))
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

func TestShardIsTheMasterOfAKey(t *testing.T) {
	t.Parallel()
	if s := store(t, client(t, redistest.Start(t), nil)); s.Shard(key) != "" {
		t.Errorf("on one server, Shard = %q; want none", s.Shard(key))
	}
	nodes := redistest.Masters(t, 3)
	s := openCluster(t, nodes)
	if shard := s.Shard(key); shard != "" {
		t.Errorf("before the first command, Shard = %q; want none", shard)
	}
	seen := map[string]int{}
	for i := range 300 {
		k := fmt.Sprint("k", i)
		must(t, s.Set(t.Context(), k, minute("v")))
		seen[s.Shard(k)]++
	}
	if len(seen) != 3 {
		t.Fatalf("shards: %v; want one for each master", seen)
	}
	for _, addr := range nodes.Addrs() {
		if seen[addr] < 50 {
			t.Errorf("shards: %v; want that of %s for about a third of the keys", seen, addr)
		}
	}
}

func TestPipelineOverADeadMasterHasTheOthersReplies(t *testing.T) {
	t.Parallel()
	nodes := redistest.Masters(t, 3)
	s := openCluster(t, nodes)
	var keys []string
	for i := range 90 {
		keys = append(keys, fmt.Sprint("k", i))
		must(t, s.Set(t.Context(), keys[i], minute("v")))
	}
	dead := nodes[1].Addr()
	nodes[1].Kill()
	ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond) // ends while the client tries again
	defer cancel()
	records, errs := s.GetMany(ctx, keys)
	for i, key := range keys {
		switch s.Shard(key) {
		case dead:
			if errs[i] == nil {
				t.Fatalf("GetMany of %s, whose master is dead: %q", key, records[i].Data)
			}
		default:
			if errs[i] != nil || string(records[i].Data) != "v" {
				t.Fatalf("GetMany of %s, whose master is well = %v", key, errs[i])
			}
		}
	}
}

// One master of three is dead: what the others have is still served from them.
func TestReadsOfHealthyMastersDoNotGoToTheOrigin(t *testing.T) {
	nodes := redistest.Masters(t, 3)
	s := openCluster(t, nodes)
	var fetches atomic.Int64
	var counting atomic.Bool
	dead := nodes[2].Addr()
	l := zodiac.NewLoader(func(_ context.Context, k string) (string, error) {
		if counting.Load() && s.Shard("zodiac::rows:"+k) != dead {
			fetches.Add(1)
		}
		return "v", nil
	}, zodiac.WithName("rows"), zodiac.WithTTL(600), zodiac.WithStore(s), zodiac.WithLogger(slog.New(slog.DiscardHandler)))
	defer l.Close(context.Background())
	var keys []string
	for i := range 300 {
		keys = append(keys, fmt.Sprint(i))
		_, err := l.Get(t.Context(), keys[i])
		must(t, err)
	}
	var readers sync.WaitGroup
	var reads, batches atomic.Int64
	stop := make(chan struct{})
	for r := range 32 {
		readers.Go(func() {
			for i := r; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				k := keys[i*7%len(keys)]
				if r == 0 { // one of the readers reads batches
					batch := keys[i%10*30 : i%10*30+30]
					if _, err := l.GetMany(context.Background(), batch); err != nil {
						t.Errorf("GetMany = %v", err)
					}
					batches.Add(1)
					continue
				}
				if v, err := l.Get(context.Background(), k); v != "v" || err != nil {
					t.Errorf("Get = %q, %v", v, err)
				}
				if counting.Load() && s.Shard("zodiac::rows:"+k) != dead {
					reads.Add(1)
				}
			}
		})
	}
	time.Sleep(200 * time.Millisecond)
	nodes[2].Kill()
	time.Sleep(time.Second)
	counting.Store(true)
	time.Sleep(4 * time.Second)
	counting.Store(false)
	close(stop)
	readers.Wait()
	n, f := reads.Load(), fetches.Load()
	t.Logf("%d reads of keys on healthy masters, %d fetches of them, %d batches", n, f, batches.Load())
	if n < 1000 || 100*f >= n {
		t.Errorf("%d fetches in %d reads of keys on healthy masters; want under 1 %%", f, n)
	}
}

// What a log says by default of a store that cannot be used.
func TestLogNamesTheCause(t *testing.T) {
	server := redistest.Start(t)
	ctx := t.Context()
	must(t, client(t, server, nil).Do(ctx, "acl", "setuser", "reader", "on", ">p", "~*", "&*", "+@read", "+info", "+ping").Err())
	must(t, client(t, server, nil).Do(ctx, "acl", "setuser", "mute", "on", ">p", "~*", "resetchannels", "+@all").Err())
	down := redistest.Start(t)
	address := down.Addr()
	down.Kill()
	for name, tt := range map[string]struct {
		url  string
		opts []zodiac.Option
		want string
	}{
		"Refused":        {"redis://" + address, nil, "connection refused"},
		"NoSuchHost":     {"redis://no-such-host.invalid:6379", nil, "no such host"},
		"TLSToPlain":     {"rediss://" + server.Addr(), nil, "TLS"},
		"WrongPassword":  {"redis://reader:s3cr3t@" + server.Addr(), nil, "WRONGPASS"},
		"NoRightToWrite": {"redis://reader:p@" + server.Addr(), nil, "NOPERM"},
		"NoRightToSubscribe": {
			"redis://mute:p@" + server.Addr(), []zodiac.Option{zodiac.WithMemory(30)}, "memory in front of the store is not used",
		},
	} {
		t.Run(name, func(t *testing.T) {
			log := new(safeBuilder)
			s, err := redisstore.Open(tt.url)
			must(t, err)
			defer s.Close()
			l := zodiac.NewLoader(func(context.Context, string) (string, error) { return "v", nil }, append(tt.opts,
				zodiac.WithName("rows"), zodiac.WithTTL(60), zodiac.WithStore(s), zodiac.WithLogger(slog.New(slog.NewTextHandler(log, nil))))...)
			defer l.Close(context.Background())
			if v, err := l.Get(ctx, "key-of-a-person"); v != "v" || err != nil {
				t.Errorf("Get = %q, %v", v, err)
			}
			for deadline := time.Now().Add(10 * time.Second); !strings.Contains(log.String(), tt.want) && time.Now().Before(deadline); {
				time.Sleep(10 * time.Millisecond)
			}
			text := log.String()
			if !strings.Contains(text, tt.want) || strings.Contains(text, "s3cr3t") || strings.Contains(text, "key-of-a-person") {
				t.Errorf("logged %q; want %q, no password, and no key", text, tt.want)
			}
		})
	}
}

// A safeBuilder is a strings.Builder for concurrent use.
type safeBuilder struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *safeBuilder) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuilder) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
