package faultlog

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A book keeps lines with the time at which they were written.
type book struct {
	began time.Time
	mu    sync.Mutex // guards the field below
	lines []string
}

func newBook() (*book, *Log) {
	b := &book{began: time.Now()}
	return b, New(b.write)
}

func (b *book) write(l Line) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, fmt.Sprint(time.Since(b.began), " ", l.Message, " ", l.Args))
}

// note is Note for a caller that writes the line.
func (b *book) note(l *Log, cause string, line Line) {
	if l.Note(cause, line) {
		b.write(line)
	}
}

func (b *book) want(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.Equal(b.lines, want) {
		t.Errorf("written: %q; want %q", b.lines, want)
	}
}

func (b *book) count() int {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.lines)
}

func line(text string) Line { return Line{slog.LevelWarn, "fault", []any{text}} }

func TestFirstFaultIsLoggedAndTheRestOncePerMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, l := newBook()
		for i := range 25 {
			b.note(l, "down", line(fmt.Sprint(i)))
			time.Sleep(11 * time.Second)
		}
		time.Sleep(10 * time.Minute)
		b.want(t, "0s fault [0]", "1m0s fault, again [count 5 5]", "2m0s fault, again [count 5 10]",
			"3m0s fault, again [count 6 16]", "4m0s fault, again [count 5 21]", "5m0s fault, again [count 3 24]")
	})
}

func TestFaultAfterAQuietMinuteIsAFirstOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, l := newBook()
		for range 2 {
			b.note(l, "down", line("x"))
			time.Sleep(time.Minute + time.Second)
		}
		b.want(t, "0s fault [x]", "1m1s fault [x]")
	})
}

func TestCausesAreLoggedApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, l := newBook()
		for _, cause := range []string{"a", "b", "a", "b"} {
			b.note(l, cause, line(cause))
		}
		b.want(t, "0s fault [a]", "0s fault [b]")
		l.Close()
	})
}

func TestNumberOfCausesIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, l := newBook()
		for i := range 100 * maxCauses {
			b.note(l, fmt.Sprint(i), line("x"))
		}
		if n := b.count(); n != maxCauses+1 {
			t.Errorf("%d lines; want %d", n, maxCauses+1)
		}
		time.Sleep(time.Minute + 1)
		if n := b.count(); n != maxCauses+2 {
			t.Errorf("%d lines after a minute; want one more", n)
		}
		l.Close()
	})
}

func TestCloseWritesWhatWasCountedAndLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, l := newBook()
		for range 3 {
			b.note(l, "down", line("x"))
		}
		l.Close()
		l.Close()
		b.want(t, "0s fault [x]", "0s fault, again [count 2 x]")
		time.Sleep(time.Hour)
		b.note(l, "down", line("late"))
		b.want(t, "0s fault [x]", "0s fault, again [count 2 x]")
	})
}

func TestKindLeavesOutWhatDiffers(t *testing.T) {
	for text, want := range map[string]string{
		"dial tcp 10.0.0.1:6379: connect: connection refused": "dial tcp # connect: connection refused",
		"lookup redis.internal: no such host":                 "lookup redis.internal: no such host",
		`get "user 7 of x": no`:                               "get # # of # no",
		"it panicked: boom\n\ngoroutine 7":                    "it panicked: boom",
		"":                                                    "",
	} {
		if got := Kind(errors.New(text)); got != want {
			t.Errorf("Kind(%q) = %q; want %q", text, got, want)
		}
	}
	if n := len(Kind(errors.New(string(make([]byte, 1000))))); n > maxKind {
		t.Errorf("a kind has %d bytes; want at most %d", n, maxKind)
	}
	if got := Kind(panics{}); got == "" {
		t.Error("an error whose Error panics has no kind")
	}
}

type panics struct{ _ int }

func (panics) Error() string { panic("in Error") }
