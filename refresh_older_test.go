package zodiac_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zodiac-go/zodiac"
	"github.com/zodiac-go/zodiac/memstore"
	"github.com/zodiac-go/zodiac/storetest/chaos"
)

// A process is stopped for longer than its lease during a Refresh. Another one reads version 4 of the
// row, and stores it. Then the function of the Refresh reads version 5. Once Refresh has returned it,
// no process serves version 4.
func TestNothingOlderThanWhatRefreshReturned(t *testing.T) {
	for name, opts := range map[string][]zodiac.Option{"store": nil, "near": {zodiac.WithMemory(30)}} {
		for fault, inject := range map[string]func(*chaos.Injector){
			"Stopped":     func(m *chaos.Injector) { m.Fail(errDown, chaos.Renew) },
			"CommitFails": func(m *chaos.Injector) { m.Fail(errDown, chaos.Renew, chaos.Commit) },
			"CommitHangs": func(m *chaos.Injector) { m.Fail(errDown, chaos.Renew); m.Stall(chaos.Commit) },
		} {
			t.Run(name+"/"+fault, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					o := new(origin)
					o.write("k", "4")
					store := memstore.New()
					defer store.Close()
					m := chaos.New(&twin{store})
					opts := append(opts, zodiac.WithName("rows"), zodiac.WithTTL(60), zodiac.WithLease(1))
					stopped := zodiac.NewLoader(func(ctx context.Context, key string) (string, error) {
						time.Sleep(5 * time.Second)
						return o.read(ctx, key)
					}, append(opts, zodiac.WithStore(m.Store()))...)
					defer stopped.Close(context.Background())
					other := zodiac.NewLoader(o.read, append(opts, zodiac.WithStore(&twin{store}))...)
					defer other.Close(context.Background())
					stopped.Peek(t.Context(), "subscribe")
					inject(m)
					refreshed := make(chan string, 1)
					go func() {
						v, _ := stopped.Refresh(t.Context(), "k")
						refreshed <- v
					}()
					time.Sleep(3 * time.Second)
					for range 2 {
						if v, err := other.Get(t.Context(), "k"); v != "4" || err != nil {
							t.Fatalf("Get of the other process = %q, %v; want 4, by a fetch of its own", v, err)
						}
					}
					o.write("k", "5")
					if v := <-refreshed; v != "5" {
						t.Fatalf("Refresh = %q; want 5", v)
					}
					m.Heal()
					for process, l := range map[string]*zodiac.Loader[string, string]{"other": other, "stopped": stopped} {
						if v, err := l.Get(t.Context(), "k"); v != "5" || err != nil {
							t.Errorf("%s: Get = %q, %v after Refresh has returned 5", process, v, err)
						}
					}
				})
			})
		}
	}
}
