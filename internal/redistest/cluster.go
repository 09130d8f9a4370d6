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

// A Nodes is a Cluster: the first half are masters, each of which has one of the others as its replica.
type Nodes []*Server

// Addrs returns the addresses of all.
func (n Nodes) Addrs() (addrs []string) {
	for _, s := range n {
		addrs = append(addrs, s.Addr())
	}
	return addrs
}

// Cluster starts a Cluster of an even number of nodes, which ends with the test, and returns when it serves all slots.
func Cluster(t testing.TB, n int) Nodes {
	t.Helper()
	var nodes Nodes
	for range n {
		// The port of the bus has to be free too, and those of the system's own choice are above ours.
		nodes = append(nodes, Start(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "2000",
			"--cluster-port", fmt.Sprint(freePort()), "--cluster-replica-validity-factor", "0"))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	if err := nodes.join(ctx); err != nil {
		t.Fatal(err)
	}
	return nodes
}

func (n Nodes) join(ctx context.Context) error {
	masters := len(n) / 2
	for i, s := range n {
		if i < masters {
			if _, err := s.do(ctx, "cluster", "addslotsrange", i*slots/masters, (i+1)*slots/masters-1); err != nil {
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
		// It does not know the master before they have met.
		if err := eventually(ctx, func() error { _, err := s.do(ctx, "cluster", "replicate", id); return err }); err != nil {
			return err
		}
	}
	return eventually(ctx, func() error { return n.complete(ctx) })
}

// portOf returns the value in the reply of CONFIG GET, a map or a list by protocol.
func portOf(reply any) any {
	switch r := reply.(type) {
	case map[any]any:
		return r["cluster-port"]
	case []any:
		return r[1]
	}
	return nil
}

// complete returns an error if a node does not see the whole Cluster yet.
func (n Nodes) complete(ctx context.Context) error {
	for _, s := range n {
		info, err := s.do(ctx, "cluster", "info")
		if err != nil {
			return err
		}
		list, err := s.do(ctx, "cluster", "nodes")
		if err != nil {
			return err
		}
		if !strings.Contains(fmt.Sprint(info), "cluster_state:ok") || strings.Count(fmt.Sprint(list), " slave ")+
			strings.Count(fmt.Sprint(list), "myself,slave ") != len(n)/2 {
			return errors.New("redistest: the cluster is not complete")
		}
	}
	return nil
}

// do sends one command.
func (s *Server) do(ctx context.Context, args ...any) (any, error) {
	c := redis.NewClient(&redis.Options{Addr: s.Addr(), MaxRetries: -1})
	defer c.Close() //nolint:errcheck // nothing to lose
	reply, err := c.Do(ctx, args...).Result()
	if err != nil {
		return nil, fmt.Errorf("%v: %w", args, err)
	}
	return reply, nil
}

// eventually tries until there is no error, or ctx ends.
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

// Migrate moves a slot with its keys from one master to another, and returns when the whole Cluster knows.
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
	if err := source.hand(ctx, slot, target); err != nil {
		return err
	}
	for _, s := range []*Server{target, source, n[len(n)/2-1]} {
		if _, err := s.do(ctx, "cluster", "setslot", slot, "node", ids[1]); err != nil {
			return err
		}
	}
	return nil
}

// hand moves the keys of a slot, until there are none.
func (s *Server) hand(ctx context.Context, slot int, target *Server) error {
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
		if _, err := s.do(ctx, append([]any{"migrate", host, port, "", 0, 5000, "keys"}, keys...)...); err != nil {
			return err
		}
	}
}
