// Package lease has Guards: rights to produce the value of a key that come from elsewhere than the Store which keeps it.
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
// Mostly not. A Store that lends leases itself, as redisstore does, already lets one process at a time fetch a key, and its
// lease is also the fence: what was fetched under a lease that is no longer good cannot be stored. A Guard is no fence. It
// stands around the Store's lease, for two cases: a fetch must not run twice even though the one server that holds the
// lease is lost ([Redlock]), or the Store has no leases ([Local] within a process, Redlock beyond).
//
// # What a right is
//
// A right is on a key, has one holder, and ends by itself when its time is over, counted by the clock of whoever lends it.
// The holder counts too, from before it asked, and stops in time. One who was stopped meanwhile, or whose clock runs
// slower, may still work when the next one begins: this is why there are fences. What is done under a right that is lost
// does no harm to the next holder's: Extend then returns false, and Release gives nothing back.
//
// Guards ask once and never wait: zodiac does the waiting, which wakes those who wait. They start no goroutines that
// outlast a call by more than the times said with them.
package lease

import (
	"context"
	"fmt"
	"time"
)

// check returns the error of a call that is not to be carried out.
func check(ctx context.Context, p time.Duration) error {
	if p < time.Millisecond {
		return fmt.Errorf("lease: a right for %v: at least a millisecond is needed", p)
	}
	return ctx.Err()
}
