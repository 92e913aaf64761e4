package starknet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	medianv1 "github.com/loop-plugins/loop/gen/go/loop/median/v1"
	relayerv1 "github.com/loop-plugins/loop/gen/go/loop/relayer/v1"
	"github.com/loop-plugins/loop/gen/go/loop/relayer/v1/relayerv1loop"
	reportingv1 "github.com/loop-plugins/loop/gen/go/loop/reporting/v1"
	"github.com/loop-plugins/loop/plugins/starknet/account"
	"github.com/loop-plugins/loop/plugins/starknet/aggregator"
	"github.com/loop-plugins/loop/sdk/go/relayer"
	"github.com/loop-plugins/loop/sdk/go/stark"
	"github.com/loop-plugins/loop/sdk/go/wire"
)

// ConfigProvider follows one contract's configuration for one job.
type ConfigProvider struct {
	relayerv1.UnimplementedContractConfigServiceServer

	name     string
	chain    *Chain
	contract *contract
}

// MedianProvider is all that a median job asks of its contract.
type MedianProvider struct {
	relayerv1.UnimplementedContractTransmitterServiceServer
	medianv1.UnimplementedMedianContractServiceServer
	codec
	*ConfigProvider

	address stark.Felt // of the account that transmits
	key     stark.Felt // public key that signs for it
	queue   *relayer.Queue
}

var (
	_ relayerv1loop.ConfigProvider = (*ConfigProvider)(nil)
	_ relayerv1loop.MedianProvider = (*MedianProvider)(nil)
)

// CreateConfigProvider implements relayerv1loop.Chain.
func (c *Chain) CreateConfigProvider(_ context.Context, request *relayerv1.CreateConfigProviderRequest) (relayerv1loop.ConfigProvider, *relayerv1.CreateConfigProviderResponse, error) {
	if _, err := c.relayConfig(request.GetConfig().GetRelayConfigJson()); err != nil {
		return nil, nil, err
	}
	provider, err := c.configProvider(request.GetName(), request.GetConfig())
	if err != nil {
		return nil, nil, err
	}
	return provider, &relayerv1.CreateConfigProviderResponse{}, nil
}

// CreateMedianProvider implements relayerv1loop.Chain. The gas limit of a job is of no use here: a transaction's bounds are those of
// its estimate.
func (c *Chain) CreateMedianProvider(_ context.Context, request *relayerv1.CreateMedianProviderRequest) (relayerv1loop.MedianProvider, *relayerv1.CreateMedianProviderResponse, error) {
	key, err := stark.ParseFelt(request.GetTransmitterId())
	if err != nil {
		return nil, nil, status.Errorf(codes.InvalidArgument, "transmitter_id: it must be the public key that signs for the account: %v", err)
	}
	config, err := c.relayConfig(request.GetConfig().GetRelayConfigJson())
	if err != nil {
		return nil, nil, err
	}
	if config.AccountAddress == "" {
		return nil, nil, status.Error(codes.InvalidArgument, "config.relay_config_json: no account address in relay config: name in accountAddress the account that sends reports")
	}
	address, err := stark.ParseFelt(config.AccountAddress)
	if err != nil {
		return nil, nil, status.Errorf(codes.InvalidArgument, "config.relay_config_json: accountAddress: %v", err)
	}
	if address.IsZero() || key.IsZero() {
		return nil, nil, status.Error(codes.InvalidArgument, "transmitter_id and accountAddress must not be zero")
	}
	base, err := c.configProvider(request.GetName(), request.GetConfig())
	if err != nil {
		return nil, nil, err
	}
	q, err := c.Queue(address.String())
	if err != nil {
		return nil, nil, errors.Join(err, base.Close())
	}
	q.Account.Use(key)
	return &MedianProvider{ConfigProvider: base, address: address, key: key, queue: q.Queue}, &relayerv1.CreateMedianProviderResponse{}, nil
}

func (c *Chain) configProvider(name string, config *relayerv1.ProviderConfig) (*ConfigProvider, error) {
	address, err := stark.ParseFelt(config.GetContractId())
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "config.contract_id: %v", err)
	}
	followed, err := c.Acquire(address)
	if err != nil {
		return nil, err
	}
	followed.attach(name)
	return &ConfigProvider{name: name, chain: c, contract: followed}, nil
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

// Close stops following the contract. Reports that were accepted are sent all the same.
func (p *ConfigProvider) Close() error {
	p.contract.detach(p.name)
	return p.chain.Release(p.contract.address)
}

