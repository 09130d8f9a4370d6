// Package chaos makes a [driver.Store] fail, stall and lose replies on demand. Tests use it to see
// what a program does then.
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
// A fault is for the operations that it names, or for all if it names none. It lasts until
// [Injector.Heal]. The faults of one operation add up, and happen in this order: a Delay, a
// Stall, then either Fail or the operation itself, whose reply may be lost. Of Fail and
// LoseReply, the later one replaces the other.
//
// [Injector.Keep] keeps operations. [Injector.Replay] carries them out again, as copies that arrive
// late.
//
// # Abilities
//
// A loader finds out by type assertion what a store can do. [Injector.Store] has exactly the
// abilities of the store within. [Without] and [Bare] take abilities away from any store, to test
// what a program does with a simpler one.
//
// # Goroutines
//
// The package starts none, and no timer outlives a call. A call that is delayed or stalled waits
// in its caller's goroutine, until the delay is over, Heal is called, or its context ends. Replay
// carries out its copies one after the other, in the goroutine of its own caller.
//
// # Where to start reading
//
// The package knows package driver only, and no particular store. Function run in this file is the
// way of a call through an Injector. File faulty.go calls it for each operation. File ability.go
// makes stores with a given set of abilities.
package chaos

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/zodiac-go/zodiac/driver"
)

// An Op is an operation: a method of a Store, or of one of its abilities.
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
	EnsureMany  Op = "EnsureMany"
	GetData     Op = "GetData"
	GetManyData Op = "GetManyData"
	Wake        Op = "Wake" // after Fail, Stall or LoseReply, its channel never receives
	Publish     Op = "Publish"
	Subscribe   Op = "Subscribe"
)

var allOps = []Op{
	Get, Set, Add, Expire, Delete, Clear, Close, Acquire, Renew, Commit, Abort,
	GetMany, SetMany, EnsureMany, GetData, GetManyData, Wake, Publish, Subscribe,
}

// A Call is one call of an operation.
type Call struct {
	Op   Op
	Keys []string // SetMany: in no order; Clear: the prefix; Close, Publish, Subscribe: nil
}

// An Injector gives faults to a store. Its methods are safe for concurrent use, also while
// operations run. They panic if they are given an Op that does not exist.
type Injector struct {
	store driver.Store

	mu     sync.Mutex               // guards the fields below
	faults map[Op]*fault            // has every Op
	calls  map[Op]int               // how often each was called
	hook   func(Call)               // of Observe, or nil
	keep   map[Op]bool              // whose calls are kept
	kept   []keptCall               // in the order of the calls
	subs   map[*subscriber]struct{} // subscriptions that have not ended
}

// A fault is what happens to the calls of one operation. The zero fault is none.
type fault struct {
	delay time.Duration
	stall chan struct{} // closed by Heal; nil = no stall
	fail  error         // returned instead of carrying the call out
	lose  error         // returned instead of the reply; nil if fail is set
}

// A keptCall is a call that Keep has kept. do carries it out.
type keptCall struct {
	op Op
	do func(context.Context)
}

// New returns an Injector for inner. Until a fault is set, its store works as inner does.
func New(inner driver.Store) *Injector {
	m := &Injector{
		faults: map[Op]*fault{}, calls: map[Op]int{}, keep: map[Op]bool{}, subs: map[*subscriber]struct{}{},
	}
	for _, op := range allOps {
		m.faults[op] = &fault{}
	}
	m.store = compose(&faulty{inner, m}, abilitiesOf(inner))
	return m
}

// Store returns the store with the faults. It has the abilities of the store within, and no others.
// Closing it closes the store within.
func (m *Injector) Store() driver.Store { return m.store }

// Fail makes ops return err. They are not carried out.
func (m *Injector) Fail(err error, ops ...Op) {
	m.each(ops, func(f *fault) { f.fail, f.lose = err, nil })
}

// LoseReply makes ops return err. They are carried out.
func (m *Injector) LoseReply(err error, ops ...Op) {
	m.each(ops, func(f *fault) { f.fail, f.lose = nil, err })
}

// Delay makes ops begin d later. A call whose context ends before that is not carried out, and
// returns the context's error.
func (m *Injector) Delay(d time.Duration, ops ...Op) { m.each(ops, func(f *fault) { f.delay = d }) }

// Stall makes ops wait for Heal. A call whose context ends before that is not carried out, and
// returns the context's error.
func (m *Injector) Stall(ops ...Op) {
	m.each(ops, func(f *fault) {
		if f.stall == nil {
			f.stall = make(chan struct{})
		}
	})
}

// Heal ends the faults of ops. Stalled calls go on. Kept calls stay, and Keep stays in force.
func (m *Injector) Heal(ops ...Op) {
	m.each(ops, func(f *fault) {
		if f.stall != nil {
			close(f.stall)
		}
		*f = fault{}
	})
}

// Keep keeps all later calls of ops for Replay, also those that a fault stops from being carried
// out. Calls of Wake, Subscribe and Close are never kept: they send no command that could arrive
// late.
func (m *Injector) Keep(ops ...Op) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, op := range named(ops) {
		m.keep[op] = true
	}
}

// Replay carries out the kept calls of ops, in the order in which they were made, and forgets
// them. It returns how many there were. Faults, counts and Observe do not apply to them. Their
// results are dropped.
func (m *Injector) Replay(ctx context.Context, ops ...Op) int {
	ops = named(ops)
	m.mu.Lock()
	var now, later []keptCall
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

// Cut ends all subscriptions, as the loss of a connection does. Each receives an Invalidation
// with Gap, and nothing after it. A subscriber must not call Cut.
func (m *Injector) Cut() {
	m.mu.Lock()
	subs := m.subs
	m.subs = map[*subscriber]struct{}{}
	m.mu.Unlock()
	for sub := range subs {
		sub.cut()
	}
}

// Calls returns how often ops were called, whether or not the calls were carried out.
func (m *Injector) Calls(ops ...Op) (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, op := range named(ops) {
		n += m.calls[op]
	}
	return n
}

// Observe sets a function that is called with every Call, before anything else happens to the
// call. fn runs in the goroutine of the call and under no lock. It may block. It may also set
// faults, and they apply to this call. A nil fn ends it.
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

// named returns ops, or all operations if ops is empty. It panics if one does not exist.
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

// fault returns the present fault of op.
func (m *Injector) fault(op Op) fault {
	m.mu.Lock()
	defer m.mu.Unlock()
	return *m.faults[op]
}

// arrive counts a call, keeps it if such calls are kept, and calls the hook.
func (m *Injector) arrive(call Call, do func(context.Context)) {
	m.mu.Lock()
	m.calls[call.Op]++
	if m.keep[call.Op] && !slices.Contains([]Op{Wake, Subscribe, Close}, call.Op) {
		m.kept = append(m.kept, keptCall{call.Op, do})
	}
	hook := m.hook
	m.mu.Unlock()
	if hook != nil {
		hook(call)
	}
}

// run takes a call through its faults. do carries the call out. Replay may call do again later.
func run[T any](
	ctx context.Context, m *Injector, call Call, do func(context.Context) (T, error),
) (T, error) {
	var zero T
	m.arrive(call, func(ctx context.Context) { _, _ = do(ctx) })
	if err := m.hold(ctx, call.Op); err != nil {
		return zero, err
	}
	f := m.fault(call.Op) // read again: it may have changed during the wait
	if f.fail != nil {
		return zero, f.fail
	}
	v, err := do(ctx)
	if f.lose != nil {
		return zero, f.lose
	}
	return v, err
}

// hold waits while a call is delayed and then stalled. It returns the error of ctx if that ends
// first.
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
