package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/redisstore"
)

func ExampleNew() {
	client := redis.NewClient(&redis.Options{Addr: "localhost:6379", ContextTimeoutEnabled: true})
	defer client.Close()
	store := redisstore.New(client)
	defer store.Close() // the client stays open

	ctx := context.Background()
	_ = store.Set(ctx, "greeting", driver.Record{Data: []byte("hello"), TTL: time.Minute})
	if r, err := store.Get(ctx, "greeting"); err == nil {
		fmt.Println(string(r.Data))
	}
}

func ExampleOpen() {
	store, err := redisstore.Open("redis+cluster://node1:6379?addr=node2:6379&read_timeout=500ms")
	if err != nil {
		fmt.Println(err) // a scheme or an option that is not known; no server has been asked yet
		return
	}
	defer store.Close() // and its client

	if _, err := store.Get(context.Background(), "greeting"); errors.Is(err, driver.ErrMiss) {
		fmt.Println("nothing there")
	}
}
