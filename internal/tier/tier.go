// Package tier is zodiac's memory: a bounded map of typed values whose hits take no lock, allocate nothing and
// read no clock.
//
// The key's hash chooses one of up to 64 stripes. A stripe has a hash table, which readers search without
// a lock, and under one mutex, which only writers take, the table's changes, the eviction policy (policy.go)
// and the roster of entries that expire (roster.go). So a write is one critical section: when it ends, the
// table, the rings and the count agree, and the tier is never over its capacity.
//
// Expired entries are taken out by a janitor (janitor.go), or by the policy when it meets one. Until then they
// hold a place; [Tier.Alive] says that they are dead.
//
// No user code runs in this package but K's == and hash.
package tier

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zodiac-go/zodiac/internal/coarse"
)

const (
	manyStripes  = 16
	minPerStripe = 512

	maxStripes         = 64
	minPerStripeOfMany = 8192

	minBuckets    = 4
	sweepStep     = 1024 // the most entries looked at under one mutex by the janitor
	stripeBitsLow = 32   // the stripe is chosen by bits the tables do not use
)

// MaxCapacity is the largest capacity a tier can have.
const MaxCapacity = min(maxStripes*maxSlots, math.MaxInt)

// A Tier is safe for concurrent use. Make it with New.
type Tier[K comparable, V any] struct {
	// What a hit reads, and nothing that changes but by resizing.
	tables [maxStripes]atomic.Pointer[table[K, V]]
	mask   uint64
	hasher hasher[K]
	far    bool // Hit is not for this tier: it is long, or keyed by text
	long   bool // HitAt is not for this tier either
	text   bool // keyed by text
	clock  *coarse.Clock

	stripes []*stripe[K, V]
	janitor janitor[K, V]
}

// A stripe is a share of the keys.
type stripe[K comparable, V any] struct {
	mu      sync.Mutex // guards the fields below, all links of its entries, and changes to the table
	table   *atomic.Pointer[table[K, V]]
	policy  policy[K, V]
	roster  roster[K, V]
	closed  bool
	evicted uint64
	expired uint64
	invalid uint64
	_       [64]byte // keeps a neighbour's mutex off this cache line
}

// New returns a tier for at most capacity entries, keyed by text if text is set and by K itself if not. With long set,
// every read takes the long way.
func New[K comparable, V any](capacity int, text, long bool, clock *coarse.Clock) *Tier[K, V] {
	n := stripesFor(capacity)
	t := &Tier[K, V]{mask: uint64(n - 1), hasher: newHasher[K](), far: text || long, long: long, text: text, clock: clock}
	for i := range n {
		s := &stripe[K, V]{table: &t.tables[i]}
		s.table.Store(newTable[K, V](minBuckets))
		s.policy.init((capacity + i) / n) // the shares differ by at most one and add up
		s.roster.init(t.janitor.used)
		t.stripes = append(t.stripes, s)
	}
	t.janitor.init(t)
	return t
}

// stripesFor returns 1 for small capacities, else the largest power of two that leaves every stripe enough entries: 512 up
// to 16 stripes, where the hit ratio does not notice yet, and 8,192 beyond, where more stripes only keep writers out of
// each other's way.
func stripesFor(capacity int) int {
	n := 1
	for n < manyStripes && capacity/(2*n) >= minPerStripe || n < maxStripes && capacity/(2*n) >= minPerStripeOfMany {
		n *= 2
	}
	return n
}

// Plain returns the Key of a K in a tier keyed by K.
func (t *Tier[K, V]) Plain(key K) Key[K] { return Key[K]{K: key, Hash: t.hasher.hash(key)} }

// Text returns the Key of a text in a tier keyed by text.
func (t *Tier[K, V]) Text(text string) Key[K] {
	return Key[K]{Text: text, Hash: t.hasher.hashText(text)}
}

