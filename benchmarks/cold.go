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
	warmKeys  = 64 // several, so that some are in the cold key's shard where there are shards
)

// cold asks what becomes of a crowd on one cold key, and of everybody else's hits meanwhile.
func (b *bench) cold() error {
	callers := b.size(1_000, 100)
	cs := append(loaders[int64](), contestant[int64]{"bare flight", newBareFlight})
	// A round is over in a moment, and the worst hit of one says little.
	found := inTurn(5*b.rounds, len(cs), func(i int) crowd { return meet(cs[i], callers) })

	t := table{title: fmt.Sprintf("cold: %d callers on one cold key, a fetch of %v (ratio to otter)", callers, fetchTime), first: "contestant"}
	fetches := make([]string, len(cs))
	for i, c := range cs {
		t.rows = append(t.rows, c.name)
		most := slices.MaxFunc(found[i], func(a, b crowd) int { return a.fetches - b.fetches })
		fetches[i] = fmt.Sprint(most.fetches)
	}
	at := indexOf(cs, base)
	t.texts("fetches", fetches)
	t.column("last caller after the fetch, ms", "ms", figures(found, at, func(c crowd) float64 { return c.last.Seconds() * 1e3 }))
	t.column("worst hit meanwhile, µs", "µs", figures(found, at, func(c crowd) float64 { return c.worst.Seconds() * 1e6 }))
	t.column("p99.9 hit meanwhile, µs", "µs", figures(found, at, func(c crowd) float64 { return c.p999.Seconds() * 1e6 }))
	t.notes = []string{
		"Fetches: the most in any round. Hits: one goroutine reading 64 other keys over and over, each read timed with the clock's own cost.",
		"The bare flight with xsync.Map for the hits shows what the scheduler alone does with so many goroutines: the worst hit is mostly its doing.",
	}
	return b.show("cold", t)
}

// crowd is what one meeting of callers on a cold key came to.
type crowd struct {
	fetches     int
	last        time.Duration // from the end of the first fetch to the return of the last caller
	worst, p999 time.Duration // of hits on other keys, from the callers' start to the last one's return
}

// slowFetch takes its time over the cold key and notes when it was done.
type slowFetch struct {
	n    atomic.Int64
	once sync.Once
	done time.Time
}

func (f *slowFetch) fetch(_ context.Context, key int64) (Value, error) {
	if key == coldKey {
		f.n.Add(1)
		time.Sleep(fetchTime)
		f.once.Do(func() { f.done = time.Now() })
	}
	return Value{One: 1}, nil
}

func meet(who contestant[int64], callers int) crowd {
	var f slowFetch
	c := who.make(setup[int64]{capacity: 1_000, ttl: lifetime, fetch: f.fetch, text: int64Text})
	defer c.Close()
	for k := range int64(warmKeys) {
		store(c, []int64{k})
	}
	// The reader is at work before the callers start: on a busy machine it might else begin when all is over.
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

// hammer reads the warm keys until it is stopped and returns how long each read took, of at least one. It closes reading
// when it is about to begin.
func hammer(c Cache[int64], reading chan<- struct{}, stop *atomic.Bool) (took []time.Duration) {
	took = make([]time.Duration, 0, 1<<20) // more than fit into the fetch's time
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
