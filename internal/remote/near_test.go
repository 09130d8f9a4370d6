package remote

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/zodiac-go/zodiac/internal/keytext"
	"github.com/zodiac-go/zodiac/internal/tier"
)

func TestTagsThatNoEntryHasAreForgottenInFrontOfAStore(t *testing.T) {
	n := newNear(&Memory{}, time.Second, false)
	names := keytext.NewNames("", "users", "", false)
	kept := &tier.Label{Name: "kept"}
	n.noteTags(&names, []tier.Tag{kept.Tag()})
	const tags = 10_000
	for i := range tags {
		n.noteTags(&names, []tier.Tag{(&tier.Label{Name: fmt.Sprint(i)}).Tag()})
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
	n.notePlace(hashKey("kept"), "kept")
	for i := range 20 * firstPlaceSweep {
		n.notePlace(hashKey(fmt.Sprint(i)), i)
	}
	if len(n.places) > 2*firstPlaceSweep {
		t.Errorf("%d places are known, though memory has but one of them", len(n.places))
	}
	if place, ok := n.place(hashKey("kept")); place != "kept" || !ok {
		t.Errorf("the place that memory has is %v, %v", place, ok)
	}
}
