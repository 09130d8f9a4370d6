package main

import (
	"fmt"
	"strconv"
	"sync/atomic"
	"time"
)

// row is the format of a line: what was done, how long it took, how many packages were parsed for it, the result.
const row = "%-38s %8v %6v   %v\n"

// A table prints what the program does, line by line.
type table struct {
	parsed *atomic.Int64
	err    error // the first; nothing is done after it
}

// show does one step, prints its line, and returns how long it took.
func (t *table) show(what string, do func() (result any, err error)) time.Duration {
	if t.err != nil {
		return 0
	}
	before, start := t.parsed.Load(), time.Now()
	result, err := do()
	took := time.Since(start)
	if err != nil {
		t.err = fmt.Errorf("%s: %w", what, err)
		return 0
	}
	fmt.Printf(row, what, short(took), t.parsed.Load()-before, result)
	return took
}

// note prints what there is to say about the steps before.
func (t *table) note(format string, args ...any) {
	if t.err == nil {
		fmt.Printf(format, args...)
	}
}

// times says how much less fast is than slow. Some clocks are too coarse to see a single hit: it counts as 1 ns.
func times(slow, fast time.Duration) string {
	return commas(int(slow/max(fast, 1))) + " times"
}

// short rounds d to three digits.
func short(d time.Duration) time.Duration {
	unit := time.Duration(1)
	for d >= 1000*unit {
		unit *= 10
	}
	return d.Round(unit)
}

// commas writes n as 1,234,567.
func commas(n int) string {
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%s,%03d", commas(n/1000), n%1000)
}
