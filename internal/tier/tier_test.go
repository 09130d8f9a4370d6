package tier

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac/internal/coarse"
	"pgregory.net/rapid"
)

func TestStripesShareTheCapacityEvenly(t *testing.T) {
	for _, test := range []struct{ capacity, stripes int }{
		{1, 1},
		{2, 1},
		{1023, 1},
		{1024, 2},
		{2047, 2},
		{2048, 4},
		{4096, 8},
		{8191, 8},
		{8192, 16},
		{8195, 16},
		{65_536, 16},
		{65_543, 16},
		{262_143, 16},
		{262_144, 32},
		{524_287, 32},
		{1_000_003, 64},
	} {
		tier := newTier(test.capacity)
		if n := len(tier.stripes); n != test.stripes || tier.mask != uint64(n-1) {
			t.Errorf("New(%d) has %d stripes with mask %x; want %d", test.capacity, n, tier.mask, test.stripes)
		}
		sum, least, most := 0, test.capacity, 0
		for _, s := range tier.stripes {
			c := s.policy.capacity
			sum, least, most = sum+c, min(least, c), max(most, c)
		}
		if sum != test.capacity || most-least > 1 {
			t.Errorf("New(%d): stripes of %d to %d entries, %d in all", test.capacity, least, most, sum)
		}
	}
}

// The law of the tier: what is found is the newest that was put, what was just put is found, and no more than
// capacity entries are there, at any step, at any capacity.
func TestWhatWasJustPutIsThereAtEveryCapacity(t *testing.T) {
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

// A model is a tier and a map that has had the same operations.
type model struct {
	tier     *intTier
	capacity int
	newest   map[int]*intEntry // of what was put and not deleted; the tier may have evicted it
	label    *Label
	fault    fault

	serial   int
	inserted int // puts of keys that were not there
	taken    int // entries that were deleted, removed or cleared
	replaced int // dead entries that were put anew
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

// dead is what Alive must deny.
func (m *model) dead(e *intEntry) bool {
	if m.tier.clock.Now() >= e.Expiry() {
		return true
	}
	d := e.Detail()
	return d != nil && len(d.Tags) > 0 && d.Tags[0] != m.label.Tag()
}

func (m *model) put(i int, life time.Duration, d extra) { m.swap(i, nil, life, d) }

// swap is put if old is nil, or what is there.
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
		m.fault.unless(got == (old == want), "Swap(%d) = %v of %v; there is %v", i, got, want, old)
		if old != want {
			m.fault.unless(find(m.tier, key) == old, "key %d has changed by a Swap that failed", i)
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
	m.fault.unless(find(m.tier, key) == e, "key %d is not there right after it was put", i)
}

// get reads key i in every way there is.
func (m *model) get(i int) {
	e := find(m.tier, m.key(i))
	m.fault.unless(e == nil || e == m.newest[i], "key %d: found %v; want %v or nothing", i, e, m.newest[i])
	if e == nil {
		return
	}
	alive := m.tier.Alive(e)
	m.fault.unless(alive == !m.dead(e), "key %d: Alive = %v; it expires at %d, now is %d", i, alive, e.Expiry(), m.tier.clock.Now())
	if h, absent := m.tier.Hit(i); h != nil || absent {
		m.fault.unless(h == nil || h == e && alive && !absent, "key %d: Hit = %v, %v; found %v, alive: %v", i, h, absent, e, alive)
		m.fault.unless(!absent || !alive, "key %d: Hit says that it is absent", i)
	} else {
		m.fault.unless(m.tier.text || e.Detail() != nil, "key %d: Hit refuses a plain entry", i)
	}
	key := m.key(i)
	brief := m.tier.HitAt(&key)
	m.fault.unless(brief == nil || brief == e && alive && e.wasSeen(), "key %d: HitAt = %v; found %v, alive: %v", i, brief, e, alive)
	m.fault.unless(brief != nil || !alive || e.state.Load()&checked != 0, "key %d: HitAt refuses an entry that needs no further look", i)
	if alive {
		e.Use()
		if d := e.Detail(); d != nil && d.Life.Load() > 0 {
			e.Slide(m.tier.clock.Exact())
		}
	}
}

func (m *model) delete(i int) {
	key := m.key(i)
	e := find(m.tier, key)
	want := e != nil && !m.dead(e)
	got := m.tier.Delete(&key)
	m.fault.unless(got == want, "Delete(%d) = %v; want %v", i, got, want)
	m.gone(i, e)
}

// remove takes e out, which may have been replaced.
func (m *model) remove(i int, e *intEntry) {
	key := m.key(i)
	want := e == find(m.tier, key)
	got := m.tier.Remove(&key, e)
	m.fault.unless(got == want, "Remove(%d) = %v; want %v", i, got, want)
	if want {
		m.gone(i, e)
	}
}

// touch gives e, which may have been replaced, a new life.
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
	m.fault.unless(e.Expiry() == before, "key %d expires at %d after Touch; want %d", i, e.Expiry(), before)
	m.fault.unless(e.Detail() == nil || slides(e) == slid, "key %d slides to %d after Touch; want %d", i, slides(e), slid)
}

// slides returns what e slides to: 0 if it does not.
func slides(e *intEntry) time.Duration {
	if d := e.Detail(); d != nil {
		return time.Duration(d.Life.Load())
	}
	return 0
}

func (m *model) gone(i int, e *intEntry) {
	if e != nil {
		m.taken++
	}
	delete(m.newest, i)
	m.fault.unless(find(m.tier, m.key(i)) == nil, "key %d is there after it was deleted", i)
}

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
			return fmt.Errorf("key %d has %d; the newest is %d", i, found.Value, e.Value)
		}
	}
	if m.tier.Len() != n || n > m.capacity {
		return fmt.Errorf("Len() = %d of at most %d; %d keys are found", m.tier.Len(), m.capacity, n)
	}
	evicted, expired, invalid := m.tier.Stats()
	if want := m.inserted - m.taken + m.replaced - int(evicted+expired+invalid); want != n {
		return fmt.Errorf("%d inserted, %d taken out, %d replaced when dead, %d evicted, %d expired, %d invalid, and %d there",
			m.inserted, m.taken, m.replaced, evicted, expired, invalid, n)
	}
	return nil
}

