package properties_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac"
	"pgregory.net/rapid"
)

// P10: one function at a time runs for a key, whenever callers ask. A second one may run only
// beside one that was discarded or abandoned. So there are never more than the invalidations and
// departures since then permit.
func TestP10_OneFetchAtATimeForAKey(t *testing.T) {
	type step struct {
		after, key, patience int
		op                   string
	}
	ops := []string{"Get", "Get", "Get", "GetOrFetch", "GetMany", "Delete", "Set", "Clear"}
	steps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
		return step{
			after: rapid.IntRange(1, 9).Draw(t, "after"), key: rapid.IntRange(0, 1).Draw(t, "key"),
			patience: rapid.SampledFrom([]int{1000, 3, 17}).Draw(t, "patience"), op: rapid.SampledFrom(ops).Draw(t, "op"),
		}
	}), 1, 30)
	rapid.Check(t, func(t *rapid.T) {
		steps, takes := steps.Draw(t, "steps"), rapid.IntRange(1, 30).Draw(t, "a fetch takes")
		rapid.SyncTest(t, func(t *rapid.T) {
			// Calls, departures and returns fall on different fractions of a millisecond, so their
			// order is known.
			w := &watch{running: map[int]int{}, allowed: map[int]int{}, takes: time.Duration(takes)*time.Millisecond + 500*time.Microsecond}
			l := zodiac.NewLoader(w.fetch)
			var wg sync.WaitGroup
			for _, st := range steps {
				time.Sleep(time.Duration(st.after) * time.Millisecond)
				wg.Go(func() {
					ctx, cancel := context.WithTimeout(bg, time.Duration(st.patience)*time.Millisecond+250*time.Microsecond)
					defer cancel()
					w.do(ctx, l, st.op, st.key)
				})
			}
			wg.Wait()
			time.Sleep(w.takes) // for functions that run for nobody
			synctest.Wait()
			if w.wrong != "" {
				t.Fatal(w.wrong)
			}
		})
	})
}

// A watch counts the running functions, and those that may run beside others.
type watch struct {
	takes time.Duration

	mu      sync.Mutex // guards the fields below
	running map[int]int
	allowed map[int]int
	beyond  int // how often one began that was not allowed to
	wrong   string
}

func (w *watch) fetch(ctx context.Context, key int) (int, error) {
	time.Sleep(time.Nanosecond) // until the departures of this instant are noted
	w.mu.Lock()
	w.running[key]++
	if ctx.Err() != nil { // nobody waits for it any more
		w.allowed[key] = w.running[key]
	}
	if w.running[key] > 1+w.allowed[key] {
		w.beyond++
		w.wrong = fmt.Sprintf("%d functions run for key %d, and only %d of them may run beside others", w.running[key], key, w.allowed[key])
	}
	w.mu.Unlock()
	// it is told to stop: nobody waits for it
	stop := context.AfterFunc(ctx, func() { w.allow(key) })
	time.Sleep(w.takes - time.Nanosecond)
	stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.running[key]--; w.running[key] == 0 {
		w.allowed[key] = 0
	}
	return key, nil
}

func (w *watch) allow(key int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.allowed[key] = w.running[key] // all that run now may run beside another one
}

func (w *watch) do(ctx context.Context, l *zodiac.Loader[int, int], op string, key int) {
	switch op {
	case "Get":
		l.Get(ctx, key)
	case "GetOrFetch":
		l.GetOrFetch(ctx, key, w.fetch)
	case "GetMany":
		l.GetMany(ctx, []int{0, 1, 1, 0})
	case "Delete":
		w.allow(key)
		l.Delete(ctx, key)
	case "Set":
		w.allow(key)
		l.Set(ctx, key, 7, zodiac.WithTTL(time.Millisecond))
	case "Clear":
		w.allow(0)
		w.allow(1)
		l.Clear(ctx)
	}
}

// P10, for forced fetches: at most one forced function runs for a key and one waits, however many
// callers there are. Each caller gets the result of a function that began after its call.
func TestP10_AtMostOneForcedFetchRunsAndOneWaits(t *testing.T) {
	onStage(t, config{}, func(s *stage) {
		first := s.refresh(key)
		running := s.call(key)
		var later []*caller
		for range 5 {
			later = append(later, s.refresh(key))
		}
		plainly := s.get(key) // joins the running one
		s.calls()
		running.returns(1)
		first.hasID(1)
		plainly.hasID(1)
		second := s.call(key)
		for _, c := range later {
			c.waits()
		}
		second.returns(2)
		all(later, valueOf(2))
		s.calls()
		s.holds(key, 2)
		s.counted(zodiac.Stats{Fetched: 2, Shared: 5, Stored: 2, HitMemory: 1})
	})
}

