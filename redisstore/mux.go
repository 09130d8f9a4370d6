package redisstore

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/bus"
)

const (
	idleTime  = time.Second // how long a channel stays subscribed after its last waiter or subscriber
	retryTime = time.Second // between the loss of a channel that has waiters and the next attempt
)

var errEnded = errors.New("redisstore: the subscription has ended")

// A mux shares subscriptions among all callers that wait for a lease and all subscribers to
// invalidations. A channel is subscribed while somebody needs it, and a second longer. All channels
// of one server share a connection: see link. So a process receives only what it needs: wake-ups of
// keys that it waits for, and invalidations if it has memory.
type mux struct {
	sharded bool // channels are sharded, since the server is a Cluster

	// server returns the options of a client of the server that has a channel. It may block.
	server func(ctx context.Context, channel string) (*redis.Options, error)

	ctx    context.Context // ends with close
	cancel context.CancelFunc

	mu      sync.Mutex                        // guards the fields below, and those of links and topics
	waiters map[string]map[chan struct{}]bool // by key, which is the channel; no inner map is empty
	topics  map[string]*topic                 // by channel
	links   map[string]*link                  // by the server's address
	closed  bool

	running sync.WaitGroup // of the goroutines of links and topics
}

// A topic is one subscription to one channel, from its first command until it is lost or no longer
// needed.
type topic struct {
	channel     string
	link        *link // nil until the server is known
	subscribers map[*subscriber]bool
	pending     int           // calls of addSubscriber that wait for ready
	ready       chan struct{} // closed when the server has confirmed the topic, or when it has ended
	confirmed   bool
	err         error       // why it has ended
	idle        *time.Timer // ends it if nobody needs it; nil while somebody does
}

// A subscriber is a function that receives invalidations.
type subscriber struct {
	mu   sync.Mutex // held while fn runs, and guards the field below
	fn   func(driver.Invalidation)
	done bool // fn has had its last call
}

// receive calls fn, unless fn has had its last call. A Gap is the last call.
func (b *subscriber) receive(inv driver.Invalidation) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.done {
		b.done = inv.Gap
		b.fn(inv)
	}
}

// stop waits for a call of fn that runs, and prevents later calls.
func (b *subscriber) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done = true
}

// init makes the mux ready.
func (m *mux) init(sharded bool, server func(context.Context, string) (*redis.Options, error)) {
	m.sharded, m.server = sharded, server
	m.ctx, m.cancel = context.WithCancel(context.Background())
	m.waiters, m.topics, m.links = map[string]map[chan struct{}]bool{}, map[string]*topic{}, map[string]*link{}
}

// addWaiter returns a channel that receives the wake-ups for key, and a function that removes it.
func (m *mux) addWaiter(key string) (<-chan struct{}, func()) {
	woken := make(chan struct{}, 1)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return woken, func() {}
	}
	if m.waiters[key] == nil {
		m.waiters[key] = map[chan struct{}]bool{}
	}
	m.waiters[key][woken] = true
	m.topicLocked(key)
	return woken, func() { m.removeWaiter(key, woken) }
}

func (m *mux) removeWaiter(key string, woken chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.waiters[key], woken)
	if len(m.waiters[key]) == 0 {
		delete(m.waiters, key)
	}
	if t := m.topics[key]; t != nil {
		m.endIfUnusedLocked(t)
	}
}

