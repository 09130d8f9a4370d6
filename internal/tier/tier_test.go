package tier

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac/internal/coarse"
)

func TestStripesShareTheCapacityEvenly(t *testing.T) {
	for _, test := range []struct{ capacity, stripes int }{
		{1, 1},
		{2, 1},
		{1023, 1},
		{1024, 2},
		{2047, 2},
		{2048, 4},
		{4096, 8},
		{8191, 8},
		{8192, 16},
		{8195, 16},
		{65_536, 16},
		{65_543, 16},
		{262_143, 16},
		{262_144, 32},
		{524_287, 32},
		{1_000_003, 64},
	} {
		tier := newTier(test.capacity)
		if n := len(tier.stripes); n != test.stripes || tier.mask != uint64(n-1) {
			t.Errorf("New(%d) has %d stripes and mask %x; want %d stripes",
				test.capacity, n, tier.mask, test.stripes)
		}
		sum, least, most := 0, test.capacity, 0
		for _, s := range tier.stripes {
			c := s.policy.share
			sum, least, most = sum+c, min(least, c), max(most, c)
		}
		if sum != test.capacity || most-least > 1 {
			t.Errorf("New(%d): shares of stripes from %d to %d, with the sum %d",
				test.capacity, least, most, sum)
		}
	}
}

// A stripe that gets more keys than its share does not evict while another has room.
func TestNothingIsEvictedBelowTheCapacity(t *testing.T) {
	for _, capacity := range []int{1, 2, 1023, 1024, 10_000, 65_536, 1_000_000} {
		if capacity > 20_000 && (testing.Short() || raceEnabled) {
			continue
		}
		tier := newTier(capacity)
		fill(tier, 1, capacity)
		for i := range capacity/3 + 1 { // what a key leaves, another takes
			tier.Delete(new(tier.Plain(i + 1)))
			put(tier, capacity+i+1, 0)
		}
		for i := range capacity {
			if key := capacity + capacity/3 + 1 - i; find(tier, tier.Plain(key)) == nil {
				t.Fatalf("capacity %d: key %d is gone", capacity, key)
			}
		}
		if evicted, _, _ := tier.Stats(); evicted != 0 || tier.Len() != capacity {
			t.Errorf("capacity %d: %d evicted, %d left", capacity, evicted, tier.Len())
		}
		if err := check(tier); err != nil {
			t.Errorf("capacity %d: %v", capacity, err)
		}
	}
}

// A stripe without an entry gets a slot from another if none is free.
func TestEmptyStripeTakesTheSlotOfAnother(t *testing.T) {
	const capacity = 1024
	tier := newTier(capacity)
	var others []int
	for i := 0; tier.Len() < capacity; i++ {
		if key := tier.Plain(i); tier.index(&key) == 0 {
			put(tier, i, i)
		} else {
			others = append(others, i)
		}
	}
	for n, i := range others {
		put(tier, i, i)
		if hit(tier, i) == nil || tier.Len() != capacity {
			t.Fatalf("after %d keys of the other stripe: hit = %v, Len = %d", n+1, hit(tier, i), tier.Len())
		}
	}
	if evicted, _, _ := tier.Stats(); evicted != uint64(len(others)) {
		t.Errorf("%d evicted; want %d", evicted, len(others))
	}
	if err := check(tier); err != nil {
		t.Error(err)
	}
}

func TestEntryIsFoundByKeyOrByText(t *testing.T) {
	plain, text := newTier(10), newTextTier(10)
	store(plain, plain.Plain(7), entryOf(plain, plain.Plain(7), 70, coarse.Never, extra{}))
	store(text, text.Text("7"), entryOf(text, text.Text("7"), 71, coarse.Never, extra{}))
	if e := find(plain, plain.Plain(7)); e == nil || e.Value != 70 || e.Key != 7 {
		t.Errorf("Find(7) = %v; want 70", e)
	}
	if e := find(text, text.Text("7")); e == nil || e.Value != 71 || e.Detail().Text != "7" {
		t.Errorf("Find(text 7) = %v; want 71", e)
	}
	if e := find(text, text.Text("70")); e != nil {
		t.Errorf("Find(text 70) = %v; want nothing", e)
	}
}

func TestHitFindsNothingInATierByTextOrASlowOne(t *testing.T) {
	for name, tier := range map[string]*intTier{
		"text": newTextTier(10),
		"slow": New[int, int](10, false, true, coarse.New()),
	} {
		if e, absent := tier.Hit(7); e != nil || absent {
			t.Errorf("%s: Hit = %v, %v; want nil, false", name, e, absent)
		}
	}
}

func TestHitTellsAbsentFromUndecided(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tier := newTier(10)
		label := &Label{}
		details := map[string]extra{
			"sliding": {Life: time.Hour},
			"none":    {None: errNone},
			"tagged":  {Tags: []Tag{label.Tag()}},
		}
		for name, d := range details {
			store(tier, tier.Plain(1), entryOf(tier, tier.Plain(1), 1, int64(time.Hour), d))
			if e, absent := tier.Hit(1); e != nil || absent {
				t.Errorf("%s: Hit = %v, %v; want nil, false", name, e, absent)
			}
		}
		store(tier, tier.Plain(2), entryOf(tier, tier.Plain(2), 1, coarse.Never, extra{Nil: true}))
		if e, absent := tier.Hit(2); e == nil || absent {
			t.Errorf("nil: Hit = %v, %v; want the entry", e, absent)
		}
		if e, absent := tier.Hit(3); e != nil || !absent {
			t.Errorf("Hit of a key without an entry = %v, %v; want nil, true", e, absent)
		}
		putFor(tier, 4, 1, time.Second)
		time.Sleep(time.Second)
		if e, absent := tier.Hit(4); e != nil || !absent {
			t.Errorf("Hit of an expired entry = %v, %v; want nil, true", e, absent)
		}
	})
}

