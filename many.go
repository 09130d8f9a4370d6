package zodiac

import (
	"context"
	"errors"
	"math/bits"
	"sync"

	"github.com/zodiac-go/zodiac/internal/tier"
)

// manyAtOnce is how many keys one GetMany fetches at a time, besides those it waits for while others fetch them.
const manyAtOnce = 16

// GetMany returns the values of keys, as Get would one by one. What is missing is fetched, at most 16 keys at a time; each
// key shares its fetch with every other call, and one that others fetch is waited for without keeping the rest waiting. Duplicate
// keys count once.
//
// A key known not to exist ([ErrNone]) is absent from the map, and so is, under ReadOnly, one that is not cached. Every
// other failure is in a *[ManyError], and the values of the other keys are in the map beside it. If ctx ends, what is
// there is returned and the rest are errors. The map is never nil, except that a closed Loader returns nil and ErrClosed.
func (l *Loader[K, V]) GetMany(ctx context.Context, keys []K) (map[K]V, error) {
	m := many[K, V]{l: l, values: make(map[K]V, len(keys))}
	m.base = l.e.newGet(ctx, *new(K), stateOf(ctx), Mode{})
	if l.e.remote != nil {
		m.base.far.began, m.base.far.budget = l.e.order.Add(1), l.e.remote.newBudget()
	}
	all := m.distinct(keys)
	switch {
	case m.base.bypasses():
		m.bypass(all)
	case l.e.closed.Load():
		return nil, ErrClosed
	default:
		m.load(m.readStore(m.read(all)))
	}
	return m.values, m.failed.orNil()
}

// A many is one GetMany. Most keys are hits, which leave nothing behind but their values.
type many[K comparable, V any] struct {
	l    *Loader[K, V]
	base getting[K, V] // without a key
	get  getting[K, V] // of the key that is looked at: see at
	got  found         // what was read of it
	room []V           // see space

	mu     sync.Mutex // guards the fields below
	values map[K]V
	failed ManyError[K]
}

// A wanted is one key of a GetMany.
type wanted[K comparable, V any] struct {
	key     K
	place   tier.Key[K]
	name    string            // of the store
	refused *tier.Entry[K, V] // see getting
	rare    *rarity[K]        // nil for most
}

// A rarity is what few keys have.
type rarity[K comparable] struct {
	full string // see distant
	also []K    // others with the key's text
}

func (w *wanted[K, V]) rarity() *rarity[K] {
	if w.rare == nil {
		w.rare = new(rarity[K])
	}
	return w.rare
}

// A lacking is a key that was found nowhere.
type lacking[K comparable, V any] struct {
	*wanted[K, V]
	get getting[K, V]
}

