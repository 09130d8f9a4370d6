package main

import (
	"math"
	"strings"
	"testing"

	"github.com/zodiac-go/zodiac/internal/card"
)

func drawnTable() table {
	t := table{title: "a title", first: "contestant", rows: []string{"zodiac", base, "rival"}}
	t.column("some", "ns", []figure{{10, 0.5}, {20, 1}, {22_530, math.NaN()}})
	t.column("no unit", "", []figure{{1, 1}, {1, 1}, {1, 1}})
	t.texts("words", []string{"a", "b", "c"})
	t.column("one", "ns", []figure{{math.NaN(), math.NaN()}, {20, 1}, {math.NaN(), math.NaN()}})
	t.column("none", "ns", []figure{{math.NaN(), 1}, {math.NaN(), 1}, {math.NaN(), 1}})
	return t
}

func TestChartHasWhatIsANumberOnly(t *testing.T) {
	c := drawnTable().chart()
	var got []string
	for _, p := range c.panels {
		for _, b := range p.bars {
			got = append(got, p.title+": "+b.label+" "+b.class()+" "+b.text)
		}
	}
	want := []string{
		"some: zodiac ours 10.0 ns · 0.50×", "some: otter base 20.0 ns · 1.00×", "some: rival other 22,530 ns",
		"one: otter base 20.0 ns · 1.00×",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("bars:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if text := c.svg(); strings.Contains(text, "NaN") || strings.Contains(text, ">none<") {
		t.Errorf("the chart has an empty panel, or a figure that is no number:\n%s", text)
	}
}

func TestChartOfOnePanelIsHalfAsWide(t *testing.T) {
	c := drawnTable().chart()
	two := c.svg()
	c.panels = c.panels[:1]
	one := c.svg()
	if !strings.Contains(two, `width="1024"`) || !strings.Contains(one, `width="524"`) {
		t.Errorf("widths: two panels %.60s, one %.60s", two, one)
	}
}

// What stands beside a bar must not reach into the next panel or off the card.
func TestTextsBesideBarsFit(t *testing.T) {
	for _, label := range []string{"zodiac string, WithKey", "otter, coarse clock", "zodiac, Background"} {
		if w := card.TextWidth(label); w > labelWidth-8+card.Margin/2 {
			t.Errorf("%q is up to %.0f pixels wide; there are %d", label, w, labelWidth-8)
		}
	}
	for _, text := range []string{"22,530 ns · 14.41×", "20,943 µs · 68.74×"} {
		if w := card.TextWidth(text); w > textWidth-6 {
			t.Errorf("%q is up to %.0f pixels wide; there are %d", text, w, textWidth-6)
		}
	}
}

func TestCommas(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "int64, 1 core": "int64, 1 core", "999 of 1000000": "999 of 1,000,000", "99999999999999999999": "99999999999999999999",
	} {
		if got := commas(text); got != want {
			t.Errorf("commas(%q) = %q; want %q", text, got, want)
		}
	}
}
