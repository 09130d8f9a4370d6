package main

import (
	"context"
	"time"

	"github.com/zodiac-go/zodiac"
)

// context measures hits under a context with 20 nested values. zodiac looks for a mode in the
// context, but only if the process has ever made a context with a mode. So hits are measured
// before the first such context and after it, in a process of its own.
func (b *bench) context() error {
	var found contextFound
	if err := b.child("context", contextArgs{Rounds: b.rounds, Cell: b.cell, Seed: b.seed}, &found); err != nil {
		return err
	}
	t := table{title: "context: ns per hit (ratio to otter under Background), 1 core", first: "context"}
	for _, r := range contextReads(context.Background()) {
		t.rows = append(t.rows, r.name)
	}
	t.column("before any context with a mode", "ns", found.Before)
	t.column("after the first one", "ns", found.After)
	t.notes = []string{
		"A context with a mode is one made by zodiac.Overwrite and the like. " +
			"zodiac looks for a mode only if the process has made such a context.",
		"1,000 keys, so that the processor's cache misses do not hide the time of a lookup in the context.",
	}
	return b.show("context", t)
}

type contextArgs struct {
	Rounds int
	Cell   time.Duration
	Seed   uint64
}

// contextFound holds a figure for each of contextReads, before and after the first context with a
// mode.
type contextFound struct{ Before, After []figure }

// A contextRead is a row of the table: a cache and the context of its hits.
type contextRead struct {
	name  string
	cache int // 0 = zodiac, 1 = otter
	ctx   context.Context
}

func contextReads(nested context.Context) []contextRead {
	return []contextRead{
		{"zodiac, Background", 0, context.Background()},
		{"zodiac, 20 values", 0, nested},
		{"otter, Background", 1, context.Background()},
		{"otter, 20 values", 1, nested},
	}
}

// contextChild makes the measurements of the question context, in a process of its own.
func contextChild(args contextArgs) (found contextFound, err error) {
	const n = 1_000
	b := &bench{rounds: args.Rounds, cell: args.Cell, seed: args.Seed}
	ks := b.int64Keys(n, "zipf")
	err = onCores(1, func() error {
		var fetches counter
		s := setup[int64]{
			capacity: roomFor(n), ttl: lifetime, fetch: countingFetch[int64](&fetches), text: int64Text,
		}
		cs := []contestant[int64]{{"zodiac", newZodiac[int64]}, {base, newOtter[int64]}}
		caches, err := buildFull(cs, s, ks.stored, &fetches)
		defer closeAll(caches)
		if err != nil {
			return err
		}
		reads := contextReads(nested(context.Background(), 20))
		measure := func() []figure {
			found := inTurn(b.rounds, len(reads), func(i int) speed {
				return readSpeed(reads[i].ctx, b, 1, caches[reads[i].cache], ks)
			})
			return figures(found, 2, func(s speed) float64 { return s.ns })
		}
		found.Before = measure()
		_ = zodiac.Overwrite(context.Background())
		found.After = measure()
		return nil
	})
	return found, err
}

type nestedKey int

// nested returns ctx wrapped in n contexts with a value each.
func nested(ctx context.Context, n int) context.Context {
	for i := range n {
		ctx = context.WithValue(ctx, nestedKey(i), i)
	}
	return ctx
}
