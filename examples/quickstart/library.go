package main

import (
	"bytes"
	"context"
	"fmt"
	"go/ast"
	"go/build"
	"go/doc"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
)

// A Package is what the program wants to know about a package.
type Package struct {
	Exported int // names of types, functions and methods
	Lines    int
}

func (p Package) String() string {
	return fmt.Sprintf("%s names, %s lines", commas(p.Exported), commas(p.Lines))
}

// A library is the source of Go's standard library.
type library struct {
	src    string       // its directory
	parsed atomic.Int64 // calls of parse
}

func findLibrary(ctx context.Context) (*library, error) {
	env := exec.CommandContext(ctx, "go", "env", "GOROOT")
	env.Stderr = os.Stderr
	root, err := env.Output()
	if err != nil {
		return nil, fmt.Errorf("asking go env where Go is: %w", err)
	}
	src := filepath.Join(strings.TrimSpace(string(root)), "src")
	if _, err := os.Stat(filepath.Join(src, "net", "http")); err != nil {
		return nil, fmt.Errorf("the source of the standard library is not installed: %w", err)
	}
	return &library{src: src}, nil
}

// parse reads and parses all of a package but its tests. It knows nothing of zodiac. It might as
// well ask a database or a server. Its error matches fs.ErrNotExist if there is no such package.
func (l *library) parse(ctx context.Context, path string) (Package, error) {
	l.parsed.Add(1)
	dir := filepath.Join(l.src, filepath.FromSlash(path))
	entries, err := os.ReadDir(dir)
	if err != nil {
		return Package{}, err
	}
	var p Package
	var files []*ast.File
	fset := token.NewFileSet()
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return Package{}, err // nobody waits for the result any more
		}
		wanted, err := build.Default.MatchFile(dir, e.Name()) // Go source for this system
		if err != nil {
			return Package{}, err
		}
		if !wanted || !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return Package{}, err
		}
		file, err := parser.ParseFile(fset, e.Name(), text, parser.ParseComments)
		if err != nil {
			return Package{}, err
		}
		files = append(files, file)
		p.Lines += bytes.Count(text, []byte("\n"))
	}
	api, err := doc.NewFromFiles(fset, files, path)
	if err != nil {
		return Package{}, err
	}
	p.Exported = len(api.Funcs) + len(api.Types)
	for _, t := range api.Types {
		p.Exported += len(t.Funcs) + len(t.Methods)
	}
	return p, nil
}
