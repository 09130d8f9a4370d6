package properties_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac"
	"github.com/zodiac-go/zodiac/memstore"
	"github.com/zodiac-go/zodiac/storetest/chaos"
)

// SetIfAbsent reads again under the lease that it takes to replace a useless record. Another caller
// may have stored a value meanwhile.
func TestSetIfAbsentLeavesAWriteInBetween(t *testing.T) {
	onTapped(t, 2, config{tags: []string{"s"}}, func(p *processes, _ []*tapped) {
		a, b := p.all[0], p.all[1]
		a.set(key, 1)
		if err := a.DeleteTags(bg, "s"); err != nil {
			t.Fatal(err)
		}
		p.faults[0].Observe(func(c chaos.Call) {
			if c.Op == chaos.Acquire {
				b.Set(bg, key, value{id: 9})
			}
		})
		if ok, err := a.SetIfAbsent(bg, key, value{id: 2}); ok || err != nil {
			t.Errorf("SetIfAbsent = %v, %v; want false", ok, err)
		}
		p.faults[0].Observe(nil)
		a.holds(key, 9)
		b.Delete(bg, key)
		theirs := b.get(key) // no lease is left behind
		b.call(key).returns(3)
		theirs.hasID(3)
	})
}

// P24: a life that Touch shortens also ends in the memory of other processes.
func TestP24_TouchElsewhereEndsLivesInMemory(t *testing.T) {
	for _, g := range grounds[3:] {
		t.Run(g.name, func(t *testing.T) {
			g.play(t, 2, config{}, func(p *processes) {
				p.stored(1)
				if ok, err := p.all[0].Touch(bg, key, zodiac.WithTTL(1)); !ok || err != nil {
					t.Fatalf("Touch = %v, %v", ok, err)
				}
				synctest.Wait()
				for _, s := range p.all {
					s.holds(key, 1)
				}
				time.Sleep(time.Second)
				for _, s := range p.all {
					s.lacks(key)
				}
			})
		})
	}
}

// Touch of a value that WithTTLFunc gives no life deletes it.
func TestTouchOverAStoreDeletesAnEntryWithoutLifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		life := time.Minute
		l := zodiac.NewCache[int, int](zodiac.WithName("n"), zodiac.WithStore(memstore.New()), zodiac.WithTTLFunc(func(int, int) time.Duration { return life }))
		defer l.Close(bg)
		if err := l.Set(bg, key, 1); err != nil {
			t.Fatal(err)
		}
		life = 0
		if ok, err := l.Touch(bg, key); ok || err != nil {
			t.Errorf("Touch = %v, %v; want false", ok, err)
		}
		if v, ok, err := l.Peek(bg, key); ok || err != nil {
			t.Errorf("Peek = %d, %v, %v; want nothing", v, ok, err)
		}
		if ok, err := l.SetIfAbsent(bg, key, 2); !ok || err != nil {
			t.Errorf("SetIfAbsent of a value without lifetime = %v, %v; want true, as it is absent", ok, err)
		}
		if v, ok, err := l.Peek(bg, key); ok || err != nil {
			t.Errorf("Peek = %d, %v, %v; want nothing", v, ok, err)
		}
	})
}

// P26, for writes that read: a record that cannot be decoded is absent, and counted.
func TestP26_WritesTreatUndecodableRecordsAsAbsent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		texts := zodiac.NewCache[int, any](zodiac.WithName("n"), zodiac.WithStore(&process{store}))
		numbers := zodiac.NewCache[int, int](zodiac.WithName("n"), zodiac.WithStore(&process{store}), zodiac.IgnoreShape())
		defer texts.Close(bg)
		defer numbers.Close(bg)
		for name, write := range map[string]func() (bool, error){
			"SetIfAbsent": func() (bool, error) { return numbers.SetIfAbsent(bg, key, 7) },
			"Add":         func() (bool, error) { n, err := zodiac.Add(bg, numbers, key, 7); return n == 7, err },
		} {
			if err := texts.Set(bg, key, "text"); err != nil {
				t.Fatal(err)
			}
			before := numbers.Stats().Corrupt
			if ok, err := write(); !ok || err != nil {
				t.Errorf("%s = %v, %v; want true", name, ok, err)
			}
			if n := numbers.Stats().Corrupt; n == before {
				t.Errorf("%s counted nothing as Corrupt", name)
			}
			if v, ok, err := numbers.Peek(bg, key); v != 7 || !ok || err != nil {
				t.Errorf("after %s Peek = %d, %v, %v; want 7", name, v, ok, err)
			}
		}
		texts.Set(bg, key, "text")
		if ok, err := numbers.Touch(bg, key); ok || err != nil {
			t.Errorf("Touch = %v, %v; want false", ok, err)
		}
	})
}

// A named codec is JSON under another name.
type named struct {
	zodiac.Codec
	name string
}

func (c named) Name() string { return c.name }

// P26: a record of another codec is a miss, even if this codec could decode it.
func TestP26_RecordsOfAnotherCodecAreMisses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		var all []*zodiac.Cache[int, int]
		for _, name := range []string{"a", "b"} {
			l := zodiac.NewCache[int, int](zodiac.WithName("n"), zodiac.WithStore(&process{store}), zodiac.WithCodec(named{zodiac.JSON, name}))
			defer l.Close(bg)
			all = append(all, l)
		}
		if err := all[0].Set(bg, key, 1); err != nil {
			t.Fatal(err)
		}
		if v, ok, err := all[1].Peek(bg, key); ok || err != nil {
			t.Errorf("Peek = %d, %v, %v; want nothing", v, ok, err)
		}
		if n := all[1].Stats().Corrupt; n != 1 {
			t.Errorf("%d counted as Corrupt; want 1", n)
		}
	})
}

// A touchy codec panics.
type touchy struct{}

func (touchy) Name() string                { return "touchy" }
func (touchy) Marshal(any) ([]byte, error) { panic("boom") }
func (touchy) Unmarshal([]byte, any) error { panic("boom") }

// P20, P26: a codec that panics is an error of a write, and a miss of a read. The Observer is told.
func TestP20_CodecThatPanicsIsOneThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		good := zodiac.NewCache[int, int](zodiac.WithName("n"), zodiac.WithStore(&process{store}), zodiac.WithCodec(named{zodiac.JSON, "touchy"}))
		defer good.Close(bg)
		var told []error
		seen := observer(func(e zodiac.Event) { told = append(told, e.Err) })
		bad := zodiac.NewCache[int, int](zodiac.WithName("n"), zodiac.WithStore(&process{store}), zodiac.WithCodec(touchy{}), zodiac.WithObserver(seen))
		defer bad.Close(bg)
		if _, ok := errors.AsType[*zodiac.PanicError](bad.Set(bg, key, 1)); !ok {
			t.Error("Set returned no PanicError")
		}
		if err := good.Set(bg, key, 1); err != nil {
			t.Fatal(err)
		}
		told = nil
		if v, ok, err := bad.Peek(bg, key); ok || err != nil {
			t.Errorf("Peek = %d, %v, %v; want nothing", v, ok, err)
		}
		synctest.Wait() // for the Observer
		if len(told) != 1 {
			t.Fatalf("the Observer was told %v; want one fault", told)
		}
		if e, ok := errors.AsType[*zodiac.CodecError](told[0]); !ok || e.Op != "Unmarshal" {
			t.Errorf("the Observer was told %v; want a CodecError of Unmarshal", told[0])
		}
		if n := bad.Stats().Corrupt; n != 1 {
			t.Errorf("%d counted as Corrupt; want 1", n)
		}
	})
}
