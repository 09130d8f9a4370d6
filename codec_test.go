package zodiac_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zodiac-go/zodiac"
	"pgregory.net/rapid"
)

// The values of these tests have as many kinds side by side as possible.
type (
	jsonBase struct {
		Trace string `json:"trace,omitempty"`
		Level int    `json:"level,omitempty"`
	}
	JSONExtra struct {
		jsonBase
		Extra string `json:"extra,omitempty"`
	}
	jsonValue struct {
		jsonBase
		*JSONExtra
		ID     int64   `json:"id"`
		Name   string  `json:"name,omitempty"`
		F64    float64 `json:"f64"`
		F32    float32 `json:"f32,omitempty"`
		Yes    bool    `json:"yes"`
		Quoted uint16  `json:",string"`
		Bytes  []byte
		Blob   []byte `json:",omitempty"`
		Ints   []int
		Small  [3]uint8
		Counts map[string]int
		ByID   map[int64]*jsonBase
		ByTime map[time.Time]bool `json:",omitempty"`
		Child  *jsonValue         `json:",omitempty"`
		Kids   []jsonValue        `json:"kids,omitempty"`
		PtrPtr **int
		At     time.Time `json:",omitzero"`
		Took   time.Duration
		Num    json.Number
		Raw    json.RawMessage `json:",omitempty"`
		Any    any
		Big    big.Int  // its methods are the pointer's
		Sum    *big.Int `json:"sum,omitempty"`
		Left   string   `json:"-"`
		hidden int
	}
)

// jsonTrip returns a value after a round trip through a codec's methods or those of encoding/json.
func jsonTrip[T any](v *T, marshal func(any) ([]byte, error), unmarshal func([]byte, any) error) (T, error) {
	var back T
	data, err := marshal(v)
	if err == nil {
		err = unmarshal(data, &back)
	}
	return back, err
}

func jsonComesBack[T any](v T) func(t *testing.T) {
	return func(t *testing.T) {
		got, err := jsonTrip(&v, zodiac.JSON.Marshal, zodiac.JSON.Unmarshal)
		if err != nil || !reflect.DeepEqual(got, v) {
			t.Errorf("%#v came back as %#v, %v", v, got, err)
		}
	}
}

func TestJSONBringsBackWhatItWasGiven(t *testing.T) {
	seven := 7
	pseven := &seven
	t.Run("zero", jsonComesBack(jsonValue{Num: "0", Raw: nil}))
	t.Run("full", jsonComesBack(jsonValue{
		jsonBase: jsonBase{"t", 1}, JSONExtra: &JSONExtra{Extra: "more"}, ID: math.MinInt64, Name: "<größe> & 世界 🙂 \u2028\x00",
		F64: math.MaxFloat64, F32: -math.MaxFloat32, Yes: true, Quoted: math.MaxUint16, Bytes: []byte{}, Blob: []byte{0, 0xFF},
		Ints: []int{math.MinInt, math.MaxInt}, Small: [3]uint8{1, 2, 3}, Counts: map[string]int{"": 0, "a\"b": 1},
		ByID: map[int64]*jsonBase{-1: nil, 1: {}}, Child: &jsonValue{Num: "1e400", Any: []any{}}, Kids: []jsonValue{{Num: "0"}},
		PtrPtr: &pseven, At: time.Unix(1714521600, 50).UTC(), Took: time.Minute, Num: "12345678901234567890",
		Raw: json.RawMessage(`{"a":[1]}`), Any: map[string]any{"a": []any{nil, true, 1.5, "s"}}, Sum: big.NewInt(42),
	}))
	t.Run("smallest-floats", jsonComesBack([]float64{math.SmallestNonzeroFloat64, math.Copysign(0, -1), 1e23, 0.1}))
	t.Run("smallest-float32s", jsonComesBack([]float32{math.SmallestNonzeroFloat32, math.MaxFloat32, 16777216, 0.1}))
	t.Run("uint64", jsonComesBack(uint64(math.MaxUint64)))
	t.Run("string-empty", jsonComesBack(""))
	t.Run("string-null", jsonComesBack("null"))
	t.Run("false", jsonComesBack(false))
	t.Run("struct-empty", jsonComesBack(struct{}{}))
	t.Run("nil-in-any", jsonComesBack[any](nil))
}

