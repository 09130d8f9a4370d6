package remote

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/sony/gobreaker/v2"

	"github.com/zodiac-go/zodiac/driver"
)

// A backend is what all Clients over one store share in this process. It is made for the first of
// them and forgotten with the last.
type backend struct {
	store    driver.Store
	sharder  driver.Sharder  // nil: the store is one shard
	prefixes map[string]bool // of the keys of open Clients; guarded by backends.mu

	failing atomic.Int32 // the number of breakers; while it is 0, the breakers cost this one load

	mu      sync.Mutex          // guards the fields below
	shards  map[string]*breaker // of shards that have had a fault since their last success
	clients map[*Client]bool    // the open ones
	hub     *hub                // nil if no Client is open, or if the store is not a Bus
}

// backends are the stores that Clients of this process use.
var backends = struct {
	mu sync.Mutex // guards the field below
	of map[driver.Store]*backend
}{of: make(map[driver.Store]*backend)}

// Reserve takes the keys that begin with prefix for one Client over a store, until the Client is
// closed. It returns false if an open Client has them: two Clients of one prefix would serve each
// other's values. The store's type is comparable.
func Reserve(store driver.Store, prefix string) bool {
	backends.mu.Lock()
	defer backends.mu.Unlock()
	b := backends.of[store]
	if b == nil {
		b = newBackend(store)
		backends.of[store] = b
	}
	if b.prefixes[prefix] {
		return false
	}
	b.prefixes[prefix] = true
	return true
}

// backendOf returns the backend of a store in which a prefix was reserved. In a store without, it
// returns one that is not shared.
func backendOf(store driver.Store) *backend {
	backends.mu.Lock()
	defer backends.mu.Unlock()
	if b := backends.of[store]; b != nil {
		return b
	}
	return newBackend(store)
}

func newBackend(store driver.Store) *backend {
	b := &backend{
		store: store, prefixes: make(map[string]bool),
		shards: make(map[string]*breaker), clients: make(map[*Client]bool),
	}
	b.sharder, _ = store.(driver.Sharder)
	return b
}

// join makes a Client one that is told of changes.
func (b *backend) join(c *Client) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.clients[c] = true
}

// leave ends that.
func (b *backend) leave(c *Client) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.clients, c)
}

// joinHub adds a Client to the hub, which is made for the first one.
func (b *backend) joinHub(c *Client) *hub {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.hub == nil {
		b.hub = newHub(b.store.(driver.Bus))
	}
	b.hub.add(c)
	return b.hub
}

// leaveHub removes a Client from its hub, and closes that with the last one.
func (b *backend) leaveHub(ctx context.Context, c *Client) error {
	b.mu.Lock()
	last := c.hub.remove(c)
	if last && b.hub == c.hub {
		b.hub = nil
	}
	b.mu.Unlock()
	if !last {
		return nil
	}
	return c.hub.close(ctx)
}

// release gives back a prefix.
func (b *backend) release(prefix string) {
	backends.mu.Lock()
	defer backends.mu.Unlock()
	delete(b.prefixes, prefix)
	if len(b.prefixes) == 0 && backends.of[b.store] == b {
		delete(backends.of, b.store)
	}
}

// shard returns the name of the shard that has a key. A command about no key is about a shard of its
// own, if the store has several.
func (b *backend) shard(key string) (name string) {
	if b.sharder == nil || key == noKey {
		return ""
	}
	defer func() { _ = recover() }() // a store that panics here has one shard
	return b.sharder.Shard(key)
}

// breaker returns the breaker of a key's shard, or nil if the shard is well.
func (b *backend) breaker(key string) *breaker {
	shard := b.shard(key)
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.shards[shard]
}

// isOpen reports whether the breaker of a key's shard is open.
func (b *backend) isOpen(key string) bool {
	s := b.breaker(key)
	return s != nil && s.cb.State() != gobreaker.StateClosed
}

// breakers returns the breakers of all shards that are not well.
func (b *backend) breakers() []*breaker {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Collect(maps.Values(b.shards))
}

// addBreaker is breaker for a shard that has just had a fault.
func (b *backend) addBreaker(key string) *breaker {
	shard := b.shard(key)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.shards[shard] == nil {
		b.shards[shard] = newBreaker(shard, func(open bool) { b.changed(shard, open) })
		b.failing.Add(1)
	}
	return b.shards[shard]
}

// removeBreaker removes the breaker of a shard that is well.
func (b *backend) removeBreaker(old *breaker) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.shards[old.shard] == old {
		delete(b.shards, old.shard)
		b.failing.Add(-1)
	}
}

// changed logs that a shard is no longer used, or used again. It is called under the lock of the
// shard's breaker, which is why no method calls a breaker under mu.
func (b *backend) changed(shard string, open bool) {
	level, msg := slog.LevelInfo, "zodiac: store answers again; using it"
	if open {
		level, msg = slog.LevelError, "zodiac: store keeps failing; not using it for now, probing in the background"
	}
	var args []any
	if shard != "" {
		args = []any{"shard", shard}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.clients {
		c.Log(level, msg, args...)
	}
}
