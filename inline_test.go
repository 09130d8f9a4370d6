package zodiac_test

import (
	"os/exec"
	"regexp"
	"testing"
)

// A hit calls small functions of other packages. They must be inlined where the code of the Loader
// is compiled, in the user's package; see instantiate.
func TestHitsInlineFunctionsOfOtherPackages(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles a program")
	}
	cmd := exec.CommandContext(t.Context(), "go", "build", "-gcflags=-m", "-o", t.TempDir(), "./examples/quickstart")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		`loader\.go.* inlining call to striped\.\(\*Counter\)\.Add`,
		`tier\.go.* inlining call to coarse\.\(\*Clock\)\.Before`,
	} {
		if !regexp.MustCompile(want).Match(out) {
			t.Errorf("go build -gcflags=-m prints nothing like %s", want)
		}
	}
}