// P22: nil and empty are different values at every depth, and a pointer to a nil value is not nil.
func TestJSONTellsNilFromEmpty(t *testing.T) {
	t.Run("slice-nil", jsonComesBack([]int(nil)))
	t.Run("slice-empty", jsonComesBack([]int{}))
	t.Run("bytes-nil", jsonComesBack([]byte(nil)))
	t.Run("bytes-empty", jsonComesBack([]byte{}))
	t.Run("map-nil", jsonComesBack(map[string]int(nil)))
	t.Run("map-empty", jsonComesBack(map[string]int{}))
	t.Run("slices", jsonComesBack([][]int{nil, {}}))
	t.Run("maps", jsonComesBack(map[string]map[int]bool{"nil": nil, "empty": {}}))
	t.Run("pointers", jsonComesBack([]*int{nil, new(int)}))
	t.Run("field", jsonComesBack([]struct{ A []int }{{nil}, {[]int{}}}))
	t.Run("pointer-to-nil-slice", jsonComesBack(new([]int)))
	t.Run("pointer-to-empty-slice", jsonComesBack(&[]int{}))
	t.Run("pointer-to-nil-map", jsonComesBack(new(map[string]int)))
	t.Run("pointer-to-nil-pointer", jsonComesBack(new(*int)))
	t.Run("pointer-to-nil-any", jsonComesBack(new(any)))
	t.Run("pointer-to-zero", jsonComesBack(new(int)))
	t.Run("pointer-to-empty-struct", jsonComesBack(&struct{}{}))
}

func TestJSONRefusesWhatItCannotEncode(t *testing.T) {
	type ring struct{ Next *ring }
	loop := &ring{}
	loop.Next = loop
	selfMap := map[string]any{}
	selfMap["self"] = selfMap
	selfSlice := make([]any, 1)
	selfSlice[0] = selfSlice
	var selfAny any
	selfAny = &selfAny
	deep := &ring{}
	for range 20_000 {
		deep = &ring{deep}
	}
	tests := map[string]any{
		"NaN": math.NaN(), "Inf": math.Inf(-1), "float32-NaN": float32(math.NaN()), "NaN-in-any": []any{math.NaN()},
		"channel": make(chan int), "function": func() {}, "complex": 1i, "number": json.Number("x"),
		"raw": json.RawMessage("{"), "year-10000": time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC),
		"cycle-pointer": loop, "cycle-map": selfMap, "cycle-slice": selfSlice, "cycle-any": selfAny, "too-deep": deep,
	}
	for name, v := range tests {
		t.Run(name, func(t *testing.T) {
			p := reflect.New(reflect.TypeOf(v))
			p.Elem().Set(reflect.ValueOf(v))
			if data, err := zodiac.JSON.Marshal(p.Interface()); err == nil {
				t.Errorf("Marshal = %.40s; want an error", data)
			}
		})
	}
}

func TestJSONRefusesWhatItCannotDecode(t *testing.T) {
	tests := map[string]struct {
		data string
		v    any
	}{
		"empty":          {"", new(int)},
		"cut":            {`{"id":1`, new(jsonValue)},
		"more":           {`1 2`, new(int)},
		"other-type":     {`"1"`, new(int)},
		"overflow":       {"256", new(uint8)},
		"float-overflow": {"1e400", new(float64)},
		"interface":      {"{}", new(fmt.Stringer)},
		"not-a-pointer":  {"1", 1},
		"nil-pointer":    {"1", (*int)(nil)},
		"null-into-nil":  {"null", (**int)(nil)},
		"nil":            {"null", nil},
		"too-deep":       {strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000), new(any)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if err := zodiac.JSON.Unmarshal([]byte(tt.data), tt.v); err == nil {
				t.Errorf("Unmarshal(%.40s) = %v; want an error", tt.data, tt.v)
			}
		})
	}
}

// These shapes lost fields, or panicked, in versions of goccy/go-json before 0.12.
func TestJSONKeepsFieldsBesideEmbeddedOmitempty(t *testing.T) {
	type (
		fault struct {
			Error string `json:"error,omitempty"`
		}
		data struct {
			fault
			Data string
		}
		outer  struct{ data }
		reason struct {
			Code string `json:"code,omitempty"`
		}
		kind  struct{ Kind string }
		inner struct {
			kind
			R *reason `json:",omitempty"`
		}
		outer2  struct{ inner }
		Bar     struct{ Bar string }
		inlined struct {
			Foo  string
			*Bar `json:",omitempty"`
		}
		detail struct {
			A string
			B string `json:",omitempty"`
		}
		body struct {
			P *struct{ D detail } `json:",omitempty"`
		}
	)
	t.Run("omitted", jsonComesBack(outer{data{Data: "hi"}}))
	t.Run("given", jsonComesBack(outer{data{fault{"e"}, "hi"}}))
	t.Run("pointer-omitted", jsonComesBack(outer2{inner{kind{"x"}, nil}}))
	t.Run("pointer-given", jsonComesBack(outer2{inner{kind{"x"}, &reason{"c"}}}))
	t.Run("embedded-pointer", jsonComesBack(inlined{"f", &Bar{"b"}}))
	t.Run("nested", jsonComesBack(body{&struct{ D detail }{detail{"a", "b"}}}))
}

