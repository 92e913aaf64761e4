// Package starknet is the relayer of Starknet networks: one process of it serves every such network and every job on them.
//
// It speaks LOOP's contract on one side and Starknet's JSON-RPC 0.8 to 0.10 on the other. Of
// github.com/NethermindEth/starknet.go it uses nothing: package endpoint says why for its client, package stark for its
// hashes. It must not know the host but through the contract, nor hold a key: the host's keystore signs.
package starknet

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/sdk/go/relayer"
)

// Settings is what a Relayer is made of. Both are required; a plugin's *loop.Host has them.
type Settings struct {
	Logger *slog.Logger
	// Registerer takes the relayer's metrics. One Relayer per Registerer.
	Registerer prometheus.Registerer
}

// Relayer is the plugin's root.
type Relayer struct {
	logger  *slog.Logger
	metrics *metrics
	hub     relayer.Hub
}

var _ relayerv1loop.RelayerService = (*Relayer)(nil)

// New makes a relayer without chains.
func New(settings Settings) *Relayer {
	return &Relayer{logger: settings.Logger, metrics: newMetrics(settings.Registerer)}
}

// CreateChain implements relayerv1loop.RelayerService.
func (r *Relayer) CreateChain(_ context.Context, request *relayerv1.CreateChainRequest, loans relayerv1loop.CreateChainLoans) (relayerv1loop.Chain, *relayerv1.CreateChainResponse, error) {
	config, err := ParseConfig(request.GetConfigToml())
	if err != nil {
		return nil, nil, status.Errorf(codes.InvalidArgument, "config_toml of Starknet chain %s: %v", request.GetChainId(), err)
	}
	if config.ChainID != request.GetChainId() {
		return nil, nil, status.Errorf(codes.InvalidArgument, "config_toml: ChainID is %s, but chain_id is %s", config.ChainID, request.GetChainId())
	}
	chain, err := newChain(config, loans, r.logger.With("chain", config.ChainID), r.metrics, &r.hub)
	if err != nil {
		return nil, nil, err
	}
	return chain, &relayerv1.CreateChainResponse{}, nil
}

// WatchContractConfigs implements relayerv1loop.RelayerService.
func (r *Relayer) WatchContractConfigs(_ *relayerv1.WatchContractConfigsRequest, stream grpc.ServerStreamingServer[relayerv1.WatchContractConfigsResponse]) error {
	if err := r.hub.Watch(stream.Context(), stream.Send); err != nil && stream.Context().Err() == nil {
		return err
	}
	return status.FromContextError(stream.Context().Err()).Err()
}
