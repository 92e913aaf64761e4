package job_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
	productv1 "github.com/loop-plugins/loop/gen/go/loop/product/v1"
	"github.com/loop-plugins/loop/host/internal/config"
	"github.com/loop-plugins/loop/host/internal/job"
	"github.com/loop-plugins/loop/host/internal/pipeline"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// relayers are the built-in ones.
var relayers builtin

func TestMain(m *testing.M) {
	var err error
	if relayers, err = newBuiltin(); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// node is a node that has little.
type node struct{}

func (node) HasChain(relay, chainID string) bool { return chainID != "99" }

func (node) ChainIDs(relay string) []string {
	if relay != "evm" {
		return nil
	}
	return []string{"1", "1337"}
}

func (node) HasKeyBundle(relay, id string) bool { return id != "absent" }

func (node) HasTransmitter(relay, chainID, id string) bool { return !strings.HasSuffix(id, "ff") }

func (node) HasBridge(name string) bool { return name == "known" || name == "prices" || name == "gas" }

func (node) ByContract(key string) (string, bool) {
	return "7", strings.EqualFold(key, "offchainreporting2/evm/99/0x00000000000000000000000000000000000000ee/")
}

func (node) ByExternalID(id uuid.UUID) (string, bool) { return "8", id[0] == 0x11 }

func (node) ByName(given string) (string, bool) { return "11 (twin)", given == "twin" }

func (node) BySender(s *job.Spec) (string, bool, bool) {
	switch {
	case strings.HasSuffix(s.Account(), "51"):
		return "9", true, true // an isolated one
	case strings.HasSuffix(s.Account(), "52"):
		return "10 (eth-usd)", false, true
	}
	return "", false, false
}

func (node) InProcess(kind string) (string, bool) { return "CL_SOLANA_CMD", kind == "solana" }

func (node) Products() []string { return []string{"reserves", "twap"} }

func (node) Runs(product string) ([]int, []string, bool) {
	return []int{3, 2}[:min(len(product)-3, 2)], []string{"median"}, product == "twap" || product == "reserves"
}

// ValidateProductJob finds fault with a window of 0, and knows no key but that and the node's own.
func (node) ValidateProductJob(_ context.Context, product string,
	r *productv1.ValidateProductJobRequest) (*productv1.ValidateProductJobResponse, error) {
	var config map[string]any
	if err := json.Unmarshal(r.GetPluginConfigJson(), &config); err != nil {
		return nil, err
	}
	answer := &productv1.ValidateProductJobResponse{}
	if config["window"] == 0.0 {
		answer.Problems = append(answer.Problems,
			&pluginv1.Problem{Path: "pluginConfig.window", Message: "a window of 0 has no average"})
	}
	if config["windw"] != nil {
		answer.Warnings = append(answer.Warnings,
			&pluginv1.Problem{Path: "pluginConfig.windw", Message: "unknown key; did you mean window?"})
	}
	if !slices.Contains(r.GetPipelines(), "") {
		answer.Problems = append(answer.Problems,
			&pluginv1.Problem{Path: "observationSource", Message: "the product " + product + " needs a pipeline"})
	}
	if product == "reserves" {
		return nil, status.Error(codes.Unavailable, "plugin reserves is down")
	}
	return answer, nil
}

func settings() job.Settings {
	ocr2 := config.Default().OCR2
	ocr2.KeyBundleID = "node"
	return job.Settings{
		OCR2:                 ocr2,
		DefaultBootstrappers: []config.Bootstrapper{{PeerID: "12D3KooWNode", Addresses: []string{"node.example:6690"}}},
		Relayers:             relayers, Products: node{}, Chains: node{}, Keys: node{}, Bridges: node{}, Jobs: node{},
		Processes: node{},
	}
}

// Names of the files in testdata begin with the stage that fails, with warn, or with valid.
func TestReports(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.toml")
	if err != nil || len(files) == 0 {
		t.Fatal("no specs")
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			spec, report := job.Parse(t.Context(), data, settings())
			var got strings.Builder
			for _, problem := range report.Problems {
				fmt.Fprintf(&got, "problem %s: %s\n", problem.Stage, problem)
			}
			for _, warning := range report.Warnings {
				fmt.Fprintf(&got, "warning %s: %s\n", warning.Stage, warning)
			}

			want, _, _ := strings.Cut(filepath.Base(file), "-")
			if want == "valid" || want == "warn" {
				want = ""
			}
			if string(report.FailedAt()) != want {
				t.Errorf("failed at %q, want %q", report.FailedAt(), want)
			}
			if inFile := want == "common" || want == "ocr2"; inFile != (spec == nil) {
				t.Errorf("spec is nil: %v", spec == nil)
			}
			if (report.Err() == nil) != (len(report.Problems) == 0) {
				t.Errorf("Err is %v", report.Err())
			}

			golden := strings.TrimSuffix(file, ".toml") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			expected, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(expected), got.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

var compare = cmp.Options{cmpopts.IgnoreFields(job.Spec{}, "TOML", "RelayConfigJSON", "WrittenRelayConfigJSON",
	"Validation"),
	cmpopts.IgnoreTypes(&pipeline.Pipeline{}), cmp.Comparer(func(a, b *big.Int) bool { return a.String() == b.String() })}

func TestSpecs(t *testing.T) {
	t.Parallel()
	one := "one [type=\"sum\" values=<[1]>]"
	for name, test := range map[string]struct {
		want     job.Spec
		relay    string
		contract string
		juels    bool
		gas      bool
	}{
		"valid-evm": {
			want: job.Spec{
				Type: job.TypeOCR2, Name: "2024", ExternalJobID: uuid.MustParse("0eec7e1d-d0d2-476c-a1a8-72dfb6633f46"),
				Relay: "evm", ChainID: "31337",
				ReadsContracts: true, ContractID: "0x00000000000000000000000000000000000000Aa", PluginType: "median",
				BlockchainTimeout: 20 * time.Second, ContractConfigTrackerPollInterval: 2 * time.Minute,
				ContractConfigConfirmations: 100,
				ObservationSource:           "price [type=sum values=<[1,2]>]\n",
				MaxTaskDuration:             90 * time.Second,
				TransmitterID:               "0x00000000000000000000000000000000000000bB", KeyBundleID: "ab",
				Bootstrappers: []config.Bootstrapper{
					{PeerID: "12D3KooWFirst", Addresses: []string{"one.example:6690", "10.0.0.1:6690"}},
					{PeerID: "12D3KooWSecond", Addresses: []string{"two.example:6690"}},
				},
				GasLimit: 1_000_000, Isolated: true,
				PluginConfig: job.PluginConfig{
					JuelsPerFeeCoinSource: one,
					JuelsPerFeeCoinCache: job.Cache{Disable: true, UpdateInterval: 30 * time.Second,
						StalenessAlertThreshold: time.Hour},
					DeviationFunc: &job.DeviationFunc{Type: "pendle", ExpiresAt: time.Unix(1893456000, 5e8).UTC(),
						Multiplier: big.NewInt(5)},
				},
			},
			relay:    `{"chainID":"31337","effectiveTransmitterID":"0x00000000000000000000000000000000000000bb","fromBlock":7,"sendingKeys":["0x00000000000000000000000000000000000000cC"]}`,
			contract: "offchainreporting2/evm/31337/0x00000000000000000000000000000000000000AA/", juels: true,
		},
		"valid-solana": {
			want: job.Spec{
				Type: job.TypeOCR2, Relay: "solana", ChainID: "devnet", ContractID: "So11111111111111111111111111111111111111112",
				PluginType:        "median",
				BlockchainTimeout: 20 * time.Second, ContractConfigTrackerPollInterval: time.Minute, ContractConfigConfirmations: 3,
				ObservationSource: "price [type=bridge name=\"prices\"];\nvalue [type=jsonparse path=\"data,result\"];\nprice -> " +
					"value;",
				TransmitterID: "11111111111111111111111111111111", KeyBundleID: "node",
				Bootstrappers: settings().DefaultBootstrappers,
				PluginConfig: job.PluginConfig{
					JuelsPerFeeCoinSource: one, GasPriceSubunitsSource: `gas [type="bridge" name="gas"]`,
					JuelsPerFeeCoinCache: job.Cache{UpdateInterval: 5 * time.Minute, StalenessAlertThreshold: 24 * time.Hour},
				},
			},
			relay: `{"chainID":"devnet","nodeEndpointHTTP":"http://rpc.example","ocr2ProgramID":"11111111111111111111111111111112",` +
				`"storeProgramID":"11111111111111111111111111111114","transmissionsID":"11111111111111111111111111111113"}`,
			contract: "offchainreporting2/solana/devnet/So11111111111111111111111111111111111111112/", juels: true, gas: true,
		},
		"valid-product": {
			want: job.Spec{
				Type: job.TypeOCR2, Relay: "evm", ChainID: "1", ReadsContracts: true,
				ContractID: "0x00000000000000000000000000000000000000Aa", PluginType: "plugin",
				BlockchainTimeout: 20 * time.Second, ContractConfigTrackerPollInterval: time.Minute, ContractConfigConfirmations: 3,
				ObservationSource: "price [type=sum values=<[1,2]>]", TransmitterID: "0x00000000000000000000000000000000000000bB",
				KeyBundleID:   "node",
				Bootstrappers: settings().DefaultBootstrappers,
				Product: &job.Product{
					Name: "twap", OCRVersion: 3, ProviderType: "median",
					ConfigJSON: []byte(
						`{"OCRVersion":3,"pipelines":[{"name":"backup","spec":"other [type=bridge name=known]"}],"pluginName":"TWAP","window":60}`),
					Pipelines: []job.Pipeline{{Key: "observationSource"}, {Name: "backup", Key: "pluginConfig.pipelines[0].spec"}},
				},
			},
			relay:    `{"chainID":"1","effectiveTransmitterID":"0x00000000000000000000000000000000000000bb","sendingKeys":["0x00000000000000000000000000000000000000bb"]}`,
			contract: "offchainreporting2/evm/1/0x00000000000000000000000000000000000000AA/",
		},
		"valid-bootstrap": {
			want: job.Spec{
				Type: job.TypeBootstrap, Name: "introducer", Relay: "starknet", ChainID: "SN_MAIN", ContractID: "0x1",
				BlockchainTimeout: 20 * time.Second, ContractConfigTrackerPollInterval: time.Minute, ContractConfigConfirmations: 1,
			},
			relay: `{"chainID":"SN_MAIN"}`, contract: "bootstrap/starknet/SN_MAIN/0x1/",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile("testdata/" + name + ".toml")
			if err != nil {
				t.Fatal(err)
			}
			spec, report := job.Parse(t.Context(), data, settings())
			if spec == nil {
				t.Fatal(report.Err())
			}
			if diff := cmp.Diff(&test.want, spec, compare); diff != "" {
				t.Error(diff)
			}
			if spec.TOML != string(data) {
				t.Error("the text was changed")
			}
			if diff := cmp.Diff(test.relay, string(spec.RelayConfigJSON)); diff != "" {
				t.Error(diff)
			}
			if key := spec.ContractKey(); key != test.contract {
				t.Errorf("ContractKey is %q, want %q", key, test.contract)
			}
			if (spec.PluginConfig.JuelsPerFeeCoin != nil) != test.juels ||
				(spec.PluginConfig.GasPriceSubunits != nil) != test.gas {
				t.Error("a pipeline is there that should not be, or the other way round")
			}
			if (spec.Observation != nil) != (spec.Type == job.TypeOCR2) {
				t.Error("a job has a pipeline if and only if it is an OCR2 job")
			}
		})
	}
}

// A spec that is right but for one line, which each test replaces.
const frame = `type = "offchainreporting2"
schemaVersion = 1
pluginType = "median"
relay = "evm"
contractID = "0x00000000000000000000000000000000000000aa"
transmitterID = "0x00000000000000000000000000000000000000bb"
observationSource = "x [type=sum values=<[1]>]"
relayConfig.chainID = 1337
pluginConfig.juelsPerFeeCoinSource = "x [type=sum values=<[1]>]"
`

func TestBounds(t *testing.T) {
	t.Parallel()
	for key, values := range map[string]struct {
		stage     job.Stage
		good, bad []string
	}{
		"blockchainTimeout": {job.StageOCR2, []string{`"1s"`, `"20s"`, `"0s"`},
			[]string{`"999ms"`, `"20001ms"`, `"-1s"`, `"20"`, `20`, `""`}},
		"contractConfigTrackerPollInterval": {job.StageOCR2, []string{`"1s"`, `"2m"`, `"0s"`},
			[]string{`"999ms"`, `"121s"`, `true`}},
		"contractConfigConfirmations": {job.StageOCR2, []string{`1`, `100`, `0`, `1_0`},
			[]string{`101`, `-1`, `65536`, `"1"`, `1.0`}},
		"gasLimit":        {job.StageCommon, []string{`0`, `4294967295`}, []string{`4294967296`, `-1`, `"1"`}},
		"maxTaskDuration": {job.StageCommon, []string{`"0s"`, `"1m30s"`}, []string{`""`, `"-1s"`, `1`}},
		"name":            {job.StageCommon, []string{`"x"`, `5`, `''`}, []string{`1.5`, `true`, `["x"]`}},
		"feedID":          {job.StageOCR2, []string{`"0x` + strings.Repeat("0a", 32) + `"`}, []string{`"0x0a"`, `1`}},
		"p2pv2Bootstrappers": {job.StageOCR2, []string{`[]`, `["p@h:1"]`, `["p@h:1/h:65535"]`},
			[]string{`["p"]`, `["p@h"]`, `["p@h:1@"]`, `["@h:1"]`, `["p@h:0"]`, `["p@h:65536"]`, `"p@h:1"`}},
		"relayConfig.fromBlock": {job.StageStart, []string{`0`, `21_000_000`},
			[]string{`-1`, `"1"`}},
		"pluginConfig.juelsPerFeeCoinCache.updateInterval": {job.StageStart, []string{`"30s"`, `"20m"`, `"0s"`},
			[]string{`"29s"`, `"1201s"`, `5`}},
		"pluginConfig.juelsPerFeeCoinCache.stalenessAlertThreshold": {job.StageStart, []string{`"1h"`, `"0s"`},
			[]string{`"-1s"`, `5`}},
		"pluginConfig.gasPriceSubunitsSource": {job.StageStart, []string{`""`, `"x [type=sum values=<[1]>]"`},
			[]string{`"x"`, `1`}},
		"pluginConfig.deviationFunc": {job.StageStart,
			[]string{`{type = "pendle", expiresAt = 1}`, `{type = "pendle", expiresAt = 1.5, multiplier = "10"}`},
			[]string{`{}`, `{type = "pendle", expiresAt = nan}`, `{type = "pendle", expiresAt = 1893456000000}`,
				`{type = "pendle", expiresAt = 1, multiplier = "0"}`, `{type = "pendle", expiresAt = 1, multiplier = 2}`}},
	} {
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			for _, value := range values.good {
				if _, report := job.Parse(t.Context(), []byte(frame+key+" = "+value+"\n"), settings()); report.Err() != nil ||
					len(report.Warnings) > 0 {
					t.Errorf("%s = %s gives %v, %v", key, value, report.Err(), report.Warnings)
				}
			}
			for _, value := range values.bad {
				_, report := job.Parse(t.Context(), []byte(frame+key+" = "+value+"\n"), settings())
				if report.FailedAt() != values.stage || report.Problems[0].Line != strings.Count(frame, "\n")+1 {
					t.Errorf("%s = %s fails at %q: %v", key, value, report.FailedAt(), report.Err())
				}
			}
		})
	}
}

