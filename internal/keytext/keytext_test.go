package keytext

// In-package: the canonical text of a key is seen from outside only through
// stores' keys.

import (
	"encoding"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
	"unsafe"

	"pgregory.net/rapid"
)

// The keys of these tests.
type (
	userIDKey   int64
	userNameKey string
	flagKey     bool

	pairKey struct{ A, B string }
	rowKey  struct {
		A, B string
		N    int
	}
	nestedKey struct {
		Pair pairKey
		ids  [2]userIDKey
		last struct{ on bool }
	}
	everyKindKey struct {
		b   bool
		i   int
		i8  int8
		i16 int16
		i32 int32
		i64 int64
		u   uint
		u8  uint8
		u16 uint16
		u32 uint32
		u64 uint64
		up  uintptr
		s   string
	}
	blankKey struct {
		ID int
		_  string
		_  *int
	}
	partialKey struct {
		ID    int
		Trace *int `key:"-"`
		Lang  string
	}

	// caselessKey is a TextMarshaler on the value: upper and lower case are one.
	caselessKey string
	// counterKey is a TextMarshaler on the pointer, of a type with no text of its own.
	counterKey struct {
		n    int
		seen *int
	}
	// marshaledKey are TextMarshalers where reflection has to look for them.
	marshaledKey struct {
		name  caselessKey
		count counterKey
		addrs [2]netip.Addr
	}
	waveKey     complex64
	lineKey     chan int
	negativeKey int

	// Structs that embed a TextMarshaler, and inherit its method or override it.
	stampedKey struct {
		time.Time
		ID int
	}
	wrappedKey struct{ caselessKey }
	deeperKey  struct {
		wrappedKey
		N int
	}
	overriddenKey struct {
		caselessKey
		N int
	}
	overriddenByKey struct {
		caselessKey
		N int
	}
	inheritingKey[T any] struct {
		caselessKey
		V T
	}
	overridingKey[T any] struct {
		caselessKey
		V T
	}
	halfMarshalerKey struct {
		caselessKey `key:"-"`
		N           int
	}
)

var errNegativeKey = errors.New("negative")

func (c caselessKey) MarshalText() ([]byte, error) { return []byte(c.lower()), nil }
func (c caselessKey) lower() string                { return strings.ToLower(string(c)) }
func (c *counterKey) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "n=%d,%%", c.n), nil }
func (lineKey) MarshalText() ([]byte, error)       { return []byte("line"), nil }
func (w waveKey) MarshalText() ([]byte, error)     { return fmt.Appendf(nil, "%g", real(w)), nil }
func (o overriddenKey) MarshalText() ([]byte, error) {
	return strconv.AppendInt(nil, int64(o.N), 10), nil
}

func (o *overriddenByKey) MarshalText() ([]byte, error) {
	return strconv.AppendInt(nil, int64(o.N), 10), nil
}

func (o overridingKey[T]) MarshalText() ([]byte, error) { return fmt.Append(nil, o.V), nil }

func (n negativeKey) MarshalText() ([]byte, error) {
	if n < 0 {
		return nil, errNegativeKey
	}
	return []byte("positive"), nil
}

// goldenKey is a key and its text.
type goldenKey struct {
	name, want string
	plain      bool
	codec      func() (text string, plain bool, err error)
}

func goldenPlainKey[K comparable](name string, key K, want string) goldenKey {
	g := goldenOtherKey(name, key, want)
	g.plain = true
	return g
}

func goldenOtherKey[K comparable](name string, key K, want string) goldenKey {
	return goldenKey{name: name, want: want, codec: func() (string, bool, error) {
		codec, err := New[K]()
		if err != nil {
			return "", false, err
		}
		text, err := codec.Text(key)
		return text, codec.Plain, err
	}}
}

