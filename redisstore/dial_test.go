package redisstore

import (
	"runtime"
	"testing"
	"time"
	"weak"

	"github.com/redis/go-redis/v9"
)

// However many Stores a client has, it has one hook. It is forgotten with the client.
func TestClientIsHookedOnceAndForgotten(t *testing.T) {
	var key weak.Pointer[redis.Client]
	known := func() bool {
		dialing.mu.Lock()
		defer dialing.mu.Unlock()
		return dialing.of[key] != nil
	}
	func() {
		c := redis.NewClient(&redis.Options{Addr: "localhost:0"})
		defer c.Close()
		key = weak.Make(c)
		if a, b := New(c), New(c); a.dials == nil || a.dials != b.dials || !known() {
			t.Errorf("two Stores of one client have the dials %p and %p", a.dials, b.dials)
		}
	}()
	for deadline := time.Now().Add(5 * time.Second); known(); runtime.Gosched() {
		if runtime.GC(); time.Now().After(deadline) {
			t.Fatal("the client is gone, and its hook is still known")
		}
	}
}
