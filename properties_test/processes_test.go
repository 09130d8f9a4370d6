package properties_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac"
	"github.com/zodiac-go/zodiac/internal/redistest"
	"github.com/zodiac-go/zodiac/memstore"
	"github.com/zodiac-go/zodiac/redisstore"
	"github.com/zodiac-go/zodiac/storetest/chaos"
)

// A ground is a store that processes may share.
type ground struct {
	name string
	// of memory in front of the store
	front time.Duration
	polls bool // no caller is woken
	// a store, and how other processes open it
	shared func(t *testing.T) (one zodiac.Store, more func() zodiac.Store)
}

func onMemstore(without chaos.Ability) func(*testing.T) (zodiac.Store, func() zodiac.Store) {
	return func(t *testing.T) (zodiac.Store, func() zodiac.Store) {
		s := memstore.New()
		t.Cleanup(func() { s.Close() })
		return s, func() zodiac.Store { return chaos.Without(s, without) }
	}
}

func onRedis(t *testing.T) (zodiac.Store, func() zodiac.Store) {
	c := redistest.Virtual(t)
	open := func() zodiac.Store {
		s := redisstore.New(c)
		t.Cleanup(func() { s.Close() })
		return s
	}
	return open(), open
}

// grounds are all grounds on which processes share leases.
var grounds = []ground{
	{"memstore", 0, false, onMemstore(0)},
	{"polls", 0, true, onMemstore(chaos.Waker | chaos.Bus | chaos.Batcher)},
	{"redis", 0, false, onRedis},
	{"memory-memstore", 20 * time.Second, false, onMemstore(0)},
	{"memory-redis", 20 * time.Second, false, onRedis},
}

// processes are loaders over one store, each as in a process of its own, with a function of its
// own.
type processes struct {
	t      *testing.T
	ground ground
	store  zodiac.Store // as another client sees it
	all    []*stage
	faults []*chaos.Injector // the faults of each process
	closed bool
}

// onProcesses runs play on each ground, in a bubble of its own.
func onProcesses(t *testing.T, n int, c config, play func(p *processes)) {
	t.Helper()
	for _, g := range grounds {
		t.Run(g.name, func(t *testing.T) { g.play(t, n, c, play) })
	}
}

func (g ground) play(t *testing.T, n int, c config, play func(*processes)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := &processes{t: t, ground: g}
		store, open := g.shared(t)
		p.store = store
		if c.ttl == 0 {
			c.ttl = time.Minute
		}
		if g.front != 0 && !c.sliding {
			c.front = min(g.front, c.ttl)
		}
		for range n {
			m := chaos.New(open())
			c.under = m.Store()
			s := newStage(t, c)
			p.faults, p.all = append(p.faults, m), append(p.all, s)
			s.lacks(0) // it begins to receive invalidations
		}
		synctest.Wait()
		defer p.close()
		play(p)
	})
}

// close lets every call come to its end.
func (p *processes) close() {
	for i, s := range p.all {
		p.faults[i].Heal()
		close(s.o.quit)
		if err := s.Close(bg); err != nil && !p.closed {
			p.t.Errorf("Close() = %v", err)
		}
	}
}

// soon lets polling processes notice a change.
func (p *processes) soon() {
	if p.ground.polls {
		time.Sleep(50 * time.Millisecond)
	}
	synctest.Wait()
}

// entryKey is the loaders' store key of key.
const entryKey = "zodiac::subject:1"

// foreignDelete deletes keys as another program does.
func (p *processes) foreignDelete(keys ...string) {
	p.t.Helper()
	var err error
	if r, ok := p.store.(*redisstore.Store); ok {
		err = r.Client().Del(bg, keys...).Err()
	} else {
		_, err = p.store.Delete(bg, keys...)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// begun answers the functions that have begun in all processes, until no process calls a function
// any more.
func (p *processes) begun(id int64) (n int) {
	for {
		synctest.Wait()
		some := false
		for _, s := range p.all {
			for _, c := range s.o.take() {
				c.returns(id)
				n++
				some = true
			}
		}
		if !some {
			return n
		}
	}
}

// none checks that no process has, or gets, an older value.
func (p *processes) none(id int64) {
	p.t.Helper()
	for i, s := range p.all {
		if v, ok, _ := s.Peek(bg, key); ok && v.id == id {
			p.t.Errorf("process %d finds %d, which is older than an invalidation", i, id)
		}
	}
}

// stored checks that key is stored as id and read by all processes.
func (p *processes) stored(id int64) {
	p.t.Helper()
	p.all[0].set(key, id)
	synctest.Wait()
	for _, s := range p.all {
		s.get(key).hasID(id)
	}
}

func (p *processes) counted(i int, want zodiac.Stats) {
	p.t.Helper()
	got := p.all[i].Stats()
	got.HitStore, got.HitMemory = got.HitStore+got.HitMemory, 0
	got.Size, got.Expired, got.Gets, got.Fetches = 0, 0, 0, 0
	got.Missed = 0 // of Peek
	got.Bus = zodiac.BusStats{}
	if got != want {
		p.t.Errorf("process %d: Stats() = %+v; want %+v", i, got, want)
	}
}

// ops adds up how often the operations of a group were called.
func ops(m *chaos.Injector) map[string]int {
	n := map[string]int{}
	for name, of := range map[string][]chaos.Op{
		"reads":   {chaos.Get, chaos.GetData, chaos.GetMany, chaos.GetManyData, chaos.EnsureMany},
		"writes":  {chaos.Set, chaos.SetMany, chaos.Add, chaos.Delete, chaos.Expire, chaos.Clear},
		"acquire": {chaos.Acquire}, "commit": {chaos.Commit}, "abort": {chaos.Abort}, "renew": {chaos.Renew},
	} {
		if calls := m.Calls(of...); calls > 0 {
			n[name] = calls
		}
	}
	return n
}

// since returns the calls that were made after before.
func since(before, after map[string]int) string {
	var s []string
	for _, name := range []string{"reads", "writes", "acquire", "commit", "abort", "renew"} {
		for range after[name] - before[name] {
			s = append(s, name)
		}
	}
	return strings.Join(s, " ")
}

// statsOf returns Stats in which each named field is counted once per occurrence.
func statsOf(fields string) (s zodiac.Stats) {
	of := map[string]*uint64{
		"HitStore": &s.HitStore, "Shared": &s.Shared, "Fetched": &s.Fetched, "Failed": &s.Failed, "Canceled": &s.Canceled, "Stored": &s.Stored,
		"Discarded": &s.Discarded, "Skipped": &s.Skipped, "Uncached": &s.Uncached, "FetchErrors": &s.FetchErrors, "Corrupt": &s.Corrupt,
	}
	for name := range strings.FieldsSeq(fields) {
		*of[name]++
	}
	return s
}
