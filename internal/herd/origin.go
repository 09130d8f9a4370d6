package herd

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// A Value is what the origin has for a key, and what caches keep: which version of the row it is, and which call of the
// origin brought it.
type Value struct {
	Version int64
	Serial  int64
}

// An origin is a slow database of one table: each key has a row, a row has a version.
type origin struct {
	log  *Log
	min  time.Duration // a read takes from min to max
	max  time.Duration
	late bool          // the row is read when a call begins, and so may be old when it is returned
	over chan struct{} // closed when nothing more will happen

	mu       sync.Mutex // guards the fields below
	versions map[uint32]int64
	serial   int64
	watchers []chan answer
}

// What one can ask of an origin.
const (
	askRead  = iota + 1
	askWrite // writes the next version
	askNext  // waits for the next read and tells who called
)

type question struct {
	What, Proc, Key uint32
}

type answer struct {
	Value Value
	Proc  uint32
	Key   uint32
}

func newOrigin(s *Scenario, log *Log) *origin {
	return &origin{log: log, min: s.Fetch[0], max: s.Fetch[1], late: !s.Prompt, over: make(chan struct{}), versions: map[uint32]int64{}}
}

// serve answers on l until that is closed and those who had connected have gone.
func (o *origin) serve(l net.Listener) error {
	var conns sync.WaitGroup
	defer conns.Wait()
	defer close(o.over)
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		} else if err != nil {
			return err
		}
		conns.Go(func() { o.converse(c) })
	}
}

// converse answers the questions of a connection, one after another.
func (o *origin) converse(c net.Conn) {
	defer c.Close() //nolint:errcheck // whoever called has gone
	for {
		var q question
		if binary.Read(c, binary.NativeEndian, &q) != nil {
			return
		}
		a := o.answer(q)
		if binary.Write(c, binary.NativeEndian, a) != nil {
			return
		}
	}
}

func (o *origin) answer(q question) answer {
	switch q.What {
	case askRead:
		return answer{Value: o.read(q)}
	case askWrite:
		return answer{Value: o.write(q)}
	default:
		select {
		case a := <-o.watch():
			return a
		case <-o.over:
			return answer{}
		}
	}
}

func (o *origin) read(q question) Value {
	start := Now()
	v := o.begin(q)
	time.Sleep(o.min + rand.N(o.max-o.min+1))
	if !o.late {
		v.Version = o.version(q.Key)
	}
	o.log.Add(Event{Kind: Fetch, Proc: q.Proc, Key: q.Key, Version: v.Version, Serial: v.Serial, Start: start, End: Now()})
	return v
}

// begin counts a read and tells those who watch.
func (o *origin) begin(q question) Value {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.serial++
	v := Value{Version: o.versions[q.Key], Serial: o.serial}
	for _, w := range o.watchers {
		w <- answer{Value: v, Proc: q.Proc, Key: q.Key}
	}
	o.watchers = nil
	return v
}

func (o *origin) version(key uint32) int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.versions[key]
}

func (o *origin) write(q question) Value {
	start := Now()
	o.mu.Lock()
	o.versions[q.Key]++
	version := o.versions[q.Key]
	o.mu.Unlock()
	o.log.Add(Event{Kind: Write, Proc: q.Proc, Key: q.Key, Version: version, Start: start, End: Now()})
	return Value{Version: version}
}

func (o *origin) watch() chan answer {
	w := make(chan answer, 1)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.watchers = append(o.watchers, w)
	return w
}

// An originClient asks an origin on behalf of a process. It is safe for concurrent use.
type originClient struct {
	address string
	proc    uint32

	mu   sync.Mutex
	idle []net.Conn
}

// ask sends a question on a connection of its own for as long as it takes.
func (o *originClient) ask(ctx context.Context, what, key uint32) (a answer, err error) {
	c, err := o.conn(ctx)
	if err != nil {
		return a, err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	err = errors.Join(
		binary.Write(c, binary.NativeEndian, question{what, o.proc, key}),
		binary.Read(c, binary.NativeEndian, &a),
	)
	if !stop() {
		return a, ctx.Err()
	}
	if err != nil {
		return a, fmt.Errorf("origin: %w", errors.Join(err, c.Close()))
	}
	o.keep(c)
	return a, nil
}

func (o *originClient) read(ctx context.Context, key uint32) (Value, error) {
	a, err := o.ask(ctx, askRead, key)
	return a.Value, err
}

func (o *originClient) conn(ctx context.Context) (net.Conn, error) {
	o.mu.Lock()
	if n := len(o.idle); n > 0 {
		c := o.idle[n-1]
		o.idle = o.idle[:n-1]
		o.mu.Unlock()
		return c, nil
	}
	o.mu.Unlock()
	var d net.Dialer
	return d.DialContext(ctx, "unix", o.address)
}

func (o *originClient) keep(c net.Conn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.idle = append(o.idle, c)
}

// Close ends the connections that are not in use.
func (o *originClient) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	var errs []error
	for _, c := range o.idle {
		errs = append(errs, c.Close())
	}
	o.idle = nil
	return errors.Join(errs...)
}
