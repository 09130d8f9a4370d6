package zodiac

import (
	"context"
	"errors"
	"sync"

	"github.com/zodiac-go/zodiac/internal/tier"
)

// manyAtOnce is how many keys one GetMany fetches at a time.
const manyAtOnce = 16

// GetMany returns the values of keys, as Get would one by one. What is missing is fetched, at most 16 keys at a time; each
// key shares its fetch with every other call. Duplicate keys count once.
//
// A key known not to exist ([ErrNone]) is absent from the map, and so is, under ReadOnly, one that is not cached. Every
// other failure is in a *[ManyError], and the values of the other keys are in the map beside it. If ctx ends, what is
// there is returned and the rest are errors. The map is never nil, except that a closed Loader returns nil and ErrClosed.
func (l *Loader[K, V]) GetMany(ctx context.Context, keys []K) (map[K]V, error) {
	m := many[K, V]{l: l, values: make(map[K]V, len(keys))}
	all := m.distinct(ctx, keys)
	if g := l.e.newGet(ctx, *new(K), stateOf(ctx), Mode{}); g.bypasses() {
		m.bypass(all)
	} else if l.e.closed.Load() {
		return nil, ErrClosed
	} else {
		missing := m.read(all)
		if l.e.remote != nil {
			missing = m.readStore(ctx, missing)
		}
		m.load(missing)
	}
	return m.values, m.failed.orNil()
}

// A many is one GetMany.
type many[K comparable, V any] struct {
	l *Loader[K, V]

	mu     sync.Mutex // guards the fields below
	values map[K]V
	failed ManyError[K]
}

// A wanted is one key of a GetMany, with all K that have its text.
type wanted[K comparable, V any] struct {
	get  getting[K, V]
	far  distant[V]
	keys []K
	one  [1]K // most have one
}

// distinct returns each key once, and rejects those without text.
func (m *many[K, V]) distinct(ctx context.Context, keys []K) []*wanted[K, V] {
	state := stateOf(ctx)
	all := make([]*wanted[K, V], 0, len(keys))
	seen := make(map[tier.Key[K]]*wanted[K, V], len(keys))
	places := make([]wanted[K, V], len(keys))
	for i, key := range keys {
		w := &places[i]
		w.get, w.one[0] = m.l.e.newGet(ctx, key, state, Mode{}), key
		w.get.far, w.keys = &w.far, w.one[:]
		var err error
		if w.get.place, err = m.l.e.placeOf(key, "GetMany"); err != nil {
			m.failed.Rejected = append(m.failed.Rejected, err)
			continue
		}
		id := w.get.place
		if first := seen[id]; first != nil {
			first.keys = append(first.keys, key)
			continue
		}
		seen[id] = w
		all = append(all, w)
	}
	return all
}

// bypass calls the function for each key in turn, on the caller's goroutine, as Bypass promises.
func (m *many[K, V]) bypass(all []*wanted[K, V]) {
	for _, w := range all {
		v, err := m.l.e.bypass(&w.get, m.l.fetch)
		m.add(w, v, err)
	}
}

// read takes what memory has, and returns the rest.
func (m *many[K, V]) read(all []*wanted[K, V]) (missing []*wanted[K, V]) {
	for _, w := range all {
		if m.l.e.remote != nil {
			if err := m.l.e.begin(&w.get); err != nil { // the text was made before
				m.add(w, *new(V), err)
				continue
			}
		}
		if a, ok := m.l.e.read(&w.get); ok {
			m.add(w, a.value, a.err)
		} else {
			missing = append(missing, w)
		}
	}
	return missing
}

// readStore takes what the store has, which it is asked for in one go, and returns the rest.
func (m *many[K, V]) readStore(ctx context.Context, all []*wanted[K, V]) (missing []*wanted[K, V]) {
	if len(all) == 0 || all[0].get.mode.NoRead {
		return all
	}
	gots, err := m.l.e.readRecords(ctx, all)
	for i, w := range all {
		var a answer[V]
		var ok bool
		switch {
		case err != nil:
			a, ok = m.l.e.unread(&w.get, err)
		case gots[i].record.Version != "":
			a, ok = m.l.e.openRecord(&w.get, &gots[i], hitStore)
		}
		if ok {
			m.add(w, a.value, a.err)
		} else {
			missing = append(missing, w)
		}
	}
	return missing
}

// load fetches what is missing.
func (m *many[K, V]) load(missing []*wanted[K, V]) {
	if len(missing) == 1 {
		m.fetch(missing[0])
		return
	}
	var wg sync.WaitGroup
	places := make(chan struct{}, manyAtOnce)
	for _, w := range missing {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			m.fetch(w)
		})
	}
	wg.Wait()
}

// fetch gets one key. If a function of an option exits the goroutine, which is ours, the key has failed.
func (m *many[K, V]) fetch(w *wanted[K, V]) {
	var v V
	err := error(&PanicError{Goexit: true, In: "an option", Loader: m.l.e.set.name})
	defer func() { m.add(w, v, err) }()
	if m.l.e.remote != nil {
		v, err = m.l.e.loadShared(&w.get, m.l.fetch)
	} else {
		v, err = m.l.e.load(&w.get, m.l.fetch)
	}
}

// add takes down what a Get of the key returned.
func (m *many[K, V]) add(w *wanted[K, V], v V, err error) {
	for i, key := range w.keys {
		if i > 0 && err == nil { // every K of the text gets a value of its own, as a Get of it would
			v, err = m.l.e.cloned(v)
		}
		m.put(key, v, err, w.get.mode.NoFetch)
	}
}

func (m *many[K, V]) put(key K, v V, err error, readOnly bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case err == nil:
		m.values[key] = v
	case isNone(err), readOnly && errors.Is(err, ErrMiss):
	default:
		m.failed.add(key, err)
	}
}
