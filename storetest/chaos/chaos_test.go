package chaos_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/memstore"
	"github.com/zodiac-go/zodiac/storetest"
	"github.com/zodiac-go/zodiac/storetest/chaos"
)

const token = "a-token-of-some-length"

var errDown = errors.New("down")

func TestStoreWithoutFaultsConforms(t *testing.T) {
	storetest.RunVirtual(t, func(*testing.T) driver.Store { return chaos.New(full{memstore.New()}).Store() })
}

func TestBareStoreConforms(t *testing.T) {
	storetest.RunVirtual(t, func(*testing.T) driver.Store { return chaos.Bare(memstore.New()) })
}

// A full is a store with all abilities.
type full struct{ *memstore.Store }

func (s full) GetData(ctx context.Context, key string) (driver.Record, error) {
	r, err := s.Get(ctx, key)
	r.TTL = 0
	return r, err
}

func (s full) GetManyData(ctx context.Context, keys []string) ([]driver.Record, []error) {
	return s.GetMany(ctx, keys)
}

// has returns the abilities that a loader would find.
func has(s driver.Store) (a chaos.Ability) {
	if _, ok := s.(driver.Leaser); ok {
		a |= chaos.Leaser
	}
	if _, ok := s.(driver.Batcher); ok {
		a |= chaos.Batcher
	}
	if _, ok := s.(driver.DataReader); ok {
		a |= chaos.DataReader
	}
	if _, ok := s.(driver.Waker); ok {
		a |= chaos.Waker
	}
	if _, ok := s.(driver.Bus); ok {
		a |= chaos.Bus
	}
	return a
}

func TestStoreHasTheAbilitiesOfTheStoreWithin(t *testing.T) {
	const all = chaos.Leaser | chaos.Batcher | chaos.DataReader | chaos.Waker | chaos.Bus
	for a := range all + 1 {
		plain := chaos.Without(full{memstore.New()}, a)
		if got := has(plain); got != all&^a {
			t.Errorf("Without(%05b) has %05b; want %05b", a, got, all&^a)
		}
		if got := has(chaos.New(plain).Store()); got != all&^a {
			t.Errorf("New(Without(%05b)).Store() has %05b; want %05b", a, got, all&^a)
		}
	}
	if got := has(chaos.Bare(full{memstore.New()})); got != 0 {
		t.Errorf("Bare has %05b; want none", got)
	}
}

// operations returns all operations on a store with all abilities but Wake, which has no error.
func operations(s driver.Store) map[chaos.Op]func(context.Context) error {
	r := driver.Record{Data: []byte("data"), TTL: time.Minute}
	l, b, d, bus := s.(driver.Leaser), s.(driver.Batcher), s.(driver.DataReader), s.(driver.Bus)
	return map[chaos.Op]func(context.Context) error{
		chaos.Get:     func(ctx context.Context) error { _, err := s.Get(ctx, "k"); return err },
		chaos.Set:     func(ctx context.Context) error { return s.Set(ctx, "k", r) },
		chaos.Add:     func(ctx context.Context) error { _, err := s.Add(ctx, "k", r); return err },
		chaos.Expire:  func(ctx context.Context) error { _, err := s.Expire(ctx, "k", time.Minute); return err },
		chaos.Delete:  func(ctx context.Context) error { _, err := s.Delete(ctx, "k"); return err },
		chaos.Clear:   func(ctx context.Context) error { _, err := s.Clear(ctx, "k"); return err },
		chaos.Close:   func(context.Context) error { return s.Close() },
		chaos.Acquire: func(ctx context.Context) error { _, err := l.Acquire(ctx, "k", ask()); return err },
		chaos.Renew:   func(ctx context.Context) error { _, err := l.Renew(ctx, "k", token, time.Minute); return err },
		chaos.Commit:  func(ctx context.Context) error { _, err := l.Commit(ctx, "k", token, r); return err },
		chaos.Abort:   func(ctx context.Context) error { _, err := l.Abort(ctx, "k", token); return err },
		chaos.GetMany: func(ctx context.Context) error { return first(b.GetMany(ctx, []string{"k", "l"})) },
		chaos.SetMany: func(ctx context.Context) error { return b.SetMany(ctx, map[string]driver.Record{"k": r}) },
		chaos.GetData: func(ctx context.Context) error { _, err := d.GetData(ctx, "k"); return err },
		chaos.GetManyData: func(ctx context.Context) error {
			return first(d.GetManyData(ctx, []string{"k", "l"}))
		},
		chaos.Publish: func(ctx context.Context) error { return bus.Publish(ctx, driver.Invalidation{}) },
		chaos.Subscribe: func(ctx context.Context) error {
			_, err := bus.Subscribe(ctx, func(driver.Invalidation) {})
			return err
		},
	}
}