// P17: constant invalidations starve no caller. A Get has its value as soon as its fetch returns.
func TestP17_ConstantInvalidationStarvesNobody(t *testing.T) {
	for _, inv := range invalidations {
		t.Run(inv.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, config{tags: []string{"s"}})
				defer close(s.o.quit)
				var wg sync.WaitGroup
				defer wg.Wait()
				ctx, stop := context.WithCancel(bg)
				defer stop()
				wg.Go(func() {
					// never at the instant a Get begins
					for time.Sleep(time.Millisecond); ctx.Err() == nil; time.Sleep(time.Millisecond) {
						inv.do(s)
						s.Delete(bg, key)
					}
				})
				for i := range int64(5) {
					c := s.get(key)
					running := s.call(key)
					time.Sleep(10*time.Millisecond - time.Microsecond)
					running.returns(i)
					c.hasID(i)
					s.calls() // no caller began a new round
				}
			})
		})
	}
}

// P18: a fetch that fails is one fetch for all waiting callers, and the next caller tries again.
func TestP18_OneFailingFetchForAllWaiters(t *testing.T) {
	needsModes(t)
	ends := map[string]struct {
		plan plan
		want outcome
	}{
		"error":  {plan{kind: fails, err: errGone}, outcome{kind: gotError, err: errGone}},
		"panic":  {plan{kind: panics}, outcome{kind: gotPanic}},
		"Goexit": {plan{kind: exits}, outcome{kind: gotExit}},
	}
	for what, e := range ends {
		for began, begin := range beginners {
			t.Run(what+"/"+began, func(t *testing.T) {
				onStage(t, config{}, func(s *stage) {
					waiting := []*caller{s.get(key, begin)}
					running := s.call(key)
					for range 20 {
						waiting = append(waiting, s.get(key, underNoWrite))
					}
					s.calls()
					running.ends(e.plan)
					all(waiting, e.want)
					s.calls()
					s.counted(zodiac.Stats{Failed: 21, FetchErrors: 1})
					again := s.get(key)
					s.call(key).returns(2)
					again.hasID(2)
				})
			})
		}
	}
}

// Updates and Adds of a key take turns. While one runs its function the others wait, and no sum is
// lost. The wait ends with the caller's context.
func TestUpdatesOfAKeyTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := zodiac.NewCache[string, int64]()
		inside := 0
		slow := func(old int64, _ bool) (int64, error) {
			if inside++; inside > 1 {
				t.Error("two Updates of a key at once")
			}
			time.Sleep(time.Second)
			inside--
			return old + 1, nil
		}
		begin := time.Now()
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() { l.Update(bg, "k", slow) })
			wg.Go(func() { zodiac.Add(bg, l, "k", 100) })
			wg.Go(func() { l.Update(bg, "other", func(int64, bool) (int64, error) { return 1, nil }) })
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(bg, time.Millisecond)
		defer cancel()
		if _, err := zodiac.Add(ctx, l, "k", 7); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Add whose context ends while it waits = %v", err)
		}
		wg.Wait()
		if v, _, _ := l.Peek(bg, "k"); v != 1010 {
			t.Errorf("after ten Updates and ten Adds: %d; want 1010", v)
		}
		if took := time.Since(begin); took != 10*time.Second {
			t.Errorf("ten Updates of a second took %v", took)
		}
	})
}

// An Update that meets another write begins again from the newer value, at most sixteen times. Then
// it returns ErrBusy and changes nothing.
func TestUpdateBeginsAgainWhenAnotherWriteComesBetween(t *testing.T) {
	for _, disturb := range []int{0, 1, 15, 16} {
		t.Run(fmt.Sprint(disturb), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := zodiac.NewCache[string, int64]()
				tries := 0
				v, err := l.Update(bg, "k", func(old int64, ok bool) (int64, error) {
					if want := int64(tries); old != want || ok != (tries > 0) {
						t.Errorf("try %d gets %d, %v; want %d", tries, old, ok, want)
					}
					if tries++; tries <= disturb {
						l.Set(bg, "k", int64(tries))
					}
					return old + 1000, nil
				})
				held, _, _ := l.Peek(bg, "k")
				if disturb < 16 && (v != int64(disturb+1000) || err != nil || held != v) {
					t.Errorf("Update = %d, %v; held %d", v, err, held)
				}
				if disturb == 16 && (!errors.Is(err, zodiac.ErrBusy) || held != 16) {
					t.Errorf("Update = %d, %v; held %d; want ErrBusy and 16", v, err, held)
				}
			})
		})
	}
}
