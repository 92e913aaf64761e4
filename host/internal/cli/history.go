package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/host/internal/pipeline/trace"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// jobID reads a job's id.
func jobID(text string) (int64, error) {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, exit(ExitUsage, fmt.Errorf("%q is not a job's id; see: loop jobs list", text))
	}
	return id, nil
}

const (
	// shownErrors is how many of its errors jobs show has.
	shownErrors = 3
	// errorWidth is that of an error in a line with other things.
	errorWidth = 160
)

func (c *command) showJob() *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show what a job does: its state, oracle, peers, last rounds and accounts", Args: one("a job's id"),
		Example: "  loop jobs show 1",
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := jobID(args[0])
			if err != nil {
				return err
			}
			type method = func(context.Context, *nodev1.ShowJobRequest) (*nodev1.ShowJobResponse, error)
			r, err := call(cmd.Context(), c, func(a api) method { return a.ShowJob }, &nodev1.ShowJobRequest{Id: id})
			if err != nil {
				return err
			}
			if err := c.show(r, func(w io.Writer) { jobLines(w, r) }); err != nil || c.json || len(r.GetRounds()) == 0 {
				return err
			}
			_, _ = fmt.Fprintln(c.streams.Out)
			return c.show(r, func(w io.Writer) { roundTable(w, r) })
		},
	}
}

// jobLines are what a job does, a line for each thing.
func jobLines(w io.Writer, r *nodev1.ShowJobResponse) {
	j := r.GetJob()
	line := func(what, format string, args ...any) { row(w, what, fmt.Sprintf(format, args...)) }
	line("job", "%d  %s", j.GetId(), dash(j.GetName()))
	line("type", "%s on %s", j.GetType(), dash(j.GetRelay()))
	line("contract", "%s", dash(j.GetContractId()))
	line("state", "%s for %s", stateName(j), age(j.GetStateSince()))
	if j.GetReason() != "" {
		line("reason", "%s", j.GetReason())
	}
	if j.GetRemedy() != "" {
		line("what to do", "%s", j.GetRemedy())
	}
	digest := "none runs"
	if d := j.GetConfigDigest(); len(d) > 0 {
		digest = fmt.Sprintf("%x", d)
	}
	line("config digest", "%s", digest)
	switch {
	case r.OracleIndex != nil:
		line("oracle", "%d of %d, of which %d may fail", r.GetOracleIndex(), r.GetOracles(), r.GetFaulty())
	case r.GetOracles() > 0:
		line("oracle", "not one of the %d", r.GetOracles())
	}
	if len(r.GetPeers()) > 0 {
		line("peers heard", "%s", peersHeard(r.GetPeers()))
	}
	if a := r.GetContractAnswer(); a != nil {
		line("on the contract", "%s of round %s, %s ago", integer(a.GetAnswer()), roundName(a.GetTimestamp()), age(a.GetTransmittedAt()))
	}
	if r.GetTransmitter() != "" {
		line("transmitter", "%s", r.GetTransmitter())
	}
	if r.GetChainTrouble() != "" {
		line("chain", "%s", r.GetChainTrouble())
	}
	for at, e := range j.GetErrors() {
		if at == shownErrors {
			line("", "%s: loop jobs errors %d", plural(len(j.GetErrors())-at, "other error"), j.GetId())
			break
		}
		what := ""
		if at == 0 {
			what = "last errors"
		}
		line(what, "%s ago, %s: %s", age(e.GetLastAt()), times(e.GetCount()), shorten(e.GetMessage(), errorWidth))
	}
}

func stateName(j *nodev1.Job) string {
	return strings.ToLower(strings.TrimPrefix(j.GetState().String(), "JOB_STATE_"))
}

// peersHeard counts the peers that are heard, and says of the others since when they were not.
func peersHeard(peers []*nodev1.Peer) string {
	heard := 0
	var silent []string
	for _, p := range peers {
		at := p.GetHeardAt()
		switch {
		case p.GetHeard():
			heard++
		case at == nil:
			silent = append(silent, fmt.Sprintf("oracle %d never", p.GetOracleIndex()))
		default:
			silent = append(silent, fmt.Sprintf("oracle %d not for %s", p.GetOracleIndex(), age(at)))
		}
	}
	text := fmt.Sprintf("%d of %d", heard, len(peers))
	if len(silent) > 0 {
		text += "; " + strings.Join(silent, ", ")
	}
	return text
}

