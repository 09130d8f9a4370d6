package zodiac_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/zodiac-go/zodiac"
)

// A User is the value in these examples.
type User struct {
	ID   int64
	Name string
}

// fetchUser stands for a slow function: a query, a request.
func fetchUser(_ context.Context, id int64) (User, error) {
	fmt.Println("fetching", id)
	if id < 0 {
		return User{}, sql.ErrNoRows
	}
	return User{id, fmt.Sprint("user ", id)}, nil
}

// The first call for a key runs the function, the others do not.
func Example() {
	users := zodiac.NewLoader(fetchUser, zodiac.WithTTL(60))
	ctx := context.Background()
	for range 3 {
		u, err := users.Get(ctx, 42)
		fmt.Println(u.Name, err)
	}
	// Output:
	// fetching 42
	// user 42 <nil>
	// user 42 <nil>
	// user 42 <nil>
}

func ExampleNewLoader() {
	length := zodiac.NewLoader(func(_ context.Context, s string) (int, error) {
		fmt.Println("counting", s)
		return len(s), nil
	}, zodiac.WithTTL(time.Minute), zodiac.WithCapacity(1000))
	n, _ := length.Get(context.Background(), "zodiac")
	fmt.Println(n)
	n, _ = length.Get(context.Background(), "zodiac")
	fmt.Println(n)
	// Output:
	// counting zodiac
	// 6
	// 6
}

// A loader's Get has the type of the fetch function, so a loader can be made of a loader. Here one
// asks the other at most once a second.
func ExampleNewLoader_overALoader() {
	lasting := zodiac.NewLoader(fetchUser, zodiac.WithTTL(time.Hour))
	brief := zodiac.NewLoader(lasting.Get, zodiac.WithTTL(1), zodiac.WithCapacity(100))
	ctx := context.Background()
	brief.Get(ctx, 1)
	brief.Delete(ctx, 1)
	u, err := brief.Get(ctx, 1) // from the lasting one
	fmt.Println(u.Name, err)
	// Output:
	// fetching 1
	// user 1 <nil>
}

// TryNewLoader is for settings that are not known to be right when the program is written. The
// error lists all faults.
func ExampleTryNewLoader() {
	seconds, share := 0, 1.5 // from a file, say
	_, err := zodiac.TryNewLoader(fetchUser, zodiac.WithName("users"), zodiac.WithTTL(seconds), zodiac.WithJitter(share))
	fmt.Println(err)
	// Output:
	// zodiac: NewLoader (users): wrong settings:
	// 	WithTTL: 0 is not a positive time; for no end give zodiac.Forever, to store nothing use a context of zodiac.Bypass
	// 	WithJitter: 1.5 is not a part of the lifetime; give 0 ≤ f < 1, such as 0.1
}

// A Cache has no fetch function of its own. Values are set, or fetched with a function given at the
// call.
func ExampleNewCache() {
	sessions := zodiac.NewCache[string, User](zodiac.WithTTL(30 * time.Minute))
	ctx := context.Background()
	sessions.Set(ctx, "token", User{1, "Ada"})
	u, ok, err := sessions.Peek(ctx, "token")
	fmt.Println(u.Name, ok, err)
	u, err = sessions.GetOrFetch(ctx, "other", func(context.Context, string) (User, error) { return User{2, "Grace"}, nil })
	fmt.Println(u.Name, err)
	// Output:
	// Ada true <nil>
	// Grace <nil>
}

func ExampleTryNewCache() {
	_, err := zodiac.TryNewCache[string, User](zodiac.SkipIf(func(u *User) bool { return u == nil }))
	_, wrong := errors.AsType[*zodiac.SettingError](err)
	fmt.Println(wrong, strings.Contains(err.Error(), "SkipIf"))
	// Output:
	// true true
}

// A number is seconds, a time.Duration is itself. A lifetime given at a call is for that entry.
func ExampleWithTTL() {
	c := zodiac.NewCache[string, int](zodiac.WithTTL(60))
	ctx := context.Background()
	c.Set(ctx, "default", 1)
	c.Set(ctx, "half a second", 2, zodiac.WithTTL(0.5))
	c.Set(ctx, "a day", 3, zodiac.WithTTL(24*time.Hour))
	c.Set(ctx, "always", 4, zodiac.WithTTL(zodiac.Forever))
	for _, key := range []string{"default", "half a second", "a day"} {
		e, _, _ := c.Entry(ctx, key)
		fmt.Println(key, e.Left.Round(100*time.Millisecond))
	}
	e, _, _ := c.Entry(ctx, "always")
	fmt.Println("always", e.Left == zodiac.Forever)
	// Output:
	// default 1m0s
	// half a second 500ms
	// a day 24h0m0s
	// always true
}

