package properties_test

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac"
	"github.com/zodiac-go/zodiac/memstore"
	"github.com/zodiac-go/zodiac/storetest/chaos"
)

// Over a store without leases, Update used to end in ErrBusy if there was a useless record: it
// tried to add one beside it.
func TestUpdateOverABareStoreReplacesAUselessRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := zodiac.NewCache[string, int64](zodiac.WithName("n"), zodiac.WithTags("t"), zodiac.WithStore(chaos.Bare(memstore.New())))
		defer l.Close(bg)
		if err := l.Set(bg, "k", 5); err != nil {
			t.Fatal(err)
		}
		if err := l.DeleteTags(bg, "t"); err != nil {
			t.Fatal(err)
		}
		if n, err := zodiac.Add(bg, l, "k", 3); n != 3 || err != nil {
			t.Errorf("Add = %d, %v; want 3", n, err)
		}
		if n, ok, err := l.Peek(bg, "k"); n != 3 || !ok || err != nil {
			t.Errorf("Peek = %d, %v, %v; want 3", n, ok, err)
		}
	})
}

// Update over a store calls fn again after a write in between, by any process.
func TestUpdateOverAStoreSeesWritesInBetween(t *testing.T) {
	onProcesses(t, 2, config{}, func(p *processes) {
		a, b := p.all[0], p.all[1]
		a.set(key, 1)
		var seen []int64
		v, err := a.Update(bg, key, func(old value, _ bool) (value, error) {
			switch seen = append(seen, old.id); len(seen) {
			case 1:
				b.set(key, 5)
			case 2:
				b.Delete(bg, key)
			}
			return value{id: old.id + 10}, nil
		})
		if v.id != 10 || err != nil || !slices.Equal(seen, []int64{1, 5, 0}) {
			t.Errorf("Update = %v, %v after it saw %v; want 10 after 1, 5 and nothing", v, err, seen)
		}
		synctest.Wait()
		b.holds(key, 10)
	})
}

// Without leases, an Update of an absent key replaces no record that was stored in between.
func TestUpdateOverABareStoreSeesWritesInBetween(t *testing.T) {
	guarded[1].play(t, 2, config{}, func(p *processes) {
		a, b := p.all[0], p.all[1]
		v, err := a.Update(bg, key, func(old value, ok bool) (value, error) {
			if !ok {
				b.set(key, 5)
			}
			return value{id: old.id + 10}, nil
		})
		if v.id != 15 || err != nil {
			t.Errorf("Update = %v, %v; want 15", v, err)
		}
		b.holds(key, 15)
	})
}

// P23: the duration of an Add is subtracted from the number's time left.
func TestP23_AddOverAStoreLengthensNoLife(t *testing.T) {
	onTapped(t, 1, config{}, func(p *processes, _ []*tapped) {
		s := p.all[0]
		s.set(key, 1, zodiac.WithTTL(10), zodiac.WithTags("a"))
		// the tag's generation is read twice
		p.faults[0].Delay(300*time.Millisecond, chaos.GetMany, chaos.Commit)
		if v, err := s.Add(bg, key, 1); v.id != 2 || err != nil {
			t.Fatalf("Add = %v, %v", v, err)
		}
		p.faults[0].Heal()
		if e, ok, err := s.Entry(bg, key); !ok || err != nil || e.Left > 10*time.Second-600*time.Millisecond {
			t.Errorf("Entry = %+v, %v, %v; want at most 9.4s left", e, ok, err)
		}
	})
}

// P6: a value that Update made is not found after a DeleteTags that came after the old value was
// read, whatever the origin of the tag. The function is called again, or the new value is gone like
// the old one.
func TestP6_UpdateOutlivesNoDeleteTags(t *testing.T) {
	stores := map[string]func(zodiac.Store) zodiac.Store{
		"memory": nil,
		"leases": func(s zodiac.Store) zodiac.Store { return s },
		"bare":   chaos.Bare,
	}
	given := map[string]struct {
		opts []zodiac.Option
		sets []zodiac.SetOption
	}{
		"by the loader":   {[]zodiac.Option{zodiac.WithTags("x")}, nil},
		"with the value":  {nil, []zodiac.SetOption{zodiac.WithTags("x")}},
		"by the function": {[]zodiac.Option{zodiac.WithTagsFunc(func(int, int) []string { return []string{"x"} })}, nil},
	}
	updates := map[string]func(c *zodiac.Cache[int, int], during func()) (int, error){
		"Update": func(c *zodiac.Cache[int, int], during func()) (int, error) {
			return c.Update(bg, key, func(old int, ok bool) (int, error) {
				during()
				return old + 1, nil
			})
		},
		"an Add": func(c *zodiac.Cache[int, int], during func()) (int, error) {
			go func() {
				time.Sleep(time.Second) // once it has read
				during()
			}()
			return zodiac.Add(bg, c, key, 1)
		},
	}
	for where, wrap := range stores {
		for who, g := range given {
			for how, update := range updates {
				if wrap == nil && how == "an Add" {
					continue // which takes no time
				}
				t.Run(where+"/"+who+"/"+how, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						opts := append([]zodiac.Option{zodiac.WithName("n"), zodiac.WithTTL(60)}, g.opts...)
						faults := chaos.New(memstore.New())
						if wrap != nil {
							faults = chaos.New(wrap(memstore.New()))
							opts = append(opts, zodiac.WithStore(faults.Store()), zodiac.WithStoreTimeout(10))
						}
						defer faults.Store().Close()
						c := zodiac.NewCache[int, int](opts...)
						defer c.Close(bg)
						if err := c.Set(bg, key, 5, g.sets...); err != nil {
							t.Fatal(err)
						}
						if how == "an Add" {
							faults.Delay(2*time.Second, chaos.Commit, chaos.Set, chaos.Add)
						}
						once := sync.OnceFunc(func() {
							faults.Heal()
							if err := c.DeleteTags(bg, "x"); err != nil {
								t.Error(err)
							}
						})
						sum, err := update(c, once)
						if err != nil {
							t.Errorf("it returned %d, %v", sum, err)
						}
						synctest.Wait()
						if v, ok, err := c.Peek(bg, key); v > 1 || err != nil {
							t.Errorf("after %d was returned, Peek = %d, %v, %v; want nothing, or 1", sum, v, ok, err)
						}
					})
				})
			}
		}
	}
}
