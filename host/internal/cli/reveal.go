package cli

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
)

func (c *command) revealJob() *cobra.Command {
	return &cobra.Command{
		Use: "spec ID", Short: "Print a job's spec with its secrets", Args: one("a job's id"),
		Example:           "  loop jobs spec 1",
		ValidArgsFunction: c.complete(jobIDs),
		Long: "spec prints a job's spec as it was added. URLs and headers in it may be secrets, so only admins\n" +
			"may do this, and the node's log has a line of it.",
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := jobID(args[0])
			if err != nil {
				return err
			}
			r, err := call(cmd.Context(), c, api.RevealJob, &nodev1.RevealJobRequest{Id: id})
			if err != nil {
				return err
			}
			if c.json {
				return c.show(r, nil)
			}
			_, err = io.WriteString(c.streams.Out, r.GetJob().GetSpecToml())
			return err
		},
	}
}

func (c *command) revealBridge() *cobra.Command {
	return &cobra.Command{
		Use: "url NAME", Short: "Print a bridge's whole URL with its secrets", Args: one("a bridge's name"),
		Example:           "  loop bridges url prices",
		ValidArgsFunction: c.complete(bridgeNames),
		Long: "url prints a bridge's whole URL. Its user, path and query may be secrets, so only admins may do\n" +
			"this, and the node's log has a line of it.",
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := c.bridge(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return c.show(r, func(w io.Writer) { row(w, r.GetBridge().GetUrl()) })
		},
	}
}

// bridge asks for a bridge with its secrets.
func (c *command) bridge(ctx context.Context, name string) (*nodev1.RevealBridgeResponse, error) {
	return call(ctx, c, api.RevealBridge, &nodev1.RevealBridgeRequest{Name: name})
}
