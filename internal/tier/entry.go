package tier

import (
	"sync/atomic"
	"unsafe"

	"github.com/zodiac-go/zodiac/internal/coarse"
)

// An Entry is one value in memory.
//
// Once it is in a Tier, only these parts of it change. Readers set the seen bit, and extend the
// expiry of an entry that slides. Touch changes the expiry and the Life. The links and the other
// state bits change under the mutex of the stripe.
//
// The fields that a hit reads come first. They share a cache line with the beginning of the
// value. An entry with an int64 key and a value of 64 bytes has 112 bytes, which is a size class
// of its own.
type Entry[K comparable, V any] struct {
	Key     K            // the zero K in a Tier keyed by text
	sure    atomic.Int64 // coarse.Sure of the expiry: by the coarse clock, e is alive before it
	state   atomic.Uint32
	hash    uint32       // low half of the key's hash; chooses bucket, sketch counters and ghost
	next    *Entry[K, V] // the links: neighbours in a ring; next links evicted entries too
	prev    *Entry[K, V]
	Created int64 // when the fetch or the Set began, in nanoseconds of the Tier's clock
	Value   V
}

// The state of an entry holds flags, the ring that the entry is in, and its slot in the roster
// plus one, or 0 if it has none. Readers set seen and nothing else. All the rest changes under
// the mutex of the stripe, by a load and a store. If a reader sets seen between these two, that
// is lost. Then the entry misses one second chance; there is no other harm.
const (
	seen    uint32 = 1 << iota // read since the policy last cleared the bit
	checked                    // a hit must look at the Detail: Hit and HitAt leave e alone
	tailed                     // e was allocated with a Detail behind it; never changes
	ended                      // e was allocated with an end behind it; never changes
	inWindow
	inMain
	slotShift = iota

	ringMask = inWindow | inMain
	slotMask = ^uint32(1<<slotShift - 1)

	// maxSlots is the largest capacity of a stripe. The state has room for one slot more, because
	// a new entry is listed before another one goes.
	maxSlots = 1<<(32-slotShift) - 2
)

// A Detail holds what only some entries have. It lies behind the entry, in the same allocation,
// so the other entries do not pay for it. Only Life changes once the entry is in a Tier.
type Detail struct {
	Text string       // the key, in a Tier keyed by text
	Life atomic.Int64 // if > 0 the entry slides: a use extends its life to so many nanoseconds
	None error        // if not nil, the key is known not to exist, and readers get this error
	Nil  bool         // the value is a nil pointer or a nil interface
	Tags []Tag
	end  int64 // see Entry.End; 0 = the expiry
}

// A Tag is the generation that a label had when an entry was stored under it.
type Tag struct {
	Label *Label
	Gen   uint64
}

// A Label holds the present generation of a tag by name. An entry stored under an earlier
// generation is not current.
type Label struct {
	Name string
	gen  atomic.Uint64
}

// Tag returns the present generation of the label.
func (l *Label) Tag() Tag { return Tag{l, l.gen.Load()} }

// Advance begins a new generation: entries stored before are not current any more.
func (l *Label) Advance() { l.gen.Add(1) }

// Current reports whether no label has advanced since its tag was taken.
func Current(tags []Tag) bool {
	for _, t := range tags {
		if t.Label.gen.Load() != t.Gen {
			return false
		}
	}
	return true
}

// A tailedEntry is an entry with a Detail, as it is allocated. The Entry comes first, so its
// address is the address of the whole.
type tailedEntry[K comparable, V any] struct {
	Entry[K, V]
	Detail
}

// An endedEntry is an entry without a Detail in a Tier of copies, as it is allocated. An end costs
// it 8 bytes; in every Entry it would cost those that are no copies as much.
type endedEntry[K comparable, V any] struct {
	Entry[K, V]
	end int64 // as in Detail
}

// NewEntry returns an entry for key, which is not in the Tier yet. It has a Detail if detailed is
// set or the Tier is keyed by text. Before the entry is put, the caller sets its Value, the
// fields of the Detail and the expiry.
func (t *Tier[K, V]) NewEntry(key *Key[K], created int64, detailed bool) *Entry[K, V] {
	var e *Entry[K, V]
	switch {
	case detailed || t.text:
		x := new(tailedEntry[K, V])
		x.Text = key.Text
		e = &x.Entry
		e.state.Store(tailed)
	case t.copies:
		e = &new(endedEntry[K, V]).Entry
		e.state.Store(ended)
	default:
		e = new(Entry[K, V])
	}
	e.Key, e.Created, e.hash = key.K, created, uint32(key.Hash)
	return e
}

