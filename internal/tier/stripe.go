package tier

import (
	"sync"
	"sync/atomic"
	"time"
)

// A stripe holds a share of the keys. The capacity of its policy is the number of slots that it has
// taken from the tier, one for each entry. So a stripe evicts only if no stripe has a free slot, and
// all of them together never hold more entries than the capacity of the tier.
type stripe[K comparable, V any] struct {
	mu      sync.Mutex // guards the fields below, the links of entries, and changes to the table
	table   *atomic.Pointer[table[K, V]]
	policy  policy[K, V]
	free    *atomic.Int64 // the slots of the tier that no stripe has taken
	roster  roster[K, V]
	closed  bool
	evicted uint64   // entries that were alive when they were evicted
	expired uint64   // entries that had expired when they were swept, replaced or evicted
	invalid uint64   // entries of which a tag had advanced when they were evicted
	_       [64]byte // keeps the mutex of the next stripe off this cache line
}

// touch is the critical section of [Tier.Touch].
func (s *stripe[K, V]) touch(
	key *Key[K], e *Entry[K, V], expiry int64, slides time.Duration, now int64,
) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, _, there := s.table.Load().place(key); there != e || e.dead(now) || !e.Current() {
		return false
	}
	s.roster.remove(e)
	if d := e.Detail(); d != nil {
		d.Life.Store(int64(slides)) // before the expiry: see Entry.Slide
		e.check()
	}
	e.ExpireAt(expiry)
	s.roster.add(e)
	return true
}

// put stores e, if want is nil or the entry of key. It evicts the entries that the policy
// chooses. room is false if no slot is free and the stripe has no entry to evict; then nothing has
// changed.
func (s *stripe[K, V]) put(key *Key[K], want, e *Entry[K, V], now int64) (stored, room bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.table.Load()
	s.policy.warm(t, uint32(key.Hash))
	b, lane, old := t.place(key)
	if s.closed || want != nil && want != old {
		return false, true
	}
	if old != nil {
		if old.dead(now) {
			s.expired++
		}
		b.entry[lane].Store(e)
		s.roster.remove(old)
		s.policy.replace(old, e)
		s.roster.add(e)
		return true, true
	}
	if s.take(); s.policy.capacity == 0 {
		return false, false
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
	s.settle()
	return true, true
}

// take takes a free slot of the tier for a new entry, if there is one. The caller holds mu.
func (s *stripe[K, V]) take() {
	for n := s.free.Load(); n > 0; n = s.free.Load() {
		if s.free.CompareAndSwap(n, n-1) {
			s.policy.capacity++
			return
		}
	}
}

// settle gives back the slots that have no entry any more. The caller holds mu.
func (s *stripe[K, V]) settle() {
	if n := s.policy.len(); n < s.policy.capacity {
		s.free.Add(int64(s.policy.capacity - n))
		s.policy.capacity = n
	}
}

// vacate evicts an entry, for the sake of another stripe, and gives its slot back. It returns false
// if the stripe is empty.
func (s *stripe[K, V]) vacate(now int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.policy.len() == 0 {
		return false
	}
	s.bury(s.policy.evictOne(now), now)
	s.free.Add(1)
	return true
}

// bury takes an entry that the policy has evicted out of the table and the roster, and counts it.
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

// drop removes e from the table, the policy and the roster. It returns false if e is not in the
// table any more. The caller holds mu.
func (s *stripe[K, V]) drop(e *Entry[K, V]) bool {
	if !s.table.Load().remove(e) {
		return false
	}
	s.policy.remove(e)
	s.roster.remove(e)
	s.settle()
	return true
}

// clear begins with an empty table, empty rings and an empty roster, and returns the table that
// it replaced. The caller holds mu.
func (s *stripe[K, V]) clear() *table[K, V] {
	old := s.table.Swap(newTable[K, V](minBuckets))
	s.policy.reset()
	s.roster.reset()
	s.settle()
	return old
}
