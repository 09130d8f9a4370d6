package properties_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac"
	"pgregory.net/rapid"
)

// A fleetAction is one kind of step in a history.
type fleetAction struct {
	do      func(*rapid.T)
	methods []string // that it calls
}

// actions returns all kinds of steps.
func (f *fleet) actions() map[string]fleetAction {
	return map[string]fleetAction{
		"get":         {f.doGet, []string{"Get", "GetOrFetch", "Refresh", "Fetch"}},
		"getToo":      {f.doGet, nil},
		"getMany":     {f.doGetMany, []string{"GetMany"}},
		"crowd":       {f.doCrowd, nil},
		"peek":        {f.doPeek, []string{"Peek"}},
		"entry":       {f.doEntry, []string{"Entry"}},
		"set":         {f.doSet, []string{"Set"}},
		"setMany":     {f.doSetMany, []string{"SetMany"}},
		"setNone":     {f.doSetNone, []string{"SetNone"}},
		"setIfAbsent": {f.doSetIfAbsent, []string{"SetIfAbsent"}},
		"update":      {f.doUpdate, []string{"Update"}},
		"add":         {f.doAdd, []string{"Add"}},
		"touch":       {f.doTouch, []string{"Touch"}},
		"delete":      {f.doDelete, []string{"Delete"}},
		"deleteTags":  {f.doDeleteTags, []string{"DeleteTags"}},
		"clear":       {f.doClear, []string{"Clear"}},
		"name":        {f.doName, []string{"Name"}},
		"advance":     {f.doAdvance, nil},
		// after the history, and after every step
		"check": {f.check, []string{"Stats", "CollectStats"}},
	}
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

// A readCall is a call that may fetch.
type readCall struct {
	op       string
	keys     []int
	mode     zodiac.Mode
	patience time.Duration // 0: until the end
}

// drawRead draws a read of key, or of several keys if many.
func (f *fleet) drawRead(key int, many bool) readCall {
	r := readCall{op: "GetMany", mode: f.mode()}
	if many {
		r.keys = f.keysOf()
	} else {
		r.keys = []int{key}
		r.op = rapid.SampledFrom([]string{"Get", "Get", "Get", "GetOrFetch", "Refresh", "Fetch"}).Draw(f.t, "op")
	}
	if many && r.mode.NoRead && r.mode.NoWrite && !r.mode.NoFetch {
		r.mode = zodiac.Mode{} // a panic on the caller's own goroutine ends it, in no order of keys
	}
	r.patience = rapid.SampledFrom([]time.Duration{0, 0, 0, 0, 10 * time.Millisecond, 6 * time.Second}).Draw(f.t, "patience")
	return r
}

// forced reports whether the call does not use what is there, and may store.
func (r readCall) forced() bool { return r.op == "Refresh" || r.mode.NoRead && !r.mode.NoWrite }

func (r readCall) String() string {
	return fmt.Sprintf("%s%v%s for %v", r.op, r.keys, modeName(r.mode), r.patience)
}

// do makes the call, and returns its result as a text.
func (r readCall) do(ctx context.Context, s subject) string {
	if ctx = underMode(ctx, r.mode); r.patience > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, r.patience)
		defer cancel()
	}
	var v value
	var err error
	switch key := 0; r.op {
	case "GetMany":
		return manyText(s.GetMany(ctx, r.keys))
	default:
		key = r.keys[0]
		switch r.op {
		case "Get":
			v, err = s.Get(ctx, key)
		case "GetOrFetch":
			v, err = s.GetOrFetch(ctx, key, "here")
		case "Refresh":
			v, err = s.Refresh(ctx, key)
		case "Fetch":
			v, err = s.Fetch(ctx, key)
		}
	}
	return fmt.Sprintf("%v, %s", v, text(err))
}

func manyText(vs map[int]value, err error) string {
	many, ok := errors.AsType[*zodiac.ManyError[int]](err)
	if !ok {
		return fmt.Sprintf("%v, %s", vs, text(err))
	}
	var errs []string
	for _, k := range keysOf(many.Errors) {
		errs = append(errs, fmt.Sprintf("%d: %s", k, text(many.Errors[k])))
	}
	return fmt.Sprintf("%v, %v, %v", vs, errs, many.Rejected)
}