// ExpireAt sets the expiry, in nanoseconds of the Tier's clock; coarse.Never is none. Nobody else
// may have the entry yet. Or the caller holds the mutex of the stripe, and lists the entry anew
// in the roster.
func (e *Entry[K, V]) ExpireAt(expiry int64) { e.sure.Store(coarse.Sure(expiry)) }

// check sets the checked bit if hits must look at the Detail. It never clears the bit.
func (e *Entry[K, V]) check() {
	if d := e.Detail(); d != nil && (d.Life.Load() > 0 || d.None != nil || len(d.Tags) > 0) {
		e.state.Store(e.state.Load() | checked)
	}
}

// Detail returns the Detail of the entry, or nil if it has none.
func (e *Entry[K, V]) Detail() *Detail {
	if e.state.Load()&tailed == 0 {
		return nil
	}
	// This is safe: e is the first field of a tailedEntry, and a pointer into an allocation keeps
	// the whole allocation alive.
	return &(*tailedEntry[K, V])(unsafe.Pointer(e)).Detail
}

// Expiry returns the expiry, in nanoseconds of the Tier's clock, or coarse.Never. The entry is
// not alive at its expiry.
func (e *Entry[K, V]) Expiry() int64 { return coarse.Expiry(e.sure.Load()) }

// SetEnd sets the End of a copy. Nobody else may have the entry yet. It does nothing to an entry
// that has no Detail and whose Tier is not one of copies.
func (e *Entry[K, V]) SetEnd(end int64) {
	if at := e.end(); at != nil {
		*at = end
	}
}

// End returns when the entry expires of which this one is a copy, in nanoseconds of the Tier's
// clock, or coarse.Never. The copy itself may expire before that. The End of an entry that is no
// copy is its expiry.
func (e *Entry[K, V]) End() int64 {
	if at := e.end(); at != nil && *at != 0 {
		return *at
	}
	return e.Expiry()
}

// end returns where the end lies, or nil if the entry has no place for one.
func (e *Entry[K, V]) end() *int64 {
	switch s := e.state.Load(); {
	case s&tailed != 0:
		return &e.Detail().end
	case s&ended != 0: // safe for the reason that Detail gives
		return &(*endedEntry[K, V])(unsafe.Pointer(e)).end
	default:
		return nil
	}
}

// Current reports whether no tag of the entry has advanced since the entry was stored.
func (e *Entry[K, V]) Current() bool {
	d := e.Detail()
	return d == nil || Current(d.Tags)
}

// Use sets the seen bit. The policy spares the entry the next time it would evict it.
func (e *Entry[K, V]) Use() {
	if e.state.Load()&seen == 0 {
		e.state.Or(seen)
	}
}

// Slide extends the entry, which slides, for a use at now: its expiry becomes now plus its Life.
// It does so only if at least an eighth of the Life has passed since the last extension, and the
// entry has not expired.
func (e *Entry[K, V]) Slide(now int64) {
	for {
		sure := e.sure.Load()
		// Touch stores Life and then sure, so this loads them the other way round. If sure is the
		// new one, so is life. If sure is the old one, Touch stores the new one before the swap,
		// which then fails, or after the swap, and overwrites its result.
		life := e.Detail().Life.Load()
		end := coarse.Expiry(sure)
		if now < end-life+life/8 || now >= end ||
			e.sure.CompareAndSwap(sure, coarse.Sure(now+life)) {
			return
		}
	}
}

// is reports whether the key of e is key.
func (e *Entry[K, V]) is(key *Key[K]) bool {
	if e.state.Load()&tailed != 0 {
		if d := e.Detail(); d.Text != key.Text {
			return false
		}
	}
	return e.Key == key.K
}

// dead reports whether e has expired at now.
func (e *Entry[K, V]) dead(now int64) bool { return now >= e.Expiry() }

// ring returns the ring that e is in: inWindow, inMain or 0.
func (e *Entry[K, V]) ring() uint32 { return e.state.Load() & ringMask }

// slot returns the slot of e in the roster, or -1.
func (e *Entry[K, V]) slot() int { return int(e.state.Load()>>slotShift) - 1 }

func (e *Entry[K, V]) setRing(r uint32) { e.state.Store(e.state.Load()&^ringMask | r) }

func (e *Entry[K, V]) setSlot(i int) {
	e.state.Store(e.state.Load()&^slotMask | uint32(i+1)<<slotShift)
}

func (e *Entry[K, V]) clearSeen() { e.state.Store(e.state.Load() &^ seen) }

func (e *Entry[K, V]) wasSeen() bool { return e.state.Load()&seen != 0 }
