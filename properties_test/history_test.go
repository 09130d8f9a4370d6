package properties_test

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zodiac-go/zodiac"
	"pgregory.net/rapid"
)

// TestHistory runs a few goroutines on a few keys, in real time, and checks afterwards what each of
// them saw. The law: a read returns the result of one fetch or one write. That fetch or write did
// not begin after the read had ended. It was not invalidated in between, by an operation that began
// after it and returned before the read began (P1, P6, P9). Two functions of a key ran at once only
// if something had happened that permits it (P10). Every call counted once (P30).
//
// The schedule is drawn. The interleaving of the goroutines is not, apart from the places where
// they yield.
func TestHistory(t *testing.T) {
	checkMore(t, 3, func(t *rapid.T) {
		runs := 10 // they all differ
		if testing.Short() {
			runs = 3
		}
		h := drawHistory(t)
		for range runs {
			h.run()
			if why := h.check(); why != "" {
				t.Fatalf("%v\n%s", h, why)
			}
		}
	})
}

// A record is one operation, or one call of the function: when it began and ended on the common
// counter, and the value it read or wrote.
type record struct {
	op         string
	key        int
	begin, end int64
	val        int64 // 0 is nothing
	leader     int64 // of a fetch: the time of the call that began it
	who        int
}

func (r record) String() string {
	if r.op == "fetch" {
		return fmt.Sprintf("[%d–%d] fetch(%d) = %d for the call begun at %d", r.begin, r.end, r.key, r.val, r.leader)
	}
	return fmt.Sprintf("[%d–%d] %s(%d) = %d by %d", r.begin, r.end, r.op, r.key, r.val, r.who)
}

const allKeys = -1 // the key of a record that concerns all keys

func (r record) concerns(key int) bool { return r.key == key || r.key == allKeys }

// The ops of a history. Reads and writes return the value. Invalidations end all values that were
// fetched or written before the invalidation began.
var (
	reads       = map[string]bool{"Get": true, "GetOrFetch": true, "NoWrite": true, "Peek": true, "GetMany": true, "Refresh": true, "Impatient": true}
	writes      = map[string]bool{"Set": true, "SetIfAbsent": true, "Update": true}
	invalidates = map[string]bool{"Set": true, "SetIfAbsent": true, "Update": true, "Delete": true, "DeleteTags": true, "Clear": true, "Refresh": true}
	// Another function may run beside a fetch begun by one of these.
	besides = map[string]bool{"NoWrite": true, "Impatient": true}
)

// checkHistory returns why a history breaks the law, or "".
func checkHistory(ops, fetches []record) string {
	origins := map[int64]record{}
	for _, f := range fetches {
		origins[f.val] = f
	}
	for _, o := range ops {
		if writes[o.op] && o.val > 0 {
			origins[o.val] = o
		}
	}
	for _, r := range ops {
		if reads[r.op] && r.val > 0 {
			if why := checkRead(r, origins, ops); why != "" {
				return why
			}
		}
	}
	return checkOverlaps(ops, fetches)
}

func checkRead(r record, origins map[int64]record, ops []record) string {
	o, ok := origins[r.val]
	if !ok || o.key != r.key || o.begin > r.end {
		return fmt.Sprintf("%v: nobody had returned that: %v", r, o)
	}
	// A fetch is older than an operation that began after the fetch did. A write may have come
	// after every operation that it overlaps.
	since := o.begin
	if writes[o.op] {
		since = o.end
	}
	for _, i := range ops {
		if invalidates[i.op] && i.val != failedOp && i.concerns(r.key) && i.begin > since && i.end < r.begin {
			return fmt.Sprintf("P1: a stale read\n%v\n%v came in between\n%v", o, i, r)
		}
	}
	return ""
}

const failedOp = -1 // the val of an invalidation that changed nothing

// checkOverlaps looks for two functions of a key at once. The flight of each began some time after
// the call that began it. If nothing permits an overlap from the first of these calls until both
// functions ran, the callers should have shared one of them.
func checkOverlaps(ops, fetches []record) string {
	for _, a := range fetches {
		for _, b := range fetches {
			if a.key != b.key || a.begin >= b.begin || b.begin > a.end {
				continue
			}
			if !mayOverlap(ops, a.key, min(a.leader, b.leader), b.begin) {
				return fmt.Sprintf("P10: two fetches at once, for no reason\n%v\n%v", a, b)
			}
		}
	}
	return ""
}

