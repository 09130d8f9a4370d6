package zodiac

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/zodiac-go/zodiac/internal/tier"
)

// readStore reads the store for a Get. ok is false if it has nothing that this caller may use.
func (c *engine[K, V]) readStore(g *getting[K, V]) (a answer[V], ok bool) {
	got, err := c.readOrShare(g.ctx, &g.far.budget, g.far.key)
	if err != nil {
		return c.unread(g, err)
	}
	return c.openRecord(g, &got, nil, nil, hitStore)
}

// unread is the answer, if that is one, where the store gave none.
func (c *engine[K, V]) unread(g *getting[K, V], err error) (a answer[V], ok bool) {
	switch {
	case errors.Is(err, ErrMiss):
		return a, false
	case g.ctx.Err() != nil:
		c.count(left, g.sinks)
		return answer[V]{err: g.ctx.Err()}, true
	case errors.Is(err, ErrClosed):
		return answer[V]{err: ErrClosed}, true
	}
	bad := c.storeFault(g.ctx, g.key, "Get", err)
	if c.remote.closed {
		c.count(failed, g.sinks)
		return answer[V]{err: bad}, true
	}
	if g.far.spare != nil {
		if a = c.take(g.far.spare.f, g.far.spare.err, g.far.spare.as); a.err != nil && !isNone(a.err) {
			c.count(failed, g.sinks)
		} else {
			c.count(shared, g.sinks)
		}
		return a, true
	}
	return a, false
}

// storeFault reports that the store failed, and returns the error for a caller who gets to see it.
func (c *core) storeFault(ctx context.Context, key any, op string, err error) error {
	bad := &StoreError{Loader: c.name, Op: op, Err: err}
	if !errors.Is(err, errSkipped) { // that was reported when it began
		c.fault(ctx, key, bad)
	}
	return bad
}

// skipped reports that the store has failed so often that it is not asked any more, or that it answers again.
func (c *core) skipped(skipped bool) {
	if skipped {
		c.log(slog.LevelError, "zodiac: the store fails again and again; it is left alone for now")
	} else {
		c.log(slog.LevelInfo, "zodiac: the store answers again")
	}
}

// readRecord reads a record, and the generations of its tags.
func (c *core) readRecord(ctx context.Context, b *budget, key string) (got found, err error) {
	got.mark, got.epoch, got.sent = c.mark(key), c.tags.epoch.Load(), c.clock.Now()
	if len(c.own) == 0 {
		got.record, err = ask(ctx, c.remote, b, func(ctx context.Context) (Record, error) { return c.remote.get(ctx, key) })
	} else {
		err = c.readWithTags(ctx, b, key, &got)
	}
	if err == nil {
		err = c.completeTags(ctx, b, &got)
	}
	return got, err
}

// readLong is readRecord for who needs to know the time left.
func (c *core) readLong(ctx context.Context, b *budget, key string) (got found, err error) {
	got.mark, got.epoch, got.sent = c.mark(key), c.tags.epoch.Load(), c.clock.Now()
	got.record, err = ask(ctx, c.remote, b, func(ctx context.Context) (Record, error) { return c.remote.store.Get(ctx, key) })
	if err == nil {
		err = c.completeTags(ctx, b, &got)
	}
	return got, err
}

// completeTags parses a record that was read, and reads the generations of its tags that were not read with it.
func (c *core) completeTags(ctx context.Context, b *budget, got *found) error {
	if got.parse(time.Now()); got.bad != nil || len(got.parsed.tags) == 0 {
		return nil
	}
	var missing []string
	for _, t := range got.parsed.tags {
		if _, ok := got.tags[t.name]; !ok {
			missing = append(missing, t.name)
		}
	}
	if len(missing) > 0 {
		tags, err := c.remote.readTags(ctx, b, missing)
		if err != nil {
			return err
		}
		got.tags = got.tags.with(tags)
	}
	got.compare(got.tags)
	return nil
}

// usableRecord reports whether a record is one of this loader's entries, and counts what is wrong with it. That a value can be
// decoded shows only when it is.
func (c *core) usableRecord(full string, sinks []*counters, got *found) bool {
	rec := &got.parsed
	switch {
	case got.bad != nil, rec.kind > recordNone, rec.kind == recordValue && rec.codec != c.remote.codec.Name():
		c.count(corrupt, sinks)
		return false
	case rec.text != full: // two keys of one hash
		return false
	case got.invalid:
		c.count(invalid, sinks)
		return false
	}
	return true
}

