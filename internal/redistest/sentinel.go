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

// A Watched is a master with replicas, and sentinels that watch them under the name "mymaster".
type Watched struct {
	Master    *Server
	Replicas  []*Server
	Sentinels []*Server
}

// Sentinel starts a master, a number of replicas and three sentinels, which end with the test, and returns when all know of each
// other. The sentinels take a master for dead that has not answered for half a second.
func Sentinel(t testing.TB, replicas int) *Watched {
	t.Helper()
	w := &Watched{Master: Start(t)}
	host, port, _ := strings.Cut(w.Master.Addr(), ":")
	for range replicas {
		w.Replicas = append(w.Replicas, Start(t, "--replicaof", host+" "+port))
	}
	for range 3 {
		conf := filepath.Join(t.TempDir(), "sentinel.conf")
		text := fmt.Sprintf("sentinel monitor mymaster %s %s 2\nsentinel down-after-milliseconds mymaster 500\n"+
			"sentinel failover-timeout mymaster 3000\n", host, port)
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		w.Sentinels = append(w.Sentinels, Start(t, conf, "--sentinel"))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	if err := eventually(ctx, func() error { return w.complete(ctx) }); err != nil {
		t.Fatal(err)
	}
	return w
}

// complete returns an error if a sentinel does not see all the others and all replicas in sync yet.
func (w *Watched) complete(ctx context.Context) error {
	for _, s := range w.Sentinels {
		reply, err := s.do(ctx, "info", "sentinel")
		want := fmt.Sprintf("status=ok,address=%s,slaves=%d,sentinels=3", w.Master.Addr(), len(w.Replicas))
		if err != nil || !strings.Contains(fmt.Sprint(reply), want) {
			return errors.Join(err, fmt.Errorf("redistest: %v, not %s", reply, want))
		}
	}
	for _, s := range w.Replicas {
		reply, err := s.do(ctx, "info", "replication")
		if err != nil || !strings.Contains(fmt.Sprint(reply), "master_link_status:up") {
			return errors.Join(err, errors.New("redistest: a replica is not in sync"))
		}
	}
	return nil
}
