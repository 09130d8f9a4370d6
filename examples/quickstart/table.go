package main

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// row is the format of a line, which has at most 80 columns.
const row = "%-39s %8v %6v  %v\n"

// A table prints what the program does, call by call.
type table struct {
	parsed *atomic.Int64 // calls of the parse function so far
	err    error         // the first error; nothing is done after it
}

func (t *table) head() {
	fmt.Printf("%-39s %8v %6v\n", "", "TIME PER", "PARSE")
	fmt.Printf(row, "CALL", "CALL", "CALLS", "RESULT")
}

// say prints a sentence about the calls that follow.
func (t *table) say(text string) {
	if t.err == nil {
		fmt.Printf("\n%s\n", text)
	}
}

// once makes a call, prints its line, and returns how long it took.
func once[R any](t *table, what string, call func() (R, error)) time.Duration {
	return show(t, what, func() (time.Duration, R, error) { return timed(call) })
}

// times makes a call n times, one after the other. It prints and returns the mean time.
func times[R any](t *table, n int, what string, call func() (R, error)) time.Duration {
	return show(t, what+", "+commas(n)+" times", func() (mean time.Duration, result R, err error) {
		start := time.Now()
		for i := 0; i < n && err == nil; i++ {
			result, err = call()
		}
		return time.Since(start) / time.Duration(n), result, err
	})
}

// atOnce makes a call in n goroutines. It prints and returns the mean time from a call's start to
// its end.
func atOnce[R any](t *table, n int, what string, call func() (R, error)) time.Duration {
	return show(t, what+", "+commas(n)+" at once", func() (time.Duration, R, error) {
		var wg sync.WaitGroup
		took, results, errs := make([]time.Duration, n), make([]R, n), make([]error, n)
		for i := range n {
			wg.Go(func() { took[i], results[i], errs[i] = timed(call) })
		}
		wg.Wait()
		var sum time.Duration
		for _, d := range took {
			sum += d
		}
		return sum / time.Duration(n), results[0], errors.Join(errs...)
	})
}

// timed makes a call and returns how long it took beside its results.
func timed[R any](call func() (R, error)) (took time.Duration, result R, err error) {
	start := time.Now()
	result, err = call()
	return time.Since(start), result, err
}

// show makes the calls of a line and prints it.
func show[R any](t *table, what string, do func() (mean time.Duration, result R, err error)) time.Duration {
	if t.err != nil {
		return 0
	}
	before := t.parsed.Load()
	mean, result, err := do()
	if err != nil {
		t.err = fmt.Errorf("%s: %w", what, err)
		return 0
	}
	fmt.Printf(row, "  "+what, short(mean), t.parsed.Load()-before, result)
	return mean
}

// short rounds d to three digits.
func short(d time.Duration) time.Duration { return time.Duration(rounded(int(d))) }

func rounded(n int) int {
	unit := 1
	for n >= 1000*unit {
		unit *= 10
	}
	return (n + unit/2) / unit * unit
}

// commas writes n as 1,234,567.
func commas(n int) string {
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%s,%03d", commas(n/1000), n%1000)
}