// addSubscriber waits until the server has confirmed the channel, and then adds a subscriber. stop
// removes it.
func (m *mux) addSubscriber(ctx context.Context, channel string, fn func(driver.Invalidation)) (stop func(), err error) {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return nil, errClosed
	}
	t := m.topicLocked(channel)
	t.pending++
	m.mu.Unlock()
	select {
	case <-t.ready:
	case <-ctx.Done():
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	t.pending--
	defer m.endIfUnusedLocked(t)
	switch {
	case t.err != nil:
		return nil, explain(t.err)
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	b := &subscriber{fn: fn}
	t.subscribers[b] = true
	return func() { m.removeSubscriber(t, b) }, nil
}

func (m *mux) removeSubscriber(t *topic, b *subscriber) {
	b.stop()
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(t.subscribers, b)
	m.endIfUnusedLocked(t)
}

// topicLocked returns the topic of a channel, and starts one if there is none.
func (m *mux) topicLocked(channel string) *topic {
	t := m.topics[channel]
	if t == nil {
		t = &topic{channel: channel, subscribers: map[*subscriber]bool{}, ready: make(chan struct{})}
		m.topics[channel] = t
		m.running.Go(func() { m.place(t) })
	}
	if t.idle != nil {
		t.idle.Stop()
		t.idle = nil
	}
	return t
}

// place finds the server of a topic and subscribes there. If there is no link to the server, place
// makes one, and returns when that has ended.
func (m *mux) place(t *topic) {
	ctx, cancel := context.WithTimeout(m.ctx, confirmTimeout)
	defer cancel()
	options, err := m.server(ctx, t.channel)
	m.mu.Lock()
	if t.err != nil {
		m.mu.Unlock()
		return
	}
	if err != nil {
		lost := m.endLocked(t, err)
		m.mu.Unlock()
		gap(lost)
		return
	}
	l := m.links[options.Addr]
	first := l == nil
	if first {
		l = newLink(m, options)
		m.links[options.Addr] = l
	}
	t.link = l
	l.topics[t.channel] = t
	l.requested[t.channel]++
	m.mu.Unlock()
	if first {
		l.run(t.channel)
	} else {
		l.subscribe(t.channel)
	}
}

// usedLocked reports whether anyone needs a topic.
func (m *mux) usedLocked(t *topic) bool {
	return len(m.waiters[t.channel])+len(t.subscribers)+t.pending > 0
}

// endIfUnusedLocked makes a topic end after idleTime if nobody needs it. A caller that comes before
// keeps it.
func (m *mux) endIfUnusedLocked(t *topic) {
	if t.err == nil && t.idle == nil && !m.usedLocked(t) {
		t.idle = time.AfterFunc(idleTime, func() { m.endIdle(t) })
	}
}

// endIdle ends a topic that nobody has needed for idleTime, and the link with its last topic.
func (m *mux) endIdle(t *topic) {
	m.mu.Lock()
	if t.err != nil || t.idle == nil || m.usedLocked(t) {
		m.mu.Unlock()
		return
	}
	l := t.link
	m.endLocked(t, context.Canceled)
	if l == nil {
		m.mu.Unlock()
		return
	}
	if len(l.topics) > 0 {
		l.leaving[t.channel]++
		m.mu.Unlock()
		l.unsubscribe(t.channel)
		return
	}
	m.mu.Unlock()
	l.fail(context.Canceled)
}

// endLocked ends a topic because of err and wakes those who wait for its key, since wake-ups may be
// lost. For those that go on waiting the channel is subscribed again after retryTime. It returns the
// subscribers: the caller gives them a Gap after it has unlocked mu.
func (m *mux) endLocked(t *topic, err error) (lost []*subscriber) {
	if t.err != nil {
		return nil
	}
	t.err = err
	if !t.confirmed {
		close(t.ready)
	}
	if t.idle != nil {
		t.idle.Stop()
	}
	delete(m.topics, t.channel)
	if t.link != nil {
		delete(t.link.topics, t.channel)
	}
	m.wakeLocked(t.channel)
	if len(m.waiters[t.channel]) > 0 && !m.closed {
		time.AfterFunc(retryTime, func() { m.retry(t.channel) })
	}
	for b := range t.subscribers {
		lost = append(lost, b)
	}
	return lost
}

// retry subscribes a channel again if somebody still waits for its key.
func (m *mux) retry(channel string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.waiters[channel]) > 0 && !m.closed {
		m.topicLocked(channel)
	}
}

// gap gives subscribers a Gap. The mux is not locked, since they are called.
func gap(lost []*subscriber) {
	for _, b := range lost {
		b.receive(driver.Invalidation{Gap: true})
	}
}

// confirm notes that the server of l has confirmed a channel. A lease may have ended between a
// waiter's registration and now.
func (m *mux) confirm(l *link, channel string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l.requested[channel]--
	if l.requested[channel] > 0 { // this is for a former topic of the channel
		return
	}
	delete(l.requested, channel)
	if t := l.topics[channel]; t != nil && !t.confirmed {
		t.confirmed = true
		close(t.ready)
		m.wakeLocked(channel)
	}
}

// left notes that the server of l no longer sends what is published on a channel. If nobody has
// asked for that, the channel's slot has moved to another server, and messages may be lost.
func (m *mux) left(l *link, channel string) {
	m.mu.Lock()
	if l.leaving[channel]--; l.leaving[channel] >= 0 {
		if l.leaving[channel] == 0 {
			delete(l.leaving, channel)
		}
		m.mu.Unlock()
		return
	}
	delete(l.leaving, channel)
	var lost []*subscriber
	if t := l.topics[channel]; t != nil {
		lost = m.endLocked(t, errEnded)
	}
	m.mu.Unlock()
	gap(lost)
}

// dispatch passes a message on. Subscribers are told of one that zodiac does not write. For those who
// wait for a key, any message on the key's channel is a wake-up.
func (m *mux) dispatch(l *link, channel, message string) {
	m.mu.Lock()
	m.wakeLocked(channel)
	var all []*subscriber
	if t := l.topics[channel]; t != nil {
		for b := range t.subscribers {
			all = append(all, b)
		}
	}
	m.mu.Unlock()
	if len(all) == 0 {
		return
	}
	deliver := func(inv driver.Invalidation) {
		for _, b := range all {
			b.receive(inv)
		}
	}
	if !bus.ParseMessage(message, deliver) {
		deliver(driver.Invalidation{Malformed: true})
	}
}

func (m *mux) wakeLocked(key string) {
	for woken := range m.waiters[key] {
		select {
		case woken <- struct{}{}:
		default: // the waiter has not yet received the wake-up before this one
		}
	}
}

// close ends all topics and links, and returns when their goroutines have ended.
func (m *mux) close() {
	m.mu.Lock()
	m.closed = true
	var links []*link
	for _, l := range m.links {
		links = append(links, l)
	}
	var lost []*subscriber
	for _, t := range m.topics {
		if t.link == nil {
			lost = append(lost, m.endLocked(t, errClosed)...)
		}
	}
	m.mu.Unlock()
	gap(lost)
	for _, l := range links {
		l.fail(errClosed)
	}
	m.cancel()
	m.running.Wait()
}
