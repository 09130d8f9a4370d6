package zodiac

import (
	"context"
	"slices"
	"time"

	"github.com/zodiac-go/zodiac/internal/remote"
)

// draftsAtOnce is for how many values of a SetMany the generations of tags are read together.
const draftsAtOnce = 512

// A manyWrite is a SetMany over a store.
type manyWrite[K comparable, V any] struct {
	e      *engine[K, V]
	ctx    context.Context
	plans  []planned[K, V]          // of the values that are not stored yet
	lives  map[string]time.Duration // of their tags
	failed ManyError[K]
}

// A planned is one value of a SetMany before its record is made.
type planned[K comparable, V any] struct {
	write[K, V]
	value V
	names []string // of tags beside the loader's
}

func (c *engine[K, V]) setMany(ctx context.Context, values map[K]V, opts []SetOption) error {
	m := manyWrite[K, V]{e: c, ctx: remote.Unending(ctx), lives: make(map[string]time.Duration)}
	for key, value := range values {
		m.plan(key, value, opts)
		if len(m.plans) == draftsAtOnce {
			m.flush()
		}
	}
	m.flush()
	return m.failed.orNil()
}

// plan does what comes before a command is sent.
func (m *manyWrite[K, V]) plan(key K, value V, opts []SetOption) {
	w, err := m.e.newWrite("SetMany", key, opts)
	p := planned[K, V]{write: w, value: value}
	if err == nil {
		p.names, err = m.e.plan(&p.write, &p.value, nil)
	}
	if err != nil {
		m.failed.note(key, err)
		return
	}
	for _, name := range slices.Concat(m.e.opts.tags, p.names) {
		m.lives[name] = max(m.lives[name], p.life)
	}
	m.plans = append(m.plans, p)
}

// flush makes the records of what is planned, and stores them.
func (m *manyWrite[K, V]) flush() {
	gens, err := m.e.remote.ReadTags(m.ctx, m.lives)
	if err != nil {
		bad := m.e.writeError(m.ctx, nil, err)
		for i := range m.plans {
			m.failed.add(m.plans[i].key, bad)
		}
		m.plans = m.plans[:0]
	}
	keys, writes := make([]K, 0, len(m.plans)), make([]*remote.Write, 0, len(m.plans))
	for i := range m.plans {
		p := &m.plans[i]
		p.gens = gens
		if !p.noTTL {
			if err := m.e.draftRecord(m.ctx, &p.write, &p.value, nil, p.names); err != nil {
				m.failed.add(p.key, err)
				continue
			}
		}
		keys, writes = append(keys, p.key), append(writes, &p.stored.Write)
	}
	m.report(keys, m.e.remote.SetMany(m.ctx, writes))
	m.plans = m.plans[:0]
	clear(m.lives)
}

// report notes the errors of keys. Each of them is reported once, whatever the number of its keys.
func (m *manyWrite[K, V]) report(keys []K, errs []error) {
	seen := make(map[error]error)
	for i, err := range errs {
		if err == nil {
			continue
		}
		if seen[err] == nil {
			seen[err] = m.e.writeError(m.ctx, nil, err)
		}
		m.failed.add(keys[i], seen[err])
	}
}
