package herd

import (
	"io"
	"net"
	"sync"
	"time"
)

// A proxy passes TCP connections on to a server, and can behave like a bad network. It is safe for
// concurrent use.
type proxy struct {
	listener net.Listener

	mu       sync.Mutex            // guards the fields below
	upstream string                // address of the server
	delay    time.Duration         // of all data, each way
	hole     bool                  // all data is dropped
	conns    map[net.Conn]struct{} // open, to clients and to the server
}

// newProxy starts a proxy to the server at upstream. Close ends it.
func newProxy(upstream string) (*proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{listener: l, upstream: upstream, conns: map[net.Conn]struct{}{}}
	go p.serve()
	return p, nil
}

// Addr returns the address for clients.
func (p *proxy) Addr() string { return p.listener.Addr().String() }

// Aim makes the proxy pass new connections on to upstream. It leaves those there are.
func (p *proxy) Aim(upstream string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.upstream = upstream
}

// Delay makes data take longer by d, each way. 0 ends the delay.
func (p *proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// Hole(true) makes the proxy a black hole: it accepts connections and data, and answers nothing.
// Hole(false) ends that. The data received meanwhile is lost, so Hole then ends all connections.
func (p *proxy) Hole(on bool) {
	p.mu.Lock()
	was := p.hole
	p.hole = on
	p.mu.Unlock()
	if was && !on {
		p.Cut()
	}
}

// Cut closes all connections.
func (p *proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
}

// Close stops the proxy and closes all connections. It does not wait for its goroutines, which end
// soon after.
func (p *proxy) Close() error {
	err := p.listener.Close()
	p.Hole(false)
	p.Cut()
	return err
}

// serve accepts connections until the listener is closed.
func (p *proxy) serve() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		go p.handle(c)
	}
}

// handle passes one connection on, until either end closes it.
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

// pipe copies data until either end is closed. It drops data while the proxy is a black hole.
func (p *proxy) pipe(to io.Writer, from io.Reader) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 && p.delayed() {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// delayed waits for the delay and then reports whether the data may pass.
func (p *proxy) delayed() (pass bool) {
	p.mu.Lock()
	delay := p.delay
	p.mu.Unlock()
	if delay > 0 {
		time.Sleep(delay)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.hole
}
