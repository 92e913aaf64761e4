package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/host/internal/pipeline/trace"
)

func (c *command) jobRuns() *cobra.Command {
	var failed, follow bool
	var limit uint32
	cmd := &cobra.Command{
		Use: "runs ID [RUN]", Short: "List the runs of a job's pipelines, or show one with every task",
		ValidArgsFunction: c.complete(jobIDs),
		Long: "runs lists the newest runs of a job's pipelines that the node keeps, or shows one run as loop jobs\n" +
			"try does: the inputs of each task, its result, and how long it took. Of repeated failures, the\n" +
			"1st, 2nd, 4th, 8th and so on are kept longest. [JobPipeline] of the node's configuration says how\n" +
			"long.",
		Example: "  loop jobs runs 1\n  loop jobs runs 1 --failed\n  loop jobs runs 1 4711\n  loop jobs runs 1 -f",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 && len(args) != 2 {
				return fmt.Errorf("give a job's id and, for one run, its number; see: %s --help", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := jobID(args[0])
			switch {
			case err != nil:
				return err
			case len(args) == 2 && (failed || follow):
				return exit(ExitUsage, errors.New("--failed and --follow are for the list of runs"))
			case len(args) == 2:
				return c.showRun(cmd.Context(), id, args[1])
			case follow:
				return c.followRuns(cmd.Context(), id, failed)
			}
			r, err := call(cmd.Context(), c, api.ListRuns, &nodev1.ListRunsRequest{JobId: id, Failed: failed, PageSize: limit})
			if err != nil {
				return err
			}
			return c.show(r, func(w io.Writer) {
				runHead(w)
				for _, run := range r.GetRuns() {
					runRow(w, run)
				}
			})
		},
	}
	cmd.Flags().BoolVar(&failed, "failed", false, "leave out runs in which no task failed")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "show runs as they end")
	cmd.Flags().Uint32Var(&limit, "limit", 20, "how many to list, at most 1000")
	return cmd
}

func runHead(w io.Writer) {
	row(w, "RUN", "STARTED", "ROUND", "SOURCE", "TOOK", "FAILED TASKS", "RESULT")
}

func runRow(w io.Writer, r *nodev1.Run) {
	row(w, strconv.FormatInt(r.GetId(), 10), clock(r.GetStartedAt()), roundName(r.GetTimestamp()), r.GetSource(),
		milliseconds(r.GetTook().AsDuration()), strconv.FormatUint(uint64(r.GetFailedTasks()), 10), outcome(r))
}

// outcome is a run's value, or one line that says why it has none. For tasks that did not run, it names the task that
// failed before them.
func outcome(r *nodev1.Run) string {
	if r.GetError() == "" {
		return cmp.Or(r.GetValue(), value(json.RawMessage(r.GetResultJson()), resultWidth)) // of a product's what it came to
	}
	_, cause, found := strings.Cut(r.GetError(), ": not run, since ")
	if !found {
		cause = r.GetError()
	}
	return "error: " + shorten(cause, errorWidth)
}

// shownRun is a run for programs: a source as loop jobs try shows it, with the further properties of a run.
type shownRun struct {
	Run         int64  `json:"run"`
	Started     string `json:"started"`
	Epoch       uint32 `json:"epoch,omitempty"`
	Round       uint32 `json:"round,omitempty"`
	FailedTasks uint32 `json:"failedTasks"`
	*trace.Source
}

func (c *command) showRun(ctx context.Context, job int64, text string) error {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return exit(ExitUsage, fmt.Errorf("%q is not a run's number; see: loop jobs runs %d", text, job))
	}
	r, err := call(ctx, c, api.GetRun, &nodev1.GetRunRequest{JobId: job, Id: id})
	if err != nil {
		return err
	}
	run := r.GetRun()
	source := traced(run)
	if c.json {
		return c.print(map[string]shownRun{source.Name: {
			Run: run.GetId(), Started: run.GetStartedAt().AsTime().Format(time.RFC3339Nano),
			Epoch: run.GetTimestamp().GetEpoch(),
			Round: run.GetTimestamp().GetRound(), FailedTasks: run.GetFailedTasks(), Source: source,
		}})
	}
	of := "for no round"
	if run.GetTimestamp() != nil {
		of = "for round " + roundName(run.GetTimestamp())
	}
	_, _ = fmt.Fprintf(c.streams.Out, "run %d of job %d, %s, %s\n", id, job, of, clock(run.GetStartedAt()))
	return printSource(c.streams.Out, source)
}

// traced is a run as loop jobs try has one.
func traced(r *nodev1.Run) *trace.Source {
	s := &trace.Source{
		Name: r.GetSource(), Value: r.GetValue(), Error: r.GetError(), Result: json.RawMessage(r.GetResultJson()),
		Duration: trace.Milliseconds(r.GetTook().AsDuration()), Tasks: []trace.Task{},
	}
	for _, t := range r.GetTasks() {
		task := trace.Task{
			ID: t.GetId(), Type: t.GetType(), Input: []trace.Given{}, Attempts: int(t.GetAttempts()),
			Outcome:  trace.Outcome{Result: json.RawMessage(t.GetResultJson()), Error: t.GetError()},
			Duration: trace.Milliseconds(t.GetTook().AsDuration()),
		}
		for _, given := range t.GetInputs() {
			outcome := trace.Outcome{Result: json.RawMessage(given.GetResultJson()), Error: given.GetError()}
			task.Input = append(task.Input, trace.Given{ID: given.GetId(), Outcome: outcome})
		}
		s.Tasks = append(s.Tasks, task)
	}
	return s
}

func (c *command) followRuns(ctx context.Context, job int64, failed bool) error {
	type stream = connect.ServerStreamForClient[nodev1.WatchRunsResponse]
	return watchStream(ctx, c, func(ctx context.Context, a api) (*stream, error) {
		return a.WatchRuns(ctx, &nodev1.WatchRunsRequest{JobId: job, Failed: failed})
	}, func(r *nodev1.WatchRunsResponse) string {
		run := r.GetRun()
		result := outcome(run)
		if n := int(run.GetFailedTasks()); n > 0 && run.GetError() == "" {
			result += " though " + plural(n, "task") + " failed"
		}
		return missed(r.GetMissed()) + fmt.Sprintf("%s  run %d  round %s  %s  %s  %s", clock(run.GetStartedAt()), run.GetId(),
			roundName(run.GetTimestamp()), run.GetSource(), milliseconds(run.GetTook().AsDuration()), result)
	})
}

func missed(n uint64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("(%s not shown: the terminal was too slow)\n", plural(int(n), "line"))
}