func (f *fleet) doGet(*rapid.T)     { f.doRead(f.drawRead(f.key(), false)) }
func (f *fleet) doGetMany(*rapid.T) { f.doRead(f.drawRead(0, true)) }

func (f *fleet) doRead(r readCall) {
	f.prepare()
	before := f.skips()
	f.compare(fmt.Sprintf("%v, which would %v", r, f.plans), func(ctx context.Context, _ *peer, s subject) string {
		return r.do(ctx, s)
	})
	f.afterSkip(before)
}

// doCrowd makes calls of one process that begin one after another and may meet. No two events of
// theirs happen at one time.
func (f *fleet) doCrowd(t *rapid.T) {
	f.prepare()
	for k := range f.plans {
		f.plans[k].takes = rapid.SampledFrom([]time.Duration{0, 20 * time.Millisecond, 20 * time.Millisecond, 7 * time.Second}).Draw(t, "takes")
	}
	key := f.key()
	for _, r := range f.plans { // a GetMany may fetch any key
		if p := r.plan; p.kind == returns && (p.val.skip() || p.val.nil || f.ttlFunc && p.val.ttl() == 0) {
			t.Skip("a fetch is skipped: see excuseSkip")
		}
	}
	var rs []readCall
	for i := range rapid.IntRange(2, 4).Draw(t, "callers") {
		r := f.drawRead(key, rapid.IntRange(0, 3).Draw(t, "many") == 3)
		if i < 2 || !r.forced() { // else it discards a fetch that others have joined: see excuseDiscarded
			rs = append(rs, r)
		}
	}
	before := f.skips()
	f.compare(fmt.Sprintf("%v, which would %v", rs, f.plans), func(ctx context.Context, _ *peer, s subject) string {
		texts := make([]string, len(rs))
		var returned []chan result
		for i, r := range rs {
			returned = append(returned, textOf(&texts[i], func() string { return r.do(ctx, s) }))
			time.Sleep(grain)
		}
		for _, r := range returned {
			<-r
		}
		return "\n    " + strings.Join(texts, "\n    ")
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
	f.do(fmt.Sprintf("Entry(%d)", key), func(ctx context.Context, s subject) string {
		e, ok, err := s.Entry(ctx, key)
		if ok && 0 < e.Left && e.Left == in.Left-time.Millisecond { // see excuseMillisecond
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

func (f *fleet) doName(*rapid.T) {
	f.do("Name()", func(_ context.Context, s subject) string { return s.Name() })
}

// doClose closes every process of every peer. Then no method does anything.
func (f *fleet) doClose(*rapid.T) {
	f.close()
	opts := []zodiac.SetOption{zodiac.WithTTL(5), zodiac.WithTags("a")}
	for _, op := range []string{"Get", "GetOrFetch", "Refresh", "Fetch", "GetMany"} {
		f.doRead(readCall{op: op, keys: []int{1}})
	}
	f.do("what a closed one does", func(ctx context.Context, s subject) string {
		var errs []string
		add := func(err error) { errs = append(errs, text(err)) }
		_, ok, err := s.Peek(ctx, 1)
		add(err)
		_, has, err := s.Entry(ctx, 1)
		add(err)
		add(s.Set(ctx, 1, value{id: 1}, opts...))
		add(s.SetMany(ctx, map[int]value{1: {id: 1}}, opts...))
		add(s.SetNone(ctx, 1, opts...))
		added, err := s.SetIfAbsent(ctx, 1, value{id: 1}, opts...)
		add(err)
		_, err = s.Update(ctx, 1, func(v value, _ bool) (value, error) { return v, nil })
		add(err)
		touched, err := s.Touch(ctx, 1)
		add(err)
		n, err := s.Delete(ctx, 1)
		add(err)
		add(s.DeleteTags(ctx, "a"))
		all, err := s.Clear(ctx)
		add(err)
		add(s.Close(ctx))
		return fmt.Sprint(errs, ok, has, added, touched, n, all)
	})
}
