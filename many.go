package zodiac

import (
	"context"
	"errors"
	"math/bits"
	"sync"

	"github.com/zodiac-go/zodiac/internal/callstate"
	"github.com/zodiac-go/zodiac/internal/remote"
	"github.com/zodiac-go/zodiac/internal/tier"
)

// manyAtOnce is how many keys one GetMany fetches at a time, besides those that others fetch.
const manyAtOnce = 16

// GetMany returns the values of keys, as Get would one by one. Keys that are missing are fetched,
// at most 16 at a time. Each key shares its fetch with every other call. A key that others fetch is
// waited for without keeping the rest waiting. Duplicate keys count once. A store is read in chunks of
// two thousand keys, each for as long as [WithStoreTimeout] says at most.
//
// A key that is known not to exist ([ErrNone]) is absent from the map, and so is, under ReadOnly, a
// key that is not cached. Every other failure is in a [*ManyError], and the values of the other keys
// are in the map beside it. If ctx ends, the map has what is there, and the rest are errors. The map
// is never nil, except that a closed Loader returns nil and ErrClosed.
func (l *Loader[K, V]) GetMany(ctx context.Context, keys []K) (map[K]V, error) {
	e := l.made()
	m := batch[K, V]{e: e, fetch: l.fetch, values: make(map[K]V, len(keys))}
	m.base = e.newLookup(ctx, *new(K), stateOf(ctx), callstate.Mode{})
	if e.remote != nil {
		m.base.began, m.base.budget = e.remote.Now(), e.remote.NewBudget()
	}
	all := m.distinct(keys)
	switch {
	case m.base.bypasses():
		m.bypass(all)
	case e.closed.Load():
		return nil, ErrClosed
	default:
		m.load(m.readAll(m.read(all)))
	}
	return m.values, m.failed.orNil()
}

// A batch is the lookup of many keys. Most are hits, which leave nothing behind but their values.
type batch[K comparable, V any] struct {
	e      *engine[K, V]
	fetch  func(context.Context, K) (V, error)
	base   lookup[K, V] // without a key
	lookup lookup[K, V] // of one key at a time: see at
	got    remote.Entry // the record of that key
	room   []V          // see space

	mu     sync.Mutex // guards the fields below
	values map[K]V
	failed ManyError[K]
}

// A batchKey is one key of a batch.
type batchKey[K comparable, V any] struct {
	key      K
	slot     tier.Key[K]
	storeKey string
	refused  *tier.Entry[K, V] // see lookup
	rare     *rarity[K]        // nil for most
}

// A rarity is what few keys have.
type rarity[K comparable] struct {
	full string // see lookup
	also []K    // other keys of the same text
}

func (w *batchKey[K, V]) rarity() *rarity[K] {
	if w.rare == nil {
		w.rare = new(rarity[K])
	}
	return w.rare
}

// A missingKey is a key that was found neither in memory nor in the store.
type missingKey[K comparable, V any] struct {
	*batchKey[K, V]
	lookup lookup[K, V]
}

// distinct returns each key once, and rejects keys without text.
func (m *batch[K, V]) distinct(keys []K) []batchKey[K, V] {
	all := make([]batchKey[K, V], 0, len(keys))
	table := make([]int, 1<<bits.Len(uint(2*len(keys)))) // by hash, with open addressing: indexes in all, from 1
	for _, key := range keys {
		w, err := m.locate(key)
		if err != nil {
			m.failed.Rejected = append(m.failed.Rejected, err)
			continue
		}
		at := w.slot.Hash % uint64(len(table))
		for table[at] != 0 && all[table[at]-1].slot != w.slot {
			at = (at + 1) % uint64(len(table))
		}
		if table[at] != 0 {
			rare := all[table[at]-1].rarity()
			rare.also = append(rare.also, key)
			continue
		}
		all = append(all, w)
		table[at] = len(all)
	}
	return all
}

func (m *batch[K, V]) locate(key K) (w batchKey[K, V], err error) {
	w.key = key
	if w.slot, err = m.e.slotOf(key, "GetMany"); err != nil || m.e.remote == nil {
		return w, err
	}
	var full string
	if w.storeKey, full, err = m.e.storeKey(&w.slot, key, "GetMany"); full != "" {
		w.rarity().full = full
	}
	return w, err
}

// at returns the lookup of a key, until the next call.
func (m *batch[K, V]) at(w *batchKey[K, V]) *lookup[K, V] {
	m.lookup = m.base
	m.lookup.key, m.lookup.slot, m.lookup.refused, m.lookup.storeKey = w.key, w.slot, w.refused, w.storeKey
	if w.rare != nil {
		m.lookup.full = w.rare.full
	}
	return &m.lookup
}

// bypass calls the fetch function for each key in turn, on the caller's goroutine: see [Bypass].
func (m *batch[K, V]) bypass(all []batchKey[K, V]) {
	for i := range all {
		v, err := m.e.bypass(m.at(&all[i]), m.fetch)
		m.add(&all[i], v, err)
	}
}