func TestKeyTextIsWhatItAlwaysWas(t *testing.T) {
	east := time.FixedZone("east", 2*60*60)
	tests := []goldenKey{
		goldenPlainKey("bool", true, "true"),
		goldenPlainKey("bool-false", false, "false"),
		goldenPlainKey("bool-named", flagKey(true), "true"),
		goldenPlainKey("int", -42, "-42"),
		goldenPlainKey("int-named", userIDKey(42), "42"),
		goldenPlainKey("int8", int8(math.MinInt8), "-128"),
		goldenPlainKey("int16", int16(math.MinInt16), "-32768"),
		goldenPlainKey("int32", int32(math.MinInt32), "-2147483648"),
		goldenPlainKey("int64", int64(math.MinInt64), "-9223372036854775808"),
		goldenPlainKey("int64-max", int64(math.MaxInt64), "9223372036854775807"),
		goldenPlainKey("uint", uint(42), "42"),
		goldenPlainKey("uint8", uint8(math.MaxUint8), "255"),
		goldenPlainKey("uint16", uint16(math.MaxUint16), "65535"),
		goldenPlainKey("uint32", uint32(math.MaxUint32), "4294967295"),
		goldenPlainKey("uint64", uint64(math.MaxUint64), "18446744073709551615"),
		goldenPlainKey("uintptr", uintptr(42), "42"),
		goldenPlainKey("duration", time.Minute, "60000000000"),

		goldenPlainKey("float64", 0.1, "0.1"),
		goldenPlainKey("float64-whole", 42.0, "42"),
		goldenPlainKey("float64-large", 1e21, "1e+21"),
		goldenPlainKey("float64-million", 1234567.0, "1.234567e+06"),
		goldenPlainKey("float64-small", 5e-324, "5e-324"),
		goldenPlainKey("float64-negative-zero", math.Copysign(0, -1), "0"),
		goldenPlainKey("float64-inf", math.Inf(1), "+Inf"),
		goldenPlainKey("float64-negative-inf", math.Inf(-1), "-Inf"),
		goldenPlainKey("float32", float32(0.1), "0.1"),
		goldenPlainKey("float32-negative-zero", float32(math.Copysign(0, -1)), "0"),
		goldenPlainKey("float32-third", float32(1.0)/3, "0.33333334"),
		goldenPlainKey("float64-third", 1.0/3, "0.3333333333333333"),

		goldenPlainKey("string", "users/42, active", "users/42, active"),
		goldenPlainKey("string-named", userNameKey("ann"), "ann"),
		goldenPlainKey("string-empty", "", ""),
		goldenPlainKey("string-reserved", "%:@{}", "%25%3A%40%7B%7D"),
		goldenPlainKey("string-looks-escaped", "%3A", "%253A"),
		goldenPlainKey("string-control", "a\x00\t\n\r\x1F\x7Fz", "a%00%09%0A%0D%1F%7Fz"),
		goldenPlainKey("string-control-above-ascii", "\u0080\u0085\u009F\u00A0", "%C2%80%C2%85%C2%9F\u00A0"),
		goldenPlainKey("string-unicode", "größe 世界 🙂 \uFFFD", "größe 世界 🙂 \uFFFD"),
		goldenPlainKey("string-not-utf8", "\xFFa\xC3z\xE4\xB8", "%FFa%C3z%E4%B8"),
		goldenPlainKey("string-surrogate", "\xED\xA0\x80", "%ED%A0%80"),

		goldenOtherKey("time", time.Date(2024, 5, 1, 0, 0, 0, 0, time.UTC), "1714521600"),
		goldenOtherKey("time-in-a-zone", time.Date(2024, 5, 1, 2, 0, 0, 0, east), "1714521600"),
		goldenOtherKey("time-nanoseconds", time.Date(2024, 5, 1, 0, 0, 0, 50, time.UTC), "1714521600.000000050"),
		goldenOtherKey("time-one-nanosecond", time.Date(2024, 5, 1, 0, 0, 0, 1, time.UTC), "1714521600.000000001"),
		goldenOtherKey("time-before-1970", time.Unix(0, -500_000_000), "-1.500000000"),
		goldenOtherKey("time-zero", time.Time{}, "-62135596800"),
		goldenOtherKey("time-year-20000", time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC), "568971820800"),
		goldenOtherKey("time-last", time.Unix(math.MaxInt64, 999_999_999), "9223372036854775807.999999999"),

		goldenOtherKey("marshaler", caselessKey("Ann,Bob:%"), "ann,bob%3A%25"),
		goldenOtherKey("marshaler-on-pointer", counterKey{n: 7, seen: new(int)}, "n=7,%25"),
		goldenOtherKey("marshaler-of-complex", waveKey(2+3i), "2"),
		goldenOtherKey("marshaler-from-elsewhere", netip.MustParseAddr("fe80::1%eth0"), "fe80%3A%3A1%25eth0"),
		goldenOtherKey("marshalers-inside", marshaledKey{"Ann,Bob", counterKey{n: 7}, [2]netip.Addr{netip.MustParseAddr("::1")}}, "ann%2Cbob,n=7%2C%25,%3A%3A1,"),
		goldenOtherKey("marshaler-of-struct-that-embeds-one", overriddenKey{"Ann", 7}, "7"),
		goldenOtherKey("marshaler-on-pointer-of-struct-that-embeds-one", overriddenByKey{"Ann", 7}, "7"),
		goldenOtherKey("marshaler-of-generic-struct-that-embeds-one", overridingKey[int]{"Ann", 7}, "7"),

		goldenOtherKey("embedded-time", stampedKey{time.Date(2024, 5, 1, 2, 0, 0, 0, east), 7}, "1714521600,7"),
		goldenOtherKey("embedded-marshaler", wrappedKey{"Ann"}, "ann"),
		goldenOtherKey("embedded-marshaler-deep", deeperKey{wrappedKey{"Ann"}, 7}, "ann,7"),
		goldenOtherKey("embedded-marshaler-generic", inheritingKey[int]{"Ann", 7}, "ann,7"),
		goldenOtherKey("embedded-marshaler-unnamed", struct {
			caselessKey
			N int
		}{"Ann", 7}, "ann,7"),
		goldenOtherKey("embedded-marshaler-left-out", halfMarshalerKey{"Ann", 7}, "7"),

		goldenPlainKey("array", [3]int{1, -2, 3}, "1,-2,3"),
		goldenPlainKey("array-of-one", [1]string{"a,b"}, "a%2Cb"),
		goldenPlainKey("array-of-strings", [3]string{"", ",", ""}, ",%2C,"),
		goldenPlainKey("array-of-bytes", [4]byte{0, 1, 254, 255}, "0,1,254,255"),
		goldenPlainKey("array-of-arrays", [2][2]int8{{1, 2}, {3, 4}}, "1,2,3,4"),
		goldenPlainKey("array-of-floats", [2]float64{0, math.Copysign(0, -1)}, "0,0"),
		goldenPlainKey("array-of-nothing", [0]int{}, ""),
		goldenPlainKey("array-of-no-pointers", [0]*int{}, ""),
		goldenPlainKey("array-of-no-leaves", [3]struct{}{}, ""),

		goldenPlainKey("struct", pairKey{"a", "b"}, "a,b"),
		goldenPlainKey("struct-empty-leaves", pairKey{}, ","),
		goldenPlainKey("struct-commas", pairKey{"a,b", "%2C"}, "a%2Cb,%252C"),
		goldenPlainKey("struct-nested", nestedKey{pairKey{"a", "b"}, [2]userIDKey{1, 2}, struct{ on bool }{true}}, "a,b,1,2,true"),
		goldenPlainKey("struct-every-kind", everyKindKey{true, -1, -2, -3, -4, -5, 1, 2, 3, 4, 5, 6, "s"}, "true,-1,-2,-3,-4,-5,1,2,3,4,5,6,s"),
		goldenPlainKey("struct-unnamed", struct{ id int }{7}, "7"),
		goldenPlainKey("struct-nothing-inside", struct {
			a struct{}
			n int
			b [0]string
		}{n: 7}, "7"),
		goldenPlainKey("struct-no-fields", struct{}{}, ""),
		goldenPlainKey("struct-blank", blankKey{ID: 7}, "7"),
		goldenPlainKey("struct-blank-tagged", struct {
			ID int
			_  *int `key:"-"`
		}{ID: 7}, "7"),
		goldenOtherKey("struct-left-out", partialKey{7, new(int), "en"}, "7,en"),
		goldenOtherKey("struct-all-left-out", struct {
			ID int `key:"-"`
		}{7}, ""),
		goldenOtherKey("struct-nested-left-out", [1]partialKey{{7, nil, "en"}}, "7,en"),
		goldenPlainKey("struct-float", struct {
			F float32
			S string
		}{0.5, "x"}, "0.5,x"),
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text, plain, err := tt.codec()
			if text != tt.want || err != nil {
				t.Errorf("text = %q, %v; want %q", text, err, tt.want)
			}
			if plain != tt.plain {
				t.Errorf("plain = %v; want %v", plain, tt.plain)
			}
		})
	}
}

