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

// A Value is the row of a key as a read of the origin returned it. Caches keep Values.
type Value struct {
	Version int64 // of the row; 0 before its first write
	Serial  int64 // of the read; unique within a run
}

// An origin is a slow database with one table. Each key has a row, and a row has a version.
type origin struct {
	log  *Log
	min  time.Duration // a read takes from min to max
	max  time.Duration
	late bool          // a read looks at the row at its start, so the answer may be old at its end
	over chan struct{} // closed when the origin accepts no more connections

	mu       sync.Mutex       // guards the fields below
	versions map[uint32]int64 // by key
	serial   int64            // of the last read
	watchers []chan answer    // each gets the next read; buffered for it
}

// The questions that an origin answers.
const (
	askRead  = iota + 1 // for the row of Key
	askWrite            // writes the next version of the row of Key
	askNext             // waits for the next read to begin, and returns its Proc, Key and Value
)

// A question is what a process sends to the origin.
type question struct {
	What, Proc, Key uint32
}

// An answer is what the origin sends back. Proc and Key are set for askNext only.
type answer struct {
	Value Value
	Proc  uint32
	Key   uint32
}

func newOrigin(s *Scenario, log *Log) *origin {
	return &origin{
		log: log, min: s.Fetch[0], max: s.Fetch[1], late: !s.Prompt,
		over: make(chan struct{}), versions: map[uint32]int64{},
	}
}

// serve answers questions on the connections to l. It returns when l has been closed and all
// clients have closed their connections.
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

// converse answers the questions of one connection, one after another, until the client closes it.
func (o *origin) converse(c net.Conn) {
	defer c.Close() //nolint:errcheck // the client has gone
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

// read answers an askRead, after the time that a read takes, and logs the Fetch.
func (o *origin) read(q question) Value {
	start := Now()
	v := o.begin(q)
	time.Sleep(o.min + rand.N(o.max-o.min+1))
	if !o.late {
		v.Version = o.version(q.Key)
	}
	o.log.Add(Event{
		Kind: Fetch, Proc: q.Proc, Key: q.Key,
		Version: v.Version, Serial: v.Serial, Start: start, End: Now(),
	})
	return v
}

// begin gives a read its serial and the row at its start, and answers the watchers.
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

// write answers an askWrite and logs the Write.
func (o *origin) write(q question) Value {
	start := Now()
	o.mu.Lock()
	o.versions[q.Key]++
	version := o.versions[q.Key]
	o.mu.Unlock()
	o.log.Add(Event{Kind: Write, Proc: q.Proc, Key: q.Key, Version: version, Start: start, End: Now()})
	return Value{Version: version}
}

// watch returns a channel that receives the next read when it begins.
func (o *origin) watch() chan answer {
	w := make(chan answer, 1)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.watchers = append(o.watchers, w)
	return w
}

// An originClient asks the origin questions for one process. It is safe for concurrent use.
type originClient struct {
	address string
	proc    uint32

	mu   sync.Mutex // guards idle
	idle []net.Conn // connections without a question under way
}

// ask asks a question and returns the answer. No other question uses its connection meanwhile. If
// ctx ends first, ask closes the connection and returns the error of ctx.
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

// conn returns an idle connection, or a new one.
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

// keep makes a connection idle.
func (o *originClient) keep(c net.Conn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.idle = append(o.idle, c)
}

// Close closes the idle connections.
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
