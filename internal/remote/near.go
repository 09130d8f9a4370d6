package remote

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"github.com/zodiac-go/zodiac/internal/keytext"
	"github.com/zodiac-go/zodiac/internal/tier"
)

// Memory in front of a store holds what was read from the store or committed to it, until an
// invalidation is received.
//
// An invalidation may come between the reading of a record and its insertion into memory. So every
// key belongs to one of many stripes, each with a counter. A reader takes a FillToken, which has
// the counter, before its command is sent. It fills memory only if the counter is still the same.
// An invalidation moves the counter before it removes anything. A fill compares the counter and puts
// the value into memory under the flights' lock of the key, and an invalidation removes under it. So
// a fill either sees the counter moved, or is over before the removal.

const (
	nearStripes = 1024

	// lifeWithoutBus is how long memory keeps an entry in front of a store without a Bus.
	lifeWithoutBus = time.Second
)

// A FillToken permits to put a value into memory if it was read by a command that was sent after
// the token was taken. It permits nothing once the key has been invalidated. The zero FillToken permits
// nothing.
type FillToken struct {
	stripe uint64 // the stripe's counter, never 0
	epoch  uint64 // of the tags in this process
}

// Moved returns the token as it is after the holder itself has called Invalidate once.
func (t FillToken) Moved() FillToken {
	if t.stripe != 0 {
		t.stripe++
	}
	return t
}

// near is the index of what memory in front of the store holds.
type near struct {
	memory  *Memory
	life    time.Duration // of an entry, at most
	stripes [nearStripes]atomic.Uint64
	closed  atomic.Bool // memory is used no more

	mu         sync.Mutex // guards the fields below
	slots      map[keyHash]any
	sweepSlots int // the size of slots at which those that memory has nothing for are removed
	tags       map[keyHash]weak.Pointer[tier.Label]
	sweepTags  int // likewise those that no entry has
}

const (
	firstSlotSweep = 1024
	firstTagSweep  = 64
)

// A keyHash stands for a key of the store in messages: a part of its SHA-256.
type keyHash [16]byte

func hashKey(key string) keyHash {
	sum := sha256.Sum256([]byte(key))
	return keyHash(sum[:16])
}

func newNear(memory *Memory, life time.Duration, bus bool) *near {
	n := &near{
		memory: memory, life: life,
		slots: make(map[keyHash]any), sweepSlots: firstSlotSweep,
		tags: make(map[keyHash]weak.Pointer[tier.Label]), sweepTags: firstTagSweep,
	}
	for i := range n.stripes {
		n.stripes[i].Store(1)
	}
	if !bus {
		n.life = min(life, lifeWithoutBus)
	}
	return n
}

// stripe returns the index of the key's stripe.
func (h *keyHash) stripe() int { return int(binary.LittleEndian.Uint16(h[:]) % nearStripes) }

func (n *near) stripe(h keyHash) *atomic.Uint64 { return &n.stripes[h.stripe()] }

// invalidateAll moves the counters of all stripes: any key may have been invalidated.
func (n *near) invalidateAll() {
	for i := range n.stripes {
		n.stripes[i].Add(1)
	}
}

// HasMemory reports whether there is memory in front of the store.
func (c *Client) HasMemory() bool { return c.near != nil }

// NearLife returns how long an entry may stay in memory whose record lives for life.
func (c *Client) NearLife(life time.Duration) time.Duration { return min(life, c.near.life) }

// FillToken returns a token for a value of key that is read from now on. It is zero if there is no
// memory in front of the store, or if invalidations are not received; then it begins to subscribe.
func (c *Client) FillToken(key string) FillToken {
	n := c.near
	if n == nil || n.closed.Load() {
		return FillToken{}
	}
	h := hashKey(key)
	if c.hub != nil {
		if p := c.hub.part(h); !p.connected.Load() {
			p.begin()
			return FillToken{}
		}
	}
	return FillToken{n.stripe(h).Load(), c.Space.Epoch()}
}

// Fill calls put, which puts a value of key into memory, if token, which was taken before the value
// was read, still permits it. From then on messages about key find slot, and messages about tags
// the labels. The caller holds the flights' lock of the key.
//
// put runs under mu. Without that, a sweep by the fill of another key could forget the slot before
// memory has the value, and an invalidation would not find the value.
func (c *Client) Fill(key string, token FillToken, slot any, tags []tier.Tag, put func()) {
	n, h := c.near, hashKey(key)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.noteSlotLocked(h, slot)
	if len(tags) > 0 {
		n.noteTagsLocked(&c.Names, tags)
	}
	// After the notes: an invalidation moves the counters first, and looks for notes then.
	if token.stripe != 0 && n.stripe(h).Load() == token.stripe && c.Space.Epoch() == token.epoch {
		put()
	}
}

// Invalidate revokes the FillTokens of key in this process. The caller holds the flights' lock of the
// key, and removes afterwards what memory has.
func (c *Client) Invalidate(key string) {
	if c.near != nil {
		c.near.stripe(hashKey(key)).Add(1)
	}
}

// InvalidateAll revokes all FillTokens in this process.
func (c *Client) InvalidateAll() {
	if c.near != nil {
		c.near.invalidateAll()
	}
}

// noteSlotLocked notes the key's slot in memory. The caller holds mu.
func (n *near) noteSlotLocked(h keyHash, slot any) {
	if len(n.slots) >= n.sweepSlots {
		maps.DeleteFunc(n.slots, func(_ keyHash, p any) bool { return n.memory.Empty(p) })
		n.sweepSlots = max(firstSlotSweep, 2*len(n.slots))
	}
	n.slots[h] = slot
}

// noteTagsLocked notes the labels of tags, for as long as entries have them. The caller holds mu.
func (n *near) noteTagsLocked(names *keytext.Names, tags []tier.Tag) {
	if len(n.tags) >= n.sweepTags {
		maps.DeleteFunc(n.tags, func(_ keyHash, l weak.Pointer[tier.Label]) bool { return l.Value() == nil })
		n.sweepTags = max(firstTagSweep, 2*len(n.tags))
	}
	for _, t := range tags {
		n.tags[hashKey(names.Tag(t.Label.Name))] = weak.Make(t.Label)
	}
}

// label returns the label of a tag, or nil if no entry has the tag.
func (n *near) label(h keyHash) *tier.Label {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.tags[h].Value()
}

// slot returns the slot of a key.
func (n *near) slot(h keyHash) (any, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p, ok := n.slots[h]
	return p, ok
}

// slotsOf returns the slots of the keys in a partition.
func (n *near) slotsOf(p *part) (slots []any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for h, slot := range n.slots {
		if p.hub.part(h) == p {
			slots = append(slots, slot)
		}
	}
	return slots
}
