package herd

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// echo starts a server that sends back what it receives, and returns a proxy to it.
func echo(t *testing.T) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				io.Copy(c, c)
				c.Close()
			}()
		}
	}()
	p, err := newProxy(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func dial(t *testing.T, p *proxy) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// say sends a word and returns what comes back within a time.
func say(c net.Conn, word string, within time.Duration) (string, error) {
	c.SetDeadline(time.Now().Add(within))
	if _, err := io.WriteString(c, word); err != nil {
		return "", err
	}
	buffer := make([]byte, len(word))
	_, err := io.ReadFull(c, buffer)
	return string(buffer), err
}

func TestProxyPassesDataOn(t *testing.T) {
	c := dial(t, echo(t))
	if got, err := say(c, "hello", 5*time.Second); got != "hello" || err != nil {
		t.Errorf("say = %q, %v; want what was sent", got, err)
	}
}

func TestProxyDelaysEachWay(t *testing.T) {
	p := echo(t)
	c := dial(t, p)
	p.Delay(30 * time.Millisecond)
	start := time.Now()
	if got, err := say(c, "hello", 5*time.Second); got != "hello" || err != nil {
		t.Errorf("say = %q, %v; want what was sent", got, err)
	}
	if took := time.Since(start); took < 60*time.Millisecond {
		t.Errorf("say took %v; want 60ms at least", took)
	}
}

func TestProxyCutEndsConnectionsAndAcceptsNewOnes(t *testing.T) {
	p := echo(t)
	c := dial(t, p)
	say(c, "hello", 5*time.Second)
	p.Cut()
	if _, err := say(c, "hello", 5*time.Second); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("say = %v; want the error of a closed connection", err)
	}
	if got, err := say(dial(t, p), "again", 5*time.Second); got != "again" || err != nil {
		t.Errorf("say = %q, %v; want what was sent", got, err)
	}
}

func TestProxyHoleAcceptsAndAnswersNothing(t *testing.T) {
	p := echo(t)
	old := dial(t, p)
	say(old, "hello", 5*time.Second)
	p.Hole(true)
	for _, c := range []net.Conn{old, dial(t, p)} {
		if got, err := say(c, "hello", 50*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("say = %q, %v; want no answer until the deadline", got, err)
		}
	}
	p.Hole(false)
	if got, err := say(dial(t, p), "again", 5*time.Second); got != "again" || err != nil {
		t.Errorf("say = %q, %v; want what was sent", got, err)
	}
}

func TestProxyAimsNewConnectionsElsewhere(t *testing.T) {
	p, other := echo(t), echo(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := l.Addr().String()
	l.Close()
	p.Aim(dead)
	if got, err := say(dial(t, p), "hello", 5*time.Second); err == nil {
		t.Errorf("say = %q; want an error, since no server listens there", got)
	}
	p.Aim(other.Addr())
	if got, err := say(dial(t, p), "hello", 5*time.Second); got != "hello" || err != nil {
		t.Errorf("say = %q, %v; want what was sent", got, err)
	}
}
