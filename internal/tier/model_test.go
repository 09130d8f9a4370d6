package tier

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac/internal/coarse"
	"pgregory.net/rapid"
)

// A model is a tier, and a map to which the same has happened.
type model struct {
	tier     *intTier
	capacity int
	newest   map[int]*intEntry // the entries put last and not deleted; the tier may have evicted some
	label    *Label
	fault    fault

	serial   int
	inserted int // puts of keys without an entry
	taken    int // entries that were deleted, removed or cleared
	replaced int // expired entries that a put replaced
}

func newModel(t *intTier, capacity int) *model {
	return &model{tier: t, capacity: capacity, newest: map[int]*intEntry{}, label: &Label{Name: "label"}}
}

func (m *model) key(i int) Key[int] {
	if m.tier.text {
		return m.tier.Text(fmt.Sprint("key ", i))
	}
	return m.tier.Plain(i)
}

// dead reports whether e is not alive.
func (m *model) dead(e *intEntry) bool {
	if m.tier.clock.Now() >= e.Expiry() {
		return true
	}
	d := e.Detail()
	return d != nil && len(d.Tags) > 0 && d.Tags[0] != m.label.Tag()
}

func (m *model) put(i int, life time.Duration, d extra) { m.swap(i, nil, life, d) }

// putMany puts one key more than the capacity.
func (m *model) putMany(first int, life time.Duration) {
	for i := range m.capacity + 1 {
		m.put(first+i, life, extra{})
	}
}

// swap calls Put if want is nil, else Swap, and checks what it does.
func (m *model) swap(i int, want *intEntry, life time.Duration, d extra) {
	key := m.key(i)
	expiry := int64(coarse.Never)
	if life > 0 {
		expiry = m.tier.clock.Now() + int64(life)
	}
	old := find(m.tier, key)
	e := entryOf(m.tier, key, m.serial+1, expiry, d)
	if want != nil {
		got := m.tier.Swap(&key, want, e, m.tier.clock.Now())
		m.fault.unless(got == (old == want),
			"Swap(%d) = %v with old = %v; the entry is %v", i, got, want, old)
		if old != want {
			m.fault.unless(find(m.tier, key) == old,
				"a Swap of key %d returned false and changed the entry", i)
			return
		}
	} else {
		store(m.tier, key, e)
	}
	switch {
	case old == nil:
		m.inserted++
	case old.Expiry() <= m.tier.clock.Now():
		m.replaced++
	}
	m.serial++
	m.newest[i] = e
	m.fault.unless(find(m.tier, key) == e, "key %d is not there after its Put", i)
}

// get reads key i by every method that reads.
func (m *model) get(i int) {
	e := find(m.tier, m.key(i))
	m.fault.unless(e == nil || e == m.newest[i], "Find(%d) = %v; want %v or nil", i, e, m.newest[i])
	if e == nil {
		return
	}
	alive := m.tier.Alive(e)
	m.fault.unless(alive == !m.dead(e),
		"key %d: Alive = %v; it expires at %d; now is %d", i, alive, e.Expiry(), m.tier.clock.Now())
	if h, absent := m.tier.Hit(i); h != nil || absent {
		m.fault.unless(h == nil || h == e && alive && !absent,
			"Hit(%d) = %v, %v; the entry is %v, alive: %v", i, h, absent, e, alive)
		m.fault.unless(!absent || !alive, "Hit(%d): absent = true; the entry is alive", i)
	} else {
		m.fault.unless(m.tier.text || e.Detail() != nil,
			"Hit(%d) = nil, false; the entry has no Detail", i)
	}
	key := m.key(i)
	brief := m.tier.HitAt(&key)
	m.fault.unless(brief == nil || brief == e && alive && e.wasSeen(),
		"HitAt(%d) = %v; the entry is %v, alive: %v", i, brief, e, alive)
	m.fault.unless(brief != nil || !alive || e.state.Load()&checked != 0,
		"HitAt(%d) = nil; the entry is alive and needs no check", i)
	if alive {
		e.Use()
		if d := e.Detail(); d != nil && d.Life.Load() > 0 {
			e.Slide(m.tier.clock.Exact())
		}
	}
}

// delete calls Delete and checks what it does.
func (m *model) delete(i int) {
	key := m.key(i)
	e := find(m.tier, key)
	want := e != nil && !m.dead(e)
	got := m.tier.Delete(&key)
	m.fault.unless(got == want, "Delete(%d) = %v; want %v", i, got, want)
	m.gone(i, e)
}