// mayOverlap reports whether something happened that discards a fetch, or runs beside it. A
// DeleteTags may concern all keys.
func mayOverlap(ops []record, key int, from, to int64) bool {
	for _, o := range ops {
		concerns := o.concerns(key) || o.op == "DeleteTags"
		if (invalidates[o.op] || besides[o.op]) && concerns && o.begin < to && o.end > from {
			return true
		}
	}
	return false
}

// A history is a schedule and its outcome.
type history struct {
	opts     []zodiac.Option
	tagOf    func(int) string
	name     string
	workers  [][]task
	yields   int // in the fetch
	counter  atomic.Int64
	values   atomic.Int64
	l        *zodiac.Loader[int, int64]
	ops      [][]record // by worker
	mu       sync.Mutex // guards the field below
	fetched  []record
	keyCount int
}

type task struct {
	op     string
	key    int
	yields int
}

// GoString keeps the log of a failed run short.
func (t task) GoString() string { return fmt.Sprintf("%s(%d)/%d", t.op, t.key, t.yields) }

func (h *history) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, a fetch yields %d times", h.name, h.yields)
	for i, w := range h.workers {
		fmt.Fprintf(&b, "\n%d:", i)
		for _, t := range w {
			fmt.Fprintf(&b, " %#v", t)
		}
	}
	return b.String()
}

func drawHistory(t *rapid.T) *history {
	h := &history{keyCount: rapid.IntRange(1, 3).Draw(t, "keys"), yields: rapid.IntRange(0, 6).Draw(t, "yields")}
	h.drawOptions(t)
	kinds := []string{
		"Get", "Get", "Get", "GetOrFetch", "Peek", "GetMany", "Refresh", "Impatient",
		"Set", "SetIfAbsent", "Update", "Delete", "Delete", "DeleteTags", "Clear", "Touch",
	}
	if !unflagged {
		kinds = append(kinds, "NoWrite")
	}
	tasks := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) task {
		return task{
			rapid.SampledFrom(kinds).Draw(t, "op"), rapid.IntRange(0, h.keyCount-1).Draw(t, "key"),
			rapid.SampledFrom([]int{0, 0, 1, 2, 5}).Draw(t, "yields"),
		}
	}), 5, 50)
	for range rapid.IntRange(2, 4).Draw(t, "workers") {
		h.workers = append(h.workers, tasks.Draw(t, "tasks"))
	}
	return h
}

func (h *history) drawOptions(t *rapid.T) {
	h.name = rapid.SampledFrom([]string{"no tags", "static tags", "tags from the result"}).Draw(t, "tags")
	h.tagOf = func(int) string { return "nobody's" }
	switch h.name {
	case "static tags":
		h.tagOf = func(int) string { return "s" }
		h.opts = append(h.opts, zodiac.WithTags("s"))
	case "tags from the result":
		h.tagOf = func(k int) string { return fmt.Sprint("t", k%2) }
		h.opts = append(h.opts, zodiac.WithTagsFunc(func(k int, _ int64) []string { return []string{h.tagOf(k)} }))
	}
	opts := map[string]zodiac.Option{
		"by text": zodiac.WithKey(strconv.Itoa), "short": zodiac.WithTTL(time.Millisecond),
		"cloned": zodiac.WithClone(func(v int64) int64 { return v }), "small": zodiac.WithCapacity(1),
	}
	for _, name := range sortedNames(opts) {
		if rapid.IntRange(0, 3).Draw(t, name) == 3 {
			h.opts, h.name = append(h.opts, opts[name]), h.name+", "+name
		}
	}
}

type beganAt struct{}

func (h *history) fetch(ctx context.Context, key int) (int64, error) {
	r := record{op: "fetch", key: key, begin: h.counter.Add(1), val: h.values.Add(1)}
	r.leader, _ = ctx.Value(beganAt{}).(int64)
	yield(h.yields)
	r.end = h.counter.Add(1)
	h.mu.Lock()
	h.fetched = append(h.fetched, r)
	h.mu.Unlock()
	return r.val, nil
}

