package loophost_test

import (
	"bytes"
	"context"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	"github.com/loop-plugins/loop/gen/go/loop/median/v1/medianv1loop"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/gen/go/loop/reporting/v1/reportingv1loop"
	"github.com/loop-plugins/loop/sdk/go/loop"
	"github.com/loop-plugins/loop/sdk/go/loop/fault"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// TestMain is also the fakes' main: the host under test starts this binary again as its plugin.
func TestMain(m *testing.M) {
	switch cookie := os.Getenv(wire.CookieKey); {
	case os.Getenv("FAKE_GARBAGE") != "":
		fmt.Println(os.Getenv("FAKE_GARBAGE"))
		time.Sleep(time.Minute)
	case os.Getenv("FAKE_CHILD") != "":
		eat(os.Getenv("FAKE_CHILD"))
	case os.Getenv(plainKey) != "":
		servePlain()
	case os.Getenv("FAKE_EXIT") != "":
		fmt.Fprintln(os.Stderr, "the fake has had enough")
		os.Exit(3)
	case cookie == relayerv1loop.RelayerKind().Cookie:
		serveFake(relayerv1loop.RelayerPlugin(newFakeRelayer))
	case cookie == medianv1loop.MedianKind().Cookie:
		serveFake(medianv1loop.MedianPlugin(newFakeMedian))
	default:
		goleak.VerifyTestMain(m)
	}
}

// eat takes 256 MiB of memory as soon as somebody has written to the pipe, and holds it.
func eat(pipe string) {
	if _, err := os.ReadFile(pipe); err != nil {
		panic(err)
	}
	eaten := bytes.Repeat([]byte{1}, 256<<20) // written to, so that it is resident
	time.Sleep(time.Minute)
	runtime.KeepAlive(eaten)
}

// serveFake serves a fake, broken as its environment says.
func serveFake(p loop.Plugin) {
	broken, err := fault.Environment(p)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	loop.Serve(broken)
}

// fakeRelayer is a relayer without a chain: it counts, fails and dies as its configuration says.
type fakeRelayer struct {
	relayerv1.UnimplementedRelayerServiceServer
	host *loop.Host
}

func newFakeRelayer(h *loop.Host) relayerv1loop.RelayerService { return &fakeRelayer{host: h} }

func (r *fakeRelayer) CreateChain(ctx context.Context, req *relayerv1.CreateChainRequest,
	loans relayerv1loop.CreateChainLoans) (relayerv1loop.Chain, *relayerv1.CreateChainResponse, error) {
	switch c := string(req.GetConfigToml()); {
	case c == "invalid":
		return nil, nil, status.Error(codes.InvalidArgument, "no such chain")
	case c == "panic":
		panic("as configured")
	case c == "callback":
		// A constructor may call what was lent to it.
		if _, err := loans.Keystore.ListAccounts(ctx, &hostservicev1.ListAccountsRequest{}); err != nil {
			return nil, nil, err
		}
	case strings.HasPrefix(c, "fail-until "):
		if _, err := os.Stat(strings.TrimPrefix(c, "fail-until ")); err != nil {
			return nil, nil, status.Error(codes.Unavailable, "not yet")
		}
	}
	return &fakeChain{loans: loans, config: string(req.GetConfigToml())}, &relayerv1.CreateChainResponse{}, nil
}

func (*fakeRelayer) WatchContractConfigs(_ *relayerv1.WatchContractConfigsRequest,
	s grpc.ServerStreamingServer[relayerv1.WatchContractConfigsResponse]) error {
	if err := s.Send(&relayerv1.WatchContractConfigsResponse{Provider: "x", ConfigDigest: make([]byte, 32)}); err != nil {
		return err
	}
	<-s.Context().Done()
	return s.Context().Err()
}

type fakeChain struct {
	relayerv1.UnimplementedChainServiceServer
	loans  relayerv1loop.CreateChainLoans
	config string
	heads  atomic.Uint64
	eaten  [][]byte
}

func (c *fakeChain) CreateProvider(context.Context,
	*relayerv1.CreateProviderRequest) (relayerv1loop.Provider, *relayerv1.CreateProviderResponse, error) {
	return &fakeProvider{chain: c}, &relayerv1.CreateProviderResponse{}, nil
}

func (c *fakeChain) LatestHead(context.Context, *relayerv1.LatestHeadRequest) (*relayerv1.LatestHeadResponse, error) {
	switch c.config {
	case "poison":
		os.Exit(9)
	case "glutton":
		c.eaten = append(c.eaten, bytes.Repeat([]byte{1}, 64<<20)) // written to, so that it is resident
	}
	if pipe, ok := strings.CutPrefix(c.config, "parent "); ok {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), "FAKE_CHILD="+pipe)
		if err := child.Start(); err != nil {
			return nil, err
		}
	}
	return &relayerv1.LatestHeadResponse{Number: c.heads.Add(1), Timestamp: timestamppb.Now()}, nil
}

