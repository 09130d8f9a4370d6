package main

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
)

// A keeper is a contestant of ratio, which is about the entries that a cache's policy keeps. otter
// and theine evict in the background. Here they must not, because the result would show the
// scheduler and not the policy.
type keeper struct {
	contestant[int64]
	drain drainTime
}

// A drainTime says when a replay calls Drain.
type drainTime int

const (
	never     drainTime = iota // the cache evicts before a call returns
	afterMiss                  // the policy must have processed a write before the next request
)

// keepers returns the contestants in the order of the tables.
func keepers() []keeper {
	return []keeper{
		{contestant[int64]{"zodiac", newZodiac[int64]}, never},
		// With its maintenance on the caller's goroutine, as its documentation suggests for tests,
		// otter evicts before a call returns. All reads reach its policy in order, at most fifteen
		// reads late. A CleanUp after every request changes the ratio by no more than two replays
		// differ. With its maintenance in the background, otter would hold more entries than its
		// capacity and have more hits, since a replay makes requests faster than any program.
		{contestant[int64]{base, newOtterInline[int64]}, never},
		// Drain after every miss makes the policy process the write and evict for it. Reads reach
		// the policy in buffers of sixteen, which nothing can flush. A replay loses none of them.
		{contestant[int64]{"theine", newTheine[int64]}, afterMiss},
		// A lifetime would not change what golang-lru keeps, but would leave a goroutine behind.
		{contestant[int64]{"golang-lru", func(s setup[int64]) Cache[int64] {
			s.ttl = 0
			return newGolangLRU(s)
		}}, never},
	}
}

// shares are the capacities, as shares of the number of distinct keys in a trace.
var shares = []float64{0.005, 0.01, 0.05, 0.10, 0.25}

// A trial is a trace and a capacity: a row of the table.
type trial struct {
	trace    trace
	share    float64 // of the trace's distinct keys; the capacity is that many
	capacity int
	replays  [][]float64 // hit ratios in percent, by keeper and replay
}

// hits returns the mean hit ratio of a keeper's replays.
func (t *trial) hits(keeper int) float64 {
	sum := 0.0
	for _, h := range t.replays[keeper] {
		sum += h
	}
	return sum / float64(len(t.replays[keeper]))
}

// spread returns the difference between the highest and the lowest hit ratio of a keeper's replays.
func (t *trial) spread(keeper int) float64 {
	return slices.Max(t.replays[keeper]) - slices.Min(t.replays[keeper])
}

// ratio measures how often a bounded cache has the key that a trace requests.
func (b *bench) ratio() error {
	traces := syntheticTraces(b.rand(), b.size(1_000_000, 5_000), b.size(100_000, 1_000))
	if b.traces != "" {
		recorded, err := recordedTraces(b.traces)
		if err != nil {
			return err
		}
		traces = append(traces, recorded...)
	}
	trials := plan(traces, b.quick)
	replayAll(trials, b.replays)
	b.printf("%s%s", everyTrial(trials), summary(trials))
	return b.draw("ratio", hitChart(traces, trials))
}

// plan returns a trial for each trace and share.
func plan(traces []trace, quick bool) (trials []*trial) {
	for _, t := range traces {
		if quick {
			t.requests = t.requests[:min(len(t.requests), 5_000)]
		}
		for _, share := range shares {
			capacity := max(1, int(math.Round(share*float64(t.distinct))))
			trials = append(trials, &trial{
				trace: t, share: share, capacity: capacity, replays: make([][]float64, len(keepers())),
			})
		}
	}
	return trials
}

// replayAll replays each trial with each keeper that many times, on all cores: no replay is timed.
func replayAll(trials []*trial, times int) {
	type job struct {
		trial          *trial
		keeper, replay int
	}
	jobs := make(chan job)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for j := range jobs {
				t := j.trial
				t.replays[j.keeper][j.replay] = replay(keepers()[j.keeper], t.trace.requests, t.capacity)
			}
		})
	}
	for _, t := range trials {
		for k := range keepers() {
			t.replays[k] = make([]float64, times)
			for r := range times {
				jobs <- job{t, k, r}
			}
		}
	}
	close(jobs)
	wg.Wait()
}

// replay makes the requests of a trace, one after another, and returns the hit ratio in percent.
func replay(k keeper, requests []uint32, capacity int) float64 {
	misses := 0 // needs no lock, since a fetch ends before its Get returns
	fetch := func(context.Context, int64) (Value, error) {
		misses++
		return Value{One: 1}, nil
	}
	c := k.make(setup[int64]{capacity: capacity, ttl: lifetime, text: int64Text, fetch: fetch})
	defer c.Close()
	for _, key := range requests {
		before := misses
		if v, err := c.Get(context.Background(), int64(key)); err != nil || v.One != 1 {
			panic(fmt.Sprintf("%s: %v, %v", k.name, v, err))
		}
		if k.drain == afterMiss && misses > before {
			c.Drain()
		}
	}
	return 100 * (1 - float64(misses)/float64(len(requests)))
}

