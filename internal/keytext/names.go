package keytext

import (
	"crypto/sha256"
	"encoding/hex"
	"unsafe"
)

// Names makes the keys under which one loader keeps its records in a store:
//
//	zodiac:<namespace>:<name>[@<version>]:<key>       an entry
//	zodiac:<namespace>:%tag:<tag>                     the generation of a tag
//	zodiac:<namespace>:%epoch                         the tag epoch
//
// A loader without a namespace is a namespace of its own, so its tags carry its name:
//
//	zodiac::%tag:<name>[@<version>]:<tag>
//	zodiac::%epoch:<name>[@<version>]
//
// Every segment in <> is escaped, see [Escape]: it has no ':' and no '@', and a '%' only before
// two hex digits. So the segments can be read back from a key, no name is "%tag", and no key has
// a '{' that would choose the slot of a Redis Cluster. An escaped text longer than maxText is
// replaced by its hash.
//
// The keys are in users' stores. A change to any of them loses what is stored there.
type Names struct {
	entries string // up to the last segment
	tags    string // likewise
	epoch   string
}

// NewNames returns the keys of the loader called name, which has a version if versioned is set. An
// empty namespace means that it has none.
func NewNames(namespace, name, version string, versioned bool) Names {
	space := "zodiac:" + Escape(namespace) + ":"
	loader := Escape(name)
	if versioned {
		loader += "@" + Escape(version)
	}
	n := Names{entries: space + loader + ":", tags: space + "%tag:", epoch: space + "%epoch"}
	if namespace == "" {
		n.tags += loader + ":"
		n.epoch += ":" + loader
	}
	return n
}

// maxText is the longest escaped text of a key that stands in a store's key.
const maxText = 512

// Entry returns the key of an entry, made from the escaped text of the loader's key: see
// [Codec.Segment]. If the text is too long, the store's key has its hash, and full is the text. It
// is kept in the record: a record with another full text belongs to another key.
func (n *Names) Entry(text string) (key, full string) {
	if len(text) > maxText {
		return hashed(n.entries, text), text
	}
	return n.entries + text, ""
}

// Prefix returns the prefix that the keys of the loader's entries have, and no other keys.
func (n *Names) Prefix() string { return n.entries }

// Tag returns the key of the tag called name.
func (n *Names) Tag(name string) string {
	text := Escape(name)
	if len(text) > maxText {
		return hashed(n.tags, text)
	}
	return n.tags + text
}

// Tags returns the keys of the tags called names.
func (n *Names) Tags(names []string) []string {
	keys := make([]string, len(names))
	for i, name := range names {
		keys[i] = n.Tag(name)
	}
	return keys
}

// Epoch returns the key of the tag epoch.
func (n *Names) Epoch() string { return n.epoch }

// hashed returns prefix and a hash that stands for text. It equals no escaped text: its '%' does
// not begin an escape.
func hashed(prefix, text string) string {
	sum := sha256.Sum256(unsafe.Slice(unsafe.StringData(text), len(text)))
	var digits [2 * sha256.Size]byte
	hex.Encode(digits[:], sum[:])
	return prefix + "%sha256-" + string(digits[:])
}
