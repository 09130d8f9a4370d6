// Command benchmarks measures zodiac beside its peers.
//
//	go run .                          # everything but the long run, about ten minutes
//	go run . -only=hit,miss           # some questions
//	go run . -only=ratio -traces=dir  # hit ratios on recorded traces too
//	go run . -only=long -minutes=30   # hits for half an hour
//
// It prints a table per question and draws a chart of each. Ratios are taken within the run: in each round every
// contestant is measured once, one after the other, beginning with another one each time; a table shows the median
// over the rounds of the ratio to otter in the same round, and the median of the figure itself. So a machine that is
// slower for a while is slower for all of them, and a ratio can be compared between runs and machines where
// nanoseconds cannot.
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

// bench is the settings of a run.
type bench struct {
	out     io.Writer
	rounds  int
	cell    time.Duration // how long one contestant is measured in one round
	quick   bool          // sizes so small that the figures mean nothing
	seed    uint64
	keys    int // of the questions hit, text and long
	replays int // of each case of the question ratio
	minutes float64
	traces  string // folder of recorded traces, or ""
	charts  string // folder to draw charts to, or ""
}

// size returns n, or small in a quick run.
func (b *bench) size(n, small int) int {
	if b.quick {
		return small
	}
	return n
}

// question is one thing to find out, with a table of its own.
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

// run is main with its surroundings as arguments.
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

func parse(args []string, out io.Writer) (*bench, []question, error) {
	b := &bench{out: out}
	flags := flag.NewFlagSet("benchmarks", flag.ContinueOnError)
	flags.IntVar(&b.rounds, "rounds", 5, "rounds of each measurement")
	flags.DurationVar(&b.cell, "cell", 100*time.Millisecond, "how long one contestant is measured in one round")
	flags.BoolVar(&b.quick, "quick", false, "tiny sizes: tries the harness, says nothing about anybody")
	flags.Uint64Var(&b.seed, "seed", 1, "seed of key sequences and synthetic traces")
	flags.IntVar(&b.keys, "keys", 10_000, "keys of the questions hit, text and long")
	flags.IntVar(&b.replays, "replays", 3, "replays of each case of the question ratio, for their mean")
	flags.Float64Var(&b.minutes, "minutes", 10, "length of the question long")
	flags.StringVar(&b.traces, "traces", "", "folder of recorded traces (*.trace, *.trace.xz) for the question ratio")
	flags.StringVar(&b.charts, "charts", "../docs", `folder to draw charts to; "" for none, as is the default with -quick`)
	only := flags.String("only", "", "questions to run, with commas between: "+names()+" (default: all but long)")
	skip := flags.String("skip", "", "questions to leave out")
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

// shrink gives a quick run its own defaults, but leaves what was said explicitly.
func (b *bench) shrink(flags *flag.FlagSet) {
	said := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { said[f.Name] = true })
	small := map[string]string{"rounds": "2", "replays": "1", "keys": "1000", "cell": "2ms", "charts": "", "minutes": "0.02"}
	for name, value := range small {
		if !said[name] {
			_ = flags.Set(name, value) // each is a flag above, of that type
		}
	}
}

// choose picks the questions named by -only and -skip.
func choose(only, skip string) (chosen []question, err error) {
	wanted, unwanted := list(only), list(skip)
	for _, name := range slices.Concat(wanted, unwanted) {
		if !slices.ContainsFunc(questions, func(q question) bool { return q.name == name }) {
			return nil, fmt.Errorf("no question %q; there are %s", name, names())
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

func list(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}

func names() string {
	var all []string
	for _, q := range questions {
		all = append(all, q.name)
	}
	return strings.Join(all, ", ")
}

// printf writes to the output. There is nobody else to tell if that fails.
func (b *bench) printf(format string, args ...any) {
	_, _ = fmt.Fprintf(b.out, format, args...)
}

// surroundings says what the figures depend on: versions and the machine.
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
