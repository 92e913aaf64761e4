package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
)

func (c *command) bridges() *cobra.Command {
	add := &cobra.Command{
		Use: "add NAME URL", Short: "Add a bridge to an external adapter",
		Example: "  loop bridges add prices http://127.0.0.1:8080",
		Args:    bridgeAndURL,
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := call(cmd.Context(), c, api.AddBridge,
				&nodev1.AddBridgeRequest{Bridge: &nodev1.Bridge{Name: args[0], Url: args[1]}})
			if err != nil {
				return err
			}
			return c.show(r, func(w io.Writer) { bridgeTable(w, r.GetBridge()) })
		},
	}
	list := &cobra.Command{
		Use: "list", Short: "List the bridges with their state", Args: none,
		Example: "  loop bridges list\n  loop bridges list --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := call(cmd.Context(), c, api.ListBridges, &nodev1.ListBridgesRequest{})
			if err != nil {
				return err
			}
			return c.show(r, func(w io.Writer) { bridgeTable(w, r.GetBridges()...) })
		},
	}
	update := &cobra.Command{
		Use: "update NAME URL", Short: "Give a bridge another URL; jobs that use it go on",
		Example:           "  loop bridges update prices http://127.0.0.1:8081",
		ValidArgsFunction: c.complete(bridgeNames),
		Args:              bridgeAndURL,
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := call(cmd.Context(), c, api.UpdateBridge,
				&nodev1.UpdateBridgeRequest{Bridge: &nodev1.Bridge{Name: args[0], Url: args[1]}})
			if err != nil {
				return err
			}
			return c.show(r, func(w io.Writer) { bridgeTable(w, r.GetBridge()) })
		},
	}
	rm := &cobra.Command{
		Use: "rm NAME", Short: "Remove a bridge that no job uses", Args: one("a bridge's name"),
		Example:           "  loop bridges rm prices",
		ValidArgsFunction: c.complete(bridgeNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := call(cmd.Context(), c, api.RemoveBridge, &nodev1.RemoveBridgeRequest{Name: args[0]})
			if err != nil {
				return err
			}
			return c.show(r, func(w io.Writer) { fmt.Fprintf(w, "removed bridge %s\n", args[0]) })
		},
	}
	return group("bridges", "Add, list, change and remove bridges", add, list, update, c.revealBridge(), rm)
}

func bridgeAndURL(cmd *cobra.Command, args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("give a bridge's name and its URL, and nothing else; see: %s --help", cmd.CommandPath())
	}
	return nil
}

func bridgeTable(w io.Writer, bridges ...*nodev1.Bridge) {
	row(w, "NAME", "URL", "AGE", "STATE")
	for _, b := range bridges {
		h := b.GetHealth()
		row(w, b.GetName(), b.GetUrl(), age(b.GetCreatedAt()), explained(partState(h), h.GetReason(), h.GetRemedy()))
	}
}
