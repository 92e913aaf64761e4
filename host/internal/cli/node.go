package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	nodeapi "github.com/loop-plugins/loop/host/internal/api"
	"github.com/loop-plugins/loop/host/internal/build"
	"github.com/loop-plugins/loop/host/internal/config"
	"github.com/loop-plugins/loop/host/internal/node"
)

// stopTimeout bounds the end of a node: jobs, network and plugins, each of which has bounds of its own.
const stopTimeout = 15 * time.Second

func (c *command) node() *cobra.Command {
	var file string
	start := &cobra.Command{
		Use: "start", Short: "Start a node and run it until Ctrl-C or SIGTERM", Args: none,
		Example: "  loop node start\n  loop node start --config node.toml",
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.start(cmd.Context(), file) },
	}
	check := &cobra.Command{
		Use: "check", Short: "Start the plugins, ask every chain once, and report problems", Args: none,
		Example: "  loop node check --config node.toml",
		Long: "check reads the configuration, starts the plugins, connects to every RPC node and ends. It opens\n" +
			"no database. It exits with 2 for a bad configuration, with 3 for a plugin that does not start, and\n" +
			"with 4 for a chain of which no RPC node answers.",
		RunE: func(cmd *cobra.Command, _ []string) error { return c.check(cmd.Context(), file) },
	}
	for _, sub := range []*cobra.Command{start, check} {
		sub.Flags().StringVar(&file, "config", "", "the node's configuration file (environment: CL_CONFIG)")
	}
	reference := &cobra.Command{
		Use: "config", Short: "Print every key of the configuration with its default", Args: none,
		Example: "  loop node config",
		Long: "config prints every key of the node's configuration with its default and its meaning. For chains\n" +
			"and plugins it prints what the relayers say that are built in, and those that CL_<NAME>_CMD names,\n" +
			"which run meanwhile.",
		RunE: func(cmd *cobra.Command, _ []string) error { return c.reference(cmd.Context()) },
	}
	return group("node", "Start, check and reload a node", start, check, c.reload(), reference)
}

// settings are those of a node with this configuration.
func (c *command) settings(loaded *config.Config, logger *slog.Logger) node.Settings {
	return node.Settings{
		Config: loaded, Logger: logger, Version: build.Version(), Builtin: c.streams.Builtin, Alone: true,
	}
}

// builtin are the names of the plugins that are built in.
func (c *command) builtin() []string { return slices.Collect(maps.Keys(c.streams.Builtin)) }

// load reads the configuration. It reports its own problems together with those that its relayers find, so that a
// person can fix all of a file at once.
func (c *command) load(ctx context.Context, file string) (*config.Config, error) {
	loaded, err := config.Load(file, c.streams.Environ, c.streams.Password, c.builtin()...)
	if err == nil {
		return loaded, nil
	}
	if loaded != nil {
		if known, failed := node.OpenKnown(ctx, c.settings(loaded, slog.New(slog.DiscardHandler))); failed == nil {
			defer known.Close(context.WithoutCancel(ctx))
			if all := known.CheckConfig(ctx); all != nil {
				err = all
			}
		}
	}
	return nil, exit(ExitUsage, err)
}

// known starts the plugins that the environment names, to ask those that are relayers and products, and reports those
// that do not answer.
func (c *command) known(ctx context.Context) (*node.Known, error) {
	loaded, err := config.Read("", c.streams.Environ, c.builtin()...)
	if loaded == nil {
		return nil, exit(ExitUsage, err)
	}
	known, err := node.OpenKnown(ctx, c.settings(loaded, slog.New(slog.DiscardHandler)))
	if err != nil {
		return nil, exit(code(err), err)
	}
	for _, err := range known.Failed() {
		_, _ = fmt.Fprintln(c.streams.Err, "warning:", err)
	}
	return known, nil
}

func (c *command) reference(ctx context.Context) error {
	known, err := c.known(ctx)
	if err != nil {
		return err
	}
	defer known.Close(context.WithoutCancel(ctx))
	text, err := config.Reference(known.Plugins(), known.Described())
	if err == nil {
		_, err = io.WriteString(c.streams.Out, text)
	}
	return err
}

