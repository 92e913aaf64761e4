// Chaos breaks plugins in every way that has ended a feed elsewhere, measures the consequences, and fails when a bound
// is missed.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/loop-plugins/loop/tools/chaos/internal/boundary"
	"github.com/loop-plugins/loop/tools/chaos/internal/faulty"
	"github.com/loop-plugins/loop/tools/chaos/internal/machine"
	"github.com/loop-plugins/loop/tools/chaos/internal/network"
	"github.com/loop-plugins/loop/tools/chaos/internal/trial"
)

const long = `Chaos breaks plugins in every way that has ended a feed elsewhere: under the runtime alone, and
under the nodes of a devnet. It measures the effect of each fault, compares it with a limit, and
fails when a limit is missed.

It needs Linux, and the programs of make build. All of it takes about ten minutes; --short takes
three, with fewer samples against the same limits. Times mean little on a machine that does other
work, so the load average is shown beside them.

With --json the last line of the output is a JSON object:
  met      whether every limit was met
  short    as asked
  trials   a list; of each
    name, fault, established   which one it is, and what happens in the established runtime
    figures   a list; of each what, must, got, met, and for samples n, median, max and unit
    load      the machine's load average over a minute, before and after
    seconds   how long it took
    error     why it could not be run; absent when it was`

// Output is what --json prints.
type output struct {
	Met    bool           `json:"met"`
	Short  bool           `json:"short"`
	Trials []trial.Result `json:"trials"`
}

// errMissed says that a limit was missed, or that a trial could not be held.
var errMissed = errors.New("not every limit was met")

func main() {
	if is, err := faulty.Serve(); is {
		if err != nil {
			fmt.Fprintln(os.Stderr, "chaos: "+err.Error())
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	var err error
	if len(os.Args) == 4 && os.Args[1] == boundary.HostArgument {
		err = boundary.RunHost(ctx, os.Args[2], os.Args[3], os.Stdout)
	} else {
		err = command(os.Stdout, os.Stderr).ExecuteContext(ctx)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos: "+err.Error())
		os.Exit(1)
	}
}

func command(stdout, stderr io.Writer) *cobra.Command {
	var only []string
	var short, asJSON bool
	var bin, page string
	c := &cobra.Command{
		Use: "chaos", Short: "Break plugins and measure the effect", Long: long, Args: cobra.NoArgs,
		SilenceUsage: true, SilenceErrors: true,
	}
	c.SetUsageTemplate(strings.ReplaceAll(c.UsageTemplate(), "FlagUsages", "FlagUsagesWrapped 100"))
	flags := c.Flags()
	flags.StringSliceVar(&only, "only", nil, "run only the trials of these names, separated by commas")
	flags.BoolVar(&short, "short", false, "take fewer samples and smaller floods")
	flags.BoolVar(&asJSON, "json", false, "end with a JSON object on stdout; progress goes to stderr")
	flags.StringVar(&bin, "bin-dir", "",
		"folder of the programs loop, loop-median, loop-evm and devnet (default: that of chaos itself)")
	flags.StringVar(&page, "page", "", "write the figures into the table of this page, such as docs/reliability.md")
	c.RunE = func(c *cobra.Command, _ []string) error {
		self, err := os.Executable()
		if err != nil {
			return fmt.Errorf("finding this program's own file: %w", err)
		}
		if bin == "" {
			bin = filepath.Dir(self)
		}
		if bin, err = filepath.Abs(bin); err != nil {
			return fmt.Errorf("finding the folder %s: %w", bin, err)
		}
		all := append(boundary.Bench{Self: self, Bin: bin}.Trials(), network.Bench{Bin: bin}.Trials()...)
		order := names(all)
		chosen, err := choose(all, only)
		if err != nil {
			return err
		}
		progress := stdout
		if asJSON {
			progress = stderr
		}
		out := output{Met: true, Short: short, Trials: []trial.Result{}}
		for _, t := range chosen {
			if c.Context().Err() != nil {
				return errors.New("interrupted")
			}
			result := trial.Hold(c.Context(), t, short, machine.Load)
			show(progress, result)
			out.Met = out.Met && result.Met()
			out.Trials = append(out.Trials, result)
		}
		if page != "" {
			if err := trial.WritePage(page, out.Trials, order); err != nil {
				return err
			}
		}
		if asJSON {
			if err := json.NewEncoder(stdout).Encode(out); err != nil {
				return fmt.Errorf("writing the result: %w", err)
			}
		}
		if !out.Met {
			return errMissed
		}
		return nil
	}
	return c
}

func names(all []trial.Trial) []string {
	list := make([]string, len(all))
	for i, t := range all {
		list[i] = t.Name
	}
	return list
}

// choose picks trials by name, in their own order; without names all of them.
func choose(all []trial.Trial, only []string) ([]trial.Trial, error) {
	for _, name := range only {
		if !slices.Contains(names(all), name) {
			return nil, fmt.Errorf("there is no trial %q; there are %s", name, strings.Join(names(all), ", "))
		}
	}
	if len(only) == 0 {
		return all, nil
	}
	return slices.DeleteFunc(slices.Clone(all), func(t trial.Trial) bool { return !slices.Contains(only, t.Name) }), nil
}

// show prints a result for people.
func show(w io.Writer, r trial.Result) {
	_, _ = fmt.Fprintf(w, "%s: %s (%.0f s, load %.1f to %.1f)\n", r.Name, r.Fault, r.Seconds, r.Load[0], r.Load[1])
	for _, f := range r.Figures {
		mark := "ok    "
		switch {
		case !f.Met:
			mark = "MISSED"
		case f.Must == "":
			mark = "      "
		}
		_, _ = fmt.Fprintf(w, "  %s %s: %s", mark, f.What, f.Got)
		if f.Must != "" {
			_, _ = fmt.Fprintf(w, " (must: %s)", f.Must)
		}
		_, _ = fmt.Fprintln(w)
	}
	if r.Error != "" {
		_, _ = fmt.Fprintf(w, "  MISSED the trial could not be held: %s\n", r.Error)
	}
}