// remove calls Remove for e, which may have been replaced, and checks what it does.
func (m *model) remove(i int, e *intEntry) {
	key := m.key(i)
	want := e == find(m.tier, key)
	got := m.tier.Remove(&key, e)
	m.fault.unless(got == want, "Remove(%d) = %v; want %v", i, got, want)
	if want {
		m.gone(i, e)
	}
}

// touch calls Touch for e, which may have been replaced, and checks what it does.
func (m *model) touch(i int, e *intEntry, life time.Duration) {
	key, now, expiry := m.key(i), m.tier.clock.Now(), int64(coarse.Never)
	if life > 0 {
		expiry = now + int64(life)
	}
	want, before, slid := e == find(m.tier, key) && !m.dead(e), e.Expiry(), slides(e)
	got := m.tier.Touch(&key, e, expiry, life, now)
	m.fault.unless(got == want, "Touch(%d) = %v; want %v", i, got, want)
	if want {
		before, slid = expiry, life
	}
	m.fault.unless(e.Expiry() == before,
		"key %d expires at %d after Touch; want %d", i, e.Expiry(), before)
	m.fault.unless(e.Detail() == nil || slides(e) == slid,
		"key %d has the Life %d after Touch; want %d", i, slides(e), slid)
}

// slides returns the Life of e, or 0 if it has no Detail.
func slides(e *intEntry) time.Duration {
	if d := e.Detail(); d != nil {
		return time.Duration(d.Life.Load())
	}
	return 0
}

// gone notes that e, the entry of key i, was removed.
func (m *model) gone(i int, e *intEntry) {
	if e != nil {
		m.taken++
	}
	delete(m.newest, i)
	m.fault.unless(find(m.tier, m.key(i)) == nil, "key %d is there after its entry was removed", i)
}

// clear calls Clear and checks what it does.
func (m *model) clear() {
	live, all := 0, m.tier.Len()
	for i := range m.newest {
		if e := find(m.tier, m.key(i)); e != nil && !m.dead(e) {
			live++
		}
	}
	got := m.tier.Clear()
	m.fault.unless(got == live, "Clear() = %d; want %d", got, live)
	m.fault.unless(m.tier.Len() == 0, "Len() = %d after Clear", m.tier.Len())
	m.taken += all
	clear(m.newest)
}

// check returns the first difference between the tier and the map.
func (m *model) check() error {
	if err := check(m.tier); err != nil {
		return err
	}
	n := 0
	for i, e := range m.newest {
		switch found := find(m.tier, m.key(i)); found {
		case e:
			n++
		case nil:
		default:
			return fmt.Errorf("key %d has the value %d; the last one put is %d",
				i, found.Value, e.Value)
		}
	}
	if m.tier.Len() != n || n > m.capacity {
		return fmt.Errorf("Len() = %d; the capacity is %d; Find finds %d keys",
			m.tier.Len(), m.capacity, n)
	}
	evicted, expired, invalid := m.tier.Stats()
	if want := m.inserted - m.taken + m.replaced - int(evicted+expired+invalid); want != n {
		return fmt.Errorf("%d inserted, %d removed, %d replaced after expiry, "+
			"%d evicted, %d expired, %d invalid, and %d there",
			m.inserted, m.taken, m.replaced, evicted, expired, invalid, n)
	}
	return nil
}

// swept checks that expired entries are removed within a second.
func (m *model) swept() error {
	now := m.tier.clock.Now()
	for i := range m.newest {
		if e := find(m.tier, m.key(i)); e != nil && e.Expiry() <= now-int64(time.Second) {
			return fmt.Errorf("key %d is there %v after its expiry",
				i, time.Duration(now-e.Expiry()))
		}
	}
	return nil
}

// The law of the tier, at every step and every capacity: an entry that is found is the one that
// was put last, an entry that was just put is found, and there are no more entries than the
// capacity.
func TestJustPutEntryIsThereAtEveryCapacity(t *testing.T) {
	steps := 3000
	if testing.Short() || raceEnabled {
		steps = 400
	}
	for capacity := 1; capacity <= 40; capacity++ {
		m := newModel(newTier(capacity), capacity)
		keys := capacity + capacity/2 + 2
		for range steps {
			i := rand.IntN(keys)
			switch rand.IntN(10) {
			case 0:
				m.delete(i)
			case 1, 2, 3:
				m.put(i, 0, extra{})
			default:
				m.get(i)
			}
			if m.fault.err == nil {
				m.fault.err = m.check()
			}
			if m.fault.err != nil {
				t.Fatalf("capacity %d: %v", capacity, m.fault.err)
			}
		}
	}
}

