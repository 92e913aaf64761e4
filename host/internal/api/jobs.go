package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/host/internal/database"
	"github.com/loop-plugins/loop/host/internal/health"
	"github.com/loop-plugins/loop/host/internal/hostservice"
	"github.com/loop-plugins/loop/host/internal/job"
	"github.com/loop-plugins/loop/host/internal/node"
)

const (
	// shownRounds is how many rounds ShowJob returns.
	shownRounds = 10
	// showTimeout bounds the calls of a relayer for people who wait. Its answers come from memory.
	showTimeout = 2 * time.Second
)

// AddJob implements nodev1connect.NodeServiceHandler.
func (s *service) AddJob(ctx context.Context, r *nodev1.AddJobRequest) (*nodev1.AddJobResponse, error) {
	if err := s.starting(); err != nil {
		return nil, err
	}
	done, err := s.checking.take(ctx, "other jobs were being checked")
	if err != nil {
		return nil, apiError(err)
	}
	defer done()
	added, report, err := s.node.AddJob(ctx, r.GetSpecToml())
	if err != nil {
		return nil, apiError(err)
	}
	if err := report.Err(); err != nil {
		refused := connect.NewError(connect.CodeInvalidArgument, err)
		if detail, err := connect.NewErrorDetail(found(report)); err == nil {
			refused.AddDetail(detail) // the same for programs
		}
		return nil, refused
	}
	return &nodev1.AddJobResponse{Job: describeJob(added), Warnings: problems(report.Warnings)}, nil
}

// ValidateJob implements nodev1connect.NodeServiceHandler.
func (s *service) ValidateJob(ctx context.Context, r *nodev1.ValidateJobRequest) (*nodev1.ValidateJobResponse, error) {
	if err := s.starting(); err != nil {
		return nil, err
	}
	done, err := s.checking.take(ctx, "other jobs were being checked")
	if err != nil {
		return nil, apiError(err)
	}
	defer done()
	return found(s.node.CheckJob(ctx, r.GetSpecToml())), nil
}

func found(report *job.Report) *nodev1.ValidateJobResponse {
	return &nodev1.ValidateJobResponse{Problems: problems(report.Problems), Warnings: problems(report.Warnings)}
}

func problems(found []job.Finding) []*nodev1.Problem {
	all := make([]*nodev1.Problem, 0, len(found))
	for _, f := range found {
		all = append(all, &nodev1.Problem{Line: uint32(f.Line), Key: f.Key, Stage: string(f.Stage), Text: f.Text})
	}
	return all
}

// ListJobs implements nodev1connect.NodeServiceHandler.
func (s *service) ListJobs(context.Context, *nodev1.ListJobsRequest) (*nodev1.ListJobsResponse, error) {
	if err := s.starting(); err != nil {
		return nil, err
	}
	r := &nodev1.ListJobsResponse{}
	for _, j := range s.node.Jobs() {
		r.Jobs = append(r.Jobs, describeJob(j))
	}
	return r, nil
}

// describeJob leaves out the spec, which may hold secrets.
func describeJob(j *node.Job) *nodev1.Job {
	shown := &nodev1.Job{
		Id: j.Stored.ID, ExternalJobId: j.Stored.ExternalID, Name: j.Stored.Name,
		CreatedAt: timestamppb.New(j.Stored.CreatedAt),
	}
	if j.Spec != nil {
		shown.Type, shown.Relay, shown.ContractId = j.Spec.Type, j.Spec.Relay, j.Spec.ContractID
	}
	state := j.State()
	shown.State, shown.Reason, shown.Remedy = jobStateOf(state.Level), state.Reason, state.Remedy
	shown.StateSince = timestamppb.New(state.Since)
	if j.Oracle != nil {
		if digest, ok := j.Oracle.ConfigDigest(); ok {
			shown.ConfigDigest = digest[:]
		}
		for _, e := range j.Oracle.Errors() {
			shown.Errors = append(shown.Errors, describeError(e))
		}
	}
	return shown
}

// RemoveJob implements nodev1connect.NodeServiceHandler.
func (s *service) RemoveJob(ctx context.Context, r *nodev1.RemoveJobRequest) (*nodev1.RemoveJobResponse, error) {
	if err := s.starting(); err != nil {
		return nil, err
	}
	if err := s.node.RemoveJob(ctx, r.GetId()); errors.Is(err, database.ErrNotFound) {
		return nil, connect.NewError(connect.CodeNotFound, fmt.Errorf("there is no job %d; see: loop jobs list", r.GetId()))
	} else if err != nil {
		return nil, apiError(err)
	}
	return &nodev1.RemoveJobResponse{}, nil
}

// jobStateOf is the level of a job in the API.
func jobStateOf(l health.Level) nodev1.JobState {
	return map[health.Level]nodev1.JobState{
		health.Running: nodev1.JobState_JOB_STATE_RUNNING, health.Degraded: nodev1.JobState_JOB_STATE_DEGRADED,
		health.Waiting: nodev1.JobState_JOB_STATE_WAITING, health.Failed: nodev1.JobState_JOB_STATE_FAILED,
	}[l]
}

// job is a job by its number.
func (s *service) job(id int64) (*node.Job, error) {
	if err := s.starting(); err != nil {
		return nil, err
	}
	j := s.node.Job(id)
	if j == nil {
		return nil, connect.NewError(connect.CodeNotFound, fmt.Errorf("there is no job %d; see: loop jobs list", id))
	}
	return j, nil
}

// ShowJob implements nodev1connect.NodeServiceHandler.
func (s *service) ShowJob(ctx context.Context, r *nodev1.ShowJobRequest) (*nodev1.ShowJobResponse, error) {
	j, err := s.job(r.GetId())
	if err != nil {
		return nil, err
	}
	shown := &nodev1.ShowJobResponse{Job: describeJob(j), Rounds: observations(ctx, j, shownRounds)}
	if j.Oracle == nil {
		return shown, nil
	}
	facts := j.Oracle.Facts()
	if m := facts.Members; m != nil {
		shown.Oracles, shown.Faulty = uint32(m.Oracles), uint32(m.Faulty)
		if m.Signer {
			index := uint32(m.Index)
			shown.OracleIndex = &index
		}
	}
	shown.Transmitter = j.Spec.Account()
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
	trouble, account := j.Chain()
	shown.ChainTrouble = trouble
	if account != nil {
		shown.Account = describeAccount(account)
	}
	if shown.ContractAnswer, err = j.Oracle.ContractAnswer(ctx); err != nil {
		s.node.Logger().Debug("the latest transmission of a job's contract is not known", "job", r.GetId(), "error", err)
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
	past, ok := s.node.History().Of(j.Stored.ID)
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
		Message: node.Worded(e.Message), Count: e.Count, FirstAt: timestamppb.New(e.FirstAt),
		LastAt: timestamppb.New(e.LastAt),
	}
}
