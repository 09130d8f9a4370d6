package remote

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/bus"
)

// resubscribeAfter is how long to wait between two attempts to subscribe.
const resubscribeAfter = 250 * time.Millisecond

// A hub is what all Clients over one store have in common of its Bus: they publish as one publisher,
// and share a subscription to each partition. It is made for the first of them, and closed with the
// last.
type hub struct {
	parts []*part
	tasks tasks

	mu      sync.Mutex                // guards writes of the field below
	clients atomic.Pointer[[]*Client] // all that publish or receive

	lag       bus.Lag
	gaps      atomic.Uint64
	malformed atomic.Uint64
}

// A part is what a hub has of a partition.
type part struct {
	hub       *hub
	index     int
	publisher *bus.Publisher
	subscribe func(context.Context, func(driver.Invalidation)) (func(), error)

	// connected says that invalidations are received. Memory is used only then. It changes under
	// mu.
	connected atomic.Bool
	subs      atomic.Uint64 // subscriptions so far: each has a number

	mu          sync.Mutex // guards the fields below
	numbers     bus.Numbers
	subscribing bool
	closed      bool
	sub, lost   uint64 // the subscription in use, and the last one that was lost
	stop        func() // ends the subscription
	cancel      func() // ends the attempts to subscribe
}

func newHub(b driver.Bus) *hub {
	h := &hub{}
	h.clients.Store(&[]*Client{})
	h.parts = []*part{{hub: h, publisher: bus.NewPublisher(rand.Uint64()|1, b.Publish), subscribe: b.Subscribe}}
	return h
}

// part returns the partition that carries what is said about a key. All keys of a stripe are in one
// partition.
func (h *hub) part(k keyHash) *part { return h.parts[k.stripe()%len(h.parts)] }

// add adds a Client before it takes a FillToken, and so before its memory has anything.
func (h *hub) add(c *Client) {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := append(slices.Clone(*h.clients.Load()), c)
	h.clients.Store(&all)
}

// remove removes a Client, and returns whether it was the last one.
func (h *hub) remove(c *Client) (last bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := slices.DeleteFunc(slices.Clone(*h.clients.Load()), func(other *Client) bool { return other == c })
	h.clients.Store(&all)
	return len(all) == 0
}

// near calls f for each Client that has memory.
func (h *hub) near(f func(*Client)) {
	for _, c := range *h.clients.Load() {
		if c.near != nil {
			f(c)
		}
	}
}

// close ends the subscriptions and what is under way. If ctx ends before, close returns its error
// and does not wait.
func (h *hub) close(ctx context.Context) error {
	for _, p := range h.parts {
		p.close()
	}
	err := h.tasks.close(ctx)
	for _, p := range h.parts {
		p.unsubscribe()
		if closeErr := p.publisher.Close(ctx); err == nil {
			err = closeErr
		}
	}
	return err
}

// publish publishes names, which go to the partitions of their hashes, or to all if they are about
// keys of any. It returns when all messages were accepted.
func (h *hub) publish(ctx context.Context, names [][]string, prefix string) error {
	waits := make([]func(context.Context) error, 0, 1)
	for i, p := range h.parts {
		if len(names[i]) > 0 || prefix != "" {
			waits = append(waits, p.publisher.Begin(ctx, names[i], prefix))
		}
	}
	var first error
	for _, wait := range waits {
		if err := wait(ctx); first == nil {
			first = err
		}
	}
	return first
}

// receive does what an invalidation says. It is called by the subscription of number sub.
func (p *part) receive(sub uint64, inv driver.Invalidation) {
	switch {
	case inv.Gap:
		p.disconnected(sub)
	case inv.Malformed:
		p.hub.malformed.Add(1)
	default:
		if p.missed(sub, &inv) {
			p.hub.gaps.Add(1)
			p.hub.near(func(c *Client) { c.invalidatePart(p) })
		}
		if !p.hub.dispatch(&inv) {
			p.hub.malformed.Add(1)
		}
	}
}