// read takes what memory has, and returns the rest, which replaces all.
func (m *batch[K, V]) read(all []batchKey[K, V]) (rest []batchKey[K, V]) {
	if m.e.remote != nil && !m.e.remote.HasMemory() {
		return all
	}
	rest = all[:0]
	for i := range all {
		w := &all[i]
		l := m.at(w)
		if a, ok := m.e.read(l); ok {
			m.add(w, a.value, a.err)
		} else {
			w.refused = l.refused
			rest = append(rest, *w)
		}
	}
	return rest
}

// readAll takes what the store has, in chunks with a budget each, and returns the rest.
func (m *batch[K, V]) readAll(all []batchKey[K, V]) (rest []missingKey[K, V]) {
	if m.e.remote == nil {
		return m.readStore(all)
	}
	for len(all) > 0 {
		n := min(len(all), m.e.remote.ReadChunk())
		m.base.budget = m.e.remote.NewBudget()
		rest = append(rest, m.readStore(all[:n])...)
		all = all[n:]
	}
	return rest
}

// readStore takes what the store has, by one batch read, and returns the rest. If the read fails, the
// Observer is told once.
func (m *batch[K, V]) readStore(all []batchKey[K, V]) (rest []missingKey[K, V]) {
	var read remote.BatchRead
	var err, bad error
	if m.e.remote != nil && len(all) > 0 && !m.base.mode.NoRead {
		keys := make([]string, len(all), len(all)+len(m.e.labels)+1)
		for i := range all {
			keys[i] = all[i].storeKey
		}
		read, err = m.e.remote.ReadMany(m.base.ctx, &m.base.budget, keys)
		if isFault(m.base.ctx, err) {
			bad = m.e.storeFault(m.base.ctx, nil, err)
		}
	}
	for i := range all {
		w := &all[i]
		l := m.at(w)
		l.tags = read.Watch
		var a answer[V]
		var ok bool
		switch {
		case err != nil:
			a, ok = m.e.unread(l, err, bad)
		case m.e.opts.store.failClosed && read.Err(i) != nil:
			m.e.count(failed, l.sinks)
			a, ok = answer[V]{err: m.e.storeError(read.Err(i))}, true
		case read.Has(i):
			m.got = read.Entry(i)
			a, ok = m.e.openRecord(l, &m.got, m.space(len(all)-i), nil)
		}
		if ok {
			m.add(w, a.value, a.err)
		} else {
			rest = append(rest, missingKey[K, V]{w, *l})
		}
	}
	return rest
}

// space returns where to decode the value of one of the next n keys, if it is not for memory. Each
// key has a place of its own for good, since a value may point into itself.
func (m *batch[K, V]) space(n int) *V {
	if m.e.remote.HasMemory() {
		return nil
	}
	const together = 64
	if len(m.room) == 0 {
		m.room = make([]V, min(n, together))
	}
	v := &m.room[0]
	m.room = m.room[1:]
	return v
}

// load fetches the keys that are missing.
func (m *batch[K, V]) load(missing []missingKey[K, V]) {
	if len(missing) == 1 {
		m.loadOne(&missing[0])
		return
	}
	m.base.surround() // on the caller's goroutine
	var wg sync.WaitGroup
	turns := make(chan struct{}, manyAtOnce)
	for i := range missing {
		turns <- struct{}{}
		wg.Go(func() {
			leave := sync.OnceFunc(func() { <-turns })
			defer leave()
			missing[i].lookup.waits, missing[i].lookup.within = leave, m.base.within
			m.loadOne(&missing[i])
		})
	}
	wg.Wait()
}

// loadOne fetches one key. If a function of an option exits the goroutine, which is ours, or a method
// of an error of the user's panics there, the key has failed.
func (m *batch[K, V]) loadOne(w *missingKey[K, V]) {
	var v V
	err := error(&PanicError{Goexit: true, In: "an option", Loader: m.e.name})
	defer func() {
		if p := recover(); p != nil {
			err = m.e.panicked("an option or an error", p)
			m.e.logPanic(err)
		}
		m.add(w.batchKey, v, err)
	}()
	v, err = m.e.load(&w.lookup, m.fetch)
}

// add notes the outcome of a key.
func (m *batch[K, V]) add(w *batchKey[K, V], v V, err error) {
	m.put(w.key, v, err)
	if w.rare == nil {
		return
	}
	for _, key := range w.rare.also {
		if err == nil { // every K of the text gets a value of its own, as a Get of it would
			v, err = m.e.cloned(v)
		}
		m.put(key, v, err)
	}
}

func (m *batch[K, V]) put(key K, v V, err error) {
	absent := false
	if err != nil { // an error whose methods panic is a failure
		_ = m.e.guarded("an error", func() { absent = isNone(err) || m.base.mode.NoFetch && errors.Is(err, ErrMiss) })
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case err == nil:
		m.values[key] = v
	case !absent:
		m.failed.add(key, err)
	}
}
