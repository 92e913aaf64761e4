package node

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	"github.com/loop-plugins/loop/gen/go/loop/node/v1/nodev1connect"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/host/internal/node/nodetest"
	"github.com/loop-plugins/loop/host/internal/web"
	"github.com/loop-plugins/loop/sdk/go/loop/looptest/ports"
	"github.com/loop-plugins/loop/sdk/go/loophost/supervise"
)

// patient keeps a plugin that was stopped from being taken for a hanging one, and killed, while its answer is awaited.
const patient = "HealthInterval = \"1m\"\nHealthTimeout = \"1m\"\n"

func TestDiscoveryNamesTheNodeAndItsPlugins(t *testing.T) {
	t.Parallel()
	f := newFiles(t)
	f.Chain("1337", "")
	n := f.start(t)
	_, port, err := net.SplitHostPort(n.Address())
	if err != nil {
		t.Fatal(err)
	}
	a := ask(t, "http://"+n.Address()+"/discovery")
	if a.code != http.StatusOK || a.contentType != "application/json" {
		t.Errorf("code %d, content type %q", a.code, a.contentType)
	}
	var got any
	if err := json.Unmarshal([]byte(a.body), &got); err != nil {
		t.Fatal(err)
	}
	at := []any{"oracle.example:" + port}
	want := []any{map[string]any{"targets": at, "labels": map[string]any{"__metrics_path__": "/metrics", "kind": "node"}}}
	for _, p := range [][2]string{{"evm", "relayer"}, {"median", "median"}} {
		want = append(want, map[string]any{"targets": at, "labels": map[string]any{
			"__metrics_path__": "/plugins/" + p[0] + "/metrics", "__meta_plugin_name": p[0], "plugin": p[0], "kind": p[1],
		}})
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("discovery (-want +got):\n%s", d)
	}
}

func TestEachPluginServesItsOwnMetrics(t *testing.T) {
	t.Parallel()
	f := newFiles(t)
	f.Chain("1337", "")
	n := f.start(t)
	const text, open = "text/plain; version=0.0.4; charset=utf-8", "application/openmetrics-text; version=1.0.0; " +
		"charset=utf-8"
	for name, c := range map[string]struct {
		path, accept          string
		code                  int
		contentType           string
		contains, not, ending string
	}{
		"the relayer": {"/plugins/evm/metrics", "", 200, text,
			"loop.relayer.v1.RelayerService/CreateChain", "loop_median_", ""},
		"the median": {"/plugins/median/metrics", "", 200, text, "loop_median_", "RelayerService", ""},
		"the median, as OpenMetrics": {"/plugins/median/metrics", "application/openmetrics-text;version=1.0.0", 200,
			open, "loop_median_", "RelayerService", "# EOF\n"},
		"the node":         {"/metrics", "", 200, text, "go_goroutines", "loop_median_", ""},
		"nobody":           {"/plugins/solana/metrics", "", 404, "", `there is no plugin "solana"`, "", ""},
		"a name with dots": {"/plugins/../metrics", "", 404, "", "there is no plugin", "go_goroutines", ""},
		"a name with an escaped slash": {"/plugins/evm%2Fmetrics/metrics", "", 404, "", "there is no plugin",
			"RelayerService", ""},
		"a name of escaped dots": {"/plugins/%2e%2e/metrics", "", 404, "", "there is no plugin", "go_goroutines",
			""},
		"a name with a slash": {"/plugins/evm/x/metrics", "", 404, "", "there is nothing here", "RelayerService",
			""},
		"an escape that is none":    {"/plugins/%25zz/metrics", "", 404, "", "there is no plugin", "", ""},
		"another page of a plugin":  {"/plugins/evm/debug", "", 404, "", "there is nothing here", "", ""},
		"a plugin, in another case": {"/plugins/EVM/metrics", "", 404, "", `there is no plugin "EVM"`, "", ""},
		"a plugin with an escaped letter": {"/plugins/ev%6d/metrics", "", 200, text,
			"loop.relayer.v1.RelayerService/CreateChain", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := ask(t, "http://"+n.Address()+c.path, "Accept", c.accept)
			if a.code != c.code || !strings.HasPrefix(a.contentType, c.contentType) {
				t.Errorf("code %d, content type %q, want %d, %q", a.code, a.contentType, c.code, c.contentType)
			}
			if !strings.Contains(a.body, c.contains) || !strings.HasSuffix(a.body, c.ending) ||
				c.not != "" && strings.Contains(a.body, c.not) {
				t.Errorf("body, which should have %q, not %q, and end in %q:\n%.400s", c.contains, c.not, c.ending, a.body)
			}
		})
	}
}

