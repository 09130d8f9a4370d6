package zodiac

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/record"
	"github.com/zodiac-go/zodiac/internal/remote"
	"github.com/zodiac-go/zodiac/internal/tier"
)

// storeKey returns the store's key for a slot.
func (c *engine[K, V]) storeKey(slot *tier.Key[K], key K, op string) (storeKey, full string, err error) {
	text := slot.Text
	if c.opts.keys.Plain {
		if text, err = c.opts.keys.Text(key); err != nil {
			return "", "", &KeyError{Loader: c.name, Op: op, Err: err}
		}
	}
	storeKey, full = c.remote.Names.Entry(c.opts.keys.Segment(text))
	return storeKey, full, nil
}

// readStore reads the store for a lookup. ok is false if it has nothing that this caller may have.
func (c *engine[K, V]) readStore(l *lookup[K, V]) (a answer[V], ok bool) {
	got, err := c.remote.Read(l.ctx, &l.budget, l.storeKey)
	l.tags = got.Watch
	if err != nil {
		return c.unread(l, err, nil)
	}
	return c.openRecord(l, &got, nil, nil)
}

// isFault reports whether the error of a read says that the store has failed.
func isFault(ctx context.Context, err error) bool {
	return err != nil && !errors.Is(err, driver.ErrMiss) && ctx.Err() == nil && !errors.Is(err, remote.ErrClosed)
}

// unread is the answer, if there is one, where the store has given none. bad is the callers' error of
// a fault that was reported already, or nil.
func (c *engine[K, V]) unread(l *lookup[K, V], err, bad error) (a answer[V], ok bool) {
	switch {
	case errors.Is(err, driver.ErrMiss):
		l.stays = false
		return a, false
	case l.ctx.Err() != nil:
		c.count(canceled, l.sinks)
		return answer[V]{err: l.ctx.Err()}, true
	case errors.Is(err, remote.ErrClosed):
		return answer[V]{err: ErrClosed}, true
	}
	if bad == nil {
		bad = c.storeFault(l.ctx, l.key, err)
	}
	if c.remote.FailClosed {
		c.count(failed, l.sinks)
		return answer[V]{err: bad}, true
	}
	if l.spare != nil {
		if a = c.take(l.spare.f, l.spare.err, l.spare.as); a.err != nil && !isNone(a.err) {
			c.count(failed, l.sinks)
		} else {
			c.count(shared, l.sinks)
		}
		return a, true
	}
	return a, false
}

// errForeignRecord is why a record that can be parsed is of no use.
var errForeignRecord = errors.New("it is of an unknown kind, or of another codec")

// unusable is what the log says of a record of no use.
const unusable = "zodiac: unusable record, taken for a miss"

// usableRecord reports whether a record is an entry of this loader, and counts what is wrong with
// it. It sets got.Stays. Whether the value can be decoded shows only when it is.
func (c *core) usableRecord(full string, sinks []*counters, got *remote.Entry) bool {
	rec := &got.Parsed
	switch {
	case got.Bad != nil, rec.Kind > record.None:
		c.count(corrupt, sinks)
		c.logFault(unusable, cmp.Or(got.Bad, errForeignRecord))
		return false
	case rec.Kind == record.Value && rec.Codec != c.codec.Name():
		got.Stays = rec.Stays(got.Read.Sub(rec.Created), c.origin)
		c.count(corrupt, sinks)
		c.logFault(unusable, errForeignRecord)
		return false
	case rec.Text != full: // two keys of one hash
		return false
	case got.Invalid:
		c.count(invalid, sinks)
		return false
	case rec.Shape != 0 && rec.Shape != c.origin.Shape && !c.anyShape:
		got.Stays = rec.Stays(got.Read.Sub(rec.Created), c.origin)
		c.count(invalid, sinks)
		return false
	}
	return true
}

