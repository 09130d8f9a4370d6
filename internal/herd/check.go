package herd

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"
)

// grace is how long after it was stopped a process may still return expired values: a cache's clock
// may lag until its timer has run. A takeover that is later than grace is described in Cases.
const grace = 50 * time.Millisecond

// A Result is what Check finds in the logs of a run.
//
// A fetch is a read of the origin. A read is stale if it returned an older version than one whose
// Delete had been acknowledged before the read began. Its age is the time from that
// acknowledgement, the first if there were several, to the end of the read. A stale read that a
// Loss explains is excused, and counted as such only.
type Result struct {
	Reads       int
	Errors      int // reads that failed
	Fetches     int
	Floor       int // the least number of fetches: one per key that was fetched, and one per write
	PeakFetches int // the most fetches that began within a second
	PeakFloor   int // the most fetches of the floor that began within a second
	MostPerKey  int // the most fetches of one key
	Overlaps    int // fetches that began during another of the same key
	Doubled     int // fetches that began during another of the same key by the same process
	Deletes     int // acknowledged Deletes

	Stale   int           // stale reads, without excused ones
	Oldest  time.Duration // the greatest age of these
	Own     int           // of these, those of a process that had called a Delete the read missed
	Excused int           // excused reads
	Ancient time.Duration // the greatest age of these
	Healed  time.Duration // the longest time from the end of a loss to the start of one of these
	Expired int           // reads that returned an expired value
	Older   int           // reads of an older version than one that a Refresh had returned before
	Cases   []string      // descriptions of the first stale reads, and of late takeovers

	Latency Spread // of reads, from start to end
	Waiting Spread // of reads that began before their fetch ended: from its end to theirs
	Last    Spread // the longest Waiting of each fetch

	// Failing and Broken are for reads that began during an Outage: their time without the time
	// of their fetch. Failing has the reads that began in the first GiveUp of it, Broken those
	// that began later and ended before its end.
	Failing Spread
	Broken  Spread

	Kills     int           // kills of a process that held a lease
	Takeovers Spread        // from the end of such a lease to the next fetch of its key
	Longest   time.Duration // the longest read of a worker that was not stopped meanwhile or just before

	Goroutines int  // goroutines left behind
	Truncated  bool // a log was full, so the other fields mean nothing

	Busy  float64 // the share of the machine's processor time in use; Run sets it
	Herd  float64 // the share in use by the children; Run sets it
	Begin int64   // when the callers started; a time of Now
	Rate  []int   // the fetches that began in each tenth of a second since Begin
}

// A checking is a call of Check in progress.
type checking struct {
	*Scenario
	*Result
	of     map[Kind][]Event   // by start
	acked  map[uint32][]Event // acknowledged Deletes by key; see deletes
	losses []Event            // by start
	fetch  map[int64]Event    // fetches by serial
}

// Check returns what the events of a run of s say. The run began at begin.
func Check(s *Scenario, events []Event, begin int64) *Result {
	c := &checking{
		Scenario: s, Result: &Result{Begin: begin},
		of: map[Kind][]Event{}, fetch: map[int64]Event{},
	}
	for _, e := range events {
		c.of[e.Kind] = append(c.of[e.Kind], e)
	}
	for _, of := range c.of {
		slices.SortFunc(of, byStart)
	}
	for _, e := range c.of[Fetch] {
		c.fetch[e.Serial] = e
	}
	c.losses = c.of[Loss]
	c.Truncated = len(c.of[Full]) > 0
	for _, e := range c.of[Goroutines] {
		c.Goroutines += int(e.Version)
	}
	c.refreshes()
	c.origin()
	c.deletes()
	c.freshness()
	c.expiry()
	c.latency()
	c.waiting()
	c.outages()
	c.takeovers()
	return c.Result
}

