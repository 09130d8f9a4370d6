package tier

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/zodiac-go/zodiac/internal/coarse"
)

const (
	// Up to manyStripes stripes have a capacity of at least minPerStripe entries each. If there
	// are more, up to maxStripes, each has at least minPerStripeOfMany.
	manyStripes        = 16
	minPerStripe       = 512
	maxStripes         = 64
	minPerStripeOfMany = 8192

	minBuckets    = 4    // the size of an empty table
	sweepStep     = 1024 // the most entries that the janitor looks at under one lock
	stripeBitsLow = 32   // the lowest bit of a hash that chooses the stripe; no table uses it
)

// MaxCapacity is the largest capacity that a Tier can have.
const MaxCapacity = min(maxStripes*maxSlots, math.MaxInt)

// A Tier is a bounded map of entries. It is safe for concurrent use. Make it with [New].
type Tier[K comparable, V any] struct {
	// A hit reads these fields. Only tables changes, when a table is replaced.
	tables [maxStripes]atomic.Pointer[table[K, V]]
	mask   uint64 // the number of stripes minus one
	hasher hasher[K]
	noHit  bool // Hit finds nothing; = slow || text
	slow   bool // HitAt finds nothing
	text   bool // keyed by text
	copies bool // see HoldsCopies
	clock  *coarse.Clock

	stripes  []*stripe[K, V]
	capacity int
	free     atomic.Int64 // the number of entries below the capacity
	janitor  janitor[K, V]
}

// New returns an empty Tier for at most capacity entries, between 1 and MaxCapacity. If text is
// set it is keyed by text, else by K itself. If slow is set, every read takes the slow path: Hit
// and HitAt find nothing.
func New[K comparable, V any](capacity int, text, slow bool, clock *coarse.Clock) *Tier[K, V] {
	n := stripesFor(capacity)
	t := &Tier[K, V]{
		mask:     uint64(n - 1),
		hasher:   newHasher[K](),
		noHit:    text || slow,
		slow:     slow,
		text:     text,
		clock:    clock,
		capacity: capacity,
	}
	t.free.Store(int64(capacity))
	for i := range n {
		s := &stripe[K, V]{table: &t.tables[i], free: &t.free}
		s.table.Store(newTable[K, V](minBuckets))
		s.policy.init((capacity + i) / n) // the shares differ by at most one; their sum is capacity
		s.policy.capacity = 0
		s.roster.init(t.janitor.used)
		t.stripes = append(t.stripes, s)
	}
	t.janitor.init(t)
	return t
}

// HoldsCopies says that the entries are copies of those in a store, which may expire later: see
// [Entry.End]. It is called before the first entry is made.
func (t *Tier[K, V]) HoldsCopies() { t.copies = true }

// stripesFor returns the number of stripes, a power of two. It is 1 for a small capacity, else
// the largest that leaves every stripe enough entries. Up to 16 stripes, 512 entries are enough:
// the hit ratio does not suffer. Beyond that it takes 8,192, because more stripes only keep
// writers out of each other's way.
func stripesFor(capacity int) int {
	n := 1
	for n < manyStripes && capacity/(2*n) >= minPerStripe ||
		n < maxStripes && capacity/(2*n) >= minPerStripeOfMany {
		n *= 2
	}
	return n
}

// Plain returns the Key for key in a Tier keyed by K.
func (t *Tier[K, V]) Plain(key K) Key[K] { return Key[K]{K: key, Hash: t.hasher.hash(key)} }

// Text returns the Key for text in a Tier keyed by text.
func (t *Tier[K, V]) Text(text string) Key[K] {
	return Key[K]{Text: text, Hash: t.hasher.hashText(text)}
}

