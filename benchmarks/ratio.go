package main

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
)

// keeper is a contestant for the question which entries a cache keeps, with what it takes to judge its policy and not
// the scheduler: otter and theine decide in the background.
type keeper struct {
	contestant[int64]
	settle settling
}

type settling int

const (
	never     settling = iota // decides before a call returns
	afterMiss                 // the policy must hear of a write before the next request
)

func keepers() []keeper {
	return []keeper{
		{contestant[int64]{"zodiac", newZodiac[int64]}, never},
		// With its maintenance on the caller, as its documentation suggests for tests, it has evicted before a call
		// returns, and reads reach its policy in order, none lost, at most fifteen late. A CleanUp after every request
		// on top of that makes no difference beyond what two replays differ by. (In the background it would hold more
		// than its capacity here, and hit for it: a replay asks faster than any program does.)
		{contestant[int64]{base, newOtterInline[int64]}, never},
		// Wait after every miss, so that the policy has seen the write and evicted for it. Its reads wait in buffers
		// of sixteen and cannot be hurried; in a replay none is lost.
		{contestant[int64]{"theine", newTheine[int64]}, afterMiss},
		// Without a lifetime, which changes nothing in what it keeps but leaves no goroutine behind.
		{contestant[int64]{"golang-lru", func(s setup[int64]) Cache[int64] { s.ttl = 0; return newGolangLRU(s) }}, never},
	}
}

// shares are the capacities, in parts of a trace's distinct keys.
var shares = []float64{0.005, 0.01, 0.05, 0.10, 0.25}

// trial is one replay's place in the table.
type trial struct {
	trace    trace
	share    float64
	capacity int
	replays  [][]float64 // hit ratios in percent, by keeper
}

// hits is the mean of a keeper's replays.
func (t *trial) hits(keeper int) float64 {
	sum := 0.0
	for _, h := range t.replays[keeper] {
		sum += h
	}
	return sum / float64(len(t.replays[keeper]))
}

// spread is by how much they differ.
func (t *trial) spread(keeper int) float64 {
	return slices.Max(t.replays[keeper]) - slices.Min(t.replays[keeper])
}

// ratio asks how often a bounded cache has what it is asked for.
func (b *bench) ratio() error {
	traces := syntheticTraces(b.rand(), b.size(1_000_000, 20_000), b.size(100_000, 2_000))
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

func plan(traces []trace, quick bool) (trials []*trial) {
	for _, t := range traces {
		if quick {
			t.requests = t.requests[:min(len(t.requests), 20_000)]
		}
		for _, share := range shares {
			capacity := max(1, int(math.Round(share*float64(t.distinct))))
			trials = append(trials, &trial{trace: t, share: share, capacity: capacity, replays: make([][]float64, len(keepers()))})
		}
	}
	return trials
}

// replayAll runs the replays on all cores: nothing is timed here.
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
				j.trial.replays[j.keeper][j.replay] = replay(keepers()[j.keeper], j.trial.trace.requests, j.trial.capacity)
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

// replay returns the hit ratio in percent.
func replay(k keeper, requests []uint32, capacity int) float64 {
	misses := 0 // a fetch is over before its Get returns, so this needs no lock
	c := k.make(setup[int64]{capacity: capacity, ttl: lifetime, text: int64Text, fetch: func(context.Context, int64) (Value, error) {
		misses++
		return Value{One: 1}, nil
	}})
	defer c.Close()
	for _, key := range requests {
		before := misses
		if v, err := c.Get(context.Background(), int64(key)); err != nil || v.One != 1 {
			panic(fmt.Sprintf("%s: %v, %v", k.name, v, err))
		}
		if k.settle == afterMiss && misses > before {
			c.Settle()
		}
	}
	return 100 * (1 - float64(misses)/float64(len(requests)))
}

// everyTrial is the long table.
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

// otherwise is the keeper all are compared with.
func otherwise() int {
	for k, who := range keepers() {
		if who.name == base {
			return k
		}
	}
	panic("no " + base)
}

// summary is the short one.
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
	t.notes = []string{"Spread: by how many points replays of one case differ, on average. Caches seed their hashes at random, and some toss coins."}
	return t
}

// comparison is of one keeper with another over all trials.
type comparison struct {
	sum, worst   float64
	where        *trial
	below, above int // cases of more than a point
	spread       float64
}

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

// hitChart has a panel for each trace: the mean over the capacities.
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