func yield(n int) {
	for range n {
		runtime.Gosched()
	}
}

// run carries out the schedule once, from an empty cache.
func (h *history) run() {
	h.l = zodiac.NewLoader(h.fetch, h.opts...)
	h.ops, h.fetched = make([][]record, len(h.workers)+1), nil
	var wg sync.WaitGroup
	for i, tasks := range h.workers {
		wg.Go(func() {
			for _, t := range tasks {
				yield(t.yields)
				h.do(i, t)
			}
		})
	}
	wg.Wait()
	for k := range h.keyCount { // the values left at the end must be explained too
		h.do(len(h.workers), task{op: "Peek", key: k})
	}
	h.l.Close(bg)
}

// do carries out one operation and records it.
func (h *history) do(who int, t task) {
	r := record{op: t.op, key: t.key, who: who, begin: h.counter.Add(1)}
	ctx := context.WithValue(bg, beganAt{}, r.begin)
	var err error
	switch t.op {
	case "Get":
		r.val, err = h.l.Get(ctx, t.key)
	case "Refresh":
		r.val, err = h.l.Refresh(ctx, t.key)
	case "GetOrFetch":
		r.val, err = h.l.GetOrFetch(ctx, t.key, h.fetch)
	case "NoWrite":
		r.val, err = h.l.Get(zodiac.NoWrite(ctx), t.key)
	case "Peek":
		r.val, _, err = h.l.Peek(ctx, t.key)
	case "Impatient":
		r.val, err = h.impatient(ctx, t)
	case "GetMany":
		h.many(ctx, r)
		return
	default:
		h.change(ctx, t, &r)
	}
	r.end = h.counter.Add(1)
	if err != nil {
		r.val = 0
		if invalidates[r.op] {
			r.val = failedOp
		}
	}
	h.ops[who] = append(h.ops[who], r)
}

// impatient is a Get whose caller may leave before its end.
func (h *history) impatient(ctx context.Context, t task) (int64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		yield(t.yields + h.yields/2)
		cancel()
	}()
	return h.l.Get(ctx, t.key)
}

// many makes one record for each key.
func (h *history) many(ctx context.Context, r record) {
	keys := make([]int, h.keyCount)
	for i := range keys {
		keys[i] = i
	}
	vs, _ := h.l.GetMany(ctx, keys)
	r.end = h.counter.Add(1)
	for k, v := range vs {
		r.key, r.val = k, v
		h.ops[r.who] = append(h.ops[r.who], r)
	}
}

// change is an operation that writes or invalidates.
func (h *history) change(ctx context.Context, t task, r *record) {
	v := h.values.Add(1)
	switch t.op {
	case "Set":
		h.l.Set(ctx, t.key, v)
		r.val = v
	case "SetIfAbsent":
		r.val = failedOp
		if absent, _ := h.l.SetIfAbsent(ctx, t.key, v); absent {
			r.val = v
		}
	case "Update":
		r.val = failedOp
		if _, err := h.l.Update(ctx, t.key, func(int64, bool) (int64, error) { return v, nil }); err == nil {
			r.val = v
		}
	case "Delete":
		h.l.Delete(ctx, t.key)
	case "DeleteTags":
		h.l.DeleteTags(ctx, h.tagOf(t.key))
		h.spread(t, r)
	case "Clear":
		h.l.Clear(ctx)
		r.key = allKeys
	case "Touch":
		h.l.Touch(ctx, t.key)
	}
}

// spread sets the keys that a DeleteTags concerns.
func (h *history) spread(t task, r *record) {
	switch h.tagOf(t.key) {
	case "s":
		r.key = allKeys
	case "nobody's":
		r.val = failedOp
	}
}

// check checks the last run.
func (h *history) check() string {
	var ops []record
	for _, of := range h.ops {
		ops = append(ops, of...)
	}
	if why := checkHistory(ops, h.fetched); why != "" {
		return why
	}
	return h.checkStats(ops)
}

