package properties_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
// Some things differ by design, and are left out:
//
//   - WithErrorTTL: over a store a remembered error has its text only.
//   - Contexts that have ended: memory does not check them, a store does.
//   - Len, and everything about capacity: they are about memory.
//   - Hits in memory and in the store: only their sum is compared.
//   - After a skipped fetch no process stores for a second, and the entry that it was to replace is
//     gone: see [fleet.afterSkip].
//   - A record whose tag was deleted stays. It is counted by Delete and Clear, and as Invalid on
//     every read.
//   - With memory in front of a store, ValidIf is asked about the entries of both, and may refuse
//     both.
func TestSameMeaning(t *testing.T) {
	needsModes(t)
	for _, of := range [][2]string{{"int", "int64"}, {"struct", "box"}, {"withKey", "box"}, {"string", "int64"}} {
		t.Run(of[0], func(t *testing.T) {
			checkTimes(t, sameRuns, func(t *rapid.T) { // a run is slow
				c := drawConfig(t, of[0], of[1])
				c.errorTTL, c.capacity, c.neverClose = 0, 0, false
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
	near     bool // there is memory in front of the store
	held     bool // over a store
}

// A fleet is the peers during a history.
type fleet struct {
	config
	t      *rapid.T
	peers  []*peer
	plans  [machineKeys]readied
	serial int64
	gone   bool // a tag was deleted: see TestSameMeaning
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
	actions := map[string]func(*rapid.T){
		"": f.check, "get": f.doGet, "getToo": f.doGet, "getMany": f.doGetMany, "peek": f.doPeek, "entry": f.doEntry,
		"set": f.doSet, "setMany": f.doSetMany, "setNone": f.doSetNone, "setIfAbsent": f.doSetIfAbsent, "update": f.doUpdate,
		"touch": f.doTouch, "delete": f.doDelete, "deleteTags": f.doDeleteTags, "clear": f.doClear, "advance": f.doAdvance,
	}
	if c.values == "int64" {
		actions["add"] = f.doAdd
	}
	t.Repeat(actions)
}

// join adds a peer with a process for each store.
func (f *fleet) join(name string, near time.Duration, stores ...zodiac.Store) {
	p := &peer{name: name, o: newOrigin(), near: near != 0, held: stores[0] != nil}
	p.o.ready = func(key int) readied { return f.plans[key] }
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

func (f *fleet) close() {
	for _, p := range f.peers {
		for _, s := range p.procs {
			if err := s.Close(context.Background()); err != nil {
				f.t.Errorf("Close() over %s = %v", p.name, err)
			}
		}
	}
}

// do makes a call of every peer at once, and compares their results.
func (f *fleet) do(what string, call func(ctx context.Context, s subject) string) string {
	f.t.Helper()
	return f.compare(what, func(ctx context.Context, _ *peer, s subject) string { return call(ctx, s) })
}

func (f *fleet) compare(what string, call func(context.Context, *peer, subject) string) string {
	f.t.Helper()
	f.turn++
	returned := make([]chan result, len(f.peers))
	texts := make([]string, len(f.peers))
	for i, p := range f.peers {
		n := f.turn / 2 % len(p.procs)
		returned[i] = spawn(func() result {
			texts[i] = call(p.contexts[n], p, p.procs[n])
			return result{}
		})
	}
	for i := range returned {
		if r := <-returned[i]; r.panicked != nil || r.exited {
			texts[i] = fmt.Sprintf("panicked %v, exited %v", r.panicked, r.exited)
		}
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

func (f *fleet) key() int { return rapid.IntRange(0, machineKeys-1).Draw(f.t, "key") }

func (f *fleet) keysOf() []int {
	return rapid.SliceOfN(rapid.IntRange(0, machineKeys-1), 0, 4).Draw(f.t, "keys")
}

// draws gives the fleet the machine's ways to draw values, plans and options.
func (f *fleet) draws() *machine {
	m := &machine{config: f.config, t: f.t, serial: f.serial}
	f.serial += 2
	return m
}

// prepare draws the plans of the functions that may be called.
func (f *fleet) prepare() {
	for k := range f.plans {
		f.plans[k] = readied{f.draws().drawPlan(), rapid.SampledFrom([]time.Duration{0, 0, grain, 30 * time.Millisecond, 7 * time.Second}).Draw(f.t, "takes")}
	}
}

func (f *fleet) doGet(t *rapid.T) {
	f.prepare()
	key := f.key()
	op := rapid.SampledFrom([]string{"Get", "Get", "Get", "GetOrFetch", "Refresh", "Fetch"}).Draw(t, "op")
	mode, patience := f.mode(), f.patience()
	before := f.skips()
	f.do(fmt.Sprintf("%s(%d)%s for %v, which %v within %v", op, key, modeName(mode), patience, f.plans[key].plan, f.plans[key].takes), func(ctx context.Context, s subject) string {
		ctx, cancel := f.context(ctx, mode, patience)
		defer cancel()
		var v value
		var err error
		switch op {
		case "Get":
			v, err = s.Get(ctx, key)
		case "GetOrFetch":
			v, err = s.GetOrFetch(ctx, key, "here")
		case "Refresh":
			v, err = s.Refresh(ctx, key)
		case "Fetch":
			v, err = s.Fetch(ctx, key)
		}
		return fmt.Sprintf("%v, %s", v, text(err))
	})
	f.afterSkip(before)
}

func (f *fleet) doGetMany(*rapid.T) {
	f.prepare()
	keys := f.keysOf()
	mode, patience := f.mode(), f.patience()
	if mode.NoRead && mode.NoWrite && !mode.NoFetch {
		mode = zodiac.Mode{} // a panic on the caller's own goroutine ends it, in no order of keys
	}
	before := f.skips()
	f.do(fmt.Sprintf("GetMany(%v)%s for %v, which would %v", keys, modeName(mode), patience, f.plans), func(ctx context.Context, s subject) string {
		ctx, cancel := f.context(ctx, mode, patience)
		defer cancel()
		vs, err := s.GetMany(ctx, keys)
		many, ok := errors.AsType[*zodiac.ManyError[int]](err)
		if !ok {
			return fmt.Sprintf("%v, %s", vs, text(err))
		}
		var errs []string
		for _, k := range keysOf(many.Errors) {
			errs = append(errs, fmt.Sprintf("%d: %s", k, text(many.Errors[k])))
		}
		return fmt.Sprintf("%v, %v, %v", vs, errs, many.Rejected)
	})
	f.afterSkip(before)
}

// mode draws the mode of a call.
func (f *fleet) mode() zodiac.Mode {
	if rapid.IntRange(0, 2).Draw(f.t, "moded") > 0 {
		return zodiac.Mode{}
	}
	return modeOf(rapid.IntRange(0, 7).Draw(f.t, "mode"))
}

// patience draws how long a caller waits; 0 is until the end.
func (f *fleet) patience() time.Duration {
	return rapid.SampledFrom([]time.Duration{0, 0, 0, 0, 4 * time.Millisecond, 6 * time.Second}).Draw(f.t, "patience")
}

func (f *fleet) context(ctx context.Context, mode zodiac.Mode, patience time.Duration) (context.Context, context.CancelFunc) {
	if mode != (zodiac.Mode{}) {
		ctx = zodiac.WithMode(ctx, mode)
	}
	if patience == 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, patience)
}

func (f *fleet) skips() uint64 { return f.total(f.peers[0]).Skipped }

// afterSkip waits until all peers agree again. For a second after a skipped fetch, processes do not
// store their results. If it was to replace a useless entry, that is gone.
func (f *fleet) afterSkip(before uint64) {
	if f.skips() == before {
		return
	}
	if f.validIf || rapid.Bool().Draw(f.t, "delete") {
		for _, p := range f.peers {
			p.procs[0].Delete(context.Background(), 0, 1, 2)
		}
	}
	time.Sleep(time.Second)
	synctest.Wait()
}

func (f *fleet) doPeek(*rapid.T) {
	key := f.key()
	f.do(fmt.Sprintf("Peek(%d)", key), func(ctx context.Context, s subject) string {
		v, ok, err := s.Peek(ctx, key)
		return fmt.Sprintf("%v, %v, %s", v, ok, text(err))
	})
}

// entry returns the entry in memory. The other peers are asked too, for the counts.
func (f *fleet) entry(key int) (e zodiac.Entry[value], ok bool) {
	for _, p := range slices.Backward(f.peers) {
		e, ok, _ = p.procs[0].Entry(context.Background(), key)
	}
	return e, ok
}

func (f *fleet) doEntry(*rapid.T) {
	key := f.key()
	in, _ := f.entry(key)
	f.compare(fmt.Sprintf("Entry(%d)", key), func(ctx context.Context, p *peer, s subject) string {
		e, ok, err := s.Entry(ctx, key)
		// Less by design: memory in front of a store keeps an entry for as long as WithMemory says,
		// and Redis reports one millisecond less than is left.
		if ok && 0 < e.Left && (e.Left == in.Left-time.Millisecond || p.near && e.Left < in.Left) {
			e.Left = in.Left
		}
		return fmt.Sprintf("%v, %v, %v, %v, %v, %v, %v, %s",
			e.Value, e.Kind, e.Left, e.Age, e.Created.Format("05.000000"), e.Tags, ok, text(err))
	})
}

func (f *fleet) doSet(*rapid.T) {
	key, v := f.key(), f.draws().drawValue()
	opts, ttl, tags := f.draws().setOptions(true)
	f.do(fmt.Sprintf("Set(%d, %v, ttl %v, tags %v)", key, v, ttl, tags), func(ctx context.Context, s subject) string {
		return text(s.Set(ctx, key, v, opts...))
	})
}

func (f *fleet) doSetMany(*rapid.T) {
	vs := map[int]value{}
	for _, k := range f.keysOf() {
		vs[k] = f.draws().drawValue()
	}
	opts, ttl, tags := f.draws().setOptions(true)
	f.do(fmt.Sprintf("SetMany(%v, ttl %v, tags %v)", vs, ttl, tags), func(ctx context.Context, s subject) string {
		return text(s.SetMany(ctx, vs, opts...))
	})
}

func (f *fleet) doSetNone(*rapid.T) {
	key := f.key()
	opts, ttl, tags := f.draws().setOptions(true)
	f.do(fmt.Sprintf("SetNone(%d, ttl %v, tags %v)", key, ttl, tags), func(ctx context.Context, s subject) string {
		return text(s.SetNone(ctx, key, opts...))
	})
}

func (f *fleet) doSetIfAbsent(*rapid.T) {
	key, v := f.key(), f.draws().drawValue()
	opts, ttl, tags := f.draws().setOptions(true)
	f.do(fmt.Sprintf("SetIfAbsent(%d, %v, ttl %v, tags %v)", key, v, ttl, tags), func(ctx context.Context, s subject) string {
		ok, err := s.SetIfAbsent(ctx, key, v, opts...)
		return fmt.Sprintf("%v, %s", ok, text(err))
	})
}

// drop deletes entries that have no effect any more but are still present.
func (f *fleet) drop(keys ...int) {
	if !f.gone {
		return
	}
	for _, key := range keys {
		if _, ok, _ := f.peers[0].procs[0].Peek(context.Background(), key); ok {
			for _, p := range f.peers[1:] {
				p.procs[0].Peek(context.Background(), key)
			}
			continue
		}
		for i, p := range f.peers {
			if i > 0 {
				p.procs[0].Peek(context.Background(), key)
			}
			p.procs[0].Delete(context.Background(), key)
		}
	}
	synctest.Wait()
}

func (f *fleet) doUpdate(t *rapid.T) {
	key, v := f.key(), f.draws().drawValue()
	var fail error
	if rapid.IntRange(0, 3).Draw(t, "fails") == 3 {
		fail = errGone
	}
	f.do(fmt.Sprintf("Update(%d) to %v, %v", key, v, fail), func(ctx context.Context, s subject) string {
		var seen []string
		got, err := s.Update(ctx, key, func(old value, ok bool) (value, error) {
			seen = append(seen, fmt.Sprint(old, ok))
			return v, fail
		})
		return fmt.Sprintf("%v, %s, after %v", got, text(err), seen)
	})
}

func (f *fleet) doAdd(t *rapid.T) {
	key, delta := f.key(), rapid.SampledFrom([]int64{-3, 0, 1, 7, 1 << 62}).Draw(t, "delta")
	f.do(fmt.Sprintf("Add(%d, %d)", key, delta), func(ctx context.Context, s subject) string {
		got, err := s.Add(ctx, key, delta)
		return fmt.Sprintf("%v, %s", got, text(err))
	})
}

func (f *fleet) doTouch(*rapid.T) {
	key := f.key()
	opts, ttl, _ := f.draws().setOptions(false)
	f.do(fmt.Sprintf("Touch(%d, ttl %v)", key, ttl), func(ctx context.Context, s subject) string {
		ok, err := s.Touch(ctx, key, opts...)
		return fmt.Sprintf("%v, %s", ok, text(err))
	})
}

func (f *fleet) doDelete(*rapid.T) {
	keys := f.keysOf()
	f.drop(keys...)
	f.do(fmt.Sprintf("Delete(%v)", keys), func(ctx context.Context, s subject) string {
		n, err := s.Delete(ctx, keys...)
		return fmt.Sprintf("%d, %s", n, text(err))
	})
}

func (f *fleet) doDeleteTags(t *rapid.T) {
	tags := rapid.SampledFrom([][]string{{"a"}, {"b"}, {"s"}, {"c", "a"}, {"nobody's"}, nil}).Draw(t, "tags")
	f.gone = f.gone || len(tags) > 0
	f.do(fmt.Sprintf("DeleteTags(%v)", tags), func(ctx context.Context, s subject) string {
		return text(s.DeleteTags(ctx, tags...))
	})
}

func (f *fleet) doClear(*rapid.T) {
	f.drop(0, 1, 2)
	f.do("Clear()", func(ctx context.Context, s subject) string {
		n, err := s.Clear(ctx)
		return fmt.Sprintf("%d, %s", n, text(err))
	})
}

// grain is the unit of all times: Redis may lose a record in its last millisecond.
const grain = 2 * time.Millisecond

// doAdvance lets time pass, often to the exact time of an expiry or just before it.
func (f *fleet) doAdvance(t *rapid.T) {
	to := []time.Duration{2, 68, 70, 72, 998, 1000, 2000, 2998, 3000, 8750, 10_000, 60_000, 3_600_000}
	for i := range to {
		to[i] *= time.Millisecond
	}
	for key := range machineKeys {
		if e, ok := f.entry(key); ok && e.Left != zodiac.Forever {
			to = append(to, e.Left, max(grain, e.Left-grain))
		}
	}
	d := rapid.SampledFrom(to).Draw(t, "for")
	t.Logf("%v pass", d)
	time.Sleep(d)
	synctest.Wait()
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

// comparable returns the counts that do not depend on the place of values.
func (f *fleet) comparable(s zodiac.Stats) zodiac.Stats {
	s.HitMemory, s.HitStore = s.HitMemory+s.HitStore, 0
	s.Evicted, s.Expired, s.Size = 0, 0, 0
	if f.gone || f.validIf && !f.sliding {
		s.Invalid = 0
	}
	return s
}

func (f *fleet) check(t *rapid.T) {
	want := f.comparable(f.total(f.peers[0]))
	for _, p := range f.peers {
		all := f.total(p)
		if got := f.comparable(all); got != want {
			t.Fatalf("Stats() over %s\n = %+v;\nover memory\n = %+v", p.name, got, want)
		}
		if s := sum(all); s.Gets != all.Gets || s.Fetches != all.Fetches {
			t.Fatalf("P30: Stats() over %s = %+v: the sums are %d and %d", p.name, all, s.Gets, s.Fetches)
		}
		if !p.held && all.HitStore != 0 || p.held && !p.near && all.HitMemory != 0 {
			t.Fatalf("Stats() over %s = %+v: hits of absent keys", p.name, all)
		}
	}
	var collected []zodiac.Stats
	for _, p := range f.peers {
		var all zodiac.Stats
		for _, stats := range p.stats {
			all = plus(all, stats())
		}
		collected = append(collected, f.comparable(all))
	}
	if i := slices.IndexFunc(collected, func(s zodiac.Stats) bool { return s != collected[0] }); i >= 0 {
		t.Fatalf("CollectStats over %s\n = %+v;\nover memory\n = %+v", f.peers[i].name, collected[i], collected[0])
	}
}
