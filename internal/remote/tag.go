package remote

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/record"
)

// The generation of a tag is a record of its own with a random text. The record of an entry carries
// the generations that its tags had before its value was fetched, and is valid while all are
// current. A generation that is lost makes entries invalid, never valid.
//
// Tags that only a value tells are read after the fetch. For these there is the tag epoch: whoever
// deletes tags removes it first. A fetch reads it before, and again after the generations.
//
// To delete a tag is to delete its generation. A generation is written once, by an Add or an
// EnsureMany that is sent once, and its text is never used again. So a copy of any of these commands
// that arrives late makes no entry valid: Delete only removes, Expire writes no text, and no second
// copy of Add exists. An Add without an answer may be carried out late; but its sender has not used
// the text then, and whoever does begins after that.

// Generations are the generations of tags by name. A tag without a generation has an empty one.
type Generations map[string]string

// with returns the generations of both. Those of more win.
func (g Generations) with(more Generations) Generations {
	if len(g) == 0 {
		return more
	}
	sum := maps.Clone(g)
	maps.Copy(sum, more)
	return sum
}

func generationsOf(names []string, records []driver.Record) Generations {
	gens := make(Generations, len(names))
	for i, name := range names {
		gens[name] = string(records[i].Data)
	}
	return gens
}

// add adds generations that were read, and returns the errors of those that could not be.
func (g Generations) add(names []string, records []driver.Record, errs []error) (unread map[string]error) {
	unread = make(map[string]error)
	for i, name := range names {
		if errs[i] != nil {
			unread[name] = errs[i]
		} else {
			g[name] = string(records[i].Data)
		}
	}
	return unread
}

// errLost says that a generation was there a moment ago, and cannot be relied on.
var errLost = errors.New("the generation of a tag was lost while it was read")

// newGeneration returns a text that was never used before.
func newGeneration() string { return rand.Text() }

// blankGeneration is as long as a generation.
const blankGeneration = "--------------------------"

// BlankTags returns tags that are to get their generations when a result is committed.
func BlankTags(names []string) (tags []record.Tag) {
	for _, name := range names {
		tags = append(tags, record.Tag{Name: name, Gen: blankGeneration})
	}
	return tags
}

// tagged reports whether entries may have tags that all of them have, or that their values tell.
func (c *Client) tagged() bool { return len(c.Tags) > 0 || c.LateTags }

// isOwn reports whether a tag is one that all entries of the loader have.
func (c *Client) isOwn(name string) bool {
	_, own := slices.BinarySearch(c.Tags, name)
	return own
}

// readGenerations returns the current generations of tags.
func (c *Client) readGenerations(ctx context.Context, b *Budget, names []string) (Generations, error) {
	records, errs := c.readKeys(ctx, b, c.Names.Tags(names), c.getMany)
	if err := cmp.Or(errs...); err != nil {
		return nil, err
	}
	return generationsOf(names, records), nil
}

// watchedKeys returns the keys that are read with a record: those of the loader's own tags, and that
// of the epoch if entries may have tags that only their values tell.
func (c *Client) watchedKeys() []string {
	keys := c.Names.Tags(c.Tags)
	if c.LateTags {
		keys = append(keys, c.Names.Epoch())
	}
	return keys
}

// A TagWatch is what was known of tags before a value was made. It does not change.
type TagWatch struct {
	gens  Generations // of the loader's own tags
	epoch string      // if entries may have tags that only their values tell
	space uint64      // the epoch of the tags in this process, before that
}

// watchOf returns a TagWatch of the records under watchedKeys. space is Space.Epoch from before they
// were read.
func (c *Client) watchOf(records []driver.Record, space uint64) *TagWatch {
	w := &TagWatch{gens: generationsOf(c.Tags, records), space: space}
	if c.LateTags {
		w.epoch = string(records[len(c.Tags)].Data)
	}
	return w
}

// complete reports whether w has all that a fetch compares afterwards.
func (c *Client) complete(w *TagWatch) bool {
	if w == nil || c.LateTags && w.epoch == "" {
		return false
	}
	return !slices.ContainsFunc(c.Tags, func(name string) bool { return w.gens[name] == "" })
}

