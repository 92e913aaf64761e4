package median_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/smartcontractkit/libocr/commontypes"
	libocr "github.com/smartcontractkit/libocr/offchainreporting2/reportingplugin/median"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"
	"google.golang.org/protobuf/proto"

	"github.com/loop-plugins/loop/sdk/go/loop/looptest/vector"
)

var update = flag.Bool("update", false, "write the vectors of the conformance suite anew")

// vectorFile is where the conformance suite embeds the known answers. It must not link libocr, so they are computed
// here.
var vectorFile = filepath.Join("..", "..", "sdk", "go", "loop", "looptest", "vector", "median.json")

// The committed vectors are what libocr answers.
func TestVectorsAreLibocrs(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", " ")
	vectors := questions(t)
	for i := range vectors {
		answer(t, &vectors[i])
	}
	if err := e.Encode(vectors); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(vectorFile, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	committed, err := os.ReadFile(vectorFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(committed), b.String()); diff != "" {
		t.Errorf("the vectors are not what libocr answers; if its answers changed on purpose, run this test with -update "+
			"(-committed +libocr):\n%s", diff)
	}
}

// answer fills in what libocr's own instance answers to a vector's steps.
func answer(t *testing.T, v *vector.Vector) {
	t.Helper()
	w := newFakeWorld()
	show(t, w, v.Contract)
	w.value, w.juels, w.gas = constantOf(t, v.Sources.Value), constantOf(t, v.Sources.Juels), constantOf(t, v.Sources.Gas)
	var world interface {
		libocr.MedianContract
		libocr.OnchainConfigCodec
		libocr.ReportCodec
	} = w
	if n := v.Contract.MaxReportLength; n > 0 {
		world = bounded{w, int(n)}
	}
	instance, _, err := libocr.NumericalMedianFactory{
		ContractTransmitter: world, DataSource: w.value, JuelsPerFeeCoinDataSource: w.juels,
		GasPriceSubunitsDataSource:           w.gas,
		IncludeGasPriceSubunitsInObservation: v.Config.IncludeGas, Logger: discard{}, OnchainConfigCodec: world,
		ReportCodec: world,
	}.NewReportingPlugin(t.Context(), types.ReportingPluginConfig{
		ConfigDigest: digest(1), OracleID: commontypes.OracleID(v.Config.OracleID), N: int(v.Config.N), F: int(v.Config.F),
		OnchainConfig: v.Config.Onchain, OffchainConfig: v.Config.Offchain,
	})
	if err != nil {
		t.Fatalf("%s: %v", v.Name, err)
	}
	for i := range v.Steps {
		s := &v.Steps[i]
		if s.Contract != nil {
			show(t, w, *s.Contract)
		}
		at := types.ReportTimestamp{ConfigDigest: digest(1), Epoch: s.Epoch, Round: uint8(s.Round)}
		var err error
		switch s.Call {
		case "query":
			var q types.Query
			q, err = instance.Query(t.Context(), at)
			s.Want.Bytes = vector.Hex(q)
		case "observation":
			var o types.Observation
			if o, err = instance.Observation(t.Context(), at, types.Query(s.Query)); err == nil {
				s.Want.Bytes = withoutTime(t, o)
			}
		case "report":
			var all []types.AttributedObservation
			for _, o := range s.Observations {
				all = append(all,
					types.AttributedObservation{Observation: types.Observation(o.Observation),
						Observer: commontypes.OracleID(o.Observer)})
			}
			var r types.Report
			s.Want.Yes, r, err = instance.Report(t.Context(), at, types.Query(s.Query), all)
			s.Want.Bytes = vector.Hex(r)
		case "accept":
			s.Want.Yes, err = instance.ShouldAcceptFinalizedReport(t.Context(), at, types.Report(s.Report))
		case "transmit":
			s.Want.Yes, err = instance.ShouldTransmitAcceptedReport(t.Context(), at, types.Report(s.Report))
		default:
			t.Fatalf("%s: no call %s", v.Name, s.Call)
		}
		if err != nil {
			s.Want = vector.Answer{Error: true}
		}
	}
}

// bounded is a world whose reports have another bound.
type bounded struct {
	*fakeWorld
	longest int
}

func (b bounded) MaxReportLength(context.Context, int) (int, error) { return b.longest, nil }

func show(t *testing.T, w *fakeWorld, c vector.Contract) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.details = transmission{ReportTimestamp: types.ReportTimestamp{ConfigDigest: digest(c.Digest), Epoch: c.Epoch,
		Round: uint8(c.Round)},
		answer: integer(t, c.Answer), at: time.Now().Add(-time.Duration(c.AgeSeconds) * time.Second)}
	w.requested, w.requestedAgo = types.ReportTimestamp{}, 0
	if r := c.Requested; r != nil {
		w.requested = types.ReportTimestamp{ConfigDigest: digest(r.Digest), Epoch: r.Epoch, Round: uint8(r.Round)}
		w.requestedAgo = time.Duration(r.AgeSeconds) * time.Second
	}
}

