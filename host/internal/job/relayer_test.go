package job_test

import (
	"context"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/host/internal/fallback"
	"github.com/loop-plugins/loop/host/internal/job"
	"github.com/loop-plugins/loop/host/internal/relay"
	"github.com/loop-plugins/loop/sdk/go/loophost"
)

// builtin are the relayers that are built into a node, inside this process: what operators read of a job's contract
// are their words.
type builtin map[string]*relay.Relayer

func newBuiltin() (builtin, error) {
	all := builtin{}
	for name, plugin := range fallback.Plugins() {
		p := plugin.New()
		if p.Kind.Name != "relayer" {
			continue
		}
		conn, err := loophost.Inside(context.Background(), p)
		if err != nil {
			return nil, err
		}
		if all[name], err = relay.Ask(context.Background(), name, relayerv1.NewRelayerServiceClient(conn)); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (b builtin) Relays() []string { return slices.Sorted(maps.Keys(b)) }

func (b builtin) ReadsContracts(relay string) bool {
	return b[relay] != nil && b[relay].ReadsContracts()
}

func (b builtin) ValidateJob(ctx context.Context, relay string,
	r *relayerv1.ValidateJobRequest) (*relayerv1.ValidateJobResponse, error) {
	return b[relay].ValidateJob(ctx, r)
}

// acme is not a relayer: it answers what a test has put into it.
type acme struct {
	asked  *relayerv1.ValidateJobRequest
	answer *relayerv1.ValidateJobResponse
	err    error
}

func (*acme) Relays() []string { return []string{"acme"} }

func (*acme) ReadsContracts(relay string) bool { return relay == "acme" }

func (a *acme) ValidateJob(_ context.Context, _ string,
	r *relayerv1.ValidateJobRequest) (*relayerv1.ValidateJobResponse, error) {
	a.asked = r
	return a.answer, a.err
}

// acmeJob is the job of a relay that stands nowhere in the host.
const acmeJob = `type = "offchainreporting2"
schemaVersion = 1
pluginType = "median"
relay = "acme"
contractID = "One"
transmitterID = "Me"
observationSource = "x [type=sum values=<[1]>]"
pluginConfig.juelsPerFeeCoinSource = "x [type=sum values=<[1]>]"
allowNoBootstrappers = true
[relayConfig]
chainID = 7
lists = [["a"], ["b", "c"]]
name = "x"
`

// What a relayer finds stands on the lines of the file, and what it fills in is what the job runs with.
func TestRelayerChecksJobs(t *testing.T) {
	t.Parallel()
	a := &acme{answer: &relayerv1.ValidateJobResponse{
		RelayConfigJson: []byte(`{"chainID":"7","filled":true}`), ContractKey: "one", TransmitterKey: "me",
		FromAccount: "sender",
		Warnings: []*pluginv1.Problem{
			{Path: "relayConfig.name", Message: "unknown key"}, {Path: "relayConfig.lists[1][0]", Message: "is odd"},
			{Message: "is odd as a whole"},
		},
	}}
	s := settings()
	s.Relayers = a
	spec, report := job.Parse(t.Context(), []byte(acmeJob), s)
	if report.Err() != nil {
		t.Fatal(report.Err())
	}
	got := []string{string(spec.RelayConfigJSON), spec.ContractID, spec.ContractKey(), spec.TransmitterID,
		spec.Transmitter(), spec.Account(), string(a.asked.GetRelayConfigJson()), a.asked.GetChainId(),
		a.asked.GetProviderType()}
	want := []string{`{"chainID":"7","filled":true}`, "One", "offchainreporting2/acme/7/one/", "Me", "me", "sender",
		`{"chainID":"7","lists":[["a"],["b","c"]],"name":"x"}`, "7", "median"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]job.Finding{
		{Line: 10, Key: "relayConfig", Stage: job.StageStart, Text: "is odd as a whole"},
		{Line: 12, Key: "relayConfig.lists[1][0]", Stage: job.StageStart, Text: "is odd"},
		{Line: 13, Key: "relayConfig.name", Stage: job.StageStart,
			Text: "unknown key; name belongs above the first [table] of the file"},
	}, report.Warnings); diff != "" {
		t.Error(diff)
	}

	a.answer = &relayerv1.ValidateJobResponse{Problems: []*pluginv1.Problem{
		{Path: "contractID", Message: "is no contract"}, {Path: "relayConfig.fee", Message: "is missing"},
	}}
	_, report = job.Parse(t.Context(), []byte(acmeJob), s)
	if diff := cmp.Diff([]job.Finding{
		{Line: 5, Key: "contractID", Stage: job.StageStart, Text: "is no contract"},
		{Line: 10, Key: "relayConfig.fee", Stage: job.StageStart, Text: "is missing"},
	}, report.Problems); diff != "" {
		t.Error(diff)
	}
}

// While its relayer is away a job that it has checked before runs as it did, and a new one is refused with the reason.
func TestRelayerIsAway(t *testing.T) {
	t.Parallel()
	s := settings()
	s.Relayers = &acme{err: status.Error(codes.Unavailable, "plugin acme is quarantined")}
	_, report := job.Parse(t.Context(), []byte(acmeJob), s)
	const why = "plugin acme is quarantined"
	want := []job.Finding{{Line: 4, Key: "relay", Stage: job.StageStart, Text: "the relayer cannot check the job: " + why +
		"; try again when its plugin is ready"}}
	if diff := cmp.Diff(want, report.Problems); diff != "" {
		t.Error(diff)
	}
	s.Validation = &relayerv1.ValidateJobResponse{RelayConfigJson: []byte(`{"chainID":"7"}`), ContractKey: "one",
		TransmitterKey: "me", FromAccount: "sender"}
	spec, report := job.Parse(t.Context(), []byte(acmeJob), s)
	if report.Err() != nil {
		t.Fatal(report.Err())
	}
	if spec.Account() != "sender" || string(spec.RelayConfigJSON) != `{"chainID":"7"}` {
		t.Errorf("the job is %+v", spec)
	}
	want = []job.Finding{{Line: 4, Key: "relay", Stage: job.StageStart,
		Text: "the relayer cannot check the job now, and what it said of it before holds: " + why +
			"; try again when its plugin is ready"}}
	if diff := cmp.Diff(want, report.Warnings); diff != "" {
		t.Error(diff)
	}
}