func TestJSONCallsMethodsOfPointers(t *testing.T) {
	var v struct{ N big.Int }
	v.N.SetString("123456789012345678901234567890", 10)
	if got, err := jsonTrip(&v, zodiac.JSON.Marshal, zodiac.JSON.Unmarshal); err != nil || got.N.Cmp(&v.N) != 0 {
		t.Errorf("%v came back as %v, %v", &v.N, &got.N, err)
	}
}

func TestJSONValueKeepsNoneOfTheData(t *testing.T) {
	type value struct {
		S    string
		B    []byte
		Raw  json.RawMessage
		Any  any
		Keys map[string]json.Number
	}
	want := value{"string", []byte("bytes"), json.RawMessage(`{"raw":1}`), "any", map[string]json.Number{"key": "123"}}
	data, err := zodiac.JSON.Marshal(&want)
	if err != nil {
		t.Fatal(err)
	}
	before := string(data)
	var got, other value
	if err := zodiac.JSON.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if string(data) != before {
		t.Errorf("Unmarshal made %s of its data", data)
	}
	for i := range data {
		data[i] = 'x'
	}
	for range 10 { // the data that the codec may keep for its next call is overwritten
		zodiac.JSON.Unmarshal([]byte(strings.Repeat(" ", 10)+strings.Replace(before, "string", "STRING", 1)), &other)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the value is now %#v; want %#v", got, want)
	}
}

func TestJSONTextOfAValueIsAlwaysTheSame(t *testing.T) {
	m := make(map[string]int)
	for i := range 100 {
		m[fmt.Sprint(i)] = i
	}
	first, err := zodiac.JSON.Marshal(&m)
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if again, err := zodiac.JSON.Marshal(&m); string(again) != string(first) || err != nil {
			t.Fatalf("Marshal = %s, %v; before %s", again, err, first)
		}
	}
}

// The first uses of a type compile it, at once if they come at once.
func TestJSONIsSafeForConcurrentUse(t *testing.T) {
	const workers = 8
	for n := range 50 {
		typ := reflect.StructOf([]reflect.StructField{
			{Name: "N", Type: reflect.ArrayOf(n+1, reflect.TypeFor[int]())},
			{Name: "Next", Type: reflect.TypeFor[*jsonValue](), Tag: `json:",omitempty"`},
		})
		text := `{"N":[1` + strings.Repeat(",0", n) + `],"Next":{"id":7,"Num":1}}`
		var wg sync.WaitGroup
		for range workers {
			wg.Go(func() {
				v, back := reflect.New(typ), reflect.New(typ)
				err := zodiac.JSON.Unmarshal([]byte(text), v.Interface())
				data, err2 := zodiac.JSON.Marshal(v.Interface())
				err3 := zodiac.JSON.Unmarshal(data, back.Interface())
				if err := errors.Join(err, err2, err3); err != nil || !reflect.DeepEqual(v.Interface(), back.Interface()) {
					t.Errorf("%s came back as %s, %v", text, data, err)
				}
			})
		}
		wg.Wait()
	}
}

// anyJSON draws values of type any that a round trip through JSON does not change.
var anyJSON *rapid.Generator[any]

func init() {
	leaf := rapid.OneOf(
		rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.String().AsAny(), rapid.Float64().AsAny(),
	)
	anyJSON = leaf
	for range 2 {
		inner := anyJSON
		anyJSON = rapid.OneOf(leaf, rapid.SliceOfN(inner, 0, 3).AsAny(), rapid.MapOfN(rapid.String(), inner, 0, 3).AsAny())
	}
}

func optional[T any](g *rapid.Generator[T]) *rapid.Generator[*T] { return rapid.Ptr(g, true) }

// sometimes draws nil besides the values of g. rapid's slices and maps are never nil.
func sometimes[T any](g *rapid.Generator[T]) *rapid.Generator[T] {
	var zero T
	return rapid.OneOf(rapid.Just(zero), g)
}

