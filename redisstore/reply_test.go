package redisstore_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/redisstore"
)

// oddServer answers every command with reply, but those with which a client introduces itself.
func oddServer(t *testing.T, reply string) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for r := bufio.NewReader(c); ; {
					name, err := readCommand(r)
					if err != nil {
						return
					}
					answer := reply
					switch name {
					case "hello":
						answer = "-ERR unknown command\r\n"
					case "client":
						answer = "+OK\r\n"
					}
					if _, err := io.WriteString(c, answer); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

// readCommand reads a command and returns its name.
func readCommand(r *bufio.Reader) (name string, err error) {
	n, err := readCount(r)
	for i := 0; i < n && err == nil; i++ {
		var size int
		if size, err = readCount(r); err != nil {
			break
		}
		b := make([]byte, size+2)
		if _, err = io.ReadFull(r, b); i == 0 {
			name = strings.ToLower(string(b[:size]))
		}
	}
	return name, err
}

func readCount(r *bufio.Reader) (int, error) {
	line, err := r.ReadString('\n')
	if err != nil || len(line) < 3 {
		return 0, errors.Join(err, io.ErrUnexpectedEOF)
	}
	return strconv.Atoi(strings.TrimSpace(line[1:]))
}

// A proxy, or something else than Redis, may answer with anything. Every method returns an error
// then, and none panics or hangs.
func TestReplyOfAWrongTypeIsAnError(t *testing.T) {
	for _, reply := range []string{
		"$-1\r\n", "*-1\r\n", "_\r\n", ":1\r\n", ":-1\r\n", "+OK\r\n", "$2\r\nab\r\n", "$0\r\n\r\n", "*0\r\n", "*1\r\n:1\r\n",
		"*3\r\n:1\r\n$1\r\nx\r\n*-1\r\n", "*2\r\n*0\r\n*0\r\n", "*2\r\n$-1\r\n_\r\n", "%1\r\n+a\r\n:1\r\n", "~1\r\n:1\r\n", "#t\r\n", ",1.5\r\n", "(12345678901234567890\r\n",
		"=5\r\ntxt:x\r\n", ">2\r\n+a\r\n+b\r\n", "-ERR unknown\r\n", "-\r\n", "*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", "?\r\n", "\r\n", "HTTP/1.1 400 Bad Request\r\n\r\n",
	} {
		for _, obeys := range []bool{true, false} {
			t.Run(fmt.Sprintf("%.20q/obeys=%v", reply, obeys), func(t *testing.T) {
				t.Parallel()
				c := redis.NewClient(&redis.Options{
					Addr: oddServer(t, reply), ContextTimeoutEnabled: obeys, MaxRetries: -1, ReadTimeout: 200 * time.Millisecond,
				})
				defer c.Close()
				s := redisstore.New(c)
				defer s.Close()
				for name, do := range everyMethod(s) {
					ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
					err := do(ctx)
					if err == nil {
						t.Errorf("%s answered with %q: no error", name, reply)
					} else if ctx.Err() != nil {
						t.Errorf("%s answered with %q: %v only at the end of its time", name, reply, err)
					}
					cancel()
				}
			})
		}
	}
}

// everyMethod calls each method that gets a reply. A reply that says that there is nothing, or that
// what was read is foreign, is an error here.
func everyMethod(s *redisstore.Store) map[string]func(context.Context) error {
	const token = ".abcdefghijkl0123456789"
	odd := errors.New("a record without data")
	nothing := func(r driver.Record, err error) error {
		if err == nil && len(r.Data) == 0 {
			return odd
		}
		return err
	}
	return map[string]func(context.Context) error{
		"Get":     func(ctx context.Context) error { return nothing(s.Get(ctx, key)) },
		"GetData": func(ctx context.Context) error { return nothing(s.GetData(ctx, key)) },
		"GetMany": func(ctx context.Context) error {
			r, errs := s.GetMany(ctx, []string{key, key + "2"})
			return nothing(r[1], errs[1])
		},
		"GetManyData": func(ctx context.Context) error {
			r, errs := s.GetManyData(ctx, []string{key, key + "2"})
			return nothing(r[1], errs[1])
		},
		"Set": func(ctx context.Context) error { return s.Set(ctx, key, minute("v")) },
		"SetMany": func(ctx context.Context) error {
			return s.SetMany(ctx, map[string]driver.Record{key: minute("v"), "k": minute("v")})
		},
		"Add":    func(ctx context.Context) error { _, err := s.Add(ctx, key, minute("v")); return err },
		"Expire": func(ctx context.Context) error { _, err := s.Expire(ctx, key, time.Minute); return err },
		"Delete": func(ctx context.Context) error { _, err := s.Delete(ctx, key, "k"); return err },
		"Clear":  func(ctx context.Context) error { _, err := s.Clear(ctx, "zodiac:"); return err },
		"Acquire": func(ctx context.Context) error {
			_, err := s.Acquire(ctx, key, driver.Ask{Token: asked, Lease: time.Second})
			return err
		},
		"Renew":  func(ctx context.Context) error { _, err := s.Renew(ctx, key, token, time.Second); return err },
		"Commit": func(ctx context.Context) error { _, err := s.Commit(ctx, key, token, minute("v")); return err },
		"Abort":  func(ctx context.Context) error { _, err := s.Abort(ctx, key, token); return err },
	}
}

// A panickyHook panics in place of a command.
type panickyHook struct{}

func (panickyHook) DialHook(next redis.DialHook) redis.DialHook { return next }

func (panickyHook) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(context.Context, redis.Cmder) error { panic("odd reply") }
}

func (panickyHook) ProcessPipelineHook(redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(context.Context, []redis.Cmder) error { panic("odd reply") }
}

// The client runs on a goroutine of ours where it does not obey contexts. A panic there would end
// the process.
func TestPanicOfTheClientIsAnError(t *testing.T) {
	for _, obeys := range []bool{true, false} {
		c := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", ContextTimeoutEnabled: obeys})
		defer c.Close()
		c.AddHook(panickyHook{})
		s := redisstore.New(c)
		defer s.Close()
		for name, do := range everyMethod(s) {
			ctx, cancel := context.WithCancel(t.Context())
			if err := do(ctx); err == nil || !strings.Contains(err.Error(), "panicked: odd reply") {
				t.Errorf("%s = %v; want the panic as an error", name, err)
			}
			cancel()
		}
	}
}