// origin counts the fetches, and those of the floor.
func (c *checking) origin() {
	c.Fetches = len(c.of[Fetch])
	floor := slices.Clone(c.of[Write]) // the first fetch of each key is added below
	type owned struct{ key, proc uint32 }
	perKey, busy, own := map[uint32]int{}, map[uint32]int64{}, map[owned]int64{}
	for _, e := range c.of[Fetch] {
		if by := (owned{e.Key, e.Proc}); e.Start < own[by] {
			c.Doubled++
			own[by] = max(own[by], e.End)
		} else {
			own[by] = e.End
		}
		if perKey[e.Key]++; perKey[e.Key] == 1 {
			floor = append(floor, e)
		}
		c.MostPerKey = max(c.MostPerKey, perKey[e.Key])
		if perKey[e.Key] > 1 && e.Start < busy[e.Key] {
			c.Overlaps++
		}
		busy[e.Key] = max(busy[e.Key], e.End)
		if tenth := int((e.Start - c.Begin) / int64(100*time.Millisecond)); tenth >= 0 {
			for len(c.Rate) <= tenth {
				c.Rate = append(c.Rate, 0)
			}
			c.Rate[tenth]++
		}
	}
	slices.SortFunc(floor, byStart)
	c.Floor = len(floor)
	c.PeakFetches, c.PeakFloor = peak(c.of[Fetch]), peak(floor)
}

func byStart(a, b Event) int { return cmp.Compare(a.Start, b.Start) }

