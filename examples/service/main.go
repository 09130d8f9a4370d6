// Command service shows how a program is put together around a loader: what is slow is wrapped where the program starts, and
// the services that use it are given the loader, or just its Get. service_test.go tests them without a database.
//
//	go run ./examples/service
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/zodiac-go/zodiac"
)

func main() {
	log.SetFlags(0)
	if err := run(context.Background()); err != nil {
		log.Fatalf("service: %v", err)
	}
}

func run(ctx context.Context) error {
	db := newDatabase()
	users := newUsers(db.user)
	accounts := &Accounts{users: users, save: db.rename}
	greeter := &Greeter{lookup: users.Get} // it could as well be given db.user: the types are the same

	greet := func() error {
		start := time.Now()
		text, err := greeter.Greet(ctx, 1)
		fmt.Printf("%-28s %8v\n", text, time.Since(start).Round(100*time.Microsecond))
		return err
	}
	return errors.Join(
		greet(), // 50 ms
		greet(), // no time
		accounts.Rename(ctx, 1, "Ada King"),
		greet(), // 50 ms, and the new name
		greet(), // no time
		users.Close(ctx),
	)
}

// newUsers makes the loader of users. A test calls it with a function of its own, so that what is tested is what runs.
func newUsers(fetch func(context.Context, int64) (User, error)) *zodiac.Loader[int64, User] {
	return zodiac.NewLoader(fetch,
		zodiac.WithName("users"),
		zodiac.WithTTL(60), // seconds
		zodiac.NoneIf(ErrNoUser),
	)
}
