package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/zodiac-go/zodiac/internal/card"
)

// chart is panels of bars, two abreast.
type chart struct {
	title  string
	note   string
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
	ours  bool   // whatever the label is
}

// chart draws every column of a table that has a unit as a panel. Figures that are no numbers have
// no bar, and a panel without bars is left out.
func (t table) chart() chart {
	c := chart{title: commas(t.title), note: "Shorter is better."}
	for _, col := range t.columns {
		p := panel{title: commas(col.name)}
		for i, f := range col.bars {
			if col.unit == "" || math.IsNaN(f.Value) {
				continue
			}
			text := fmt.Sprintf("%s %s · %.2f×", short(f.Value), col.unit, f.Ratio)
			if math.IsNaN(f.Ratio) {
				text = fmt.Sprintf("%s %s", short(f.Value), col.unit)
			}
			p.bars = append(p.bars, bar{label: t.rows[i], value: f.Value, text: text, ours: strings.HasPrefix(col.name, "zodiac")})
		}
		if len(p.bars) > 0 {
			c.panels = append(c.panels, p)
		}
	}
	return c
}

var longNumber = regexp.MustCompile(`\d{4,}`)

// commas writes the long numbers in a text as 1,234,567.
func commas(text string) string {
	return longNumber.ReplaceAllStringFunc(text, func(digits string) string {
		n, err := strconv.Atoi(digits)
		if err != nil {
			return digits // too long for an int
		}
		return card.Count(n)
	})
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

// Sizes of a chart in pixels.
const (
	labelWidth = 172 // of the text before a bar
	barRoom    = 160 // of the longest bar
	textWidth  = 144 // of the text after a bar
	panelWidth = labelWidth + barRoom + textWidth
	barHeight  = 13
	barStep    = 18
	panelHead  = 28
	panelFoot  = 16
)

func (c chart) svg() string {
	across := min(2, len(c.panels))
	d := card.New(across*(panelWidth+card.Margin)+card.Margin, c.title, c.note)
	y := d.Top()
	for i := 0; i < len(c.panels); i += across {
		height := 0
		for j, p := range c.panels[i:min(i+across, len(c.panels))] {
			p.draw(d, card.Margin+j*(panelWidth+card.Margin), y)
			height = max(height, p.height())
		}
		y += height
	}
	return d.SVG(y)
}

func (p panel) height() int { return panelHead + len(p.bars)*barStep + panelFoot }

func (p panel) draw(d *card.Card, x, y int) {
	d.Text("name", "", float64(x), float64(y+16), p.title)
	longest := 0.0
	for _, b := range p.bars {
		longest = max(longest, b.value)
	}
	for i, b := range p.bars {
		b.draw(d, x+labelWidth, y+panelHead+i*barStep, longest)
	}
}

// draw draws a bar from x on. The longest bar of the panel has all the room.
func (b bar) draw(d *card.Card, x, y int, longest float64) {
	length := 1.0
	if longest > 0 {
		length = max(1, barRoom*b.value/longest)
	}
	baseline := float64(y + barHeight - 2)
	d.Text("", "end", float64(x-8), baseline, b.label)
	d.Draw(`<rect class="%s" x="%d" y="%d" width="%s" height="%d" rx="2"/>`, b.class(), x, y, card.Number(length), barHeight)
	d.Text("note", "", float64(x)+length+6, baseline, b.text)
}

// class gives ours and the base of the ratios their own colors.
func (b bar) class() string {
	switch {
	case b.ours || strings.HasPrefix(b.label, "zodiac"):
		return "ours"
	case b.label == base:
		return "base"
	default:
		return "other"
	}
}