func TestKeyTypeWithoutTextIsRefused(t *testing.T) {
	tests := []struct {
		name string
		make func() error
		want []string // beside WithKey
	}{
		{"pointer", refuseKey[*int], []string{"a key of type *int is a pointer"}},
		{"pointer-to-marshaler", refuseKey[*caselessKey], []string{"a key of type *keytext.caselessKey is a pointer"}},
		{"interface", refuseKey[any], []string{"a key of type interface {} is an interface"}},
		{"interface-with-methods", refuseKey[error], []string{"a key of type error is an interface"}},
		{"interface-of-marshalers", refuseKey[encoding.TextMarshaler], []string{"a key of type encoding.TextMarshaler is an interface"}},
		{"channel-that-marshals", refuseKey[lineKey], []string{"a key of type keytext.lineKey is a channel"}},
		{"channel", refuseKey[chan int], []string{"a key of type chan int is a channel"}},
		{"complex64", refuseKey[complex64], []string{"a key of type complex64 is a complex number"}},
		{"complex128", refuseKey[complex128], []string{"a key of type complex128 is a complex number"}},
		{"unsafe-pointer", refuseKey[unsafe.Pointer], []string{"a key of type unsafe.Pointer is an unsafe.Pointer"}},
		{"field", refuseKey[struct{ ID, Owner *int }], []string{
			"field ID of type struct { ID *int; Owner *int } is a pointer (*int)",
			"field Owner of type struct { ID *int; Owner *int } is a pointer (*int)",
			`key:"-"`,
		}},
		{"field-unexported", refuseKey[withOwnerKey], []string{"field owner of type keytext.withOwnerKey is a pointer (*keytext.pairKey)"}},
		{"field-of-field", refuseKey[struct{ In withOwnerKey }], []string{"field In.owner of type struct { In keytext.withOwnerKey } is a pointer"}},
		{"field-interface", refuseKey[struct{ V any }], []string{"field V", "an interface (interface {})"}},
		{"field-channel", refuseKey[struct{ C <-chan int }], []string{"field C", "a channel (<-chan int)"}},
		{"field-complex", refuseKey[struct{ Z complex64 }], []string{"field Z", "a complex number (complex64)"}},
		{"field-embedded-pointer", refuseKey[struct{ *caselessKey }], []string{"field caselessKey", "a pointer (*keytext.caselessKey)"}},
		{"field-named-like-time", refuseKey[likeTimeKey], []string{"field loc of type keytext.likeTimeKey is a pointer (*time.Location)"}},
		{"element", refuseKey[[2]*int], []string{"element [i] of type [2]*int is a pointer (*int)"}},
		{"element-in-field", refuseKey[struct{ Ps [2]*int }], []string{"field Ps[i] of type", "a pointer"}},
		{"field-in-element", refuseKey[[2]withOwnerKey], []string{"element [i].owner of type [2]keytext.withOwnerKey is a pointer"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.make()
			if err == nil {
				t.Fatal("New: no error")
			}
			for _, want := range append(tt.want, "use WithKey") {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
		})
	}
}

type (
	withOwnerKey struct {
		id    int
		owner *pairKey
	}
	likeTimeKey time.Time
)

var _ = withOwnerKey{id: 0, owner: nil} // the linter does not see reflection

func refuseKey[K comparable]() error {
	_, err := New[K]()
	return err
}

func TestKeyTagOtherThanDashIsRefused(t *testing.T) {
	tests := []struct {
		name string
		make func() error
		want string
	}{
		{"name", refuseKey[struct {
			ID int `key:"id"`
		}], `field ID of type`},
		{"empty", refuseKey[struct {
			ID int `key:""`
		}], `has the tag key:""`},
		{"dash-and-more", refuseKey[struct {
			ID int `key:"-,"`
		}], `has the tag key:"-,"`},
		{"inside", refuseKey[[2]struct {
			ID int `key:"omitempty"`
		}], `element [i].ID of type`},
		{"on-blank", refuseKey[struct {
			_ int `key:"ID"`
		}], `field _ of type`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.make()
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), `key:"-", leaves a field out`) {
				t.Errorf("error %v does not say %q and what the tag may be", err, tt.want)
			}
		})
	}
	if err := refuseKey[struct {
		ID int `json:"id" keys:"id"`
	}](); err != nil {
		t.Errorf("a tag of another name: %v", err)
	}
}

