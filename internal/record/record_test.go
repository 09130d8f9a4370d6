package record

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/zodiac-go/zodiac/internal/release"
)

var update = flag.Bool("update", false, "write the golden files anew")

// goldenCreated is 2024-05-01 12:00:00.123456789 UTC.
var goldenCreated = time.Unix(1714564800, 123456789)

// goldenRelease was built on 2024-04-30 12:00:00 UTC and started a day later.
var goldenRelease = release.Release{Built: 1714478400, Started: 1714564800123}

// goldenRecords are the records of testdata. docs/record.md explains the one called example.
var goldenRecords = map[string]Record{
	"plain": {
		Codec: "json", Created: goldenCreated, Payload: []byte(`{"id":42,"name":"Ann"}`),
		Origin: Origin{0x0123456789abcdef, goldenRelease},
	},
	"no-shape": {Codec: "json", Created: goldenCreated, Payload: []byte(`{"id":42,"name":"Ann"}`)},
	"no-build": {
		Codec: "json", Created: goldenCreated, Payload: []byte(`1`),
		Origin: Origin{math.MaxUint64, release.Release{Started: goldenRelease.Started}},
	},
	"empty": {Codec: "raw", Created: goldenCreated},
	"example": {
		Codec: "json", Created: goldenCreated, Stale: 10 * time.Second, Cost: 25 * time.Millisecond,
		Tags: []Tag{{"users", "g7"}}, Payload: []byte(`{"id":42}`),
		Origin: Origin{0x8877665544332211, goldenRelease},
	},
	"all": {
		Codec: "msgpack+zstd", Created: goldenCreated, Stale: math.MaxInt64, Cost: 1, Slide: time.Minute,
		Tags: []Tag{{"t", ""}, {"größe:1", strings.Repeat("g", maxGen)}}, Text: strings.Repeat("k", 513), Payload: []byte{0, 0xFF},
		Origin: Origin{1, release.Release{Built: math.MaxUint64, Started: math.MaxUint64}},
	},
	"nil":             {Kind: Nil, Codec: "json", Created: goldenCreated, Cost: time.Millisecond},
	"none":            {Kind: None, Created: goldenCreated, Payload: []byte("sql: no rows in result set")},
	"skipped":         {Kind: Skipped, Created: goldenCreated},
	"failed":          {Kind: Failed, Created: goldenCreated, Payload: []byte("dial tcp: connection refused")},
	"created-first":   {Codec: "json", Created: time.Unix(0, math.MinInt64), Payload: []byte("0")},
	"created-in-1969": {Codec: "json", Created: time.Unix(-1, 0), Payload: []byte("0")},
}

func TestRecordIsWhatItAlwaysWas(t *testing.T) {
	for name, want := range goldenRecords {
		t.Run(name, func(t *testing.T) {
			if *update {
				writeGoldenRecord(t, name, want.AppendTo(nil))
			}
			golden := readGoldenRecord(t, name)
			if data := want.AppendTo(nil); !bytes.Equal(data, golden) {
				t.Errorf("AppendTo = %x; the golden file has %x", data, golden)
			}
			var got Record
			if err := Parse(golden, &got); err != nil {
				t.Fatal(err)
			}
			if err := sameRecord(&got, &want); err != nil {
				t.Error(err)
			}
		})
	}
	files, err := filepath.Glob(goldenRecordFile("*"))
	if len(files) != len(goldenRecords) || err != nil {
		t.Errorf("there are %d golden files for %d records, %v", len(files), len(goldenRecords), err)
	}
}

func goldenRecordFile(name string) string { return filepath.Join("testdata", name+".hex") }

