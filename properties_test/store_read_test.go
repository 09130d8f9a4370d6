package properties_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac"
	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/memstore"
	"github.com/zodiac-go/zodiac/storetest/chaos"
)

// P1: reads of one key are shared by later callers. A caller that arrives during a read waits for
// the next read. It does not get the result of a read before an invalidation that came before the
// caller.
func TestP1_CallerDuringAReadSharesTheNextRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late := &lateStore{Store: memstore.New()}
		faults := chaos.New(late)
		l := zodiac.NewCache[int, int](zodiac.WithName("n"), zodiac.WithStore(faults.Store()))
		defer l.Close(bg)
		peek := func() chan result {
			return spawn(func() result {
				v, _, err := l.Peek(bg, key)
				return result{val: value{id: int64(v)}, err: err}
			})
		}
		if err := l.Set(bg, key, 1); err != nil {
			t.Fatal(err)
		}
		held := make(chan struct{})
		late.held.Store(&held)
		first := peek()
		synctest.Wait() // it has read 1, and waits for the reply
		late.held.Store(nil)
		if err := l.Set(bg, key, 2); err != nil {
			t.Fatal(err)
		}
		var others []chan result
		for range 5 {
			others = append(others, peek())
		}
		synctest.Wait()
		close(held)
		if r := <-first; r.val.id != 1 || r.err != nil {
			t.Errorf("Peek from before = %v", r)
		}
		for _, c := range others {
			if r := <-c; r.val.id != 2 || r.err != nil {
				t.Errorf("Peek after Set(2) = %v; want 2", r)
			}
		}
		if n := faults.Calls(chaos.Get); n != 2 {
			t.Errorf("%d reads; want 2", n)
		}
	})
}

// P19: a shared read does not end with any of its callers, nor with the caller of the read before
// it. Each caller may leave.
func TestP19_LeavingASharedReadDisturbsNobody(t *testing.T) {
	onTapped(t, 1, config{}, func(p *processes, _ []*tapped) {
		s := p.all[0]
		s.set(key, 1)
		p.faults[0].Stall(chaos.Get)
		first := s.get(key)
		impatient, patient := s.get(key), s.get(key)
		first.leaves()
		impatient.leaves()
		patient.waits()
		time.Sleep(10 * time.Millisecond)
		p.faults[0].Heal()
		patient.hasID(1)
		s.calls()
		p.counted(0, statsOf("Canceled Canceled HitStore"))
	})
}

// P16: waiting for a shared read counts as time of the store. A caller is held no longer than
// WithStoreTimeout and the rest of the read before its own.
func TestP16_SharedReadOfAStalledStoreHoldsNobodyLonger(t *testing.T) {
	onTapped(t, 1, config{more: []zodiac.Option{zodiac.WithStoreTimeout(time.Second)}}, func(p *processes, _ []*tapped) {
		s := p.all[0]
		s.o.ready = func(int) readied { return readied{plan: plan{kind: returns, val: value{id: 1}}} }
		p.faults[0].Stall()
		first := s.get(key)
		time.Sleep(100 * time.Millisecond)
		others := s.getters(5)
		time.Sleep(900 * time.Millisecond)
		first.hasID(1)
		time.Sleep(time.Second)
		all(others, valueOf(1))
	})
}

// P29: callers that wait for a read when Close comes get ErrClosed.
func TestP29_WaitersForAReadGetErrClosed(t *testing.T) {
	onTapped(t, 1, config{more: []zodiac.Option{zodiac.FailClosed()}}, func(p *processes, _ []*tapped) {
		s := p.all[0]
		p.closed = true
		p.faults[0].Stall(chaos.Get)
		first, second := s.get(key), s.get(key)
		ctx, cancel := context.WithCancel(bg)
		cancel()
		s.Close(ctx)
		p.faults[0].Heal()
		first.has(outcome{kind: gotError, err: zodiac.ErrClosed})
		second.has(outcome{kind: gotError, err: zodiac.ErrClosed})
		s.calls()
	})
}

