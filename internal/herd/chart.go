package herd

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/zodiac-go/zodiac/internal/card"
)

// WriteDocs writes the tables of the reports to herd.md in a folder, and the origin's load in those of several modes as a
// chart each.
func WriteDocs(dir string, reports []*Report) error {
	var page strings.Builder
	page.WriteString(preface)
	for _, r := range reports {
		if err := r.Write(&page); err != nil {
			return err
		}
		if len(r.modes()) < 2 {
			continue
		}
		name := "herd-" + r.Scenario.Name + ".svg"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(r.chart()), 0o644); err != nil {
			return err
		}
		fmt.Fprintf(&page, "![origin calls over time, mode by mode](%s)\n\n", name)
	}
	text := strings.TrimRight(page.String(), "\n") + "\n"
	return os.WriteFile(filepath.Join(dir, "herd.md"), []byte(text), 0o644)
}

const preface = `# The herd

What ` + "`make herd`" + ` printed. Each scenario runs processes that share a Redis, and injects faults. The
promises are in [guarantees.md](guarantees.md). internal/herd says how they are measured.

` + "`zodiac`" + ` is a Loader over a store. ` + "`none`" + ` reads from Redis, fetches, and stores the value there, as most
programs do. ` + "`flight`" + ` does the same, but the misses of a process share a fetch, as with singleflight.
` + "`redsync`" + ` is ` + "`flight`" + ` under a redsync lock with its default settings. *Floor* is the least work the origin
can have: one call per key, and one per write. A read is *stale* if it returned a version older than
the last write whose Delete had been acknowledged before the read began. A stale read is *excused* if
the loss that the scenario inflicts is documented to allow it. *Past the fetch* is the time from the
origin's answer until a caller that waited for it had its value.

`

// Sizes of a chart in pixels.
const (
	labelWidth = 196 // of the texts of a row
	axisWidth  = 40  // of the figures at its vertical axis
	plotLeft   = card.Margin + labelWidth + axisWidth
	plotWidth  = 600
	plotHeight = 72 // of the highest row
	lineHeight = 17 // of the texts of a row
	rowGap     = 26
	footHeight = 60 // of the horizontal axis
)

// barTime is the time that a bar stands for, as in Result.Rate.
const barTime = 100 * time.Millisecond

// modeNotes say what a mode is.
var modeNotes = map[string]string{
	"zodiac":        "a Loader over Redis",
	"zodiac-memory": "a Loader with memory too",
	"direct":        "no cache",
	"none":          "no coalescing",
	"flight":        "one flight per process",
	"redsync":       "under a redsync lock",
}

// chart draws the calls of the origin over time: a row per mode, all to one scale. A mode that did
// not call the origin has no row.
func (r *Report) chart() string {
	modes := slices.DeleteFunc(r.modes(), func(m string) bool { return len(r.rate(m)) == 0 })
	most := 1
	for _, m := range modes {
		most = max(most, slices.Max(r.rate(m)))
	}
	c := card.New(plotLeft+plotWidth+card.Margin, r.Scenario.Name+": calls of the origin over time",
		r.Scenario.About, "Each bar is a tenth of a second. All rows have the same scale.")
	y := c.Top() + 20
	c.Text("note", "end", plotLeft-8, float64(y-14), "calls in 0.1 s")
	for _, m := range modes {
		y = r.row(c, m, y, tick(most, 3), most) + rowGap
	}
	y -= rowGap
	r.timeAxis(c, y)
	return c.SVG(y + footHeight)
}

// rate returns the calls in each tenth of a second of the run. What came after its end is left out.
func (r *Report) rate(mode string) []int {
	rate := r.Results[mode].Rate
	return rate[:min(len(rate), int(r.Scenario.Duration/barTime))]
}

// row draws the row of a mode, which begins at y, and returns where it ends. The row has a line for
// each step up to its highest bar, and is only as high as they need. The bars of the highest row of
// all reach most.
func (r *Report) row(c *card.Card, mode string, y, step, most int) (floor int) {
	result, rate := r.Results[mode], r.rate(mode)
	upTo := func(n int) int { return (n + step - 1) / step * step }
	high := float64(plotHeight) / float64(upTo(most)) // a call's
	top := upTo(slices.Max(rate))
	texts := []string{mode, modeNotes[mode], count(result.Fetches) + " calls, peak " + count(result.PeakFetches) + "/s"}
	floor = y + max(int(math.Ceil(high*float64(top))), len(texts)*lineHeight)
	for i, text := range texts {
		c.Text([]string{"name", "note", "note"}[i], "", card.Margin, float64(floor-lineHeight*(len(texts)-1-i)), text)
	}
	for n := 0; n <= top; n += step {
		at := float64(floor) - high*float64(n)
		c.Draw(`<path class="%s" d="M%d %sh%d"/>`, gridClass(n), plotLeft, card.Number(at), plotWidth)
		c.Text("note", "end", plotLeft-8, at+4, count(n))
	}
	wide := plotWidth * barTime.Seconds() / r.Scenario.Duration.Seconds()
	c.Draw(`<path class="%s" data-calls="%s" d="%s"/>`+"\n",
		barClass(mode), strings.Trim(fmt.Sprint(rate), "[]"), barPath(rate, plotLeft, float64(floor), wide, high))
	return floor
}

// leastHeight is that of a bar of a single call on a scale on which it would not show.
const leastHeight = 1.5

// barPath outlines bars for a rate, from x to the right, which stand on floor. A bar is so wide, and
// a call so high. Bars that touch are one shape. There is no bar for 0.
func barPath(rate []int, x, floor, wide, high float64) string {
	var path strings.Builder
	before := 0
	for i, n := range append(slices.Clone(rate), 0) {
		left := card.Number(x + wide*float64(i))
		switch {
		case before == 0 && n > 0:
			fmt.Fprintf(&path, "M%s %s", left, card.Number(floor))
		case before > 0:
			fmt.Fprintf(&path, "H%s", left)
		}
		switch {
		case n > 0:
			fmt.Fprintf(&path, "V%s", card.Number(floor-max(leastHeight, high*float64(n))))
		case before > 0:
			fmt.Fprintf(&path, "V%sz", card.Number(floor))
		}
		before = n
	}
	return path.String()
}

// timeAxis draws the axis below the last row, which ends at y.
func (r *Report) timeAxis(c *card.Card, y int) {
	seconds := r.Scenario.Duration.Seconds()
	step := tick(int(math.Ceil(seconds)), 10)
	for s := 0; float64(s) <= seconds; s += step {
		x := plotLeft + plotWidth*float64(s)/seconds
		c.Draw(`<path class="axis" d="M%s %dv5"/>`, card.Number(x), y)
		c.Text("note", "middle", x, float64(y+20), fmt.Sprint(s))
	}
	c.Text("note", "middle", plotLeft+plotWidth/2, float64(y+40), "time in s")
}

// tick returns the least of 1, 2, 5, 10, 20, 50 and so on that divides most into no more than that
// many parts.
func tick(most, parts int) int {
	for unit := 1; ; unit *= 10 {
		for _, n := range []int{unit, 2 * unit, 5 * unit} {
			if n*parts >= most {
				return n
			}
		}
	}
}

func gridClass(n int) string {
	if n == 0 {
		return "axis"
	}
	return "grid"
}

func barClass(mode string) string {
	if strings.HasPrefix(mode, "zodiac") {
		return "ours"
	}
	return "other"
}