func TestNaNHasNoKeyText(t *testing.T) {
	checkKeyTextError(t, math.NaN(), nil, "a key of type float64 is NaN")
	checkKeyTextError(t, float32(math.NaN()), nil, "a key of type float32 is NaN")
	checkKeyTextError(t, [2]float64{0, math.NaN()}, nil, "element [i] of type [2]float64 is NaN")
	checkKeyTextError(t, struct {
		S     string
		Price float64
	}{Price: math.NaN()}, nil, "field Price of type struct { S string; Price float64 } is NaN")
}

func TestErrorOfTextMarshalerIsPassedOn(t *testing.T) {
	checkKeyTextError(t, negativeKey(-1), errNegativeKey, "a key of type keytext.negativeKey: MarshalText: negative")
	checkKeyTextError(t, struct{ n [2]negativeKey }{[2]negativeKey{1, -1}}, errNegativeKey, "field n[i] of type struct { n [2]keytext.negativeKey }")
}

// checkKeyTextError wants no text for key, an error that is target (if not nil),
// and want in it.
func checkKeyTextError[K comparable](t *testing.T, key K, target error, want string) {
	t.Helper()
	text, err := mustKeyCodec[K](t).Text(key)
	if text != "" || err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("text(%v) = %q, %v; want no text and an error with %q", key, text, err, want)
	}
	if target != nil && !errors.Is(err, target) {
		t.Errorf("text(%v): error %v is not %v", key, err, target)
	}
}

