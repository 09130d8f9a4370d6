package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ulikunitz/xz"
)

// A trace is a sequence of requests for keys.
type trace struct {
	name     string
	requests []uint32 // the key of each
	distinct int      // number of distinct keys
}

func newTrace(name string, requests []uint32) trace {
	seen := make(map[uint32]struct{})
	for _, k := range requests {
		seen[k] = struct{}{}
	}
	return trace{name: name, requests: requests, distinct: len(seen)}
}

// maxRequests is the number of requests of a recorded trace that are used.
const maxRequests = 3_000_000

// recordedTraces reads the traces in a folder, sorted by name. A file *.trace holds a big-endian
// 32-bit integer for each request, its key. *.trace.xz is the same, compressed.
func recordedTraces(folder string) (traces []trace, err error) {
	for _, pattern := range []string{"*.trace", "*.trace.xz"} {
		paths, err := filepath.Glob(filepath.Join(folder, pattern))
		if err != nil {
			return nil, err
		}
		for _, path := range paths {
			requests, err := readTrace(path)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			name, _, _ := strings.Cut(filepath.Base(path), ".trace")
			traces = append(traces, newTrace(name, requests))
		}
	}
	if len(traces) == 0 {
		return nil, fmt.Errorf("no *.trace or *.trace.xz in %q", folder)
	}
	slices.SortFunc(traces, func(a, b trace) int { return strings.Compare(a.name, b.name) })
	return traces, nil
}

// readTrace returns the first maxRequests requests in a file.
func readTrace(path string) ([]uint32, error) {
	file, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var r io.Reader = bytes.NewReader(file)
	if strings.HasSuffix(path, ".xz") {
		if r, err = xz.NewReader(r); err != nil {
			return nil, err
		}
	}
	raw, err := io.ReadAll(io.LimitReader(r, 4*maxRequests))
	if err != nil {
		return nil, err
	}
	if len(raw) == 0 || len(raw)%4 != 0 {
		return nil, errors.New("not a sequence of 32-bit integers")
	}
	requests := make([]uint32, len(raw)/4)
	for i := range requests {
		requests[i] = binary.BigEndian.Uint32(raw[4*i:])
	}
	return requests, nil
}

// syntheticTraces draws n requests for each of several patterns. keys is roughly the number of keys
// that a pattern uses.
func syntheticTraces(r *rand.Rand, n, keys int) []trace {
	return []trace{
		newTrace("zipf 0.7", popular(r, n, keys, 0.7)),
		newTrace("zipf 0.9", popular(r, n, keys, 0.9)),
		newTrace("zipf 1.05", popular(r, n, keys, 1.05)),
		newTrace("zipf drifting", drifting(r, n, keys)),
		newTrace("loop", loop(n, keys/2)),
		newTrace("zipf + scans", withScans(r, n, keys)),
		newTrace("zipf, then loop, then zipf", shifting(r, n, keys)),
		newTrace("recency", recent(r, n, keys)),
	}
}

// popular draws each request independently, from a zipf distribution with exponent s.
func popular(r *rand.Rand, n, keys int, s float64) []uint32 {
	z, place := newZipf(keys, s), r.Perm(keys)
	out := make([]uint32, n)
	for i := range out {
		out[i] = uint32(place[z.draw(r)])
	}
	return out
}

// drifting is popular with popularities that change over time. In the course of the trace, a
// third of the keys are the most popular one, one after another.
func drifting(r *rand.Rand, n, keys int) []uint32 {
	z, place := newZipf(keys, 0.9), r.Perm(keys)
	out := make([]uint32, n)
	for i := range out {
		shift := i * (keys / 3) / n
		out[i] = uint32(place[(z.draw(r)+shift)%keys])
	}
	return out
}

// loop requests the same keys in the same order over and over.
func loop(n, keys int) []uint32 {
	out := make([]uint32, n)
	for i := range out {
		out[i] = uint32(i % keys)
	}
	return out
}

// withScans interrupts popular with runs of keys that are requested only once. These are a third of
// all requests.
func withScans(r *rand.Rand, n, keys int) []uint32 {
	out := popular(r, n, keys, 0.9)
	fresh := uint32(keys)
	for i := range out {
		if period := max(keys/3, 3); i%period < period/3 {
			out[i] = fresh
			fresh++
		}
	}
	return out
}

// shifting requests one set of keys by popularity, then loops over another set, then returns to the
// first. Each phase is a third of the trace.
func shifting(r *rand.Rand, n, keys int) []uint32 {
	out := popular(r, n, keys, 0.9)
	for i := n / 3; i < 2*n/3; i++ {
		out[i] = uint32(keys + i%(keys/5))
	}
	return out
}

// recent requests a new key in one of five requests, at random. Otherwise it repeats an earlier
// request, more likely a recent one. LRU is the best policy for this pattern.
func recent(r *rand.Rand, n, keys int) []uint32 {
	out := make([]uint32, n)
	fresh := uint32(0)
	for i := range out {
		back := int(math.Pow(float64(keys), r.Float64())) // log-uniform, from 1 to keys requests back
		if r.IntN(5) == 0 || back > i {
			out[i] = fresh
			fresh++
			continue
		}
		out[i] = out[i-back]
	}
	return out
}
