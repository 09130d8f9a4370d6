package zodiac_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac"
	"github.com/zodiac-go/zodiac/memstore"
)

// countingCodec is JSON that counts what it decodes.
type countingCodec struct {
	zodiac.Codec
	decoded atomic.Int32
}

func (c *countingCodec) Unmarshal(data []byte, v any) error {
	c.decoded.Add(1)
	return c.Codec.Unmarshal(data, v)
}

const sharers = 20

// shareFetch lets the callers of two processes ask for one key at once, and returns how often the codec decoded. use is called with
// what each got, one after another.
func shareFetch[V any](t *testing.T, value func() V, use func(V)) int32 {
	codec := &countingCodec{Codec: zodiac.JSON}
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		defer store.Close()
		fetches := 0
		fetch := func(context.Context, int) (V, error) {
			fetches++
			time.Sleep(time.Second)
			return value(), nil
		}
		var mu sync.Mutex
		var callers sync.WaitGroup
		for range 2 {
			l := zodiac.NewLoader(fetch, zodiac.WithName("rows"), zodiac.WithTTL(60), zodiac.WithStore(&twin{store}), zodiac.WithCodec(codec))
			defer l.Close(t.Context()) //nolint:errcheck // nothing runs
			for range sharers {
				callers.Go(func() {
					v, err := l.Get(t.Context(), 1)
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					use(v)
				})
			}
		}
		callers.Wait()
		if fetches != 1 {
			t.Errorf("%d fetches", fetches)
		}
	})
	return codec.decoded.Load()
}

// Who shares a fetch, his own process's or another's, gets a copy without decoding it again, if an assignment makes one.
func TestSharedFlatValueIsDecodedOnceAProcess(t *testing.T) {
	type row struct {
		ID   int
		Name string
		At   time.Time
		Tags [2]string
	}
	want := row{7, "Ada", time.Date(2000, 1, 2, 3, 4, 5, 6, time.UTC), [2]string{"a", "b"}}
	n := shareFetch(t, func() row { return want }, func(got row) {
		if got != want {
			t.Errorf("got %v, want %v", got, want)
		}
	})
	if n != 2 {
		t.Errorf("decoded %d times for two processes", n)
	}
}

// Else everybody has a copy that he may change.
func TestSharedValueIsEachCallersOwn(t *testing.T) {
	n := shareFetch(t, func() []int { return []int{1} }, func(got []int) {
		if len(got) != 1 || got[0] != 1 {
			t.Errorf("got %v, want [1]: somebody changed it", got)
			return
		}
		got[0] = 2
	})
	if n != 2*sharers-1 {
		t.Errorf("decoded %d times for %d callers, one of whom fetched", n, 2*sharers)
	}
}
