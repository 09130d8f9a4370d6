package main

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// A table holds the results of a question. It is printed and drawn as a chart.
type table struct {
	title   string
	first   string // the head of the column of row names
	rows    []string
	columns []column
	notes   []string // printed below
}

// A column of a table has a cell for each row.
type column struct {
	name  string
	unit  string // of bars; "" keeps the column out of the chart
	cells []string
	bars  []figure // for the chart
}

// column adds a column of figures with their ratios, which the chart shows too.
func (t *table) column(name, unit string, figures []figure) {
	c := column{name: name, unit: unit, bars: figures}
	for _, f := range figures {
		c.cells = append(c.cells, f.String())
	}
	t.columns = append(t.columns, c)
}

// plain adds a column of figures without their ratios. The chart does not show it.
func (t *table) plain(name string, figures []figure) {
	c := column{name: name}
	for _, f := range figures {
		c.cells = append(c.cells, fmt.Sprintf("%.2f", f.Value))
	}
	t.columns = append(t.columns, c)
}

// texts adds a column of texts. The chart does not show it.
func (t *table) texts(name string, cells []string) {
	t.columns = append(t.columns, column{name: name, cells: cells})
}

// String returns the table as Markdown. The cells are padded, so that a reader needs no renderer.
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

// markdown formats a table whose first line is the head.
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

// show prints the table and draws its chart to bench-name.svg.
func (b *bench) show(name string, t table) error {
	b.printf("%s", t)
	return b.draw(name, t.chart())
}

// plural returns n and the noun, in the plural unless n is 1.
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