func TestHitDoesNotAllocate(t *testing.T) {
	type pair struct {
		a int32
		b string
	}
	ints := newTier(10)
	texts := New[string, [64]byte](10, false, false, coarse.New())
	pairs := New[pair, *int](10, false, false, coarse.New())
	putFor(ints, 1, 1, time.Hour)
	put(texts, "a longer key than most", [64]byte{})
	put(pairs, pair{1, "b"}, nil)
	hit(ints, 1) // arms the clock, and that allocates its timer
	for name, f := range map[string]func(){
		"int":    func() { ints.Hit(1) },
		"miss":   func() { ints.Hit(2) },
		"string": func() { texts.Hit("a longer key than most") },
		"struct": func() { pairs.Hit(pair{1, "b"}) },
	} {
		if n := testing.AllocsPerRun(1000, f); n != 0 {
			t.Errorf("%s: %v allocations; want none", name, n)
		}
	}
	ints.clock.Stop()
}

func TestHitSetsTheSeenBitAndFindDoesNot(t *testing.T) {
	tier := newTier(10)
	e := put(tier, 1, 1)
	if e.wasSeen() {
		t.Error("the seen bit is set before a read")
	}
	find(tier, tier.Plain(1))
	if e.wasSeen() {
		t.Error("Find has set the seen bit")
	}
	for range 2 {
		before := e.state.Load()
		hit(tier, 1)
		if after := e.state.Load(); after != before|seen {
			t.Errorf("a hit has changed the state to %b from %b; want %b",
				after, before, before|seen)
		}
	}
}

func TestExpiryIsExactAtTheBoundary(t *testing.T) {
	for _, life := range []time.Duration{
		1, 20 * time.Millisecond,
		99 * time.Millisecond, 100 * time.Millisecond, 101 * time.Millisecond, // around coarse.Slack
		time.Second, time.Hour,
	} {
		for _, ticking := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				tier := newTier(10)
				e := putFor(tier, 1, 1, life)
				time.Sleep(life - 1)
				if ticking { // the coarse time is fresh now, but too close to the expiry to be used
					tier.clock.Exact()
				}
				if hit(tier, 1) != e || !tier.Alive(e) || tier.Expired(e) {
					t.Errorf("life %v: expired a nanosecond too early", life)
				}
				time.Sleep(1 * time.Nanosecond)
				if hit(tier, 1) != nil || tier.Alive(e) || !tier.Expired(e) {
					t.Errorf("life %v: alive at its expiry", life)
				}
			})
		}
	}
}

func TestNilIsNotAlive(t *testing.T) {
	if newTier(1).Alive(nil) {
		t.Error("Alive(nil) = true")
	}
}

func TestClearCountsEntriesThatWereAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tier := newTier(10_000) // it has sixteen stripes
		label := &Label{}
		for i := range 3000 {
			expiry, d := int64(coarse.Never), extra{}
			switch i % 3 {
			case 1:
				expiry = int64(100 * time.Millisecond)
			case 2:
				d.Tags = []Tag{label.Tag()}
			}
			store(tier, tier.Plain(i), entryOf(tier, tier.Plain(i), i, expiry, d))
		}
		label.Advance()
		tier.janitor.timer.Stop() // so that expired entries stay
		time.Sleep(100 * time.Millisecond)
		if n := tier.Len(); n != 3000 {
			t.Fatalf("Len() = %d; want 3000", n)
		}
		if n := tier.Clear(); n != 1000 {
			t.Errorf("Clear() = %d; want 1000, the entries that are alive", n)
		}
		if n := tier.Len(); n != 0 || hit(tier, 0) != nil {
			t.Errorf("Len() = %d after Clear, or Hit finds an entry", n)
		}
		put(tier, 0, 1)
		if err := check(tier); err != nil || hit(tier, 0) == nil {
			t.Errorf("after Clear, a Put has no effect, or: %v", err)
		}
	})
}

func TestClosedTierRefusesEntries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tier := newTier(10)
		putFor(tier, 1, 1, time.Second)
		tier.Close()
		if armed(tier) {
			t.Error("the timer of a closed tier is armed")
		}
		putFor(tier, 2, 1, time.Second)
		if n := tier.Len(); n != 0 || hit(tier, 1) != nil || hit(tier, 2) != nil {
			t.Errorf("a closed tier has %d entries", n)
		}
		if armed(tier) {
			t.Error("a Put has armed the timer of a closed tier")
		}
		key := tier.Plain(1)
		if tier.Swap(&key, nil, entryOf(tier, key, 1, coarse.Never, extra{}), 0) {
			t.Error("Swap = true in a closed tier")
		}
		if remove(tier, 1) || tier.Clear() != 0 {
			t.Error("Delete or Clear has removed an entry of a closed tier")
		}
		tier.Close()
	})
}

func TestRemoveSparesAReplacement(t *testing.T) {
	tier := newTier(10)
	key := tier.Plain(1)
	old := put(tier, 1, 1)
	now := put(tier, 1, 2)
	if tier.Remove(&key, old) || find(tier, key) != now {
		t.Error("Remove of a replaced entry has removed the new one, or returned true")
	}
	if !tier.Remove(&key, now) || find(tier, key) != nil {
		t.Error("Remove has not removed its entry")
	}
	if tier.Remove(&key, now) {
		t.Error("a second Remove = true")
	}
}