// openRecord returns what the reader gets of a record, puts it into memory, and counts the hit as n. ok is false if it is of no use.
// What is not for memory is decoded into *v, a zero value that nobody else has; or a new one, if v is nil. all, if it is not nil, is for
// those who share the record.
func (c *engine[K, V]) openRecord(g *getting[K, V], got *found, v *V, all *common[V], n counter) (a answer[V], ok bool) {
	if c.expired(got) {
		return a, false
	}
	if got.record.Version == g.far.seen || !c.usableRecord(g.far.full, g.sinks, got) {
		g.far.seen = got.record.Version
		return a, false
	}
	var e *tier.Entry[K, V]
	switch {
	case c.near != nil:
		e = c.entryFor(&g.place, got)
		v = &e.Value
	case v == nil:
		v = new(V)
	}
	var err error
	if all == nil {
		err = c.decode(&got.parsed, v)
	} else {
		*v, err = c.commonCopy(all, func(v *V) error { return c.decode(&got.parsed, v) })
	}
	if err != nil {
		c.count(corrupt, g.sinks)
		c.fault(g.ctx, g.key, err)
		g.far.seen = got.record.Version
		return a, false
	}
	if c.set.validIf != nil || g.far.detailed {
		g.far.entry = c.describeRecord(v, got)
	}
	if c.set.validIf != nil {
		valid := false
		if a.err = c.guard("ValidIf", func() { valid = c.set.validIf(g.key, *g.far.entry) }); a.err != nil {
			c.count(failed, g.sinks)
			return a, true
		}
		if !valid {
			c.count(invalid, g.sinks)
			g.far.seen = got.record.Version
			return a, false
		}
	}
	if e != nil {
		c.fill(&g.place, g.far.key, e, got)
	}
	return c.deliver(g, v, got, n)
}

// expired reports whether a record has expired since it was read, as far as that is known.
func (c *core) expired(got *found) bool {
	ttl := got.record.TTL
	return ttl > 0 && ttl != Forever && c.clock.Now() >= expiry(got.sent, ttl)
}

// deliver is the end of openRecord.
func (c *engine[K, V]) deliver(g *getting[K, V], v *V, got *found, n counter) (a answer[V], ok bool) {
	if got.parsed.kind == recordNone {
		a.err = c.noneOf(got)
	} else if c.near != nil {
		if a.value, a.err = c.cloned(*v); a.err != nil {
			c.count(failed, g.sinks)
			return a, true
		}
	} else {
		a.value = *v
	}
	c.count(n, g.sinks)
	c.slideRecord(g, got)
	return a, true
}

// slideRecord extends the life of a sliding record that is used, in the background.
func (c *engine[K, V]) slideRecord(g *getting[K, V], got *found) {
	life := got.parsed.slide
	if life == 0 || g.mode.NoWrite || got.record.TTL > life-life/8 {
		return
	}
	key := g.far.key
	c.remote.later(g.ctx, func(ctx context.Context) {
		_, err := c.remote.store.Expire(ctx, key, life)
		c.remote.breaker.saw(err)
	})
}

// noneOf returns the error that readers of a None get: one of NoneIf's, if its text still matches.
func (c *engine[K, V]) noneOf(got *found) error {
	return c.set.nones.byText(string(got.parsed.payload))
}

// entryFor returns the entry of a record, without its value. In front of a store it is ready for memory, but for its expiry.
func (c *engine[K, V]) entryFor(place *tier.Key[K], got *found) *tier.Entry[K, V] {
	rec := &got.parsed
	var created int64
	if c.near != nil {
		created = c.clock.Now() - int64(max(0, got.read.Sub(rec.created)))
	}
	e := c.mem.NewEntry(place, created, rec.kind == recordNone || c.near != nil && (rec.kind == recordNil || len(rec.tags) > 0))
	if d := e.Detail(); d != nil {
		d.Nil = rec.kind == recordNil
		if rec.kind == recordNone {
			d.None = c.noneOf(got)
		}
		if c.near != nil {
			for _, t := range rec.tags {
				d.Tags = append(d.Tags, c.tags.label(t.name).Tag())
			}
		}
	}
	return e
}

// decode sets *v, which is zero, to the value of a record. After an error, which is a *CodecError, *v is not to be used.
func (c *engine[K, V]) decode(rec *record, v *V) error {
	if rec.kind != recordValue {
		return nil
	}
	var err error
	if bug := c.guarded("WithCodec", func() { err = c.remote.codec.Unmarshal(rec.payload, v) }); bug != nil {
		err = bug
	}
	if err != nil {
		return &CodecError{Loader: c.name, Op: "Unmarshal", Codec: rec.codec, Err: err}
	}
	return nil
}

// describeRecord returns the snapshot of a record whose value was decoded.
func (c *engine[K, V]) describeRecord(v *V, got *found) *Entry[V] {
	rec := &got.parsed
	d := &Entry[V]{Value: *v, Created: rec.created, Age: max(0, got.read.Sub(rec.created)), Left: got.record.TTL}
	if d.Left != Forever {
		d.Left -= time.Duration(c.clock.Now() - got.sent)
	}
	switch rec.kind {
	case recordNone:
		d.Kind = KindNone
	case recordNil:
		d.Kind = KindNil
	}
	for _, t := range rec.tags {
		d.Tags = append(d.Tags, t.name)
	}
	return d
}