// Hit is the fast path of a read. If key has an entry that is alive and needs no further check,
// Hit sets its seen bit and returns it. Otherwise it returns nil. Then absent reports whether key
// certainly has no entry that is alive; if it is false, the caller has to take the slow path.
func (t *Tier[K, V]) Hit(key K) (e *Entry[K, V], absent bool) {
	if t.noHit {
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

// HitAt is [Tier.Hit] for a Key, in a Tier keyed by text too. A nil result says nothing about
// why.
func (t *Tier[K, V]) HitAt(key *Key[K]) *Entry[K, V] {
	e := t.Find(key)
	if e == nil || t.slow || e.state.Load()&checked != 0 || t.Expired(e) {
		return nil
	}
	e.Use()
	return e
}

// Find returns the entry of key, alive or not, or nil. It does not count as a use.
func (t *Tier[K, V]) Find(key *Key[K]) *Entry[K, V] {
	_, _, e := t.tables[t.index(key)].Load().place(key)
	return e
}

// Alive reports whether e is not nil, has not expired, and is current: see [Entry.Current].
func (t *Tier[K, V]) Alive(e *Entry[K, V]) bool {
	return e != nil && !t.Expired(e) && e.Current()
}

// Expired reports whether e has reached its expiry. It reads the real clock only if the coarse
// clock cannot tell.
func (t *Tier[K, V]) Expired(e *Entry[K, V]) bool {
	sure := e.sure.Load()
	return !t.clock.Before(sure) && sure != coarse.Never && t.clock.Exact() >= coarse.Expiry(sure)
}

// Slide extends e, which slides and is used now: see [Entry.Slide]. It reads the coarse clock
// only, as long as that says that the next extension is not due.
func (t *Tier[K, V]) Slide(e *Entry[K, V]) {
	life := e.Detail().Life.Load()
	if due := e.Expiry() - life + life/8; !t.clock.Before(coarse.Sure(due)) {
		e.Slide(t.clock.Exact())
	}
}

// Touch changes the expiry of e to expiry and, if e has a Detail, its Life to slides. It returns
// false and changes nothing if e is not the entry of key, or is not alive at now.
func (t *Tier[K, V]) Touch(
	key *Key[K], e *Entry[K, V], expiry int64, slides time.Duration, now int64,
) bool {
	if !t.stripe(key).touch(key, e, expiry, slides, now) {
		return false
	}
	if expiry != coarse.Never {
		t.janitor.expect(expiry)
	}
	return true
}

// Put stores e at the time now. It replaces the entry of key, or evicts other entries if there
// are too many. It does nothing once the Tier is closed.
func (t *Tier[K, V]) Put(key *Key[K], e *Entry[K, V], now int64) { t.Swap(key, nil, e, now) }

// Swap is [Tier.Put] if old is nil or the entry of key. Otherwise, and once the Tier is closed,
// it changes nothing and returns false.
func (t *Tier[K, V]) Swap(key *Key[K], old, e *Entry[K, V], now int64) bool {
	e.check()
	stored, room := t.stripe(key).put(key, old, e, now)
	for !room {
		t.vacate(key, now)
		stored, room = t.stripe(key).put(key, old, e, now)
	}
	if !stored {
		return false
	}
	if expiry := e.Expiry(); expiry != coarse.Never {
		t.janitor.expect(expiry)
	}
	return true
}

// vacate evicts an entry of some stripe. The stripe of key has none.
func (t *Tier[K, V]) vacate(key *Key[K], now int64) {
	first := t.index(key)
	for i := range uint64(len(t.stripes)) {
		if t.stripes[(first+i)&t.mask].vacate(now) {
			return
		}
	}
}

// Delete removes the entry of key, alive or not, and reports whether there was one that was
// alive.
func (t *Tier[K, V]) Delete(key *Key[K]) bool {
	s := t.stripe(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _, e := s.table.Load().place(key)
	return e != nil && s.drop(e) && t.Alive(e)
}

// Remove removes e and returns true, if e is still the entry of key.
func (t *Tier[K, V]) Remove(key *Key[K], e *Entry[K, V]) bool {
	s := t.stripe(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.drop(e)
}

// Clear removes all entries and returns how many of them were alive. It clears one stripe after
// the other.
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

// Close removes all entries. From then on the Tier accepts none, and has no timer. Close waits
// for a sweep of the janitor that runs.
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

// release cuts the links of all entries of old, so that one that somebody holds keeps no others
// alive. It returns how many are alive. old is out of use: a writer reaches the links of an entry
// only after it has found the entry in the present table, so release needs no lock.
func (t *Tier[K, V]) release(old *table[K, V]) (live int) {
	old.each(func(e *Entry[K, V], _ uint64) {
		e.next, e.prev = nil, nil
		if t.Alive(e) {
			live++
		}
	})
	return live
}

// Len returns the number of entries. It counts those that are not alive but have not been
// removed. It looks at one stripe after the other, so what changes meanwhile may be counted twice or
// not at all; but it returns at most the capacity.
func (t *Tier[K, V]) Len() int {
	n := 0
	for _, s := range t.stripes {
		s.mu.Lock()
		n += s.table.Load().n
		s.mu.Unlock()
	}
	return min(n, t.capacity)
}

// Stats returns how many entries were evicted while they were alive, how many were swept,
// replaced or evicted after they had expired, and how many were evicted after a tag of theirs had
// advanced.
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
