package memstore

// Cells returns how many cells take room, expired ones included.
func (s *Store) Cells() int {
	m := s.cells.Metrics()
	return int(m.Insertions - m.Evictions)
}

// Armed reports whether the timer will run.
func (s *Store) Armed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.janitor.armed
}

// Waiting returns how many keys have channels of Wake.
func (s *Store) Waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting)
}