// distinct returns each key once, and rejects those without text.
func (m *many[K, V]) distinct(keys []K) []wanted[K, V] {
	all := make([]wanted[K, V], 0, len(keys))
	table := make([]int, 1<<bits.Len(uint(2*len(keys)))) // by hash, with open addressing: places in all, counted from 1
	for _, key := range keys {
		w, err := m.locate(key)
		if err != nil {
			m.failed.Rejected = append(m.failed.Rejected, err)
			continue
		}
		at := w.place.Hash % uint64(len(table))
		for table[at] != 0 && all[table[at]-1].place != w.place {
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

func (m *many[K, V]) locate(key K) (w wanted[K, V], err error) {
	w.key = key
	if w.place, err = m.l.e.placeOf(key, "GetMany"); err != nil || m.l.e.remote == nil {
		return w, err
	}
	var full string
	if w.name, full, err = m.l.e.storeKey(&w.place, key, "GetMany"); full != "" {
		w.rarity().full = full
	}
	return w, err
}

// at returns the Get of a key, until the next call.
func (m *many[K, V]) at(w *wanted[K, V]) *getting[K, V] {
	m.get = m.base
	m.get.key, m.get.place, m.get.refused, m.get.far.key = w.key, w.place, w.refused, w.name
	if w.rare != nil {
		m.get.far.full = w.rare.full
	}
	return &m.get
}

// bypass calls the function for each key in turn, on the caller's goroutine, as Bypass promises.
func (m *many[K, V]) bypass(all []wanted[K, V]) {
	for i := range all {
		v, err := m.l.e.bypass(m.at(&all[i]), m.l.fetch)
		m.add(&all[i], v, err)
	}
}

// read takes what memory has, and returns the rest, which replaces all.
func (m *many[K, V]) read(all []wanted[K, V]) (rest []wanted[K, V]) {
	if m.l.e.remote != nil && m.l.e.near == nil {
		return all
	}
	rest = all[:0]
	for i := range all {
		w := &all[i]
		g := m.at(w)
		if a, ok := m.l.e.read(g); ok {
			m.add(w, a.value, a.err)
		} else {
			w.refused = g.refused
			rest = append(rest, *w)
		}
	}
	return rest
}

// readStore takes what the store has, which it is asked for in one go, and returns the rest.
func (m *many[K, V]) readStore(all []wanted[K, V]) (rest []lacking[K, V]) {
	e := &m.l.e
	var h harvest
	var err error
	if asks := e.remote != nil && len(all) > 0 && !m.base.mode.NoRead; asks {
		names := make([]string, len(all), len(all)+len(e.own))
		for i := range all {
			names[i] = all[i].name
		}
		h, err = e.readRecords(m.base.ctx, &m.base.far.budget, names)
	}
	for i := range all {
		w := &all[i]
		g := m.at(w)
		var a answer[V]
		var ok bool
		switch {
		case err != nil:
			a, ok = e.unread(g, err)
		case h.has(i):
			m.got = h.found(i)
			a, ok = e.openRecord(g, &m.got, m.space(len(all)-i), nil, hitStore)
		}
		if ok {
			m.add(w, a.value, a.err)
		} else {
			rest = append(rest, lacking[K, V]{w, *g})
		}
	}
	return rest
}

// space returns where to decode a value into that is not for memory, for one of so many keys. Each has one of its own, for good: it may
// point into itself.
func (m *many[K, V]) space(of int) *V {
	if m.l.e.near != nil {
		return nil
	}
	const together = 64
	if len(m.room) == 0 {
		m.room = make([]V, min(of, together))
	}
	v := &m.room[0]
	m.room = m.room[1:]
	return v
}

// load fetches what is missing.
func (m *many[K, V]) load(missing []lacking[K, V]) {
	if len(missing) == 1 {
		m.fetch(&missing[0])
		return
	}
	var wg sync.WaitGroup
	places := make(chan struct{}, manyAtOnce)
	for i := range missing {
		places <- struct{}{}
		wg.Go(func() {
			leave := sync.OnceFunc(func() { <-places })
			defer leave()
			missing[i].get.waits = leave
			m.fetch(&missing[i])
		})
	}
	wg.Wait()
}

// fetch gets one key. If a function of an option exits the goroutine, which is ours, the key has failed.
func (m *many[K, V]) fetch(w *lacking[K, V]) {
	var v V
	err := error(&PanicError{Goexit: true, In: "an option", Loader: m.l.e.set.name})
	defer func() { m.add(w.wanted, v, err) }()
	if m.l.e.remote != nil {
		v, err = m.l.e.loadShared(&w.get, m.l.fetch)
	} else {
		v, err = m.l.e.load(&w.get, m.l.fetch)
	}
}

// add takes down what a Get of the key returned.
func (m *many[K, V]) add(w *wanted[K, V], v V, err error) {
	m.put(w.key, v, err)
	if w.rare == nil {
		return
	}
	for _, key := range w.rare.also {
		if err == nil { // every K of the text gets a value of its own, as a Get of it would
			v, err = m.l.e.cloned(v)
		}
		m.put(key, v, err)
	}
}

func (m *many[K, V]) put(key K, v V, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case err == nil:
		m.values[key] = v
	case isNone(err), m.base.mode.NoFetch && errors.Is(err, ErrMiss):
	default:
		m.failed.add(key, err)
	}
}