// The node's own values hold where the spec has none, and nothing is asked of a node that says nothing.
func TestSettings(t *testing.T) {
	t.Parallel()
	spec, report := job.Parse(t.Context(), []byte(frame), job.Settings{Relayers: relayers})
	if report.FailedAt() != job.StageStart || spec == nil || spec.BlockchainTimeout != 20*time.Second {
		t.Fatalf("report is %v", report.Err())
	}
	if diff := cmp.Diff([]string{"p2pv2Bootstrappers", "ocrKeyBundleID"},
		[]string{report.Problems[0].Key, report.Problems[1].Key}); diff != "" {
		t.Error(diff)
	}
	if _, report = job.Parse(t.Context(), []byte(frame+"allowNoBootstrappers = true\nocrKeyBundleID = \"x\""),
		job.Settings{Relayers: relayers}); report.Err() != nil {
		t.Error(report.Err())
	}
	if _, report = job.Parse(t.Context(), []byte("\xef\xbb\xbf"+frame), settings()); report.Err() != nil {
		t.Errorf("a spec with a byte order mark gives %v", report.Err())
	}
	s := settings()
	if spec, _ = job.Parse(t.Context(), []byte(frame), s); spec.KeyBundleID != "node" {
		t.Errorf("spec is %+v", spec)
	}
	if spec, _ = job.Parse(t.Context(), []byte(frame+"relayConfig.sendingkeys = []"),
		s); strings.Contains(string(spec.RelayConfigJSON), "sendingkeys") {
		t.Errorf("a relayer could read either spelling of sendingKeys: %s", spec.RelayConfigJSON)
	}
	if _, report = job.Parse(t.Context(), make([]byte, 1<<20+1), s); report.FailedAt() != job.StageCommon {
		t.Error("a huge spec was read")
	}
}