// swept checks that what is dead goes within a second.
func (m *model) swept() error {
	now := m.tier.clock.Now()
	for i := range m.newest {
		if e := find(m.tier, m.key(i)); e != nil && e.Expiry() <= now-int64(time.Second) {
			return fmt.Errorf("key %d is there %v after its expiry", i, time.Duration(now-e.Expiry()))
		}
	}
	return nil
}

// The same law with all that entries can have, and time.
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
	if capacity > 1 && rapid.Bool().Draw(t, "large window") { // as after many hits of its ghosts
		m.tier.stripes[0].policy.wmax = m.tier.stripes[0].policy.wtop
	}
	key := rapid.IntRange(0, 2*capacity)
	life := rapid.SampledFrom([]time.Duration{0, 1, 50 * time.Millisecond, time.Second, 3 * time.Second, time.Minute})
	var held []int // keys of entries somebody holds
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
			time.Sleep(rapid.SampledFrom([]time.Duration{1, 20 * time.Millisecond, 125 * time.Millisecond, time.Second - 1, time.Second, 2 * time.Minute}).Draw(t, "sleep"))
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
		t.Fatalf("after Close: %d entries, %v", m.tier.Len(), err)
	}
}

// putMany fills the tier beyond its capacity.
func (m *model) putMany(first int, life time.Duration) {
	for i := range m.capacity + 1 {
		m.put(first+i, life, extra{})
	}
}

