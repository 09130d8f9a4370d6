package tier

import (
	"hash/maphash"
	"math/bits"
	"reflect"
	"unsafe"
)

// A Key is how the tier finds an entry: a plain K itself, or, where the tier is keyed by text, the zero K and
// the text; and the hash of whichever counts.
type Key[K comparable] struct {
	K    K
	Text string
	Hash uint64
}

// hasher hashes keys with a seed of its own, so that nobody outside can choose keys that collide.
type hasher[K comparable] struct {
	kind hashKind
	mix  uint64
	seed maphash.Seed
}

type hashKind uint8

const (
	hashAny hashKind = iota
	hashString
	hashInt8
	hashInt16
	hashInt32
	hashInt64
)

func newHasher[K comparable]() hasher[K] {
	h := hasher[K]{seed: maphash.MakeSeed()}
	h.mix = maphash.Comparable(h.seed, 0)
	switch t := reflect.TypeFor[K](); t.Kind() {
	case reflect.String:
		h.kind = hashString
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		h.kind = map[uintptr]hashKind{1: hashInt8, 2: hashInt16, 4: hashInt32, 8: hashInt64}[t.Size()]
	}
	return h
}

// hash returns the hash of a plain key. Kinds are told apart by a field, not by type, since K may be a named
// type; the conversions below are between types of one memory layout.
func (h *hasher[K]) hash(key K) uint64 {
	switch p := unsafe.Pointer(&key); h.kind {
	case hashInt64:
		return mixInt(*(*uint64)(p) ^ h.mix)
	case hashString:
		return maphash.String(h.seed, *(*string)(p))
	case hashInt32:
		return mixInt(uint64(*(*uint32)(p)) ^ h.mix)
	case hashInt16:
		return mixInt(uint64(*(*uint16)(p)) ^ h.mix)
	case hashInt8:
		return mixInt(uint64(*(*uint8)(p)) ^ h.mix)
	default:
		return maphash.Comparable(h.seed, key)
	}
}

func (h *hasher[K]) hashText(text string) uint64 { return maphash.String(h.seed, text) }

// mixInt folds the 128-bit product with an odd constant, twice, as wyhash does (Wang Yi, 2019).
func mixInt(x uint64) uint64 {
	hi, lo := bits.Mul64(x, 0x9e3779b97f4a7c15)
	hi, lo = bits.Mul64(hi^lo, 0xd1b54a32d192ed03)
	return hi ^ lo
}