// mustKeyCodec returns K's codec.
func mustKeyCodec[K comparable](t testing.TB) Codec[K] {
	t.Helper()
	codec, err := New[K]()
	if err != nil {
		t.Fatal(err)
	}
	return codec
}

func mustKeyText[K comparable](t testing.TB, codec Codec[K], key K) string {
	t.Helper()
	text, err := codec.Text(key)
	if err != nil {
		t.Fatalf("text(%v): %v", key, err)
	}
	return text
}

func TestEqualInstantsHaveOneKeyText(t *testing.T) {
	codec := mustKeyCodec[time.Time](t)
	now := time.Now() // with a monotonic reading
	want := mustKeyText(t, codec, now)
	for _, same := range []time.Time{
		now.Round(0), now.UTC(), now.Local(),
		now.In(time.FixedZone("", -11*60*60)), now.In(time.FixedZone("odd", 12345)),
	} {
		if text := mustKeyText(t, codec, same); text != want {
			t.Errorf("text(%v) = %q; text(%v) = %q; want one text", same, text, now, want)
		}
	}
}

func TestKeyTextOfTimeIsOneToOneOverAllTimes(t *testing.T) {
	codec := mustKeyCodec[time.Time](t)
	seconds := rapid.OneOf(
		rapid.Int64(),
		rapid.Int64Range(-2, 2),
		rapid.Int64Range(math.MaxInt64-1, math.MaxInt64),
		rapid.Int64Range(math.MinInt64, math.MinInt64+1),
		rapid.Int64Range(-62135596801, -62135596799), // the zero Time
	)
	moment := rapid.Custom(func(t *rapid.T) time.Time {
		ns := rapid.OneOf(rapid.Int64Range(0, 999_999_999), rapid.SampledFrom([]int64{0, 5, 50, 500_000_000})).Draw(t, "ns")
		zone := time.FixedZone("z", rapid.IntRange(-50_000, 50_000).Draw(t, "offset"))
		return time.Unix(seconds.Draw(t, "seconds"), ns).In(zone)
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := moment.Draw(t, "a"), moment.Draw(t, "b")
		checkInjectiveKeys(t, codec, a, b, time.Time.Equal)
		checkInjectiveKeys(t, codec, a, a.UTC(), time.Time.Equal)
	})
}

// hostileStrings draws strings of what a careless encoding confuses.
var hostileStrings = rapid.Custom(func(t *rapid.T) string {
	pieces := []string{
		"a", "2C", "C", ",", "%", "%2C", "%25", ":", "@", "{", "}", "\x00", "\x7F",
		"\u0085", "é", "\xC2", "\x85", "\xFF", "\uFFFD", "世", "true", "1", "-",
	}
	return strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 4).Draw(t, "pieces"), "")
})

// fewInts draws numbers that are often the same.
var fewInts = rapid.OneOf(rapid.IntRange(-2, 12), rapid.Int())

