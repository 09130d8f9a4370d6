package remote

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/faults"
)

const (
	breakAfter = 5           // faults in a row
	breakFor   = time.Second // until the next probe

	// forgetAfter is when faults that were too few to open the breaker are forgotten. No key may be
	// in their shard any more, so that no success would end them.
	forgetAfter = 10 * time.Second
)

// A breaker keeps a shard of a store that keeps failing from being asked, except for a probe now and
// then. All Clients over the store share it. It exists while the shard has had a fault since its last
// success.
type breaker struct {
	shard  string
	cb     *gobreaker.TwoStepCircuitBreaker[struct{}]
	faults atomic.Int32           // since the last success
	key    atomic.Pointer[string] // the last one that failed
	failed atomic.Int64           // when, in ns of the wall clock
}

// newBreaker returns the breaker of a shard. changed is called when it opens or closes. It is called
// under a lock.
func newBreaker(shard string, changed func(open bool)) *breaker {
	b := &breaker{shard: shard}
	b.cb = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Timeout:     breakFor,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= breakAfter },
		OnStateChange: func(_ string, from, to gobreaker.State) {
			switch {
			case from == gobreaker.StateClosed && to == gobreaker.StateOpen:
				changed(true)
			case to == gobreaker.StateClosed:
				changed(false)
			}
		},
	})
	return b
}

// isOld reports whether nothing is known of the shard any more but a few old faults.
func (b *breaker) isOld() bool {
	return b.cb.State() == gobreaker.StateClosed && time.Since(time.Unix(0, b.failed.Load())) > forgetAfter
}

// report notes the outcome of a command or a probe that the breaker has allowed. It returns true if
// the shard is well again.
func (b *breaker) report(key string, done func(error), err error) (well bool) {
	if IsFault(err) {
		b.key.Store(&key)
		b.failed.Store(time.Now().UnixNano())
		b.faults.Add(1)
		done(err)
		return false
	}
	done(nil)
	return b.cb.State() == gobreaker.StateClosed
}

// severalKeys is the key of a command about many keys. What it says about their shards is reported for
// each of them.
const severalKeys = "\x00"

// onlyKey returns the key of a write of one key. A write of several that fails does not say which
// shard has failed, so it is about none of theirs.
func onlyKey(keys []string) string {
	if len(keys) == 1 {
		return keys[0]
	}
	return noKey
}

// allows reports whether the shard of a key may be asked. If another shard is due for a probe, it
// probes that too: no key may be there any more.
func (c *Client) allows(key string) bool {
	if c.backend.failing.Load() == 0 {
		return true
	}
	c.probe()
	return !c.backend.isOpen(key)
}

// well reports whether the shard of a key has had no fault since its last success.
func (c *Client) well(key string) bool {
	return c.backend.failing.Load() == 0 || key != severalKeys && c.backend.breaker(key) == nil
}

// saw notes how a command about a key ended. That a caller has left says nothing about the store, and
// neither does a fault that another command reports.
func (c *Client) saw(key string, err error) {
	s := c.backend
	isFault := IsFault(err)
	if !isFault && s.failing.Load() == 0 || key == severalKeys || errors.Is(err, context.Canceled) || faults.IsShared(err) {
		return
	}
	b := s.breaker(key)
	if b == nil && isFault {
		b = s.addBreaker(key)
	}
	if b == nil {
		return
	}
	if done, refused := b.cb.Allow(); refused == nil && b.report(key, done, err) {
		s.removeBreaker(b)
	}
}

// probe asks, in the background, each shard that is due for that, by the last key that failed there.
func (c *Client) probe() {
	for _, b := range c.backend.breakers() {
		if b.isOld() {
			c.backend.removeBreaker(b)
			continue
		}
		if b.cb.State() != gobreaker.StateHalfOpen {
			continue
		}
		done, refused := b.cb.Allow()
		if refused != nil {
			continue
		}
		if !c.tasks.run(func() { c.probeShard(b, done) }) {
			done(context.Canceled)
		}
	}
}

// probeShard asks one shard.
func (c *Client) probeShard(b *breaker, done func(error)) {
	key, err := *b.key.Load(), errExited
	defer func() {
		if b.report(key, done, err) {
			c.backend.removeBreaker(b)
		}
	}()
	if key == noKey {
		key = c.Names.Epoch()
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.Timeout)
	defer cancel()
	_, err = guarded(ctx, func(ctx context.Context) (driver.Record, error) { return c.Store.Get(ctx, key) })
}

// IsFault reports whether err says that the store, or a shard of it, cannot be reached or does not
// answer in time. What a store answers about a key, a value or a right is none.
func IsFault(err error) bool {
	switch {
	case err == nil, errors.Is(err, driver.ErrMiss), errors.Is(err, context.Canceled), errors.Is(err, driver.ErrRefused):
		return false
	case errors.Is(err, context.DeadlineExceeded):
		return true
	}
	return !isAnswer(err) || cannotServe(err)
}

// cannotServe reports whether the answer of a server of Redis says that it can serve nothing now, or
// nothing to this client.
func cannotServe(err error) bool {
	var answer interface {
		error
		RedisError()
	}
	if !errors.As(err, &answer) {
		return false
	}
	text := answer.Error()
	for _, word := range []string{"LOADING", "CLUSTERDOWN", "MASTERDOWN", "NOAUTH", "WRONGPASS", "ERR max number of clients"} {
		if strings.HasPrefix(text, word) {
			return true
		}
	}
	return false
}
