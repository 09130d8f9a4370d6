package zodiac

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"github.com/zodiac-go/zodiac/internal/flight"
	"github.com/zodiac-go/zodiac/internal/tier"
)

// Memory in front of a store holds what was read from it or stored in it, until somebody says that it was invalidated.
//
// An invalidation may come between the reading of a record and its being put into memory. So every key belongs to one of
// a number of stripes, each with a counter: who is going to fill memory takes the counter before the command that
// reads is sent, and fills only if it is still the same; who invalidates, moves it first. Both do so under the key's lock of flights.

const (
	nearStripes = 1024
	// withoutNews is how long memory keeps an entry if the store does not announce what other processes invalidate.
	withoutNews = time.Second
	// resubscribe is how long to wait between two tries to subscribe.
	resubscribe = 250 * time.Millisecond
)

// A fillMark is the counter of a stripe as it was; 0 = memory is not to be filled.
type fillMark uint64

// A near is what memory in front of a store has beyond memory alone.
type near struct {
	life    time.Duration // of an entry, at most
	news    Announcer     // nil if the store is none
	remove  func(place any)
	clear   func()
	stripes [nearStripes]atomic.Uint64
	heard   atomic.Bool // what others invalidate is heard; only then memory is used. Changed under mu.
	subs    atomic.Uint64

	mu        sync.Mutex      // guards the fields below
	index     map[keyHash]any // *tier.Key of the cache
	sweepAt   int             // number of keys in the index at which to look for those that memory has nothing for
	tags      map[keyHash]weak.Pointer[tier.Label]
	tagsAt    int // number of tags at which to look for those that no entry has
	listening bool
	closed    bool
	sub, lost uint64 // the subscription that is heard, and the last one that was lost
	stop      func() // ends the subscription
	cancel    context.CancelFunc
}

const firstIndexSweep = 1024

// A keyHash is what announcements call a key: part of its SHA-256.
type keyHash [16]byte

func hashKey(key string) keyHash {
	sum := sha256.Sum256([]byte(key))
	return keyHash(sum[:16])
}

func newNear(life time.Duration, news Announcer) *near {
	n := &near{
		life: life, news: news,
		index: make(map[keyHash]any), sweepAt: firstIndexSweep,
		tags: make(map[keyHash]weak.Pointer[tier.Label]), tagsAt: firstSweep,
	}
	for i := range n.stripes {
		n.stripes[i].Store(1)
	}
	if news == nil {
		n.life = min(life, withoutNews)
		n.heard.Store(true)
	}
	return n
}

func (n *near) stripe(h keyHash) *atomic.Uint64 {
	return &n.stripes[binary.LittleEndian.Uint16(h[:])%nearStripes]
}

// bumpAll is for what invalidates keys nobody lists.
func (n *near) bumpAll() {
	for i := range n.stripes {
		n.stripes[i].Add(1)
	}
}

// inFront makes a near clear what is in memory, and take out of it what a place has.
func (c *engine[K, V]) inFront(n *near) *near {
	n.clear = func() { c.mem.Clear() }
	n.remove = func(place any) {
		p := place.(*tier.Key[K])
		c.flights.Change(*p, p.Hash, func() bool {
			c.remove(p)
			return false
		})
	}
	return n
}

// mark returns the mark of a key for a fill. It is to be taken before the command is sent.
func (c *core) mark(key string) fillMark {
	n := c.near
	if n == nil {
		return 0
	}
	if !n.heard.Load() {
		c.listen()
		return 0
	}
	return fillMark(n.stripe(hashKey(key)).Load())
}

// fill puts a record's entry into memory, unless the key may have been invalidated since it was read.
func (c *engine[K, V]) fill(place *tier.Key[K], key string, e *tier.Entry[K, V], got *found) {
	life := got.record.TTL
	if got.mark == 0 || life <= 0 {
		return
	}
	e.ExpireAt(expiry(got.sent, min(life, c.near.life)))
	c.flights.Change(*place, place.Hash, func() bool {
		c.insert(place, key, e, got.mark, got.epoch)
		return false
	})
}

