package bus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/faults"
)

const (
	// MaxNames is the most names in one message, and maxWaiting the most that wait for the message
	// under way.
	MaxNames   = 1500
	maxWaiting = 1 << 18

	// repeatAfter is how long after its last message a publisher repeats that one's number. A
	// subscriber that has missed the message learns of it then.
	repeatAfter = 400 * time.Millisecond

	// leastTime is the least time that a message gets whose callers wait no longer.
	leastTime = 250 * time.Millisecond
)

var errWaiting = errors.New("zodiac: too many invalidations wait to be published")

// A Publisher publishes to one partition, one message at a time. Whoever comes while a message is
// under way joins the next one. At rest there is no delay. Make one with NewPublisher. It is safe for
// concurrent use.
//
// A message that failed is sent once more, with the next one and under the same number, or by
// itself instead of the repetition. If that fails too, its number is missing, and subscribers learn
// that they have missed something.
type Publisher struct {
	id   uint64
	send func(context.Context, driver.Invalidation) error

	mu       sync.Mutex // guards the fields below
	number   uint64     // of the last message
	accepted time.Time  // when it was accepted, or has failed
	failed   *batch     // the last message, if it has failed and is to be sent again
	queue    []*batch   // those that wait
	waiting  int        // names in queue
	busy     bool       // a message is under way
	repeat   *time.Timer
	owed     bool // the last number is to be repeated
	closed   bool
	idle     chan struct{} // closed when busy ends after Close
}

// A batch is what goes into one message.
type batch struct {
	keys   []string
	prefix string
	until  time.Time     // the last of those who wait for it waits until then
	done   chan struct{} // closed when err is set
	err    error
	told   atomic.Bool // a caller has the error
}

// NewPublisher returns a Publisher whose messages carry id, and go out by send.
func NewPublisher(id uint64, send func(context.Context, driver.Invalidation) error) *Publisher {
	return &Publisher{id: id, send: send}
}

// Publish publishes keys, and all keys that begin with prefix if that is not empty. It returns when
// their messages were accepted, or with the error of one that was not. If ctx ends before, Publish
// returns its error, and the messages go out all the same.
func (p *Publisher) Publish(ctx context.Context, keys []string, prefix string) error {
	return p.Begin(ctx, keys, prefix)(ctx)
}

// Begin is Publish that waits in a function of its own. Call that once.
func (p *Publisher) Begin(ctx context.Context, keys []string, prefix string) (wait func(context.Context) error) {
	if err := ctx.Err(); err != nil {
		return func(context.Context) error { return err }
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.busy && len(p.queue) == 0 && len(keys) <= MaxNames {
		p.busy = true
		inv := p.nextLocked(&batch{keys: keys, prefix: prefix})
		return func(ctx context.Context) error { return p.sendAlone(ctx, inv) }
	}
	if p.waiting+len(keys) > maxWaiting {
		p.number++ // they are missing
		p.owed = true
		return func(context.Context) error { return errWaiting }
	}
	batches := p.joinLocked(ctx, keys, prefix)
	if !p.busy {
		p.busy = true
		go p.run()
	}
	return func(ctx context.Context) error { return await(ctx, batches) }
}

// await waits for batches.
func await(ctx context.Context, batches []*batch) (err error) {
	for _, b := range batches {
		select {
		case <-b.done:
			if b.err != nil && err == nil {
				err = b.err
				if b.told.Swap(true) {
					err = faults.Shared(err) // counts once
				}
			}
		case <-ctx.Done():
			return cmp.Or(err, ctx.Err())
		}
	}
	return err
}

// joinLocked puts names into the batches that wait, and returns those they are in.
func (p *Publisher) joinLocked(ctx context.Context, keys []string, prefix string) (joined []*batch) {
	until, _ := ctx.Deadline()
	p.waiting += len(keys)
	for len(keys) > 0 || prefix != "" {
		var b *batch
		if n := len(p.queue); n > 0 && p.queue[n-1].takes(prefix) {
			b = p.queue[n-1]
		} else {
			b = &batch{done: make(chan struct{})}
			p.queue = append(p.queue, b)
		}
		n := min(len(keys), MaxNames-len(b.keys))
		b.keys = append(b.keys, keys[:n]...)
		keys = keys[n:]
		if prefix != "" {
			b.prefix, prefix = prefix, ""
		}
		if until.After(b.until) {
			b.until = until
		}
		joined = append(joined, b)
	}
	return joined
}

// takes reports whether a batch has room for more keys, and for prefix.
func (b *batch) takes(prefix string) bool {
	return len(b.keys) < MaxNames && (prefix == "" || b.prefix == "" || b.prefix == prefix)
}

// nextLocked returns the message for b. What has failed before goes with it, under the number that
// it had: nobody knows whether that was received.
func (p *Publisher) nextLocked(b *batch) driver.Invalidation {
	if f := p.failed; f != nil && len(f.keys)+len(b.keys) <= MaxNames && b.takes(f.prefix) {
		b.keys = append(slices.Clip(f.keys), b.keys...)
		if b.prefix == "" {
			b.prefix = f.prefix
		}
	} else {
		p.number++
	}
	p.failed = b
	return p.messageLocked(b)
}

func (p *Publisher) messageLocked(b *batch) driver.Invalidation {
	now := time.Now()
	inv := driver.Invalidation{Publisher: p.id, Number: p.number, Sent: now, Keys: b.keys, Prefix: b.prefix}
	if !p.accepted.IsZero() {
		inv.Age = now.Sub(p.accepted)
	}
	return inv
}

// sendAlone sends a message for one caller, on its goroutine. Those that came meanwhile get a
// goroutine.
func (p *Publisher) sendAlone(ctx context.Context, inv driver.Invalidation) error {
	err := p.try(ctx, inv)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sentLocked(err)
	if len(p.queue) > 0 {
		go p.run()
	} else {
		p.restLocked()
	}
	return err
}

// try is send. A panic of a Bus is an error.
func (p *Publisher) try(ctx context.Context, inv driver.Invalidation) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("zodiac: the store's Publish panicked: %v\n\n%s", r, debug.Stack())
		}
	}()
	return p.send(ctx, inv)
}