// roundTable is the last rounds.
func roundTable(w io.Writer, r *nodev1.ShowJobResponse) {
	row(w, "ROUND", "AGE", "OBSERVED", "TOOK", "ANSWER", "SENT BY")
	for _, o := range r.GetRounds() {
		observed := integer(o.GetValue())
		if o.GetValue() == nil && len(o.GetErrors()) > 0 {
			observed = "failed"
		}
		row(w, roundName(o.GetTimestamp()), age(o.GetObservedAt()), observed, milliseconds(o.GetTook().AsDuration()),
			integer(o.GetAnswer()), sender(o, r.GetContractAnswer()))
	}
}

// sender is who sent a round's report, as far as this node knows.
func sender(o *nodev1.RoundObservation, accepted *nodev1.ContractAnswer) string {
	switch {
	case o.GetSendError() != "":
		return "the relayer did not take it: " + shorten(o.GetSendError(), resultWidth)
	case o.GetSentAt() != nil:
		return "this node"
	case accepted != nil && proto.Equal(accepted.GetTimestamp(), o.GetTimestamp()):
		return "another node"
	}
	return "-"
}

func (c *command) jobErrors() *cobra.Command {
	return &cobra.Command{
		Use: "errors ID", Short: "List a job's errors, each once with how often and when it came", Args: one("a job's id"),
		Example: "  loop jobs errors 1",
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := jobID(args[0])
			if err != nil {
				return err
			}
			type method = func(context.Context, *nodev1.ListJobErrorsRequest) (*nodev1.ListJobErrorsResponse, error)
			r, err := call(cmd.Context(), c, func(a api) method { return a.ListJobErrors }, &nodev1.ListJobErrorsRequest{JobId: id})
			if err != nil {
				return err
			}
			return c.show(r, func(w io.Writer) {
				row(w, "LAST", "FIRST", "TIMES", "ERROR")
				for _, e := range r.GetErrors() {
					row(w, clock(e.GetLastAt()), clock(e.GetFirstAt()), strconv.FormatUint(e.GetCount(), 10), e.GetMessage())
				}
			})
		},
	}
}

