package oracle

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/smartcontractkit/libocr/commontypes"
	libocr "github.com/smartcontractkit/libocr/offchainreporting2/reportingplugin/median"
	"github.com/smartcontractkit/libocr/offchainreporting2/reportingplugin/median/evmreportcodec"
	"github.com/smartcontractkit/libocr/offchainreporting2plus/types"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	"github.com/loop-plugins/loop/gen/go/loop/median/v1/medianv1loop"
	"github.com/loop-plugins/loop/gen/go/loop/product/v1/productv1loop"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/gen/go/loop/reporting/v1/reportingv1loop"
	"github.com/loop-plugins/loop/host/internal/fallback"
	"github.com/loop-plugins/loop/sdk/go/loop"
	"github.com/loop-plugins/loop/sdk/go/ocr2"
	"github.com/loop-plugins/loop/sdk/go/relayer"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// fakeMode is the environment variable that makes a plugin process of this binary a fake, and which.
const fakeMode = "ORACLE_TEST_FAKE"

// TestMain is also the plugins' main: the tests start this binary again as the real median or as a fake.
func TestMain(m *testing.M) {
	switch cookie, mode := os.Getenv(wire.CookieKey), os.Getenv(fakeMode); {
	case cookie == medianv1loop.MedianKind().Cookie && mode == "":
		loop.Serve(fallback.Plugins()["median"].New())
	case cookie == medianv1loop.MedianKind().Cookie:
		medianv1loop.ServeMedian(func(*loop.Host) medianv1loop.MedianService { return &fakeMedian{mode: mode} })
	case cookie == productv1loop.ProductKind().Cookie:
		productv1loop.ServeProduct(func(*loop.Host) productv1loop.ProductService { return &fakeProduct{mode: mode} })
	case cookie == relayerv1loop.RelayerKind().Cookie:
		relayerv1loop.ServeRelayer(func(*loop.Host) relayerv1loop.RelayerService {
			return &fakeRelayer{contract: newAggregator(), mode: mode}
		})
	default:
		goleak.VerifyTestMain(m)
	}
}

// once reports whether this is the first call with a file of this name, across processes.
func once(path string) bool {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		_ = f.Close()
	}
	return err == nil
}

func die() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// aggregator is a fake of an OCR2 contract on a chain, in memory: what the relayers of all nodes of a test read and
// write.
type aggregator struct {
	// verify checks signatures; nil: none are checked.
	verify func(signer types.OnchainPublicKey, at types.ReportContext, report types.Report, signature []byte) bool

	mu            sync.Mutex
	changed       chan struct{} // closed at the next change of the configuration
	config        types.ContractConfig
	block         uint64
	latest        types.ReportTimestamp
	answer        *big.Int
	at            time.Time
	transmissions []transmission
	handed        []types.ReportTimestamp // of all reports, those without effect too
}

type transmission struct {
	at     types.ReportTimestamp
	answer *big.Int
	by     string
}

func newAggregator() *aggregator {
	return &aggregator{changed: make(chan struct{}), block: 10, answer: new(big.Int), at: time.Unix(0, 0)}
}

// fakeDigest is the fake chain's digest, with EVM's prefix.
func fakeDigest(c *relayerv1.ContractConfig) types.ConfigDigest {
	h := sha256.New()
	fmt.Fprintf(h, "%d %x %q %d %x %d %x", c.GetConfigCount(), c.GetSigners(), c.GetTransmitters(), c.GetF(),
		c.GetOnchainConfig(), c.GetOffchainConfigVersion(), c.GetOffchainConfig())
	digest := types.ConfigDigest(h.Sum(nil))
	digest[0], digest[1] = 0, 1
	return digest
}

func (a *aggregator) setConfig(c types.ContractConfig) types.ConfigDigest {
	a.mu.Lock()
	defer a.mu.Unlock()
	c.ConfigCount = a.config.ConfigCount + 1
	c.ConfigDigest = fakeDigest(ocr2.ContractConfigTo(c))
	a.block++
	a.config = c
	a.latest = types.ReportTimestamp{ConfigDigest: c.ConfigDigest}
	close(a.changed)
	a.changed = make(chan struct{})
	return c.ConfigDigest
}

func (a *aggregator) look() (types.ContractConfig, uint64, <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.config, a.block, a.changed
}

func (a *aggregator) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.transmissions)
}

