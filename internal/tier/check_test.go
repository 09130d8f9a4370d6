package tier

import (
	"errors"
	"fmt"
	"time"

	"github.com/zodiac-go/zodiac/internal/coarse"
)

// This file knows how a Tier is used and what it is made of. The other files test behaviour.

type (
	intTier  = Tier[int, int]
	intEntry = Entry[int, int]
)

func newTier(capacity int) *intTier { return New[int, int](capacity, false, false, coarse.New()) }

func newTextTier(capacity int) *intTier { return New[int, int](capacity, true, false, coarse.New()) }

// An extra holds what the tests put into a Detail.
type extra struct {
	Life time.Duration
	None error
	Nil  bool
	Tags []Tag
}

// entryOf returns an entry that expires at expiry. It has a Detail with d in it, unless d is
// zero.
func entryOf[K comparable, V any](t *Tier[K, V], key Key[K], value V, expiry int64, d extra) *Entry[K, V] {
	e := t.NewEntry(&key, t.clock.Now(), d.Life != 0 || d.None != nil || d.Nil || d.Tags != nil)
	e.Value = value
	e.ExpireAt(expiry)
	if to := e.Detail(); to != nil {
		to.Life.Store(int64(d.Life))
		to.None, to.Nil, to.Tags = d.None, d.Nil, d.Tags
	}
	return e
}

func store[K comparable, V any](t *Tier[K, V], key Key[K], e *Entry[K, V]) {
	t.Put(&key, e, t.clock.Now())
}

// put stores an entry that never expires.
func put[K comparable, V any](t *Tier[K, V], key K, value V) *Entry[K, V] {
	return putFor(t, key, value, 0)
}

// putFor stores an entry that expires after life, or never if life is 0.
func putFor[K comparable, V any](t *Tier[K, V], key K, value V, life time.Duration) *Entry[K, V] {
	expiry := int64(coarse.Never)
	if life > 0 {
		expiry = t.clock.Now() + int64(life)
	}
	e := entryOf(t, t.Plain(key), value, expiry, extra{})
	store(t, t.Plain(key), e)
	return e
}

func find[K comparable, V any](t *Tier[K, V], key Key[K]) *Entry[K, V] { return t.Find(&key) }

func hit[K comparable, V any](t *Tier[K, V], key K) *Entry[K, V] {
	e, _ := t.Hit(key)
	return e
}

func remove[K comparable, V any](t *Tier[K, V], key K) bool {
	k := t.Plain(key)
	return t.Delete(&k)
}

// keyOf returns the Key that e was stored under.
func keyOf[K comparable, V any](t *Tier[K, V], e *Entry[K, V]) Key[K] {
	if t.text {
		return t.Text(e.Detail().Text)
	}
	return t.Plain(e.Key)
}

// armed reports whether the timer of the janitor was armed. It stops the timer.
func armed[K comparable, V any](t *Tier[K, V]) bool {
	return t.janitor.timer != nil && t.janitor.timer.Stop()
}

// A fault holds the first thing that is wrong, or nil.
type fault struct{ err error }

// unless sets the fault if ok is false, and nothing was wrong before.
func (f *fault) unless(ok bool, format string, args ...any) {
	if !ok && f.err == nil {
		f.err = fmt.Errorf(format, args...)
	}
}

// check walks through all parts of t and returns where they disagree. Nobody may use t meanwhile.
func check[K comparable, V any](t *Tier[K, V]) error {
	capacity, expiring := 0, int64(coarse.Never)
	for i, s := range t.stripes {
		f := new(fault)
		s.mu.Lock()
		f.unless(s.table == &t.tables[i], "the stripe has the table of another")
		entries := checkTable(f, t, i)
		checkRings(f, s, entries)
		expiring = min(expiring, checkRoster(f, s, entries))
		s.mu.Unlock()
		if f.err != nil {
			return fmt.Errorf("stripe %d: %w", i, f.err)
		}
		capacity += s.policy.capacity
	}
	if free := int(t.free.Load()); free < 0 || capacity+free != t.capacity {
		return fmt.Errorf("%d slots are taken and %d free; the capacity is %d", capacity, free, t.capacity)
	}
	return checkJanitor(&t.janitor, expiring)
}

