package shape_test

import (
	"io"
	"math/big"
	"net/netip"
	"net/url"
	"reflect"
	"testing"
	"time"

	"github.com/zodiac-go/zodiac/internal/shape"
)

func of[T any]() shape.Fingerprint { return shape.Of(reflect.TypeFor[T](), shape.OpaqueToJSON) }

type (
	user struct {
		ID   int
		Name string `json:"name,omitempty"`
	}
	sameUser struct {
		ID   int
		Name string `json:"name,omitempty"`
		note string
	}
	renamed struct {
		ID       int
		FullName string `json:"name,omitempty"`
	}
	retagged struct {
		ID   int
		Name string `json:"n,omitempty"`
	}
	retyped struct {
		ID   int64
		Name string `json:"name,omitempty"`
	}
	longer struct {
		ID    int
		Name  string `json:"name,omitempty"`
		Email string
	}
	swapped struct {
		Name string `json:"name,omitempty"`
		ID   int
	}
	friends   struct{ Of []user }
	friends2  struct{ Of []sameUser }
	friends3  struct{ Of []renamed }
	byName    struct{ Of map[string]user }
	pointing  struct{ Of *user }
	arrays    struct{ Of [2]user }
	node      struct{ Left, Right *node }
	otherNode struct{ Left, Right *otherNode }
	list      struct{ Next *list }
	tree      struct{ Children []tree }
	forest    map[string]forest
	even      struct{ Odd *odd }
	odd       struct{ Even []even }

	base     struct{ Made time.Time }
	base2    struct{ Made string }
	embeds   struct{ base }
	embeds2  struct{ base2 }
	embedsAt struct{ *base }
	named    struct{ Base base }
	number   int
	hides    struct{ number }
	status   int
	coded    struct{ Status status }
	uncoded  struct{ Status int }
)

// A money encodes itself.
type money struct{ Cents int64 }

func (m *money) UnmarshalText([]byte) error  { return nil }
func (m money) MarshalText() ([]byte, error) { return nil, nil }

// A coin does that for codecs other than JSON.
type coin struct{ Cents int64 }

func (c coin) MarshalBinary() ([]byte, error) { return nil, nil }

func TestShapeIsWhatACodecSees(t *testing.T) {
	_, _ = sameUser{}.note, hides{}.number
	for _, tt := range []struct {
		what string
		a, b shape.Fingerprint
		same bool
	}{
		{"another type with an unexported field more", of[user](), of[sameUser](), true},
		{"a field renamed", of[user](), of[renamed](), false},
		{"a tag changed", of[user](), of[retagged](), false},
		{"a type changed", of[user](), of[retyped](), false},
		{"a field added", of[user](), of[longer](), false},
		{"fields in another order", of[user](), of[swapped](), false},
		{"the same within a slice", of[friends](), of[friends2](), true},
		{"a field renamed within a slice", of[friends](), of[friends3](), false},
		{"a map in place of a slice", of[friends](), of[byName](), false},
		{"a pointer in place of a slice", of[friends](), of[pointing](), false},
		{"an array in place of a slice", of[friends](), of[arrays](), false},
		{"a pointer to the type", of[user](), of[*user](), false},
		{"another type that contains itself", of[node](), of[otherNode](), true},
		{"types that contain themselves in other ways", of[list](), of[tree](), false},
		{"an embedded struct's field changed", of[embeds](), of[embeds2](), false},
		{"embedded by a pointer", of[embeds](), of[embedsAt](), false},
		{"embedded or not", of[embeds](), of[named](), false},
		{"an embedded type that codecs ignore", of[hides](), of[struct{}](), true},
		{"a name given to a basic type", of[coded](), of[uncoded](), true},
		{"other methods of an interface", of[struct{ V io.Reader }](), of[struct{ V io.Writer }](), false},
		{"an interface and a value", of[struct{ V any }](), of[struct{ V struct{} }](), false},
		{"lengths of arrays", of[[2]int](), of[[3]int](), false},
		{"types that encode themselves", of[money](), of[time.Time](), false},
		{"methods that JSON does not use", of[coin](), of[struct{ Cents int64 }](), true},
	} {
		if got := tt.a == tt.b; got != tt.same {
			t.Errorf("%s: the same shape = %v; want %v", tt.what, got, tt.same)
		}
	}
}

