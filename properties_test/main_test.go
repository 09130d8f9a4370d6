// Package properties_test holds the laws that zodiac promises, as rapid properties and plain
// scenarios over its public surface. Tests are named for the promises P1 to P30 that they guard.
// Tests of other behaviour are named for that behaviour.
//
//   - model_test.go is a short model of a cache; machine_test.go runs it beside a real one, in
//     virtual time.
//   - model_store_test.go has the differences over a store; machine_store_test.go and
//     machine_server_test.go run that model.
//   - machine_processes_test.go runs processes over one store at once;
//     machine_processes_laws_test.go has the laws, without a model; machine_processes_many_test.go
//     and machine_processes_faults_test.go have the parts about many keys and about faults.
//   - samemeaning_test.go compares memory and stores; samemeaning_coverage_test.go sees to it that
//     every method and option takes part.
//   - history_test.go checks the results of goroutines in real time.
//   - promise_…_test.go: each promise by itself, in memory; store_…_test.go: over stores.
//
// For more runs of everything: go test ./properties_test -rapid.checks=10000.
package properties_test

import (
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// unflagged is set in a child process that never makes a context with a mode. Until the first such
// context in a process, hits take a shorter path. That path would not be tested after any test has
// made a mode.
var unflagged = os.Getenv("ZODIAC_PROPERTIES_UNFLAGGED") != ""

// checks is how many runs a rapid.Check is by default. Under the race detector a run takes three
// times as long, and races show in a few runs; make models runs all, without it.
var checks = func() int {
	if raceEnabled {
		return 12
	}
	return 100
}()

// setChecks gives -rapid.checks its default, if the command line has none.
func setChecks() {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if !given {
		_ = flag.Set("rapid.checks", strconv.Itoa(checks))
	}
}

// checkMore is rapid.Check several times over, for properties that draw much. In a short run it is
// one time.
func checkMore(t *testing.T, times int, prop func(*rapid.T)) {
	t.Helper()
	if testing.Short() {
		times = 1
	}
	for range times {
		rapid.Check(t, prop)
	}
}

// checkTimes is rapid.Check of a property that runs the given number of times by default: fewer
// under the race detector, and at most a hundred times in a short run.
func checkTimes(t *testing.T, times int, prop func(*rapid.T)) {
	t.Helper()
	if times > 100 {
		checkMore(t, times/100, prop)
		return
	}
	times = times * checks / 100
	runs, failed := 0, false
	rapid.Check(t, func(t *rapid.T) {
		if runs++; runs > times && !failed && flag.Lookup("rapid.checks").Value.String() == strconv.Itoa(checks) {
			return // more runs only for a run that asks for more than the default
		}
		defer func() { failed = failed || t.Failed() }() // a failure is run again, and made smaller
		prop(t)
	})
}

// needsModes skips a test that would make the first context with a mode.
func needsModes(t *testing.T) {
	t.Helper()
	if unflagged {
		t.Skip("this process makes no modes")
	}
}

// TestHitsBeforeAnyModeIsUsed runs the tests that need no modes once more, in a process that never
// makes a mode.
func TestHitsBeforeAnyModeIsUsed(t *testing.T) {
	if unflagged {
		t.Skip("this is that process")
	}
	args := []string{"-test.run=^(TestMachine|TestSmall|TestHistory|TestP24)"}
	for _, a := range os.Args[1:] {
		if strings.HasPrefix(a, "-rapid.") || strings.HasPrefix(a, "-test.short") {
			args = append(args, a)
		}
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), "ZODIAC_PROPERTIES_UNFLAGGED=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("without modes: %v\n%s", err, out)
	}
}

// TestMain fails a run that leaves goroutines behind.
func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler)) // faults are what most tests are about
	setChecks()
	code := m.Run()
	if code == 0 {
		if left := leftovers(2 * time.Second); left != "" {
			fmt.Fprintf(os.Stderr, "goroutines left behind:\n%s\n", left)
			code = 1
		}
	}
	os.Exit(code)
}

// leftovers returns the stacks of this module's goroutines, after some time in which they may end.
func leftovers(patience time.Duration) string {
	deadline := time.Now().Add(patience)
	for {
		left := ourGoroutines()
		if left == "" || time.Now().After(deadline) {
			return left
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func ourGoroutines() string {
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	var ours []string
	for i, g := range strings.Split(string(buf), "\n\n") {
		if i > 0 && strings.Contains(g, "zodiac-go/zodiac") { // the first is the calling goroutine
			ours = append(ours, g)
		}
	}
	return strings.Join(ours, "\n\n")
}