// watchTags notes the generations that a value made from now on must not outlive. What was noted
// before, in from, is as good, and saves the command. from may be nil. If this process has deleted
// tags since, a value made now would not be stored for it, so from is not used.
func (c *Client) watchTags(ctx context.Context, b *Budget, from *TagWatch) (*TagWatch, error) {
	if from != nil && from.space != c.Space.Epoch() {
		from = nil
	}
	if c.complete(from) {
		return from, nil
	}
	keys := c.watchedKeys()
	if len(keys) == 0 {
		return &TagWatch{}, nil
	}
	if from != nil { // what it lacks is not there, whatever this process has seen
		for i, name := range c.Tags {
			if from.gens[name] == "" {
				c.tagEnds.forget(keys[i])
			}
		}
		if c.LateTags && from.epoch == "" {
			c.tagEnds.forget(c.Names.Epoch())
		}
	}
	texts, err := c.ensureKeys(ctx, b, keys, slices.Repeat([]time.Duration{watchedLife}, len(keys)))
	if err != nil {
		return nil, fault("EnsureMany", err)
	}
	w := &TagWatch{gens: make(Generations, len(c.Tags))}
	for i, name := range c.Tags {
		w.gens[name] = texts[i]
	}
	if c.LateTags {
		w.epoch = texts[len(c.Tags)]
	}
	return w, nil
}

// RecordTags returns the tags called names for a record that lives for life. Their generations are
// those known from before, else the current ones.
func (c *Client) RecordTags(ctx context.Context, b *Budget, known Generations, names []string, life time.Duration) (tags []record.Tag, err error) {
	end, err := c.begin() // tags get generations
	if err != nil {
		return nil, err
	}
	defer end()
	late := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return known[n] != "" })
	texts, err := c.ensureKeys(ctx, b, c.Names.Tags(late), c.tagLives(late, life))
	if err != nil {
		return nil, fault("EnsureMany", err)
	}
	for i, name := range late {
		known = known.with(Generations{name: texts[i]})
	}
	for _, name := range names {
		tags = append(tags, record.Tag{Name: name, Gen: known[name]})
	}
	return tags, nil
}

// settle returns the current generations of names, which an entry of this life is to carry, and
// whether nothing that was watched has been deleted since. If life is 0, no entry is to carry them.
//
// The epoch is read last: whoever deletes a tag removes the epoch first. So if the epoch is still
// there, the generations are from before any deletion that the watch does not know of.
func (c *Client) settle(ctx context.Context, b *Budget, w *TagWatch, names []string, life time.Duration) (gens Generations, current bool, err error) {
	keys, lives := c.Names.Tags(names), make([]time.Duration, len(names), len(names)+1)
	if life > 0 {
		lives = c.tagLives(names, life)
	}
	if c.LateTags {
		keys, lives = append(keys, c.Names.Epoch()), append(lives, 0)
	}
	texts, err := c.ensureKeys(ctx, b, keys, lives)
	if err != nil {
		return nil, false, err
	}
	gens = make(Generations, len(names))
	for i, name := range names {
		gens[name] = texts[i]
	}
	current = true
	for name, gen := range w.gens {
		current = current && gens[name] == gen
	}
	if c.LateTags {
		current = current && w.epoch != "" && texts[len(names)] == w.epoch
		c.renewLater(ctx, keys[len(names):], []time.Duration{watchedLife})
	}
	return gens, current, nil
}

// lateTagsOf returns the generations of a record's tags that are not the loader's own.
func (c *Client) lateTagsOf(rec *record.Record) Generations {
	gens := make(Generations)
	for _, t := range rec.Tags {
		if !slices.Contains(c.Tags, t.Name) {
			gens[t.Name] = t.Gen
		}
	}
	return gens
}

// stillCurrent reports whether none of the tags read, with these generations, has been deleted, nor
// any tag at all if the watch has an epoch. The loader's own tags need no look: the record that is
// about to be written, for life, has their generations from before the read.
func (c *Client) stillCurrent(ctx context.Context, b *Budget, read Generations, w *TagWatch, life time.Duration) (bool, error) {
	c.renewLater(ctx, c.Names.Tags(c.Tags), c.tagLives(c.Tags, life))
	if len(read) == 0 && !c.LateTags {
		return true, nil
	}
	names := slices.Collect(maps.Keys(read))
	now, current, err := c.settle(ctx, b, &TagWatch{epoch: w.epoch}, names, life)
	return err == nil && current && maps.Equal(now, read), fault("EnsureMany", err)
}

// removeTags removes generations, or the epoch.
func (c *Client) removeTags(ctx context.Context, b *Budget, keys ...string) error {
	err := do(ctx, c, b, keys[0], func(ctx context.Context) error {
		_, err := c.Store.Delete(ctx, keys...)
		return err
	})
	c.tagEnds.forget(keys...)
	return fault("Delete", err)
}

// keepTags lengthens in the background the lives of a record's tags, for a record that is used and
// has life left.
func (c *Client) keepTags(ctx context.Context, tags []record.Tag, life time.Duration) {
	names := make([]string, len(tags))
	for i, t := range tags {
		names[i] = t.Name
	}
	c.renewLater(ctx, c.Names.Tags(names), c.tagLives(names, life))
}
