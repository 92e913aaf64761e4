package node

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	nodev1 "github.com/loop-plugins/loop/gen/go/loop/node/v1"
	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
	productv1 "github.com/loop-plugins/loop/gen/go/loop/product/v1"
	"github.com/loop-plugins/loop/gen/go/loop/product/v1/productv1loop"
	"github.com/loop-plugins/loop/gen/go/loop/reporting/v1/reportingv1loop"
	"github.com/loop-plugins/loop/host/internal/node/nodetest"
	"github.com/loop-plugins/loop/sdk/go/loophost/supervise"
)

// fakeProduct is a product of OCR3 that makes no reporting plugin. It knows one key of a job, window.
type fakeProduct struct{}

func (fakeProduct) DescribeProduct(context.Context,
	*productv1.DescribeProductRequest) (*productv1.DescribeProductResponse, error) {
	version := productv1.OcrVersion_OCR_VERSION_3
	if os.Getenv("PRODUCT_VERSION") != "" {
		version = 4
	}
	return &productv1.DescribeProductResponse{
		Product: "time-weighted", OcrVersions: []productv1.OcrVersion{version}, ProviderTypes: []string{"median"},
	}, nil
}

func (fakeProduct) ValidateProductJob(_ context.Context,
	r *productv1.ValidateProductJobRequest) (*productv1.ValidateProductJobResponse, error) {
	var config struct{ Window *int }
	if err := json.Unmarshal(r.GetPluginConfigJson(), &config); err != nil || config.Window == nil {
		return &productv1.ValidateProductJobResponse{
			Problems: []*pluginv1.Problem{{Path: "pluginConfig.window", Message: "say how many seconds"}}}, nil
	}
	return &productv1.ValidateProductJobResponse{}, nil
}

func (fakeProduct) CreateProductFactory(context.Context, *productv1.CreateProductFactoryRequest,
	productv1loop.CreateProductFactoryLoans) (
	productv1loop.ProductFactory, *productv1.CreateProductFactoryResponse, error) {
	return struct {
		reportingv1loop.UnimplementedReportingPluginFactoryService
		reportingv1loop.UnimplementedOcr3PluginFactoryService
	}{}, &productv1.CreateProductFactoryResponse{}, nil
}

// twap gives a node the fake under the name twap.
func twap(t *testing.T, environment string) *files {
	t.Helper()
	f := newFiles(t)
	f.Environment["CL_TWAP_CMD"] = os.Args[0]
	f.plugin(t, "TWAP", "PRODUCT=fake\n"+environment)
	f.Chain("1337", "")
	return f
}

// productSpec is a job of the fake product.
func productSpec(n *Node, pluginConfig string) string {
	return fmt.Sprintf(`type = "offchainreporting2"
schemaVersion = 1
pluginType = "plugin"
relay = "evm"
contractID = "0x00000000000000000000000000000000000000Aa"
transmitterID = %q
ocrKeyBundleID = %q
allowNoBootstrappers = true
observationSource = "one [type=sum values=<[1]>]"
[relayConfig]
chainID = 1337
[pluginConfig]
pluginName = "twap"
%s
`, n.keys.Accounts("evm")[0], n.keys.Bundles("evm")[0].ID(), pluginConfig)
}

