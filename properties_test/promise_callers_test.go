package properties_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac"
	"pgregory.net/rapid"
)

// P19: callers leave in any order, by any way of ending a context, and no other caller notices. The
// function is told to stop at once when the last caller has left, and never before.
func TestP19_LeavingNeverFailsTheOthers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 5).Draw(t, "callers")
		order := rapid.Permutation([]int{0, 1, 2, 3, 4}[:n]).Draw(t, "order")
		leave := rapid.IntRange(0, n).Draw(t, "leave")
		forced := rapid.Bool().Draw(t, "forced")
		rapid.SyncTest(t, func(t *rapid.T) {
			s := newStage(t, config{})
			defer close(s.o.quit)
			cs := []*caller{s.get(key)}
			if forced {
				cs[0].leaves()
				s.call(key)
				cs[0] = s.refresh(key)
			}
			running := s.call(key)
			cs = append(cs, s.getters(n-1)...)
			seen := watchContext(running.ctx)
			for _, i := range order[:leave] {
				if seen() != "" {
					t.Fatal("told to stop while somebody waits: " + seen())
				}
				cs[i].leaves()
			}
			if got := seen(); leave == n && got != "Err Done AfterFunc Child" || leave < n && got != "" {
				t.Errorf("after %d of %d have left the function sees %q", leave, n, got)
			}
			running.returns(1)
			for _, i := range order[leave:] {
				cs[i].hasID(1)
			}
		})
	})
}

// watchContext returns a function that reports whether ctx has ended, by every way in which a
// function may look at it.
func watchContext(ctx context.Context) func() string {
	after := false
	context.AfterFunc(ctx, func() { after = true })
	child, cancel := context.WithTimeout(ctx, time.Hour)
	return func() string {
		synctest.Wait()
		var seen []string
		if ctx.Err() != nil {
			seen = append(seen, "Err")
		}
		select {
		case <-ctx.Done():
			seen = append(seen, "Done")
		default:
		}
		if after {
			seen = append(seen, "AfterFunc")
		}
		if child.Err() != nil {
			seen = append(seen, "Child")
			cancel()
		}
		return strings.Join(seen, " ")
	}
}

// P19: a function that looks at its context only after all callers have left sees that it has
// ended.
func TestP19_ContextLookedAtLate(t *testing.T) {
	onStage(t, config{}, func(s *stage) {
		c := s.get(key)
		running := s.call(key)
		c.leaves()
		if seen := watchContext(running.ctx)(); seen != "Err Done AfterFunc Child" {
			t.Errorf("the function sees %q", seen)
		}
		running.returns(1)
	})
}

// P19: the caller that began a fetch leaves and others stay. The end of its context does not show
// in the function's.
func TestP19_EndOfTheFirstCallerDoesNotShow(t *testing.T) {
	onStage(t, config{}, func(s *stage) {
		boom := errors.New("boom")
		var stop context.CancelCauseFunc
		first := s.get(key, func(ctx context.Context) context.Context {
			ctx, stop = context.WithCancelCause(context.WithValue(ctx, callerID{}, 7))
			return ctx
		})
		running := s.call(key)
		second := s.get(key)
		stop(boom)
		first.has(outcome{kind: gotLeft, err: context.Canceled})
		if err, cause := running.ctx.Err(), context.Cause(running.ctx); err != nil || cause != nil {
			t.Errorf("Err %v, Cause %v while somebody waits", err, cause)
		}
		if v := running.ctx.Value(callerID{}); v != 7 {
			t.Errorf("the first caller's value is %v; want 7", v)
		}
		if seen := watchContext(running.ctx)(); seen != "" {
			t.Errorf("the function sees %q", seen)
		}
		second.leaves()
		if err, cause := running.ctx.Err(), context.Cause(running.ctx); !errors.Is(err, context.Canceled) || !errors.Is(cause, context.Canceled) {
			t.Errorf("Err %v, Cause %v when all have left", err, cause)
		}
	})
}

