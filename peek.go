package zodiac

import (
	"context"
	"time"

	"github.com/zodiac-go/zodiac/internal/callstate"
)

// An Entry describes the entry that a cache holds for a key. It is a snapshot. Over a store it
// describes the entry there, also if memory in front of it had a copy that will be gone before.
type Entry[V any] struct {
	Value   V
	Created time.Time     // when its fetch began, or when it was set
	Age     time.Duration // the time since Created, never negative
	Left    time.Duration // the time until it expires; Forever if it does not
	Kind    Kind
	Tags    []string // in no order; nil if there are none
}

// Peek returns the value of key if there is a usable one. It never fetches, waits or extends a
// life. The error of a None is (zero, true, its error). Peek counts as a read that may not fetch,
// and does not spare the entry from eviction.
//
// The other errors are [ErrClosed], a [*KeyError], and a [*PanicError] of ValidIf or WithClone. Over
// a store there are also the error of ctx, and with [FailClosed] a [*StoreError].
func (c *Cache[K, V]) Peek(ctx context.Context, key K) (V, bool, error) {
	a, ok := c.made().peek(ctx, "Peek", key, nil)
	return a.value, ok, a.err
}

// Entry is Peek that returns all there is to know. Of a None it returns an Entry and its error.
func (c *Cache[K, V]) Entry(ctx context.Context, key K) (Entry[V], bool, error) {
	var d Entry[V]
	a, ok := c.made().peek(ctx, "Entry", key, &d)
	if !ok {
		return Entry[V]{}, false, a.err
	}
	d.Value = a.value
	return d, true, a.err
}

// peek is a lookup that does what its name says in any mode. If d is not nil, it is set to the
// entry's description. ok says whether there is a usable entry. A panic of an option's function is
// no entry.
func (c *engine[K, V]) peek(ctx context.Context, op string, key K, d *Entry[V]) (a answer[V], ok bool) {
	state := stateOf(ctx)
	l := lookup[K, V]{ctx: ctx, key: key, state: state, sinks: state.Collectors(), mode: callstate.Mode{NoWrite: true, NoFetch: true}}
	if a.err = c.locate(&l, op); a.err != nil {
		return a, false
	}
	if e := c.usable(&l.slot, l.sinks); e != nil {
		if a, ok = c.open(&l, e); ok {
			if d != nil {
				*d = c.describe(e)
			}
			return a, a.err == nil || isNone(a.err)
		}
	}
	if c.remote != nil {
		if a, ok = c.peekStore(&l, d); ok {
			return a, a.err == nil || isNone(a.err)
		}
	}
	c.count(missed, l.sinks)
	return a, false
}

// peekStore is the part of peek over a store. ok says whether there is an answer.
func (c *engine[K, V]) peekStore(l *lookup[K, V], d *Entry[V]) (a answer[V], ok bool) {
	if a.err = l.ctx.Err(); a.err != nil {
		c.count(canceled, l.sinks)
		return a, true
	}
	if d == nil {
		return c.readStore(l)
	}
	got, err := c.remote.ReadLeft(l.ctx, &l.budget, l.storeKey)
	if err != nil {
		return c.unread(l, err, nil)
	}
	l.wantsEntry = true
	if a, ok = c.openRecord(l, &got, nil, nil); ok && l.entry != nil {
		*d = *l.entry
	}
	return a, ok
}
