package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/host/internal/job"
)

func (c *command) validate() *cobra.Command {
	var offline bool
	cmd := &cobra.Command{
		Use: "validate FILE", Short: "Check a job spec, and store nothing",
		Example: "  loop jobs validate feed.toml\n  loop jobs validate feed.toml --offline",
		Args:    one("the file of a job spec"),
		Long: "validate asks the node to check a job spec (- reads standard input). If no node answers, or with\n" +
			"--offline, it checks what needs no node and lists the rest: only the node knows its keys, bridges,\n" +
			"chains and other jobs. For a relay that is not built in, the plugin that CL_<NAME>_CMD names runs\n" +
			"during the check.",
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := c.spec(args[0])
			if err != nil {
				return err
			}
			v := validation{file: args[0], offline: "without a node"}
			if !offline {
				v.report, err = c.askNode(cmd.Context(), text)
				var silent *silence
				if errors.As(err, &silent) {
					v.offline += ", and " + silent.short()
				} else if err != nil {
					return err
				} else {
					v.node = c.target.name()
				}
			}
			if v.report == nil {
				known, err := c.known(cmd.Context())
				if err != nil {
					return err
				}
				defer known.Close(context.WithoutCancel(cmd.Context()))
				v.spec, v.report = job.Parse(cmd.Context(), []byte(text),
					job.Settings{Offline: true, Relayers: known.Jobs(), Products: known.Products()})
			}
			return c.judge(v)
		},
	}
	cmd.Flags().BoolVar(&offline, "offline", false, "ask no node")
	return cmd
}

// askNode has the node check a spec.
func (c *command) askNode(ctx context.Context, spec string) (*job.Report, error) {
	r, err := call(ctx, c, api.ValidateJob, &nodev1.ValidateJobRequest{SpecToml: spec})
	if err != nil {
		return nil, err
	}
	return report(r), nil
}

// validation is what is known of a spec.
type validation struct {
	file   string
	report *job.Report
	node   string // its address; empty if none was asked

	// Without a node:

	spec    *job.Spec // may be nil if it has problems
	offline string    // why something was not checked
}

// judge shows a validation, and makes an error of problems.
func (c *command) judge(v validation) error {
	if c.json {
		if err := c.print(map[string]any{
			"problems": inJSON(v.report.Problems), "warnings": inJSON(v.report.Warnings),
			"unchecked": inJSON(v.report.Unchecked), "node": v.node,
		}); err != nil {
			return err
		}
	} else {
		v.print(c.streams.Out)
	}
	if found := v.report.Problems; len(found) > 0 {
		return exit(ExitFailed, fmt.Errorf("%s has %s", v.file, count(found)))
	}
	return nil
}

func (v *validation) print(w io.Writer) {
	printFindings(w, v.file, v.report)
	if len(v.report.Problems) == 0 {
		_, _ = fmt.Fprintf(w, "%s: valid: %s\n", v.file, v.checked())
	}
	if len(v.report.Unchecked) > 0 {
		_, _ = fmt.Fprintf(w, "%s: not checked %s:\n", v.file, v.offline)
		for _, f := range v.report.Unchecked {
			_, _ = fmt.Fprintln(w, finding(v.file, f))
		}
	}
}

// checked says what a valid spec was checked for.
func (v *validation) checked() string {
	if v.node != "" {
		return "all was checked, by the node at " + v.node
	}
	if v.spec.Type == job.TypeBootstrap {
		return "its keys, timing and relayConfig were checked"
	}
	pipelines := 0
	for _, source := range v.spec.Sources() {
		if source.Pipeline != nil {
			pipelines++
		}
	}
	return fmt.Sprintf("its keys, timing, relayConfig, pluginConfig and %s were checked", plural(pipelines, "pipeline"))
}

// jsonFinding is a finding with the names that the operator's API has for its fields.
type jsonFinding struct {
	Line  int       `json:"line"`
	Key   string    `json:"key"`
	Stage job.Stage `json:"stage"`
	Text  string    `json:"text"`
}

func inJSON(found []job.Finding) []jsonFinding {
	all := make([]jsonFinding, len(found))
	for at, f := range found {
		all[at] = jsonFinding(f)
	}
	return all
}

// report is what a node found.
func report(r *nodev1.ValidateJobResponse) *job.Report {
	return &job.Report{Problems: findings(r.GetProblems()), Warnings: findings(r.GetWarnings())}
}

func findings(found []*nodev1.Problem) []job.Finding {
	all := make([]job.Finding, len(found))
	for at, p := range found {
		all[at] = job.Finding{Line: int(p.GetLine()), Key: p.GetKey(), Stage: job.Stage(p.GetStage()), Text: p.GetText()}
	}
	return all
}

// refusedFor returns the problems of a spec that a node refused; nil if the error is of another kind.
func refusedFor(err error) *job.Report {
	var refused *connect.Error
	if !errors.As(err, &refused) {
		return nil
	}
	for _, d := range refused.Details() {
		if v, err := d.Value(); err == nil {
			if found, ok := v.(*nodev1.ValidateJobResponse); ok && len(found.GetProblems()) > 0 {
				return report(found)
			}
		}
	}
	return nil
}

func printFindings(w io.Writer, file string, found *job.Report) {
	for _, f := range found.Problems {
		_, _ = fmt.Fprintf(w, "%s [%s]\n", finding(file, f), f.Stage)
	}
	for _, f := range found.Warnings {
		_, _ = fmt.Fprintf(w, "%s [warning]\n", finding(file, f))
	}
}

// finding is one finding with its place, as editors read it.
func finding(file string, f job.Finding) string {
	place := file
	if f.Line > 0 {
		place += ":" + strconv.Itoa(f.Line)
	}
	if f.Key != "" {
		return place + ": " + f.Key + ": " + f.Text
	}
	return place + ": " + f.Text
}

// count counts the problems of the check that refuses a spec, and those that later checks find.
func count(problems []job.Finding) string {
	stage, first := problems[0].Stage, 0
	for _, p := range problems {
		if p.Stage == stage {
			first++
		}
	}
	text := plural(first, "problem") + " in the " + string(stage) + " check"
	if later := len(problems) - first; later > 0 {
		text += fmt.Sprintf(", and %d in later ones", later)
	}
	return text
}