// first returns the first of two errors.
func first(records []driver.Record, errs []error) error {
	if len(records) != 2 || len(errs) != 2 {
		return fmt.Errorf("%d records and %d errors; want two of each", len(records), len(errs))
	}
	return errs[0]
}

func ask() driver.Ask { return driver.Ask{Token: token, Lease: time.Minute} }

func TestFaultAppliesToTheOperationsItNames(t *testing.T) {
	faults := map[string]func(*chaos.Injector, ...chaos.Op){
		"Fail":      func(m *chaos.Injector, ops ...chaos.Op) { m.Fail(errDown, ops...) },
		"LoseReply": func(m *chaos.Injector, ops ...chaos.Op) { m.LoseReply(errDown, ops...) },
	}
	for name, fault := range faults {
		for op := range operations(full{memstore.New()}) {
			t.Run(fmt.Sprintf("%s/%s", name, op), func(t *testing.T) {
				m := chaos.New(full{memstore.New()})
				fault(m, op)
				for other, call := range operations(m.Store()) {
					if err := call(t.Context()); errors.Is(err, errDown) != (other == op) {
						t.Errorf("%s = %v with a fault for %s", other, err, op)
					}
					if n := m.Calls(other); n != 1 {
						t.Errorf("Calls(%s) = %d; want 1", other, n)
					}
				}
				if n, want := m.Calls(), len(operations(m.Store())); n != want {
					t.Errorf("Calls() = %d; want %d", n, want)
				}
			})
		}
	}
}

func TestFaultWithoutNamesAppliesToAllUntilHeal(t *testing.T) {
	m := chaos.New(full{memstore.New()})
	m.Fail(errDown)
	for op, call := range operations(m.Store()) {
		if err := call(t.Context()); !errors.Is(err, errDown) {
			t.Errorf("%s = %v; want %v", op, err, errDown)
		}
	}
	m.Heal()
	if err := m.Store().Set(t.Context(), "k", driver.Record{TTL: time.Minute}); err != nil {
		t.Errorf("Set after Heal = %v", err)
	}
}

func TestHealOfOneOperationLeavesTheOthers(t *testing.T) {
	m := chaos.New(memstore.New())
	m.Fail(errDown)
	m.Heal(chaos.Get)
	_, err := m.Store().Get(t.Context(), "k")
	wantError(t, "Get", err, driver.ErrMiss)
	_, err = m.Store().Delete(t.Context(), "k")
	wantError(t, "Delete", err, errDown)
}

func TestFailedOperationIsNotCarriedOut(t *testing.T) {
	m := chaos.New(memstore.New())
	m.Fail(errDown, chaos.Set)
	wantError(t, "Set", m.Store().Set(t.Context(), "k", record()), errDown)
	_, err := m.Store().Get(t.Context(), "k")
	wantError(t, "Get", err, driver.ErrMiss)
}

func TestOperationWhoseReplyIsLostIsCarriedOut(t *testing.T) {
	m := chaos.New(memstore.New())
	m.LoseReply(errDown, chaos.Set)
	wantError(t, "Set", m.Store().Set(t.Context(), "k", record()), errDown)
	wantData(t, m.Store())
}