// missed notes the number and the time of a message. It returns true if messages are missing: then
// nobody knows which keys they have named. Before the subscription is in use nothing can be missed,
// since memory is empty.
func (p *part) missed(sub uint64, inv *driver.Invalidation) bool {
	if inv.Publisher == 0 || inv.Number == 0 {
		return false
	}
	now := time.Now()
	if !inv.Sent.IsZero() {
		p.hub.lag.Add(now.Sub(inv.Sent))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sub == sub && p.numbers.Check(inv, now)
}

// dispatch gives each name to the Clients that it concerns. It returns false if some are not what
// zodiac writes.
func (h *hub) dispatch(inv *driver.Invalidation) (wellFormed bool) {
	clients := *h.clients.Load()
	if inv.Prefix != "" {
		h.near(func(c *Client) { c.receivePrefix(inv.Prefix) })
	}
	wellFormed = true
	for _, text := range inv.Keys {
		n, ok := parseName(text)
		if !ok {
			wellFormed = false
			continue
		}
		for _, c := range clients {
			if c.near != nil {
				c.receiveName(n)
			}
		}
	}
	return wellFormed
}

// begin begins to subscribe in the background, unless that has begun.
func (p *part) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.subscribing || p.closed {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	if p.subscribing = p.hub.tasks.run(func() { p.keepSubscribing(ctx) }); p.subscribing {
		p.cancel = cancel
	} else {
		cancel()
	}
}

// keepSubscribing tries to subscribe until it succeeds or ctx ends.
func (p *part) keepSubscribing(ctx context.Context) {
	defer func() {
		if ctx.Err() != nil { // close may not have waited for what this has brought
			p.unsubscribe()
		}
	}()
	for {
		p.unsubscribe()
		sub := p.subs.Add(1)
		err := p.trySubscribe(ctx, sub)
		if err == nil && p.connect(sub) {
			return
		}
		if err != nil && ctx.Err() == nil {
			p.hub.near(func(c *Client) {
				c.LogFault("zodiac: memory in front of the store is not used, since invalidations by other "+
					"processes are not received", fault("Subscribe", err))
			})
		}
		if !sleep(resubscribeAfter, nil, ctx.Done()) {
			return
		}
	}
}

func (p *part) trySubscribe(ctx context.Context, sub uint64) error {
	var timeout time.Duration
	p.hub.near(func(c *Client) { timeout = max(timeout, c.Timeout) })
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	stop, err := guarded(limited, func(ctx context.Context) (func(), error) {
		return p.subscribe(ctx, func(inv driver.Invalidation) { p.receive(sub, inv) })
	})
	if err == nil {
		p.swapStop(stop)
	}
	return err
}

// connect begins the use of memory, unless the subscription has been lost again. Everything that was
// put there or read before may be out of date: invalidations were not received.
func (p *part) connect(sub uint64) bool {
	p.mu.Lock()
	if p.lost == sub {
		p.mu.Unlock()
		return false
	}
	p.sub = sub
	p.numbers.Begin(time.Now())
	p.mu.Unlock()
	p.hub.near(func(c *Client) { c.invalidatePart(p) }) // waits for fills
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lost == sub {
		return false
	}
	p.subscribing = p.closed // once closed, for good
	p.connected.Store(!p.closed)
	return true
}

// disconnected ends the use of memory when a subscription is lost, and subscribes again.
func (p *part) disconnected(sub uint64) {
	p.mu.Lock()
	p.lost = sub
	lost := p.sub == sub
	if lost {
		p.connected.Store(false)
	}
	p.mu.Unlock()
	if lost {
		p.hub.gaps.Add(1)
		p.hub.near(func(c *Client) { c.invalidatePart(p) }) // waits for fills
		p.begin()
	}
}

// swapStop sets the function that ends the subscription and returns the former one.
func (p *part) swapStop(stop func()) (old func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	old, p.stop = p.stop, stop
	return old
}

// close ends the use of memory and the attempts to subscribe.
func (p *part) close() {
	p.mu.Lock()
	p.closed = true
	p.connected.Store(false)
	cancel := p.cancel
	p.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

// unsubscribe ends the subscription, if there is one.
func (p *part) unsubscribe() {
	if stop := p.swapStop(nil); stop != nil {
		stop()
	}
}