func integer(t *testing.T, text string) *big.Int {
	t.Helper()
	i, ok := new(big.Int).SetString(text, 10)
	if !ok {
		t.Fatalf("%q is not an integer", text)
	}
	return i
}

func constantOf(t *testing.T, text string) source {
	t.Helper()
	i := integer(t, text)
	return func(context.Context, types.ReportTimestamp) (*big.Int, error) { return i, nil }
}

func withoutTime(t *testing.T, o types.Observation) vector.Hex {
	t.Helper()
	var m libocr.NumericalMedianObservationProto
	if err := proto.Unmarshal(o, &m); err != nil {
		t.Fatal(err)
	}
	m.Timestamp = 0
	return must(proto.MarshalOptions{Deterministic: true}.Marshal(&m))
}

// ---- The questions ----

const (
	least = "-3138550867693340381917894711603833208051177722232017256448" // -2^191
	most  = "3138550867693340381917894711603833208051177722232017256447"  // 2^191-1
)

// observed is an observation of a value at second at.
func observed(t *testing.T, observer uint32, at uint32, value string, gas ...string) vector.Observation {
	t.Helper()
	o := &libocr.NumericalMedianObservationProto{Timestamp: at, Value: must(libocr.EncodeValue(integer(t, value))),
		JuelsPerFeeCoin: must(libocr.EncodeValue(big.NewInt(int64(1000 + observer))))}
	if len(gas) > 0 {
		o.GasPriceSubunits = must(libocr.EncodeValue(integer(t, gas[0])))
	}
	return vector.Observation{Observer: observer, Observation: must(proto.MarshalOptions{Deterministic: true}.Marshal(o))}
}

// all are observations of oracles 0, 1, 2 and so on.
func all(t *testing.T, values ...string) []vector.Observation {
	t.Helper()
	var out []vector.Observation
	for i, v := range values {
		out = append(out, observed(t, uint32(i), 1_700_000_000+uint32(i), v))
	}
	return out
}

// finalized is a report of one value in the vectors' codec.
func finalized(t *testing.T, value string) vector.Hex {
	t.Helper()
	return vector.Hex(must(newFakeWorld().BuildReport(t.Context(), []libocr.ParsedAttributedObservation{
		{Timestamp: 1_700_000_000, Value: integer(t, value), JuelsPerFeeCoin: big.NewInt(7),
			GasPriceSubunits: new(big.Int)}})))
}

