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
	if testing.Short() {
		t.Skip("a herd takes some seconds")
	}
	r, err := Run(t.Context(), s, mode)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s, %s: %+v", s.Name, mode, r)
	if r.Truncated || r.Reads < 100 || r.Fetches == 0 || r.Deletes == 0 && s.Invalidate > 0 {
		t.Errorf("%s, %s: a run of which nothing can be concluded", s.Name, mode)
	}
	if r.Errors > 0 || r.Goroutines > 0 {
		t.Errorf("%s, %s: %d reads failed, %d goroutines were left", s.Name, mode, r.Errors, r.Goroutines)
	}
	return r
}

// What is found about zodiac means something only because these are found out.
func TestNaiveCachesAreFoundOut(t *testing.T) {
	s := small()
	s.Duration = time.Second
	if r := mustRun(t, s, "none"); r.Stale == 0 || r.Overlaps == 0 {
		t.Errorf("none: %d stale reads, %d overlapping fetches; want some of both", r.Stale, r.Overlaps)
	}
	if r := mustRun(t, s, "flight"); r.Stale == 0 || r.Overlaps == 0 {
		t.Errorf("flight: %d stale reads, %d overlapping fetches; want some of both", r.Stale, r.Overlaps)
	}
}

func TestHerdWithoutACacheIsNeverStale(t *testing.T) {
	s := small()
	s.Duration = time.Second
	r := mustRun(t, s, "direct")
	if r.Stale != 0 || r.Excused != 0 {
		t.Errorf("%d stale reads, %d excused; want none", r.Stale, r.Excused)
	}
	if r.Overlaps == 0 || r.PeakFetches < 5*r.PeakFloor {
		t.Errorf("%d overlapping fetches, peak %d of %d; want that the origin suffers", r.Overlaps, r.PeakFetches, r.PeakFloor)
	}
}

func TestHerdIsNeverStaleAndFetchesOnceAWrite(t *testing.T) {
	r := mustRun(t, small(), "zodiac")
	if r.Stale != 0 {
		t.Errorf("%d stale reads, the oldest by %v: %s", r.Stale, r.Oldest, r.Cases)
	}
	if r.Fetches > r.Floor+r.Floor/2 { // one more whenever a fetch began between a write and its Delete: a busy machine sees to that
		t.Errorf("%d fetches; want %d, or some more", r.Fetches, r.Floor)
	}
}

func TestOneOfAHerdFetchesAColdKey(t *testing.T) {
	s := small()
	s.Rounds, s.Invalidate, s.Callers = 100*msec, 0, 30
	if r := mustRun(t, s, "zodiac"); r.MostPerKey != 1 {
		t.Errorf("%d fetches of one key; want 1", r.MostPerKey)
	}
}

func TestHerdIsNeverStaleWhileWorkersAreStoppedAndKilled(t *testing.T) {
	s := small()
	s.Duration = 3 * time.Second
	s.Faults = []Fault{
		{Kind: FreezeFetching, At: 100 * msec, Every: 200 * msec, For: 600 * msec},
		{Kind: KillFetching, At: 200 * msec, Every: 300 * msec},
		{Kind: ScriptFlush, At: 300 * msec, Every: 500 * msec},
		{Kind: FlushAll, At: 400 * msec, Every: 500 * msec},
		{Kind: KillPubSub, At: 500 * msec, Every: 500 * msec},
	}
	r := mustRun(t, s, "zodiac")
	if r.Stale != 0 || r.Expired != 0 {
		t.Errorf("%d stale reads, the oldest by %v, %d expired: %s", r.Stale, r.Oldest, r.Expired, r.Cases)
	}
	if r.Longest > 5*time.Second {
		t.Errorf("a read took %v; want no more than a few leases of %v", r.Longest, s.Lease)
	}
}

func TestHerdServesItselfWhileRedisIsAway(t *testing.T) {
	s := small()
	s.Duration, s.Proxy, s.StoreTimeout, s.Recovery = 4*time.Second, true, 100*msec, 1500*msec
	s.Faults = []Fault{{Kind: ProxyHole, At: 500 * msec, For: time.Second}, {Kind: KillRedis, At: 2500 * msec, For: 100 * msec}}
	r := mustRun(t, s, "zodiac")
	if r.Stale != 0 {
		t.Errorf("%d stale reads, the oldest by %v: %s", r.Stale, r.Oldest, r.Cases)
	}
	if r.Longest > 3*time.Second {
		t.Errorf("a read took %v; want a fetch and a few times %v", r.Longest, s.StoreTimeout)
	}
}
