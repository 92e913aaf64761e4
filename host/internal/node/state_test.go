package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/gen/go/loop/node/v1/nodev1connect"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/host/internal/fallback"
	"github.com/loop-plugins/loop/host/internal/health"
	"github.com/loop-plugins/loop/host/internal/node/nodetest"
	"github.com/loop-plugins/loop/host/internal/web"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// telling is a relayer inside the node whose chain says what a test has it say.
type telling struct {
	nodetest.Relayer
	chain *tellingChain
}

func (r telling) CreateChain(context.Context, *relayerv1.CreateChainRequest,
	relayerv1loop.CreateChainLoans) (relayerv1loop.Chain, *relayerv1.CreateChainResponse, error) {
	return r.chain, &relayerv1.CreateChainResponse{}, nil
}

type tellingChain struct {
	relayerv1loop.Chain // for what no test calls

	mu       sync.Mutex
	nodes    []*relayerv1.NodeStatus
	accounts []*relayerv1.AccountStatus
	config   *relayerv1.ContractConfig // of every contract, but for its digest; nil: there is none
}

func (c *tellingChain) set(change func(c *tellingChain)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(c)
}

func (c *tellingChain) ListNodeStatuses(context.Context,
	*relayerv1.ListNodeStatusesRequest) (*relayerv1.ListNodeStatusesResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return &relayerv1.ListNodeStatusesResponse{Nodes: c.nodes, Total: uint32(len(c.nodes))}, nil
}

func (c *tellingChain) ChainStatus(context.Context,
	*relayerv1.ChainStatusRequest) (*relayerv1.ChainStatusResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return &relayerv1.ChainStatusResponse{ChainId: "7", Accounts: c.accounts}, nil
}

func (c *tellingChain) CreateProvider(_ context.Context,
	r *relayerv1.CreateProviderRequest) (relayerv1loop.Provider, *relayerv1.CreateProviderResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.config == nil {
		return &nodetest.Provider{}, &relayerv1.CreateProviderResponse{}, nil
	}
	return newConfigured(c.config, r.GetConfig().GetContractId()), &relayerv1.CreateProviderResponse{}, nil
}

// tellingNode starts a node whose only relayer is telling, with its log.
func tellingNode(t testing.TB) (n *Node, chain *tellingChain, log *bytes.Buffer) {
	t.Helper()
	chain, log = &tellingChain{}, &bytes.Buffer{}
	f := newFiles(t)
	f.Section = "Acme"
	delete(f.Environment, "CL_EVM_CMD")
	delete(f.Environment, "CL_MEDIAN_CMD")
	f.Builtin = map[string]fallback.Plugin{
		"median": f.Builtin["median"],
		"acme":   nodetest.Inside(telling{nodetest.Acme(), chain}),
	}
	f.Chain("7", "")
	settings := f.settings(t)
	settings.Logger = slog.New(slog.NewTextHandler(&guarded{out: log}, nil))
	n, err := Start(t.Context(), settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close(context.Background()) })
	return n, chain, log
}

// guarded is a writer for many.
type guarded struct {
	mu  sync.Mutex
	out *bytes.Buffer
}

func (g *guarded) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.out.Write(p)
}

// tellingJob is a spec of a job on that node.
func tellingJob(n *Node, contract string) string {
	return fmt.Sprintf(`
type = "offchainreporting2"
schemaVersion = 1
pluginType = "median"
relay = "acme"
contractID = %q
transmitterID = %q
ocrKeyBundleID = %q
allowNoBootstrappers = true
observationSource = "ask [type=bridge name=prices]"
[relayConfig]
chainID = "7"
[pluginConfig]
juelsPerFeeCoinSource = "one [type=sum values=<[1]>]"
`, contract, n.keys.Accounts("acme")[0], n.keys.Bundles("acme")[0].ID())
}

// components are the parts of the node by /health, without their times.
func components(t *testing.T, n *Node) (code int, status string, parts map[string]web.Component) {
	t.Helper()
	a := ask(t, "http://"+n.Address()+"/health")
	var health web.Health
	if err := json.Unmarshal([]byte(a.body), &health); err != nil {
		t.Fatal(err)
	}
	parts = map[string]web.Component{}
	for _, c := range health.Components {
		if c.Since.IsZero() || time.Since(c.Since) > time.Hour {
			t.Errorf("%s is in its state since %s", c.Name, c.Since)
		}
		c.Since = time.Time{}
		parts[c.Name] = c
	}
	return a.code, health.Status, parts
}

