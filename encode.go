package zodiac

import (
	"fmt"
	"time"

	"github.com/zodiac-go/zodiac/internal/flight"
	"github.com/zodiac-go/zodiac/internal/record"
	"github.com/zodiac-go/zodiac/internal/tag"
	"github.com/zodiac-go/zodiac/internal/tier"
)

// encodeResult makes the record of a fetch's result. It is for the store, and for the callers who
// share the result, each of whom decodes a copy.
func (c *engine[K, V]) encodeResult(f *flight.Flight[tier.Key[K], job[K, V]]) {
	r, s := &f.Job.result, f.Job.stored
	var tags []record.Tag
	if r.verdict == store {
		tags = s.fetch.RecordTags(tag.Names(r.tags))
	}
	var err error
	if s.data, err = c.encode(s.full, r.entry.Created, &r.entry.Value, r.none, c.opts.life.slide(r.life), tags); err != nil {
		s.fetch.Fault = err
	}
}

// encode makes the record of a value, or of a None if none is not nil. The error is a *CodecError,
// or matches ErrTooLarge.
func (c *engine[K, V]) encode(full string, created int64, value *V, none error, slide time.Duration, tags []record.Tag) ([]byte, error) {
	rec := record.Record{Kind: record.Value, Created: c.clock.Time(created), Slide: slide, Tags: tags, Text: full}
	switch {
	case none != nil:
		rec.Kind, rec.Payload = record.None, []byte(textOfNone(none))
	case c.isNil(value):
		rec.Kind = record.Nil
	default:
		rec.Codec = c.codec.Name()
		var err error
		if bug := c.guarded("WithCodec", func() { rec.Payload, err = c.codec.Marshal(value) }); bug != nil {
			err = bug
		}
		if err != nil {
			return nil, &CodecError{Loader: c.name, Op: "Marshal", Codec: rec.Codec, Err: err}
		}
	}
	if n := rec.Size(); c.maxBytes > 0 && n > c.maxBytes {
		return nil, fmt.Errorf("%w: %d bytes; WithMaxBytes allows %d", ErrTooLarge, n, c.maxBytes)
	}
	return rec.AppendTo(nil), nil
}

// decodeResult sets *v, which is zero, to a result that was just encoded.
func (c *engine[K, V]) decodeResult(data []byte, v *V) error {
	var rec record.Record
	if err := record.Parse(data, &rec); err != nil {
		return err
	}
	return c.decode(&rec, v)
}

// decode sets *v, which is zero, to the value of a record. After an error, which is a *CodecError,
// *v is not to be used.
func (c *engine[K, V]) decode(rec *record.Record, v *V) error {
	if rec.Kind != record.Value {
		return nil
	}
	var err error
	if bug := c.guarded("WithCodec", func() { err = c.codec.Unmarshal(rec.Payload, v) }); bug != nil {
		err = bug
	}
	if err != nil {
		return &CodecError{Loader: c.name, Op: "Unmarshal", Codec: rec.Codec, Err: err}
	}
	return nil
}
