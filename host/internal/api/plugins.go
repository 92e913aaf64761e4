package api

import (
	"context"
	"fmt"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/host/internal/health"
	"github.com/loop-plugins/loop/host/internal/node"
	"github.com/loop-plugins/loop/sdk/go/loophost"
	"github.com/loop-plugins/loop/sdk/go/loophost/supervise"
)

// ListPlugins implements nodev1connect.NodeServiceHandler.
func (s *service) ListPlugins(context.Context, *nodev1.ListPluginsRequest) (*nodev1.ListPluginsResponse, error) {
	r := &nodev1.ListPluginsResponse{}
	for _, p := range s.node.Runtime().Plugins() {
		r.Plugins = append(r.Plugins, s.describePlugin(p))
	}
	return r, nil
}

// RestartPlugin implements nodev1connect.NodeServiceHandler.
func (s *service) RestartPlugin(ctx context.Context,
	r *nodev1.RestartPluginRequest) (*nodev1.RestartPluginResponse, error) {
	if err := s.starting(); err != nil {
		return nil, err
	}
	p := s.node.Runtime().Plugin(r.GetName())
	if p == nil {
		return nil, noPlugin(r.GetName())
	}
	if err := s.node.RestartPlugin(ctx, p); err != nil {
		return nil, connect.NewError(connect.CodeFailedPrecondition, err)
	}
	return &nodev1.RestartPluginResponse{Plugin: s.describePlugin(p)}, nil
}

func noPlugin(name string) error {
	return connect.NewError(connect.CodeNotFound, fmt.Errorf("there is no plugin %.128q; see: loop plugins list", name))
}

func (s *service) describePlugin(p *loophost.Plugin) *nodev1.PluginStatus {
	st := p.Status()
	memory, spare := p.Memory()
	out := &nodev1.PluginStatus{
		Health: s.lastHealth(health.KindPlugin, st.Name),
		Name:   st.Name, Kind: st.Kind, State: pluginState(st.State), InProcess: st.InProcess, Pid: int32(st.PID),
		Generation: st.Generation, Restarts: st.Restarts, LastExit: st.LastExit, LastStderr: st.LastStderr,
		Version: st.Version, Runtime: st.Runtime, MemoryBytes: memory, MemoryLimitBytes: st.MemoryLimit, Pinned: st.Pinned,
		Transport:   st.Transport,
		Confinement: string(st.Confinement), ConfinementLacks: st.Lacks,
	}
	files, err := p.Checksums()
	if err != nil {
		s.node.Logger().Warn("the files of a plugin could not be hashed", "plugin", st.Name, "error", err)
	}
	for _, f := range files {
		out.Files = append(out.Files, &nodev1.PluginFile{Path: f.Path, Sha256: f.SHA256})
	}
	for _, step := range st.Start {
		out.Start = append(out.Start, &nodev1.StartStep{What: step.What, Took: durationpb.New(step.Took)})
	}
	if s := st.Standby; s != nil {
		out.Standby = &nodev1.StandbyStatus{Pid: int32(s.PID), MemoryBytes: spare, Problem: node.Worded(s.Problem)}
	}
	if !st.ReadyAt.IsZero() {
		out.ReadyAt = timestamppb.New(st.ReadyAt)
	}
	owners := s.node.Owners()
	for _, o := range st.Objects { // parents come first
		if own, told := owners[o.Parent]; told && owners[o.Name] == "" {
			owners[o.Name] = own
		}
		out.Objects = append(out.Objects, &nodev1.ObjectStatus{
			Name: o.Name, Type: o.Type, State: objectState(o.State), Reason: node.Worded(o.Reason), Parent: o.Parent,
			Owner: owners[o.Name],
		})
	}
	return out
}

func pluginState(s supervise.State) nodev1.PluginState {
	switch s {
	case supervise.Starting:
		return nodev1.PluginState_PLUGIN_STATE_STARTING
	case supervise.Ready:
		return nodev1.PluginState_PLUGIN_STATE_READY
	case supervise.Restarting:
		return nodev1.PluginState_PLUGIN_STATE_RESTARTING
	case supervise.Quarantined:
		return nodev1.PluginState_PLUGIN_STATE_QUARANTINED
	case supervise.Stopped:
	}
	return nodev1.PluginState_PLUGIN_STATE_STOPPED
}

func objectState(s loophost.ObjectState) nodev1.ObjectState {
	switch s {
	case loophost.Open:
		return nodev1.ObjectState_OBJECT_STATE_OPEN
	case loophost.Parked:
		return nodev1.ObjectState_OBJECT_STATE_PARKED
	case loophost.Creating, loophost.Released:
	}
	return nodev1.ObjectState_OBJECT_STATE_CREATING
}
