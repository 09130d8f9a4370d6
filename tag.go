package zodiac

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"weak"

	"github.com/zodiac-go/zodiac/internal/tier"
)

// A tagSpace holds the labels of the tags of one namespace. An entry carries the generations its labels had before its
// value was fetched, and is valid while all are the present ones. So deleting a tag is advancing its label, however many
// entries have it, and nobody keeps lists of members.
//
// Labels are held by the entries and loaders that use them, and weakly here: one that nobody holds can have no
// entry, and is forgotten.
type tagSpace struct {
	// epoch counts the deletions of tags. A fetch whose tags are known only from its result compares it: had
	// one of those tags been deleted meanwhile, its generation would be too new to show it.
	epoch atomic.Uint64

	mu      sync.Mutex // guards the fields below
	labels  map[string]weak.Pointer[tier.Label]
	sweepAt int // number of labels at which to look for those nobody holds
}

const firstSweep = 64

func newTagSpace() *tagSpace {
	return &tagSpace{labels: make(map[string]weak.Pointer[tier.Label]), sweepAt: firstSweep}
}

// label returns the label called name, a new one if nobody has it.
func (s *tagSpace) label(name string) *tier.Label {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.labels[name].Value(); l != nil {
		return l
	}
	if len(s.labels) >= s.sweepAt {
		for n, w := range s.labels {
			if w.Value() == nil {
				delete(s.labels, n)
			}
		}
		s.sweepAt = max(firstSweep, 2*len(s.labels))
	}
	l := &tier.Label{Name: name}
	s.labels[name] = weak.Make(l)
	return l
}

// delete invalidates all entries with any of the tags. The epoch goes first: a fetch that reads generations in between
// sees that it moved. A tag that nobody has is not created.
func (s *tagSpace) delete(names []string) {
	s.epoch.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		if l := s.labels[name].Value(); l != nil {
			l.Advance()
		}
	}
}

// ownTags returns the present generations of the loader's own tags.
func (c *core) ownTags() []tier.Tag {
	if len(c.labels) == 0 {
		return nil
	}
	tags := make([]tier.Tag, len(c.labels))
	for i, l := range c.labels {
		tags[i] = l.Tag()
	}
	return tags
}

// namesOf returns the names of tags.
func namesOf(tags []tier.Tag) []string {
	var names []string
	for _, t := range tags {
		names = append(names, t.Label.Name)
	}
	return names
}

// with returns the loader's own tags, captured before a fetch with the epoch of that time, and those called names. fresh is
// false if one of them may have been deleted since. It is an error if they are too many.
func (c *core) with(own []tier.Tag, epoch uint64, names []string) (tags []tier.Tag, fresh bool, err error) {
	tags = own
	for _, name := range names {
		if !slices.ContainsFunc(tags, func(t tier.Tag) bool { return t.Label.Name == name }) {
			tags = append(slices.Clip(tags), c.tags.label(name).Tag())
		}
	}
	if len(tags) > maxTags {
		return nil, false, fmt.Errorf("%d tags; an entry has at most %d", len(tags), maxTags)
	}
	fresh = len(names) == 0 || c.tags.epoch.Load() == epoch
	return tags, fresh && tier.Current(own), nil
}
