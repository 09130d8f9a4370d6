package zodiac

import (
	"context"
	"math/bits"
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"
)

// Stats are counts since construction. Nothing resets them. They are read one after the other while calls go
// on, so sums hold exactly only at rest.
type Stats struct {
	// Gets counts the calls of Get, GetOrFetch and Refresh, the keys of GetMany, and Peek and Entry (as reads that may
	// not fetch). Each ended in exactly one of the ten below. Calls that got [ErrClosed], and keys without text, count
	// nowhere.
	Gets      uint64
	HitMemory uint64 // value or None from memory
	HitStore  uint64 // from the store
	Stale     uint64 // a stale value
	Shared    uint64 // the result of another caller's fetch
	Fetched   uint64 // the result of a fetch this call began
	Failed    uint64 // an error of a fetch, of a panic, ErrCycle, or a remembered one
	Missed    uint64 // nothing found, and no right to fetch
	Bypassed  uint64 // the function called directly
	Left      uint64 // the caller's own context ended

	// Fetches counts the calls of the function on behalf of the cache that have returned. Each is exactly one of the
	// five below.
	Fetches     uint64
	Stored      uint64 // its result, a None included, was stored
	Void        uint64 // an invalidation came in between, all callers had left, or it took too long
	Skipped     uint64 // its result was not to be stored: SkipIf, or a lifetime of nothing
	Unleased    uint64 // nothing was to be or could be stored: NoWrite, too many tags, a fault of the store or codec, WithWait over
	FetchErrors uint64 // it failed or panicked

	Evicted uint64 // live entries that made room for others
	Expired uint64 // entries taken out after their expiry
	Invalid uint64 // entries met that ValidIf refused, or whose tag was deleted
	Corrupt uint64 // records of a store that could not be read
	Size    int    // entries in memory
}

// A counter is one of the counts kept call by call.
type counter int

const (
	hitMemory counter = iota
	shared
	fetched
	failed
	missed
	bypassed
	left
	stored
	voided
	skipped
	unleased
	fetchErrors
	invalid
	hitStore
	corrupt
	numCounters
)

type counters [numCounters]atomic.Uint64

// stats returns the counts with their sums.
func (c *counters) stats() Stats {
	s := Stats{
		HitMemory: c[hitMemory].Load(), Shared: c[shared].Load(), Fetched: c[fetched].Load(), Failed: c[failed].Load(),
		Missed: c[missed].Load(), Bypassed: c[bypassed].Load(), Left: c[left].Load(),
		Stored: c[stored].Load(), Void: c[voided].Load(), Skipped: c[skipped].Load(), Unleased: c[unleased].Load(),
		FetchErrors: c[fetchErrors].Load(), Invalid: c[invalid].Load(), HitStore: c[hitStore].Load(), Corrupt: c[corrupt].Load(),
	}
	s.sum()
	return s
}

func (s *Stats) sum() {
	s.Gets = s.HitMemory + s.HitStore + s.Stale + s.Shared + s.Fetched + s.Failed + s.Missed + s.Bypassed + s.Left
	s.Fetches = s.Stored + s.Void + s.Skipped + s.Unleased + s.FetchErrors
}

// A striped counts hits. One counter for all would make a hit on two cores cost twice as much: the cores would
// take its cache line from each other.
type striped struct {
	cells []stripedCell // a power of two
	shift uint
}

type stripedCell struct {
	n atomic.Uint64
	_ [56]byte
}

func newStriped() striped {
	n := min(256, 8<<bits.Len(uint(runtime.GOMAXPROCS(0)-1)))
	return striped{cells: make([]stripedCell, n), shift: uint(64 - bits.TrailingZeros(uint(n)))}
}

// add counts one, in a cell chosen by where the goroutine's stack lies: a goroutine keeps to its cell, two hardly ever
// meet, and it costs no look at what core this is.
func (s *striped) add() {
	var here byte
	at := uint64(uintptr(unsafe.Pointer(&here))) >> 11
	s.cells[at*0x9e3779b97f4a7c15>>s.shift&uint64(len(s.cells)-1)].n.Add(1)
}

func (s *striped) sum() uint64 {
	var n uint64
	for i := range s.cells {
		n += s.cells[i].n.Load()
	}
	return n
}

// An EventKind says what an Event is about.
type EventKind uint8

// The kinds of events.
const (
	// EventFetch says that a function called on behalf of the cache has returned. Took is how long it ran, Outcome what became of
	// the result, Err its error.
	EventFetch EventKind = iota
	// EventFault says that something kept a value out of the cache that its caller has all the same: the key has no text, the
	// value too many tags, or the store or the codec failed. Err says what.
	EventFault
)

// String returns "fetch" or "fault".
func (k EventKind) String() string {
	if k == EventFault {
		return "fault"
	}
	return "fetch"
}

// An Outcome is what became of the result of a fetch; the counts in [Stats] of the same names add up all of them.
type Outcome string

// The outcomes of a fetch.
const (
	OutcomeStored   Outcome = "stored"
	OutcomeVoid     Outcome = "void"
	OutcomeSkipped  Outcome = "skipped"
	OutcomeUnleased Outcome = "unleased"
	OutcomeError    Outcome = "error"
)

// An Event tells an [Observer] about a fetch or a fault.
type Event struct {
	Kind    EventKind
	Loader  string // name of the loader
	Key     any    // the key, of the loader's type K
	Outcome Outcome
	Took    time.Duration
	Err     error
}

// An Observer is told about fetches and faults, never about a hit in memory. Observe is called outside of all locks and
// by many goroutines at once: on the goroutine of the fetch, after all callers have their outcome, so that only Close waits
// for it; or, about a key without text, on the goroutine of the caller, before the function. The context has the
// values of the caller's and does not end. If Observe panics, the panic is logged, if there is a logger, and goes no
// further.
type Observer interface {
	Observe(ctx context.Context, e Event)
}
