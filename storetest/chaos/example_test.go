package chaos_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/memstore"
	"github.com/zodiac-go/zodiac/storetest/chaos"
)

// A command whose answer was lost may have been carried out.
func ExampleInjector_LoseReply() {
	ctx := context.Background()
	faults := chaos.New(memstore.New())
	store := faults.Store()
	defer store.Close()

	faults.LoseReply(errors.New("connection reset"), chaos.Set)
	fmt.Println(store.Set(ctx, "k", driver.Record{Data: []byte("data"), TTL: time.Minute}))
	r, err := store.Get(ctx, "k")
	fmt.Println(string(r.Data), err, faults.Calls(chaos.Set))
	// Output:
	// connection reset
	// data <nil> 1
}

// A store as somebody's first one is: no leases, no batches.
func ExampleBare() {
	store := chaos.Bare(memstore.New())
	defer store.Close()
	_, leases := store.(driver.Leaser)
	fmt.Println(leases)
	// Output: false
}
