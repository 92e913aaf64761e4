package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
)

// levels are those of a log.
var levels = []string{"debug", "info", "warn", "error"}

func (c *command) logLevel() *cobra.Command {
	return &cobra.Command{
		Use: "log-level [LEVEL]", Short: "Show the level of a node's log, or set it until the node ends",
		Long: "log-level shows the least level of lines in the log of a node that runs, or sets it: debug, info, warn " +
			"or error.\n" +
			"Plugins send the lines that they were started to send: those of a lower level come when they are restarted.",
		Example:   "  loop log-level\n  loop log-level debug",
		ValidArgs: levels,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return fmt.Errorf("one level is wanted at most; see: %s --help", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				type method = func(context.Context, *nodev1.GetLogLevelRequest) (*nodev1.GetLogLevelResponse, error)
				r, err := call(cmd.Context(), c, func(a api) method { return a.GetLogLevel }, &nodev1.GetLogLevelRequest{})
				if err != nil {
					return err
				}
				return c.show(r, func(w io.Writer) { row(w, r.GetLevel()) })
			}
			type method = func(context.Context, *nodev1.SetLogLevelRequest) (*nodev1.SetLogLevelResponse, error)
			r, err := call(cmd.Context(), c, func(a api) method { return a.SetLogLevel },
				&nodev1.SetLogLevelRequest{Level: args[0]})
			if err != nil {
				return err
			}
			return c.show(r, func(w io.Writer) {
				row(w, fmt.Sprintf("the level is %s, and was %s", strings.ToLower(args[0]), r.GetBefore()))
				for _, name := range r.GetPlugins() {
					row(w, fmt.Sprintf("plugin %s sends lines of this level after: loop plugins restart %[1]s", name))
				}
			})
		},
	}
}

func (c *command) reload() *cobra.Command {
	return &cobra.Command{
		Use: "reload", Short: "Have a node that runs read its configuration file again", Args: none,
		Long: "reload applies the level of the log and the tables of the chains that the node has, RPC nodes and " +
			"accounts among\n" +
			"them: jobs on a chain that has changed begin anew. All else that has changed is named, and holds from the " +
			"next start on.\n" +
			"A file that is wrong changes nothing. The signal SIGHUP does the same, and the node's log says what came of it.",
		Example: "  loop node reload",
		RunE: func(cmd *cobra.Command, _ []string) error {
			type method = func(context.Context, *nodev1.ReloadRequest) (*nodev1.ReloadResponse, error)
			r, err := call(cmd.Context(), c, func(a api) method { return a.Reload }, &nodev1.ReloadRequest{})
			if err != nil {
				return err
			}
			return c.show(r, func(w io.Writer) {
				for _, key := range r.GetApplied() {
					row(w, "applied", key)
				}
				for _, key := range r.GetAtRestart() {
					row(w, "at the next start", key)
				}
				if len(r.GetApplied())+len(r.GetAtRestart()) == 0 {
					row(w, "nothing has changed")
				}
			})
		},
	}
}
