package properties_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/zodiac-go/zodiac"
)

// What differs between memory and stores by design. docs/guarantees.md has a table of these names.
const (
	excuseEnded        = "a context that has ended"
	excuseErrors       = "remembered errors"
	excuseCapacity     = "Len and capacity"
	excuseHits         = "where a hit was"
	excuseSkip         = "after a skip"
	excuseDiscarded    = "a discarded fetch that callers have joined"
	excuseDeletedTag   = "records of deleted tags"
	excuseRefusedTwice = "a copy that ValidIf refuses"
	excuseMillisecond  = "the last millisecond"
	excuseStores       = "settings of stores"
	excuseEvents       = "events"
	excuseChance       = "chance"
)

var excuses = []string{
	excuseEnded, excuseErrors, excuseCapacity, excuseHits, excuseSkip, excuseDiscarded, excuseDeletedTag, excuseRefusedTwice,
	excuseMillisecond, excuseStores, excuseEvents, excuseChance,
}

// sameMethods are the methods that no step of TestSameMeaning calls, and where else they are
// compared, or why they are not.
var sameMethods = map[string]string{
	"Close": "doClose",
	"Len":   excuseCapacity,
}

// sameOptions has every option, and every function that returns a context or takes a Cache: how it
// takes part in TestSameMeaning, or why it does not. What is not an excuse is a part of the test.
var sameOptions = map[string]string{
	"CacheNil": "drawConfig", "NoneIf": "drawConfig", "SkipIf": "drawConfig", "ValidIf": "drawConfig",
	"WithClone": "drawConfig", "WithFetchTimeout": "drawConfig", "WithNoneTTL": "drawConfig", "WithSliding": "drawConfig",
	"WithTTL": "drawConfig, setOptions", "WithTTLFunc": "drawConfig", "WithTags": "drawConfig, setOptions",
	"WithTagsFunc": "drawConfig", "WithKey": "newSubject", "WithName": "options", "WithVersion": "TestSameMeaning",
	"Add": "doAdd",

	"WithMode": "drawRead", "Bypass": "drawRead, by WithMode", "Overwrite": "drawRead, by WithMode",
	"ReadOnly": "drawRead, by WithMode", "NoWrite": "drawRead, by WithMode", "CollectStats": "join",

	"WithErrorTTL":   excuseErrors,
	"WithFetchLimit": "TestNoMoreFetchesThanTheLimitRunAtOnce, in every tier",
	"WithCapacity":   excuseCapacity,
	"WithJitter":     excuseChance,

	"WithStore": "join", "WithMemory": "join",
	"WithCodec": excuseStores, "WithMaxBytes": excuseStores, "WithLease": excuseStores, "WithWait": excuseStores,
	"NoWait": excuseStores, "WithGuard": excuseStores, "WithStoreTimeout": excuseStores, "FailClosed": excuseStores,
	"IncludeReceiver": excuseStores, "IgnoreShape": excuseStores,

	"WithObserver": excuseEvents, "WithLogger": excuseEvents,
}

func TestSameMeaningCallsEveryMethod(t *testing.T) {
	called := maps.Clone(sameMethods)
	for name, a := range new(fleet).actions() {
		for _, method := range a.methods {
			called[method] = name
		}
	}
	for m := range reflect.TypeFor[*zodiac.Loader[int, int64]]().Methods() {
		if called[m.Name] == "" {
			t.Errorf("TestSameMeaning does not call %s: add a step to fleet.actions, or an excuse", m.Name)
		}
		delete(called, m.Name)
	}
	for _, function := range []string{"Add", "CollectStats"} { // they are no methods
		delete(called, function)
	}
	for name := range called {
		t.Errorf("TestSameMeaning is to call %s, which is no method of a Loader", name)
	}
}

// exported returns the names of the exported functions of the package for which keep is true.
func exported(t *testing.T, keep func(params, results []string) bool) (names []string) {
	t.Helper()
	files, err := filepath.Glob("../*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files of the package: %v", err)
	}
	fset := token.NewFileSet()
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if ok && f.Recv == nil && f.Name.IsExported() && keep(typeNames(f.Type.Params), typeNames(f.Type.Results)) {
				names = append(names, f.Name.Name)
			}
		}
	}
	return names
}

// typeNames returns the types of parameters or results, without their type arguments.
func typeNames(fields *ast.FieldList) (names []string) {
	if fields == nil {
		return nil
	}
	for _, f := range fields.List {
		e := f.Type
		if p, ok := e.(*ast.StarExpr); ok {
			e = p.X
		}
		switch x := e.(type) {
		case *ast.IndexListExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		}
		switch x := e.(type) {
		case *ast.Ident:
			names = append(names, x.Name)
		case *ast.SelectorExpr:
			names = append(names, x.Sel.Name)
		}
	}
	return names
}

func TestSameMeaningKnowsEveryOption(t *testing.T) {
	names := exported(t, func(params, results []string) bool {
		return slices.Contains(results, "Option") || slices.Contains(results, "SetOption") ||
			slices.Contains(results, "Context") || slices.Contains(params, "Cache")
	})
	if len(names) < 30 || !slices.Contains(names, "WithTTL") || !slices.Contains(names, "Add") {
		t.Fatalf("the exported functions are %v; some are missing", names)
	}
	for _, name := range names {
		if sameOptions[name] == "" {
			t.Errorf("TestSameMeaning does not know %s: give it a part in sameOptions, or an excuse", name)
		}
	}
	for name := range sameOptions {
		if !slices.Contains(names, name) {
			t.Errorf("sameOptions has %s, which does not exist", name)
		}
	}
}

// The documentation lists exactly the differences that the test excuses.
func TestExcusesAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../docs/guarantees.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## Where memory and stores differ\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var listed []string
	for _, row := range regexp.MustCompile(`(?m)^\| \*\*(.+?)\*\* \|`).FindAllStringSubmatch(section, -1) {
		listed = append(listed, row[1])
	}
	if want := slices.Sorted(slices.Values(excuses)); !slices.Equal(slices.Sorted(slices.Values(listed)), want) {
		t.Errorf("docs/guarantees.md lists %q;\nthe excuses are %q", listed, want)
	}
}