func (a *aggregator) transmit(by string, at types.ReportContext, report types.Report,
	signatures []types.AttributedOnchainSignature) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.handed = append(a.handed, at.ReportTimestamp)
	if at.ConfigDigest != a.config.ConfigDigest {
		return nil // as on a chain: the transaction reverts
	}
	if !slices.Contains(a.config.Transmitters, types.Account(by)) {
		return fmt.Errorf("%s is not a transmitter", by)
	}
	if at.Epoch < a.latest.Epoch || at.Epoch == a.latest.Epoch && at.Round <= a.latest.Round {
		return nil
	}
	good := 0
	for _, s := range signatures {
		if a.verify != nil && a.verify(a.config.Signers[s.Signer], at, report, s.Signature) {
			good++
		}
	}
	if a.verify != nil && good <= int(a.config.F) {
		return fmt.Errorf("only %d good signatures", good)
	}
	answer, err := evmreportcodec.ReportCodec{}.MedianFromReport(context.Background(), report)
	if err != nil {
		return err
	}
	a.latest, a.answer, a.at = at.ReportTimestamp, answer, time.Now()
	a.transmissions = append(a.transmissions, transmission{at.ReportTimestamp, answer, by})
	return nil
}

// fakeRelayer is a relayer of the fake chain.
type fakeRelayer struct {
	relayerv1.UnimplementedRelayerServiceServer
	contract *aggregator

	mu        sync.Mutex
	mode      string // of providers that are made from now on
	providers map[string]*fakeProvider
	made      []*relayerv1.CreateProviderRequest
	watches   int
}

func (r *fakeRelayer) become(mode string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mode = mode
}

func (r *fakeRelayer) CreateChain(context.Context, *relayerv1.CreateChainRequest,
	relayerv1loop.CreateChainLoans) (relayerv1loop.Chain, *relayerv1.CreateChainResponse, error) {
	return &fakeChain{relayer: r}, &relayerv1.CreateChainResponse{}, nil
}

func (r *fakeRelayer) WatchContractConfigs(_ *relayerv1.WatchContractConfigsRequest,
	s grpc.ServerStreamingServer[relayerv1.WatchContractConfigsResponse]) error {
	r.mu.Lock()
	r.watches++
	r.mu.Unlock()
	for {
		config, block, changed := r.contract.look()
		r.mu.Lock()
		var names []string
		for name := range r.providers {
			names = append(names, name)
		}
		r.mu.Unlock()
		for _, name := range names {
			if err := s.Send(&relayerv1.WatchContractConfigsResponse{Provider: name, ChangedInBlock: block,
				ConfigDigest: config.ConfigDigest[:]}); err != nil {
				return err
			}
		}
		select {
		case <-changed:
		case <-s.Context().Done():
			return s.Context().Err()
		}
	}
}

type fakeChain struct {
	relayerv1.ChainServiceServer
	relayer *fakeRelayer
}

func (c *fakeChain) add(name string, p *fakeProvider) *fakeProvider {
	c.relayer.mu.Lock()
	defer c.relayer.mu.Unlock()
	if c.relayer.providers == nil {
		c.relayer.providers = map[string]*fakeProvider{}
	}
	p.aggregator, p.mode = c.relayer.contract, c.relayer.mode
	c.relayer.providers[name] = p
	return p
}

func (c *fakeChain) CreateProvider(_ context.Context,
	r *relayerv1.CreateProviderRequest) (relayerv1loop.Provider, *relayerv1.CreateProviderResponse, error) {
	if r.GetProviderType() == relayer.ProviderConfig {
		return c.add(r.GetName(), &fakeProvider{}), &relayerv1.CreateProviderResponse{}, nil
	}
	c.relayer.mu.Lock()
	mode := c.relayer.mode
	c.relayer.mu.Unlock()
	if mode == "refuse" {
		return nil, nil, status.Error(codes.InvalidArgument, "the fake refuses the contract")
	}
	c.relayer.mu.Lock()
	c.relayer.made = append(c.relayer.made, r)
	c.relayer.mu.Unlock()
	return c.add(r.GetName(), &fakeProvider{account: r.GetTransmitterId()}), &relayerv1.CreateProviderResponse{}, nil
}

