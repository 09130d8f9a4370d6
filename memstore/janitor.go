package memstore

import "time"

// A janitor removes expired cells. Their keys are absent anyway, so it only frees memory. Writes
// remove expired cells too, before they need room. So the janitor matters for a store that is not
// written to.
//
// The first sweep comes a second after a write. Each further pause is twice as long, but a day at
// most. The sweeps end when the last cell that expires has gone. So an expired cell takes room
// for no longer than it lived and a second, and a store at rest makes 17 sweeps in its first day.
//
// ttlcache does not say when its next item expires. A janitor that is always on time would need a
// queue of its own beside ttlcache's.
type janitor struct {
	timer *time.Timer   // calls sweep; nil before the first cell that expires
	armed bool          // the timer will run
	pause time.Duration // before the sweep that the timer is armed for
	last  time.Duration // the latest end of all cells put since armed was last false
}

const firstPause = time.Second

// expect notes that a cell ends at end. The caller holds mu.
func (j *janitor) expect(s *Store, end time.Duration) {
	j.last = max(j.last, end)
	if !j.armed || j.pause > firstPause {
		j.arm(s, firstPause)
	}
}

// arm makes the next sweep come after pause. The caller holds mu.
func (j *janitor) arm(s *Store, pause time.Duration) {
	j.armed, j.pause = true, pause
	if j.timer == nil {
		j.timer = time.AfterFunc(pause, s.sweep)
		return
	}
	j.timer.Reset(pause)
}

// stop stops the timer. A sweep that has begun finds the store closed. The caller holds mu.
func (j *janitor) stop() {
	if j.timer != nil {
		j.timer.Stop()
	}
}

// sweep removes expired cells, and arms the timer again while a cell is going to expire.
func (s *Store) sweep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.cells.DeleteExpired()
	// ttlcache reads the clock a moment later than put, so its items end a moment later. The second
	// covers that.
	if s.now() > after(s.janitor.last, time.Second) {
		s.janitor.armed, s.janitor.last = false, 0
		return
	}
	s.janitor.arm(s, min(2*s.janitor.pause, 24*time.Hour))
}
