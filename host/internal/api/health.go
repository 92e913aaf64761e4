package api

import (
	"context"

	"google.golang.org/protobuf/types/known/timestamppb"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/host/internal/health"
)

// NodeStatus implements nodev1connect.NodeServiceHandler.
func (s *service) NodeStatus(ctx context.Context, _ *nodev1.NodeStatusRequest) (*nodev1.NodeStatusResponse, error) {
	parts := s.node.Look(ctx)
	r := &nodev1.NodeStatusResponse{
		Version: s.node.Version(), StartedAt: timestamppb.New(s.node.StartedAt()), PeerId: s.node.PeerID(),
		Status: health.Overall(parts).String(),
	}
	for _, p := range parts {
		r.Checks = append(r.Checks, healthOf(p))
	}
	return r, nil
}

// healthOf is a part's health in the API.
func healthOf(p health.Part) *nodev1.HealthCheck {
	return &nodev1.HealthCheck{
		Name: p.Name, Healthy: p.Level != health.Failed, Degraded: p.Level == health.Degraded || p.Level == health.Waiting,
		Reason: p.Reason, Kind: string(p.Kind), State: stateOf(p.Level), Remedy: p.Remedy, Since: timestamppb.New(p.Since),
	}
}

// lastHealth is the health of a part at the node's last look; nil if there was none. It asks nobody: a list must not
// wait for a relayer that hangs.
func (s *service) lastHealth(kind health.Kind, name string) *nodev1.HealthCheck {
	if p, known := s.node.LastHealth(kind, name); known {
		return healthOf(p)
	}
	return nil
}

// stateOf is a level in the API.
func stateOf(l health.Level) nodev1.State {
	return map[health.Level]nodev1.State{
		health.Running: nodev1.State_STATE_RUNNING, health.Degraded: nodev1.State_STATE_DEGRADED,
		health.Waiting: nodev1.State_STATE_WAITING, health.Failed: nodev1.State_STATE_FAILED,
	}[l]
}

// Diagnose implements nodev1connect.NodeServiceHandler.
func (s *service) Diagnose(ctx context.Context, _ *nodev1.DiagnoseRequest) (*nodev1.DiagnoseResponse, error) {
	done, err := s.diagnosing.take(ctx, "another diagnosis was being made")
	if err != nil {
		return nil, apiError(err)
	}
	defer done()
	return &nodev1.DiagnoseResponse{Findings: s.node.Diagnose(ctx)}, nil
}
