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

// lifetime is the TTL of every entry. It is so long that no entry expires during a measurement.
const lifetime = time.Hour

// A speed is the result of one measurement.
type speed struct {
	ns     float64 // wall time in nanoseconds by the operations of all goroutines together
	allocs float64 // heap allocations of the whole process per operation
}

// timed runs batch in one goroutine per core for about d. batch does some operations for the
// worker of that number and returns how many; turn counts its calls. finish, if it is not nil,
// runs once at the end. The result includes its time and its allocations.
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

// collect runs the garbage collector if its next run is near. Otherwise a contestant would pay
// for a collection that the garbage of earlier contestants brought about. Each contestant does
// pay for the collections that its own garbage brings about.
func collect() {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if m.HeapAlloc > m.NextGC/4*3 {
		runtime.GC()
	}
}

// A lap is what one goroutine did.
type lap struct {
	ops  int
	took time.Duration
}

// oneLap calls batch until d has passed. It reads the clock after each call.
func oneLap(d time.Duration, worker int, batch func(worker, turn int) int) (l lap) {
	start := time.Now()
	for turn := 0; l.took < d; turn++ {
		l.ops += batch(worker, turn)
		l.took = time.Since(start)
	}
	return l
}

// total adds up the goroutines' operations per nanosecond. extra is added to the time of each.
func total(laps []lap, extra time.Duration, mallocs uint64) speed {
	var perNs float64
	var ops int
	for _, l := range laps {
		perNs += float64(l.ops) / float64(l.took+extra)
		ops += l.ops
	}
	return speed{ns: 1 / perNs, allocs: float64(mallocs) / float64(ops)}
}

// inTurn calls one for each of n contestants in each round. It returns the results by contestant
// and round. Each round begins with another contestant, so that none always comes after the same
// garbage or the same warm-up.
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

// A figure is a contestant's result in one column of a table.
type figure struct {
	Value float64 // median of the rounds
	Ratio float64 // median of the rounds' ratios to the base; each within its round
}

// figures reduces the results of inTurn to one figure per contestant. of picks a field of a result;
// base is the index of the contestant that the ratios are taken to.
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

// median returns the median of the finite values, or NaN if there are none.
func median(values []float64) float64 {
	sorted := slices.DeleteFunc(slices.Clone(values), func(v float64) bool {
		return math.IsNaN(v) || math.IsInf(v, 0)
	})
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

// String formats a figure as tables show it: 21.3 (0.42).
func (f figure) String() string {
	return fmt.Sprintf("%s (%.2f)", short(f.Value), f.Ratio)
}

// short formats v with two decimals below 10, one below 100, and none above.
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

// onCores runs f with GOMAXPROCS set to n. f builds the contestants too, since some libraries
// choose sizes by GOMAXPROCS.
func onCores(n int, f func() error) error {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(n))
	return f()
}

// indexOf returns the index of the contestant with that name, or -1.
func indexOf[K comparable](contestants []contestant[K], name string) int {
	return slices.IndexFunc(contestants, func(c contestant[K]) bool { return c.name == name })
}