// Each use gives a session its half hour again.
func ExampleWithSliding() {
	sessions := zodiac.NewLoader(fetchUser, zodiac.WithTTL(30*time.Minute), zodiac.WithSliding())
	ctx := context.Background()
	sessions.Get(ctx, 7)
	sessions.Get(ctx, 7) // a use
	e, _, _ := sessions.Entry(ctx, 7)
	fmt.Println(e.Left.Round(time.Minute))
	// Output:
	// fetching 7
	// 30m0s
}

func ExampleLoader_Refresh() {
	version := 0
	config := zodiac.NewLoader(func(context.Context, string) (int, error) { version++; return version, nil })
	ctx := context.Background()
	fmt.Println(config.Get(ctx, "app"))
	fmt.Println(config.Refresh(ctx, "app")) // calls the function in any case
	fmt.Println(config.Get(ctx, "app"))
	// Output:
	// 1 <nil>
	// 2 <nil>
	// 2 <nil>
}

// A request that must not see old values, such as a reload forced by a user, need not change the
// code it runs through.
func ExampleOverwrite() {
	users := zodiac.NewLoader(fetchUser)
	teams := zodiac.NewLoader(func(ctx context.Context, name string) (string, error) {
		u, err := users.Get(ctx, 1)
		return name + " of " + u.Name, err
	})
	ctx := context.Background()
	teams.Get(ctx, "team")
	// fetches the team; its fetch finds the user in users
	teams.Get(zodiac.Overwrite(ctx), "team")
	teams.Get(zodiac.Overwrite(ctx, teams, users), "team") // fetches both
	// Output:
	// fetching 1
	// fetching 1
}

// ReadOnly never runs the function and never waits.
func ExampleReadOnly() {
	users := zodiac.NewLoader(fetchUser)
	ctx := zodiac.ReadOnly(context.Background())
	_, err := users.Get(ctx, 1)
	fmt.Println(errors.Is(err, zodiac.ErrMiss))
	users.Get(context.Background(), 1)
	u, err := users.Get(ctx, 1)
	fmt.Println(u.Name, err)
	// Output:
	// true
	// fetching 1
	// user 1 <nil>
}

// Bypass is as if there were no cache.
func ExampleBypass() {
	users := zodiac.NewLoader(fetchUser)
	ctx := context.Background()
	users.Get(zodiac.Bypass(ctx), 1)
	users.Get(zodiac.Bypass(ctx), 1)
	fmt.Println(users.Len(), "entries")
	// Output:
	// fetching 1
	// fetching 1
	// 0 entries
}

// Tags delete together what belongs together.
func ExampleWithTags() {
	users := zodiac.NewLoader(fetchUser, zodiac.WithTags("users"),
		zodiac.WithTagsFunc(func(id int64, _ User) []string { return []string{fmt.Sprint("shard ", id%2)} }))
	ctx := context.Background()
	for id := range int64(4) {
		users.Set(ctx, id, User{ID: id})
	}
	users.DeleteTags(ctx, "shard 1")
	for id := range int64(4) {
		_, ok, _ := users.Peek(ctx, id)
		fmt.Println(id, ok)
	}
	// Output:
	// 0 true
	// 1 false
	// 2 true
	// 3 false
}

// A missing row is remembered too, and callers can match the error as before.
func ExampleNoneIf() {
	users := zodiac.NewLoader(fetchUser, zodiac.NoneIf(sql.ErrNoRows), zodiac.WithNoneTTL(10))
	for range 2 {
		_, err := users.Get(context.Background(), -1)
		fmt.Println(errors.Is(err, sql.ErrNoRows), errors.Is(err, zodiac.ErrNone))
	}
	// Output:
	// fetching -1
	// true true
	// true true
}

func ExampleLoader_GetMany() {
	users := zodiac.NewLoader(func(_ context.Context, id int64) (User, error) {
		if id == 3 {
			return User{}, errors.New("no answer")
		}
		return User{id, fmt.Sprint("user ", id)}, nil
	})
	found, err := users.GetMany(context.Background(), []int64{1, 2, 2, 3})
	fmt.Println(len(found), found[1].Name, found[2].Name)
	if failed, ok := errors.AsType[*zodiac.ManyError[int64]](err); ok {
		fmt.Println(failed.Errors)
	}
	// Output:
	// 2 user 1 user 2
	// map[3:no answer]
}