func drawJSONValue(t *rapid.T, depth int) jsonValue {
	base := func(t *rapid.T) jsonBase {
		return jsonBase{sometimes(rapid.String()).Draw(t, "trace"), sometimes(rapid.Int()).Draw(t, "level")}
	}
	bases := rapid.Custom(base)
	v := jsonValue{
		jsonBase: base(t),
		JSONExtra: optional(rapid.Custom(func(t *rapid.T) JSONExtra {
			return JSONExtra{base(t), sometimes(rapid.String()).Draw(t, "extra")}
		})).Draw(t, "JSONExtra"),
		ID:     rapid.Int64().Draw(t, "ID"),
		Name:   rapid.OneOf(rapid.String(), rapid.StringOf(rapid.RuneFrom([]rune("<>&\"\\/\u2028\u0000\u007Fé")))).Draw(t, "Name"),
		F64:    rapid.OneOf(rapid.Float64(), rapid.Just(math.NaN())).Draw(t, "F64"),
		F32:    rapid.OneOf(rapid.Float32(), rapid.Just[float32](math.MaxFloat32)).Draw(t, "F32"),
		Yes:    rapid.Bool().Draw(t, "Yes"),
		Quoted: rapid.Uint16().Draw(t, "Quoted"),
		Bytes:  sometimes(rapid.SliceOf(rapid.Byte())).Draw(t, "Bytes"),
		Blob:   sometimes(rapid.SliceOf(rapid.Byte())).Draw(t, "Blob"),
		Ints:   sometimes(rapid.SliceOf(rapid.Int())).Draw(t, "Ints"),
		Counts: sometimes(rapid.MapOf(rapid.String(), rapid.Int())).Draw(t, "Counts"),
		ByID:   sometimes(rapid.MapOfN(rapid.Int64(), optional(bases), 0, 3)).Draw(t, "ByID"),
		PtrPtr: optional(optional(rapid.Int())).Draw(t, "PtrPtr"),
		At:     time.Unix(rapid.Int64Range(-62135596800, 253402300799).Draw(t, "At"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns")).UTC(),
		Took:   time.Duration(rapid.Int64().Draw(t, "Took")),
		Num:    json.Number(rapid.OneOf(rapid.StringMatching(`-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,5})?`), rapid.Just("-")).Draw(t, "Num")),
		Any:    anyJSON.Draw(t, "Any"),
		hidden: 1,
	}
	v.Big.SetInt64(rapid.Int64().Draw(t, "Big"))
	if depth > 0 {
		child := rapid.Custom(func(t *rapid.T) jsonValue { return drawJSONValue(t, depth-1) })
		v.Child = optional(child).Draw(t, "Child")
		v.Kids = rapid.SliceOfN(child, 0, 2).Draw(t, "Kids")
	}
	return v
}

// The law: a round trip gives the same value as one through encoding/json, errors included.
func jsonAsStandard(t *rapid.T) {
	v := drawJSONValue(t, 2)
	want, wantErr := jsonTrip(&v, json.Marshal, json.Unmarshal)
	got, err := jsonTrip(&v, zodiac.JSON.Marshal, zodiac.JSON.Unmarshal)
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("%+v: error %v; encoding/json's is %v", v, err, wantErr)
	}
	if err == nil && !reflect.DeepEqual(got, want) {
		t.Fatalf("%+v came back as %+v; of encoding/json as %+v", v, got, want)
	}
}

func TestJSONValuesComeBackAsOfEncodingJSON(t *testing.T) { rapid.Check(t, jsonAsStandard) }

func FuzzJSONValue(f *testing.F) { f.Fuzz(rapid.MakeFuzz(jsonAsStandard)) }

// Any text at all is decoded as encoding/json decodes it, or refused by both.
func FuzzJSON(f *testing.F) {
	for _, text := range []string{
		`{}`, `[]`, `null`, `"a"`, `-0`, `1e400`, `3.4028235e38`, `[null,{"a":[]}]`, `{"id":1,"kids":[{"id":2}]}`, `{"ID":1,"Id":2,"id":null}`,
		`{"trace":"t","extra":"e","level":3}`, `{"Quoted":"7","Bytes":"AAE=","Small":[1,2],"Counts":{"a":1}}`, `{"Counts":{"a":1},"Counts":{"b":2}}`,
		`{"ByID":{"1":null,"-2":{}},"ByTime":{"2024-05-01T00:00:00Z":true}}`, `{"At":"2024-05-01T00:00:00+02:00","Took":-1,"Num":"12"}`,
		`{"Raw": { "a" : 1 } ,"Any":{"b":[1.5,"\ud83d\ude42\u0000"]},"PtrPtr":5,"Big":123456789012345678901}`, "{\"\\29\\", `"\ud800"`, "\"\xff\"", `[1,`, `{"a"`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		sameJSON[any](t, text)
		sameJSON[jsonValue](t, text)
		sameJSON[map[string]*jsonBase](t, text)
		sameJSON[map[int8][]json.Number](t, text)
		sameJSON[[]*float32](t, text)
		sameJSON[[2]string](t, text)
		sameJSON[time.Time](t, text)
		sameJSON[[]byte](t, text)
		sameJSON[uint8](t, text)
	})
}

