package jsoncodec_test

import (
	"encoding/json"
	"io"
	"math/big"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/zodiac-go/zodiac/internal/jsoncodec"
)

type (
	plain struct {
		ID    int
		Tags  []string `json:"tags,omitempty"`
		Of    map[int]*plain
		Any   any
		Err   error
		At    *time.Time
		Sum   big.Int
		Raw   json.RawMessage
		Bytes [4]byte
	}
	hidden  struct{ secret string } //nolint:unused // it is a part of the type
	within  struct{ Of []map[string]*hidden }
	dropped struct {
		secret string `json:"-"` //nolint:unused // it is a part of the type
		Open   func() `json:"-"`
		_      int
		mu     sync.Mutex
		RW     *sync.RWMutex
		none   struct{}
		ID     int
	}
	base      struct{ ID int }
	Base      struct{ ID int }
	embeds    struct{ base }
	embedsPtr struct{ *base }
	hiddenIn  struct{ hidden } //nolint:unused // likewise
	shadows   struct {
		Base
		ID int
	}
	renames struct {
		Base `json:"base"`
		ID   int
	}
	number  int              //nolint:unused // likewise
	counts  struct{ number } //nolint:unused // likewise
	tree    struct{ Left, Right *tree }
	loop    struct{ *loop }
	floats  struct{ Of map[float64]int }
	texts   struct{ Of map[textKey]int }
	textKey struct{ a int }
	twoOwn  struct { // their methods hide each other
		time.Time
		big.Int
	}
)

func (textKey) MarshalText() ([]byte, error) { return nil, nil }

// own encodes itself.
type own struct{ secret string }

func (o *own) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, &o.secret) }
func (o own) MarshalJSON() ([]byte, error)  { return json.Marshal(o.secret) }

func TestCheckNamesWhatJSONLoses(t *testing.T) {
	var d dropped // whose unexported fields are parts of the type
	_, _, _ = &d.mu, d.none, textKey{}.a
	twoOfOneName := reflect.StructOf([]reflect.StructField{
		{Name: "A", Type: reflect.TypeFor[int](), Tag: `json:"x"`}, {Name: "B", Type: reflect.TypeFor[int](), Tag: `json:"x"`},
	})
	for _, tt := range []struct {
		t    reflect.Type
		want string // in the error; "" = none
	}{
		{reflect.TypeFor[plain](), ""},
		{reflect.TypeFor[*plain](), ""},
		{reflect.TypeFor[[]map[string]plain](), ""},
		{reflect.TypeFor[any](), ""},
		{reflect.TypeFor[dropped](), ""},
		{reflect.TypeFor[embeds](), ""},
		{reflect.TypeFor[renames](), ""},
		{reflect.TypeFor[tree](), ""},
		{reflect.TypeFor[loop](), "loop.loop is not exported"},
		{reflect.TypeFor[own](), ""},
		{reflect.TypeFor[*own](), ""},
		{reflect.TypeFor[struct{ Of []own }](), ""},
		{reflect.TypeFor[texts](), ""},
		{reflect.TypeFor[struct{ Mu sync.Mutex }](), ""},
		{reflect.TypeFor[hidden](), "hidden.secret is not exported"},
		{reflect.TypeFor[within](), "within.Of[][].secret is not exported"},
		{reflect.TypeFor[embedsPtr](), "embedsPtr.base is not exported"},
		{reflect.TypeFor[hiddenIn](), "hiddenIn.hidden.secret is not exported"},
		{reflect.TypeFor[counts](), "counts.number is not exported"},
		{reflect.TypeFor[shadows](), `shadows.Base.ID and jsoncodec_test.shadows.ID are both "ID"`},
		{twoOfOneName, `both "x"`},
		{reflect.TypeFor[twoOwn](), "twoOwn.Time.wall is not exported"},
		{reflect.TypeFor[url.URL](), "url.URL.User.username is not exported"},
		{reflect.TypeFor[struct{ N atomic.Int64 }](), "N.v is not exported"},
		{reflect.TypeFor[struct{ F func() }](), ".F is a func"},
		{reflect.TypeFor[struct{ C chan int }](), ".C is a chan"},
		{reflect.TypeFor[struct{ C []complex64 }](), ".C[] is a complex64"},
		{reflect.TypeFor[struct{ P unsafe.Pointer }](), ".P is a unsafe.Pointer"},
		{reflect.TypeFor[floats](), "floats.Of has keys of type float64"},
		{reflect.TypeFor[io.Reader](), "not decode it"},
	} {
		err := jsoncodec.Codec{}.Check(tt.t)
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("Check(%v) = %v; want nil", tt.t, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("Check(%v) = %v; want … %s …", tt.t, err, tt.want)
		case err != nil && !strings.Contains(err.Error(), "WithCodec"):
			t.Errorf("Check(%v) = %v, which does not say what to do", tt.t, err)
		}
	}
}

// What Check lets pass comes back.
func TestCheckedValueComesBack(t *testing.T) {
	at := time.Date(2024, 5, 1, 12, 0, 0, 7, time.UTC)
	for _, want := range []any{
		&plain{
			ID: 1, Tags: []string{"a"}, Of: map[int]*plain{2: {ID: 2, At: &at, Raw: json.RawMessage("null")}},
			Any: "x", Sum: *big.NewInt(7), Raw: json.RawMessage("1"),
		},
		&embeds{base{7}}, &renames{Base{1}, 2}, &tree{Left: &tree{}}, &own{"s"},
	} {
		if err := (jsoncodec.Codec{}).Check(reflect.TypeOf(want).Elem()); err != nil {
			t.Error(err)
		}
		got := reflect.New(reflect.TypeOf(want).Elem()).Interface()
		data, err := jsoncodec.Codec{}.Marshal(want)
		if err == nil {
			err = jsoncodec.Codec{}.Unmarshal(data, got)
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s comes back as %+v, %v; want %+v", data, got, err, want)
		}
	}
}
