package memstore_test

import (
	"context"
	"fmt"

	"github.com/zodiac-go/zodiac"
	"github.com/zodiac-go/zodiac/memstore"
)

// A User is what the loader caches.
type User struct {
	ID   int64
	Name string
}

// fetchUser is the slow function.
func fetchUser(_ context.Context, id int64) (User, error) {
	fmt.Println("fetching user", id)
	return User{ID: id, Name: "Ada"}, nil
}

// A loader keeps its values in the store, as the bytes of their records.
func Example() {
	ctx := context.Background()
	store := memstore.New(memstore.WithCapacity(10_000))
	defer store.Close()
	users := zodiac.NewLoader(fetchUser, zodiac.WithName("users"), zodiac.WithStore(store), zodiac.WithTTL(60))
	defer users.Close(ctx)

	fmt.Println(users.Get(ctx, 42))
	fmt.Println(users.Get(ctx, 42))
	// Output:
	// fetching user 42
	// {42 Ada} <nil>
	// {42 Ada} <nil>
}
