package jsoncodec

import (
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