func TestStalledOperationGoesOnAfterHeal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chaos.New(memstore.New())
		m.Stall(chaos.Set)
		m.Stall(chaos.Set)
		done := make(chan error, 1)
		go func() { done <- m.Store().Set(t.Context(), "k", record()) }()
		time.Sleep(time.Hour)
		select {
		case err := <-done:
			t.Fatalf("Set = %v while stalled", err)
		default:
		}
		m.Heal()
		wantError(t, "Set", <-done, nil)
		wantData(t, m.Store())
	})
}

func TestStalledOperationEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chaos.New(memstore.New())
		m.Stall()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		wantError(t, "Set", m.Store().Set(ctx, "k", record()), context.DeadlineExceeded)
		m.Heal()
		_, err := m.Store().Get(t.Context(), "k")
		wantError(t, "Get", err, driver.ErrMiss)
	})
}

func TestDelayedOperationBeginsLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chaos.New(memstore.New())
		m.Delay(time.Second)
		began := time.Now()
		wantError(t, "Set", m.Store().Set(t.Context(), "k", record()), nil)
		if took := time.Since(began); took != time.Second {
			t.Errorf("Set took %v; want a second", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, err := m.Store().Get(ctx, "k")
		wantError(t, "Get", err, context.DeadlineExceeded)
	})
}

func TestLateCopyIsCarriedOutOnce(t *testing.T) {
	m := chaos.New(memstore.New())
	m.Keep(chaos.Set, chaos.Delete)
	r := record()
	wantError(t, "Set", m.Store().Set(t.Context(), "k", r), nil)
	copy(r.Data, "????") // a kept call has the arguments as they were
	_, err := m.Store().Delete(t.Context(), "k")
	wantError(t, "Delete", err, nil)
	if n := m.Replay(t.Context(), chaos.Set); n != 1 {
		t.Errorf("Replay = %d; want 1", n)
	}
	wantData(t, m.Store())
	if n := m.Replay(t.Context()); n != 1 {
		t.Errorf("Replay = %d; want 1, the Delete", n)
	}
	_, err = m.Store().Get(t.Context(), "k")
	wantError(t, "Get", err, driver.ErrMiss)
	if n := m.Replay(t.Context()); n != 0 {
		t.Errorf("Replay = %d; want 0", n)
	}
}

func TestFailedOperationMayBeCarriedOutLate(t *testing.T) {
	m := chaos.New(memstore.New())
	m.Keep()
	m.Fail(errDown)
	wantError(t, "Set", m.Store().Set(t.Context(), "k", record()), errDown)
	m.Heal()
	m.Replay(t.Context())
	wantData(t, m.Store())
}

func TestLateCopyOfAcquireWinsWithAnotherToken(t *testing.T) {
	m := chaos.New(memstore.New())
	m.Keep(chaos.Acquire)
	l := m.Store().(driver.Leaser)
	claim, err := l.Acquire(t.Context(), "k", ask())
	wantError(t, "Acquire", err, nil)
	if _, err := l.Abort(t.Context(), "k", claim.Token); err != nil {
		t.Fatal(err)
	}
	m.Replay(t.Context())
	other := ask()
	other.Token += "-2"
	if late, err := l.Acquire(t.Context(), "k", other); err != nil || late.State != driver.Busy {
		t.Errorf("Acquire = %v, %v; want busy, because of the late copy", late.State, err)
	}
	if stored, err := l.Commit(t.Context(), "k", claim.Token, record()); err != nil || stored {
		t.Errorf("Commit = %v, %v; want false", stored, err)
	}
}

