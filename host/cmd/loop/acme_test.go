package main

import (
	"bytes"
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	pluginv1 "github.com/loop-plugins/loop/gen/go/loop/plugin/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/sdk/go/loop"
)

// acme is a fake: the relayer of a chain that does not exist and that no part of the node has heard of.
type acme struct {
	relayerv1.UnimplementedRelayerServiceServer
}

func serveAcme() {
	relayerv1loop.ServeRelayer(func(*loop.Host) relayerv1loop.RelayerService { return acme{} })
}

func (acme) DescribeRelayer(context.Context,
	*relayerv1.DescribeRelayerRequest) (*relayerv1.DescribeRelayerResponse, error) {
	return &relayerv1.DescribeRelayerResponse{
		Relay: "acme", Section: "Acme", AccountAlgorithm: relayerv1.AccountAlgorithm_ACCOUNT_ALGORITHM_ED25519,
		ReportSchemes: []*relayerv1.ReportScheme{{Name: "default",
			Algorithm: relayerv1.ReportAlgorithm_REPORT_ALGORITHM_STARK}},
		ReferenceToml: "# The chain's name.\nChainID = 'one'\n# How fast it goes.\nSpeed = 'slow'\n",
		ProviderTypes: []string{"median", "config"},
	}, nil
}

func (acme) DescribeAccounts(_ context.Context,
	r *relayerv1.DescribeAccountsRequest) (*relayerv1.DescribeAccountsResponse, error) {
	response := &relayerv1.DescribeAccountsResponse{}
	for _, key := range r.GetPublicKeys() {
		response.Names = append(response.Names, fmt.Sprintf("acme-%x", key[:4]))
	}
	return response, nil
}

func (acme) NormalizeIds(_ context.Context, r *relayerv1.NormalizeIdsRequest) (*relayerv1.NormalizeIdsResponse, error) {
	response := &relayerv1.NormalizeIdsResponse{}
	for _, id := range r.GetIds() {
		response.Ids = append(response.Ids, &relayerv1.NormalizedId{Text: id.GetText()})
	}
	return response, nil
}

func (acme) ValidateChain(_ context.Context,
	r *relayerv1.ValidateChainRequest) (*relayerv1.ValidateChainResponse, error) {
	response := &relayerv1.ValidateChainResponse{}
	if bytes.Contains(r.GetConfigToml(), []byte("warp")) {
		response.Problems = append(response.Problems, &pluginv1.Problem{Path: "Speed", Message: "is too fast; write slow"})
	}
	return response, nil
}

func (acme) ValidateJob(_ context.Context, r *relayerv1.ValidateJobRequest) (*relayerv1.ValidateJobResponse, error) {
	response := &relayerv1.ValidateJobResponse{
		RelayConfigJson: r.GetRelayConfigJson(), ContractKey: r.GetContractId(), TransmitterKey: r.GetTransmitterId(),
		FromAccount: r.GetTransmitterId(),
	}
	if bytes.Contains(r.GetRelayConfigJson(), []byte("warp")) {
		response.Problems = append(response.Problems, &pluginv1.Problem{Path: "relayConfig.speed", Message: "is too fast"})
	}
	return response, nil
}

func (acme) CreateChain(context.Context, *relayerv1.CreateChainRequest,
	relayerv1loop.CreateChainLoans) (relayerv1loop.Chain, *relayerv1.CreateChainResponse, error) {
	return acmeChain{}, &relayerv1.CreateChainResponse{}, nil
}

func (acme) WatchContractConfigs(_ *relayerv1.WatchContractConfigsRequest,
	s grpc.ServerStreamingServer[relayerv1.WatchContractConfigsResponse]) error {
	<-s.Context().Done()
	return s.Context().Err()
}

// acmeChain is its chain, at whose one node every answer is the same.
type acmeChain struct{ relayerv1loop.Chain }

func (acmeChain) LatestHead(context.Context, *relayerv1.LatestHeadRequest) (*relayerv1.LatestHeadResponse, error) {
	return &relayerv1.LatestHeadResponse{Number: 1, Timestamp: timestamppb.Now()}, nil
}

func (acmeChain) ListNodeStatuses(context.Context,
	*relayerv1.ListNodeStatusesRequest) (*relayerv1.ListNodeStatusesResponse, error) {
	return &relayerv1.ListNodeStatusesResponse{
		Nodes: []*relayerv1.NodeStatus{{Name: "only", State: relayerv1.NodeState_NODE_STATE_ALIVE}}}, nil
}

func (acmeChain) ChainStatus(context.Context, *relayerv1.ChainStatusRequest) (*relayerv1.ChainStatusResponse, error) {
	return &relayerv1.ChainStatusResponse{ChainId: "one"}, nil
}
