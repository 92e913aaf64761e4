package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	"github.com/loop-plugins/loop/host/internal/config"
	"github.com/loop-plugins/loop/host/internal/job"
	"github.com/loop-plugins/loop/host/internal/pipeline/trace"
	"github.com/loop-plugins/loop/host/internal/trial"
)

func (c *command) try() *cobra.Command {
	var source, configFile string
	var bridges []string
	cmd := &cobra.Command{
		Use: "try FILE", Short: "Run a job spec's pipelines once, and show every task and what would be observed",
		Example: "  loop jobs try feed.toml\n  loop jobs try feed.toml --source value --bridge prices=http://127.0.0.1:8080",
		Args:    one("the file of a job spec"),
		Long: "try runs the pipelines of a job spec (- reads standard input) once, in this process. It needs no\n" +
			"node and makes no job. Bridges are those of --bridge, else those of the node, if one answers.\n" +
			"Contracts cannot be read. Limits are those of [JobPipeline] in the node's configuration, if there\n" +
			"is one. It exits with 1 if a source fails.",
		RunE: func(cmd *cobra.Command, args []string) error {
			loaded, err := config.Read(configFile, c.streams.Environ, c.builtin()...)
			if err != nil {
				return exit(ExitUsage, err)
			}
			settings := trial.Settings{Limits: loaded.JobPipeline, Progress: func(text string) {
				_, _ = fmt.Fprintln(c.streams.Err, text)
			}}
			if settings.Bridges, err = bridgeURLs(bridges); err != nil {
				return exit(ExitUsage, err)
			}
			if settings.Spec, settings.Sources, err = c.trialSpec(cmd.Context(), args[0], source); err != nil {
				return err
			}
			if err := used(settings); err != nil {
				return exit(ExitUsage, err)
			}
			ctx, cancel := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer cancel()
			if err := c.completeBridges(ctx, settings); err != nil {
				return err
			}
			observed, err := trial.Run(ctx, settings)
			if err != nil {
				return err
			}
			return c.showTrial(args[0], observed)
		},
	}
	cmd.Flags().StringVar(&source, "source", "",
		"run one pipeline alone: value, juels or gas of a median, observationSource or a name of a product (default: all)")
	cmd.Flags().StringArrayVar(&bridges, "bridge", nil, "NAME=URL of a bridge; may be repeated")
	cmd.Flags().StringVar(&configFile, "config", "", "the node's configuration file (environment: CL_CONFIG)")
	return cmd
}

// bridgeURLs reads NAME=URL texts. Its errors show no URL, which may hold a key.
func bridgeURLs(texts []string) (map[string]string, error) {
	all := map[string]string{}
	for _, text := range texts {
		name, address, ok := strings.Cut(text, "=")
		u, err := url.Parse(address)
		switch {
		case !ok || name == "":
			return nil, errors.New("--bridge wants NAME=URL, such as --bridge prices=http://127.0.0.1:8080")
		case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "":
			return nil, fmt.Errorf("--bridge %s: the URL must begin with http:// or https:// and name a host", name)
		}
		all[strings.ToLower(name)] = address // nodes know bridges so
	}
	return all, nil
}

// sources are the names of the spec's sources to run: the one that is asked for, or all.
func sources(spec *job.Spec, only string) ([]string, error) {
	var all []string
	for _, s := range spec.Sources() {
		all = append(all, s.Name)
	}
	switch {
	case only == "" && len(all) > 0:
		return all, nil
	case slices.Contains(all, only):
		return []string{only}, nil
	case len(all) == 0:
		return nil, errors.New("the spec has no pipeline, so that there is nothing to try")
	}
	return nil, fmt.Errorf("--source %q is not a source: one of %s is wanted", only, strings.Join(all, ", "))
}

// trialSpec reads a spec as far as a trial needs it, and the names of the sources to run. Problems elsewhere in the
// spec do not keep its pipelines from running.
func (c *command) trialSpec(ctx context.Context, file, only string) (*job.Spec, []string, error) {
	text, err := c.spec(file)
	if err != nil {
		return nil, nil, err
	}
	// Its relayer and its product are asked nothing: a trial reads no contract and sends no report.
	spec, report := job.Parse(ctx, []byte(text), job.Settings{Offline: true})
	var names []string
	if spec != nil {
		if spec.Type == job.TypeBootstrap {
			return nil, nil, exit(ExitFailed, fmt.Errorf("%s is the spec of a bootstrap job, which observes nothing", file))
		}
		if names, err = sources(spec, only); err != nil {
			return nil, nil, exit(ExitUsage, err)
		}
		elsewhere := func(f job.Finding) bool {
			return f.Key != "" && !slices.ContainsFunc(spec.Sources(), func(s job.Source) bool {
				missing := s.Pipeline == nil && strings.HasPrefix(s.Key, f.Key+".") // with its table
				return (s.Key == f.Key || missing) && slices.Contains(names, s.Name)
			})
		}
		report.Problems = slices.DeleteFunc(report.Problems, elsewhere)
		report.Warnings = slices.DeleteFunc(report.Warnings, elsewhere)
	}
	printFindings(c.streams.Err, file, report)
	if len(report.Problems) > 0 {
		return nil, nil, exit(ExitFailed, fmt.Errorf("%s has %s; fix it before a trial", file, count(report.Problems)))
	}
	return spec, names, nil
}

// used refuses a bridge that no pipeline of the spec uses: its name is mistyped, and another one would be asked.
func used(s trial.Settings) error {
	names := s.Spec.Bridges()
	for given := range s.Bridges {
		if !slices.ContainsFunc(names, func(name string) bool { return strings.EqualFold(name, given) }) {
			return fmt.Errorf("--bridge %s: no pipeline of the spec uses this bridge; they use: %s",
				given, dash(strings.Join(names, ", ")))
		}
	}
	return nil
}

