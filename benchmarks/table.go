package main

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// table collects what a question found, for print and for the chart.
type table struct {
	title   string
	first   string // what the rows are
	rows    []string
	columns []column
	notes   []string
}

// column is one line of figures, or of texts.
type column struct {
	name  string
	unit  string // of the chart's panel for it; "" keeps it out of the chart
	cells []string
	bars  []figure
}

// column adds figures that are shown with their ratio and drawn.
func (t *table) column(name, unit string, figures []figure) {
	c := column{name: name, unit: unit, bars: figures}
	for _, f := range figures {
		c.cells = append(c.cells, f.String())
	}
	t.columns = append(t.columns, c)
}

// plain adds figures without their ratio, and not to the chart.
func (t *table) plain(name string, figures []figure) {
	c := column{name: name}
	for _, f := range figures {
		c.cells = append(c.cells, fmt.Sprintf("%.2f", f.Value))
	}
	t.columns = append(t.columns, c)
}

// texts adds a column of words.
func (t *table) texts(name string, cells []string) {
	t.columns = append(t.columns, column{name: name, cells: cells})
}

// String is the table in Markdown, padded so that it can be read as it is.
func (t table) String() string {
	grid := [][]string{{t.first}}
	for _, c := range t.columns {
		grid[0] = append(grid[0], c.name)
	}
	for i, row := range t.rows {
		line := []string{row}
		for _, c := range t.columns {
			line = append(line, c.cells[i])
		}
		grid = append(grid, line)
	}
	return fmt.Sprintf("\n### %s\n\n%s%s", t.title, markdown(grid), paragraphs(t.notes))
}

func markdown(grid [][]string) string {
	widths := make([]int, len(grid[0]))
	for _, line := range grid {
		for i, cell := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var s strings.Builder
	for i, line := range grid {
		writeLine(&s, line, widths)
		if i == 0 {
			writeRule(&s, widths)
		}
	}
	return s.String()
}

func writeLine(s *strings.Builder, line []string, widths []int) {
	for i, cell := range line {
		pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
		if i == 0 {
			s.WriteString("| " + cell + pad)
		} else {
			s.WriteString(" | " + pad + cell)
		}
	}
	s.WriteString(" |\n")
}

func writeRule(s *strings.Builder, widths []int) {
	for i, w := range widths {
		if i == 0 {
			s.WriteString("|" + strings.Repeat("-", w+2))
		} else {
			s.WriteString("|" + strings.Repeat("-", w+1) + ":")
		}
	}
	s.WriteString("|\n")
}

func paragraphs(notes []string) string {
	var s strings.Builder
	for _, n := range notes {
		s.WriteString("\n" + n)
	}
	if len(notes) > 0 {
		s.WriteString("\n")
	}
	return s.String()
}

// show prints the table and draws its chart.
func (b *bench) show(name string, t table) error {
	b.printf("%s", t)
	return b.draw(name, t.chart())
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