// Established nodes take addresses of evm without 0x too, and what the node and its relayers compare has it.
func TestAddressesGetTheirPrefix(t *testing.T) {
	t.Parallel()
	const digits = "613a38AC1659769640aaE063C651F48E0250454C"
	text := strings.NewReplacer("0x00000000000000000000000000000000000000aa", digits,
		"0x00000000000000000000000000000000000000bb", "0X"+digits).
		Replace(frame + "relayConfig.configContractAddress = 'DIGITS'\nrelayConfig.sendingkeys = ['DIGITS']\n")
	text = strings.ReplaceAll(text, "DIGITS", digits)
	spec, report := job.Parse(t.Context(), []byte(text), settings())
	if report.Err() != nil {
		t.Fatal(report.Err())
	}
	if diff := cmp.Diff([]string{"0x" + digits, "0x" + digits},
		[]string{spec.Validation.GetContractKey(), spec.Transmitter()}); diff != "" {
		t.Error(diff)
	}
	want := fmt.Sprintf(
		`{"chainID":"1337","configContractAddress":"0x%[1]s","effectiveTransmitterID":"0x%[1]s","sendingKeys":["0x%[1]s"]}`,
		digits)
	if diff := cmp.Diff(want, string(spec.RelayConfigJSON)); diff != "" {
		t.Error(diff)
	}
	if _, report := job.Parse(t.Context(), []byte(strings.Replace(text, digits, digits[1:], 1)),
		settings()); report.FailedAt() != job.StageStart {
		t.Errorf("39 digits give %v", report.Err())
	}
}

