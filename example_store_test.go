package zodiac_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/zodiac-go/zodiac"
	"github.com/zodiac-go/zodiac/memstore"
	"github.com/zodiac-go/zodiac/storetest/chaos"
)

// Values for several processes are kept in a store. With redisstore.New(client) in place of
// memstore.New(), several instances of a program share them.
func ExampleWithStore() {
	store := memstore.New()
	defer store.Close()
	ctx := context.Background()

	for range 2 { // two instances, one after the other
		users := zodiac.NewLoader(fetchUser, zodiac.WithName("users"), zodiac.WithTTL(60), zodiac.WithStore(store))
		u, err := users.Get(ctx, 42)
		fmt.Println(u.Name, err)
		users.Close(ctx)
	}
	// Output:
	// fetching 42
	// user 42 <nil>
	// user 42 <nil>
}

// Memory in front of a store serves hits without asking it. A key deleted in any process leaves the
// memory of all processes.
func ExampleWithMemory() {
	store := memstore.New()
	defer store.Close()
	ctx := context.Background()
	users := zodiac.NewLoader(fetchUser, zodiac.WithName("users"), zodiac.WithTTL(3600),
		zodiac.WithStore(store), zodiac.WithMemory(60))
	defer users.Close(ctx)

	u, err := users.Get(ctx, 42)
	fmt.Println(u.Name, err)
	n, err := users.Delete(ctx, 42)
	fmt.Println(n, err)
	// Output:
	// fetching 42
	// user 42 <nil>
	// 1 <nil>
}

// A store that is down costs its callers nothing but the fetch. FailClosed returns an error
// instead.
func ExampleFailClosed() {
	store := memstore.New()
	defer store.Close()
	faults := chaos.New(store)
	faults.Fail(errors.New("connection refused"))
	ctx := context.Background()

	open := zodiac.NewLoader(fetchUser, zodiac.WithName("open"), zodiac.WithStore(faults.Store()))
	u, err := open.Get(ctx, 42)
	fmt.Println(u.Name, err)
	closed := zodiac.NewLoader(fetchUser, zodiac.WithName("closed"), zodiac.WithStore(faults.Store()), zodiac.FailClosed())
	_, err = closed.Get(ctx, 42)
	if fault, ok := errors.AsType[*zodiac.StoreError](err); ok {
		fmt.Println(fault.Loader, fault.Op, fault.Err)
	}
	// Output:
	// fetching 42
	// user 42 <nil>
	// closed Get connection refused
}

// indented is a Codec of encoding/json's, for people who look into the store.
type indented struct{}

func (indented) Name() string                             { return "json-indented" }
func (indented) Marshal(v any) ([]byte, error)            { return json.MarshalIndent(v, "", "  ") }
func (indented) Unmarshal(data []byte, pointer any) error { return json.Unmarshal(data, pointer) }

// A Codec turns values into bytes. Its name is in every record, so that records of another codec
// are misses rather than mistakes.
func ExampleWithCodec() {
	store := memstore.New()
	defer store.Close()
	ctx := context.Background()
	users := zodiac.NewLoader(fetchUser, zodiac.WithName("users"), zodiac.WithStore(store), zodiac.WithCodec(indented{}))
	defer users.Close(ctx)

	for range 2 {
		u, err := users.Get(ctx, 7)
		fmt.Println(u.Name, err)
	}
	fmt.Println(users.Stats().HitStore)
	// Output:
	// fetching 7
	// user 7 <nil>
	// user 7 <nil>
	// 1
}