func TestObserveSeesCallsAndMaySetFaults(t *testing.T) {
	m := chaos.New(memstore.New())
	var seen []chaos.Call
	m.Observe(func(c chaos.Call) {
		seen = append(seen, c)
		if c.Op == chaos.Delete {
			m.Fail(errDown, chaos.Delete)
		}
	})
	wantError(t, "Set", m.Store().Set(t.Context(), "k", record()), nil)
	_, err := m.Store().Delete(t.Context(), "k", "l")
	wantError(t, "Delete", err, errDown)
	m.Observe(nil)
	wantData(t, m.Store())
	want := []chaos.Call{{Op: chaos.Set, Keys: []string{"k"}}, {Op: chaos.Delete, Keys: []string{"k", "l"}}}
	same := func(a, b chaos.Call) bool { return a.Op == b.Op && slices.Equal(a.Keys, b.Keys) }
	if !slices.EqualFunc(seen, want, same) {
		t.Errorf("fn saw %v; want %v", seen, want)
	}
}

func TestWakeWithAFaultNeverReceives(t *testing.T) {
	m := chaos.New(memstore.New())
	w := m.Store().(driver.Waker)
	lost := map[string]<-chan struct{}{}
	for name, fault := range map[string]func(){
		"Fail":      func() { m.Fail(errDown, chaos.Wake) },
		"Stall":     func() { m.Stall(chaos.Wake) },
		"LoseReply": func() { m.LoseReply(errDown, chaos.Wake) },
	} {
		fault()
		ch, cancel := w.Wake(t.Context(), "k")
		defer cancel()
		lost[name] = ch
		m.Heal()
	}
	woken, cancel := w.Wake(t.Context(), "k")
	defer cancel()
	wantError(t, "Set", m.Store().Set(t.Context(), "k", record()), nil)
	<-woken
	for name, ch := range lost {
		select {
		case <-ch:
			t.Errorf("%s: the channel received", name)
		default:
		}
	}
}

func TestCutEndsSubscriptionsWithAGap(t *testing.T) {
	m := chaos.New(memstore.New())
	s := m.Store().(driver.Bus)
	var received []driver.Invalidation
	stop, err := s.Subscribe(t.Context(), func(inv driver.Invalidation) { received = append(received, inv) })
	wantError(t, "Subscribe", err, nil)
	wantError(t, "Publish", s.Publish(t.Context(), driver.Invalidation{Prefix: "p"}), nil)
	m.Cut()
	m.Cut()
	wantError(t, "Publish", s.Publish(t.Context(), driver.Invalidation{Prefix: "p"}), nil)
	stop()
	if len(received) != 2 || received[0].Prefix != "p" || !received[1].Gap {
		t.Errorf("received %+v; want the first Invalidation, and a Gap", received)
	}
}

func TestStoppedSubscriptionIsNotCut(t *testing.T) {
	m := chaos.New(memstore.New())
	fn := func(inv driver.Invalidation) { t.Errorf("fn was called with %+v", inv) }
	stop, err := m.Store().(driver.Bus).Subscribe(t.Context(), fn)
	wantError(t, "Subscribe", err, nil)
	stop()
	m.Cut()
}

func TestSubscriptionWhoseReplyIsLostIsNotCalled(t *testing.T) {
	m := chaos.New(memstore.New())
	s := m.Store().(driver.Bus)
	m.LoseReply(errDown, chaos.Subscribe)
	_, err := s.Subscribe(t.Context(), func(inv driver.Invalidation) { t.Errorf("fn was called with %+v", inv) })
	wantError(t, "Subscribe", err, errDown)
	wantError(t, "Publish", s.Publish(t.Context(), driver.Invalidation{Prefix: "p"}), nil)
}

func TestUnknownOperationPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	chaos.New(memstore.New()).Fail(errDown, "Gett")
}

func record() driver.Record { return driver.Record{Data: []byte("data"), TTL: time.Minute} }

func wantError(t *testing.T, op string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("%s = %v; want %v", op, err, want)
	}
}

// wantData checks that key "k" has record().
func wantData(t *testing.T, s driver.Store) {
	t.Helper()
	if r, err := s.Get(t.Context(), "k"); err != nil || string(r.Data) != "data" {
		t.Errorf("Get = %q, %v; want data", r.Data, err)
	}
}
