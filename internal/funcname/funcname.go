// Package funcname finds a name for a function.
//
// A loader over a store takes the name of its fetch function as a part of its keys, unless it is
// given one. Such a name has to be the same in every build of every program that shares the store,
// and no other function may have it. So the package returns, beside a name, why it is not stable
// or not unique. It knows nothing of loaders and stores.
package funcname

import (
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strconv"
	"strings"
)

// Of returns the name of fn, "import/path.(*Service).GetUser", without
// the compiler's suffixes ("-fm" of method values, "[...]" of generic ones).
//
// If that name is not stable between builds or not unique between programs,
// unstable says why, so as to complete "the function is …"; it is empty if the
// name may serve as a key. What cannot be seen from a function, and so is not
// said: the value a method is bound to, the type behind an interface's method,
// and the type that a method value was promoted to ([Receiver] is for
// these).
func Of(fn any) (name, unstable string) {
	v := reflect.ValueOf(fn)
	if v.Kind() != reflect.Func {
		return "", "not a function"
	}
	if v.IsNil() {
		return "", "nil"
	}
	return read(runtime.FuncForPC(v.Pointer()).Name()) // "" if the runtime has no Func
}

// read is [Of] for a name as the linker writes it.
func read(symbol string) (name, unstable string) {
	if symbol == "" {
		return "", "unknown to the runtime"
	}
	symbol = strings.TrimSuffix(symbol, "-fm")
	if rest, ok := strings.CutPrefix(symbol, "go:"); ok {
		return unescapePath(rest), "a method of a type without a name"
	}
	// The path's last element has its dots escaped, so the first dot after the
	// last slash is where the path ends.
	end := strings.LastIndexByte(symbol, '/') + 1
	dot := strings.IndexByte(symbol[end:], '.')
	if dot < 0 {
		return unescapePath(symbol), "in no package"
	}
	path, local := unescapePath(symbol[:end+dot]), symbol[end+dot+1:]
	plain := strings.ReplaceAll(local, "[...]", "")
	name = path + "." + plain
	switch {
	case isClosure(plain):
		return name, "a closure"
	case isUnnamedPackage(path):
		return name, "in package main"
	case path == module:
		return name, "zodiac's own"
	case plain != local:
		return name, "generic"
	case strings.Contains(plain, "·"):
		return name, "a method of a type declared in a function"
	case name == "reflect.makeFuncStub" || name == "reflect.methodValueCall":
		return name, "made by package reflect"
	default:
		return name, ""
	}
}

// isClosure reports whether local, a function's name within its package, is one
// the compiler made up. Such names count the functions that stand before, and
// tell what was inlined where: "Make.func1", "Make.func1.2", "init.func3",
// "glob..func1", "Make.gowrap1", "caller.Make.func4", "Each-range1". Only the
// first part is never one of these: it is a name from the source, and func1 may
// be somebody's function.
func isClosure(local string) bool {
	if strings.Contains(local, "-range") {
		return true
	}
	_, rest, _ := strings.Cut(local, ".")
	for part := range strings.SplitSeq(rest, ".") {
		for _, prefix := range []string{"func", "gowrap", "deferwrap", ""} {
			if number, ok := strings.CutPrefix(part, prefix); ok && isDigits(number) {
				return true
			}
		}
	}
	return false
}

// module is the import path of zodiac's root package.
var module = strings.TrimSuffix(reflect.TypeFor[here]().PkgPath(), "/internal/funcname")

type here struct{}

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// isUnnamedPackage reports whether path is one that many programs share: main,
// and the names go build gives to packages it is handed as files.
func isUnnamedPackage(path string) bool {
	return path == "main" || path == "command-line-arguments" || strings.HasPrefix(path, "plugin/unnamed-")
}

// Receiver returns the dynamic type of r as "import/path.(*Service)" or
// "import/path.Service", type arguments included. Types declared in functions
// are not told apart by it. A nil interface and a type without a name are
// errors; a nil pointer has a type and is none.
func Receiver(r any) (string, error) {
	t := reflect.TypeOf(r)
	if t == nil {
		return "", errors.New("the receiver is nil and has no type")
	}
	elem, format := t, "%s"
	if t.Kind() == reflect.Pointer && t.Name() == "" {
		elem, format = t.Elem(), "(*%s)"
	}
	if elem.Name() == "" {
		return "", fmt.Errorf("the receiver's type %s has no name; use WithName", t)
	}
	name := fmt.Sprintf(format, unescapePath(elem.Name()))
	if path := elem.PkgPath(); path != "" {
		name = path + "." + name
	}
	return name, nil
}

// UnstableReceiver says of a name from [Receiver] what Of says of its
// own: why it cannot serve as a key, empty if it can. The function may come
// from a library where its receiver's type, or a type argument of that, does
// not.
func UnstableReceiver(name string) string {
	for part := range strings.FieldsFuncSeq(name, func(r rune) bool { return strings.ContainsRune("[](){},* ", r) }) {
		switch {
		case strings.Contains(part, "·"):
			return "of a type declared in a function"
		case isUnnamedPackage(part[:max(strings.LastIndexByte(part, '.'), 0)]):
			return "of a type in package main"
		}
	}
	return ""
}

// unescapePath undoes the linker's escapes in import paths: the dots of the
// last element, and whatever is not plain ASCII, are %xx in symbol names
// ("gopkg.in/yaml%2ev3").
func unescapePath(s string) string {
	var b strings.Builder
	for {
		plain, rest, found := strings.Cut(s, "%")
		b.WriteString(plain)
		if !found {
			return b.String()
		}
		s = rest
		if len(s) >= 2 {
			if c, err := strconv.ParseUint(s[:2], 16, 8); err == nil {
				b.WriteByte(byte(c))
				s = s[2:]
				continue
			}
		}
		b.WriteByte('%')
	}
}
