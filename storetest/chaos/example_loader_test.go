package chaos_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/zodiac-go/zodiac"
	"github.com/zodiac-go/zodiac/memstore"
	"github.com/zodiac-go/zodiac/storetest/chaos"
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

// While the store fails, a loader fetches. Writes return the store's error.
func Example() {
	ctx := context.Background()
	faults := chaos.New(memstore.New())
	store := faults.Store()
	defer store.Close()
	users := zodiac.NewLoader(fetchUser, zodiac.WithName("users"), zodiac.WithStore(store), zodiac.WithTTL(60))
	defer users.Close(ctx)

	refused := errors.New("connection refused")
	faults.Fail(refused) // every operation, until Heal
	fmt.Println(users.Get(ctx, 42))
	_, err := users.Delete(ctx, 42)
	fmt.Println(errors.Is(err, refused))

	faults.Heal()
	_, err = users.Delete(ctx, 42)
	fmt.Println(err)
	// Output:
	// fetching user 42
	// {42 Ada} <nil>
	// true
	// <nil>
}
