package nodetest

import (
	"context"
	"fmt"
	"math/big"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	hostservicev1 "github.com/loop-plugins/loop/gen/go/loop/hostservice/v1"
	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/host/internal/fallback"
	"github.com/loop-plugins/loop/sdk/go/loop"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// Relayer is a relayer that finds all that it is asked to check good. Its names of accounts have small letters, and its
// chains say which accounts they were lent, and sign with whichever they are asked to.
type Relayer struct {
	Description *relayerv1.DescribeRelayerResponse
}

// Acme returns a relayer of chains that do not exist.
func Acme() Relayer {
	return Relayer{&relayerv1.DescribeRelayerResponse{
		Relay: "acme", Section: "Acme", AccountAlgorithm: relayerv1.AccountAlgorithm_ACCOUNT_ALGORITHM_SECP256K1,
		ReportSchemes: []*relayerv1.ReportScheme{{Name: "default",
			Algorithm: relayerv1.ReportAlgorithm_REPORT_ALGORITHM_ED25519}},
		ReferenceToml: "# The chain's id.\nChainID = '1'\n", ProviderTypes: []string{"median", "config"},
		Features: []relayerv1.Feature{relayerv1.Feature_FEATURE_READ_CONTRACT},
	}}
}

// Inside returns a relayer as a plugin that is built in.
func Inside(r relayerv1loop.RelayerService) fallback.Plugin {
	return fallback.Plugin{New: func() loop.Plugin {
		return relayerv1loop.RelayerPlugin(func(*loop.Host) relayerv1loop.RelayerService { return r })
	}}
}

// DescribeRelayer implements relayerv1loop.RelayerService.
func (a Relayer) DescribeRelayer(context.Context,
	*relayerv1.DescribeRelayerRequest) (*relayerv1.DescribeRelayerResponse, error) {
	return a.Description, nil
}

// DescribeAccounts implements relayerv1loop.RelayerService.
func (Relayer) DescribeAccounts(_ context.Context,
	r *relayerv1.DescribeAccountsRequest) (*relayerv1.DescribeAccountsResponse, error) {
	response := &relayerv1.DescribeAccountsResponse{}
	for _, key := range r.GetPublicKeys() {
		response.Names = append(response.Names, fmt.Sprintf("account-%x", key[1:9]))
	}
	return response, nil
}

// NormalizeIds implements relayerv1loop.RelayerService.
func (Relayer) NormalizeIds(_ context.Context,
	r *relayerv1.NormalizeIdsRequest) (*relayerv1.NormalizeIdsResponse, error) {
	response := &relayerv1.NormalizeIdsResponse{}
	for _, id := range r.GetIds() {
		response.Ids = append(response.Ids, &relayerv1.NormalizedId{Text: strings.ToLower(id.GetText())})
	}
	return response, nil
}

// ValidateChain implements relayerv1loop.RelayerService.
func (Relayer) ValidateChain(context.Context,
	*relayerv1.ValidateChainRequest) (*relayerv1.ValidateChainResponse, error) {
	return &relayerv1.ValidateChainResponse{}, nil
}

// ValidateJob implements relayerv1loop.RelayerService.
func (Relayer) ValidateJob(_ context.Context,
	r *relayerv1.ValidateJobRequest) (*relayerv1.ValidateJobResponse, error) {
	account := strings.ToLower(r.GetTransmitterId())
	return &relayerv1.ValidateJobResponse{
		RelayConfigJson: r.GetRelayConfigJson(), ContractKey: strings.ToLower(r.GetContractId()), TransmitterKey: account,
		FromAccount: account,
	}, nil
}

// CreateChain implements relayerv1loop.RelayerService.
func (Relayer) CreateChain(_ context.Context, _ *relayerv1.CreateChainRequest,
	loans relayerv1loop.CreateChainLoans) (relayerv1loop.Chain, *relayerv1.CreateChainResponse, error) {
	return &Chain{Loans: loans}, &relayerv1.CreateChainResponse{}, nil
}

// WatchContractConfigs implements relayerv1loop.RelayerService. No contract changes.
func (Relayer) WatchContractConfigs(_ *relayerv1.WatchContractConfigsRequest,
	s grpc.ServerStreamingServer[relayerv1.WatchContractConfigsResponse]) error {
	<-s.Context().Done()
	return s.Context().Err()
}

// Chain is a chain of a Relayer.
type Chain struct {
	relayerv1loop.Chain // for what no test calls
	Loans               relayerv1loop.CreateChainLoans
	eaten               [][]byte
}

// LatestHead takes 16 MiB for good.
func (c *Chain) LatestHead(context.Context, *relayerv1.LatestHeadRequest) (*relayerv1.LatestHeadResponse, error) {
	b := make([]byte, 16<<20)
	for i := 0; i < len(b); i += 4096 {
		b[i] = 1 // so that it is resident
	}
	c.eaten = append(c.eaten, b)
	return &relayerv1.LatestHeadResponse{Timestamp: timestamppb.Now()}, nil
}

// ListNodeStatuses implements relayerv1loop.Chain.
func (c *Chain) ListNodeStatuses(ctx context.Context,
	_ *relayerv1.ListNodeStatusesRequest) (*relayerv1.ListNodeStatusesResponse, error) {
	lent, err := c.Loans.Keystore.ListAccounts(ctx, &hostservicev1.ListAccountsRequest{})
	if err != nil {
		return nil, err
	}
	r := &relayerv1.ListNodeStatusesResponse{}
	for _, account := range lent.GetAccounts() {
		r.Nodes = append(r.Nodes, &relayerv1.NodeStatus{Name: account, State: relayerv1.NodeState_NODE_STATE_ALIVE})
	}
	return r, nil
}

// ChainStatus implements relayerv1loop.Chain.
func (*Chain) ChainStatus(context.Context, *relayerv1.ChainStatusRequest) (*relayerv1.ChainStatusResponse, error) {
	return &relayerv1.ChainStatusResponse{ChainId: "1"}, nil
}

// Transact implements relayerv1loop.Chain.
func (c *Chain) Transact(ctx context.Context, r *relayerv1.TransactRequest) (*relayerv1.TransactResponse, error) {
	signed, err := c.Loans.Keystore.Sign(ctx, &hostservicev1.SignRequest{Account: r.GetFrom(), Data: make([]byte, 32)})
	if err != nil {
		return nil, err
	}
	return &relayerv1.TransactResponse{TransactionHash: strings.Repeat("0", len(signed.GetSignature()))}, nil
}

// ReadContract answers with what it was asked.
func (*Chain) ReadContract(_ context.Context,
	r *relayerv1.ReadContractRequest) (*relayerv1.ReadContractResponse, error) {
	switch r.GetBlock() {
	case "earliest":
		return nil, status.Error(codes.Unimplemented, "it reads none")
	case "safe":
		return nil, status.Error(codes.FailedPrecondition, `the contract reverts the call: "asleep"`)
	}
	asked := []string{r.GetContractId(), string(r.GetCallData()), r.GetFrom(), r.GetBlock()}
	if r.GetGasLimit() != 7 {
		asked = append(asked, "with another limit of gas")
	}
	return &relayerv1.ReadContractResponse{ReturnData: []byte(strings.Join(asked, " "))}, nil
}

// CreateProvider implements relayerv1loop.Chain.
func (*Chain) CreateProvider(context.Context,
	*relayerv1.CreateProviderRequest) (relayerv1loop.Provider, *relayerv1.CreateProviderResponse, error) {
	return &Provider{}, &relayerv1.CreateProviderResponse{}, nil
}

// Provider answers what a median asks while it is made. Its contract has no configuration.
type Provider struct {
	relayerv1.UnimplementedContractConfigServiceServer
	relayerv1.UnimplementedContractTransmitterServiceServer
	relayerv1.UnimplementedReportDigestServiceServer
	medianv1.UnimplementedMedianContractServiceServer
	medianv1.UnimplementedReportCodecServiceServer
	medianv1.UnimplementedOnchainConfigCodecServiceServer
}

// LatestBlockHeight implements relayerv1loop.Provider.
func (*Provider) LatestBlockHeight(context.Context,
	*relayerv1.LatestBlockHeightRequest) (*relayerv1.LatestBlockHeightResponse, error) {
	return &relayerv1.LatestBlockHeightResponse{BlockHeight: 1}, nil
}

// LatestConfigDetails implements relayerv1loop.Provider.
func (*Provider) LatestConfigDetails(context.Context,
	*relayerv1.LatestConfigDetailsRequest) (*relayerv1.LatestConfigDetailsResponse, error) {
	return &relayerv1.LatestConfigDetailsResponse{ConfigDigest: make([]byte, 32)}, nil
}

// MaxReportLength implements relayerv1loop.Provider.
func (*Provider) MaxReportLength(_ context.Context,
	r *medianv1.MaxReportLengthRequest) (*medianv1.MaxReportLengthResponse, error) {
	return &medianv1.MaxReportLengthResponse{MaxReportLength: 128 + r.GetN()*32}, nil
}

// DecodeOnchainConfig implements relayerv1loop.Provider.
func (*Provider) DecodeOnchainConfig(context.Context,
	*medianv1.DecodeOnchainConfigRequest) (*medianv1.DecodeOnchainConfigResponse, error) {
	return &medianv1.DecodeOnchainConfigResponse{Config: &medianv1.OnchainConfig{Min: wire.BigInt(big.NewInt(1)),
		Max: wire.BigInt(big.NewInt(1e12))}}, nil
}
