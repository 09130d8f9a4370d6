package properties_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac"
)

// P23: Entry and ValidIf speak of the entry in the store, also where memory in front of it has a
// copy that lives for a shorter time.
func TestP23_CopyInMemoryIsDescribedAsTheStoredEntry(t *testing.T) {
	for _, g := range grounds {
		if g.front == 0 {
			continue
		}
		for how, fill := range map[string]func(p *processes, s *stage){
			"read": func(p *processes, s *stage) {
				p.all[1].set(key, 1, zodiac.WithTags("a"))
				time.Sleep(10 * time.Second)
				s.get(key).hasID(1)
			},
			"many": func(p *processes, s *stage) {
				p.all[1].set(key, 1, zodiac.WithTags("a"))
				time.Sleep(10 * time.Second)
				if vs, err := s.GetMany(bg, []int{key}); vs[key].id != 1 || err != nil {
					t.Errorf("GetMany = %v, %v", vs, err)
				}
			},
			"commit": func(_ *processes, s *stage) {
				mine := s.get(key)
				s.call(key).returns(1)
				mine.hasID(1)
				time.Sleep(10 * time.Second)
			},
		} {
			t.Run(g.name+"/"+how, func(t *testing.T) {
				var asked []zodiac.Entry[int64]
				valid := zodiac.ValidIf(func(_ int, e zodiac.Entry[int64]) bool {
					asked = append(asked, e)
					return true
				})
				g.play(t, 2, config{ttl: time.Minute, tags: []string{"s"}, more: []zodiac.Option{valid}}, func(p *processes) {
					s, began := p.all[0], time.Now()
					fill(p, s)
					synctest.Wait()
					time.Sleep(2 * time.Second)
					hits := s.Stats().HitMemory
					asked = nil
					s.get(key).hasID(1)
					e, ok, err := s.Entry(bg, key)
					if st := s.Stats(); !ok || err != nil || st.HitMemory != hits+2 {
						t.Fatalf("Entry = %+v, %v, %v, Stats() = %+v; want hits in memory", e, ok, err, st)
					}
					if len(asked) != 2 {
						t.Fatalf("ValidIf was asked about %+v; want a Get and an Entry", asked)
					}
					asked = append(asked, zodiac.Entry[int64]{Created: e.Created, Age: e.Age, Left: e.Left})
					for _, e := range asked {
						late := 48*time.Second - e.Left // Redis counts in milliseconds
						if late < 0 || late > time.Millisecond || e.Age != 12*time.Second || !e.Created.Equal(began) {
							t.Errorf("%v left, %v old, created %v after the beginning; want 48s, 12s, 0s", e.Left, e.Age, e.Created.Sub(began))
						}
					}
				})
			})
		}
	}
}

// P23: the time left of an entry that never expires is Forever, also of its copy in memory.
func TestP23_CopyOfWhatNeverExpiresHasForeverLeft(t *testing.T) {
	for _, g := range grounds {
		if g.front == 0 {
			continue
		}
		t.Run(g.name, func(t *testing.T) {
			g.play(t, 1, config{ttl: zodiac.Forever}, func(p *processes) {
				s := p.all[0]
				s.set(key, 1)
				synctest.Wait() // what it has published came back
				for range 2 {
					if e, ok, err := s.Entry(bg, key); !ok || err != nil || e.Left != zodiac.Forever {
						t.Errorf("Entry = %+v, %v, %v; want Forever left", e, ok, err)
					}
				}
				if st := s.Stats(); st.HitMemory != 1 || st.HitStore != 1 {
					t.Errorf("Stats() = %+v; want a hit in the store and one in memory", st)
				}
			})
		})
	}
}
