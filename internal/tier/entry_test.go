package tier

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/zodiac-go/zodiac/internal/coarse"
	"pgregory.net/rapid"
)

func TestSizesFitCacheLinesAndSizeClasses(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) != 8 {
		t.Skip("the sizes are for 64-bit machines")
	}
	if n := unsafe.Sizeof(Entry[int64, [64]byte]{}); n != 112 {
		t.Errorf("an entry for an int64 and 64 bytes takes %d bytes; want 112", n)
	}
	if n := unsafe.Sizeof(bucket[int64, [64]byte]{}); n != 64 {
		t.Errorf("a bucket takes %d bytes; want 64", n)
	}
	var e Entry[int64, [64]byte]
	if at := unsafe.Offsetof(e.hash) + unsafe.Sizeof(e.hash); at > 64 {
		t.Errorf("the fields that a hit reads end at byte %d; want at most 64", at)
	}
}

func TestPlainEntryHasNoDetail(t *testing.T) {
	tier := newTier(1)
	key := tier.Plain(7)
	if d := tier.NewEntry(&key, 0, false).Detail(); d != nil {
		t.Errorf("Detail() = %v; want nil", d)
	}
	e := tier.NewEntry(&key, 42, true)
	if d := e.Detail(); d == nil || *d.text() != "" || e.Created != 42 || e.Key != 7 {
		t.Errorf("an entry with a Detail is %v with %v; want key 7, created at 42", e, d)
	}
}

func (d *Detail) text() *string { return &d.Text }

// The Detail lies behind the value, whatever the size and the alignment of the value.
func TestDetailsDoNotOverlapValues(t *testing.T) {
	detailOf(t, struct{}{})
	detailOf(t, byte(1))
	detailOf(t, int16(2))
	detailOf(t, "text")
	detailOf(t, [3]byte{1, 2, 3})
	detailOf(t, [100]int64{1, 2, 3})
	detailOf(t, any(1.5))
}

// detailOf fails the test if an entry of value and its Detail overlap.
func detailOf[V comparable](t *testing.T, value V) {
	tier := New[int8, V](1, false, false, coarse.New())
	d := extra{Life: time.Minute, None: errNone, Nil: true}
	e := entryOf(tier, tier.Plain(7), value, 1234, d)
	got := e.Detail()
	same := time.Duration(got.Life.Load()) == d.Life &&
		got.None == d.None && got.Nil //nolint:errorlint // the very error
	if e.Value != value || e.Key != 7 || e.Expiry() != 1234 || !same {
		t.Errorf("the entry of %v is %v with %v; want all that was stored in it", value, e, got)
	}
	e.Use()
	if !e.wasSeen() || e.Detail() != got {
		t.Error("Use has changed more than the seen bit")
	}
}

// In a Tier of copies an entry has an End of its own, with a Detail and without. It takes no more
// than the 8 bytes that it needs.
func TestCopiesHaveAnEndBeyondTheirExpiry(t *testing.T) {
	for _, detailed := range []bool{false, true} {
		tier := newTier(1)
		tier.HoldsCopies()
		key := tier.Plain(7)
		e := tier.NewEntry(&key, 42, detailed)
		e.Value = 5
		e.ExpireAt(1000)
		if e.End() != 1000 || (e.Detail() != nil) != detailed {
			t.Errorf("without an end: End() = %d, Detail() = %v; want its expiry, %v", e.End(), e.Detail(), detailed)
		}
		for _, end := range []int64{2000, coarse.Never} {
			e.SetEnd(end)
			tier.Put(&key, e, 0)
			if e.End() != end || e.Expiry() != 1000 || e.Value != 5 || e.Key != 7 || tier.Find(&key) != e {
				t.Errorf("SetEnd(%d): End() = %d of %+v", end, e.End(), e)
			}
		}
	}
	if e, copied := unsafe.Sizeof(intEntry{}), unsafe.Sizeof(endedEntry[int, int]{}); copied != e+8 {
		t.Errorf("a copy takes %d bytes; want the %d of an entry and 8", copied, e)
	}
}

// An entry that is no copy ends at its expiry. SetEnd leaves a plain one alone.
func TestEntryThatIsNoCopyEndsAtItsExpiry(t *testing.T) {
	tier := newTier(1)
	e := putFor(tier, 7, 5, time.Second)
	e.SetEnd(coarse.Never)
	if e.End() != e.Expiry() || e.Value != 5 {
		t.Errorf("End() = %d of %+v; want its expiry", e.End(), e)
	}
}

func TestFlagsAndSlotDoNotOverlap(t *testing.T) {
	e := new(intEntry)
	for _, slot := range []int{0, 1, 12345, maxSlots - 1} {
		e.setSlot(slot)
		e.setRing(inMain)
		e.Use()
		if e.slot() != slot || e.ring() != inMain || !e.wasSeen() {
			t.Errorf("slot, ring, seen = %[2]d, %[3]x, %[4]v; want %[1]d, main, true",
				slot, e.slot(), e.ring(), e.wasSeen())
		}
		e.clearSeen()
		e.setRing(inWindow)
		if e.slot() != slot || e.ring() != inWindow || e.wasSeen() || e.Detail() != nil {
			t.Errorf("slot, ring, seen = %[2]d, %[3]x, %[4]v; want %[1]d, window, false",
				slot, e.slot(), e.ring(), e.wasSeen())
		}
	}
	e.setSlot(-1)
	if e.slot() != -1 {
		t.Errorf("slot() = %d of an entry without a slot; want -1", e.slot())
	}
}