// TestStatesOfParts holds that a chain, its accounts, a bridge and the job that needs them are told alike by /health,
// the API, the metrics and the log, which has one line for each change.
func TestStatesOfParts(t *testing.T) {
	t.Parallel()
	n, chain, log := tellingNode(t)
	client := nodetest.Operator(n.Socket())
	account := n.keys.Accounts("acme")[0]
	chain.set(func(c *tellingChain) {
		c.nodes = []*relayerv1.NodeStatus{
			{Name: "a", State: relayerv1.NodeState_NODE_STATE_ALIVE, LatestBlock: 9, Latency: durationpb.New(time.Millisecond)},
		}
		c.accounts = []*relayerv1.AccountStatus{{Account: account, Balance: wire.BigInt(big.NewInt(5)), Decimals: 1}}
	})
	if _, err := client.AddBridge(t.Context(), &nodev1.AddBridgeRequest{
		Bridge: &nodev1.Bridge{Name: "prices", Url: "http://127.0.0.1:9"},
	}); err != nil {
		t.Fatal(err)
	}
	added, err := client.AddJob(t.Context(), &nodev1.AddJobRequest{SpecToml: tellingJob(n, "0xaa")})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "a chain that serves", func() bool {
		_, _, parts := components(t, n)
		return parts["acme chain 7"].State == "running"
	})
	want := &nodev1.Chain{
		Relay: "acme", Id: "7", Plugin: "acme", State: nodev1.State_STATE_RUNNING, LatestBlock: 9,
		Nodes: []*nodev1.RpcNode{{Name: "a", Serves: true, LatestBlock: 9, Latency: durationpb.New(time.Millisecond)}},
		Accounts: []*nodev1.ChainAccount{
			{Account: account, Balance: wire.BigInt(big.NewInt(5)), Decimals: 1},
		},
	}
	ignored := protocmp.IgnoreFields(&nodev1.Chain{}, "state_since")
	last := ""
	eventually(t, "a chain in lists with all that it told", func() bool { // one look may have missed it
		listed, err := client.ListChains(t.Context(), &nodev1.ListChainsRequest{})
		if err != nil {
			t.Fatal(err)
		}
		diff := cmp.Diff([]*nodev1.Chain{want}, listed.GetChains(), protocmp.Transform(), ignored)
		if diff != last {
			t.Logf("chains (-want +got):\n%s", diff)
		}
		last = diff
		return diff == ""
	})
	shown, err := client.ShowJob(t.Context(), &nodev1.ShowJobRequest{Id: added.GetJob().GetId()})
	if err != nil || cmp.Diff(want.GetAccounts()[0], shown.GetAccount(), protocmp.Transform()) != "" {
		t.Errorf("the job's account is %v, %v", shown.GetAccount(), err)
	}

	chain.set(func(c *tellingChain) {
		c.nodes = []*relayerv1.NodeStatus{
			{Name: "a", State: relayerv1.NodeState_NODE_STATE_WRONG_CHAIN, Reason: "answers for chain 5"},
		}
	})
	for range 3 {
		n.sources.asked("Prices", time.Second, errors.New("connection refused"))
	}
	const reason, remedy = "its RPC node a answers for chain 5",
		"name RPC nodes of chain 7 in [[Acme.Nodes]], or give the chain its own ChainID"
	job := fmt.Sprintf("job %d", added.GetJob().GetId())
	var code int
	var parts map[string]web.Component
	eventually(t, "a job that fails by its chain", func() bool {
		code, _, parts = components(t, n)
		return parts["acme chain 7"].State == "failed" && strings.HasPrefix(parts[job].Reason, "acme chain 7: ")
	})
	if code != http.StatusServiceUnavailable {
		t.Errorf("a node whose job has failed answers %d", code)
	}
	for name, want := range map[string]web.Component{
		"acme chain 7": {Kind: "chain", State: "failed", Reason: reason, Remedy: remedy},
		job:            {Kind: "job", State: "failed", Reason: "acme chain 7: " + reason, Remedy: remedy},
		"bridge prices": {
			Kind: "bridge", State: "failed",
			Reason: "bridge prices has given no good answer for 0s (failures: 3): connection refused",
			Remedy: "see that its adapter runs at the address of loop bridges url prices, and what the adapter's own log says",
		},
		"database":      {Kind: "database", State: "running"},
		"configuration": {Kind: "configuration", State: "running"},
		"plugin acme":   {Kind: "plugin", State: "running"},
	} {
		want.Name = name
		got := parts[name]
		if before, after, is := strings.Cut(got.Reason, " for "); is && got.Kind == "bridge" {
			_, after, _ = strings.Cut(after, " ")
			got.Reason = before + " for 0s " + after
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	healthInLists(t, client)
	metrics := ask(t, "http://"+n.Address()+"/metrics").body
	for _, line := range []string{
		`loop_chain_state{chain_id="7",plugin="acme",relay="acme",state="failed"} 1`,
		`loop_bridge_state{bridge="prices",state="failed"} 1`,
		`loop_database_state{state="running"} 1`,
		`loop_plugin_state{plugin="acme",state="running"} 1`,
		fmt.Sprintf(`loop_job_state{job_id="%d",job_name="",state="failed"} 1`, added.GetJob().GetId()),
	} {
		if !strings.Contains(metrics, line+"\n") {
			t.Errorf("the metrics have no line %s", line)
		}
	}
	for range 5 {
		n.states.look(t.Context())
	}
	if _, err := client.RemoveJob(t.Context(), &nodev1.RemoveJobRequest{Id: added.GetJob().GetId()}); err != nil {
		t.Fatal(err)
	}
	if code, status, parts := components(t, n); code != http.StatusOK || status != "degraded" || parts[job].Name != "" ||
		parts["bridge prices"].Name != "" {
		t.Errorf("without the job: %d %s %v", code, status, parts)
	}
	n.Close(context.Background()) // which ends the log
	for what, most := range map[string]int{`"a chain's state changed"`: 3, `"a bridge's state changed"`: 1} {
		if lines := strings.Count(log.String(), what); lines == 0 || lines > most {
			t.Errorf("%d lines of the log say %s, want at most %d:\n%s", lines, what, most, log)
		}
	}
}

// A caller who has gone makes no part of the node fail, and a node that is closed does not say that it starts.
func TestLookForSomebodyWhoHasGone(t *testing.T) {
	t.Parallel()
	n, _, _ := tellingNode(t)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for range 5 {
		for _, p := range n.Look(gone) {
			if p.Level == health.Failed {
				t.Fatalf("%s is failed: %s", p.Name, p.Reason)
			}
		}
	}
	n.Close(t.Context())
	last := n.Look(t.Context())
	if p := last[len(last)-1]; p.Reason != "the node stops" {
		t.Errorf("%s of a node that is closed: %s", p.Name, p.Reason)
	}
}

// healthInLists holds that lists have the health of plugins and of the bridges that jobs use, once the adapter of
// "prices" does not answer.
func healthInLists(t *testing.T, client nodev1connect.NodeServiceClient) {
	t.Helper()
	if _, err := client.AddBridge(t.Context(), &nodev1.AddBridgeRequest{
		Bridge: &nodev1.Bridge{Name: "unused", Url: "http://127.0.0.1:9"},
	}); err != nil {
		t.Fatal(err)
	}
	plugins, err := client.ListPlugins(t.Context(), &nodev1.ListPluginsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	bridges, err := client.ListBridges(t.Context(), &nodev1.ListBridgesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, p := range plugins.GetPlugins() {
		got[p.GetHealth().GetName()] = p.GetHealth().GetState().String()
	}
	for _, b := range bridges.GetBridges() {
		got["bridge "+b.GetName()] = b.GetHealth().GetState().String()
	}
	want := map[string]string{
		"plugin acme": "STATE_RUNNING", "plugin median": "STATE_RUNNING", "bridge prices": "STATE_FAILED",
		"bridge unused": "STATE_UNSPECIFIED",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lists (-want +got):\n%s", diff)
	}
}
