package properties_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac"
	"github.com/zodiac-go/zodiac/storetest/chaos"
)

// P6: a tag does not revoke leases. A value fetched before the tag was deleted used to be for later
// callers too, if it was not to be stored, or was to replace a record: the store accepts the
// tombstone of such a result.
func TestP6_ResultThatIsNotStoredIsNotForCallersAfterDeleteTags(t *testing.T) {
	needsModes(t)
	const skipped = 3 * 48
	for began, begin := range beginners {
		t.Run(began, func(t *testing.T) {
			onProcesses(t, 2, config{tags: []string{"s"}, skipIf: true}, func(p *processes) {
				a, b := p.all[0], p.all[1]
				old := a.get(key, begin)
				running := a.call(key)
				if err := b.DeleteTags(bg, "s"); err != nil {
					t.Fatal(err)
				}
				late := a.get(key)
				for _, c := range a.o.take() { // it need not join
					c.returns(2)
				}
				running.returns(skipped)
				old.hasID(skipped)
				p.begun(2)
				late.hasID(2)
			})
		})
	}
}

// P6: if a tag's generation could not be read, before the function or after it, nobody knows
// whether the tag was deleted meanwhile. The value is not stored, and is for earlier callers.
func TestP6_ValueFetchedWhileTagsCannotBeReadIsNotStored(t *testing.T) {
	const tagged, skipped = 4 + 192, 3 * 48 // WithTagsFunc gives the first one "a"
	reads := []chaos.Op{chaos.Get, chaos.GetMany, chaos.EnsureMany, chaos.GetData, chaos.GetManyData}
	for _, c := range []config{{tags: []string{"s"}, skipIf: true}, {tagsFunc: true, skipIf: true}} {
		for _, when := range []string{"before", "after"} {
			for _, id := range []int64{tagged, skipped} {
				t.Run(fmt.Sprintf("%v/%s/%d", c.tagsFunc, when, id), func(t *testing.T) {
					onTapped(t, 2, c, func(p *processes, _ []*tapped) {
						a, b := p.all[0], p.all[1]
						if when == "before" {
							p.faults[0].Observe(func(c chaos.Call) {
								if c.Op == chaos.Acquire {
									p.faults[0].Fail(errGone, reads...)
								}
							})
						}
						old := a.get(key)
						running := a.call(key)
						p.faults[0].Observe(nil)
						p.faults[0].Heal()
						if err := b.DeleteTags(bg, "s", "a"); err != nil {
							t.Fatal(err)
						}
						late := a.get(key)
						if when == "after" {
							p.faults[0].Fail(errGone, reads...)
						}
						running.returns(id)
						old.hasID(id)
						p.faults[0].Heal()
						if st := a.Stats(); id == tagged && (st.Uncached != 1 || st.Discarded != 0) {
							t.Errorf("Stats() = %+v; want one that could not be stored", st)
						}
						p.begun(1)
						time.Sleep(time.Second)
						p.begun(1)
						late.hasID(1)
						p.none(id)
					})
				})
			}
		}
	}
}

// P6: a result whose tags could not be read after the function is not stored without them.
func TestP6_ResultIsNotStoredWithoutItsTags(t *testing.T) {
	const tagged = 4 + allTraits
	onTapped(t, 1, config{tagsFunc: true}, func(p *processes, _ []*tapped) {
		s := p.all[0]
		mine := s.get(key)
		running := s.call(key)
		p.faults[0].Fail(errGone, chaos.EnsureMany)
		running.returns(tagged)
		mine.hasID(tagged)
		p.faults[0].Heal()
		s.lacks(key)
		if st := s.Stats(); st.Uncached != 1 {
			t.Errorf("Stats() = %+v; want one that could not be stored", st)
		}
	})
}

// P6: DeleteTags removes the epoch first, then the generations. Only then the epoch and the tags
// that all entries have get new ones.
func TestP6_DeleteTagsRemovesTheEpochFirst(t *testing.T) {
	onTapped(t, 1, config{tags: []string{"s"}, tagsFunc: true}, func(p *processes, _ []*tapped) {
		s := p.all[0]
		s.set(key, 4) // has "a" too
		const prefix, epoch = "zodiac::%tag:subject:", "zodiac::%epoch:subject"
		var set []string
		p.faults[0].Observe(func(c chaos.Call) {
			set = append(set, string(c.Op))
			set = append(set, c.Keys...)
		})
		if err := s.DeleteTags(bg, "unknown", "s", "a"); err != nil {
			t.Fatal(err)
		}
		p.faults[0].Observe(nil)
		if want := []string{
			"Delete", epoch, "Delete", prefix + "unknown", prefix + "s", prefix + "a", "Publish", "EnsureMany", prefix + "s", epoch,
		}; !slices.Equal(set, want) {
			t.Errorf("sent %q; want %q", set, want)
		}
	})
}

