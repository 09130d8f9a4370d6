package remote

import (
	"sync"

	"github.com/zodiac-go/zodiac/driver"
)

// A backend is what all Clients over one store share in this process. It is made for the first of
// them and forgotten with the last.
type backend struct {
	store    driver.Store
	prefixes map[string]bool // of the keys of open Clients; guarded by backends.mu
}

// backends are the stores that Clients of this process use.
var backends = struct {
	mu sync.Mutex // guards the field below
	of map[driver.Store]*backend
}{of: make(map[driver.Store]*backend)}

// Reserve takes the keys that begin with prefix for one Client over a store, until the Client is
// closed. It returns false if an open Client has them: two Clients of one prefix would serve each
// other's values. The store's type is comparable.
func Reserve(store driver.Store, prefix string) bool {
	backends.mu.Lock()
	defer backends.mu.Unlock()
	b := backends.of[store]
	if b == nil {
		b = newBackend(store)
		backends.of[store] = b
	}
	if b.prefixes[prefix] {
		return false
	}
	b.prefixes[prefix] = true
	return true
}

// backendOf returns the backend of a store in which a prefix was reserved. In a store without, it
// returns one that is not shared.
func backendOf(store driver.Store) *backend {
	backends.mu.Lock()
	defer backends.mu.Unlock()
	if b := backends.of[store]; b != nil {
		return b
	}
	return newBackend(store)
}

func newBackend(store driver.Store) *backend {
	return &backend{store: store, prefixes: make(map[string]bool)}
}

// release gives back a prefix.
func (b *backend) release(prefix string) {
	backends.mu.Lock()
	defer backends.mu.Unlock()
	delete(b.prefixes, prefix)
	if len(b.prefixes) == 0 && backends.of[b.store] == b {
		delete(backends.of, b.store)
	}
}
