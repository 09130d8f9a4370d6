package herd

import (
	"os"
	"testing"
	"time"
)

// TestMain runs the children of the herds too: they are this test program, started again.
func TestMain(m *testing.M) {
	Child()
	os.Exit(m.Run())
}

// small returns a scenario of 2 s.
func small() *Scenario {
	return &Scenario{
		Name: "small", Workers: 3, Callers: 8, Keys: 4, Duration: 2 * time.Second,
		Fetch: [2]time.Duration{20 * msec, 40 * msec}, Think: [2]time.Duration{5 * msec, 15 * msec},
		Invalidate: 100 * msec, Lease: 400 * msec,
	}
}

// mustRun runs s in mode. The test fails if the run fails, is too short to show anything, has
// failed reads, or leaves goroutines behind.
func mustRun(t *testing.T, s *Scenario, mode string) *Result {
	t.Helper()
	if testing.Short() {
		t.Skip("a herd runs for seconds")
	}
	r, err := Run(t.Context(), s, mode)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s, %s: %+v", s.Name, mode, r)
	if r.Truncated || r.Reads < 100 || r.Fetches == 0 || r.Deletes == 0 && s.Invalidate > 0 {
		t.Errorf("%s, %s: the run shows nothing: %d reads, %d fetches, %d deletes, log full: %t",
			s.Name, mode, r.Reads, r.Fetches, r.Deletes, r.Truncated)
	}
	if r.Errors > 0 || r.Goroutines > 0 {
		t.Errorf("%s, %s: %d failed reads, %d goroutines left; want 0, 0", s.Name, mode, r.Errors, r.Goroutines)
	}
	return r
}

// The checker can only vouch for zodiac if it finds the faults of caches that have some.
func TestCheckerFindsTheFaultsOfNaiveCaches(t *testing.T) {
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
		t.Errorf("%d overlapping fetches, %d in the busiest second; want some, and at least 5 times %d",
			r.Overlaps, r.PeakFetches, r.PeakFloor)
	}
}

func TestHerdIsNeverStaleAndFetchesOncePerWrite(t *testing.T) {
	r := mustRun(t, small(), "zodiac")
	if r.Stale != 0 {
		t.Errorf("%d stale reads, the oldest by %v; want 0: %s", r.Stale, r.Oldest, r.Cases)
	}
	// A fetch that begins between a write and its Delete adds one. Such fetches are more frequent
	// on a busy machine.
	if r.Fetches > r.Floor+r.Floor/2 {
		t.Errorf("%d fetches; want %d, or up to half as many more", r.Fetches, r.Floor)
	}
}

func TestHerdFetchesAColdKeyOnce(t *testing.T) {
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
		t.Errorf("%d stale reads, the oldest by %v, %d expired; want 0, 0: %s",
			r.Stale, r.Oldest, r.Expired, r.Cases)
	}
	if r.Longest > 5*time.Second {
		t.Errorf("a read took %v; want 5s at most, which is a few leases of %v", r.Longest, s.Lease)
	}
}

func TestHerdDoesWithoutRedisWhileItIsDown(t *testing.T) {
	s := small()
	s.Duration, s.Proxy, s.StoreTimeout, s.Recovery = 4*time.Second, true, 100*msec, 1500*msec
	s.Faults = []Fault{
		{Kind: ProxyHole, At: 500 * msec, For: time.Second},
		{Kind: KillRedis, At: 2500 * msec, For: 100 * msec},
	}
	r := mustRun(t, s, "zodiac")
	if r.Stale != 0 {
		t.Errorf("%d stale reads, the oldest by %v; want 0: %s", r.Stale, r.Oldest, r.Cases)
	}
	if r.Longest > 3*time.Second {
		t.Errorf("a read took %v; want 3s at most: a fetch and a few store timeouts of %v",
			r.Longest, s.StoreTimeout)
	}
}
