package median_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/big"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	libocr "github.com/smartcontractkit/libocr/offchainreporting2/reportingplugin/median"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/loop-plugins/loop/gen/go/loop/hostservice/v1/hostservicev1loophost"
	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	"github.com/loop-plugins/loop/gen/go/loop/median/v1/medianv1loophost"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loophost"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/sdk/go/loop"
	"github.com/loop-plugins/loop/sdk/go/loophost"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// pythonKey names the interpreter whose environment holds the median of plugins/examples: make test-python sets it.
const pythonKey = "LOOP_TEST_PYTHON"

const (
	crossSets    = 10_000
	crossWorkers = 4
	// crossRounds is how many sets of observations one configuration gets.
	crossRounds = 25
	// One of so many rounds has an observation, which takes four of the round's twelve calls.
	crossObserved = 5
)

// crossProvider is a world whose report keeps the order in which it was given the observations: oracles sign it.
type crossProvider struct {
	relayerv1.UnimplementedContractConfigServiceServer
	relayerv1.UnimplementedContractTransmitterServiceServer
	relayerv1.UnimplementedReportDigestServiceServer
	fakeProvider
}

// BuildReport implements medianv1.ReportCodecServiceServer.
func (crossProvider) BuildReport(_ context.Context,
	r *medianv1.BuildReportRequest) (*medianv1.BuildReportResponse, error) {
	var report []byte
	for _, o := range r.GetObservations() {
		report = append(report, byte(o.GetObserver()))
		report = binary.BigEndian.AppendUint32(report, uint32(o.GetTimestamp().GetSeconds()))
		for _, v := range []*big.Int{wire.Int(o.GetValue()), wire.Int(o.GetJuelsPerFeeCoin()),
			wire.Int(o.GetGasPriceSubunits())} {
			b, err := libocr.EncodeValue(v)
			if err != nil {
				return nil, err
			}
			report = append(report, b...)
		}
	}
	return &medianv1.BuildReportResponse{Report: report}, nil
}

// crossRoot is a relayer whose only provider is the world's.
type crossRoot struct {
	relayerv1loop.RelayerService
	provider crossProvider
}

// CreateChain implements relayerv1loop.RelayerService.
func (r crossRoot) CreateChain(context.Context, *relayerv1.CreateChainRequest,
	relayerv1loop.CreateChainLoans) (relayerv1loop.Chain, *relayerv1.CreateChainResponse, error) {
	return crossChain{provider: r.provider}, &relayerv1.CreateChainResponse{}, nil
}

type crossChain struct {
	relayerv1loop.Chain
	provider crossProvider
}

// CreateProvider implements relayerv1loop.ChainService.
func (c crossChain) CreateProvider(context.Context,
	*relayerv1.CreateProviderRequest) (relayerv1loop.Provider, *relayerv1.CreateProviderResponse, error) {
	return c.provider, &relayerv1.CreateProviderResponse{}, nil
}

// crossWorker has a world of its own, which both medians see.
type crossWorker struct {
	t        *testing.T
	runtime  *loophost.Runtime
	random   *rand.Rand
	world    *fakeWorld
	provider loophost.Lendable
	medians  [2]*medianv1loophost.Median
}

func newCrossWorker(t *testing.T, r *loophost.Runtime, number int, medians [2]*medianv1loophost.Median) *crossWorker {
	t.Helper()
	w := newFakeWorld()
	root := relayerv1loop.RelayerPlugin(func(*loop.Host) relayerv1loop.RelayerService {
		return crossRoot{provider: crossProvider{fakeProvider: fakeProvider{w}}}
	})
	relayer, err := relayerv1loophost.LaunchRelayer(t.Context(),
		r, loophost.PluginSettings{Name: fmt.Sprint("world ", number), InProcess: &root})
	if err != nil {
		t.Fatal(err)
	}
	chain := relayer.CreateChain(&relayerv1.CreateChainRequest{ChainId: "1"}, relayerv1loophost.CreateChainLoans{
		Keystore: hostservicev1loophost.ExportKeystore(r, nil), Store: hostservicev1loophost.ExportStore(r, nil),
	})
	provider := chain.CreateProvider(&relayerv1.CreateProviderRequest{
		ProviderType: "median", TransmitterId: "t", Config: &relayerv1.ProviderConfig{ExternalJobId: "j", ContractId: "c"},
	})
	return &crossWorker{t, r, rand.New(rand.NewPCG(7, uint64(number))), w, provider, medians}
}

