package oracle

import (
	"math/big"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/smartcontractkit/libocr/commontypes"
	ocr "github.com/smartcontractkit/libocr/offchainreporting2plus"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/host/internal/config"
	"github.com/loop-plugins/loop/host/internal/job"
	"github.com/loop-plugins/loop/sdk/go/document"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

var drawDigest = rapid.Custom(func(t *rapid.T) types.ConfigDigest {
	return types.ConfigDigest(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "digest"))
})

// carried is a message as it arrives at the other side.
func carried[M proto.Message](t *rapid.T, m M) M {
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	arrived := m.ProtoReflect().New().Interface().(M)
	if err := proto.Unmarshal(b, arrived); err != nil {
		t.Fatal(err)
	}
	return arrived
}

func TestTimestampRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := types.ReportTimestamp{ConfigDigest: drawDigest.Draw(t, "config digest"), Epoch: rapid.Uint32().Draw(t, "epoch"), Round: rapid.Uint8().Draw(t, "round")}
		m := carried(t, timestampTo(want))
		if v := wire.Check(m); v != nil {
			t.Fatal(v)
		}
		got, err := timestampOf(m)
		if err != nil || got != want {
			t.Errorf("got %v, error %v; want %v", got, err, want)
		}
		context := types.ReportContext{ReportTimestamp: want, ExtraHash: drawDigest.Draw(t, "extra hash")}
		c := carried(t, reportContextTo(context))
		if v := wire.Check(c); v != nil || [32]byte(c.GetExtraHash()) != context.ExtraHash {
			t.Errorf("context %v, violation %v", c, v)
		}
	})
	for name, m := range map[string]*reportingv1.ReportTimestamp{
		"no digest":      {},
		"a short digest": {ConfigDigest: make([]byte, 31)},
		"a round":        {ConfigDigest: make([]byte, 32), Round: 256},
	} {
		if _, err := timestampOf(m); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestContractConfigRoundTrip(t *testing.T) {
	t.Parallel()
	blob := rapid.SliceOfN(rapid.Byte(), 0, 40)
	rapid.Check(t, func(t *rapid.T) {
		want := types.ContractConfig{
			ConfigDigest: drawDigest.Draw(t, "config digest"), ConfigCount: rapid.Uint64().Draw(t, "count"), F: uint8(rapid.IntRange(0, 254).Draw(t, "f")),
			OnchainConfig: blob.Draw(t, "on-chain"), OffchainConfigVersion: rapid.Uint64().Draw(t, "version"), OffchainConfig: blob.Draw(t, "off-chain"),
		}
		for range rapid.IntRange(0, types.MaxOracles).Draw(t, "n") {
			want.Signers = append(want.Signers, blob.Draw(t, "signer"))
			want.Transmitters = append(want.Transmitters, types.Account(rapid.String().Draw(t, "transmitter")))
		}
		m := carried(t, configTo(want))
		if v := wire.Check(m); v != nil {
			t.Fatal(v)
		}
		got, err := configOf(m)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("config (-want +got):\n%s", d)
		}
	})
	for name, m := range map[string]*relayerv1.ContractConfig{
		"nothing":        nil,
		"a short digest": {ConfigDigest: make([]byte, 31)},
		"f":              {ConfigDigest: make([]byte, 32), F: 256},
	} {
		if _, err := configOf(m); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestPluginConfigAndInfo(t *testing.T) {
	t.Parallel()
	duration := rapid.Map(rapid.Int64Range(0, int64(time.Hour)), func(n int64) time.Duration { return time.Duration(n) })
	rapid.Check(t, func(t *rapid.T) {
		c := types.ReportingPluginConfig{
			ConfigDigest: drawDigest.Draw(t, "config digest"), OracleID: commontypes.OracleID(rapid.IntRange(0, 254).Draw(t, "oracle")), N: rapid.IntRange(1, 255).Draw(t, "n"), F: rapid.IntRange(0, 254).Draw(t, "f"),
			OnchainConfig: []byte{1}, OffchainConfig: []byte{2}, EstimatedRoundInterval: duration.Draw(t, "interval"), MaxDurationQuery: duration.Draw(t, "query"),
			MaxDurationObservation: duration.Draw(t, "observation"), MaxDurationReport: duration.Draw(t, "report"),
			MaxDurationShouldAcceptFinalizedReport: duration.Draw(t, "accept"), MaxDurationShouldTransmitAcceptedReport: duration.Draw(t, "transmit"),
		}
		r := pluginConfigTo(c)
		r.Name = "x"
		r = carried(t, r)
		if v := wire.Check(r); v != nil {
			t.Fatal(v)
		}
		got := types.ReportingPluginConfig{
			ConfigDigest: types.ConfigDigest(r.GetConfigDigest()), OracleID: commontypes.OracleID(r.GetOracleId()), N: int(r.GetN()), F: int(r.GetF()),
			OnchainConfig: r.GetOnchainConfig(), OffchainConfig: r.GetOffchainConfig(), EstimatedRoundInterval: r.GetEstimatedRoundInterval().AsDuration(),
			MaxDurationQuery: r.GetMaxDurationQuery().AsDuration(), MaxDurationObservation: r.GetMaxDurationObservation().AsDuration(), MaxDurationReport: r.GetMaxDurationReport().AsDuration(),
			MaxDurationShouldAcceptFinalizedReport:  r.GetMaxDurationShouldAcceptFinalizedReport().AsDuration(),
			MaxDurationShouldTransmitAcceptedReport: r.GetMaxDurationShouldTransmitAcceptedReport().AsDuration(),
		}
		if d := cmp.Diff(c, got); d != "" {
			t.Errorf("config (-want +got):\n%s", d)
		}
	})
	got := infoOf(&reportingv1.CreateReportingPluginResponse{Product: "p", UniqueReports: true, Limits: &reportingv1.ReportingPluginLimits{MaxQueryLength: 1, MaxObservationLength: 2, MaxReportLength: 1<<32 - 1}})
	want := types.ReportingPluginInfo{Name: "p", UniqueReports: true, Limits: types.ReportingPluginLimits{MaxQueryLength: 1, MaxObservationLength: 2, MaxReportLength: 1<<32 - 1}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("info (-want +got):\n%s", d)
	}
}

func TestAttributionsKeepTheirOrder(t *testing.T) {
	t.Parallel()
	signatures := signaturesTo([]types.AttributedOnchainSignature{{Signature: []byte{1}, Signer: 30}, {Signature: []byte{2}, Signer: 0}})
	observations := observationsTo([]types.AttributedObservation{{Observation: []byte{1}, Observer: 30}, {Observation: []byte{2}, Observer: 0}})
	for i, want := range []uint32{30, 0} {
		if signatures[i].GetSigner() != want || signatures[i].GetSignature()[0] != byte(i+1) || observations[i].GetObserver() != want || observations[i].GetObservation()[0] != byte(i+1) {
			t.Errorf("element %d: %v, %v", i, signatures[i], observations[i])
		}
	}
}

func TestDeviationFunction(t *testing.T) {
	t.Parallel()
	if deviationTo(nil) != nil {
		t.Error("a job without one has one")
	}
	expires := time.Unix(1893456000, 0).UTC()
	got := deviationTo(&job.DeviationFunc{Type: "pendle", ExpiresAt: expires, Multiplier: big.NewInt(5)})
	if got.GetType() != "pendle" || !got.GetExpiresAt().AsTime().Equal(expires) || wire.Int(got.GetMultiplier()).Int64() != 5 {
		t.Errorf("got %v", got)
	}
}

func TestAccountIsInTheFormOfTheContractsConfiguration(t *testing.T) {
	t.Parallel()
	const checksummed, forwarder = "0x5FbDB2315678afecb367f032d93F642f64180aa3", "0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512"
	for name, c := range map[string]struct {
		relay, transmitter, config string
		want                       types.Account
	}{
		"evm in lower case":                {"evm", "0x5fbdb2315678afecb367f032d93f642f64180aa3", "", checksummed},
		"evm in upper case":                {"evm", "0x5FBDB2315678AFECB367F032D93F642F64180AA3", "{}", checksummed},
		"evm through a forwarder":          {"evm", checksummed, `{"effectiveTransmitterID": "0xe7f1725e7734ce288f8367e1bb143e90bb3f0512"}`, forwarder},
		"evm, not an address":              {"evm", "5fbd", "", ""},
		"solana":                           {"solana", "7aLzRTQdJjYVbEVT2zu4gV2oZDEZ4NPDMpWGtGK3bhDi", "{}", "7aLzRTQdJjYVbEVT2zu4gV2oZDEZ4NPDMpWGtGK3bhDi"},
		"solana without one":               {"solana", "", "{}", ""},
		"starknet's account, not its key":  {"starknet", "0x1234", `{"accountAddress": "0x00AbC"}`, "0xabc"},
		"starknet without an account":      {"starknet", "", "{}", ""},
		"a relayConfig that does not read": {"evm", checksummed, "{", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := accountOf(&job.Spec{Relay: c.relay, TransmitterID: c.transmitter, RelayConfigJSON: []byte(c.config)})
			if got != c.want || (err == nil) != (c.want != "") {
				t.Errorf("account %q, error %v; want %q", got, err, c.want)
			}
		})
	}
}

func TestLocalConfigIsOneThatLibocrTakes(t *testing.T) {
	t.Parallel()
	node := config.Default()
	node.OCR2.BlockchainTimeout = document.Lasting(11 * time.Second)
	node.OCR2.ContractConfigLoadTimeout = document.Lasting(12 * time.Second)
	node.OCR2.DefaultMaxDurationInitialization = document.Lasting(13 * time.Second)
	node.OCR2.DatabaseTimeout = document.Lasting(9 * time.Second)
	node.OCR2.ContractTransmitterTransmitTimeout = document.Lasting(14 * time.Second)
	node.Environment.MinOCR2MaxDurationQuery = 150 * time.Millisecond
	for name, c := range map[string]struct {
		node *config.Config
		spec job.Spec
		want types.LocalConfig
	}{
		"the node's": {node, job.Spec{}, types.LocalConfig{
			BlockchainTimeout: 11 * time.Second, ContractConfigConfirmations: 3, ContractConfigTrackerPollInterval: time.Minute, ContractConfigLoadTimeout: 12 * time.Second,
			ContractTransmitterTransmitTimeout: 14 * time.Second, DatabaseTimeout: 9 * time.Second, DefaultMaxDurationInitialization: 13 * time.Second, MinOCR2MaxDurationQuery: 150 * time.Millisecond,
		}},
		"the job's three": {node, job.Spec{BlockchainTimeout: 2 * time.Second, ContractConfigTrackerPollInterval: 3 * time.Second, ContractConfigConfirmations: 7}, types.LocalConfig{
			BlockchainTimeout: 2 * time.Second, ContractConfigConfirmations: 7, ContractConfigTrackerPollInterval: 3 * time.Second, ContractConfigLoadTimeout: 12 * time.Second,
			ContractTransmitterTransmitTimeout: 14 * time.Second, DatabaseTimeout: 9 * time.Second, DefaultMaxDurationInitialization: 13 * time.Second, MinOCR2MaxDurationQuery: 150 * time.Millisecond,
		}},
		"nobody's": {&config.Config{}, job.Spec{}, types.LocalConfig{
			BlockchainTimeout: 20 * time.Second, ContractConfigConfirmations: 3, ContractConfigTrackerPollInterval: time.Minute, ContractConfigLoadTimeout: 10 * time.Second,
			ContractTransmitterTransmitTimeout: 10 * time.Second, DatabaseTimeout: 10 * time.Second, DefaultMaxDurationInitialization: 30 * time.Second, MinOCR2MaxDurationQuery: 0,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := localConfigTo(c.node, &c.spec)
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("local config (-want +got):\n%s", d)
			}
			if err := ocr.SanityCheckLocalConfig(got); err != nil {
				t.Error(err)
			}
		})
	}
}
