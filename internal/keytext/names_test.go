package keytext

// In-package: the keys of records are for stores alone.

import (
	"crypto/sha256"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// goldenStoreKey is a whole key of a store, of a key of some type.
type goldenStoreKey struct {
	name, want string
	key        func(t *testing.T) string
}

// storeKeyOf is a golden key of loader "svc.(*Users).Get" in version 3 and namespace "app".
func storeKeyOf[K comparable](name string, key K, want string) goldenStoreKey {
	return goldenStoreKey{name, "zodiac:app:svc.(*Users).Get@3:" + want, func(t *testing.T) string {
		codec := mustKeyCodec[K](t)
		return storeKeyBy(t, codec, key)
	}}
}

// storeKeyByHand is likewise one whose text is made by WithKey.
func storeKeyByHand(name, text, want string) goldenStoreKey {
	return goldenStoreKey{name, "zodiac:app:svc.(*Users).Get@3:" + want, func(t *testing.T) string {
		return storeKeyBy(t, ByHand(func(s string) string { return s }), text)
	}}
}

func storeKeyBy[K comparable](t *testing.T, codec Codec[K], key K) string {
	t.Helper()
	keys := NewNames("app", "svc.(*Users).Get", "3", true)
	got, _ := keys.Entry(codec.Segment(mustKeyText(t, codec, key)))
	return got
}

func TestStoreKeyIsWhatItAlwaysWas(t *testing.T) {
	tests := []goldenStoreKey{
		storeKeyOf("bool", true, "true"),
		storeKeyOf("int", -42, "-42"),
		storeKeyOf("uint64", uint64(math.MaxUint64), "18446744073709551615"),
		storeKeyOf("float", math.Copysign(0, -1), "0"),
		storeKeyOf("string", "users/42, *?[a]", "users/42, *?[a]"),
		storeKeyOf("string-empty", "", ""),
		storeKeyOf("string-reserved", "{%:@}\n\xFF", "%7B%25%3A%40%7D%0A%FF"),
		storeKeyOf("string-like-a-hash", "%sha256-00", "%25sha256-00"),
		storeKeyOf("time", time.Date(2024, 5, 1, 0, 0, 0, 50, time.UTC), "1714521600.000000050"),
		storeKeyOf("marshaler", netip.MustParseAddr("fe80::1%eth0"), "fe80%3A%3A1%25eth0"),
		storeKeyOf("array", [2]string{"a,b", "c"}, "a%2Cb,c"),
		storeKeyOf("struct", rowKey{"a", "b:c", 7}, "a,b%3Ac,7"),
		storeKeyOf("struct-left-out", partialKey{7, nil, "en"}, "7,en"),
		storeKeyByHand("by-hand", "user 42", "user 42"),
		storeKeyByHand("by-hand-reserved", "a:b%3A{c}@\x00", "a%3Ab%253A%7Bc%7D%40%00"),
		storeKeyByHand("by-hand-empty", "", ""),
		storeKeyOf("longest", strings.Repeat("k", 512), strings.Repeat("k", 512)),
		storeKeyOf("long", strings.Repeat("k", 513), "%sha256-45a7c7ef95c3417e800362f5672aba16da807261fe7121f3a81b0a0fb6b9a05c"),
		storeKeyOf("long-once-escaped", strings.Repeat(":", 171), "%sha256-11f54234476255b2947556ac5cc43bc83ad7718a78a8fc92d2757230ed79a00c"),
		storeKeyByHand("by-hand-long", strings.Repeat("k", 513), "%sha256-45a7c7ef95c3417e800362f5672aba16da807261fe7121f3a81b0a0fb6b9a05c"),
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.key(t); got != tt.want {
				t.Errorf("key = %q; want %q", got, tt.want)
			}
		})
	}
}

