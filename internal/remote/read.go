package remote

import (
	"cmp"
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

	// Watch has the tags as they were when the record was read, for a fetch that begins later. It
	// is set also if there is no record, and nil if the loader has no tags.
	Watch *TagWatch

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
	e, err = c.readBy(ctx, b, key, c.Store.Get, c.getManyLeft)
	return e, fault("Get", err)
}

// readAlone reads a record and the generations of its tags.
func (c *Client) readAlone(ctx context.Context, b *Budget, key string) (Entry, error) {
	return c.readBy(ctx, b, key, c.get, c.getMany)
}

// readBy reads a record and the generations of its tags by one of two commands, and a second one for
// tags that only the record tells.
func (c *Client) readBy(ctx context.Context, b *Budget, key string, get getFunc, getMany getManyFunc) (e Entry, err error) {
	e = c.newEntry(key)
	if !c.tagged() {
		e.Record, err = ask(ctx, c, b, key, func(ctx context.Context) (driver.Record, error) { return get(ctx, key) })
	} else {
		err = c.readWithTags(ctx, b, key, &e, getMany)
	}
	if err == nil {
		err = c.readTagsOf(ctx, b, &e)
	}
	return e, err
}

type (
	getFunc     = func(context.Context, string) (driver.Record, error)
	getManyFunc = func(context.Context, []string) ([]driver.Record, []error)
)

// readWithTags reads a record and what a fetch watches at once.
func (c *Client) readWithTags(ctx context.Context, b *Budget, key string, e *Entry, getMany getManyFunc) error {
	space := c.Space.Epoch()
	records, errs := c.readKeys(ctx, b, append([]string{key}, c.watchedKeys()...), getMany)
	if cmp.Or(errs[1:]...) == nil {
		e.Watch = c.watchOf(records[1:], space)
	}
	if errs[0] == nil && records[0].Version == "" {
		return driver.ErrMiss
	}
	if err := cmp.Or(errs[:1+len(c.Tags)]...); err != nil { // an epoch that cannot be read is a fetch's concern
		return err
	}
	e.gens = generationsOf(c.Tags, records[1:])
	e.Record = records[0]
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
	c.compare(ctx, e)
	return nil
}

// parse parses a record whose answer came at now.
func (e *Entry) parse(now time.Time) {
	e.Read = now
	e.Bad = record.Parse(e.Record.Data, &e.Parsed)
}

// compare looks whether one of the record's tags has been deleted. It renews the tags of an old
// record, which may live for ever: see tagLife.
func (c *Client) compare(ctx context.Context, e *Entry) {
	for _, t := range e.Parsed.Tags {
		if t.Gen == "" || e.gens[t.Name] != t.Gen {
			e.Invalid = true
		}
	}
	if !e.Invalid && len(e.Parsed.Tags) > 0 && e.Read.Sub(e.Parsed.Created) > longestNeed/2 {
		c.keepTags(ctx, e.Parsed.Tags, longestNeed)
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
	default:
		return c.getManyLeft(ctx, keys)
	}
}

// getManyLeft reads many records with their times left.
func (c *Client) getManyLeft(ctx context.Context, keys []string) ([]driver.Record, []error) {
	if c.batch != nil {
		return c.batch.GetMany(ctx, keys)
	}
	records, errs := make([]driver.Record, len(keys)), make([]error, len(keys))
	for i, key := range keys {
		records[i], errs[i] = c.Store.Get(ctx, key)
	}
	return records, errs
}

// readKeys reads many records by one command. One that is absent is zero. A shard that fails, or is
// known to fail, keeps no key of another from being read.
func (c *Client) readKeys(ctx context.Context, b *Budget, keys []string, getMany getManyFunc) (records []driver.Record, errs []error) {
	if c.backend.failing.Load() == 0 {
		return c.readAllowed(ctx, b, keys, getMany)
	}
	c.probe()
	records, errs = make([]driver.Record, len(keys)), make([]error, len(keys))
	var asked []string
	var at []int
	for i, key := range keys {
		if errs[i] = errSkipped; !c.backend.isOpen(key) {
			asked, at = append(asked, key), append(at, i)
		}
	}
	if len(asked) == 0 {
		return records, errs
	}
	some, bad := c.readAllowed(ctx, b, asked, getMany)
	for j, i := range at {
		records[i], errs[i] = some[j], bad[j]
	}
	return records, errs
}

