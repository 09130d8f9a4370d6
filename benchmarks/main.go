// Command benchmarks compares zodiac with other caches.
//
//	go run .                          # all questions but long, about ten minutes
//	go run . -only=hit,miss           # some questions
//	go run . -only=ratio -traces=dir  # hit ratios on recorded traces too
//	go run . -only=long -minutes=30   # hits for half an hour
//
// For each question it prints a table and draws a chart. README.md says what each column counts.
//
// In each round of a measurement, each contestant is measured once, one after another. Each round
// begins with another contestant. A table shows the median of the figures over the rounds, and the
// median of the ratios to otter within the same round. If the machine is slower for a while, it is
// slower for all contestants. So ratios can be compared between runs and machines. Nanoseconds
// cannot.
//
// # What it must not know
//
// The program uses every library, zodiac included, through its exported API. Questions measure a
// library only through its adapter, a [Cache]. text.go and context.go also call zodiac directly, to
// set up what other libraries do not have.
//
// # Invariants
//
//   - A measurement runs the same code for all contestants. What differs is in the adapters, and
//     for ratio also in when it calls Drain.
//   - The sum of the values in a batch of reads is checked. A wrong sum ends the program.
//   - Only one contestant is measured at a time, except for ratio, which measures no time.
//
// # Processes and goroutines
//
// A measurement starts a goroutine for each core and waits for it. cold also starts one for each
// caller, and one that reads other keys, and waits for all. bytes and context run in processes of
// their own, one at a time, which the program waits for. ratio replays traces in a goroutine for
// each core and waits for them. The goroutines of a cache end with its Close, if the library can
// end them.
//
// # Where to start reading
//
// contestant.go says what a contestant is, and measure.go how one is measured. hit.go is the model
// of a question. The other questions, and the adapters, have a file each.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// A bench holds the settings of a run.
type bench struct {
	out     io.Writer
	rounds  int
	cell    time.Duration // how long one contestant is measured in one round
	quick   bool          // use sizes so small that the figures mean nothing
	seed    uint64        // of keys and synthetic traces
	keys    int           // number of keys for hit, text and long
	replays int           // of each case of ratio
	minutes float64       // length of long
	traces  string        // folder of recorded traces, or ""
	charts  string        // folder to draw charts to, or ""
}

// size returns n, or small in a quick run.
func (b *bench) size(n, small int) int {
	if b.quick {
		return small
	}
	return n
}

// A question is something to measure. It has a table of its own; ratio has two.
type question struct {
	name     string
	run      func(*bench) error
	onDemand bool // runs only when named by -only
}

// questions are in the order they run.
var questions = []question{
	{name: "hit", run: (*bench).hit},
	{name: "text", run: (*bench).text},
	{name: "context", run: (*bench).context},
	{name: "cold", run: (*bench).cold},
	{name: "miss", run: (*bench).miss},
	{name: "set", run: (*bench).set},
	{name: "bytes", run: (*bench).bytes},
	{name: "ratio", run: (*bench).ratio},
	{name: "long", run: (*bench).long, onDemand: true},
}

func main() {
	runIfChild()
	if err := run(os.Args[1:], os.Stdout); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "benchmarks:", err)
		}
		os.Exit(1)
	}
}

// run is main, with the arguments and the output as parameters.
func run(args []string, out io.Writer) error {
	b, chosen, err := parse(args, out)
	if err != nil {
		return err
	}
	b.printf("%s\n", surroundings())
	for _, q := range chosen {
		start := time.Now()
		if err := q.run(b); err != nil {
			return fmt.Errorf("%s: %w", q.name, err)
		}
		b.printf("(%s took %v)\n", q.name, time.Since(start).Round(100*time.Millisecond))
	}
	return nil
}

// parse returns the settings and the questions to run, in order.
func parse(args []string, out io.Writer) (*bench, []question, error) {
	b := &bench{out: out}
	flags := flag.NewFlagSet("benchmarks", flag.ContinueOnError)
	flags.IntVar(&b.rounds, "rounds", 5, "rounds of each measurement")
	flags.DurationVar(&b.cell, "cell", 100*time.Millisecond, "how long one contestant is measured in one round")
	flags.BoolVar(&b.quick, "quick", false,
		"use tiny sizes: shows that the program works, and nothing about the caches")
	flags.Uint64Var(&b.seed, "seed", 1, "seed of key sequences and synthetic traces")
	flags.IntVar(&b.keys, "keys", 10_000, "number of keys for the questions hit, text and long")
	flags.IntVar(&b.replays, "replays", 3, "replays of each case of the question ratio, which shows their mean")
	flags.Float64Var(&b.minutes, "minutes", 10, "length of the question long, in minutes")
	flags.StringVar(&b.traces, "traces", "",
		"folder of recorded traces (*.trace, *.trace.xz) for the question ratio")
	flags.StringVar(&b.charts, "charts", "../docs",
		`folder to draw charts to; "" draws none, which is the default with -quick`)
	only := flags.String("only", "",
		"questions to run, separated by commas: "+names()+" (default: all but long)")
	skip := flags.String("skip", "", "questions not to run, separated by commas")
	if err := flags.Parse(args); err != nil {
		return nil, nil, err
	}
	if b.rounds < 1 || b.replays < 1 || b.keys < 1 {
		return nil, nil, errors.New("-rounds, -replays and -keys must be at least 1")
	}
	if b.quick {
		b.shrink(flags)
	}
	chosen, err := choose(*only, *skip)
	return b, chosen, err
}

// shrink sets the flags to the defaults of a quick run, except those given on the command line.
func (b *bench) shrink(flags *flag.FlagSet) {
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	small := map[string]string{
		"rounds": "2", "replays": "1", "keys": "1000", "cell": "2ms", "charts": "", "minutes": "0.02",
	}
	for name, value := range small {
		if !given[name] {
			_ = flags.Set(name, value) // cannot fail: parse has defined each flag, with that type
		}
	}
}

// choose returns the questions that -only and -skip select, in the order they run.
func choose(only, skip string) (chosen []question, err error) {
	wanted, unwanted := list(only), list(skip)
	for _, name := range slices.Concat(wanted, unwanted) {
		if !slices.ContainsFunc(questions, func(q question) bool { return q.name == name }) {
			return nil, fmt.Errorf("no question %q; the questions are %s", name, names())
		}
	}
	for _, q := range questions {
		named := slices.Contains(wanted, q.name)
		if (named || len(wanted) == 0 && !q.onDemand) && !slices.Contains(unwanted, q.name) {
			chosen = append(chosen, q)
		}
	}
	return chosen, nil
}

// list splits a list at commas and spaces.
func list(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}

// names returns the names of all questions, separated by commas.
func names() string {
	var all []string
	for _, q := range questions {
		all = append(all, q.name)
	}
	return strings.Join(all, ", ")
}

// printf writes to the output. It ignores errors, since there is nowhere else to report them.
func (b *bench) printf(format string, args ...any) {
	_, _ = fmt.Fprintf(b.out, format, args...)
}

// surroundings describes what the figures depend on: the Go version, the machine, and the
// versions of the libraries.
func surroundings() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s %s/%s, %d CPUs", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return s.String()
	}
	for _, d := range info.Deps {
		for _, peer := range []string{"otter", "theine", "ristretto", "golang-lru", "sturdyc", "ttlcache", "xsync"} {
			if strings.Contains(d.Path, "/"+peer) {
				fmt.Fprintf(&s, ", %s %s", peer, d.Version)
			}
		}
	}
	return s.String()
}