// TestPythonAgrees gives the median of plugins/examples in Python and this one the same configurations, worlds,
// observations and reports, over the real contract, and wants the same bytes, decisions and codes.
func TestPythonAgrees(t *testing.T) {
	python := os.Getenv(pythonKey)
	if python == "" {
		t.Skip(pythonKey + " names no interpreter with the plugins of plugins/examples: run make test-python")
	}
	binary := filepath.Join(t.TempDir(), "loop-median")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./cmd/loop-median").
		CombinedOutput(); err != nil {
		t.Fatalf("building the median: %v\n%s", err, out)
	}
	r, err := loophost.New(loophost.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(context.Background()) })
	launch := func(name string, command ...string) *medianv1loophost.Median {
		m, err := medianv1loophost.LaunchMedian(t.Context(), r, loophost.PluginSettings{Name: name, Command: command})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	golang := launch("median in go", binary)
	// One in Python keeps one core busy.
	pythons := make([]*medianv1loophost.Median, min(crossWorkers, runtime.GOMAXPROCS(0)))
	for i := range pythons {
		pythons[i] = launch(fmt.Sprint("median in python ", i), python, "-m", "loop_median_python")
	}
	var mu sync.Mutex
	seen := map[string]int{}
	var workers sync.WaitGroup
	for n := range crossWorkers {
		w := newCrossWorker(t, r, n, [2]*medianv1loophost.Median{golang, pythons[n%len(pythons)]})
		workers.Go(func() {
			for range crossSets / crossWorkers / crossRounds {
				for what, count := range w.configuration() {
					mu.Lock()
					seen[what] += count
					mu.Unlock()
				}
				if t.Failed() {
					return
				}
			}
		})
	}
	workers.Wait()
	t.Log(seen)
	// What never happened was not compared.
	for _, what := range []string{"report yes", "report no", "report FailedPrecondition", "accept yes", "accept no",
		"accept InvalidArgument", "transmit yes", "transmit no"} {
		if seen[what] < crossSets/1000 && !t.Failed() {
			t.Errorf("%q happened %d times in %d sets", what, seen[what], crossSets)
		}
	}
}

// pick is one of the given.
func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// number is a value that observations may hold: mostly few different ones, because oracles that see the same price are
// the usual case and the order of equal values is where medians may part.
func (w *crossWorker) number() *big.Int {
	switch w.random.IntN(8) {
	case 0:
		b := make([]byte, 24)
		for i := range b {
			b[i] = byte(w.random.Uint32())
		}
		v, _ := libocr.DecodeValue(b) // 24 bytes always decode
		return v
	case 1:
		return pick(w.random, libocr.MinValue(), libocr.MaxValue(), new(big.Int))
	default:
		return big.NewInt(w.random.Int64N(9) - 2)
	}
}

// observation is one oracle's: well-formed, cut, of other widths, with unknown fields, or noise.
func (w *crossWorker) observation() []byte {
	integer := func() []byte {
		b, _ := libocr.EncodeValue(w.number()) // the numbers fit
		switch w.random.IntN(60) {
		case 0:
			return b[1:]
		case 1:
			return nil
		case 2:
			return append(b, 0)
		}
		return b
	}
	var o []byte
	o = protowire.AppendTag(o, 1, protowire.VarintType)
	o = protowire.AppendVarint(o, pick(w.random, uint64(w.random.Uint32()), 0, 1_700_000_000, w.random.Uint64()))
	for field := protowire.Number(2); field <= 4; field++ {
		if field < 4 || w.random.IntN(3) > 0 {
			o = protowire.AppendTag(o, field, protowire.BytesType)
			o = protowire.AppendBytes(o, integer())
		}
	}
	switch w.random.IntN(40) {
	case 0:
		return o[:w.random.IntN(len(o)+1)]
	case 1:
		o[w.random.IntN(len(o))] ^= byte(1 << w.random.IntN(8))
	case 2: // fields of later versions, and of the wrong type
		o = protowire.AppendTag(o, pick[protowire.Number](w.random, 1, 2, 5, 1<<29-1), protowire.Fixed64Type)
		o = protowire.AppendFixed64(o, w.random.Uint64())
	case 3:
		o = protowire.AppendTag(o, 9, protowire.StartGroupType)
		o = protowire.AppendTag(o, 1, protowire.Fixed32Type)
		o = protowire.AppendFixed32(o, 7)
		o = protowire.AppendTag(o, pick[protowire.Number](w.random, 9, 9, 8), protowire.EndGroupType)
	case 4:
		o = append(o, bytes.Repeat([]byte{0xff}, w.random.IntN(12))...)
	}
	return o
}

