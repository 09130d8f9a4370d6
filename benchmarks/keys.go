package main

import (
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// zipf draws ranks 0, 1, 2, … with probabilities that fall with the power s of the rank. (The one in math/rand wants
// s > 1, where access patterns seldom are.)
type zipf struct{ cumulative []float64 }

func newZipf(n int, s float64) zipf {
	c := make([]float64, n)
	sum := 0.0
	for i := range c {
		sum += math.Pow(float64(i+1), -s)
		c[i] = sum
	}
	for i := range c {
		c[i] /= sum
	}
	return zipf{c}
}

func (z zipf) draw(r *rand.Rand) int {
	return min(sort.SearchFloat64s(z.cumulative, r.Float64()), len(z.cumulative)-1)
}

func (b *bench) rand() *rand.Rand { return rand.New(rand.NewPCG(b.seed, 0)) }

// batch is how many reads are made between two looks at the clock, and sequence how many are drawn beforehand, a
// multiple of it that is large beside what a branch predictor remembers.
const (
	batch    = 4096
	sequence = 64 * batch
)

// keySet is the keys of a comparison: those stored, and the order they are asked for in.
type keySet[K comparable] struct {
	stored []K
	asked  []K
}

// ids draws which of n keys to ask for. Popular keys are anywhere among them.
func (b *bench) ids(n int, distribution string) []int {
	r := b.rand()
	ids := make([]int, sequence)
	if distribution == "uniform" {
		for i := range ids {
			ids[i] = r.IntN(n)
		}
		return ids
	}
	z, place := newZipf(n, 1.0), r.Perm(n)
	for i := range ids {
		ids[i] = place[z.draw(r)]
	}
	return ids
}

func (b *bench) int64Keys(n int, distribution string) (ks keySet[int64]) {
	for i := range n {
		ks.stored = append(ks.stored, int64(i))
	}
	for _, id := range b.ids(n, distribution) {
		ks.asked = append(ks.asked, int64(id))
	}
	return ks
}

// stringKeys asks by other strings than it stores, as a program does that gets its keys from requests: equal strings
// at one address compare without being read.
func (b *bench) stringKeys(n int, distribution string) (ks keySet[string]) {
	for i := range n {
		ks.stored = append(ks.stored, "user:"+strconv.Itoa(1_000_000+i))
	}
	own := slices.Clone(ks.stored)
	for i, s := range own {
		own[i] = strings.Clone(s)
	}
	for _, id := range b.ids(n, distribution) {
		ks.asked = append(ks.asked, own[id])
	}
	return ks
}

// turn returns the batch a worker reads in its turn. Workers begin far apart.
func (ks keySet[K]) turn(worker, turn int) []K {
	from := (worker*sequence/2 + turn*batch) % sequence
	return ks.asked[from : from+batch]
}

// newKeys hands out keys nobody has used before, in an order that is no order: neighbours share no bits.
type newKeys struct {
	next uint64
	keys []int64
}

func newNewKeys(worker, batch int) *newKeys {
	return &newKeys{next: uint64(worker) << 56, keys: make([]int64, batch)}
}

// batch overwrites the batch it returned before.
func (n *newKeys) batch() []int64 {
	for i := range n.keys {
		n.next++
		n.keys[i] = int64(mix(n.next))
	}
	return n.keys
}

// mix is the finisher of splitmix64: a bijection, so that different counts give different keys.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