// everyTrial returns the long table: a row for each trial.
func everyTrial(trials []*trial) table {
	t := table{title: "ratio: hits in percent (points above otter)", first: "trace"}
	capacities := make([]string, len(trials))
	for i, tr := range trials {
		t.rows = append(t.rows, tr.trace.name)
		capacities[i] = fmt.Sprintf("%d (%g %%)", tr.capacity, 100*tr.share)
	}
	t.texts("capacity (of the keys)", capacities)
	other := otherwise()
	for k, who := range keepers() {
		cells := make([]string, len(trials))
		for i, tr := range trials {
			cells[i] = fmt.Sprintf("%.2f (%+.2f)", tr.hits(k), tr.hits(k)-tr.hits(other))
			if k == other {
				cells[i] = fmt.Sprintf("%.2f", tr.hits(k))
			}
		}
		t.texts(who.name, cells)
	}
	return t
}

// otherwise returns the index of the keeper that the others are compared with.
func otherwise() int {
	for k, who := range keepers() {
		if who.name == base {
			return k
		}
	}
	panic("no " + base)
}

// summary returns the short table: a row for each keeper.
func summary(trials []*trial) table {
	t := table{title: fmt.Sprintf("ratio: points above otter, %d cases", len(trials)), first: "contestant"}
	var mean, worst, where, below, above, spread []string
	other := otherwise()
	for k, who := range keepers() {
		s := compare(trials, k, other)
		t.rows = append(t.rows, who.name)
		mean = append(mean, fmt.Sprintf("%+.2f", s.sum/float64(len(trials))))
		worst = append(worst, fmt.Sprintf("%+.2f", s.worst))
		if k == other {
			where = append(where, "")
		} else {
			where = append(where, fmt.Sprintf("%s at %d", s.where.trace.name, s.where.capacity))
		}
		below = append(below, fmt.Sprint(s.below))
		above = append(above, fmt.Sprint(s.above))
		spread = append(spread, fmt.Sprintf("%.2f", s.spread/float64(len(trials))))
	}
	t.texts("mean", mean)
	t.texts("worst case", worst)
	t.texts("which is", where)
	t.texts("more than 1 below", below)
	t.texts("more than 1 above", above)
	t.texts("spread", spread)
	t.notes = []string{
		"A case is a trace and a capacity. A point is one percent of the requests.",
		"Spread: the highest less the lowest hit ratio of a case's replays, in points, on average. " +
			"Replays differ because caches seed their hashes at random, and some policies decide at random.",
	}
	return t
}

// A comparison compares one keeper with another over all trials. Differences are in points.
type comparison struct {
	sum, worst   float64 // the sum of the differences, and the lowest
	where        *trial  // of worst
	below, above int     // trials with a difference of more than one point
	spread       float64 // sum of the keeper's spreads
}

// compare compares keeper k with keeper other.
func compare(trials []*trial, k, other int) comparison {
	s := comparison{worst: math.Inf(1)}
	for _, t := range trials {
		d := t.hits(k) - t.hits(other)
		s.sum += d
		s.spread += t.spread(k)
		if d < s.worst {
			s.worst, s.where = d, t
		}
		if d < -1 {
			s.below++
		}
		if d > 1 {
			s.above++
		}
	}
	return s
}

// hitChart returns a chart with a panel for each trace: the mean hit ratio over the capacities.
func hitChart(traces []trace, trials []*trial) chart {
	c := chart{
		title: "ratio: hits in percent (points above otter)",
		note:  fmt.Sprintf("The mean over capacities of %g to %g %% of the keys. Longer is better.", 100*shares[0], 100*shares[len(shares)-1]),
	}
	other := otherwise()
	for i, tr := range traces {
		mine := trials[i*len(shares) : (i+1)*len(shares)]
		p := panel{title: tr.name}
		for k, who := range keepers() {
			sum, points := 0.0, 0.0
			for _, t := range mine {
				sum += t.hits(k) / float64(len(mine))
				points += (t.hits(k) - t.hits(other)) / float64(len(mine))
			}
			text := fmt.Sprintf("%.1f %% (%+.1f)", sum, points)
			if k == other {
				text = fmt.Sprintf("%.1f %%", sum)
			}
			p.bars = append(p.bars, bar{label: who.name, value: sum, text: text})
		}
		c.panels = append(c.panels, p)
	}
	return c
}