// questions are the vectors without answers.
func questions(t *testing.T) []vector.Vector {
	t.Helper()
	onchain := func(lowest, highest string) vector.Hex {
		return must(libocr.StandardOnchainConfigCodec{}.Encode(t.Context(),
			libocr.OnchainConfig{Min: integer(t, lowest), Max: integer(t, highest)}))
	}
	const hour = 3600
	config := func(c libocr.OffchainConfig) vector.Config {
		if c.DeltaC == 0 {
			c.DeltaC = 2 * time.Hour
		}
		return vector.Config{N: 4, F: 1, OracleID: 2, Onchain: onchain("-1000000", "1000000"), Offchain: c.Encode()}
	}
	// A contract that had its last answer, 1000, an hour ago in epoch 3, round 2.
	settled := vector.Contract{Digest: 1, Epoch: 3, Round: 2, Answer: "1000", AgeSeconds: hour}
	with := func(change func(*vector.Contract)) vector.Contract { c := settled; change(&c); return c }
	sources := vector.Sources{Value: "100", Juels: "7", Gas: "3"}
	report := func(o []vector.Observation) []vector.Step {
		return []vector.Step{{Call: "report", Epoch: 4, Round: 1, Observations: o}}
	}
	onePercent := libocr.OffchainConfig{AlphaReportPPB: 10_000_000}
	never := libocr.OffchainConfig{AlphaReportInfinite: true, AlphaAcceptInfinite: true}

	vectors := []vector.Vector{
		{Name: "observation/plain",
			About:  "an observation is value and juels per fee coin in 24 bytes each, and no gas price",
			Config: config(onePercent), Contract: settled,
			Steps: []vector.Step{{Call: "query", Epoch: 1, Round: 1}, {Call: "observation", Epoch: 1, Round: 1}}},
		{Name: "observation/extremes", About: "the least and the largest value of 192 bits are observed",
			Config: config(onePercent), Contract: settled,
			Sources: vector.Sources{Value: least, Juels: most, Gas: "0"},
			Steps:   []vector.Step{{Call: "observation", Epoch: 1, Round: 1}}},
		{Name: "observation/zero", About: "zero is observed in 24 bytes", Config: config(onePercent), Contract: settled,
			Sources: vector.Sources{Value: "0", Juels: "0", Gas: "0"},
			Steps:   []vector.Step{{Call: "observation", Epoch: 1, Round: 1}}},
		{Name: "observation/query", About: "a query that is not empty is refused", Config: config(onePercent),
			Contract: settled,
			Steps:    []vector.Step{{Call: "observation", Epoch: 1, Round: 1, Query: vector.Hex{1}}}},
		{Name: "report/query", About: "a query that is not empty is refused", Config: config(onePercent), Contract: settled,
			Steps: []vector.Step{{Call: "report", Epoch: 4, Round: 1, Query: vector.Hex{1},
				Observations: all(t, "1", "2", "3")}}},
		{Name: "report/none", About: "a report of no observations is refused", Config: config(onePercent), Contract: settled,
			Steps: report(nil)},
		{Name: "report/f", About: "a report of f observations is refused", Config: config(onePercent), Contract: settled,
			Steps: report(all(t, "2000"))},
		{Name: "report/f-plus-1", About: "f+1 observations are enough, and the larger of two is the median",
			Config: config(onePercent), Contract: settled, Steps: report(all(t, "900", "1000"))},
		{Name: "report/2f-plus-1", About: "of 2f+1 observations the one in the middle decides", Config: config(onePercent),
			Contract: settled, Steps: report(all(t, "5000", "1000", "-5000"))},
		{Name: "report/3f-plus-1", About: "of 3f+1 observations the one of rank n/2 decides", Config: config(onePercent),
			Contract: settled, Steps: report(all(t, "1000", "1000", "1020", "990"))},
		{Name: "report/order", About: "observations reach the codec whatever their order", Config: config(onePercent),
			Contract: settled, Steps: report(
				[]vector.Observation{observed(t, 3, 1_700_000_009, "1500"), observed(t, 1, 1_700_000_001, "-20"),
					observed(t, 0, 1_700_000_004, "2500")})},
		{Name: "report/gas", About: "the gas price reaches the codec where an oracle observed it, and zero where not",
			Config: config(onePercent), Contract: settled, Steps: report(
				[]vector.Observation{observed(t, 0, 1_700_000_000, "2000", "33"), observed(t, 1, 1_700_000_001, "2001"),
					observed(t, 2, 1_700_000_002, "2002", "-1")})},
		{Name: "report/faulty-left-out", About: "observations that do not decode are left out", Config: config(onePercent),
			Contract: settled, Steps: report(
				[]vector.Observation{{Observer: 0, Observation: vector.Hex{0xff}}, observed(t, 1, 1_700_000_000, "2000"),
					observed(t, 2, 1_700_000_000, "2001"), {Observer: 3}})},
		{Name: "report/faulty-short", About: "an observation whose value has 23 bytes is left out",
			Config: config(onePercent), Contract: settled, Steps: report(
				[]vector.Observation{{Observer: 0, Observation: append(vector.Hex{0x12, 23}, make([]byte, 23)...)},
					observed(t, 1, 1_700_000_000, "2000"), observed(t, 2, 1_700_000_000, "2001")})},
		{Name: "report/too-many-faulty", About: "when f or fewer decode, the report is refused", Config: config(onePercent),
			Contract: settled, Steps: report(
				[]vector.Observation{{Observer: 0, Observation: vector.Hex{0xff}}, observed(t, 1, 1_700_000_000, "2000"),
					{Observer: 2, Observation: vector.Hex{0x12}}})},
		{Name: "report/deviation-below", About: "a deviation just below alpha is not reported",
			Config: config(libocr.OffchainConfig{AlphaReportPPB: 10_000_001}), Contract: settled,
			Steps: report(all(t, "1010", "1010", "1010"))},
		{Name: "report/deviation-at", About: "a deviation of alpha is reported", Config: config(onePercent),
			Contract: settled, Steps: report(all(t, "1010", "1010", "1010"))},
		{Name: "report/deviation-down", About: "a deviation downwards counts the same", Config: config(onePercent),
			Contract: settled, Steps: report(all(t, "990", "990", "990"))},
		{Name: "report/deviation-negative", About: "a deviation from a negative answer counts by its size",
			Config: config(onePercent), Contract: with(func(c *vector.Contract) { c.Answer = "-1000" }),
			Steps: report(all(t, "-1010", "-1010", "-1010"))},
		{Name: "report/deviation-from-zero", About: "from zero, everything deviates",
			Config:   config(libocr.OffchainConfig{AlphaReportPPB: 1 << 63}),
			Contract: with(func(c *vector.Contract) { c.Answer = "0" }), Steps: report(all(t, "1", "1", "1"))},
		{Name: "report/deviation-zero-to-zero", About: "from zero to zero, nothing does",
			Config: config(libocr.OffchainConfig{}), Contract: with(func(c *vector.Contract) { c.Answer = "0" }),
			Steps: report(all(t, "0", "0", "0"))},
		{Name: "report/alpha-zero", About: "with an alpha of zero every round is reported",
			Config: config(libocr.OffchainConfig{}), Contract: settled, Steps: report(all(t, "1000", "1000", "1000"))},
		{Name: "report/alpha-infinite", About: "with an infinite alpha no deviation is reported", Config: config(never),
			Contract: settled, Steps: report(all(t, "9000", "9000", "9000"))},
		{Name: "report/delta-c-young", About: "an answer younger than DeltaC is not repeated",
			Config: config(libocr.OffchainConfig{AlphaReportInfinite: true, DeltaC: 2 * time.Hour}), Contract: settled,
			Steps: report(all(t, "1000", "1000", "1000"))},
		{Name: "report/delta-c-old", About: "an answer older than DeltaC is repeated",
			Config: config(libocr.OffchainConfig{AlphaReportInfinite: true, DeltaC: 30 * time.Minute}), Contract: settled,
			Steps: report(all(t, "1000", "1000", "1000"))},
		{Name: "report/first", About: "the first report of a configuration needs no deviation", Config: config(never),
			Contract: with(func(c *vector.Contract) { c.Epoch, c.Round = 0, 0 }), Steps: report(all(t, "1000", "1000", "1000"))},
		{Name: "report/first-of-another", About: "the first report of another configuration is no reason to report",
			Config: config(never), Contract: with(func(c *vector.Contract) { c.Digest, c.Epoch, c.Round = 2, 0, 0 }),
			Steps: report(all(t, "1000", "1000", "1000"))},
		{Name: "report/requested", About: "a round that was asked for is reported", Config: config(never),
			Contract: with(func(c *vector.Contract) {
				c.Requested = &vector.Requested{Digest: 1, Epoch: 3, Round: 2, AgeSeconds: 60}
			}), Steps: report(all(t, "1000", "1000", "1000"))},
		{Name: "report/requested-before", About: "a round that was asked for, and answered since, is not reported",
			Config: config(never), Contract: with(func(c *vector.Contract) {
				c.Requested = &vector.Requested{Digest: 1, Epoch: 3, Round: 1, AgeSeconds: 60}
			}), Steps: report(all(t, "1000", "1000", "1000"))},
		{Name: "report/requested-of-another", About: "a round that was asked for under another configuration is not reported",
			Config: config(never), Contract: with(func(c *vector.Contract) {
				c.Requested = &vector.Requested{Digest: 2, Epoch: 9, Round: 9, AgeSeconds: 60}
			}), Steps: report(all(t, "1000", "1000", "1000"))},
		{Name: "report/requested-long-ago", About: "a round that was asked for longer ago than DeltaC is not reported",
			Config: config(never), Contract: with(func(c *vector.Contract) {
				c.Requested = &vector.Requested{Digest: 1, Epoch: 9, Round: 9, AgeSeconds: 3 * hour}
			}), Steps: report(all(t, "1000", "1000", "1000"))},
		{Name: "report/above-max", About: "a median above the on-chain maximum is not reported", Config: config(onePercent),
			Contract: settled, Steps: report(all(t, "1000001", "1000001", "0"))},
		{Name: "report/below-min", About: "a median below the on-chain minimum is not reported", Config: config(onePercent),
			Contract: settled, Steps: report(all(t, "-1000001", "-1000001", "0"))},
		{Name: "report/at-max", About: "a median at the on-chain maximum is reported", Config: config(onePercent),
			Contract: settled, Steps: report(all(t, "1000000", "1000000", "0"))},
		{Name: "report/too-long", About: "a report beyond the codec's bound is refused", Config: config(onePercent),
			Contract: with(func(c *vector.Contract) { c.MaxReportLength = 3*entryLength - 1 }),
			Steps:    report(all(t, "2000", "2000", "2000"))},
		{Name: "accept/repeat", About: "a report is accepted once, and an older one not at all", Config: config(onePercent),
			Contract: settled, Steps: []vector.Step{
				{Call: "accept", Epoch: 4, Round: 2, Report: finalized(t, "2000")},
				{Call: "accept", Epoch: 4, Round: 2, Report: finalized(t, "2000")},
				{Call: "accept", Epoch: 4, Round: 1, Report: finalized(t, "5000")},
				{Call: "accept", Epoch: 3, Round: 9, Report: finalized(t, "5000")}}},
		{Name: "accept/stale", About: "a report is not accepted if the contract has a newer one", Config: config(onePercent),
			Contract: settled, Steps: []vector.Step{
				{Call: "accept", Epoch: 3, Round: 2, Report: finalized(t, "2000")},
				{Call: "accept", Epoch: 2, Round: 200, Report: finalized(t, "2000")},
				{Call: "accept", Epoch: 3, Round: 3, Report: finalized(t, "2000")}}},
		{Name: "accept/other-config", About: "a report is not accepted while the contract has another configuration",
			Config: config(onePercent), Contract: with(func(c *vector.Contract) { c.Digest = 2 }), Steps: []vector.Step{
				{Call: "accept", Epoch: 4, Round: 1, Report: finalized(t, "2000")}}},
		{Name: "accept/alpha", About: "while a report is pending, a newer one must deviate from it by alpha",
			Config: config(libocr.OffchainConfig{AlphaAcceptPPB: 100_000_000}), Contract: settled, Steps: []vector.Step{
				{Call: "accept", Epoch: 4, Round: 1, Report: finalized(t, "1000")},
				{Call: "accept", Epoch: 4, Round: 2, Report: finalized(t, "1099")},
				{Call: "accept", Epoch: 4, Round: 3, Report: finalized(t, "1100")},
				{Call: "accept", Epoch: 4, Round: 4, Report: finalized(t, "1100")}}},
		{Name: "accept/nothing-pending", About: "when the pending report is in the contract, the next one needs no deviation",
			Config: config(never), Contract: settled, Steps: []vector.Step{
				{Call: "accept", Epoch: 4, Round: 1, Report: finalized(t, "1000")},
				{Call: "accept", Epoch: 4, Round: 2, Report: finalized(t, "9000")},
				{Call: "accept", Epoch: 4, Round: 2, Report: finalized(t, "1000"),
					Contract: ptr(with(func(c *vector.Contract) { c.Epoch, c.Round = 4, 1 }))}}},
		{Name: "accept/too-long", About: "a report beyond the codec's bound is not accepted", Config: config(onePercent),
			Contract: with(func(c *vector.Contract) { c.MaxReportLength = entryLength - 1 }), Steps: []vector.Step{
				{Call: "accept", Epoch: 4, Round: 1, Report: finalized(t, "2000")}}},
		{Name: "accept/no-report", About: "bytes that are not a report are refused", Config: config(onePercent),
			Contract: settled, Steps: []vector.Step{
				{Call: "accept", Epoch: 4, Round: 1, Report: vector.Hex("nonsense")},
				{Call: "accept", Epoch: 4, Round: 1, Report: finalized(t, "2000")}}},
		{Name: "transmit/rules",
			About:  "a report is transmitted while it is newer than what the contract has of the same configuration",
			Config: config(onePercent), Contract: settled, Steps: []vector.Step{
				{Call: "transmit", Epoch: 4, Round: 1, Report: finalized(t, "2000")},
				{Call: "transmit", Epoch: 3, Round: 3, Report: finalized(t, "2000")},
				{Call: "transmit", Epoch: 3, Round: 2, Report: finalized(t, "2000")},
				{Call: "transmit", Epoch: 2, Round: 255, Report: finalized(t, "2000")},
				{Call: "transmit", Epoch: 4, Round: 1, Report: finalized(t, "2000"),
					Contract: ptr(with(func(c *vector.Contract) { c.Digest = 2 }))}}},
	}
	withGas := config(onePercent)
	withGas.IncludeGas = true
	large := config(onePercent)
	large.N, large.F = 31, 10
	var many []string
	for i := range 31 {
		many = append(many, fmt.Sprint((i*37)%31*100-700))
	}
	vectors = append(vectors,
		vector.Vector{Name: "observation/gas", About: "an observation has the gas price when the job includes it",
			Config: withGas, Contract: settled, Steps: []vector.Step{{Call: "observation", Epoch: 1, Round: 1}}},
		vector.Vector{Name: "report/31", About: "a report of 31 oracles is right", Config: large, Contract: settled,
			Steps: report(all(t, many...))},
		ties(t, large, settled),
	)
	vectors = append(vectors, borders(t, settled, func(c libocr.OffchainConfig) vector.Config {
		out := config(c)
		out.Onchain = onchain(least, most)
		return out
	})...)
	for i := range vectors {
		if vectors[i].Sources == (vector.Sources{}) {
			vectors[i].Sources = sources
		}
	}
	return vectors
}

