package redistest

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Virtual starts a server inside the process and returns a client of it. The server's clock is that
// of the bubble in which Virtual is called; see [synctest.Test]. Both are closed at the end of the
// test.
func Virtual(t testing.TB) *redis.Client {
	t.Helper()
	m := miniredis.NewMiniRedis()
	m.ClockTTL(true)
	c := redis.NewClient(&redis.Options{
		Dialer: func(context.Context, string, string) (net.Conn, error) {
			c, err := m.Dial()
			if err != nil {
				return nil, err
			}
			return newBufferedConn(c), nil
		},
		// Maintenance notifications look up names, which opens a socket. Time does not pass in a
		// bubble while a goroutine waits for a socket.
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		ContextTimeoutEnabled:    true,
	})
	t.Cleanup(func() {
		_ = c.Close()
		m.Close()
	})
	return c
}

// A bufferedConn is an end of a net.Pipe whose writes return at once, as writes to a socket do.
// With a plain net.Pipe, a write waits for the reader. Then a client that is still writing a long
// pipeline, and a server that writes its first reply, would wait for each other.
type bufferedConn struct {
	net.Conn
	mu     sync.Mutex
	unsent []byte        // guarded by mu
	more   chan struct{} // receives when unsent has grown
	closed chan struct{} // closed by Close
	once   sync.Once     // closes closed
}

func newBufferedConn(conn net.Conn) *bufferedConn {
	c := &bufferedConn{Conn: conn, more: make(chan struct{}, 1), closed: make(chan struct{})}
	go c.send()
	return c
}

// send writes what Write has left in unsent, until the connection is closed.
func (c *bufferedConn) send() {
	for {
		select {
		case <-c.more:
		case <-c.closed:
			return
		}
		c.mu.Lock()
		b := c.unsent
		c.unsent = nil
		c.mu.Unlock()
		if _, err := c.Conn.Write(b); err != nil {
			_ = c.Close()
			return
		}
	}
}

// Write hands b to send. After send has failed, Write returns net.ErrClosed.
func (c *bufferedConn) Write(b []byte) (int, error) {
	select {
	case <-c.closed:
		return 0, net.ErrClosed
	default:
	}
	c.mu.Lock()
	c.unsent = append(c.unsent, b...)
	c.mu.Unlock()
	select {
	case c.more <- struct{}{}:
	default:
	}
	return len(b), nil
}

// SetDeadline sets the deadline of reads. Writes never block, so they have none.
func (c *bufferedConn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetWriteDeadline does nothing, since writes never block.
func (c *bufferedConn) SetWriteDeadline(time.Time) error { return nil }

// Close closes the connection and ends send. What send has not written is lost.
func (c *bufferedConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}
