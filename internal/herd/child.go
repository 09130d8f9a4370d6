package herd

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// A part is the kind of a process of the herd.
type part string

const (
	partOrigin      part = "origin"
	partWorker      part = "worker"
	partInvalidator part = "invalidator"
)

// childEnv is the environment variable that holds a child's orders as JSON.
const childEnv = "HERD_CHILD"

// orders tell a child what to do.
type orders struct {
	Part     part
	Proc     uint32 // its process number
	Mode     string
	Dir      string // of the logs
	Room     int    // the number of events for which its log has room
	Origin   string // path of the origin's Unix socket
	Redis    string // address of Redis, or of the proxy in front of it
	Scenario Scenario
}

// Child runs a child of a herd if this process was started as one. It then exits the process, with
// status 1 if the child failed. Otherwise it returns at once. A program that calls [Run] calls
// Child first.
func Child() {
	text := os.Getenv(childEnv)
	if text == "" {
		return
	}
	if err := play(text); err != nil {
		fmt.Fprintf(os.Stderr, "herd: %v\n", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// play does what the orders in text say and returns when the child's part is over. The function
// ready, which each part calls once, tells the parent that the child is ready, and waits for the
// time at which to begin.
func play(text string) error {
	var o orders
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return err
	}
	log, err := CreateLog(o.Dir, o.Proc, o.Room)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	parent := bufio.NewReader(os.Stdin)
	ready := func() (start int64, err error) {
		fmt.Println("ready")
		if _, err := fmt.Fscan(parent, &start); err != nil {
			return 0, err
		}
		// The parent closes the pipe to end the origin. The pipe also closes when the parent
		// ends. The goroutine ends with the process.
		go func() {
			_, _ = io.Copy(io.Discard, parent)
			cancel(errors.New("the parent has closed the pipe"))
		}()
		return start, nil
	}
	switch o.Part {
	case partOrigin:
		err = playOrigin(ctx, &o, log, ready)
	case partWorker:
		err = playWorker(ctx, &o, log, ready)
	case partInvalidator:
		err = playInvalidator(ctx, &o, log, ready)
	default:
		err = fmt.Errorf("no part %q", o.Part)
	}
	if err != nil {
		err = fmt.Errorf("%s %d: %w", o.Part, o.Proc, err)
	}
	return errors.Join(err, log.Close())
}

// playOrigin serves the origin until the parent closes the pipe.
func playOrigin(ctx context.Context, o *orders, log *Log, ready func() (int64, error)) error {
	l, err := net.Listen("unix", o.Origin)
	if err != nil {
		return err
	}
	if _, err := ready(); err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { _ = l.Close() })
	return newOrigin(&o.Scenario, log).serve(l)
}

// A process is a child, in the process that started it.
type process struct {
	orders *orders
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	gone   chan struct{} // closed when the child has ended
	err    error         // how it ended; set before gone is closed
}

// spawn starts a child and returns when it is ready.
func spawn(o *orders) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	p := &process{orders: o, cmd: exec.Command(self), gone: make(chan struct{})}
	// Under the race detector a process sleeps for a second before it exits.
	noSleep := os.Getenv("GORACE") + " atexit_sleep_ms=0"
	p.cmd.Env = append(os.Environ(), childEnv+"="+string(text), "GORACE="+noSleep)
	p.cmd.Stderr, p.cmd.SysProcAttr = os.Stderr, guarded()
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.launch(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if strings.TrimSpace(line) != "ready" {
		p.kill()
		err = errors.Join(err, p.err)
		return nil, fmt.Errorf("%s %d printed %q, not that it is ready: %w", o.Part, o.Proc, line, err)
	}
	return p, nil
}

// launch starts the child on an OS thread that does nothing but wait for it. Linux kills the child,
// even a stopped one, when the thread that started it ends (see guarded). So that thread must last
// as long as the child, and ends with this process at the latest.
func (p *process) launch() error {
	started := make(chan error)
	go func() {
		defer close(p.gone)
		runtime.LockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.err = p.cmd.Wait()
		}
	}()
	return <-started
}

// start tells the child when to begin. A time that has passed means at once.
func (p *process) start(at int64) error {
	_, err := fmt.Fprintln(p.stdin, at)
	return err
}

// kill kills the child and returns when it has ended.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.gone
}

// end waits until the child has ended by itself, and returns how it ended. A child that takes
// longer than within is killed, which is an error. The origin ends when its stdin is closed.
func (p *process) end(within time.Duration) error {
	select {
	case <-p.gone:
		return p.err
	case <-time.After(within):
		p.kill()
		return fmt.Errorf("%s %d did not end within %v", p.orders.Part, p.orders.Proc, within)
	}
}

// cpu returns the processor time that the child has used. The child has ended.
func (p *process) cpu() time.Duration {
	return p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
}
