package redisstore_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/redistest"
	"github.com/zodiac-go/zodiac/redisstore"
)

func TestForeignMessagesAreDroppedAndTold(t *testing.T) {
	s := store(t, client(t, redistest.Start(t), nil))
	ctx := t.Context()
	var mu sync.Mutex
	var malformed, others int
	stop, err := s.Subscribe(ctx, func(inv driver.Invalidation) {
		mu.Lock()
		defer mu.Unlock()
		if inv.Malformed {
			malformed++
		} else {
			others++
		}
	})
	must(t, err)
	defer stop()
	random := make([]byte, 1000)
	for i := range random {
		random[i] = byte(rand.Uint32())
	}
	foreign := []string{"", "hello", "w" + key, "a\x01a", "z2\x01\x00", string(random), strings.Repeat("z1", 1<<20)}
	for _, message := range foreign {
		must(t, s.Client().Publish(ctx, "zodiac:0", message).Err())
	}
	must(t, s.Publish(ctx, driver.Invalidation{Keys: []string{"k"}}))
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		mu.Lock()
		done := malformed == len(foreign) && others == 1
		mu.Unlock()
		if done {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d malformed, %d others; want %d, 1", malformed, others, len(foreign))
		}
	}
}

func TestHugeMessageCostsNeitherMemoryNorTheSubscription(t *testing.T) {
	server := redistest.Start(t)
	s := store(t, client(t, server, nil))
	ctx := t.Context()
	// By default Redis itself ends a subscription that has 32 MB to receive.
	must(t, s.Client().ConfigSet(ctx, "client-output-buffer-limit", "pubsub 0 0 0").Err())
	for range 5 { // a machine that is busy may take the server for silent
		if hugeMessage(t, s) {
			return
		}
	}
	t.Error("the subscription has ended each time")
}

// hugeMessage publishes a message that is larger than any of zodiac. It returns false if the
// subscription has ended.
func hugeMessage(t *testing.T, s *redisstore.Store) bool {
	ctx := t.Context()
	received := make(chan driver.Invalidation, 10)
	stop, err := s.Subscribe(ctx, func(inv driver.Invalidation) { received <- inv })
	must(t, err)
	defer stop()
	// The message is made in the server, so that this process has it only if it reads it.
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	must(t, s.Client().Eval(ctx, "return redis.call('PUBLISH', 'zodiac:0', string.rep('x', 2 * 1024 * 1024))", nil).Err())
	must(t, s.Publish(ctx, driver.Invalidation{Prefix: "p"}))
	for malformed := false; ; {
		select {
		case inv := <-received:
			switch {
			case inv.Gap:
				return false
			case inv.Malformed:
				malformed = true
				continue
			case inv.Prefix != "p" || !malformed:
				t.Errorf("received %+v, after a malformed message: %v", inv, malformed)
			}
		case <-time.After(20 * time.Second):
			t.Error("nothing is received")
		}
		break
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
		t.Errorf("%d bytes were allocated", n)
	}
	return true
}

// A fakeServer answers like Redis, and pushes something else once a channel is subscribed.
type fakeServer struct {
	listener net.Listener
	push     string
	conns    atomic.Int64 // that have subscribed
}

func newFakeServer(t *testing.T, push string) *fakeServer {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	f := &fakeServer{listener: l, push: push}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go f.serve(conn)
		}
	}()
	return f
}

// command reads one command.
func command(r *bufio.Reader) (args []string, err error) {
	read := func() string {
		text, e := r.ReadString('\n')
		if e != nil {
			err = e
		}
		return strings.TrimSpace(text)
	}
	n, _ := strconv.Atoi(strings.TrimPrefix(read(), "*"))
	for range n {
		read() // the length; no argument here has a line break
		args = append(args, read())
	}
	return args, err
}

func (f *fakeServer) serve(conn net.Conn) {
	defer conn.Close()
	for r := bufio.NewReader(conn); ; {
		args, err := command(r)
		if err != nil || len(args) == 0 {
			return
		}
		switch strings.ToLower(args[0]) {
		case "hello":
			fmt.Fprint(conn, "-ERR unknown command\r\n")
		case "info":
			fmt.Fprint(conn, "$19\r\nredis_version:7.4.0\r\n")
		case "subscribe":
			f.conns.Add(1)
			fmt.Fprintf(conn, "*3\r\n$9\r\nsubscribe\r\n$%d\r\n%s\r\n:1\r\n%s", len(args[1]), args[1], f.push)
		default:
			fmt.Fprint(conn, "+OK\r\n")
		}
	}
}

// Replies that no server sends make the client library panic, on a goroutine of ours.
func TestReplyThatTheClientCannotReadIsAGap(t *testing.T) {
	for name, push := range map[string]string{
		"NumberForAKind":   "*3\r\n:1\r\n:2\r\n:3\r\n",
		"NumberForAName":   "*3\r\n$7\r\nmessage\r\n:2\r\n$1\r\nx\r\n",
		"TooShort":         "*1\r\n$7\r\nmessage\r\n",
		"Empty":            "*0\r\n",
		"NumberInPayloads": "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n*1\r\n:1\r\n",
		"Huge":             "*1000000000\r\n",
		"NoLength":         "$x\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeServer(t, push)
			c := redis.NewClient(&redis.Options{
				Addr:                     f.listener.Addr().String(),
				MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
			})
			defer c.Close()
			s := redisstore.New(c)
			defer s.Close()
			gap := make(chan time.Time, 1)
			stop, err := s.Subscribe(t.Context(), func(inv driver.Invalidation) {
				if inv.Gap {
					gap <- time.Now()
				}
			})
			if err != nil {
				return // the reply has ended the subscription before Subscribe has returned
			}
			defer stop()
			within(t, 2*time.Second, "Gap", gap)
		})
	}
}
