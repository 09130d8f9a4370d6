// Package remote is a cache's side of its store, in string keys and records. It sends commands,
// decides about leases, and receives from the bus what other processes have invalidated.
//
// The package knows nothing of K and V, of codecs, and of users' functions: the root package
// encodes, decodes and calls. It removes entries from memory only through [Memory], and
// invalidates tags through a tag.Space. Flights are known to it as an [Owner] only, and
// the root's writes as a [WriteOwner].
//
// Where to start:
//
//   - remote.go: [Client], one for each cache over a store, and how Close ends it. backend.go: what
//     all Clients over one store share.
//   - command.go: how a command is sent: budget, time limit, breaker (breaker.go). Faults are counted
//     by shard, for all Clients over the store.
//   - read.go: reads, and what is known of a record that was read. sharedread.go: callers
//     that come while a key is read share the next read, never the one that runs.
//   - fetch.go: [Fetch], what a flight does in the store: it acquires the lease and watches the
//     tags; Outcome says who may have the result. commit.go: whether the result is stored.
//     wait.go: how a flight waits for another process. lease.go: a lease that renews itself.
//     lease.end ends it: for Fetch.Commit, for Fetch.Close and GiveUp, which fetch.go of the root
//     package calls, and for the writes in write.go and update.go.
//   - write.go, delete.go, touch.go, update.go: what the methods that write send. bare.go: stores
//     without leases.
//   - tag.go: the generations of tags that processes share.
//   - near.go: memory in front of the store: what it holds, and when it may be filled. bus.go: what
//     is published, and what a Client does about what is received. hub.go: the publisher and the
//     subscription, which all Clients over one store share, and what happens when that is cut
//     (part.disconnected).
//   - task.go: the goroutines, and how Close waits for them.
//
// # Invariants
//
// A read or write of one call ends with the budget of the call, and a write does not end with the
// context of its caller. A read that begins after an
// invalidation has returned is never answered by a command that was sent before. Nothing is written
// under a lease once another may hold it. Memory is filled only if no invalidation was made or
// received here since before the command that read the value was sent.
//
// # Goroutines
//
// A Client starts a goroutine for a command whose caller may leave early, for a read that several
// callers share, for a command in the background, such as one that gives a lease back, for a probe
// of the breaker, and for the subscription. Close waits for all of them. Leases renew themselves by
// timers.
package remote

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/coarse"
	"github.com/zodiac-go/zodiac/internal/keytext"
	"github.com/zodiac-go/zodiac/internal/record"
	"github.com/zodiac-go/zodiac/internal/tag"
)

var (
	// ErrBusy is the error of a fetch that has waited too long for another process, and of a
	// write that others keep getting in the way of.
	ErrBusy = errors.New("zodiac: busy: others keep writing or fetching the key")

	// ErrClosed is returned for commands that Close came before.
	ErrClosed = errors.New("zodiac: the cache's side of the store is closed")
)

// An OpError is the failure of an operation of the store.
type OpError struct {
	Op  string // the method of the store
	Err error  // what it returned
}

func (e *OpError) Error() string { return e.Op + " of the store: " + e.Err.Error() }

func (e *OpError) Unwrap() error { return e.Err }

// Skipped reports whether the command was not sent: the breaker is open, or the budget is spent.
func (e *OpError) Skipped() bool { return errors.Is(e.Err, errSkipped) }

// Unknown reports whether nobody knows if the operation was, or will be, carried out: it was sent,
// it writes, and it has no answer.
func (e *OpError) Unknown() bool {
	switch e.Op {
	case "Set", "SetMany", "Add", "Expire", "Delete", "Clear", "Commit", "Publish":
		return !e.Skipped() && !isAnswer(e.Err)
	default:
		return false
	}
}

// isAnswer reports whether err is an answer of a server, which has refused the operation. Clients of
// Redis mark such errors by a method.
func isAnswer(err error) bool {
	var answer interface{ RedisError() }
	return errors.As(err, &answer)
}

// fault returns err as an *OpError of op. ErrMiss and ErrClosed say nothing about the store and stay
// as they are.
func fault(op string, err error) error {
	if err == nil || errors.Is(err, driver.ErrMiss) || errors.Is(err, ErrClosed) {
		return err
	}
	return &OpError{op, err}
}

