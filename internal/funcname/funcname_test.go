package funcname

// In-package: how functions and receivers are named is seen from outside only
// through stores' keys.

import (
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	svc "github.com/zodiac-go/zodiac/internal/funcname/testdata/svc.v3"
)

const svcPath = "github.com/zodiac-go/zodiac/internal/funcname/testdata/svc.v3"

func TestFuncNameIsImportPathAndName(t *testing.T) {
	service := &svc.Service{}
	var getter svc.Getter = service
	tests := []struct {
		name string
		fn   any
		want string
	}{
		{"function", svc.Plain, svcPath + ".Plain"},
		{"function-of-one-inlined-call", svc.Wrap1, svcPath + ".Wrap1"},
		{"another-of-the-same-call", svc.Wrap2, svcPath + ".Wrap2"},
		{"function-beyond-ascii", svc.Größe, svcPath + ".Größe"},
		{"function-called-func1", svc.Func1, svcPath + ".func1"},
		{"function-of-the-standard-library", time.Now, "time.Now"},
		{"function-under-a-slash", io.ReadAll, "io.ReadAll"},
		{"method-value", service.Get, svcPath + ".(*Service).Get"},
		{"method-value-on-value", service.GetValue, svcPath + ".Service.GetValue"},
		{"method-expression", (*svc.Service).Get, svcPath + ".(*Service).Get"},
		{"method-expression-on-value", svc.Service.GetValue, svcPath + ".Service.GetValue"},
		{"method-expression-on-pointer-to-value", (*svc.Service).GetValue, svcPath + ".(*Service).GetValue"},
		{"method-of-function-type", svc.Func(svc.Plain).Get, svcPath + ".Func.Get"},
		{"promoted-method-value-has-the-inner-type", (&svc.Outer{}).Get, svcPath + ".(*Service).Get"},
		{"promoted-method-expression-has-the-outer-type", (*svc.Outer).Get, svcPath + ".(*Outer).Get"},
		{"method-expression-promoted-from-generic", (*svc.Services).Get, svcPath + ".(*Services).Get"},
		{"interface-method-value", getter.Get, svcPath + ".Getter.Get"},
		{"interface-method-expression", svc.Getter.Get, svcPath + ".Getter.Get"},
		{"method-by-reflect-type", methodOf(service, "Get"), svcPath + ".(*Service).Get"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if name, unstable := Of(tt.fn); name != tt.want || unstable != "" {
				t.Errorf("Of = %q, %q; want %q, stable", name, unstable, tt.want)
			}
		})
	}
}

// methodOf returns the method expression that reflection finds by name.
func methodOf(receiver any, name string) any {
	method, _ := reflect.TypeOf(receiver).MethodByName(name)
	return method.Func.Interface()
}

func TestFuncNameSaysWhyANameIsUnstable(t *testing.T) {
	service := &svc.Service{}
	repo := &svc.Repo[int64]{}
	var body any
	svc.Body(func(b any) { body = b })
	tests := []struct {
		name     string
		fn       any
		want     string // "" for names that differ with what the compiler inlines
		unstable string
	}{
		{"closure", svc.Closure(1), svcPath + ".Closure.func1", "a closure"},
		{"closure-in-method", service.Closure(), svcPath + ".(*Service).Closure.func1", "a closure"},
		{"closure-inlined", svc.Inlined(1), "", "a closure"},
		{"closure-in-closure", svc.Nested(1), "", "a closure"},
		{"closure-in-range", svc.Ranged(func(yield func(int64) bool) { yield(1) }), "", "a closure"},
		{"closure-in-generic-method", repo.Closure(), svcPath + ".(*Repo).Closure.func1", "a closure"},
		{"closure-in-variable", svc.Var, svcPath + ".init.func1", "a closure"},
		{"closure-in-init", svc.Init, svcPath + ".init.0.func1", "a closure"},
		{"closure-in-this-package", func() {}, "", "a closure"},
		{"body-of-range", body, svcPath + ".Body-range1", "a closure"},
		{"generic-function", svc.Generic[int64], svcPath + ".Generic", "generic"},
		{"method-value-of-generic-type", repo.Get, svcPath + ".(*Repo).Get", "generic"},
		{"method-expression-of-generic-type", (*svc.Repo[int64]).Get, svcPath + ".(*Repo).Get", "generic"},
		{"method-value-promoted-from-generic", (&svc.Services{}).Get, svcPath + ".(*Repo).Get", "generic"},
		{"method-of-local-type", svc.Local(), "", "a method of a type declared in a function"},
		{"method-of-unnamed-type", svc.Unnamed(), "(*struct { *" + svcPath + ".Service }).Get", "a method of a type without a name"},
		{"method-by-reflect-value", reflect.ValueOf(service).MethodByName("Get").Interface(), "reflect.methodValueCall", "made by package reflect"},
		{"made-by-reflect", reflect.MakeFunc(reflect.TypeFor[svc.Fetch](), nil).Interface(), "reflect.makeFuncStub", "made by package reflect"},
		{"nil-function", svc.Fetch(nil), "", "nil"},
		{"nil", nil, "", "not a function"},
		{"not-a-function", 7, "", "not a function"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			name, unstable := Of(tt.fn)
			if tt.want != "" && name != tt.want || unstable != tt.unstable {
				t.Errorf("Of = %q, %q; want %q, %q", name, unstable, tt.want, tt.unstable)
			}
			if strings.HasSuffix(name, "-fm") || strings.Contains(name, "[") || strings.Contains(name, "%2e") {
				t.Errorf("Of = %q; want no suffixes and no escapes", name)
			}
		})
	}
}

