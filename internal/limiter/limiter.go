// Package limiter limits how many fetches run at once.
package limiter

import (
	"context"
	"sync"
)

// A Limiter has a number of turns. It is safe for concurrent use. Those who wait for a turn get it in
// the order in which they came.
type Limiter struct {
	taken chan struct{} // has an element for each turn that is taken
}

// New returns a Limiter of n turns.
func New(n int) *Limiter {
	return &Limiter{make(chan struct{}, n)}
}

// take waits for a turn. It returns false if ctx has ended first.
func (l *Limiter) take(ctx context.Context) bool {
	select { // without ctx first: to ask for Done may cost something
	case l.taken <- struct{}{}:
		return true
	default:
	}
	select {
	case l.taken <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// A Place is where a fetch has its turn. While the fetch waits for another one, it lends its turn:
// otherwise that one might wait for it. A nil Place is that of a fetch without a limit. A Place is
// safe for concurrent use, since a fetch may wait on several goroutines.
type Place struct {
	l   *Limiter
	ctx context.Context // of the fetch

	mu    sync.Mutex // guards the fields below
	has   bool       // a turn
	waits int        // the goroutines of the fetch that wait
	left  bool
}

// Enter waits for a turn. It returns nil if ctx, which is that of the fetch, has ended first.
func (l *Limiter) Enter(ctx context.Context) *Place {
	if !l.take(ctx) {
		return nil
	}
	return &Place{l: l, ctx: ctx, has: true}
}

// Lend is called before a goroutine of the fetch waits, and Retake after it.
func (p *Place) Lend() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waits++
	p.giveBack()
}

// Retake waits for a turn again, unless another goroutine of the fetch still waits: what it waits for
// may need that turn. If the context of the fetch ends first, the fetch goes on without one. It is
// about to return.
func (p *Place) Retake() {
	if p == nil {
		return
	}
	p.mu.Lock()
	p.waits--
	needs := p.needs()
	p.mu.Unlock()
	if !needs || !p.l.take(p.ctx) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.needs() {
		p.has = true
	} else { // it waits again, or is over, or a second Retake was faster
		<-p.l.taken
	}
}

// Leave gives the turn back for good.
func (p *Place) Leave() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left = true
	p.giveBack()
}

// needs reports whether the fetch runs without a turn. The caller holds mu.
func (p *Place) needs() bool { return !p.has && p.waits == 0 && !p.left }

// giveBack gives back the turn, if there is one. The caller holds mu.
func (p *Place) giveBack() {
	if p.has {
		p.has = false
		<-p.l.taken
	}
}
