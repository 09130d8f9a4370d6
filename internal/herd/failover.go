package herd

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/zodiac-go/zodiac/internal/redistest"
)

// openReplica starts a replica of Redis and waits until it is in sync. The replica reaches Redis
// through a proxy of its own, so that it can be cut off.
func (h *herd) openReplica(ctx context.Context) (err error) {
	if h.replication, err = newProxy(h.redis.Addr()); err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(h.replication.Addr())
	if err != nil {
		return err
	}
	if h.replica, err = redistest.Launch(ctx, "", "--replicaof", host, port); err != nil {
		return err
	}
	return h.replicated(ctx, 10*time.Second)
}

// replicated waits until the replica has received all earlier writes, for limit at most. It writes
// a key and sends WAIT on the same connection, since WAIT is about the connection's own writes.
func (h *herd) replicated(ctx context.Context, limit time.Duration) error {
	c := h.admin.Conn()
	defer c.Close() //nolint:errcheck // all replies have been read
	if err := c.Set(ctx, "replicated", 1, time.Minute).Err(); err != nil {
		return err
	}
	for end := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		n, err := c.Wait(ctx, 1, 100*time.Millisecond).Result()
		if err != nil {
			return err
		}
		if n == 1 {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("the replica is not in sync after %v", limit)
		}
	}
}

// promote cuts the replica off, kills Redis, and makes the replica the Redis that workers reach.
// The writes that Redis acknowledged while the replica was cut off are lost. promote logs a
// Failover.
func (h *herd) promote(ctx context.Context, f *Fault) error {
	lost := Event{Kind: Loss, Code: uint32(Failover), Serial: Now()}
	if err := h.replicated(ctx, time.Second); err != nil {
		return err
	}
	h.replication.Hole(true)
	time.Sleep(f.For)
	lost.Start = Now()
	h.redis.Kill()
	h.redis, h.replica = h.replica, h.redis
	_ = h.admin.Close()
	h.admin = newClient(h.redis.Addr())
	if err := h.admin.ReplicaOf(ctx, "NO", "ONE").Err(); err != nil {
		return err
	}
	h.proxy.Aim(h.redis.Addr())
	h.proxy.Cut()
	lost.End = Now()
	h.log.Add(lost)
	return nil
}

// closeReplica closes the replica and its proxy, if there are any.
func (h *herd) closeReplica() {
	if h.replication != nil {
		_ = h.replication.Close()
	}
	if h.replica != nil {
		h.replica.Close()
	}
}
