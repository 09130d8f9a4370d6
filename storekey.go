package zodiac

import (
	"crypto/sha256"
	"encoding/hex"
	"unsafe"
)

// storeKeys makes the keys under which one loader keeps its records:
//
//	zodiac:<namespace>:<name>[@<version>]:<key>       an entry
//	zodiac:<namespace>:%tag:<tag>                     the generation of a tag
//	zodiac:<namespace>:%epoch                         the tag epoch
//
// A loader without a namespace is one of its own, so that its tags have its name:
//
//	zodiac::%tag:<name>[@<version>]:<tag>
//	zodiac::%epoch:<name>[@<version>]
//
// Every segment in <> is escaped, see [escapeKey]: it has no ':' and no '@', and '%' only before two hex digits. So the
// segments can be read back from a key, "%tag" is nobody's name, and no key has a '{' to choose a slot of a Redis Cluster by.
// What is longer than maxKeyText, escaped, is replaced by its hash.
//
// The keys are in users' stores: a change to any of them loses what is there.
type storeKeys struct {
	entries string // up to the last segment
	tags    string // likewise
	epochs  string
}

// newStoreKeys returns the keys of the loader called name, which has a version if versioned. An empty namespace means
// that it has none.
func newStoreKeys(namespace, name, version string, versioned bool) storeKeys {
	space := "zodiac:" + escapeKey(namespace) + ":"
	loader := escapeKey(name)
	if versioned {
		loader += "@" + escapeKey(version)
	}
	k := storeKeys{entries: space + loader + ":", tags: space + "%tag:", epochs: space + "%epoch"}
	if namespace == "" {
		k.tags += loader + ":"
		k.epochs += ":" + loader
	}
	return k
}

// maxKeyText is how long the escaped text of a key may be to stand in a store's key.
const maxKeyText = 512

// key returns the key of an entry from the text of the loader's key, escaped: see [keyCodec.segment]. If that is too long,
// the key has its hash, and full is the text, to be kept in the record: a record that has another one is not of this key.
func (k *storeKeys) key(text string) (key, full string) {
	if len(text) > maxKeyText {
		return hashed(k.entries, text), text
	}
	return k.entries + text, ""
}

// prefix returns what the keys of the loader's entries begin with, and no others.
func (k *storeKeys) prefix() string { return k.entries }

// tag returns the key of the tag called name.
func (k *storeKeys) tag(name string) string {
	text := escapeKey(name)
	if len(text) > maxKeyText {
		return hashed(k.tags, text)
	}
	return k.tags + text
}

// epoch returns the key of the tag epoch.
func (k *storeKeys) epoch() string { return k.epochs }

// hashed returns prefix and what stands for a text that is too long. No text can be that: its '%' begins no escape.
func hashed(prefix, text string) string {
	sum := sha256.Sum256(unsafe.Slice(unsafe.StringData(text), len(text)))
	var digits [2 * sha256.Size]byte
	hex.Encode(digits[:], sum[:])
	return prefix + "%sha256-" + string(digits[:])
}

// segment returns text, which k.text returned, as the last segment of a store's key.
func (k keyCodec[K]) segment(text string) string {
	if k.byHand {
		return escapeKey(text)
	}
	return text
}