// view is what the contract last answered. The first answer is awaited, as long as the caller lets it, or the method that it calls.
func (p *ConfigProvider) view(ctx context.Context, method string) (view, error) {
	ctx, cancel := wire.Deadline(ctx, method)
	defer cancel()
	return p.contract.poller.Await(ctx)
}

// LatestConfigDetails implements relayerv1.ContractConfigServiceServer.
func (p *ConfigProvider) LatestConfigDetails(ctx context.Context, _ *relayerv1.LatestConfigDetailsRequest) (*relayerv1.LatestConfigDetailsResponse, error) {
	v, err := p.view(ctx, relayerv1.ContractConfigService_LatestConfigDetails_FullMethodName)
	if err != nil {
		return nil, err
	}
	return &relayerv1.LatestConfigDetailsResponse{ChangedInBlock: v.config.Block, ConfigDigest: v.config.Digest[:]}, nil
}

// LatestConfig implements relayerv1.ContractConfigServiceServer.
func (p *ConfigProvider) LatestConfig(ctx context.Context, request *relayerv1.LatestConfigRequest) (*relayerv1.LatestConfigResponse, error) {
	config, err := p.contract.latestConfig(ctx, request.GetChangedInBlock())
	if err != nil {
		return nil, asUnavailable(err)
	}
	onchain, err := config.Onchain.Encode()
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	message := &relayerv1.ContractConfig{
		ConfigDigest: config.Digest[:], ConfigCount: config.Count, F: uint32(config.F), OnchainConfig: onchain,
		OffchainConfigVersion: config.OffchainVersion, OffchainConfig: config.Offchain,
	}
	for i, signer := range config.Signers {
		bytes := signer.Bytes()
		message.Signers = append(message.Signers, bytes[:])
		message.Transmitters = append(message.Transmitters, config.Transmitters[i].String())
	}
	return &relayerv1.LatestConfigResponse{Config: message}, nil
}

// LatestBlockHeight implements relayerv1.ContractConfigServiceServer.
func (p *ConfigProvider) LatestBlockHeight(ctx context.Context, _ *relayerv1.LatestBlockHeightRequest) (*relayerv1.LatestBlockHeightResponse, error) {
	ctx, cancel := wire.Deadline(ctx, relayerv1.ContractConfigService_LatestBlockHeight_FullMethodName)
	defer cancel()
	if err := p.chain.Pool().Await(ctx); err != nil {
		return nil, err
	}
	client, err := p.chain.Pool().Best()
	if err != nil {
		return nil, err
	}
	return &relayerv1.LatestBlockHeightResponse{BlockHeight: client.Head().Number}, nil
}

// ConfigDigest implements relayerv1.ContractConfigServiceServer.
func (p *ConfigProvider) ConfigDigest(_ context.Context, request *relayerv1.ConfigDigestRequest) (*relayerv1.ConfigDigestResponse, error) {
	in := request.GetConfig()
	if in.GetF() > 255 {
		return nil, status.Errorf(codes.InvalidArgument, "config.f: the contract holds 8 bits, got %d", in.GetF())
	}
	onchain, err := aggregator.DecodeOnchain(in.GetOnchainConfig())
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "config.onchain_config: %v", err)
	}
	config := aggregator.Config{
		Count: in.GetConfigCount(), F: uint8(in.GetF()), Onchain: onchain, OffchainVersion: in.GetOffchainConfigVersion(), Offchain: in.GetOffchainConfig(),
	}
	for i, bytes := range in.GetSigners() {
		signer, err := stark.FromBytes(bytes)
		if err != nil || len(bytes) != 32 {
			return nil, status.Errorf(codes.InvalidArgument, "config.signers[%d]: a public key is a field element in 32 bytes", i)
		}
		config.Signers = append(config.Signers, signer)
	}
	for i, text := range in.GetTransmitters() {
		transmitter, err := stark.ParseFelt(text)
		if err != nil {
			return nil, status.Errorf(codes.InvalidArgument, "config.transmitters[%d]: %v", i, err)
		}
		config.Transmitters = append(config.Transmitters, transmitter)
	}
	digest, err := config.ComputeDigest(p.chain.id, p.contract.address)
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "config: %v", err)
	}
	return &relayerv1.ConfigDigestResponse{ConfigDigest: digest[:]}, nil
}

