package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/zodiac-go/zodiac"
)

// A User is a row of the database.
type User struct {
	ID   int64
	Name string
}

// ErrNoUser is the database's error for a user that it does not have.
var ErrNoUser = errors.New("no such user")

// A Greeter needs users and does not care where they come from. Its field has the type of the slow
// function, which is also the type of a loader's Get.
type Greeter struct {
	lookup func(context.Context, int64) (User, error)
}

// Greet returns the greeting of a user.
func (g *Greeter) Greet(ctx context.Context, id int64) (string, error) {
	u, err := g.lookup(ctx, id)
	if errors.Is(err, ErrNoUser) {
		return "Hello, stranger", nil
	} else if err != nil {
		return "", fmt.Errorf("greeting user %d: %w", id, err)
	}
	return "Hello, " + u.Name, nil
}

// Accounts changes users, so it has to know that they are cached.
type Accounts struct {
	users *zodiac.Loader[int64, User]
	save  func(ctx context.Context, id int64, name string) error
}

// Rename gives a user another name. When it has returned nil, nobody gets the old one any more.
func (a *Accounts) Rename(ctx context.Context, id int64, name string) error {
	if name = strings.TrimSpace(name); name == "" {
		return errors.New("a name is needed")
	}
	if err := a.save(ctx, id, name); err != nil {
		return fmt.Errorf("renaming user %d: %w", id, err)
	}
	// Delete comes after the write: a fetch between the two would bring back the old name.
	_, err := a.users.Delete(ctx, id)
	return err
}
