// Bench measures what the boundary between node and plugins costs, as ratios to plain go-plugin in the same minute. It
// writes docs/performance.md, or compares a change with its parent commit.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const usage = `bench measures what the boundary between node and plugins costs. It runs the benchmarks of sdk/go/loophost,
which compare with plain go-plugin in turns, so that both meet the same machine.

  bench -page docs/performance.md   measure every row, and write its table and plots
  bench -gate                       compare with the commit that this branch left the main branch at, and fail if a
                                    ratio has worsened by more than 15 %

What the benchmarks print goes to standard output: benchstat reads it.

`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench: "+err.Error())
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprint(stderr, usage); flags.PrintDefaults() }
	page := flags.String("page", "", "write the figures into this page, and its plots beside it")
	pairs := flags.Int("pairs", 12, "how often everything is measured beside plain go-plugin; 10 at least for a page")
	only := flags.String("only", "", "measure the rows alone whose benchmarks match this regular expression")
	gate := flags.Bool("gate", false, "compare with another commit")
	base := flags.String("base", "", "that commit (default: where this branch left origin/main, else the last one)")
	budget := flags.Duration("budget", 90*time.Second,
		"how long the gate measures, at most, before it looks once more at what seems worse")
	if err := flags.Parse(args); err != nil {
		return err
	}
	switch {
	case flags.NArg() > 0:
		return fmt.Errorf("%q is not a flag; see bench -help", flags.Arg(0))
	case *gate:
		return holdGate(ctx, stdout, stderr, *base, *budget)
	case *page != "" && *only != "":
		return errors.New("-page wants every figure: leave -only away")
	case *page != "" && *pairs < leastPairs:
		return fmt.Errorf("-pairs is %d; a page wants %d at least", *pairs, leastPairs)
	}
	return measureAll(ctx, stdout, stderr, *page, *only, *pairs)
}
