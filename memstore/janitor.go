package memstore

import "time"

// A janitor removes dead cells. They are absent anyway, so all it has to care for is memory; and writes remove what is
// dead before they need room. What is left to it is a store that is not written to.
//
// It sweeps a second after a write, and then after twice as long each time, but at least once a day, until the last cell
// with an end has gone. So a dead cell takes room for no longer than it lived, and a second; and the first day of a store
// at rest costs it 17 sweeps. ttlcache does not say when its next item expires: one who wants to be on time has to keep
// a queue of his own beside its queue.
type janitor struct {
	timer *time.Timer
	armed bool
	pause time.Duration // before the sweep that the timer is armed for
	last  time.Duration // when the last cell ends, of those put since the timer was armed
}

const firstPause = time.Second

// expect says that a cell ends at a moment. Caller holds mu.
func (j *janitor) expect(s *Store, end time.Duration) {
	j.last = max(j.last, end)
	if !j.armed || j.pause > firstPause {
		j.arm(s, firstPause)
	}
}

// arm makes the next sweep come after pause. Caller holds mu.
func (j *janitor) arm(s *Store, pause time.Duration) {
	j.armed, j.pause = true, pause
	if j.timer == nil {
		j.timer = time.AfterFunc(pause, s.sweep)
		return
	}
	j.timer.Reset(pause)
}

// stop ends it all. A sweep that has begun finds the store closed. Caller holds mu.
func (j *janitor) stop() {
	if j.timer != nil {
		j.timer.Stop()
	}
}

// sweep removes what is dead.
func (s *Store) sweep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.cells.DeleteExpired()
	// ttlcache's clock is read a moment later than ours, and its items end a moment later: hence the second.
	if s.now() > after(s.janitor.last, time.Second) {
		s.janitor.armed, s.janitor.last = false, 0
		return
	}
	s.janitor.arm(s, min(2*s.janitor.pause, 24*time.Hour))
}