// someFloats draws any float but NaN, zeros of both signs often.
var someFloats = rapid.OneOf(rapid.SampledFrom([]float64{0, math.Copysign(0, -1), 1, math.Inf(1), math.Inf(-1)}), rapid.Float64())

func TestKeyTextsAreEqualExactlyIfKeysAre(t *testing.T) {
	t.Run("string", rapid.MakeCheck(injectiveKeys(hostileStrings, true, equalKeys)))
	t.Run("int", rapid.MakeCheck(injectiveKeys(fewInts, true, equalKeys)))
	t.Run("pair", rapid.MakeCheck(injectiveKeys(rapid.Custom(func(t *rapid.T) pairKey {
		return pairKey{hostileStrings.Draw(t, "A"), hostileStrings.Draw(t, "B")}
	}), true, equalKeys)))
	t.Run("strings", rapid.MakeCheck(injectiveKeys(rapid.Custom(func(t *rapid.T) [3]string {
		return [3]string{hostileStrings.Draw(t, "0"), hostileStrings.Draw(t, "1"), hostileStrings.Draw(t, "2")}
	}), true, equalKeys)))
	t.Run("nested", rapid.MakeCheck(injectiveKeys(rapid.Custom(func(t *rapid.T) nestedKey {
		return nestedKey{
			Pair: pairKey{hostileStrings.Draw(t, "A"), hostileStrings.Draw(t, "B")},
			ids:  [2]userIDKey{userIDKey(fewInts.Draw(t, "id0")), userIDKey(fewInts.Draw(t, "id1"))},
			last: struct{ on bool }{rapid.Bool().Draw(t, "on")},
		}
	}), true, equalKeys)))
	t.Run("integers", rapid.MakeCheck(injectiveKeys(rapid.Custom(func(t *rapid.T) [2]everyKindKey {
		n := func() int { return fewInts.Draw(t, "n") }
		one := func() everyKindKey {
			return everyKindKey{
				b: rapid.Bool().Draw(t, "b"),
				i: n(), i8: int8(n()), i16: int16(n()), i32: int32(n()), i64: int64(n()),
				u: uint(n()), u8: uint8(n()), u16: uint16(n()), u32: uint32(n()), u64: uint64(n()), up: uintptr(n()),
				s: hostileStrings.Draw(t, "s"),
			}
		}
		return [2]everyKindKey{one(), one()}
	}), true, equalKeys)))
	t.Run("float", rapid.MakeCheck(injectiveKeys(someFloats, true, equalKeys)))
	t.Run("floats", rapid.MakeCheck(injectiveKeys(rapid.Custom(func(t *rapid.T) floatsKey {
		return floatsKey{someFloats.Draw(t, "F"), rapid.Float32().Draw(t, "G"), hostileStrings.Draw(t, "S")}
	}), true, equalKeys)))
	t.Run("blank", rapid.MakeCheck(injectiveKeys(rapid.Custom(func(t *rapid.T) blankKey {
		return blankKey{ID: fewInts.Draw(t, "ID")}
	}), true, equalKeys)))
	t.Run("left-out", rapid.MakeCheck(injectiveKeys(rapid.Custom(func(t *rapid.T) partialKey {
		return partialKey{fewInts.Draw(t, "ID"), new(int), hostileStrings.Draw(t, "Lang")}
	}), false, func(a, b partialKey) bool { return a.ID == b.ID && a.Lang == b.Lang })))
	t.Run("instants", rapid.MakeCheck(injectiveKeys(rapid.Custom(func(t *rapid.T) stampedKey {
		zone := time.FixedZone("z", fewInts.Draw(t, "offset")%50_000)
		return stampedKey{time.Unix(0, int64(fewInts.Draw(t, "ns"))).In(zone), fewInts.Draw(t, "ID")}
	}), false, func(a, b stampedKey) bool { return a.Equal(b.Time) && a.ID == b.ID })))
	t.Run("marshalers", rapid.MakeCheck(injectiveKeys(rapid.Custom(func(t *rapid.T) marshaledBesideKey {
		return marshaledBesideKey{hostileStrings.Draw(t, "Before"), caselessKey(hostileStrings.Draw(t, "Name")), hostileStrings.Draw(t, "After")}
	}), false, func(a, b marshaledBesideKey) bool {
		return a.Before == b.Before && a.Name.lower() == b.Name.lower() && a.After == b.After
	})))
}

