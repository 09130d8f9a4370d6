package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/zodiac-go/zodiac/driver"
	"github.com/zodiac-go/zodiac/internal/redistest"
	"github.com/zodiac-go/zodiac/redisstore"
)

func TestCluster(t *testing.T) {
	t.Parallel()
	nodes := redistest.Cluster(t, 6)
	addrs := nodes.Addrs()
	open := func(t *testing.T) *redisstore.Store {
		s, err := redisstore.Open("redis+cluster://" + addrs[0] + "?addr=" + strings.Join(addrs[1:], "&addr="))
		must(t, err)
		return s
	}
	t.Run("Conformance", func(t *testing.T) { conform(t, func(t *testing.T) driver.Store { return open(t) }) })
	t.Run("ClientOfOneNode", func(t *testing.T) {
		s := redisstore.New(client(t, nodes[0], nil))
		_, errs := s.GetMany(t.Context(), []string{"a", "b", "c", "d"}) // each master has some
		if err := errors.Join(errs...); !strings.Contains(err.Error(), "redis+cluster://") {
			t.Errorf("GetMany = %v; want a hint at redis+cluster://", err)
		}
	})
	t.Run("LeasesHoldWhileTheirSlotMoves", func(t *testing.T) { leasesHoldWhileTheirSlotMoves(t, nodes, open(t)) })
}

// leasesHoldWhileTheirSlotMoves lets many goroutines take leases on keys of one slot while the slot
// moves from master to master. Under each lease, a counter is read and incremented. If two
// goroutines held a lease at the same time, or a commit were lost, a counter would be too small at
// the end.
func leasesHoldWhileTheirSlotMoves(t *testing.T, nodes redistest.Nodes, s *redisstore.Store) {
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	slot := int(s.Client().ClusterKeySlot(ctx, "{hammer}").Val())
	var commits [4]atomic.Int64
	var workers sync.WaitGroup
	stop := make(chan struct{})
	for w := range 8 {
		workers.Go(func() {
			k := fmt.Sprintf("{hammer}:%d", w%len(commits))
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if ok, err := increment(ctx, s, k, fmt.Sprintf("hammer-token-%d-%d", w, i)); err != nil {
					t.Error(err)
					return
				} else if ok {
					commits[w%len(commits)].Add(1)
				}
			}
		})
	}
	at := slot * 3 / 16384
	for range 9 {
		to := (at + 1) % 3
		// A client follows at most three redirections, so the slot has to stay for a while.
		for done := commits[0].Load(); commits[0].Load() < done+20 && ctx.Err() == nil; {
			time.Sleep(time.Millisecond)
		}
		if err := nodes.Migrate(ctx, slot, at, to); err != nil {
			t.Error(err)
			break
		}
		at = to
	}
	close(stop)
	workers.Wait()
	for i := range commits {
		r, err := s.Get(ctx, fmt.Sprintf("{hammer}:%d", i))
		if want := fmt.Sprint(commits[i].Load()); string(r.Data) != want || want == "0" {
			t.Errorf("counter %d = %q, %v; want %s, one for each commit", i, r.Data, err, want)
		}
	}
}

// increment adds one to the number in a record, under a lease. It reports whether it got the lease
// and the commit succeeded.
func increment(ctx context.Context, s *redisstore.Store, k, token string) (bool, error) {
	n := 0
	r, err := s.Get(ctx, k)
	switch {
	case err == nil:
		if _, err := fmt.Sscan(string(r.Data), &n); err != nil {
			return false, err
		}
	case !errors.Is(err, driver.ErrMiss):
		return false, err
	}
	c, err := s.Acquire(ctx, k, driver.Ask{Token: token, Lease: 5 * time.Second, Seen: r.Version})
	if err != nil || c.State != driver.Won {
		return false, err
	}
	return s.Commit(ctx, k, c.Token, driver.Record{Data: fmt.Append(nil, n+1), TTL: driver.Forever})
}

func TestFailoverWithSentinel(t *testing.T) {
	t.Parallel()
	w := redistest.Sentinel(t, 1)
	s, err := redisstore.Open("redis+sentinel://" + w.Sentinels[0].Addr() + "?master_name=mymaster&addr=" +
		w.Sentinels[1].Addr() + "&addr=" + w.Sentinels[2].Addr())
	must(t, err)
	defer s.Close()
	ctx := t.Context()
	must(t, s.Set(ctx, key, minute("v")))
	must(t, s.Client().Do(ctx, "wait", 1, 5000).Err())
	gap := gaps(t, s)
	w.Master.Kill()
	within(t, 2*time.Second, "Gap", gap)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		err := s.Set(ctx, key, minute("w"))
		cancel()
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("Set after the failover = %v", err)
		}
	}
	if r, err := s.Get(ctx, key); string(r.Data) != "w" {
		t.Errorf("Get after the failover = %q, %v; want w", r.Data, err)
	}
	again := gaps(t, s)
	must(t, s.Publish(ctx, driver.Invalidation{Prefix: "a"}))
	select {
	case <-again:
		t.Error("a Gap after the failover")
	case <-time.After(100 * time.Millisecond):
	}
	role := redis.NewClient(&redis.Options{Addr: w.Replicas[0].Addr()}).Do(ctx, "role").Val()
	if fmt.Sprint(role)[:7] != "[master" {
		t.Errorf("the role of the replica is %v; want master", role)
	}
}
