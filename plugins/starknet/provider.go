package starknet

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	"github.com/loop-plugins/loop/plugins/starknet/account"
	"github.com/loop-plugins/loop/plugins/starknet/aggregator"
	"github.com/loop-plugins/loop/sdk/go/relayer"
	"github.com/loop-plugins/loop/sdk/go/relayer/service"
	"github.com/loop-plugins/loop/sdk/go/stark"
)

// CreateProvider implements relayerv1loop.Chain.
func (c *Chain) CreateProvider(_ context.Context, request *relayerv1.CreateProviderRequest) (relayerv1loop.Provider, *relayerv1.CreateProviderResponse, error) {
	var (
		provider relayerv1loop.Provider
		err      error
	)
	switch request.GetProviderType() {
	case relayer.ProviderConfig:
		provider, err = c.bootstrapProvider(request)
	case relayer.ProviderMedian:
		provider, err = c.medianProvider(request)
	default:
		err = service.UnknownProvider(request.GetProviderType(), relayer.ProviderMedian, relayer.ProviderConfig)
	}
	if err != nil {
		return nil, nil, err
	}
	return provider, &relayerv1.CreateProviderResponse{}, nil
}

func (c *Chain) bootstrapProvider(request *relayerv1.CreateProviderRequest) (*service.ConfigProvider, error) {
	if _, err := c.relayConfig(request.GetConfig().GetRelayConfigJson()); err != nil {
		return nil, err
	}
	provider, _, err := c.configProvider(request.GetName(), request.GetConfig())
	return provider, err
}

// medianProvider has no use for the gas limit of a job: a transaction's bounds are those of its estimate.
func (c *Chain) medianProvider(request *relayerv1.CreateProviderRequest) (*service.MedianProvider, error) {
	key, err := stark.ParseFelt(request.GetTransmitterId())
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "transmitter_id: it must be the public key that signs for the account: %v", err)
	}
	config, err := c.relayConfig(request.GetConfig().GetRelayConfigJson())
	if err != nil {
		return nil, err
	}
	if config.AccountAddress == "" {
		return nil, status.Error(codes.InvalidArgument, "config.relay_config_json: no account address in relay config: name in accountAddress the account that sends reports")
	}
	address, err := stark.ParseFelt(config.AccountAddress)
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "config.relay_config_json: accountAddress: %v", err)
	}
	if address.IsZero() || key.IsZero() {
		return nil, status.Error(codes.InvalidArgument, "transmitter_id and accountAddress must not be zero")
	}
	base, contract, err := c.configProvider(request.GetName(), request.GetConfig())
	if err != nil {
		return nil, err
	}
	provider, err := c.MedianProvider(base, address.String(), contract.String(), codec{}, func(_ context.Context, report service.Report) ([]byte, error) {
		return payload(key, contract, report)
	})
	if err != nil {
		return nil, err
	}
	if q, ok := c.Started(address.String()); ok {
		q.Account.Use(key)
	}
	return provider, nil
}

func (c *Chain) configProvider(name string, config *relayerv1.ProviderConfig) (*service.ConfigProvider, stark.Felt, error) {
	address, err := stark.ParseFelt(config.GetContractId())
	if err != nil {
		return nil, address, status.Errorf(codes.InvalidArgument, "config.contract_id: %v", err)
	}
	followed, err := c.Acquire(address)
	if err != nil {
		return nil, address, err
	}
	return service.NewConfigProvider(name, followed, func() error { return c.Release(address) }), address, nil
}

// relayConfig is what this relayer reads of a job's relayConfig. Keys that it does not know are ignored: real jobs carry old ones.
type relayConfig struct {
	ChainID        string `json:"chainID"`
	AccountAddress string `json:"accountAddress"`
	NodeName       string `json:"nodeName"`
}

func (c *Chain) relayConfig(text []byte) (relayConfig, error) {
	var config relayConfig
	if len(text) == 0 {
		return config, nil
	}
	refuse := func(format string, args ...any) (relayConfig, error) {
		return config, status.Errorf(codes.InvalidArgument, "config.relay_config_json: %s", fmt.Sprintf(format, args...))
	}
	if err := json.Unmarshal(text, &config); err != nil {
		return refuse("it is no JSON object of the kind expected: %v", err)
	}
	if config.ChainID != "" && config.ChainID != c.config.ChainID {
		return refuse("chainID is %s, but the job is on chain %s", config.ChainID, c.config.ChainID)
	}
	if name := config.NodeName; name != "" && !slices.ContainsFunc(c.config.Nodes, func(n NodeConfig) bool { return n.Name == name }) {
		return refuse("nodeName: chain %s has no RPC node %q; remove the key, since every node of the chain serves every job", c.config.ChainID, name)
	}
	return config, nil
}

// payload is the call that hands a report in, signed with a key.
func payload(key, contract stark.Felt, report service.Report) ([]byte, error) {
	calldata, err := aggregator.Transmit(aggregator.Context{
		Digest: report.Digest, Epoch: report.Epoch, Round: report.Round.Round, ExtraHash: report.ExtraHash,
	}, report.Report, report.Signatures)
	if err != nil {
		return nil, err
	}
	return account.Call{Key: key, To: contract, Selector: aggregator.Selector(aggregator.TransmitFunction), Calldata: calldata}.Encode()
}
