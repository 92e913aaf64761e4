package node

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/host/internal/config"
	"github.com/loop-plugins/loop/sdk/go/loophost/supervise"
)

// kinds are the plugins that run, with their kinds.
func kinds(n *Node) map[string]string {
	all := map[string]string{}
	for _, p := range n.runtime.Plugins() {
		all[p.Name()] = p.Status().Kind
	}
	return all
}

// A node without built-in plugins runs what its environment names, of whatever kind that is: nothing but the plugin
// says so.
func TestPluginsOfAnyName(t *testing.T) {
	t.Parallel()
	f := newFiles(t)
	f.Builtin = nil
	f.acme(t, "RELAYER=fake")
	delete(f.Environment, "CL_MEDIAN_CMD")
	f.Environment["CL_FIGURES_CMD"] = os.Args[0]
	f.plugin(t, "FIGURES", "RELAYER=none")
	f.Chain("7", "")
	want := map[string]string{"acme": "relayer", "figures": "median"}
	n := f.start(t)
	if diff := cmp.Diff(want, kinds(n)); diff != "" {
		t.Error(diff)
	}
	kept, err := n.database.Program(t.Context(), "figures", checksumOf(t, n, "figures"))
	if err != nil || kept.Kind != "median" {
		t.Errorf("kept of it: %+v, %v", kept, err)
	}
	// Its keys, its chain and its health are as those of any relay.
	if accounts := n.keys.Accounts("acme"); len(accounts) != 1 || !strings.HasPrefix(accounts[0], "account-") {
		t.Errorf("its accounts are %v", accounts)
	}
	if bundles := n.keys.Bundles("acme"); len(bundles) != 1 || len(bundles[0].Report().Public()) != 32 {
		t.Errorf("it has %d bundles", len(bundles))
	}
	if a := ask(t, "http://"+n.Address()+"/health"); a.code != http.StatusOK ||
		!strings.Contains(a.body, `"acme chain 7"`) {
		t.Errorf("health: %d %s", a.code, a.body)
	}
	if a := ask(t, "http://"+n.Address()+"/discovery"); !strings.Contains(a.body, "/plugins/acme/metrics") {
		t.Errorf("discovery: %s", a.body)
	}
}

func checksumOf(t *testing.T, n *Node, name string) string {
	t.Helper()
	sum, err := n.checksum(n.settings.Config.Environment.Plugins[name])
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// What a node cannot run it refuses in one sentence.
func TestRelayersThatAreRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*files)
		want   string
	}{
		"an algorithm that nobody has": {func(f *files) { f.acme(t, "RELAYER=nonsense") },
			"plugin acme describes a relayer that this node cannot use: account_algorithm is 9, which this node does not " +
				"have; it has SECP256K1, ED25519, STARK; upgrade the plugin or the node"},
		"two of one relay": {func(f *files) {
			f.acme(t, "RELAYER=fake")
			f.Environment["CL_OTHER_CMD"], f.Environment["CL_OTHER_ENV"] = os.Args[0], f.Environment["CL_ACME_ENV"]
		}, "the plugins acme and other both serve the relay acme: remove CL_ACME_CMD or CL_OTHER_CMD"},
		"a chain of nobody's": {func(f *files) {
			f.Section = "Emv"
			f.Chain("1", "")
		}, "Emv[0]: unknown key; did you mean EVM?"},
		"an account that cannot be": {func(f *files) {
			f.Chain("1", `Accounts = ["me"]`)
		}, ": EVM[0].Accounts[0]: this is not an account, which is 0x and 40 hexadecimal digits"},
	} {
		f := newFiles(t)
		c.change(f)
		n, err := Start(t.Context(), f.settings(t))
		if err == nil {
			n.Close(t.Context())
			t.Errorf("%s: the node starts", name)
		} else if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "rpc error") {
			t.Errorf("%s: %v; want %s", name, err, c.want)
		}
	}
}

// A plugin that has run before and does not start is down: the node starts all the same, knows its jobs by what it
// said of them, refuses new ones, and has it back when it starts.
func TestRelayerIsDownAtTheStart(t *testing.T) {
	t.Parallel()
	f := notFed(t)
	illness := filepath.Join(f.dir, "ill")
	f.files.Config += fmt.Sprintf("[Plugins.Acme]\nWrite = [%q]\n", f.dir)
	f.files.acme(t, "RELAYER=queueing\nQUEUE_DIR="+f.dir+"\nFAIL_WHILE="+illness)
	f.files.Chain("1", "")
	f.start()
	own := f.account()
	f.runs("a1", strings.ToUpper(own), false)
	f.node.Close(t.Context())
	if err := os.WriteFile(illness, nil, 0o600); err != nil {
		t.Fatal(err)
	}

	f.start()
	jobs, err := f.client.ListJobs(t.Context(), &nodev1.ListJobsRequest{})
	if err != nil || len(jobs.GetJobs()) != 1 || jobs.GetJobs()[0].GetRelay() != "acme" ||
		jobs.GetJobs()[0].GetState() == nodev1.JobState_JOB_STATE_RUNNING {
		t.Errorf("jobs: %v, %v", jobs, err)
	}
	if a := ask(t, "http://"+f.node.Address()+"/health"); a.code != http.StatusServiceUnavailable ||
		!strings.Contains(a.body, "not today") {
		t.Errorf("health: %d %s", a.code, a.body)
	}
	f.refused("a1", own, false, "the relayer cannot check the job: plugin acme did not check the job: ")
	keys, err := f.client.ListKeys(t.Context(), &nodev1.ListKeysRequest{})
	if err != nil ||
		!slices.ContainsFunc(keys.GetKeys(), func(k *nodev1.Key) bool { return k.GetId() == own && k.GetRelay() == "acme" }) {
		t.Errorf("keys: %v, %v", keys, err)
	}

	if err := os.Remove(illness); err != nil {
		t.Fatal(err)
	}
	if _, err := f.client.RestartPlugin(t.Context(), &nodev1.RestartPluginRequest{Name: "acme"}); err != nil {
		t.Fatal(err)
	}
	if s := f.node.runtime.Plugin("acme").Status(); s.State != supervise.Ready {
		t.Errorf("the plugin is %s", s.State)
	}
	f.held(own, "acme", 1)
	f.refused("a1", own, false, "contractID: job 1 serves this contract already; remove it first")
}

func TestTransportIsThePlugins(t *testing.T) {
	t.Parallel()
	for transport, want := range map[string]bool{"": false, config.TransportAuto: false, config.TransportGRPC: true} {
		c := config.Plugin{Command: []string{"loop-acme"}, Rules: config.PluginRules{Transport: transport}}
		if s := (&Node{}).pluginSettings("acme", c, kindRelayer); s.GRPC != want {
			t.Errorf("with the transport %q a plugin is called over gRPC alone: %v", transport, s.GRPC)
		}
	}
}
