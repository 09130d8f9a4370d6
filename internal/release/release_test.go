package release

import (
	"runtime/debug"
	"slices"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"
)

func TestReleaseBuiltLaterIsNewer(t *testing.T) {
	for _, tt := range []struct {
		name         string
		older, newer Release
	}{
		{"built", Release{Built: 1000, Started: 9_000_000}, Release{Built: 1001, Started: 8_000_000}},
		{"started", Release{Started: 8_000_000}, Release{Started: 8_000_001}},
		{"same-build", Release{Built: 1000, Started: 8_000_000}, Release{Built: 1000, Started: 8_000_001}},
		{"built-after-the-start-of-the-other", Release{Started: 2_000_000}, Release{Built: 2001, Started: 3_000_000}},
		{"started-after-the-build-of-the-other", Release{Built: 2000, Started: 3_000_000}, Release{Started: 2_001_000}},
		{"zero", Release{}, Release{Started: 1}},
	} {
		if got := tt.older.Compare(tt.newer); got != -1 {
			t.Errorf("%s: Compare(%v, %v) = %d; want -1", tt.name, tt.older, tt.newer, got)
		}
		if got := tt.newer.Compare(tt.older); got != 1 {
			t.Errorf("%s: Compare(%v, %v) = %d; want 1", tt.name, tt.newer, tt.older, got)
		}
	}
}

// Otherwise three releases could replace each other's records in turn.
func TestOrderOfReleasesHasNoCycle(t *testing.T) {
	some := rapid.Custom(func(t *rapid.T) Release {
		return Release{rapid.Uint64Range(0, 3).Draw(t, "built"), rapid.Uint64Range(0, 4000).Draw(t, "started")}
	})
	rapid.Check(t, func(t *rapid.T) {
		r := []Release{some.Draw(t, "a"), some.Draw(t, "b"), some.Draw(t, "c")}
		slices.SortFunc(r, Release.Compare)
		for i := range r {
			for j := range r {
				got := r[i].Compare(r[j])
				if got != -r[j].Compare(r[i]) || (got == 0) != (r[i] == r[j]) || i < j && got > 0 {
					t.Fatalf("Compare(%v, %v) = %d in the order %v", r[i], r[j], got, r)
				}
			}
		}
	})
}

func TestLoaderMadeLaterIsNewer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the clock stands still
		first := Now()
		second := Now()
		if first.Compare(second) != -1 {
			t.Errorf("Now() = %v and then %v; want a newer one", first, second)
		}
	})
}

func TestBuildTimeIsThatOfACleanCommit(t *testing.T) {
	for _, tt := range []struct {
		name, modified, time string
		want                 uint64
	}{
		{"clean", "false", "1970-01-01T00:16:40Z", 1000},
		{"zone", "false", "1970-01-01T01:16:40+01:00", 1000},
		{"changed", "true", "1970-01-01T00:16:40Z", 0},
		{"no-time", "false", "yesterday", 0},
		{"before-1970", "false", "1969-01-01T00:00:00Z", 0},
	} {
		info := &debug.BuildInfo{Settings: []debug.BuildSetting{{Key: "vcs.time", Value: tt.time}, {Key: "vcs.modified", Value: tt.modified}}}
		if got := builtOf(info); got != tt.want {
			t.Errorf("%s: builtOf = %d; want %d", tt.name, got, tt.want)
		}
	}
	if got := builtOf(nil); got != 0 {
		t.Errorf("builtOf(nil) = %d; want 0", got)
	}
}
