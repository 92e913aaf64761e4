package api

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/host/internal/database"
	"github.com/loop-plugins/loop/host/internal/history"
	"github.com/loop-plugins/loop/host/internal/node"
	"github.com/loop-plugins/loop/host/internal/pipeline/trace"
)

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
	past, ok := s.node.History().Of(j.Stored.ID)
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
	past, ok := s.node.History().Of(j.Stored.ID)
	if !ok {
		return nil, connect.NewError(connect.CodeNotFound, fmt.Errorf("%s has not run", j.Title()))
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
		Value: r.Trace.Value, Error: node.Worded(r.Trace.Error), ResultJson: string(r.Trace.Result),
		FailedTasks: uint32(r.Faults),
	}
	if len(r.Digest) > 0 {
		shown.Timestamp = &reportingv1.ReportTimestamp{ConfigDigest: r.Digest, Epoch: r.Epoch, Round: uint32(r.Round)}
	}
	for _, t := range r.Trace.Tasks {
		task := &nodev1.RunTask{
			Id: t.ID, Type: t.Type, ResultJson: string(t.Result), Error: node.Worded(t.Error), Attempts: uint32(t.Attempts),
			Took: took(t),
		}
		for _, given := range t.Input {
			task.Inputs = append(task.Inputs,
				&nodev1.RunInput{Id: given.ID, ResultJson: string(given.Result), Error: node.Worded(given.Error)})
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

// WatchRuns implements nodev1connect.NodeServiceHandler.
func (s *service) WatchRuns(
	ctx context.Context, r *nodev1.WatchRunsRequest, stream *connect.ServerStream[nodev1.WatchRunsResponse],
) error {
	if err := s.watched(r.GetJobId()); err != nil {
		return err
	}
	heard := s.node.History().ListenRuns(r.GetJobId())
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
