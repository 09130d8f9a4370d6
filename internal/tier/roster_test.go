package tier

import (
	"math/rand/v2"
	"testing"

	"github.com/zodiac-go/zodiac/internal/coarse"
)

// expiring returns an entry that expires at at.
func expiring(at int64) *intEntry {
	e := new(intEntry)
	e.ExpireAt(at)
	return e
}

func newRoster() *roster[int, int] {
	r := new(roster[int, int])
	r.init(func(bool) {})
	return r
}

// all returns the entries that are due, of all chunks.
func (r *roster[K, V]) all(now int64) (dead []*Entry[K, V]) {
	for i := range r.chunks {
		dead = r.due(i, now, dead)
	}
	return dead
}

func TestRosterListsOnlyEntriesThatExpire(t *testing.T) {
	r := newRoster()
	e := expiring(coarse.Never)
	r.add(e)
	r.remove(e)
	if r.n != 0 || len(r.chunks) != 0 || e.slot() != -1 {
		t.Errorf("an entry that never expires is listed, in slot %d", e.slot())
	}
}

func TestRosterFindsTheEntriesThatAreDue(t *testing.T) {
	r := newRoster()
	random := rand.New(rand.NewPCG(1, 2))
	on := map[*intEntry]bool{}
	for range 20_000 {
		switch random.IntN(3) {
		case 0, 1:
			e := expiring(random.Int64N(1000))
			r.add(e)
			on[e] = true
		default:
			for e := range on {
				r.remove(e)
				r.remove(e) // has no effect
				delete(on, e)
				break
			}
		}
	}
	for now := int64(0); now < 1000; now += 97 {
		r.soonest = coarse.Never // as a sweep does
		for _, e := range r.all(now) {
			if !on[e] || e.Expiry() > now {
				t.Fatalf("at %d: an entry is due that expires at %d; listed: %v",
					now, e.Expiry(), on[e])
			}
			r.remove(e)
			delete(on, e)
		}
		first := int64(coarse.Never)
		for e := range on {
			if e.Expiry() <= now {
				t.Fatalf("at %d: due has missed an entry that expired at %d", now, e.Expiry())
			}
			first = min(first, e.Expiry())
		}
		if r.soonest != first || r.n != len(on) {
			t.Fatalf("at %d: the roster has %d entries, the soonest due at %d; want %d, at %d",
				now, r.n, r.soonest, len(on), first)
		}
	}
}

func TestRosterReusesItsSlots(t *testing.T) {
	r := newRoster()
	var on []*intEntry
	for range 100 * chunkSize {
		e := expiring(1)
		r.add(e)
		if on = append(on, e); len(on) == chunkSize {
			i := rand.IntN(chunkSize)
			r.remove(on[i])
			on[i] = on[chunkSize-1]
			on = on[:chunkSize-1]
		}
	}
	if len(r.chunks) != 1 {
		t.Errorf("%d entries in %d chunks; want 1 chunk", len(on), len(r.chunks))
	}
	for _, e := range on {
		r.remove(e)
	}
	if len(r.chunks) != 0 {
		t.Errorf("an empty roster has %d chunks; want none", len(r.chunks))
	}
}

func TestEntryThatSlidIsDueLater(t *testing.T) {
	r := newRoster()
	e, other := expiring(100), expiring(500)
	r.add(e)
	r.add(other)
	e.ExpireAt(300) // as Slide does
	r.soonest = coarse.Never
	if dead := r.all(200); len(dead) != 0 || r.soonest != 300 {
		t.Errorf("%d entries are due at 200, the soonest at %d; want none, and 300",
			len(dead), r.soonest)
	}
	if dead := r.all(300); len(dead) != 1 || dead[0] != e {
		t.Errorf("%d entries are due at 300; want only the one that slid", len(dead))
	}
}