// ConfigDigestPrefix implements relayerv1.ContractConfigServiceServer.
func (p *ConfigProvider) ConfigDigestPrefix(context.Context, *relayerv1.ConfigDigestPrefixRequest) (*relayerv1.ConfigDigestPrefixResponse, error) {
	return &relayerv1.ConfigDigestPrefixResponse{Prefix: aggregator.DigestPrefix}, nil
}

// Transmit implements relayerv1.ContractTransmitterServiceServer.
func (p *MedianProvider) Transmit(ctx context.Context, request *relayerv1.TransmitRequest) (*relayerv1.TransmitResponse, error) {
	timestamp := request.GetReportContext().GetTimestamp()
	if len(timestamp.GetConfigDigest()) != 32 || len(request.GetReportContext().GetExtraHash()) != 32 || timestamp.GetRound() > 255 {
		return nil, status.Error(codes.InvalidArgument, "report_context: the digest and the extra hash must have 32 bytes, and the round 8 bits")
	}
	signatures := make([][]byte, len(request.GetSignatures()))
	for i, signature := range request.GetSignatures() {
		signatures[i] = signature.GetSignature()
	}
	report := aggregator.Context{
		Digest: [32]byte(timestamp.GetConfigDigest()), Epoch: timestamp.GetEpoch(), Round: uint8(timestamp.GetRound()),
		ExtraHash: [32]byte(request.GetReportContext().GetExtraHash()),
	}
	calldata, err := aggregator.Transmit(report, request.GetReport(), signatures)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	payload, err := account.Call{Key: p.key, To: p.contract.address, Selector: aggregator.Selector(aggregator.TransmitFunction), Calldata: calldata}.Encode()
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	err = p.queue.Add(ctx, relayer.Item{Contract: p.contract.address.String(), Digest: report.Digest, Epoch: report.Epoch, Round: report.Round, Payload: payload})
	if err != nil {
		return nil, err
	}
	return &relayerv1.TransmitResponse{}, nil
}

// LatestConfigDigestAndEpoch implements relayerv1.ContractTransmitterServiceServer.
func (p *MedianProvider) LatestConfigDigestAndEpoch(ctx context.Context, _ *relayerv1.LatestConfigDigestAndEpochRequest) (*relayerv1.LatestConfigDigestAndEpochResponse, error) {
	v, err := p.view(ctx, relayerv1.ContractTransmitterService_LatestConfigDigestAndEpoch_FullMethodName)
	if err != nil {
		return nil, err
	}
	return &relayerv1.LatestConfigDigestAndEpochResponse{ConfigDigest: v.transmission.Digest[:], Epoch: v.transmission.Epoch}, nil
}

// FromAccount implements relayerv1.ContractTransmitterServiceServer.
func (p *MedianProvider) FromAccount(context.Context, *relayerv1.FromAccountRequest) (*relayerv1.FromAccountResponse, error) {
	return &relayerv1.FromAccountResponse{Account: p.address.String()}, nil
}

// LatestTransmissionDetails implements medianv1.MedianContractServiceServer.
func (p *MedianProvider) LatestTransmissionDetails(ctx context.Context, _ *medianv1.LatestTransmissionDetailsRequest) (*medianv1.LatestTransmissionDetailsResponse, error) {
	v, err := p.view(ctx, medianv1.MedianContractService_LatestTransmissionDetails_FullMethodName)
	if err != nil {
		return nil, err
	}
	t := v.transmission
	return &medianv1.LatestTransmissionDetailsResponse{
		Timestamp:       &reportingv1.ReportTimestamp{ConfigDigest: t.Digest[:], Epoch: t.Epoch, Round: uint32(t.Round)},
		LatestAnswer:    wire.BigInt(t.Answer),
		LatestTimestamp: timestamppb.New(t.Time),
	}, nil
}

// LatestRoundRequested implements medianv1.MedianContractServiceServer. Nobody can ask this contract for a round.
func (p *MedianProvider) LatestRoundRequested(context.Context, *medianv1.LatestRoundRequestedRequest) (*medianv1.LatestRoundRequestedResponse, error) {
	return &medianv1.LatestRoundRequestedResponse{Timestamp: &reportingv1.ReportTimestamp{ConfigDigest: make([]byte, 32)}}, nil
}

// asUnavailable makes a status of what the chain answered.
func asUnavailable(err error) error {
	if code := status.Code(err); code != codes.Unknown {
		return err
	}
	return status.Error(codes.Unavailable, err.Error())
}