// completeBridges gets the bridges that the command line leaves out from the node.
func (c *command) completeBridges(ctx context.Context, s trial.Settings) error {
	var missing []string
	for _, source := range s.Spec.Sources() {
		if source.Pipeline == nil || !slices.Contains(s.Sources, source.Name) {
			continue
		}
		for _, name := range source.Pipeline.Bridges() {
			if s.Bridges[strings.ToLower(name)] == "" && !slices.Contains(missing, name) {
				missing = append(missing, name)
			}
		}
	}
	if len(missing) == 0 {
		return nil
	}
	why, err := c.askForBridges(ctx, s, &missing)
	if err != nil || len(missing) == 0 {
		return err
	}
	flags := make([]string, len(missing))
	for at, name := range missing {
		flags[at] = "--bridge " + name + "=URL"
	}
	return exit(ExitUsage, fmt.Errorf("no URL is known for the bridge %s: give it by %s; %s",
		strings.Join(missing, ", "), strings.Join(flags, " "), why))
}

// askForBridges removes the bridges that the node has from missing, and says why the node does not have the others.
func (c *command) askForBridges(ctx context.Context, s trial.Settings, missing *[]string) (why string, err error) {
	why = "the node at " + c.target.name() + " has none either"
	var silent *silence
	*missing = slices.DeleteFunc(*missing, func(name string) bool {
		if err != nil || silent != nil {
			return false
		}
		r, failed := c.bridge(ctx, name)
		var refused *refusal
		switch {
		case failed == nil:
			s.Bridges[strings.ToLower(name)] = r.GetBridge().GetUrl()
			_, _ = fmt.Fprintf(c.streams.Err, "bridge %s is that of the node at %s\n", name, c.target.name())
			return true
		case errors.As(failed, &silent):
			why = silent.short()
		case errors.As(failed, &refused) && refused.error.Code() == connect.CodeNotFound: // as why says
		default:
			err = failed
		}
		return false
	})
	return why, err
}

// showTrial prints the observed values, and returns an error for sources that failed.
func (c *command) showTrial(file string, observed []*trace.Source) error {
	var failed []string
	byName := map[string]*trace.Source{}
	for _, source := range observed {
		byName[source.Name] = source
		if source.Error != "" {
			failed = append(failed, source.Name)
		}
	}
	if c.json {
		if err := c.print(byName); err != nil {
			return err
		}
	} else {
		for at, source := range observed {
			if at > 0 {
				_, _ = fmt.Fprintln(c.streams.Out)
			}
			if err := printSource(c.streams.Out, source); err != nil {
				return err
			}
		}
	}
	if len(failed) > 0 {
		return exit(ExitFailed,
			fmt.Errorf("%s: %s failed, so that a node would observe nothing", file, strings.Join(failed, " and ")))
	}
	return nil
}

// The widths of what a table shows of a task's input and result; --json has them whole.
const (
	givenWidth  = 32
	inputWidth  = 80
	resultWidth = 100
)

func printSource(out io.Writer, s *trace.Source) error {
	var text string
	switch {
	case s.Error != "":
		text = "error: " + graphic(s.Error)
	case s.Value == "":
		text = value(s.Result, resultWidth)
	case len(s.Tasks) == 0:
		text = s.Value + ", since the spec has no pipeline for it"
	case whole(s.Result):
		text = s.Value
	default:
		text = s.Value + ", cut from " + value(s.Result, resultWidth)
	}
	if len(s.Tasks) > 0 {
		text += " (in " + s.Duration + ")"
	}
	if _, err := fmt.Fprintf(out, "%s: %s\n", s.Name, text); err != nil || len(s.Tasks) == 0 {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	row(w, "TASK", "TYPE", "TIME", "INPUT", "RESULT")
	for _, t := range s.Tasks {
		var input []string
		for _, given := range t.Input {
			short := "an error"
			if given.Error == "" {
				short = value(given.Result, givenWidth)
			}
			input = append(input, graphic(given.ID)+" = "+short)
		}
		result := "error: " + graphic(t.Error)
		if t.Error == "" {
			result = value(t.Result, resultWidth)
		}
		if t.Attempts > 1 {
			result += fmt.Sprintf(" (%d attempts)", t.Attempts)
		}
		row(w, graphic(t.ID), t.Type, t.Duration, dash(shorten(strings.Join(input, ", "), inputWidth)), result)
	}
	return w.Flush()
}

// whole reports whether a result that was observed as an integer is one, however it is written: 1e21 is.
func whole(result json.RawMessage) bool {
	number, ok := new(big.Rat).SetString(strings.Trim(string(result), `"`))
	return ok && number.IsInt()
}

// value is a task's result for a table. A text that has quotes in it, as JSON has, is shown between backquotes.
func value(result json.RawMessage, width int) string {
	shown, text := string(result), ""
	if strings.Contains(shown, `\"`) && json.Unmarshal(result, &text) == nil && !strings.Contains(text, "`") {
		shown = "`" + text + "`"
	}
	return shorten(graphic(shown), width)
}

// graphic puts escapes in place of characters that do not print: replies are strangers' texts, and could steer a
// terminal.
func graphic(text string) string {
	var out strings.Builder
	for _, r := range text {
		if strconv.IsGraphic(r) {
			out.WriteRune(r)
		} else {
			fmt.Fprintf(&out, `\u%04x`, r)
		}
	}
	return out.String()
}

func shorten(text string, width int) string {
	if runes := []rune(text); len(runes) > width {
		return string(runes[:width-1]) + "…"
	}
	return text
}
