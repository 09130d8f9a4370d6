package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	fetchTime = 20 * time.Millisecond
	coldKey   = -1
	warmKeys  = 64 // so many that, in a cache with shards, some share the cold key's
)

// cold measures a crowd of callers that ask for one key which is not cached, and hits on other keys
// meanwhile.
func (b *bench) cold() error {
	callers := b.size(1_000, 100)
	cs := append(loaders[int64](), contestant[int64]{"bare flight", newBareFlight})
	// A round takes little time, and the worst hit of a single round says little.
	found := inTurn(5*b.rounds, len(cs), func(i int) crowd { return meet(cs[i], callers) })

	t := table{
		title: fmt.Sprintf("cold: %d callers on one cold key, a fetch of %v (ratio to otter)",
			callers, fetchTime),
		first: "contestant",
	}
	fetches := make([]string, len(cs))
	for i, c := range cs {
		t.rows = append(t.rows, c.name)
		most := slices.MaxFunc(found[i], func(a, b crowd) int { return a.fetches - b.fetches })
		fetches[i] = fmt.Sprint(most.fetches)
	}
	at := indexOf(cs, base)
	t.texts("fetches", fetches)
	t.column("last caller after the fetch, ms", "ms",
		figures(found, at, func(c crowd) float64 { return c.last.Seconds() * 1e3 }))
	t.column("worst hit meanwhile, µs", "µs",
		figures(found, at, func(c crowd) float64 { return c.worst.Seconds() * 1e6 }))
	t.column("p99.9 hit meanwhile, µs", "µs",
		figures(found, at, func(c crowd) float64 { return c.p999.Seconds() * 1e6 }))
	t.notes = []string{
		"Fetches: the most in any round. " +
			"Last caller: from the end of the first fetch to the return of the last caller.",
		fmt.Sprintf("Hits: one goroutine reads %d other keys over and over. "+
			"The time of a hit includes one read of the clock.", warmKeys),
		"The bare flight keeps the other keys in xsync.Map. Its hits show what the scheduler does to a " +
			"reader beside so many goroutines: that is most of the worst hit.",
	}
	return b.show("cold", t)
}

// A crowd is the result of one round.
type crowd struct {
	fetches     int           // of the cold key
	last        time.Duration // from the end of the first fetch to the return of the last caller
	worst, p999 time.Duration // of the hits on other keys, until the last caller has returned
}

// A slowFetch takes fetchTime for the cold key, and records when it first ended.
type slowFetch struct {
	n    atomic.Int64 // fetches of the cold key
	once sync.Once
	done time.Time // set by once
}

func (f *slowFetch) fetch(_ context.Context, key int64) (Value, error) {
	if key == coldKey {
		f.n.Add(1)
		time.Sleep(fetchTime)
		f.once.Do(func() { f.done = time.Now() })
	}
	return Value{One: 1}, nil
}

// meet runs one round: callers ask for the cold key at once, while one goroutine reads other keys.
func meet(who contestant[int64], callers int) crowd {
	var f slowFetch
	c := who.make(setup[int64]{capacity: 1_000, ttl: lifetime, fetch: f.fetch, text: int64Text})
	defer c.Close()
	for k := range int64(warmKeys) {
		store(c, []int64{k})
	}
	// The callers start when the reader has. Otherwise the reader may begin, on a busy machine,
	// after the last caller has returned.
	reading, start, stop := make(chan struct{}), make(chan struct{}), new(atomic.Bool)
	hits := make(chan []time.Duration)
	go func() { hits <- hammer(c, reading, stop) }()
	<-reading
	returned := make([]time.Time, callers)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			<-start
			if v, err := c.Get(context.Background(), coldKey); err != nil || v.One != 1 {
				panic(fmt.Sprintf("%s: %v, %v", who.name, v, err))
			}
			returned[i] = time.Now()
		})
	}
	close(start)
	wg.Wait()
	stop.Store(true)
	took := <-hits
	slices.Sort(took)
	last := slices.MaxFunc(returned, time.Time.Compare)
	return crowd{
		fetches: int(f.n.Load()),
		last:    last.Sub(f.done),
		worst:   took[len(took)-1],
		p999:    took[len(took)*999/1000],
	}
}

// hammer closes reading, and then reads the warm keys one after another until stop is set. It makes
// one read at least, and returns how long each took.
func hammer(c Cache[int64], reading chan<- struct{}, stop *atomic.Bool) (took []time.Duration) {
	took = make([]time.Duration, 0, 1<<20) // more reads than a round has time for
	close(reading)
	before := time.Now()
	for i := int64(0); len(took) == 0 || !stop.Load() && len(took) < cap(took); i++ {
		if _, err := c.Get(context.Background(), i%warmKeys); err != nil {
			panic(err)
		}
		now := time.Now()
		took = append(took, now.Sub(before))
		before = now
	}
	return took
}
