package main

import (
	"context"
	"fmt"
	"time"
)

// long measures whether hits stay as fast as they were: of zodiac and otter in turn, for minutes.
func (b *bench) long() error {
	n := b.keys
	minutes := time.Duration(b.minutes * float64(time.Minute))
	every := time.Minute
	if minutes < 2*every {
		every = max(minutes/4, b.cell) // so that a short run has rows to compare too
	}
	ks := b.int64Keys(n, "zipf")
	var fetches counter
	s := setup[int64]{
		capacity: roomFor(n),
		ttl:      lifetime + 2*minutes, // no entry may expire in the longest run
		fetch:    countingFetch[int64](&fetches),
		text:     int64Text,
	}
	cs := []contestant[int64]{{"zodiac", newZodiac[int64]}, {base, newOtter[int64]}}
	caches, err := buildFull(cs, s, ks.stored, &fetches)
	defer closeAll(caches)
	if err != nil {
		return err
	}
	fetches.n.Store(0)

	t := table{
		title: fmt.Sprintf("long: ns per hit on 2 cores, zodiac (ratio to otter), %v", minutes),
		first: "from",
	}
	var ours []figure
	var theirs []string
	for begun := time.Now(); time.Since(begun) < minutes; {
		t.rows = append(t.rows, time.Since(begun).Round(time.Second).String())
		f := figures(b.readFor(every, caches, ks), 1, func(s speed) float64 { return s.ns })
		ours, theirs = append(ours, f[0]), append(theirs, short(f[1].Value))
	}
	t.column("zodiac", "ns", ours)
	t.texts("otter", theirs)
	first, last := ours[0], ours[len(ours)-1]
	t.notes = []string{fmt.Sprintf(
		"First %v, last %v: the ratio changed by %+.1f %%. Reads that were misses: %d.",
		first, last, 100*(last.Ratio/first.Ratio-1), fetches.n.Load())}
	return b.show("long", t)
}

// readFor measures rounds until d has passed. It returns the results by cache and round.
func (b *bench) readFor(d time.Duration, caches []Cache[int64], ks keySet[int64]) [][]speed {
	found := make([][]speed, len(caches))
	for begun := time.Now(); time.Since(begun) < d; {
		two := inTurn(2, len(caches), func(i int) speed {
			return readSpeed(context.Background(), b, 2, caches[i], ks)
		})
		for i := range caches {
			found[i] = append(found[i], two[i]...)
		}
	}
	return found
}