func (c *fakeChain) ChainStatus(ctx context.Context,
	_ *relayerv1.ChainStatusRequest) (*relayerv1.ChainStatusResponse, error) {
	r, err := c.loans.Keystore.ListAccounts(ctx, &hostservicev1.ListAccountsRequest{})
	if err != nil {
		return nil, err
	}
	return &relayerv1.ChainStatusResponse{ChainId: strings.Join(r.GetAccounts(), ",")}, nil
}

func (*fakeChain) ListNodeStatuses(ctx context.Context,
	_ *relayerv1.ListNodeStatusesRequest) (*relayerv1.ListNodeStatusesResponse, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (*fakeChain) Transact(context.Context, *relayerv1.TransactRequest) (*relayerv1.TransactResponse, error) {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

func (*fakeChain) Replay(context.Context, *relayerv1.ReplayRequest) (*relayerv1.ReplayResponse, error) {
	panic("as asked")
}

// fakeProvider answers constants.
type fakeProvider struct {
	relayerv1.UnimplementedReportDigestServiceServer
	chain *fakeChain
}

func (*fakeProvider) LatestConfigDetails(context.Context,
	*relayerv1.LatestConfigDetailsRequest) (*relayerv1.LatestConfigDetailsResponse, error) {
	return &relayerv1.LatestConfigDetailsResponse{ConfigDigest: make([]byte, 31)}, nil // breaks the contract on purpose
}
func (*fakeProvider) LatestConfig(context.Context,
	*relayerv1.LatestConfigRequest) (*relayerv1.LatestConfigResponse, error) {
	return nil, status.Error(codes.NotFound, "none")
}
func (*fakeProvider) LatestBlockHeight(context.Context,
	*relayerv1.LatestBlockHeightRequest) (*relayerv1.LatestBlockHeightResponse, error) {
	return &relayerv1.LatestBlockHeightResponse{BlockHeight: 7}, nil
}
func (*fakeProvider) ConfigDigest(context.Context,
	*relayerv1.ConfigDigestRequest) (*relayerv1.ConfigDigestResponse, error) {
	return &relayerv1.ConfigDigestResponse{ConfigDigest: make([]byte, 32)}, nil
}
func (*fakeProvider) ConfigDigestPrefix(context.Context,
	*relayerv1.ConfigDigestPrefixRequest) (*relayerv1.ConfigDigestPrefixResponse, error) {
	return &relayerv1.ConfigDigestPrefixResponse{Prefix: 1}, nil
}
func (*fakeProvider) Transmit(context.Context, *relayerv1.TransmitRequest) (*relayerv1.TransmitResponse, error) {
	return &relayerv1.TransmitResponse{}, nil
}
func (*fakeProvider) LatestConfigDigestAndEpoch(context.Context,
	*relayerv1.LatestConfigDigestAndEpochRequest) (*relayerv1.LatestConfigDigestAndEpochResponse, error) {
	return &relayerv1.LatestConfigDigestAndEpochResponse{ConfigDigest: make([]byte, 32)}, nil
}
func (*fakeProvider) FromAccount(context.Context,
	*relayerv1.FromAccountRequest) (*relayerv1.FromAccountResponse, error) {
	return &relayerv1.FromAccountResponse{Account: "a"}, nil
}
func (*fakeProvider) LatestTransmissionDetails(context.Context,
	*medianv1.LatestTransmissionDetailsRequest) (*medianv1.LatestTransmissionDetailsResponse, error) {
	return &medianv1.LatestTransmissionDetailsResponse{
		Timestamp: &reportingv1.ReportTimestamp{ConfigDigest: make([]byte, 32)}, LatestAnswer: wire.BigInt(big.NewInt(1)),
		LatestTimestamp: timestamppb.Now(),
	}, nil
}
func (*fakeProvider) LatestRoundRequested(context.Context,
	*medianv1.LatestRoundRequestedRequest) (*medianv1.LatestRoundRequestedResponse, error) {
	return &medianv1.LatestRoundRequestedResponse{
		Timestamp: &reportingv1.ReportTimestamp{ConfigDigest: make([]byte, 32)}}, nil
}
func (*fakeProvider) BuildReport(context.Context, *medianv1.BuildReportRequest) (*medianv1.BuildReportResponse, error) {
	return &medianv1.BuildReportResponse{}, nil
}
func (*fakeProvider) MedianFromReport(context.Context,
	*medianv1.MedianFromReportRequest) (*medianv1.MedianFromReportResponse, error) {
	return &medianv1.MedianFromReportResponse{Median: wire.BigInt(big.NewInt(1))}, nil
}
func (*fakeProvider) MaxReportLength(_ context.Context,
	r *medianv1.MaxReportLengthRequest) (*medianv1.MaxReportLengthResponse, error) {
	return &medianv1.MaxReportLengthResponse{MaxReportLength: r.GetN() * 32}, nil
}
func (*fakeProvider) EncodeOnchainConfig(context.Context,
	*medianv1.EncodeOnchainConfigRequest) (*medianv1.EncodeOnchainConfigResponse, error) {
	return &medianv1.EncodeOnchainConfigResponse{}, nil
}
func (*fakeProvider) DecodeOnchainConfig(context.Context,
	*medianv1.DecodeOnchainConfigRequest) (*medianv1.DecodeOnchainConfigResponse, error) {
	return nil, status.Error(codes.InvalidArgument, "no config")
}

// fakeMedian is a median that asks the lent provider in its constructor and its calls.
type fakeMedian struct{ host *loop.Host }

func newFakeMedian(h *loop.Host) medianv1loop.MedianService { return &fakeMedian{host: h} }

func (m *fakeMedian) CreateMedianFactory(_ context.Context, _ *medianv1.CreateMedianFactoryRequest,
	loans medianv1loop.CreateMedianFactoryLoans) (
	medianv1loop.MedianFactory, *medianv1.CreateMedianFactoryResponse, error) {
	return &fakeFactory{loans: loans}, &medianv1.CreateMedianFactoryResponse{}, nil
}

type fakeFactory struct {
	loans medianv1loop.CreateMedianFactoryLoans
}

func (f *fakeFactory) CreateReportingPlugin(ctx context.Context,
	r *reportingv1.CreateReportingPluginRequest) (
	reportingv1loop.ReportingPlugin, *reportingv1.CreateReportingPluginResponse, error) {
	length, err := f.loans.Provider.MaxReportLength(ctx, &medianv1.MaxReportLengthRequest{N: r.GetN()})
	if err != nil {
		return nil, nil, err
	}
	return &fakePlugin{f}, &reportingv1.CreateReportingPluginResponse{Product: "fake",
		Limits: &reportingv1.ReportingPluginLimits{MaxReportLength: length.GetMaxReportLength()}}, nil
}

type fakePlugin struct{ f *fakeFactory }

func (*fakePlugin) Query(context.Context, *reportingv1.QueryRequest) (*reportingv1.QueryResponse, error) {
	return &reportingv1.QueryResponse{Query: []byte(fmt.Sprint(os.Getpid()))}, nil
}
func (p *fakePlugin) Observation(ctx context.Context,
	r *reportingv1.ObservationRequest) (*reportingv1.ObservationResponse, error) {
	v, err := p.f.loans.ValueSource.Observe(ctx, &hostservicev1.ObserveRequest{Timestamp: r.GetTimestamp()})
	if err != nil {
		return nil, err
	}
	return &reportingv1.ObservationResponse{Observation: v.GetValue().GetMagnitude()}, nil
}

// Report asks the provider once, and once more for each byte of the query.
func (p *fakePlugin) Report(ctx context.Context,
	request *reportingv1.ReportRequest) (*reportingv1.ReportResponse, error) {
	r, err := p.f.loans.Provider.MedianFromReport(ctx, &medianv1.MedianFromReportRequest{})
	for range request.GetQuery() {
		if err == nil {
			r, err = p.f.loans.Provider.MedianFromReport(ctx, &medianv1.MedianFromReportRequest{})
		}
	}
	if err != nil {
		return nil, err
	}
	return &reportingv1.ReportResponse{ShouldReport: true, Report: r.GetMedian().GetMagnitude()}, nil
}
func (*fakePlugin) ShouldAcceptFinalizedReport(context.Context,
	*reportingv1.ShouldAcceptFinalizedReportRequest) (*reportingv1.ShouldAcceptFinalizedReportResponse, error) {
	return &reportingv1.ShouldAcceptFinalizedReportResponse{ShouldAccept: true}, nil
}
func (*fakePlugin) ShouldTransmitAcceptedReport(ctx context.Context,
	_ *reportingv1.ShouldTransmitAcceptedReportRequest) (*reportingv1.ShouldTransmitAcceptedReportResponse, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}
