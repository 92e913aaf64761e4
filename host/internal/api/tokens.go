package api

import (
	"context"
	"errors"
	"fmt"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/host/internal/database"
	"github.com/loop-plugins/loop/host/internal/door"
)

// CreateToken implements nodev1connect.NodeServiceHandler.
func (s *service) CreateToken(ctx context.Context, r *nodev1.CreateTokenRequest) (*nodev1.CreateTokenResponse, error) {
	role := door.RoleName(r.GetRole())
	if _, ok := door.RoleOf(role); !ok {
		return nil, connect.NewError(connect.CodeInvalidArgument,
			errors.New("role: one of view, operate and admin is wanted"))
	}
	secret, hash := door.NewSecret()
	token, err := s.node.Database().AddToken(ctx, database.Token{Name: r.GetName(), Role: role}, hash)
	if errors.Is(err, database.ErrExists) {
		return nil, connect.NewError(connect.CodeAlreadyExists, fmt.Errorf("there is a token %q already; "+
			"to make another of that name, first: loop tokens revoke %[1]s", r.GetName()))
	}
	if err != nil {
		return nil, apiError(err)
	}
	return &nodev1.CreateTokenResponse{Token: describeToken(token), Secret: secret}, nil
}

func describeToken(t database.Token) *nodev1.Token {
	role, _ := door.RoleOf(t.Role) // one that nobody knows is none, and its holder is refused
	return &nodev1.Token{Name: t.Name, Role: role, CreatedAt: timestamppb.New(t.CreatedAt)}
}

// ListTokens implements nodev1connect.NodeServiceHandler.
func (s *service) ListTokens(ctx context.Context, _ *nodev1.ListTokensRequest) (*nodev1.ListTokensResponse, error) {
	all, err := s.node.Database().Tokens(ctx)
	if err != nil {
		return nil, apiError(err)
	}
	r := &nodev1.ListTokensResponse{}
	for _, t := range all {
		r.Tokens = append(r.Tokens, describeToken(t))
	}
	return r, nil
}

// RevokeToken implements nodev1connect.NodeServiceHandler.
func (s *service) RevokeToken(ctx context.Context, r *nodev1.RevokeTokenRequest) (*nodev1.RevokeTokenResponse, error) {
	if err := s.node.Database().RemoveToken(ctx, r.GetName()); errors.Is(err, database.ErrNotFound) {
		return nil, connect.NewError(connect.CodeNotFound,
			fmt.Errorf("there is no token %.128q; see: loop tokens list", r.GetName()))
	} else if err != nil {
		return nil, apiError(err)
	}
	return &nodev1.RevokeTokenResponse{}, nil
}
