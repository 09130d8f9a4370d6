package tier

import (
	"fmt"
	"math"
	"testing"
)

type (
	namedInt  int64
	smallInt  int16
	namedText string
	compound  struct {
		tenant int32
		name   string
		flag   bool
	}
)

// evenly fails the test if the hashes of n keys are not spread evenly over the places that bits
// of the hash choose: stripes, buckets, tags, sketch lines, and the shards of flights.
func evenly[K comparable](t *testing.T, name string, n int, key func(int) K) {
	t.Helper()
	h := newHasher[K]()
	hashes := make([]uint64, n)
	for i := range hashes {
		hashes[i] = h.hash(key(i))
		if again := h.hash(key(i)); again != hashes[i] {
			t.Fatalf("%s: the hash of key %d is %x, then %x", name, i, hashes[i], again)
		}
	}
	spreadEvenly(t, name, hashes)
}

// spreadEvenly is evenly for given hashes.
func spreadEvenly(t *testing.T, name string, hashes []uint64) {
	t.Helper()
	for place, bits := range map[string]struct {
		shift uint
		n     int
	}{
		"stripe":        {stripeBitsLow, maxStripes},
		"bucket":        {0, len(hashes) / 8},
		"stripe+bucket": {stripeBitsLow - 4, 128},
		"shard":         {48, 32},
		"tag":           {57, 128},
		"sketch":        {8, 256},
	} {
		counts := make([]int, bits.n)
		for _, h := range hashes {
			counts[h>>bits.shift&uint64(bits.n-1)]++
		}
		mean, chi := float64(len(hashes))/float64(bits.n), 0.0
		for _, c := range counts {
			chi += (float64(c) - mean) * (float64(c) - mean) / mean
		}
		if most := chiSquare(float64(bits.n - 1)); chi > most {
			t.Errorf("%s: %s: chi-square %.0f; want at most %.0f", name, place, chi, most)
		}
	}
}

// chiSquare returns the value that the chi-square of a random spread exceeds once in a billion
// times: six standard deviations (Wilson and Hilferty, 1931).
func chiSquare(freedom float64) float64 {
	v := 2 / (9 * freedom)
	return freedom * math.Pow(1-v+6*math.Sqrt(v), 3)
}

func TestHashesSpreadEvenly(t *testing.T) {
	const n = 1 << 15
	for shift := range 49 {
		evenly(t, fmt.Sprintf("int<<%d", shift), n, func(i int) int64 { return int64(i) << shift })
	}
	evenly(t, "negative", n, func(i int) int { return -i })
	evenly(t, "stride 1000", n, func(i int) uint64 { return uint64(i) * 1000 })
	evenly(t, "both halves", n, func(i int) uint64 { return uint64(i&255)<<56 | uint64(i>>8) })
	evenly(t, "named", n, func(i int) namedInt { return namedInt(i) })
	evenly(t, "int32", n, func(i int) int32 { return int32(i) << 16 })
	evenly(t, "uint32", n, func(i int) uint32 { return uint32(i) })
	evenly(t, "int16", n, func(i int) smallInt { return smallInt(i) })
	evenly(t, "string", n, func(i int) string { return fmt.Sprint("user:", i) })
	evenly(t, "long string", n, func(i int) namedText { return namedText(fmt.Sprintf("%064d", i)) })
	evenly(t, "struct", n, func(i int) compound { return compound{int32(i % 7), fmt.Sprint(i / 7), i%2 == 0} })
	evenly(t, "array", n, func(i int) [4]int { return [4]int{0, i, 0, i >> 4} })
}

func TestTextsSpreadEvenly(t *testing.T) {
	h := newHasher[int]()
	hashes := make([]uint64, 1<<15)
	for i := range hashes {
		hashes[i] = h.hashText(fmt.Sprint("zodiac::users:", i))
	}
	spreadEvenly(t, "text", hashes)
}

// There are so few keys of one byte that each must have a hash of its own.
func TestSmallKeysDoNotCollide(t *testing.T) {
	h, u := newHasher[int8](), newHasher[uint8]()
	signed, unsigned := map[uint64]bool{}, map[uint64]bool{}
	for i := range 256 {
		signed[h.hash(int8(i))] = true
		unsigned[u.hash(uint8(i))] = true
	}
	if len(signed) != 256 || len(unsigned) != 256 {
		t.Errorf("256 keys have %d signed and %d unsigned hashes; want 256 each",
			len(signed), len(unsigned))
	}
}

// Nobody outside the process can choose keys that collide.
func TestEveryTierHasASeedOfItsOwn(t *testing.T) {
	a, b := newTier(1), newTier(1)
	if a.Plain(1).Hash == b.Plain(1).Hash || a.Text("a").Hash == b.Text("a").Hash {
		t.Error("two tiers give the same hash")
	}
	c, d := New[compound, int](1, false, false, a.clock), New[compound, int](1, false, false, a.clock)
	if c.Plain(compound{}).Hash == d.Plain(compound{}).Hash {
		t.Error("two tiers of structs give the same hash")
	}
}

// Only the bytes of the key count, not the memory behind it.
func TestHashDependsOnTheKeyOnly(t *testing.T) {
	keyOnly[int8](t)
	keyOnly[uint16](t)
	keyOnly[int32](t)
	keyOnly[int64](t)
	text := "a key and more"
	h := newHasher[string]()
	if h.hash(text[:5]) != h.hash("a key") {
		t.Error("two equal strings have different hashes")
	}
}

// keyOnly fails the test if the hash of a K depends on its neighbours in memory.
func keyOnly[K int8 | uint16 | int32 | int64](t *testing.T) {
	h := newHasher[K]()
	keys := [3]K{7, 7, 7}
	want := h.hash(7)
	for i := range 100 {
		keys[0], keys[2] = K(i), K(-i)
		if got := hashBelow(&h, keys, i); got != want {
			t.Fatalf("the hash of %T 7 is %x, then %x", keys[1], want, got)
		}
	}
}

// hashBelow hashes keys[1] at another depth of the stack for every depth.
//
//go:noinline
func hashBelow[K comparable](h *hasher[K], keys [3]K, depth int) uint64 {
	if depth > 0 {
		return hashBelow(h, [3]K{keys[2], keys[1], keys[0]}, depth-1)
	}
	return h.hash(keys[1])
}
