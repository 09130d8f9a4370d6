package zodiac_test

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac"
	"github.com/zodiac-go/zodiac/memstore"
)

// countingCodec is JSON that counts its decodings.
type countingCodec struct {
	zodiac.Codec
	decoded atomic.Int32
}

func (c *countingCodec) Unmarshal(data []byte, v any) error {
	c.decoded.Add(1)
	return c.Codec.Unmarshal(data, v)
}

const sharers = 20

// shareFetch lets callers of two processes ask for one key at once, and returns how often the codec
// decoded. use is called with the value of each caller, one after another.
func shareFetch[V any](t *testing.T, value func() V, use func(V)) int32 {
	codec := &countingCodec{Codec: zodiac.JSON}
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		defer store.Close()
		fetches := 0
		fetch := func(context.Context, string) (V, error) {
			fetches++
			time.Sleep(time.Second)
			return value(), nil
		}
		var mu sync.Mutex
		var callers sync.WaitGroup
		for range 2 {
			l := zodiac.NewLoader(fetch, zodiac.WithName("rows"), zodiac.WithTTL(60), zodiac.WithStore(&twin{store}), zodiac.WithCodec(codec))
			defer l.Close(t.Context())
			for range sharers {
				callers.Go(func() {
					v, err := l.Get(t.Context(), "k")
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

// Callers that share a fetch, of their own process or of another, get copies without another
// decoding if an assignment makes a copy.
func TestSharedFlatValueIsDecodedOnceAProcess(t *testing.T) {
	want := User{7, "Ada"}
	n := shareFetch(t, func() User { return want }, func(got User) {
		if got != want {
			t.Errorf("got %v, want %v", got, want)
		}
	})
	if n != 2 {
		t.Errorf("decoded %d times for two processes", n)
	}
}

// deserter is a codec that ends the goroutine of the first decoding.
type deserter struct {
	zodiac.Codec
	n atomic.Int32
}

func (c *deserter) Unmarshal(data []byte, v any) error {
	if c.n.Add(1) == 1 {
		runtime.Goexit()
	}
	return c.Codec.Unmarshal(data, v)
}

// P20: a codec that ends the goroutine of the shared decoding does not keep the value from others.
func TestGoexitOfACodecHarmsNoOtherSharer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		defer store.Close()
		fetch := func(context.Context, int) (int, error) {
			time.Sleep(time.Second)
			return 7, nil
		}
		l := zodiac.NewLoader(fetch, zodiac.WithName("rows"), zodiac.WithTTL(60), zodiac.WithStore(store),
			zodiac.WithCodec(&deserter{Codec: zodiac.JSON}))
		defer l.Close(t.Context())
		var exited atomic.Int32
		var callers sync.WaitGroup
		for range sharers {
			exited.Add(1)
			callers.Go(func() {
				v, err := l.Get(t.Context(), 1)
				exited.Add(-1)
				if v != 7 || err != nil {
					t.Errorf("Get = %d, %v", v, err)
				}
			})
		}
		callers.Wait()
		if exited.Load() != 1 {
			t.Errorf("%d callers have exited; want the one that decoded", exited.Load())
		}
	})
}

// Otherwise every caller has a copy that it may change.
func TestSharedValueIsEachCallersOwn(t *testing.T) {
	n := shareFetch(t, func() []string { return []string{"a"} }, func(got []string) {
		if len(got) != 1 || got[0] != "a" {
			t.Errorf("got %v, want [a]: somebody changed it", got)
			return
		}
		got[0] = "b"
	})
	if n != 2*sharers-1 {
		t.Errorf("decoded %d times for %d callers, one of whom fetched", n, 2*sharers)
	}
}