// ties are reports whose observations have few values. libocr sorts them by sort.Slice, which is not stable from 13 on:
// reports name their observers in the order that it leaves, and oracles sign them.
func ties(t *testing.T, c vector.Config, shown vector.Contract) vector.Vector {
	t.Helper()
	v := vector.Vector{Name: "report/ties", Config: c, Contract: shown,
		About: "observations of one value reach the codec in the order in which Go's sort.Slice leaves them, even if there " +
			"are 13 or more"}
	step := func(epoch, round uint32, values []string) {
		v.Steps = append(v.Steps, vector.Step{Call: "report", Epoch: epoch, Round: round, Observations: all(t, values...)})
	}
	for _, n := range []int{12, 13, 16, 24, 31} {
		var values []string
		for i := range n {
			values = append(values, fmt.Sprint(5000+i*7%5))
		}
		step(4, uint32(n), values)
	}
	step(5, 1, slices.Repeat([]string{"5000"}, 31))
	return v
}

// Stable sorting gives other reports: else the vector would not require sort.Slice's order.
func TestTiesAreNotStable(t *testing.T) {
	t.Parallel()
	differ := 0
	for _, v := range questions(t) {
		if v.Name != "report/ties" {
			continue
		}
		answer(t, &v)
		for _, s := range v.Steps {
			var parsed []libocr.ParsedAttributedObservation
			for _, o := range s.Observations {
				var m libocr.NumericalMedianObservationProto
				if err := proto.Unmarshal(o.Observation, &m); err != nil {
					t.Fatal(err)
				}
				parsed = append(parsed, libocr.ParsedAttributedObservation{
					Timestamp:        m.GetTimestamp(),
					Value:            must(libocr.DecodeValue(m.GetValue())),
					JuelsPerFeeCoin:  must(libocr.DecodeValue(m.GetJuelsPerFeeCoin())),
					GasPriceSubunits: new(big.Int),
					Observer:         commontypes.OracleID(o.Observer),
				})
			}
			slices.SortStableFunc(parsed, func(a, b libocr.ParsedAttributedObservation) int {
				return a.Value.Cmp(b.Value)
			})
			stable := must(newFakeWorld().BuildReport(t.Context(), parsed))
			switch same := bytes.Equal(stable, s.Want.Bytes); {
			case len(parsed) <= 12 && !same:
				t.Errorf("of %d observations the order is not that of a stable sort", len(parsed))
			case !same:
				differ++
			}
		}
	}
	if differ < 4 {
		t.Errorf("a stable sort gives another report in %d steps; want at least 4", differ)
	}
}

