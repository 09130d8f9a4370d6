// Package redistest starts redis-server processes on loopback, for tests and for programs that
// measure.
//
// The servers keep no data on disk. On Linux they are killed when the process that started them
// ends, in whatever way it ends.
//
//	redistest.go  one server: Start, Launch, and how to kill, halt or restart it
//	cluster.go    a Cluster
//	sentinel.go   a master with replicas, watched by Sentinel
//	virtual.go    a server inside the test process, for virtual time
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

// startTimeout is how long a server may take to start.
const startTimeout = 15 * time.Second

// A Server is a redis-server process. It is not safe for concurrent use.
type Server struct {
	PID int // of the process started last

	program string // its name on the PATH, or its path
	port    int
	dir     string
	temp    bool     // Launch made dir, so Close removes it
	args    []string // the caller's; if the first is a file, it comes before all other arguments
	process *os.Process
	exited  chan struct{} // closed when process has ended
}

// Start starts a server that is killed at the end of the test. args are arguments of redis-server,
// such as "--maxmemory", "1mb". If the server does not start, the test fails.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	s, err := Launch(t.Context(), t.TempDir(), args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// Launch starts a server whose working directory is dir, and returns when the server answers. ctx
// limits only that. If dir is empty, Launch makes a directory, which Close removes. The caller must
// call Close.
func Launch(ctx context.Context, dir string, args ...string) (*Server, error) {
	return launch(ctx, "redis-server", dir, args...)
}

// OnEach runs test in a subtest for each program that may serve: redis-server, and if they are there
// valkey-server and the programs in the variable REDISTEST_SERVERS, separated by colons as in PATH.
// start starts a server that is killed at the end of the subtest.
func OnEach(t *testing.T, test func(t *testing.T, start func(args ...string) *Server)) {
	t.Helper()
	programs := []string{"redis-server"}
	if _, err := exec.LookPath("valkey-server"); err == nil {
		programs = append(programs, "valkey-server")
	}
	programs = append(programs, filepath.SplitList(os.Getenv("REDISTEST_SERVERS"))...)
	for _, program := range programs {
		t.Run("server="+program, func(t *testing.T) {
			test(t, func(args ...string) *Server {
				t.Helper()
				s, err := launch(t.Context(), program, t.TempDir(), args...)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(s.Close)
				return s
			})
		})
	}
}

func launch(ctx context.Context, program, dir string, args ...string) (*Server, error) {
	s := &Server{program: program, dir: dir, args: args}
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

// launch starts the process, again and again with another port while its port is in use.
func (s *Server) launch(ctx context.Context) error {
	for {
		s.port = freePort()
		err := s.run(ctx)
		if !errors.Is(err, syscall.EADDRINUSE) {
			return err
		}
	}
}

// freePort returns a port that nobody listens on. It is below the ports that the system gives to
// outgoing connections, since a connection could take the port of a server that is down for a
// moment.
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

// Addr returns the server's address: 127.0.0.1 and a port. Restart does not change it.
func (s *Server) Addr() string { return address(s.port) }

// run starts the process on s.port and waits until it answers.
func (s *Server) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
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

// exec starts the process on a thread of its own, which lives as long as the process: the system
// kills the process when the thread that started it ends.
func (s *Server) exec() error {
	log, err := os.Create(s.log())
	if err != nil {
		return err
	}
	defer log.Close() //nolint:errcheck // the process has the file open itself
	args := []string{
		"--port", strconv.Itoa(s.port), "--bind", "127.0.0.1", "--dir", s.dir,
		"--save", "", "--appendonly", "no",
	}
	if len(s.args) > 0 && !strings.HasPrefix(s.args[0], "-") {
		args = slices.Concat(s.args[:1], args, s.args[1:])
	} else {
		args = append(args, s.args...)
	}
	cmd := exec.Command(s.program, args...)
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = log, log, dieWithParent()
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

// failure returns the error for a server that did not start. It contains the server's log. It is
// EADDRINUSE if the port was in use, and err if not.
func (s *Server) failure(err error) error {
	text, _ := os.ReadFile(s.log())
	if strings.Contains(string(text), "Address already in use") {
		err = syscall.EADDRINUSE
	}
	return fmt.Errorf("redis-server on %s: %w\n%s", s.Addr(), err, text)
}

// answers reports whether the process answers on the port. It compares process ids, since for a
// moment the answer could come from the server of another test that chose the same port. A server
// that asks for a password does not tell its process id.
func (s *Server) answers() bool {
	c, err := net.DialTimeout("tcp", s.Addr(), time.Second)
	if err != nil {
		return false
	}
	defer c.Close() //nolint:errcheck // nothing was written that could be lost
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

// Kill ends the server at once, as if its machine had failed, and returns when the process has
// ended.
func (s *Server) Kill() {
	if s.process != nil {
		_ = s.process.Kill()
		<-s.exited
	}
}

// Restart kills the server if it runs, and starts it again on the same port, without data.
func (s *Server) Restart() error {
	s.Kill()
	return s.run(context.Background())
}

// Stop halts the server. Connections stay open, but nothing is answered until Cont.
func (s *Server) Stop() error { return s.process.Signal(syscall.SIGSTOP) }

// Cont lets a server that Stop has halted go on.
func (s *Server) Cont() error { return s.process.Signal(syscall.SIGCONT) }

// Close kills the server, and removes the directory if Launch made it.
func (s *Server) Close() {
	s.Kill()
	if s.temp {
		_ = os.RemoveAll(s.dir)
	}
}
