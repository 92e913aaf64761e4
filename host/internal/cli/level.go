package cli

import (
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
		Long: "log-level shows the least level of lines in the log of a running node, or sets it: debug, info,\n" +
			"warn or error. Running plugins go on sending the levels that they were started with; lower levels\n" +
			"come after a restart of the plugin.",
		Example:   "  loop log-level\n  loop log-level debug",
		ValidArgs: levels,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return fmt.Errorf("give at most one level; see: %s --help", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				r, err := call(cmd.Context(), c, api.GetLogLevel, &nodev1.GetLogLevelRequest{})
				if err != nil {
					return err
				}
				return c.show(r, func(w io.Writer) { row(w, r.GetLevel()) })
			}
			r, err := call(cmd.Context(), c, api.SetLogLevel, &nodev1.SetLogLevelRequest{Level: args[0]})
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
		Use: "reload", Short: "Tell a running node to read its configuration file again", Args: none,
		Long: "reload applies the level of the log and the tables of the chains that the node has, including RPC\n" +
			"nodes and accounts. Jobs on a chain that has changed start again, and those that do not run then\n" +
			"are named. Everything else that has changed is named, and applies from the next start on. A file\n" +
			"that is wrong changes nothing. The signal SIGHUP does the same; the node's log has the result.",
		Example: "  loop node reload",
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := call(cmd.Context(), c, api.Reload, &nodev1.ReloadRequest{})
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
				for _, job := range r.GetFailedJobs() {
					row(w, "does not run", job)
				}
				if len(r.GetApplied())+len(r.GetAtRestart()) == 0 {
					row(w, "nothing has changed")
				}
			})
		},
	}
}