// checkStats compares the counters, at rest, with the operations.
func (h *history) checkStats(ops []record) string {
	gets := uint64(0)
	for _, o := range ops {
		if reads[o.op] {
			gets++
		}
	}
	st := h.l.Stats()
	if st.Gets != gets || st.Fetches != uint64(len(h.fetched)) || st.Failed+st.Bypassed != 0 || sum(st) != st {
		return fmt.Sprintf("P30: %d reads and %d fetches, but Stats %+v", gets, len(h.fetched), st)
	}
	return ""
}

// The checker itself must find faults. These histories are made by hand.
func TestHistoryCheckerRejectsWhatIsWrong(t *testing.T) {
	fetch := func(begin, end, val int64) record {
		return record{op: "fetch", key: 1, begin: begin, end: end, val: val, leader: begin - 1}
	}
	op := func(op string, begin, end, val int64) record {
		return record{op: op, key: 1, begin: begin, end: end, val: val}
	}
	for name, h := range map[string]struct {
		wrong        string
		ops, fetches []record
	}{
		"fine":                    {"", []record{op("Get", 1, 10, 7)}, []record{fetch(2, 5, 7)}},
		"stale after Delete":      {"P1", []record{op("Delete", 6, 8, 0), op("Get", 9, 10, 7)}, []record{fetch(2, 5, 7)}},
		"stale, fetched across":   {"P1", []record{op("Delete", 3, 4, 0), op("Get", 9, 10, 7)}, []record{fetch(2, 5, 7)}},
		"Delete not yet returned": {"", []record{op("Delete", 3, 12, 0), op("Get", 9, 10, 7)}, []record{fetch(2, 5, 7)}},
		"Delete began before":     {"", []record{op("Delete", 1, 4, 0), op("Get", 9, 10, 7)}, []record{fetch(2, 5, 7)}},
		"Get began before":        {"", []record{op("Get", 1, 10, 7), op("Delete", 3, 4, 0)}, []record{fetch(2, 5, 7)}},
		"stale after Set":         {"P1", []record{op("Set", 6, 7, 9), op("Get", 9, 10, 7)}, []record{fetch(2, 5, 7)}},
		"the Set itself":          {"", []record{op("Set", 6, 7, 9), op("Get", 9, 10, 9)}, nil},
		"older Set":               {"P1", []record{op("Set", 1, 2, 8), op("Set", 6, 7, 9), op("Get", 9, 10, 8)}, nil},
		"Sets that overlap":       {"", []record{op("Set", 1, 4, 8), op("Set", 3, 7, 9), op("Get", 9, 10, 8)}, nil},
		"stale after Clear":       {"P1", []record{{op: "Clear", key: allKeys, begin: 6, end: 7}, op("Get", 9, 10, 7)}, []record{fetch(2, 5, 7)}},
		"Clear of another key":    {"", []record{{op: "Delete", key: 2, begin: 6, end: 7}, op("Get", 9, 10, 7)}, []record{fetch(2, 5, 7)}},
		"failed Refresh":          {"", []record{op("Refresh", 6, 7, failedOp), op("Get", 9, 10, 7)}, []record{fetch(2, 5, 7)}},
		"stale after Refresh":     {"P1", []record{op("Refresh", 6, 9, 8), op("Peek", 10, 11, 7)}, []record{fetch(2, 5, 7), fetch(7, 8, 8)}},
		"from nowhere":            {"nobody", []record{op("Get", 1, 2, 7)}, nil},
		"from the future":         {"nobody", []record{op("Get", 1, 2, 7)}, []record{fetch(4, 5, 7)}},
		"of another key":          {"nobody", []record{{op: "Get", key: 2, begin: 1, end: 9, val: 7}}, []record{fetch(4, 5, 7)}},
		"two at once":             {"P10", []record{op("Get", 1, 9, 7)}, []record{fetch(2, 5, 7), fetch(3, 6, 8)}},
		"two, one discarded":      {"", []record{op("Get", 1, 9, 7), op("Delete", 2, 3, 0)}, []record{fetch(2, 6, 7), fetch(4, 7, 8)}},
	} {
		why := checkHistory(h.ops, h.fetches)
		if (why == "") != (h.wrong == "") || !strings.Contains(why, h.wrong) {
			t.Errorf("%s: found %q; want %q", name, why, h.wrong)
		}
	}
}
