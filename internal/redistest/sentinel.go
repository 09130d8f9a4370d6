package redistest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A SentinelGroup is a master with replicas, and sentinels that watch them under the name
// "mymaster".
type SentinelGroup struct {
	Master    *Server
	Replicas  []*Server
	Sentinels []*Server
}

// Sentinel starts a master, a number of replicas, and three sentinels. It returns when the
// sentinels know all servers and the replicas are in sync. The sentinels take the master for dead
// when it has not answered for half a second. All servers are killed at the end of the test.
func Sentinel(t testing.TB, replicas int) *SentinelGroup {
	t.Helper()
	g := &SentinelGroup{Master: Start(t)}
	host, port, _ := strings.Cut(g.Master.Addr(), ":")
	for range replicas {
		g.Replicas = append(g.Replicas, Start(t, "--replicaof", host+" "+port))
	}
	for range 3 {
		conf := filepath.Join(t.TempDir(), "sentinel.conf")
		text := fmt.Sprintf("sentinel monitor mymaster %s %s 2\nsentinel down-after-milliseconds mymaster 500\n"+
			"sentinel failover-timeout mymaster 3000\n", host, port)
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		g.Sentinels = append(g.Sentinels, Start(t, conf, "--sentinel"))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*startTimeout)
	defer cancel()
	if err := eventually(ctx, func() error { return g.complete(ctx) }); err != nil {
		t.Fatal(err)
	}
	return g
}

// complete returns an error while a sentinel does not know all servers, or a replica is not in
// sync.
func (g *SentinelGroup) complete(ctx context.Context) error {
	for _, s := range g.Sentinels {
		reply, err := s.do(ctx, "info", "sentinel")
		want := fmt.Sprintf("status=ok,address=%s,slaves=%d,sentinels=3", g.Master.Addr(), len(g.Replicas))
		if err != nil || !strings.Contains(fmt.Sprint(reply), want) {
			return errors.Join(err, fmt.Errorf("redistest: the sentinel replies %v; want %s", reply, want))
		}
	}
	for _, s := range g.Replicas {
		reply, err := s.do(ctx, "info", "replication")
		if err != nil || !strings.Contains(fmt.Sprint(reply), "master_link_status:up") {
			return errors.Join(err, errors.New("redistest: a replica is not in sync"))
		}
	}
	return nil
}