func (*fakeChain) LatestHead(context.Context, *relayerv1.LatestHeadRequest) (*relayerv1.LatestHeadResponse, error) {
	return nil, status.Error(codes.Unavailable, "the fake has no head")
}
func (*fakeChain) ChainStatus(context.Context, *relayerv1.ChainStatusRequest) (*relayerv1.ChainStatusResponse, error) {
	return &relayerv1.ChainStatusResponse{ChainId: "fake"}, nil
}
func (*fakeChain) ListNodeStatuses(context.Context,
	*relayerv1.ListNodeStatusesRequest) (*relayerv1.ListNodeStatusesResponse, error) {
	return &relayerv1.ListNodeStatusesResponse{}, nil
}
func (*fakeChain) Transact(context.Context, *relayerv1.TransactRequest) (*relayerv1.TransactResponse, error) {
	return nil, status.Error(codes.NotFound, "the fake has no keys")
}
func (*fakeChain) Replay(context.Context, *relayerv1.ReplayRequest) (*relayerv1.ReplayResponse, error) {
	return &relayerv1.ReplayResponse{}, nil
}

// fakeProvider is a fake's provider of one job.
type fakeProvider struct {
	*aggregator
	account string
	mode    string
}

func (p *fakeProvider) hang(ctx context.Context) error {
	if p.mode == "hang" {
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

func (p *fakeProvider) LatestConfigDetails(ctx context.Context,
	_ *relayerv1.LatestConfigDetailsRequest) (*relayerv1.LatestConfigDetailsResponse, error) {
	if err := p.hang(ctx); err != nil {
		return nil, err
	}
	config, block, _ := p.look()
	return &relayerv1.LatestConfigDetailsResponse{ChangedInBlock: block, ConfigDigest: config.ConfigDigest[:]}, nil
}

func (p *fakeProvider) LatestConfig(context.Context,
	*relayerv1.LatestConfigRequest) (*relayerv1.LatestConfigResponse, error) {
	config, _, _ := p.look()
	return &relayerv1.LatestConfigResponse{Config: ocr2.ContractConfigTo(config)}, nil
}

func (p *fakeProvider) LatestBlockHeight(context.Context,
	*relayerv1.LatestBlockHeightRequest) (*relayerv1.LatestBlockHeightResponse, error) {
	_, block, _ := p.look()
	return &relayerv1.LatestBlockHeightResponse{BlockHeight: block + 100}, nil
}

func (p *fakeProvider) ConfigDigest(_ context.Context,
	r *relayerv1.ConfigDigestRequest) (*relayerv1.ConfigDigestResponse, error) {
	digest := fakeDigest(r.GetConfig())
	return &relayerv1.ConfigDigestResponse{ConfigDigest: digest[:]}, nil
}

func (p *fakeProvider) ConfigDigestPrefix(context.Context,
	*relayerv1.ConfigDigestPrefixRequest) (*relayerv1.ConfigDigestPrefixResponse, error) {
	return &relayerv1.ConfigDigestPrefixResponse{Prefix: 1}, nil
}

func (p *fakeProvider) Transmit(_ context.Context, r *relayerv1.TransmitRequest) (*relayerv1.TransmitResponse, error) {
	switch {
	case p.mode == "refuse-transmit":
		return nil, status.Error(codes.InvalidArgument, "the fake takes no such report")
	case len(p.mode) > 4 && p.mode[:4] == "die:" && once(p.mode[4:]+".1"):
		die()
	case len(p.mode) > 4 && p.mode[:4] == "die:" && once(p.mode[4:]+".2"):
		return nil, status.Error(codes.Unavailable, "the fake's store does not answer")
	case len(p.mode) > 4 && p.mode[:4] == "die:":
		once(p.mode[4:] + ".taken")
		return &relayerv1.TransmitResponse{}, nil
	}
	at, err := ocr2.TimestampOf(r.GetReportContext().GetTimestamp())
	if err != nil {
		return nil, err
	}
	var signatures []types.AttributedOnchainSignature
	for _, s := range r.GetSignatures() {
		signatures = append(signatures,
			types.AttributedOnchainSignature{Signature: s.GetSignature(), Signer: commontypes.OracleID(s.GetSigner())})
	}
	err = p.transmit(p.account,
		types.ReportContext{ReportTimestamp: at, ExtraHash: [32]byte(r.GetReportContext().GetExtraHash())}, r.GetReport(),
		signatures)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	return &relayerv1.TransmitResponse{}, nil
}

func (p *fakeProvider) LatestConfigDigestAndEpoch(ctx context.Context,
	_ *relayerv1.LatestConfigDigestAndEpochRequest) (*relayerv1.LatestConfigDigestAndEpochResponse, error) {
	if err := p.hang(ctx); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return &relayerv1.LatestConfigDigestAndEpochResponse{ConfigDigest: bytes.Clone(p.latest.ConfigDigest[:]),
		Epoch: p.latest.Epoch}, nil
}

func (p *fakeProvider) DigestReports(ctx context.Context,
	r *relayerv1.DigestReportsRequest) (*relayerv1.DigestReportsResponse, error) {
	response := &relayerv1.DigestReportsResponse{}
	for _, report := range r.GetReports() {
		one, err := hashed(ctx, report)
		if err != nil {
			return nil, err
		}
		response.Digests = append(response.Digests, one.GetDigests()...)
	}
	return response, nil
}

func (p *fakeProvider) FromAccount(context.Context,
	*relayerv1.FromAccountRequest) (*relayerv1.FromAccountResponse, error) {
	return nil, errors.New("nobody may ask the fake for its account")
}

func (p *fakeProvider) LatestTransmissionDetails(context.Context,
	*medianv1.LatestTransmissionDetailsRequest) (*medianv1.LatestTransmissionDetailsResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := &medianv1.LatestTransmissionDetailsResponse{Timestamp: ocr2.TimestampTo(p.latest),
		LatestAnswer: wire.BigInt(p.answer), LatestTimestamp: timestamppb.New(p.at)}
	if n := len(p.transmissions); n > 0 {
		r.Transmitter = p.transmissions[n-1].by
	}
	return r, nil
}

func (p *fakeProvider) LatestRoundRequested(context.Context,
	*medianv1.LatestRoundRequestedRequest) (*medianv1.LatestRoundRequestedResponse, error) {
	return &medianv1.LatestRoundRequestedResponse{
		Timestamp: &reportingv1.ReportTimestamp{ConfigDigest: make([]byte, 32)}}, nil
}

func (p *fakeProvider) BuildReport(ctx context.Context,
	r *medianv1.BuildReportRequest) (*medianv1.BuildReportResponse, error) {
	var observations []libocr.ParsedAttributedObservation
	for _, o := range r.GetObservations() {
		observations = append(observations, libocr.ParsedAttributedObservation{
			Timestamp: uint32(o.GetTimestamp().GetSeconds()), Value: wire.Int(o.GetValue()),
			JuelsPerFeeCoin:  wire.Int(o.GetJuelsPerFeeCoin()),
			GasPriceSubunits: wire.Int(o.GetGasPriceSubunits()), Observer: commontypes.OracleID(o.GetObserver()),
		})
	}
	report, err := evmreportcodec.ReportCodec{}.BuildReport(ctx, observations)
	return &medianv1.BuildReportResponse{Report: report}, err
}

func (p *fakeProvider) MedianFromReport(ctx context.Context,
	r *medianv1.MedianFromReportRequest) (*medianv1.MedianFromReportResponse, error) {
	answer, err := evmreportcodec.ReportCodec{}.MedianFromReport(ctx, r.GetReport())
	return &medianv1.MedianFromReportResponse{Median: wire.BigInt(answer)}, err
}

func (p *fakeProvider) MaxReportLength(ctx context.Context,
	r *medianv1.MaxReportLengthRequest) (*medianv1.MaxReportLengthResponse, error) {
	n, err := evmreportcodec.ReportCodec{}.MaxReportLength(ctx, int(r.GetN()))
	return &medianv1.MaxReportLengthResponse{MaxReportLength: uint32(n)}, err
}

func (p *fakeProvider) EncodeOnchainConfig(ctx context.Context,
	r *medianv1.EncodeOnchainConfigRequest) (*medianv1.EncodeOnchainConfigResponse, error) {
	b, err := libocr.StandardOnchainConfigCodec{}.Encode(ctx,
		libocr.OnchainConfig{Min: wire.Int(r.GetConfig().GetMin()), Max: wire.Int(r.GetConfig().GetMax())})
	return &medianv1.EncodeOnchainConfigResponse{Encoded: b}, err
}

func (p *fakeProvider) DecodeOnchainConfig(ctx context.Context,
	r *medianv1.DecodeOnchainConfigRequest) (*medianv1.DecodeOnchainConfigResponse, error) {
	c, err := libocr.StandardOnchainConfigCodec{}.Decode(ctx, r.GetEncoded())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	return &medianv1.DecodeOnchainConfigResponse{Config: &medianv1.OnchainConfig{Min: wire.BigInt(c.Min),
		Max: wire.BigInt(c.Max)}}, nil
}

// fakeMedian is a median that behaves as its mode says.
type fakeMedian struct {
	mu       sync.Mutex
	mode     string
	asked    int // for acceptance
	released int
}

func (m *fakeMedian) become(mode string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mode = mode
}

func (m *fakeMedian) now() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mode
}

func (m *fakeMedian) CreateMedianFactory(_ context.Context, _ *medianv1.CreateMedianFactoryRequest,
	_ medianv1loop.CreateMedianFactoryLoans) (medianv1loop.MedianFactory, *medianv1.CreateMedianFactoryResponse, error) {
	switch m.now() {
	case "refuse-factory":
		return nil, nil, status.Error(codes.InvalidArgument, "the fake knows no such deviation function")
	case "old-factory":
		return nil, nil, status.Error(codes.Unimplemented, "the fake has no such call")
	case "away-factory":
		return nil, nil, status.Error(codes.Unavailable, "the fake is not ready")
	}
	return &fakeFactory{m}, &medianv1.CreateMedianFactoryResponse{}, nil
}

type fakeFactory struct{ median *fakeMedian }

func (f *fakeFactory) CreateReportingPlugin(ctx context.Context,
	_ *reportingv1.CreateReportingPluginRequest) (
	reportingv1loop.ReportingPlugin, *reportingv1.CreateReportingPluginResponse, error) {
	response := &reportingv1.CreateReportingPluginResponse{Product: "fake",
		Limits: &reportingv1.ReportingPluginLimits{MaxObservationLength: 92, MaxReportLength: 288}}
	switch mode := f.median.now(); {
	case mode == "hang-init":
		for f.median.now() == mode && ctx.Err() == nil {
			time.Sleep(10 * time.Millisecond)
		}
	case mode == "refuse-config":
		return nil, nil, status.Error(codes.InvalidArgument, "the fake cannot run this configuration")
	case mode == "away-init":
		return nil, nil, status.Error(codes.Unavailable, "the fake's chain is away")
	case len(mode) > 6 && mode[:6] == "grows:" && !once(mode[6:]):
		response.Limits.MaxReportLength = 100_000
	case mode == "large":
		response.Limits.MaxReportLength = types.MaxMaxReportLength + 1
	case mode == "init-panic":
		panic("the fake panics as asked")
	}
	return &fakeInstance{f.median}, response, nil
}

type fakeInstance struct{ median *fakeMedian }

func (i *fakeInstance) Close() error {
	i.median.mu.Lock()
	defer i.median.mu.Unlock()
	i.median.released++
	return nil
}

func (i *fakeInstance) Query(ctx context.Context, _ *reportingv1.QueryRequest) (*reportingv1.QueryResponse, error) {
	if i.median.now() == "hang" {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	deadline, _ := ctx.Deadline()
	return &reportingv1.QueryResponse{Query: []byte(time.Until(deadline).String())}, nil
}

func (i *fakeInstance) Observation(ctx context.Context,
	_ *reportingv1.ObservationRequest) (*reportingv1.ObservationResponse, error) {
	switch i.median.now() {
	case "hang":
		<-ctx.Done()
		return nil, ctx.Err()
	case "panic":
		panic("the fake panics as asked")
	}
	return &reportingv1.ObservationResponse{Observation: []byte(fmt.Sprint(os.Getpid()))}, nil
}

func (i *fakeInstance) Report(_ context.Context, r *reportingv1.ReportRequest) (*reportingv1.ReportResponse, error) {
	return &reportingv1.ReportResponse{ShouldReport: true,
		Report: bytes.Join([][]byte{r.GetQuery(), r.GetObservations()[0].GetObservation()}, nil)}, nil
}

// ShouldAcceptFinalizedReport says yes, and dies under the call or fails as the mode says.
func (i *fakeInstance) ShouldAcceptFinalizedReport(ctx context.Context,
	r *reportingv1.ShouldAcceptFinalizedReportRequest) (*reportingv1.ShouldAcceptFinalizedReportResponse, error) {
	i.median.mu.Lock()
	i.median.asked++
	i.median.mu.Unlock()
	switch mode := i.median.now(); {
	case mode == "hang":
		<-ctx.Done()
		return nil, ctx.Err()
	case mode == "away":
		return nil, status.Error(codes.Unavailable, "the fake's chain is away")
	case len(mode) > 4 && mode[:4] == "die:" && once(mode[4:]):
		die()
	case mode == "no":
		return &reportingv1.ShouldAcceptFinalizedReportResponse{}, nil
	}
	return &reportingv1.ShouldAcceptFinalizedReportResponse{ShouldAccept: true}, nil
}

func (i *fakeInstance) ShouldTransmitAcceptedReport(ctx context.Context,
	_ *reportingv1.ShouldTransmitAcceptedReportRequest) (*reportingv1.ShouldTransmitAcceptedReportResponse, error) {
	if i.median.now() == "hang" {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return &reportingv1.ShouldTransmitAcceptedReportResponse{ShouldTransmit: true}, nil
}
