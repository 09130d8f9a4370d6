package zodiac_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac"
	"github.com/zodiac-go/zodiac/memstore"
)

// inEveryTier runs a test in memory, over a store, and with memory in front of one.
func inEveryTier(t *testing.T, test func(t *testing.T, opts ...zodiac.Option)) {
	for name, more := range map[string][]zodiac.Option{
		"memory": nil, "store": {}, "both": {zodiac.WithMemory(10)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opts := []zodiac.Option{zodiac.WithName("rows"), zodiac.WithTTL(60)}
				if more != nil {
					store := memstore.New()
					defer store.Close()
					opts = append(append(opts, zodiac.WithStore(store)), more...)
				}
				test(t, opts...)
			})
		})
	}
}

// plainReads are the ways to read a key without overwriting it.
func plainReads(l *zodiac.Loader[string, int]) map[string]func(context.Context) (int, error) {
	return map[string]func(context.Context) (int, error){
		"Get":        func(ctx context.Context) (int, error) { return l.Get(ctx, "k") },
		"NoWrite":    func(ctx context.Context) (int, error) { return l.Get(zodiac.NoWrite(ctx), "k") },
		"ReadOnly":   func(ctx context.Context) (int, error) { return l.Get(zodiac.ReadOnly(ctx), "k") },
		"GetOrFetch": func(ctx context.Context) (int, error) { return l.GetOrFetch(ctx, "k", unused) },
		"GetMany": func(ctx context.Context) (int, error) {
			m, err := l.GetMany(ctx, []string{"k"})
			return m["k"], err
		},
	}
}

func unused(context.Context, string) (int, error) {
	return 0, errors.New("a function was called that is not needed")
}

func TestReaderDoesNotWaitForARefreshOfAValueThatIsThere(t *testing.T) {
	for _, fails := range []bool{false, true} {
		inEveryTier(t, func(t *testing.T, opts ...zodiac.Option) {
			n := 0
			l := zodiac.NewLoader(func(context.Context, string) (int, error) {
				if n++; n == 1 {
					return 1, nil
				}
				time.Sleep(time.Second)
				if fails {
					return 0, errOrigin
				}
				return n, nil
			}, opts...)
			defer l.Close(t.Context())
			wantGet(t, l, "k", 1)
			refresh := later(func() (int, error) { return l.Refresh(t.Context(), "k") })
			began := time.Now()
			for name, read := range plainReads(l) {
				if v, err := read(t.Context()); v != 1 || err != nil {
					t.Errorf("%s beside a Refresh = %v, %v; want 1, nil", name, v, err)
				}
			}
			if d := time.Since(began); d != 0 {
				t.Errorf("the readers waited %v for the Refresh", d)
			}
			want := 2
			if r := <-refresh; fails {
				wantError(t, "Refresh", r.err, errOrigin)
				want = 1
			} else if r.value != 2 || r.err != nil {
				t.Errorf("Refresh = %v, %v; want 2, nil", r.value, r.err)
			}
			for name, read := range plainReads(l) { // P1
				if v, err := read(t.Context()); v != want || err != nil {
					t.Errorf("%s after the Refresh = %v, %v; want %v, nil", name, v, err, want)
				}
			}
		})
	}
}

func TestReaderThatFindsNothingSharesARefresh(t *testing.T) {
	inEveryTier(t, func(t *testing.T, opts ...zodiac.Option) {
		fetch, calls := slow()
		l := zodiac.NewLoader(fetch, opts...)
		defer l.Close(t.Context())
		refresh := later(func() (int, error) { return l.Refresh(t.Context(), "k") })
		var reads []<-chan reply[int]
		for name, read := range plainReads(l) {
			if name != "ReadOnly" {
				reads = append(reads, later(func() (int, error) { return read(t.Context()) }))
			}
		}
		wantReply(t, "Refresh", refresh, 1)
		for _, r := range reads {
			wantReply(t, "a read beside the Refresh", r, 1)
		}
		wantCalls(t, calls, 1)
	})
}

// A reader that has refused the record begins a fetch to replace it. The record is still good for
// readers without such a wish.
func TestReaderDoesNotWaitForTheFetchOfOneThatRefusedTheRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		defer store.Close()
		refuses := false
		fetch, _ := slow()
		l := zodiac.NewLoader(fetch, zodiac.WithName("rows"), zodiac.WithTTL(60), zodiac.WithStore(store),
			zodiac.ValidIf(func(string, zodiac.Entry[int]) bool { return !refuses }))
		defer l.Close(t.Context())
		wantGet(t, l, "k", 1)
		refuses = true
		first := getLater(t.Context(), l, "k")
		refuses = false
		began := time.Now()
		wantGet(t, l, "k", 1)
		if d := time.Since(began); d != 0 {
			t.Errorf("a reader waited %v", d)
		}
		wantReply(t, "the reader that refused the record", first, 2)
	})
}