// Hit is the short way of a read: the entry of key, marked as used, if it is there, alive, and needs no further
// look. Otherwise it returns nil, and whether there certainly was nothing of use.
func (t *Tier[K, V]) Hit(key K) (e *Entry[K, V], absent bool) {
	if t.far {
		return nil, false
	}
	h := t.hasher.hash(key)
	e = t.tables[h>>stripeBitsLow&t.mask].Load().find(h, key)
	if e == nil {
		return nil, true
	}
	if s := e.state.Load(); s&(seen|checked) != seen {
		if s&checked != 0 {
			return nil, false
		}
		e.state.Or(seen)
	}
	if !t.clock.Before(e.sure.Load()) && t.Expired(e) {
		return nil, true
	}
	return e, false
}

// HitAt is Hit by Key, for which it does not matter whether the tier is keyed by text.
func (t *Tier[K, V]) HitAt(key *Key[K]) *Entry[K, V] {
	e := t.Find(key)
	if e == nil || t.long || e.state.Load()&checked != 0 || t.Expired(e) {
		return nil
	}
	e.Use()
	return e
}

// Find returns the entry of key, dead or alive, or nil.
func (t *Tier[K, V]) Find(key *Key[K]) *Entry[K, V] {
	_, _, e := t.tables[t.index(key)].Load().place(key)
	return e
}

// Alive reports whether e has neither expired nor lost a tag.
func (t *Tier[K, V]) Alive(e *Entry[K, V]) bool {
	return e != nil && !t.Expired(e) && e.Current()
}

// Expired reports whether e is past its expiry.
func (t *Tier[K, V]) Expired(e *Entry[K, V]) bool {
	sure := e.sure.Load()
	return !t.clock.Before(sure) && sure != coarse.Never && t.clock.Exact() >= coarse.Expiry(sure)
}

// Slide extends a sliding entry that is used now. While the coarse clock says that it is too early, that is all it reads.
func (t *Tier[K, V]) Slide(e *Entry[K, V]) {
	life := e.Detail().Life.Load()
	if due := e.Expiry() - life + life/8; !t.clock.Before(coarse.Sure(due)) {
		e.Slide(t.clock.Exact())
	}
}

// Touch makes e end at expiry, and slide to slides if it has a Detail, if at now it is the entry of key, and alive.
func (t *Tier[K, V]) Touch(key *Key[K], e *Entry[K, V], expiry int64, slides time.Duration, now int64) bool {
	if !t.stripe(key).touch(key, e, expiry, slides, now) {
		return false
	}
	if expiry != coarse.Never {
		t.janitor.expect(expiry)
	}
	return true
}

func (s *stripe[K, V]) touch(key *Key[K], e *Entry[K, V], expiry int64, slides time.Duration, now int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, _, there := s.table.Load().place(key); there != e || e.dead(now) || !e.Current() {
		return false
	}
	s.roster.remove(e)
	if d := e.Detail(); d != nil {
		d.Life.Store(int64(slides))
		e.check()
	}
	e.ExpireAt(expiry)
	s.roster.add(e)
	return true
}

// Put stores e at now in place of whatever its key has, and evicts other entries if there are too many. It does
// nothing once the tier is closed.
func (t *Tier[K, V]) Put(key *Key[K], e *Entry[K, V], now int64) { t.Swap(key, nil, e, now) }

// Swap is Put if old is still the entry of key, or nil; otherwise it changes nothing and returns false.
func (t *Tier[K, V]) Swap(key *Key[K], old, e *Entry[K, V], now int64) bool {
	e.check()
	if !t.stripe(key).put(key, old, e, now) {
		return false
	}
	if expiry := e.Expiry(); expiry != coarse.Never {
		t.janitor.expect(expiry)
	}
	return true
}