// insert is the end of fill. The caller holds the key's lock of flights.
func (c *engine[K, V]) insert(place *tier.Key[K], key string, e *tier.Entry[K, V], mark fillMark, epoch uint64) {
	h := hashKey(key)
	noted := *place
	c.near.note(h, &noted, func(p any) bool { return c.mem.Find(p.(*tier.Key[K])) == nil })
	if d := e.Detail(); d != nil {
		c.near.noteTags(c.remote, d.Tags)
	}
	// After the notes: whoever invalidates moves the counters first, and looks for notes then.
	if fillMark(c.near.stripe(h).Load()) != mark || c.tags.epoch.Load() != epoch {
		return
	}
	c.mem.Put(place, e, c.clock.Now())
}

// fillResult puts the result of a flight that was stored into memory, and takes out what it replaces. gone says that the key holds
// nothing now.
func (c *engine[K, V]) fillResult(f *flight.Flight[tier.Key[K], job[K, V]], gone bool) {
	s, r := f.Job.shared, &f.Job.result
	c.flights.Change(f.Key, f.Key.Hash, func() bool {
		if f.Kind == flight.Forced || s.seen != "" { // a read that runs may have seen the old one
			c.near.stripe(hashKey(s.key)).Add(1)
			c.remove(&f.Key)
			if s.mark != 0 {
				s.mark++ // as it is now, unless somebody else moved it too
			}
		}
		if !gone && s.mark != 0 {
			r.entry.ExpireAt(expiry(s.sent, min(r.life, c.near.life)))
			c.insert(&f.Key, s.key, r.entry, s.mark, s.epoch)
		}
		return false
	})
}

// note takes down which place a hash stands for. Those that memory has nothing for are forgotten when the index has doubled.
func (n *near) note(h keyHash, place any, empty func(any) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.index) >= n.sweepAt {
		for h, p := range n.index {
			if empty(p) {
				delete(n.index, h)
			}
		}
		n.sweepAt = max(firstIndexSweep, 2*len(n.index))
	}
	n.index[h] = place
}

// noteTags takes down which tags the hashes of their keys stand for, until no entry has them.
func (n *near) noteTags(r *remote, tags []tier.Tag) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.tags) >= n.tagsAt {
		maps.DeleteFunc(n.tags, func(_ keyHash, l weak.Pointer[tier.Label]) bool { return l.Value() == nil })
		n.tagsAt = max(firstSweep, 2*len(n.tags))
	}
	for _, t := range tags {
		n.tags[hashKey(r.keys.tag(t.Label.Name))] = weak.Make(t.Label)
	}
}

// tag returns the label of a tag, or nil if no entry has it.
func (n *near) tag(h keyHash) *tier.Label {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.tags[h].Value()
}

func (n *near) place(h keyHash) (any, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p, ok := n.index[h]
	return p, ok
}

// drop invalidates a key in this process: its flight is void, what memory has goes, and what was read before does not come back.
func (c *engine[K, V]) drop(place *tier.Key[K], key string) {
	c.flights.Change(*place, place.Hash, func() bool {
		if c.near != nil {
			c.near.stripe(hashKey(key)).Add(1)
		}
		c.remove(place)
		return true
	})
}

// forget drops a key from memory, but leaves its flight: what that brings is as good as what was there.
func (c *engine[K, V]) forget(place *tier.Key[K], key string) {
	if c.near == nil {
		return
	}
	c.flights.Change(*place, place.Hash, func() bool {
		c.near.stripe(hashKey(key)).Add(1)
		c.mem.Delete(place)
		return false
	})
}

// dropTags is drop of all keys that have one of the tags.
func (c *engine[K, V]) dropTags(tags []string) {
	c.tags.delete(tags)
	if c.set.tagsFunc != nil || c.hasTag(tags) {
		c.flights.DiscardAll()
		if c.failures != nil {
			c.failures.Clear()
		}
	}
}

// dropAll is drop of all keys.
func (c *engine[K, V]) dropAll() int {
	if c.near != nil {
		c.near.bumpAll()
	}
	// Void first: what a fetch stored before, goes below; what begins after may stay.
	c.flights.DiscardAll()
	if c.failures != nil {
		c.failures.Clear()
	}
	return c.mem.Clear()
}

// The first letter of an announced key says what it is.
const (
	newsKey = "k"
	newsTag = "t"
)

// announceKeys tells other processes that keys were invalidated.
func (c *core) announceKeys(ctx context.Context, b *budget, keys ...string) error {
	return c.announce(ctx, b, newsKey, keys)
}