// borders are reports and acceptances on, just below and just above alpha, where floating point sees no difference.
func borders(t *testing.T, shown vector.Contract, config func(libocr.OffchainConfig) vector.Config) []vector.Vector {
	t.Helper()
	const alpha = 12_345_678
	unit := new(big.Int).Lsh(big.NewInt(1), 150)
	large := new(big.Int).Mul(unit, big.NewInt(1_000_000_000)) // a deviation of alpha from it is a whole number
	enough := new(big.Int).Mul(unit, big.NewInt(alpha))
	plus := func(i *big.Int, more int64) *big.Int { return new(big.Int).Add(i, big.NewInt(more)) }

	type change struct{ from, to *big.Int } // from the contract's answer to what is observed
	reports := func(name, about string, ppb uint64, changes ...change) vector.Vector {
		v := vector.Vector{Name: name, About: about, Contract: shown}
		v.Config = config(libocr.OffchainConfig{AlphaReportPPB: ppb})
		for i, s := range changes {
			c := shown
			c.Answer = s.from.String()
			observations := all(t, s.to.String(), s.to.String())
			v.Steps = append(v.Steps,
				vector.Step{Call: "report", Epoch: 4, Round: uint32(i + 1), Contract: &c, Observations: observations})
		}
		return v
	}
	up := func(from *big.Int, by int64) change { return change{from, plus(from, by)} }
	var around []change
	for _, answer := range []*big.Int{large, new(big.Int).Neg(large)} {
		for _, size := range []*big.Int{plus(enough, -1), enough, plus(enough, 1)} {
			around = append(around, change{answer, new(big.Int).Add(answer, size)},
				change{answer, new(big.Int).Sub(answer, size)})
		}
	}
	zero, billion := new(big.Int), big.NewInt(1_000_000_000)
	whole := big.NewInt(1_000_000_000_000_000_001) // a billionth of it is not a whole number
	longest := new(big.Int).SetUint64(math.MaxUint64)
	vectors := []vector.Vector{
		reports("report/alpha-large",
			"answers of 180 bits, above and below zero: a deviation of alpha is reported, one less is not",
			alpha, around...),
		reports("report/alpha-least", "an alpha of one part in a billion is exact where it is not a whole number", 1,
			up(whole, 1_000_000_000), up(whole, 1_000_000_001), up(whole, -1_000_000_000), up(whole, -1_000_000_001),
			up(whole, 0)),
		reports("report/alpha-most", "an alpha of 2^64-1 parts in a billion is exact", math.MaxUint64,
			change{billion, plus(longest, 999_999_999)}, change{billion, plus(longest, 1_000_000_000)}, up(zero, 0),
			up(zero, -1)),
		reports("report/alpha-third", "an alpha next to a third is exact", 333_333_333,
			up(big.NewInt(3), 1), up(big.NewInt(-3), 1), up(billion, 333_333_332), up(billion, 333_333_333)),
	}

	accept := vector.Vector{Name: "accept/alpha-large", Config: config(libocr.OffchainConfig{AlphaAcceptPPB: alpha}),
		Contract: shown,
		About: "reports of 180 bits, above and below zero: one that deviates by alpha from the pending one is accepted, " +
			"one less is not"}
	less := plus(enough, -1)
	sizes := []*big.Int{less, enough, plus(enough, 1), new(big.Int).Neg(less), new(big.Int).Neg(enough), zero}
	for _, answer := range []*big.Int{large, new(big.Int).Neg(large), zero} {
		for _, size := range sizes {
			// The contract shows what is accepted, so that answer becomes pending; then comes what deviates from it.
			c := shown
			c.Epoch, c.Round = 4, uint32(len(accept.Steps))
			for i, value := range []*big.Int{answer, new(big.Int).Add(answer, size)} {
				s := vector.Step{Call: "accept", Epoch: 4, Round: c.Round + uint32(i) + 1, Report: finalized(t, value.String())}
				if i == 0 {
					s.Contract = &c
				}
				accept.Steps = append(accept.Steps, s)
			}
		}
	}
	return append(vectors, accept)
}

func ptr[T any](v T) *T { return &v }
