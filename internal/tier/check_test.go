package tier

import (
	"errors"
	"fmt"
	"time"

	"github.com/zodiac-go/zodiac/internal/coarse"
)

// What the tests know of how the tier is used is here, and of how it is made: the rest is about behaviour.

type (
	intTier  = Tier[int, int]
	intEntry = Entry[int, int]
)

func newTier(capacity int) *intTier { return New[int, int](capacity, false, false, coarse.New()) }

func newTextTier(capacity int) *intTier { return New[int, int](capacity, true, false, coarse.New()) }

// An extra is what the tests give a Detail.
type extra struct {
	Life time.Duration
	None error
	Nil  bool
	Tags []Tag
}

// entryOf makes an entry that expires at expiry and has d, if that is anything at all.
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

// put stores what never expires.
func put[K comparable, V any](t *Tier[K, V], key K, value V) *Entry[K, V] {
	return putFor(t, key, value, 0)
}

// putFor stores what expires after life, or never.
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

// keyOf returns the key that an entry was stored under.
func keyOf[K comparable, V any](t *Tier[K, V], e *Entry[K, V]) Key[K] {
	if t.text {
		return t.Text(e.Detail().Text)
	}
	return t.Plain(e.Key)
}

// armed reports whether the janitor's timer will fire, and stops it.
func armed[K comparable, V any](t *Tier[K, V]) bool {
	return t.janitor.timer != nil && t.janitor.timer.Stop()
}

// A fault is the first thing that is wrong.
type fault struct{ err error }

func (f *fault) unless(ok bool, format string, args ...any) {
	if !ok && f.err == nil {
		f.err = fmt.Errorf(format, args...)
	}
}

// check walks all that a tier is made of and returns where its parts disagree. Nobody may be using the tier.
func check[K comparable, V any](t *Tier[K, V]) error {
	capacity, expiring := 0, int64(coarse.Never)
	for i, s := range t.stripes {
		f := new(fault)
		s.mu.Lock()
		f.unless(s.table == &t.tables[i], "the table is another stripe's")
		entries := checkTable(f, t, i)
		checkRings(f, s, entries)
		expiring = min(expiring, checkRoster(f, s, entries))
		s.mu.Unlock()
		if f.err != nil {
			return fmt.Errorf("stripe %d: %w", i, f.err)
		}
		capacity += s.policy.capacity
	}
	if n := t.Len(); n > capacity {
		return fmt.Errorf("Len() = %d, over the capacity of %d", n, capacity)
	}
	return checkJanitor(&t.janitor, expiring)
}

// checkTable returns the entries in stripe i's table.
func checkTable[K comparable, V any](f *fault, t *Tier[K, V], i int) map[*Entry[K, V]]bool {
	table := t.stripes[i].table.Load()
	entries := map[*Entry[K, V]]bool{}
	for at := range table.buckets {
		for b := &table.buckets[at]; b != nil; b = b.more.Load() {
			for lane := range lanes {
				e, tag := b.entry[lane].Load(), b.tags.Load()>>(8*lane)&0xff
				f.unless((e != nil) == (tag != 0), "lane %d of bucket %d has tag %x and entry %p", lane, at, tag, e)
				if e == nil {
					continue
				}
				f.unless(!entries[e], "an entry is in the table twice")
				entries[e] = true
				key := keyOf(t, e)
				f.unless(t.index(&key) == uint64(i), "key %v is of stripe %d", key, t.index(&key))
				f.unless(key.Hash&table.mask == uint64(at), "key %v is in bucket %d of %d", key, at, len(table.buckets))
				f.unless(tag == tagOf(key.Hash), "key %v has tag %x; want %x", key, tag, tagOf(key.Hash))
				f.unless(e.hash == uint32(key.Hash), "key %v has hash %x; want %x", key, e.hash, uint32(key.Hash))
				f.unless(find(t, key) == e, "key %v is not found", key)
			}
		}
	}
	f.unless(len(entries) == table.n, "the table counts %d entries and has %d", table.n, len(entries))
	f.unless(len(table.buckets) == int(table.mask)+1, "%d buckets with mask %x", len(table.buckets), table.mask)
	return entries
}

func checkRings[K comparable, V any](f *fault, s *stripe[K, V], entries map[*Entry[K, V]]bool) {
	p := &s.policy
	left := len(entries)
	hand := p.hand == &p.main.root
	for _, r := range []*ring[K, V]{&p.window, &p.main} {
		n := 0
		for e := r.root.next; e != &r.root && n <= left; e = e.next {
			f.unless(entries[e], "ring %x has an entry that is not in the table", r.mark)
			f.unless(e.ring() == r.mark, "an entry of ring %x says that it is in %x", r.mark, e.ring())
			f.unless(e.next.prev == e && e.prev.next == e, "the links of ring %x disagree", r.mark)
			hand = hand || r == &p.main && e == p.hand
			n++
		}
		f.unless(n == r.n, "ring %x counts %d entries and has %d", r.mark, r.n, n)
		left -= n
	}
	f.unless(left == 0, "%d entries of the table are in no ring", left)
	f.unless(hand, "the hand is not in the main ring")
	f.unless(p.window.n+p.main.n <= p.capacity, "%d entries; the capacity is %d", p.window.n+p.main.n, p.capacity)
	f.unless(p.wmin <= p.wmax && p.wmax <= p.wtop, "the window's size %d is not within %d and %d", p.wmax, p.wmin, p.wtop)
	f.unless(p.window.n <= p.wtop, "%d entries in the window; its most is %d", p.window.n, p.wtop)
	f.unless(p.gone == nil, "an evicted entry was forgotten")
}

// checkRoster returns when the first of the entries expires.
func checkRoster[K comparable, V any](f *fault, s *stripe[K, V], entries map[*Entry[K, V]]bool) int64 {
	r := &s.roster
	n, first := 0, int64(coarse.Never)
	for e := range entries {
		slot := e.slot()
		if e.Expiry() == coarse.Never {
			f.unless(slot < 0, "an entry that never expires has slot %d of the roster", slot)
			continue
		}
		if f.unless(slot >= 0 && slot < len(r.chunks)*chunkSize, "an entry that expires has slot %d", slot); f.err != nil {
			break
		}
		n++
		c, at := r.at(slot)
		f.unless(at.entry == e, "slot %d has another entry", slot)
		f.unless(at.due <= e.Expiry(), "slot %d is due at %d; the entry expires at %d", slot, at.due, e.Expiry())
		f.unless(c.soonest <= at.due && r.soonest <= at.due, "due at %d; the first is said to be due at %d, in its chunk %d", at.due, r.soonest, c.soonest)
		first = min(first, e.Expiry())
	}
	f.unless(n == r.n, "%d entries expire; the roster counts %d", n, r.n)
	free := 0
	for slot := r.free; slot >= 0 && free <= len(r.chunks)*chunkSize; free++ {
		_, at := r.at(slot)
		f.unless(at.entry == nil, "slot %d is free and taken", slot)
		slot = int(at.due)
	}
	f.unless(free+n == len(r.chunks)*chunkSize, "%d slots are free and %d taken of %d", free, n, len(r.chunks)*chunkSize)
	return first
}

// checkJanitor checks that the timer is set for the first expiry.
func checkJanitor[K comparable, V any](j *janitor[K, V], first int64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	fires := j.fires.Load()
	if !j.stopped && first != coarse.Never && fires > max(first, j.earliest) {
		return fmt.Errorf("an entry expires at %d and the janitor comes at %d", first, fires)
	}
	return nil
}

var errNone = errors.New("none")