// A product is a plugin of any name. It judges its jobs, with the lines of their specs, and is listed as any plugin.
func TestProductOfAnyName(t *testing.T) {
	t.Parallel()
	n := twap(t, "").start(t)
	if diff := cmp.Diff(map[string]string{"evm": "relayer", "median": "median", "twap": "product"}, kinds(n)); diff != "" {
		t.Error(diff)
	}
	client := nodetest.Operator(n.Socket())
	for name, c := range map[string]struct{ config, want string }{
		"what the product finds": {"", `line 12: pluginConfig.window: say how many seconds`},
		"a version it has not": {"window = 1\nOCRVersion = 2",
			`line 15: pluginConfig.OCRVersion: the product twap does not run on OCR2; it runs on OCR3`},
		"what would run as node": {"window = 1\ncommand = '/bin/sh'",
			`line 15: pluginConfig.command: a job does not say what runs on the node's machine: set CL_TWAP_CMD in the node's environment, and remove the key`},
		"a pipeline's own bridge": {"window = 1\npipelines = [{name = 'b', spec = 'x [type=bridge name=nobody]'}]",
			`line 15: pluginConfig.pipelines[0].spec: could not find bridge with name "nobody"; create it first`},
	} {
		said, err := client.ValidateJob(t.Context(), &nodev1.ValidateJobRequest{SpecToml: productSpec(n, c.config)})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range said.GetProblems() {
			got = append(got, fmt.Sprintf("line %d: %s: %s", p.GetLine(), p.GetKey(), p.GetText()))
		}
		if diff := cmp.Diff([]string{c.want}, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if a := ask(t, "http://"+n.Address()+"/discovery"); !strings.Contains(a.body, "/plugins/twap/metrics") {
		t.Errorf("discovery: %s", a.body)
	}
}

// A description that cannot be used is refused in one sentence.
func TestProductThatIsRefused(t *testing.T) {
	t.Parallel()
	n, err := Start(t.Context(), twap(t, "PRODUCT_VERSION=4").settings(t))
	if err == nil {
		n.Close(t.Context())
		t.Fatal("the node starts")
	}
	const want = "plugin twap describes a product that this node cannot use: ocr_versions[0] is 4, which this node does " +
		"not have; it has OCR_VERSION_2, OCR_VERSION_3; upgrade the plugin or the node"
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Error(diff)
	}
}

// A product that is down is known by what it said before: its jobs are there, and new ones wait until it can judge
// them.
func TestProductIsDownAtTheStart(t *testing.T) {
	t.Parallel()
	illness := filepath.Join(t.TempDir(), "ill")
	f := twap(t, "FAIL_WHILE="+illness)
	n := f.start(t)
	added, err := nodetest.Operator(n.Socket()).AddJob(t.Context(),
		&nodev1.AddJobRequest{SpecToml: productSpec(n, "window = 1")})
	if err != nil || added.GetJob().GetState() == nodev1.JobState_JOB_STATE_FAILED {
		t.Fatal(added, err)
	}
	n.Close(t.Context())
	if err := os.WriteFile(illness, nil, 0o600); err != nil {
		t.Fatal(err)
	}

	n = f.start(t)
	client := nodetest.Operator(n.Socket())
	jobs, err := client.ListJobs(t.Context(), &nodev1.ListJobsRequest{})
	if err != nil || len(jobs.GetJobs()) != 1 || jobs.GetJobs()[0].GetState() == nodev1.JobState_JOB_STATE_RUNNING {
		t.Errorf("jobs: %v, %v", jobs, err)
	}
	if a := ask(t, "http://"+n.Address()+"/health"); a.code != http.StatusServiceUnavailable ||
		!strings.Contains(a.body, "not today") {
		t.Errorf("health: %d %s", a.code, a.body)
	}
	said, err := client.ValidateJob(t.Context(), &nodev1.ValidateJobRequest{SpecToml: productSpec(n, "window = 1")})
	if err != nil || !slices.ContainsFunc(said.GetProblems(), func(p *nodev1.Problem) bool {
		return strings.HasPrefix(p.GetText(), "the product cannot check the job: plugin twap did not check the job: ")
	}) {
		t.Errorf("a new job: %v, %v", said, err)
	}
	if err := os.Remove(illness); err != nil {
		t.Fatal(err)
	}
	if _, err := client.RestartPlugin(t.Context(), &nodev1.RestartPluginRequest{Name: "twap"}); err != nil {
		t.Fatal(err)
	}
	if s := n.runtime.Plugin("twap").Status(); s.State != supervise.Ready {
		t.Errorf("the plugin is %s", s.State)
	}
}
