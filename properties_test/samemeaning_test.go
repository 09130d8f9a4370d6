package properties_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac"
	"github.com/zodiac-go/zodiac/internal/redistest"
	"github.com/zodiac-go/zodiac/memstore"
	"github.com/zodiac-go/zodiac/redisstore"
	"github.com/zodiac-go/zodiac/storetest/chaos"
	"pgregory.net/rapid"
)

// TestSameMeaning is the law that the place of values does not change the meaning of operations.
// One history of operations has the same results, errors and counts in memory, over stores, with
// memory in front of them, and in two processes in turn. Memory alone is the reference. TestMachine
// compares it with the model.
//
// Some things differ by design. They are the excuses in samemeaning_coverage_test.go. That file also
// sees to it that every method and every option takes part.
func TestSameMeaning(t *testing.T) {
	needsModes(t)
	for _, of := range [][2]string{{"int", "int64"}, {"struct", "box"}, {"withKey", "box"}, {"string", "int64"}} {
		t.Run(of[0], func(t *testing.T) {
			checkTimes(t, sameRuns, func(t *rapid.T) { // a run is slow
				c := drawConfig(t, of[0], of[1])
				c.errorTTL, c.neverClose = 0, false // see excuseErrors
				if c.validIf && rapid.Bool().Draw(t, "valid for") {
					c.validFor = time.Second + time.Millisecond/2 // see excuseMillisecond
				}
				if rapid.Bool().Draw(t, "versioned") {
					c.more = []zodiac.Option{zodiac.WithVersion(7)}
				}
				rapid.SyncTest(t, func(t *rapid.T) { runFleet(t, c) })
			})
		})
	}
}

// sameRuns is how many histories TestSameMeaning runs of each kind by default.
const sameRuns = 12

// A peer is one way of keeping values: one process, or several over one store, and the function
// they call.
type peer struct {
	name     string
	procs    []subject
	contexts []context.Context // one for each process, whose calls are counted
	stats    []func() zodiac.Stats
	o        *origin
	near     bool               // there is memory in front of the store
	held     bool               // over a store
	calls    [machineKeys]int64 // of the function in this turn; guarded by o.mu
}

// A fleet is the peers during a history.
type fleet struct {
	config
	t      *rapid.T
	peers  []*peer
	plans  [machineKeys]readied
	serial int64
	gone   bool // a tag was deleted: see excuseDeletedTag
	turn   int
}

// A virtualTB has the methods that redistest needs of a test.
type virtualTB struct {
	testing.TB
	t *rapid.T
}

func (v virtualTB) Helper()          {}
func (v virtualTB) Cleanup(f func()) { v.t.Cleanup(f) }

// process hides that a store has a loader of this name already. A name can be used once per Store.
type process struct{ *memstore.Store }

func runFleet(t *rapid.T, c config) {
	f := &fleet{config: c, t: t}
	f.join("memory", 0, nil)
	mem := memstore.New()
	f.join("memstore", 0, mem)
	twins := memstore.New()
	f.join("two processes over a memstore", 0, &process{twins}, &process{twins})
	f.join("a bare store", 0, chaos.Bare(memstore.New()))
	f.join("a store that only lends leases", 0, chaos.Without(memstore.New(), chaos.Batcher|chaos.DataReader|chaos.Waker|chaos.Bus))
	f.join("redis", 0, redisstore.New(redistest.Virtual(virtualTB{t: t})))
	if !c.sliding {
		near := 3 * time.Second
		if c.ttl != 0 {
			near = min(near, c.ttl)
		}
		f.join("memory over a memstore", near, memstore.New())
		twins := memstore.New()
		f.join("two processes with memory over a memstore", near, &process{twins}, &process{twins})
		f.join("memory over redis", near, redisstore.New(redistest.Virtual(virtualTB{t: t})))
	}
	t.Cleanup(f.close)
	t.Logf("loaders: %v", c)
	do := map[string]func(*rapid.T){"": f.check}
	for name, a := range f.actions() {
		do[name] = a.do
	}
	if c.values != "int64" {
		delete(do, "add")
	}
	t.Repeat(do)
	f.doClose(t)
}

// join adds a peer with a process for each store.
func (f *fleet) join(name string, near time.Duration, stores ...zodiac.Store) {
	p := &peer{name: name, o: newOrigin(), near: near != 0, held: stores[0] != nil}
	p.o.ready = func(key int) readied { return f.ready(p, key) }
	for _, s := range stores {
		c := f.config
		c.under, c.front = s, near
		ctx, stats := zodiac.CollectStats(context.Background())
		p.procs, p.contexts, p.stats = append(p.procs, newSubject(c, p.o)), append(p.contexts, ctx), append(p.stats, stats)
	}
	for i := range 2 { // it begins to receive invalidations
		p.procs[i%len(stores)].Peek(context.Background(), 0)
	}
	synctest.Wait()
	f.peers = append(f.peers, p)
}

// ready returns the plan of a call of p's function. Each call in a turn has a value of its own, with
// the traits of the plan's. So results tell the calls apart.
func (f *fleet) ready(p *peer, key int) readied {
	r := f.plans[key]
	p.o.mu.Lock()
	defer p.o.mu.Unlock()
	if r.val != (value{}) && !r.val.nil {
		r.val.id += p.calls[key] * allTraits << 20
	}
	p.calls[key]++
	return r
}

