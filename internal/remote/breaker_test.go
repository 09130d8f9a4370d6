package remote

import (
	"context"
	"errors"
	"testing"

	"github.com/zodiac-go/zodiac/internal/faults"
)

func TestBreakerCountsAFaultOnce(t *testing.T) {
	fault := errors.New("connection refused")
	var b breaker
	b.init(func(func(error)) {}, func(bool) {})
	for range 2 * breakAfter {
		b.saw(faults.Shared(fault))
	}
	for range breakAfter - 1 {
		b.saw(fault)
		b.saw(context.Canceled) // says neither
	}
	if !b.allows() {
		t.Errorf("the store is left alone after %d faults", breakAfter-1)
	}
	if b.saw(fault); b.allows() {
		t.Errorf("the store is asked after %d faults in a row", breakAfter)
	}
}
