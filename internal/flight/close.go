package flight

import "context"

// Close refuses every later Join and Share, and every later Seal unless the Group is shared.
// Flights that run go on, and the fetches of waiting flights still start. Close does not wait.
func (g *Group[K, J]) Close() {
	for i := range g.shards {
		s := &g.shards[i]
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
	}
}

// Drain waits until every fetch has returned, and returns nil. If ctx ends first, it returns the
// error of ctx. Call it after Close: otherwise fetches may start meanwhile. Several goroutines
// may call it.
func (g *Group[K, J]) Drain(ctx context.Context) error {
	for i := range g.shards {
		select { // first without ctx: an idle Group is drained even if ctx has ended
		case <-g.shards[i].drained():
		default:
			select {
			case <-g.shards[i].drained():
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}

// drained returns a channel that is closed as soon as no fetch runs in the shard. Close must have
// been called.
func (s *shard[K, J]) drained() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.idle != nil {
		return s.idle
	}
	idle := make(chan struct{})
	if s.running == 0 {
		close(idle)
	} else {
		s.idle = idle
	}
	return idle
}
