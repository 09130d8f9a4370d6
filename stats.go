package zodiac

import (
	"sync/atomic"
	"time"
)

// Stats are counts since construction. Nothing resets them. They are read one after the other while
// calls go on, so the sums hold exactly only at rest.
type Stats struct {
	// Gets counts the calls of Get, GetOrFetch and Refresh, the keys of GetMany, and Peek and
	// Entry, which count as reads that may not fetch. Each ended in exactly one of the eight
	// below. Calls that returned [ErrClosed] and keys without text count nowhere.
	Gets      uint64
	HitMemory uint64 // a value or None from memory
	HitStore  uint64 // a value or None from the store
	Shared    uint64 // the result of another caller's fetch
	Fetched   uint64 // the result of a fetch that this call began
	Failed    uint64 // an error of a fetch, a panic, ErrCycle, ErrBusy, or a remembered error
	Missed    uint64 // nothing was found, and the call may not fetch
	Bypassed  uint64 // the fetch function was called directly
	Canceled  uint64 // the caller's own context ended

	// Fetches counts the fetches on behalf of the cache that have returned. Each is exactly one
	// of the five below.
	Fetches     uint64
	Stored      uint64 // the result, a None included, was stored
	Discarded   uint64 // invalidated while it was fetched; all callers had left; or it took too long
	Skipped     uint64 // the result was not to be stored: SkipIf, or a lifetime of nothing
	Uncached    uint64 // returned, not stored: NoWrite, too many tags, WithWait over, a newer release's record, a fault of the store or codec
	FetchErrors uint64 // it failed or panicked

	Evicted uint64 // live entries that made room for others
	Expired uint64 // entries removed after their expiry
	Invalid uint64 // entries met that ValidIf refused, whose tag was deleted, or that are of another V
	Corrupt uint64 // records of a store that could not be read
	Size    int    // entries in memory

	// Unreported counts lines of the log and events of faults that were dropped, since the log's
	// handler or the Observer was too slow.
	Unreported uint64

	Bus BusStats // zero without a store that is a Bus
}

// BusStats are figures about the messages by which processes tell each other what was invalidated.
// All loaders over one store share them; they count while one of the loaders is open.
type BusStats struct {
	// LagP50 and LagP99 are the times that half and 99 % of the messages received took at most,
	// from when they were sent to when this process had them, a fifth more at most. They are 0 if
	// there were none. The times are taken by the clocks of two machines, so what these differ by is
	// in them. A message that seems to arrive before it was sent counts as 0.
	LagP50, LagP99 time.Duration

	// Gaps counts how often messages were lost: the subscription broke, or a message was missing.
	// Each time this process drops what it has in memory, which another process may have
	// invalidated.
	Gaps uint64

	// Malformed counts the messages that were dropped since no zodiac of this version writes such.
	Malformed uint64
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
	canceled
	stored
	discarded
	skipped
	uncached
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
		Missed: c[missed].Load(), Bypassed: c[bypassed].Load(), Canceled: c[canceled].Load(),
		Stored: c[stored].Load(), Discarded: c[discarded].Load(), Skipped: c[skipped].Load(), Uncached: c[uncached].Load(),
		FetchErrors: c[fetchErrors].Load(), Invalid: c[invalid].Load(), HitStore: c[hitStore].Load(), Corrupt: c[corrupt].Load(),
	}
	s.sum()
	return s
}

func (s *Stats) sum() {
	s.Gets = s.HitMemory + s.HitStore + s.Shared + s.Fetched + s.Failed + s.Missed + s.Bypassed + s.Canceled
	s.Fetches = s.Stored + s.Discarded + s.Skipped + s.Uncached + s.FetchErrors
}

func (c *core) count(n counter, sinks []*counters) {
	c.counts[n].Add(1)
	for _, s := range sinks {
		s[n].Add(1)
	}
}

func (c *engine[K, V]) hit(sinks []*counters) {
	c.hits.Add()
	for _, s := range sinks {
		s[hitMemory].Add(1)
	}
}
