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

// Virtual returns a client of a new server in the process, which keeps the time of the bubble that Virtual is called in, see
// [synctest.Test]. Both end with the test.
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
			return newPatient(c), nil
		},
		// Its handshake looks up names, with a socket: a bubble would never end.
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		ContextTimeoutEnabled:    true,
	})
	t.Cleanup(func() {
		_ = c.Close()
		m.Close()
	})
	return c
}

// A patient is a net.Pipe whose writes wait for nobody, as those to a socket: else a server that answers the first command
// of a long pipeline, and a client that is still writing it, wait for each other.
type patient struct {
	net.Conn
	mu     sync.Mutex
	unsent []byte
	more   chan struct{}
	closed chan struct{}
	once   sync.Once
}

func newPatient(c net.Conn) *patient {
	p := &patient{Conn: c, more: make(chan struct{}, 1), closed: make(chan struct{})}
	go p.send()
	return p
}

func (p *patient) send() {
	for {
		select {
		case <-p.more:
		case <-p.closed:
			return
		}
		p.mu.Lock()
		b := p.unsent
		p.unsent = nil
		p.mu.Unlock()
		if _, err := p.Conn.Write(b); err != nil {
			_ = p.Close()
			return
		}
	}
}

func (p *patient) Write(b []byte) (int, error) {
	select {
	case <-p.closed:
		return 0, net.ErrClosed
	default:
	}
	p.mu.Lock()
	p.unsent = append(p.unsent, b...)
	p.mu.Unlock()
	select {
	case p.more <- struct{}{}:
	default:
	}
	return len(b), nil
}

// SetDeadline is for reading only: writes that nobody waits for have no deadline.
func (p *patient) SetDeadline(t time.Time) error { return p.SetReadDeadline(t) }

func (p *patient) SetWriteDeadline(time.Time) error { return nil }

func (p *patient) Close() error {
	p.once.Do(func() { close(p.closed) })
	return p.Conn.Close()
}