func sameJSON[T any](t *testing.T, text []byte) {
	t.Helper()
	var got, want T
	err, wantErr := zodiac.JSON.Unmarshal(text, &got), json.Unmarshal(text, &want)
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("Unmarshal(%q) into %T: %v; encoding/json's error is %v", text, got, err, wantErr)
	}
	if err == nil && !reflect.DeepEqual(got, want) {
		t.Fatalf("Unmarshal(%q) = %#v; encoding/json has %#v", text, got, want)
	}
	if err != nil {
		return
	}
	again, err := jsonTrip(&got, zodiac.JSON.Marshal, zodiac.JSON.Unmarshal)
	wantAgain, wantErr := jsonTrip(&want, json.Marshal, json.Unmarshal)
	if (err == nil) != (wantErr == nil) || err == nil && !reflect.DeepEqual(again, wantAgain) {
		t.Fatalf("%#v came back as %#v, %v; of encoding/json as %#v, %v", got, again, err, wantAgain, wantErr)
	}
}

func TestCodecErrorSaysWhatFailedAndWhatToDo(t *testing.T) {
	cause := errors.New("cause")
	tests := map[string][]string{
		"Marshal":   {`loader "users"`, "Marshal of codec json: cause", "not stored", "WithCodec"},
		"Unmarshal": {`loader "users"`, "Unmarshal of codec json: cause", "a miss", "WithVersion"},
	}
	for op, want := range tests {
		err := &zodiac.CodecError{Loader: "users", Op: op, Codec: "json", Err: cause}
		checkErrorText(t, err, cause, want...)
	}
}

func TestStoreErrorSaysWhatFailedAndWhatToDo(t *testing.T) {
	cause := errors.New("cause")
	err := &zodiac.StoreError{Loader: "users", Op: "Commit", Err: cause}
	checkErrorText(t, err, cause, `loader "users"`, "Commit of the store: cause", "may still be carried out", "try again")
}

// An answeredError is an error reply of a Redis server.
type answeredError struct{ error }

func (answeredError) RedisError() {}

func TestOnlyAWriteWithoutAnAnswerMayStillBeCarriedOut(t *testing.T) {
	silent := context.DeadlineExceeded
	for _, tt := range []struct {
		op      string
		err     error
		unknown bool
	}{
		{"Set", silent, true},
		{"Delete", silent, true},
		{"Clear", silent, true},
		{"Publish", silent, true},
		{"Get", silent, false},
		{"GetMany", silent, false},
		{"Acquire", silent, false},
		{"Set", answeredError{errors.New("OOM")}, false},
		{"Set", fmt.Errorf("wrapped: %w", answeredError{errors.New("OOM")}), false},
	} {
		err := &zodiac.StoreError{Loader: "users", Op: tt.op, Err: tt.err}
		if says := strings.Contains(err.Error(), "may still be carried out"); says != tt.unknown {
			t.Errorf("%q says that it may still be carried out: %v; want %v", err, says, tt.unknown)
		}
	}
}

func checkErrorText(t *testing.T, err, cause error, want ...string) {
	t.Helper()
	if !errors.Is(err, cause) {
		t.Errorf("%v does not match its cause", err)
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not say %q", err, w)
		}
	}
}

func BenchmarkJSON(b *testing.B) {
	type user struct {
		ID     int64  `json:"id"`
		Name   string `json:"name"`
		Email  string `json:"email"`
		Active bool   `json:"active"`
	}
	v := &user{42, "Ann Example", "ann@example.com", true}
	data, err := zodiac.JSON.Marshal(v)
	if err != nil {
		b.Fatal(err)
	}
	for name, marshal := range map[string]func(any) ([]byte, error){"zodiac": zodiac.JSON.Marshal, "std": json.Marshal} {
		b.Run("op=marshal/by="+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := marshal(v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	for name, unmarshal := range map[string]func([]byte, any) error{"zodiac": zodiac.JSON.Unmarshal, "std": json.Unmarshal} {
		b.Run("op=unmarshal/by="+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := unmarshal(data, new(user)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
