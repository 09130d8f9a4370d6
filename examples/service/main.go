// Command service shows how a program is put together around a loader. The program wraps the slow
// function when it starts. It gives the loader, or only its Get, to the services that use it.
// service_test.go tests the services without a database.
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
	greeter := &Greeter{lookup: users.Get} // db.user would do as well: the types are the same

	greet := func() error {
		start := time.Now()
		text, err := greeter.Greet(ctx, 1)
		fmt.Printf("%-20s %9v\n", text, time.Since(start).Round(time.Microsecond))
		return err
	}
	return errors.Join(
		greet(), // from the database: 50 ms
		greet(), // from memory: microseconds
		accounts.Rename(ctx, 1, "Ada King"),
		greet(), // from the database, with the new name
		greet(), // from memory
		users.Close(ctx),
	)
}

// newUsers makes the loader of users. Tests call it with a fetch function of their own, so they test
// the options that the program runs with.
func newUsers(fetch func(context.Context, int64) (User, error)) *zodiac.Loader[int64, User] {
	return zodiac.NewLoader(fetch,
		zodiac.WithName("users"),
		zodiac.WithTTL(60), // seconds
		zodiac.NoneIf(ErrNoUser),
	)
}