// What refuses a spec are the problems that an established node would name, all of one check and no other's.
func TestErrIsOfOneCheck(t *testing.T) {
	t.Parallel()
	ocr2 := strings.Replace(frame, `pluginConfig.juelsPerFeeCoinSource = "x [type=sum values=<[1]>]"`, "pluginConfig = {}",
		1)
	for name, test := range map[string]struct{ spec, want string }{
		"a forbidden key": {"isBootstrapPeer = true\n" + ocr2,
			"ocr2 check: line 1: isBootstrapPeer: unrecognised key for ocr2 peer: remove it"},
		"timing": {
			"blockchainTimeout = \"20001ms\"\ncontractConfigTrackerPollInterval = \"121s\"\ncontractConfigConfirmations = " +
				"101\n" + ocr2,
			"ocr2 check: line 1: blockchainTimeout: 20.001s is outside 1s–20s\n" +
				"ocr2 check: line 2: contractConfigTrackerPollInterval: 2m1s is outside 1s–2m0s\n" +
				"ocr2 check: line 3: contractConfigConfirmations: 101 is outside 1–100",
		},
		"before it": {"isBootstrapPeer = true\n" + strings.Replace(ocr2, "schemaVersion = 1", "schemaVersion = 2", 1),
			"common check: line 3: schemaVersion: invalid schema version 2; write schemaVersion = 1"},
		"after it": {ocr2,
			"start check: line 9: pluginConfig.juelsPerFeeCoinSource: invalid juelsPerFeeCoinSource pipeline: it is missing " +
				"or empty; a constant is written as zero [type=\"sum\" values=<[0]>]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, report := job.Parse(t.Context(), []byte(test.spec), settings())
			if diff := cmp.Diff(test.want, fmt.Sprint(report.Err())); diff != "" {
				t.Error(diff)
			}
			// The last check's findings are shown all the same.
			if last := report.Problems[len(report.Problems)-1]; last.Stage != job.StageStart {
				t.Errorf("the last problem is of the check %s", last.Stage)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*.toml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		spec, report := job.Parse(t.Context(), data, settings())
		lines := strings.Count(string(data), "\n") + 1
		for _, finding := range append(report.Problems, report.Warnings...) {
			if finding.Line < 0 || finding.Line > lines {
				t.Errorf("line %d of %d: %s", finding.Line, lines, finding)
			}
		}
		if spec == nil && report.Err() == nil {
			t.Error("neither a spec nor a problem")
		}
		if report.Err() == nil && !json.Valid(spec.RelayConfigJSON) {
			t.Errorf("relayConfig is %s", spec.RelayConfigJSON)
		}
	})
}

func TestSpecsThatAreTooLarge(t *testing.T) {
	t.Parallel()
	for size, want := range map[int]string{
		job.MaxSize:     "common check: type: the key is missing",
		job.MaxSize + 1: "common check: the spec has 65537 bytes, and at most 65536 are read; shorten it",
	} {
		_, report := job.Parse(t.Context(), []byte(strings.Repeat("#", size)), job.Settings{})
		if err := report.Err(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%d bytes: %v, want %s", size, err, want)
		}
	}
}
