package tier

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"
	"weak"
)

// Not every cache is closed. One that nobody uses any more is garbage, although its timer is
// armed.
func TestTierThatNobodyUsesIsGarbage(t *testing.T) {
	tier := newTier(10_000)
	for i := range 1000 {
		putFor(tier, i, i, time.Hour)
		hit(tier, i)
	}
	e := find(tier, tier.Plain(1))
	timer, tierGone, entryGone := tier.janitor.timer, weak.Make(tier), weak.Make(e)
	if timer == nil {
		t.Fatal("the timer is not armed")
	}
	runtime.KeepAlive(e)
	tier, e = nil, nil //nolint:ineffassign // nobody holds them any more
	runtime.GC()
	if tierGone.Value() != nil || entryGone.Value() != nil {
		t.Error("the armed timer keeps the tier or its entries alive")
	}
	if !timer.Stop() {
		t.Error("the timer was not armed")
	}
}

func TestTimerThatOutlivesItsTierDoesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tier := newTier(10)
		putFor(tier, 1, 1, time.Hour)
		gone := weak.Make(tier)
		tier = nil //nolint:ineffassign // nobody holds it any more
		runtime.GC()
		if gone.Value() != nil {
			t.Error("the armed timer keeps the tier alive")
		}
		time.Sleep(2 * time.Hour)
	})
}

// An entry that is out of the tier, and that somebody holds, keeps no other entry alive.
func TestHeldEntryKeepsNoOthersAlive(t *testing.T) {
	for name, empty := range map[string]func(*intTier){
		"cleared": func(tier *intTier) { tier.Clear() },
		"closed":  func(tier *intTier) { tier.Close() },
		"deleted": func(tier *intTier) { remove(tier, 1) },
		"evicted": func(tier *intTier) {
			for i := 10; find(tier, tier.Plain(1)) != nil; i++ {
				put(tier, i, i)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			tier := newTier(4)
			held := put(tier, 1, 1)
			other := weak.Make(put(tier, 2, 2)) // its neighbour
			put(tier, 3, 3)
			empty(tier)
			if find(tier, tier.Plain(1)) != nil {
				t.Fatal("the held entry is still in the tier")
			}
			tier = nil
			runtime.GC()
			if other.Value() != nil {
				t.Error("an entry that is out of the tier keeps another alive")
			}
			runtime.KeepAlive(held)
		})
	}
}
