package memstore

import "context"

// Wake implements [driver.Waker].
func (s *Store) Wake(_ context.Context, key string) (<-chan struct{}, func()) {
	// The buffer keeps one wake-up for a caller that is not receiving yet. More would tell it
	// nothing new.
	ch := make(chan struct{}, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting[key] == nil {
		s.waiting[key] = map[chan struct{}]struct{}{}
	}
	s.waiting[key][ch] = struct{}{}
	return ch, func() { s.unwait(key, ch) }
}

// unwait forgets a channel of Wake.
func (s *Store) unwait(key string, ch chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.waiting[key], ch)
	if len(s.waiting[key]) == 0 {
		delete(s.waiting, key)
	}
}

// wake wakes those who wait for the lease on key. It never blocks. The caller holds mu.
func (s *Store) wake(key string) {
	for ch := range s.waiting[key] {
		select {
		case ch <- struct{}{}:
		default: // a wake-up is waiting in the buffer
		}
	}
}
