package cli

import (
	"context"
	"fmt"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
)

func (c *command) pluginLogs() *cobra.Command {
	request := &nodev1.WatchPluginLogRequest{}
	cmd := &cobra.Command{
		Use: "logs NAME", Short: "Show the newest lines of the log about a plugin and from it",
		Args: one("a plugin's name"),
		Long: "logs shows the lines of the node's log about a plugin and from it that the node keeps in memory:\n" +
			"at most 1,000 lines and 256 KiB, over all generations of its process.",
		Example:           "  loop plugins logs median\n  loop plugins logs median -n 20 -f",
		ValidArgsFunction: c.complete(pluginNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			request.Name = args[0]
			type stream = connect.ServerStreamForClient[nodev1.WatchPluginLogResponse]
			return watchStream(cmd.Context(), c, func(ctx context.Context, a api) (*stream, error) {
				return a.WatchPluginLog(ctx, request)
			}, func(r *nodev1.WatchPluginLogResponse) string {
				before := ""
				if request.After > 0 && r.GetNumber() > request.After+1 {
					before = missed(r.GetNumber() - request.After - 1)
				}
				request.After, request.Lines = r.GetNumber(), 0
				return before + fmt.Sprintf("%s  %-5s  %s", clock(r.GetAt()), r.GetLevel(), r.GetText())
			})
		},
	}
	cmd.Flags().Uint32VarP(&request.Lines, "lines", "n", 0, "how many to show, the newest (default: all that are kept)")
	cmd.Flags().BoolVarP(&request.Follow, "follow", "f", false, "go on with lines as they come, until Ctrl-C")
	return cmd
}