type (
	floatsKey struct {
		F float64
		G float32
		S string
	}
	marshaledBesideKey struct {
		Before string
		Name   caselessKey
		After  string
	}
)

func equalKeys[K comparable](a, b K) bool { return a == b }

// injectiveKeys is the law that texts are equal exactly if keys are the same; if
// plain, that must hold for == itself, and the codec must know.
func injectiveKeys[K comparable](keys *rapid.Generator[K], plain bool, same func(a, b K) bool) func(t *rapid.T) {
	return func(t *rapid.T) {
		codec, err := New[K]()
		if err != nil || codec.Plain != plain {
			t.Fatalf("New: plain = %v, %v; want %v", codec.Plain, err, plain)
		}
		a, b := keys.Draw(t, "a"), keys.Draw(t, "b")
		checkInjectiveKeys(t, codec, a, b, same)
		checkInjectiveKeys(t, codec, a, a, same)
		if plain {
			checkInjectiveKeys(t, codec, a, b, equalKeys)
		}
	}
}

func checkInjectiveKeys[K comparable](t *rapid.T, codec Codec[K], a, b K, same func(a, b K) bool) {
	textA, errA := codec.Text(a)
	textB, errB := codec.Text(b)
	if errA != nil || errB != nil {
		t.Fatalf("text(%#v), text(%#v): %v, %v", a, b, errA, errB)
	}
	if (textA == textB) != same(a, b) {
		t.Fatalf("text(%#v) = %q; text(%#v) = %q; the keys are the same: %v", a, textA, b, textB, same(a, b))
	}
	if bad := unescapedInKey(textA); bad != "" {
		t.Fatalf("text(%#v) = %q has %s", a, textA, bad)
	}
}

// unescapedInKey says what stands in text that may not, if anything does.
func unescapedInKey(text string) string {
	if !utf8.ValidString(text) {
		return "a byte that is not UTF-8"
	}
	for i, r := range text {
		switch {
		case unicode.IsControl(r), strings.ContainsRune(":@{}", r):
			return strconv.QuoteRune(r) + " unescaped"
		case r == '%' && (len(text) < i+3 || strings.Trim(text[i+1:i+3], "0123456789ABCDEF") != ""):
			return "a % that begins no escape"
		}
	}
	return ""
}

// unescapeKey is Escape backwards: the plain way to see that it is one to one.
func unescapeKey(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '%' {
			n, err := strconv.ParseUint(text[i+1:i+3], 16, 8)
			if err != nil {
				panic(err)
			}
			c, i = byte(n), i+2
		}
		b.WriteByte(c)
	}
	return b.String()
}

// Texts are equal exactly if keys are, nothing forbidden stands in them, and
// the key can be read back: cut at ',', unescape, parse.
func FuzzKeyTextIsInjective(f *testing.F) {
	f.Add("a", "b", 1, "a", "b", 1)
	f.Add("a,b", "", 0, "a", "b,", 0)
	f.Add("", "", 0, ",", "", 0)
	f.Add("%2C", "%", -1, ",", "%25", -1)
	f.Add("%:@{}", "\x00\x7F", 1, "\u0085", "\x85\xFF", math.MinInt)
	f.Add("größe", "\uFFFD", 10, "gr\xC3", "\xB6\xDFe", 1)
	codec, err := New[rowKey]()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, a, b string, n int, c, d string, m int) {
		one, two := rowKey{a, b, n}, rowKey{c, d, m}
		textOne, textTwo := mustKeyText(t, codec, one), mustKeyText(t, codec, two)
		if (textOne == textTwo) != (one == two) {
			t.Errorf("text(%#v) = %q; text(%#v) = %q", one, textOne, two, textTwo)
		}
		if bad := unescapedInKey(textOne); bad != "" {
			t.Errorf("text(%#v) = %q has %s", one, textOne, bad)
		}
		leaves := strings.Split(textOne, ",")
		if len(leaves) != 3 {
			t.Fatalf("text(%#v) = %q has %d leaves; want 3", one, textOne, len(leaves))
		}
		number, err := strconv.Atoi(leaves[2])
		if back := (rowKey{unescapeKey(leaves[0]), unescapeKey(leaves[1]), number}); back != one || err != nil {
			t.Errorf("text(%#v) = %q reads back as %#v, %v", one, textOne, back, err)
		}
	})
}

