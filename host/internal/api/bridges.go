package api

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/host/internal/database"
	"github.com/loop-plugins/loop/host/internal/health"
)

// AddBridge implements nodev1connect.NodeServiceHandler.
func (s *service) AddBridge(ctx context.Context, r *nodev1.AddBridgeRequest) (*nodev1.AddBridgeResponse, error) {
	b, err := s.node.Database().AddBridge(ctx, database.Bridge{Name: r.GetBridge().GetName(), URL: r.GetBridge().GetUrl()})
	if errors.Is(err, database.ErrExists) {
		return nil, connect.NewError(connect.CodeAlreadyExists,
			fmt.Errorf("there is a bridge %.128q already; to give it another URL: loop bridges update %[1]s URL",
				strings.ToLower(r.GetBridge().GetName())))
	}
	if err != nil {
		return nil, apiError(err)
	}
	return &nodev1.AddBridgeResponse{Bridge: describeBridge(b)}, nil
}

// UpdateBridge implements nodev1connect.NodeServiceHandler.
func (s *service) UpdateBridge(ctx context.Context, r *nodev1.UpdateBridgeRequest) (*nodev1.UpdateBridgeResponse,
	error) {
	b, err := s.node.Database().UpdateBridge(ctx, database.Bridge{Name: r.GetBridge().GetName(),
		URL: r.GetBridge().GetUrl()})
	if errors.Is(err, database.ErrNotFound) {
		return nil, connect.NewError(connect.CodeNotFound,
			fmt.Errorf("there is no bridge %.128q; see: loop bridges list", r.GetBridge().GetName()))
	}
	if err != nil {
		return nil, apiError(err)
	}
	return &nodev1.UpdateBridgeResponse{Bridge: describeBridge(b)}, nil
}

// describeBridge leaves out secrets.
func describeBridge(b database.Bridge) *nodev1.Bridge {
	return &nodev1.Bridge{Name: b.Name, Url: hideSecrets(b.URL), CreatedAt: timestamppb.New(b.CreatedAt)}
}

// ListBridges implements nodev1connect.NodeServiceHandler.
func (s *service) ListBridges(ctx context.Context, _ *nodev1.ListBridgesRequest) (*nodev1.ListBridgesResponse, error) {
	all, err := s.node.Database().Bridges(ctx)
	if err != nil {
		return nil, apiError(err)
	}
	r := &nodev1.ListBridgesResponse{}
	for _, b := range all {
		shown := describeBridge(b)
		shown.Health = s.lastHealth(health.KindBridge, b.Name)
		r.Bridges = append(r.Bridges, shown)
	}
	return r, nil
}

// RemoveBridge implements nodev1connect.NodeServiceHandler.
func (s *service) RemoveBridge(ctx context.Context,
	r *nodev1.RemoveBridgeRequest) (*nodev1.RemoveBridgeResponse, error) {
	if err := s.starting(); err != nil {
		return nil, err
	}
	if title, used := s.node.UsesBridge(r.GetName()); used {
		return nil, connect.NewError(connect.CodeFailedPrecondition,
			fmt.Errorf("%s uses bridge %s; remove the job first", title, r.GetName()))
	}
	if err := s.node.RemoveBridge(ctx, r.GetName()); errors.Is(err, database.ErrNotFound) {
		return nil, connect.NewError(connect.CodeNotFound,
			fmt.Errorf("there is no bridge %.128q; see: loop bridges list", r.GetName()))
	} else if err != nil {
		return nil, apiError(err)
	}
	return &nodev1.RemoveBridgeResponse{}, nil
}
