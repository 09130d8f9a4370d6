package herd

import (
	"fmt"
	"html"
	"os"
	"path/filepath"
	"strings"
	"time"
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

What ` + "`make herd`" + ` printed: processes that share a Redis, and what happens to them. The promises are in the
[README](../README.md); internal/herd says how it is measured.

` + "`zodiac`" + ` is a Loader over a store. ` + "`none`" + ` looks into Redis, fetches, and puts the value there, as most programs do;
` + "`flight`" + ` does so with the misses of a process shared, as singleflight shares them; ` + "`redsync`" + ` does that under a redsync
lock as it comes. *Floor* is the least work the origin can have: one call per key, and one per write. A read is *stale* if it
returned a version older than the last write whose Delete had been acknowledged before the read began; it is *excused* if
that is what the loss that the scenario inflicts is said to cost. *Past the fetch* is how long after the origin had
answered a caller that waited for it had its value.

`

// Sizes in the SVG's own pixels.
const (
	margin    = 20
	labels    = 110
	plotWidth = 600
	plotHigh  = 70
	plotStep  = 92
	headHigh  = 48
)

// The chart brings its own background, so that it can be read wherever it is shown.
const style = `<style>
  .back { fill: #ffffff } text { font: 12px system-ui, sans-serif; fill: #24292f }
  .title { font-size: 15px; font-weight: 600 } .mode { font-weight: 600 } .note { fill: #57606a }
  .area { fill: #a8b3bf } .ours { fill: #0969da } .axis { stroke: #a8b3bf }
  @media (prefers-color-scheme: dark) {
    .back { fill: #0d1117 } text { fill: #e6edf3 } .note { fill: #9198a1 }
    .area { fill: #3d4653 } .ours { fill: #4493f8 } .axis { stroke: #3d4653 }
  }
</style>
`

// chart draws the calls of the origin over time, a strip per mode, all to one scale.
func (r *Report) chart() string {
	most := 1
	for _, m := range r.modes() {
		for _, n := range r.Results[m].Rate {
			most = max(most, n)
		}
	}
	width, high := 2*margin+labels+plotWidth, headHigh+len(r.modes())*plotStep+margin
	title := r.Scenario.Name + ": calls of the origin over time, in each tenth of a second"
	var s strings.Builder
	fmt.Fprintf(&s, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" role="img">`+"\n", width, high)
	fmt.Fprintf(&s, "<title>%s</title>\n%s", html.EscapeString(title), style)
	fmt.Fprintf(&s, `<rect class="back" width="%d" height="%d" rx="6"/>`+"\n", width, high)
	fmt.Fprintf(&s, `<text class="title" x="%d" y="28">%s</text>`+"\n", margin, html.EscapeString(title))
	for i, m := range r.modes() {
		r.strip(&s, m, headHigh+i*plotStep, most)
	}
	return s.String() + "</svg>\n"
}

func (r *Report) strip(s *strings.Builder, mode string, y, most int) {
	result := r.Results[mode]
	class := "area"
	if strings.HasPrefix(mode, "zodiac") {
		class = "ours"
	}
	floor := y + plotHigh
	fmt.Fprintf(s, `<text class="mode" x="%d" y="%d">%s</text>`, margin, y+20, html.EscapeString(mode))
	fmt.Fprintf(s, `<text class="note" x="%d" y="%d">%s in all</text>`, margin, y+38, count(result.Fetches))
	fmt.Fprintf(s, `<text class="note" x="%d" y="%d">peak %s/s</text>`+"\n", margin, y+56, count(result.PeakFetches))
	tenths := int(r.Scenario.Duration / (100 * time.Millisecond))
	step := float64(plotWidth) / float64(tenths)
	fmt.Fprintf(s, `<path class="%s" d="M%d %d`, class, margin+labels, floor)
	for i, n := range result.Rate[:min(tenths, len(result.Rate))] {
		x := float64(margin+labels) + float64(i)*step
		top := float64(floor) - float64(plotHigh)*float64(n)/float64(most)
		fmt.Fprintf(s, "L%.1f %.1fH%.1f", x, top, x+step)
	}
	fmt.Fprintf(s, `L%d %dZ"/>`, margin+labels+plotWidth, floor)
	fmt.Fprintf(s, `<path class="axis" d="M%d %dH%d"/>`+"\n", margin+labels, floor, margin+labels+plotWidth)
}
