package node

import (
	"context"
	"log/slog"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/sdk/go/loophost/supervise"
)

// levels are those that a configuration may name.
var levels = map[string]slog.Level{
	"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
}

// levelName is a level as a configuration names it.
func levelName(l slog.Level) string { return strings.ToLower(l.String()) }

// GetLogLevel implements nodev1connect.NodeServiceHandler.
func (s *service) GetLogLevel(context.Context, *nodev1.GetLogLevelRequest) (*nodev1.GetLogLevelResponse, error) {
	return &nodev1.GetLogLevelResponse{Level: levelName(s.node.level.Level())}, nil
}

// SetLogLevel implements nodev1connect.NodeServiceHandler.
func (s *service) SetLogLevel(_ context.Context, r *nodev1.SetLogLevelRequest) (*nodev1.SetLogLevelResponse, error) {
	to, known := levels[strings.ToLower(r.GetLevel())]
	if !known {
		return nil, refuse("level: %.32q is not one of debug, info, warn and error", r.GetLevel())
	}
	if err := s.starting(); err != nil {
		return nil, err
	}
	before := s.node.level.Level()
	s.node.level.Set(to)
	reply := &nodev1.SetLogLevelResponse{Before: levelName(before)}
	for _, p := range s.node.runtime.Plugins() {
		if st := p.Status(); to < before && !st.InProcess && st.State == supervise.Ready {
			reply.Plugins = append(reply.Plugins, st.Name)
		}
	}
	return reply, nil
}

// WatchPluginLog implements nodev1connect.NodeServiceHandler.
func (s *service) WatchPluginLog(
	ctx context.Context, r *nodev1.WatchPluginLogRequest, stream *connect.ServerStream[nodev1.WatchPluginLogResponse],
) error {
	if s.node.runtime.Plugin(r.GetName()) == nil {
		return noPlugin(r.GetName())
	}
	ctx, cancel := context.WithTimeout(ctx, streamTime)
	defer cancel()
	after, skip := r.GetAfter(), int(r.GetLines())
	for {
		found, more := s.node.lines.After(r.GetName(), after)
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
		case <-s.node.lines.Closed():
			return errEnds()
		case <-ctx.Done():
			return timeUp(ctx)
		}
	}
}