// openRecord returns a reader's answer of a record, puts it into memory, and counts the hit. ok is
// false if the record is of no use. A value that is not for memory is decoded into *v, a zero value
// that nobody else has, or into a new one if v is nil. all, if it is not nil, is for the callers who
// share the record.
func (c *engine[K, V]) openRecord(l *lookup[K, V], got *remote.Entry, v *V, all *sharedCopy[V]) (a answer[V], ok bool) {
	if c.expiredRecord(got) {
		return a, false
	}
	if got.Record.Version == l.seen {
		return a, false
	}
	if !c.usableRecord(l.full, l.sinks, got) {
		l.refuse(got)
		return a, false
	}
	var e *tier.Entry[K, V]
	switch {
	case c.remote.HasMemory():
		e = c.entryOf(&l.slot, got)
		v = &e.Value
	case v == nil:
		v = new(V)
	}
	var err error
	if all == nil {
		err = c.decode(&got.Parsed, v)
	} else {
		*v, err = all.get(&c.core, func(v *V) error { return c.decode(&got.Parsed, v) })
	}
	if err != nil {
		c.count(corrupt, l.sinks)
		c.fault(l.ctx, l.key, err)
		l.refuse(got)
		return a, false
	}
	if c.opts.validIf != nil || l.wantsEntry {
		l.entry = c.describeRecord(v, got)
	}
	if c.opts.validIf != nil {
		if valid, err := c.valid(l, l.entry); !valid {
			if err == nil {
				l.refuse(got)
			}
			return answer[V]{err: err}, err != nil
		}
	}
	if e != nil {
		c.fill(&l.slot, l.storeKey, e, got)
	}
	return c.deliver(l, v, got)
}

// refuse notes that a record is of no use to this lookup.
func (l *lookup[K, V]) refuse(got *remote.Entry) { l.seen, l.stays = got.Record.Version, got.Stays }

// expiredRecord reports whether a record has expired since it was read, as far as that is known.
func (c *core) expiredRecord(got *remote.Entry) bool {
	ttl := got.Record.TTL
	return ttl > 0 && ttl != Forever && c.clock.Now() >= expiry(got.Sent, ttl)
}

// deliver is the end of openRecord.
func (c *engine[K, V]) deliver(l *lookup[K, V], v *V, got *remote.Entry) (a answer[V], ok bool) {
	if got.Parsed.Kind == record.None {
		a.err = c.noneOf(got)
	} else if c.remote.HasMemory() {
		if a.value, a.err = c.cloned(*v); a.err != nil {
			c.count(failed, l.sinks)
			return a, true
		}
	} else {
		a.value = *v
	}
	c.count(hitStore, l.sinks)
	// A record that slides is given its life anew at most once per eighth of it.
	if life := got.Parsed.Slide; life != 0 && !l.mode.NoWrite && got.Record.TTL <= life-life/8 {
		c.remote.ExpireLater(l.ctx, l.storeKey, got.Parsed.Tags, life)
	}
	return a, true
}

// noneOf returns the readers' error of a None: one of NoneIf's, if the record's text is still one's.
func (c *engine[K, V]) noneOf(got *remote.Entry) error {
	return c.opts.noneIf.byText(string(got.Parsed.Payload))
}

// entryOf returns the entry of a record, without its value. In front of a store it is ready for
// memory, except for its expiry.
func (c *engine[K, V]) entryOf(slot *tier.Key[K], got *remote.Entry) *tier.Entry[K, V] {
	rec, near := &got.Parsed, c.remote.HasMemory()
	var created int64
	if near {
		created = c.clock.At(rec.Created)
	}
	e := c.mem.NewEntry(slot, created, rec.Kind == record.None || near && (rec.Kind == record.Nil || len(rec.Tags) > 0))
	if d := e.Detail(); d != nil {
		d.Nil = rec.Kind == record.Nil
		if rec.Kind == record.None {
			d.None = c.noneOf(got)
		}
		if near {
			for _, t := range rec.Tags {
				d.Tags = append(d.Tags, c.tags.Label(t.Name).Tag())
			}
		}
	}
	return e
}

// describeRecord returns the snapshot of a record whose value was decoded.
func (c *engine[K, V]) describeRecord(v *V, got *remote.Entry) *Entry[V] {
	rec := &got.Parsed
	d := &Entry[V]{
		Value: *v, Created: rec.Created, Age: max(0, got.Read.Sub(rec.Created)), Left: got.Record.TTL,
		Kind: Kind(rec.Kind), // the Kinds are the first kinds of records, and a record of another kind is no entry
		Tags: rec.TagNames(),
	}
	if d.Left != Forever {
		d.Left -= time.Duration(c.clock.Now() - got.Sent)
	}
	return d
}
