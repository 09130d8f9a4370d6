package main

import (
	"context"
	"errors"
	"testing"

	"github.com/zodiac-go/zodiac"
)

// A fake stands for the database and counts how often it is asked. It is a map, so no test waits.
type fake struct {
	names map[int64]string
	asked int
}

func (f *fake) user(_ context.Context, id int64) (User, error) {
	f.asked++
	if name, ok := f.names[id]; ok {
		return User{ID: id, Name: name}, nil
	}
	return User{}, ErrNoUser
}

func (f *fake) rename(_ context.Context, id int64, name string) error {
	f.names[id] = name
	return nil
}

// newServices puts the services together as run does, over a fake.
func newServices(t *testing.T) (*fake, *Greeter, *Accounts) {
	db := &fake{names: map[int64]string{1: "Ada"}}
	users := newUsers(db.user)
	t.Cleanup(func() {
		if err := users.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return db, &Greeter{lookup: users.Get}, &Accounts{users: users, save: db.rename}
}

func mustGreet(ctx context.Context, t *testing.T, g *Greeter, id int64, want string) {
	t.Helper()
	if got, err := g.Greet(ctx, id); got != want || err != nil {
		t.Errorf("Greet(%d) = %q, %v; want %q", id, got, err, want)
	}
}

// A Greeter knows nothing of caching: any function of the type will do.
func TestGreeterTakesAnyFunction(t *testing.T) {
	down := errors.New("down")
	g := &Greeter{lookup: func(context.Context, int64) (User, error) { return User{}, down }}
	if _, err := g.Greet(t.Context(), 1); !errors.Is(err, down) {
		t.Errorf("Greet = %v; want the database's error", err)
	}
}

func TestGreetAsksTheDatabaseOnce(t *testing.T) {
	db, g, _ := newServices(t)
	for range 3 {
		mustGreet(t.Context(), t, g, 1, "Hello, Ada")
		mustGreet(t.Context(), t, g, 2, "Hello, stranger") // remembered as well
	}
	if db.asked != 2 {
		t.Errorf("the database was asked %d times; want once for each user", db.asked)
	}
}

func TestRenameShowsAtOnce(t *testing.T) {
	_, g, a := newServices(t)
	mustGreet(t.Context(), t, g, 1, "Hello, Ada")
	if err := a.Rename(t.Context(), 1, "Grace"); err != nil {
		t.Fatal(err)
	}
	mustGreet(t.Context(), t, g, 1, "Hello, Grace")
}

// A test that wants no cache can use Bypass. It calls the fetch function whatever is cached, and
// leaves the cache as it is.
func TestBypassAsksTheDatabase(t *testing.T) {
	db, g, _ := newServices(t)
	mustGreet(t.Context(), t, g, 1, "Hello, Ada")
	db.names[1] = "Grace" // behind the loader's back
	mustGreet(zodiac.Bypass(t.Context()), t, g, 1, "Hello, Grace")
	mustGreet(t.Context(), t, g, 1, "Hello, Ada")
}

// Overwrite asks the database too. The answer replaces the cached value.
func TestOverwriteReplacesWhatIsCached(t *testing.T) {
	db, g, _ := newServices(t)
	mustGreet(t.Context(), t, g, 1, "Hello, Ada")
	db.names[1] = "Grace"
	mustGreet(zodiac.Overwrite(t.Context()), t, g, 1, "Hello, Grace")
	mustGreet(t.Context(), t, g, 1, "Hello, Grace")
	if db.asked != 2 {
		t.Errorf("the database was asked %d times; want 2", db.asked)
	}
}