// configuration makes an instance of both medians and compares them over some rounds. It returns how often what
// happened.
func (w *crossWorker) configuration() map[string]int {
	seen := map[string]int{}
	n := pick(w.random, 4, 4, 7, 13, 19, 31, 60, 1+w.random.IntN(255))
	bound := pick(w.random, big.NewInt(2), big.NewInt(4), libocr.MaxValue())
	least := new(big.Int).Neg(bound)
	onchain, err := libocr.StandardOnchainConfigCodec{}.Encode(w.t.Context(), libocr.OnchainConfig{Min: least, Max: bound})
	if err != nil {
		w.t.Error(err)
		return seen
	}
	config := libocr.OffchainConfig{
		AlphaReportInfinite: w.random.IntN(3) == 0, AlphaReportPPB: pick(w.random, 0, 1, 500_000_000, w.random.Uint64()),
		AlphaAcceptInfinite: w.random.IntN(3) == 0, AlphaAcceptPPB: pick(w.random, 0, 1, 500_000_000, w.random.Uint64()),
		DeltaC: pick(w.random, 0, time.Minute, time.Hour),
	}
	export := func(s *source) loophost.Lendable {
		return hostservicev1loophost.ExportDataSource(w.runtime, fakeSource{s})
	}
	loans := medianv1loophost.CreateMedianFactoryLoans{
		Provider: w.provider, ValueSource: export(&w.world.value), JuelsPerFeeCoinSource: export(&w.world.juels),
		GasPriceSubunitsSource: export(&w.world.gas),
		ErrorLog:               hostservicev1loophost.ExportErrorLog(w.runtime, fakeErrorLog{w.world.recorded}),
	}
	gas := w.random.IntN(2) == 0
	var instances [2]reportingv1.ReportingPluginServiceClient
	var infos [2]string
	for i, m := range w.medians {
		factory := m.CreateMedianFactory(&medianv1.CreateMedianFactoryRequest{IncludeGasPriceSubunits: gas}, loans)
		defer func() { _ = factory.Release(context.Background()) }()
		instance := factory.CreateReportingPlugin(&reportingv1.CreateReportingPluginRequest{
			ConfigDigest: slices.Repeat([]byte{1}, 32), N: uint32(n), F: uint32((n - 1) / 3), OnchainConfig: onchain,
			OffchainConfig: config.Encode(),
		})
		made, err := instance.Created(w.t.Context())
		if err != nil {
			w.t.Error(err)
			return seen
		}
		instances[i], infos[i] = instance, made.String()
	}
	if infos[0] != infos[1] {
		w.t.Errorf("the instances describe themselves as\n%s\n%s", infos[0], infos[1])
	}
	for number := range crossRounds {
		// What is observed depends on the configuration alone, and not on what else the instance was asked.
		w.round(instances, config, n, number%crossObserved == 0, seen)
	}
	return seen
}

func (w *crossWorker) timestamp() types.ReportTimestamp {
	return types.ReportTimestamp{ConfigDigest: digest(pick[byte](w.random, 1, 1, 1, 2)), Epoch: w.random.Uint32N(4),
		Round: uint8(w.random.UintN(3))}
}

