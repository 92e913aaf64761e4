package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/loop-plugins/loop/host/internal/build"
	"github.com/loop-plugins/loop/host/internal/scaffold"
)

func (c *command) create() *cobra.Command {
	s := scaffold.Settings{Version: build.Version()}
	plugin := &cobra.Command{
		Use: "plugin NAME", Short: "Write a plugin that builds and conforms to the contract", Args: one("a plugin's name"),
		Example: "  loop new plugin twap --kind product --lang go",
		RunE: func(_ *cobra.Command, args []string) error {
			s.Name = args[0]
			dir, files, err := scaffold.Write(s)
			if err != nil {
				return exit(ExitUsage, err)
			}
			if c.json {
				return c.print(map[string]any{"dir": dir, "files": files})
			}
			_, err = io.WriteString(c.streams.Out,
				fmt.Sprintf("wrote %s (%s); begin with its README.md\n", dir, strings.Join(files, ", ")))
			return err
		},
	}
	plugin.Flags().StringVar(&s.Kind, "kind", "median", "kind of plugin: "+strings.Join(scaffold.Kinds(), " or "))
	plugin.Flags().StringVar(&s.Lang, "lang", "go", "language: "+strings.Join(scaffold.Languages(), " or "))
	plugin.Flags().IntVar(&s.OCR, "ocr", 0, "version of OCR that a product runs on: 2 or 3 (default 3)")
	plugin.Flags().StringVar(&s.Dir, "dir", "", "folder to make (default loop-NAME)")
	plugin.Flags().StringVar(&s.SDK, "sdk", "", "checkout of LOOP to build against (default: what is released)")
	return group("new", "Write new plugins", plugin)
}
