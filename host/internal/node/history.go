package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/host/internal/database"
	"github.com/loop-plugins/loop/host/internal/history"
	"github.com/loop-plugins/loop/host/internal/hostservice"
	"github.com/loop-plugins/loop/host/internal/pipeline/trace"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

const (
	// pageSize is how many entries a page has by default, and mostPage how many it may have.
	pageSize = 100
	mostPage = 1000
	// shownRounds is how many rounds ShowJob returns.
	shownRounds = 10
	// showTimeout bounds the calls of a relayer for people who wait. Its answers come from memory.
	showTimeout = 2 * time.Second
	// streamTime is how long a stream lasts, so that a revoked token stops working.
	streamTime = 10 * time.Minute
)

// job is a job by its number.
func (s *service) job(id int64) (*running, error) {
	if err := s.starting(); err != nil {
		return nil, err
	}
	j := s.node.jobs.get(id)
	if j == nil {
		return nil, connect.NewError(connect.CodeNotFound, fmt.Errorf("there is no job %d; see: loop jobs list", id))
	}
	return j, nil
}

// page is how many entries a caller wants, and from where on.
func page(size uint32, token string) (limit int, from int64, err error) {
	limit = min(cmp.Or(int(size), pageSize), mostPage)
	if token == "" {
		return limit, 0, nil
	}
	if from, err = strconv.ParseInt(token, 10, 64); err != nil || from <= 0 {
		return 0, 0, connect.NewError(connect.CodeInvalidArgument,
			errors.New("page_token: it is not a next_page_token of a page before"))
	}
	return limit, from, nil
}

// ListObservations implements nodev1connect.NodeServiceHandler.
func (s *service) ListObservations(
	ctx context.Context, r *nodev1.ListObservationsRequest,
) (*nodev1.ListObservationsResponse, error) {
	j, err := s.job(r.GetJobId())
	if err != nil {
		return nil, err
	}
	return &nodev1.ListObservationsResponse{Observations: j.observations(ctx, cmp.Or(int(r.GetLimit()), pageSize))}, nil
}

func (r *running) observations(ctx context.Context, limit int) []*nodev1.RoundObservation {
	if r.oracle == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, showTimeout)
	defer cancel()
	return r.oracle.Observations(ctx, limit)
}

// ShowJob implements nodev1connect.NodeServiceHandler.
func (s *service) ShowJob(ctx context.Context, r *nodev1.ShowJobRequest) (*nodev1.ShowJobResponse, error) {
	j, err := s.job(r.GetId())
	if err != nil {
		return nil, err
	}
	shown := &nodev1.ShowJobResponse{Job: j.describe(s.node.states), Rounds: j.observations(ctx, shownRounds)}
	if j.oracle == nil {
		return shown, nil
	}
	facts := j.oracle.Facts()
	if m := facts.Members; m != nil {
		shown.Oracles, shown.Faulty = uint32(m.Oracles), uint32(m.Faulty)
		if m.Signer {
			index := uint32(m.Index)
			shown.OracleIndex = &index
		}
	}
	shown.Transmitter = j.spec.Account()
	for oracle, at := range facts.Heard {
		p := &nodev1.Peer{OracleIndex: uint32(oracle), Heard: facts.Hears(oracle, time.Now())}
		if !at.IsZero() {
			p.HeardAt = timestamppb.New(at)
		}
		shown.Peers = append(shown.Peers, p)
	}
	slices.SortFunc(shown.Peers, func(a, b *nodev1.Peer) int {
		return cmp.Compare(a.GetOracleIndex(), b.GetOracleIndex())
	})
	ctx, cancel := context.WithTimeout(ctx, showTimeout)
	defer cancel()
	found := s.node.states.last()
	if c := found.chains[j.chainPart()]; c != nil {
		shown.ChainTrouble = c.state.Reason
	}
	if a := j.transmitter(found); a != nil {
		shown.Account = describeAccount(a)
	}
	if shown.ContractAnswer, err = j.oracle.ContractAnswer(ctx); err != nil {
		s.node.logger.Debug("the latest transmission of a job's contract is not known", "job", r.GetId(), "error", err)
	}
	return shown, nil
}

