package properties_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac"
	"github.com/zodiac-go/zodiac/memstore"
	"github.com/zodiac-go/zodiac/storetest/chaos"
)

// P1, within a process, over a store without leases: an invalidation waits for the commit of a
// running result.
func TestP1_InvalidationOverABareStoreWaitsForTheCommit(t *testing.T) {
	for _, inv := range invalidations {
		// an Add adds to the stored value; tags are compared
		if inv.name == "Add" || inv.name == "DeleteTags" {
			continue
		}
		for _, forced := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%v", inv.name, forced), func(t *testing.T) {
				guarded[1].play(t, 1, config{}, func(p *processes) {
					s, m := p.all[0], p.faults[0]
					m.Delay(20*time.Millisecond, chaos.Add, chaos.Set)
					var old *caller
					if forced {
						old = s.refresh(key)
					} else {
						old = s.get(key)
					}
					s.call(key).returns(1)
					time.Sleep(10 * time.Millisecond)
					m.Heal()
					if err := inv.do(s); err != nil {
						t.Fatal(err)
					}
					time.Sleep(50 * time.Millisecond)
					old.hasID(1)
					if inv.name == "SetIfAbsent" {
						return // an entry is left
					}
					p.none(1)
				})
			})
		}
	}
}

// P1: SetIfAbsent that stores over a bare store is not replaced by an older result.
func TestP1_SetIfAbsentOverABareStoreIsNotReplaced(t *testing.T) {
	guarded[1].play(t, 1, config{}, func(p *processes) {
		s, m := p.all[0], p.faults[0]
		m.Delay(20*time.Millisecond, chaos.Set)
		fresh := s.refresh(key)
		s.call(key).returns(1)
		time.Sleep(10 * time.Millisecond)
		ok, err := s.SetIfAbsent(bg, key, value{id: 9})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
		fresh.hasID(1)
		if v, _, _ := s.Peek(bg, key); ok && v.id != 9 {
			t.Errorf("SetIfAbsent(9) = true, and Peek = %v", v)
		}
	})
}

// A Delete of several keys over a bare store takes their turns in one order, each key once. A
// caller that leaves while it waits for its turn delays no other caller.
func TestDeletesOfSeveralKeysOverABareStoreDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chaos.New(chaos.Bare(memstore.New()))
		l := zodiac.NewCache[int, int](zodiac.WithName("n"), zodiac.WithStore(m.Store()))
		defer l.Close(bg)
		m.Delay(10*time.Millisecond, chaos.Delete)
		began := time.Now()
		holder := spawn(func() result { return result{err: only(l.Delete(bg, 2))} })
		var all []chan result
		synctest.Wait()
		for range 3 {
			all = append(all, spawn(func() result { return result{err: only(l.Delete(bg, 1, 2, 3, 1))} }))
			all = append(all, spawn(func() result { return result{err: only(l.Delete(bg, 3, 2, 1))} }))
		}
		ctx, cancel := context.WithTimeout(bg, 5*time.Millisecond)
		defer cancel()
		if _, err := l.SetIfAbsent(ctx, 2, 2); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("SetIfAbsent whose context ends = %v", err)
		}
		for _, c := range append(all, holder) {
			if r := <-c; r.err != nil {
				t.Error(r.err)
			}
		}
		if d := time.Since(began); d != 70*time.Millisecond {
			t.Errorf("seven in turn took %v", d)
		}
		began = time.Now()
		if _, err := l.Delete(bg, 0); err != nil || time.Since(began) != 10*time.Millisecond {
			t.Errorf("Delete of a free key took %v, and returned %v", time.Since(began), err)
		}
	})
}

// A skipped result over a bare store removes the record it was to replace. Otherwise it sends
// nothing.
func TestSkippedResultOverABareStore(t *testing.T) {
	const skipped = 3 * 48
	guarded[1].play(t, 1, config{skipIf: true, ttl: zodiac.Forever}, func(p *processes) {
		s, m := p.all[0], p.faults[0]
		before := ops(m)
		mine := s.get(key)
		s.call(key).returns(skipped)
		mine.hasID(skipped)
		if sent := since(before, ops(m)); sent != "reads" {
			t.Errorf("it sent %q; want reads", sent)
		}
		s.set(key, 1)
		fresh := s.refresh(key)
		s.call(key).returns(skipped)
		fresh.hasID(skipped)
		s.lacks(key)

		s.set(key, 1)
		fresh = s.refresh(key)
		s.call(key).returns(2)
		fresh.hasID(2)
		s.holds(key, 2)
	})
}

// Without leases to note it under, an error is remembered in the process.
func TestErrorOverABareStoreIsRememberedInTheProcess(t *testing.T) {
	guarded[1].play(t, 2, config{errorTTL: 5 * time.Second}, func(p *processes) {
		a, b := p.all[0], p.all[1]
		for range 2 {
			mine := a.get(key)
			a.call(key).fails(errGone)
			mine.has(outcome{kind: gotError, err: errGone})
			if r := a.get(key).result(); !errors.Is(r.err, zodiac.ErrRemembered) {
				t.Errorf("Get = %v; want the remembered error", r)
			}
			a.calls()
			time.Sleep(5 * time.Second)
		}
		theirs := b.get(key)
		b.call(key).returns(1)
		theirs.hasID(1)
	})
}

// P25: the errors that a caller's own mode has caused are remembered for no other caller, also
// where the store cannot remember them.
func TestErrorsOfModesAreNotRemembered(t *testing.T) {
	needsModes(t)
	failed := errors.New("failed")
	for name, store := range map[string]func(zodiac.Store) zodiac.Store{
		"bare":   func(s zodiac.Store) zodiac.Store { return chaos.Bare(s) },
		"leases": func(s zodiac.Store) zodiac.Store { return s },
	} {
		t.Run(name, func(t *testing.T) {
			of := memstore.New()
			defer of.Close()
			inner := zodiac.NewLoader(func(context.Context, string) (int64, error) { return 7, nil }, zodiac.WithName("inner"))
			defer inner.Close(bg)
			fails := false
			outer := zodiac.NewLoader(func(ctx context.Context, key string) (int64, error) {
				if fails {
					return 0, failed
				}
				v, err := inner.Get(ctx, key)
				if err != nil {
					return 0, failed
				}
				return v, nil
			}, zodiac.WithName("outer"), zodiac.WithStore(store(of)), zodiac.WithTTL(60), zodiac.WithErrorTTL(30))
			defer outer.Close(bg)
			if _, err := outer.Get(zodiac.ReadOnly(bg, inner), "private"); err == nil {
				t.Error("Get found something, though the inner loader is read only")
			}
			fails = true
			if _, err := outer.Get(zodiac.NoWrite(bg), "aside"); !errors.Is(err, failed) {
				t.Errorf("Get under NoWrite = %v", err)
			}
			fails = false
			for _, key := range []string{"private", "aside"} {
				if v, err := outer.Get(bg, key); v != 7 || err != nil {
					t.Errorf("then, Get(%s) = %d, %v; want the value", key, v, err)
				}
			}
		})
	}
}
