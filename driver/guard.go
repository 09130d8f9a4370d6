package driver

import (
	"context"
	"time"
)

// A Guard lends the right to fetch a key. The right does not come from the Store: see
// zodiac.WithGuard and package lease. A Guard is safe for concurrent use.
type Guard interface {
	// TryAcquire tries once, without waiting for another holder. It returns the right and true,
	// or nil and false if another has the right. The right ends by itself after p. An error
	// means that the Guard cannot tell.
	TryAcquire(ctx context.Context, key string, p time.Duration) (Held, bool, error)
}

// A Held is a right that a Guard has lent.
type Held interface {
	// Extend makes the right end p from now, and returns true. It returns false if the right
	// is lost.
	Extend(ctx context.Context, p time.Duration) (bool, error)

	// Release gives the right back. It is called once.
	Release(ctx context.Context) error
}