func (f *fleet) close() {
	for _, p := range f.peers {
		for _, s := range p.procs {
			if err := s.Close(context.Background()); err != nil {
				f.t.Errorf("Close() over %s = %v", p.name, err)
			}
		}
	}
}

// do makes a call of every peer at once, and compares their results. The call does the same in any
// mode.
func (f *fleet) do(what string, call func(ctx context.Context, s subject) string) string {
	f.t.Helper()
	mode := f.mode()
	return f.compare(what+modeName(mode), func(ctx context.Context, _ *peer, s subject) string {
		return call(underMode(ctx, mode), s)
	})
}

func underMode(ctx context.Context, mode zodiac.Mode) context.Context {
	if mode == (zodiac.Mode{}) {
		return ctx
	}
	return zodiac.WithMode(ctx, mode)
}

func (f *fleet) compare(what string, call func(context.Context, *peer, subject) string) string {
	f.t.Helper()
	f.turn++
	returned := make([]chan result, len(f.peers))
	texts := make([]string, len(f.peers))
	for i, p := range f.peers {
		n := f.turn / 2 % len(p.procs)
		p.calls = [machineKeys]int64{}
		returned[i] = textOf(&texts[i], func() string { return call(p.contexts[n], p, p.procs[n]) })
	}
	for i := range returned {
		<-returned[i]
	}
	synctest.Wait()
	f.t.Logf("%v: %s = %s", time.Now().Format("05.000000"), what, texts[0])
	for i, text := range texts {
		if text != texts[0] {
			f.t.Fatalf("%s\n  over %s\n  = %s;\n  over memory\n  = %s", what, f.peers[i].name, text, texts[0])
		}
	}
	return texts[0]
}

// textOf makes a call on a goroutine of its own, and sets *s to its text before it sends.
func textOf(s *string, call func() string) chan result {
	return spawn(func() (r result) {
		*s = "exited"
		defer func() {
			if p := recover(); p != nil {
				*s = fmt.Sprintf("panicked %v", p)
			}
		}()
		*s = call()
		return r
	})
}

// text describes an error as a caller sees it: its text and its kinds.
func text(err error) string {
	if err == nil {
		return "nil"
	}
	var s strings.Builder
	if p, ok := errors.AsType[*zodiac.PanicError](err); ok {
		fmt.Fprintf(&s, "PanicError(%v, %v, %s)", p.Value, p.Goexit, p.In)
	} else {
		fmt.Fprintf(&s, "%q", err)
	}
	for _, is := range []error{
		errNotFound, errGone, zodiac.ErrNone, zodiac.ErrMiss, zodiac.ErrBusy, zodiac.ErrClosed, zodiac.ErrOverflow,
		context.Canceled, context.DeadlineExceeded,
	} {
		if errors.Is(err, is) {
			fmt.Fprintf(&s, " is %q", is)
		}
	}
	return s.String()
}

// total returns the counts of all processes of a peer.
func (f *fleet) total(p *peer) (all zodiac.Stats) {
	for _, s := range p.procs {
		all = plus(all, s.Stats())
	}
	return all
}

func plus(a, b zodiac.Stats) zodiac.Stats {
	a.HitMemory += b.HitMemory
	a.HitStore += b.HitStore
	a.Shared += b.Shared
	a.Fetched += b.Fetched
	a.Failed += b.Failed
	a.Missed += b.Missed
	a.Bypassed += b.Bypassed
	a.Canceled += b.Canceled
	a.Stored += b.Stored
	a.Discarded += b.Discarded
	a.Skipped += b.Skipped
	a.Uncached += b.Uncached
	a.FetchErrors += b.FetchErrors
	a.Invalid += b.Invalid
	a.Corrupt += b.Corrupt
	a.Gets += b.Gets
	a.Fetches += b.Fetches
	return a
}

// comparable returns the counts that do not depend on the place of values: see excuseCapacity and
// excuseHits, and for Invalid excuseDeletedTag and excuseRefusedTwice.
func (f *fleet) comparable(s zodiac.Stats, p *peer) zodiac.Stats {
	s.HitMemory, s.HitStore = s.HitMemory+s.HitStore, 0
	s.Evicted, s.Expired, s.Size = 0, 0, 0
	if f.gone || f.validIf && p.near {
		s.Invalid = 0
	}
	return s
}

func (f *fleet) check(t *rapid.T) {
	for _, p := range f.peers {
		all := f.total(p)
		want := f.comparable(f.total(f.peers[0]), p)
		if got := f.comparable(all, p); got != want {
			t.Fatalf("Stats() over %s\n = %+v;\nover memory\n = %+v", p.name, got, want)
		}
		if s := sum(all); s.Gets != all.Gets || s.Fetches != all.Fetches {
			t.Fatalf("P30: Stats() over %s = %+v: the sums are %d and %d", p.name, all, s.Gets, s.Fetches)
		}
		if !p.held && all.HitStore != 0 || p.held && !p.near && all.HitMemory != 0 {
			t.Fatalf("Stats() over %s = %+v: hits of absent keys", p.name, all)
		}
		want = f.comparable(f.peers[0].collected(), p)
		if got := f.comparable(p.collected(), p); got != want {
			t.Fatalf("CollectStats over %s\n = %+v;\nover memory\n = %+v", p.name, got, want)
		}
	}
}

// collected returns the counts of all calls of a peer, as CollectStats has them.
func (p *peer) collected() (all zodiac.Stats) {
	for _, stats := range p.stats {
		all = plus(all, stats())
	}
	return all
}
