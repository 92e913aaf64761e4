package node

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/host/internal/database"
	"github.com/loop-plugins/loop/host/internal/health"
	"github.com/loop-plugins/loop/host/internal/job"
	"github.com/loop-plugins/loop/host/internal/keystore"
	"github.com/loop-plugins/loop/sdk/go/loophost"
	"github.com/loop-plugins/loop/sdk/go/loophost/supervise"
)

// service answers the operator's API.
type service struct{ node *Node }

// apiError gives an error of a part its Connect code. It removes the name of the error's kind at the end, which is for
// programs and not for people.
func apiError(err error) error {
	code := connect.CodeInternal
	text := strings.TrimSuffix(strings.TrimSuffix(worded(err.Error()), ": "+database.ErrInvalid.Error()),
		": "+keystore.ErrInvalid.Error())
	switch {
	case errors.Is(err, database.ErrNotFound), errors.Is(err, keystore.ErrNotFound):
		code = connect.CodeNotFound
	case errors.Is(err, database.ErrExists):
		code = connect.CodeAlreadyExists
	case errors.Is(err, database.ErrInvalid), errors.Is(err, keystore.ErrInvalid):
		code = connect.CodeInvalidArgument
	case errors.Is(err, context.DeadlineExceeded):
		code = connect.CodeDeadlineExceeded
	case errors.Is(err, context.Canceled):
		code = connect.CodeCanceled
	}
	return connect.NewError(code, errors.New(text))
}

// callError is how an error of a call reads inside another error.
var callError = regexp.MustCompile(`rpc error: code = \w+ desc = `)

// worded is the text of an error for people, without the kind of call that failed.
func worded(text string) string { return callError.ReplaceAllString(text, "") }

// starting refuses, while the node starts, calls that need the whole node.
func (s *service) starting() error {
	if !s.node.ready.Load() {
		return connect.NewError(connect.CodeUnavailable, errors.New("the node is starting; try again when /readyz says so"))
	}
	return nil
}

