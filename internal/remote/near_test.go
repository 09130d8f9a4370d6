package remote

import (
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/keytext"
	"github.com/zodiac-go/zodiac/internal/tier"
)

func TestTagsThatNoEntryHasAreForgottenInFrontOfAStore(t *testing.T) {
	n := newNear(&Memory{}, time.Second, false)
	names := keytext.NewNames("", "users", "", false)
	kept := &tier.Label{Name: "kept"}
	n.noteTagsLocked(&names, []tier.Tag{kept.Tag()})
	const tags = 10_000
	for i := range tags {
		n.noteTagsLocked(&names, []tier.Tag{(&tier.Label{Name: fmt.Sprint(i)}).Tag()})
		if i%(tags/10) == 0 {
			runtime.GC()
		}
	}
	if len(n.tags) > tags/2 {
		t.Errorf("%d tags are known, though no entry has any of them but one", len(n.tags))
	}
	if l := n.label(hashKey(names.Tag("kept"))); l != kept {
		t.Errorf("the tag that an entry has is %v", l)
	}
	if l := n.label(hashKey(names.Tag("another"))); l != nil {
		t.Errorf("a tag that was never noted is %v", l)
	}
	runtime.KeepAlive(kept)
}

func TestPlacesOfKeysThatMemoryHasNotAreForgotten(t *testing.T) {
	n := newNear(&Memory{Empty: func(place any) bool { return place != "kept" }}, time.Second, false)
	n.noteSlotLocked(hashKey("kept"), "kept")
	for i := range 20 * firstSlotSweep {
		n.noteSlotLocked(hashKey(fmt.Sprint(i)), i)
	}
	if len(n.slots) > 2*firstSlotSweep {
		t.Errorf("%d slots are known, though memory has but one of them", len(n.slots))
	}
	if place, ok := n.slot(hashKey("kept")); place != "kept" || !ok {
		t.Errorf("the place that memory has is %v, %v", place, ok)
	}
}

func TestPlaceIsNotForgottenBeforeMemoryHasTheValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		inMemory := make(map[any]bool)
		c := newClient(t, s, func(cfg *Config) {
			cfg.Memory, cfg.MemoryLife = &Memory{
				Clear:  func() { clear(inMemory) },
				Remove: func(place any) { delete(inMemory, place) },
				Empty:  func(place any) bool { return !inMemory[place] },
			}, time.Minute
		})
		c.FillToken(key)
		synctest.Wait() // it subscribes
		fillOthers := func() {
			for i := range firstSlotSweep {
				other := fmt.Sprint(key, i)
				permits(c, other, c.FillToken(other), i, nil)
			}
		}
		c.Fill(key, c.FillToken(key), "place", nil, func() {
			if c.near.mu.TryLock() { // then fills of other keys, and their sweep, may come in between
				c.near.mu.Unlock()
				fillOthers()
			}
			inMemory["place"] = true
		})
		h := hashKey(key)
		s.deliver(driver.Invalidation{Keys: []string{(&name{keyLetter, c.space, h}).String()}})
		if inMemory["place"] {
			t.Error("a value is in memory after an invalidation was received")
		}
	})
}

func TestTokenIsRevokedAfterAnInvalidationHere(t *testing.T) {
	for name, tt := range map[string]struct {
		invalidate func(c *Client)
		here, mine bool // what the token permits; what it permits after Moved
	}{
		"Nothing":       {func(*Client) {}, true, false},
		"Key":           {func(c *Client) { c.Invalidate(key) }, false, true},
		"KeyTwice":      {func(c *Client) { c.Invalidate(key); c.Invalidate(key) }, false, false},
		"AnotherKey":    {func(c *Client) { c.Invalidate(key + "other") }, true, false},
		"All":           {func(c *Client) { c.InvalidateAll() }, false, true},
		"TagHere":       {func(c *Client) { c.Space.Delete("any") }, false, false},
		"TagHereAndKey": {func(c *Client) { c.Space.Delete("any"); c.Invalidate(key) }, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, _ := subscribed(t, newStore(t))
				token := c.FillToken(key)
				tt.invalidate(c)
				here, mine := permits(c, key, token, "place", nil), permits(c, key, token.Moved(), "place", nil)
				if here != tt.here || mine != tt.mine {
					t.Errorf("Fill has filled: %v, and %v once moved; want %v and %v", here, mine, tt.here, tt.mine)
				}
			})
		})
	}
}

func TestZeroTokenPermitsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := subscribed(t, newStore(t))
		var zero FillToken
		if permits(c, key, zero, "place", nil) || zero.Moved() != zero {
			t.Error("the zero FillToken permits to fill memory, or has moved")
		}
	})
}

func TestMemoryInFrontOfAStoreWithoutABusKeepsEntriesForASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		c, _ := newNearClient(t, s, bare(s))
		token := c.FillToken(key)
		if !permits(c, key, token, "place", nil) || c.NearLife(time.Hour) != lifeWithoutBus {
			t.Errorf("FillToken = %v, NearLife = %v; want a good token, %v", token, c.NearLife(time.Hour), lifeWithoutBus)
		}
		d, _ := newNearClient(t, s)
		if d.NearLife(time.Hour) != time.Minute || d.NearLife(time.Second) != time.Second {
			t.Errorf("NearLife with a Bus = %v", d.NearLife(time.Hour))
		}
	})
}

func TestClientWithoutMemoryHasNoTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		c := newClient(t, s)
		c.Invalidate(key)
		c.InvalidateAll()
		if c.HasMemory() || c.FillToken(key) != (FillToken{}) || s.total() != 0 {
			t.Errorf("HasMemory = %v, FillToken = %v, %d commands", c.HasMemory(), c.FillToken(key), s.total())
		}
	})
}