// encode makes the record of a value, or of a None. The error is a *CodecError, or says that the record is
// too large.
func (c *engine[K, V]) encode(full string, created int64, value *V, none error, slide time.Duration, tags []recordTag) ([]byte, error) {
	rec := record{kind: recordValue, created: c.clock.Time(created), slide: slide, tags: tags, text: full}
	switch {
	case none != nil:
		rec.kind, rec.payload = recordNone, []byte(textOfNone(none))
	case c.isNil(value):
		rec.kind = recordNil
	default:
		rec.codec = c.remote.codec.Name()
		var err error
		bug := c.guarded("WithCodec", func() { rec.payload, err = c.remote.codec.Marshal(value) })
		if bug != nil {
			err = bug
		}
		if err != nil {
			return nil, &CodecError{Loader: c.name, Op: "Marshal", Codec: rec.codec, Err: err}
		}
	}
	if n := rec.size(); c.remote.maxBytes > 0 && n > c.remote.maxBytes {
		return nil, fmt.Errorf("%w: %d bytes; WithMaxBytes allows %d", ErrTooLarge, n, c.remote.maxBytes)
	}
	return rec.appendTo(nil), nil
}

// peekShared is peek over a store. long says that the time left is wanted.
func (c *engine[K, V]) peekShared(g *getting[K, V], long bool) (a answer[V], ok bool) {
	if err := c.begin(g); err != nil {
		return answer[V]{err: err}, false
	}
	g.far.detailed = long
	if e := c.usable(&g.place, g.sinks); e != nil {
		if a, ok = c.open(g, e); ok {
			d := c.describe(e)
			g.far.entry = &d
			return a, a.err == nil || isNone(a.err)
		}
	}
	if err := g.ctx.Err(); err != nil {
		c.count(left, g.sinks)
		return answer[V]{err: err}, false
	}
	if a, ok = c.peekStore(g, long); ok {
		return a, a.err == nil || isNone(a.err)
	}
	c.count(missed, g.sinks)
	return a, false
}

func (c *engine[K, V]) peekStore(g *getting[K, V], long bool) (answer[V], bool) {
	if !long {
		return c.readStore(g)
	}
	got, err := c.readLong(g.ctx, &g.far.budget, g.far.key)
	if err != nil {
		return c.unread(g, err)
	}
	return c.openRecord(g, &got, nil, nil, hitStore)
}

// entryShared is Entry over a store.
func (c *engine[K, V]) entryShared(g *getting[K, V]) (Entry[V], bool, error) {
	a, ok := c.peekShared(g, true)
	if !ok {
		return Entry[V]{}, false, a.err
	}
	d := *g.far.entry
	d.Value = a.value
	return d, true, a.err
}

// A harvest is what reading many records in one go has brought.
type harvest struct {
	records []Record   // one that is absent has no Version
	marks   []fillMark // of memory; none without memory in front
	tags    tagGens    // of those that were read
	epoch   uint64     // see found
	sent    int64
	read    time.Time
}

// readRecords is readRecord for many keys.
func (c *core) readRecords(ctx context.Context, b *budget, keys []string) (h harvest, err error) {
	h.epoch, h.sent = c.tags.epoch.Load(), c.clock.Now()
	if c.near != nil {
		for _, key := range keys {
			h.marks = append(h.marks, c.mark(key))
		}
	}
	records, err := c.remote.askMany(ctx, b, append(keys, c.remote.tagKeys(c.own)...))
	if err != nil {
		return h, err
	}
	h.records, h.tags, h.read = records[:len(keys)], gensOf(c.own, records[len(keys):]), time.Now()
	if late := h.lateTags(); len(late) > 0 {
		more, err := c.remote.readTags(ctx, b, late)
		if err != nil {
			return h, err
		}
		h.tags = h.tags.with(more)
	}
	return h, nil
}

// lateTags returns the tags of the records that were not read with them.
func (h *harvest) lateTags() []string {
	late := make(map[string]bool)
	for i := range h.records {
		var rec record
		if data := h.records[i].Data; !mayHaveTags(data) || parseRecord(data, &rec) != nil {
			continue
		}
		for _, t := range rec.tags {
			if _, known := h.tags[t.name]; !known {
				late[t.name] = true
			}
		}
	}
	return slices.Collect(maps.Keys(late))
}

// has reports whether a key has a record.
func (h *harvest) has(i int) bool { return i < len(h.records) && h.records[i].Version != "" }

// found returns a record as readRecord would.
func (h *harvest) found(i int) found {
	got := found{record: h.records[i], tags: h.tags, epoch: h.epoch, sent: h.sent}
	if h.marks != nil {
		got.mark = h.marks[i]
	}
	if got.parse(h.read); got.bad == nil {
		got.compare(h.tags)
	}
	return got
}

// parse parses a record that was read just now.
func (got *found) parse(now time.Time) {
	got.read = now
	got.bad = parseRecord(got.record.Data, &got.parsed)
}

// compare looks whether one of the record's tags has been deleted.
func (got *found) compare(now tagGens) {
	for _, t := range got.parsed.tags {
		if t.gen == "" || now[t.name] != t.gen {
			got.invalid = true
		}
	}
}
