package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

// none wants no argument.
func none(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s takes no argument, and %q is one; see: %[1]s --help", cmd.CommandPath(), args[0])
	}
	return nil
}

// one wants exactly one argument, and says which.
func one(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return fmt.Errorf("give %s, and nothing else; see: %s --help", what, cmd.CommandPath())
		}
		return nil
	}
}

// atMostOne wants one argument or none, and says which.
func atMostOne(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 {
			return fmt.Errorf("give at most %s; see: %s --help", what, cmd.CommandPath())
		}
		return nil
	}
}