// P19, GetMany: when its context ends it returns the values it has and errors for the rest. Fetches
// that no other caller waits for are told to stop.
func TestP19_CanceledGetManyReturnsTheValuesItHas(t *testing.T) {
	onStage(t, config{}, func(s *stage) {
		s.set(0, 5)
		other := s.get(2)
		shared := s.call(2)
		many := s.begin("GetMany", func(ctx context.Context) result {
			vs, err := s.GetMany(ctx, []int{0, 1, 2, 3})
			return result{vals: vs, err: err}
		})
		calls := s.calls(1, 3)
		calls[1].returns(7)
		many.stop()
		synctest.Wait()
		r := many.result()
		e, ok := errors.AsType[*zodiac.ManyError[int]](r.err)
		if len(r.vals) != 2 || r.vals[0].id != 5 || r.vals[3].id != 7 || !ok || len(e.Errors) != 2 ||
			!errors.Is(e.Errors[1], context.Canceled) || !errors.Is(e.Errors[2], context.Canceled) {
			t.Errorf("GetMany = %v, %v", r.vals, r.err)
		}
		if !calls[0].told() || shared.told() {
			t.Errorf("told to stop: %v, shared %v; want true, false", calls[0].told(), shared.told())
		}
		shared.returns(2)
		other.hasID(2)
		calls[0].returns(1)
		s.lacks(1)
		s.counted(zodiac.Stats{HitMemory: 1, Fetched: 2, Canceled: 2, Missed: 1, Stored: 2, Discarded: 1})
	})
}

// A caller whose context has ended gets values from memory. No fetch begins for it.
func TestP19_EndedContextBeginsNothing(t *testing.T) {
	onStage(t, config{}, func(s *stage) {
		s.set(0, 5)
		ctx, cancel := context.WithCancel(bg)
		cancel()
		if v, err := s.Get(ctx, 0); v.id != 5 || err != nil {
			t.Errorf("Get of a value in memory = %v, %v", v, err)
		}
		for _, f := range []func() error{
			func() error { return only(s.Get(ctx, key)) },
			func() error { return only(s.GetOrFetch(ctx, key, "")) },
			func() error { return only(s.Refresh(ctx, key)) },
		} {
			if err := f(); !errors.Is(err, context.Canceled) {
				t.Errorf("with an ended context: %v", err)
			}
		}
		if vs, err := s.GetMany(ctx, []int{0, key}); vs[0].id != 5 || !errors.Is(err, context.Canceled) {
			t.Errorf("GetMany = %v, %v", vs, err)
		}
		s.calls()
		s.counted(zodiac.Stats{HitMemory: 2, Canceled: 4})
	})
}

// P20: a panic or exit of a user's function, be it the fetch function or an option's, is a
// *PanicError for every caller of a flight. The error names the function. It is logged once, and
// the key is free afterwards.
func TestP20_PanicIsReturnedToEveryCaller(t *testing.T) {
	boom := errors.New("boom")
	for _, exit := range []bool{false, true} {
		fail := func() {
			if exit {
				runtime.Goexit()
			}
			panic(boom)
		}
		for in, opts := range map[string][]zodiac.Option{
			"the fetch":    nil,
			"SkipIf":       {zodiac.SkipIf(func(int) bool { fail(); return false })},
			"WithTTLFunc":  {zodiac.WithTTLFunc(func(int, int) time.Duration { fail(); return 0 })},
			"WithTagsFunc": {zodiac.WithTagsFunc(func(int, int) []string { fail(); return nil })},
			"WithClone":    {zodiac.WithClone(func(int) int { fail(); return 0 })},
		} {
			name := in
			if exit {
				name += " exits"
			}
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p20(t, in, exit, boom, func() {
						if in == "the fetch" {
							fail()
						}
					}, opts)
				})
			})
		}
	}
}

