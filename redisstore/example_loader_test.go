package redisstore_test

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/zodiac-go/zodiac"
	"github.com/zodiac-go/zodiac/redisstore"
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

// All processes that run this share the users, and one of them fetches each. It prints "fetching
// user 42" if no process has fetched that user for a minute.
func Example() {
	ctx := context.Background()
	client := redis.NewClient(&redis.Options{Addr: "localhost:6379", ContextTimeoutEnabled: true})
	defer client.Close()
	store := redisstore.New(client)
	defer store.Close()
	users := zodiac.NewLoader(fetchUser, zodiac.WithName("users"), zodiac.WithStore(store), zodiac.WithTTL(60))
	defer users.Close(ctx)

	fmt.Println(users.Get(ctx, 42))
}