// P23, P24: no entry lives longer in memory than in the store, however late the replies were.
func TestP24_LateRepliesDoNotLengthenLivesInMemory(t *testing.T) {
	for name, fill := range map[string]func(s *stage, tap *lateTap){
		"read": func(s *stage, tap *lateTap) { tap.reads.Store(int64(500 * time.Millisecond)); s.holds(key, 1) },
		"many": func(s *stage, tap *lateTap) {
			tap.reads.Store(int64(500 * time.Millisecond))
			s.GetMany(bg, []int{key})
		},
		"commit": func(s *stage, tap *lateTap) {
			tap.commits.Store(int64(500 * time.Millisecond))
			s.Delete(bg, key)
			mine := s.get(key)
			s.call(key).returns(1)
			time.Sleep(500 * time.Millisecond)
			mine.hasID(1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			var taps []*lateTap
			g := ground{"late", time.Minute, false, func(t *testing.T) (zodiac.Store, func() zodiac.Store) {
				s := memstore.New()
				t.Cleanup(func() { s.Close() })
				return s, func() zodiac.Store {
					taps = append(taps, &lateTap{Store: s})
					return taps[len(taps)-1]
				}
			}}
			g.play(t, 2, config{ttl: 2 * time.Second}, func(p *processes) {
				s := p.all[0]
				p.all[1].set(key, 1)
				synctest.Wait()
				began := time.Now()
				fill(s, taps[0])
				taps[0].reads.Store(0)
				time.Sleep(time.Until(began.Add(2*time.Second - 1)))
				s.holds(key, 1)
				if st := s.Stats(); st.HitMemory != 1 {
					t.Errorf("Stats() = %+v; want one hit in memory", st)
				}
				time.Sleep(time.Nanosecond)
				if v, ok, err := s.Peek(bg, key); ok || err != nil {
					t.Errorf("Peek at the end of its life = %v, %v, %v", v, ok, err)
				}
			})
		})
	}
}

// A lateTap is a store whose replies come late.
type lateTap struct {
	*memstore.Store
	reads, commits atomic.Int64 // durations
}

func (s *lateTap) Get(ctx context.Context, key string) (driver.Record, error) {
	late := s.reads.Load()
	r, err := s.Store.Get(ctx, key)
	time.Sleep(time.Duration(late))
	return r, err
}

func (s *lateTap) GetMany(ctx context.Context, keys []string) ([]driver.Record, []error) {
	late := s.reads.Load()
	rs, errs := s.Store.GetMany(ctx, keys)
	time.Sleep(time.Duration(late))
	return rs, errs
}

func (s *lateTap) Commit(ctx context.Context, key, token string, r driver.Record) (bool, error) {
	late := s.commits.Load()
	ok, err := s.Store.Commit(ctx, key, token, r)
	time.Sleep(time.Duration(late))
	return ok, err
}

// P25: a read without the time left uses the store's cheapest command.
func TestP25_PlainReadsDoNotAskForTheTimeLeft(t *testing.T) {
	for _, g := range []ground{grounds[2], grounds[4]} {
		t.Run(g.name, func(t *testing.T) {
			g.play(t, 1, config{}, func(p *processes) {
				s, m := p.all[0], p.faults[0]
				s.set(key, 1)
				s.set(2, 1)
				cheap, dear := m.Calls(chaos.GetData, chaos.GetManyData), m.Calls(chaos.Get, chaos.GetMany)
				s.get(key).hasID(1)
				if _, err := s.GetMany(bg, []int{key, 2}); err != nil {
					t.Fatal(err)
				}
				cheap, dear = m.Calls(chaos.GetData, chaos.GetManyData)-cheap, m.Calls(chaos.Get, chaos.GetMany)-dear
				if g.front == 0 && (cheap != 2 || dear != 0) || g.front != 0 && cheap != 0 {
					t.Errorf("%d reads without the time left, and %d with it", cheap, dear)
				}
			})
		})
	}
}

// P24: a record whose time is over when the reply comes is absent. P23: the time left that Entry
// reports is left when it returns.
func TestP24_RecordThatEndsBeforeTheReplyIsAbsent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tap := &lateTap{Store: memstore.New()}
		l := zodiac.NewCache[int, int](zodiac.WithName("n"), zodiac.WithTTL(10), zodiac.WithStore(tap))
		defer l.Close(bg)
		l.Set(bg, key, 1, zodiac.WithTTL(0.1))
		l.Set(bg, 2, 1)
		tap.reads.Store(int64(100 * time.Millisecond))
		if v, ok, err := l.Peek(bg, key); ok || err != nil {
			t.Errorf("Peek = %d, %v, %v; want nothing", v, ok, err)
		}
		if e, ok, err := l.Entry(bg, 2); !ok || err != nil || e.Left != 9800*time.Millisecond {
			t.Errorf("Entry = %+v, %v, %v; want 9.8s left", e, ok, err)
		}
	})
}

// P25: a hit under NoWrite does not extend a sliding life. Any other hit does.
func TestP25_HitUnderNoWriteDoesNotSlide(t *testing.T) {
	needsModes(t)
	onTapped(t, 1, config{sliding: true, ttl: 10 * time.Second}, func(p *processes, _ []*tapped) {
		s := p.all[0]
		s.set(key, 1)
		time.Sleep(5 * time.Second)
		for _, c := range []struct {
			under func(context.Context) context.Context
			left  time.Duration
		}{{underNoWrite, 5 * time.Second}, {inPlain, 10 * time.Second}} {
			s.get(key, c.under).hasID(1)
			synctest.Wait()
			r, err := p.store.Get(bg, entryKey)
			if err != nil || r.TTL != c.left {
				t.Errorf("%v are left, %v; want %v", r.TTL, err, c.left)
			}
		}
	})
}

