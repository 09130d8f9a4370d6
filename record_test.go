package zodiac

// In-package: records are seen from outside only through stores, and there nobody looks into them.

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// someDurations draws what a record's optional durations may be, 0 often.
var someDurations = rapid.OneOf(
	rapid.SampledFrom([]time.Duration{0, 1, time.Millisecond, time.Minute, Forever}),
	rapid.Custom(func(t *rapid.T) time.Duration { return time.Duration(rapid.Int64Min(0).Draw(t, "ns")) }),
)

var someRecords = rapid.Custom(func(t *rapid.T) *record {
	r := &record{
		kind:    recordKind(rapid.IntRange(0, int(recordKinds)-1).Draw(t, "kind")),
		codec:   rapid.OneOf(rapid.Just(jsonName), rapid.StringN(0, 32, -1)).Draw(t, "codec"),
		created: time.Unix(0, rapid.Int64().Draw(t, "created")),
		stale:   someDurations.Draw(t, "stale"),
		cost:    someDurations.Draw(t, "cost"),
		slide:   someDurations.Draw(t, "slide"),
		text:    rapid.OneOf(rapid.Just(""), rapid.String()).Draw(t, "text"),
		payload: rapid.SliceOf(rapid.Byte()).Draw(t, "payload"),
	}
	for range rapid.OneOf(rapid.Just(0), rapid.IntRange(0, maxTags)).Draw(t, "tags") {
		r.tags = append(r.tags, recordTag{rapid.String().Draw(t, "name"), rapid.String().Draw(t, "gen")})
	}
	return r
})

func TestRecordComesBackAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := someRecords.Draw(t, "record")
		data := want.appendTo(nil)
		if n := want.size(); n != len(data) || cap(data) != n {
			t.Fatalf("size() = %d; the record is %d bytes long, in %d", n, len(data), cap(data))
		}
		var got record
		if err := parseRecord(data, &got); err != nil {
			t.Fatalf("parseRecord(%x): %v", data, err)
		}
		if !got.created.Equal(want.created) {
			t.Fatalf("created = %v; want %v", got.created, want.created)
		}
		got.created = want.created
		if len(got.payload) == 0 {
			got.payload = want.payload
		}
		if !reflect.DeepEqual(&got, want) {
			t.Fatalf("parseRecord(%x) = %#v; want %#v", data, got, *want)
		}
		if after := want.appendTo([]byte("before")); !bytes.Equal(after, append([]byte("before"), data...)) {
			t.Fatalf("appendTo(before) = %x; want %x behind it", after, data)
		}
	})
}
