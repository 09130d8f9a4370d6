package remote

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"slices"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/record"
)

// The generation of a tag is a record of its own with a random text. The record of an entry carries
// the generations that its tags had before its value was fetched, and is valid while all are
// current. A generation that is lost makes entries invalid, never valid.
//
// Tags that only a value tells are read after the fetch. For these there is the tag epoch: whoever
// deletes tags changes it first. A fetch reads it before and after.

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

// readGenerations returns the current generations of tags.
func (c *Client) readGenerations(ctx context.Context, b *Budget, names []string) (Generations, error) {
	records, errs := c.readKeys(ctx, b, c.Names.Tags(names))
	if err := cmp.Or(errs...); err != nil {
		return nil, err
	}
	return generationsOf(names, records), nil
}

// ensureGenerations is readGenerations that gives a generation to tags that have none.
func (c *Client) ensureGenerations(ctx context.Context, b *Budget, names []string) (Generations, error) {
	gens, err := c.readGenerations(ctx, b, names)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if gens[name] != "" {
			continue
		}
		if gens[name], err = c.ensure(ctx, b, c.Names.Tag(name)); err != nil {
			return nil, err
		}
	}
	return gens, nil
}

// ensure returns the generation kept under a key, a new one if there is none.
func (c *Client) ensure(ctx context.Context, b *Budget, key string) (string, error) {
	gen := newGeneration()
	added, err := ask(ctx, c, b, key, func(ctx context.Context) (bool, error) {
		return c.Store.Add(ctx, key, driver.Record{Data: []byte(gen), TTL: driver.Forever})
	})
	if err != nil || added {
		return gen, err
	}
	rec, err := ask(ctx, c, b, key, func(ctx context.Context) (driver.Record, error) { return c.Store.Get(ctx, key) })
	if errors.Is(err, driver.ErrMiss) {
		err = errLost
	}
	return string(rec.Data), err
}

// epoch returns the tag epoch, a new one if there is none.
func (c *Client) epoch(ctx context.Context, b *Budget) (string, error) {
	rec, err := ask(ctx, c, b, c.Names.Epoch(), func(ctx context.Context) (driver.Record, error) { return c.Store.Get(ctx, c.Names.Epoch()) })
	if errors.Is(err, driver.ErrMiss) {
		return c.ensure(ctx, b, c.Names.Epoch())
	}
	return string(rec.Data), err
}

// A TagWatch is what was known of tags before a value was made.
type TagWatch struct {
	gens  Generations // of the loader's own tags
	epoch string      // if entries may have tags that only their values tell
}

// watchTags notes the generations that a value made from now on must not outlive.
func (c *Client) watchTags(ctx context.Context, b *Budget) (w TagWatch, err error) {
	if len(c.Tags) > 0 {
		if w.gens, err = c.ensureGenerations(ctx, b, c.Tags); err != nil {
			return w, fault("GetMany", err)
		}
	}
	if c.LateTags {
		w.epoch, err = c.epoch(ctx, b)
	}
	return w, fault("GetMany", err)
}

// RecordTags returns the tags called names for a record. Their generations are those known from
// before, else the current ones.
func (c *Client) RecordTags(ctx context.Context, b *Budget, known Generations, names []string) (tags []record.Tag, err error) {
	end, err := c.begin() // tags get generations
	if err != nil {
		return nil, err
	}
	defer end()
	late := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return known[n] != "" })
	if len(late) > 0 {
		more, err := c.ensureGenerations(ctx, b, late)
		if err != nil {
			return nil, fault("GetMany", err)
		}
		known = known.with(more)
	}
	for _, name := range names {
		tags = append(tags, record.Tag{Name: name, Gen: known[name]})
	}
	return tags, nil
}

// current reports whether nothing that was watched has been deleted since. The generations of late
// tags were read before: whoever deletes a tag changes the epoch first.
func (c *Client) current(ctx context.Context, b *Budget, w *TagWatch) (bool, error) {
	if len(w.gens) > 0 {
		now, err := c.readGenerations(ctx, b, c.Tags)
		if err != nil || !maps.Equal(now, w.gens) {
			return false, err
		}
	}
	if w.epoch == "" {
		return true, nil
	}
	now, err := c.epoch(ctx, b)
	return now == w.epoch, err
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
// about to be written has their generations from before the read.
func (c *Client) stillCurrent(ctx context.Context, b *Budget, read Generations, w *TagWatch) (bool, error) {
	if len(read) > 0 {
		now, err := c.readGenerations(ctx, b, slices.Collect(maps.Keys(read)))
		if err != nil || !maps.Equal(now, read) {
			return false, fault("GetMany", err)
		}
	}
	ok, err := c.current(ctx, b, &TagWatch{epoch: w.epoch})
	return ok, fault("GetMany", err)
}

// newGenerationRecord returns a record of a new generation, or of a new epoch.
func newGenerationRecord() driver.Record {
	return driver.Record{Data: []byte(newGeneration()), TTL: driver.Forever}
}

// renewEpoch says that tags are deleted. It comes before renewTags: a fetch that reads generations
// between the two steps sees that the epoch has moved.
func (c *Client) renewEpoch(ctx context.Context, b *Budget) error {
	return c.setRecords(ctx, b, map[string]driver.Record{c.Names.Epoch(): newGenerationRecord()})
}

// renewTags makes all records that have one of the tags invalid. A tag without a generation has no
// valid records and gets no generation. A generation is replaced and not removed: a copy of an Add
// that arrives late must find the key taken.
func (c *Client) renewTags(ctx context.Context, b *Budget, names []string) error {
	gens, err := c.readGenerations(ctx, b, names)
	if err != nil {
		return fault("Set", err)
	}
	records := make(map[string]driver.Record, len(names))
	for _, name := range names {
		if gens[name] != "" {
			records[c.Names.Tag(name)] = newGenerationRecord()
		}
	}
	return c.setRecords(ctx, b, records)
}
