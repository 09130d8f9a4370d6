package redisstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Times of a link. A loss is noticed at most maxSilence after the last message of the server.
// driver.Bus allows 2 s.
const (
	pingInterval   = 400 * time.Millisecond
	maxSilence     = 1200 * time.Millisecond
	confirmTimeout = 5 * time.Second
)

var (
	errSilent   = errors.New("redisstore: the server sends nothing on the subscription")
	errReplaced = errors.New("redisstore: the connection of the subscription was lost")
)

// A link is the connection of the subscriptions to one server. A client's PubSub replaces a lost
// connection without saying so, and the messages in between are lost. So a link has a client of its
// own that connects once, and ends with the connection.
type link struct {
	mux     *mux
	address string
	client  *redis.Client
	pubsub  *redis.PubSub
	ctx     context.Context // ends with the link
	cancel  context.CancelFunc

	connected chan struct{} // closed when the first SUBSCRIBE was sent
	watchdog  *time.Timer   // ends the link when the server is silent
	heard     atomic.Bool   // a message has come; until then the watchdog waits for one

	// Guarded by mux.mu.
	topics    map[string]*topic
	requested map[string]int // SUBSCRIBEs of a channel that are not confirmed yet
	leaving   map[string]int // likewise UNSUBSCRIBEs
	err       error          // why it has ended
}

func newLink(m *mux, o *redis.Options) *link {
	l := &link{
		mux: m, address: o.Addr, connected: make(chan struct{}),
		topics: map[string]*topic{}, requested: map[string]int{}, leaving: map[string]int{},
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.client = oneConnection(l.ctx, o, func() {
		if l.heard.Load() {
			l.resetWatchdog()
		}
	})
	l.pubsub = l.client.Subscribe(l.ctx) // to nothing yet
	l.watchdog = time.AfterFunc(confirmTimeout, func() { l.fail(errSilent) })
	return l
}

// oneConnection returns a client with the options of another that connects once. The connection ends
// with ctx, calls alive when something arrives, and drops what no zodiac sends: see filterConn.
func oneConnection(ctx context.Context, of *redis.Options, alive func()) *redis.Client {
	o := *of
	// NewClient takes these as it takes those of users, and not as it has left them.
	undefault(&o.ReadTimeout)
	undefault(&o.WriteTimeout)
	o.MinIdleConns, o.MaxRetries = 0, -1
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	dial := of.Dialer
	var connected atomic.Bool
	o.Dialer = func(dialing context.Context, network, addr string) (net.Conn, error) {
		if connected.Load() {
			return nil, errReplaced
		}
		conn, err := dial(dialing, network, addr)
		if err != nil {
			return nil, err
		}
		connected.Store(true)
		context.AfterFunc(ctx, func() { _ = conn.Close() })
		return newFilterConn(conn, alive), nil
	}
	return redis.NewClient(&o)
}

// undefault makes a timeout of a client's options one that NewClient reads as it is meant: users
// write -1 for none and -2 for no deadlines at all, NewClient makes that 0 and -1, and 0 is the
// default.
func undefault(d *time.Duration) {
	if *d <= 0 {
		*d--
	}
}

// run connects, subscribes to a channel, and receives messages until the link has ended. The end of
// the link closes the connection, since Receive blocks without regard to its context.
//
// Nobody else uses the PubSub before it is connected. It connects under its lock, and whoever waited
// for the lock would have to wait for that.
func (l *link) run(channel string) {
	err := l.send(channel)
	if err == nil {
		close(l.connected)
		err = l.receive()
	}
	l.fail(err)
	_ = l.pubsub.Close() // errors change nothing: the connection is given up
	_ = l.client.Close()
}

// receive passes on what the server sends. The client panics on replies that no server sends.
func (l *link) receive() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("redisstore: the client cannot read what the server sends: %v\n\n%s", r, debug.Stack())
		}
	}()
	pings := false
	for {
		message, err := l.pubsub.Receive(l.ctx)
		if err != nil {
			return err
		}
		if !l.resetWatchdog() {
			return errSilent
		}
		l.heard.Store(true)
		switch m := message.(type) {
		case *redis.Subscription:
			switch m.Kind {
			case "subscribe", "ssubscribe":
				l.mux.confirm(l, m.Channel)
			case "unsubscribe", "sunsubscribe":
				l.mux.left(l, m.Channel)
			}
			if !pings {
				pings = true
				l.mux.running.Go(l.ping)
			}
		case *redis.Message:
			l.mux.dispatch(l, m.Channel, m.Payload)
		}
	}
}

// resetWatchdog notes that the server has sent something. It returns false if the watchdog has ended
// the link before.
func (l *link) resetWatchdog() bool {
	if !l.watchdog.Stop() {
		return false
	}
	l.watchdog.Reset(maxSilence)
	return true
}

// ping pings the server, so that it sends something even if there are no messages.
func (l *link) ping() {
	tick := time.NewTicker(pingInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			_ = l.pubsub.Ping(l.ctx) // if it fails, nothing comes back, and the watchdog notices
		case <-l.ctx.Done():
			return
		}
	}
}

// subscribe subscribes to one more channel.
func (l *link) subscribe(channel string) {
	select {
	case <-l.connected:
	case <-l.ctx.Done():
		return
	}
	if err := l.send(channel); err != nil {
		l.fail(err)
	}
}

// send sends a SUBSCRIBE. It connects if that has not happened.
func (l *link) send(channel string) error {
	if l.mux.sharded {
		return l.pubsub.SSubscribe(l.ctx, channel)
	}
	return l.pubsub.Subscribe(l.ctx, channel)
}

func (l *link) unsubscribe(channel string) {
	send := l.pubsub.Unsubscribe
	if l.mux.sharded {
		send = l.pubsub.SUnsubscribe
	}
	if err := send(l.ctx, channel); err != nil {
		l.fail(err)
	}
}

// fail ends the link because of err, unless it has ended before, and all its topics.
func (l *link) fail(err error) {
	if err == nil {
		err = errEnded
	}
	m := l.mux
	m.mu.Lock()
	if l.err != nil {
		m.mu.Unlock()
		return
	}
	l.err = err
	if m.links[l.address] == l {
		delete(m.links, l.address)
	}
	var lost []*subscriber
	for _, t := range l.topics {
		lost = append(lost, m.endLocked(t, err)...)
	}
	m.mu.Unlock()
	l.watchdog.Stop()
	l.cancel()
	gap(lost)
}