func TestStoreKeysOfALoaderAreWhatTheyAlwaysWere(t *testing.T) {
	long := strings.Repeat("t", 600)
	tests := []struct {
		name                    string
		keys                    Names
		key, prefix, tag, epoch string // of the key "42" and the tag "a:b"
	}{
		{
			"namespace", NewNames("app", "users", "", false),
			"zodiac:app:users:42", "zodiac:app:users:", "zodiac:app:%tag:a%3Ab", "zodiac:app:%epoch",
		},
		{
			"namespace-versioned", NewNames("app", "users", "0", true),
			"zodiac:app:users@0:42", "zodiac:app:users@0:", "zodiac:app:%tag:a%3Ab", "zodiac:app:%epoch",
		},
		{
			"no-namespace", NewNames("", "users", "", false),
			"zodiac::users:42", "zodiac::users:", "zodiac::%tag:users:a%3Ab", "zodiac::%epoch:users",
		},
		{
			"no-namespace-versioned", NewNames("", "users", "v1", true),
			"zodiac::users@v1:42", "zodiac::users@v1:", "zodiac::%tag:users@v1:a%3Ab", "zodiac::%epoch:users@v1",
		},
		{
			"reserved", NewNames("a:b", "%tag", "{1}@", true),
			"zodiac:a%3Ab:%25tag@%7B1%7D%40:42", "zodiac:a%3Ab:%25tag@%7B1%7D%40:", "zodiac:a%3Ab:%tag:a%3Ab", "zodiac:a%3Ab:%epoch",
		},
		{
			"function", NewNames("app", "example.com/svc.v3.(*Users[int]).Get of svc.Users", "", false),
			"zodiac:app:example.com/svc.v3.(*Users[int]).Get of svc.Users:42", "zodiac:app:example.com/svc.v3.(*Users[int]).Get of svc.Users:",
			"zodiac:app:%tag:a%3Ab", "zodiac:app:%epoch",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			key, full := tt.keys.Entry("42")
			if key != tt.key || full != "" {
				t.Errorf("key(42) = %q, %q; want %q and no full text", key, full, tt.key)
			}
			if got := tt.keys.Prefix(); got != tt.prefix {
				t.Errorf("prefix() = %q; want %q", got, tt.prefix)
			}
			if got := tt.keys.Tag("a:b"); got != tt.tag {
				t.Errorf("tag(a:b) = %q; want %q", got, tt.tag)
			}
			if got := tt.keys.Epoch(); got != tt.epoch {
				t.Errorf("epoch() = %q; want %q", got, tt.epoch)
			}
		})
	}
	keys := NewNames("app", "users", "", false)
	if got, want := keys.Tag(long), fmt.Sprintf("zodiac:app:%%tag:%%sha256-%x", sha256.Sum256([]byte(long))); got != want {
		t.Errorf("tag of 600 bytes = %q; want %q", got, want)
	}
}

// The record has the text that the key has not: a key of another text with the same hash is told apart by it.
func TestLongKeyIsReplacedByItsHashAndKeptInFull(t *testing.T) {
	keys := NewNames("app", "users", "", false)
	for n, hashed := range map[int]bool{0: false, 1: false, maxText: false, maxText + 1: true, 100_000: true} {
		text := strings.Repeat("k", n)
		key, full := keys.Entry(text)
		switch {
		case hashed && (full != text || key != fmt.Sprintf("zodiac:app:users:%%sha256-%x", sha256.Sum256([]byte(text)))):
			t.Errorf("key of %d bytes = %q, with %d bytes in full; want its hash, and all", n, key, len(full))
		case !hashed && (full != "" || key != "zodiac:app:users:"+text):
			t.Errorf("key of %d bytes = %q, with %d bytes in full; want it as it is", n, key, len(full))
		}
	}
}

// keptKey makes a key be kept, as a key that is used is.
var keptKey string

func TestStoreKeyCostsOneAllocation(t *testing.T) {
	keys := NewNames("app", "users", "1", true)
	for _, text := range []string{"42", strings.Repeat("k", maxText), strings.Repeat("k", maxText+1)} {
		if n := testing.AllocsPerRun(100, func() { keptKey, _ = keys.Entry(text) }); n != 1 {
			t.Errorf("key of %d bytes allocates %v times; want 1", len(text), n)
		}
	}
}

// A place is what has keys of its own in a store: a loader, by what makes its name.
type place struct {
	namespace, name, version string
	versioned                bool
}

func (p place) keys() Names {
	if !p.versioned {
		p.version = ""
	}
	return NewNames(p.namespace, p.name, p.version, p.versioned)
}

func (p place) same(q place) bool {
	if !p.versioned && !q.versioned {
		p.version, q.version = "", ""
	}
	return p == q
}

// sharesTags reports whether p and q are of one namespace.
func (p place) sharesTags(q place) bool {
	return p.namespace == q.namespace && (p.namespace != "" || p.same(q))
}

// fault is what testing.T and rapid.T have in common here.
type fault interface {
	Helper()
	Fatalf(format string, args ...any)
}

// checkStoreKeys holds two loaders, with a key and a tag each, to the laws: keys are equal exactly if all that makes them is;
// entries, tags and epochs never meet; a loader's prefix is on its entries and on nothing else; no key has a brace.
func checkStoreKeys(t fault, p, q place, a, b string) {
	t.Helper()
	pk, qk := p.keys(), q.keys()
	keyA, fullA := pk.Entry(Escape(a))
	keyB, fullB := qk.Entry(Escape(b))
	laws := []struct {
		what      string
		got, want bool
	}{
		{"keys are equal", keyA == keyB, p.same(q) && a == b},
		{"tags are equal", pk.Tag(a) == qk.Tag(b), p.sharesTags(q) && a == b},
		{"epochs are equal", pk.Epoch() == qk.Epoch(), p.sharesTags(q)},
		{"a key is a tag", keyA == qk.Tag(b) || keyB == pk.Tag(a) || keyA == pk.Tag(a), false},
		{"a key is an epoch", keyA == qk.Epoch() || keyB == pk.Epoch() || keyA == pk.Epoch(), false},
		{"a tag is an epoch", pk.Tag(a) == qk.Epoch() || qk.Tag(b) == pk.Epoch() || pk.Tag(a) == pk.Epoch(), false},
		{"a key has its prefix", strings.HasPrefix(keyA, pk.Prefix()) && strings.HasPrefix(keyB, qk.Prefix()), true},
		{"a key has the other's prefix", strings.HasPrefix(keyA, qk.Prefix()), p.same(q)},
		{"a tag or an epoch has a prefix", strings.HasPrefix(pk.Tag(a), qk.Prefix()) || strings.HasPrefix(pk.Epoch(), qk.Prefix()) ||
			strings.HasPrefix(pk.Tag(a), pk.Prefix()) || strings.HasPrefix(pk.Epoch(), pk.Prefix()), false},
		{"a key has a brace", strings.ContainsAny(keyA+keyB+pk.Tag(a)+qk.Tag(b)+pk.Epoch()+qk.Epoch(), "{}"), false},
	}
	for _, law := range laws {
		if law.got != law.want {
			t.Fatalf("%s: %v; want %v\n%+v %q: %q %q %q\n%+v %q: %q %q %q", law.what, law.got, law.want,
				p, a, keyA, pk.Tag(a), pk.Epoch(), q, b, keyB, qk.Tag(b), qk.Epoch())
		}
	}
	readBack(t, p, a, keyA, fullA)
	readBack(t, q, b, keyB, fullB)
}