// writeGoldenRecord writes a golden file: 16 bytes a line.
func writeGoldenRecord(t *testing.T, name string, data []byte) {
	t.Helper()
	var b strings.Builder
	for line := range slices.Chunk(data, 16) {
		fmt.Fprintf(&b, "% x\n", line)
	}
	if err := os.WriteFile(goldenRecordFile(name), []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

func readGoldenRecord(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(goldenRecordFile(name))
	if err != nil {
		t.Fatal(err)
	}
	return unhex(t, string(text))
}

// unhex reads bytes in hexadecimal, with space between them.
func unhex(t testing.TB, text string) []byte {
	t.Helper()
	data, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// The page says of the example, byte by byte, what the example is.
func TestPageOfRecordsExplainsTheExample(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "record.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(page), "```example\n")
	block, _, ok := strings.Cut(after, "```")
	if !ok {
		t.Fatal("no block of the example")
	}
	var explained strings.Builder
	for line := range strings.Lines(block) {
		data, _, _ := strings.Cut(line, "  ") // the rest says what it is
		explained.WriteString(data + " ")
	}
	if got, want := unhex(t, explained.String()), readGoldenRecord(t, "example"); !bytes.Equal(got, want) {
		t.Errorf("the page explains % x; the record is % x", got, want)
	}
}

// sameRecord returns how got differs from want.
func sameRecord(got, want *Record) error {
	g, w := *got, *want
	if !g.Created.Equal(w.Created) || !bytes.Equal(g.Payload, w.Payload) {
		return fmt.Errorf("created, payload = %v, %x; want %v, %x", g.Created, g.Payload, w.Created, w.Payload)
	}
	g.Created, g.Payload = w.Created, w.Payload
	if len(g.Tags)+len(w.Tags) == 0 {
		g.Tags = w.Tags
	}
	if !reflect.DeepEqual(g, w) {
		return fmt.Errorf("record = %+v; want %+v", g, w)
	}
	return nil
}

// someDurations draws what a record's optional durations may be.
var someDurations = rapid.OneOf(
	rapid.SampledFrom([]time.Duration{0, 1, 127, 128, time.Millisecond, time.Minute, math.MaxInt64}),
	rapid.Map(rapid.Int64Min(0), func(ns int64) time.Duration { return time.Duration(ns) }),
)

var someRecords = rapid.Custom(func(t *rapid.T) Record {
	r := Record{
		Kind:    Kind(rapid.IntRange(0, int(kinds)-1).Draw(t, "kind")),
		Codec:   rapid.OneOf(rapid.Just("json"), rapid.StringN(-1, -1, maxCodec)).Draw(t, "codec"),
		Created: time.Unix(0, rapid.Int64().Draw(t, "created")),
		Stale:   someDurations.Draw(t, "stale"),
		Cost:    someDurations.Draw(t, "cost"),
		Slide:   someDurations.Draw(t, "slide"),
		Tags: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Tag {
			return Tag{rapid.StringN(1, -1, -1).Draw(t, "name"), rapid.StringN(-1, -1, maxGen).Draw(t, "gen")}
		}), 0, MaxTags).Draw(t, "tags"),
		Text:    rapid.OneOf(rapid.Just(""), rapid.String()).Draw(t, "text"),
		Payload: rapid.SliceOf(rapid.Byte()).Draw(t, "payload"),
	}
	if r.Shape = rapid.OneOf(rapid.Just(uint64(0)), rapid.Uint64()).Draw(t, "shape"); r.Shape != 0 {
		r.Release = release.Release{Built: rapid.Uint64().Draw(t, "built"), Started: rapid.Uint64().Draw(t, "started")}
	}
	return r
})

func TestRecordComesBackAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := someRecords.Draw(t, "record")
		data := want.AppendTo(nil)
		if n := want.Size(); n != len(data) || n != cap(data) {
			t.Fatalf("Size() = %d; the record has %d bytes in %d", n, len(data), cap(data))
		}
		got := someRecords.Draw(t, "before") // of which nothing may be left
		if err := Parse(data, &got); err != nil {
			t.Fatalf("Parse(%x): %v", data, err)
		}
		if err := sameRecord(&got, &want); err != nil {
			t.Fatal(err)
		}
		if len(got.Payload) > 0 && &got.Payload[0] != &data[len(data)-sumSize-len(got.Payload)] {
			t.Fatal("the payload is a copy")
		}
		if after := want.AppendTo([]byte("before")); string(after) != "before"+string(data) {
			t.Fatalf("AppendTo(before) = %x; want %x behind it", after, data)
		}
	})
}

