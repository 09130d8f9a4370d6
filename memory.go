package zodiac

import (
	"time"

	"github.com/zodiac-go/zodiac/internal/coarse"
	"github.com/zodiac-go/zodiac/internal/flight"
	"github.com/zodiac-go/zodiac/internal/negative"
	"github.com/zodiac-go/zodiac/internal/remote"
	"github.com/zodiac-go/zodiac/internal/tag"
	"github.com/zodiac-go/zodiac/internal/tier"
)

// slot returns where key is in memory. The error is ErrClosed or a *KeyError.
func (c *engine[K, V]) slot(key K, op string) (tier.Key[K], error) {
	if c.closed.Load() {
		return tier.Key[K]{}, ErrClosed
	}
	return c.slotOf(key, op)
}

// slotOf is slot whether or not the cache is closed.
func (c *engine[K, V]) slotOf(key K, op string) (tier.Key[K], error) {
	if c.opts.keys.Plain && key == key { //nolint:gocritic // NaN is not, and has no text
		return c.mem.Plain(key), nil
	}
	var text string
	var err error
	if bug := c.guard("WithKey", func() { text, err = c.opts.keys.Text(key) }); bug != nil {
		err = bug
	}
	if err != nil {
		return tier.Key[K]{}, &KeyError{Loader: c.name, Op: op, Err: err}
	}
	return c.mem.Text(text), nil
}

// read looks into memory. ok is false if it has nothing that this caller may have.
func (c *engine[K, V]) read(l *lookup[K, V]) (a answer[V], ok bool) {
	if l.mode.NoRead {
		return a, false
	}
	e := c.usable(&l.slot, l.sinks)
	if e == nil {
		return a, false
	}
	a, ok = c.open(l, e)
	if ok && !l.mode.NoWrite {
		e.Use()
		if d := e.Detail(); d != nil && d.Life.Load() > 0 {
			c.mem.Slide(e)
		}
	}
	return a, ok
}

// brief is read of an entry that needs no further look. It returns nil for others.
func (c *engine[K, V]) brief(l *lookup[K, V]) *tier.Entry[K, V] {
	if l.mode.NoRead || l.mode.NoWrite {
		return nil
	}
	return c.mem.HitAt(&l.slot)
}

// usable returns the entry of a slot if it is alive. It removes an entry whose tag was deleted.
func (c *engine[K, V]) usable(slot *tier.Key[K], sinks []*counters) *tier.Entry[K, V] {
	e := c.mem.Find(slot)
	if e == nil || c.mem.Expired(e) {
		return nil
	}
	if !e.Current() {
		if c.mem.Remove(slot, e) {
			c.count(invalid, sinks)
		}
		return nil
	}
	return e
}

// open returns a reader's answer of a live entry and counts the hit. ok is false if ValidIf refuses.
func (c *engine[K, V]) open(l *lookup[K, V], e *tier.Entry[K, V]) (a answer[V], ok bool) {
	if e == l.refused {
		return a, false
	}
	if c.opts.validIf != nil {
		d := c.describe(e)
		if valid, err := c.valid(l, &d); !valid {
			l.refused = e
			return answer[V]{err: err}, err != nil
		}
	}
	if d := e.Detail(); d != nil && d.None != nil {
		c.hit(l.sinks)
		a.err = d.None
		return a, true
	}
	if a.value, a.err = c.cloned(e.Value); a.err != nil {
		c.count(failed, l.sinks)
		return a, true
	}
	c.hit(l.sinks)
	return a, true
}

// valid asks ValidIf about an entry, and counts what it refuses. The error is that of a panic.
func (c *engine[K, V]) valid(l *lookup[K, V], d *Entry[V]) (valid bool, err error) {
	if err = c.guard("ValidIf", func() { valid = c.opts.validIf(l.key, *d) }); err != nil {
		c.count(failed, l.sinks)
	} else if !valid {
		c.count(invalid, l.sinks)
	}
	return valid, err
}

// describe returns the snapshot of an entry, with the value as memory has it. It speaks of the entry
// in the store if that is there and this one is a copy.
func (c *engine[K, V]) describe(e *tier.Entry[K, V]) Entry[V] {
	t := time.Now()
	now := c.clock.At(t)
	d := Entry[V]{Value: e.Value, Created: c.clock.Time(e.Created), Age: time.Duration(max(0, now-e.Created)), Left: Forever}
	if c.remote != nil { // another process may have made it: by the wall clock, as a read of the store has it
		d.Created = d.Created.Round(0)
		d.Age = max(0, t.Round(0).Sub(d.Created))
	}
	if end := e.End(); end != coarse.Never {
		d.Left = time.Duration(max(0, end-now))
	}
	if t := e.Detail(); t != nil {
		switch {
		case t.None != nil:
			d.Kind = KindNone
		case t.Nil:
			d.Kind = KindNil
		}
		d.Tags = tag.Names(t.Tags)
	}
	return d
}

// detailed reports whether the entry of *value, or of a None if none is not nil, has more to say
// than the value.
func (c *engine[K, V]) detailed(value *V, none error, tags []tier.Tag) bool {
	return none != nil || len(tags) > 0 || c.opts.life.sliding || c.isNil(value)
}

func (c *engine[K, V]) isNil(value *V) bool { return c.opts.isNil != nil && c.opts.isNil(*value) }

// entry returns a new entry of *value, or of a None if none is not nil.
func (c *engine[K, V]) entry(slot *tier.Key[K], created int64, value *V, none error, life time.Duration, tags []tier.Tag) *tier.Entry[K, V] {
	e := c.mem.NewEntry(slot, created, c.detailed(value, none, tags))
	if d := e.Detail(); d != nil {
		d.Nil, d.None, d.Tags = none == nil && c.isNil(value), none, tags
		d.Life.Store(int64(c.opts.life.slide(life)))
	}
	if none == nil {
		e.Value = *value
	}
	return e
}