// round compares both medians in one state of the world, with an observation of their own if they are to observe.
func (w *crossWorker) round(instances [2]reportingv1.ReportingPluginServiceClient, config libocr.OffchainConfig, n int,
	observe bool, seen map[string]int) {
	// Away from the moment at which DeltaC has passed, which the two would not meet at once.
	age := pick(w.random, 10*time.Second, 30*time.Minute, 2*time.Hour)
	w.world.mu.Lock()
	w.world.details = transmission{ReportTimestamp: w.timestamp(), answer: w.number(), at: time.Now().Add(-age)}
	w.world.requested, w.world.requestedAgo = w.timestamp(), age
	value, juels, price := w.number(), w.number(), w.number()
	w.world.mu.Unlock()
	at := w.timestamp()
	request := &reportingv1.ReportRequest{Timestamp: timestamp(at)}
	for i := range pick(w.random, n, n, n-n/4, w.random.IntN(n+1)) {
		request.Observations = append(request.Observations,
			&reportingv1.AttributedObservation{Observer: uint32(i), Observation: w.observation()})
	}
	report := w.report()
	answers := [2][4]string{}
	// A busy machine would miss one in some thousand of the contract's own deadlines, and the states would differ.
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	for i, p := range instances {
		var decision string
		r, err := p.Report(ctx, request)
		decision = said(r.GetShouldReport(), err)
		answers[i][0] = fmt.Sprintf("report %s %x", decision, r.GetReport())
		count(seen, i, "report "+decision)
		a, err := p.ShouldAcceptFinalizedReport(ctx,
			&reportingv1.ShouldAcceptFinalizedReportRequest{Timestamp: timestamp(at), Report: report})
		answers[i][1] = "accept " + said(a.GetShouldAccept(), err)
		count(seen, i, answers[i][1])
		s, err := p.ShouldTransmitAcceptedReport(ctx,
			&reportingv1.ShouldTransmitAcceptedReportRequest{Timestamp: timestamp(at), Report: report})
		answers[i][2] = "transmit " + said(s.GetShouldTransmit(), err)
		count(seen, i, answers[i][2])
		if !observe {
			continue
		}
		constantly := func(n *big.Int) source {
			return func(context.Context, types.ReportTimestamp) (*big.Int, error) { return n, nil }
		}
		w.world.value, w.world.juels, w.world.gas = constantly(value), constantly(juels), constantly(price)
		before := time.Now().Unix()
		o, err := p.Observation(ctx, &reportingv1.ObservationRequest{Timestamp: timestamp(at)})
		answers[i][3] = "observation " + said(true, err) + w.timeless(o.GetObservation(), before)
	}
	if answers[0] != answers[1] {
		w.t.Errorf("with %+v, in a world of %+v, requested %+v %s ago, asked at %+v:\ngo     %q\npython %q", config,
			w.world.details, w.world.requested, age, at, answers[0], answers[1])
	}
}

func count(seen map[string]int, i int, what string) {
	if i == 0 {
		seen[what]++
	}
}

func said(yes bool, err error) string {
	switch {
	case err != nil:
		return status.Code(err).String()
	case yes:
		return "yes"
	}
	return "no"
}

// report is what an instance is asked to accept.
func (w *crossWorker) report() []byte {
	if w.random.IntN(10) == 0 {
		return []byte("no report")
	}
	var all []libocr.ParsedAttributedObservation
	for range 1 + w.random.IntN(3) {
		all = append(all,
			libocr.ParsedAttributedObservation{Value: w.number(), JuelsPerFeeCoin: w.number(), GasPriceSubunits: w.number()})
	}
	report, err := w.world.BuildReport(w.t.Context(), all)
	if err != nil {
		w.t.Error(err)
	}
	return report
}

// timeless is an observation's bytes without the value of its time, which must be that of the call.
func (w *crossWorker) timeless(o []byte, before int64) string {
	number, kind, n := protowire.ConsumeTag(o)
	if n < 0 || number != 1 || kind != protowire.VarintType {
		return fmt.Sprintf("without a time first: %x", o)
	}
	at, m := protowire.ConsumeVarint(o[n:])
	if t := time.Unix(int64(at), 0); t.Unix() < before || t.After(timestamppb.Now().AsTime()) {
		return fmt.Sprintf("with the time %s", t)
	}
	return fmt.Sprintf("%x", o[n+m:])
}