// readAllowed is readKeys for keys whose shards may be asked.
func (c *Client) readAllowed(ctx context.Context, b *Budget, keys []string, getMany getManyFunc) ([]driver.Record, []error) {
	type answer struct {
		records []driver.Record
		errs    []error
	}
	if b.left <= 0 {
		return make([]driver.Record, len(keys)), slices.Repeat([]error{errSkipped}, len(keys))
	}
	began, limit := time.Now(), b.left
	a, err := send(ctx, c, b, severalKeys, func(ctx context.Context) (a answer, err error) {
		a.records, a.errs = getMany(ctx, keys)
		return a, nil
	})
	if err != nil {
		a = answer{make([]driver.Record, len(keys)), slices.Repeat([]error{err}, len(keys))}
	}
	for i, err := range a.errs {
		if errors.Is(err, driver.ErrMiss) {
			a.records[i], a.errs[i] = driver.Record{}, nil
		}
	}
	if time.Since(began) < 2*limit || cmp.Or(a.errs...) == nil { // see timed
		c.sawMany(keys, a.errs)
	}
	return a.records, a.errs
}

// sawMany is saw for a command about many keys. It counts for each shard once.
func (c *Client) sawMany(keys []string, errs []error) {
	if c.backend.failing.Load() == 0 && cmp.Or(errs...) == nil {
		return
	}
	worst := make(map[string]int) // by shard: the first key that has failed, or the first of all
	for i, key := range keys {
		shard := c.backend.shard(key)
		if j, seen := worst[shard]; !seen || !IsFault(errs[j]) && IsFault(errs[i]) {
			worst[shard] = i
		}
	}
	for _, i := range worst {
		c.saw(keys[i], errs[i])
	}
}

// A BatchRead is what reading many records at once has brought.
type BatchRead struct {
	client  *Client
	ctx     context.Context
	records []driver.Record // one that is absent, or could not be read, has no Version
	errs    []error         // why a record, or a tag of it, could not be read
	fills   []FillToken     // none without memory in front
	gens    Generations     // of the tags that were read
	sent    int64           // see Entry
	read    time.Time

	Watch *TagWatch // see Entry
}

// ReadMany reads many records. Keys may have spare capacity, which it uses. It returns an error if none
// could be read. If only some could not, that is reported, and Err has their errors.
func (c *Client) ReadMany(ctx context.Context, b *Budget, keys []string) (r BatchRead, err error) {
	r.client, r.ctx, r.sent = c, ctx, c.Clock.Now()
	if c.near != nil {
		for _, key := range keys {
			r.fills = append(r.fills, c.FillToken(key))
		}
	}
	n := len(keys)
	space := c.Space.Epoch()
	records, errs := c.readKeys(ctx, b, append(keys, c.watchedKeys()...), c.getMany)
	r.records, r.errs, r.read = records[:n], errs[:n], time.Now()
	if c.tagged() && cmp.Or(errs[n:]...) == nil {
		r.Watch = c.watchOf(records[n:], space)
	}
	r.gens = make(Generations)
	unread := r.gens.add(c.Tags, records[n:], errs[n:])
	if late := r.lateTags(unread); len(late) > 0 {
		records, errs := c.readKeys(ctx, b, c.Names.Tags(late), c.getMany)
		maps.Copy(unread, r.gens.add(late, records, errs))
	}
	r.leaveOut(unread)
	return r, c.failedReads(ctx, &r)
}

// leaveOut takes records out whose tags could not be read.
func (r *BatchRead) leaveOut(unread map[string]error) {
	if len(unread) == 0 {
		return
	}
	for i := range r.records {
		var rec record.Record
		if data := r.records[i].Data; !record.MayHaveTags(data) || record.Parse(data, &rec) != nil {
			continue
		}
		for _, t := range rec.Tags {
			if err := unread[t.Name]; err != nil {
				r.records[i], r.errs[i] = driver.Record{}, err
			}
		}
	}
}

// failedReads returns the error of a read that has brought nothing. It reports that of one that has
// brought a part.
func (c *Client) failedReads(ctx context.Context, r *BatchRead) error {
	err := cmp.Or(r.errs...)
	switch {
	case err == nil:
		return nil
	case !slices.Contains(r.errs, nil):
		return fault("Get", err)
	}
	if i := slices.IndexFunc(r.errs, func(err error) bool { return err != nil && !errors.Is(err, errSkipped) }); i >= 0 {
		c.Report(ctx, fault("Get", r.errs[i]))
	}
	return nil
}

// Err returns why the record of the key of index i could not be read, though others could. It is an
// *OpError, or nil.
func (r *BatchRead) Err(i int) error {
	if i >= len(r.errs) {
		return nil
	}
	return fault("Get", r.errs[i])
}

// lateTags returns the tags of the records that were not read with them.
func (r *BatchRead) lateTags(unread map[string]error) []string {
	late := make(map[string]bool)
	for i := range r.records {
		var rec record.Record
		if data := r.records[i].Data; !record.MayHaveTags(data) || record.Parse(data, &rec) != nil {
			continue
		}
		for _, t := range rec.Tags {
			if _, known := r.gens[t.Name]; !known && unread[t.Name] == nil {
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
		r.client.compare(r.ctx, &e)
	}
	return e
}