// A plugin that cannot be started any more is quarantined: its page and /health say so, Prometheus goes on asking for
// it, and a restart brings it back.
func TestPluginThatIsDown(t *testing.T) {
	t.Parallel()
	f := newFiles(t)
	f.Chain("1337", "")
	illness := filepath.Join(f.Dir, "ill")
	f.plugin(t, "MEDIAN", "FAIL_WHILE="+illness)
	n := f.start(t)
	url := "http://" + n.Address()
	if a := ask(t, url+"/health"); a.code != 200 || !strings.HasPrefix(a.body, `{"status":"degraded"`) {
		t.Errorf("health of a node whose chain has no RPC node: %d %s", a.code, a.body)
	}
	if err := os.WriteFile(illness, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	signal(t, n, "median", syscall.SIGKILL)
	eventually(t, "a quarantine", func() bool {
		return n.runtime.Plugin("median").Status().State == supervise.Quarantined
	})

	if a := ask(t, url+"/plugins/median/metrics"); a.code != http.StatusServiceUnavailable {
		t.Errorf("metrics of a plugin that is down: %d %s", a.code, a.body)
	}
	if a := ask(t, url+"/plugins/evm/metrics"); a.code != http.StatusOK {
		t.Errorf("metrics of the other one: %d %s", a.code, a.body)
	}
	if a := ask(t, url+"/discovery"); !strings.Contains(a.body, `"/plugins/median/metrics"`) ||
		!strings.Contains(a.body, "evm") {
		t.Errorf("discovery with a plugin down: %s", a.body)
	}
	a := ask(t, url+"/health")
	var health web.Health
	if err := json.Unmarshal([]byte(a.body), &health); err != nil {
		t.Fatal(err)
	}
	plugins := map[string]web.Component{}
	for _, c := range health.Components {
		if c.Kind == "plugin" && c.State != "running" {
			plugins[c.Name] = c
		}
	}
	median := plugins["plugin median"]
	if a.code != http.StatusServiceUnavailable || health.Status != "failing" || len(plugins) != 1 ||
		median.State != "failed" ||
		!strings.Contains(median.Reason, "is quarantined: ") || !strings.Contains(median.Reason, "exit status 3") ||
		!strings.Contains(median.Remedy, "loop plugins restart median") ||
		time.Since(median.Since) > time.Minute {
		t.Errorf("health with a plugin down: %d %s", a.code, a.body)
	}
	if a := ask(t, url+"/readyz"); a.code != http.StatusOK {
		t.Errorf("a node is not to be taken out for a plugin: %d", a.code)
	}

	if err := os.Remove(illness); err != nil {
		t.Fatal(err)
	}
	client := nodetest.Operator(n.Socket())
	if _, err := client.RestartPlugin(t.Context(), &nodev1.RestartPluginRequest{Name: "median"}); err != nil {
		t.Fatal(err)
	}
	if a := ask(t, url+"/plugins/median/metrics"); a.code != http.StatusOK {
		t.Errorf("metrics after a restart: %d %s", a.code, a.body)
	}
	if a := ask(t, url+"/health"); a.code != http.StatusOK {
		t.Errorf("health after a restart: %d %s", a.code, a.body)
	}
}

// Operators see how calls go to each plugin, and turn frames off for one kind.
func TestTransportOfPlugins(t *testing.T) {
	t.Parallel()
	for setting, want := range map[string]string{"": "loop/1", "Transport = \"auto\"": "loop/1",
		"Transport = \"grpc\"": "grpc"} {
		t.Run(setting, func(t *testing.T) {
			t.Parallel()
			f := newFiles(t)
			f.Config += "[Plugins.Acme]\n" + setting + "\n"
			f.acme(t, "RELAYER=fake")
			f.Chain("1337", "")
			list, err := nodetest.Operator(f.start(t).Socket()).ListPlugins(t.Context(), &nodev1.ListPluginsRequest{})
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range list.GetPlugins() {
				if p.GetName() == "acme" && p.GetTransport() != want || p.GetInProcess() && p.GetTransport() != "" {
					t.Errorf("calls to plugin %s go by %q", p.GetName(), p.GetTransport())
				}
			}
		})
	}
}

// A plugin that takes more memory than the configuration allows is killed, serves again, and operators see why.
func TestPluginThatEatsMemory(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("the memory of processes is told by Linux alone")
	}
	f := newFiles(t)
	f.Config += "[Plugins.Acme]\nMemoryLimit = \"384MiB\"\n"
	f.acme(t, "RELAYER=fake")
	f.Chain("1337", "")
	n := f.start(t)
	client := nodetest.Operator(n.Socket())
	status := func() *nodev1.PluginStatus {
		list, err := client.ListPlugins(t.Context(), &nodev1.ListPluginsRequest{})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range list.GetPlugins() {
			if p.GetName() == "acme" {
				return p
			}
			if p.GetMemoryLimitBytes() != 0 {
				t.Errorf("plugin %s has the limit of another", p.GetName())
			}
		}
		t.Fatal("there is no plugin acme")
		return nil
	}
	if p := status(); p.GetMemoryLimitBytes() != 384<<20 || p.GetMemoryBytes() == 0 {
		t.Errorf("it takes %d bytes of %d", p.GetMemoryBytes(), p.GetMemoryLimitBytes())
	}
	_, chain, err := n.plugins.chain("acme", "1337")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "a kill", func() bool {
		_, _ = chain.LatestHead(t.Context(), &relayerv1.LatestHeadRequest{}) // ends with the process that it fattens
		return status().GetGeneration() > 1
	})
	eventually(t, "another generation", func() bool { return n.runtime.Plugin("acme").Status().State == supervise.Ready })
	if p := status(); !strings.Contains(p.GetLastExit(), " MiB of memory; its limit is 384 MiB") {
		t.Errorf("the last generation ended: %s", p.GetLastExit())
	}
}

func TestPluginThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	f := newFiles(t)
	f.Config += patient // after [Plugins]
	f.Chain("1337", "")
	n := f.start(t)
	url := "http://" + n.Address() + "/plugins/evm/metrics"
	signal(t, n, "evm", syscall.SIGSTOP)
	// A process is stopped once each of its threads has come to run.
	eventually(t, "a scrape that nobody answers", func() bool {
		return ask(t, url, "X-Prometheus-Scrape-Timeout-Seconds", "0.3").code == http.StatusGatewayTimeout
	})
	if a := ask(t, "http://"+n.Address()+"/plugins/median/metrics"); a.code != http.StatusOK {
		t.Errorf("metrics of the other one: %d %s", a.code, a.body)
	}
	signal(t, n, "evm", syscall.SIGCONT)
	eventually(t, "an answer", func() bool { return ask(t, url).code == http.StatusOK })
}

// A start that takes long can be watched, and is asked nothing that needs the whole node.
func TestNodeThatStarts(t *testing.T) {
	t.Parallel()
	f := newFiles(t)
	f.Chain("1337", "")
	address := ports.Address(t)
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	f.Config = strings.Replace(f.Config, "HTTPPort = 0", "HTTPPort = "+port, 1)
	sleep := filepath.Join(f.Dir, "sleep")
	if err := os.WriteFile(sleep, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f.plugin(t, "MEDIAN", "WAIT_WHILE="+sleep)
	settings := f.settings(t)
	started := make(chan error, 1)
	var n *Node
	go func() {
		var err error
		n, err = Start(t.Context(), settings)
		started <- err
	}()
	url := "http://" + address
	eventually(t, "an HTTP server", func() bool { _, err := try(t, url+"/readyz"); return err == nil })
	if a := ask(t, url+"/readyz"); a.code != http.StatusServiceUnavailable || a.body != "starting\n" {
		t.Errorf("readyz while the node starts: %d %q", a.code, a.body)
	}
	if a := ask(t, url+"/health"); a.code != http.StatusServiceUnavailable ||
		!strings.Contains(a.body, `{"kind":"node","name":"node","state":"waiting","reason":"the node starts",`) {
		t.Errorf("health while the node starts: %d %s", a.code, a.body)
	}
	client := nodetest.Operator(settings.Config.WebServer.Socket)
	if _, err := client.ListJobs(t.Context(), &nodev1.ListJobsRequest{}); err == nil ||
		!strings.Contains(err.Error(), "the node is starting; try again when /readyz says so") {
		t.Errorf("jobs of a node that starts: %v", err)
	}
	if _, err := client.ListPlugins(t.Context(), &nodev1.ListPluginsRequest{}); err != nil {
		t.Errorf("plugins of a node that starts: %v", err)
	}
	everyCall(t, client)
	if err := os.Remove(sleep); err != nil {
		t.Fatal(err)
	}
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	if a := ask(t, url+"/readyz"); a.code != http.StatusOK || a.body != "ready\n" {
		t.Errorf("readyz of a node that has started: %d %q", a.code, a.body)
	}
	n.Close(context.Background())
	if _, err := try(t, url+"/readyz"); err == nil {
		t.Error("a node that has ended answers")
	}
}

// everyCall makes every call of the API that has one answer, about the plugin median where it is about a plugin, and
// checks that each is answered.
func everyCall(t *testing.T, client nodev1connect.NodeServiceClient) {
	t.Helper()
	all := reflect.ValueOf(client)
	for i := range all.NumMethod() {
		call, name := all.Method(i), all.Type().Method(i).Name
		if call.Type().Out(0).Implements(reflect.TypeFor[proto.Message]()) {
			request := reflect.New(call.Type().In(1).Elem())
			if plugin := request.Elem().FieldByName("Name"); plugin.IsValid() {
				plugin.SetString("median")
			}
			answer := call.Call([]reflect.Value{reflect.ValueOf(t.Context()), request})
			if err, _ := answer[1].Interface().(error); err != nil && !connect.IsWireError(err) {
				t.Errorf("%s: %v", name, err) // the handler has panicked
			}
		}
	}
}

// addJob adds a job on chain 1337, with processes of its own if it is isolated.
func addJob(t *testing.T, n *Node, isolated bool) *nodev1.Job {
	t.Helper()
	added, err := nodetest.Operator(n.Socket()).AddJob(t.Context(), &nodev1.AddJobRequest{SpecToml: fmt.Sprintf(`
type = "offchainreporting2"
schemaVersion = 1
pluginType = "median"
relay = "evm"
contractID = "0x00000000000000000000000000000000000000Aa"
transmitterID = %q
ocrKeyBundleID = %q
allowNoBootstrappers = true
isolated = %v
observationSource = "one [type=sum values=<[1]>]"
[relayConfig]
chainID = 1337
[pluginConfig]
juelsPerFeeCoinSource = "one [type=sum values=<[1]>]"
`, n.keys.Accounts("evm")[0], n.keys.Bundles("evm")[0].ID(), isolated)})
	if err != nil {
		t.Fatal(err)
	}
	return added.GetJob()
}

// A job with processes of its own adds pages, which go with the job.
func TestIsolatedJobHasPagesOfItsOwn(t *testing.T) {
	t.Parallel()
	f := newFiles(t)
	f.Chain("1337", "")
	n := f.start(t)
	url := "http://" + n.Address()
	client := nodetest.Operator(n.Socket())
	job := addJob(t, n, true)
	if job.GetState() == nodev1.JobState_JOB_STATE_FAILED { // it waits: the fake contract has no configuration
		t.Fatalf("the job is %s: %s", job.GetState(), job.GetReason())
	}
	pages := map[string]string{
		fmt.Sprintf("/plugins/median-%d/metrics", job.GetId()): "loop_median_",
		fmt.Sprintf("/plugins/evm-%d/metrics", job.GetId()):    "loop.relayer.v1.RelayerService/CreateChain",
	}
	for page, contains := range pages {
		if a := ask(t, url+page); a.code != http.StatusOK || !strings.Contains(a.body, contains) {
			t.Errorf("%s: %d %.200s", page, a.code, a.body)
		}
		if a := ask(t, url+"/discovery"); !strings.Contains(a.body, page) {
			t.Errorf("discovery with the job: %s", a.body)
		}
	}
	if a := ask(t, url+"/health"); a.code != http.StatusOK ||
		!strings.Contains(a.body, fmt.Sprintf(`"evm-%d chain 1337"`, job.GetId())) {
		t.Errorf("health with the job: %d %s", a.code, a.body)
	}
	var pids []int
	for _, kind := range []string{"median", "evm"} {
		pids = append(pids, n.runtime.Plugin(fmt.Sprintf("%s-%d", kind, job.GetId())).Status().PID)
	}
	series := fmt.Sprintf(`plugin="evm-%d"`, job.GetId())
	if a := ask(t, url+"/metrics"); !strings.Contains(a.body, series) {
		t.Errorf("the node's metrics with the job have no series with %s", series)
	}
	if _, err := client.RemoveJob(t.Context(), &nodev1.RemoveJobRequest{Id: job.GetId()}); err != nil {
		t.Fatal(err)
	}
	for _, gone := range []string{series, fmt.Sprintf(`plugin="median-%d"`, job.GetId()),
		fmt.Sprintf(`job_id="%d"`, job.GetId())} {
		for line := range strings.Lines(ask(t, url+"/metrics").body) {
			if strings.Contains(line, gone) {
				t.Errorf("a series is left of a job that is removed: %s", line)
			}
		}
	}
	for page := range pages {
		if a := ask(t, url+page); a.code != http.StatusNotFound {
			t.Errorf("%s, which went with its job: %d %.200s", page, a.code, a.body)
		}
		if a := ask(t, url+"/discovery"); strings.Contains(a.body, page) {
			t.Errorf("discovery after the job: %s", a.body)
		}
	}
	for _, pid := range pids {
		if syscall.Kill(pid, 0) == nil {
			t.Errorf("process %d of the job lives on", pid)
		}
	}
	if a := ask(t, url+"/health"); a.code != http.StatusOK {
		t.Errorf("health after the job: %d %s", a.code, a.body)
	}
}