// Escaping is one to one, and what it yields has nothing forbidden in it.
func FuzzEscapeKeyCanBeUndone(f *testing.F) {
	for _, s := range []string{"", "users/42", "a,b", "%", "%25", ":@{}", "\x00\x1F\x7F", "\u0080\u009F", "\xC2", "größe\xFF", "\uFFFD"} {
		f.Add(s)
	}
	codec, err := New[string]()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		text := Escape(s)
		if bad := unescapedInKey(text); bad != "" {
			t.Errorf("Escape(%q) = %q has %s", s, text, bad)
		}
		if back := unescapeKey(text); back != s {
			t.Errorf("Escape(%q) = %q, which unescapes to %q", s, text, back)
		}
		if unescapedInKey(s) == "" && !strings.Contains(s, "%") && text != s {
			t.Errorf("Escape(%q) = %q; want it as it is", s, text)
		}
		if strings.Count(text, ",") != strings.Count(s, ",") {
			t.Errorf("Escape(%q) = %q; want ',' left alone outside of structs", s, text)
		}
		if key := mustKeyText(t, codec, s); key != text {
			t.Errorf("text(%q) = %q; want Escape's %q", s, key, text)
		}
	})
}

func TestStringKeyWithoutEscapesIsNotCopied(t *testing.T) {
	codec := mustKeyCodec[userNameKey](t)
	key := userNameKey(strings.Repeat("user/42, ", 4) + "größe")
	if text := mustKeyText(t, codec, key); unsafe.StringData(text) != unsafe.StringData(string(key)) {
		t.Errorf("text(%q) = %q, a copy", key, text)
	}
	if allocs := testing.AllocsPerRun(100, func() { _, _ = codec.Text(key) }); allocs != 0 {
		t.Errorf("text of a string allocates %v times; want 0", allocs)
	}
}

func TestIntegerKeyAllocatesItsTextAlone(t *testing.T) {
	signed, unsigned := mustKeyCodec[userIDKey](t), mustKeyCodec[uint32](t)
	if allocs := testing.AllocsPerRun(100, func() { _, _ = signed.Text(1 << 40) }); allocs != 1 {
		t.Errorf("text of an int64 allocates %v times; want 1", allocs)
	}
	if allocs := testing.AllocsPerRun(100, func() { _, _ = unsigned.Text(1 << 20) }); allocs != 1 {
		t.Errorf("text of a uint32 allocates %v times; want 1", allocs)
	}
}

// A TextMarshaler that writes to its receiver writes to a copy.
type scribblerKey struct{ n int }

func (s *scribblerKey) MarshalText() ([]byte, error) {
	s.n++
	return strconv.AppendInt(nil, int64(s.n), 10), nil
}

func TestKeyTextIsSafeForConcurrentUse(t *testing.T) {
	type key struct {
		S scribblerKey
		B string
	}
	codec := mustKeyCodec[key](t)
	shared := key{scribblerKey{6}, "a,b"}
	var wrong atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				if text, err := codec.Text(shared); text != "7,a%2Cb" || err != nil {
					wrong.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if wrong.Load() != 0 || shared.S.n != 6 {
		t.Errorf("%d texts were wrong; the key is now %+v", wrong.Load(), shared)
	}
}

func BenchmarkKeyText(b *testing.B) {
	b.Run("key=string/escape=n", benchmarkKeyText("user/42"))
	b.Run("key=string/escape=y", benchmarkKeyText("user:42"))
	b.Run("key=int", benchmarkKeyText(int64(1<<40)))
	b.Run("key=struct", benchmarkKeyText(rowKey{"user", "en,de", 42}))
	b.Run("key=float", benchmarkKeyText(0.1))
	b.Run("key=time", benchmarkKeyText(time.Unix(1714521600, 50)))
	b.Run("key=marshaler", benchmarkKeyText(netip.MustParseAddr("192.0.2.1")))
	b.Run("key=array16", benchmarkKeyText([16]byte{1, 2, 3, 255}))
}

func benchmarkKeyText[K comparable](key K) func(b *testing.B) {
	return func(b *testing.B) {
		codec := mustKeyCodec[K](b)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := codec.Text(key); err != nil {
				b.Fatal(err)
			}
		}
	}
}