// P25: a hit extends a sliding life only once an eighth of it has gone by.
func TestP25_HitSlidesOnlyAgedEntries(t *testing.T) {
	for _, g := range grounds[:3] {
		t.Run(g.name, func(t *testing.T) {
			g.play(t, 1, config{sliding: true, ttl: 8 * time.Second}, func(p *processes) {
				s, m := p.all[0], p.faults[0]
				s.set(key, 1)
				for _, want := range []string{"reads", "reads writes"} {
					before := ops(m)
					s.get(key).hasID(1)
					synctest.Wait()
					if sent := since(before, ops(m)); sent != want {
						t.Errorf("it sent %q; want %q", sent, want)
					}
					time.Sleep(time.Second + time.Millisecond)
				}
			})
		})
	}
}

// P16: a call whose context has ended sends nothing.
func TestP16_EndedContextsSendNothing(t *testing.T) {
	onTapped(t, 1, config{}, func(p *processes, _ []*tapped) {
		s := p.all[0]
		ctx, cancel := context.WithCancel(bg)
		cancel()
		before := ops(p.faults[0])
		s.Peek(ctx, key)
		s.Entry(ctx, key)
		s.Get(ctx, key)
		if sent := since(before, ops(p.faults[0])); sent != "" {
			t.Errorf("it sent %q", sent)
		}
	})
}

// P25: a caller that joins a running fetch sends nothing.
func TestP25_JoiningSendsNothing(t *testing.T) {
	onTapped(t, 1, config{}, func(p *processes, _ []*tapped) {
		s := p.all[0]
		mine := s.get(key)
		running := s.call(key)
		before := ops(p.faults[0])
		others := s.getters(3)
		if sent := since(before, ops(p.faults[0])); sent != "" {
			t.Errorf("it sent %q", sent)
		}
		running.returns(1)
		all(append(others, mine), valueOf(1))
	})
}

// P27: a key too long for a store is stored under its hash. A record with another key's text is a
// miss.
func TestP27_RecordOfAnotherLongKeyIsAMiss(t *testing.T) {
	store := memstore.New()
	defer store.Close()
	c := zodiac.NewCache[string, int64](zodiac.WithName("long"), zodiac.WithStore(store), zodiac.WithTTL(60))
	defer c.Close(bg)
	mine, other := strings.Repeat("a", 600), strings.Repeat("b", 600)
	if err := c.Set(bg, mine, 7); err != nil {
		t.Fatal(err)
	}
	at := func(key string) string { return fmt.Sprintf("zodiac::long:%%sha256-%x", sha256.Sum256([]byte(key))) }
	r, err := store.Get(bg, at(mine))
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Set(bg, at(other), r); err != nil { // as if they had the same hash
		t.Fatal(err)
	}
	if v, ok, err := c.Peek(bg, mine); v != 7 || !ok || err != nil {
		t.Errorf("Peek = %d, %v, %v; want 7, true, nil", v, ok, err)
	}
	if v, ok, err := c.Peek(bg, other); ok || err != nil {
		t.Errorf("Peek of another key = %d, %v, %v; want nothing", v, ok, err)
	}
}

// A brisk store reports the time left only if asked for it.
type brisk struct{ *memstore.Store }

func (b *brisk) GetData(ctx context.Context, key string) (driver.Record, error) {
	r, err := b.Get(ctx, key)
	r.TTL = 0
	return r, err
}

func (b *brisk) GetManyData(ctx context.Context, keys []string) ([]driver.Record, []error) {
	records, errs := b.GetMany(ctx, keys)
	for i := range records {
		records[i].TTL = 0
	}
	return records, errs
}

// ValidIf is told the time left, though a store can be cheaper to read without.
func TestValidIfIsToldTheTimeLeft(t *testing.T) {
	store := memstore.New()
	defer store.Close()
	c := zodiac.NewCache[string, int64](zodiac.WithName("valid"), zodiac.WithStore(&brisk{store}), zodiac.WithTTL(60),
		zodiac.ValidIf(func(_ string, e zodiac.Entry[int64]) bool { return e.Left > 30*time.Second }))
	defer c.Close(bg)
	if err := c.Set(bg, "k", 7); err != nil {
		t.Fatal(err)
	}
	fetch := func(context.Context, string) (int64, error) { return 0, errors.New("it is fetched") }
	if v, err := c.GetOrFetch(bg, "k", fetch); v != 7 || err != nil {
		t.Errorf("GetOrFetch = %d, %v; want the value, with a minute left", v, err)
	}
}
