package herd

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"
)

// A Report holds the results of one scenario, by mode.
type Report struct {
	Scenario *Scenario
	Results  map[string]*Result
}

// A reportRow is a row of a report's table: a name, and a cell for each mode.
type reportRow struct {
	name string
	cell func(*Result) string
}

var reportRows = []reportRow{
	{"reads", func(r *Result) string { return count(r.Reads) }},
	{"failed reads", func(r *Result) string { return count(r.Errors) }},
	{"origin calls (floor)", func(r *Result) string {
		return fmt.Sprintf("%s (%s)", count(r.Fetches), count(r.Floor))
	}},
	{"origin calls in the busiest second (floor)", func(r *Result) string {
		return fmt.Sprintf("%d (%d)", r.PeakFetches, r.PeakFloor)
	}},
	{"origin calls that overlap another for the same key (by the same process)", func(r *Result) string {
		return fmt.Sprintf("%s (%s)", count(r.Overlaps), count(r.Doubled))
	}},
	{"stale reads, oldest", stale},
	{"excused reads, oldest, last one after the loss", excused},
	{"expired reads", func(r *Result) string { return count(r.Expired) }},
	{"time of a read p50, p99, max", func(r *Result) string { return r.Latency.String() }},
	{"waiting callers past the fetch p50, p99, max", func(r *Result) string {
		return r.Waiting.String()
	}},
	{"processors busy (with the herd)", func(r *Result) string {
		return fmt.Sprintf("%.0f %% (%.0f %%)", 100*r.Busy, 100*r.Herd)
	}},
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

// table writes a table with a column for each mode: there are fewer modes than figures.
func (r *Report) table(b *strings.Builder) {
	b.WriteString("| |")
	for _, m := range r.modes() {
		fmt.Fprintf(b, " %s |", m)
	}
	b.WriteString("\n|---|" + strings.Repeat("---:|", len(r.modes())) + "\n")
	for _, row := range reportRows {
		fmt.Fprintf(b, "| %s |", row.name)
		for _, m := range r.modes() {
			fmt.Fprintf(b, " %s |", row.cell(r.Results[m]))
		}
		b.WriteString("\n")
	}
	b.WriteString("\n")
}

// modes returns the modes that have a result, in the order of the scenario.
func (r *Report) modes() (modes []string) {
	for _, m := range r.Scenario.Modes {
		if r.Results[m] != nil {
			modes = append(modes, m)
		}
	}
	return modes
}

// bars writes how the scenario's first mode compares with the bars, and the cases if it fails.
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

// Failed describes the bars that do not hold for the scenario's first mode, one string for each,
// and says if a log was full. It returns nothing if that mode has no result.
func (r *Report) Failed() (failed []string) {
	first := r.Results[r.Scenario.Modes[0]]
	if first == nil {
		return nil
	}
	for i := range r.Scenario.Bars {
		if bar := &r.Scenario.Bars[i]; !bar.holds(first) {
			failed = append(failed, fmt.Sprintf("%s: %s: %s (%s)",
				r.Scenario.Name, bar.Name, figure(bar.Measure(first)), bar.limits()))
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

// figure formats a number with at most two decimals.
func figure(f float64) string {
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.2f", f), "0"), ".")
}

func (s Spread) String() string {
	if s.N == 0 {
		return "–"
	}
	return fmt.Sprintf("%s, %s, %s", ms(s.P50), ms(s.P99), ms(s.Max))
}

// ms formats a duration in milliseconds.
func ms(d time.Duration) string {
	f := millis(d)
	if f < 10 {
		return fmt.Sprintf("%.1f ms", f)
	}
	return fmt.Sprintf("%.0f ms", f)
}

func millis(d time.Duration) float64 { return d.Seconds() * 1000 }

// count formats a number with commas, as in 1,234,567.
func count(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", count(n/1000), n%1000)
}
