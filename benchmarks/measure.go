package main

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/zodiac-go/zodiac/internal/card"
)

// lifetime is the TTL of every entry: long enough that nothing expires while it is measured.
const lifetime = time.Hour

// speed is what one measurement found.
type speed struct {
	ns     float64 // of wall time per operation, all goroutines together
	allocs float64 // per operation, the background's included
}

// timed runs batch in as many goroutines as cores for about d. batch does some operations for the worker of that number
// and returns how many; turn counts its calls. finish, if any, runs at the end, on the clock.
func timed(cores int, d time.Duration, batch func(worker, turn int) int, finish func()) speed {
	collect()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	laps := make([]lap, cores)
	var wg sync.WaitGroup
	for worker := range cores {
		wg.Go(func() { laps[worker] = oneLap(d, worker, batch) })
	}
	wg.Wait()
	var extra time.Duration
	if finish != nil {
		start := time.Now()
		finish()
		extra = time.Since(start)
	}
	runtime.ReadMemStats(&after)
	return total(laps, extra, after.Mallocs-before.Mallocs)
}

// collect runs the garbage collector if it is soon to run by itself: else a collection that earlier contestants' garbage
// brought about would be on the next one's account. What one contestant's own garbage brings about, is.
func collect() {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if m.HeapAlloc > m.NextGC/4*3 {
		runtime.GC()
	}
}

// lap is what one goroutine did.
type lap struct {
	ops  int
	took time.Duration
}

func oneLap(d time.Duration, worker int, batch func(worker, turn int) int) (l lap) {
	start := time.Now()
	for turn := 0; l.took < d; turn++ {
		l.ops += batch(worker, turn)
		l.took = time.Since(start)
	}
	return l
}

func total(laps []lap, extra time.Duration, mallocs uint64) speed {
	var perNs float64
	var ops int
	for _, l := range laps {
		perNs += float64(l.ops) / float64(l.took+extra)
		ops += l.ops
	}
	return speed{ns: 1 / perNs, allocs: float64(mallocs) / float64(ops)}
}

// inTurn calls one for each of n contestants in each round and returns what it found, by contestant and round. Each
// round begins with the next contestant, so that none always follows the same garbage or the same warm-up.
func inTurn[T any](rounds, n int, one func(i int) T) [][]T {
	found := make([][]T, n)
	for round := range rounds {
		for j := range n {
			i := (round + j) % n
			found[i] = append(found[i], one(i))
		}
	}
	return found
}

// figure is a contestant's line in one column of a table.
type figure struct {
	Value float64 // the median over the rounds
	Ratio float64 // the median over the rounds of the ratio to the base in the same round
}

// figures reduces what inTurn found to one figure per contestant, by the field that of picks.
func figures[T any](found [][]T, base int, of func(T) float64) []figure {
	out := make([]figure, len(found))
	for i, rounds := range found {
		var values, ratios []float64
		for r, t := range rounds {
			values = append(values, of(t))
			ratios = append(ratios, of(t)/of(found[base][r]))
		}
		out[i] = figure{Value: median(values), Ratio: median(ratios)}
	}
	return out
}

// median is of the finite values; NaN if there are none.
func median(values []float64) float64 {
	sorted := slices.DeleteFunc(slices.Clone(values), func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) })
	if len(sorted) == 0 {
		return math.NaN()
	}
	slices.Sort(sorted)
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// String shows a figure as tables do: 21.3 (0.42).
func (f figure) String() string {
	return fmt.Sprintf("%s (%.2f)", short(f.Value), f.Ratio)
}

// short shows three digits or so.
func short(v float64) string {
	switch {
	case v >= 1000:
		return card.Count(int(math.Round(v)))
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

// onCores runs f with GOMAXPROCS set to n. Contestants are built inside, since some size themselves by it.
func onCores(n int, f func() error) error {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(n))
	return f()
}

// indexOf returns where in contestants the one of that name is.
func indexOf[K comparable](contestants []contestant[K], name string) int {
	return slices.IndexFunc(contestants, func(c contestant[K]) bool { return c.name == name })
}
