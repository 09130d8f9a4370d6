package herd

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"
)

// grace is how long after it was stopped a process may return what has expired.
const grace = 50 * time.Millisecond

// A Result is what Check finds in the logs of a run.
type Result struct {
	Reads       int
	Errors      int // reads that failed
	Fetches     int // calls of the origin
	Floor       int // as few as there can be: one per key, and one per write
	PeakFetches int // begun within a second
	PeakFloor   int // of those of the floor, within a second
	MostPerKey  int // calls of the origin for one key
	Overlaps    int // calls of the origin begun during another for the same key
	Doubled     int // those begun during another of the same process
	Deletes     int // acknowledged

	Stale   int           // reads older than a Delete acknowledged before they began
	Oldest  time.Duration // how long before a stale read returned that was
	Own     int           // stale reads of the process that had deleted
	Excused int           // stale reads that an Outage or Failover explains, and which are not among those above
	Cases   []string      // some of what is wrong, told in full
	Ancient time.Duration // the oldest of the excused
	Healed  time.Duration // how long after a loss the last excused read began
	Expired int           // reads of values past their time

	Latency Spread // of reads
	Waiting Spread // past the end of the fetch that a read waited for
	Last    Spread // the same of the last caller, by fetch

	Failing Spread // reads begun when an outage had, past what the fetch took
	Broken  Spread // reads begun when the outage had gone on for some time, likewise

	Kills     int           // of a process that held a lease
	Takeovers Spread        // the next fetch of the key, past the end of that lease
	Longest   time.Duration // read, but for those of workers that were stopped meanwhile

	Goroutines int  // left behind
	Truncated  bool // a log was full: nothing can be concluded

	Busy  float64 // of the machine's processors, by whomever
	Herd  float64 // by the processes of the herd
	Begin int64
	Rate  []int // fetches begun in each tenth of a second since Begin
}

// checking is a Check in the act.
type checking struct {
	*Scenario
	*Result
	of     map[Kind][]Event
	acked  map[uint32][]Event // deletes of a key by end; Serial is the highest Version so far
	losses []Event
	fetch  map[int64]Event // by serial
}

// Check judges the events of a run of s, which began at begin.
func Check(s *Scenario, events []Event, begin int64) *Result {
	c := &checking{Scenario: s, Result: &Result{Begin: begin}, of: map[Kind][]Event{}, fetch: map[int64]Event{}}
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

// origin counts what the origin had to do.
func (c *checking) origin() {
	c.Fetches = len(c.of[Fetch])
	floor := slices.Clone(c.of[Write]) // and the first call for each key
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

// peak returns how many of the events, which are sorted, began within a second.
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

// deletes gathers those that were acknowledged.
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

// before returns the deletes that were acknowledged before a time. The last knows the highest version.
func before(deletes []Event, at int64) []Event {
	return deletes[:sort.Search(len(deletes), func(i int) bool { return deletes[i].End >= at })]
}

// freshness finds reads that are older than they may be.
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
		if l := c.excuse(r, known); l != nil {
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
			c.Cases = append(c.Cases, c.tell(r, known[first]))
		}
	}
}

// tell tells of a stale read: when things happened, in milliseconds since the beginning.
func (c *checking) tell(r, missed Event) string {
	f := c.fetch[r.Serial]
	var text strings.Builder
	fmt.Fprintf(&text, "key %d: %d read version %d from %.2f to %.2f; it was fetched by %d from %.2f to %.2f; Delete of version %d took from %.2f to %.2f",
		r.Key, r.Proc, r.Version, c.since(r.Start), c.since(r.End), f.Proc, c.since(f.Start), c.since(f.End), missed.Version, c.since(missed.Start), c.since(missed.End))
	for _, z := range c.of[Freeze] {
		if (z.Proc == r.Proc || z.Proc == f.Proc || z.Proc == missed.Proc) && z.End > f.Start && z.Start < r.End {
			fmt.Fprintf(&text, "; %d was stopped from %.2f to %.2f", z.Proc, c.since(z.Start), c.since(z.End))
		}
	}
	return text.String()
}

// excuse returns the loss that explains why r is older than a delete in known, or nil. A read that was under way when the
// store went away may have been answered by what came in its place.
func (c *checking) excuse(r Event, known []Event) *Event {
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
		remain = slices.DeleteFunc(slices.Clone(remain), func(d Event) bool { return l.Serial <= d.End && d.End <= l.End })
		if !slices.ContainsFunc(remain, func(d Event) bool { return d.Version > r.Version }) {
			return l
		}
	}
	return nil
}

// since returns the milliseconds from the beginning to a time.
func (c *checking) since(t int64) float64 { return millis(time.Duration(t - c.Begin)) }

// expiry finds reads of values past their time. That began, at the latest, when the first read of a value returned.
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

// thawed reports whether the reader had been stopped shortly before, or was while it read.
func (c *checking) thawed(r Event) bool {
	return slices.ContainsFunc(c.of[Freeze], func(f Event) bool {
		return f.Proc == r.Proc && f.Start <= r.End && r.Start <= f.End+grace.Nanoseconds()
	})
}

// latency measures all reads.
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

// outages measures the reads while the store was away.
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
		if r.Start < c.losses[i].Start+c.Settle.Nanoseconds() {
			failing = append(failing, past)
		} else if r.End < c.losses[i].End {
			broken = append(broken, past)
		}
	}
	c.Failing, c.Broken = spread(failing), spread(broken)
}

// takeovers measures how long after the end of a killed process' lease its key was fetched again.
func (c *checking) takeovers() {
	var all []time.Duration
	for _, k := range c.of[Kill] {
		if k.End == 0 {
			continue // what it was to do was done
		}
		c.Kills++
		next := slices.IndexFunc(c.of[Fetch], func(f Event) bool { return f.Key == k.Key && f.Start > k.Start })
		if next < 0 {
			all = append(all, time.Hour) // never
			continue
		}
		f := c.of[Fetch][next]
		late := max(0, time.Duration(f.Start-c.leaseEnd(k, f.Start)))
		if all = append(all, late); late > grace {
			c.Cases = append(c.Cases, fmt.Sprintf("key %d: %d was killed at %.2f with a lease until %.2f; %d fetched next at %.2f",
				k.Key, k.Proc, c.since(k.Start), c.since(k.End), f.Proc, c.since(f.Start)))
		}
	}
	c.Takeovers = spread(all)
}

// leaseEnd returns when the last lease ended that kept a key from being fetched until a time. Another process may have
// been killed with it before it came to call the origin.
func (c *checking) leaseEnd(k Event, until int64) int64 {
	end := k.End
	for _, other := range c.of[Kill] {
		if k.End < other.Start && other.Start < until {
			end = max(end, other.Start+c.lease().Nanoseconds())
		}
	}
	return end
}

// A Spread is some quantiles of a set of durations.
type Spread struct {
	N             int
	P50, P99, Max time.Duration
}

func spread(all []time.Duration) Spread {
	n := len(all)
	if n == 0 {
		return Spread{}
	}
	slices.Sort(all)
	return Spread{n, all[n/2], all[n*99/100], all[n-1]}
}
