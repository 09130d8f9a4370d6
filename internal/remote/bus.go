package remote

import (
	"context"
	"crypto/sha256"
	"strings"
	"time"
)

// A published name is a letter, which says what was invalidated, a spaceHash and a keyHash.
const (
	keyLetter = 'k'
	tagLetter = 't'

	nameSize = 1 + len(spaceHash{}) + len(keyHash{})
)

// A spaceHash stands for the prefix of a loader's keys, so that others need not look for a key. It is
// zero in the name of a tag, which several loaders may have.
type spaceHash [4]byte

func hashSpace(prefix string) spaceHash {
	sum := sha256.Sum256([]byte(prefix))
	return spaceHash(sum[:4])
}

// A name is what a published name says.
type name struct {
	letter byte
	space  spaceHash
	hash   keyHash
}

func (n *name) String() string {
	b := append(make([]byte, 0, nameSize), n.letter)
	return string(append(append(b, n.space[:]...), n.hash[:]...))
}

// parseName is the reverse of String. ok is false if text is something else.
func parseName(text string) (n name, ok bool) {
	if len(text) != nameSize || text[0] != keyLetter && text[0] != tagLetter {
		return n, false
	}
	n.letter = text[0]
	rest := text[1+copy(n.space[:], text[1:]):]
	copy(n.hash[:], rest)
	return n, true
}

// BusStats are figures about the Bus of a store in this process.
type BusStats struct {
	LagP50, LagP99  time.Duration
	Gaps, Malformed uint64
}

// BusStats returns the figures of the store's Bus, which all Clients over the store share.
func (c *Client) BusStats() (s BusStats) {
	if c.hub == nil {
		return s
	}
	q := c.hub.lag.Quantiles(0.5, 0.99)
	return BusStats{q[0], q[1], c.hub.gaps.Load(), c.hub.malformed.Load()}
}

// publishKeys tells other processes that keys were invalidated.
func (c *Client) publishKeys(ctx context.Context, b *Budget, keys ...string) error {
	if c.hub == nil || len(keys) == 0 {
		return nil
	}
	names := make([][]string, len(c.hub.parts))
	for _, key := range keys {
		n := name{keyLetter, c.space, hashKey(key)}
		i := c.hub.part(n.hash).index
		names[i] = append(names[i], n.String())
	}
	return c.publish(ctx, b, names, "")
}

// publishTags tells other processes that tags were deleted. Any key may have them.
func (c *Client) publishTags(ctx context.Context, b *Budget, tags []string) error {
	if c.hub == nil || len(tags) == 0 {
		return nil
	}
	names := make([][]string, len(c.hub.parts))
	for _, key := range c.Names.Tags(tags) {
		n := name{letter: tagLetter, hash: hashKey(key)}
		for i := range names {
			names[i] = append(names[i], n.String())
		}
	}
	return c.publish(ctx, b, names, "")
}

// publishPrefix tells other processes that all keys with a prefix were invalidated.
func (c *Client) publishPrefix(ctx context.Context, b *Budget, prefix string) error {
	if c.hub == nil {
		return nil
	}
	return c.publish(ctx, b, make([][]string, len(c.hub.parts)), prefix)
}

func (c *Client) publish(ctx context.Context, b *Budget, names [][]string, prefix string) error {
	return fault("Publish", do(ctx, c, b, noKey, func(ctx context.Context) error { return c.hub.publish(ctx, names, prefix) }))
}

// receivePrefix removes all keys from memory if one of them may begin with prefix.
func (c *Client) receivePrefix(prefix string) {
	if own := c.Names.Prefix(); strings.HasPrefix(own, prefix) || strings.HasPrefix(prefix, own) {
		c.near.invalidateAll()
		c.near.memory.Clear()
	}
}

func (c *Client) receiveName(n name) {
	switch {
	case n.letter == tagLetter:
		c.receiveTag(n.hash)
	case n.space == c.space:
		c.receiveKey(n.hash)
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

// invalidatePart removes all keys of a partition from memory. The stripes move first, as in
// receiveKey.
func (c *Client) invalidatePart(p *part) {
	n, parts := c.near, len(p.hub.parts)
	if parts == 1 {
		n.invalidateAll()
		n.memory.Clear() // waits for fills, which take n.mu
		return
	}
	for i := p.index; i < nearStripes; i += parts {
		n.stripes[i].Add(1)
	}
	for _, slot := range n.slotsOf(p) {
		n.memory.Remove(slot)
	}
}
