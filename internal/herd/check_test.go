package herd

import (
	"testing"
	"time"
)

// The events below belong to hand-made logs of one key. Times are in milliseconds since the start
// of the run.

// at returns a time in the unit of Now.
func at(ms int) int64 { return int64(ms) * int64(time.Millisecond) }

func read(proc uint32, version, serial int64, from, to int) Event {
	return Event{Kind: Read, Proc: proc, Key: 1, Version: version, Serial: serial, Start: at(from), End: at(to)}
}

func fetch(version, serial int64, from, to int) Event {
	return Event{Kind: Fetch, Key: 1, Version: version, Serial: serial, Start: at(from), End: at(to)}
}

func write(version int64, when int) Event {
	return Event{Kind: Write, Key: 1, Version: version, Start: at(when), End: at(when)}
}

func deleted(version int64, from, to int) Event {
	return Event{Kind: Delete, Key: 1, Version: version, Start: at(from), End: at(to)}
}

func check(s *Scenario, events ...Event) *Result { return Check(s, events, 0) }

func TestReadOlderThanAnAcknowledgedDeleteIsStale(t *testing.T) {
	r := check(&Scenario{}, write(1, 10), deleted(1, 10, 20), read(2, 0, 1, 21, 22))
	if r.Stale != 1 || r.Oldest != 2*time.Millisecond {
		t.Errorf("Stale, Oldest = %d, %v; want 1, 2ms", r.Stale, r.Oldest)
	}
}

func TestStalenessIsCountedFromTheFirstDeleteThatWasMissed(t *testing.T) {
	r := check(&Scenario{},
		deleted(1, 10, 20), deleted(2, 110, 120), deleted(3, 210, 220), read(2, 1, 1, 300, 301))
	if r.Stale != 1 || r.Oldest != 181*time.Millisecond {
		t.Errorf("Stale, Oldest = %d, %v; want 1, 181ms: version 2 was deleted at 120", r.Stale, r.Oldest)
	}
}

func TestReadsThatMayBeOldAreNotStale(t *testing.T) {
	failed := deleted(1, 10, 20)
	failed.Code = 1
	for name, events := range map[string][]Event{
		"begun-before-the-acknowledgement": {deleted(1, 10, 20), read(2, 0, 1, 19, 90)},
		"begun-at-the-acknowledgement":     {deleted(1, 10, 20), read(2, 0, 1, 20, 90)},
		"delete-failed":                    {failed, read(2, 0, 1, 21, 22)},
		"another-key":                      {{Kind: Delete, Key: 2, Version: 1, End: at(20)}, read(2, 0, 1, 21, 22)},
		"newer-than-the-delete":            {deleted(1, 10, 20), read(2, 2, 1, 21, 22)},
		"failed-read":                      {deleted(1, 10, 20), {Kind: Read, Key: 1, Code: 1, Start: at(21), End: at(22)}},
	} {
		if r := check(&Scenario{}, events...); r.Stale != 0 {
			t.Errorf("%s: Stale = %d; want 0", name, r.Stale)
		}
	}
}

func TestDeletesAcknowledgedOutOfOrderDoNotHideEachOther(t *testing.T) {
	r := check(&Scenario{}, deleted(2, 10, 20), deleted(1, 5, 30), read(2, 1, 1, 40, 41))
	if r.Stale != 1 {
		t.Errorf("Stale = %d; want 1: version 2 was deleted too, before version 1", r.Stale)
	}
}

func TestOutageExcusesReadsUntilItsRecoveryAndNoneBefore(t *testing.T) {
	outage := Event{Kind: Loss, Code: uint32(Outage), Start: at(100), End: at(200)}
	s := &Scenario{Recovery: 50 * time.Millisecond}
	for _, c := range []struct{ start, stale, excused int }{{98, 1, 0}, {99, 0, 1}, {249, 0, 1}, {250, 1, 0}} {
		r := check(s, deleted(1, 10, 20), outage, read(2, 0, 1, c.start, c.start+1))
		if r.Stale != c.stale || r.Excused != c.excused {
			t.Errorf("read at %d: Stale, Excused = %d, %d; want %d, %d",
				c.start, r.Stale, r.Excused, c.stale, c.excused)
		}
	}
}

func TestExcusedReadsAreMeasured(t *testing.T) {
	outage := Event{Kind: Loss, Code: uint32(Outage), Start: at(100), End: at(200)}
	r := check(&Scenario{Recovery: 50 * time.Millisecond},
		deleted(1, 10, 20), outage, read(2, 0, 1, 230, 241), read(2, 0, 1, 240, 241))
	if r.Ancient != 221*time.Millisecond || r.Healed != 40*time.Millisecond {
		t.Errorf("Ancient, Healed = %v, %v; want 221ms, 40ms", r.Ancient, r.Healed)
	}
}

