package herd

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"
)

// A Report is what one scenario came to, mode by mode.
type Report struct {
	Scenario *Scenario
	Results  map[string]*Result
}

// A column is one of a report's table.
type column struct {
	head string
	cell func(*Result) string
}

var columns = []column{
	{"reads", func(r *Result) string { return count(r.Reads) }},
	{"errors", func(r *Result) string { return count(r.Errors) }},
	{"origin calls (floor)", func(r *Result) string { return fmt.Sprintf("%s (%s)", count(r.Fetches), count(r.Floor)) }},
	{"peak a second (floor)", func(r *Result) string { return fmt.Sprintf("%d (%d)", r.PeakFetches, r.PeakFloor) }},
	{"overlapping (in one process)", func(r *Result) string { return fmt.Sprintf("%s (%s)", count(r.Overlaps), count(r.Doubled)) }},
	{"stale, oldest", stale},
	{"excused, oldest, last after the loss", excused},
	{"expired", func(r *Result) string { return count(r.Expired) }},
	{"reads p50, p99, max", func(r *Result) string { return r.Latency.String() }},
	{"waiters past the fetch p50, p99, max", func(r *Result) string { return r.Waiting.String() }},
	{"processors busy (herd)", func(r *Result) string { return fmt.Sprintf("%.0f %% (%.0f %%)", 100*r.Busy, 100*r.Herd) }},
}

func stale(r *Result) string {
	if r.Stale == 0 {
		return "**0**"
	}
	return fmt.Sprintf("%s, %s", count(r.Stale), ms(r.Oldest))
}

func excused(r *Result) string {
	if r.Excused == 0 {
		return "0"
	}
	return fmt.Sprintf("%s, %s, %s", count(r.Excused), ms(r.Ancient), ms(r.Healed))
}

// Write writes the report as Markdown.
func (r *Report) Write(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n%s\n\n", r.Scenario.Name, r.Scenario.About)
	r.table(&b)
	r.bars(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

// table has a row per figure and a column per mode: there are more figures than modes.
func (r *Report) table(b *strings.Builder) {
	b.WriteString("| |")
	for _, m := range r.modes() {
		fmt.Fprintf(b, " %s |", m)
	}
	b.WriteString("\n|---|" + strings.Repeat("---:|", len(r.modes())) + "\n")
	for _, c := range columns {
		fmt.Fprintf(b, "| %s |", c.head)
		for _, m := range r.modes() {
			fmt.Fprintf(b, " %s |", c.cell(r.Results[m]))
		}
		b.WriteString("\n")
	}
	b.WriteString("\n")
}

// modes are those that were run, in their order.
func (r *Report) modes() (modes []string) {
	for _, m := range r.Scenario.Modes {
		if r.Results[m] != nil {
			modes = append(modes, m)
		}
	}
	return modes
}

func (r *Report) bars(b *strings.Builder) {
	first := r.Results[r.Scenario.Modes[0]]
	if first == nil {
		return
	}
	for i := range r.Scenario.Bars {
		bar := &r.Scenario.Bars[i]
		verdict := "holds"
		if !bar.holds(first) {
			verdict = "**FAILS**"
		}
		fmt.Fprintf(b, "* %s: %s (%s), %s\n", bar.Name, figure(bar.Measure(first)), bar.limits(), verdict)
	}
	if len(r.Failed()) > 0 {
		for _, text := range first.Cases {
			fmt.Fprintf(b, "* %s\n", text)
		}
	}
	b.WriteString("\n")
}

// Failed returns the bars that the scenario's first mode does not keep.
func (r *Report) Failed() (failed []string) {
	first := r.Results[r.Scenario.Modes[0]]
	if first == nil {
		return nil
	}
	for i := range r.Scenario.Bars {
		if bar := &r.Scenario.Bars[i]; !bar.holds(first) {
			failed = append(failed, fmt.Sprintf("%s: %s: %s (%s)", r.Scenario.Name, bar.Name, figure(bar.Measure(first)), bar.limits()))
		}
	}
	if first.Truncated {
		failed = append(failed, r.Scenario.Name+": a log was full")
	}
	return failed
}

func (b *Bar) holds(r *Result) bool {
	m := b.Measure(r)
	return b.Least <= m && m <= b.Most
}

func (b *Bar) limits() string {
	switch {
	case b.Least == b.Most:
		return "must be " + figure(b.Most)
	case b.Least == 0:
		return "at most " + figure(b.Most)
	case math.IsInf(b.Most, 1):
		return "at least " + figure(b.Least)
	default:
		return figure(b.Least) + " to " + figure(b.Most)
	}
}

// figure writes a number with up to two digits behind the point.
func figure(f float64) string {
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.2f", f), "0"), ".")
}

func (s Spread) String() string {
	if s.N == 0 {
		return "–"
	}
	return fmt.Sprintf("%s, %s, %s", ms(s.P50), ms(s.P99), ms(s.Max))
}

// ms writes a duration in milliseconds.
func ms(d time.Duration) string {
	f := millis(d)
	if f < 10 {
		return fmt.Sprintf("%.1f ms", f)
	}
	return fmt.Sprintf("%.0f ms", f)
}

func millis(d time.Duration) float64 { return d.Seconds() * 1000 }

// count writes 1,234,567.
func count(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", count(n/1000), n%1000)
}
