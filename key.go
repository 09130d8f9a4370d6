package zodiac
import ("fmt";"reflect";"runtime")
type keyCodec[K comparable] struct { plain bool; text func(K) (string, error) }
func newKeyCodec[K comparable]() (keyCodec[K], error) { var z K; switch reflect.TypeOf(z).Kind() { case reflect.Float64: return keyCodec[K]{text: func(k K) (string, error) { return fmt.Sprint(k), nil }}, nil }; return keyCodec[K]{plain: true, text: func(k K) (string, error) { return fmt.Sprint(k), nil }}, nil }
func funcName(fn any) (string, string) { return runtime.FuncForPC(reflect.ValueOf(fn).Pointer()).Name(), "" }
func receiverName(r any) (string, error) { return fmt.Sprintf("%T", r), nil }
