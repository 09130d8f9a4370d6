package storetest

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/zodiac-go/zodiac/driver"
)

// busRules are about Bus.
var busRules = []rule{
	{
		name:  "InvalidationsReachAllSubscribers",
		needs: bus,
		says: "Subscribe calls fn for every Invalidation that is published after Subscribe " +
			"has returned, and passes it on unchanged.",
		check: func(p *probe) {
			first, second := p.subscribe(), p.subscribe()
			for _, inv := range []driver.Invalidation{
				{Keys: []string{p.key("a"), "\x00 any\ntext %{}"}},
				{Prefix: p.prefix},
				{Keys: []string{p.key("b")}, Prefix: p.key("c")},
			} {
				p.ok("Publish", p.bus().Publish(p.ctx, inv))
				first.want(p, inv)
				second.want(p, inv)
			}
		},
	},
	{
		name:  "InvalidationsOfManyPublishersArrive",
		needs: bus,
		says: "Subscribe calls fn for every Invalidation that is published after Subscribe " +
			"has returned, and passes it on unchanged. One call of fn runs at a time.",
		check: manyPublishers,
	},
	{
		name:  "NoCallAfterStop",
		needs: bus,
		says: "No call of fn runs or begins after stop has returned, and other subscriptions " +
			"go on.",
		check: func(p *probe) {
			first, second := p.subscribe(), p.subscribe()
			first.stop()
			inv := driver.Invalidation{Keys: []string{p.key("k")}}
			p.ok("Publish", p.bus().Publish(p.ctx, inv))
			second.want(p, inv)
			pass(short)
			if received := first.all(); len(received) > 0 {
				p.errorf("fn was called with %+v after stop", received)
			}
		},
	},
	{
		name:  "PublishWithoutSubscribers",
		needs: bus,
		says:  "Publish without subscribers is no error.",
		check: func(p *probe) {
			p.ok("Publish", p.bus().Publish(p.ctx, driver.Invalidation{Keys: []string{p.key("k")}}))
		},
	},
}

func manyPublishers(p *probe) {
	const writers, each = 4, 25
	var running, received atomic.Int32
	stop, err := p.bus().Subscribe(p.ctx, func(inv driver.Invalidation) {
		if running.Add(1) > 1 {
			p.errorf("two calls of fn run at a time")
		}
		runtime.Gosched() // gives another call the chance to overlap
		if len(inv.Keys) == 1 && inv.Keys[0] == p.key("k") {
			received.Add(1)
		}
		running.Add(-1)
	})
	p.ok("Subscribe", err)
	defer stop()
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range each {
				if err := p.bus().Publish(p.ctx, driver.Invalidation{Keys: []string{p.key("k")}}); err != nil {
					p.errorf("Publish: %v", err)
				}
			}
		})
	}
	wg.Wait()
	if !eventually(func() bool { return received.Load() == writers*each }) {
		p.errorf("%d of %d Invalidations arrived", received.Load(), writers*each)
	}
}

// A receiver keeps the Invalidations of this probe. Others may be published on the same server.
type receiver struct {
	prefix   string
	stop     func()
	mu       sync.Mutex // guards received
	received []driver.Invalidation
}

// subscribe returns a receiver whose subscription is stopped when the test ends.
func (p *probe) subscribe() *receiver {
	p.t.Helper()
	r := &receiver{prefix: p.prefix}
	stop, err := p.bus().Subscribe(p.ctx, r.receive)
	p.ok("Subscribe", err)
	r.stop = sync.OnceFunc(stop)
	p.t.Cleanup(r.stop)
	return r
}

func (r *receiver) receive(inv driver.Invalidation) {
	mine := func(s string) bool { return len(s) >= len(r.prefix) && s[:len(r.prefix)] == r.prefix }
	if !mine(inv.Prefix) && !slices.ContainsFunc(inv.Keys, mine) && !inv.Gap {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.received = append(r.received, inv)
}

func (r *receiver) all() []driver.Invalidation {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.received
}

// want waits until an Invalidation equal to inv has been received.
func (r *receiver) want(p *probe, inv driver.Invalidation) {
	p.t.Helper()
	same := func(got driver.Invalidation) bool {
		return slices.Equal(inv.Keys, got.Keys) && inv.Prefix == got.Prefix && !got.Gap
	}
	if !eventually(func() bool { return slices.ContainsFunc(r.all(), same) }) {
		p.errorf("received %+v; want %+v among them", r.all(), inv)
	}
}
