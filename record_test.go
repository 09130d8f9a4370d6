package zodiac

// In-package: records are seen from outside only through stores, and those do not look into them.

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
)

var update = flag.Bool("update", false, "write the golden files anew")

// goldenCreated is 2024-05-01 12:00:00.123456789 UTC.
var goldenCreated = time.Unix(1714564800, 123456789)

// goldenRecords are the records of testdata/record. docs/record.md explains the one called example.
var goldenRecords = map[string]record{
	"plain": {codec: "json", created: goldenCreated, payload: []byte(`{"id":42,"name":"Ann"}`)},
	"empty": {codec: "raw", created: goldenCreated},
	"example": {
		codec: "json", created: goldenCreated, stale: 10 * time.Second, cost: 25 * time.Millisecond,
		tags: []recordTag{{"users", "g7"}}, payload: []byte(`{"id":42}`),
	},
	"all": {
		codec: "msgpack+zstd", created: goldenCreated, stale: Forever, cost: 1, slide: time.Minute,
		tags: []recordTag{{"", "a"}, {"größe:1", strings.Repeat("g", 200)}}, text: strings.Repeat("k", maxKeyText+1), payload: []byte{0, 0xFF},
	},
	"nil":             {kind: recordNil, codec: "json", created: goldenCreated, cost: time.Millisecond},
	"none":            {kind: recordNone, created: goldenCreated, payload: []byte("sql: no rows in result set")},
	"skip-mark":       {kind: recordSkipMark, created: goldenCreated},
	"error-mark":      {kind: recordErrorMark, created: goldenCreated, payload: []byte("dial tcp: connection refused")},
	"created-first":   {codec: "json", created: time.Unix(0, math.MinInt64), payload: []byte("0")},
	"created-in-1969": {codec: "json", created: time.Unix(-1, 0), payload: []byte("0")},
}

func TestRecordIsWhatItAlwaysWas(t *testing.T) {
	for name, want := range goldenRecords {
		t.Run(name, func(t *testing.T) {
			if *update {
				writeGoldenRecord(t, name, want.appendTo(nil))
			}
			golden := readGoldenRecord(t, name)
			if data := want.appendTo(nil); !bytes.Equal(data, golden) {
				t.Errorf("appendTo = %x; the golden file has %x", data, golden)
			}
			var got record
			if err := parseRecord(golden, &got); err != nil {
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

func goldenRecordFile(name string) string { return filepath.Join("testdata", "record", name+".hex") }

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
	page, err := os.ReadFile(filepath.Join("docs", "record.md"))
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
func sameRecord(got, want *record) error {
	g, w := *got, *want
	if !g.created.Equal(w.created) || !bytes.Equal(g.payload, w.payload) {
		return fmt.Errorf("created, payload = %v, %x; want %v, %x", g.created, g.payload, w.created, w.payload)
	}
	g.created, g.payload = w.created, w.payload
	if len(g.tags)+len(w.tags) == 0 {
		g.tags = w.tags
	}
	if !reflect.DeepEqual(g, w) {
		return fmt.Errorf("record = %+v; want %+v", g, w)
	}
	return nil
}

// someDurations draws what a record's optional durations may be.
var someDurations = rapid.OneOf(
	rapid.SampledFrom([]time.Duration{0, 1, 127, 128, time.Millisecond, time.Minute, Forever}),
	rapid.Map(rapid.Int64Min(0), func(ns int64) time.Duration { return time.Duration(ns) }),
)

var someRecords = rapid.Custom(func(t *rapid.T) record {
	return record{
		kind:    recordKind(rapid.IntRange(0, int(recordKinds)-1).Draw(t, "kind")),
		codec:   rapid.OneOf(rapid.Just(jsonName), rapid.StringN(0, maxCodecName, -1)).Draw(t, "codec"),
		created: time.Unix(0, rapid.Int64().Draw(t, "created")),
		stale:   someDurations.Draw(t, "stale"),
		cost:    someDurations.Draw(t, "cost"),
		slide:   someDurations.Draw(t, "slide"),
		tags: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) recordTag {
			return recordTag{rapid.String().Draw(t, "name"), rapid.String().Draw(t, "gen")}
		}), 0, maxTags).Draw(t, "tags"),
		text:    rapid.OneOf(rapid.Just(""), rapid.String()).Draw(t, "text"),
		payload: rapid.SliceOf(rapid.Byte()).Draw(t, "payload"),
	}
})

func TestRecordComesBackAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := someRecords.Draw(t, "record")
		data := want.appendTo(nil)
		if n := want.size(); n != len(data) || n != cap(data) {
			t.Fatalf("size() = %d; the record has %d bytes in %d", n, len(data), cap(data))
		}
		got := someRecords.Draw(t, "before") // of which nothing may be left
		if err := parseRecord(data, &got); err != nil {
			t.Fatalf("parseRecord(%x): %v", data, err)
		}
		if err := sameRecord(&got, &want); err != nil {
			t.Fatal(err)
		}
		if len(got.payload) > 0 && &got.payload[0] != &data[len(data)-recordSum-len(got.payload)] {
			t.Fatal("the payload is a copy")
		}
		if after := want.appendTo([]byte("before")); string(after) != "before"+string(data) {
			t.Fatalf("appendTo(before) = %x; want %x behind it", after, data)
		}
	})
}

