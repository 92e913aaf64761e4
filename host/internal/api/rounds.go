package api

import (
	"cmp"
	"context"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/host/internal/history"
	"github.com/loop-plugins/loop/host/internal/node"
	"github.com/loop-plugins/loop/host/internal/oracle"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// ListObservations implements nodev1connect.NodeServiceHandler.
func (s *service) ListObservations(
	ctx context.Context, r *nodev1.ListObservationsRequest,
) (*nodev1.ListObservationsResponse, error) {
	j, err := s.job(r.GetJobId())
	if err != nil {
		return nil, err
	}
	return &nodev1.ListObservationsResponse{Observations: observations(ctx, j, cmp.Or(int(r.GetLimit()), pageSize))}, nil
}

func observations(ctx context.Context, j *node.Job, limit int) []*nodev1.RoundObservation {
	if j.Oracle == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, showTimeout)
	defer cancel()
	return j.Oracle.Observations(ctx, limit)
}

// WatchRounds implements nodev1connect.NodeServiceHandler.
func (s *service) WatchRounds(
	ctx context.Context, r *nodev1.WatchRoundsRequest, stream *connect.ServerStream[nodev1.WatchRoundsResponse],
) error {
	if err := s.watched(r.GetJobId()); err != nil {
		return err
	}
	heard := s.node.History().ListenRounds(r.GetJobId())
	defer heard.Close()
	if err := stream.Send(nil); err != nil {
		return err
	}
	return follow(ctx, heard, func(h *history.Happening) error {
		shown := &nodev1.WatchRoundsResponse{
			JobId: h.JobID, Event: h.Event, Round: h.Round, At: timestamppb.New(h.At), Missed: heard.Missed(),
		}
		if j := s.node.Job(h.JobID); j != nil {
			shown.JobName = j.Stored.Name
			if h.Report != nil && j.Oracle != nil {
				shown.Round = answered(ctx, j.Oracle, h)
			}
		}
		return stream.Send(shown)
	})
}

// answered is a round with the answer of the report that was just made; without it the report is told all the same.
func answered(ctx context.Context, of *oracle.Oracle, h *history.Happening) *nodev1.RoundObservation {
	ctx, cancel := context.WithTimeout(ctx, showTimeout)
	defer cancel()
	answer, err := of.Answer(ctx, h.Report)
	if err != nil {
		return h.Round
	}
	shown := proto.Clone(h.Round).(*nodev1.RoundObservation) // others listen too
	shown.Answer = wire.BigInt(answer)
	return shown
}
