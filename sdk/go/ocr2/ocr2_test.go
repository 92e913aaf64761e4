package ocr2

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/smartcontractkit/libocr/commontypes"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
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
		want := types.ReportTimestamp{ConfigDigest: drawDigest.Draw(t, "config digest"),
			Epoch: rapid.Uint32().Draw(t, "epoch"), Round: rapid.Uint8().Draw(t, "round")}
		m := carried(t, TimestampTo(want))
		if v := wire.Check(m); v != nil {
			t.Fatal(v)
		}
		got, err := TimestampOf(m)
		if err != nil || got != want {
			t.Errorf("got %v, error %v; want %v", got, err, want)
		}
		context := types.ReportContext{ReportTimestamp: want, ExtraHash: drawDigest.Draw(t, "extra hash")}
		c := carried(t, ReportContextTo(context))
		if v := wire.Check(c); v != nil || [32]byte(c.GetExtraHash()) != context.ExtraHash {
			t.Errorf("context %v, violation %v", c, v)
		}
	})
	for name, m := range map[string]*reportingv1.ReportTimestamp{
		"no digest":      {},
		"a short digest": {ConfigDigest: make([]byte, 31)},
		"a round":        {ConfigDigest: make([]byte, 32), Round: 256},
	} {
		if _, err := TimestampOf(m); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestContractConfigRoundTrip(t *testing.T) {
	t.Parallel()
	blob := rapid.SliceOfN(rapid.Byte(), 0, 40)
	rapid.Check(t, func(t *rapid.T) {
		want := types.ContractConfig{
			ConfigDigest: drawDigest.Draw(t, "config digest"), ConfigCount: rapid.Uint64().Draw(t, "count"),
			F:             uint8(rapid.IntRange(0, 254).Draw(t, "f")),
			OnchainConfig: blob.Draw(t, "on-chain"), OffchainConfigVersion: rapid.Uint64().Draw(t, "version"),
			OffchainConfig: blob.Draw(t, "off-chain"),
		}
		for range rapid.IntRange(0, types.MaxOracles).Draw(t, "n") {
			want.Signers = append(want.Signers, blob.Draw(t, "signer"))
			want.Transmitters = append(want.Transmitters, types.Account(rapid.String().Draw(t, "transmitter")))
		}
		m := carried(t, ContractConfigTo(want))
		if v := wire.Check(m); v != nil {
			t.Fatal(v)
		}
		got, err := ContractConfigOf(m)
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
		if _, err := ContractConfigOf(m); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestPluginConfigAndInfo(t *testing.T) {
	t.Parallel()
	duration := rapid.Map(rapid.Int64Range(0, int64(time.Hour)), func(n int64) time.Duration { return time.Duration(n) })
	rapid.Check(t, func(t *rapid.T) {
		c := types.ReportingPluginConfig{
			ConfigDigest: drawDigest.Draw(t, "config digest"),
			OracleID:     commontypes.OracleID(rapid.IntRange(0, 254).Draw(t, "oracle")), N: rapid.IntRange(1, 255).Draw(t, "n"),
			F:             rapid.IntRange(0, 254).Draw(t, "f"),
			OnchainConfig: []byte{1}, OffchainConfig: []byte{2}, EstimatedRoundInterval: duration.Draw(t, "interval"),
			MaxDurationQuery:       duration.Draw(t, "query"),
			MaxDurationObservation: duration.Draw(t, "observation"), MaxDurationReport: duration.Draw(t, "report"),
			MaxDurationShouldAcceptFinalizedReport:  duration.Draw(t, "accept"),
			MaxDurationShouldTransmitAcceptedReport: duration.Draw(t, "transmit"),
		}
		r := PluginConfigTo(c)
		r.Name = "x"
		r = carried(t, r)
		if v := wire.Check(r); v != nil {
			t.Fatal(v)
		}
		got, err := PluginConfigOf(r)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(c, got); d != "" {
			t.Errorf("config (-want +got):\n%s", d)
		}
	})
	for name, r := range map[string]*reportingv1.CreateReportingPluginRequest{
		"nothing":        nil,
		"a short digest": {ConfigDigest: make([]byte, 31)},
		"an oracle":      {ConfigDigest: make([]byte, 32), OracleId: 256},
	} {
		if _, err := PluginConfigOf(r); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	info := types.ReportingPluginInfo{Name: "p", UniqueReports: true, Limits: types.ReportingPluginLimits{
		MaxQueryLength: 1, MaxObservationLength: 2, MaxReportLength: 1<<32 - 1,
	}}
	r, err := PluginInfoTo(info)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(info, PluginInfoOf(r)); d != "" {
		t.Errorf("info (-want +got):\n%s", d)
	}
	for _, limit := range []int{-1, 1 << 32} {
		info.Limits.MaxObservationLength = limit
		if _, err := PluginInfoTo(info); err == nil ||
			!strings.Contains(err.Error(), "MaxObservationLength of "+strconv.Itoa(limit)) {
			t.Errorf("a limit of %d: %v", limit, err)
		}
	}
}

func TestAttributionsKeepTheirOrder(t *testing.T) {
	t.Parallel()
	signatures := SignaturesTo([]types.AttributedOnchainSignature{{Signature: []byte{1}, Signer: 30},
		{Signature: []byte{2}, Signer: 0}})
	given := []types.AttributedObservation{{Observation: []byte{1}, Observer: 30}, {Observation: []byte{2}, Observer: 0}}
	for i, want := range []uint32{30, 0} {
		if signatures[i].GetSigner() != want || signatures[i].GetSignature()[0] != byte(i+1) {
			t.Errorf("signature %d: %v", i, signatures[i])
		}
	}
	observations, err := ObservationsOf(ObservationsTo(given))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(given, observations); d != "" {
		t.Errorf("observations (-want +got):\n%s", d)
	}
	_, err = ObservationsOf([]*reportingv1.AttributedObservation{{Observer: 255}, {Observer: 256}})
	if want := "observations[1].observer is 256; the largest value is 255"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
