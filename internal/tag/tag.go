// Package tag keeps the generations of tags in the process.
//
// An entry in memory carries the generations that its tags had before its value was fetched. It is
// valid while all of them are current. Deleting a tag advances its generation, whatever the number
// of entries that have it. Nobody keeps lists of members.
//
// A [Space] has the labels of one cache. Package tier has the labels themselves, since an entry
// holds them. The package knows nothing of stores: generations that processes share are
// internal/remote's.
package tag

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"weak"

	"github.com/zodiac-go/zodiac/internal/tier"
)

// A Space holds the labels of tags by name. Make it with NewSpace. It is safe for concurrent use.
//
// Labels are held by the entries and loaders that use them, and weakly by the Space. A label that
// nobody holds can have no entry, and is forgotten.
type Space struct {
	epoch atomic.Uint64

	mu      sync.Mutex // guards the fields below
	labels  map[string]weak.Pointer[tier.Label]
	sweepAt int // the number of labels at which those that nobody holds are removed
}

const firstSweep = 64

// NewSpace returns an empty Space.
func NewSpace() *Space {
	return &Space{labels: make(map[string]weak.Pointer[tier.Label]), sweepAt: firstSweep}
}

// Epoch returns the number of deletions so far. A fetch whose tags are known only from its result
// compares it: if one of these tags was deleted during the fetch, the generation read afterwards
// is too new to show it.
func (s *Space) Epoch() uint64 { return s.epoch.Load() }

// Advance counts a deletion of tags that this process cannot name.
func (s *Space) Advance() { s.epoch.Add(1) }

// Label returns the label called name, a new one if nobody holds it.
func (s *Space) Label(name string) *tier.Label {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.labels[name].Value(); l != nil {
		return l
	}
	if len(s.labels) >= s.sweepAt {
		maps.DeleteFunc(s.labels, func(_ string, l weak.Pointer[tier.Label]) bool { return l.Value() == nil })
		s.sweepAt = max(firstSweep, 2*len(s.labels))
	}
	l := &tier.Label{Name: name}
	s.labels[name] = weak.Make(l)
	return l
}

// Delete invalidates all entries that have any of the tags. It creates no labels.
//
// The epoch moves first: a fetch that reads generations between the two steps sees that it moved.
func (s *Space) Delete(names ...string) {
	s.epoch.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		if l := s.labels[name].Value(); l != nil {
			l.Advance()
		}
	}
}

// With returns the tags own and those called names, with their current generations. own were taken
// before a fetch, when the epoch was epoch. fresh is false if a tag may have been deleted since.
func (s *Space) With(own []tier.Tag, epoch uint64, names []string) (tags []tier.Tag, fresh bool) {
	tags = own
	for _, name := range names {
		if !slices.ContainsFunc(tags, func(t tier.Tag) bool { return t.Label.Name == name }) {
			tags = append(slices.Clip(tags), s.Label(name).Tag())
		}
	}
	fresh = len(names) == 0 || s.Epoch() == epoch
	return tags, fresh && tier.Current(own)
}

// Current returns the current generations of labels, or nil if there are none.
func Current(labels []*tier.Label) []tier.Tag {
	if len(labels) == 0 {
		return nil
	}
	tags := make([]tier.Tag, len(labels))
	for i, l := range labels {
		tags[i] = l.Tag()
	}
	return tags
}

// Names returns the names of tags.
func Names(tags []tier.Tag) []string {
	var names []string
	for _, t := range tags {
		names = append(names, t.Label.Name)
	}
	return names
}
