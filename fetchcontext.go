package zodiac

import (
	"context"

	"github.com/zodiac-go/zodiac/internal/flight"
	"github.com/zodiac-go/zodiac/internal/lazyctx"
)

// A fetchContext is the context of a fetch. It has the values of the caller who began the flight. It
// ends when the flight is abandoned, its time is over, or its outcome is known.
type fetchContext struct {
	lazyctx.Context
	inner  *callState
	within flight.Link
}

// Value adds the modes and the flight that calls of loaders within the fetch look for.
func (c *fetchContext) Value(key any) any {
	switch key.(type) {
	case stateKey:
		return c.inner
	case linkKey:
		return &c.within
	default:
		return c.Context.Value(key)
	}
}

type linkKey struct{}

// linkOf returns the flight that ctx belongs to, or nil.
func linkOf(ctx context.Context) *flight.Link {
	l, _ := ctx.Value(linkKey{}).(*flight.Link)
	return l
}