func TestStaleReadsOfTheProcessThatDeletedAreCountedApart(t *testing.T) {
	mine, theirs := deleted(1, 10, 20), deleted(2, 30, 40)
	mine.Proc, theirs.Proc = 2, 3
	for name, c := range map[string]struct {
		read Event
		own  int
	}{
		"missed-both":     {read(2, 0, 1, 50, 51), 1},
		"missed-anothers": {read(2, 1, 1, 50, 51), 0},
		"missed-by-third": {read(4, 0, 1, 50, 51), 0},
	} {
		if r := check(&Scenario{}, mine, theirs, c.read); r.Stale != 1 || r.Own != c.own {
			t.Errorf("%s: Stale, Own = %d, %d; want 1, %d", name, r.Stale, r.Own, c.own)
		}
	}
}

func TestLongestReadIsOfAWorkerThatWasNotStopped(t *testing.T) {
	stopped := Event{Kind: Freeze, Proc: 2, Start: at(30), End: at(900)}
	r := check(&Scenario{}, stopped, read(2, 0, 1, 20, 910), read(3, 0, 1, 20, 120))
	if r.Longest != 100*time.Millisecond || r.Latency.Max != 890*time.Millisecond {
		t.Errorf("Longest, Latency.Max = %v, %v; want 100ms, 890ms", r.Longest, r.Latency.Max)
	}
}

func TestFailoverExcusesOnlyWhatItUndid(t *testing.T) {
	failover := Event{Kind: Loss, Code: uint32(Failover), Serial: at(100), Start: at(150), End: at(200)}
	for name, c := range map[string]struct {
		events []Event
		stale  int
	}{
		"delete-undone":            {[]Event{deleted(1, 110, 120), read(2, 0, 1, 300, 301)}, 0},
		"delete-before":            {[]Event{deleted(1, 80, 90), read(2, 0, 1, 300, 301)}, 1},
		"delete-after":             {[]Event{deleted(1, 210, 220), read(2, 0, 1, 300, 301)}, 1},
		"undone-and-deleted-again": {[]Event{deleted(1, 110, 120), deleted(2, 210, 220), read(2, 1, 1, 300, 301)}, 1},
		"read-before-the-failure":  {[]Event{deleted(1, 110, 120), read(2, 0, 1, 130, 131)}, 1},
		"missed-one-that-remains":  {[]Event{deleted(1, 80, 90), deleted(2, 110, 120), read(2, 0, 1, 300, 301)}, 1},
		"missed-only-the-undone":   {[]Event{deleted(1, 80, 90), deleted(2, 110, 120), read(2, 1, 1, 300, 301)}, 0},
	} {
		if r := check(&Scenario{}, append(c.events, failover)...); r.Stale != c.stale {
			t.Errorf("%s: Stale = %d; want %d", name, r.Stale, c.stale)
		}
	}
}

func TestReadOfAnExpiredValueIsFoundUnlessItsReaderWasStopped(t *testing.T) {
	s := &Scenario{TTL: 100 * time.Millisecond}
	stopped := Event{Kind: Freeze, Proc: 2, Start: at(30), End: at(100)}
	for name, c := range map[string]struct {
		events  []Event
		expired int
	}{
		"in-time":                 {[]Event{read(2, 0, 1, 10, 20), read(2, 0, 1, 120, 121)}, 0},
		"too-late":                {[]Event{read(2, 0, 1, 10, 20), read(2, 0, 1, 121, 122)}, 1},
		"first-seen-by-another":   {[]Event{read(3, 0, 1, 10, 15), read(2, 0, 1, 10, 40), read(2, 0, 1, 116, 117)}, 1},
		"shortly-after-a-stop":    {[]Event{read(2, 0, 1, 10, 20), stopped, read(2, 0, 1, 149, 150)}, 0},
		"long-after-a-stop":       {[]Event{read(2, 0, 1, 10, 20), stopped, read(2, 0, 1, 151, 152)}, 1},
		"after-a-stop-of-another": {[]Event{read(3, 0, 1, 10, 20), stopped, read(3, 0, 1, 149, 150)}, 1},
		"value-first-read-late":   {[]Event{read(2, 0, 1, 10, 20), read(2, 0, 2, 151, 152)}, 0},
	} {
		if r := check(s, c.events...); r.Expired != c.expired {
			t.Errorf("%s: Expired = %d; want %d", name, r.Expired, c.expired)
		}
	}
}

func TestOriginCallsAreCountedAgainstTheFloor(t *testing.T) {
	r := check(&Scenario{}, fetch(0, 1, 0, 50), write(1, 60), fetch(1, 2, 60, 110),
		fetch(1, 3, 109, 160), write(2, 1000), fetch(2, 4, 1001, 1050))
	if r.Fetches != 4 || r.Floor != 3 || r.Overlaps != 1 || r.MostPerKey != 4 {
		t.Errorf("Fetches, Floor, Overlaps, MostPerKey = %d, %d, %d, %d; want 4, 3, 1, 4",
			r.Fetches, r.Floor, r.Overlaps, r.MostPerKey)
	}
	if r.PeakFetches != 3 || r.PeakFloor != 2 {
		t.Errorf("PeakFetches, PeakFloor = %d, %d; want 3, 2: the second may begin at any time",
			r.PeakFetches, r.PeakFloor)
	}
	if len(r.Rate) != 11 || r.Rate[0] != 2 || r.Rate[1] != 1 || r.Rate[10] != 1 {
		t.Errorf("Rate = %v; want 2, 1, eight times 0, 1", r.Rate)
	}
}

