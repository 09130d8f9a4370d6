package zodiac

import (
	"context"
	"fmt"
	"hash/maphash"
	"reflect"
	"sync"
)

// connect makes ready what a cache over a store has beyond one in memory. It sends nothing.
func (c *engine[K, V]) connect() {
	f := &c.set.far
	r := &remote{
		store: f.store, guard: f.guard, codec: f.codec, keys: f.keys(),
		lease: f.lease, wait: f.wait, fail: f.fail, timeout: f.timeout, closed: f.failClosed, maxBytes: f.maxBytes,
	}
	r.leaser, _ = f.store.(Leaser)
	r.batch, _ = f.store.(Batcher)
	r.waker, _ = f.store.(Waker)
	r.announcer, _ = f.store.(Announcer)
	if f.memory == 0 && c.set.validIf == nil && !c.set.life.sliding {
		r.data, _ = f.store.(DataReader)
	}
	r.reads.init()
	r.breaker.init(func(report func(error)) { r.probe(report) }, c.skipped)
	c.remote = r
	c.flat = isFlat(reflect.TypeFor[V]())
	if f.memory != 0 {
		c.near = c.inFront(newNear(f.memory, r.announcer))
	}
}

func (f *farConfig) keys() storeKeys { return newStoreKeys("", f.name, f.version, f.versioned) }

// probe asks the store for something small.
func (r *remote) probe(report func(error)) {
	if !r.tasks.run(func() {
		ctx, cancel := context.WithTimeout(context.Background(), r.timeout)
		defer cancel()
		_, err := r.store.Get(ctx, r.keys.epoch())
		report(err)
	}) {
		report(context.Canceled)
	}
}

func (r *reads) init() {
	r.seed = maphash.MakeSeed()
	for i := range r.shards {
		r.shards[i].next = make(map[string]*sharedRead)
	}
}

// disconnect ends what connect has made, once the flights are over.
func (c *engine[K, V]) disconnect(ctx context.Context) error {
	if c.near != nil {
		c.near.close()
	}
	err := c.remote.tasks.close(ctx)
	if c.near != nil {
		c.near.stopped()
	}
	c.remote.limits.stop()
	taken.release(c.set.far.store, c.remote.keys.prefix())
	return err
}

// taken are the names of open loaders over each store: two of one name would serve each other's values.
var taken = names{held: make(map[heldName]bool)}

type names struct {
	mu   sync.Mutex // guards the field below
	held map[heldName]bool
}

type heldName struct {
	store  Store
	prefix string
}

func (n *names) take(s Store, prefix string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.held[heldName{s, prefix}] {
		return fmt.Errorf("another open loader has the keys %s… in this store; give each a WithName of its own, or close that one", prefix)
	}
	n.held[heldName{s, prefix}] = true
	return nil
}

func (n *names) release(s Store, prefix string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.held, heldName{s, prefix})
}
