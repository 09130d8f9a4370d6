package remote

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"github.com/zodiac-go/zodiac/driver"
)

// firstGrant is the longest lease that is asked for. So an ask that is carried out after its caller
// has gone blocks nobody longer. The first renewal makes the lease as long as WithLease says.
const firstGrant = time.Second

// A lease is the right to write the record of a key, from its grant to its end. It renews itself at
// a third of its time. What a [driver.Guard] lends beside it is renewed and released with it.
//
// It ends once, by end: when its holder is about to commit or to write otherwise, when the holder
// closes it, or by giveUp when nobody waits for the fetch any more. The first caller of end gets the
// token; later ones get none.
type lease struct {
	c      *Client
	key    string
	values context.Context // for its commands; never ends

	mu       sync.Mutex // guards the fields below
	token    string     // of the grant
	deadline time.Time  // when the store may give it to another, counted from before the ask
	held     driver.Held
	lost     bool
	ended    bool // nobody may use it any more
	timer    *time.Timer
	renewal  chan struct{} // closed when the renewal that runs has ended; nil if none runs
	cancel   context.CancelFunc
}

// ask returns what to ask of the store. Its token was never used before.
func (l *lease) ask(seen string, force bool) driver.Ask {
	return driver.Ask{Token: rand.Text(), Lease: min(l.c.Lease, firstGrant), Seen: seen, Force: force}
}

// grant makes the lease one that was granted for p when it was asked for at sent. If the lease was
// ended meanwhile, grant gives the token back and returns false.
func (l *lease) grant(token string, sent time.Time, p time.Duration) bool {
	l.mu.Lock()
	ended := l.ended
	if !ended {
		l.token = token
		l.start(sent, p)
	}
	l.mu.Unlock()
	if ended {
		l.abort(token)
	}
	return !ended
}

// guarded adds what a Guard has lent. If the lease was ended meanwhile, guarded gives it back and
// returns false.
func (l *lease) guarded(h driver.Held, sent time.Time) bool {
	l.mu.Lock()
	ended := l.ended
	if !ended {
		l.held = h
		if l.timer == nil {
			l.start(sent, l.c.Lease)
		}
	}
	l.mu.Unlock()
	if ended {
		l.give(l.values, releasing(h))
	}
	return !ended
}

// start arms the renewal. The caller holds mu.
func (l *lease) start(sent time.Time, p time.Duration) {
	l.deadline = sent.Add(p)
	l.timer = time.AfterFunc(p/3, l.renew)
}

// renew prolongs the lease and arms the next renewal.
func (l *lease) renew() {
	l.mu.Lock()
	if l.ended {
		l.mu.Unlock()
		return
	}
	sent := time.Now()
	limit := l.deadline.Sub(sent)
	if limit <= 0 {
		l.lost = true
		l.mu.Unlock()
		return
	}
	ctx, cancel := context.WithTimeout(l.values, min(limit, l.c.Timeout))
	defer cancel()
	done := make(chan struct{})
	l.renewal, l.cancel = done, cancel
	token, held := l.token, l.held
	l.mu.Unlock()

	ok, err := l.extend(ctx, token, held)

	l.mu.Lock()
	defer l.mu.Unlock()
	close(done)
	l.renewal = nil
	switch {
	case l.ended:
	case err != nil: // once more while there is time
		l.timer.Reset(max(time.Millisecond, time.Until(l.deadline)/3))
	case !ok:
		l.lost = true
	default:
		l.deadline = sent.Add(l.c.Lease)
		l.timer.Reset(l.c.Lease / 3)
	}
}

// extend extends the lease, and what a Guard has lent. It runs on a goroutine of a timer, so a panic
// of the store is an error.
func (l *lease) extend(ctx context.Context, token string, held driver.Held) (ok bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("it panicked: %v", p)
		}
	}()
	ok = true
	if token != "" {
		ok, err = guarded(ctx, func(ctx context.Context) (bool, error) { return l.c.leaser.Renew(ctx, l.key, token, l.c.Lease) })
	}
	if held != nil && ok && err == nil {
		ok, err = guarded(ctx, func(ctx context.Context) (bool, error) { return held.Extend(ctx, l.c.Lease) })
	}
	return ok, err
}

// end ends the lease, which is renewed no more, and returns its token. The token is empty if there
// is none, or if the lease was ended before. live is false if another may have the lease.
func (l *lease) end() (token string, live bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return "", false
	}
	l.ended = true
	if l.timer != nil {
		l.timer.Stop()
	}
	for l.renewal != nil { // its command must not arrive after the commit
		l.cancel()
		done := l.renewal
		l.mu.Unlock()
		<-done
		l.mu.Lock()
	}
	return l.token, !l.lost && time.Now().Before(l.deadline)
}

// endLive is end for a caller that is about to write. If another may have the lease, endLive gives
// it back and returns false.
func (l *lease) endLive() bool {
	_, live := l.endForWrite()
	return live
}

func (l *lease) endForWrite() (token string, live bool) {
	if token, live = l.end(); !live && token != "" {
		l.abort(token)
	}
	return token, live
}

// commit stores r under the lease, which ends. It returns false if the lease was revoked or its
// time is over. send is ask or send. A lease whose commit has no answer is given back.
func (l *lease) commit(ctx context.Context, b *Budget, r driver.Record, send sender) (bool, error) {
	token, live := l.endForWrite()
	if !live {
		return false, nil
	}
	ok, err := send(ctx, l.c, b, l.key, func(ctx context.Context) (bool, error) {
		return l.c.leaser.Commit(ctx, l.key, token, r)
	})
	if err != nil {
		l.abort(token)
	}
	return ok, err
}

// A sender is ask or send.
type sender = func(context.Context, *Client, *Budget, string, func(context.Context) (bool, error)) (bool, error)

// giveUp is close in the background. Its commands run within one task: Close might refuse a second
// task once it waits for the first.
func (l *lease) giveUp() { l.c.tasks.run(func() { l.giveBack(l.c.last) }) }

// close ends the lease if it has not ended, and gives it back. The lease may be nil.
func (l *lease) close() {
	if l != nil {
		l.giveBack(l.give)
	}
}

// giveBack is close that uses run to send commands.
func (l *lease) giveBack(run func(context.Context, func(context.Context))) {
	if token, _ := l.end(); token != "" {
		run(l.values, l.aborting(token))
	}
	l.mu.Lock()
	h := l.held
	l.held = nil
	l.mu.Unlock()
	if h != nil {
		run(l.values, releasing(h))
	}
}

// give runs a command that gives something back in the background. If Close takes no tasks any
// more, it runs here, since then nobody waits.
func (l *lease) give(ctx context.Context, command func(context.Context)) {
	if !l.c.later(ctx, command) {
		l.c.last(ctx, command)
	}
}

func releasing(h driver.Held) func(context.Context) {
	return func(ctx context.Context) { // if it fails, the right ends by itself
		_, _ = guarded(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, h.Release(ctx) })
	}
}

// abort gives back a grant in the background, or all grants of a token that was asked with. If the
// store does not answer, they end by themselves.
func (l *lease) abort(token string) { l.give(l.values, l.aborting(token)) }

func (l *lease) aborting(token string) func(context.Context) {
	return func(ctx context.Context) {
		_, err := guarded(ctx, func(ctx context.Context) (bool, error) { return l.c.leaser.Abort(ctx, l.key, token) })
		l.c.saw(l.key, err)
	}
}
