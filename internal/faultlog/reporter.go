package faultlog

import (
	"context"
	"log/slog"

	"github.com/zodiac-go/zodiac/internal/offload"
)

// A Reporter is the way to a logger and to other code of a user that is told what happens. All such
// code runs on one goroutine, which exists only while there is something to tell. So a Reporter may
// be called under a lock and on the way of a call: it neither blocks nor calls anything. It is safe
// for concurrent use.
type Reporter struct {
	logger *slog.Logger // nil = slog.Default(), as it is when a line is written
	attrs  []any        // of every line
	faults *Log
	queue  offload.Queue
}

// NewReporter returns a Reporter whose lines have attrs. If logger is nil, it is slog.Default().
func NewReporter(logger *slog.Logger, attrs ...any) *Reporter {
	r := &Reporter{logger: logger, attrs: attrs}
	r.faults = New(func(l Line) { r.Do(func() { r.write(l) }) })
	return r
}

// Do calls f soon, unless too much waits to be told already.
func (r *Reporter) Do(f func()) { r.queue.Add(f) }

// Log writes a line.
func (r *Reporter) Log(level slog.Level, msg string, args ...any) {
	r.Do(func() { r.write(Line{level, msg, args}) })
}

// Fault writes a line about a fault, unless one of the same cause was written in the last minute.
func (r *Reporter) Fault(level slog.Level, cause func() string, msg string, args ...any) {
	r.Do(func() {
		l := Line{level, msg, args}
		if r.faults.Note(cause(), l) {
			r.write(l)
		}
	})
}

// write writes a line on the Reporter's goroutine. A handler that panics harms nobody.
func (r *Reporter) write(l Line) {
	defer func() { _ = recover() }()
	logger := r.logger
	if logger == nil {
		logger = slog.Default()
	}
	args := append(append([]any(nil), r.attrs...), l.Args...)
	logger.Log(context.Background(), l.Level, l.Message, args...)
}

// Dropped returns how much was not told, since too much waited to be told.
func (r *Reporter) Dropped() uint64 { return r.queue.Dropped() }

// Close writes the summaries that are due later, and waits until all is told or ctx ends.
func (r *Reporter) Close(ctx context.Context) error {
	if r.queue.Idle() || !r.queue.Add(r.faults.Close) { // after the faults that wait
		r.faults.Close()
	}
	return r.queue.Drain(ctx)
}