func (s *stripe[K, V]) put(key *Key[K], want, e *Entry[K, V], now int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.table.Load()
	s.policy.warm(t, uint32(key.Hash))
	b, lane, old := t.place(key)
	if s.closed || want != nil && want != old {
		return false
	}
	if old != nil {
		if old.dead(now) {
			s.expired++
		}
		b.entry[lane].Store(e)
		s.roster.remove(old)
		s.policy.replace(old, e)
		s.roster.add(e)
		return true
	}
	if t.crowded() {
		t = t.resized(2 * len(t.buckets))
		s.table.Store(t)
	}
	t.insert(e, tagOf(key.Hash))
	s.roster.add(e)
	for out := s.policy.insert(e, now); out != nil; {
		next := out.next
		out.next = nil
		s.bury(out, now)
		out = next
	}
	return true
}

// bury takes an entry that the policy has evicted out of the table and the roster.
func (s *stripe[K, V]) bury(e *Entry[K, V], now int64) {
	s.table.Load().remove(e)
	s.roster.remove(e)
	switch {
	case e.dead(now):
		s.expired++
	case !e.Current():
		s.invalid++
	default:
		s.evicted++
	}
}

// drop takes e out everywhere, unless something else took its place before. The caller holds mu.
func (s *stripe[K, V]) drop(e *Entry[K, V]) bool {
	if !s.table.Load().remove(e) {
		return false
	}
	s.policy.remove(e)
	s.roster.remove(e)
	return true
}

// Delete takes out whatever key has, and reports whether it was alive.
func (t *Tier[K, V]) Delete(key *Key[K]) bool {
	s := t.stripe(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _, e := s.table.Load().place(key)
	return e != nil && s.drop(e) && t.Alive(e)
}

// Remove takes e out, if it is still the entry of its key.
func (t *Tier[K, V]) Remove(key *Key[K], e *Entry[K, V]) bool {
	s := t.stripe(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.drop(e)
}

// Clear takes all entries out and returns how many of them were alive.
func (t *Tier[K, V]) Clear() int {
	live := 0
	for _, s := range t.stripes {
		s.mu.Lock()
		old := s.clear()
		s.mu.Unlock()
		live += t.release(old)
	}
	return live
}

// Close clears the tier and refuses every entry from now on. No timer is left.
func (t *Tier[K, V]) Close() {
	t.janitor.stop()
	for _, s := range t.stripes {
		s.mu.Lock()
		s.closed = true
		old := s.clear()
		s.mu.Unlock()
		t.release(old)
	}
}

// clear starts afresh and returns the table it had. The caller holds mu.
func (s *stripe[K, V]) clear() *table[K, V] {
	old := s.table.Swap(newTable[K, V](minBuckets))
	s.policy.reset()
	s.roster.reset()
	return old
}

// release cuts the links of the entries in a table that is out of use, so that one that somebody holds keeps no others
// alive, and returns how many are alive. Nobody else touches the links: who would, finds the entry in the table first.
func (t *Tier[K, V]) release(old *table[K, V]) (live int) {
	old.each(func(e *Entry[K, V], _ uint64) {
		e.next, e.prev = nil, nil
		if t.Alive(e) {
			live++
		}
	})
	return live
}

// Len returns the number of entries, dead ones that nobody has met yet included.
func (t *Tier[K, V]) Len() int {
	n := 0
	for _, s := range t.stripes {
		s.mu.Lock()
		n += s.table.Load().n
		s.mu.Unlock()
	}
	return n
}

// Stats returns how many live entries were evicted, and how many expired ones, and ones that had lost a tag, went instead.
func (t *Tier[K, V]) Stats() (evicted, expired, invalid uint64) {
	for _, s := range t.stripes {
		s.mu.Lock()
		evicted += s.evicted
		expired += s.expired
		invalid += s.invalid
		s.mu.Unlock()
	}
	return evicted, expired, invalid
}

func (t *Tier[K, V]) index(key *Key[K]) uint64 { return key.Hash >> stripeBitsLow & t.mask }

func (t *Tier[K, V]) stripe(key *Key[K]) *stripe[K, V] { return t.stripes[t.index(key)] }