// The names of functions that cannot stand in this package's tests, as they
// were seen in other programs.
func TestFuncNameIsReadFromTheLinkersSymbol(t *testing.T) {
	tests := []struct{ symbol, name, unstable string }{
		{"gopkg.in/yaml%2ev3.Unmarshal", "gopkg.in/yaml.v3.Unmarshal", ""},
		{"gopkg.in/yaml%2ev3.(*Decoder).Decode-fm", "gopkg.in/yaml.v3.(*Decoder).Decode", ""},
		{"example.com/a.b/c.Get", "example.com/a.b/c.Get", ""},
		{"example.com/gr%c3%b6%c3%9fe.Get", "example.com/größe.Get", ""},
		{"example.com/50%25.Get", "example.com/50%.Get", ""},
		{"example.com/init/main.Get", "example.com/init/main.Get", ""},
		{"example.com/p.Get1", "example.com/p.Get1", ""},
		{"example.com/p.T.func_1", "example.com/p.T.func_1", ""},
		{"example.com/p.T.funcs", "example.com/p.T.funcs", ""},
		{"main.fetch", "main.fetch", "in package main"},
		{"main.(*app).Get-fm", "main.(*app).Get", "in package main"},
		{"main.main.func1", "main.main.func1", "a closure"},
		{"main.main.(*Service).Make.func5", "main.main.(*Service).Make.func5", "a closure"},
		{"main.main.Range.main.func1.main.Range-range1.func8", "main.main.Range.main.func1.main.Range-range1.func8", "a closure"},
		{"command-line-arguments.Get", "command-line-arguments.Get", "in package main"},
		{"plugin/unnamed-6f0c1ab2.Get", "plugin/unnamed-6f0c1ab2.Get", "in package main"},
		{"example.com/p.glob..func1", "example.com/p.glob..func1", "a closure"},
		{"example.com/p.init.0.func1", "example.com/p.init.0.func1", "a closure"},
		{"example.com/p.Make.func1.2", "example.com/p.Make.func1.2", "a closure"},
		{"example.com/p.Make.gowrap1", "example.com/p.Make.gowrap1", "a closure"},
		{"example.com/p.Make.deferwrap2", "example.com/p.Make.deferwrap2", "a closure"},
		{"example.com/p.Each-range1", "example.com/p.Each-range1", "a closure"},
		{"example.com/p.Make[...].func1", "example.com/p.Make.func1", "a closure"},
		{"example.com/p.(*T·8).Get", "example.com/p.(*T·8).Get", "a method of a type declared in a function"},
		{"github.com/zodiac-go/zodiac.(*Loader[...]).Get-fm", "github.com/zodiac-go/zodiac.(*Loader).Get", "zodiac's own"},
		{"github.com/zodiac-go/zodiac.Add[...]", "github.com/zodiac-go/zodiac.Add", "zodiac's own"},
		{"github.com/zodiac-go/zodiac.Bypass", "github.com/zodiac-go/zodiac.Bypass", "zodiac's own"},
		{"github.com/zodiac-go/zodiac_test.fetch", "github.com/zodiac-go/zodiac_test.fetch", ""},
		{"github.com/zodiac-go/zodiac/memstore.New", "github.com/zodiac-go/zodiac/memstore.New", ""},
		{"memeqbody", "memeqbody", "in no package"},
		{"", "", "unknown to the runtime"},
	}
	for _, tt := range tests {
		t.Run(strings.ReplaceAll(tt.symbol, "/", "_"), func(t *testing.T) {
			if name, unstable := read(tt.symbol); name != tt.name || unstable != tt.unstable {
				t.Errorf("read = %q, %q; want %q, %q", name, unstable, tt.name, tt.unstable)
			}
		})
	}
}

