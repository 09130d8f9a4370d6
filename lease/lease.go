// Package lease has guards for zodiac.WithGuard: rights to fetch a key that do not come from the
// store that keeps its value.
//
//	func main() {
//		ctx := context.Background()
//		store := redisstore.New(connect("store:6379"))
//		defer store.Close()
//		// Three Redis servers that have nothing to do with each other, nor with the store.
//		guard := lease.Redlock(connect("node1:6379"), connect("node2:6379"), connect("node3:6379"))
//		users := zodiac.NewLoader(fetchUser,
//			zodiac.WithName("users"), zodiac.WithStore(store), zodiac.WithGuard(guard), zodiac.WithTTL(60))
//		defer users.Close(ctx)
//		fmt.Println(users.Get(ctx, 42)) // user 42 <nil>
//	}
//
//	func connect(addr string) *redis.Client {
//		return redis.NewClient(&redis.Options{Addr: addr, ContextTimeoutEnabled: true})
//	}
//
//	func fetchUser(_ context.Context, id int64) (string, error) {
//		return fmt.Sprint("user ", id), nil // stands for a slow call
//	}
//
// # Whether you need one
//
// Mostly not. A store with leases, such as redisstore, already lets one process at a time fetch a
// key. Its lease is also a fence: a value fetched under a lease that was revoked or taken cannot be
// stored. A guard is no fence. It is a second right, outside the lease of the store, and helps in
// two cases:
//
//   - A fetch must not run twice even if the one server that holds the lease is lost: [Redlock].
//   - The store has no leases: [Local] within a process, Redlock between processes.
//
// # What a right is
//
// A right is on a key and has one holder. It ends by itself when its time is over, by the clock
// of the guard that lends it. The holder counts too, from before it asked, and stops in time. A
// holder that was suspended meanwhile, or whose clock runs slower, may still work when the next
// one begins. That is why there are fences. A holder that has lost its right does no harm to the
// next one: Extend returns false, and Release gives nothing back.
//
// Guards ask once and do not wait. Loaders wait, and ask again.
//
// # Goroutines and timers
//
// A guard has no goroutines between calls. Local has one timer for each right, which ends with
// the right. Redlock has goroutines for a call that outlive it if a node answers late;
// [TryRedlock] says for how long.
//
// # Where to start reading
//
// The package implements [driver.Guard]. It knows nothing of loaders and stores. File local.go is
// the whole of Local. In redlock.go, TryRedlock says what the calls promise, and node.go gives
// every call of a node an end. The algorithm itself is that of module redsync.
package lease

import (
	"context"
	"fmt"
	"time"

	"github.com/zodiac-go/zodiac/driver"
)

var (
	_ driver.Guard = (*local)(nil)
	_ driver.Guard = (*redlock)(nil)
)

// check returns the error for a call with a p that is too short or a context that has ended.
func check(ctx context.Context, p time.Duration) error {
	if p < time.Millisecond {
		return fmt.Errorf("lease: a right for %v: at least a millisecond is needed", p)
	}
	return ctx.Err()
}
