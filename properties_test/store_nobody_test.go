package properties_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac"
	"github.com/zodiac-go/zodiac/storetest/chaos"
	"pgregory.net/rapid"
)

// P5, over a store: a fetch that all callers have left, or whose time is over, stores nothing when
// it returns: no value, no error, and no tombstone.
func TestP5_AbandonedFetchStoresNothingInAStore(t *testing.T) {
	const skipped = 3 * 48
	for name, end := range map[string]func(c *call){
		"value": func(c *call) { c.returns(1) },
		"error": func(c *call) { c.fails(errGone) },
		"skip":  func(c *call) { c.returns(skipped) },
		"panic": func(c *call) { c.ends(plan{kind: panics}) },
	} {
		for _, late := range []bool{false, true} { // another process has fetched by then
			t.Run(fmt.Sprintf("%s/%v", name, late), func(t *testing.T) {
				onProcesses(t, 2, config{errorTTL: time.Minute, skipIf: true, timeout: time.Second}, func(p *processes) {
					a, b := p.all[0], p.all[1]
					for i, k := range []int{1, 2} {
						mine := a.get(k)
						running := a.call(k)
						if i == 0 {
							mine.leaves()
						} else {
							time.Sleep(time.Second)
							mine.has(outcome{kind: gotTimeout})
						}
						if !late {
							end(running)
						}
						theirs := b.get(k)
						p.soon()
						b.call(k).returns(2)
						theirs.hasID(2)
						if late {
							end(running)
						}
						for _, s := range p.all {
							s.holds(k, 2)
						}
					}
					if name == "error" || name == "panic" {
						p.counted(0, statsOf("Canceled Failed FetchErrors FetchErrors HitStore HitStore"))
					} else {
						p.counted(0, statsOf("Canceled Failed Discarded Discarded HitStore HitStore"))
					}
				})
			})
		}
	}
}

// P5, as a law: no process ever finds the value of an abandoned fetch, whatever callers do, and
// however late copies of commands arrive.
func TestP5_AbandonedValuesAreNeverFound(t *testing.T) {
	steps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) p5Step {
		return p5Step{
			rapid.IntRange(0, 1).Draw(t, "process"), rapid.IntRange(1, 20).Draw(t, "after"), rapid.SampledFrom([]int{1000, 3, 3, 17}).Draw(t, "patience"),
			rapid.SampledFrom([]string{"Get", "Get", "Get", "Refresh", "GetMany", "Delete", "replay"}).Draw(t, "op"),
		}
	}), 1, 30)
	for _, g := range []ground{grounds[0], grounds[2], grounds[3]} {
		t.Run(g.name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				steps, takes := steps.Draw(rt, "steps"), rapid.IntRange(1, 40).Draw(rt, "a fetch takes")
				wrong := ""
				defer func() {
					if wrong != "" {
						rt.Fatal(wrong)
					}
				}()
				synctest.Test(t, func(t *testing.T) { wrong = p5(t, g, time.Duration(takes)*time.Millisecond, steps) })
			})
		})
	}
}

type p5Step struct {
	who, after, patience int
	op                   string
}

// p5 carries out steps and returns the first fault, or "".
func p5(t *testing.T, g ground, takes time.Duration, steps []p5Step) (wrong string) {
	var mu sync.Mutex // guards the two below
	last, forNobody := 0, map[int]bool{}
	fetch := func(ctx context.Context, _ int) (int, error) {
		mu.Lock()
		last++
		id := last
		mu.Unlock()
		time.Sleep(takes + 500*time.Microsecond) // whether or not it is told to stop
		mu.Lock()
		defer mu.Unlock()
		forNobody[id] = ctx.Err() != nil
		return id, nil
	}
	_, open := g.shared(t)
	var faults []*chaos.Injector
	var ls []*zodiac.Loader[int, int]
	for range 2 {
		m := chaos.New(open())
		m.Keep(chaos.Acquire, chaos.Renew, chaos.Commit, chaos.Abort)
		opts := zodiac.Options{zodiac.WithName("w"), zodiac.WithStore(m.Store()), zodiac.WithTTL(60), zodiac.WithFetchTimeout(0.030)}
		if g.front != 0 {
			opts = append(opts, zodiac.WithMemory(5))
		}
		faults, ls = append(faults, m), append(ls, zodiac.NewLoader(fetch, opts))
	}
	var wg sync.WaitGroup
	for i, st := range steps {
		time.Sleep(time.Duration(st.after) * time.Millisecond)
		if st.op == "replay" {
			faults[st.who].Replay(bg)
		}
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(bg, time.Duration(st.patience)*time.Millisecond+250*time.Microsecond)
			defer cancel()
			switch l := ls[st.who]; st.op {
			case "Get":
				l.Get(ctx, key)
			case "Refresh":
				l.Refresh(ctx, key)
			case "GetMany":
				l.GetMany(ctx, []int{key, 2})
			case "Delete":
				l.Delete(ctx, key)
			}
		})
		synctest.Wait()
		for _, l := range ls {
			v, _, _ := l.Peek(bg, key)
			mu.Lock()
			if forNobody[v] {
				wrong = fmt.Sprintf("P5: after step %d (%s) %d is found, the value of an abandoned fetch", i, st.op, v)
			}
			mu.Unlock()
		}
	}
	wg.Wait()
	time.Sleep(time.Second)
	for _, l := range ls {
		if err := l.Close(bg); err != nil {
			wrong = err.Error()
		}
	}
	return wrong
}
