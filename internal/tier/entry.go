package tier

import (
	"sync/atomic"
	"unsafe"

	"github.com/zodiac-go/zodiac/internal/coarse"
)

// An Entry is one value in memory. All of it is fixed once it is in a tier, but for the touch bit, the expiry, which
// Touch and readers of a sliding entry move, what it slides to, and the links, which belong to the stripe's mutex.
//
// The fields a hit reads come first: they share a cache line with the beginning of the value. An int64 key
// with a value of 64 bytes makes 112 bytes, which is a size class of its own.
type Entry[K comparable, V any] struct {
	Key     K            // the zero K in a tier keyed by text
	sure    atomic.Int64 // until when it is certainly alive: coarse.Sure of the expiry
	state   atomic.Uint32
	hash    uint32 // low half of the key's hash: its bucket, its place in the sketch, its ghost
	next    *Entry[K, V]
	prev    *Entry[K, V]
	Created int64 // when the fetch began, or Set was called: time of the tier's clock
	Value   V
}

// The state of an entry: flags, the ring it is in, and its number in the roster (0 = none, else slot+1).
// Readers only ever set seen; everything else changes under the stripe's mutex by load and store, so a seen
// set in between may be lost, which costs one second chance and nothing else.
const (
	seen    uint32 = 1 << iota // read since the hand last came by
	checked                    // a hit has to look at the Detail: not for the short way
	tailed                     // allocated with a Detail behind it
	inWindow
	inMain
	slotShift = iota

	ringMask = inWindow | inMain
	slotMask = ^uint32(1<<slotShift - 1)
	maxSlots = 1<<(32-slotShift) - 2 // a newcomer is listed before another goes
)

// A Detail is what only some entries have. It lies behind the entry in one allocation, so that the others do
// not pay for it.
type Detail struct {
	Text string       // the key, in a tier keyed by text
	Life atomic.Int64 // sliding: every use extends the entry to so many nanoseconds; 0 = not sliding. Touch may change it.
	None error        // not nil: the key is known not to exist, and this is what readers get
	Nil  bool         // the value is a nil pointer or a nil interface
	Tags []Tag
}

// A Tag is the generation of a label that an entry was stored under.
type Tag struct {
	Label *Label
	Gen   uint64
}

// A Label is the cell of one tag: entries stored under an older generation than its present one are invalid.
type Label struct {
	Name string
	gen  atomic.Uint64
}

// Tag returns the label's present generation.
func (l *Label) Tag() Tag { return Tag{l, l.gen.Load()} }

// Advance makes every entry invalid that holds an earlier generation.
func (l *Label) Advance() { l.gen.Add(1) }

// Current reports whether no tag's label has advanced since the tag was taken.
func Current(tags []Tag) bool {
	for _, t := range tags {
		if t.Label.gen.Load() != t.Gen {
			return false
		}
	}
	return true
}

// tailedEntry is how an entry with a Detail is allocated. The Entry comes first: its address is the address
// of the whole.
type tailedEntry[K comparable, V any] struct {
	Entry[K, V]
	Detail
}

// NewEntry returns an entry for key, with a Detail if detailed is set. The caller sets its Value, what is in the Detail,
// and when it expires, before it is Put.
func (t *Tier[K, V]) NewEntry(key *Key[K], created int64, detailed bool) *Entry[K, V] {
	var e *Entry[K, V]
	if detailed || t.text {
		x := new(tailedEntry[K, V])
		x.Text = key.Text
		e = &x.Entry
		e.state.Store(tailed)
	} else {
		e = new(Entry[K, V])
	}
	e.Key, e.Created, e.hash = key.K, created, uint32(key.Hash)
	return e
}

// ExpireAt sets when the entry ends, in nanoseconds of the tier's clock, or coarse.Never. The caller has it for itself, or
// holds the stripe's mutex and lists it anew.
func (e *Entry[K, V]) ExpireAt(expiry int64) { e.sure.Store(coarse.Sure(expiry)) }

// check notes for the hits to come whether they have to look at the Detail.
func (e *Entry[K, V]) check() {
	if d := e.Detail(); d != nil && (d.Life.Load() > 0 || d.None != nil || len(d.Tags) > 0) {
		e.state.Store(e.state.Load() | checked)
	}
}

// Detail returns what the entry has beyond a plain one, or nil.
func (e *Entry[K, V]) Detail() *Detail {
	if e.state.Load()&tailed == 0 {
		return nil
	}
	// Safe: a tailed entry is the first field of a tailedEntry, and a pointer to the inside of an
	// allocation keeps the whole of it.
	return &(*tailedEntry[K, V])(unsafe.Pointer(e)).Detail
}

// Expiry returns when the entry ends, in nanoseconds of the tier's clock, or coarse.Never.
func (e *Entry[K, V]) Expiry() int64 { return coarse.Expiry(e.sure.Load()) }

// Current reports whether none of the entry's tags has been deleted since it was stored.
func (e *Entry[K, V]) Current() bool {
	d := e.Detail()
	return d == nil || Current(d.Tags)
}

// Use marks the entry as used, which spares it when the eviction hand comes by.
func (e *Entry[K, V]) Use() {
	if e.state.Load()&seen == 0 {
		e.state.Or(seen)
	}
}

// Slide extends a sliding entry that is used at now, if at least an eighth of its lifetime has passed since it was last
// extended.
func (e *Entry[K, V]) Slide(now int64) {
	for {
		sure := e.sure.Load()
		life := e.Detail().Life.Load() // after sure: Touch sets it before
		end := coarse.Expiry(sure)
		if now < end-life+life/8 || now >= end || e.sure.CompareAndSwap(sure, coarse.Sure(now+life)) {
			return
		}
	}
}

// is reports whether the entry is the one for key.
func (e *Entry[K, V]) is(key *Key[K]) bool {
	if e.state.Load()&tailed != 0 {
		if d := e.Detail(); d.Text != key.Text {
			return false
		}
	}
	return e.Key == key.K
}

func (e *Entry[K, V]) dead(now int64) bool { return now >= e.Expiry() }

func (e *Entry[K, V]) ring() uint32 { return e.state.Load() & ringMask }

// slot returns the entry's place in the roster, or -1.
func (e *Entry[K, V]) slot() int { return int(e.state.Load()>>slotShift) - 1 }

func (e *Entry[K, V]) setRing(r uint32) { e.state.Store(e.state.Load()&^ringMask | r) }

func (e *Entry[K, V]) setSlot(i int) {
	e.state.Store(e.state.Load()&^slotMask | uint32(i+1)<<slotShift)
}

func (e *Entry[K, V]) clearSeen() { e.state.Store(e.state.Load() &^ seen) }

func (e *Entry[K, V]) wasSeen() bool { return e.state.Load()&seen != 0 }
