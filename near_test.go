package zodiac

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/zodiac-go/zodiac/internal/tier"
)

func TestTagsThatNoEntryHasAreForgottenInFrontOfAStore(t *testing.T) {
	n := newNear(time.Second, nil)
	r := &remote{keys: newStoreKeys("", "users", "", false)}
	kept := &tier.Label{Name: "kept"}
	n.noteTags(r, []tier.Tag{kept.Tag()})
	const tags = 10_000
	for i := range tags {
		n.noteTags(r, []tier.Tag{(&tier.Label{Name: fmt.Sprint(i)}).Tag()})
		if i%(tags/10) == 0 {
			runtime.GC()
		}
	}
	if len(n.tags) > tags/2 {
		t.Errorf("%d tags are known, though no entry has any of them but one", len(n.tags))
	}
	if l := n.tag(hashKey(r.keys.tag("kept"))); l != kept {
		t.Errorf("the tag that an entry has is %v", l)
	}
	if l := n.tag(hashKey(r.keys.tag("another"))); l != nil {
		t.Errorf("a tag that was never noted is %v", l)
	}
	runtime.KeepAlive(kept)
}

func TestPlacesOfKeysThatMemoryHasNotAreForgotten(t *testing.T) {
	n := newNear(time.Second, nil)
	gone := func(place any) bool { return place != "kept" }
	n.note(hashKey("kept"), "kept", gone)
	for i := range 20 * firstIndexSweep {
		n.note(hashKey(fmt.Sprint(i)), i, gone)
	}
	if len(n.index) > 2*firstIndexSweep {
		t.Errorf("%d places are known, though memory has but one of them", len(n.index))
	}
	if place, ok := n.place(hashKey("kept")); place != "kept" || !ok {
		t.Errorf("the place that memory has is %v, %v", place, ok)
	}
}
