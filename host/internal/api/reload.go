package api

import (
	"context"

	"connectrpc.com/connect"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/host/internal/node"
)

// Reload implements nodev1connect.NodeServiceHandler.
func (s *service) Reload(ctx context.Context, _ *nodev1.ReloadRequest) (*nodev1.ReloadResponse, error) {
	if err := s.starting(); err != nil {
		return nil, err
	}
	r, err := s.node.Reload(ctx)
	switch {
	case node.IsConfig(err):
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	case err != nil:
		return nil, connect.NewError(connect.CodeFailedPrecondition, err)
	}
	return &nodev1.ReloadResponse{Applied: r.Applied, AtRestart: r.AtRestart, FailedJobs: r.Failed}, nil
}
