package main

import (
	"context"
	"strconv"
	"time"

	"github.com/zodiac-go/zodiac"
)

// text measures hits where zodiac keeps entries by the text of their keys. It does so if == on K
// may differ from equality of the text: with WithKey, and for times. The keys of floats are not
// kept by text; they are measured for comparison.
func (b *bench) text() error {
	n := b.keys
	ints := b.int64Keys(n, "zipf")
	floats := keySet[float64]{stored: floatsOf(ints.stored), asked: floatsOf(ints.asked)}
	times := keySet[time.Time]{stored: timesOf(ints.stored), asked: timesOf(ints.asked)}
	strs := b.stringKeys(n, "zipf")
	readers := func() []reader {
		return []reader{
			newReader(b, "zodiac int64", newZodiac[int64], ints),
			newReader(b, "zodiac string", newZodiac[string], strs),
			newReader(b, "zodiac int64, WithKey", withKey(int64Text), ints),
			newReader(b, "zodiac string, WithKey", withKey(stringText), strs),
			newReader(b, "zodiac float64", newZodiac[float64], floats),
			newReader(b, "zodiac time.Time", newZodiac[time.Time], times),
			newReader(b, "otter int64", newOtter[int64], ints),
			newReader(b, "otter float64", newOtter[float64], floats),
			newReader(b, "otter time.Time", newOtter[time.Time], times),
		}
	}
	t := table{
		title: "text: ns per op (ratio to zodiac's int64), hits with keys held by their text",
		first: "keys",
	}
	for _, r := range readers() {
		t.rows = append(t.rows, r.name)
		r.close()
	}
	var allocs []figure
	for _, cores := range []int{1, 2} {
		_ = onCores(cores, func() error {
			rs := readers()
			found := inTurn(b.rounds, len(rs), func(i int) speed { return rs[i].read(cores) })
			t.column(plural(cores, "core"), "ns", figures(found, 0, func(s speed) float64 { return s.ns }))
			allocs = figures(found, 0, func(s speed) float64 { return s.allocs })
			for _, r := range rs {
				r.close()
			}
			return nil
		})
	}
	t.plain("allocs/op", allocs)
	t.notes = []string{
		"WithKey is strconv.FormatInt for int64, and the string itself for string. An op includes its call.",
		"zodiac holds the keys of the rows with WithKey and time.Time by their text, and the others by ==.",
	}
	return b.show("text", t)
}

// A reader is a cache filled with keys of some type.
type reader struct {
	name  string
	read  func(cores int) speed
	close func()
}

// newReader builds a cache, fills it with the keys of ks, and panics if it does not keep them.
func newReader[K comparable](b *bench, name string, build func(setup[K]) Cache[K], ks keySet[K]) reader {
	var fetches counter
	c := build(setup[K]{capacity: roomFor(len(ks.stored)), ttl: lifetime, fetch: countingFetch[K](&fetches)})
	if err := fill(c, ks.stored, &fetches); err != nil {
		panic(name + " " + err.Error())
	}
	return reader{
		name:  name,
		read:  func(cores int) speed { return readSpeed(context.Background(), b, cores, c, ks) },
		close: c.Close,
	}
}

// withKey returns a function that builds zodiac with WithKey(text).
func withKey[K comparable](text func(K) string) func(setup[K]) Cache[K] {
	return func(s setup[K]) Cache[K] { return newZodiacWith(s, zodiac.WithKey(text)) }
}

// floatsOf returns a float for each of ints. Its shortest text is about as long as that of floats
// which programs use.
func floatsOf(ints []int64) []float64 {
	out := make([]float64, len(ints))
	for i, n := range ints {
		out[i], _ = strconv.ParseFloat(int64Text(n)+".25", 64)
	}
	return out
}

// timesOf returns a time for each of ints. All are in UTC, so that they also work with a cache that
// compares keys by == only.
func timesOf(ints []int64) []time.Time {
	out := make([]time.Time, len(ints))
	for i, n := range ints {
		out[i] = time.Unix(n, 500).UTC()
	}
	return out
}
