package zodiac

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/zodiac-go/zodiac/internal/faultlog"
	"github.com/zodiac-go/zodiac/internal/remote"
)

// An EventKind says what an Event is about.
type EventKind uint8

// The kinds of events.
const (
	// EventFetch says that a fetch on behalf of the cache has returned. Took is how long it ran,
	// Outcome what became of its result, Err its error.
	EventFetch EventKind = iota
	// EventFault says that something kept a value out of the cache, although its caller has the
	// value: the key has no text, the value has too many tags, or the store or the codec failed.
	// Err says what.
	EventFault
)

// String returns "fetch" or "fault".
func (k EventKind) String() string {
	if k == EventFault {
		return "fault"
	}
	return "fetch"
}

// An Outcome is what became of the result of a fetch. The counts of the same names in [Stats] add
// them up.
type Outcome string

// The outcomes of a fetch.
const (
	OutcomeStored    Outcome = "stored"
	OutcomeDiscarded Outcome = "discarded"
	OutcomeSkipped   Outcome = "skipped"
	OutcomeUncached  Outcome = "uncached"
	OutcomeError     Outcome = "error"
)

// An Event tells an [Observer] about a fetch or a fault.
type Event struct {
	Kind    EventKind
	Loader  string // the name of the loader
	Key     any    // the key, of the loader's type K; nil if the event is about several
	Outcome Outcome
	Took    time.Duration
	Err     error
}

// An Observer is told about fetches and faults, never about a hit in memory.
//
// Observe is called under no lock, and by several goroutines at once. No call but Close waits for it.
// Events about a fetch and its result come on the fetch's goroutine after all callers have their
// outcome. Those about the store and about keys without text come one after the other on a goroutine
// of the loader, soon after the fault. While the Observer or the log's handler is slow, 1,024 of them
// wait. Further ones are dropped and counted in [Stats].Unreported.
//
// The context has the values of the caller's context and does not end. If Observe panics, the panic
// is logged and goes no further.
type Observer interface {
	Observe(ctx context.Context, e Event)
}

// WithObserver sets who is told about fetches and faults. By default nobody is.
func WithObserver(o Observer) Option {
	return option(func(c *config) {
		if o == nil {
			c.fault("WithObserver", errors.New("the observer is nil"))
			return
		}
		c.observer = o
	})
}

// WithLogger sets where a loader logs that a function of the user panicked (as an error), what kept a
// value out of the cache (as a warning), and that the store is left alone or used again. The first
// fault of a cause is logged at once. While it goes on, one line a minute has the count and the last
// error. A log has no keys, unless a user's error has one in its text.
//
// The handler runs on a goroutine of the loader, under no lock, and nobody but Close waits for it. By
// default the logger is slog.Default(), as it is when a line is written. A logger of
// slog.DiscardHandler silences the loader.
func WithLogger(l *slog.Logger) Option {
	return option(func(c *config) {
		if l == nil {
			c.fault("WithLogger", errors.New("the logger is nil"))
			return
		}
		c.logger = l
	})
}

// observe tells the Observer, on the caller's goroutine.
func (c *core) observe(ctx context.Context, e Event) {
	if c.observer == nil {
		return
	}
	e.Loader = c.name
	_ = c.guard("WithObserver", func() { c.observer.Observe(context.WithoutCancel(ctx), e) }) // there is nobody else to tell
}

// fault reports an error that callers do not, or not only, get, off the caller's way.
func (c *core) fault(ctx context.Context, key any, err error) {
	c.logFault("zodiac: fault", err)
	c.observeFault(ctx, key, err)
}

// observeFault tells the Observer of a fault, off the caller's way.
func (c *core) observeFault(ctx context.Context, key any, err error) {
	if c.observer != nil {
		c.reporter.Do(func() { c.observe(ctx, Event{Kind: EventFault, Key: key, Err: err}) })
	}
}

// causeOf returns what tells the faults of one cause from others in the log. A store that is out of
// reach is one cause, whatever was asked of it.
func causeOf(err error) string {
	if bad, ok := errors.AsType[*StoreError](err); ok {
		if remote.IsFault(bad.Err) {
			return "store"
		}
		return bad.Op + ": " + faultlog.Kind(bad.Err)
	}
	return faultlog.Kind(err)
}

// storeFault reports that the store has failed, and returns the error for a caller who may see it.
func (c *core) storeFault(ctx context.Context, key any, err error) error {
	bad := c.storeError(err)
	if f, ok := errors.AsType[*remote.OpError](err); !ok || !f.Skipped() { // that was reported when it began
		c.fault(ctx, key, bad)
	}
	return bad
}

// storeError returns the *StoreError for a fault of the store. Other errors stay as they are.
func (c *core) storeError(err error) error {
	switch f, ok := err.(*remote.OpError); { //nolint:errorlint // one that is wrapped is another store's
	case ok:
		return &StoreError{Loader: c.name, Op: f.Op, Err: f.Err}
	case errors.Is(err, remote.ErrClosed):
		return ErrClosed
	default:
		return err
	}
}

// writeError returns a caller's error of a write over a store, and reports a fault.
func (c *core) writeError(ctx context.Context, key any, err error) error {
	if _, ok := err.(*remote.OpError); ok { //nolint:errorlint // see storeError
		return c.storeFault(ctx, key, err)
	}
	return c.storeError(err)
}

// logFault logs a fault. It may be called under a lock. That values have too many tags is logged once:
// it is a fault of the program, which every fetch repeats.
func (c *core) logFault(msg string, err error) {
	if _, tooMany := errors.AsType[tooManyTags](err); tooMany && c.saidTooManyTags.Swap(true) {
		return
	}
	c.reporter.Fault(slog.LevelWarn, func() string { return msg + ": " + causeOf(err) }, msg, "error", err)
}