// NodeStatus implements nodev1connect.NodeServiceHandler.
func (s *service) NodeStatus(ctx context.Context, _ *nodev1.NodeStatusRequest) (*nodev1.NodeStatusResponse, error) {
	parts := s.node.states.look(ctx)
	r := &nodev1.NodeStatusResponse{
		Version: s.node.settings.Version, StartedAt: timestamppb.New(s.node.startedAt),
		Status: health.Overall(parts).String(),
	}
	if keys := s.node.keys.P2PKeys(); len(keys) > 0 {
		r.PeerId = keys[0].ID()
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
func (s *service) lastHealth(id partID) *nodev1.HealthCheck {
	if p, known := s.node.states.of(id); known {
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

// jobStateOf is that of a job.
func jobStateOf(l health.Level) nodev1.JobState {
	return map[health.Level]nodev1.JobState{
		health.Running: nodev1.JobState_JOB_STATE_RUNNING, health.Degraded: nodev1.JobState_JOB_STATE_DEGRADED,
		health.Waiting: nodev1.JobState_JOB_STATE_WAITING, health.Failed: nodev1.JobState_JOB_STATE_FAILED,
	}[l]
}

// ListPlugins implements nodev1connect.NodeServiceHandler.
func (s *service) ListPlugins(context.Context, *nodev1.ListPluginsRequest) (*nodev1.ListPluginsResponse, error) {
	r := &nodev1.ListPluginsResponse{}
	for _, p := range s.node.runtime.Plugins() {
		r.Plugins = append(r.Plugins, s.describePlugin(p))
	}
	return r, nil
}

// RestartPlugin implements nodev1connect.NodeServiceHandler.
func (s *service) RestartPlugin(ctx context.Context,
	r *nodev1.RestartPluginRequest) (*nodev1.RestartPluginResponse, error) {
	p := s.node.runtime.Plugin(r.GetName())
	if p == nil {
		return nil, noPlugin(r.GetName())
	}
	if err := p.Restart(ctx); err != nil {
		return nil, connect.NewError(connect.CodeFailedPrecondition, err)
	}
	s.node.plugins.describeAgain(ctx, r.GetName())
	return &nodev1.RestartPluginResponse{Plugin: s.describePlugin(p)}, nil
}

func noPlugin(name string) error {
	return connect.NewError(connect.CodeNotFound, fmt.Errorf("there is no plugin %.128q; see: loop plugins list", name))
}

func (s *service) describePlugin(p *loophost.Plugin) *nodev1.PluginStatus {
	st := p.Status()
	memory, spare := p.Memory()
	out := &nodev1.PluginStatus{
		Health: s.lastHealth(pluginPart(st.Name)),
		Name:   st.Name, Kind: st.Kind, State: pluginState(st.State), InProcess: st.InProcess, Pid: int32(st.PID),
		Generation: st.Generation, Restarts: st.Restarts, LastExit: st.LastExit, LastStderr: st.LastStderr,
		Version: st.Version, Runtime: st.Runtime, MemoryBytes: memory, MemoryLimitBytes: st.MemoryLimit, Pinned: st.Pinned,
		Transport:   st.Transport,
		Confinement: string(st.Confinement), ConfinementLacks: st.Lacks,
	}
	files, err := p.Checksums()
	if err != nil {
		s.node.logger.Warn("the files of a plugin could not be hashed", "plugin", st.Name, "error", err)
	}
	for _, f := range files {
		out.Files = append(out.Files, &nodev1.PluginFile{Path: f.Path, Sha256: f.SHA256})
	}
	for _, step := range st.Start {
		out.Start = append(out.Start, &nodev1.StartStep{What: step.What, Took: durationpb.New(step.Took)})
	}
	if s := st.Standby; s != nil {
		out.Standby = &nodev1.StandbyStatus{Pid: int32(s.PID), MemoryBytes: spare, Problem: worded(s.Problem)}
	}
	if !st.ReadyAt.IsZero() {
		out.ReadyAt = timestamppb.New(st.ReadyAt)
	}
	owners := s.node.owners()
	for _, o := range st.Objects { // parents come first
		if own, told := owners[o.Parent]; told && owners[o.Name] == "" {
			owners[o.Name] = own
		}
		out.Objects = append(out.Objects, &nodev1.ObjectStatus{
			Name: o.Name, Type: o.Type, State: objectState(o.State), Reason: worded(o.Reason), Parent: o.Parent,
			Owner: owners[o.Name],
		})
	}
	return out
}

// owners are the owners of the objects in plugins, by the objects' names, without children.
func (n *Node) owners() map[string]string {
	owners := map[string]string{}
	if !n.ready.Load() {
		return owners
	}
	for _, r := range n.plugins.running() {
		for id, c := range r.all() {
			owners[c.Name()] = "chain " + id
		}
	}
	for _, r := range n.jobs.list() {
		if r.oracle == nil {
			continue
		}
		for _, name := range r.oracle.Objects() {
			owners[name] = r.title()
		}
	}
	return owners
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

// AddJob implements nodev1connect.NodeServiceHandler.
func (s *service) AddJob(ctx context.Context, r *nodev1.AddJobRequest) (*nodev1.AddJobResponse, error) {
	if err := s.starting(); err != nil {
		return nil, err
	}
	done, err := s.node.checking.take(ctx, "other jobs were being checked")
	if err != nil {
		return nil, apiError(err)
	}
	defer done()
	added, report, err := s.node.jobs.add(ctx, r.GetSpecToml())
	if err != nil {
		return nil, apiError(err)
	}
	if err := report.Err(); err != nil {
		refused := connect.NewError(connect.CodeInvalidArgument, err)
		if detail, err := connect.NewErrorDetail(found(report)); err == nil {
			refused.AddDetail(detail) // the same for programs
		}
		return nil, refused
	}
	return &nodev1.AddJobResponse{Job: added.describe(s.node.states), Warnings: problems(report.Warnings)}, nil
}

// ValidateJob implements nodev1connect.NodeServiceHandler.
func (s *service) ValidateJob(ctx context.Context, r *nodev1.ValidateJobRequest) (*nodev1.ValidateJobResponse, error) {
	if err := s.starting(); err != nil {
		return nil, err
	}
	done, err := s.node.checking.take(ctx, "other jobs were being checked")
	if err != nil {
		return nil, apiError(err)
	}
	defer done()
	_, report := job.Parse(ctx, []byte(r.GetSpecToml()), s.node.jobs.checks(s.node.jobs))
	return found(report), nil
}

func found(report *job.Report) *nodev1.ValidateJobResponse {
	return &nodev1.ValidateJobResponse{Problems: problems(report.Problems), Warnings: problems(report.Warnings)}
}

func problems(found []job.Finding) []*nodev1.Problem {
	all := make([]*nodev1.Problem, 0, len(found))
	for _, f := range found {
		all = append(all, &nodev1.Problem{Line: uint32(f.Line), Key: f.Key, Stage: string(f.Stage), Text: f.Text})
	}
	return all
}

// ListJobs implements nodev1connect.NodeServiceHandler.
func (s *service) ListJobs(context.Context, *nodev1.ListJobsRequest) (*nodev1.ListJobsResponse, error) {
	if err := s.starting(); err != nil {
		return nil, err
	}
	r := &nodev1.ListJobsResponse{}
	for _, j := range s.node.jobs.list() {
		r.Jobs = append(r.Jobs, j.describe(s.node.states))
	}
	return r, nil
}

// describe leaves out the spec, which may hold secrets.
func (r *running) describe(states *states) *nodev1.Job {
	j := &nodev1.Job{
		Id: r.stored.ID, ExternalJobId: r.stored.ExternalID, Name: r.stored.Name,
		CreatedAt: timestamppb.New(r.stored.CreatedAt),
	}
	if r.spec != nil {
		j.Type, j.Relay, j.ContractId = r.spec.Type, r.spec.Relay, r.spec.ContractID
	}
	state := states.job(r)
	j.State, j.Reason, j.Remedy = jobStateOf(state.Level), state.Reason, state.Remedy
	j.StateSince = timestamppb.New(state.Since)
	if r.oracle != nil {
		if digest, ok := r.oracle.ConfigDigest(); ok {
			j.ConfigDigest = digest[:]
		}
		for _, e := range r.oracle.Errors() {
			j.Errors = append(j.Errors, describeError(e))
		}
	}
	return j
}

// RemoveJob implements nodev1connect.NodeServiceHandler.
func (s *service) RemoveJob(ctx context.Context, r *nodev1.RemoveJobRequest) (*nodev1.RemoveJobResponse, error) {
	if err := s.starting(); err != nil {
		return nil, err
	}
	if err := s.node.jobs.remove(ctx, r.GetId()); errors.Is(err, database.ErrNotFound) {
		return nil, connect.NewError(connect.CodeNotFound, fmt.Errorf("there is no job %d; see: loop jobs list", r.GetId()))
	} else if err != nil {
		return nil, apiError(err)
	}
	return &nodev1.RemoveJobResponse{}, nil
}

// AddBridge implements nodev1connect.NodeServiceHandler.
func (s *service) AddBridge(ctx context.Context, r *nodev1.AddBridgeRequest) (*nodev1.AddBridgeResponse, error) {
	b, err := s.node.database.AddBridge(ctx, database.Bridge{Name: r.GetBridge().GetName(), URL: r.GetBridge().GetUrl()})
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
	b, err := s.node.database.UpdateBridge(ctx, database.Bridge{Name: r.GetBridge().GetName(),
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
	all, err := s.node.database.Bridges(ctx)
	if err != nil {
		return nil, apiError(err)
	}
	r := &nodev1.ListBridgesResponse{}
	for _, b := range all {
		shown := describeBridge(b)
		shown.Health = s.lastHealth(bridgePart(b.Name))
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
	if title, used := s.node.jobs.uses(r.GetName()); used {
		return nil, connect.NewError(connect.CodeFailedPrecondition,
			fmt.Errorf("%s uses bridge %s; remove the job first", title, r.GetName()))
	}
	if err := s.node.database.RemoveBridge(ctx, r.GetName()); errors.Is(err, database.ErrNotFound) {
		return nil, connect.NewError(connect.CodeNotFound,
			fmt.Errorf("there is no bridge %.128q; see: loop bridges list", r.GetName()))
	} else if err != nil {
		return nil, apiError(err)
	}
	s.node.sources.forget(r.GetName())
	return &nodev1.RemoveBridgeResponse{}, nil
}