// What a record cannot say is left out rather than making it unreadable.
func TestRecordWithImpossibleFieldsIsReadable(t *testing.T) {
	data := (&Record{Codec: "json", Stale: -1, Cost: math.MinInt64, Slide: -time.Second, Created: time.Time{}, Payload: []byte("0")}).AppendTo(nil)
	var got Record
	if err := Parse(data, &got); err != nil {
		t.Fatal(err)
	}
	if got.Stale != 0 || got.Cost != 0 || got.Slide != 0 || got.Created.UnixNano() != math.MinInt64 {
		t.Errorf("record = %+v; want no durations, and the first time there is", got)
	}
	for created, want := range map[time.Time]int64{
		time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC): math.MaxInt64,
		time.Unix(0, math.MaxInt64):                 math.MaxInt64,
		time.Unix(0, math.MinInt64):                 math.MinInt64,
		time.Unix(0, math.MaxInt64-1):               math.MaxInt64 - 1,
		time.Unix(0, math.MinInt64+1):               math.MinInt64 + 1,
		time.Unix(math.MaxInt64/1_000_000_000+1, 0): math.MaxInt64,
		time.Unix(math.MinInt64/1_000_000_000-2, 0): math.MinInt64,
	} {
		if got := unixNano(created); got != want {
			t.Errorf("unixNano(%v) = %d; want %d", created, got, want)
		}
	}
}

// P26: whatever happens to any of its bytes, or cuts it short or makes it longer, it is no record any more.
func TestDamagedRecordIsRefused(t *testing.T) {
	for name := range goldenRecords {
		t.Run(name, func(t *testing.T) {
			data := readGoldenRecord(t, name)
			for i := range data {
				refuseRecord(t, data[:i])
				for bit := range 8 {
					damaged := bytes.Clone(data)
					damaged[i] ^= 1 << bit
					refuseRecord(t, damaged)
				}
				damaged := bytes.Clone(data)
				damaged[i] = ^damaged[i]
				refuseRecord(t, damaged)
			}
			refuseRecord(t, append(bytes.Clone(data), 0))
			refuseRecord(t, data[1:])
			refuseRecord(t, append(bytes.Clone(data), data...))
		})
	}
}

func refuseRecord(t *testing.T, data []byte) {
	t.Helper()
	var r Record
	if _, ok := errors.AsType[Error](Parse(data, &r)); !ok {
		t.Errorf("Parse(% x) = %+v; want a Error", data, r)
	}
}

