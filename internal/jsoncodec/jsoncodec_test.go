package jsoncodec

import (
	stdjson "encoding/json"
	"errors"
	"math"
	"reflect"
	"testing"
)

func TestValuesComeBackAsTheyWere(t *testing.T) {
	var nothing []int
	for name, want := range map[string]any{
		"nil-slice":                nothing,
		"empty-slice":              []int{},
		"nil-map":                  map[string]int(nil),
		"pointer-to-nil-slice":     &nothing,
		"pointer-to-empty-slice":   &[]int{},
		"largest-float32":          float32(math.MaxFloat32),
		"characters-of-html":       "<a&b>",
		"struct-of-pointer-to-nil": struct{ P *int }{},
	} {
		t.Run(name, func(t *testing.T) {
			v := reflect.New(reflect.TypeOf(want))
			v.Elem().Set(reflect.ValueOf(want))
			data, err := Codec{}.Marshal(v.Interface())
			if err != nil {
				t.Fatal(err)
			}
			got := reflect.New(reflect.TypeOf(want))
			if err := (Codec{}).Unmarshal(data, got.Interface()); err != nil || !reflect.DeepEqual(got.Elem().Interface(), want) {
				t.Errorf("%s came back as %#v, %v; want %#v", data, got.Elem().Interface(), err, want)
			}
		})
	}
}

func TestHTMLIsNotEscaped(t *testing.T) {
	text := "<a&b>"
	if data, err := (Codec{}).Marshal(&text); string(data) != `"<a&b>"` || err != nil {
		t.Errorf("Marshal = %s, %v", data, err)
	}
}

// A collected value appends what it is decoded from.
type collected []string

func (c *collected) UnmarshalJSON(data []byte) error {
	*c = append(*c, string(data))
	return nil
}

func TestSecondDecodingBeginsAnew(t *testing.T) {
	var v struct {
		First collected
		Last  float32 // goccy/go-json refuses it, after it has decoded the first field
	}
	data := []byte(`{"First":1,"Last":3.4028235e+38}`)
	err := Codec{}.Unmarshal(data, &v)
	if err != nil || !reflect.DeepEqual(v.First, collected{"1"}) || v.Last != math.MaxFloat32 {
		t.Errorf("Unmarshal = %v, %+v; want every field decoded once", err, v)
	}
}

func TestUnmarshalIntoNoPointerIsAnError(t *testing.T) {
	for _, data := range []string{"null", "1", "{"} {
		for _, v := range []any{nil, 3, (*int)(nil), (**int)(nil)} {
			err := Codec{}.Unmarshal([]byte(data), v)
			if _, ok := errors.AsType[*stdjson.InvalidUnmarshalError](err); !ok && data != "{" ||
				err == nil {
				t.Errorf("Unmarshal of %s into a %T = %v; want an InvalidUnmarshalError",
					data, v, err)
			}
		}
	}
}

// Records name their codec. With another name they would be of no use.
func TestNameStays(t *testing.T) {
	if name := (Codec{}).Name(); name != "json" {
		t.Errorf("Name = %q; want json", name)
	}
}