// checkTable checks the table of stripe i, and returns the entries in it.
func checkTable[K comparable, V any](f *fault, t *Tier[K, V], i int) map[*Entry[K, V]]bool {
	table := t.stripes[i].table.Load()
	entries := map[*Entry[K, V]]bool{}
	for at := range table.buckets {
		for b := &table.buckets[at]; b != nil; b = b.more.Load() {
			for lane := range lanes {
				e, tag := b.entry[lane].Load(), b.tags.Load()>>(8*lane)&0xff
				f.unless((e != nil) == (tag != 0),
					"lane %d of bucket %d has tag %x and entry %p; want both or neither", lane, at, tag, e)
				if e == nil {
					continue
				}
				f.unless(!entries[e], "an entry is in the table twice")
				entries[e] = true
				key := keyOf(t, e)
				f.unless(t.index(&key) == uint64(i),
					"key %v belongs in stripe %d", key, t.index(&key))
				f.unless(key.Hash&table.mask == uint64(at),
					"key %v is in the wrong bucket, %d of %d", key, at, len(table.buckets))
				f.unless(tag == tagOf(key.Hash),
					"key %v has tag %x; want %x", key, tag, tagOf(key.Hash))
				f.unless(e.hash == uint32(key.Hash),
					"key %v has hash %x; want %x", key, e.hash, uint32(key.Hash))
				f.unless(find(t, key) == e, "Find(%v) does not return the entry in the table", key)
			}
		}
	}
	f.unless(len(entries) == table.n,
		"the table has %d entries and counts %d", len(entries), table.n)
	f.unless(len(table.buckets) == int(table.mask)+1,
		"%d buckets with mask %x", len(table.buckets), table.mask)
	return entries
}

// checkRings checks that every entry is in one ring, and that the policy's numbers are right.
func checkRings[K comparable, V any](f *fault, s *stripe[K, V], entries map[*Entry[K, V]]bool) {
	p := &s.policy
	left := len(entries)
	hand := p.hand == &p.main.root
	for _, r := range []*ring[K, V]{&p.window, &p.main} {
		n := 0
		for e := r.root.next; e != &r.root && n <= left; e = e.next {
			f.unless(entries[e], "ring %x has an entry that is not in the table", r.flag)
			f.unless(e.ring() == r.flag, "an entry of ring %x has the flag of %x", r.flag, e.ring())
			f.unless(e.next.prev == e && e.prev.next == e, "the links of ring %x disagree", r.flag)
			hand = hand || r == &p.main && e == p.hand
			n++
		}
		f.unless(n == r.n, "ring %x has %d entries and counts %d", r.flag, n, r.n)
		left -= n
	}
	f.unless(left == 0, "%d entries of the table are in no ring", left)
	f.unless(hand, "the hand is not in the main ring")
	f.unless(p.len() == p.capacity, "%d entries in the rings, and %d slots", p.len(), p.capacity)
	f.unless(p.wmin <= p.wmax && p.wmax <= p.wtop,
		"wmax = %d; want it between %d and %d", p.wmax, p.wmin, p.wtop)
	f.unless(p.window.n <= p.wtop, "%d entries in the window; want at most %d", p.window.n, p.wtop)
	f.unless(p.gone == nil, "an evicted entry is left in gone")
}

// checkRoster checks that the roster lists the entries that expire. It returns the first expiry.
func checkRoster[K comparable, V any](f *fault, s *stripe[K, V], entries map[*Entry[K, V]]bool) int64 {
	r := &s.roster
	n, first := 0, int64(coarse.Never)
	for e := range entries {
		slot := e.slot()
		if e.Expiry() == coarse.Never {
			f.unless(slot < 0, "an entry that never expires is listed, in slot %d", slot)
			continue
		}
		f.unless(slot >= 0 && slot < len(r.chunks)*chunkSize,
			"an entry that expires is not listed, or in slot %d, which does not exist", slot)
		if f.err != nil {
			break
		}
		n++
		c, at := r.at(slot)
		f.unless(at.entry == e, "slot %d has another entry", slot)
		f.unless(at.due <= e.Expiry(),
			"slot %d is due at %d; the entry expires at %d", slot, at.due, e.Expiry())
		f.unless(c.soonest <= at.due && r.soonest <= at.due,
			"an entry is due at %d; the soonest of the roster is %d, that of its chunk %d",
			at.due, r.soonest, c.soonest)
		first = min(first, e.Expiry())
	}
	f.unless(n == r.n, "%d entries expire; the roster counts %d", n, r.n)
	free := 0
	for slot := r.free; slot >= 0 && free <= len(r.chunks)*chunkSize; free++ {
		_, at := r.at(slot)
		f.unless(at.entry == nil, "slot %d is in the list of free slots and has an entry", slot)
		slot = int(at.due)
	}
	f.unless(free+n == len(r.chunks)*chunkSize,
		"%d slots are free and %d have entries, of %d", free, n, len(r.chunks)*chunkSize)
	return first
}

// checkJanitor checks that the timer fires early enough for the first expiry.
func checkJanitor[K comparable, V any](j *janitor[K, V], first int64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	fires := j.fires.Load()
	if !j.stopped && first != coarse.Never && fires > max(first, j.earliest) {
		return fmt.Errorf("an entry expires at %d, but the timer fires at %d", first, fires)
	}
	return nil
}

var errNone = errors.New("none")
