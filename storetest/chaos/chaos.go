// Package chaos makes a [zodiac.Store] fail, stall and lose replies on demand, so that one can test what a program does
// then.
//
//	func main() {
//		ctx := context.Background()
//		faults := chaos.New(memstore.New())
//		users := zodiac.NewLoader(fetchUser,
//			zodiac.WithName("users"), zodiac.WithStore(faults.Store()), zodiac.WithTTL(60))
//		defer users.Close(ctx)
//
//		faults.Fail(errors.New("connection refused")) // every operation, until Heal
//		fmt.Println(users.Get(ctx, 42))               // user 42 <nil>: fetched all the same
//		faults.Heal()
//	}
//
//	func fetchUser(_ context.Context, id int64) (string, error) {
//		return fmt.Sprint("user ", id), nil // stands for a slow call
//	}
//
// # Faults
//
// A fault is for the operations it names, or for all if it names none, and lasts until [Injector.Heal]. Those of one
// operation add up, and happen in this order: a Delay, a Stall, then either Fail or the operation itself, whose reply
// may be lost. With [Injector.Keep] operations are kept, and [Injector.Replay] carries them out again, as copies that
// arrive late.
//
// # Abilities
//
// A loader finds out by type assertion what a store can do. [Injector.Store] has exactly the abilities of the store
// within. [Without] and [Bare] take abilities away from any store, to test what a program does on one that is plainer.
package chaos

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/zodiac-go/zodiac"
)

// An Op is an operation: a method of a Store or of one of its abilities.
type Op string

// The operations.
const (
	Get         Op = "Get"
	Set         Op = "Set"
	Add         Op = "Add"
	Expire      Op = "Expire"
	Delete      Op = "Delete"
	Clear       Op = "Clear"
	Close       Op = "Close"
	Acquire     Op = "Acquire"
	Renew       Op = "Renew"
	Commit      Op = "Commit"
	Abort       Op = "Abort"
	GetMany     Op = "GetMany"
	SetMany     Op = "SetMany"
	GetData     Op = "GetData"
	GetManyData Op = "GetManyData"
	Wake        Op = "Wake" // its only fault is not to be told: Fail, Stall and LoseReply all make it so
	Announce    Op = "Announce"
	Subscribe   Op = "Subscribe"
)

var allOps = []Op{
	Get, Set, Add, Expire, Delete, Clear, Close, Acquire, Renew, Commit, Abort,
	GetMany, SetMany, GetData, GetManyData, Wake, Announce, Subscribe,
}

// A Call is an operation that somebody has called.
type Call struct {
	Op   Op
	Keys []string // in no order for SetMany; the prefix for Clear; nil for Close, Announce and Subscribe
}

// An Injector gives faults to a store. Its methods are safe for concurrent use, while operations run too. They panic if
// an operation is named that there is not.
type Injector struct {
	store zodiac.Store

	mu     sync.Mutex // guards the fields below
	faults map[Op]*fault
	calls  map[Op]int
	hook   func(Call)
	keep   map[Op]bool
	kept   []copied
	subs   map[*subscriber]struct{}
}

// A fault is what happens to the calls of one operation.
type fault struct {
	delay time.Duration
	stall chan struct{} // closed to let go
	fail  error
	lose  error
}

// A copied is a call that was kept.
type copied struct {
	op Op
	do func(context.Context)
}

// New returns an Injector for inner, which works as before until a fault is asked for.
func New(inner zodiac.Store) *Injector {
	m := &Injector{
		faults: map[Op]*fault{}, calls: map[Op]int{}, keep: map[Op]bool{}, subs: map[*subscriber]struct{}{},
	}
	for _, op := range allOps {
		m.faults[op] = &fault{}
	}
	m.store = compose(&faulty{inner, m}, abilitiesOf(inner))
	return m
}

// Store returns the store with the faults. It has the abilities of the store within, and no others. To close it closes
// that.
func (m *Injector) Store() zodiac.Store { return m.store }

// Fail makes ops return err without being carried out.
func (m *Injector) Fail(err error, ops ...Op) {
	m.each(ops, func(f *fault) { f.fail, f.lose = err, nil })
}

// LoseReply makes ops be carried out, and return err.
func (m *Injector) LoseReply(err error, ops ...Op) {
	m.each(ops, func(f *fault) { f.fail, f.lose = nil, err })
}

