package zodiac

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/zodiac-go/zodiac/driver"
)

// tagGens are the generations of tags by name: an empty one is missing.
type tagGens map[string]string

// with returns the generations of both.
func (t tagGens) with(more tagGens) tagGens {
	if len(t) == 0 {
		return more
	}
	sum := maps.Clone(t)
	maps.Copy(sum, more)
	return sum
}

// readWithTags reads a record and the generations of the loader's own tags in one go.
func (c *core) readWithTags(ctx context.Context, b *budget, key string, got *found) error {
	keys := append([]string{key}, c.remote.tagKeys(c.own)...)
	records, err := c.remote.askMany(ctx, b, keys)
	if err != nil {
		return err
	}
	if records[0].Version == "" {
		return ErrMiss
	}
	got.record = records[0]
	got.tags = gensOf(c.own, records[1:])
	return nil
}

func (r *remote) tagKeys(names []string) []string {
	keys := make([]string, len(names))
	for i, name := range names {
		keys[i] = r.keys.tag(name)
	}
	return keys
}

// askMany reads many records; one that is absent is zero.
func (r *remote) askMany(ctx context.Context, b *budget, keys []string) ([]Record, error) {
	return ask(ctx, r, b, func(ctx context.Context) ([]Record, error) {
		records, errs := r.getMany(ctx, keys)
		for i, err := range errs {
			if errors.Is(err, driver.ErrMiss) {
				records[i] = Record{}
			} else if err != nil {
				return nil, err
			}
		}
		return records, nil
	})
}

func gensOf(names []string, records []Record) tagGens {
	gens := make(tagGens, len(names))
	for i, name := range names {
		gens[name] = string(records[i].Data)
	}
	return gens
}

// readTags returns the present generations of tags.
func (r *remote) readTags(ctx context.Context, b *budget, names []string) (tagGens, error) {
	records, err := r.askMany(ctx, b, r.tagKeys(names))
	if err != nil {
		return nil, err
	}
	return gensOf(names, records), nil
}

// ensureTags is readTags that gives a generation to tags that have none.
func (r *remote) ensureTags(ctx context.Context, b *budget, names []string) (tagGens, error) {
	gens, err := r.readTags(ctx, b, names)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if gens[name] != "" {
			continue
		}
		if gens[name], err = r.ensure(ctx, b, r.keys.tag(name)); err != nil {
			return nil, err
		}
	}
	return gens, nil
}

// ensure returns the generation kept under a key, a new one if there is none.
func (r *remote) ensure(ctx context.Context, b *budget, key string) (string, error) {
	gen := newToken()
	added, err := ask(ctx, r, b, func(ctx context.Context) (bool, error) {
		return r.store.Add(ctx, key, Record{Data: []byte(gen), TTL: Forever})
	})
	if err != nil || added {
		return gen, err
	}
	rec, err := ask(ctx, r, b, func(ctx context.Context) (Record, error) { return r.store.Get(ctx, key) })
	return string(rec.Data), err // a miss: lost this moment, and not to be relied on
}

// A tagWatch is what was known of tags before a fetch.
type tagWatch struct {
	gens  tagGens // of the loader's own
	epoch string  // if there may be tags that only the result tells
}

// watchTags takes down what the fetch that follows must not outlive.
func (c *core) watchTags(ctx context.Context, b *budget) (w tagWatch, err error) {
	if len(c.own) > 0 {
		if w.gens, err = c.remote.ensureTags(ctx, b, c.own); err != nil {
			return w, err
		}
	}
	if c.tagged {
		w.epoch, err = c.remote.epoch(ctx, b)
	}
	return w, err
}

// epoch returns the tag epoch, a new one if there is none.
func (r *remote) epoch(ctx context.Context, b *budget) (string, error) {
	rec, err := ask(ctx, r, b, func(ctx context.Context) (Record, error) { return r.store.Get(ctx, r.keys.epoch()) })
	if errors.Is(err, driver.ErrMiss) {
		return r.ensure(ctx, b, r.keys.epoch())
	}
	return string(rec.Data), err
}

func namesOfRecord(rec *record) (names []string) {
	for _, t := range rec.tags {
		names = append(names, t.name)
	}
	return names
}

// tagsFor returns the tags of a record with their generations: those known from before, or the present ones.
func (c *core) tagsFor(ctx context.Context, b *budget, known tagGens, names []string) (tags []recordTag, err error) {
	late := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return known[n] != "" })
	if len(late) > 0 {
		more, err := c.remote.ensureTags(ctx, b, late)
		if err != nil {
			return nil, err
		}
		known = known.with(more)
	}
	for _, name := range names {
		tags = append(tags, recordTag{name, known[name]})
	}
	return tags, nil
}

// current reports whether nothing that was watched has been deleted since. What only the result told of was read before: whoever
// deletes a tag changes the epoch first.
func (c *core) current(ctx context.Context, b *budget, w *tagWatch) (bool, error) {
	if len(w.gens) > 0 {
		now, err := c.remote.readTags(ctx, b, c.own)
		if err != nil || !maps.Equal(now, w.gens) {
			return false, err
		}
	}
	if w.epoch == "" {
		return true, nil
	}
	now, err := c.remote.epoch(ctx, b)
	return now == w.epoch, err
}

// gensOfRecord returns the generations of a record's tags that are not the loader's own.
func (c *core) gensOfRecord(rec *record) tagGens {
	gens := make(tagGens)
	for _, t := range rec.tags {
		if !slices.Contains(c.own, t.name) {
			gens[t.name] = t.gen
		}
	}
	return gens
}

// tagsHeld reports whether none of the tags of what was read, with these generations, was deleted since; nor any tag at all, if epoch
// was watched before. The loader's own need no look: what is about to be written has their generations from before the read.
func (c *core) tagsHeld(ctx context.Context, b *budget, read tagGens, epoch string) (bool, error) {
	if len(read) > 0 {
		now, err := c.remote.readTags(ctx, b, slices.Collect(maps.Keys(read)))
		if err != nil || !maps.Equal(now, read) {
			return false, err
		}
	}
	return c.current(ctx, b, &tagWatch{epoch: epoch})
}

// deleteTags makes all records with one of the tags invalid. The epoch goes first: a fetch that reads generations in between sees
// that it moved. A tag that has no generation has no records, and gets none.
func (r *remote) deleteTags(ctx context.Context, b *budget, names []string) error {
	set := func(key string) error {
		_, err := send(ctx, r, b, func(ctx context.Context) (struct{}, error) {
			return struct{}{}, r.store.Set(ctx, key, Record{Data: []byte(newToken()), TTL: Forever})
		})
		return err
	}
	if err := set(r.keys.epoch()); err != nil {
		return err
	}
	gens, err := r.readTags(ctx, b, names)
	if err != nil {
		return err
	}
	for _, name := range names {
		if gens[name] == "" {
			continue
		}
		if err := set(r.keys.tag(name)); err != nil {
			return err
		}
	}
	return nil
}