func TestTypeThatEncodesItselfCountsByItsName(t *testing.T) {
	for _, tt := range []struct {
		t            reflect.Type
		json, opaque bool
	}{
		{reflect.TypeFor[time.Time](), true, true},
		{reflect.TypeFor[big.Int](), true, true},
		{reflect.TypeFor[netip.Addr](), true, true},
		{reflect.TypeFor[money](), true, true},
		{reflect.TypeFor[coin](), false, true},
		{reflect.TypeFor[url.URL](), false, true},
		{reflect.TypeFor[struct{ time.Time }](), true, true},
		{reflect.TypeFor[user](), false, false},
		{reflect.TypeFor[*time.Time](), false, false}, // what it points to is
		{reflect.TypeFor[any](), false, false},
		{reflect.TypeFor[interface{ MarshalText() ([]byte, error) }](), false, false},
	} {
		if got := shape.OpaqueToJSON(tt.t); got != tt.json {
			t.Errorf("OpaqueToJSON(%v) = %v; want %v", tt.t, got, tt.json)
		}
		if got := shape.Opaque(tt.t); got != tt.opaque {
			t.Errorf("Opaque(%v) = %v; want %v", tt.t, got, tt.opaque)
		}
	}
}

// The fingerprints are in records. If one changes, users lose what they have stored.
func TestFingerprintsAreWhatTheyAlwaysWere(t *testing.T) {
	for _, tt := range []struct {
		name      string
		got, want shape.Fingerprint
	}{
		{"bool", of[bool](), 0xcffd31b4455d14a7},
		{"string", of[string](), 0xada4c5a33dbd0540},
		{"int", of[int](), 0x41f4d48c9d8cb3eb},
		{"[]byte", of[[]byte](), 0xf3650a05a348e0b0},
		{"any", of[any](), 0xa92bf9e790942c8a},
		{"user", of[user](), 0x9494ddc950cc8ade},
		{"*user", of[*user](), 0xda8d79e7a5ef07d3},
		{"friends", of[friends](), 0x487b83f4c99065a1},
		{"byName", of[byName](), 0x3ecd3ebacb5e8902},
		{"node", of[node](), 0x316e068ee041ecff},
		{"tree", of[tree](), 0x88a49a8788fbb31d},
		{"forest", of[forest](), 0x73660f06488d12fb},
		{"even", of[even](), 0x5810be0d19c1a6a4},
		{"embeds", of[embeds](), 0xc84ebf002777e431},
		{"money", of[money](), 0x4621cb5829f68397},
		{"Time", of[time.Time](), 0xa597b6d62a41b433},
		{"chan", of[chan func(int) error](), 0x54f9b38f3d2b2e77},
		{"complex", of[struct{ F map[[2]complex128]uintptr }](), 0x54e54fb5f58b78f1},
	} {
		if tt.got != tt.want {
			t.Errorf("the fingerprint of %s is %#x; want %#x", tt.name, uint64(tt.got), uint64(tt.want))
		}
	}
}

type (
	twice[T any] struct {
		A T
		B *T
	}
	times16[T any]  twice[twice[twice[twice[T]]]]
	times256[T any] times16[times16[T]]
)

// Types may use each other so often that to follow every use would never end.
func TestShapeOfAWideTypeIsSoonKnown(t *testing.T) {
	if a, b := of[times256[times256[times256[times256[int]]]]](), of[times256[times256[times256[times256[string]]]]](); a == b {
		t.Errorf("wide types that differ far inside have one fingerprint %#x", uint64(a))
	}
}