// readBack takes a key apart: nothing escapes from its segment.
func readBack(t fault, p place, a, key, full string) {
	t.Helper()
	parts := strings.Split(key, ":")
	if len(parts) != 4 || parts[0] != "zodiac" {
		t.Fatalf("key %q of %+v has %d segments; want 4", key, p, len(parts))
	}
	name, version, versioned := strings.Cut(parts[2], "@")
	text := parts[3]
	if full != "" {
		if text != fmt.Sprintf("%%sha256-%x", sha256.Sum256([]byte(full))) {
			t.Fatalf("key %q is not of the text %q", key, full)
		}
		text = full
	}
	back := place{unescapeKey(parts[1]), unescapeKey(name), unescapeKey(version), versioned}
	if !back.same(p) || unescapeKey(text) != a {
		t.Fatalf("key %q of %+v and %q reads back as %+v and %q", key, p, a, back, unescapeKey(text))
	}
}

func TestStoreKeysAreEqualExactlyIfWhatMakesThemIs(t *testing.T) {
	segment := rapid.OneOf(
		hostileStrings,
		rapid.SampledFrom([]string{"", "app", "app2", "users", "%tag", "%epoch", "tag", "%sha256-", "zodiac", "0", "1"}),
		rapid.Map(rapid.SampledFrom([]string{"k", ":", "é"}), func(s string) string { return strings.Repeat(s, maxText/len(s)+1) }),
	)
	places := rapid.Custom(func(t *rapid.T) place {
		return place{segment.Draw(t, "namespace"), segment.Draw(t, "name"), segment.Draw(t, "version"), rapid.Bool().Draw(t, "versioned")}
	})
	rapid.Check(t, func(t *rapid.T) {
		p, q := places.Draw(t, "p"), places.Draw(t, "q")
		a, b := segment.Draw(t, "a"), segment.Draw(t, "b")
		checkStoreKeys(t, p, q, a, b)
		checkStoreKeys(t, p, p, a, b)
		// The same letters, cut elsewhere.
		for _, sep := range []string{":", "@", "%tag:", "%epoch:"} {
			moved := place{p.namespace, p.name + sep + p.version, "", false}
			checkStoreKeys(t, p, moved, a, b)
			checkStoreKeys(t, p, place{p.namespace + sep + p.name, p.version, "", false}, a, b)
			checkStoreKeys(t, p, p, a, p.name+sep+a)
		}
	})
}

func FuzzStoreKeysDoNotCollide(f *testing.F) {
	f.Add("app", "users", "", false, "42", "app2", "users", "", false, "42")
	f.Add("app", "users", "1", true, "42", "app", "users@1", "", false, "42")
	f.Add("", "users", "", false, "a", "", "%tag", "", false, "users:a")
	f.Add("", "users", "", true, "{a}", "", "%epoch", "", false, "users")
	f.Add("a:b", "c", "", false, "d", "a", "b:c", "", false, "d")
	f.Add("a", "b", "c", true, strings.Repeat("x", 513), "a", "b", "c", true, "%sha256-00")
	f.Fuzz(func(t *testing.T, ns1, name1, v1 string, versioned1 bool, a, ns2, name2, v2 string, versioned2 bool, b string) {
		p, q := place{ns1, name1, v1, versioned1}, place{ns2, name2, v2, versioned2}
		checkStoreKeys(t, p, q, a, b)
		checkStoreKeys(t, p, p, a, b)
		checkStoreKeys(t, p, q, a, a)
	})
}

func BenchmarkStoreKey(b *testing.B) {
	keys := NewNames("app", "example.com/svc.(*Users).Get", "1", true)
	for _, n := range []int{8, maxText + 1} {
		text := strings.Repeat("k", n)
		b.Run(fmt.Sprintf("bytes=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				keptKey, _ = keys.Entry(text)
			}
		})
	}
}