// copied returns a copy of *v if values are copied. It may panic.
func (c *engine[K, V]) copied(v *V) *V {
	if c.opts.clone == nil || c.isNil(v) {
		return v
	}
	out := c.opts.clone(*v)
	return &out
}

// cloned is copied on the caller's goroutine.
func (c *engine[K, V]) cloned(v V) (V, error) {
	if c.opts.clone == nil {
		return v, nil
	}
	return c.clonedSlow(v)
}

func (c *engine[K, V]) clonedSlow(v V) (out V, err error) {
	err = c.guard("WithClone", func() { out = *c.copied(&v) })
	return out, err
}

// put stores an entry at now, for life. The caller holds the key's lock of flights.
func (c *engine[K, V]) put(slot *tier.Key[K], e *tier.Entry[K, V], life time.Duration, now int64) {
	e.ExpireAt(expiry(now, life))
	c.mem.Put(slot, e, now)
	negative.Delete(c.failures, slot)
}

// remove empties a slot, and reports whether it was alive. The caller holds the flights' lock of it.
func (c *engine[K, V]) remove(slot *tier.Key[K]) bool {
	negative.Delete(c.failures, slot)
	return c.mem.Delete(slot)
}

// supersede removes the entry that is older than the result of a forced fetch which was discarded:
// its callers are about to see something newer. What was stored since the fetch began stays.
func (c *engine[K, V]) supersede(f *flight.Flight[tier.Key[K], job[K, V]]) {
	if f.Kind != flight.Forced {
		return
	}
	c.flights.Change(f.Key, f.Key.Hash, func() bool {
		if old := f.Job.result.old; f.Wanted() && old != nil {
			c.mem.Remove(&f.Key, old)
		}
		return false
	})
}

// drop invalidates a key in this process: its flights are discarded, memory has it no more, and
// what was read before is not put there. It reports whether memory had an entry that was alive.
// storeKey is empty without a store.
func (c *engine[K, V]) drop(slot *tier.Key[K], storeKey string) (had bool) {
	c.flights.Change(*slot, slot.Hash, func() bool {
		if c.remote != nil {
			c.remote.Invalidate(storeKey)
		}
		had = c.remove(slot)
		return true
	})
	return had
}

// forget removes a key from memory in front of a store and leaves its flight alone: the flight's
// result is as good as what was there.
func (c *engine[K, V]) forget(slot *tier.Key[K], storeKey string) {
	if !c.remote.HasMemory() {
		return
	}
	c.flights.Change(*slot, slot.Hash, func() bool {
		c.remote.Invalidate(storeKey)
		c.mem.Delete(slot)
		return false
	})
}

// nearMemory returns what package remote may do with memory in front of a store.
func (c *engine[K, V]) nearMemory() *remote.Memory {
	return &remote.Memory{
		Clear: func() {
			c.flights.Sync() // a fill that was permitted before is in memory now
			c.mem.Clear()
		},
		Remove: func(slot any) {
			p := slot.(*tier.Key[K])
			c.flights.Change(*p, p.Hash, func() bool {
				c.remove(p)
				return false
			})
		},
		Empty: func(slot any) bool { return c.mem.Find(slot.(*tier.Key[K])) == nil },
	}
}

// fill puts the entry of a record into memory, unless its key may have been invalidated meanwhile.
func (c *engine[K, V]) fill(slot *tier.Key[K], storeKey string, e *tier.Entry[K, V], got *remote.Entry) {
	life := got.Record.TTL
	if got.Fill == (remote.FillToken{}) || life <= 0 {
		return
	}
	c.expireCopy(e, got.Sent, life)
	c.flights.Change(*slot, slot.Hash, func() bool {
		c.insert(slot, storeKey, e, got.Fill)
		return false
	})
}

// fillResult puts the committed result of a flight into memory, and removes what it replaces. gone
// says that the key holds nothing now. A forced flight fills nothing: Seal has moved the stripe of
// the key after its token was taken.
func (c *engine[K, V]) fillResult(f *flight.Flight[tier.Key[K], job[K, V]], gone bool) {
	r, s := &f.Job.result, &f.Job.stored.fetch
	c.flights.Change(f.Key, f.Key.Hash, func() bool {
		token := s.Fill
		if s.Force || s.Seen != "" { // a read that is under way may have seen the old record
			c.remote.Invalidate(s.Key)
			c.remove(&f.Key)
			token = token.Moved()
		}
		if !gone && !s.Force && token != (remote.FillToken{}) {
			c.expireCopy(r.entry, s.Sent, r.life)
			c.insert(&f.Key, s.Key, r.entry, token)
		}
		return false
	})
}

// expireCopy sets when an entry in front of the store expires whose record lives for life from sent
// on.
func (c *engine[K, V]) expireCopy(e *tier.Entry[K, V], sent int64, life time.Duration) {
	e.ExpireAt(expiry(sent, c.remote.NearLife(life)))
	e.SetEnd(expiry(sent, life))
}

// insert is the end of fill. The caller holds the key's lock of flights.
func (c *engine[K, V]) insert(slot *tier.Key[K], storeKey string, e *tier.Entry[K, V], token remote.FillToken) {
	noted := *slot // outlives the lookup
	var tags []tier.Tag
	if d := e.Detail(); d != nil {
		tags = d.Tags
	}
	c.remote.Fill(storeKey, token, &noted, tags, func() { c.mem.Put(slot, e, c.clock.Now()) })
}
