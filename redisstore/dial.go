package redisstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"weak"

	"github.com/redis/go-redis/v9"
)

// dials knows why a client has no connection. The client dials on goroutines of its own, more than
// once, and a command whose time is over meanwhile returns only that. dials is a hook of the client:
// it notes the dials, and explain adds what it has noted. A nil dials adds nothing.
type dials struct {
	tls bool // the client speaks TLS

	mu      sync.Mutex
	running map[string]int // dials under way, by address
	failed  error          // of the last dial; nil if it succeeded
}

// dialing has the dials of clients: a client that several Stores use has one hook.
var dialing struct {
	mu sync.Mutex
	of map[any]*dials // by weak pointer to the client
}

// dialsOf returns the dials of a client, which is hooked the first time. hook adds the hook.
func dialsOf[C any](client *C, tls bool, hook func(redis.Hook)) *dials {
	d, known := noteClient(client, tls)
	if !known {
		hook(d) // under no lock: it calls the hooks of others
	}
	return d
}

// noteClient is dialsOf without the hook.
func noteClient[C any](client *C, tls bool) (d *dials, known bool) {
	dialing.mu.Lock()
	defer dialing.mu.Unlock()
	key := weak.Make(client)
	if d, ok := dialing.of[key]; ok {
		return d, true
	}
	if dialing.of == nil {
		dialing.of = map[any]*dials{}
	}
	d = &dials{tls: tls, running: map[string]int{}}
	dialing.of[key] = d
	runtime.AddCleanup(client, func(key weak.Pointer[C]) {
		dialing.mu.Lock()
		defer dialing.mu.Unlock()
		delete(dialing.of, key)
	}, key)
	return d, false
}

// DialHook notes each dial. The TLS handshake is a part of it.
func (d *dials) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		d.mu.Lock()
		d.running[addr]++
		d.mu.Unlock()
		conn, err := next(ctx, network, addr)
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.running[addr]--; d.running[addr] == 0 {
			delete(d.running, addr)
		}
		if d.failed = err; isTimeout(err) { // the text of that says no more than the command's own error
			d.failed = d.noAnswer(addr)
		}
		return conn, err
	}
}

// ProcessHook returns nil, which go-redis takes for no hook.
func (d *dials) ProcessHook(redis.ProcessHook) redis.ProcessHook { return nil }

// ProcessPipelineHook returns nil, which go-redis takes for no hook.
func (d *dials) ProcessPipelineHook(redis.ProcessPipelineHook) redis.ProcessPipelineHook { return nil }

// fault returns why there may be no connection, or nil.
func (d *dials) fault() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failed != nil {
		return d.failed
	}
	for addr := range d.running {
		return d.noAnswer(addr)
	}
	return nil
}

func (d *dials) noAnswer(addr string) error {
	if d.tls {
		return fmt.Errorf("no answer from %s while connecting; it may not speak TLS", addr)
	}
	return fmt.Errorf("no answer from %s while connecting", addr)
}

// explain adds to err, if it is that of a command whose time was over, why there may be no
// connection.
func (d *dials) explain(err error) error {
	if d == nil || !isTimeout(err) {
		return err
	}
	fault := d.fault()
	if fault == nil || errors.Is(err, fault) {
		return err
	}
	return fmt.Errorf("%w: %w", err, fault)
}
