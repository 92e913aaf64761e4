package api

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"connectrpc.com/connect"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/host/internal/database"
)

// hidden stands for what may be a secret.
const hidden = "xxxxx"

// hideSecrets is a URL without its parts that may be secret: providers have keys in paths as well as in queries.
func hideSecrets(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return hidden
	}
	shown := u.Scheme + "://"
	if u.User != nil {
		shown += hidden + "@"
	}
	shown += u.Host
	if u.Path != "" && u.Path != "/" || u.Opaque != "" {
		shown += "/" + hidden
	}
	if u.RawQuery != "" || u.Fragment != "" {
		shown += "?" + hidden
	}
	return shown
}

// RevealJob implements nodev1connect.NodeServiceHandler.
func (s *service) RevealJob(_ context.Context, r *nodev1.RevealJobRequest) (*nodev1.RevealJobResponse, error) {
	j, err := s.job(r.GetId())
	if err != nil {
		return nil, err
	}
	whole := describeJob(j)
	whole.SpecToml = j.Stored.Spec
	return &nodev1.RevealJobResponse{Job: whole}, nil
}

// RevealBridge implements nodev1connect.NodeServiceHandler.
func (s *service) RevealBridge(
	ctx context.Context, r *nodev1.RevealBridgeRequest,
) (*nodev1.RevealBridgeResponse, error) {
	b, err := s.node.Database().Bridge(ctx, r.GetName())
	if errors.Is(err, database.ErrNotFound) {
		return nil, connect.NewError(connect.CodeNotFound,
			fmt.Errorf("there is no bridge %.128q; see: loop bridges list", r.GetName()))
	}
	if err != nil {
		return nil, apiError(err)
	}
	whole := describeBridge(b)
	whole.Url = b.URL
	return &nodev1.RevealBridgeResponse{Bridge: whole}, nil
}
