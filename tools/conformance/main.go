// Conformance judges a plugin, written in any language, against the contract between a node and its plugins.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/loop-plugins/loop/sdk/go/loop/looptest"
	"github.com/loop-plugins/loop/tools/conformance/internal/report"
)

const long = `Conformance runs a plugin's command as a node would, and checks it against every promise of the
contract: handshake and certificates, objects by name, deadlines and cancellation, bad input on
every method, sizes, health, metrics, logs, stop and restart, and the answers of its kind.

It exits with 0 when every case passes or is listed as a known failure, with 1 when one fails, and
with 2 when nothing could be checked.

With --json the last line of the output is a JSON object:
  kind, command          what was checked
  passed, failed, known  numbers of cases; known ones failed and were listed
  fixed                  listed as known failures although they pass
  skipped                cases that do not apply
  duration_ms            all of it
  cases                  of each: name, about, state, reason, duration_ms, and stderr: the last
                         lines that a plugin wrote while it failed

A file of known failures has the name of a case on each line and, after it, the reason. Lines that
begin with # are comments.

A relayer gets the configuration of --config, a TOML file, or one that suits loop-evm:
  chain_id               the chain's id
  config_toml            the chain's section of a node's configuration; in it, $RPC_URL stands for
                         the address of the suite's JSON-RPC server
  node_url               HTTP address of an RPC node to which that server passes requests on; left
                         out, the server is a fake that answers like an idle EVM chain
  contract_id, transmitter_id, relay_config_json
                         what a job says
  signers, transmitters  of a configuration whose digest is asked for; signers in hexadecimal
  signature              a signature in the chain's form, in hexadecimal
  signed_hash            keccak256 if the chain's accounts sign that hash of a transaction; left
                         out: they sign something else, and what they sign is not checked
  unsigned               true if the chain's reports hold no negative values, and must refuse them

A product gets, from the same file:
  plugin_config_json     the job's pluginConfig; left out: {}
  onchain_config, offchain_config
                         its parts of the contract's configuration, in hexadecimal; left out: empty
  value                  the result of the job's pipelines, as JSON; left out: 100`

// errFailed tells that cases failed; they have been shown.
var errFailed = errors.New("the plugin does not conform")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	err := command(os.Stdout, os.Stderr).ExecuteContext(ctx)
	stop()
	switch {
	case errors.Is(err, errFailed):
		os.Exit(1)
	case err != nil:
		fmt.Fprintln(os.Stderr, "conformance: "+err.Error())
		os.Exit(2)
	}
}

type options struct {
	kind, run, junit, known, config string
	env                             []string
	json, list, grpc                bool
	startTimeout                    time.Duration
	patience                        int
}

func command(stdout, stderr io.Writer) *cobra.Command {
	var o options
	c := &cobra.Command{
		Use:           "conformance --kind KIND [flags] -- COMMAND [ARGUMENT...]",
		Short:         "Check a plugin against the contract",
		Long:          long,
		Args:          cobra.ArbitraryArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	c.SetUsageTemplate(strings.ReplaceAll(c.UsageTemplate(), "FlagUsages", "FlagUsagesWrapped 100"))
	flags := c.Flags()
	flags.StringVar(&o.kind, "kind", "", "what the plugin is: median, product or relayer")
	flags.StringVar(&o.run, "run", "", "run only the cases whose names match this regular expression")
	flags.BoolVar(&o.json, "json", false, "end with a JSON object on stdout; progress goes to stderr")
	flags.StringVar(&o.junit, "junit", "", "write a report in JUnit's XML to this file")
	flags.StringVar(&o.known, "known-failures", "", "file of cases that are expected to fail; they run all the same")
	flags.StringVar(&o.config, "config", "", "file of the suite's input to a relayer or a product")
	flags.StringArrayVar(&o.env, "env", nil,
		"NAME=VALUE for the plugin's environment, which inherits only PATH; may be repeated")
	flags.DurationVar(&o.startTimeout, "start-timeout", 30*time.Second,
		"longest time from the start of a process to its handshake")
	flags.IntVar(&o.patience, "patience", 1, "multiply the other bounds by this, on a machine that is busy")
	flags.BoolVar(&o.grpc, "grpc", false, "call over gRPC only; otherwise by frames if the plugin supports them")
	flags.BoolVar(&o.list, "list", false, "list the cases of the kind, and run none")
	c.RunE = func(c *cobra.Command, args []string) error {
		if o.list {
			return list(stdout, o.kind)
		}
		settings, err := o.settings(args)
		if err != nil {
			return err
		}
		return judge(c.Context(), stdout, stderr, o, settings)
	}
	return c
}

func list(out io.Writer, kind string) error {
	cases, err := looptest.Cases(kind)
	if err != nil {
		return fmt.Errorf("--kind: %w", err)
	}
	for _, c := range cases {
		fmt.Fprintf(out, "%-60s %s\n", c.Name, c.About)
	}
	return nil
}

// settings reads what flags name.
func (o options) settings(command []string) (looptest.Settings, error) {
	s := looptest.Settings{Kind: o.kind, Command: command, Env: o.env, StartTimeout: o.startTimeout, GRPC: o.grpc,
		Patience: o.patience}
	if o.patience < 1 {
		return s, fmt.Errorf("--patience is %d; it multiplies bounds and is 1 at least", o.patience)
	}
	if _, err := looptest.Cases(o.kind); err != nil {
		return s, fmt.Errorf("--kind: %w", err)
	}
	if len(command) == 0 {
		return s, errors.New("no plugin is named: write its command after --, as in conformance --kind median -- loop-median")
	}
	if o.run != "" {
		var err error
		if s.Run, err = regexp.Compile(o.run); err != nil {
			return s, fmt.Errorf("--run is not a regular expression: %w", err)
		}
	}
	var err error
	if s.KnownFailures, err = readKnown(o.known); err != nil {
		return s, err
	}
	s.Relayer, s.Product, err = readConfig(o.config)
	return s, err
}

// judge runs the cases and reports them.
func judge(ctx context.Context, stdout, stderr io.Writer, o options, s looptest.Settings) error {
	progress := stdout
	if o.json {
		progress = stderr
	}
	if s.Kind == "relayer" && s.Relayer.NodeURL == "" {
		fmt.Fprintln(progress, "The chain is a fake of this suite: it answers like an idle EVM chain.")
	}
	s.Progress = func(r looptest.Result) { report.Show(progress, r) }
	begin := time.Now()
	results, err := looptest.Check(ctx, s)
	if err != nil {
		return err
	}
	t := report.Count(s, results, time.Since(begin))
	report.Summarise(progress, t)
	if o.junit != "" {
		if err := report.JUnit(o.junit, t, results); err != nil {
			return err
		}
	}
	if o.json {
		if err := report.JSON(stdout, t); err != nil {
			return err
		}
	}
	if t.Failed > 0 {
		return errFailed
	}
	return nil
}
