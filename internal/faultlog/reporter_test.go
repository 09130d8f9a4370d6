package faultlog

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A handler is a slog.Handler that is a function.
type handler func(slog.Record)

func (handler) Enabled(context.Context, slog.Level) bool { return true }
func (h handler) WithAttrs([]slog.Attr) slog.Handler     { return h }
func (h handler) WithGroup(string) slog.Handler          { return h }

func (h handler) Handle(_ context.Context, r slog.Record) error {
	h(r)
	return nil
}

func always() string { return "down" }

func TestHandlerHoldsUpNoCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		var r *Reporter
		r = NewReporter(slog.New(handler(func(slog.Record) {
			time.Sleep(3 * time.Second)
			n++
			r.Fault(slog.LevelWarn, always, "from within")
		})))
		began := time.Now()
		r.Fault(slog.LevelWarn, always, "fault")
		r.Log(slog.LevelInfo, "changed")
		if d := time.Since(began); d != 0 {
			t.Errorf("the caller was held up for %v", d)
		}
		time.Sleep(10 * time.Second)
		if err := r.Close(t.Context()); err != nil || n != 3 {
			t.Errorf("Close = %v, %d lines were written; want nil and 3: the fault, the change, the summary", err, n)
		}
	})
}

func TestHandlerThatHangsHoldsCloseNoLongerThanItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		until := make(chan struct{})
		r := NewReporter(slog.New(handler(func(slog.Record) { <-until })))
		r.Log(slog.LevelInfo, "x")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close = %v; want the context's error", err)
		}
		close(until)
	})
}

func TestHandlerThatPanicsHarmsNobody(t *testing.T) {
	n := 0
	r := NewReporter(slog.New(handler(func(slog.Record) {
		n++
		panic("in the handler")
	})))
	r.Log(slog.LevelInfo, "x")
	r.Log(slog.LevelInfo, "y")
	if r.Close(t.Context()); n != 2 {
		t.Errorf("%d lines were written; want 2", n)
	}
}

func TestLogIsThatOfSlogByDefault(t *testing.T) {
	var b bytes.Buffer
	r := NewReporter(nil, "loader", "users")
	before := slog.Default()
	defer slog.SetDefault(before)
	slog.SetDefault(slog.New(slog.NewTextHandler(&b, nil)))
	r.Fault(slog.LevelWarn, always, "fault", "error", "down")
	r.Close(t.Context())
	if got := b.String(); !strings.Contains(got, `level=WARN msg=fault loader=users error=down`) {
		t.Errorf("logged %q", got)
	}
}
