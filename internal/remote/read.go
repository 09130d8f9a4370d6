package remote

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/record"
)

// An Entry is a record that was read, and what was known before the command that read it was sent.
type Entry struct {
	Record  driver.Record
	Parsed  record.Record
	Bad     error     // why it could not be parsed
	Invalid bool      // one of its tags was deleted
	Stays   bool      // it is of no use, and is not to be replaced: Usable says so
	Fill    FillToken // for memory in front of the store
	Sent    int64     // when the command was sent, by the clock of memory
	Read    time.Time // when the answer came, by the wall clock

	gens Generations // of the tags that were read with it
}

// newEntry returns an Entry for a read of key that is about to be sent.
func (c *Client) newEntry(key string) Entry {
	return Entry{Fill: c.FillToken(key), Sent: c.Clock.Now()}
}

// Read reads the record of key for one caller. Callers that read one key at the same time share
// commands: see sharedReads. The error is driver.ErrMiss, ErrClosed, or a *OpError.
func (c *Client) Read(ctx context.Context, b *Budget, key string) (Entry, error) {
	e, err := c.readShared(ctx, b, key)
	return e, fault("Get", err)
}

// ReadLeft is Read for a caller that needs the time left. It shares nothing.
func (c *Client) ReadLeft(ctx context.Context, b *Budget, key string) (e Entry, err error) {
	e = c.newEntry(key)
	e.Record, err = ask(ctx, c, b, key, func(ctx context.Context) (driver.Record, error) { return c.Store.Get(ctx, key) })
	if err == nil {
		err = c.readTagsOf(ctx, b, &e)
	}
	return e, fault("Get", err)
}

// readAlone reads a record and the generations of its tags.
func (c *Client) readAlone(ctx context.Context, b *Budget, key string) (e Entry, err error) {
	e = c.newEntry(key)
	if len(c.Tags) == 0 {
		e.Record, err = ask(ctx, c, b, key, func(ctx context.Context) (driver.Record, error) { return c.get(ctx, key) })
	} else {
		err = c.readWithTags(ctx, b, key, &e)
	}
	if err == nil {
		err = c.readTagsOf(ctx, b, &e)
	}
	return e, err
}

// readWithTags reads a record and the generations of the loader's own tags at once.
func (c *Client) readWithTags(ctx context.Context, b *Budget, key string, e *Entry) error {
	records, err := c.readKeys(ctx, b, append([]string{key}, c.Names.Tags(c.Tags)...))
	if err != nil {
		return err
	}
	if records[0].Version == "" {
		return driver.ErrMiss
	}
	e.Record = records[0]
	e.gens = generationsOf(c.Tags, records[1:])
	return nil
}

// readTagsOf parses a record that was read, and reads the generations of its tags that were not
// read with it.
func (c *Client) readTagsOf(ctx context.Context, b *Budget, e *Entry) error {
	if e.parse(time.Now()); e.Bad != nil || len(e.Parsed.Tags) == 0 {
		return nil
	}
	var missing []string
	for _, t := range e.Parsed.Tags {
		if _, ok := e.gens[t.Name]; !ok {
			missing = append(missing, t.Name)
		}
	}
	if len(missing) > 0 {
		gens, err := c.readGenerations(ctx, b, missing)
		if err != nil {
			return err
		}
		e.gens = e.gens.with(gens)
	}
	e.compare(e.gens)
	return nil
}

// parse parses a record whose answer came at now.
func (e *Entry) parse(now time.Time) {
	e.Read = now
	e.Bad = record.Parse(e.Record.Data, &e.Parsed)
}

// compare looks whether one of the record's tags has been deleted.
func (e *Entry) compare(now Generations) {
	for _, t := range e.Parsed.Tags {
		if t.Gen == "" || now[t.Name] != t.Gen {
			e.Invalid = true
		}
	}
}

// get reads one record.
func (c *Client) get(ctx context.Context, key string) (driver.Record, error) {
	if c.data != nil {
		return c.data.GetData(ctx, key)
	}
	return c.Store.Get(ctx, key)
}

// getMany reads many records.
func (c *Client) getMany(ctx context.Context, keys []string) ([]driver.Record, []error) {
	switch {
	case c.data != nil:
		return c.data.GetManyData(ctx, keys)
	case c.batch != nil:
		return c.batch.GetMany(ctx, keys)
	}
	records, errs := make([]driver.Record, len(keys)), make([]error, len(keys))
	for i, key := range keys {
		records[i], errs[i] = c.Store.Get(ctx, key)
	}
	return records, errs
}

// readKeys reads many records by one command. One that is absent is zero.
func (c *Client) readKeys(ctx context.Context, b *Budget, keys []string) ([]driver.Record, error) {
	return ask(ctx, c, b, keys[0], func(ctx context.Context) ([]driver.Record, error) {
		records, errs := c.getMany(ctx, keys)
		for i, err := range errs {
			if errors.Is(err, driver.ErrMiss) {
				records[i] = driver.Record{}
			} else if err != nil {
				return nil, err
			}
		}
		return records, nil
	})
}

// A BatchRead is what reading many records at once has brought.
type BatchRead struct {
	records []driver.Record // one that is absent has no Version
	fills   []FillToken     // none without memory in front
	gens    Generations     // of the tags that were read
	sent    int64           // see Entry
	read    time.Time
}

// ReadMany reads many records. Keys may have spare capacity, which it uses.
func (c *Client) ReadMany(ctx context.Context, b *Budget, keys []string) (r BatchRead, err error) {
	r.sent = c.Clock.Now()
	if c.near != nil {
		for _, key := range keys {
			r.fills = append(r.fills, c.FillToken(key))
		}
	}
	records, err := c.readKeys(ctx, b, append(keys, c.Names.Tags(c.Tags)...))
	if err != nil {
		return r, fault("Get", err)
	}
	r.records, r.gens, r.read = records[:len(keys)], generationsOf(c.Tags, records[len(keys):]), time.Now()
	if late := r.lateTags(); len(late) > 0 {
		more, err := c.readGenerations(ctx, b, late)
		if err != nil {
			return r, fault("Get", err)
		}
		r.gens = r.gens.with(more)
	}
	return r, nil
}

// lateTags returns the tags of the records that were not read with them.
func (r *BatchRead) lateTags() []string {
	late := make(map[string]bool)
	for i := range r.records {
		var rec record.Record
		if data := r.records[i].Data; !record.MayHaveTags(data) || record.Parse(data, &rec) != nil {
			continue
		}
		for _, t := range rec.Tags {
			if _, known := r.gens[t.Name]; !known {
				late[t.Name] = true
			}
		}
	}
	return slices.Collect(maps.Keys(late))
}

// Has reports whether the key of index i has a record.
func (r *BatchRead) Has(i int) bool { return i < len(r.records) && r.records[i].Version != "" }

// Entry returns the record of the key of index i as Read would.
func (r *BatchRead) Entry(i int) Entry {
	e := Entry{Record: r.records[i], Sent: r.sent, gens: r.gens}
	if r.fills != nil {
		e.Fill = r.fills[i]
	}
	if e.parse(r.read); e.Bad == nil {
		e.compare(r.gens)
	}
	return e
}
