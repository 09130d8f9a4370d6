package remote

import (
	"context"
	"strings"
	"time"

	"github.com/zodiac-go/zodiac/driver"
)

// resubscribeAfter is how long to wait between two attempts to subscribe.
const resubscribeAfter = 250 * time.Millisecond

// A published name is one letter and a keyHash. The letter says what was invalidated.
const (
	keyLetter = "k"
	tagLetter = "t"
)

// publishKeys tells other processes that keys were invalidated.
func (c *Client) publishKeys(ctx context.Context, b *Budget, keys ...string) error {
	return c.publishNames(ctx, b, keyLetter, keys)
}

// publishTags tells other processes that tags were deleted.
func (c *Client) publishTags(ctx context.Context, b *Budget, names []string) error {
	return c.publishNames(ctx, b, tagLetter, c.Names.Tags(names))
}

func (c *Client) publishNames(ctx context.Context, b *Budget, letter string, keys []string) error {
	if c.bus == nil || len(keys) == 0 {
		return nil
	}
	names := make([]string, len(keys))
	for i, key := range keys {
		h := hashKey(key)
		names[i] = letter + string(h[:])
	}
	return c.publish(ctx, b, driver.Invalidation{Keys: names})
}

func (c *Client) publish(ctx context.Context, b *Budget, inv driver.Invalidation) error {
	if c.bus == nil {
		return nil
	}
	return fault("Publish", do(ctx, c, b, noKey, func(ctx context.Context) error { return c.bus.Publish(ctx, inv) }))
}

// receive does what an invalidation says. It is called by the subscription of number sub.
func (c *Client) receive(sub uint64, inv driver.Invalidation) {
	if inv.Gap {
		c.disconnected(sub)
		return
	}
	if own := c.Names.Prefix(); inv.Prefix != "" && (strings.HasPrefix(own, inv.Prefix) || strings.HasPrefix(inv.Prefix, own)) {
		c.near.invalidateAll()
		c.near.memory.Clear()
	}
	for _, name := range inv.Keys {
		if len(name) != 1+len(keyHash{}) {
			continue
		}
		switch h := keyHash([]byte(name[1:])); name[:1] {
		case keyLetter:
			c.receiveKey(h)
		case tagLetter:
			c.receiveTag(h)
		}
	}
}

// receiveKey removes a key from memory. The stripe moves first: a fill that does not see that has
// noted the key's slot before.
func (c *Client) receiveKey(h keyHash) {
	c.near.stripe(h).Add(1)
	if slot, known := c.near.slot(h); known {
		c.near.memory.Remove(slot)
	}
}

// receiveTag invalidates the entries that have a tag. The epoch moves first, as the stripe does in
// receiveKey.
func (c *Client) receiveTag(h keyHash) {
	c.Space.Advance()
	if l := c.near.label(h); l != nil {
		c.Space.Delete(l.Name)
	}
}

// subscribe begins to subscribe in the background, unless that has begun.
func (c *Client) subscribe() {
	n := c.near
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.subscribing || n.closed {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	if n.subscribing = c.tasks.run(func() { c.keepSubscribing(ctx) }); n.subscribing {
		n.cancel = cancel
	} else {
		cancel()
	}
}

// keepSubscribing tries to subscribe until it succeeds or ctx ends.
func (c *Client) keepSubscribing(ctx context.Context) {
	n := c.near
	defer func() {
		if ctx.Err() != nil { // Close may not have waited for what this has brought
			n.unsubscribe()
		}
	}()
	for {
		n.unsubscribe()
		sub := n.subs.Add(1)
		err := c.trySubscribe(ctx, sub)
		if err == nil && c.connected(sub) {
			return
		}
		if err != nil && ctx.Err() == nil {
			c.LogFault("zodiac: memory in front of the store is not used, since invalidations by other processes are not received", fault("Subscribe", err))
		}
		if !sleep(resubscribeAfter, nil, ctx.Done()) {
			return
		}
	}
}

func (c *Client) trySubscribe(ctx context.Context, sub uint64) error {
	limited, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	stop, err := guarded(limited, func(ctx context.Context) (func(), error) {
		return c.bus.Subscribe(ctx, func(inv driver.Invalidation) { c.receive(sub, inv) })
	})
	if err == nil {
		c.near.swapStop(stop)
	}
	return err
}

// connected begins the use of memory, unless the subscription has been lost again. Everything that
// was put there or read before may be out of date: invalidations were not received.
func (c *Client) connected(sub uint64) bool {
	n := c.near
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.lost == sub {
		return false
	}
	n.sub = sub
	n.invalidateAll()
	n.mu.Unlock()
	n.memory.Clear() // waits for fills, which take the lock
	n.mu.Lock()
	if n.lost == sub {
		return false
	}
	n.subscribing = n.closed // once closed, for good
	n.connected.Store(!n.closed)
	return true
}

// disconnected ends the use of memory when a subscription is lost, and subscribes again.
func (c *Client) disconnected(sub uint64) {
	n := c.near
	n.mu.Lock()
	n.lost = sub
	lost := n.sub == sub
	if lost {
		n.connected.Store(false)
		n.invalidateAll()
	}
	n.mu.Unlock()
	if lost {
		n.memory.Clear() // waits for fills, which take the lock
		c.subscribe()
	}
}

// swapStop sets the function that ends the subscription and returns the former one.
func (n *near) swapStop(stop func()) (old func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	old, n.stop = n.stop, stop
	return old
}

// close ends the use of memory and the attempts to subscribe.
func (n *near) close() {
	n.mu.Lock()
	n.closed = true
	n.connected.Store(false)
	cancel := n.cancel
	n.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

// unsubscribe ends the subscription, if there is one.
func (n *near) unsubscribe() {
	if stop := n.swapStop(nil); stop != nil {
		stop()
	}
}