func p20(t *testing.T, in string, exit bool, boom error, inFetch func(), opts []zodiac.Option) {
	var log bytes.Buffer
	calls := 0
	l := zodiac.NewLoader(func(context.Context, int) (int, error) {
		calls++
		time.Sleep(time.Second)
		inFetch()
		return 1, nil
	}, zodiac.Options(opts), zodiac.WithName("users"), zodiac.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	errs := make(chan error, 3)
	for range cap(errs) {
		go func() { errs <- only(l.Get(bg, key)) }()
	}
	for range cap(errs) {
		p, ok := errors.AsType[*zodiac.PanicError](<-errs)
		if !ok || p.Goexit != exit || p.In != in || p.Loader != "users" || len(p.Stack) == 0 || !exit && !errors.Is(p, boom) {
			t.Fatalf("Get = %+v; want a PanicError in %s", p, in)
		}
	}
	synctest.Wait()
	if n := strings.Count(log.String(), "level=ERROR"); n != 1 || !strings.Contains(log.String(), "users") {
		t.Errorf("logged %d times: %.300s", n, log.String())
	}
	if calls != 1 {
		t.Errorf("%d calls of the function; want 1", calls)
	}
	l.Get(bg, key) // the key is free
	if st := l.Stats(); calls != 2 || st.Failed != 4 || st.FetchErrors != 2 || st.Size != 0 {
		t.Errorf("after another Get: %d calls, %+v", calls, st)
	}
	if err := l.Close(bg); err != nil {
		t.Error(err)
	}
}

// P20: a panic of ValidIf, WithClone or WithKey on the reader's goroutine is an error for that
// caller only.
func TestP20_PanicOnTheWayOutIsTheReadersError(t *testing.T) {
	bad := false
	check := func() {
		if bad {
			panic("boom")
		}
	}
	for in, opt := range map[string]zodiac.Option{
		"ValidIf":   zodiac.ValidIf(func(int, zodiac.Entry[int]) bool { check(); return true }),
		"WithClone": zodiac.WithClone(func(v int) int { check(); return v }),
	} {
		t.Run(in, func(t *testing.T) {
			bad = false
			l := zodiac.NewLoader(func(context.Context, int) (int, error) { return 1, nil }, opt)
			l.Set(bg, key, 7)
			bad = true
			for name, f := range map[string]func() error{
				"Get":     func() error { return only(l.Get(bg, key)) },
				"GetMany": func() error { return only(l.GetMany(bg, []int{key})) },
				"Peek":    func() error { _, ok, err := l.Peek(bg, key); return falseAnd(t, ok, err) },
				"Entry":   func() error { _, ok, err := l.Entry(bg, key); return falseAnd(t, ok, err) },
			} {
				if p, ok := errors.AsType[*zodiac.PanicError](f()); !ok || p.In != in {
					t.Errorf("%s = %v; want a PanicError in %s", name, p, in)
				}
			}
			bad = false
			if v, err := l.Get(bg, key); v != 7 || err != nil {
				t.Errorf("afterwards Get = %v, %v; want 7", v, err)
			}
			if st := l.Stats(); st.Failed != 4 || st.HitMemory != 1 || st.Gets != 5 {
				t.Errorf("%+v; want 4 failed, 1 hit", st)
			}
		})
	}
}

func falseAnd(t *testing.T, ok bool, err error) error {
	t.Helper()
	if ok {
		t.Error("ok beside a panic")
	}
	return err
}

// P20: where the function runs on the caller's own goroutine, a panic and Goexit pass through
// unchanged. So they do in the function of Update, and the key is free afterwards.
func TestP20_PanicPassesThroughOnTheCallersGoroutine(t *testing.T) {
	needsModes(t)
	for _, p := range []plan{{kind: panics}, {kind: exits}} {
		want := outcome{kind: itPanicked}
		if p.kind == exits {
			want.kind = itExited
		}
		onStage(t, config{}, func(s *stage) {
			c := s.get(key, underBypass)
			s.call(key).ends(p)
			c.has(want)
			c = s.begin("Fetch", func(ctx context.Context) result { return result{err: only(s.Fetch(ctx, key))} })
			s.call(key).ends(p)
			c.has(want)
			c = s.begin("GetMany", func(ctx context.Context) result {
				return result{err: only(s.GetMany(zodiac.Bypass(ctx), []int{0, 1}))}
			})
			s.call(0).ends(p)
			c.has(want)
			c = s.begin("Update", func(ctx context.Context) result {
				return result{err: only(s.Update(ctx, key, func(value, bool) (value, error) { return p.act() }))}
			})
			c.has(want)
			if v, err := s.Add(bg, key, 3); v.id != 3 || err != nil {
				t.Errorf("Add after that = %v, %v; want 3", v, err)
			}
			s.counted(zodiac.Stats{Bypassed: 2})
		})
	}
}

// A fetch that asks for the key it is fetching, directly or through others, gets ErrCycle. It would
// wait for itself for ever.
func TestP20_FetchThatWaitsForItselfGetsErrCycle(t *testing.T) {
	needsModes(t)
	asks := map[string]func(l *zodiac.Loader[int, int], ctx context.Context, k int) (int, error){
		"Get":     (*zodiac.Loader[int, int]).Get,
		"Refresh": (*zodiac.Loader[int, int]).Refresh,
		"NoWrite": func(l *zodiac.Loader[int, int], ctx context.Context, k int) (int, error) {
			return l.Get(zodiac.NoWrite(ctx), k)
		},
		"GetMany": func(l *zodiac.Loader[int, int], ctx context.Context, k int) (int, error) {
			vs, err := l.GetMany(ctx, []int{k, 100})
			return vs[k], err
		},
	}
	for outer, ask := range asks {
		for inner, again := range asks {
			t.Run(outer+"/"+inner, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var l, other *zodiac.Loader[int, int]
					l = zodiac.NewLoader(func(ctx context.Context, k int) (int, error) {
						if k == 100 {
							return 0, nil
						}
						return other.Get(ctx, k)
					}, zodiac.WithName("l"))
					other = zodiac.NewLoader(func(ctx context.Context, k int) (int, error) {
						if k == 3 {
							return again(l, ctx, 0)
						}
						return l.Get(ctx, k+1) // 0 asks for 1, and so on
					}, zodiac.WithName("other"))
					if _, err := ask(l, bg, 0); !errors.Is(err, zodiac.ErrCycle) {
						t.Errorf("%v; want ErrCycle", err)
					}
					if v, err := ask(l, bg, 100); v != 0 || err != nil {
						t.Errorf("another key = %v, %v", v, err)
					}
				})
			})
		}
	}
}