// A Config is what a Client is made of. All periods are positive unless a comment says otherwise.
type Config struct {
	Name  string // of the loader, for errors
	Store driver.Store
	Guard driver.Guard  // nil = none
	Names keytext.Names // of the loader's keys

	Lease   time.Duration // of a fetch, renewed while it runs
	Wait    time.Duration // for another process' fetch; 0 = not at all
	Fail    bool          // ErrBusy when that is over; else fetch without a lease
	Timeout time.Duration // the time that one call may spend on the store

	// FailClosed makes a store that does not answer the error of a fetch.
	FailClosed bool

	// Remembers says that errors of fetches are remembered.
	Remembers bool

	// Knows reports whether the error of a text that another process has left is one of those that
	// are remembered here. If it is nil, all are.
	Knows func(text string) bool

	// NeedsLeft says that readers need the time left of a record.
	NeedsLeft bool

	Tags     []string   // that all entries have, sorted
	LateTags bool       // entries may have tags that only their values tell
	Space    *tag.Space // of the cache's memory

	Memory     *Memory       // in front of the store; nil = none
	MemoryLife time.Duration // the longest life of an entry there

	Clock *coarse.Clock

	// Log writes a line to the log. LogFault does, unless it has written one of the same cause in the
	// last minute. Both may be called under a lock: they do not block, and call nothing.
	Log      func(level slog.Level, msg string, args ...any)
	LogFault func(msg string, err error)

	// Report is told of a fault that is about no single key, and that callers do not get.
	Report func(context.Context, error)
}

// A Memory is the memory in front of the store. The functions are safe for concurrent use.
type Memory struct {
	Clear  func()              // removes everything, what a Fill that runs puts there included
	Remove func(slot any)      // removes what a slot has
	Empty  func(slot any) bool // reports whether a slot has nothing
}

// A Client is a cache's side of a store. Make it with New. It is safe for concurrent use.
type Client struct {
	Config
	leaser driver.Leaser     // these are nil if the store is not one
	data   driver.DataReader // also nil if readers need the time left
	batch  driver.Batcher
	waker  driver.Waker

	backend *backend
	hub     *hub      // nil if the store is not a Bus
	space   spaceHash // of the keys
	near    *near     // nil without memory in front
	limits  limits
	reads   sharedReads
	bare    bareWrites
	tasks   tasks
	tagEnds tagEnds
	moments atomic.Uint64

	updating sync.Map // the keys of open Snapshots

	release func() // of the prefix; only the first call does it, since another Client may have it later
}

// New returns a Client. It sends nothing and starts nothing. The keys were reserved: see Reserve.
func New(cfg Config) *Client {
	c := &Client{Config: cfg}
	c.leaser, _ = cfg.Store.(driver.Leaser)
	c.batch, _ = cfg.Store.(driver.Batcher)
	c.waker, _ = cfg.Store.(driver.Waker)
	if !cfg.NeedsLeft {
		c.data, _ = cfg.Store.(driver.DataReader)
	}
	c.backend = backendOf(cfg.Store)
	c.release = sync.OnceFunc(func() {
		c.backend.leave(c)
		c.backend.release(c.Names.Prefix())
	})
	c.reads.init()
	_, isBus := cfg.Store.(driver.Bus)
	if cfg.Memory != nil {
		c.near = newNear(cfg.Memory, cfg.MemoryLife, isBus)
	}
	if isBus {
		c.space = hashSpace(c.Names.Prefix())
		c.hub = c.backend.joinHub(c)
	}
	c.backend.join(c)
	return c
}

// Close ends what the Client has started, and waits for it or until ctx ends. The flights of the
// cache are over. Later reads may still be sent; those that need a goroutine, and all writes, get
// ErrClosed. A second Close waits too.
func (c *Client) Close(ctx context.Context) error {
	if c.near != nil {
		c.near.closed.Store(true)
	}
	err := c.tasks.close(ctx)
	if c.hub != nil {
		if hubErr := c.backend.leaveHub(ctx, c); err == nil {
			err = hubErr
		}
	}
	c.release()
	return err
}

// A Moment is a point in a logical time that orders the beginnings of reads, flights and commands
// in this process.
type Moment uint64

// never is after every Moment.
const never Moment = math.MaxUint64

// Now returns a new Moment, after all that were returned before.
func (c *Client) Now() Moment { return Moment(c.moments.Add(1)) }

// ExpireLater gives the record of key, which has these tags, a new time to live in the background.
// It is for a sliding record that is used.
func (c *Client) ExpireLater(ctx context.Context, key string, tags []record.Tag, life time.Duration) {
	c.keepTags(ctx, tags, life)
	c.later(ctx, func(ctx context.Context) {
		_, err := guarded(ctx, func(ctx context.Context) (bool, error) { return c.Store.Expire(ctx, key, life) })
		c.saw(key, err)
	})
}
