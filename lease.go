package zodiac

import (
	"context"
	"crypto/rand"
	"sync"
	"time"
)

// firstGrant is the longest a lease is asked for: an ask that is carried out after its caller has gone blocks nobody longer.
// The first renewal makes it as long as WithLease says.
const firstGrant = time.Second

// A lease is the right to produce the record of a key, from its grant to its end. It renews itself.
type lease struct {
	r      *remote
	key    string
	values context.Context

	mu       sync.Mutex // guards the fields below
	token    string     // of the grant
	deadline time.Time  // by when the store may have given it to another, counted from before the asking
	held     Held       // what a Guard has lent beside it, or nil
	lost     bool
	ended    bool // nobody is to use it any more
	timer    *time.Timer
	renewal  chan struct{} // closed when the renewal that runs has ended; nil if none does
	cancel   context.CancelFunc
}

// newToken returns a token that was never asked with.
func newToken() string { return rand.Text() }

// ask returns what to ask of the store.
func (l *lease) ask(seen string, force bool) Ask {
	return Ask{Token: newToken(), Lease: min(l.r.lease, firstGrant), Seen: seen, Force: force}
}

// grant makes the lease one that was granted for p when it was asked for at sent. If it has been ended meanwhile, the grant is
// given back and grant returns false.
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

// guarded notes what a Guard has lent. It is renewed and released with the lease, or by itself where the store lends none.
func (l *lease) guarded(h Held, sent time.Time) bool {
	l.mu.Lock()
	ended := l.ended
	if !ended {
		l.held = h
		if l.timer == nil {
			l.start(sent, l.r.lease)
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

// renew makes the lease last on, and arms the next renewal.
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
	ctx, cancel := context.WithTimeout(l.values, min(limit, l.r.timeout))
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
		l.deadline = sent.Add(l.r.lease)
		l.timer.Reset(l.r.lease / 3)
	}
}

func (l *lease) extend(ctx context.Context, token string, held Held) (ok bool, err error) {
	ok = true
	if token != "" {
		ok, err = l.r.leaser.Renew(ctx, l.key, token, l.r.lease)
	}
	if held != nil && ok && err == nil {
		ok, err = held.Extend(ctx, l.r.lease)
	}
	return ok, err
}

// end takes the lease from whoever may still hold it: it is not renewed any more. token is empty if there is none, or
// somebody has ended it before; live is false if another may have it.
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
	for l.renewal != nil { // what it sends must not come after the commit
		l.cancel()
		done := l.renewal
		l.mu.Unlock()
		<-done
		l.mu.Lock()
	}
	return l.token, !l.lost && time.Now().Before(l.deadline)
}

// endLive is end for who is about to commit. A lease that is lost is given back.
func (l *lease) endLive() (token string, live bool) {
	if token, live = l.end(); !live {
		l.abort(token)
	}
	return token, live
}

// giveUp is close in the background. It is one task: Close may refuse others once it has begun to wait for this one.
func (l *lease) giveUp() { l.r.tasks.run(func() { l.giveBack(l.r.last) }) }

// close ends the lease, if that is still to be done, and gives it back.
func (l *lease) close() { l.giveBack(l.give) }

// giveBack is close, with run to send what is to be sent.
func (l *lease) giveBack(run func(context.Context, func(context.Context))) {
	if token, _ := l.end(); token != "" {
		run(l.values, l.aborting(token))
	}
	l.mu.Lock()
	held := l.held
	l.held = nil
	l.mu.Unlock()
	if held != nil {
		run(l.values, releasing(held))
	}
}

// give sends in the background what gives something back; or here, if Close takes no tasks any more: then nobody waits.
func (l *lease) give(ctx context.Context, command func(context.Context)) {
	if !l.r.later(ctx, command) {
		l.r.last(ctx, command)
	}
}

func releasing(h Held) func(context.Context) {
	return func(ctx context.Context) { _ = h.Release(ctx) } // else it ends by itself
}

// abort gives back a grant in the background, or all grants of a token that was asked with. Without an answer they end by
// themselves.
func (l *lease) abort(token string) { l.give(l.values, l.aborting(token)) }

func (l *lease) aborting(token string) func(context.Context) {
	return func(ctx context.Context) {
		_, err := l.r.leaser.Abort(ctx, l.key, token)
		l.r.breaker.saw(err)
	}
}
