package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac/driver"
)

var errDown = errors.New("connection refused")

// A line takes what a Publisher sends. A message takes as long as line.takes, and fails with line.err.
type line struct {
	mu    sync.Mutex // guards the fields below
	takes time.Duration
	err   error
	sent  []driver.Invalidation
}

func (l *line) send(ctx context.Context, inv driver.Invalidation) error {
	l.mu.Lock()
	l.sent = append(l.sent, inv)
	takes, err := l.takes, l.err
	l.mu.Unlock()
	select {
	case <-time.After(takes):
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *line) set(takes time.Duration, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.takes, l.err = takes, err
}

// numbers returns "number:keys" of each message, and forgets the messages.
func (l *line) numbers() (texts []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, inv := range l.sent {
		texts = append(texts, fmt.Sprintf("%d:%d", inv.Number, len(inv.Keys)))
	}
	l.sent = nil
	return texts
}

func (l *line) want(t *testing.T, want ...string) {
	t.Helper()
	if got := l.numbers(); !slices.Equal(got, want) {
		t.Errorf("messages %v; want %v", got, want)
	}
}

func newLine(t *testing.T) (*line, *Publisher) {
	l := &line{}
	p := NewPublisher(7, l.send)
	t.Cleanup(func() { _ = p.Close(context.Background()) })
	return l, p
}

func TestWhoComesWhileAMessageIsUnderWayJoinsTheNextOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, p := newLine(t)
		l.set(10*time.Millisecond, nil)
		start := time.Now()
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() {
				time.Sleep(time.Duration(i) * time.Microsecond)
				if err := p.Publish(t.Context(), []string{fmt.Sprint(i)}, ""); err != nil {
					t.Error(err)
				}
				if d := time.Since(start); i > 0 && d != 20*time.Millisecond {
					t.Errorf("caller %d has returned after %v; want 20ms, when its message was accepted", i, d)
				}
			})
		}
		all.Wait()
		l.want(t, "1:1", "2:99")
	})
}

func TestNothingIsDelayedAtRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, p := newLine(t)
		for range 3 {
			start := time.Now()
			if err := p.Publish(t.Context(), []string{"k"}, ""); err != nil || time.Since(start) != 0 {
				t.Errorf("Publish = %v after %v; want nil at once", err, time.Since(start))
			}
		}
		l.want(t, "1:1", "2:1", "3:1")
	})
}

func TestManyNamesGoInSeveralMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, p := newLine(t)
		if err := p.Publish(t.Context(), make([]string, 2*MaxNames+1), ""); err != nil {
			t.Fatal(err)
		}
		l.want(t, fmt.Sprint("1:", MaxNames), fmt.Sprint("2:", MaxNames), "3:1")
	})
}

func TestPrefixesOfTwoCallersGoInTwoMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, p := newLine(t)
		l.set(time.Millisecond, nil)
		var all sync.WaitGroup
		for _, prefix := range []string{"a", "b", "c", "c"} {
			all.Go(func() { _ = p.Publish(t.Context(), nil, prefix) })
			synctest.Wait()
		}
		all.Wait()
		var prefixes []string
		for _, inv := range l.sent {
			prefixes = append(prefixes, inv.Prefix)
		}
		if !slices.Equal(prefixes, []string{"a", "b", "c"}) {
			t.Errorf("prefixes %q", prefixes)
		}
	})
}

func TestCallerOfAJoinedMessageWaitsNoLongerThanItsOwnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, p := newLine(t)
		l.set(100*time.Millisecond, nil)
		go p.Publish(t.Context(), []string{"first"}, "")
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		start := time.Now()
		if err := p.Publish(ctx, []string{"second"}, ""); !errors.Is(err, context.DeadlineExceeded) ||
			time.Since(start) != 50*time.Millisecond {
			t.Errorf("Publish = %v after %v; want the end of its context", err, time.Since(start))
		}
		time.Sleep(200 * time.Millisecond)
		l.want(t, "1:1", "2:1")
	})
}

func TestFailureIsTheErrorOfAllWhoJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, p := newLine(t)
		l.set(time.Millisecond, errDown)
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				if err := p.Publish(t.Context(), []string{"k"}, ""); !errors.Is(err, errDown) {
					t.Errorf("Publish = %v; want %v", err, errDown)
				}
			})
			synctest.Wait()
		}
		all.Wait()
	})
}

// What has failed may have been received. So it is sent again under its own number.
func TestFailedMessageIsSentAgainWithTheNextOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, p := newLine(t)
		l.set(0, errDown)
		_ = p.Publish(t.Context(), []string{"lost"}, "")
		l.set(0, nil)
		_ = p.Publish(t.Context(), []string{"next"}, "")
		_ = p.Publish(t.Context(), []string{"last"}, "")
		l.want(t, "1:1", "1:2", "2:1")
	})
}

func TestFailedMessageIsSentAgainIfNoOtherFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, p := newLine(t)
		l.set(0, errDown)
		_ = p.Publish(t.Context(), []string{"lost"}, "")
		l.set(0, nil)
		time.Sleep(10 * time.Second)
		l.want(t, "1:1", "1:1", "1:0")
	})
}

func TestMessageThatFailsTwiceIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, p := newLine(t)
		l.set(0, errDown)
		_ = p.Publish(t.Context(), []string{"lost"}, "")
		time.Sleep(10 * time.Second)
		l.set(0, nil)
		_ = p.Publish(t.Context(), []string{"next"}, "")
		l.want(t, "1:1", "1:1", "2:1")
	})
}

func TestLastNumberIsRepeatedOnceAndThenThereIsRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, p := newLine(t)
		for range 3 {
			_ = p.Publish(t.Context(), []string{"k"}, "")
			time.Sleep(repeatAfter / 2)
		}
		time.Sleep(time.Hour)
		l.want(t, "1:1", "2:1", "3:1", "3:0")
	})
}

func TestCloseRepeatsTheLastNumberAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, p := newLine(t)
		_ = p.Publish(t.Context(), []string{"k"}, "")
		start := time.Now()
		if err := p.Close(t.Context()); err != nil || time.Since(start) != 0 {
			t.Errorf("Close = %v after %v", err, time.Since(start))
		}
		time.Sleep(time.Hour)
		l.want(t, "1:1", "1:0")
	})
}

func TestCloseWaitsForWhatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, p := newLine(t)
		l.set(time.Minute, nil)
		go p.Publish(context.Background(), []string{"k"}, "")
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := p.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close = %v; want the error of its context", err)
		}
		start := time.Now()
		if err := p.Close(t.Context()); err != nil || time.Since(start) < 59*time.Second {
			t.Errorf("Close = %v after %v; want nil when the message has ended", err, time.Since(start))
		}
	})
}

func TestPanicOfABusIsAnError(t *testing.T) {
	p := NewPublisher(7, func(context.Context, driver.Invalidation) error { panic("bus") })
	for range 2 {
		if err := p.Publish(t.Context(), []string{"k"}, ""); err == nil {
			t.Error("Publish = nil; want an error")
		}
	}
	_ = p.Close(t.Context())
}
