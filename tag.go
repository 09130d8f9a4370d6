package zodiac

import (
	"errors"
	"fmt"
	"slices"
)

// maxTags is how many tags an entry may have.
const maxTags = 64

// tooManyTags is the error for an entry with so many tags.
type tooManyTags int //nolint:errname // it reads as a condition

func (n tooManyTags) Error() string {
	return fmt.Sprintf("%d tags; an entry has at most %d", int(n), maxTags)
}

// checkTags returns what is wrong with the names of tags, or nil.
func checkTags(names []string) error {
	if slices.Contains(names, "") {
		return errors.New("the name of a tag is empty")
	}
	return nil
}

type tagsOption []string

func (o tagsOption) apply(c *config) {
	if err := checkTags(o); err != nil {
		c.fault("WithTags", err)
		return
	}
	c.tags = append(c.tags, o...)
}

func (o tagsOption) applySet(s *setting) {
	if err := checkTags(o); err != nil {
		s.faults = append(s.faults, fmt.Errorf("WithTags: %w", err))
		return
	}
	s.tags = append(s.tags, o...)
}

// WithTags puts entries into groups that [Cache.DeleteTags] deletes together. As a SetOption the
// tags are for the entries of that call, besides those of the loader. Several WithTags add up. An
// entry has at most 64 tags, and their names are not empty. By default entries have no tags.
//
// Over a store the records of tags expire after the entries that have them. An entry that lives for
// ever and has tags is absent once nobody has read it for half a year.
func WithTags(names ...string) SetOption { return tagsOption(slices.Clone(names)) }

// WithTagsFunc adds tags that depend on the value. A fetched value with more than 64 tags in all,
// or with one whose name is empty, is returned but not stored, and the [Observer] is told. Too many
// tags are logged once for a loader. tags runs where the function of [WithTTLFunc] does. By default
// there are none.
//
// Which tags a value has shows only once it was fetched. So a fetch during which any tags are
// deleted is discarded, whatever its own tags are; [Stats] counts it in Discarded.
func WithTagsFunc[K comparable, V any](tags func(K, V) []string) Option {
	return function("WithTagsFunc", tags, func(c *config) *any { return &c.tagsFunc })
}
