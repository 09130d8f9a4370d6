// Package card draws what charts have in common: an SVG file with a background of its own, a title,
// notes, and colors for a light and a dark page.
//
// A page that shows the file as an image gives it no styles. The file has a media query for the
// reader's color scheme. If the page's scheme is another one, the background keeps the chart
// readable.
package card

import (
	"fmt"
	"html"
	"strings"
	"unicode/utf8"
)

// Margin is the distance from the edge of a card to what is on it, in pixels.
const Margin = 24

// The classes are what Text and the shapes of a chart refer to. Ours is zodiac, Base is what others
// are compared with, and Other is everybody else.
const style = `<style>
  text { font: 12px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328 }
  .title { font-size: 16px; font-weight: 600 } .name { font-weight: 600 } .note { fill: #59636e }
  .card { fill: #f6f8fa; stroke: #d1d9e0 } .grid { stroke: #d1d9e0 } .axis { stroke: #818b98 }
  .ours { fill: #0969da } .base { fill: #59636e } .other { fill: #8c959f }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc } .note { fill: #9198a1 }
    .card { fill: #151b23; stroke: #3d444d } .grid { stroke: #2f3742 } .axis { stroke: #656c76 }
    .ours { fill: #4493f8 } .base { fill: #9da5b0 } .other { fill: #6e7681 }
  }
</style>
`

// Widths of letters in parts of the font's size. They are those of a wide font, since nobody knows
// which one a reader has.
const (
	letter     = 0.62
	boldLetter = 0.71
)

// A Card is a chart in the making.
type Card struct {
	width int
	title string
	top   int
	body  strings.Builder
}

// New returns a card with a title and notes. Both are broken into lines that fit.
func New(width int, title string, notes ...string) *Card {
	c := &Card{width: width, title: title, top: Margin - 8}
	room := float64(width - 2*Margin)
	for _, line := range wrap(title, int(room/(16*boldLetter))) {
		c.top += 20
		c.Text("title", "", Margin, float64(c.top), line)
	}
	c.top += 2
	for _, note := range notes {
		for _, line := range wrap(note, int(room/(12*letter))) {
			c.top += 18
			c.Text("note", "", Margin, float64(c.top), line)
		}
	}
	return c
}

// Top returns where the space below the notes begins.
func (c *Card) Top() int { return c.top + 16 }

// Text writes text with its baseline at y. The anchor is which part of it is at x: "start", which is
// also "", "middle" or "end".
func (c *Card) Text(class, anchor string, x, y float64, text string) {
	c.Draw(`<text%s%s x="%s" y="%s">%s</text>`+"\n",
		attribute("class", class), attribute("text-anchor", anchor), Number(x), Number(y), html.EscapeString(text))
}

// TextWidth returns how wide text may be, in pixels.
func TextWidth(text string) float64 { return 12 * letter * float64(utf8.RuneCountInString(text)) }

// Draw adds elements.
func (c *Card) Draw(format string, args ...any) { fmt.Fprintf(&c.body, format, args...) }

// SVG returns the file for a card that is so high.
func (c *Card) SVG(height int) string {
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" role="img">
<title>%s</title>
%s<rect class="card" x="0.5" y="0.5" width="%d" height="%d" rx="6"/>
%s</svg>
`, c.width, height, html.EscapeString(c.title), style, c.width-1, height-1, c.body.String())
}

func attribute(name, value string) string {
	if value == "" {
		return ""
	}
	return fmt.Sprintf(` %s="%s"`, name, value)
}

// Number writes a coordinate with at most one decimal.
func Number(f float64) string { return strings.TrimSuffix(fmt.Sprintf("%.1f", f), ".0") }

// Count writes n as 1,234,567.
func Count(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", Count(n/1000), n%1000)
}

// wrap breaks text between words into lines of at most so many letters. A longer word has a line of
// its own.
func wrap(text string, letters int) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) <= letters:
			line += " " + word
		default:
			lines, line = append(lines, line), word
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}
