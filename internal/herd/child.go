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

// A part is what a process of the herd plays.
type part string

const (
	partOrigin      part = "origin"
	partWorker      part = "worker"
	partInvalidator part = "invalidator"
)

// childEnv carries the orders of a child, as JSON.
const childEnv = "HERD_CHILD"

// orders tell a child what to be.
type orders struct {
	Part     part
	Proc     uint32
	Mode     string
	Dir      string // of the logs
	Room     int    // events of its log
	Origin   string // address of its socket
	Redis    string
	Scenario Scenario
}

// Child makes this process a member of a herd if it was started as one, and then does not return.
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
		go func() { // when the parent is done with us, or gone
			_, _ = io.Copy(io.Discard, parent)
			cancel(errors.New("the parent is gone"))
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
		err = fmt.Errorf("there is no part %q", o.Part)
	}
	if err != nil {
		err = fmt.Errorf("%s %d: %w", o.Part, o.Proc, err)
	}
	return errors.Join(err, log.Close())
}

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

// A process is a child as its parent sees it.
type process struct {
	orders *orders
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	gone   chan struct{} // closed when it has ended
	err    error         // of its end
}

// spawn starts a child and waits until it is ready.
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
	noSleep := os.Getenv("GORACE") + " atexit_sleep_ms=0" // of the race detector, a second at each exit
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
		return nil, fmt.Errorf("%s %d said %q: %w", o.Part, o.Proc, line, errors.Join(err, p.err))
	}
	return p, nil
}

// launch starts the child on a thread that waits for it: the system kills it, stopped or not, when that thread is gone.
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

// start lets the child begin at a time, which may be over.
func (p *process) start(at int64) error {
	_, err := fmt.Fprintln(p.stdin, at)
	return err
}

// kill ends the child at once and returns when it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.gone
}

// end waits until the child has ended by itself. One that is told to by its stdin does so when that is closed.
func (p *process) end(within time.Duration) error {
	select {
	case <-p.gone:
		return p.err
	case <-time.After(within):
		p.kill()
		return fmt.Errorf("%s %d did not end", p.orders.Part, p.orders.Proc)
	}
}

// cpu returns the processor time that the child has used. It has ended.
func (p *process) cpu() time.Duration {
	return p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
}
