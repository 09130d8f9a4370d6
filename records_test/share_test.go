package records_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac"
	"github.com/zodiac-go/zodiac/memstore"
)

// A drawing has a part that JSON can encode and not decode.
type drawing struct {
	Name  string
	Shape fmt.Stringer
	Alike []int
}

type square int

func (square) String() string { return "square" }

// faults notes the faults that an Observer is told of.
type faults struct {
	mu   sync.Mutex
	errs []error
}

func (f *faults) Observe(_ context.Context, e zodiac.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e.Kind == zodiac.EventFault {
		f.errs = append(f.errs, e.Err)
	}
}

// share has five callers share a fetch of value over a store, and returns what they got and what
// was reported, once for each fetch: one who comes later does not share what is not stored.
func share(t *testing.T, value drawing, opts ...zodiac.Option) (got []drawing, reported []error) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		defer store.Close()
		seen := &faults{}
		l := zodiac.NewLoader(func(context.Context, string) (drawing, error) {
			time.Sleep(time.Second)
			return drawing{value.Name, value.Shape, slices.Clone(value.Alike)}, nil
		}, zodiac.WithName("drawings"), zodiac.WithStore(store), zodiac.WithObserver(seen), zodiac.Options(opts))
		var mu sync.Mutex
		var callers sync.WaitGroup
		for range 5 {
			callers.Go(func() {
				v, err := l.Get(context.Background(), "k")
				if err != nil {
					t.Errorf("Get = %v", err)
				}
				mu.Lock()
				defer mu.Unlock()
				got = append(got, v)
			})
		}
		callers.Wait()
		if err := l.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if s := l.Stats(); s.Fetched+s.Shared != 5 || s.Shared < 2 {
			t.Errorf("Stats = %+v; want 5 fetched or shared", s)
		}
		reported = seen.errs
		if n := l.Stats().Fetches; n == uint64(len(reported)) {
			reported = reported[:1]
		}
	})
	return got, reported
}

func wantDrawings(t *testing.T, got []drawing, want drawing) {
	t.Helper()
	for _, v := range got {
		if v.Name != want.Name || v.Shape != want.Shape || len(v.Alike) != len(want.Alike) {
			t.Errorf("a caller got %+v; want %+v", v, want)
		}
	}
}

func wantReport(t *testing.T, reported []error, op string) {
	t.Helper()
	if len(reported) != 1 {
		t.Fatalf("%d faults are reported: %v; want one", len(reported), reported)
	}
	if e, ok := errors.AsType[*zodiac.CodecError](reported[0]); !ok || e.Op != op {
		t.Errorf("reported: %v; want a CodecError of %s", reported[0], op)
	}
}

// separate reports whether no two values share their slice.
func separate(got []drawing) bool {
	for i := range got {
		got[i].Alike[0] = i + 1
	}
	for i := range got {
		if got[i].Alike[0] != i+1 {
			return false
		}
	}
	return true
}

// The first caller got the value, and the four others a CodecError.
func TestValueThatDoesNotDecodeIsForAllWhoWait(t *testing.T) {
	want := drawing{"a", square(1), []int{0}}
	got, reported := share(t, want)
	wantDrawings(t, got, want)
	wantReport(t, reported, "Unmarshal")
	got, reported = share(t, want, zodiac.WithClone(func(d drawing) drawing {
		d.Alike = slices.Clone(d.Alike)
		return d
	}))
	wantDrawings(t, got, want)
	wantReport(t, reported, "Unmarshal")
	if !separate(got) {
		t.Error("with WithClone, callers share the value")
	}
}

// failing is a codec that encodes nothing.
type failing struct{ zodiac.Codec }

func (failing) Marshal(any) ([]byte, error) { return nil, errors.New("not encoded") }

func TestValueThatDoesNotEncodeIsForAllWhoWait(t *testing.T) {
	want := drawing{"a", square(1), []int{0}}
	got, reported := share(t, want, zodiac.WithCodec(failing{zodiac.JSON}))
	wantDrawings(t, got, want)
	wantReport(t, reported, "Marshal")
	got, reported = share(t, want, zodiac.WithCodec(failing{zodiac.JSON}), zodiac.WithClone(func(d drawing) drawing {
		d.Alike = slices.Clone(d.Alike)
		return d
	}))
	wantDrawings(t, got, want)
	wantReport(t, reported, "Marshal")
	if !separate(got) {
		t.Error("with WithClone, callers share the value")
	}
}

// P21: a value that is too large for the store is still every caller's own.
func TestTooLargeValueIsEachCallersOwn(t *testing.T) {
	want := drawing{strings.Repeat("a", 200), nil, []int{0}}
	got, reported := share(t, want, zodiac.WithMaxBytes(100))
	wantDrawings(t, got, want)
	if len(reported) != 1 || !errors.Is(reported[0], zodiac.ErrTooLarge) {
		t.Errorf("reported: %v; want ErrTooLarge once", reported)
	}
	if !separate(got) {
		t.Error("callers share the value")
	}
}
