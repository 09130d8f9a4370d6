// Package faultlog limits what is logged about faults that go on.
//
// The first fault of a cause is logged at once. Those of the next minute are counted, and at the
// end of the minute one line has the count and the last of them. A minute without any ends that:
// the next fault is a first one again.
package faultlog

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
)

const (
	// interval is the time between two lines about a cause.
	interval = time.Minute

	// maxCauses is how many causes are told apart. All further ones are one cause.
	maxCauses = 32

	// otherCauses is that cause.
	otherCauses = ""

	// maxKind is the length of a kind, in bytes.
	maxKind = 120
)

// A Log decides which faults are logged. It is safe for concurrent use. Its timers run only while a
// fault is less than a minute old.
type Log struct {
	write func(Line) // a line about the faults of a minute

	mu     sync.Mutex // guards the fields below
	causes map[string]*cause
	closed bool
}

// A Line is what is logged about one fault.
type Line struct {
	Level   slog.Level
	Message string
	Args    []any
}

// A cause is one that was logged less than an interval ago, or goes on.
type cause struct {
	name  string
	count int  // of faults since the last line
	last  Line // of them
	timer *time.Timer
}

// New returns a Log that calls write for each summary, under no lock, by the caller of Close or by a
// timer.
func New(write func(Line)) *Log {
	return &Log{write: write, causes: make(map[string]*cause)}
}

// Note notes a fault of a cause. If it is a first one, the caller writes the line.
func (l *Log) Note(name string, line Line) (first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	c := l.causes[name]
	if c == nil && len(l.causes) >= maxCauses {
		name = otherCauses
		c = l.causes[name]
	}
	if c != nil {
		c.count++
		c.last = line
		return false
	}
	c = &cause{name: name}
	c.timer = time.AfterFunc(interval, func() { l.summarize(c) })
	l.causes[name] = c
	return true
}

// summarize ends an interval of a cause.
func (l *Log) summarize(c *cause) {
	l.mu.Lock()
	line, some := c.summary()
	switch {
	case l.closed: // Close has written the summary
		some = false
	case some:
		c.timer.Reset(interval)
	default:
		delete(l.causes, c.name)
	}
	l.mu.Unlock()
	if some {
		l.write(line)
	}
}

// summary returns the line about the faults since the last line, if there were any.
func (c *cause) summary() (line Line, some bool) {
	n := c.count
	line = c.last
	c.count, c.last = 0, Line{}
	line.Message += ", again"
	line.Args = append([]any{"count", n}, line.Args...)
	return line, n > 0
}

// Close writes the summaries that are due later, and stops the timers. Nothing is logged after Close.
func (l *Log) Close() {
	for _, line := range l.close() {
		l.write(line)
	}
}

func (l *Log) close() (lines []Line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for _, c := range l.causes {
		c.timer.Stop()
		if line, some := c.summary(); some {
			lines = append(lines, line)
		}
	}
	l.causes = nil
	return lines
}

// Kind returns the text of err without what differs between errors of one kind: numbers, addresses,
// and what is quoted.
func Kind(err error) string {
	text, _, _ := strings.Cut(fmt.Sprint(err), "\n") // Sprint survives an Error that panics
	words := strings.Fields(text)
	for i, w := range words {
		if strings.ContainsAny(w, "0123456789\"'`/@[]") {
			words[i] = "#"
		}
	}
	kind := strings.Join(words, " ")
	return kind[:min(len(kind), maxKind)]
}
