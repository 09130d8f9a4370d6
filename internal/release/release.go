// Package release tells which of two releases of a program is the newer one.
//
// Two releases may share a store while one replaces the other, and their values may look
// different. Then the records of the newer one stay: see docs/record.md.
package release

import (
	"cmp"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// A Release is one release of a program, as one of its loaders knows it. The zero Release is older
// than all others.
type Release struct {
	Built   uint64 // when it was built, in seconds since 1970; 0 = not known
	Started uint64 // when the loader was made, in milliseconds since 1970
}

// Compare returns -1 if r is older than o, 0 if neither is, and +1 if r is newer. It is a total
// order, so that no three releases can each replace the records of another for ever.
//
// What counts is when a release was built. One that does not know counts as built when it was
// started: it was not built later. If that decides nothing, the one that was started later is newer.
func (r Release) Compare(o Release) int {
	return cmp.Or(
		cmp.Compare(r.built(), o.built()),
		cmp.Compare(r.Started, o.Started),
		cmp.Compare(r.Built, o.Built),
	)
}

// built returns when the release was built, or if that is not known, when it was started, in
// seconds.
func (r Release) built() uint64 {
	if r.Built == 0 {
		return r.Started / 1000
	}
	return r.Built
}

// started is when the last loader was made.
var started atomic.Uint64

// Now returns the Release of a loader that is being made. Of two loaders of a process the one that
// is made later is the newer one, even if the clock was set back.
func Now() Release {
	now := uint64(max(1, time.Now().UnixMilli()))
	for {
		last := started.Load()
		next := max(now, last+1)
		if started.CompareAndSwap(last, next) {
			return Release{Built: built(), Started: next}
		}
	}
}

// built returns when this program was built.
var built = sync.OnceValue(func() uint64 {
	info, _ := debug.ReadBuildInfo()
	return builtOf(info)
})

// builtOf returns the time of the commit that a program was built from, in seconds since 1970. It is
// 0 if the sources had changed since: two programs of one commit may then differ.
func builtOf(info *debug.BuildInfo) uint64 {
	if info == nil {
		return 0
	}
	var at uint64
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.modified" && s.Value == "true":
			return 0
		case s.Key == "vcs.time":
			if t, err := time.Parse(time.RFC3339, s.Value); err == nil && t.Unix() > 0 {
				at = uint64(t.Unix())
			}
		}
	}
	return at
}
