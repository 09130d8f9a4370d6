package tag

import (
	"fmt"
	"runtime"
	"slices"
	"testing"

	"github.com/zodiac-go/zodiac/internal/tier"
)

func TestLabelIsOneForEachName(t *testing.T) {
	s := NewSpace()
	a, b := s.Label("a"), s.Label("b")
	if a == b || s.Label("a") != a || a.Name != "a" {
		t.Errorf("labels %p (%s) and %p; want one for each name", a, a.Name, b)
	}
	runtime.KeepAlive(b)
}

func TestDeleteInvalidatesTheNamedTagsOnly(t *testing.T) {
	s := NewSpace()
	a, b := s.Label("a"), s.Label("b")
	onA, onB := []tier.Tag{a.Tag()}, []tier.Tag{b.Tag()}
	s.Delete("a", "unknown")
	if tier.Current(onA) || !tier.Current(onB) {
		t.Errorf("after Delete(a): a is current: %v, b is current: %v; want false, true", tier.Current(onA), tier.Current(onB))
	}
	if s.Epoch() != 1 {
		t.Errorf("Epoch = %d; want 1", s.Epoch())
	}
}

func TestDeleteCreatesNoLabels(t *testing.T) {
	s := NewSpace()
	s.Delete("a", "b")
	if len(s.labels) != 0 {
		t.Errorf("%d labels; want none", len(s.labels))
	}
}

func TestWithRefusesTagsDeletedSinceTheEpoch(t *testing.T) {
	s := NewSpace()
	own := s.Label("own")
	tests := []struct {
		name    string
		deleted []string
		names   []string
		fresh   bool
	}{
		{"nothing-deleted", nil, []string{"late"}, true},
		{"own-tag-deleted", []string{"own"}, nil, false},
		{"late-tag-may-have-been-deleted", []string{"other"}, []string{"late"}, false},
		{"other-tag-deleted-and-no-late-tags", []string{"other"}, nil, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before, epoch := Current([]*tier.Label{own}), s.Epoch()
			if tt.deleted != nil {
				s.Delete(tt.deleted...)
			}
			tags, fresh := s.With(before, epoch, tt.names)
			if want := append([]string{"own"}, tt.names...); fresh != tt.fresh || !slices.Equal(Names(tags), want) {
				t.Errorf("With = %v, %v; want %v, %v", Names(tags), fresh, want, tt.fresh)
			}
		})
	}
}

func TestWithKeepsOneTagOfEachName(t *testing.T) {
	s := NewSpace()
	own := Current([]*tier.Label{s.Label("a")})
	if tags, _ := s.With(own, s.Epoch(), []string{"a", "b", "b"}); !slices.Equal(Names(tags), []string{"a", "b"}) {
		t.Errorf("With = %v; want a and b", Names(tags))
	}
}

func TestLabelsThatNobodyHoldsAreForgotten(t *testing.T) {
	s := NewSpace()
	kept := s.Label("kept")
	for i := range 10 * firstSweep {
		if i%firstSweep == 0 {
			runtime.GC()
		}
		s.Label(fmt.Sprint(i))
	}
	if n := len(s.labels); n > 4*firstSweep {
		t.Errorf("%d labels are kept of %d that nobody holds", n, 10*firstSweep)
	}
	if s.Label("kept") != kept {
		t.Error("a label that is held was forgotten")
	}
}