// ListJobErrors implements nodev1connect.NodeServiceHandler.
func (s *service) ListJobErrors(_ context.Context,
	r *nodev1.ListJobErrorsRequest) (*nodev1.ListJobErrorsResponse, error) {
	j, err := s.job(r.GetJobId())
	if err != nil {
		return nil, err
	}
	limit, from, err := page(r.GetPageSize(), r.GetPageToken())
	if err != nil {
		return nil, err
	}
	reply := &nodev1.ListJobErrorsResponse{}
	past, ok := s.node.history.Of(j.stored.ID)
	if !ok {
		return reply, nil
	}
	all := past.Errors.Latest()
	if from > int64(len(all)) {
		from = int64(len(all))
	}
	end := min(int(from)+limit, len(all))
	for _, e := range all[from:end] {
		reply.Errors = append(reply.Errors, describeError(e))
	}
	if end < len(all) {
		reply.NextPageToken = strconv.Itoa(end)
	}
	return reply, nil
}

func describeError(e hostservice.JobError) *nodev1.JobError {
	return &nodev1.JobError{
		Message: worded(e.Message), Count: e.Count, FirstAt: timestamppb.New(e.FirstAt), LastAt: timestamppb.New(e.LastAt),
	}
}

// ListRuns implements nodev1connect.NodeServiceHandler.
func (s *service) ListRuns(ctx context.Context, r *nodev1.ListRunsRequest) (*nodev1.ListRunsResponse, error) {
	j, err := s.job(r.GetJobId())
	if err != nil {
		return nil, err
	}
	limit, before, err := page(r.GetPageSize(), r.GetPageToken())
	if err != nil {
		return nil, err
	}
	reply := &nodev1.ListRunsResponse{}
	past, ok := s.node.history.Of(j.stored.ID)
	if !ok {
		return reply, nil
	}
	runs, more, err := past.Runs(ctx, before, limit, r.GetFailed())
	if err != nil {
		return nil, apiError(err)
	}
	for _, run := range runs {
		shown := describeRun(run)
		shown.Tasks = nil
		reply.Runs = append(reply.Runs, shown)
	}
	if more {
		reply.NextPageToken = strconv.FormatInt(runs[len(runs)-1].ID, 10)
	}
	return reply, nil
}

// GetRun implements nodev1connect.NodeServiceHandler.
func (s *service) GetRun(ctx context.Context, r *nodev1.GetRunRequest) (*nodev1.GetRunResponse, error) {
	j, err := s.job(r.GetJobId())
	if err != nil {
		return nil, err
	}
	past, ok := s.node.history.Of(j.stored.ID)
	if !ok {
		return nil, connect.NewError(connect.CodeNotFound, fmt.Errorf("%s has not run", j.title()))
	}
	run, err := past.Run(ctx, r.GetId())
	if errors.Is(err, database.ErrNotFound) {
		return nil, connect.NewError(connect.CodeNotFound,
			fmt.Errorf("job %d has no run %d, or it is not kept any more; see: loop jobs runs "+
				"%[1]d", r.GetJobId(), r.GetId()))
	} else if err != nil {
		return nil, apiError(err)
	}
	return &nodev1.GetRunResponse{Run: describeRun(run)}, nil
}

func describeRun(r *history.Run) *nodev1.Run {
	shown := &nodev1.Run{
		Id: r.ID, JobId: r.JobID, Source: r.Source, StartedAt: timestamppb.New(r.StartedAt), Took: durationpb.New(r.Took),
		Value: r.Trace.Value, Error: worded(r.Trace.Error), ResultJson: string(r.Trace.Result), FailedTasks: uint32(r.Faults),
	}
	if len(r.Digest) > 0 {
		shown.Timestamp = &reportingv1.ReportTimestamp{ConfigDigest: r.Digest, Epoch: r.Epoch, Round: uint32(r.Round)}
	}
	for _, t := range r.Trace.Tasks {
		task := &nodev1.RunTask{
			Id: t.ID, Type: t.Type, ResultJson: string(t.Result), Error: worded(t.Error), Attempts: uint32(t.Attempts),
			Took: took(t),
		}
		for _, given := range t.Input {
			task.Inputs = append(task.Inputs,
				&nodev1.RunInput{Id: given.ID, ResultJson: string(given.Result), Error: worded(given.Error)})
		}
		shown.Tasks = append(shown.Tasks, task)
	}
	return shown
}

