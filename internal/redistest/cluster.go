package redistest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// slots is how many slots a Cluster has.
const slots = 16384

// Nodes are the servers of a Cluster. The first half are masters, and each has one server of the
// second half as its replica.
type Nodes []*Server

// Addrs returns the addresses of all nodes.
func (n Nodes) Addrs() (addrs []string) {
	for _, s := range n {
		addrs = append(addrs, s.Addr())
	}
	return addrs
}

// Cluster starts a Cluster of n nodes, and returns when it serves all slots. n must be even. The
// nodes are killed at the end of the test.
func Cluster(t testing.TB, n int) Nodes {
	t.Helper()
	return start(t, n, n/2, "--cluster-replica-validity-factor", "0")
}

// Masters starts a Cluster of n masters without replicas, and returns when it serves all slots. If
// one dies, the others go on. The nodes are killed at the end of the test.
func Masters(t testing.TB, n int) Nodes {
	t.Helper()
	return start(t, n, n, "--cluster-require-full-coverage", "no")
}

func start(t testing.TB, n, masters int, args ...string) Nodes {
	t.Helper()
	var nodes Nodes
	for range n {
		// The port of the cluster bus is chosen here too. By default it is the node's port plus
		// 10,000, which the system may have given to a connection.
		nodes = append(nodes, Start(t, append([]string{
			"--cluster-enabled", "yes", "--cluster-node-timeout", "2000",
			"--cluster-port", fmt.Sprint(freePort()),
		}, args...)...))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*startTimeout)
	defer cancel()
	if err := nodes.join(ctx, masters); err != nil {
		t.Fatal(err)
	}
	return nodes
}

// join makes one Cluster of the nodes, the first of which are masters.
func (n Nodes) join(ctx context.Context, masters int) error {
	for i, s := range n {
		if i < masters {
			first, last := i*slots/masters, (i+1)*slots/masters-1
			if _, err := s.do(ctx, "cluster", "addslotsrange", first, last); err != nil {
				return err
			}
		}
		host, port, _ := strings.Cut(s.Addr(), ":")
		bus, err := s.do(ctx, "config", "get", "cluster-port")
		if err != nil {
			return err
		}
		if _, err := n[0].do(ctx, "cluster", "meet", host, port, portOf(bus)); err != nil {
			return err
		}
	}
	for i, s := range n[masters:] {
		id, err := n[i].do(ctx, "cluster", "myid")
		if err != nil {
			return err
		}
		// The replica refuses until it knows the master.
		if err := eventually(ctx, func() error {
			_, err := s.do(ctx, "cluster", "replicate", id)
			return err
		}); err != nil {
			return err
		}
	}
	return eventually(ctx, func() error { return n.complete(ctx, len(n)-masters) })
}

// portOf returns the port in the reply of CONFIG GET, which is a map or a list, depending on the
// protocol.
func portOf(reply any) any {
	switch r := reply.(type) {
	case map[any]any:
		return r["cluster-port"]
	case []any:
		return r[1]
	}
	return nil
}

// complete returns an error while there is a node that does not see the whole Cluster.
func (n Nodes) complete(ctx context.Context, want int) error {
	for _, s := range n {
		info, err := s.do(ctx, "cluster", "info")
		if err != nil {
			return err
		}
		list, err := s.do(ctx, "cluster", "nodes")
		if err != nil {
			return err
		}
		replicas := strings.Count(fmt.Sprint(list), " slave ") + strings.Count(fmt.Sprint(list), "myself,slave ")
		if !strings.Contains(fmt.Sprint(info), "cluster_state:ok") || replicas != want ||
			strings.Count(fmt.Sprint(list), "connected") < len(n) {
			return errors.New("redistest: a node does not see the whole Cluster")
		}
	}
	return nil
}

// do sends one command to the server and returns the reply.
func (s *Server) do(ctx context.Context, args ...any) (any, error) {
	c := redis.NewClient(&redis.Options{Addr: s.Addr(), MaxRetries: -1})
	defer c.Close() //nolint:errcheck // nothing was written that could be lost
	reply, err := c.Do(ctx, args...).Result()
	if err != nil {
		return nil, fmt.Errorf("%v: %w", args, err)
	}
	return reply, nil
}

// eventually calls try until it returns nil or ctx ends.
func eventually(ctx context.Context, try func() error) error {
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		}
	}
}

// Migrate moves a slot with its keys from one master to another. from and to are indexes of
// masters. It returns when the masters know the slot's new place.
func (n Nodes) Migrate(ctx context.Context, slot, from, to int) error {
	source, target := n[from], n[to]
	ids := [2]any{}
	for i, s := range []*Server{source, target} {
		id, err := s.do(ctx, "cluster", "myid")
		if err != nil {
			return err
		}
		ids[i] = id
	}
	if _, err := target.do(ctx, "cluster", "setslot", slot, "importing", ids[0]); err != nil {
		return err
	}
	if _, err := source.do(ctx, "cluster", "setslot", slot, "migrating", ids[1]); err != nil {
		return err
	}
	if err := source.moveKeys(ctx, slot, target); err != nil {
		return err
	}
	for _, s := range []*Server{target, source, n[len(n)/2-1]} {
		if _, err := s.do(ctx, "cluster", "setslot", slot, "node", ids[1]); err != nil {
			return err
		}
	}
	return nil
}

// moveKeys moves the keys of a slot to target until none are left.
func (s *Server) moveKeys(ctx context.Context, slot int, target *Server) error {
	host, port, _ := strings.Cut(target.Addr(), ":")
	for {
		reply, err := s.do(ctx, "cluster", "getkeysinslot", slot, 100)
		if err != nil {
			return err
		}
		keys, _ := reply.([]any)
		if len(keys) == 0 {
			return nil
		}
		migrate := append([]any{"migrate", host, port, "", 0, 5000, "keys"}, keys...)
		if _, err := s.do(ctx, migrate...); err != nil {
			return err
		}
	}
}