// sum returns body with the checksum that makes it a record.
func sum(body ...byte) []byte {
	return binary.LittleEndian.AppendUint32(body, crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
}

func TestYoungRecordOfTheNewerReleaseStays(t *testing.T) {
	origin := func(shape, started uint64) Origin { return Origin{shape, release.Release{Started: started}} }
	for _, tt := range []struct {
		name          string
		writer, other Origin
		age           time.Duration
		want          bool
	}{
		{"newer", origin(1, 2000), origin(2, 1000), 0, true},
		{"older", origin(2, 1000), origin(1, 2000), 0, false},
		{"as-new-of-the-greater-shape", origin(2, 1000), origin(1, 1000), 0, true},
		{"as-new-of-the-lesser-shape", origin(1, 1000), origin(2, 1000), 0, false},
		{"the-same", origin(1, 1000), origin(1, 1000), 0, false},
		{"nearly-a-minute-old", origin(1, 2000), origin(2, 1000), time.Minute - 1, true},
		{"a-minute-old", origin(1, 2000), origin(2, 1000), time.Minute, false},
		{"by-a-clock-that-is-ahead", origin(1, 2000), origin(2, 1000), -time.Second, true},
		{"from-the-future", origin(1, 2000), origin(2, 1000), -time.Hour, false},
		{"from-the-far-future", origin(1, 2000), origin(2, 1000), math.MinInt64, false},
		{"of-no-shape", origin(0, 2000), origin(2, 1000), 0, false},
	} {
		if got := tt.writer.Stays(tt.age, tt.other); got != tt.want {
			t.Errorf("%s: Stays = %v; want %v", tt.name, got, tt.want)
		}
	}
}

func TestRecordErrorSaysWhy(t *testing.T) {
	flagged := func(fields, flags byte, rest ...byte) []byte {
		return sum(append([]byte{magic, version, fields, flags, 0, 0, 0, 0, 0, 0, 0, 0}, rest...)...)
	}
	head := func(fields byte, rest ...byte) []byte { return flagged(fields, 0, rest...) }
	tags := func(n int) []byte { return append([]byte{0, byte(n)}, bytes.Repeat([]byte{1, 't', 0}, n)...) }
	changed := func(i int, to byte) []byte {
		data := bytes.Clone(readGoldenRecord(t, "plain"))
		data[i] = to
		return data
	}
	const endless = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
	tests := []struct {
		name string
		data []byte
		want Error
	}{
		{"nothing", nil, errTruncated},
		{"magic-only", []byte{magic}, errTruncated},
		{"head-only", readGoldenRecord(t, "plain")[:minSize-1], errTruncated},
		{"json", []byte(`{"id":42,"name":"Ann Example"}`), errForeign},
		{"gzip", []byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"), errForeign},
		{"one-byte", []byte("0"), errForeign},
		{"version-0", changed(1, 0), errVersion},
		{"version-2", changed(1, 2), errVersion},
		{"version-2-short", []byte{magic, 2}, errVersion},
		{"payload-changed", changed(40, '['), errChecksum},
		{"payload-cut", readGoldenRecord(t, "plain")[:30], errChecksum},
		{"kind-5", head(5, 0), errKind},
		{"kind-7", head(7, 0), errKind},
		{"unknown-flag", flagged(0, 0x02, 0), errFlags},
		{"unknown-flag-and-shape", flagged(0, 0x81, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0), errFlags},
		{"shape-missing", flagged(0, hasShape, 0), errMalformed},
		{"shape-cut", flagged(0, hasShape, 0, 1, 0, 0, 0, 0, 0, 0), errMalformed},
		{"shape-zero", flagged(0, hasShape, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), errMalformed},
		{"release-missing", flagged(0, hasShape, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0), errMalformed},
		{"release-not-shortest", flagged(0, hasShape, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0x80, 0, 0), errMalformed},
		{"codec-too-long", head(0, append([]byte{33}, make([]byte, 33)...)...), errMalformed},
		{"codec-beyond-the-end", head(0, 1), errMalformed},
		{"codec-endless", head(0, []byte(endless)...), errMalformed},
		{"codec-length-overflow", head(0, append(bytes.Repeat([]byte{0xFF}, 10), 1)...), errMalformed},
		{"codec-length-not-shortest", head(0, 0x80, 0), errMalformed},
		{"stale-missing", head(hasStale, 0), errMalformed},
		{"stale-zero", head(hasStale, 0, 0), errMalformed},
		{"stale-negative", head(hasStale, append([]byte{0}, endless...)...), errMalformed},
		{"cost-not-shortest", head(hasCost, 0, 0x81, 0), errMalformed},
		{"slide-missing", head(hasStale|hasSlide, 0, 1), errMalformed},
		{"tags-none", head(hasTags, 0, 0), errMalformed},
		{"tags-missing", head(hasTags, 0, 2, 0, 0), errMalformed},
		{"tags-endless", head(hasTags, append([]byte{0}, endless...)...), errMalformed},
		{"tags-too-many", head(hasTags, tags(65)...), errMalformed},
		{"tag-without-name", head(hasTags, 0, 1, 0, 1, 'g'), errMalformed},
		{"generation-too-long", head(hasTags, append([]byte{0, 1, 1, 't', 65}, make([]byte, 65)...)...), errMalformed},
		{"text-empty", head(hasText, 0, 0), errMalformed},
		{"text-missing", head(hasText, 0, 2, 'a'), errMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var r Record
			if err := Parse(tt.data, &r); err != tt.want { //nolint:errorlint // it is never wrapped
				t.Errorf("Parse(% x) = %v; want %v", tt.data, err, tt.want)
			}
		})
	}
	var r Record
	for name, data := range map[string][]byte{"smallest": head(0, 0), "tags-64": head(hasTags, tags(64)...)} {
		if err := Parse(data, &r); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A record that names a million tags had made its reader allocate and read for each of them.
func TestRecordOfAMillionTagsIsRefusedForNothing(t *testing.T) {
	data := append([]byte{magic, version, hasTags, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 0xC0, 0x84, 0x3D)
	data = sum(append(data, bytes.Repeat([]byte("\x01t\x07general"), 1_000_000)...)...)
	var r Record
	if n := testing.AllocsPerRun(1, func() {
		if err := Parse(data, &r); err != errMalformed { //nolint:errorlint // it is never wrapped
			t.Errorf("Parse = %v; want %v", err, errMalformed)
		}
	}); n != 0 {
		t.Errorf("Parse allocates %v times; want 0", n)
	}
}

// Never a panic; and what is a record has one binary form.
func FuzzParseRecord(f *testing.F) {
	for name := range goldenRecords {
		f.Add(readGoldenRecord(f, name))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		checkParsedRecord(t, data)
		checkParsedRecord(t, sum(bytes.Clone(data)...)) // past the checksum
		if len(data) > sumSize {
			checkParsedRecord(t, sum(bytes.Clone(data[:len(data)-sumSize])...))
		}
	})
}

func checkParsedRecord(t *testing.T, data []byte) {
	var r Record
	if err := Parse(data, &r); err != nil {
		if _, ok := errors.AsType[Error](err); !ok {
			t.Fatalf("Parse(%x): %v is no Error", data, err)
		}
		return
	}
	if again := r.AppendTo(nil); !bytes.Equal(again, data) {
		t.Fatalf("Parse(%x) = %+v, whose binary form is %x", data, r, again)
	}
}

func TestPlainRecordCostsFortyBytesAndNoAllocation(t *testing.T) {
	r := goldenRecords["plain"]
	data := r.AppendTo(nil)
	if head := len(data) - len(r.Payload); head != 40 {
		t.Errorf("a record has %d bytes beside its payload; want 40", head)
	}
	if n := testing.AllocsPerRun(100, func() { r.AppendTo(nil) }); n != 1 {
		t.Errorf("AppendTo allocates %v times; want 1", n)
	}
	if n := testing.AllocsPerRun(100, func() { var r Record; _ = Parse(data, &r) }); n != 0 {
		t.Errorf("Parse allocates %v times; want 0", n)
	}
	other := Record{Codec: "msgpack+zstd"}
	data = other.AppendTo(nil)
	if n := testing.AllocsPerRun(100, func() { _ = Parse(data, &other) }); n != 0 {
		t.Errorf("Parse allocates %v times for a codec it was told; want 0", n)
	}
}

func BenchmarkRecord(b *testing.B) {
	for _, name := range []string{"plain", "all"} {
		r := goldenRecords[name]
		data := r.AppendTo(nil)
		b.Run("op=append/record="+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r.AppendTo(nil)
			}
		})
		b.Run("op=parse/record="+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var r Record
				if err := Parse(data, &r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
