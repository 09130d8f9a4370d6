package main

import (
	"fmt"
	"html"
	"math"
	"os"
	"path/filepath"
	"strings"
)

// chart is panels of bars, two abreast.
type chart struct {
	title  string
	panels []panel
}

type panel struct {
	title string
	bars  []bar
}

type bar struct {
	label string
	value float64
	text  string // at the bar's end
}

// chart draws every column of a table that has a unit as a panel.
func (t table) chart() chart {
	c := chart{title: t.title + "; shorter is better"}
	for _, col := range t.columns {
		if col.unit == "" {
			continue
		}
		p := panel{title: col.name}
		for i, f := range col.bars {
			text := fmt.Sprintf("%s %s · %.2f×", short(f.Value), col.unit, f.Ratio)
			if math.IsNaN(f.Ratio) {
				text = fmt.Sprintf("%s %s", short(f.Value), col.unit)
			}
			p.bars = append(p.bars, bar{label: t.rows[i], value: f.Value, text: text})
		}
		c.panels = append(c.panels, p)
	}
	return c
}

// draw writes a chart to the folder of charts, if there is one.
func (b *bench) draw(name string, c chart) error {
	if b.charts == "" || len(c.panels) == 0 {
		return nil
	}
	if err := os.MkdirAll(b.charts, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(b.charts, "bench-"+name+".svg"), []byte(c.svg()), 0o644)
}

// Sizes in the SVG's own pixels.
const (
	margin     = 20
	panelWidth = 460
	labelWidth = 150
	textWidth  = 130
	barHeight  = 13
	barStep    = 18
	headHeight = 44 // of the chart's title
	panelHead  = 26
	panelFoot  = 16
)

// The chart brings its own background, so that it can be read wherever it is shown; the reader's preference decides
// which.
const style = `<style>
  .back { fill: #ffffff } text { font: 12px system-ui, sans-serif; fill: #24292f }
  .title { font-size: 15px; font-weight: 600 } .panel { font-weight: 600 } .text { fill: #57606a }
  .bar { fill: #a8b3bf } .base { fill: #6e7f91 } .ours { fill: #0969da }
  @media (prefers-color-scheme: dark) {
    .back { fill: #0d1117 } text { fill: #e6edf3 } .text { fill: #9198a1 }
    .bar { fill: #3d4653 } .base { fill: #6e7f91 } .ours { fill: #4493f8 }
  }
</style>
`

func (c chart) svg() string {
	var body strings.Builder
	y := headHeight
	for i := 0; i < len(c.panels); i += 2 {
		row := c.panels[i:min(i+2, len(c.panels))]
		height := 0
		for j, p := range row {
			p.write(&body, margin+j*(panelWidth+margin), y)
			height = max(height, p.height())
		}
		y += height
	}
	// A chart of one panel is still as wide as its title, at some 8 pixels a letter.
	width := max(margin+min(2, len(c.panels))*(panelWidth+margin), 2*margin+8*len(c.title))
	var s strings.Builder
	fmt.Fprintf(&s, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" role="img">`+"\n", width, y)
	fmt.Fprintf(&s, "<title>%s</title>\n%s", html.EscapeString(c.title), style)
	fmt.Fprintf(&s, `<rect class="back" width="%d" height="%d" rx="6"/>`+"\n", width, y)
	fmt.Fprintf(&s, `<text class="title" x="%d" y="27">%s</text>`+"\n", margin, html.EscapeString(c.title))
	return s.String() + body.String() + "</svg>\n"
}

func (p panel) height() int { return panelHead + len(p.bars)*barStep + panelFoot }

func (p panel) write(s *strings.Builder, x, y int) {
	fmt.Fprintf(s, `<text class="panel" x="%d" y="%d">%s</text>`+"\n", x, y+16, html.EscapeString(p.title))
	longest := 0.0
	for _, b := range p.bars {
		longest = max(longest, b.value)
	}
	for i, b := range p.bars {
		b.write(s, x, y+panelHead+i*barStep, longest)
	}
}

func (b bar) write(s *strings.Builder, x, y int, longest float64) {
	const room = panelWidth - labelWidth - textWidth
	length := 1.0
	if longest > 0 {
		length = max(1, room*b.value/longest)
	}
	from, baseline := x+labelWidth, y+barHeight-2
	fmt.Fprintf(s, `<text x="%d" y="%d" text-anchor="end">%s</text>`, from-8, baseline, html.EscapeString(b.label))
	fmt.Fprintf(s, `<rect class="%s" x="%d" y="%d" width="%.1f" height="%d" rx="2"/>`, b.class(), from, y, length, barHeight)
	fmt.Fprintf(s, `<text class="text" x="%.1f" y="%d">%s</text>`+"\n", float64(from)+length+6, baseline, html.EscapeString(b.text))
}

// class gives ours and the base of the ratios their own colours.
func (b bar) class() string {
	switch {
	case strings.HasPrefix(b.label, "zodiac"):
		return "ours"
	case b.label == base:
		return "base"
	default:
		return "bar"
	}
}
