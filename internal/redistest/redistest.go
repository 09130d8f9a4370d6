// Package redistest starts real redis-servers on loopback, for tests and for programs that measure. They persist nothing,
// and die with the process that started them.
package redistest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long a server may take to start.
const patience = 15 * time.Second

// A Server is a redis-server. Its methods are to be called by one goroutine at a time.
type Server struct {
	PID int // of the process that was started last

	port    int
	dir     string
	temp    bool     // dir goes with the server
	args    []string // in front of those that every server gets, if the first is a file
	process *os.Process
	exited  chan struct{} // closed when process has ended
}

// Start starts a server that ends with the test. args are redis-server's own: "--maxmemory", "1mb". The test fails if there
// is no redis-server.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	s, err := Launch(t.Context(), t.TempDir(), args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// Launch starts a server with dir as its directory; an empty dir is a new one, which Close removes. It returns once the server
// answers; ctx matters until then.
func Launch(ctx context.Context, dir string, args ...string) (*Server, error) {
	s := &Server{dir: dir, args: args}
	if dir == "" {
		temp, err := os.MkdirTemp("", "redistest")
		if err != nil {
			return nil, err
		}
		s.dir, s.temp = temp, true
	}
	if err := s.launch(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// launch looks for a port until the server has one to itself.
func (s *Server) launch(ctx context.Context) error {
	for {
		s.port = freePort()
		err := s.run(ctx)
		if !errors.Is(err, syscall.EADDRINUSE) {
			return err
		}
	}
}

// freePort returns a port that nobody listens on, below those that the system gives to outgoing connections: one of them could
// get the port of a server that is down for a moment.
func freePort() int {
	for {
		port := 10_000 + rand.IntN(22_000)
		l, err := net.Listen("tcp", address(port))
		if err == nil {
			_ = l.Close()
			return port
		}
	}
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// Addr returns the server's address, 127.0.0.1 and a port. It stays the same over Restart.
func (s *Server) Addr() string { return address(s.port) }

// run starts the process and waits until it answers.
func (s *Server) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := s.exec(); err != nil {
		return err
	}
	for !s.answers() {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-s.exited:
			return s.failure(errors.New("ended"))
		case <-ctx.Done():
			s.Kill()
			return s.failure(ctx.Err())
		}
	}
	return nil
}

// exec starts the process on a thread of its own: the system kills it when the thread that started it is gone.
func (s *Server) exec() error {
	log, err := os.Create(s.log())
	if err != nil {
		return err
	}
	defer log.Close() //nolint:errcheck // the process has its own
	args := []string{"--port", strconv.Itoa(s.port), "--bind", "127.0.0.1", "--dir", s.dir, "--save", "", "--appendonly", "no"}
	if len(s.args) > 0 && !strings.HasPrefix(s.args[0], "-") {
		args = slices.Concat(s.args[:1], args, s.args[1:])
	} else {
		args = append(args, s.args...)
	}
	cmd := exec.Command("redis-server", args...)
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = log, log, guarded()
	started, exited := make(chan error), make(chan struct{})
	go func() {
		defer close(exited)
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	if err := <-started; errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("%w; install it with make deps, or apt-get install redis-server", err)
	} else if err != nil {
		return err
	}
	s.process, s.PID, s.exited = cmd.Process, cmd.Process.Pid, exited
	return nil
}

func (s *Server) log() string { return filepath.Join(s.dir, "redis.log") }

// failure tells why the server did not come up.
func (s *Server) failure(err error) error {
	text, _ := os.ReadFile(s.log())
	if strings.Contains(string(text), "Address already in use") {
		err = syscall.EADDRINUSE
	}
	return fmt.Errorf("redis-server on %s: %w\n%s", s.Addr(), err, text)
}

// answers reports whether it is our process that answers on the port: for a moment it could be another's, if both chose it.
func (s *Server) answers() bool {
	c, err := net.DialTimeout("tcp", s.Addr(), time.Second)
	if err != nil {
		return false
	}
	defer c.Close() //nolint:errcheck // nothing to lose
	_ = c.SetDeadline(time.Now().Add(time.Second))
	_, _ = c.Write([]byte("INFO server\r\n"))
	for lines := bufio.NewScanner(c); lines.Scan(); {
		if pid, ok := strings.CutPrefix(lines.Text(), "process_id:"); ok {
			return pid == strconv.Itoa(s.PID)
		}
		if strings.HasPrefix(lines.Text(), "-NOAUTH") {
			return true
		}
	}
	return false
}

// Kill ends the server at once, as if its machine had failed, and returns when it is gone.
func (s *Server) Kill() {
	if s.process != nil {
		_ = s.process.Kill()
		<-s.exited
	}
}

// Restart kills the server if it runs, and starts it again on the same port, empty.
func (s *Server) Restart() error {
	s.Kill()
	return s.run(context.Background())
}

// Stop halts the server: connections stay open, nothing is answered.
func (s *Server) Stop() error { return s.process.Signal(syscall.SIGSTOP) }

// Cont lets a halted server go on.
func (s *Server) Cont() error { return s.process.Signal(syscall.SIGCONT) }

// Close kills the server and removes what Launch has made.
func (s *Server) Close() {
	s.Kill()
	if s.temp {
		_ = os.RemoveAll(s.dir)
	}
}
