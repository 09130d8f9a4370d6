package herd

import (
	"os"
	"testing"
	"time"
)

// TestMain is also the processes of the herds.
func TestMain(m *testing.M) {
	Child()
	os.Exit(m.Run())
}

// small is a herd that a test has time for.
func small() *Scenario {
	return &Scenario{
		Name: "small", Workers: 3, Callers: 8, Keys: 4, Duration: 2 * time.Second, Fetch: [2]time.Duration{20 * msec, 40 * msec},
		Think: [2]time.Duration{5 * msec, 15 * msec}, Invalidate: 100 * msec, Lease: 400 * msec,
	}
}

func mustRun(t *testing.T, s *Scenario, mode string) *Result {
	t.Helper()
	r, err := Run(t.Context(), s, mode)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s, %s: %+v", s.Name, mode, r)
	if r.Truncated || r.Reads < 300 || r.Fetches == 0 || r.Deletes == 0 && s.Invalidate > 0 {
		t.Errorf("%s, %s: a run of which nothing can be concluded", s.Name, mode)
	}
	if r.Errors > 0 || r.Goroutines > 0 {
		t.Errorf("%s, %s: %d reads failed, %d goroutines were left", s.Name, mode, r.Errors, r.Goroutines)
	}
	return r
}

// What is found about zodiac means something only because these are found out.
func TestNaiveCachesAreFoundOut(t *testing.T) {
	if r := mustRun(t, small(), "none"); r.Stale == 0 || r.Overlaps == 0 {
		t.Errorf("none: %d stale reads, %d overlapping fetches; want some of both", r.Stale, r.Overlaps)
	}
	if r := mustRun(t, small(), "flight"); r.Stale == 0 || r.Overlaps == 0 {
		t.Errorf("flight: %d stale reads, %d overlapping fetches; want some of both", r.Stale, r.Overlaps)
	}
}

func TestHerdWithoutACacheIsNeverStale(t *testing.T) {
	r := mustRun(t, small(), "direct")
	if r.Stale != 0 || r.Excused != 0 {
		t.Errorf("%d stale reads, %d excused; want none", r.Stale, r.Excused)
	}
	if r.Overlaps == 0 || r.PeakFetches < 5*r.PeakFloor {
		t.Errorf("%d overlapping fetches, peak %d of %d; want that the origin suffers", r.Overlaps, r.PeakFetches, r.PeakFloor)
	}
}
