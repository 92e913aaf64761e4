package cli

import (
	"io"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestExamples holds that each command shows how it, or those below it, are called, and that what it shows is right: a
// person copies it.
func TestExamples(t *testing.T) {
	t.Parallel()
	root := rootCommand(Streams{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard})
	for _, cmd := range commandsOf(root) {
		if cmd.Example == "" {
			t.Errorf("%s has no example", cmd.CommandPath())
			continue
		}
		for line := range strings.Lines(cmd.Example) {
			words := strings.Fields(line)
			if len(words) == 0 || words[0] != "loop" || !strings.HasPrefix(line, "  loop") {
				t.Errorf("%s: the example %q does not begin with two blanks and loop", cmd.CommandPath(), line)
				continue
			}
			// What flags are set to must not stay for the next line.
			root := rootCommand(Streams{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard})
			found, rest, err := root.Find(words[1:])
			if err != nil || found.CommandPath() != cmd.CommandPath() && !strings.HasPrefix(found.CommandPath(),
				cmd.CommandPath()+" ") {
				t.Errorf("the example %q of %s calls %s (%v)", line, cmd.CommandPath(), found.CommandPath(), err)
				continue
			}
			if err := found.ParseFlags(rest); err != nil {
				t.Errorf("the example %q: %v", line, err)
			} else if err := found.ValidateArgs(found.Flags().Args()); err != nil {
				t.Errorf("the example %q: %v", line, err)
			} else if err := found.ValidateRequiredFlags(); err != nil {
				t.Errorf("the example %q: %v", line, err)
			}
		}
	}
}

// commandsOf are a command and those below it.
func commandsOf(cmd *cobra.Command) []*cobra.Command {
	if cmd.Name() == "completion" {
		return nil // cobra's own: what it says at length are examples
	}
	all := []*cobra.Command{cmd}
	for _, sub := range cmd.Commands() {
		all = append(all, commandsOf(sub)...)
	}
	return all
}
