package redisstore

import (
	"context"
	"encoding/binary"

	"github.com/zodiac-go/zodiac/driver"
)

// Publish implements [driver.Bus].
func (s *Store) Publish(ctx context.Context, inv driver.Invalidation) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	return explain(s.publish(ctx, appendInvalidation([]byte{invalidationMessage}, inv)))
}

// Subscribe implements [driver.Bus]. It returns once the server has confirmed the subscription.
func (s *Store) Subscribe(ctx context.Context, fn func(driver.Invalidation)) (stop func(), err error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	return s.mux.addSubscriber(ctx, fn)
}

// appendInvalidation appends the prefix and then the keys, each behind its length as a varint.
func appendInvalidation(b []byte, inv driver.Invalidation) []byte {
	b = appendText(b, inv.Prefix)
	for _, key := range inv.Keys {
		b = appendText(b, key)
	}
	return b
}

func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// parseInvalidation is the reverse of appendInvalidation. ok is false if text is something else.
func parseInvalidation(text string) (inv driver.Invalidation, ok bool) {
	var parts []string
	for b := []byte(text); len(b) > 0; {
		n, used := binary.Uvarint(b)
		if used <= 0 || n > uint64(len(b)-used) {
			return inv, false
		}
		parts = append(parts, string(b[used:used+int(n)]))
		b = b[used+int(n):]
	}
	if len(parts) == 0 {
		return inv, false
	}
	inv.Prefix = parts[0]
	if len(parts) > 1 {
		inv.Keys = parts[1:]
	}
	return inv, true
}
