package herd

import (
	"os"
	"path/filepath"
	"testing"
)

func TestEventsOfAllLogsAreReadBack(t *testing.T) {
	dir := t.TempDir()
	var want []Event
	for proc := uint32(1); proc <= 2; proc++ {
		l, err := CreateLog(dir, proc, 100)
		if err != nil {
			t.Fatal(err)
		}
		for i := range int64(5) {
			e := Event{Kind: Read, Key: 3, Version: i, Serial: 4, Start: 5, End: 6}
			l.Add(e)
			e.Proc = proc
			want = append(want, e)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	got, err := ReadLogs(dir)
	if err != nil || len(got) != len(want) {
		t.Fatalf("ReadLogs() = %v, %v; want %v", got, err, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("event %d = %+v; want %+v", i, got[i], want[i])
		}
	}
}

func TestLogOfAKilledProcessHasAllButUnfinishedEvents(t *testing.T) {
	dir := t.TempDir()
	l, err := CreateLog(dir, 1, 50_000)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	l.Add(Event{Kind: Read})
	l.next.Add(100) // slots taken by goroutines that were killed before they wrote
	l.Add(Event{Kind: Write})
	got, err := ReadLogs(dir)
	if err != nil || len(got) != 2 || got[1].Kind != Write {
		t.Errorf("ReadLogs() = %v, %v; want both events", got, err)
	}
}

func TestFullLogEndsWithFull(t *testing.T) {
	dir := t.TempDir()
	l, err := CreateLog(dir, 1, 3)
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		l.Add(Event{Kind: Read})
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := ReadLogs(dir)
	if err != nil || len(got) != 3 || got[2].Kind != Full {
		t.Fatalf("ReadLogs() = %v, %v; want two events and Full", got, err)
	}
	if !Check(&Scenario{}, got, 0).Truncated {
		t.Error("Check: Truncated = false; want true")
	}
}

func TestLogsAreNotOverwritten(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "000001.log"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := CreateLog(dir, 1, 3); err == nil {
		t.Error("CreateLog replaced a log that existed; want an error")
	}
}