// What a record cannot say is left out rather than making it unreadable.
func TestRecordWithImpossibleFieldsIsReadable(t *testing.T) {
	data := (&record{codec: "json", stale: -1, cost: math.MinInt64, slide: -time.Second, created: time.Time{}, payload: []byte("0")}).appendTo(nil)
	var got record
	if err := parseRecord(data, &got); err != nil {
		t.Fatal(err)
	}
	if got.stale != 0 || got.cost != 0 || got.slide != 0 || got.created.UnixNano() != math.MinInt64 {
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
	var r record
	if _, ok := errors.AsType[recordError](parseRecord(data, &r)); !ok {
		t.Errorf("parseRecord(% x) = %+v; want a recordError", data, r)
	}
}

// sum returns body with the checksum that makes it a record.
func sum(body ...byte) []byte {
	return binary.LittleEndian.AppendUint32(body, crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
}

func TestRecordErrorSaysWhy(t *testing.T) {
	head := func(fields byte, rest ...byte) []byte {
		return sum(append([]byte{recordMagic, recordVersion, fields, 0, 0, 0, 0, 0, 0, 0, 0}, rest...)...)
	}
	changed := func(i int, to byte) []byte {
		data := bytes.Clone(readGoldenRecord(t, "plain"))
		data[i] = to
		return data
	}
	const endless = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
	tests := []struct {
		name string
		data []byte
		want recordError
	}{
		{"nothing", nil, errRecordTruncated},
		{"magic-only", []byte{recordMagic}, errRecordTruncated},
		{"head-only", readGoldenRecord(t, "plain")[:recordMin-1], errRecordTruncated},
		{"json", []byte(`{"id":42,"name":"Ann Example"}`), errRecordForeign},
		{"gzip", []byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"), errRecordForeign},
		{"one-byte", []byte("0"), errRecordForeign},
		{"version-0", changed(1, 0), errRecordVersion},
		{"version-2", changed(1, 2), errRecordVersion},
		{"version-2-short", []byte{recordMagic, 2}, errRecordVersion},
		{"payload-changed", changed(20, '['), errRecordChecksum},
		{"payload-cut", readGoldenRecord(t, "plain")[:30], errRecordChecksum},
		{"kind-5", head(5, 0), errRecordKind},
		{"kind-7", head(7, 0), errRecordKind},
		{"codec-beyond-the-end", head(0, 1), errRecordMalformed},
		{"codec-endless", head(0, []byte(endless)...), errRecordMalformed},
		{"codec-length-overflow", head(0, append(bytes.Repeat([]byte{0xFF}, 10), 1)...), errRecordMalformed},
		{"codec-length-not-shortest", head(0, 0x80, 0), errRecordMalformed},
		{"stale-missing", head(recordHasStale, 0), errRecordMalformed},
		{"stale-zero", head(recordHasStale, 0, 0), errRecordMalformed},
		{"stale-negative", head(recordHasStale, append([]byte{0}, endless...)...), errRecordMalformed},
		{"cost-not-shortest", head(recordHasCost, 0, 0x81, 0), errRecordMalformed},
		{"slide-missing", head(recordHasStale|recordHasSlide, 0, 1), errRecordMalformed},
		{"tags-none", head(recordHasTags, 0, 0), errRecordMalformed},
		{"tags-missing", head(recordHasTags, 0, 2, 0, 0), errRecordMalformed},
		{"tags-endless", head(recordHasTags, append([]byte{0}, endless...)...), errRecordMalformed},
		{"text-empty", head(recordHasText, 0, 0), errRecordMalformed},
		{"text-missing", head(recordHasText, 0, 2, 'a'), errRecordMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var r record
			if err := parseRecord(tt.data, &r); err != tt.want { //nolint:errorlint // it is never wrapped
				t.Errorf("parseRecord(% x) = %v; want %v", tt.data, err, tt.want)
			}
		})
	}
	var r record
	if err := parseRecord(head(0, 0), &r); err != nil {
		t.Errorf("the smallest record: %v", err)
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
		if len(data) > recordSum {
			checkParsedRecord(t, sum(bytes.Clone(data[:len(data)-recordSum])...))
		}
	})
}

func checkParsedRecord(t *testing.T, data []byte) {
	var r record
	if err := parseRecord(data, &r); err != nil {
		if _, ok := errors.AsType[recordError](err); !ok {
			t.Fatalf("parseRecord(%x): %v is no recordError", data, err)
		}
		return
	}
	if again := r.appendTo(nil); !bytes.Equal(again, data) {
		t.Fatalf("parseRecord(%x) = %+v, whose binary form is %x", data, r, again)
	}
}

func TestPlainRecordCostsTwentyBytesAndNoAllocation(t *testing.T) {
	r := goldenRecords["plain"]
	data := r.appendTo(nil)
	if head := len(data) - len(r.payload); head != 20 {
		t.Errorf("a record has %d bytes beside its payload; want 20", head)
	}
	if n := testing.AllocsPerRun(100, func() { r.appendTo(nil) }); n != 1 {
		t.Errorf("appendTo allocates %v times; want 1", n)
	}
	if n := testing.AllocsPerRun(100, func() { var r record; _ = parseRecord(data, &r) }); n != 0 {
		t.Errorf("parseRecord allocates %v times; want 0", n)
	}
	other := record{codec: "msgpack+zstd"}
	data = other.appendTo(nil)
	if n := testing.AllocsPerRun(100, func() { _ = parseRecord(data, &other) }); n != 0 {
		t.Errorf("parseRecord allocates %v times for a codec it was told; want 0", n)
	}
}

func BenchmarkRecord(b *testing.B) {
	for _, name := range []string{"plain", "all"} {
		r := goldenRecords[name]
		data := r.appendTo(nil)
		b.Run("op=append/record="+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r.appendTo(nil)
			}
		})
		b.Run("op=parse/record="+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var r record
				if err := parseRecord(data, &r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestCodecNameIsShortAndPlain(t *testing.T) {
	for name, ok := range map[string]bool{
		"json": true, "msgpack+zstd": true, "A-z_0.9": true, strings.Repeat("a", maxCodecName): true,
		"": false, strings.Repeat("a", maxCodecName+1): false, "a b": false, "a:b": false, "ä": false, "a\n": false, "\xFF": false,
	} {
		if err := checkCodecName(name); (err == nil) != ok {
			t.Errorf("checkCodecName(%q) = %v; want it fine: %v", name, err, ok)
		}
	}
	if err := checkCodecName(JSON.Name()); err != nil {
		t.Error(err)
	}
}