func TestAKeyIsFoundByItselfOrByItsText(t *testing.T) {
	plain, text := newTier(10), newTextTier(10)
	store(plain, plain.Plain(7), entryOf(plain, plain.Plain(7), 70, coarse.Never, extra{}))
	store(text, text.Text("7"), entryOf(text, text.Text("7"), 71, coarse.Never, extra{}))
	if e := find(plain, plain.Plain(7)); e == nil || e.Value != 70 || e.Key != 7 {
		t.Errorf("Find(7) = %v; want 70", e)
	}
	if e := find(text, text.Text("7")); e == nil || e.Value != 71 || e.Detail().Text != "7" {
		t.Errorf("Find(text 7) = %v; want 71", e)
	}
	if e := find(text, text.Text("70")); e != nil {
		t.Errorf("Find(text 70) = %v; want nothing", e)
	}
}

func TestHitIsNotForTiersThatTakeTheLongWay(t *testing.T) {
	for name, tier := range map[string]*intTier{"text": newTextTier(10), "long": New[int, int](10, false, true, coarse.New())} {
		if e, absent := tier.Hit(7); e != nil || absent {
			t.Errorf("%s: Hit = %v, %v; want nil, false: it cannot know", name, e, absent)
		}
	}
}

func TestHitTellsAbsentFromWhatNeedsALook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tier := newTier(10)
		label := &Label{}
		details := map[string]extra{"sliding": {Life: time.Hour}, "none": {None: errNone}, "tagged": {Tags: []Tag{label.Tag()}}}
		for name, d := range details {
			store(tier, tier.Plain(1), entryOf(tier, tier.Plain(1), 1, int64(time.Hour), d))
			if e, absent := tier.Hit(1); e != nil || absent {
				t.Errorf("%s: Hit = %v, %v; want nil, false", name, e, absent)
			}
		}
		store(tier, tier.Plain(2), entryOf(tier, tier.Plain(2), 1, coarse.Never, extra{Nil: true}))
		if e, absent := tier.Hit(2); e == nil || absent {
			t.Errorf("nil: Hit = %v, %v; want the entry", e, absent)
		}
		if e, absent := tier.Hit(3); e != nil || !absent {
			t.Errorf("Hit of nothing = %v, %v; want nil, true", e, absent)
		}
		putFor(tier, 4, 1, time.Second)
		time.Sleep(time.Second)
		if e, absent := tier.Hit(4); e != nil || !absent {
			t.Errorf("Hit of what has expired = %v, %v; want nil, true", e, absent)
		}
	})
}

func TestExpiryIsExactAtTheBoundary(t *testing.T) {
	for _, life := range []time.Duration{1, 20 * time.Millisecond, 99 * time.Millisecond, 100 * time.Millisecond, 101 * time.Millisecond, time.Second, time.Hour} {
		for _, ticking := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				tier := newTier(10)
				e := putFor(tier, 1, 1, life)
				time.Sleep(life - 1)
				if ticking { // the coarse time is fresh, and must not be trusted
					tier.clock.Exact()
				}
				if hit(tier, 1) != e || !tier.Alive(e) || tier.Expired(e) {
					t.Errorf("life %v: dead a nanosecond before its expiry", life)
				}
				time.Sleep(1 * time.Nanosecond)
				if hit(tier, 1) != nil || tier.Alive(e) || !tier.Expired(e) {
					t.Errorf("life %v: alive at its expiry", life)
				}
			})
		}
	}
}

func TestNothingIsNotAlive(t *testing.T) {
	if newTier(1).Alive(nil) {
		t.Error("Alive(nil) = true")
	}
}

func TestClearCountsWhatWasAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tier := newTier(10_000) // sixteen stripes
		label := &Label{}
		for i := range 3000 {
			expiry, d := int64(coarse.Never), extra{}
			switch i % 3 {
			case 1:
				expiry = int64(100 * time.Millisecond)
			case 2:
				d.Tags = []Tag{label.Tag()}
			}
			store(tier, tier.Plain(i), entryOf(tier, tier.Plain(i), i, expiry, d))
		}
		label.Advance()
		tier.janitor.timer.Stop() // the dead stay
		time.Sleep(100 * time.Millisecond)
		if n := tier.Len(); n != 3000 {
			t.Fatalf("Len() = %d; want 3000", n)
		}
		if n := tier.Clear(); n != 1000 {
			t.Errorf("Clear() = %d; want the 1000 that are alive", n)
		}
		if n := tier.Len(); n != 0 || hit(tier, 0) != nil {
			t.Errorf("Len() = %d after Clear", n)
		}
		put(tier, 0, 1)
		if err := check(tier); err != nil || hit(tier, 0) == nil {
			t.Errorf("Put after Clear: %v", err)
		}
	})
}

func TestAClosedTierRefusesEntries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tier := newTier(10)
		putFor(tier, 1, 1, time.Second)
		tier.Close()
		if armed(tier) {
			t.Error("a closed tier has a timer")
		}
		putFor(tier, 2, 1, time.Second)
		if n := tier.Len(); n != 0 || hit(tier, 1) != nil || hit(tier, 2) != nil {
			t.Errorf("%d entries in a closed tier", n)
		}
		if armed(tier) {
			t.Error("a closed tier has armed its timer")
		}
		key := tier.Plain(1)
		if tier.Swap(&key, nil, entryOf(tier, key, 1, coarse.Never, extra{}), 0) {
			t.Error("Swap = true in a closed tier")
		}
		if remove(tier, 1) || tier.Clear() != 0 {
			t.Error("a closed tier has something to delete")
		}
		tier.Close()
	})
}

func TestRemoveSparesWhatTookItsPlace(t *testing.T) {
	tier := newTier(10)
	key := tier.Plain(1)
	old := put(tier, 1, 1)
	now := put(tier, 1, 2)
	if tier.Remove(&key, old) || find(tier, key) != now {
		t.Error("Remove of a replaced entry has removed its successor")
	}
	if !tier.Remove(&key, now) || find(tier, key) != nil {
		t.Error("Remove has left its entry")
	}
	if tier.Remove(&key, now) {
		t.Error("Remove = true twice")
	}
}

func TestAHitDoesNotAllocate(t *testing.T) {
	type pair struct {
		a int32
		b string
	}
	ints, texts, pairs := newTier(10), New[string, [64]byte](10, false, false, coarse.New()), New[pair, *int](10, false, false, coarse.New())
	putFor(ints, 1, 1, time.Hour)
	put(texts, "a longer key than most", [64]byte{})
	put(pairs, pair{1, "b"}, nil)
	hit(ints, 1) // arms the clock, which allocates its timer
	for name, f := range map[string]func(){
		"int":    func() { ints.Hit(1) },
		"miss":   func() { ints.Hit(2) },
		"string": func() { texts.Hit("a longer key than most") },
		"struct": func() { pairs.Hit(pair{1, "b"}) },
	} {
		if n := testing.AllocsPerRun(1000, f); n != 0 {
			t.Errorf("%s: a hit makes %v allocations; want none", name, n)
		}
	}
	ints.clock.Stop()
}

func TestAHitMarksTheEntryAsUsed(t *testing.T) {
	tier := newTier(10)
	e := put(tier, 1, 1)
	if e.wasSeen() {
		t.Error("used before it was read")
	}
	find(tier, tier.Plain(1))
	if e.wasSeen() {
		t.Error("a mere look counts as use")
	}
	for range 2 {
		before := e.state.Load()
		hit(tier, 1)
		if after := e.state.Load(); after != before|seen {
			t.Errorf("a hit made state %b of %b; want %b", after, before, before|seen)
		}
	}
}

