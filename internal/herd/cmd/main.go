// Command cmd runs the scenarios of package herd. For each scenario it prints a table of the
// results, and how the first mode compares with the bars.
//
//	go run ./internal/herd/cmd -run 'steady|cold' -modes none,redsync
//
// It exits with status 1 if a bar does not hold. With -docs it also writes the tables and charts to
// a folder.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"regexp"
	"strings"

	"github.com/zodiac-go/zodiac/internal/herd"
)

func main() {
	herd.Child()
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		log.Fatalf("herd: %v", err)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("herd", flag.ContinueOnError)
	pattern := flags.String("run", "", "run only the scenarios whose names match this `regexp`")
	modes := flags.String("modes", "", "run the modes in this comma-separated `list`, not those of the "+
		"scenarios; the bars apply to the first")
	docs := flags.String("docs", "", "also write the tables and charts to this `folder`")
	if err := flags.Parse(args); err != nil {
		return err
	}
	wanted, err := regexp.Compile(*pattern)
	if err != nil {
		return err
	}
	var reports []*herd.Report
	for _, s := range herd.Scenarios() {
		if !wanted.MatchString(s.Name) {
			continue
		}
		if *modes != "" {
			s.Modes = strings.Split(*modes, ",")
		}
		r, err := scenario(ctx, s)
		if err != nil {
			return err
		}
		reports = append(reports, r)
	}
	if *docs != "" {
		if err := herd.WriteDocs(*docs, reports); err != nil {
			return err
		}
	}
	return verdict(reports)
}

// scenario runs a scenario in all its modes, prints its report and returns it.
func scenario(ctx context.Context, s *herd.Scenario) (*herd.Report, error) {
	r := &herd.Report{Scenario: s, Results: map[string]*herd.Result{}}
	for _, mode := range s.Modes {
		result, err := herd.Run(ctx, s, mode)
		if err != nil {
			return nil, err
		}
		r.Results[mode] = result
	}
	return r, r.Write(os.Stdout)
}

// verdict returns an error that lists the bars that do not hold, or nil.
func verdict(reports []*herd.Report) error {
	var failed []error
	for _, r := range reports {
		for _, f := range r.Failed() {
			failed = append(failed, errors.New(f))
		}
	}
	if len(failed) > 0 {
		return fmt.Errorf("%d bars do not hold:\n%w", len(failed), errors.Join(failed...))
	}
	return nil
}
