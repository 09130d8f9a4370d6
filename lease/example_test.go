package lease_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/zodiac-go/zodiac/lease"
)

// Only one at a time produces the report.
func ExampleLocal() {
	ctx := context.Background()
	guard := lease.Local()

	held, ok, _ := guard.TryAcquire(ctx, "report", time.Minute)
	fmt.Println("the first:", ok)
	_, ok, _ = guard.TryAcquire(ctx, "report", time.Minute)
	fmt.Println("the second:", ok)

	ok, _ = held.Extend(ctx, time.Minute) // it takes longer than thought
	fmt.Println("extended:", ok)
	held.Release(ctx)
	_, ok, _ = guard.TryAcquire(ctx, "report", time.Minute)
	fmt.Println("the next:", ok)
	// Output:
	// the first: true
	// the second: false
	// extended: true
	// the next: true
}

// Of three servers that have nothing to do with each other any one may be lost.
func ExampleRedlock() {
	guard := lease.Redlock(
		redis.NewClient(&redis.Options{Addr: "redis-a:6379", ContextTimeoutEnabled: true}),
		redis.NewClient(&redis.Options{Addr: "redis-b:6379", ContextTimeoutEnabled: true}),
		redis.NewClient(&redis.Options{Addr: "redis-c:6379", ContextTimeoutEnabled: true}),
	)
	ctx := context.Background()
	held, ok, err := guard.TryAcquire(ctx, "report", time.Minute)
	switch {
	case err != nil:
		log.Print("two servers or more do not answer: ", err)
	case !ok:
		log.Print("another produces the report")
	default:
		defer held.Release(ctx)
		log.Print("the report is ours to produce for a minute")
	}
}

// Servers far away need more time to answer. What is wrong is said before any is asked.
func ExampleTryRedlock() {
	a := redis.NewClient(&redis.Options{Addr: "redis-a:6379"})
	defer a.Close()
	_, err := lease.TryRedlock([]redis.UniversalClient{a, a}, lease.WithNodeTimeout(300*time.Millisecond))
	fmt.Println(err)
	// Output:
	// lease: Redlock: an even number of clients (2) survives no more than one less: give an odd one
	// lease: Redlock: client 1 is client 0 once more: nodes must be independent
}
