package herd

import (
	"encoding/xml"
	"slices"
	"strings"
	"testing"
	"time"
)

// chartElement is what the tests look at in a chart.
type chartElement struct {
	Class string         `xml:"class,attr"`
	Calls string         `xml:"data-calls,attr"`
	Path  string         `xml:"d,attr"`
	Text  string         `xml:",chardata"`
	In    []chartElement `xml:",any"`
}

func mustDraw(t *testing.T, r *Report) []chartElement {
	t.Helper()
	var root chartElement
	if err := xml.Unmarshal([]byte(r.chart()), &root); err != nil {
		t.Fatal(err)
	}
	return root.In
}

func texts(elements []chartElement) (all []string) {
	for _, e := range elements {
		all = append(all, e.Text)
	}
	return all
}

func drawn() *Report {
	return &Report{
		Scenario: &Scenario{Name: "a<b", About: "About & about.", Modes: []string{"zodiac", "none", "flight", "redsync"}, Duration: time.Second},
		Results: map[string]*Result{
			"zodiac": {Fetches: 3, PeakFetches: 3, Rate: []int{2, 0, 1}},
			"none":   {Fetches: 1234, PeakFetches: 1200, Rate: []int{260, 240, 0, 1, 0, 0, 0, 0, 0, 7, 9}},
			"flight": {},
		},
	}
}

func TestChartHasTheBarsOfARun(t *testing.T) {
	var bars []string
	for _, e := range mustDraw(t, drawn()) {
		if e.Class == "ours" || e.Class == "other" {
			bars = append(bars, e.Class+" "+e.Calls)
			if strings.Count(e.Path, "M") != strings.Count(e.Path, "z") {
				t.Errorf("a shape is left open: %s", e.Path)
			}
		}
	}
	want := []string{"ours 2 0 1", "other 260 240 0 1 0 0 0 0 0 7"} // without what came after the run's time
	if !slices.Equal(bars, want) {
		t.Errorf("bars = %q; want %q", bars, want)
	}
}

func TestChartLeavesOutModesWithoutCalls(t *testing.T) {
	var names []string
	for _, e := range mustDraw(t, drawn()) {
		if e.Class == "name" {
			names = append(names, e.Text)
		}
	}
	if want := []string{"zodiac", "none"}; !slices.Equal(names, want) {
		t.Errorf("rows = %q; want %q", names, want)
	}
}

func TestChartOfNothingIsAChart(t *testing.T) {
	r := drawn()
	r.Results = map[string]*Result{"zodiac": {}, "none": {}}
	mustDraw(t, r)
}

func TestChartHasAxesWithUnits(t *testing.T) {
	all := texts(mustDraw(t, drawn()))
	for _, want := range []string{
		"a<b: calls of the origin over time", "About & about.", "calls in 0.1 s", "time in s",
		"no coalescing", "1,234 calls, peak 1,200/s", "0", "100", "200", "300", "1",
	} {
		if !slices.Contains(all, want) {
			t.Errorf("no text %q in %q", want, all)
		}
	}
}

// A text that is longer than its place would be cut off, or be drawn over the next one.
func TestTextsOfChartsFit(t *testing.T) {
	for _, s := range Scenarios() {
		r := &Report{Scenario: s, Results: map[string]*Result{}}
		for _, m := range s.Modes {
			r.Results[m] = &Result{Fetches: 99_999, PeakFetches: 9_999, Rate: []int{9_999}}
			if modeNotes[m] == "" {
				t.Errorf("mode %s has no note", m)
			}
		}
		for _, e := range mustDraw(t, r) {
			most := map[string]int{"title": 75, "name": 26, "note": 112}[e.Class]
			if strings.Contains(e.Text, "calls, peak") || slices.Contains(s.Modes, e.Text) {
				most = 26
			}
			if n := len([]rune(e.Text)); e.Text != "" && most > 0 && n > most {
				t.Errorf("%s: %q has %d letters; want at most %d", s.Name, e.Text, n, most)
			}
		}
	}
}

func TestTickDividesIntoFewParts(t *testing.T) {
	for _, c := range []struct{ most, parts, want int }{
		{1, 3, 1}, {3, 3, 1}, {4, 3, 2}, {7, 3, 5}, {15, 3, 5}, {16, 3, 10}, {256, 3, 100}, {1000, 3, 500}, {10, 10, 1}, {30, 10, 5},
	} {
		if got := tick(c.most, c.parts); got != c.want {
			t.Errorf("tick(%d, %d) = %d; want %d", c.most, c.parts, got, c.want)
		}
	}
}

func TestBarsStandOnTheFloor(t *testing.T) {
	for _, c := range []struct {
		rate []int
		want string
	}{
		{nil, ""},
		{[]int{0, 0}, ""},
		{[]int{100}, "M10 100V50H16V100z"},
		{[]int{100, 40, 0, 0}, "M10 100V50H16V80H22V100z"},
		{[]int{0, 1, 0, 20}, "M16 100V98.5H22V100zM28 100V90H34V100z"},
	} {
		if got := barPath(c.rate, 10, 100, 6, 0.5); got != c.want {
			t.Errorf("barPath(%v) = %q; want %q", c.rate, got, c.want)
		}
	}
}
