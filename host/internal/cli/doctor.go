package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/host/internal/doctor"
	"github.com/loop-plugins/loop/host/internal/node"
)

func (c *command) doctor() *cobra.Command {
	var file string
	var all bool
	cmd := &cobra.Command{
		Use: "doctor", Short: "Look for problems of a node and of what it depends on, and say what to do", Args: none,
		Long: "doctor asks a running node for all that it knows: its configuration, plugins, chains and funds,\n" +
			"what each job does and which peers it hears, the times of its contract, clocks, bridges and disks.\n" +
			"If no node answers and none was named, it checks what needs none, as loop node check does, and\n" +
			"lists the rest. It exits with 1 if a check fails.",
		Example: "  loop doctor\n  loop doctor --all\n  loop doctor --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer cancel()
			if file != "" {
				c.target.environ = append([]string{"CL_CONFIG=" + file}, c.target.environ...) // the first of a name counts
			}
			found, err := c.diagnose(ctx, file)
			if err != nil {
				return err
			}
			return c.showFindings(found, all)
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "the node's configuration file (environment: CL_CONFIG)")
	cmd.Flags().BoolVar(&all, "all", false, "also show the checks that passed")
	return cmd
}

// diagnose asks the node. If no node answers, it makes the checks that need none.
func (c *command) diagnose(ctx context.Context, file string) ([]*nodev1.Finding, error) {
	r, err := call(ctx, c, api.Diagnose, &nodev1.DiagnoseRequest{})
	if err == nil {
		return r.GetFindings(), nil
	}
	var silent *silence
	if c.target.named() || !errors.As(err, &silent) && !errors.Is(err, errNoSocket) {
		return nil, err
	}
	var found []*nodev1.Finding
	if silent != nil {
		found = append(found, doctor.Unchecked(doctor.Node, "node", silent.short(),
			"start one by loop node start, or name one by --socket or --url"))
	}
	loaded, err := c.load(ctx, file)
	if err != nil {
		for _, problem := range strings.Split(err.Error(), "\n") {
			found = append(found, doctor.Failed(doctor.Configuration, "configuration", problem,
				"fix it: a node does not start with it"))
		}
	} else {
		found = append(found, node.Examine(ctx, c.settings(loaded, slog.New(slog.DiscardHandler)))...)
	}
	doctor.Sort(found)
	return found, nil
}

// showFindings shows the findings, the worst first, and returns an error if a check failed.
func (c *command) showFindings(found []*nodev1.Finding, all bool) error {
	if err := c.show(&nodev1.DiagnoseResponse{Findings: found}, func(w io.Writer) {
		for _, f := range found {
			if f.GetSeverity() == nodev1.Severity_SEVERITY_OK && !all {
				continue
			}
			row(w, doctor.Name(f.GetSeverity()), f.GetCheck(), f.GetSubject(), f.GetText())
			if f.GetRemedy() != "" {
				row(w, "", "", "", "what to do: "+f.GetRemedy())
			}
		}
	}); err != nil {
		return err
	}
	count := func(s nodev1.Severity) int { return doctor.Count(found, s) }
	failed := count(nodev1.Severity_SEVERITY_FAILED)
	if !c.json {
		_, _ = fmt.Fprintf(c.streams.Out, "%d failed, %s, %d not checked, %d well\n", failed,
			plural(count(nodev1.Severity_SEVERITY_WARNING), "warning"), count(nodev1.Severity_SEVERITY_UNCHECKED),
			count(nodev1.Severity_SEVERITY_OK))
	}
	if failed > 0 {
		return exit(ExitFailed, fmt.Errorf("%d of %d checks failed", failed, len(found)))
	}
	return nil
}
