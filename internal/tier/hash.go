package tier

import (
	"hash/maphash"
	"math/bits"
	"reflect"
	"unsafe"
)

// A Key is a key together with its hash. In a Tier keyed by K it holds K and no Text. In a Tier
// keyed by text it holds the Text and the zero K. Make it with [Tier.Plain] or [Tier.Text].
type Key[K comparable] struct {
	K    K
	Text string
	Hash uint64
}

// A hasher hashes keys. Every hasher has a seed of its own, so nobody outside the process can
// choose keys that collide.
type hasher[K comparable] struct {
	kind hashKind
	mix  uint64       // the seed for integers
	seed maphash.Seed // the seed for all other keys
}

// A hashKind says how to hash keys of type K.
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

// hash returns the hash of a K. It switches on a field and not on the type of key, because K may
// be a named type. The conversions below are between types with the same memory layout.
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

// hashText returns the hash of a text.
func (h *hasher[K]) hashText(text string) uint64 { return maphash.String(h.seed, text) }

// mixInt multiplies by an odd constant and folds the 128-bit product, twice, as wyhash does (Wang
// Yi, 2019).
func mixInt(x uint64) uint64 {
	hi, lo := bits.Mul64(x, 0x9e3779b97f4a7c15)
	hi, lo = bits.Mul64(hi^lo, 0xd1b54a32d192ed03)
	return hi ^ lo
}
