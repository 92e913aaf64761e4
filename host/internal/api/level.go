package api

import (
	"context"
	"log/slog"
	"strings"

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
	return &nodev1.GetLogLevelResponse{Level: levelName(s.node.Level().Level())}, nil
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
	level := s.node.Level()
	before := level.Level()
	level.Set(to)
	reply := &nodev1.SetLogLevelResponse{Before: levelName(before)}
	for _, p := range s.node.Runtime().Plugins() {
		if st := p.Status(); to < before && !st.InProcess && st.State == supervise.Ready {
			reply.Plugins = append(reply.Plugins, st.Name)
		}
	}
	return reply, nil
}