func TestEveryFetchDuringALongOneOverlaps(t *testing.T) {
	r := check(&Scenario{}, fetch(0, 1, 0, 100), fetch(0, 2, 10, 20), fetch(0, 3, 50, 120))
	if r.Overlaps != 2 {
		t.Errorf("Overlaps = %d; want 2: the third began during the first", r.Overlaps)
	}
}

func TestOverlapsWithinAProcessAreCountedApart(t *testing.T) {
	by := func(proc uint32, from, to int) Event {
		e := fetch(0, int64(from), from, to)
		e.Proc = proc
		return e
	}
	r := check(&Scenario{}, by(2, 1, 100), by(3, 10, 60), by(3, 61, 90),
		by(2, 50, 120), by(2, 110, 130), by(2, 130, 140))
	if r.Doubled != 2 || r.Overlaps != 4 {
		t.Errorf("Doubled, Overlaps = %d, %d; want 2, 4: process 2 fetched twice at once from 50 and from 110",
			r.Doubled, r.Overlaps)
	}
}

func TestWaitingCountsOnlyReadsThatBeganBeforeTheirFetchEnded(t *testing.T) {
	r := check(&Scenario{},
		fetch(0, 1, 10, 30), read(2, 0, 1, 0, 31), read(3, 0, 1, 29, 37), read(3, 0, 1, 30, 90))
	if r.Waiting.N != 2 || r.Waiting.Max != 7*time.Millisecond {
		t.Errorf("Waiting = %+v; want 2 reads, and a maximum of 7ms", r.Waiting)
	}
	if r.Last.N != 1 || r.Last.P50 != 7*time.Millisecond {
		t.Errorf("Last = %+v; want one fetch, and 7ms", r.Last)
	}
}

func TestTakeoverIsMeasuredFromTheEndOfTheLease(t *testing.T) {
	kill := Event{Kind: Kill, Proc: 2, Key: 1, Serial: 1, Start: at(20), End: at(500)}
	other := fetch(0, 9, 30, 40)
	other.Key = 2
	r := check(&Scenario{}, fetch(0, 1, 10, 60), other, kill, fetch(0, 2, 520, 570))
	if r.Kills != 1 || r.Takeovers.Max != 20*time.Millisecond {
		t.Errorf("Kills, Takeovers = %d, %+v; want 1, 20ms", r.Kills, r.Takeovers)
	}
	if r = check(&Scenario{}, fetch(0, 1, 10, 60), kill); r.Takeovers.Max < time.Minute {
		t.Errorf("Takeovers = %+v; want an hour, since nobody fetches the key again", r.Takeovers)
	}
	again := Event{Kind: Kill, Proc: 3, Key: 2, Serial: 3, Start: at(502)}
	s := &Scenario{Lease: 300 * time.Millisecond}
	r = check(s, fetch(0, 1, 10, 60), kill, again, fetch(0, 2, 810, 850))
	if r.Takeovers.Max != 8*time.Millisecond {
		t.Errorf("Takeovers = %+v; want 8ms, from the end of the second killed worker's lease", r.Takeovers)
	}
	kill.End = 0
	if r = check(&Scenario{}, fetch(0, 1, 10, 60), kill); r.Kills != 0 {
		t.Errorf("Kills = %d without a lease; want 0", r.Kills)
	}
}

func TestReadsDuringAnOutageAreMeasuredWithoutTheirFetch(t *testing.T) {
	s := &Scenario{GiveUp: 100 * time.Millisecond}
	outage := Event{Kind: Loss, Code: uint32(Outage), Start: at(100), End: at(400)}
	r := check(s, outage, fetch(0, 1, 150, 170), fetch(0, 2, 250, 270),
		read(2, 0, 1, 110, 175), read(2, 0, 2, 250, 273), read(2, 0, 2, 99, 300))
	if r.Failing.N != 1 || r.Failing.Max != 45*time.Millisecond {
		t.Errorf("Failing = %+v; want one read, and 45ms: 65ms less the fetch's 20ms", r.Failing)
	}
	if r.Broken.N != 1 || r.Broken.Max != 3*time.Millisecond {
		t.Errorf("Broken = %+v; want one read, and 3ms: 23ms less the fetch's 20ms", r.Broken)
	}
}

func TestReadOlderThanWhatARefreshReturnedIsCounted(t *testing.T) {
	refreshed := read(1, 5, 1, 10, 20)
	refreshed.Kind = Refreshed
	r := check(&Scenario{}, refreshed, read(2, 4, 2, 21, 22), read(1, 4, 2, 30, 31), read(2, 5, 1, 40, 41), read(2, 4, 2, 19, 50))
	if r.Older != 2 || r.Stale != 0 || r.Reads != 5 {
		t.Errorf("Older, Stale, Reads = %d, %d, %d; want 2, 0, 5: one began before the Refresh was over", r.Older, r.Stale, r.Reads)
	}
}