// sentLocked notes how a message ended.
func (p *Publisher) sentLocked(err error) {
	if err == nil {
		p.failed = nil
	}
	p.accepted, p.owed = time.Now(), true
}

// run sends the batches that wait, one after the other, and the repetition if it is due.
func (p *Publisher) run() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.queue) > 0 {
		b := p.queue[0]
		p.queue = p.queue[1:]
		p.waiting -= len(b.keys)
		inv := p.nextLocked(b)
		limit := leastTime
		if !b.until.IsZero() {
			limit = max(limit, time.Until(b.until))
		}
		p.mu.Unlock()
		err := p.tryFor(limit, inv)
		p.mu.Lock()
		p.sentLocked(err)
		b.err = err
		close(b.done)
	}
	p.restLocked()
}

func (p *Publisher) tryFor(limit time.Duration, inv driver.Invalidation) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	return p.try(ctx, inv)
}

// restLocked ends a time in which messages were under way, and arms the repetition.
func (p *Publisher) restLocked() {
	p.busy = false
	if p.closed {
		if p.idle != nil {
			close(p.idle)
			p.idle = nil
		}
		return
	}
	if !p.owed {
		return
	}
	if p.repeat == nil {
		p.repeat = time.AfterFunc(repeatAfter, p.repeatNow)
	} else {
		p.repeat.Reset(repeatAfter)
	}
}

// repeatNow repeats the last number, unless there was a message meanwhile.
func (p *Publisher) repeatNow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.busy || p.closed || !p.owed {
		return
	}
	p.busy = true
	p.repeatLocked()
	if len(p.queue) > 0 {
		go p.run()
		return
	}
	p.restLocked()
}

// repeatLocked sends the last number again, or the last message if that has failed. It is not tried
// again.
func (p *Publisher) repeatLocked() {
	b := p.failed
	if b == nil {
		b = &batch{}
	}
	inv := p.messageLocked(b)
	p.failed = nil
	p.mu.Unlock()
	err := p.tryFor(leastTime, inv)
	p.mu.Lock()
	p.owed = false // if it has failed again, the next message shows the gap
	if err == nil && !inv.Repeats() {
		p.accepted, p.owed = time.Now(), true
	}
}

// Close waits until nothing is under way or ctx ends, and repeats the last number if that is due.
// Nobody publishes any more.
func (p *Publisher) Close(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if p.repeat != nil {
		p.repeat.Stop()
	}
	for p.busy {
		if p.idle == nil {
			p.idle = make(chan struct{})
		}
		idle := p.idle
		p.mu.Unlock()
		select {
		case <-idle:
			p.mu.Lock()
		case <-ctx.Done():
			p.mu.Lock()
			return ctx.Err()
		}
	}
	if p.owed {
		inv := p.messageLocked(&batch{})
		p.owed = false
		p.mu.Unlock()
		ctx, cancel := context.WithTimeout(ctx, leastTime)
		defer cancel()
		_ = p.try(ctx, inv)
		p.mu.Lock()
	}
	return nil
}
