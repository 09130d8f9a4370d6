package storetest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// TestRulesQuoteTheContract checks that each sentence of each rule is in a comment of package
// driver as it stands there. So a failure of the suite leads to the place that explains it.
func TestRulesQuoteTheContract(t *testing.T) {
	contract := comments(t, "../driver/*.go")
	for _, r := range rules() {
		for sentence := range strings.SplitAfterSeq(r.says, ". ") {
			if !strings.Contains(contract, strings.TrimSpace(sentence)) {
				t.Errorf("%s quotes what package driver does not say: %s", r.name, sentence)
			}
		}
	}
}

// comments returns the text of all comments in some files. Line breaks, bullets and the brackets of
// links are left out.
func comments(t *testing.T, files string) string {
	t.Helper()
	names, err := filepath.Glob(files)
	if err != nil || len(names) == 0 {
		t.Fatalf("%s: no files, %v", files, err)
	}
	var groups []*ast.CommentGroup
	for _, name := range names {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		groups = append(groups, file.Comments...)
	}
	var words []string
	for _, group := range groups {
		for word := range strings.FieldsSeq(group.Text()) {
			if word != "-" {
				words = append(words, word)
			}
		}
	}
	return strings.NewReplacer("[", "", "]", "").Replace(strings.Join(words, " "))
}
