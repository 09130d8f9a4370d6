package lease_test

import (
	"context"
	"fmt"
	"time"

	"github.com/zodiac-go/zodiac"
	"github.com/zodiac-go/zodiac/lease"
	"github.com/zodiac-go/zodiac/memstore"
)

// A User is what the loaders cache.
type User struct {
	ID   int64
	Name string
}

// fetchUser is the slow function.
func fetchUser(_ context.Context, id int64) (User, error) {
	fmt.Println("fetching user", id)
	time.Sleep(50 * time.Millisecond)
	return User{ID: id, Name: "Ada"}, nil
}

// A plain store has no leases, whatever the store within has.
type plain struct{ zodiac.Store }

// Two loaders have a connection of their own to a store that has no leases. Because they share a
// Guard, only one of them fetches the user.
func Example() {
	ctx := context.Background()
	records := memstore.New()
	defer records.Close()
	guard := lease.Local()

	results := make(chan User)
	for range 2 {
		users := zodiac.NewLoader(fetchUser, zodiac.WithName("users"),
			zodiac.WithStore(&plain{records}), zodiac.WithGuard(guard), zodiac.WithTTL(60))
		defer users.Close(ctx)
		go func() {
			u, _ := users.Get(ctx, 42)
			results <- u
		}()
	}
	fmt.Println(<-results, <-results)
	// Output:
	// fetching user 42
	// {42 Ada} {42 Ada}
}
