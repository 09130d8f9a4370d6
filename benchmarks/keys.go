package main

import (
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// A zipf draws ranks from 0 to n-1. The probability of rank i is proportional to 1/(i+1)^s. (The
// one in math/rand requires s > 1. Real access patterns rarely have such an s.)
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

const (
	batch    = 4096       // reads between two reads of the clock
	sequence = 64 * batch // reads drawn beforehand; far more than a branch predictor remembers
)

// A keySet is the keys of a comparison.
type keySet[K comparable] struct {
	stored []K // each key once
	asked  []K // the keys to read, in order; sequence of them
}

// ids draws which of n keys to read, sequence times. The popular keys of a zipf distribution are
// spread at random over all n.
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

// stringKeys asks for copies of the stored strings, as a program does that takes its keys from
// requests. Go compares strings at the same address without reading them.
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

// turn returns the batch that a worker reads in that turn. The two workers begin half the sequence
// apart.
func (ks keySet[K]) turn(worker, turn int) []K {
	from := (worker*sequence/2 + turn*batch) % sequence
	return ks.asked[from : from+batch]
}

// A newKeys returns keys that have not been used before, in an order that looks random.
type newKeys struct {
	next uint64
	keys []int64
}

func newNewKeys(worker, batch int) *newKeys {
	return &newKeys{next: uint64(worker) << 56, keys: make([]int64, batch)}
}

// batch returns the next keys. It overwrites the slice that it returned before.
func (n *newKeys) batch() []int64 {
	for i := range n.keys {
		n.next++
		n.keys[i] = int64(mix(n.next))
	}
	return n.keys
}

// mix is the finalizer of splitmix64. It is a bijection, so different numbers give different keys.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