// The same law, with all that entries can have, and with time.
func TestTierAgreesWithAMap(t *testing.T) {
	for _, text := range []bool{false, true} {
		t.Run(fmt.Sprintf("text=%v", text), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				rapid.SyncTest(t, func(t *rapid.T) { agree(t, text) })
			})
		})
	}
}

func agree(t *rapid.T, text bool) {
	capacity := rapid.IntRange(1, 40).Draw(t, "capacity")
	m := newModel(New[int, int](capacity, text, false, coarse.New()), capacity)
	if capacity > 1 && rapid.Bool().Draw(t, "large window") { // as after many ghosts of the window
		m.tier.stripes[0].policy.wmax = m.tier.stripes[0].policy.wtop
	}
	key := rapid.IntRange(0, 2*capacity)
	life := rapid.SampledFrom([]time.Duration{
		0, 1, 50 * time.Millisecond, time.Second, 3 * time.Second, time.Minute,
	})
	var held []int // the keys of entries
	var entries []*intEntry
	t.Repeat(map[string]func(*rapid.T){
		"put":     func(t *rapid.T) { m.put(key.Draw(t, "key"), life.Draw(t, "life"), extra{}) },
		"putMany": func(t *rapid.T) { m.putMany(key.Draw(t, "first"), life.Draw(t, "life")) },
		"putDetailed": func(t *rapid.T) {
			d := extra{Nil: true}
			switch rapid.IntRange(0, 3).Draw(t, "detail") {
			case 0:
				d = extra{Life: time.Second}
			case 1:
				d = extra{None: errNone}
			case 2:
				d = extra{Tags: []Tag{m.label.Tag()}}
			}
			m.put(key.Draw(t, "key"), max(d.Life, life.Draw(t, "life")), d)
		},
		"get": func(t *rapid.T) {
			i := key.Draw(t, "key")
			m.get(i)
			if e := find(m.tier, m.key(i)); e != nil {
				held, entries = append(held, i), append(entries, e)
			}
		},
		"delete": func(t *rapid.T) { m.delete(key.Draw(t, "key")) },
		"removeHeld": func(t *rapid.T) {
			if len(held) == 0 {
				t.Skip("nothing held")
			}
			i := rapid.IntRange(0, len(held)-1).Draw(t, "held")
			m.remove(held[i], entries[i])
		},
		"swapHeld": func(t *rapid.T) {
			if len(held) == 0 {
				t.Skip("nothing held")
			}
			i := rapid.IntRange(0, len(held)-1).Draw(t, "held")
			m.swap(held[i], entries[i], life.Draw(t, "life"), extra{})
		},
		"touchHeld": func(t *rapid.T) {
			if len(held) == 0 {
				t.Skip("nothing held")
			}
			i := rapid.IntRange(0, len(held)-1).Draw(t, "held")
			m.touch(held[i], entries[i], life.Draw(t, "life"))
		},
		"clear": func(t *rapid.T) {
			if rapid.IntRange(0, 3).Draw(t, "really") == 0 {
				m.clear()
			}
		},
		"advance": func(t *rapid.T) { m.label.Advance() },
		"sleep": func(t *rapid.T) {
			time.Sleep(rapid.SampledFrom([]time.Duration{
				1, 20 * time.Millisecond, 125 * time.Millisecond,
				time.Second - 1, time.Second, 2 * time.Minute,
			}).Draw(t, "sleep"))
			synctest.Wait()
			m.fault.err = m.swept()
		},
		"": func(t *rapid.T) {
			if m.fault.err == nil {
				m.fault.err = m.check()
			}
			if m.fault.err != nil {
				t.Fatal(m.fault.err)
			}
		},
	})
	m.tier.Close()
	if err := check(m.tier); err != nil || m.tier.Len() != 0 || armed(m.tier) {
		t.Fatalf("after Close: %d entries, or an armed timer, or: %v", m.tier.Len(), err)
	}
}