// took is how long a task took: a trace has durations in words that Go reads.
func took(t trace.Task) *durationpb.Duration {
	d, err := time.ParseDuration(t.Duration)
	if err != nil {
		return nil
	}
	return durationpb.New(d)
}

// watched refuses a job that is not there; 0 is all.
func (s *service) watched(id int64) error {
	if id == 0 {
		return s.starting()
	}
	_, err := s.job(id)
	return err
}

// follow sends what a listener hears until the caller, the node or the stream's time ends.
func follow[T any](ctx context.Context, heard *history.Listener[T], send func(T) error) error {
	ctx, cancel := context.WithTimeout(ctx, streamTime)
	defer cancel()
	for {
		select {
		case what, ok := <-heard.C:
			if !ok {
				return errEnds()
			}
			if err := send(what); err != nil {
				return err
			}
		case <-ctx.Done():
			return timeUp(ctx)
		}
	}
}

// errEnds is the error of a stream that ends with the node.
func errEnds() error { return connect.NewError(connect.CodeUnavailable, errors.New("the node ends")) }

// timeUp is the error of a stream whose time is over; it has none if the caller has gone.
func timeUp(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return connect.NewError(connect.CodeUnavailable, fmt.Errorf("a stream lasts %s; open it again", streamTime))
	}
	return nil
}

// WatchRuns implements nodev1connect.NodeServiceHandler.
func (s *service) WatchRuns(
	ctx context.Context, r *nodev1.WatchRunsRequest, stream *connect.ServerStream[nodev1.WatchRunsResponse],
) error {
	if err := s.watched(r.GetJobId()); err != nil {
		return err
	}
	heard := s.node.history.ListenRuns(r.GetJobId())
	defer heard.Close()
	if err := stream.Send(nil); err != nil { // the header: from now on nothing is missed
		return err
	}
	return follow(ctx, heard, func(told func() *history.Run) error {
		run := told()
		if r.GetFailed() && !run.Faulty() {
			return nil
		}
		return stream.Send(&nodev1.WatchRunsResponse{Run: describeRun(run), Missed: heard.Missed()})
	})
}

// WatchRounds implements nodev1connect.NodeServiceHandler.
func (s *service) WatchRounds(
	ctx context.Context, r *nodev1.WatchRoundsRequest, stream *connect.ServerStream[nodev1.WatchRoundsResponse],
) error {
	if err := s.watched(r.GetJobId()); err != nil {
		return err
	}
	heard := s.node.history.ListenRounds(r.GetJobId())
	defer heard.Close()
	if err := stream.Send(nil); err != nil {
		return err
	}
	return follow(ctx, heard, func(h *history.Happening) error {
		shown := &nodev1.WatchRoundsResponse{
			JobId: h.JobID, Event: h.Event, Round: h.Round, At: timestamppb.New(h.At), Missed: heard.Missed(),
		}
		if j := s.node.jobs.get(h.JobID); j != nil {
			shown.JobName = j.stored.Name
			if h.Report != nil && j.oracle != nil {
				shown.Round = j.answered(ctx, h)
			}
		}
		return stream.Send(shown)
	})
}

// answered is a round with the answer of the report that was just made; without it the report is told all the same.
func (r *running) answered(ctx context.Context, h *history.Happening) *nodev1.RoundObservation {
	ctx, cancel := context.WithTimeout(ctx, showTimeout)
	defer cancel()
	answer, err := r.oracle.Answer(ctx, h.Report)
	if err != nil {
		return h.Round
	}
	shown := proto.Clone(h.Round).(*nodev1.RoundObservation) // others listen too
	shown.Answer = wire.BigInt(answer)
	return shown
}
