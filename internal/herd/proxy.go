package herd

import (
	"io"
	"net"
	"sync"
	"time"
)

// A proxy stands between clients and a server, and can be told to be a bad network. It is safe for concurrent use.
type proxy struct {
	listener net.Listener

	mu       sync.Mutex // guards the fields below
	upstream string
	delay    time.Duration
	hole     bool
	conns    map[net.Conn]struct{}
}

func newProxy(upstream string) (*proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{listener: l, upstream: upstream, conns: map[net.Conn]struct{}{}}
	go p.serve()
	return p, nil
}

// Addr is where clients are to connect to.
func (p *proxy) Addr() string { return p.listener.Addr().String() }

// Aim sends new connections elsewhere.
func (p *proxy) Aim(upstream string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.upstream = upstream
}

// Delay makes everything take so much longer, each way.
func (p *proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// Hole makes the proxy accept connections and data and answer nothing, or ends that: what it had swallowed is lost, and so
// are the connections.
func (p *proxy) Hole(on bool) {
	p.mu.Lock()
	was := p.hole
	p.hole = on
	p.mu.Unlock()
	if was && !on {
		p.Cut()
	}
}

// Cut ends all connections.
func (p *proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
}

// Close ends the proxy and all connections.
func (p *proxy) Close() error {
	err := p.listener.Close()
	p.Hole(false)
	p.Cut()
	return err
}

func (p *proxy) serve() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		go p.handle(c)
	}
}

func (p *proxy) handle(client net.Conn) {
	p.add(client)
	defer p.remove(client)
	server, err := net.Dial("tcp", p.target())
	if err != nil {
		return
	}
	p.add(server)
	defer p.remove(server)
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.pipe(server, client)
		_ = server.Close()
	}()
	p.pipe(client, server)
	_ = client.Close()
	<-done
}

func (p *proxy) add(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[c] = struct{}{}
}

func (p *proxy) remove(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
	_ = c.Close()
}

func (p *proxy) target() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.upstream
}

// pipe copies until either end is closed. What comes while there is a hole falls into it.
func (p *proxy) pipe(to io.Writer, from io.Reader) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 && !p.swallowed() {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// swallowed waits for the delay and reports whether there is a hole.
func (p *proxy) swallowed() bool {
	p.mu.Lock()
	delay := p.delay
	p.mu.Unlock()
	if delay > 0 {
		time.Sleep(delay)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hole
}