func (c *command) jobRuns() *cobra.Command {
	var failed, follow bool
	var limit uint32
	cmd := &cobra.Command{
		Use: "runs ID [RUN]", Short: "List the runs of a job's pipelines, or show one with every task",
		Long: "runs lists the newest runs of a job's pipelines that the node keeps, or shows one as loop jobs try does: what each\n" +
			"task was given, what it came to, and how long it took. Of failures that repeat, the 1st, 2nd, 4th, 8th and so on are kept\n" +
			"longest; [JobPipeline] of the node's configuration says for how long.",
		Example: "  loop jobs runs 1\n  loop jobs runs 1 --failed\n  loop jobs runs 1 4711\n  loop jobs runs 1 -f",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 && len(args) != 2 {
				return fmt.Errorf("a job's id is wanted, and of one run its number; see: %s --help", cmd.CommandPath())
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
			type method = func(context.Context, *nodev1.ListRunsRequest) (*nodev1.ListRunsResponse, error)
			r, err := call(cmd.Context(), c, func(a api) method { return a.ListRuns },
				&nodev1.ListRunsRequest{JobId: id, Failed: failed, PageSize: limit})
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

// outcome is a run's value, or in one line why it has none: of tasks that did not run, that which failed before them.
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

// shownRun is a run for programs: a source as loop jobs try has it, with what a run has besides.
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
	type method = func(context.Context, *nodev1.GetRunRequest) (*nodev1.GetRunResponse, error)
	r, err := call(ctx, c, func(a api) method { return a.GetRun }, &nodev1.GetRunRequest{JobId: job, Id: id})
	if err != nil {
		return err
	}
	run := r.GetRun()
	source := traced(run)
	if c.json {
		return c.print(map[string]shownRun{source.Name: {
			Run: run.GetId(), Started: run.GetStartedAt().AsTime().Format(time.RFC3339Nano), Epoch: run.GetTimestamp().GetEpoch(),
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

func (c *command) rounds() *cobra.Command {
	watch := &cobra.Command{
		Use: "watch [ID]", Short: "Show what happens in rounds as it happens, of one job or of all, until Ctrl-C",
		Long: "watch has a line when this node has observed, when the network has made a report, and when this node has handed it to\n" +
			"its relayer. With --json each line is an object.",
		Example: "  loop rounds watch\n  loop rounds watch 1 --json",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return fmt.Errorf("one job's id is wanted at most; see: %s --help", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			request := &nodev1.WatchRoundsRequest{}
			if len(args) == 1 {
				id, err := jobID(args[0])
				if err != nil {
					return err
				}
				request.JobId = id
			}
			type stream = connect.ServerStreamForClient[nodev1.WatchRoundsResponse]
			return watchStream(cmd.Context(), c, func(ctx context.Context, a api) (*stream, error) {
				return a.WatchRounds(ctx, request)
			}, func(r *nodev1.WatchRoundsResponse) string {
				return missed(r.GetMissed()) + fmt.Sprintf("%s  job %s  round %s  %s",
					clock(r.GetAt()), jobLabel(r), roundName(r.GetRound().GetTimestamp()), happened(r))
			})
		},
	}
	return group("rounds", "Watch the rounds of jobs", watch)
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

func jobLabel(r *nodev1.WatchRoundsResponse) string {
	if r.GetJobName() == "" {
		return strconv.FormatInt(r.GetJobId(), 10)
	}
	return fmt.Sprintf("%d (%s)", r.GetJobId(), r.GetJobName())
}

// happened says what happened in a round.
func happened(r *nodev1.WatchRoundsResponse) string {
	o := r.GetRound()
	switch r.GetEvent() {
	case nodev1.RoundEvent_ROUND_EVENT_OBSERVED:
		took := milliseconds(o.GetTook().AsDuration())
		if o.GetValue() == nil {
			return "observed nothing in " + took + ": " + strings.Join(o.GetErrors(), "; ")
		}
		return "observed " + integer(o.GetValue()) + " in " + took
	case nodev1.RoundEvent_ROUND_EVENT_REPORTED:
		if o.GetAnswer() == nil {
			return "report"
		}
		return "report with answer " + integer(o.GetAnswer())
	case nodev1.RoundEvent_ROUND_EVENT_SENT:
		if o.GetSendError() != "" {
			return "report not taken by the relayer: " + o.GetSendError()
		}
		return "report handed to the relayer"
	}
	return strings.ToLower(strings.TrimPrefix(r.GetEvent().String(), "ROUND_EVENT_"))
}

// opener opens a stream.
type opener[R any] func(context.Context, api) (*connect.ServerStreamForClient[R], error)

// watchStream prints a line for each message of a stream until the command ends. A stream that has had its time is opened again.
func watchStream[R any, M interface {
	*R
	proto.Message
}](ctx context.Context, c *command, open opener[R], text func(M) string) error {
	ctx, cancel := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer cancel()
	for {
		opened := time.Now()
		err := receive(ctx, c, open, text)
		ended := err == nil || connect.CodeOf(err) == connect.CodeUnavailable && connect.IsWireError(err)
		switch {
		case ctx.Err() != nil, err == nil && time.Since(opened) < time.Minute:
			return nil // it was told to end
		case !ended || time.Since(opened) < time.Minute: // one that ends at once would be opened without end
			return explain(c.target.name(), err)
		}
	}
}

// receive prints what comes of a stream until it ends.
func receive[R any, M interface {
	*R
	proto.Message
}](ctx context.Context, c *command, open opener[R], text func(M) string) error {
	client, err := c.target.client(ctx)
	if err != nil {
		return err
	}
	stream, err := open(ctx, client)
	if err != nil {
		return err
	}
	defer stream.Close()
	for stream.Receive() {
		if err := line(c, M(stream.Msg()), text); err != nil {
			return err
		}
	}
	return stream.Err()
}

// line prints a message of a stream.
func line[M proto.Message](c *command, m M, text func(M) string) error {
	if !c.json {
		lines := strings.Split(text(m), "\n")
		for at := range lines {
			lines[at] = cell(lines[at])
		}
		_, err := fmt.Fprintln(c.streams.Out, strings.Join(lines, "\n"))
		return err
	}
	v, err := document(m)
	if err != nil {
		return err
	}
	e := json.NewEncoder(c.streams.Out)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// integer is a number that may be absent.
func integer(b *pluginv1.BigInt) string {
	if v := wire.Int(b); v != nil {
		return v.String()
	}
	return "-"
}

// roundName is a round as people name it.
func roundName(at *reportingv1.ReportTimestamp) string {
	if at == nil {
		return "-"
	}
	return fmt.Sprintf("%d/%d", at.GetEpoch(), at.GetRound())
}

// clock is a time, with its day if that is not today.
func clock(t *timestamppb.Timestamp) string {
	if t == nil {
		return "-"
	}
	at := t.AsTime().Local()
	if time.Since(at) < 12*time.Hour {
		return at.Format("15:04:05.000")
	}
	return at.Format("2006-01-02 15:04:05")
}

// times is how often something came.
func times(n uint64) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) + "ms" }
