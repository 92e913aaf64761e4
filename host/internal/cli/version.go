package cli

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/loop-plugins/loop/gen/go/loop/median/v1/medianv1loop"
	"github.com/loop-plugins/loop/gen/go/loop/product/v1/productv1loop"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/host/internal/build"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

func (c *command) version() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version, the commit, and the versions of the contract with plugins", Args: none,
		Example: "  loop version --json",
		RunE: func(*cobra.Command, []string) error {
			contract, named := map[string]int{}, []string{}
			for _, kind := range []wire.Kind{medianv1loop.MedianKind(), productv1loop.ProductKind(),
				relayerv1loop.RelayerKind()} {
				contract[kind.Name] = kind.ProtocolVersion
				named = append(named, fmt.Sprintf("%s %d", kind.Name, kind.ProtocolVersion))
			}
			commit := build.Commit()
			if c.json {
				return c.print(map[string]any{"version": build.Version(), "commit": commit, "contract": contract})
			}
			slices.Sort(named)
			_, err := fmt.Fprintf(c.streams.Out, "loop %s\ncommit %s\ncontract %s\n", build.Version(),
				cmp.Or(commit, "unknown"), strings.Join(named, ", "))
			return err
		},
	}
}

// manual writes man pages, which releases hold.
func (c *command) manual() *cobra.Command {
	return &cobra.Command{
		Use: "manual FOLDER", Short: "Write man pages of every command into a folder", Args: one("a folder"),
		Example: "  loop manual ~/.local/share/man/man1", Hidden: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return exit(ExitFailed, fmt.Errorf("write man pages: %w", err))
			}
			root := cmd.Root()
			root.DisableAutoGenTag = true // two runs write the same bytes
			header := &doc.GenManHeader{Section: "1", Source: "loop " + build.Version(), Manual: "LOOP"}
			return exit(ExitFailed, doc.GenManTree(root, header, args[0]))
		},
	}
}
