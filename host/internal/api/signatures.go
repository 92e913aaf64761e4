package api

import (
	"context"
	"strconv"

	"google.golang.org/protobuf/types/known/timestamppb"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/host/internal/database"
	"github.com/loop-plugins/loop/host/internal/node"
)

// ListSignatures implements nodev1connect.NodeServiceHandler.
func (s *service) ListSignatures(
	ctx context.Context, r *nodev1.ListSignaturesRequest,
) (*nodev1.ListSignaturesResponse, error) {
	if err := s.starting(); err != nil {
		return nil, err
	}
	limit, before, err := page(r.GetPageSize(), r.GetPageToken())
	if err != nil {
		return nil, err
	}
	filter := database.SignatureFilter{Account: r.GetAccount(), Refused: r.GetRefused(), Before: before}
	found, err := s.node.Signatures().List(ctx, filter, limit+1)
	if err != nil {
		return nil, apiError(err)
	}
	reply := &nodev1.ListSignaturesResponse{}
	if len(found) > limit {
		found = found[:limit]
		reply.NextPageToken = strconv.FormatInt(found[limit-1].ID, 10)
	}
	for _, f := range found {
		reply.Signatures = append(reply.Signatures, &nodev1.Signature{
			Id: f.ID, At: timestamppb.New(f.At), Plugin: f.Plugin, Relay: f.Relay, ChainId: f.Chain, Account: f.Account,
			JobId: f.JobID, What: f.What, Refused: node.Worded(f.Refused),
		})
	}
	return reply, nil
}