func TestEntryIsNotCurrentAfterALabelAdvanced(t *testing.T) {
	a, b := &Label{Name: "a"}, &Label{Name: "b"}
	tier := newTier(10)
	e := entryOf(tier, tier.Plain(1), 1, coarse.Never, extra{Tags: []Tag{a.Tag(), b.Tag()}})
	store(tier, tier.Plain(1), e)
	if !e.Current() || !tier.Alive(e) {
		t.Error("the entry is not current or not alive, but no label has advanced")
	}
	b.Advance()
	if e.Current() || tier.Alive(e) || tier.Expired(e) {
		t.Errorf("Current, Alive, Expired = %v, %v, %v after a label advanced; want false, false, false",
			e.Current(), tier.Alive(e), tier.Expired(e))
	}
	if !Current([]Tag{a.Tag(), b.Tag()}) || !Current(nil) {
		t.Error("a tag that was taken after its label advanced is not current")
	}
}

// slidingEntry stores an entry that slides, under key 1.
func slidingEntry(t *intTier, life time.Duration) *intEntry {
	e := entryOf(t, t.Plain(1), 1, t.clock.Now()+int64(life), extra{Life: life})
	store(t, t.Plain(1), e)
	return e
}

func TestEntrySlidesOncePerEighthOfItsLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tier := newTier(10)
		e := slidingEntry(tier, 8*time.Second)
		for _, step := range []struct {
			at   time.Duration // since the start
			want time.Duration
		}{
			{0, 8 * time.Second},
			{time.Second - 1, 8 * time.Second},
			{time.Second, 9 * time.Second},
			{2*time.Second - 1, 9 * time.Second},
			{5 * time.Second, 13 * time.Second},
			{13*time.Second - 1, 21*time.Second - 1},
			{21*time.Second - 1, 21*time.Second - 1}, // it has expired
			{time.Minute, 21*time.Second - 1},
		} {
			time.Sleep(step.at - time.Duration(tier.clock.Now()))
			e.Slide(tier.clock.Now())
			if got := time.Duration(e.Expiry()); got != step.want {
				t.Fatalf("after a use at %v, it expires at %v; want %v", step.at, got, step.want)
			}
		}
	})
}

// Tier.Slide saves reading the exact clock while the coarse one says that an eighth has not
// passed. Its effect is that of Entry.Slide.
func TestTierSlideHasTheEffectOfEntrySlide(t *testing.T) {
	for _, life := range []time.Duration{8, 80 * time.Millisecond, 8 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			tier := newTier(10)
			e, twin := slidingEntry(tier, life), slidingEntry(newTier(10), life)
			for range 100 {
				time.Sleep(life / 8 / time.Duration(1+rand.IntN(3)))
				twin.Slide(tier.clock.Now())
				tier.Slide(e)
				if e.Expiry() != twin.Expiry() {
					t.Fatalf("life %v: after a use at %d, it expires at %d; want %d",
						life, tier.clock.Now(), e.Expiry(), twin.Expiry())
				}
			}
		})
	}
}

// The law: a use never shortens the life of an entry, and never revives it. It extends the life
// to the whole length if an eighth has passed.
func TestSlidingNeverGoesBackwards(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		life := rapid.Int64Range(1, 1_000_000).Draw(t, "life")
		tier := newTier(1)
		e := entryOf(tier, tier.Plain(1), 1, life, extra{Life: time.Duration(life)})
		extended, now := int64(0), int64(0)
		for range 20 {
			// A step is negative if this reader read the clock before the last one did.
			now += rapid.Int64Range(-life/4, life/2).Draw(t, "step")
			before := e.Expiry()
			e.Slide(now)
			after := e.Expiry()
			want := before
			if now < before && now-extended >= life/8 {
				want, extended = now+life, now
			}
			if after < before || after != want {
				t.Fatalf("life %d, last extended at %d: after a use at %d, it expires at %d; before at %d; want %d",
					life, extended, now, after, before, want)
			}
		}
	})
}

func TestConcurrentSlidesNeverShortenALife(t *testing.T) {
	tier := newTier(1)
	const life = 1_000
	steps := int64(500_000_000) // a race here lasts nanoseconds, so it takes many tries to see one
	if raceEnabled || testing.Short() {
		steps /= 10
	}
	e := entryOf(tier, tier.Plain(1), 1, life, extra{Life: life})
	var now atomic.Int64
	var users sync.WaitGroup
	for u := range 4 {
		users.Go(func() {
			last := int64(0)
			for t0 := int64(0); t0 < steps; t0 = now.Load() {
				e.Slide(t0)
				expiry := e.Expiry()
				if expiry < last {
					t.Errorf("after a use at %d, it expires at %d; before, it expired at %d",
						t0, expiry, last)
					now.Store(steps)
				}
				last = expiry
				if u == 0 {
					now.Add(200) // time passes while the others use the entry
				}
			}
		})
	}
	users.Wait()
	if expiry := e.Expiry(); expiry > life+steps {
		t.Errorf("after uses until %d, it expires at %d", steps, expiry)
	}
}
