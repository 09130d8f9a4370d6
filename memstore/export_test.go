package memstore

// Held returns how many keys take room, dead ones included.
func (s *Store) Held() int {
	m := s.cells.Metrics()
	return int(m.Insertions - m.Evictions)
}

// Armed reports whether a timer will run.
func (s *Store) Armed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.janitor.armed
}

// Waiting returns how many keys somebody waits for.
func (s *Store) Waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting)
}