func ExampleAdd() {
	hits := zodiac.NewCache[string, int](zodiac.WithTTL(time.Hour))
	ctx := context.Background()
	zodiac.Add(ctx, hits, "home", 1)
	zodiac.Add(ctx, hits, "home", 1)
	fmt.Println(zodiac.Add(ctx, hits, "home", 40))
	// Output:
	// 42 <nil>
}

// Update reads, changes and writes as one step.
func ExampleCache_Update() {
	carts := zodiac.NewCache[string, []string]()
	ctx := context.Background()
	put := func(item string) ([]string, error) {
		return carts.Update(ctx, "ada", func(cart []string, _ bool) ([]string, error) {
			return append(slices.Clip(cart), item), nil // a copy: others may hold the old one
		})
	}
	put("tea")
	fmt.Println(put("cups"))
	// Output:
	// [tea cups] <nil>
}

// A result that is not worth keeping is returned, but not stored.
func ExampleSkipIf() {
	search := zodiac.NewLoader(func(_ context.Context, query string) ([]string, error) {
		fmt.Println("searching", query)
		return nil, nil
	}, zodiac.SkipIf(func(found []string) bool { return len(found) == 0 }))
	search.Get(context.Background(), "unicorn")
	search.Get(context.Background(), "unicorn")
	// Output:
	// searching unicorn
	// searching unicorn
}

// An entry that is not valid counts as absent, and is replaced: here, whatever was fetched before
// the last import.
func ExampleValidIf() {
	var imported time.Time
	users := zodiac.NewLoader(fetchUser, zodiac.ValidIf(func(_ int64, e zodiac.Entry[User]) bool {
		return e.Created.After(imported)
	}))
	ctx := context.Background()
	users.Get(ctx, 5)
	users.Get(ctx, 5)
	imported = time.Now()
	users.Get(ctx, 5)
	// Output:
	// fetching 5
	// fetching 5
}

// A greeter takes a function, and need not know that it is cached.
type greeter struct {
	user func(context.Context, int64) (User, error)
}

func (g greeter) greet(id int64) {
	u, _ := g.user(context.Background(), id)
	fmt.Println("hello", u.Name)
}

func ExampleLoader_Get_injected() {
	users := zodiac.NewLoader(fetchUser, zodiac.WithTTL(60))
	g := greeter{user: users.Get} // in place of fetchUser
	g.greet(1)
	g.greet(1)
	// Output:
	// fetching 1
	// hello user 1
	// hello user 1
}

// CollectStats counts the calls of one request in all loaders that it uses.
func ExampleCollectStats() {
	users := zodiac.NewLoader(fetchUser)
	ctx, stats := zodiac.CollectStats(context.Background())
	users.Get(ctx, 1)
	users.Get(ctx, 1)
	users.Get(context.Background(), 1) // of another request
	s := stats()
	fmt.Println(s.Gets, "gets,", s.HitMemory, "from memory,", s.Fetched, "fetched")
	// Output:
	// fetching 1
	// 2 gets, 1 from memory, 1 fetched
}

// A printer is an Observer. It may be called by many goroutines at once.
type printer struct{}

func (printer) Observe(_ context.Context, e zodiac.Event) {
	fmt.Println(e.Kind, "of", e.Key, "by", e.Loader, "was", e.Outcome, e.Err)
}

func ExampleObserver() {
	users := zodiac.NewLoader(fetchUser, zodiac.WithName("users"), zodiac.WithObserver(printer{}))
	ctx := context.Background()
	users.Get(ctx, 1)
	users.Get(ctx, 1) // a hit is no event
	users.Close(ctx)  // waits for the Observer, too
	// Output:
	// fetching 1
	// fetch of 1 by users was stored <nil>
}

// Close waits for running fetches. Afterwards the cache cannot be used.
func ExampleCache_Close() {
	users := zodiac.NewLoader(fetchUser)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	fmt.Println(users.Close(ctx))
	_, err := users.Get(ctx, 1)
	fmt.Println(errors.Is(err, zodiac.ErrClosed))
	// Output:
	// <nil>
	// true
}
