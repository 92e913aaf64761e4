package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/host/internal/door"
)

func (c *command) tokens() *cobra.Command {
	var role string
	create := &cobra.Command{
		Use: "create NAME", Short: "Create a token for callers over TCP, and show it",
		Example: "  loop tokens create grafana --role view",
		Args:    one("a name for the token"),
		Long: "create prints a token that --url, dashboards and programs send to the node. It is shown only now:\n" +
			"the node keeps only its hash. A token of the role view may read. The role operate may also add and\n" +
			"remove jobs and bridges and restart plugins. The role admin may also create, import and export\n" +
			"keys, and create and revoke tokens.",
		RunE: func(cmd *cobra.Command, args []string) error {
			r, ok := door.RoleOf(role)
			if !ok {
				return exit(ExitUsage, fmt.Errorf("--role is view, operate or admin, and not %q", role))
			}
			request := &nodev1.CreateTokenRequest{Name: args[0], Role: r}
			made, err := call(cmd.Context(), c, api.CreateToken, request)
			if err != nil {
				return err
			}
			return c.show(made, func(w io.Writer) { _, _ = fmt.Fprintln(w, made.GetSecret()) })
		},
	}
	create.Flags().StringVar(&role, "role", "", "what its holder may do: view, operate or admin")
	list := &cobra.Command{
		Use: "list", Short: "List the tokens, without what is secret", Args: none,
		Example: "  loop tokens list\n  loop tokens list --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := call(cmd.Context(), c, api.ListTokens, &nodev1.ListTokensRequest{})
			if err != nil {
				return err
			}
			return c.show(r, func(w io.Writer) {
				row(w, "NAME", "ROLE", "AGE")
				for _, t := range r.GetTokens() {
					row(w, t.GetName(), door.RoleName(t.GetRole()), age(t.GetCreatedAt()))
				}
			})
		},
	}
	revoke := &cobra.Command{
		Use: "revoke NAME", Short: "Revoke a token: its next call is refused", Args: one("a token's name"),
		Example:           "  loop tokens revoke grafana",
		ValidArgsFunction: c.complete(tokenNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			request := &nodev1.RevokeTokenRequest{Name: args[0]}
			r, err := call(cmd.Context(), c, api.RevokeToken, request)
			if err != nil {
				return err
			}
			return c.show(r, func(io.Writer) {})
		},
	}
	return group("tokens", "Create, list and revoke tokens of callers over TCP", create, list, revoke)
}
