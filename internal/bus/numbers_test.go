package bus

import (
	"testing"
	"time"

	"github.com/zodiac-go/zodiac/driver"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// A heard is a message that is received, of one publisher if id is 0.
type heard struct {
	id     uint64
	number uint64
	repeat bool
	age    time.Duration // of the publisher's message before
	at     time.Duration // since the subscription began
	gap    bool          // is wanted
}

func (h heard) invalidation() *driver.Invalidation {
	inv := &driver.Invalidation{Publisher: h.id + 1, Number: h.number, Age: h.age}
	if !h.repeat {
		inv.Keys = []string{"k"}
	}
	return inv
}

func TestGapsAreFoundFromNumbers(t *testing.T) {
	const hour = time.Hour
	for name, messages := range map[string][]heard{
		"InOrder":                    {{number: 1}, {number: 2}, {number: 3}, {number: 3, repeat: true}},
		"Missing":                    {{number: 1}, {number: 3, gap: true}, {number: 4}},
		"LastOfABurst":               {{number: 1}, {number: 2, repeat: true, gap: true}, {number: 3}},
		"Copies":                     {{number: 1}, {number: 1}, {number: 2}, {number: 1}, {number: 3}, {number: 2}, {number: 3}},
		"Reordered":                  {{number: 1}, {number: 3, gap: true}, {number: 2, gap: true}, {number: 4}, {number: 2}},
		"RunsBackFar":                {{number: 1000, age: hour}, {number: 5, gap: true}, {number: 6}, {number: 7}},
		"RunsBackToUnseen":           {{number: 1000, age: hour}, {number: 990, gap: true}, {number: 1001}},
		"FarAhead":                   {{number: 1}, {number: 1 << 63, gap: true}, {number: 2, gap: true}, {number: 3}},
		"HighestNumber":              {{number: 1}, {number: 1<<64 - 1, gap: true}, {number: 1<<64 - 1}, {number: 2, gap: true}},
		"BeganBeforeTheSubscription": {{number: 9, age: hour, at: time.Second}, {number: 10, at: time.Second}},
		"FirstWasMissed":             {{number: 2, age: time.Second, at: 2 * time.Second, gap: true}, {number: 3}},
		"OnlyMessageWasMissed":       {{number: 1, repeat: true, age: 400 * time.Millisecond, at: time.Second, gap: true}},
		"OnlyMessageWasBefore":       {{number: 1, repeat: true, age: 400 * time.Millisecond, at: 300 * time.Millisecond}},
		"TwoPublishers":              {{number: 1}, {id: 1, number: 7, age: hour}, {number: 2}, {id: 1, number: 9, gap: true}, {number: 3}},
	} {
		t.Run(name, func(t *testing.T) {
			var n Numbers
			n.Begin(start)
			for i, h := range messages {
				if got := n.Check(h.invalidation(), start.Add(h.at)); got != h.gap {
					t.Errorf("message %d, %+v: gap = %v", i, h, got)
				}
			}
		})
	}
}

func TestPublishersThatAreGoneAreForgotten(t *testing.T) {
	var n Numbers
	n.Begin(start)
	for i := range 10 * firstSweep {
		at := time.Duration(i) * 2 * time.Second
		if n.Check(heard{id: uint64(i), number: 1}.invalidation(), start.Add(at)) {
			t.Fatalf("publisher %d: a gap", i)
		}
	}
	if len(n.known) > 2*firstSweep {
		t.Errorf("%d publishers are remembered", len(n.known))
	}
	// One that was forgotten and comes back has missed nothing.
	late := heard{id: 0, number: 2, age: time.Hour}
	if n.Check(late.invalidation(), start.Add(20*firstSweep*time.Second)) {
		t.Error("a publisher that comes back is a gap")
	}
}

func TestForgedPublishersTakeBoundedMemory(t *testing.T) {
	var n Numbers
	n.Begin(start)
	for i := range 3 * maxPublishers {
		n.Check(heard{id: uint64(i), number: 1}.invalidation(), start)
	}
	if len(n.known) > maxPublishers {
		t.Errorf("%d publishers are remembered; want %d at most", len(n.known), maxPublishers)
	}
}
