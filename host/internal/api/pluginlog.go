package api

import (
	"context"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
)

// WatchPluginLog implements nodev1connect.NodeServiceHandler.
func (s *service) WatchPluginLog(
	ctx context.Context, r *nodev1.WatchPluginLogRequest, stream *connect.ServerStream[nodev1.WatchPluginLogResponse],
) error {
	if s.node.Runtime().Plugin(r.GetName()) == nil {
		return noPlugin(r.GetName())
	}
	ctx, cancel := context.WithTimeout(ctx, streamTime)
	defer cancel()
	after, skip := r.GetAfter(), int(r.GetLines())
	for {
		found, more := s.node.Lines().After(r.GetName(), after)
		if skip > 0 && len(found) > skip {
			found = found[len(found)-skip:]
		}
		skip = 0
		for _, line := range found {
			after = line.Number
			if err := stream.Send(&nodev1.WatchPluginLogResponse{
				Number: line.Number, At: timestamppb.New(line.At), Level: levelName(line.Level), Text: line.Text,
			}); err != nil {
				return err
			}
		}
		if !r.GetFollow() {
			return nil
		}
		select {
		case <-more:
		case <-s.node.Lines().Closed():
			return errEnds()
		case <-ctx.Done():
			return timeUp(ctx)
		}
	}
}