// logger returns the node's log, and what sets its level.
func (c *command) logger(l config.Log) (*slog.Logger, *slog.LevelVar) {
	level := &slog.LevelVar{}
	_ = level.UnmarshalText([]byte(l.Level)) // Load has checked it
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: lasting}
	if strings.EqualFold(l.Format, "json") {
		return slog.New(slog.NewJSONHandler(c.streams.Err, options)), level
	}
	return slog.New(slog.NewTextHandler(c.streams.Err, options)), level
}

// lasting has durations in words, as people and configurations write them, and not in nanoseconds.
func lasting(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().String())
	}
	return a
}

// heapGrowth is by how much of what lives the heap of a node grows before it is collected, in percent. With a hundred
// feeds Go's 100 takes 5 MiB more, and no less of a processor (docs/performance.md).
const heapGrowth = 80

func (c *command) start(ctx context.Context, file string) error {
	if os.Getenv("GOGC") == "" { // which the runtime has obeyed
		debug.SetGCPercent(heapGrowth)
	}
	hangups := make(chan os.Signal, 1) // one that comes while the node starts or reads its configuration is not lost
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	loaded, err := c.load(ctx, file)
	if err != nil {
		return err
	}
	ctx, cancel := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer cancel()
	context.AfterFunc(ctx, cancel) // a second signal ends the process at once
	logger, level := c.logger(loaded.Log)
	for _, w := range loaded.Warnings {
		logger.Warn("configuration warning", "place", w.Place(), "key", w.Key, "warning", w.Text)
	}
	settings := c.settings(loaded, logger)
	settings.Level, settings.API = level, nodeapi.Handler
	settings.Reread = func() (*config.Config, error) {
		// A node that runs needs no password any more: something in its place keeps its file from being read.
		return config.Load(file, c.streams.Environ, []byte("unread"), c.builtin()...)
	}
	n, err := node.Start(ctx, settings)
	if err != nil {
		if ctx.Err() != nil {
			return nil // told to end while it started
		}
		return exit(code(err), err)
	}
	if c.json {
		if err := c.print(map[string]string{"url": "http://" + n.Address(), "socket": n.Socket()}); err != nil {
			return err
		}
	}
	for told := false; !told; {
		select {
		case <-hangups:
			_, _ = n.Reload(ctx) // the log says what came of it
		case <-ctx.Done():
			told = true
		}
	}
	stop, done := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer done()
	n.Close(stop)
	return nil
}

// code is the exit code of a node that did not start.
func code(err error) int {
	switch {
	case node.IsPlugin(err):
		return ExitPlugin
	case node.IsConfig(err):
		return ExitUsage
	}
	return ExitFailed
}

func (c *command) check(ctx context.Context, file string) error {
	loaded, err := c.load(ctx, file)
	if err != nil {
		return err
	}
	ctx, cancel := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer cancel()
	for _, w := range loaded.Warnings {
		_, _ = fmt.Fprintln(c.streams.Err, "warning:", w)
	}
	found, err := node.Check(ctx, c.settings(loaded, slog.New(slog.DiscardHandler)))
	if err != nil {
		return exit(code(err), err)
	}
	if c.json {
		if err := c.print(found); err != nil {
			return err
		}
	} else {
		for _, p := range found.Plugins {
			_, _ = fmt.Fprintf(c.streams.Out, "plugin %s: ready, %s\n", p.Name, p.How)
		}
		for _, ch := range found.Chains {
			for _, n := range ch.Nodes {
				_, _ = fmt.Fprintf(c.streams.Out, "%s chain %s, RPC node %s: %s\n", ch.Relay, ch.ID, n.Name, n.Text)
			}
		}
	}
	if silent := found.Silent(); silent != "" {
		return exit(ExitUnreachable, fmt.Errorf("%s", silent))
	}
	return nil
}
