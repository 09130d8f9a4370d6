package memstore_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/memstore"
)

func ExampleNew() {
	ctx := context.Background()
	store := memstore.New(memstore.WithCapacity(10_000), memstore.WithMaxBytes(64<<20))
	defer store.Close()

	err := store.Set(ctx, "greeting", driver.Record{Data: []byte("hello"), TTL: time.Minute})
	fmt.Println(err)
	r, err := store.Get(ctx, "greeting")
	fmt.Println(string(r.Data), r.TTL <= time.Minute, err)
	_, err = store.Get(ctx, "farewell")
	fmt.Println(errors.Is(err, driver.ErrMiss))
	// Output:
	// <nil>
	// hello true <nil>
	// true
}

// A lease keeps a value that was produced before an invalidation from being stored after it.
func ExampleStore_Commit() {
	ctx := context.Background()
	store := memstore.New()
	defer store.Close()

	claim, _ := store.Acquire(ctx, "user:42", driver.Ask{Token: "one-token-per-ask", Lease: 2 * time.Second})
	fmt.Println(claim.State)

	old := driver.Record{Data: []byte("read before the change"), TTL: time.Minute}
	_, _ = store.Delete(ctx, "user:42") // meanwhile somebody changes the user

	stored, _ := store.Commit(ctx, "user:42", claim.Token, old)
	fmt.Println(stored)
	// Output:
	// won
	// false
}