func TestReceiverNameIsTheDynamicType(t *testing.T) {
	var getter svc.Getter = &svc.Outer{}
	tests := []struct {
		name     string
		receiver any
		want     string
	}{
		{"pointer", &svc.Service{}, svcPath + ".(*Service)"},
		{"nil-pointer", (*svc.Service)(nil), svcPath + ".(*Service)"},
		{"value", svc.Service{}, svcPath + ".Service"},
		{"interface", getter, svcPath + ".(*Outer)"},
		{"function", svc.Func(nil), svcPath + ".Func"},
		{"generic", &svc.Repo[int64]{}, svcPath + ".(*Repo[int64])"},
		{"generic-over-named", svc.Repo[svc.Service]{}, svcPath + ".Repo[" + svcPath + ".Service]"},
		{"predeclared", 7, "int"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := Receiver(tt.receiver); got != tt.want || err != nil {
				t.Errorf("Receiver = %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

func TestReceiverWithoutANameIsAnError(t *testing.T) {
	service := &svc.Service{}
	for _, receiver := range []any{nil, struct{ *svc.Service }{}, &struct{ *svc.Service }{}, &service, []int{}} {
		if name, err := Receiver(receiver); err == nil {
			t.Errorf("Receiver(%T) = %q; want an error", receiver, name)
		}
	}
}

func TestReceiverNameOfProgramsOwnTypesIsUnstable(t *testing.T) {
	tests := []struct{ name, want string }{
		{"example.com/p.(*Service)", ""},
		{"example.com/main.(*Service)", ""},
		{"example.com/p.(*Repo[map[string]*example.com/p.User])", ""},
		{"main.Service", "of a type in package main"},
		{"main.(*Service)", "of a type in package main"},
		{"command-line-arguments.(*Service)", "of a type in package main"},
		{"example.com/p.(*Repo[main.User])", "of a type in package main"},
		{"example.com/p.Pair[int,*main.User]", "of a type in package main"},
		{"example.com/p.Pair[map[main.ID]string,int]", "of a type in package main"},
		{"int", ""},
	}
	for _, tt := range tests {
		if got := UnstableReceiver(tt.name); got != tt.want {
			t.Errorf("UnstableReceiver(%q) = %q; want %q", tt.name, got, tt.want)
		}
	}
	name, err := Receiver(svc.LocalRepo())
	if got := UnstableReceiver(name); got != "of a type declared in a function" || err != nil {
		t.Errorf("UnstableReceiver(%q) = %q, %v; want a type declared in a function", name, got, err)
	}
}

// linkerPath escapes an import path as the linker does.
func linkerPath(path string) string {
	var b strings.Builder
	slash := strings.LastIndexByte(path, '/')
	for i := range len(path) {
		if c := path[i]; c <= ' ' || c == '.' && i > slash || c == '%' || c == '"' || c >= 0x7F {
			fmt.Fprintf(&b, "%%%02x", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// A name is a function of the import path and the name in the source alone:
// no escape and no suffix of the toolchain's is left in it.
func FuzzFuncNameIsPathAndName(f *testing.F) {
	f.Add("example.com/p", "Get")
	f.Add("gopkg.in/yaml.v3", "(*Decoder).Decode")
	f.Add("größe/50%", "Größe")
	f.Add("main", "fetch")
	f.Add("a", "Make.func1")
	f.Add("a", "[...]")
	f.Add("a", "%2e")
	f.Fuzz(func(t *testing.T, path, local string) {
		symbol := linkerPath(path) + "." + local
		if strings.HasPrefix(symbol, "go:") || strings.HasSuffix(local, "-fm") || strings.Contains(local, "/") {
			t.Skip()
		}
		want := path + "." + strings.ReplaceAll(local, "[...]", "")
		name, unstable := read(symbol)
		if name != want {
			t.Errorf("read(%q) = %q; want %q", symbol, name, want)
		}
		if again, why := read(symbol + "-fm"); again != name || why != unstable {
			t.Errorf("read(%q) = %q, %q; of its method value %q, %q", symbol, name, unstable, again, why)
		}
		if strings.Contains(local, "[...]") && unstable == "" {
			t.Errorf("read(%q) = %q, stable; want generic", symbol, name)
		}
	})
}
