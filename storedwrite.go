package zodiac

import (
	"context"

	"github.com/zodiac-go/zodiac/internal/remote"
	"github.com/zodiac-go/zodiac/internal/tier"
)

// A storedWrite is the part of a write over a store. It is the WriteOwner of its remote.Write.
type storedWrite[K comparable, V any] struct {
	remote.Write
	c     *engine[K, V]
	key   K
	place tier.Key[K]
	full  string            // see lookup
	entry *tier.Entry[K, V] // of the record that was read last
}

func (c *engine[K, V]) newStoredWrite(place tier.Key[K], key K, op string) (*storedWrite[K, V], error) {
	w := &storedWrite[K, V]{c: c, key: key, place: place}
	w.Client, w.Owner, w.Budget = c.remote, writeOwner[K, V]{w}, c.remote.NewBudget()
	var err error
	w.Key, w.full, err = c.storeKey(&w.place, key, op)
	return w, err
}

// A writeOwner is a storedWrite as its remote.Write knows it.
type writeOwner[K comparable, V any] struct{ w *storedWrite[K, V] }

// Usable implements remote.WriteOwner.
func (o writeOwner[K, V]) Usable(ctx context.Context, got *remote.Entry) bool {
	c := o.w.c
	if !c.usableRecord(o.w.full, nil, got) {
		return false
	}
	e := c.entryOf(&o.w.place, got)
	if err := c.decode(&got.Parsed, &e.Value); err != nil {
		c.count(corrupt, nil)
		c.fault(ctx, o.w.key, err)
		return false
	}
	o.w.entry = e
	return true
}

// Drop implements remote.WriteOwner.
func (o writeOwner[K, V]) Drop() { o.w.c.drop(&o.w.place, o.w.Key) }

// Forget implements remote.WriteOwner.
func (o writeOwner[K, V]) Forget() { o.w.c.forget(&o.w.place, o.w.Key) }

// StoreFailed implements remote.WriteOwner.
func (o writeOwner[K, V]) StoreFailed(ctx context.Context, err error) {
	_ = o.w.c.storeFault(ctx, o.w.key, err)
}