// peak returns the most events that began within a second, wherever that second begins. The events
// are sorted by start.
func peak(events []Event) int {
	most, first := 0, 0
	for i, e := range events {
		for e.Start-events[first].Start >= int64(time.Second) {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

// deletes sets acked: the acknowledged Deletes of each key, sorted by end. The Serial of each is
// set to the highest Version of the key deleted so far. Deletes may end out of order, so the last
// one need not have the highest.
func (c *checking) deletes() {
	c.acked = map[uint32][]Event{}
	for _, e := range c.of[Delete] {
		if e.Code == 0 {
			c.acked[e.Key] = append(c.acked[e.Key], e)
			c.Deletes++
		}
	}
	for _, of := range c.acked {
		slices.SortFunc(of, func(a, b Event) int { return cmp.Compare(a.End, b.End) })
		highest := int64(0)
		for i := range of {
			highest = max(highest, of[i].Version)
			of[i].Serial = highest
		}
	}
}

// before returns the deletes that were acknowledged before at. The Serial of the last is the
// highest version among them.
func before(deletes []Event, at int64) []Event {
	return deletes[:sort.Search(len(deletes), func(i int) bool { return deletes[i].End >= at })]
}

// freshness counts stale and excused reads.
func (c *checking) freshness() {
	for _, r := range c.of[Read] {
		if r.Code != 0 {
			continue
		}
		known := before(c.acked[r.Key], r.Start)
		if len(known) == 0 || r.Version >= known[len(known)-1].Serial {
			continue
		}
		first := sort.Search(len(known), func(i int) bool { return known[i].Serial > r.Version })
		age := time.Duration(r.End - known[first].End)
		if l := c.excusedBy(r, known); l != nil {
			c.Excused++
			c.Ancient, c.Healed = max(c.Ancient, age), max(c.Healed, time.Duration(r.Start-l.End))
			continue
		}
		c.Stale++
		c.Oldest = max(c.Oldest, age)
		if slices.ContainsFunc(known[first:], func(d Event) bool { return d.Proc == r.Proc }) {
			c.Own++
		}
		if len(c.Cases) < 5 {
			c.Cases = append(c.Cases, c.describe(r, known[first]))
		}
	}
}

// refreshes counts the reads, in any process, that returned an older version than a Refresh which was
// over before they began. A Refresh is a read too.
func (c *checking) refreshes() {
	done := map[uint32][]Event{} // of each key, by end; the Serial is the highest Version so far
	for _, e := range c.of[Refreshed] {
		if e.Code == 0 {
			done[e.Key] = append(done[e.Key], e)
		}
		e.Kind = Read
		c.of[Read] = append(c.of[Read], e)
	}
	slices.SortFunc(c.of[Read], byStart)
	for _, of := range done {
		slices.SortFunc(of, func(a, b Event) int { return cmp.Compare(a.End, b.End) })
		highest := int64(0)
		for i := range of {
			highest = max(highest, of[i].Version)
			of[i].Serial = highest
		}
	}
	for _, r := range c.of[Read] {
		known := before(done[r.Key], r.Start)
		if r.Code == 0 && len(known) > 0 && r.Version < known[len(known)-1].Serial {
			c.Older++
			if len(c.Cases) < 5 {
				c.Cases = append(c.Cases, fmt.Sprintf("key %d: process %d read version %d at %.2f ms, after version %d of a Refresh",
					r.Key, r.Proc, r.Version, c.since(r.Start), known[len(known)-1].Serial))
			}
		}
	}
}

// describe describes a stale read, the fetch of its value, the Delete that it missed, and the stops
// of the processes that took part. Times are in milliseconds since the start of the run.
func (c *checking) describe(r, missed Event) string {
	f := c.fetch[r.Serial]
	var text strings.Builder
	fmt.Fprintf(&text, "key %d: process %d read version %d from %.2f to %.2f ms; ",
		r.Key, r.Proc, r.Version, c.since(r.Start), c.since(r.End))
	fmt.Fprintf(&text, "process %d fetched it from %.2f to %.2f ms; ",
		f.Proc, c.since(f.Start), c.since(f.End))
	fmt.Fprintf(&text, "the Delete of version %d took from %.2f to %.2f ms",
		missed.Version, c.since(missed.Start), c.since(missed.End))
	for _, z := range c.of[Freeze] {
		involved := z.Proc == r.Proc || z.Proc == f.Proc || z.Proc == missed.Proc
		if involved && z.End > f.Start && z.Start < r.End {
			fmt.Fprintf(&text, "; process %d was stopped from %.2f to %.2f ms",
				z.Proc, c.since(z.Start), c.since(z.End))
		}
	}
	return text.String()
}

// excusedBy returns the loss that explains why r is older than a delete in known, or nil. Any loss
// explains reads that overlap it or begin within Recovery after it. A Failover also explains later
// reads if all deletes that they missed are among those that it and earlier ones have undone.
//
// A read that was under way when the loss began is excused too. It may have been answered without
// the store, or by the replica that replaced it.
func (c *checking) excusedBy(r Event, known []Event) *Event {
	remain := known
	for i := range c.losses {
		l := &c.losses[i]
		if r.End < l.Start {
			continue
		}
		if r.Start < l.End+c.Recovery.Nanoseconds() {
			return l
		}
		if LossCode(l.Code) != Failover {
			continue
		}
		remain = slices.DeleteFunc(slices.Clone(remain), func(d Event) bool {
			return l.Serial <= d.End && d.End <= l.End
		})
		if !slices.ContainsFunc(remain, func(d Event) bool { return d.Version > r.Version }) {
			return l
		}
	}
	return nil
}

// since returns the milliseconds from the start of the run to t.
func (c *checking) since(t int64) float64 { return millis(time.Duration(t - c.Begin)) }

// expiry counts reads of expired values. The lifetime of a value began at the latest when the first
// read of it ended. A read is expired if it began more than a TTL after that.
func (c *checking) expiry() {
	born := map[int64]int64{}
	for _, r := range c.of[Read] {
		if at, ok := born[r.Serial]; r.Code == 0 && (!ok || r.End < at) {
			born[r.Serial] = r.End
		}
	}
	for _, r := range c.of[Read] {
		if r.Code == 0 && r.Start > born[r.Serial]+c.ttl().Nanoseconds() && !c.thawed(r) {
			c.Expired++
		}
	}
}

// thawed reports whether the process of r was stopped at some time during r or in the grace before.
func (c *checking) thawed(r Event) bool {
	return slices.ContainsFunc(c.of[Freeze], func(f Event) bool {
		return f.Proc == r.Proc && f.Start <= r.End && r.Start <= f.End+grace.Nanoseconds()
	})
}

// latency measures how long reads took, and counts those that failed.
func (c *checking) latency() {
	var all []time.Duration
	c.Reads = len(c.of[Read])
	for _, r := range c.of[Read] {
		if r.Code != 0 {
			c.Errors++
		}
		took := time.Duration(r.End - r.Start)
		all = append(all, took)
		if !c.thawed(r) {
			c.Longest = max(c.Longest, took)
		}
	}
	c.Latency = spread(all)
}

// waiting measures the reads that waited for a fetch.
func (c *checking) waiting() {
	var all, last []time.Duration
	lasts := map[int64]time.Duration{}
	for _, r := range c.of[Read] {
		f, ok := c.fetch[r.Serial]
		if !ok || r.Code != 0 || r.Start >= f.End {
			continue
		}
		past := time.Duration(r.End - f.End)
		all = append(all, past)
		lasts[r.Serial] = max(lasts[r.Serial], past)
	}
	for _, past := range lasts {
		last = append(last, past)
	}
	c.Waiting, c.Last = spread(all), spread(last)
}

// outages measures the reads that began during an Outage.
func (c *checking) outages() {
	var failing, broken []time.Duration
	for _, r := range c.of[Read] {
		i := slices.IndexFunc(c.losses, func(l Event) bool {
			return LossCode(l.Code) == Outage && l.Start <= r.Start && r.Start < l.End
		})
		if i < 0 || r.Code != 0 {
			continue
		}
		f := c.fetch[r.Serial]
		past := time.Duration(r.End - r.Start - (f.End - f.Start))
		if r.Start < c.losses[i].Start+c.GiveUp.Nanoseconds() {
			failing = append(failing, past)
		} else if r.End < c.losses[i].End {
			broken = append(broken, past)
		}
	}
	c.Failing, c.Broken = spread(failing), spread(broken)
}

// takeovers measures how long after the end of a killed process's lease its key was fetched again.
func (c *checking) takeovers() {
	var all []time.Duration
	for _, k := range c.of[Kill] {
		if k.End == 0 {
			continue // the process held no lease any more
		}
		c.Kills++
		next := slices.IndexFunc(c.of[Fetch], func(f Event) bool {
			return f.Key == k.Key && f.Start > k.Start
		})
		if next < 0 {
			all = append(all, time.Hour) // nobody fetched the key again
			continue
		}
		f := c.of[Fetch][next]
		late := max(0, time.Duration(f.Start-c.leaseEnd(k, f.Start)))
		if all = append(all, late); late > grace {
			c.Cases = append(c.Cases, fmt.Sprintf("key %d: process %d was killed at %.2f ms "+
				"with a lease until %.2f ms; the next fetch was by process %d at %.2f ms",
				k.Key, k.Proc, c.since(k.Start), c.since(k.End), f.Proc, c.since(f.Start)))
		}
	}
	c.Takeovers = spread(all)
}

// leaseEnd returns the end of the last lease that may have kept the key of k from being fetched
// before until. After k, another process may have taken the lease and been killed before it called
// the origin. Its lease ends a lease's time after its death at the latest.
func (c *checking) leaseEnd(k Event, until int64) int64 {
	end := k.End
	for _, other := range c.of[Kill] {
		if k.End < other.Start && other.Start < until {
			end = max(end, other.Start+c.lease().Nanoseconds())
		}
	}
	return end
}

// A Spread is the number of durations in a set, their median, 99th percentile and maximum.
type Spread struct {
	N             int
	P50, P99, Max time.Duration
}

// spread sorts all and returns its Spread.
func spread(all []time.Duration) Spread {
	n := len(all)
	if n == 0 {
		return Spread{}
	}
	slices.Sort(all)
	return Spread{n, all[n/2], all[n*99/100], all[n-1]}
}