// Delay makes ops begin d later. One whose context ends meanwhile is not carried out, and returns the context's error.
func (m *Injector) Delay(d time.Duration, ops ...Op) { m.each(ops, func(f *fault) { f.delay = d }) }

// Stall makes ops wait for Heal. One whose context ends meanwhile is not carried out, and returns the context's error.
func (m *Injector) Stall(ops ...Op) {
	m.each(ops, func(f *fault) {
		if f.stall == nil {
			f.stall = make(chan struct{})
		}
	})
}

// Heal ends the faults of ops. Those that are stalled go on. What is kept stays, and goes on being kept.
func (m *Injector) Heal(ops ...Op) {
	m.each(ops, func(f *fault) {
		if f.stall != nil {
			close(f.stall)
		}
		*f = fault{}
	})
}

// Keep keeps the calls of ops from here on, those that a fault keeps from being carried out too, for Replay. Calls of
// Wake, Subscribe and Close are never kept: they send no command that could come late.
func (m *Injector) Keep(ops ...Op) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, op := range named(ops) {
		m.keep[op] = true
	}
}

// Replay carries out the calls of ops that were kept, in the order in which they were made, and forgets them. It
// returns how many there were. No fault, count or hook is for them; what they return is lost.
func (m *Injector) Replay(ctx context.Context, ops ...Op) int {
	ops = named(ops)
	m.mu.Lock()
	var now, later []copied
	for _, c := range m.kept {
		if slices.Contains(ops, c.op) {
			now = append(now, c)
		} else {
			later = append(later, c)
		}
	}
	m.kept = later
	m.mu.Unlock()
	for _, c := range now {
		c.do(ctx)
	}
	return len(now)
}

// Cut ends all subscriptions as the loss of a connection does: each gets an Announcement with Gap, and no more. It must
// not be called by a subscriber.
func (m *Injector) Cut() {
	m.mu.Lock()
	subs := m.subs
	m.subs = map[*subscriber]struct{}{}
	m.mu.Unlock()
	for sub := range subs {
		sub.cut()
	}
}

// Calls returns how often ops were called, whatever became of it.
func (m *Injector) Calls(ops ...Op) (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, op := range named(ops) {
		n += m.calls[op]
	}
	return n
}

// Observe makes fn be called with every Call before anything happens to it, in the goroutine of whoever made it, and
// under no lock: fn may block, and may ask for faults, which this Call then has. Nil ends it.
func (m *Injector) Observe(fn func(Call)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hook = fn
}

// each changes the faults of ops.
func (m *Injector) each(ops []Op, change func(*fault)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, op := range named(ops) {
		change(m.faults[op])
	}
}

// named returns ops, or all of them if there are none.
func named(ops []Op) []Op {
	if len(ops) == 0 {
		return allOps
	}
	for _, op := range ops {
		if !slices.Contains(allOps, op) {
			panic(fmt.Sprintf("chaos: there is no operation %q", string(op)))
		}
	}
	return ops
}

// fault returns what happens to calls of op now.
func (m *Injector) fault(op Op) fault {
	m.mu.Lock()
	defer m.mu.Unlock()
	return *m.faults[op]
}

// arrive counts a call, and keeps do if such calls are kept.
func (m *Injector) arrive(call Call, do func(context.Context)) {
	m.mu.Lock()
	m.calls[call.Op]++
	if m.keep[call.Op] && !slices.Contains([]Op{Wake, Subscribe, Close}, call.Op) {
		m.kept = append(m.kept, copied{call.Op, do})
	}
	hook := m.hook
	m.mu.Unlock()
	if hook != nil {
		hook(call)
	}
}

// run is a call: do carries it out, and may be called again later.
func run[T any](ctx context.Context, m *Injector, call Call, do func(context.Context) (T, error)) (T, error) {
	var zero T
	m.arrive(call, func(ctx context.Context) { _, _ = do(ctx) })
	if err := m.hold(ctx, call.Op); err != nil {
		return zero, err
	}
	f := m.fault(call.Op) // once more: it may have been healed, or made worse
	if f.fail != nil {
		return zero, f.fail
	}
	v, err := do(ctx)
	if f.lose != nil {
		return zero, f.lose
	}
	return v, err
}

// hold waits as long as a call is delayed and stalled.
func (m *Injector) hold(ctx context.Context, op Op) error {
	if d := m.fault(op).delay; d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if stall := m.fault(op).stall; stall != nil {
		select {
		case <-stall:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