// P21: with WithClone no two callers share anything that clone copies: not with each other, not
// with memory, and not with the function, whatever the way of a value in or out.
func TestP21_NoTwoCallersShareAValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ops := rapid.SliceOfN(rapid.SampledFrom([]string{
			"Get", "Get", "GetMany", "GetOrFetch", "Refresh", "Peek", "Entry", "Set", "SetMany", "SetIfAbsent", "Update", "Delete", "three at once",
		}), 1, 12).Draw(t, "ops")
		rapid.SyncTest(t, func(t *rapid.T) {
			h := &hands{t: t}
			h.l = zodiac.NewLoader(func(context.Context, int) ([]int, error) {
				time.Sleep(time.Second)
				return h.give(), nil
			}, zodiac.WithClone(slices.Clone[[]int]))
			for _, op := range ops {
				h.do(op)
				h.scribble()
			}
		})
	})
}

// hands has every slice that some caller has had.
type hands struct {
	t *rapid.T
	l *zodiac.Loader[int, []int]

	mu   sync.Mutex // guards the fields below: functions run at the same time
	held [][]int
	at   map[*int]bool
}

// give returns a slice that belongs to its giver.
func (h *hands) give() []int {
	v := []int{7}
	h.take(v, nil)
	return v
}

// take notes a slice that a caller got. No other caller may have it, and it must not be
// overwritten.
func (h *hands) take(v []int, err error) {
	if err != nil || len(v) != 1 || v[0] != 7 {
		h.t.Errorf("got %v, %v; want [7]", v, err)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.at == nil {
		h.at = map[*int]bool{}
	}
	if h.at[&v[0]] {
		h.t.Error("two have the same slice")
	}
	h.at[&v[0]] = true
	h.held = append(h.held, v)
}

func (h *hands) scribble() {
	for _, v := range h.held {
		v[0] = -1
	}
}

func (h *hands) do(op string) {
	l := h.l
	switch op {
	case "Get":
		h.take(l.Get(bg, key))
	case "GetMany":
		vs, err := l.GetMany(bg, []int{key, 2, key})
		h.take(vs[key], err)
		h.take(vs[2], err)
	case "GetOrFetch":
		h.take(l.GetOrFetch(bg, key, func(context.Context, int) ([]int, error) { return h.give(), nil }))
	case "Refresh":
		h.take(l.Refresh(bg, key))
	case "Peek":
		if v, ok, err := l.Peek(bg, key); ok {
			h.take(v, err)
		}
	case "Entry":
		if e, ok, err := l.Entry(bg, key); ok {
			h.take(e.Value, err)
		}
	case "Set":
		l.Set(bg, key, h.give())
	case "SetMany":
		l.SetMany(bg, map[int][]int{key: h.give(), 2: h.give()})
	case "SetIfAbsent":
		l.SetIfAbsent(bg, key, h.give())
	case "Update":
		l.Update(bg, key, func(old []int, ok bool) ([]int, error) {
			if ok {
				h.take(old, nil)
			}
			return h.give(), nil
		})
	case "Delete":
		l.Delete(bg, key)
	default:
		h.threeAtOnce()
	}
}

func (h *hands) threeAtOnce() {
	got := make(chan []int, 3)
	for range cap(got) {
		go func() { v, _ := h.l.Get(bg, 3); got <- v }()
	}
	for range cap(got) {
		h.take(<-got, nil)
	}
	h.l.Delete(bg, 3)
}
