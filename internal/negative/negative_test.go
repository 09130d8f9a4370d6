package negative_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac/internal/coarse"
	"github.com/zodiac-go/zodiac/internal/negative"
	"github.com/zodiac-go/zodiac/internal/tier"
)

var errDown = errors.New("down")

func TestErrorIsForItsKeyUntilItsExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := coarse.New()
		c := negative.New(10, false, clock)
		defer c.Close()
		one, other := &tier.Key[int]{K: 1, Hash: 7}, &tier.Key[int]{K: 2, Hash: 7}
		negative.Put(c, one, errDown, clock.Now()+int64(time.Second))
		if err := negative.Find(c, one); !errors.Is(err, errDown) {
			t.Errorf("Find = %v; want the error", err)
		}
		if err := negative.Find(c, other); err != nil {
			t.Errorf("Find of another key of the same hash = %v; want nil", err)
		}
		time.Sleep(time.Second - 1)
		if err := negative.Find(c, one); !errors.Is(err, errDown) {
			t.Errorf("Find just before the expiry = %v; want the error", err)
		}
		time.Sleep(time.Nanosecond)
		if err := negative.Find(c, one); err != nil {
			t.Errorf("Find after the expiry = %v; want nil", err)
		}
	})
}

func TestTextIsTheKey(t *testing.T) {
	c := negative.New(10, true, coarse.New())
	defer c.Close()
	negative.Put(c, &tier.Key[string]{Text: "a", Hash: 7}, errDown, coarse.Never)
	if err := negative.Find(c, &tier.Key[string]{Text: "b", Hash: 7}); err != nil {
		t.Errorf("Find of another text of the same hash = %v; want nil", err)
	}
	if err := negative.Find(c, &tier.Key[string]{Text: "a", Hash: 7}); !errors.Is(err, errDown) {
		t.Errorf("Find = %v; want the error", err)
	}
}

func TestForgottenErrorsAreGone(t *testing.T) {
	for name, forget := range map[string]func(*negative.Cache, *tier.Key[int]){
		"Delete": negative.Delete[int],
		"Clear":  func(c *negative.Cache, _ *tier.Key[int]) { c.Clear() },
		"Close":  func(c *negative.Cache, _ *tier.Key[int]) { c.Close() },
	} {
		c, key := negative.New(10, false, coarse.New()), &tier.Key[int]{K: 1, Hash: 7}
		negative.Put(c, key, errDown, coarse.Never)
		forget(c, key)
		if err := negative.Find(c, key); err != nil {
			t.Errorf("Find after %s = %v; want nil", name, err)
		}
		c.Close()
		negative.Put(c, key, errDown, coarse.Never)
		if err := negative.Find(c, key); err != nil {
			t.Errorf("Find after a Put after Close = %v; want nil", err)
		}
	}
}

func TestDeleteForgetsOneKeyAndClearIsNotTheEnd(t *testing.T) {
	c := negative.New(10, false, coarse.New())
	defer c.Close()
	one, other := &tier.Key[int]{K: 1, Hash: 7}, &tier.Key[int]{K: 2, Hash: 8}
	negative.Put(c, one, errDown, coarse.Never)
	negative.Put(c, other, errDown, coarse.Never)
	negative.Delete(c, one)
	if err := negative.Find(c, other); !errors.Is(err, errDown) {
		t.Errorf("Find after Delete of another key = %v; want the error", err)
	}
	c.Clear()
	negative.Put(c, one, errDown, coarse.Never)
	if err := negative.Find(c, one); !errors.Is(err, errDown) {
		t.Errorf("Find after a Put after Clear = %v; want the error", err)
	}
}

func TestCapacityIsUsedAndKept(t *testing.T) {
	const capacity = 4096
	for _, n := range []int{capacity / 2, 2 * capacity} {
		c, found := negative.New(capacity, false, coarse.New()), 0
		key := func(i int) *tier.Key[int] { // hashes that are far apart, as those of a Tier
			return &tier.Key[int]{K: i, Hash: uint64(i+1) * 0x9e3779b97f4a7c15}
		}
		for i := range n {
			negative.Put(c, key(i), errDown, coarse.Never)
		}
		for i := range n {
			if negative.Find(c, key(i)) != nil {
				found++
			}
		}
		if found > capacity || found < min(n, capacity)*9/10 {
			t.Errorf("%d of %d errors are there; the capacity is %d", found, n, capacity)
		}
		c.Close()
	}
}

func TestNilCacheIsEmptyAndCostsNothing(t *testing.T) {
	key := &tier.Key[string]{K: "key", Hash: 7}
	var c *negative.Cache
	allocs := testing.AllocsPerRun(100, func() {
		negative.Put(c, key, errDown, coarse.Never)
		if err := negative.Find(c, key); err != nil {
			t.Errorf("Find = %v; want nil", err)
		}
		negative.Delete(c, key)
		c.Clear()
		c.Close()
	})
	if allocs != 0 {
		t.Errorf("a nil Cache allocates %v times; want never", allocs)
	}
}