// P7: two processes that give a tag its first generation at the same time agree on one.
func TestP7_FirstGenerationOfATagIsOne(t *testing.T) {
	onTapped(t, 2, config{tags: []string{"s"}, tagsFunc: true}, func(p *processes, _ []*tapped) {
		a, b := p.all[0], p.all[1]
		p.faults[0].Observe(func(c chaos.Call) {
			if c.Op == chaos.EnsureMany {
				b.Set(bg, 2, value{id: 4 + allTraits})
			}
		})
		a.set(key, 4+allTraits)
		p.faults[0].Observe(nil)
		for _, s := range p.all {
			s.holds(key, 4+allTraits)
			s.holds(2, 4+allTraits)
		}
	})
}

// P6: a tag that only the result has may have been deleted during the fetch. Then the result is not
// stored, and is for earlier callers.
func TestP6_ResultIsNotStoredIfItsTagWasDeletedMeanwhile(t *testing.T) {
	const tagged = 4 + allTraits // WithTagsFunc gives it "a"
	for _, known := range []bool{false, true} {
		t.Run(fmt.Sprint(known), func(t *testing.T) {
			onProcesses(t, 2, config{tagsFunc: true}, func(p *processes) {
				a, b := p.all[0], p.all[1]
				if known {
					b.set(2, tagged)
				}
				old := a.get(key)
				running := a.call(key)
				if err := b.DeleteTags(bg, "a"); err != nil {
					t.Fatal(err)
				}
				late := a.get(key)
				running.returns(tagged)
				old.hasID(tagged)
				p.begun(allTraits)
				p.soon()
				p.begun(allTraits)
				late.hasID(allTraits)
				p.none(tagged)
			})
		})
	}
}

// A Set whose tags cannot be read, or are too many, says so and writes nothing.
func TestSetWhoseTagsCannotBeStoredFails(t *testing.T) {
	var told []error
	seen := observer(func(e zodiac.Event) { told = append(told, e.Err) })
	onTapped(t, 1, config{more: []zodiac.Option{zodiac.WithObserver(seen)}}, func(p *processes, _ []*tapped) {
		s := p.all[0]
		many := make([]string, 65)
		for i := range many {
			many[i] = fmt.Sprint(i)
		}
		if _, ok := errors.AsType[*zodiac.SettingError](s.Set(bg, key, value{id: 1}, zodiac.WithTags(many...))); !ok {
			t.Error("Set with 65 tags returned no SettingError")
		}
		p.faults[0].Fail(errGone, chaos.EnsureMany)
		err := s.Set(bg, key, value{id: 1}, zodiac.WithTags("a"))
		if bad, ok := errors.AsType[*zodiac.StoreError](err); !ok || bad.Op != "EnsureMany" || !errors.Is(bad, errGone) {
			t.Errorf("Set = %v; want a StoreError of EnsureMany", err)
		}
		synctest.Wait() // the Observer is told in the background
		if len(told) != 1 {
			t.Errorf("the Observer was told %v; want one fault", told)
		}
		p.faults[0].Heal()
		s.lacks(key)
	})
}

// P6: GetMany finds no entry whose tag was deleted, be it the loader's own tag or the result's.
func TestP6_GetManyFindsNothingWhoseTagWasDeleted(t *testing.T) {
	for _, tag := range []string{"s", "a"} {
		t.Run(tag, func(t *testing.T) {
			onProcesses(t, 2, config{tags: []string{"s"}, tagsFunc: true}, func(p *processes) {
				a, b := p.all[0], p.all[1]
				a.set(key, 4+allTraits) // has "a"
				a.set(2, 8+allTraits)   // has "b"
				a.GetMany(bg, []int{key, 2})
				if err := b.DeleteTags(bg, tag); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				a.o.ready = func(int) readied { return readied{plan: plan{kind: returns, val: value{id: allTraits}}} }
				want := map[int]value{key: {id: allTraits}, 2: {id: 8 + allTraits}}
				if tag == "s" {
					want[2] = value{id: allTraits}
				}
				if got, err := a.GetMany(bg, []int{key, 2}); !maps.Equal(got, want) || err != nil {
					t.Errorf("GetMany after DeleteTags(%s) = %v, %v; want %v", tag, got, err, want)
				}
			})
		})
	}
}
