// Package faulty is a relayer and a median that work, and break on request: by the SDK's own faults (fault.Key in the
// environment), by a chain's configuration, or by a whole process that is not a plugin.
//
// It must not know what is measured.
package faulty

import (
	"context"
	"fmt"
	"math/big"
	"os"
	"runtime"
	"sync/atomic"

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

// Configurations of a chain.
const (
	// Glutton has every LatestHead take 32 MiB of memory for good.
	Glutton = "glutton"
	// Noise, followed by what to write, as in Noise + "stderr 1024", has LatestHead write; see noise.
	Noise = "noise "
)

// RawKey in the environment has the process answer with bytes that are no frames of HTTP/2.
const RawKey = "CHAOS_RAW"

// Serve is a plugin's main. It returns false where this process is not a plugin.
func Serve() (bool, error) {
	var p loop.Plugin
	switch os.Getenv(wire.CookieKey) {
	case "":
		return false, nil
	case relayerv1loop.RelayerKind().Cookie:
		if os.Getenv(RawKey) != "" {
			return true, serveRaw()
		}
		p = Relayer()
	case medianv1loop.MedianKind().Cookie:
		p = Median()
	default:
		return true, fmt.Errorf("no plugin for the cookie %q is here", os.Getenv(wire.CookieKey))
	}
	broken, err := fault.Environment(p)
	if err != nil {
		return true, err
	}
	loop.Serve(broken)
	return true, nil
}

// Relayer is the relayer, for a process or for the host's own.
func Relayer() loop.Plugin {
	return relayerv1loop.RelayerPlugin(func(*loop.Host) relayerv1loop.RelayerService { return relayer{} })
}

// Median is the median.
func Median() loop.Plugin {
	return medianv1loop.MedianPlugin(func(*loop.Host) medianv1loop.MedianService { return median{} })
}

type relayer struct {
	relayerv1.UnimplementedRelayerServiceServer
}

func (relayer) CreateChain(_ context.Context, r *relayerv1.CreateChainRequest,
	_ relayerv1loop.CreateChainLoans) (relayerv1loop.Chain, *relayerv1.CreateChainResponse, error) {
	return &chain{config: string(r.GetConfigToml())}, &relayerv1.CreateChainResponse{}, nil
}

func (relayer) WatchContractConfigs(_ *relayerv1.WatchContractConfigsRequest,
	s grpc.ServerStreamingServer[relayerv1.WatchContractConfigsResponse]) error {
	<-s.Context().Done()
	return s.Context().Err()
}

type chain struct {
	relayerv1.UnimplementedChainServiceServer
	config string
	heads  atomic.Uint64
	eaten  [][]byte
}

func (c *chain) LatestHead(context.Context, *relayerv1.LatestHeadRequest) (*relayerv1.LatestHeadResponse, error) {
	if c.config == Glutton {
		b := make([]byte, 32<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1 // so that it is resident
		}
		c.eaten = append(c.eaten, b)
	}
	if err := noise(c.config); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	return &relayerv1.LatestHeadResponse{Number: c.heads.Add(1), Timestamp: timestamppb.Now()}, nil
}

// ListNodeStatuses takes as long as its caller waits.
func (*chain) ListNodeStatuses(ctx context.Context,
	_ *relayerv1.ListNodeStatusesRequest) (*relayerv1.ListNodeStatusesResponse, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// ChainStatus frees what memory is garbage, before it is measured.
func (c *chain) ChainStatus(context.Context, *relayerv1.ChainStatusRequest) (*relayerv1.ChainStatusResponse, error) {
	runtime.GC()
	return &relayerv1.ChainStatusResponse{ChainId: "1"}, nil
}

func (*chain) Transact(context.Context, *relayerv1.TransactRequest) (*relayerv1.TransactResponse, error) {
	return nil, status.Error(codes.Unimplemented, "there is no chain")
}

func (*chain) Replay(context.Context, *relayerv1.ReplayRequest) (*relayerv1.ReplayResponse, error) {
	return &relayerv1.ReplayResponse{}, nil
}

func (*chain) CreateProvider(context.Context,
	*relayerv1.CreateProviderRequest) (relayerv1loop.Provider, *relayerv1.CreateProviderResponse, error) {
	return provider{}, &relayerv1.CreateProviderResponse{}, nil
}

// provider answers what a median asks while it is made and used; of a contract it knows nothing.
type provider struct{ relayerv1loop.Provider }

func (provider) MaxReportLength(_ context.Context,
	r *medianv1.MaxReportLengthRequest) (*medianv1.MaxReportLengthResponse, error) {
	return &medianv1.MaxReportLengthResponse{MaxReportLength: 128 + r.GetN()*32}, nil
}

func (provider) DecodeOnchainConfig(context.Context,
	*medianv1.DecodeOnchainConfigRequest) (*medianv1.DecodeOnchainConfigResponse, error) {
	return &medianv1.DecodeOnchainConfigResponse{Config: &medianv1.OnchainConfig{Min: wire.BigInt(big.NewInt(1)),
		Max: wire.BigInt(big.NewInt(1e12))}}, nil
}

type median struct{}

func (median) CreateMedianFactory(_ context.Context, _ *medianv1.CreateMedianFactoryRequest,
	loans medianv1loop.CreateMedianFactoryLoans) (
	medianv1loop.MedianFactory, *medianv1.CreateMedianFactoryResponse, error) {
	return &factory{loans}, &medianv1.CreateMedianFactoryResponse{}, nil
}

type factory struct {
	loans medianv1loop.CreateMedianFactoryLoans
}

func (f *factory) CreateReportingPlugin(ctx context.Context,
	r *reportingv1.CreateReportingPluginRequest) (
	reportingv1loop.ReportingPlugin, *reportingv1.CreateReportingPluginResponse, error) {
	length, err := f.loans.Provider.MaxReportLength(ctx, &medianv1.MaxReportLengthRequest{N: r.GetN()})
	if err != nil {
		return nil, nil, err
	}
	return &instance{loans: f.loans}, &reportingv1.CreateReportingPluginResponse{
		Product: "chaos", Limits: &reportingv1.ReportingPluginLimits{MaxReportLength: length.GetMaxReportLength()},
	}, nil
}

// instance answers what is asked in a round before there is a report.
type instance struct {
	reportingv1loop.ReportingPlugin
	loans medianv1loop.CreateMedianFactoryLoans
}

// Query frees what memory is garbage, before it is measured.
func (*instance) Query(context.Context, *reportingv1.QueryRequest) (*reportingv1.QueryResponse, error) {
	runtime.GC()
	return &reportingv1.QueryResponse{}, nil
}

func (i *instance) Observation(ctx context.Context,
	r *reportingv1.ObservationRequest) (*reportingv1.ObservationResponse, error) {
	v, err := i.loans.ValueSource.Observe(ctx, &hostservicev1.ObserveRequest{Timestamp: r.GetTimestamp()})
	if err != nil {
		return nil, err
	}
	return &reportingv1.ObservationResponse{Observation: v.GetValue().GetMagnitude()}, nil
}