func (c *core) announce(ctx context.Context, b *budget, kind string, keys []string) error {
	if c.remote.announcer == nil || len(keys) == 0 {
		return nil
	}
	names := make([]string, len(keys))
	for i, key := range keys {
		h := hashKey(key)
		names[i] = kind + string(h[:])
	}
	return c.tell(ctx, b, Announcement{Keys: names})
}

func (c *core) tell(ctx context.Context, b *budget, a Announcement) error {
	if c.remote.announcer == nil {
		return nil
	}
	_, err := send(ctx, c.remote, b, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, c.remote.announcer.Publish(ctx, a)
	})
	return err
}

// hear is told what this and other processes announce, by a subscription.
func (c *core) hear(sub uint64, a Announcement) {
	if a.Gap {
		c.deaf(sub)
		return
	}
	if own := c.remote.keys.prefix(); a.Prefix != "" && (strings.HasPrefix(own, a.Prefix) || strings.HasPrefix(a.Prefix, own)) {
		c.near.bumpAll()
		c.near.clear()
	}
	for _, key := range a.Keys {
		if len(key) != 1+len(keyHash{}) {
			continue
		}
		switch h := keyHash([]byte(key[1:])); key[:1] {
		case newsKey:
			c.hearKey(h)
		case newsTag:
			c.hearTag(h)
		}
	}
}

// hearKey drops a key from memory. The stripe is moved first: a fill that does not see that has noted the key before.
func (c *core) hearKey(h keyHash) {
	stripe := c.near.stripe(h)
	stripe.Add(1)
	if place, known := c.near.place(h); known {
		c.near.remove(place)
	}
}

// hearTag makes the entries with a tag invalid. As with keys, the epoch moves first.
func (c *core) hearTag(h keyHash) {
	c.tags.epoch.Add(1)
	if l := c.near.tag(h); l != nil {
		c.tags.delete([]string{l.Name})
	}
}

// listen sees to it that what others invalidate is heard, in the background.
func (c *core) listen() {
	n := c.near
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listening || n.closed {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	if n.listening = c.remote.tasks.run(func() { c.subscribe(ctx) }); n.listening {
		n.cancel = cancel
	} else {
		cancel()
	}
}

// subscribe tries until it is heard what others invalidate, or ctx ends.
func (c *core) subscribe(ctx context.Context) {
	n := c.near
	for {
		if stop := n.swapStop(nil); stop != nil {
			stop()
		}
		sub := n.subs.Add(1)
		err := c.trySubscribe(ctx, sub)
		if err == nil && c.up(sub) {
			return
		}
		if err != nil && ctx.Err() == nil {
			c.log(slog.LevelWarn, "zodiac: memory in front of the store is not used, since what other processes invalidate cannot be heard", "error", err)
		}
		if !sleep(resubscribe, nil, ctx.Done()) {
			return
		}
	}
}

func (c *core) trySubscribe(ctx context.Context, sub uint64) error {
	limited, cancel := context.WithTimeout(ctx, c.remote.timeout)
	defer cancel()
	stop, err := c.near.news.Subscribe(limited, func(a Announcement) { c.hear(sub, a) })
	if err == nil {
		c.near.swapStop(stop)
	}
	return err
}

// up begins the use of memory, unless the subscription has been lost again. What was filled and read before may be old.
func (c *core) up(sub uint64) bool {
	n := c.near
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.lost == sub {
		return false
	}
	n.listening = n.closed // for ever
	n.sub = sub
	n.bumpAll()
	c.near.clear()
	n.heard.Store(true)
	return true
}

// deaf ends the use of memory, and tries to hear again.
func (c *core) deaf(sub uint64) {
	n := c.near
	n.mu.Lock()
	n.lost = sub
	lost := n.sub == sub
	if lost {
		n.heard.Store(false)
		n.bumpAll()
		c.near.clear()
	}
	n.mu.Unlock()
	if lost {
		c.listen()
	}
}

func (n *near) swapStop(stop func()) (old func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	old, n.stop = n.stop, stop
	return old
}

// close ends the subscription.
func (n *near) close() {
	n.mu.Lock()
	n.closed = true
	n.heard.Store(false)
	cancel := n.cancel
	n.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

// stopped ends the subscription for good, once nobody subscribes any more.
func (n *near) stopped() {
	if stop := n.swapStop(nil); stop != nil {
		stop()
	}
}