// A churn is a writer who fills a tier with keys beyond those that stay, until its tables grow, and lets the janitor
// take them out, until they shrink.
type churn struct {
	tier *intTier
	stay int // keys below it are only ever replaced
	size int
}

// round returns how many buckets a table had when the tier was fullest.
func (c *churn) round(r *rand.Rand) (buckets int) {
	now := c.tier.clock.Now()
	for i := range c.size {
		key := c.tier.Plain(c.stay + i)
		c.tier.Put(&key, entryOf(c.tier, key, i, now+int64(time.Hour), extra{}), now)
		if r.IntN(8) == 0 {
			remove(c.tier, c.stay+r.IntN(c.size))
		}
	}
	buckets = len(c.tier.tables[0].Load().buckets)
	for _, s := range c.tier.stripes {
		s.sweep(now + int64(2*time.Hour))
	}
	return buckets
}

func TestReadersNeverMissAKeyThatStays(t *testing.T) {
	for _, stripes := range []int{1, 8} {
		t.Run(fmt.Sprintf("stripes=%d", stripes), func(t *testing.T) {
			c := &churn{tier: newTier(stripes * 2000), stay: 50, size: stripes * 700}
			versions := make([]atomic.Int64, c.stay)
			for i := range c.stay {
				put(c.tier, i, 0)
			}
			var done atomic.Bool
			var readers sync.WaitGroup
			for range 2 {
				readers.Go(func() { c.read(t, versions, &done) })
			}
			r := rand.New(rand.NewPCG(1, 2))
			rounds := 15
			if raceEnabled {
				rounds = 16 / stripes
			}
			for range rounds {
				most := c.round(r)
				if left := len(c.tier.tables[0].Load().buckets); left > most/4 {
					t.Errorf("a table of %d buckets has shrunk to %d; want a reader to see both", most, left)
				}
				for i := range c.stay {
					put(c.tier, i, int(versions[i].Load())+1)
					versions[i].Add(1)
				}
			}
			done.Store(true)
			readers.Wait()
			if err := check(c.tier); err != nil {
				t.Error(err)
			}
			if n := c.tier.Len(); n != c.stay {
				t.Errorf("%d entries in the end; want %d", n, c.stay)
			}
			c.tier.Close()
		})
	}
}

func (c *churn) read(t *testing.T, versions []atomic.Int64, done *atomic.Bool) {
	for n := 0; !done.Load(); n++ {
		i := n % c.stay
		least := versions[i].Load()
		e := hit(c.tier, i)
		if n%2 == 0 {
			e = find(c.tier, c.tier.Plain(i))
		}
		if e == nil {
			t.Errorf("missed key %d, which stays", i)
			return
		}
		if int64(e.Value) < least {
			t.Errorf("key %d: read %d after %d was put", i, e.Value, least)
			return
		}
		hit(c.tier, c.stay+n%c.size) // comes and goes
	}
}

func TestWritersNeverExceedTheCapacity(t *testing.T) {
	for _, capacity := range []int{1, 7, 3000} {
		tier := newTier(capacity)
		var writers sync.WaitGroup
		var done atomic.Bool
		for w := range 4 {
			writers.Go(func() {
				r := rand.New(rand.NewPCG(uint64(w), 0))
				for range 4000 {
					i := r.IntN(2 * capacity)
					switch r.IntN(8) {
					case 0:
						remove(tier, i)
					case 1, 2, 3:
						putFor(tier, i, w, time.Duration(r.IntN(2))*time.Hour)
					default:
						hit(tier, i)
					}
				}
			})
		}
		watched := make(chan struct{})
		go func() {
			defer close(watched)
			for !done.Load() {
				if n := tier.Len(); n > capacity {
					t.Errorf("Len() = %d; want at most %d", n, capacity)
					return
				}
			}
		}()
		writers.Wait()
		done.Store(true)
		<-watched
		if err := check(tier); err != nil {
			t.Error(err)
		}
		tier.Close()
	}
}
